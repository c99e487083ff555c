"""How far findings reach, compiled to machine code by Numba: `growth` says what for, `edges` what is looked at.

Nothing here is checked against the bounds of an array, and no function makes one: there is room for `edges.MOST` words
on a side. Words are pieces of the text, [start, end).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.redaction.edges import (
    AHEAD,
    BITS,
    FEATURES,
    GAPS,
    GIVES_UP,
    HARD,
    LEFT,
    MARKS,
    MAY_LACK,
    MOST,
    RIGHT,
    STOP,
    WORD,
)
from gateway.redaction.native import Addresses, addresses, bytes_at, native, numbers_at, pairs_at
from gateway.redaction.tables import Bytes, Numbers
from gateway.redaction.walk import hashed, looked_up, put

Weights: TypeAlias = "NDArray[np.float32]"

_START, _END, _REACH, _GAP = range(4)
"""Columns of `words`: where a word begins and ends, how far it reaches from the finding, what stands before it."""
_KIND_FORM = 6
_NO_MARK, _SPACE, _NONE, _LINE = 11, 1, 12, 10
_IS_WORD, _IS_MARK, _IS_HARD, _IS_SPACE = 1, 2, 4, 8
_OF_SIDE = MOST + AHEAD
_FARTHEST = 4
"""How many rows beyond its step's own that word is in `line` which is the farthest that a question is about."""
_LINE_WORDS = _OF_SIDE + _FARTHEST
_CRC = 0xEDB88320
"""The polynomial of RFC 1952, reversed."""
_ODDS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xBF58476D1CE4E5B9)
_SALT = 0xD6E8FEB86659FD93


class Desk(NamedTuple):
    """What is looked things up in, and room to work in.

    A row of `words` is a word of a side (see `_START`), those on the right behind those on the left; `line` is one word
    a row, outward, and `forms` its forms; `cells` are what is known of one question.
    """

    kinds: Bytes
    """By byte: of a word, a mark, a mark at which all ends, a space; bits of these."""
    gaps: Bytes
    """By byte, the number of a mark that stands between words."""
    crc: Numbers
    stop_letters: Bytes
    stop_starts: Numbers
    stop_slots: Numbers
    features: Numbers
    may_lack: Bytes
    words: Numbers
    inside: Numbers
    line: Numbers
    forms: Numbers
    cells: Numbers


def desk() -> Desk:
    """A desk. It belongs to one thread."""
    kinds, gaps = np.zeros(256, np.uint8), np.full(256, _NO_MARK, np.uint8)
    kinds[list(WORD)] = _IS_WORD
    kinds[list(MARKS)] = _IS_MARK
    kinds[list(HARD)] |= _IS_HARD
    kinds[list(b" \t\n\r\x0b\x0c")] |= _IS_SPACE
    for code, number in GAPS.items():
        gaps[code] = number
    crc = np.array([_remainder(code) for code in range(256)], np.uint32).view(np.int32)
    letters = np.frombuffer(b"".join(STOP), np.uint8)
    starts = np.cumsum([0, *map(len, STOP)]).astype(np.int32)
    slots = np.zeros(4 * len(STOP), np.int32)
    for number in range(len(STOP)):
        put(slots, letters, starts, number)
    return Desk(
        kinds,
        gaps,
        crc,
        letters,
        starts,
        slots,
        np.array(FEATURES, np.int32),
        np.array(MAY_LACK, np.uint8),
        words=np.zeros((2 * _OF_SIDE, 4), np.int32),
        inside=np.zeros((4, 2), np.int32),
        line=np.zeros((_LINE_WORDS, 2), np.int32),
        forms=np.zeros((_LINE_WORDS, 8), np.int32),
        cells=np.zeros(32, np.int32),
    )


def _remainder(code: int) -> int:
    """What a byte leaves of a cyclic redundancy check; it is that of `zlib.crc32`."""
    for _ in range(8):
        code = code >> 1 ^ (_CRC if code & 1 else 0)
    return code


def given(one: Desk) -> Addresses:
    """A desk as one argument. The desk must be held as long as it is used."""
    return addresses(one)


