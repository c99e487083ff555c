"""The graph of phrases in flat arrays: made once from the rules, kept in a file, and walked as it lies there.

A graph of Python's dictionaries takes ten times the memory, and each step in it a hundred times as long. What is read
from a file is not even copied: several processes share its pages.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, islice
from typing import NamedTuple, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

Numbers: TypeAlias = "NDArray[np.int32]"
Bytes: TypeAlias = "NDArray[np.uint8]"
Longs: TypeAlias = "NDArray[np.int64]"
Codes: TypeAlias = "NDArray[np.uint32]"
"""Code points."""
Signs: TypeAlias = "NDArray[np.uint64]"
"""Sets of atoms, each in 64 bits: two that have no bit in common have no atom in common."""

Leads: TypeAlias = "Mapping[int, Collection[int]]"
"""By atom, the places where one comes from a place."""


class Lists(NamedTuple):
    """Numbers by row: those of row r are numbers[starts[r]:starts[r + 1]], in order, or backwards."""

    starts: Numbers
    numbers: Numbers

    @classmethod
    def of(cls, rows: Mapping[int, Iterable[int]], size: int, *, backwards: bool = False) -> Lists:
        """Of what is known by row; `size` rows in all."""
        several = [sorted(rows.get(row, ()), reverse=backwards) for row in range(size)]
        return cls(_starts(several), numbers([one for row in several for one in row]))

    def of_rows(self, rows: Numbers) -> Numbers:
        """The numbers of several rows, one row after the other."""
        starts = self.starts[rows]
        sizes = self.starts[rows + 1] - starts
        before = np.cumsum(sizes) - sizes
        found: Numbers = self.numbers[np.repeat(starts - before, sizes) + np.arange(sizes.sum())]
        return found


class Table(NamedTuple):
    """Numbers by row and key, in order: keys[starts[r]:starts[r + 1]]; of key k numbers[offsets[k]:offsets[k + 1]]."""

    starts: Numbers
    keys: Numbers
    offsets: Numbers
    numbers: Numbers

    @classmethod
    def of(cls, rows: Mapping[int, Leads], size: int) -> Table:
        """Of what is known by row; `size` rows in all."""
        several = [sorted(rows.get(row, {}).items()) for row in range(size)]
        lists = [sorted(some) for row in several for _key, some in row]
        return cls(
            _starts(several),
            numbers([key for row in several for key, _some in row]),
            _starts(lists),
            numbers([one for some in lists for one in some]),
        )

    def row(self, number: int) -> dict[int, list[int]]:
        """One row."""
        return {
            int(self.keys[at]): self.numbers[self.offsets[at] : self.offsets[at + 1]].tolist()
            for at in range(self.starts[number], self.starts[number + 1])
        }


class Vocabulary(NamedTuple):
    """Words that are known, and what each bears, by *symbol*: words that no phrase tells apart have one.

    Word w is letters[starts[w]:starts[w + 1]], words are in order, and its symbol is symbols[w]. It is found by its
    hash: `slots` holds, from slot hash % slots on, the numbers of words plus one, up to an empty slot.
    """

    letters: Bytes
    starts: Numbers
    symbols: Numbers
    slots: Numbers
    bearing: Lists
    """The atoms of a symbol's words, backwards: the usual ones come last. Symbol 0 bears none."""


class Machine(NamedTuple):
    """What reads patterns letter by letter; see `machines`.

    The row of place p is leads[starts[p]:starts[p + 1]]: first the number of a row in `letters`, of 26 ways, then ways.
    A way holds the place where it leads, the number of a class in `classes` and whether anything may match at that
    place; it is 0 where there is none. matches[match_starts[m]:match_starts[m + 1]] may match at place matching[m]: a
    tree's number, and when.
    """

    first: Numbers
    """By pattern, where reading it begins."""
    backwards: Numbers
    """By pattern, 1 where that is a text's end."""
    starts: Numbers
    leads: Numbers
    matching: Numbers
    match_starts: Numbers
    matches: Numbers
    letters: Numbers
    classes: Bytes
    """By number and character, 1 for what is in a class."""


class Notices(NamedTuple):
    """The anchors by atom, in one row those at which all that is beside them is the same.

    The rows of atom a are rows[starts[a]:starts[a + 1]], each of `NOTICE` numbers: the company behind which one comes
    to the anchors, and that which is met beyond them (0: none is known); whether phrases begin with them; where the
    row's numbers begin in `anchors`, of anchors, if so, or else of the places before them; then, in halves, the signs
    of what may stand right before and right after them.

    A company is one number: within how many words it stands, in the last `WITHIN` bits; then, up to bit `SIZE`, of how
    many numbers in `companies` its own are, the exponent of a power of two; then where these begin. There an atom has
    three bits in one number, as the atom times `MIX` says. A few of the atoms that are not of a company have them, too.
    """

    starts: Numbers
    rows: Numbers
    anchors: Numbers
    companies: Signs
    mates: Numbers
    """The atoms that are of any company."""


