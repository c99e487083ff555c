"""Tables of numbers in flat arrays: what is made once from the rules, kept in a file, and read row by row.

A graph of dictionaries takes ten times the memory, and as long to read as to make. Here a row becomes a
dictionary when it is first asked for.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Collection, Mapping
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import orjson

Leads: TypeAlias = "Mapping[int, Collection[int]]"
"""By atom, the places where one comes from a place."""


class Lists(dict[int, "tuple[int, ...]"]):
    """A tuple of numbers by row; empty where there are none."""

    def __init__(self, starts: array[int], numbers: array[int]) -> None:
        super().__init__()
        self._starts = starts
        self._numbers = numbers

    @classmethod
    def of(cls, rows: Mapping[int, Collection[int]], size: int) -> Lists:
        """Of what is known by row; `size` rows in all."""
        several = [rows.get(row, ()) for row in range(size)]
        return cls(
            array("I", accumulate(map(len, several), initial=0)), array("I", [one for row in several for one in row])
        )

    def __missing__(self, row: int) -> tuple[int, ...]:
        made = self[row] = tuple(self._numbers[self._starts[row] : self._starts[row + 1]])
        return made

    def filled(self) -> dict[int, tuple[int, ...]]:
        """The rows that are not empty."""
        starts = self._starts
        return {row: self[row] for row in range(len(starts) - 1) if starts[row] < starts[row + 1]}

    def arrays(self) -> list[array[int]]:
        """What `__init__` takes."""
        return [self._starts, self._numbers]


class Table(dict[int, Leads]):
    """By row, numbers by key; empty where there are none."""

    def __init__(self, starts: array[int], keys: array[int], offsets: array[int], numbers: array[int]) -> None:
        super().__init__()
        self._starts = starts
        self._keys = keys
        self._offsets = offsets
        self._numbers = numbers

    @classmethod
    def of(cls, rows: Mapping[int, Leads], size: int) -> Table:
        """Of what is known by row; `size` rows in all."""
        several = [rows.get(row, {}) for row in range(size)]
        lists = [one for row in several for one in row.values()]
        return cls(
            array("I", accumulate(map(len, several), initial=0)),
            array("I", [key for row in several for key in row]),
            array("I", accumulate(map(len, lists), initial=0)),
            array("I", [one for some in lists for one in some]),
        )

    def __missing__(self, row: int) -> Leads:
        numbers, offsets, keys = self._numbers, self._offsets, self._keys
        made = self[row] = {
            keys[at]: tuple(numbers[offsets[at] : offsets[at + 1]])
            for at in range(self._starts[row], self._starts[row + 1])
        }
        return made

    def rows(self) -> set[int]:
        """Those that are not empty."""
        return {row for row in range(len(self._starts) - 1) if self._starts[row] < self._starts[row + 1]}

    def arrays(self) -> list[array[int]]:
        """What `__init__` takes."""
        return [self._starts, self._keys, self._offsets, self._numbers]


class Graph(NamedTuple):
    """What the automaton works on: `Phrases`, and the anchors that were chosen among its edges.

    Rows are places, but for `turned` and `passing`, where they are atoms. `first` are the places where phrases begin.
    """

    edges: Table
    ends: Lists
    also: Lists
    """The places at which one stands as well."""
    passed: Table
    """The edges at which nothing is noticed, where no anchor was before; the others from there are anchors."""
    ways: Table
    """The same backwards."""
    turned: Lists
    """The places from where anchors lead."""
    passing: Lists
    """The places from where one goes on without passing an anchor."""
    first: frozenset[int]
    bearing: dict[bytes, tuple[int, ...]]
    """The atoms of words that some phrase spells."""
    forms: tuple[tuple[str, int], ...]
    """RE2 sources, and the atom of the words that each matches."""
    marked: frozenset[int]
    """The numbers of the patterns in which a part is marked as the finding."""


def packed(graph: Graph) -> bytes:
    """A graph as bytes, for this machine and this build of Python."""
    tables = [one.arrays() for one in graph if isinstance(one, Table | Lists)]
    spelled = {word.decode(): atoms for word, atoms in graph.bearing.items()}
    sizes = [[len(one) for one in arrays] for arrays in tables]
    head = orjson.dumps([sizes, sorted(graph.first), spelled, graph.forms, sorted(graph.marked)])
    return b"".join([_SIZE.pack(len(head)), head, *(one.tobytes() for arrays in tables for one in arrays)])


def unpacked(data: bytes) -> Graph:
    """The graph that was packed.

    Raises:
        ValueError, struct.error: the bytes are no graph.
    """
    (size,) = _SIZE.unpack_from(data)
    at = _SIZE.size + size
    sizes, first, spelled, forms, marked = orjson.loads(data[_SIZE.size : at])
    columns: list[list[array[int]]] = []
    for lengths in sizes:
        columns.append([])
        for length in lengths:
            one = array("I")
            one.frombytes(data[at : at + length * one.itemsize])
            at += length * one.itemsize
            columns[-1].append(one)
    edges, ends, also, passed, ways, turned, passing = columns
    return Graph(
        Table(*edges),
        Lists(*ends),
        Lists(*also),
        Table(*passed),
        Table(*ways),
        Lists(*turned),
        Lists(*passing),
        first=frozenset(first),
        bearing={word.encode(): tuple(atoms) for word, atoms in spelled.items()},
        forms=tuple((form, atom) for form, atom in forms),
        marked=frozenset(marked),
    )


_SIZE = struct.Struct(">Q")
