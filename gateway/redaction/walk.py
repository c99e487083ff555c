"""Goes through a text's words along the graph of phrases, compiled to machine code by Numba.

A *walk* stands at a set of places. Every function here is bounded: no text can make a step cost more than the places
it stands at, and none goes on for more than `most` words. All numbers are those of `tables`; nothing here is checked
against the bounds of an array, so only what `tables` made may be walked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gateway.redaction.native import (
    Addresses,
    addresses,
    bytes_at,
    counts_at,
    eight,
    index_of,
    longs_at,
    lowest,
    native,
    ones,
    rows_at,
    signs_at,
    whole,
    within,
)
from gateway.redaction.phrases import ANY
from gateway.redaction.tables import BITS, MIX, NUMBER, SIZE, USUAL, WITHIN, Bytes, Counts, Longs, Numbers, Signs


class Words(NamedTuple):
    """`Vocabulary`, and what was added to it: arrays with room for more."""

    letters: Bytes
    starts: Numbers
    symbols: Numbers
    slots: Numbers
    fresh_letters: Bytes
    fresh_starts: Numbers
    fresh_symbols: Numbers
    fresh_slots: Numbers
    atom_starts: Numbers
    """By symbol."""
    atoms: Numbers
    heard_starts: Numbers
    """By symbol."""
    heard: Numbers
    """Those of its atoms at which something is noticed."""
    mate_starts: Numbers
    """By symbol."""
    mates: Numbers
    """Those of its atoms that are of a company."""
    signs: Signs
    """By symbol, that of its atoms."""
    sets: Numbers
    """The symbols of added words, found by the hash of their atoms as words are by theirs."""
    sizes: Numbers
    """How many symbols there are, how many words and letters were added, and how many symbols are in `sets`."""
    lately: Longs
    """Words that were looked up last, each where its letters say: those, eight to a number, and its symbol."""


class Ways(NamedTuple):
    """`Graph`, one array after the other.

    Of a place p, heads[p] holds where its rows begin in `edge_atoms`, `ends`, `also`, `way_atoms` and `anchor_atoms`;
    they end where those of p + 1 begin. Then follow, in one number, where its sieve is and in the last bit whether
    phrases begin there; and, in two halves, the sign of its edges. So one look into memory tells all that is there.

    A place with many edges has a *sieve*: a power of two of bits, of which those are set on which its atoms fall.
    It begins at so many times `SIEVE` bytes as its number says, but for the `SIEVE_BITS` last, which are the exponent.
    """

    heads: Numbers
    edge_atoms: Numbers
    edge_offsets: Numbers
    edge_targets: Numbers
    ends: Numbers
    also: Numbers
    way_atoms: Numbers
    way_offsets: Numbers
    way_sources: Numbers
    anchor_atoms: Numbers
    anchor_offsets: Numbers
    anchor_targets: Numbers
    notice_starts: Numbers
    """`Notices`, like the next four."""
    notices: Numbers
    beside: Signs
    noticed: Numbers
    companies: Signs
    opening_starts: Numbers
    opening: Numbers
    sieves: Bytes


class Room(NamedTuple):
    """Where a walk keeps its places, and when it last was at each.

    depths[d] is the stand of those on ways that lead to a word, d words before it.
    `seen` is by place: the time when it was last there. `clock` is the time.
    """

    here: Numbers
    there: Numbers
    depths: Numbers
    seen: Numbers
    clock: Numbers


class Stands(NamedTuple):
    """Sets of places at which walks stood, each kept once as a *stand*, and where words led; all in bounded room.

    Of stand s, places[bounds[s, 0]:bounds[s + 1, 0]] are its places, and ends[bounds[s, 1]:bounds[s + 1, 1]]
    the phrases that end there; bounds[s, 2] is 1 if phrases begin at one of them, and bounds[s, 3] the stand to which
    any word leads, plus one, if it is known; signs[s] is the sign of all edges. Stand 0 is nowhere. A stand is found
    by its hash as words are, in `slots`. A row of `asked` is the question that was asked last of those which have their
    place there, three numbers, and its answer. `noticed` is, by row of `Notices`, the stand where those phrases are;
    0 if that is not known. `total` is how many stands there are.
    """

    places: Numbers
    ends: Numbers
    bounds: Numbers
    slots: Numbers
    asked: Numbers
    signs: Signs
    noticed: Numbers
    total: Numbers


_LED, _FARTHER, _OPENED = range(1, 4)
"""What is asked of two numbers."""
_FEW = 16
"""Letters of a word that has a place in `Words.lately`, at most."""
_LOWEST = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""By number, so many of the lowest bytes of eight."""
BEHIND = 80
"""Bytes behind a text that `cut` may read."""
SIEVE, SIEVE_BITS = 64, 5
"""See `Ways`."""
_USUALLY = np.uint64((1 << USUAL) - 1)
"""The bits of the usual atoms in a sign."""
_ANYBODY = np.uint64(1 << ANY)
"""Where it stands in a sign, whatever is there will do, and nothing."""
_HALF = 32
_FULL = -1
"""Instead of a stand: there is no room for one more. Whoever asked must begin again, with more."""


