"""A long text as pieces that can be analysed, and remembered, one by one.

Cuts depend only on what stands before them, so a conversation that grows keeps all pieces but the
last. Over every cut lies a *seam*, a short piece that sees both sides; what begins near the cut is
taken from the seam, where nothing that could decide it is missing. The result is defined by this
procedure alike whether pieces were remembered or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.redaction.findings import Finding, add

REACH = 256
"""Characters on either side that can decide a candidate, its own length included."""
SIZE = 4_096
"""A piece is cut at the first line end after this many characters, or at a space, or at twice as many."""
_NEAR = REACH // 2


class Piece(NamedTuple):
    """text[start:end] is analysed; findings that begin in [first, last) of the text count."""

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
    start = first = 0
    while (cut := _cut(text, start)) < size:
        made.append(Piece(start, cut, first, max(first, cut - _NEAR)))
        first = max(first, min(size, cut + _NEAR))
        made.append(Piece(max(0, cut - REACH), min(size, cut + REACH), made[-1].last, first))
        start = cut
    made.append(Piece(start, size, min(first, size), size))
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


def join(parts: Sequence[Piece], found: Iterable[Sequence[Finding]]) -> list[Finding]:
    """The findings of the whole text from those of its pieces, in order and apart."""
    whole: list[Finding] = []
    for part, findings in zip(parts, found, strict=True):
        for one in findings:
            if part.first <= part.start + one.start < part.last:
                moved = Finding(part.start + one.start, part.start + one.end, one.category, one.score)
                add(whole, moved)
    return whole
