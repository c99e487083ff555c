"""Whether what must stand beside candidates does, and what must not does not, as machine code.

A side of a link or veto is read from the candidate outwards, letter by letter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gateway.redaction.grammar import WORD
from gateway.redaction.machines import EDGE, END, KINDS, WHEN_BITS
from gateway.redaction.native import Addresses, addresses, bytes_at, index_of, native, numbers_at, pairs_at
from gateway.redaction.stepping import Room, given, led
from gateway.redaction.tables import Bytes, Longs, Machine, Numbers

BEFORE = 120
AFTER = 72
"""Characters of context on either side; `segments.REACH` must hold a candidate and both."""
FIRST, LAST = 36, 24
"""Where in a phrase's key its first word begins, and how many more it has; its number is below both."""
HOLDS, GOES_ON = 1, 2
"""What comes of reading: a side stands there, or more text might make it stand there; else 0."""
WORDS = np.array([WORD >> code & 1 for code in range(KINDS)], np.uint8)
"""By character, 1 for those of words."""
_MORE, _NUMBERS = (1 << FIRST - LAST) - 1, (1 << LAST) - 1
_WHEN = (1 << WHEN_BITS) - 1
_MACHINE = len(Machine._fields) + len(Room._fields)
_LETTERS = 4
"""Letters of the word with which a sentence ends within a stretch. (`St. Jude` is no end.)"""
_QUOTE, _APOSTROPHE, _BRACKET, _STOP, _CALL, _QUESTION, _A, _Z = b"\"').!?AZ"
_SPACE, _TAB, _RETURN = b" \t\r"


class Conditions(NamedTuple):
    """What must, or must not, stand beside the candidates of each rule.

    Those of rule r are conditions[starts[r]:starts[r + 1]]: twice the number of a link, or twice that of a veto and
    one. Of either sides[side_starts[a]:side_starts[a + 1]] are the sides, any of which will do.
    """

    rules: Numbers
    """By phrase, the number of its rule; -1 if it has none, or must not be asked."""
    cased: Bytes
    """By rule, 1 if its candidates begin with a capital letter."""
    starts: Numbers
    conditions: Numbers
    side_starts: Numbers
    sides: Numbers
    words: Bytes
    """See `WORDS`."""
    said: Numbers
    """By side, what was last said of it, and what within the sentence: twice the place and two, and one if it holds."""


class Beside(NamedTuple):
    """text[low:start] is beside a candidate, and so is text[end:high]; up to `over` it is of the same sentence."""

    low: int
    start: int
    end: int
    high: int
    over: int


def judged_with(sides: Machine, room: Room, conditions: Conditions) -> Addresses:
    """All as one argument. What was given must be held as long as it is used."""
    return addresses([*sides, *room, *conditions])


@native
def _conditions(table: Addresses) -> Conditions:
    return Conditions(
        numbers_at(table, _MACHINE),
        bytes_at(table, _MACHINE + 1),
        numbers_at(table, _MACHINE + 2),
        numbers_at(table, _MACHINE + 3),
        numbers_at(table, _MACHINE + 4),
        numbers_at(table, _MACHINE + 5),
        bytes_at(table, _MACHINE + 6),
        pairs_at(table, _MACHINE + 7),
    )


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
def read(text: Bytes, low: int, high: int, side: int, wholly: bool, words: Bytes, table: Addresses) -> int:
    """Read text[low:high] from its end or from its beginning, as a side is; `wholly`, also where it holds before."""
    machine, room = given(table)
    here, there = room.here, room.there
    step, at, stop = (-1, high - 1, low - 1) if machine.backwards[side] else (1, low, high)
    follows = words[text[at]] if at != stop else 0
    here[0] = machine.first[side] << 1
    count = 1
    if not wholly and _matches(machine, here[0] >> 1, follows != 0, at == stop):
        return HOLDS
    while at != stop and count:
        byte, word = text[at], follows
        at += step
        follows = words[text[at]] if at != stop else 0
        count = led(machine, room, here, there, count, byte)
        here, there = there, here
        if not wholly:
            for number in range(count):
                if here[number] & 1 and _matches(machine, here[number] >> 1, word != follows, at == stop):
                    return HOLDS
    return GOES_ON if count else 0


@native
def _is_space(character: int) -> bool:
    return character == _SPACE or _TAB <= character <= _RETURN


@native
def _ended(text: Bytes, start: int, end: int, letters: int, words: Bytes) -> int:
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
def _beside(text: Bytes, start: int, end: int, words: Bytes) -> Beside:
    low, high = start, end
    while low > max(0, start - BEFORE) and text[low - 1]:
        low -= 1
    while high < min(len(text), end + AFTER) and text[high]:
        high += 1
    return Beside(low, start, end, high, _ended(text, end, high, 0, words))


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
    """Whether a candidate of a rule holds."""
    start = beside.start
    if conditions.cased[rule] and not (start < len(text) and _A <= text[start] <= _Z):
        return False
    for at in range(conditions.starts[rule], conditions.starts[rule + 1]):
        veto = conditions.conditions[at] & 1 != 0
        if _any(conditions.conditions[at] >> 1, veto, text, beside, conditions, table) == veto:
            return False
    return True


@native
def _may_turn(rule: int, text: Bytes, beside: Beside, conditions: Conditions, table: Addresses) -> bool:
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


@native
def _forget(said: Numbers) -> None:
    for side in range(len(said)):
        said[side, 0] = 0
        said[side, 1] = 0


@native
def asked(text: Bytes, start: int, end: int, rule: int, later: bool, table: Addresses) -> bool:
    """Whether a candidate of a rule holds; `later`, whether what may come after it can still decide it."""
    conditions = _conditions(table)
    _forget(conditions.said)
    beside = _beside(text, start, end, conditions.words)
    if later:
        return _may_turn(rule, text, beside, conditions, table)
    return _holds(rule, text, beside, conditions, table)


@native
def sift(
    keys: Longs, text: Bytes, starts: Numbers, ends: Numbers, settled: int, most: int, kept: Numbers, table: Addresses
) -> int:
    """Keep what phrases may be found: (start, end, number) a row of `kept`, each once; how many.

    Those go which a sentence ends within, or which are longer than `most` but for their last word; and those that do not
    hold, but for what is not asked, and what ends behind `settled`.

    Args:
        keys: of phrases, in order; see `FIRST`.
        text: in the case in which it is written.
        starts: where its words begin.
        ends: where they end.
        kept: as many rows as there are keys.
        table: see `judged_with`.
    """
    conditions = _conditions(table)
    _forget(conditions.said)
    count = 0
    for at in range(len(keys)):
        key = keys[at]
        first = key >> FIRST
        last = first + (key >> LAST & _MORE)
        start, end = starts[first], ends[last]
        if (at > 0 and key == keys[at - 1]) or starts[last] - start > most:
            continue
        if _ended(text, start, end, _LETTERS, conditions.words) < end:
            continue
        number = key & _NUMBERS
        rule = conditions.rules[number]
        if rule >= 0 and end <= settled:
            beside = _beside(text, start, end, conditions.words)
            if not _holds(rule, text, beside, conditions, table):
                continue
        kept[count, 0] = start
        kept[count, 1] = end
        kept[count, 2] = number
        count += 1
    return count