@native
def hashed(text: Bytes, start: int, end: int) -> int:
    """The FNV-1a hash of text[start:end], 32 bits. (RFC 9923)"""
    found = np.uint32(2166136261)
    for at in range(start, end):
        found = np.uint32((found ^ np.uint32(text[at])) * np.uint32(16777619))
    return int(found)


@native
def _spells(letters: Bytes, low: int, high: int, text: Bytes, start: int, end: int) -> bool:
    if high - low != end - start:
        return False
    for at in range(end - start):  # noqa: SIM110  # machine code, not a generator
        if letters[low + at] != text[start + at]:
            return False
    return True


@native
def looked_up(letters: Bytes, starts: Numbers, slots: Numbers, text: Bytes, start: int, end: int, key: int) -> int:
    """The number of a word, given its hash; -1 if it is not there."""
    size = len(slots)
    slot = key % size
    while slots[slot]:
        word = slots[slot] - 1
        if _spells(letters, starts[word], starts[word + 1], text, start, end):
            return int(word)
        slot = (slot + 1) % size
    return -1


@native
def put(slots: Numbers, letters: Bytes, starts: Numbers, number: int) -> None:
    """Let a word be found by its hash. There must be a free slot."""
    slot = hashed(letters, starts[number], starts[number + 1]) % len(slots)
    while slots[slot]:
        slot = (slot + 1) % len(slots)
    slots[slot] = number + 1


def given(words: Words, ways: Ways, room: Room, stands: Stands) -> Addresses:
    """All that is walked along, as one argument. What was given must be held as long as it is used."""
    return addresses([*words, *ways, *room, *stands])


@native
def taken(table: Addresses) -> tuple[Words, Ways, Room, Stands]:
    """What `given` was given."""
    return (
        Words(
            bytes_at(table, 0),
            counts_at(table, 1),
            counts_at(table, 2),
            counts_at(table, 3),
            bytes_at(table, 4),
            counts_at(table, 5),
            counts_at(table, 6),
            counts_at(table, 7),
            counts_at(table, 8),
            counts_at(table, 9),
            counts_at(table, 10),
            counts_at(table, 11),
            counts_at(table, 12),
            counts_at(table, 13),
            signs_at(table, 14),
            counts_at(table, 15),
            counts_at(table, 16),
            longs_at(table, 17),
        ),
        Ways(
            rows_at(table, 18),
            counts_at(table, 19),
            counts_at(table, 20),
            counts_at(table, 21),
            counts_at(table, 22),
            counts_at(table, 23),
            counts_at(table, 24),
            counts_at(table, 25),
            counts_at(table, 26),
            counts_at(table, 27),
            counts_at(table, 28),
            counts_at(table, 29),
            counts_at(table, 30),
            rows_at(table, 31),
            signs_at(table, 32),
            counts_at(table, 33),
            signs_at(table, 34),
            counts_at(table, 35),
            counts_at(table, 36),
            bytes_at(table, 37),
        ),
        Room(
            counts_at(table, 38),
            counts_at(table, 39),
            counts_at(table, 40),
            counts_at(table, 41),
            counts_at(table, 42),
        ),
        Stands(
            counts_at(table, 43),
            counts_at(table, 44),
            rows_at(table, 45),
            counts_at(table, 46),
            rows_at(table, 47),
            signs_at(table, 48),
            counts_at(table, 49),
            counts_at(table, 50),
        ),
    )


