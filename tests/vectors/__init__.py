"""Public test vectors of other C2SP implementations; each file names its source."""

from __future__ import annotations

import json
from pathlib import Path


def vectors(name: str) -> dict[str, object]:
    """The vectors of a file."""
    read: dict[str, object] = json.loads(Path(__file__).with_name(f"{name}.json").read_text(encoding="utf-8"))
    return read
