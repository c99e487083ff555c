"""The texts of one call as blocks that are looked at, and remembered, one by one.

A long text is pieces (`segments`); short ones that follow on one another share a block, so that ten
thousand scraps cost little more than one page. A block is cut by what stands before it alone: a
conversation that grows keeps all blocks but the last. Neighbouring pieces that are all looked at go to
a worker as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from gateway.redaction.findings import Finding, Window
from gateway.redaction.segments import SIZE, Piece, apart, pieces, united

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


class Cut(NamedTuple):
    """A long text, and its pieces, which are the items from `first` on."""

    text: str
    first: int
    parts: list[Piece]


def items(texts: Sequence[str]) -> tuple[list[str], dict[int, Cut]]:
    """The texts with long ones as their pieces, and how those (by number) were cut."""
    cuts: dict[int, Cut] = {}
    found: list[str] = []
    for index, text in enumerate(texts):
        if len(text) <= SIZE:
            found.append(text)
            continue
        parts = pieces(text)
        cuts[index] = Cut(text, len(found), parts)
        found.extend([text[part.start : part.end] for part in parts])
    return found, cuts


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


class Asked(NamedTuple):
    """What a worker is asked in one go: the items of a block, or of blocks that are neighbouring pieces of one text."""

    names: Sequence[bytes]
    """Those of the blocks."""
    items: Sequence[str]
    size: int
    json: bytes
    parts: Sequence[Piece]
    """Those pieces."""

    def by_name(self, found: Sequence[list[Finding]]) -> Iterable[tuple[bytes, Sequence[list[Finding]]]]:
        """What was found in the items, by block."""
        if not self.parts:
            return ((self.names[0], found),)
        each = apart(united(self.parts), self.parts, found[0])
        return zip(self.names, [[findings] for findings in each], strict=True)


def asked(wanted: Sequence[tuple[bytes, Block]], listed: Sequence[str], cuts: Iterable[Cut]) -> list[Asked]:
    """What to ask for some blocks, which are in order, each with its name."""
    cut_at = {cut.first + number: cut for cut in cuts for number in range(len(cut.parts))}
    runs: list[list[tuple[bytes, Block]]] = []
    last: Cut | None = None
    for name, block in wanted:
        cut = cut_at.get(block.first) if block.last - block.first == 1 else None
        if cut is not None and cut is last and runs[-1][-1][1].last == block.first:
            runs[-1].append((name, block))
        else:
            runs.append([(name, block)])
        last = cut
    return [_asked(run, listed, cut_at) for run in runs]


def _asked(run: Sequence[tuple[bytes, Block]], listed: Sequence[str], cut_at: Mapping[int, Cut]) -> Asked:
    names = [name for name, _block in run]
    block = run[0][1]
    if len(run) == 1:
        return Asked(names, listed[block.first : block.last], block.size, block.json, ())
    cut = cut_at[block.first]
    parts = cut.parts[block.first - cut.first : run[-1][1].last - cut.first]
    whole = united(parts)
    texts = [cut.text[whole.start : whole.end]]
    return Asked(names, texts, len(texts[0]), encoded(texts), parts)


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
