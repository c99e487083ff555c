"""Goes through a text's words along the graph of phrases, compiled to machine code by Numba.

A *walk* stands at a set of places. Every function here is bounded: no text can make a step cost more than the places
it stands at, and none goes on for more than `most` words. All numbers are those of `tables`; nothing here is checked
against the bounds of an array, so only what `tables` made may be walked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gateway.redaction.native import native
from gateway.redaction.tables import Bytes, Numbers


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


class Ways(NamedTuple):
    """`Graph`, one array after the other.

    Of a place p, heads[p] holds where its rows begin in `edge_atoms`, `ends`, `also`, `way_atoms` and `anchor_atoms`;
    they end where those of p + 1 begin. So one look into memory tells all that is there.
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
    next: Numbers
    next_starts: Numbers
    next_atoms: Numbers
    starting_starts: Numbers
    starting: Numbers
    passing_starts: Numbers
    passing_atoms: Numbers
    passing_offsets: Numbers
    passing: Numbers
    passing_anchors: Numbers
    opening_starts: Numbers
    opening: Numbers


class Room(NamedTuple):
    """Where a walk keeps its places, and when it last was at each.

    `trail` holds the places on ways that lead to a word, those right before it first; depths[d] is where those begin
    that stand d words before it.
    `seen` is by place and `borne` by atom: the time when it was last there, or was borne by a word. `clock` is the
    time.
    """

    here: Numbers
    there: Numbers
    trail: Numbers
    depths: Numbers
    seen: Numbers
    borne: Numbers
    clock: Numbers


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
def cut(
    text: Bytes, kinds: Bytes, marks: Numbers, words: Words, starts: Numbers, ends: Numbers, symbols: Numbers
) -> int:
    """Cut a text into words and marks; how many. The symbol of a word that is not known is -1.

    Args:
        text: lower-case ASCII.
        kinds: by byte, 0 for what stands between words, 1 in a word, 2 for a mark.
        marks: the symbols of marks, by byte.
        words: those that are known.
        starts: is given where each begins; as long as the text, like the next two.
        ends: where each ends.
        symbols: what each is.
    """
    count = 0
    at = 0
    size = len(text)
    while at < size:
        kind = kinds[text[at]]
        if kind == 0:
            at += 1
            continue
        start = at
        at += 1
        if kind == 2:
            symbols[count] = marks[text[start]]
        else:
            while at < size and kinds[text[at]] == 1:
                at += 1
            key = hashed(text, start, at)
            word = looked_up(words.letters, words.starts, words.slots, text, start, at, key)
            if word >= 0:
                symbols[count] = words.symbols[word]
            else:
                word = looked_up(words.fresh_letters, words.fresh_starts, words.fresh_slots, text, start, at, key)
                symbols[count] = words.fresh_symbols[word] if word >= 0 else -1
        starts[count] = start
        ends[count] = at
        count += 1
    return count


@native
def _index(keys: Numbers, low: int, high: int, wanted: int) -> int:
    """Where in keys[low:high], which are in order, one stands; -1 if it does not."""
    while low < high:
        middle = (low + high) >> 1
        key = keys[middle]
        if key == wanted:
            return middle
        if key < wanted:
            low = middle + 1
        else:
            high = middle
    return -1


@native
def _bear(symbol: int, room: Room, words: Words) -> int:
    """Mark the atoms of a word in `borne`; the mark."""
    room.clock[0] += 1
    now = room.clock[0]
    for one in range(words.atom_starts[symbol], words.atom_starts[symbol + 1]):
        room.borne[words.atoms[one]] = now
    return int(now)


@native
def _meets(keys: Numbers, low: int, high: int, symbol: int, mark: int, room: Room, words: Words) -> bool:
    """Whether a word bears one of keys[low:high]; its atoms are marked."""
    first, last = words.atom_starts[symbol], words.atom_starts[symbol + 1]
    if high - low <= 4 * (last - first):
        for at in range(low, high):
            if room.borne[keys[at]] == mark:
                return True
    else:
        for at in range(first, last):
            if _index(keys, low, high, words.atoms[at]) >= 0:
                return True
    return False


@native
def _stand(place: int, places: Numbers, count: int, now: int, room: Room, ways: Ways) -> int:
    """Add a place, and those at which one stands as well; how many there are then."""
    if room.seen[place] == now:
        return count
    room.seen[place] = now
    places[count] = place
    count += 1
    for at in range(ways.heads[place, 2], ways.heads[place + 1, 2]):
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
def _begin(symbol: int, here: Numbers, room: Room, ways: Ways, words: Words) -> int:
    """Stand where phrases do that begin with a word; how many places."""
    room.clock[0] += 1
    now = room.clock[0]
    count = 0
    for one in range(words.atom_starts[symbol], words.atom_starts[symbol + 1]):
        count = _lead(words.atoms[one], ways.opening_starts, ways.opening, here, count, now, room, ways)
    return count