@native
def _symbol(text: Bytes, start: int, end: int, lately: Longs, table: Addresses) -> int:
    """The symbol of a word; -1 if it is not known."""
    if end - start > _FEW:
        return sought(text, start, end, table)
    size = end - start
    first = eight(text, start) & _LOWEST[min(size, 8)]
    second = eight(text, start + 8) & _LOWEST[max(size - 8, 0)]
    mixed = (first ^ (second * np.uint64(0xC2B2AE3D27D4EB4F))) * np.uint64(0x9E3779B97F4A7C15)
    row = np.int64(mixed >> np.uint64(32)) & (len(lately) - 1)
    if lately[row, 0] == np.int64(first) and lately[row, 1] == np.int64(second):
        return int(lately[row, 2])
    symbol = sought(text, start, end, table)
    if symbol >= 0:
        lately[row, 0] = np.int64(first)
        lately[row, 1] = np.int64(second)
        lately[row, 2] = symbol
    return symbol


@native
def sought(text: Bytes, start: int, end: int, table: Addresses) -> int:
    """The same, in all that is known."""
    words, _ways, _room, _stands = taken(table)
    key = hashed(text, start, end)
    word = looked_up(words.letters, words.starts, words.slots, text, start, end, key)
    if word >= 0:
        return int(words.symbols[word])
    word = looked_up(words.fresh_letters, words.fresh_starts, words.fresh_slots, text, start, end, key)
    return int(words.fresh_symbols[word]) if word >= 0 else -1


@native
def cut(
    text: Bytes,
    letters: Bytes,
    between: Bytes,
    marks: Numbers,
    maps: Signs,
    starts: Numbers,
    ends: Numbers,
    symbols: Numbers,
    table: Addresses,
) -> int:
    """Cut a text into words and marks; how many. The symbol of a word that is not known is -1.

    Args:
        text: lower-case ASCII, and behind it `BEHIND` bytes of what stands between words.
        letters: what words are made of: from letters[2 * r] to the next, and so on.
        between: the same, what stands between them. Whatever else there is is a mark.
        marks: the symbols of marks, by byte.
        maps: room for two numbers for each 64 bytes of the text, and for two more such.
        starts: is given where each begins; as long as the text, like the next two.
        ends: where each ends.
        symbols: what each is.
        table: see `given`.
    """
    words, _ways, _room, _stands = taken(table)
    blocks = len(starts) + 63 >> 6
    for block in range(blocks):
        maps[2 * block] = _those(text, 64 * block, letters)
        maps[2 * block + 1] = ~_those(text, 64 * block, between)
    maps[2 * blocks] = maps[2 * blocks + 1] = 0
    count = 0
    at = 0
    while True:
        block = at >> 6
        ahead = maps[2 * block + 1] >> np.uint64(at & 63)
        while ahead == 0:
            block += 1
            if block >= blocks:
                return count
            at = block << 6
            ahead = maps[2 * block + 1]
        at += whole(lowest(ahead))
        start = at
        ahead = ~maps[2 * block] >> np.uint64(at & 63)
        while ahead == 0:
            block += 1
            at = block << 6
            ahead = ~maps[2 * block]
        at += whole(lowest(ahead))
        if at == start:
            at += 1
            symbols[count] = marks[text[start]]
        else:
            symbols[count] = _symbol(text, start, at, words.lately, table)
        starts[count] = start
        ends[count] = at
        count += 1


@native
def _those(text: Bytes, at: int, ranges: Bytes) -> np.uint64:
    """A bit for each of 64 bytes, whether it is in one of some ranges."""
    found = np.uint64(0)
    for number in range(0, len(ranges), 2):
        found |= within(text, at, ranges[number], ranges[number + 1])
    return found


@native
def run_of(starts: Numbers, row: int) -> tuple[int, int]:
    """Where a row begins and ends."""
    return whole(starts[row]), whole(starts[row + 1])


@native
def _run_at(heads: Numbers, row: int, column: int) -> tuple[int, int]:
    """The same, where the beginnings of several are side by side."""
    return whole(heads[row, column]), whole(heads[row + 1, column])


@native
def bit_of(atom: int) -> np.uint64:
    """Where in a sign the bit of an atom is; see `tables.bits`."""
    return np.uint64(atom if atom < USUAL else atom % (64 - USUAL) + USUAL)


