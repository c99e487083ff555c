"""What is found among all that phrases may be, as machine code: the longest that holds, from where it begins."""

from __future__ import annotations

from typing import NamedTuple

from gateway.redaction.beside import Beside, Conditions, beside_of, conditions_of, ended, forget, holds, may_turn
from gateway.redaction.native import Addresses, addresses, bytes_at, native, numbers_at, whole
from gateway.redaction.stepping import BEHIND, Room
from gateway.redaction.tables import Bytes, Longs, Machine, Numbers

FIRST, LAST = 36, 24
"""Where in a phrase's key its first word begins, and how many more it has; its number is below both."""
NUMBERS = (1 << LAST) - 1
IDIOM = -1
"""Instead of the number of a rule."""
POSITION, COUNT, END, BEGUN, HELD, OPEN = range(6)
"""Of how far a choice has come: up to where the text is used up; how many spans were found; up to where they are final;
where the last of them began to be one; whether that may be carried farther; how many places under way lie behind."""
STATES = 6
_NOTHING, _FOUND, _OPEN = range(3)
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
    """A text, and the phrases in it."""

    keys: Longs
    """In order, some of them more than once; see `FIRST`."""
    text: Bytes
    """In the case in which it is written."""
    starts: Numbers
    """Where its words begin."""
    ends: Numbers
    """Where they end."""
    parts: Numbers
    """By key, where the part that is the finding begins and ends, if the phrase has one; -1 if it is not there."""
    settled: int
    """What comes after the text can decide what ends behind this."""
    waits: bool
    """Whether nothing is to be found that may still become otherwise."""
    most: int
    """Characters of a candidate at most, but for the word that it ends with."""


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
        start, end = heard.parts[row, 0], heard.parts[row, 1]
    if start < 0 or (held.rule >= 0 and (end <= held.end or rules.categories[rule] != rules.categories[held.rule])):
        return _span(start, end, IDIOM)
    return _span(start, end, rule)


@native
def _turns(low: int, high: int, stretch: _Span, held: _Span, heard: Heard, table: Addresses) -> bool:
    """Whether what comes after a stretch can still decide what it is."""
    rules, conditions = _rules(table), conditions_of(table)
    for row in range(low, high):
        one = _listed(row, stretch, held, heard, rules)
        if one.rule >= 0:
            beside = beside_of(heard.text, one.start, one.end, conditions.words)
            if may_turn(one.rule, heard.text, beside, conditions, table):
                return True
    return False


@native
def _highest(low: int, high: int, judged: bool, stretch: _Span, held: _Span, heard: Heard, table: Addresses) -> _Span:
    """What a stretch is, of all that it may be and that holds if that is `judged`: the first of the highest score."""
    rules, conditions = _rules(table), conditions_of(table)
    best = _span(0, 0, IDIOM)
    beside = Beside(0, 0, 0, 0, 0)
    for row in range(low, high):
        one = _listed(row, stretch, held, heard, rules)
        if one.rule < 0 or (best.rule >= 0 and rules.ranks[one.rule] <= rules.ranks[best.rule]):
            continue
        if judged:
            if beside.start != one.start or beside.end != one.end:
                beside = beside_of(heard.text, one.start, one.end, conditions.words)
            if not holds(one.rule, heard.text, beside, conditions, table):
                continue
        best = one
    return best


@native
def _decided(low: int, high: int, stretch: _Span, held: _Span, heard: Heard, table: Addresses) -> tuple[int, _Span]:
    """What the phrases of a stretch come to, and what is found."""
    rules = _rules(table)
    for row in range(low, high):
        if rules.rules[heard.keys[row] & NUMBERS] < 0:
            return _FOUND, stretch
    turns = stretch.end > heard.settled and _turns(low, high, stretch, held, heard, table)
    if turns and heard.waits:
        return _OPEN, stretch
    best = _highest(low, high, not turns, stretch, held, heard, table)  # if it turns, rather too much
    return (_FOUND if best.rule >= 0 else _NOTHING), best


@native
def _longest(low: int, high: int, held: _Span, heard: Heard, table: Addresses) -> tuple[int, _Span]:
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
        fits = heard.starts[last] - start <= heard.most
        if held.rule >= 0:
            fits = fits and held.end < end <= held.start + heard.most
        if fits and ended(heard.text, start, end, _LETTERS, conditions.words) == end:
            kind, found = _decided(bottom, top, _span(start, end, IDIOM), held, heard, table)
            if kind != _NOTHING:
                return kind, found
        top = bottom
    return _NOTHING, held


@native
def _held(first: int, found: Numbers, so_far: Numbers) -> _Span:
    """What was found last, if it may be carried farther by what begins somewhere; else an idiom."""
    last = so_far[COUNT] - 1
    if so_far[HELD] and first < found[last, 1]:
        return _span(found[last, 0], found[last, 1], found[last, 2])
    return _span(0, 0, IDIOM)


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
) -> None:
    """Find what a text holds: (start, end, rule) a row of `found`, in order and apart; idioms are with it.

    Args:
        keys: see `Heard`; so for all but the next three.
        opened: where something begins that the text's end leaves open, in order.
        found: as many rows as there are keys.
        so_far: `STATES` zeros, but for where to begin; is given how far it has come. See `POSITION`.
        table: see `chosen_with`.
    """
    heard = Heard(keys, text, starts, ends, parts, settled, waits, most)
    forget(conditions_of(table))
    so_far[END] = _open_at(opened, 0, text)
    high = 0
    while high < len(keys):
        low = high
        while high < len(keys) and keys[high] >> FIRST == keys[low] >> FIRST:
            high += 1
        first = starts[keys[low] >> FIRST]
        if first >= so_far[END]:
            return
        held = _held(first, found, so_far)
        if first < so_far[POSITION] and held.rule < 0:
            continue
        kind, one = _longest(low, high, held, heard, table)
        if kind == _OPEN:
            so_far[END] = first
            if held.rule >= 0:
                _withdraw(so_far)
            return
        if kind == _FOUND and (one.rule >= 0 or held.rule < 0):
            _note(one, held, first, found, so_far)
            if waits and so_far[HELD] and so_far[END] < so_far[POSITION]:  # what begins within may carry it farther
                _withdraw(so_far)
                return
            while so_far[END] < so_far[POSITION]:
                so_far[OPEN] += 1
                so_far[END] = _open_at(opened, so_far[OPEN], text)
