"""The texts of one call as blocks that are looked at, and remembered, one by one.

A long text is pieces (`segments`); short ones that follow on one another share a block, so that ten
thousand scraps cost little more than one page. A block is cut by what stands before it alone: a
conversation that grows keeps all blocks but the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import orjson

from gateway.redaction.findings import Window
from gateway.redaction.segments import SIZE, Piece, pieces

Item: TypeAlias = "str | Window"
"""What a worker is asked to look at: a whole text, or a window of one that goes on."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ALONE = 512
"""A text of so many characters is a block by itself: it is known again wherever it stands."""
_MOST = 256
"""Texts in a block."""


class Block(NamedTuple):
    """items[first:last], and the same as a JSON list."""

    first: int
    last: int
    size: int
    json: bytes


def items(texts: Sequence[str]) -> tuple[list[str], dict[int, list[Piece]]]:
    """The texts with long ones as their pieces, and of which (by number) which pieces were made."""
    cut: dict[int, list[Piece]] = {}
    found: list[str] = []
    for index, text in enumerate(texts):
        if len(text) <= SIZE:
            found.append(text)
            continue
        parts = cut[index] = pieces(text)
        found.extend([text[part.start : part.end] for part in parts])
    return found, cut


def blocks(listed: Sequence[str]) -> Iterator[Block]:
    """The blocks of some items, in order and without gap."""
    first = size = 0
    for index, item in enumerate(listed):
        more = len(item)
        if first < index and (more >= _ALONE or size + more > SIZE or index - first >= _MOST):
            yield Block(first, index, size, encoded(listed[first:index]))
            first, size = index, 0
        size += more
        if more >= _ALONE:
            yield Block(first, index + 1, size, encoded(listed[first : index + 1]))
            first, size = index + 1, 0
    if first < len(listed):
        yield Block(first, len(listed), size, encoded(listed[first:]))


def encoded(texts: Sequence[str]) -> bytes:
    """Texts as a JSON list. A lone surrogate, which UTF-8 cannot say, is told as one other character: offsets stay."""
    try:
        return orjson.dumps(texts)
    except orjson.JSONEncodeError:
        return orjson.dumps([_said(text) for text in texts])


def encoded_windows(windows: Sequence[Window]) -> bytes:
    """Windows as a JSON list, each as a list; see `encoded`."""
    try:
        return orjson.dumps([(text, start, int(ends)) for text, start, ends in windows])
    except orjson.JSONEncodeError:
        return orjson.dumps([(_said(text), start, int(ends)) for text, start, ends in windows])


def _said(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
