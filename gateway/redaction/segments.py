"""A long text as pieces that can be analysed, and remembered, one by one.

Cuts depend only on what stands before them, so a conversation that grows keeps all pieces but the
last. A piece sees more on either side than it answers for, so nothing that could decide a finding is
missing where it begins, and what is found does not depend on where the cuts fell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.redaction.findings import Finding, add, behind

REACH = 384
"""Characters on either side that can decide a finding: its own length, its context, and what it may grow by."""
SIZE = 4_096
"""A cut falls at the first line end after this many characters, or at a space, or at twice as many."""


class Piece(NamedTuple):
    """text[start:end] is analysed; findings in [first, last) of the text count, if they do not begin behind it."""

    start: int
    end: int
    first: int
    last: int


def pieces(text: str) -> list[Piece]:
    """The pieces of a text, in order of what they answer for, without gap or overlap."""
    size = len(text)
    if size <= SIZE:
        return [Piece(0, size, 0, size)]
    made: list[Piece] = []
    first = 0
    while first < size:
        last = _cut(text, first)
        made.append(Piece(max(0, first - REACH), min(size, last + REACH), first, last))
        first = last
    return made


def _cut(text: str, start: int) -> int:
    size = len(text)
    longest = start + 2 * SIZE
    for mark in ("\n", " "):
        found = text.find(mark, start + SIZE, longest)
        if found >= 0:
            return found + 1
        if size <= longest:
            return size  # a later cut could still come: the rest is the last piece, and will change
    return longest


def united(parts: Sequence[Piece]) -> Piece:
    """Neighbouring pieces as one: what two of them see is looked at once."""
    return Piece(parts[0].start, parts[-1].end, parts[0].first, parts[-1].last)


def apart(whole: Piece, parts: Sequence[Piece], found: Sequence[Finding]) -> list[list[Finding]]:
    """What was found in a united piece, by piece, in its own offsets: what that answers for."""
    by_piece: list[list[Finding]] = []
    for part in parts:
        moved = whole.start - part.start
        low, high = part.first - whole.start, part.last - whole.start
        by_piece.append(
            [one._replace(start=one.start + moved, end=one.end + moved) for one in found if low <= one.start < high]
        )
    return by_piece


def join(parts: Sequence[Piece], found: Iterable[Sequence[Finding]]) -> list[Finding]:
    """The findings of the whole text from those of its pieces, in order and apart.

    What runs over the place from which on a piece answers begins there. Mostly the piece before found it, too; but of
    base64 whole portions are found, and where these begin depends on where the piece did.
    """
    whole: list[Finding] = []
    for part, findings in zip(parts, found, strict=True):
        for one in behind(findings, part.first - part.start):
            if part.start + one.start < part.last:
                add(whole, one._replace(start=part.start + one.start, end=part.start + one.end))
    return whole
