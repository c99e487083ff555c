"""What is found among all that phrases may be, as machine code: the longest that holds, from where it begins."""

from __future__ import annotations

from typing import NamedTuple

from gateway.redaction.beside import Conditions, beside_of, conditions_of, ended, forget, holds, may_turn
from gateway.redaction.native import Addresses, addresses, bytes_at, native, numbers_at, whole
from gateway.redaction.stepping import BEHIND, Room
from gateway.redaction.tables import Bytes, Longs, Machine, Numbers

FIRST, LAST = 36, 24
"""Where in a phrase's key its first word begins, and how many more it has; its number is below both."""
NUMBERS = (1 << LAST) - 1
IDIOM = -1
"""Instead of the number of a rule."""
AT, POSITION, COUNT, BEGUN, HELD, OPEN, END = range(7)
"""Of how far the choice has come: the next key; up to where the text is used up; how many spans were found; where the
last began to be one; whether the last may still be carried farther; how many places under way lie behind; and at the
end, up to where all is final."""
STATES = 7
_NOTHING, _FOUND, _OPEN, _ASKS = range(4)
_MORE = (1 << FIRST - LAST) - 1
_LETTERS = 4
"""Letters of the word with which a sentence ends within a stretch. (`St. Jude` is no end.)"""


class Rules(NamedTuple):
    """What phrases stand for."""

    rules: Numbers
    """By phrase, the number of its rule, or `IDIOM`."""
    marked: Bytes
    """By phrase, 1 if a part of it is the finding."""
    ranks: Numbers
    """By rule, the place of its score among all, like the next."""
    categories: Numbers


class Heard(NamedTuple):
    """The phrases that a text holds, by key and in order, some of them more than once; and the text.

    Args:
        keys: see `FIRST`.
        text: in the case in which it is written.
        starts: where its words begin.
        ends: where they end.
        parts: by key, where the part that is the finding begins and ends, and one; both -1 if there is none; both 0 if
            nobody has asked yet.
    """

    keys: Longs
    text: Bytes
    starts: Numbers
    ends: Numbers
    parts: Numbers


class _Span(NamedTuple):
    """text[start:end], and the number of its rule."""

    start: int
    end: int
    rule: int


def chosen_with(sides: Machine, room: Room, conditions: Conditions, rules: Rules) -> Addresses:
    """All as one argument. What was given must be held as long as it is used."""
    return addresses([*sides, *room, *conditions, *rules])


_RULES = BEHIND + len(Conditions._fields)


@native
def _rules(table: Addresses) -> Rules:
    return Rules(
        numbers_at(table, _RULES),
        bytes_at(table, _RULES + 1),
        numbers_at(table, _RULES + 2),
        numbers_at(table, _RULES + 3),
    )


@native
def _span(start: int, end: int, rule: int) -> _Span:
    return _Span(whole(start), whole(end), whole(rule))


@native
def _listed(row: int, stretch: _Span, held: _Span, heard: Heard, rules: Rules) -> _Span:
    """What a phrase may be: nothing, if it has no part that is the finding, or would not carry farther what is held."""
    number = heard.keys[row] & NUMBERS
    rule = rules.rules[number]
    start, end = stretch.start, stretch.end
    if rules.marked[number]:
        start, end = heard.parts[row, 0] - 1, heard.parts[row, 1] - 1
    if start < 0 or (held.rule >= 0 and (end <= held.end or rules.categories[rule] != rules.categories[held.rule])):
        return _span(start, end, IDIOM)
    return _span(start, end, rule)


@native
def _turns(low: int, high: int, stretch: _Span, held: _Span, heard: Heard, rules: Rules, table: Addresses) -> bool:
    """Whether what comes after a stretch can still decide what it is."""
    conditions = conditions_of(table)
    for row in range(low, high):
        one = _listed(row, stretch, held, heard, rules)
        if one.rule >= 0:
            beside = beside_of(heard.text, one.start, one.end, conditions.words)
            if may_turn(one.rule, heard.text, beside, conditions, table):
                return True
    return False


@native
def _highest(
    low: int, high: int, judged: bool, stretch: _Span, held: _Span, heard: Heard, rules: Rules, table: Addresses
) -> _Span:
    """What a stretch is, of all that it may be and that holds if that is `judged`: the first of the highest score."""
    conditions = conditions_of(table)
    best = _span(0, 0, IDIOM)
    for row in range(low, high):
        one = _listed(row, stretch, held, heard, rules)
        if one.rule < 0 or (best.rule >= 0 and rules.ranks[one.rule] <= rules.ranks[best.rule]):
            continue
        if judged:
            beside = beside_of(heard.text, one.start, one.end, conditions.words)
            if not holds(one.rule, heard.text, beside, conditions, table):
                continue
        best = one
    return best