@native
def _bears(atom: int, symbol: int, words: Words) -> bool:
    """Whether a word bears an atom."""
    if not words.signs[symbol] >> bit_of(atom) & np.uint64(1):
        return False
    if atom < USUAL:
        return True
    low, high = run_of(words.atom_starts, symbol)
    for at in range(low, high):  # noqa: SIM110  # machine code, not a generator
        if words.atoms[at] == atom:
            return True
    return False


@native
def _sign(low: int, high: int) -> np.uint64:
    """A sign of its halves."""
    return np.uint64(low) | np.uint64(high) << np.uint64(32)


@native
def _stand(place: int, places: Numbers, count: int, now: int, room: Room, ways: Ways) -> int:
    """Add a place, and those at which one stands as well; how many there are then."""
    if room.seen[place] == now:
        return count
    room.seen[place] = now
    places[count] = place
    count += 1
    low, high = _run_at(ways.heads, place, 2)
    for at in range(low, high):
        other = ways.also[at]
        if room.seen[other] != now:
            room.seen[other] = now
            places[count] = other
            count += 1
    return count


@native
def _lead(
    edge: int, offsets: Numbers, targets: Numbers, places: Numbers, count: int, now: int, room: Room, ways: Ways
) -> int:
    """Stand where an edge leads; how many places there are then."""
    for at in range(offsets[edge], offsets[edge + 1]):
        count = _stand(targets[at], places, count, now, room, ways)
    return count


@native
def _row(one: int, other: int, last: int, stands: Stands) -> int:
    """Where the answer to a question is kept, if it is; as many as a power of two have a place."""
    mixed = np.uint32(one) * np.uint32(0x9E3779B1) + np.uint32(other)
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x85EBCA77) + np.uint32(last))
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE3D))
    return int(mixed ^ (mixed >> np.uint32(16))) & (len(stands.asked) - 1)


@native
def _recalled(one: int, other: int, last: int, stands: Stands) -> int:
    """The answer to a question; -1 if it is not known."""
    row = _row(one, other, last, stands)
    asked = stands.asked
    if asked[row, 0] == one and asked[row, 1] == other and asked[row, 2] == last:
        return int(asked[row, 3])
    return -1


@native
def _answered(one: int, other: int, last: int, answer: int, stands: Stands) -> int:
    """Keep the answer to a question, unless it is that there was no room; the answer."""
    if answer != _FULL:
        row = _row(one, other, last, stands)
        stands.asked[row, 0] = one
        stands.asked[row, 1] = other
        stands.asked[row, 2] = last
        stands.asked[row, 3] = answer
    return answer


@native
def mixed(numbers: Numbers, count: int) -> int:
    """A hash of the first numbers, 32 bits."""
    found = np.uint32(2166136261)
    for at in range(count):
        found = np.uint32((found ^ np.uint32(numbers[at])) * np.uint32(16777619))
        found ^= found >> np.uint32(15)
    return int(found)


@native
def _kept(places: Numbers, count: int, table: Addresses) -> int:
    """The stand of some places, as they come: in another order they are another stand."""
    if count == 0:
        return 0
    _words, ways, _room, stands = taken(table)
    size = len(stands.slots)
    slot = mixed(places, count) % size
    while stands.slots[slot]:
        stand = stands.slots[slot]
        low = stands.bounds[stand, 0]
        if stands.bounds[stand + 1, 0] - low == count:
            same = 0
            while same < count and stands.places[low + same] == places[same]:
                same += 1
            if same == count:
                return int(stand)
        slot = (slot + 1) % size
    stand = whole(stands.total[0])
    first, end = whole(stands.bounds[stand, 0]), whole(stands.bounds[stand, 1])
    if stand + 2 > len(stands.bounds) or first + count > len(stands.places):
        return _FULL
    begins = 0
    sign = np.uint64(0)
    for number in range(count):
        place = places[number]
        stands.places[first + number] = place
        begins |= ways.heads[place, 5] & 1
        sign |= _sign(ways.heads[place, 6], ways.heads[place, 7])
        low, high = _run_at(ways.heads, place, 1)
        for at in range(low, high):
            if end == len(stands.ends):
                return _FULL
            stands.ends[end] = ways.ends[at]
            end += 1
    stands.bounds[stand + 1, 0] = first + count
    stands.bounds[stand + 1, 1] = end
    stands.bounds[stand, 2] = begins
    stands.signs[stand] = sign
    stands.slots[slot] = stand
    stands.total[0] = stand + 1
    return int(stand)


