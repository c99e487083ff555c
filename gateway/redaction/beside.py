"""Whether what must stand beside a candidate does, and what must not does not, as machine code.

A side of a link or veto is read from the candidate outwards, letter by letter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gateway.redaction.grammar import WORD
from gateway.redaction.machines import EDGE, END, KINDS, WHEN_BITS
from gateway.redaction.native import Addresses, bytes_at, eight, index_of, native, numbers_at, pairs_at
from gateway.redaction.stepping import BEHIND, given, led
from gateway.redaction.tables import Bytes, Machine, Numbers

BEFORE = 120
AFTER = 72
"""Characters of context on either side; `segments.REACH` must hold a candidate and both."""
HOLDS, GOES_ON = 1, 2
"""What comes of reading: a side stands there, or more text might make it stand there; else 0."""
WORDS = np.array([WORD >> code & 1 for code in range(KINDS)], np.uint8)
"""By character, 1 for those of words."""
_WHEN = (1 << WHEN_BITS) - 1
_SPREAD = 13
LATELY = 64
"""How many rules and lengths of candidates are remembered."""
_QUOTE, _APOSTROPHE, _BRACKET, _STOP, _CALL, _QUESTION, _A, _Z = b"\"').!?AZ"
_SPACE, _TAB, _RETURN = b" \t\r"


class Conditions(NamedTuple):
    """What must, or must not, stand beside the candidates of each rule.

    Those of rule r are conditions[starts[r]:starts[r + 1]]: twice the number of a link, or twice that of a veto and
    one. Of either sides[side_starts[a]:side_starts[a + 1]] are the sides, any of which will do.
    """

    cased: Bytes
    """By rule, 1 if its candidates begin with a capital letter."""
    starts: Numbers
    conditions: Numbers
    side_starts: Numbers
    sides: Numbers
    words: Bytes
    """See `WORDS`."""
    said: Numbers
    """By side, where it was last asked for, plus one, doubled, and one more if it stood there; then the same within the
    sentence alone."""
    lately: Numbers
    """What was last asked: a rule plus one; a candidate's `low`, `start`, `end` and `high`; and 1 if it held."""


class Beside(NamedTuple):
    """text[low:start] is beside a candidate, and so is text[end:high]; up to `over` it is of the same sentence."""

    low: int
    start: int
    end: int
    high: int
    over: int


@native
def conditions_of(table: Addresses) -> Conditions:
    """Those which come after a machine and its room."""
    return Conditions(
        bytes_at(table, BEHIND),
        numbers_at(table, BEHIND + 1),
        numbers_at(table, BEHIND + 2),
        numbers_at(table, BEHIND + 3),
        numbers_at(table, BEHIND + 4),
        bytes_at(table, BEHIND + 5),
        pairs_at(table, BEHIND + 6),
        pairs_at(table, BEHIND + 7),
    )


@native
def _matches(machine: Machine, places: Numbers, count: int, edge: bool, end: bool) -> bool:
    """Whether the pattern matches at one of the places where it may."""
    for number in range(count):
        if places[number] & 1:
            row = index_of(machine.matching, 0, len(machine.matching), places[number] >> 1)
            for match in range(machine.match_starts[row], machine.match_starts[row + 1]):
                when = machine.matches[match] & _WHEN
                if (edge or not when & EDGE) and (end or not when & END):
                    return True
    return False


@native
def read(text: Bytes, low: int, high: int, side: int, wholly: bool, words: Bytes, table: Addresses) -> int:
    """Read text[low:high] from its end or from its beginning, as a side is; `wholly`, also where it holds before."""
    machine, room = given(table)
    here, there = room.here, room.there
    step, at, stop = (-1, high - 1, low - 1) if machine.backwards[side] else (1, low, high)
    word, follows = 0, words[text[at]] if at != stop else 0
    here[0] = machine.first[side]
    count = 1
    while count:
        if not wholly and _matches(machine, here, count, word != follows, at == stop):
            return HOLDS
        if at == stop:
            return GOES_ON
        byte, word = text[at], follows
        at += step
        follows = words[text[at]] if at != stop else 0
        count = led(machine, room, here, there, count, byte)
        here, there = there, here
    return 0


@native
def _is_space(character: int) -> bool:
    return character == _SPACE or _TAB <= character <= _RETURN


@native
def ended(text: Bytes, start: int, end: int, letters: int, words: Bytes) -> int:
    """Where in text[start:end] a sentence ends before another, with a word of so many letters; `end` if none does."""
    for at in range(start + letters, end):
        if text[at] != _STOP and text[at] != _CALL and text[at] != _QUESTION:
            continue
        first = at
        while first > at - letters and words[text[first - 1]]:
            first -= 1
        after = at + 1
        while after < end and (text[after] == _QUOTE or text[after] == _APOSTROPHE or text[after] == _BRACKET):
            after += 1
        begins = after
        while begins < end and _is_space(text[begins]):
            begins += 1
        if first == at - letters and after < begins < end and _A <= text[begins] <= _Z:
            return at
    return end


