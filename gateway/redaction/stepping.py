"""One step of a machine of `machines`, compiled to machine code by Numba.

Time is linear in what is read, whatever that is. Nothing here is checked against the bounds of an array: only what
`machines` made may be run.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gateway.redaction.machines import ANY_LETTER, CLASS_BITS, KINDS
from gateway.redaction.native import Addresses, addresses, bytes_at, counts_at, native, numbers_at
from gateway.redaction.tables import Machine, Numbers

_LATE = 1 << 29
_CLASSES = (1 << CLASS_BITS) - 1
_LETTERS = 26
_FEW = 8
"""Fewer places are looked through sooner than when one was last at another is looked up."""
_A, _Z = b"az"


class Room(NamedTuple):
    """Where a machine keeps its places, and when it was last at each; `clock` is the time.

    A place is kept twice its number, and one more where something may match.
    """

    here: Numbers
    there: Numbers
    seen: Numbers
    clock: Numbers

    @classmethod
    def of(cls, machine: Machine) -> Room:
        """Enough for a machine."""
        here, there, seen = (np.zeros(len(machine.starts), np.int32) for _ in range(3))
        return cls(here, there, seen, np.zeros(1, np.int32))


BEHIND = len(Machine._fields) + len(Room._fields)
"""So many rows of `addresses` are a machine and its room."""


def run_with(machine: Machine, room: Room) -> Addresses:
    """Both as one argument. What was given must be held as long as it is used."""
    return addresses([*machine, *room])


@native
def given(table: Addresses) -> tuple[Machine, Room]:
    """What `run_with` was given."""
    return (
        Machine(
            numbers_at(table, 0),
            numbers_at(table, 1),
            counts_at(table, 2),
            counts_at(table, 3),
            numbers_at(table, 4),
            numbers_at(table, 5),
            numbers_at(table, 6),
            counts_at(table, 7),
            bytes_at(table, 8),
        ),
        Room(counts_at(table, 9), counts_at(table, 10), numbers_at(table, 11), numbers_at(table, 12)),
    )


@native
def _now(room: Room) -> int:
    """A time at which it was nowhere yet."""
    if room.clock[0] > _LATE:
        room.clock[0] = 0
        for place in range(len(room.seen)):
            room.seen[place] = 0
    room.clock[0] += 1
    return int(room.clock[0])


@native
def led(machine: Machine, room: Room, here: Numbers, there: Numbers, count: int, byte: int) -> int:
    """Where a character leads from the first `count` of `here`: how many places, which are in `there`."""
    clock = _now(room)
    letter = (byte | 32) - _A if _A <= byte | 32 <= _Z else -1
    found = 0
    for number in range(count):
        first = machine.starts[here[number] >> 1]
        row = machine.leads[first]
        if row and letter >= 0:
            way = machine.leads[first + 1] if row == ANY_LETTER else machine.letters[row * _LETTERS + letter]
            found = _reached(way, clock, room, there, found)
            if row == ANY_LETTER:
                continue
        for at in range(first + 1, machine.starts[(here[number] >> 1) + 1]):
            way = machine.leads[at]
            if machine.classes[(way >> 1 & _CLASSES) * KINDS + byte]:
                found = _reached(way, clock, room, there, found)
    return found


@native
def _reached(way: int, clock: int, room: Room, there: Numbers, found: int) -> int:
    """Note where a way leads, unless that is nowhere, or noted; how many places are noted."""
    place = way >> (CLASS_BITS + 1)
    if not place:
        return found
    if found < _FEW:
        for number in range(found):
            if there[number] >> 1 == place:
                return found
    elif room.seen[place] == clock:
        return found
    room.seen[place] = clock
    there[found] = place << 1 | way & 1
    return found + 1
