"""What YAML and JSON hold, as types: the form in which rules reach the detector's processes."""

from __future__ import annotations

from typing import TypeAlias

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
