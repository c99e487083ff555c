"""Patterns as machines that read them character by character, which `stepping` runs: made with the graph, kept with it.

A machine stands at all *places* at once where a pattern may be. Places that one character leads to together are one
place, so of the thousand names that a pattern may begin with hardly more than one is read at a time. Where that would
make too many places, each stays alone: their number is bounded by the patterns' length in any case, and so is what a
character costs. What is made takes a few megabytes, whatever was read before; RE2 makes its own automata anew in each
process, for each word that it meets, and takes ten times that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np

from gateway.redaction.grammar import WORD, Tree, Unread, either_case
from gateway.redaction.tables import Machine, numbers

ALWAYS, EDGE, END = 0, 1, 2
"""When a pattern that was read to its end matches: always, where a word begins or ends, or where the text ends."""
KINDS: Final = 128
CLASS_BITS, _PLACE_BITS, WHEN_BITS = 9, 21, 2
_FEW_LETTERS: Final = 6
"""With fewer letters that lead on from a place, they are tried one after the other."""
_MOST_JOINED: Final = 8
"""How many times the places of a pattern those may be which are made by joining them."""
_LETTERS: Final = {either_case(1 << code): code - ord("a") for code in range(ord("a"), ord("z") + 1)}
_ALL_LETTERS: Final = sum(_LETTERS)
ANY_LETTER: Final = 1
"""Instead of the number of a row of letters: the first way takes all of them, and no other takes any."""
_NOT_WORD: Final = (1 << KINDS) - 1 & ~WORD

_TAKES, _FORKS, _ASKS, _FIRST, _MATCHES = range(5)


class Pattern(NamedTuple):
    """What is read at once: one tree or another, each by its number; from the text's end, if it is `backwards`."""

    trees: Sequence[tuple[Tree, int]]
    backwards: bool = False


def machine(patterns: Iterable[Pattern]) -> Machine:
    """One machine for several patterns, each of which is read by itself.

    Raises:
        Unread: they are too many, or too long.
    """
    made = _Maker()
    for pattern in patterns:
        made.add(pattern)
    return made.tables()


class _Nodes:
    """One pattern as nodes, each made after those that it leads to.

    A node takes a character of a class, is several at once, asks for an edge or the end, is passed only before anything
    was read, or is a match.
    """

    def __init__(self, pattern: Pattern) -> None:
        self._backwards = pattern.backwards
        self._nodes: list[tuple[int, int, tuple[int, ...]]] = []
        ends = [self._place(tree, self._node(_MATCHES, number)) for tree, number in pattern.trees]
        self.first = self._node(_FORKS, 0, *ends)

    def __len__(self) -> int:
        return len(self._nodes)

    def ways(self, nodes: Iterable[int], before: int | None) -> tuple[dict[int, set[int]], set[tuple[int, int]]]:
        """By class, the nodes where one comes from some; and which trees match there, and when.

        `before` is the class of what was read last, all of it in words or none; None where nothing was.
        """
        ways: dict[int, set[int]] = defaultdict(set)
        matches: set[tuple[int, int]] = set()
        waiting = [(node, ALWAYS) for node in nodes]
        seen = set(waiting)
        while waiting:
            node, when = waiting.pop()
            kind, number, leads = self._nodes[node]
            if kind == _MATCHES:
                matches.add((number, when))
            elif kind == _TAKES and not when & END:
                if when & EDGE:
                    number &= _NOT_WORD if (before or 0) & WORD else WORD
                for part in (number & WORD, number & _NOT_WORD):
                    if part:
                        ways[part].update(leads)
            elif kind != _TAKES and not (kind == _FIRST and before is not None):
                more = [(lead, when | (number if kind == _ASKS else 0)) for lead in leads]
                waiting.extend(one for one in more if one not in seen)
                seen.update(more)
        return ways, matches

    def _node(self, kind: int, number: int, *leads: int) -> int:
        self._nodes.append((kind, number, leads))
        return len(self._nodes) - 1

    def _place(self, tree: Tree, lead: int) -> int:
        """The first node of a tree, which goes on at the node `lead`."""
        match tree.kind:
            case "set":
                return self._node(_TAKES, tree.mask, lead)
            case "text":
                for character in tree.text if self._backwards else reversed(tree.text):
                    lead = self._node(_TAKES, either_case(1 << ord(character)), lead)
            case "seq":
                for part in tree.parts if self._backwards else reversed(tree.parts):
                    lead = self._place(part, lead)
            case "edge":
                return self._node(_ASKS, EDGE, lead)
            case "start" | "end":
                farther = (tree.kind == "start") == self._backwards
                return self._node(_ASKS, END, lead) if farther else self._node(_FIRST, 0, lead)
            case "or":
                return self._node(_FORKS, 0, *[self._place(part, lead) for part in tree.parts])
            case "repeat":
                return self._repeated(tree, lead)
        return lead

    def _repeated(self, tree: Tree, lead: int) -> int:
        (part,) = tree.parts
        if tree.most is None:
            loop = self._node(_FORKS, 0, lead)
            self._nodes[loop] = _FORKS, 0, (lead, self._place(part, loop))
            lead = loop
        else:
            for _ in range(tree.most - tree.least):
                lead = self._node(_FORKS, 0, self._place(part, lead), lead)
        for _ in range(tree.least):
            lead = self._place(part, lead)
        return lead


