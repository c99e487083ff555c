"""Tables of numbers: what goes in comes out, row by row, and through bytes."""

from __future__ import annotations

import struct

import pytest

from gateway.redaction.anchors import graph
from gateway.redaction.grammar import read
from gateway.redaction.phrases import Phrases
from gateway.redaction.tables import USUAL, Graph, Lists, Table, arrays, bits, numbers, packed, signs, unpacked


def test_rows_are_what_was_put_in() -> None:
    """Lists and tables tell each row in order, the empty ones too."""
    lists = Lists.of({1: (5, 4), 3: (6,)}, 5)
    table = Table.of({0: {7: (2, 1)}, 2: {9: (4,), 8: (3,)}}, 4)

    assert [lists.of_rows(numbers([row])).tolist() for row in range(5)] == [[], [4, 5], [], [6], []]
    assert lists.of_rows(numbers([3, 0, 1])).tolist() == [6, 4, 5]
    assert lists.of_rows(numbers([])).tolist() == []
    assert [table.row(row) for row in range(4)] == [{7: [1, 2]}, {}, {8: [3], 9: [4]}, {}]


def made() -> Graph:
    """The graph of a few phrases."""
    phrases = Phrases({})
    for number, source in enumerate(("breast cancer", r"on (?:\w+ ){0,2}strike", r"grand\w+ (?:is|was) ill")):
        phrases.add_pattern(read(source, phrase=True), number)
    return graph(phrases, [1])


def told(one: Graph) -> list[object]:
    """All that a graph holds."""
    return [one.marked, *(column.tolist() for column in arrays(one))]


def test_a_graph_goes_through_bytes() -> None:
    """What is unpacked is what was packed."""
    assert told(unpacked(packed(made()))) == told(made())
    assert not any(column.flags.writeable for column in arrays(unpacked(packed(made()))))


@pytest.mark.parametrize("cut", [0, 5, 20])
def test_what_is_no_graph_is_refused(cut: int) -> None:
    """Bytes that end too early are told from a graph."""
    with pytest.raises((ValueError, struct.error)):
        unpacked(packed(made())[:cut])


def test_signs_of_sets_that_share_an_atom_share_a_bit() -> None:
    """Each row's sign is that of its atoms; an empty row has none; usual atoms have a bit to themselves."""
    lists = Lists.of({0: (0, 3), 2: (USUAL, 1000), 3: (3, 1000)}, 5)
    made = signs(lists.starts, lists.numbers).tolist()
    apart = bits(numbers(list(range(USUAL)))).tolist()

    assert made[1] == made[4] == 0
    assert made[0] & made[3]
    assert made[2] & made[3]
    assert not made[0] & made[2]
    assert len(set(apart)) == USUAL
    assert not sum(apart) & sum(set(bits(numbers(list(range(USUAL, 500)))).tolist()))