@native
def beside_of(text: Bytes, start: int, end: int, words: Bytes) -> Beside:
    low, high = start, end
    while low > max(0, start - BEFORE) and text[low - 1]:
        low -= 1
    while high < min(len(text), end + AFTER) and text[high]:
        high += 1
    return Beside(low, start, end, high, ended(text, end, high, 0, words))


@native
def _stands(side: int, veto: bool, text: Bytes, beside: Beside, conditions: Conditions, table: Addresses) -> bool:
    """Whether a side of a link or veto stands there. What comes after the sentence says nothing against a candidate."""
    machine, _room = given(table)
    within = 0
    if machine.backwards[side]:
        low, high, place = beside.low, beside.start, beside.start
    elif veto and beside.over < beside.high:
        low, high, place, within = beside.end, beside.over, beside.end, 1
    else:
        low, high, place = beside.end, beside.high, beside.end
    said = conditions.said
    if said[side, within] >> 1 != place + 1:
        holds = read(text, low, high, side, False, conditions.words, table) == HOLDS
        said[side, within] = place + 1 << 1 | holds
    return bool(said[side, within] & 1)


@native
def _any(number: int, veto: bool, text: Bytes, beside: Beside, conditions: Conditions, table: Addresses) -> bool:
    """Whether one of the sides of a link or veto stands there."""
    for at in range(conditions.side_starts[number], conditions.side_starts[number + 1]):  # machine code
        if _stands(conditions.sides[at], veto, text, beside, conditions, table):
            return True
    return False


@native
def _holds(rule: int, text: Bytes, beside: Beside, conditions: Conditions, table: Addresses) -> bool:
    """Whether what a rule needs stands beside a candidate, and no veto does."""
    for at in range(conditions.starts[rule], conditions.starts[rule + 1]):
        veto = conditions.conditions[at] & 1 != 0
        if _any(conditions.conditions[at] >> 1, veto, text, beside, conditions, table) == veto:
            return False
    return True


@native
def _is_alike(text: Bytes, beside: Beside, low: int, start: int, end: int, high: int) -> bool:
    """Whether the same stands beside and in a candidate as another, letter by letter."""
    if beside.low - beside.start != low - start or beside.high - beside.end != high - end:
        return False
    if beside.end - beside.start != end - start:
        return False
    at, size = 0, high - low
    while at + 8 <= size:
        if eight(text, low + at) != eight(text, beside.low + at):
            return False
        at += 8
    while at < size and text[low + at] == text[beside.low + at]:
        at += 1
    return at == size


@native
def holds(rule: int, text: Bytes, beside: Beside, conditions: Conditions, table: Addresses) -> bool:
    """Whether a candidate of a rule holds.

    A text made of repetitions asks the same over and over: the answer is kept with all round it that counts.
    """
    start = beside.start
    if conditions.cased[rule] and not (start < len(text) and _A <= text[start] <= _Z):
        return False
    lately = conditions.lately
    row = rule * _SPREAD + beside.end - start & len(lately) - 1
    if lately[row, 0] == rule + 1 and _is_alike(
        text, beside, lately[row, 1], lately[row, 2], lately[row, 3], lately[row, 4]
    ):
        return bool(lately[row, 5])
    answer = _holds(rule, text, beside, conditions, table)
    lately[row, 0] = rule + 1
    lately[row, 1], lately[row, 2], lately[row, 3], lately[row, 4] = beside.low, start, beside.end, beside.high
    lately[row, 5] = answer
    return answer


@native
def forget(conditions: Conditions) -> None:
    """Nothing is known of a text that is new."""
    for side in range(len(conditions.said)):
        conditions.said[side, 0] = conditions.said[side, 1] = 0
    for row in range(len(conditions.lately)):
        conditions.lately[row, 0] = 0


@native
def may_turn(rule: int, text: Bytes, beside: Beside, conditions: Conditions, table: Addresses) -> bool:
    """Whether what may come after a candidate of a rule can still decide it."""
    machine, _room = given(table)
    turns = False
    for at in range(conditions.starts[rule], conditions.starts[rule + 1]):
        veto = conditions.conditions[at] & 1 != 0
        number = conditions.conditions[at] >> 1
        holds = goes_on = False
        for one in range(conditions.side_starts[number], conditions.side_starts[number + 1]):
            side = conditions.sides[one]
            before = machine.backwards[side] != 0
            low, high = (beside.low, beside.start) if before else (beside.end, beside.high)
            found = read(text, low, high, side, not before, conditions.words, table)
            holds |= before and found == HOLDS
            goes_on |= not before and found == GOES_ON
        if veto and holds:
            return False
        turns |= goes_on and not holds
    return turns