class _Row(NamedTuple):
    """Of a place: the ways from it, by class, and what matches there, and when. Places are counted from the first."""

    ways: list[tuple[int, int]]
    matches: set[tuple[int, int]]


def _rows(nodes: _Nodes, *, joined: bool = True) -> list[_Row]:
    """A pattern's places, the first of them first: nodes joined, unless these are too many."""
    known: dict[tuple[frozenset[int], bool], int] = {}
    waiting: list[tuple[frozenset[int], int | None]] = [(frozenset({nodes.first}), None)]
    rows: list[_Row] = []
    for places, before in waiting:  # which grows
        ways, matches = nodes.ways(places, before)
        row = _Row([], matches)
        for taken, leads in ways.items():
            for together in [leads] if joined else [{lead} for lead in leads]:
                target = frozenset(together), bool(taken & WORD)
                if target not in known:
                    known[target] = len(waiting)
                    waiting.append((target[0], taken))
                row.ways.append((taken, known[target]))
        rows.append(row)
        if joined and len(waiting) > _MOST_JOINED * len(nodes):
            return _rows(nodes, joined=False)
    return rows


class _Maker:
    """The arrays of a `Machine`, as they grow."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._backwards: list[int] = []
        self._starts: list[int] = []
        self._leads: list[int] = []
        self._matches: dict[int, list[int]] = {}
        self._letters: dict[tuple[int, ...], int] = {(0,) * len(_LETTERS): 0, (-1,) * len(_LETTERS): ANY_LETTER}
        self._classes: dict[int, int] = {}

    def add(self, pattern: Pattern) -> None:
        base = len(self._starts)
        self._backwards.append(pattern.backwards)
        rows = _rows(_Nodes(pattern))
        self._first.append(base << 1 | bool(rows[0].matches))
        if base + len(rows) >= 1 << _PLACE_BITS:
            raise Unread("the links are too long: count less far in them, or list fewer words")
        for number, (ways, matches) in enumerate(rows, base):
            if matches:
                self._matches[number] = sorted(match << WHEN_BITS | when for match, when in matches)
            self._starts.append(len(self._leads))
            self._add_row([(taken, base + target, bool(rows[target].matches)) for taken, target in ways])

    def _add_row(self, ways: list[tuple[int, int, bool]]) -> None:
        of_letters = [way for way in ways if way[0] & _ALL_LETTERS]
        if len(of_letters) == 1 and of_letters[0][0] & _ALL_LETTERS == _ALL_LETTERS:
            others = [way for way in ways if way not in of_letters]
            self._leads.append(ANY_LETTER)
            self._leads += [_way(target, self._class(taken), ends) for taken, target, ends in of_letters + others]
            return
        by_letter = [way for way in ways if way[0] in _LETTERS]
        if len(by_letter) < _FEW_LETTERS or len(by_letter) > len({taken for taken, _target, _ends in by_letter}):
            by_letter = []
        row = [0] * len(_LETTERS)
        for taken, target, ends in by_letter:
            row[_LETTERS[taken]] = _way(target, 0, ends)
        self._leads.append(self._letters.setdefault(tuple(row), len(self._letters)))
        self._leads += [
            _way(target, self._class(taken), ends)
            for taken, target, ends in ways
            if not by_letter or taken not in _LETTERS
        ]

    def _class(self, taken: int) -> int:
        number = self._classes.setdefault(taken, len(self._classes))
        if number >= 1 << CLASS_BITS:
            raise Unread("the links have too many classes of characters")
        return number

    def tables(self) -> Machine:
        """All patterns that were added."""
        classes = np.array([[taken >> code & 1 for code in range(KINDS)] for taken in self._classes], np.uint8)
        lengths = [len(matches) for matches in self._matches.values()]
        return Machine(
            first=numbers(self._first),
            backwards=numbers(self._backwards),
            starts=numbers([*self._starts, len(self._leads)]),
            leads=numbers(self._leads),
            matching=numbers(list(self._matches)),
            match_starts=numbers(list(accumulate(lengths, initial=0))),
            matches=numbers([match for matches in self._matches.values() for match in matches]),
            letters=numbers([way for row in self._letters for way in row]),
            classes=classes.ravel(),
        )


def _way(target: int, number: int, ends: bool) -> int:
    """A way as one number: where it leads, the class it takes, and whether the pattern may match there."""
    return target << CLASS_BITS + 1 | number << 1 | ends
