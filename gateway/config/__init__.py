"""YAML and environment to one frozen `Bundle`, or every fault with its file, line, key and reason.

The only reader of both. `documents` reads YAML strictly, `settings` holds the form of gateway.yaml,
`loading` reads a whole directory, `outlook` says what is in force.
"""

from __future__ import annotations

from gateway.config.bundle import Bundle
from gateway.config.loading import environment, load, schemas_mark

__all__ = ["Bundle", "environment", "load", "schemas_mark"]
