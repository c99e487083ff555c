"""Whether a side of a link or veto stands beside a candidate: it is read from there outwards, letter by letter."""

from __future__ import annotations

import numpy as np

from gateway.redaction.grammar import WORD
from gateway.redaction.machines import EDGE, END, KINDS, WHEN_BITS
from gateway.redaction.native import Addresses, index_of, native
from gateway.redaction.stepping import Room, given, led, run_with
from gateway.redaction.tables import Bytes, Machine, Numbers

_HOLDS, _GOES_ON = 1, 2
_WHEN = (1 << WHEN_BITS) - 1

_WORDS = np.array([WORD >> code & 1 for code in range(KINDS)], np.uint8)


class Links:
    """The sides of all links and vetoes, by number. For one thread."""

    def __init__(self, sides: Machine) -> None:
        self._sides = sides
        self._room = Room.of(sides)
        self.table = run_with(sides, self._room)


class Beside:
    """The text on one side of a candidate."""

    __slots__ = ("_links", "_text")

    def __init__(self, links: Links, text: bytes) -> None:
        self._links = links
        self._text = np.frombuffer(text, np.uint8)

    def holds(self, sides: Numbers) -> bool:
        """Whether one of these ends (one before a candidate) or begins (one after it) where the text does."""
        return len(sides) > 0 and _any(self._text, _WORDS, sides, _HOLDS, self._links.table)

    def goes_on(self, sides: Numbers) -> bool:
        """Whether more text might make one of these stand here."""
        return len(sides) > 0 and _any(self._text, _WORDS, sides, _GOES_ON, self._links.table)


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


@native
def _any(text: Bytes, words: Bytes, sides: Numbers, wanted: int, table: Addresses) -> bool:
    """Whether reading the text comes to what is wanted for one of these sides."""
    for number in range(len(sides)):  # noqa: SIM110  # machine code, not a generator
        if _read(text, words, sides[number], wanted == _GOES_ON, table) == wanted:
            return True
    return False