class Graph(NamedTuple):
    """What is walked: `Phrases`, and the anchors that were chosen among its edges.

    Rows are places, but for `opening`, where they are atoms.
    """

    edges: Table
    ends: Lists
    also: Lists
    """The places at which one stands as well."""
    ways: Table
    """The edges at which nothing is noticed where nothing was before, backwards."""
    anchors: Table
    """The others from the same places."""
    opening: Lists
    """By atom, the places where one comes who begins with it."""
    notices: Notices
    heads: Numbers
    """See `walk.Ways`; row after row."""
    sieves: Bytes
    vocabulary: Vocabulary
    sides: Machine
    """The sides of all links and vetoes, a pattern each."""
    forms: Machine
    """One pattern of all forms, each with the atom of the words that it matches."""
    marked: frozenset[int]
    """The numbers of the patterns in which a part is marked as the finding."""


def numbers(values: Sequence[int] | NDArray[np.integer]) -> Numbers:
    """An array that nobody writes to."""
    made = np.array(values, np.int32)
    made.flags.writeable = False
    return made


def bits(atoms: Numbers) -> Signs:
    """The bit of each atom in a sign. Those that most words bear have one to themselves."""
    return np.uint64(1) << np.where(atoms < USUAL, atoms, atoms % (64 - USUAL) + USUAL).astype(np.uint64)


def sign(atoms: Iterable[int]) -> int:
    """The sign of some atoms."""
    found = 0
    for atom in atoms:
        found |= 1 << (atom if atom < USUAL else atom % (64 - USUAL) + USUAL)
    return found


def signs(starts: Numbers, atoms: Numbers) -> Signs:
    """The signs of rows of atoms: those of row r are atoms[starts[r]:starts[r + 1]]."""
    found = np.bitwise_or.reduceat(np.append(bits(atoms), np.uint64(0)), starts[:-1])
    found[np.diff(starts) == 0] = 0
    return found


def _starts(several: Sequence[Collection[object]]) -> Numbers:
    return numbers(list(accumulate(map(len, several), initial=0)))


def packed(graph: Graph) -> bytes:
    """A graph as bytes, for this machine."""
    columns = list(arrays(graph))
    head = orjson.dumps([[one.size for one in columns], sorted(graph.marked)])
    head += b" " * (-(len(head) + _SIZE.size) % _ALIGNED)
    parts = [_SIZE.pack(len(head)), head]
    for one in columns:
        parts.append(one.tobytes())
        parts.append(bytes(-one.nbytes % _ALIGNED))
    return b"".join(parts)


def unpacked(data: memoryview | bytes) -> Graph:
    """The graph that was packed; it lies in the bytes that were given.

    Raises:
        ValueError, struct.error: the bytes are no graph.
    """
    (size,) = _SIZE.unpack_from(data)
    at = _SIZE.size + size
    lengths, marked = orjson.loads(bytes(data[_SIZE.size : at]))
    read: list[NDArray[np.int32]] = []
    for length, kind in zip(lengths, _KINDS, strict=True):
        one = np.frombuffer(data, kind, length, at)
        one.flags.writeable = False
        at += one.nbytes + -one.nbytes % _ALIGNED
        read.append(one)
    columns = iter(read)

    def table() -> Table:
        return Table(next(columns), next(columns), next(columns), next(columns))

    def lists() -> Lists:
        return Lists(next(columns), next(columns))

    def machine() -> Machine:
        first, backwards, starts, leads, matching, match_starts, matches, letters, classes = islice(columns, 9)
        return Machine(
            first, backwards, starts, leads, matching, match_starts, matches, letters, classes.view(np.uint8)
        )

    return Graph(
        edges=table(),
        ends=lists(),
        also=lists(),
        ways=table(),
        anchors=table(),
        opening=lists(),
        notices=Notices(next(columns), next(columns), next(columns), next(columns).view(np.uint64), next(columns)),
        heads=next(columns),
        sieves=next(columns).view(np.uint8),
        vocabulary=Vocabulary(next(columns).view(np.uint8), next(columns), next(columns), next(columns), lists()),
        sides=machine(),
        forms=machine(),
        marked=frozenset(marked),
    )


def arrays(graph: Graph) -> Iterable[Numbers | Bytes | Signs]:
    """All arrays of a graph, in order."""
    for part in graph[:-1]:
        if isinstance(part, np.ndarray):
            yield part
        else:
            for one in part:
                yield from (one,) if isinstance(one, np.ndarray) else one


USUAL = 32
"""So many atoms come first, in order of how often they are borne."""
NOTICE = 8
WITHIN, SIZE = 5, 9
MIX = 0x9E3779B97F4A7C15
NUMBER, BITS = 24, (46, 52, 58)
"""How far an atom times `MIX` is shifted to say which of a company's numbers is its own, and its three bits there."""
_SIZE = struct.Struct(">Q")
_ALIGNED = 8
_KINDS = ["i4"] * 21 + ["u8"] + ["i4"] * 2 + ["u1"] * 2 + ["i4"] * 5 + 2 * (["i4"] * 8 + ["u1"])
