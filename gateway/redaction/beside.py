"""Whether a side of a link or veto stands beside a candidate: the machine of `sides` over a stretch of text.

All places where a pattern may be are read at once, so time is linear in the stretch, whatever the text is. Nothing here
is checked against the bounds of an array: only what `sides` made may be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gateway.redaction.grammar import WORD
from gateway.redaction.native import Addresses, addresses, bytes_at, native, numbers_at
from gateway.redaction.sides import ALWAYS, CLASS_BITS, EDGE, END, KINDS
from gateway.redaction.tables import Bytes, Numbers, Sides

_LATE = 1 << 29
_CLASSES = (1 << CLASS_BITS) - 1
_LETTERS = 26
_HOLDS, _GOES_ON = 1, 2

_WORDS = np.array([WORD >> code & 1 for code in range(KINDS)], np.uint8)


class _Room(NamedTuple):
    """Where reading keeps its places, and when it was last at each; `clock` is the time.

    A place is kept twice its number, and one more where the side may match.
    """

    here: Numbers
    there: Numbers
    seen: Numbers
    clock: Numbers


class Links:
    """The sides of all links and vetoes, by number. For one thread."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        here, there, seen = (np.zeros(len(sides.starts), np.int32) for _ in range(3))
        self._room = _Room(here, there, seen, np.zeros(1, np.int32))
        self._table = addresses([*sides, *self._room, _WORDS])

    def holds(self, side: int, text: Bytes) -> bool:
        """Whether it ends (one before a candidate) or begins (one after it) where the text does. It is ASCII."""
        return _read(text, side, False, self._table) == _HOLDS

    def goes_on(self, side: int, text: Bytes) -> bool:
        """Whether more text might make it hold."""
        return _read(text, side, True, self._table) == _GOES_ON


class Beside:
    """The text on one side of a candidate, and what was asked of it before."""

    __slots__ = ("_known", "_links", "_text", "text")

    def __init__(self, links: Links, text: bytes) -> None:
        self.text = text
        self._links = links
        self._text = np.frombuffer(text, np.uint8)
        self._known: dict[int, bool] = {}

    def holds(self, sides: Iterable[int]) -> bool:
        """Whether one of these stands here."""
        known = self._known
        for side in sides:
            holds = known.get(side)
            if holds is None:
                holds = known[side] = self._links.holds(side, self._text)
            if holds:
                return True
        return False

    def goes_on(self, sides: Iterable[int]) -> bool:
        """Whether more text might make one of these stand here."""
        return any(self._links.goes_on(side, self._text) for side in sides)


@native
def _given(table: Addresses) -> tuple[Sides, _Room, Bytes]:
    return (
        Sides(
            numbers_at(table, 0),
            numbers_at(table, 1),
            numbers_at(table, 2),
            numbers_at(table, 3),
            numbers_at(table, 4),
            numbers_at(table, 5),
            numbers_at(table, 6),
            bytes_at(table, 7),
        ),
        _Room(numbers_at(table, 8), numbers_at(table, 9), numbers_at(table, 10), numbers_at(table, 11)),
        bytes_at(table, 12),
    )


@native
def _matches(sides: Sides, place: int, edge: bool, end: bool) -> bool:
    """Whether the pattern matches at a place where it may."""
    low, high = 0, len(sides.matching)
    while low < high:
        middle = (low + high) // 2
        if sides.matching[middle] < place:
            low = middle + 1
        else:
            high = middle
    if low == len(sides.matching) or sides.matching[low] != place:
        return False
    when = sides.when[low]
    if edge and end and when >> (EDGE | END) & 1:
        return True
    return bool(when >> ALWAYS & 1 or (edge and when >> EDGE & 1) or (end and when >> END & 1))


@native
def _now(room: _Room) -> int:
    """A time at which it was nowhere yet."""
    if room.clock[0] > _LATE:
        room.clock[0] = 0
        for place in range(len(room.seen)):
            room.seen[place] = 0
    room.clock[0] += 1
    return int(room.clock[0])


@native
def _led(sides: Sides, room: _Room, here: Numbers, there: Numbers, count: int, byte: int) -> int:
    """Where a character leads from the first `count` of `here`: how many places, which are in `there`."""
    clock = _now(room)
    letter = (byte | 32) - 97 if byte > 64 else -1
    found = 0
    for number in range(count):
        at = sides.starts[here[number] >> 1]
        stop = sides.starts[(here[number] >> 1) + 1]
        row = sides.leads[at]
        way = sides.letters[row * _LETTERS + letter] if row and 0 <= letter < _LETTERS else 0
        while True:
            place = way >> (CLASS_BITS + 1)
            if place and room.seen[place] != clock:
                room.seen[place] = clock
                there[found] = place << 1 | way & 1
                found += 1
            at += 1
            if at == stop:
                break
            way = sides.leads[at]
            if not sides.classes[(way >> 1 & _CLASSES) * KINDS + byte]:
                way = 0
    return found


@native
def _read(text: Bytes, side: int, wholly: bool, table: Addresses) -> int:
    """Read a text from the end or from the beginning, as a side is; `wholly`, also where it holds before."""
    sides, room, words = _given(table)
    here, there = room.here, room.there
    size = len(text)
    step, at = (-1, size - 1) if sides.before[side] else (1, 0)
    stop = at + step * size
    follows = words[text[at]] if size else 0
    here[0] = sides.first[side] << 1
    count = 1
    if not wholly and _matches(sides, here[0] >> 1, follows != 0, size == 0):
        return _HOLDS
    while at != stop and count:
        byte, word = text[at], follows
        at += step
        follows = words[text[at]] if at != stop else 0
        count = _led(sides, room, here, there, count, byte)
        here, there = there, here
        if not wholly:
            for number in range(count):
                if here[number] & 1 and _matches(sides, here[number] >> 1, word != follows, at == stop):
                    return _HOLDS
    return _GOES_ON if count else 0