@native
def _decided(
    low: int,
    high: int,
    stretch: _Span,
    held: _Span,
    settled: int,
    waits: bool,
    heard: Heard,
    rules: Rules,
    table: Addresses,
) -> tuple[int, _Span]:
    """What the phrases of a stretch come to, and what is found."""
    for row in range(low, high):
        if rules.rules[heard.keys[row] & NUMBERS] < 0:
            return _FOUND, stretch
    for row in range(low, high):
        if rules.marked[heard.keys[row] & NUMBERS] and heard.parts[row, 1] == 0:
            heard.parts[row, 0], heard.parts[row, 1] = stretch.start, stretch.end
            return _ASKS, _span(row, row, IDIOM)
    turns = stretch.end > settled and _turns(low, high, stretch, held, heard, rules, table)
    if turns and waits:
        return _OPEN, stretch
    best = _highest(low, high, not turns, stretch, held, heard, rules, table)  # if it turns, rather too much
    return (_FOUND if best.rule >= 0 else _NOTHING), best


@native
def _longest(
    low: int, high: int, held: _Span, settled: int, waits: bool, most: int, heard: Heard, rules: Rules, table: Addresses
) -> tuple[int, _Span]:
    """What begins somewhere, of which the phrases are those from `low` to `high`: the longest that is something.

    If something is held, it is what carries that farther.
    """
    keys = heard.keys
    conditions = conditions_of(table)
    first = keys[low] >> FIRST
    start = heard.starts[first]
    top = high
    while top > low:
        bottom = top - 1
        while bottom > low and keys[bottom - 1] >> LAST == keys[bottom] >> LAST:
            bottom -= 1
        last = first + (keys[bottom] >> LAST & _MORE)
        end = heard.ends[last]
        fits = heard.starts[last] - start <= most and (held.rule < 0 or held.end < end <= held.start + most)
        if fits and ended(heard.text, start, end, _LETTERS, conditions.words) == end:
            kind, found = _decided(bottom, top, _span(start, end, IDIOM), held, settled, waits, heard, rules, table)
            if kind != _NOTHING:
                return kind, found
        top = bottom
    return _NOTHING, held


@native
def _note(one: _Span, held: _Span, first: int, found: Numbers, so_far: Numbers) -> None:
    """Note what was found, where something began; it carries what is held farther, or is held itself."""
    row = so_far[COUNT]
    if held.rule >= 0:
        found[row - 1, 1] = one.end
    else:
        found[row, 0] = one.start
        found[row, 1] = one.end
        found[row, 2] = one.rule
        so_far[COUNT] = row + 1
        so_far[BEGUN] = first
        so_far[HELD] = one.rule >= 0
    so_far[POSITION] = one.end


@native
def _withdraw(so_far: Numbers) -> None:
    """The last that was found is not final."""
    so_far[COUNT] -= 1
    so_far[END] = so_far[BEGUN]


@native
def _open_at(opened: Numbers, number: int, text: Bytes) -> int:
    """Where something begins that the text's end leaves open, of which so many lie behind; its end if nothing does."""
    return opened[number] if number < len(opened) else len(text)


@native
def choose(
    keys: Longs,
    text: Bytes,
    starts: Numbers,
    ends: Numbers,
    parts: Numbers,
    opened: Numbers,
    settled: int,
    waits: bool,
    most: int,
    found: Numbers,
    so_far: Numbers,
    table: Addresses,
) -> int:
    """Find what a text holds: (start, end, rule) a row of `found`, in order and apart; of idioms as well.

    Args:
        keys: as the next four, see `Heard`.
        opened: where something begins that the text's end leaves open, in order.
        settled: what comes after the text can decide what ends behind this.
        waits: whether nothing is to be found that may still become otherwise.
        most: characters of a candidate at most, but for the word that it ends with.
        found: as many rows as there are keys.
        so_far: `STATES` numbers, see `AT`: zeros, but for where to begin; is given how far it has come.
        table: see `chosen_with`.

    Returns:
        -1 at the end; else the number of a key of which `parts` must tell before it can go on. There are the bounds of
        its stretch.
    """
    rules = _rules(table)
    heard = Heard(keys, text, starts, ends, parts)
    forget(conditions_of(table))
    so_far[END] = _open_at(opened, so_far[OPEN], text)
    while so_far[AT] < len(keys):
        low = so_far[AT]
        first = starts[keys[low] >> FIRST]
        if first >= so_far[END]:
            break
        high = low + 1
        while high < len(keys) and keys[high] >> FIRST == keys[low] >> FIRST:
            high += 1
        last = so_far[COUNT] - 1
        held = _span(0, 0, IDIOM)
        if so_far[HELD] and first < found[last, 1]:
            held = _span(found[last, 0], found[last, 1], found[last, 2])
        if first >= so_far[POSITION] or held.rule >= 0:
            kind, one = _longest(low, high, held, settled, waits, most, heard, rules, table)
            if kind == _ASKS:
                return one.start
            if kind == _OPEN:
                so_far[END] = first
                if held.rule >= 0:
                    _withdraw(so_far)
                return -1
            if kind == _FOUND and (one.rule >= 0 or held.rule < 0):
                _note(one, held, first, found, so_far)
                if waits and so_far[HELD] and so_far[END] < so_far[POSITION]:  # what begins within may carry it farther
                    _withdraw(so_far)
                    return -1
                while so_far[END] < so_far[POSITION]:
                    so_far[OPEN] += 1
                    so_far[END] = _open_at(opened, so_far[OPEN], text)
        so_far[AT] = high
    return -1