@native
def _desk(table: Addresses) -> Desk:
    """What `given` was given."""
    return Desk(
        bytes_at(table, 0),
        bytes_at(table, 1),
        numbers_at(table, 2),
        bytes_at(table, 3),
        numbers_at(table, 4),
        numbers_at(table, 5),
        pairs_at(table, 6),
        bytes_at(table, 7),
        pairs_at(table, 8),
        pairs_at(table, 9),
        pairs_at(table, 10),
        pairs_at(table, 11),
        numbers_at(table, 12),
    )


# --- what stands round a finding ---


@native
def _is(text: Bytes, at: int, kind: int, desk: Desk) -> bool:
    return bool(desk.kinds[text[at]] & kind)


@native
def _in_word(text: Bytes, at: int, desk: Desk) -> bool:
    """Whether a word goes on over this place."""
    return 0 < at < len(text) and _is(text, at - 1, _IS_WORD, desk) and _is(text, at, _IS_WORD, desk)


@native
def _gap(text: Bytes, low: int, high: int, desk: Desk) -> int:
    """What stands between two words, as a number: the first mark of it, a space, a line end, or nothing."""
    found = _SPACE if low < high else _NONE
    for at in range(high - 1, low - 1, -1):
        if text[at] == 10:
            return _LINE
        if not _is(text, at, _IS_SPACE, desk):
            found = int(desk.gaps[text[at]])
    return found


@native
def _is_stop(text: Bytes, start: int, end: int, desk: Desk) -> bool:
    key = hashed(text, start, end)
    return looked_up(desk.stop_letters, desk.stop_starts, desk.stop_slots, text, start, end, key) >= 0


@native
def _note(desk: Desk, row: int, start: int, end: int, reach: int, gap: int) -> None:
    desk.words[row, _START] = start
    desk.words[row, _END] = end
    desk.words[row, _REACH] = reach
    desk.words[row, _GAP] = gap


@native
def _before(text: Bytes, start: int, most: int, desk: Desk) -> int:
    """Note what stands before a finding, up to the mark that ends it, or to so many words; how many."""
    count = 0
    if _in_word(text, start, desk):
        return 0
    low = max(0, start - LEFT)
    last = at = start
    while at > low and count < most:
        at -= 1
        if not _is(text, at, _IS_WORD | _IS_MARK, desk):
            continue
        end = at + 1
        if _is(text, at, _IS_WORD, desk):
            while at > low and _is(text, at - 1, _IS_WORD, desk):
                at -= 1
            if at == low and _in_word(text, low, desk):
                break  # the bound cuts this word
        _note(desk, count, at, end, start - at, _gap(text, end, last, desk))
        count += 1
        last = at
        if _is(text, at, _IS_HARD, desk):
            break
    return count


@native
def _after(text: Bytes, end: int, most: int, closed: bool, desk: Desk) -> tuple[int, bool]:
    """Note what stands after a finding; how many, and whether there is no more to it, however the text goes on."""
    size = len(text)
    high = min(end + RIGHT, size)
    bounded = closed or end + RIGHT < size
    if _in_word(text, end, desk):
        return 0, True
    count = 0
    last = at = end
    while at < high:
        if not _is(text, at, _IS_WORD | _IS_MARK, desk):
            at += 1
            continue
        start = at
        hard = _is(text, at, _IS_HARD, desk)
        at += 1
        if _is(text, start, _IS_WORD, desk):
            while at < high and _is(text, at, _IS_WORD, desk):
                at += 1
        if at == end + RIGHT and _in_word(text, at, desk):
            break
        if not bounded and at == size and not hard:
            break  # more of it may come
        _note(desk, _OF_SIDE + count, start, at, at - end, _gap(text, last, start, desk))
        count += 1
        last = at
        if hard or count == most:
            return count, True
    return count, bounded