@native
def _passes(sieve: int, atom: int, ways: Ways) -> bool:
    """Whether an atom may be one of those of a sieve; of those that are not, few pass."""
    bit = atom & (1 << (sieve & (1 << SIEVE_BITS) - 1)) - 1
    held = ways.sieves[(sieve >> SIEVE_BITS) * SIEVE + (bit >> 3)]
    return bool(held >> np.uint8(bit & 7) & np.uint8(1))


@native
def _step(stand: int, symbol: int, sign: np.uint64, table: Addresses) -> int:
    """The stand to which a word leads that has a sign."""
    words, ways, room, stands = taken(table)
    room.clock[0] += 1
    now = room.clock[0]
    found = count = 0
    low, high = _run_at(stands.bounds, stand, 0)
    for number in range(low, high):  # which places have such an edge is by chance: each is put there in any case
        place = stands.places[number]
        room.here[count] = place
        count += _sign(ways.heads[place, 6], ways.heads[place, 7]) & sign != 0
    for number in range(count):
        place = room.here[number]
        edges = _sign(ways.heads[place, 6], ways.heads[place, 7])
        held = edges & sign
        edge, end = _run_at(ways.heads, place, 0)
        edges &= _USUALLY  # an edge each, before the others
        if held & ~_USUALLY:
            sieve = whole(ways.heads[place, 5]) >> 1
            begin, over = run_of(words.atom_starts, symbol)
            for one in range(begin, over):
                atom = whole(words.atoms[one])
                if atom < USUAL:
                    break
                if held >> bit_of(atom) & np.uint64(1) and (sieve == 0 or _passes(sieve, atom, ways)):
                    at = index_of(ways.edge_atoms, edge + whole(ones(edges)), end, atom)
                    if at >= 0:
                        found = _lead(at, ways.edge_offsets, ways.edge_targets, room.there, found, now, room, ways)
        usual = held & _USUALLY
        while usual:
            at = edge + whole(ones(edges & (usual & (~usual + np.uint64(1))) - np.uint64(1)))
            found = _lead(at, ways.edge_offsets, ways.edge_targets, room.there, found, now, room, ways)
            usual &= usual - np.uint64(1)
    return _kept(room.there, found, table)


@native
def _led(stand: int, symbol: int, table: Addresses) -> int:
    """Where one stands who goes on by a word."""
    words, _ways, _room, stands = taken(table)
    held = stands.signs[stand] & words.signs[symbol]
    if held & ~_ANYBODY == 0:
        return _led_by_any(stand, table) if held else 0
    known = _recalled(stand, symbol, _LED, stands)
    if known >= 0:
        return known
    return _answered(stand, symbol, _LED, _step(stand, symbol, words.signs[symbol], table), stands)


@native
def _led_by_any(stand: int, table: Addresses) -> int:
    """Where one stands who goes on by a word that has nothing by which one goes on but that it is one."""
    _words, _ways, _room, stands = taken(table)
    known = whole(stands.bounds[stand, 3])
    if known:
        return known - 1
    led = _step(stand, 0, _ANYBODY, table)
    if led != _FULL:
        stands.bounds[stand, 3] = led + 1
    return led


@native
def _opened(symbol: int, table: Addresses) -> int:
    """Where one stands who begins with a word."""
    words, ways, room, stands = taken(table)
    known = _recalled(symbol, 0, _OPENED, stands)
    if known >= 0:
        return known
    room.clock[0] += 1
    now = room.clock[0]
    count = 0
    low, high = run_of(words.atom_starts, symbol)
    for one in range(low, high):
        count = _lead(words.atoms[one], ways.opening_starts, ways.opening, room.there, count, now, room, ways)
    return _answered(symbol, 0, _OPENED, _kept(room.there, count, table), stands)


