"""The scan: every stretch that a rule names, where what stands round it lets it count.

The automaton says where something begins, and all that it may be; the longest that holds is found. Time is linear in
the text, whatever the text is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from gateway.categories import Category
from gateway.redaction.automata import NOWHERE
from gateway.redaction.automaton import MOST, Automaton, Text
from gateway.redaction.beside import AFTER, LATELY, WORDS, Conditions
from gateway.redaction.choosing import COUNT, END, IDIOM, NUMBERS, POSITION, STATES, Rules, choose, chosen_with
from gateway.redaction.evidence import Around, Phrase, Rule
from gateway.redaction.findings import Ends
from gateway.redaction.stepping import Room
from gateway.redaction.tables import Lists, Longs, Machine, Numbers, numbers

Candidate: TypeAlias = "tuple[int, int, Rule]"
"""(start, end, rule)"""
_NO_PLACES = numbers([])
_NONE = np.empty((0, 3), np.int32)


class Scanner:
    """Finds what phrases stand for, where it holds. For one thread.

    Args:
        automaton: hears the phrases.
        sides: of all links and vetoes.
        phrases: by number.
    """

    def __init__(self, automaton: Automaton, sides: Machine, phrases: Sequence[Phrase]) -> None:
        self._automaton = automaton
        self._phrases = phrases
        self.rules = list(dict.fromkeys(phrase.rule for phrase in phrases if phrase.rule is not None))
        """By number."""
        numbered = _numbered(phrases, self.rules)
        self._marked = numbered.marked
        self._held = sides, Room.of(sides), _conditions(self.rules, len(sides.first)), numbered
        self._table = chosen_with(*self._held)

    def scan(self, text: str) -> Iterator[Candidate]:
        """(start, end, rule) of each candidate that holds, in order and apart. The text is folded."""
        cased = text.encode("ascii", "replace")
        return ((start, end, self.rules[rule]) for start, end, rule in self.rows(cased, cased.lower()).tolist())

    def rows(self, text: bytes, lower: bytes) -> Numbers:
        """The same of a text and of what it is in lower case, a row each, with the numbers of the rules."""
        found, _end = self._chosen(text, self._automaton.hear(lower), _NO_PLACES, 0, Ends.CLOSED)
        return found[found[:, 2] != IDIOM] if len(found) else found

    def settle(
        self, text: bytes, heard: Text, opened: Numbers, start: int, ends: Ends
    ) -> tuple[list[tuple[int, int, Rule | None]], int]:
        """(start, end, rule) of all from `start` on, without a rule for an idiom; and up to where that is final.

        Args:
            text: folded ASCII, in the case in which it is written.
            heard: the same as words.
            opened: where something begins that the text's end leaves open, in order.
            start: where to begin.
            ends: whether the text goes on.
        """
        found, end = self._chosen(text, heard, opened, start, ends)
        rules = self.rules
        return [(first, last, None if rule == IDIOM else rules[rule]) for first, last, rule in found.tolist()], end

    def _chosen(self, text: bytes, heard: Text, opened: Numbers, start: int, ends: Ends) -> tuple[Numbers, int]:
        """What `settle` says, a row each: `IDIOM`, or a rule's number."""
        keys = heard.phrases()
        if not len(keys):  # as in most short texts
            return _NONE, int(opened[0]) if len(opened) else len(text)
        found, so_far = np.empty((len(keys), 3), np.int32), np.zeros(STATES, np.int32)
        so_far[POSITION] = start
        choose(
            keys,
            np.frombuffer(text, np.uint8),
            heard.starts,
            heard.ends,
            self._parts(text, heard, keys),
            opened,
            len(text) if ends is Ends.CLOSED else len(text) - AFTER,
            ends is Ends.OPEN,
            MOST,
            found,
            so_far,
            self._table,
        )
        return found[: so_far[COUNT]], int(so_far[END])

    def _parts(self, text: bytes, heard: Text, keys: Longs) -> Numbers:
        """By key, where the part of a phrase that is the finding begins and ends, if one is marked; see `Heard`."""
        parts = np.zeros((len(keys), 2), np.int32)
        marked: dict[int, list[int]] = defaultdict(list)
        for row in np.flatnonzero(self._marked[keys & NUMBERS]).tolist():
            marked[int(keys[row]) & NUMBERS].append(row)
        for number, rows in marked.items():
            bounds = [heard.bounds(int(keys[row])) for row in rows]
            found = self._phrases[number].parts([text[start:end].lower() for start, end in bounds])
            for row, (start, _end), part in zip(rows, bounds, found, strict=True):
                parts[row] = part if part == NOWHERE else (start + part[0], start + part[1])
        return parts


def _numbered(phrases: Sequence[Phrase], rules: Sequence[Rule]) -> Rules:
    """What phrases stand for, by number."""
    known = {rule: number for number, rule in enumerate(rules)}
    scores = sorted({rule.score for rule in rules})
    categories = list(Category)
    return Rules(
        rules=numbers([IDIOM if one.rule is None else known[one.rule] for one in phrases]),
        marked=np.array([one.exact is not None for one in phrases], np.uint8),
        ranks=numbers([scores.index(rule.score) for rule in rules]),
        categories=numbers([categories.index(rule.category) for rule in rules]),
    )


def _conditions(rules: Sequence[Rule], sides: int) -> Conditions:
    """What rules ask of so many sides."""
    arounds = dict.fromkeys(around for rule in rules for around in (*rule.needs, rule.unless) if around is not None)
    known = {around: number for number, around in enumerate(arounds)}
    asked = Lists.of({number: _asked(rule, known) for number, rule in enumerate(rules)}, len(rules))
    beside = Lists.of({number: [*one.before, *one.after] for one, number in known.items()}, len(known))
    return Conditions(
        cased=np.array([rule.cased for rule in rules], np.uint8),
        starts=asked.starts,
        conditions=asked.numbers,
        side_starts=beside.starts,
        sides=beside.numbers,
        words=WORDS,
        said=np.zeros((sides, 2), np.int32),
        lately=np.zeros((LATELY, 6), np.int32),
    )


def _asked(rule: Rule, known: Mapping[Around, int]) -> list[int]:
    """What a rule asks, as numbers of `Conditions`."""
    needs = [known[need] << 1 for need in rule.needs]
    return needs if rule.unless is None else [*needs, known[rule.unless] << 1 | 1]