@native
def _inside(text: Bytes, start: int, end: int, desk: Desk) -> int:
    """Note the first two words of a finding and its last two, from either end inward; how many it has."""
    count = 0
    at = start
    while at < end:
        if not _is(text, at, _IS_WORD | _IS_MARK, desk):
            at += 1
            continue
        first = at
        at += 1
        if _is(text, first, _IS_WORD, desk):
            while at < end and _is(text, at, _IS_WORD, desk):
                at += 1
        if count < 2:
            desk.inside[count, 0] = first
            desk.inside[count, 1] = at
        desk.inside[3, 0] = desk.inside[2, 0]
        desk.inside[3, 1] = desk.inside[2, 1]
        desk.inside[2, 0] = first
        desk.inside[2, 1] = at
        count += 1
    if count == 0:
        desk.inside[:, :] = 0
        return 1
    return count


# --- words as numbers ---


@native
def _form(text: Bytes, low: int, high: int, head: int, tail: int, desk: Desk) -> int:
    """The remainder of a part of a word, with a byte before it or behind it (0: none); never 0."""
    found = np.uint32(0xFFFFFFFF)
    if head:
        found = np.uint32(desk.crc[(found ^ np.uint32(head)) & np.uint32(255)]) ^ (found >> np.uint32(8))
    for at in range(low, high):
        found = np.uint32(desk.crc[(found ^ np.uint32(text[at])) & np.uint32(255)]) ^ (found >> np.uint32(8))
    if tail:
        found = np.uint32(desk.crc[(found ^ np.uint32(tail)) & np.uint32(255)]) ^ (found >> np.uint32(8))
    return int(~found | np.uint32(1))


@native
def _forms(text: Bytes, start: int, end: int, row: int, table: Addresses) -> None:
    """Note the forms of a word: itself, a beginning, two endings, another of each, its kind. 0 stands for none."""
    desk = _desk(table)
    size = end - start
    desk.forms[row, :] = 0
    digits = size > 0
    for at in range(start, end):
        digits = digits and 48 <= text[at] <= 57
    kind = 1 + 4 * digits
    if size == 0:
        kind += 8
    elif _is(text, start, _IS_HARD, desk):
        kind += 2
    elif _is_stop(text, start, end, desk):
        kind += 1
    desk.forms[row, 0] = _form(text, start, end, 61, 0, desk)
    if size >= 4:
        desk.forms[row, 1] = _form(text, start, start + 3, 60, 0, desk)
        desk.forms[row, 2] = _form(text, end - 3, end, 0, 62, desk)
        desk.forms[row, 3] = _form(text, end - 2, end, 0, 62, desk)
    if size >= 6:
        desk.forms[row, 4] = _form(text, start, start + 4, 60, 0, desk)
        desk.forms[row, 5] = _form(text, end - 4, end, 0, 62, desk)
    desk.forms[row, _KIND_FORM] = kind


@native
def _steps(text: Bytes, first: int, count: int, most: int, desk: Desk) -> int:
    """How many words a finding may grow by on a side whose words are noted from row `first` on."""
    few = min(count, most)
    return few - 1 if few and _is(text, desk.words[first + few - 1, _START], _IS_HARD, desk) else few


@native
def _prepare(text: Bytes, side: int, count: int, other: int, length: int, table: Addresses) -> None:
    """Note the words that questions of a side are about, in `line`'s order, and the forms of those that all are about.

    Args:
        text: lower-case ASCII.
        side: 0 on the left, 1 on the right.
        count: its words.
        other: the words of the other side.
        length: the words of the finding.
        table: see `given`.
    """
    desk = _desk(table)
    own, first = 2 * side, side * _OF_SIDE
    far = (1 - side) * _OF_SIDE
    line = desk.line
    line[:, :] = 0
    if length > 1:
        line[0, 0], line[0, 1] = desk.inside[own + 1, 0], desk.inside[own + 1, 1]
    elif other > 0:
        line[0, 0], line[0, 1] = desk.words[far, _START], desk.words[far, _END]
    line[1, 0], line[1, 1] = desk.inside[own, 0], desk.inside[own, 1]
    for word in range(count):
        line[2 + word, 0] = desk.words[first + word, _START]
        line[2 + word, 1] = desk.words[first + word, _END]
    for row in range(_FARTHEST):
        _forms(text, line[row, 0], line[row, 1], row, table)