@native
def meet(symbols: Counts, starts: Counts, met: Counts, table: Addresses) -> int:
    """Say what may be of a company in a text: of word w it is met[starts[w]:starts[w + 1]].

    Args:
        symbols: the words.
        starts: is given one number more than there are words.
        met: is given, of each, what says where its bits are, see `tables.Notices`.
        table: see `given`.

    Returns:
        How many they are; where there are more than it has room for, the rest is not in it.
    """
    words, _ways, _room, _stands = taken(table)
    count = 0
    for at in range(len(symbols)):
        starts[at] = count
        low, high = run_of(words.mate_starts, symbols[at])
        for one in range(low, high):
            if count < len(met):
                met[count] = np.uint64(words.mates[one]) * np.uint64(MIX) >> np.uint64(32)
            count += 1
    starts[len(symbols)] = count
    return count


@native
def _bit(number: np.uint64) -> np.uint64:
    """As the last six bits say."""
    return np.uint64(1) << (number & np.uint64(63))


@native
def notice(symbols: Counts, starts: Counts, met: Counts, noticed: Signs, table: Addresses) -> int:
    """Say where anchors stand that have all beside them that they need.

    Args:
        symbols: the words.
        starts, met: see `meet`.
        noticed: is given a word and a row of `Notices` each, in halves.
        table: see `given`.

    Returns:
        How many they are. Where that is more than it has room for, so much room is needed at least.
    """
    words, ways, _room, _stands = taken(table)
    size = len(symbols)
    sure = count = 0
    for at in range(size):
        low, high = run_of(words.heard_starts, symbols[at])
        if low == high:
            continue
        before = words.signs[symbols[at - 1] if at else 0] | _ANYBODY
        after = words.signs[symbols[at + 1] if at + 1 < size else 0] | _ANYBODY
        word = np.uint64(at) << np.uint64(_HALF)
        for one in range(low, high):
            begin, over = run_of(ways.notice_starts, words.heard[one])
            if count + over - begin > len(noticed):
                sure = count = _in_company(noticed, sure, count, starts, met, ways)
                if count + over - begin > len(noticed):
                    return count + over - begin
            for row in range(begin, over):  # which pass is by chance: they are put there in any case
                noticed[np.uint64(count)] = word | np.uint64(row)
                count += (ways.beside[np.uint64(2 * row)] & before != 0) & (
                    ways.beside[np.uint64(2 * row + 1)] & after != 0
                )
    return _in_company(noticed, sure, count, starts, met, ways)


@native
def _in_company(noticed: Signs, low: int, high: int, starts: Counts, met: Counts, ways: Ways) -> int:
    """Leave of noticed[low:high] those anchors near which their companies stand; where these end."""
    size = len(starts) - 1
    count = low
    for number in range(low, high):
        at, row = _halves(noticed[number])
        ahead, behind = whole(ways.notices[row, 1]), whole(ways.notices[row, 0])
        if _is_met(ahead, starts[at + 1], starts[min(at + 1 + _within(ahead), size)], met, ways) and _is_met(
            behind, starts[max(at - _within(behind), 0)], starts[at], met, ways
        ):
            noticed[count] = noticed[number]
            count += 1
    return count


@native
def _halves(number: np.uint64) -> tuple[int, int]:
    """The upper and the lower half."""
    return int(np.int64(number >> np.uint64(_HALF))), int(np.int64(number & np.uint64((1 << _HALF) - 1)))


@native
def _within(company: int) -> int:
    """Within how many words a company stands."""
    return company & (1 << WITHIN) - 1


@native
def _is_met(company: int, low: int, high: int, met: Counts, ways: Ways) -> bool:
    """Whether one of met[low:high] is of a company; whoever has none needs none. Of some it is said that are not."""
    if company == 0:
        return True
    start = company >> SIZE
    last = (1 << (company >> WITHIN & (1 << SIZE - WITHIN) - 1)) - 1
    for one in range(whole(low), whole(high)):
        mixed = np.uint64(met[one])
        bits = _bit(mixed >> np.uint64(BITS[0])) | _bit(mixed >> np.uint64(BITS[1])) | _bit(mixed >> np.uint64(BITS[2]))
        if bits & ~ways.companies[start + (np.int64(mixed >> np.uint64(NUMBER)) & last)] == 0:
            return True
    return False


