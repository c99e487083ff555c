"""Rows as a table for people, or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime

import orjson

from gateway.cli.verb import say
from gateway.config.documents import Plain

Row = dict[str, Plain]


def show(rows: Sequence[Row], *, as_json: bool, none: str) -> None:
    """Print rows as a table, or as JSON."""
    if as_json:
        say([orjson.dumps(list(rows), option=orjson.OPT_INDENT_2).decode()])
        return
    if not rows:
        say([none])
        return
    cells = [[name.replace("_", " ") for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    say("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)


def day(at: datetime | None) -> str | None:
    """An instant for people, or None."""
    return None if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _cell(value: Plain) -> str:
    if value is None or value == []:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def as_json(made: argparse.ArgumentParser) -> None:
    """The option that every table has."""
    made.add_argument("--json", action="store_true", help="JSON instead of a table")
