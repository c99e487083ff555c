"""The texts of one call as blocks that are looked at, and remembered, one by one.

A long text is pieces (`segments`); short ones that follow on one another share a block, so that ten
thousand scraps cost little more than one page. A block is cut by what stands before it alone: a
conversation that grows keeps all blocks but the last. Neighbouring pieces that are all looked at go to
a worker as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import orjson

from gateway.redaction.findings import Finding, Window
from gateway.redaction.segments import SIZE, Piece, apart, pieces, united

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

    blocks: Sequence[Block]
    items: Sequence[str]
    json: bytes
    parts: Sequence[Piece]
    """Those pieces."""

    def by_block(self, found: Sequence[list[Finding]]) -> Iterator[tuple[Block, Sequence[list[Finding]]]]:
        """What was found in the items, by block."""
        if not self.parts:
            yield self.blocks[0], found
            return
        for block, findings in zip(self.blocks, apart(united(self.parts), self.parts, found[0]), strict=True):
            yield block, [findings]


def asked(wanted: Sequence[Block], listed: Sequence[str], cuts: Iterable[Cut]) -> list[Asked]:
    """What to ask for some blocks, which are in order."""
    cut_at = {cut.first + number: cut for cut in cuts for number in range(len(cut.parts))}
    runs: list[list[Block]] = []
    last: Cut | None = None
    for block in wanted:
        cut = cut_at.get(block.first) if block.last - block.first == 1 else None
        if cut is not None and cut is last and runs[-1][-1].last == block.first:
            runs[-1].append(block)
        else:
            runs.append([block])
        last = cut
    made: list[Asked] = []
    for run in runs:
        first, end = run[0].first, run[-1].last
        if len(run) == 1:
            made.append(Asked(run, listed[first:end], run[0].json, ()))
        else:
            cut = cut_at[first]
            parts = cut.parts[first - cut.first : end - cut.first]
            whole = united(parts)
            texts = [cut.text[whole.start : whole.end]]
            made.append(Asked(run, texts, encoded(texts), parts))
    return made


def encoded(listed: Sequence[Item]) -> bytes:
    """Items as a JSON list. A lone surrogate, which UTF-8 cannot say, is told as one other character: offsets stay."""
    # A window is a tuple of its own kind, which the library does not take for a list.
    plain = [item if isinstance(item, str) else (item.text, item.start, int(item.ends)) for item in listed]
    try:
        return orjson.dumps(plain)
    except orjson.JSONEncodeError:
        return orjson.dumps([_said(item) if isinstance(item, str) else (_said(item[0]), *item[1:]) for item in plain])


def _said(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