@native
def _noticed(row: int, table: Addresses) -> int:
    """Where phrases stand by row of `Notices`: behind the word, if they begin with it, or else before it."""
    _words, ways, room, stands = taken(table)
    known = whole(stands.noticed[row])
    if known:
        return known
    room.clock[0] += 1
    now = room.clock[0]
    count = 0
    begin, over = _run_at(ways.notices, row, 3)
    for at in range(begin, over):
        anchor = ways.noticed[at]
        if ways.notices[row, 2]:
            count = _lead(anchor, ways.anchor_offsets, ways.anchor_targets, room.there, count, now, room, ways)
        elif room.seen[anchor] != now:
            room.seen[anchor] = now
            room.there[count] = anchor
            count += 1
    stand = _kept(room.there, count, table)
    if stand != _FULL:
        stands.noticed[row] = stand
    return stand


@native
def _back(way: int, count: int, now: int, room: Room, ways: Ways) -> int:
    """Stand where a way comes from; how many places there are then."""
    low, high = run_of(ways.way_offsets, way)
    for at in range(low, high):
        source = ways.way_sources[at]
        if room.seen[source] != now:
            room.seen[source] = now
            room.there[count] = source
            count += 1
    return count


@native
def _farther(stand: int, symbol: int, table: Addresses) -> int:
    """Where phrases stand before a word by which one comes to a stand."""
    words, ways, room, stands = taken(table)
    known = _recalled(stand, symbol, _FARTHER, stands)
    if known >= 0:
        return known
    room.clock[0] += 1
    now = room.clock[0]
    count = 0
    low, high = _run_at(stands.bounds, stand, 0)
    for number in range(low, high):
        place = stands.places[number]
        way, last = _run_at(ways.heads, place, 3)
        while way < last and ways.way_atoms[way] < USUAL:
            if words.signs[symbol] >> np.uint64(ways.way_atoms[way]) & np.uint64(1):
                count = _back(way, count, now, room, ways)
            way += 1
        if way == last:
            continue
        begin, over = run_of(words.atom_starts, symbol)
        for one in range(begin, over):
            atom = whole(words.atoms[one])
            if atom < USUAL:
                break
            at = index_of(ways.way_atoms, way, last, atom)
            if at >= 0:
                count = _back(at, count, now, room, ways)
    return _answered(stand, symbol, _FARTHER, _kept(room.there, count, table), stands)


@native
def _led_within(
    symbol: int,
    here: Numbers,
    count: int,
    stand: int,
    there: Numbers,
    room: Room,
    ways: Ways,
    words: Words,
    stands: Stands,
) -> int:
    """Go on by a word to those places that are of a stand; how many.

    They are asked where one comes from, since somewhere a word may lead to very many.
    """
    room.clock[0] += 1
    now = room.clock[0]
    for number in range(count):
        room.seen[here[number]] = now
    found = 0
    low, high = _run_at(stands.bounds, stand, 0)
    for number in range(low, high):
        place = stands.places[number]
        if _comes(place, symbol, now, room, ways, words):
            there[found] = place
            found += 1
    return found


@native
def _comes(place: int, symbol: int, now: int, room: Room, ways: Ways, words: Words) -> bool:
    """Whether one comes to a place from where one was, by a word."""
    low, high = _run_at(ways.heads, place, 3)
    for way in range(low, high):
        if _bears(ways.way_atoms[way], symbol, words):
            begin, over = run_of(ways.way_offsets, way)
            for at in range(begin, over):
                if room.seen[ways.way_sources[at]] == now:
                    return True
    return False


@native
def _behind(symbol: int, here: Numbers, count: int, there: Numbers, room: Room, ways: Ways, words: Words) -> int:
    """Go on from some places by a word at which something is noticed there; how many."""
    room.clock[0] += 1
    now = room.clock[0]
    found = 0
    for number in range(count):
        place = here[number]
        low, high = _run_at(ways.heads, place, 4)
        for anchor in range(low, high):
            if _bears(ways.anchor_atoms[anchor], symbol, words):
                found = _lead(anchor, ways.anchor_offsets, ways.anchor_targets, there, found, now, room, ways)
    return found


@native
def _ends(stand: int, begin: int, at: int, found: Numbers, total: int, stands: Stands) -> int:
    """Note the phrases that end at a stand: (first word, last word, number) a row; how many there are then.

    Where that is more than `found` has room for, the rest is not in it.
    """
    low, high = _run_at(stands.bounds, stand, 1)
    for end in range(low, high):
        if total < len(found):
            found[total, 0] = begin
            found[total, 1] = at
            found[total, 2] = stands.ends[end]
        total += 1
    return total