@native
def _step(symbol: int, here: Numbers, count: int, there: Numbers, room: Room, ways: Ways, words: Words) -> int:
    """Go on from some places by a word; how many there are then."""
    now = _bear(symbol, room, words)
    first, last = words.atom_starts[symbol], words.atom_starts[symbol + 1]
    few = 4 * (last - first)
    found = 0
    for number in range(count):
        place = here[number]
        low, high = ways.heads[place, 0], ways.heads[place + 1, 0]
        if high - low <= few:
            for edge in range(low, high):
                if room.borne[ways.edge_atoms[edge]] == now:
                    found = _lead(edge, ways.edge_offsets, ways.edge_targets, there, found, now, room, ways)
        else:
            for one in range(first, last):
                edge = _index(ways.edge_atoms, low, high, words.atoms[one])
                if edge >= 0:
                    found = _lead(edge, ways.edge_offsets, ways.edge_targets, there, found, now, room, ways)
    return found


@native
def _counts(anchor: int, symbol: int, mark: int, room: Room, ways: Ways, words: Words) -> bool:
    """Whether phrases may go on behind an anchor with a word whose atoms are marked, or end there."""
    row = ways.next[anchor]
    low, high = ways.next_starts[row], ways.next_starts[row + 1]
    return low == high or _meets(ways.next_atoms, low, high, symbol, mark, room, words)


@native
def _begun(symbol: int, after: int, mark: int, here: Numbers, room: Room, ways: Ways, words: Words) -> int:
    """Stand behind the anchors with which phrases begin and at which a word is noticed; how many places."""
    room.clock[0] += 1
    now = room.clock[0]
    count = 0
    for one in range(words.heard_starts[symbol], words.heard_starts[symbol + 1]):
        atom = words.heard[one]
        for number in range(ways.starting_starts[atom], ways.starting_starts[atom + 1]):
            anchor = ways.starting[number]
            if _counts(anchor, after, mark, room, ways, words):
                count = _lead(anchor, ways.anchor_offsets, ways.anchor_targets, here, count, now, room, ways)
    return count


@native
def _passed(before: int, symbol: int, after: int, mark: int, room: Room, ways: Ways, words: Words) -> int:
    """Begin a trail with the places before a word at which phrases stand that are noticed at it; how many.

    -1 if there is no room for them.
    """
    room.clock[0] += 1
    now = room.clock[0]
    count = 0
    for one in range(words.heard_starts[symbol], words.heard_starts[symbol + 1]):
        atom = words.heard[one]
        low, high = ways.passing_starts[atom], ways.passing_starts[atom + 1]
        if low == high:
            continue
        for other in range(words.atom_starts[before], words.atom_starts[before + 1]):
            key = _index(ways.passing_atoms, low, high, words.atoms[other])
            if key < 0:
                continue
            for at in range(ways.passing_offsets[key], ways.passing_offsets[key + 1]):
                place = ways.passing[at]
                if room.seen[place] != now and _counts(ways.passing_anchors[at], after, mark, room, ways, words):
                    if count == len(room.trail):
                        return -1
                    room.seen[place] = now
                    room.trail[count] = place
                    count += 1
    return count


@native
def _farther(symbol: int, low: int, high: int, room: Room, ways: Ways, words: Words) -> int:
    """Add to a trail the places before a word from where one comes to trail[low:high]; where it ends then.

    -1 if there is no room for them.
    """
    now = _bear(symbol, room, words)
    end = high
    for number in range(low, high):
        place = room.trail[number]
        for way in range(ways.heads[place, 3], ways.heads[place + 1, 3]):
            if room.borne[ways.way_atoms[way]] == now:
                for at in range(ways.way_offsets[way], ways.way_offsets[way + 1]):
                    source = ways.way_sources[at]
                    if room.seen[source] != now:
                        if end == len(room.trail):
                            return -1
                        room.seen[source] = now
                        room.trail[end] = source
                        end += 1
    return end


@native
def _within(
    symbol: int, here: Numbers, count: int, low: int, high: int, there: Numbers, room: Room, ways: Ways, words: Words
) -> int:
    """Go on by a word to those places that are in trail[low:high]; how many."""
    count = _step(symbol, here, count, there, room, ways, words)
    now = room.clock[0]
    found = 0
    for number in range(low, high):
        if room.seen[room.trail[number]] == now:
            there[found] = room.trail[number]
            found += 1
    return found