@native
def _question(text: Bytes, step: int, gap: int, category: int, length: int, table: Addresses) -> None:
    """Note what is known of a question: does the word so many steps outward belong to the finding?

    They are asked in order: of the words that one is about, only the farthest is new.
    """
    desk = _desk(table)
    cells, forms = desk.cells, desk.forms
    before, last, word, beyond, second = step, step + 1, step + 2, step + 3, step + _FARTHEST
    _forms(text, desk.line[second, 0], desk.line[second, 1], second, table)
    cells[0] = 0
    cells[1], cells[2], cells[3] = forms[word, 0], forms[beyond, 0], forms[second, 0]
    cells[4], cells[5], cells[6] = forms[last, 0], forms[before, 0], forms[1, 0]
    cells[7] = gap + 1
    cells[8] = min(step, 4) + 1
    cells[9] = min(step, 2) + 1
    cells[10] = category
    cells[11] = min(length, 5)
    cells[12] = forms[word, _KIND_FORM]
    cells[13] = forms[word, _KIND_FORM] * 32 + forms[beyond, _KIND_FORM]
    cells[14] = (gap + 1) * 32 + forms[last, _KIND_FORM]
    for form in range(1, 6):
        cells[14 + form] = forms[word, form]
    for form in range(1, 4):
        cells[19 + form] = forms[beyond, form]
        cells[22 + form] = forms[last, form]


@native
def _weight(feature: int, side: int, desk: Desk) -> int:
    """The number of the weight that speaks in a question; 0 where what it looks at is not there."""
    one = np.uint64(np.uint32(desk.cells[desk.features[feature, 0]]))
    if desk.may_lack[feature] and one == np.uint64(0):
        return 0
    two = np.uint64(np.uint32(desk.cells[desk.features[feature, 1]]))
    three = np.uint64(np.uint32(desk.cells[desk.features[feature, 2]]))
    mixed = one * np.uint64(_ODDS[0]) + two * np.uint64(_ODDS[1]) + three * np.uint64(_ODDS[2])
    mixed += np.uint64(feature + 1) * np.uint64(_SALT) + np.uint64(side) * np.uint64(_ODDS[3])
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(_ODDS[3])
    return int(np.int64(mixed >> np.uint64(64 - BITS)))


@native
def _lane(first: int, side: int, weights: Weights, desk: Desk) -> np.float32:
    """The sum of every eighth weight. (Sums of eight lanes round as numpy's do, with which the model was measured.)"""
    total = weights[_weight(first, side, desk)]
    for feature in range(first + 8, len(desk.features), 8):
        total += weights[_weight(feature, side, desk)]
    return np.float32(total)


@native
def _odds(side: int, weights: Weights, desk: Desk) -> np.float32:
    """How much speaks for a word, as log odds."""
    left = (_lane(0, side, weights, desk) + _lane(1, side, weights, desk)) + (
        _lane(2, side, weights, desk) + _lane(3, side, weights, desk)
    )
    right = (_lane(4, side, weights, desk) + _lane(5, side, weights, desk)) + (
        _lane(6, side, weights, desk) + _lane(7, side, weights, desk)
    )
    return np.float32(left + right)


# --- what is asked of this module ---


@native
def _reached(
    text: Bytes,
    side: int,
    counts: tuple[int, int],
    length: int,
    category: int,
    most: int,
    bounded: bool,
    limit: int,
    eagerness: float,
    weights: Weights,
    table: Addresses,
) -> tuple[int, bool]:
    """How many characters belong to a finding on a side, `limit` at most; whether that is final."""
    desk = _desk(table)
    first = side * _OF_SIDE
    count = counts[side]
    steps = _steps(text, first, count, most, desk)
    best = total = 0.0
    found = 0
    for step in range(steps):
        row = first + step
        if bounded and desk.words[row, _REACH] > limit:
            return found, True
        if not bounded and step + AHEAD >= count:
            return found, False
        if step == 0:
            _prepare(text, side, count, counts[1 - side], length, table)
        _question(text, step, desk.words[row, _GAP], category, length, table)
        total += float(_odds(side, weights, desk)) + eagerness
        if total > best and not _is_stop(text, desk.words[row, _START], desk.words[row, _END], desk):
            best = total
            if desk.words[row, _REACH] <= limit:
                found = int(desk.words[row, _REACH])
        if total < best - GIVES_UP:
            return found, True
    return found, bounded