@native
def _follow(
    symbols: Counts, begin: int, at: int, stand: int, most: int, found: Numbers, total: int, table: Addresses
) -> int:
    """Note what ends at a word behind which one stands, or later; how many there are then, or `_FULL`."""
    _words, _ways, _room, stands = taken(table)
    later = at
    while stand > 0:
        total = _ends(stand, begin, later, found, total, stands)
        later += 1
        if later >= min(len(symbols), begin + most):
            break
        stand = _led(stand, symbols[later], table)
    return total if stand >= 0 else _FULL


@native
def _approach(stand: int, symbols: Counts, at: int, depth: int, table: Addresses) -> int:
    """Where one stands behind a word who began, so many words before it, at a stand where some begin who notice it."""
    words, ways, room, stands = taken(table)
    here, there = room.here, room.there
    count = 0
    low, high = _run_at(stands.bounds, stand, 0)
    for number in range(low, high):
        if ways.heads[stands.places[number], 5] & 1:
            here[count] = stands.places[number]
            count += 1
    for step in range(depth - 1, -1, -1):
        count = _led_within(symbols[at - step - 1], here, count, room.depths[step], there, room, ways, words, stands)
        here, there = there, here
    count = _behind(symbols[at], here, count, there, room, ways, words)
    return _kept(there, count, table)


@native
def hear(symbols: Counts, noticed: Signs, found: Numbers, so_far: Numbers, most: int, table: Addresses) -> bool:
    """Note all phrases, some more than once: (first word, last word, number) a row of `found`.

    Args:
        symbols: the words.
        noticed: see `notice`.
        found: is given the phrases; where there are more than it has room for, the rest is not in it.
        so_far: the row of `noticed` to begin at, and how many phrases were noted before; is given that of the end.
        most: how many words a phrase has at most.
        table: see `given`.

    Returns:
        Whether it came to the end; else there is no room for one stand more.
    """
    _words, ways, room, stands = taken(table)
    for number in range(so_far[0], len(noticed)):
        so_far[0] = number
        total = so_far[1]
        at, row = _halves(noticed[number])
        stand = _noticed(row, table)
        if ways.notices[row, 2]:
            total = _follow(symbols, at, at, stand, most, found, total, table)
            if total == _FULL:
                return False
        else:
            depth = 0
            while stand > 0 and depth < min(at, most - 1):
                room.depths[depth] = stand
                depth += 1
                stand = _farther(stand, symbols[at - depth], table)
                if stand > 0 and stands.bounds[stand, 2]:
                    reached = _approach(stand, symbols, at, depth, table)
                    total = _follow(symbols, at - depth, at, reached, most, found, total, table)
                    if total == _FULL:
                        return False
            if stand == _FULL:
                return False
        so_far[1] = total
    return True


@native
def _has(bits: Bytes, number: int) -> bool:
    return bool(bits[number >> 3] >> np.uint8(number & 7) & np.uint8(1))


@native
def under_way(
    symbols: Counts, low: int, further: Bytes, opens: bool, any_word: bool, begun: Bytes, table: Addresses
) -> bool:
    """Mark the words from `low` on with which a phrase may begin that goes on beyond the last.

    Args:
        symbols: the words that are over.
        low: the first of interest.
        further: by atom, a bit, whether the next word, which has begun, may bear it.
        opens: whether phrases begin with one of these.
        any_word: no next word has begun: whatever a phrase goes on with will do.
        begun: is given a 1 for each; one longer than `symbols`, for the word that has begun.
        table: see `given`.

    Returns:
        Whether it came to the end, as `hear`.
    """
    _words, ways, _room, stands = taken(table)
    size = len(symbols)
    for begin in range(low, size):
        stand = _opened(symbols[begin], table)
        at = begin + 1
        while stand > 0 and at < size:
            stand = _led(stand, symbols[at], table)
            at += 1
        if stand == _FULL:
            return False
        low, high = _run_at(stands.bounds, stand, 0)
        for number in range(low, high):
            place = stands.places[number]
            edge = ways.heads[place, 0]
            last = ways.heads[place + 1, 0]
            while edge < last and not (any_word or _has(further, ways.edge_atoms[edge])):
                edge += 1
            if edge < last:
                begun[begin] = 1
                break
    if opens and not any_word:
        begun[size] = 1
    return True