@native
def _behind(symbol: int, here: Numbers, count: int, there: Numbers, room: Room, ways: Ways, words: Words) -> int:
    """Go on from some places by a word at which something is noticed there; how many."""
    now = _bear(symbol, room, words)
    found = 0
    for number in range(count):
        place = here[number]
        for anchor in range(ways.heads[place, 4], ways.heads[place + 1, 4]):
            if room.borne[ways.anchor_atoms[anchor]] == now:
                found = _lead(anchor, ways.anchor_offsets, ways.anchor_targets, there, found, now, room, ways)
    return found


@native
def _ends(places: Numbers, count: int, begin: int, at: int, found: Numbers, total: int, ways: Ways) -> int:
    """Note the phrases that end at some places: (first word, last word, number) a row; how many there are then.

    Where that is more than `found` has room for, the rest is not in it.
    """
    for number in range(count):
        place = places[number]
        for end in range(ways.heads[place, 1], ways.heads[place + 1, 1]):
            if total < len(found):
                found[total, 0] = begin
                found[total, 1] = at
                found[total, 2] = ways.ends[end]
            total += 1
    return total


@native
def _follow(
    symbols: Numbers,
    begin: int,
    at: int,
    here: Numbers,
    count: int,
    there: Numbers,
    most: int,
    found: Numbers,
    total: int,
    room: Room,
    ways: Ways,
    words: Words,
) -> int:
    """Note what ends at a word, given the places behind it, or later; how many there are then."""
    total = _ends(here, count, begin, at, found, total, ways)
    for later in range(at + 1, min(len(symbols), begin + most)):
        count = _step(symbols[later], here, count, there, room, ways, words)
        if count == 0:
            break
        here, there = there, here
        total = _ends(here, count, begin, later, found, total, ways)
    return total


@native
def hear(symbols: Numbers, found: Numbers, most: int, first: Bytes, room: Room, ways: Ways, words: Words) -> int:
    """Note all phrases, some more than once: (first word, last word, number) a row of `found`.

    How many there are; where that is more than `found` has room for, the rest is not in it. -1 if a trail is too long.
    """
    size = len(symbols)
    total = 0
    for at in range(size):
        symbol = symbols[at]
        if words.heard_starts[symbol] == words.heard_starts[symbol + 1]:
            continue
        before = symbols[at - 1] if at else 0
        after = symbols[at + 1] if at + 1 < size else 0
        mark = _bear(after, room, words)
        here, there = room.here, room.there
        low, high = 0, _passed(before, symbol, after, mark, room, ways, words)
        if high < 0:
            return -1
        count = _begun(symbol, after, mark, here, room, ways, words)
        if count:
            total = _follow(symbols, at, at, here, count, there, most, found, total, room, ways, words)
        depth = 0
        while low < high and depth < at and depth < most - 1:
            room.depths[depth] = low
            index = at - depth - 1
            low, high = high, _farther(symbols[index], low, high, room, ways, words)
            if high < 0:
                return -1
            depth += 1
            room.depths[depth] = low
            count = 0
            for number in range(low, high):
                if first[room.trail[number]]:
                    here[count] = room.trail[number]
                    count += 1
            if count == 0:
                continue
            room.depths[depth + 1] = high
            for step in range(depth - 1, -1, -1):
                one, other = room.depths[step], room.depths[step + 1]
                count = _within(symbols[at - step - 1], here, count, one, other, there, room, ways, words)
                here, there = there, here
            count = _behind(symbol, here, count, there, room, ways, words)
            here, there = there, here
            total = _follow(symbols, index, at, here, count, there, most, found, total, room, ways, words)
    return total


@native
def under_way(
    symbols: Numbers, low: int, further: Bytes, any_word: bool, begun: Bytes, room: Room, ways: Ways, words: Words
) -> None:
    """Mark the words from `low` on with which a phrase may begin that goes on beyond the last.

    Args:
        symbols: the words that are over.
        low: the first of interest.
        further: by atom, 1 if the next word, which has begun, may bear it.
        any_word: no next word has begun: whatever a phrase goes on with will do.
        begun: is given a 1 for each; one longer than `symbols`, for the word that has begun.
        room: where to keep places.
        ways: the graph.
        words: the vocabulary.
    """
    size = len(symbols)
    for begin in range(low, size):
        here, there = room.here, room.there
        count = _begin(symbols[begin], here, room, ways, words)
        for at in range(begin + 1, size):
            if count == 0:
                break
            count = _step(symbols[at], here, count, there, room, ways, words)
            here, there = there, here
        for number in range(count):
            place = here[number]
            edge = ways.heads[place, 0]
            last = ways.heads[place + 1, 0]
            while edge < last and not (any_word or further[ways.edge_atoms[edge]]):
                edge += 1
            if edge < last:
                begun[begin] = 1
                break
    if not any_word:
        for atom in range(len(further)):
            if further[atom] and ways.opening_starts[atom] < ways.opening_starts[atom + 1]:
                begun[size] = 1
                break