@native
def grow(
    text: Bytes,
    found: Numbers,
    start: int,
    closed: bool,
    most: tuple[int, int],
    eagerness: float,
    weights: Weights,
    table: Addresses,
    grown: Numbers,
) -> None:
    """Let findings grow: first, last and whether that is final, a row of `grown`.

    Args:
        text: lower-case ASCII.
        found: start, end and category's number a row, in order and apart.
        start: nothing grows beyond this place.
        closed: nothing comes after the text.
        most: words on the left and on the right.
        eagerness: see `growth`.
        weights: see `growth`.
        table: see `given`.
        grown: as long as `found`.
    """
    desk = _desk(table)
    floor = start
    for number in range(len(found)):
        first, last, category = found[number, 0], found[number, 1], found[number, 2]
        ceiling = found[number + 1, 0] if number + 1 < len(found) else len(text)
        before = _before(text, first, most[0] + AHEAD, desk)
        after, bounded = _after(text, last, most[1] + AHEAD, closed, desk)
        length = _inside(text, first, last, desk)
        counts = before, after
        back, _final = _reached(
            text, 0, counts, length, category, most[0], True, first - floor, eagerness, weights, table
        )
        forth, final = _reached(
            text, 1, counts, length, category, most[1], bounded, ceiling - last, eagerness, weights, table
        )
        grown[number, 0] = first - back
        grown[number, 1] = last + forth
        grown[number, 2] = final
        floor = last + forth


@native
def asked(
    text: Bytes,
    finding: tuple[int, int, int],
    most: tuple[int, int],
    table: Addresses,
    speaking: Numbers,
    reaches: Numbers,
) -> tuple[int, int]:
    """What is asked of a finding in a whole text, for whoever learns weights: how many questions, left and right.

    Args:
        text: lower-case ASCII.
        finding: start, end and category's number.
        most: words on the left and on the right.
        table: see `given`.
        speaking: is given a row a question, those of the left first: the numbers of the weights that speak.
        reaches: is given how far the word in question reaches.
    """
    desk = _desk(table)
    first, last, category = finding
    counts = _before(text, first, most[0] + AHEAD, desk), _after(text, last, most[1] + AHEAD, True, desk)[0]
    length = _inside(text, first, last, desk)
    total = before = 0
    for side in range(2):
        row = side * _OF_SIDE
        steps = _steps(text, row, counts[side], most[side], desk)
        _prepare(text, side, counts[side], counts[1 - side], length, table)
        for step in range(steps):
            _question(text, step, desk.words[row + step, _GAP], category, length, table)
            for feature in range(len(desk.features)):
                speaking[total, feature] = _weight(feature, side, desk)
            reaches[total] = desk.words[row + step, _REACH]
            total += 1
        if side == 0:
            before = total
    return before, total - before


@native
def settled(text: Bytes, end: int, floor: int, most: int, table: Addresses) -> int:
    """Up to where a text is settled whose rules are up to `end`: what begins later may still grow before it."""
    desk = _desk(table)
    last = end
    while last < end + LEFT and _in_word(text, last, desk):
        last += 1  # a word that this cuts may be grown over
    count = _steps(text, 0, _before(text, last, most, desk), most, desk)
    begun = 1 if 0 < last == len(text) and _is(text, last - 1, _IS_WORD, desk) else 0  # the nearest word may go on
    while count > begun and _is_stop(text, desk.words[count - 1, _START], desk.words[count - 1, _END], desk):
        count -= 1
    return max(floor, min(end, last - int(desk.words[count - 1, _REACH]))) if count else end
