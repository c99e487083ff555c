"""Whether a side of a link or veto stands beside a candidate: it is read from there outwards, letter by letter."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gateway.redaction.grammar import WORD
from gateway.redaction.machines import EDGE, END, KINDS, WHEN_BITS
from gateway.redaction.native import Addresses, index_of, native
from gateway.redaction.stepping import Room, given, led, run_with
from gateway.redaction.tables import Bytes, Machine

_HOLDS, _GOES_ON = 1, 2
_WHEN = (1 << WHEN_BITS) - 1

_WORDS = np.array([WORD >> code & 1 for code in range(KINDS)], np.uint8)


class Links:
    """The sides of all links and vetoes, by number. For one thread."""

    def __init__(self, sides: Machine) -> None:
        self._sides = sides
        self._room = Room.of(sides)
        self._table = run_with(sides, self._room)

    def holds(self, side: int, text: Bytes) -> bool:
        """Whether it ends (one before a candidate) or begins (one after it) where the text does. It is ASCII."""
        return _read(text, _WORDS, side, False, self._table) == _HOLDS

    def goes_on(self, side: int, text: Bytes) -> bool:
        """Whether more text might make it hold."""
        return _read(text, _WORDS, side, True, self._table) == _GOES_ON


class Beside:
    """The text on one side of a candidate, and what was asked of it before."""

    __slots__ = ("_known", "_links", "_text")

    def __init__(self, links: Links, text: bytes) -> None:
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
def _matches(machine: Machine, place: int, edge: bool, end: bool) -> bool:
    """Whether the pattern matches at a place where it may."""
    row = index_of(machine.matching, 0, len(machine.matching), place)
    if row < 0:
        return False
    for number in range(machine.match_starts[row], machine.match_starts[row + 1]):
        when = machine.matches[number] & _WHEN
        if (edge or not when & EDGE) and (end or not when & END):
            return True
    return False


@native
def _read(text: Bytes, words: Bytes, side: int, wholly: bool, table: Addresses) -> int:
    """Read a text from the end or from the beginning, as a side is; `wholly`, also where it holds before.

    `words` is by character, 1 for those of words.
    """
    machine, room = given(table)
    here, there = room.here, room.there
    size = len(text)
    step, at = (-1, size - 1) if machine.backwards[side] else (1, 0)
    stop = at + step * size
    follows = words[text[at]] if size else 0
    here[0] = machine.first[side] << 1
    count = 1
    if not wholly and _matches(machine, here[0] >> 1, follows != 0, size == 0):
        return _HOLDS
    while at != stop and count:
        byte, word = text[at], follows
        at += step
        follows = words[text[at]] if at != stop else 0
        count = led(machine, room, here, there, count, byte)
        here, there = there, here
        if not wholly:
            for number in range(count):
                if here[number] & 1 and _matches(machine, here[number] >> 1, word != follows, at == stop):
                    return _HOLDS
    return _GOES_ON if count else 0
