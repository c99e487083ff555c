"""Which candidates hold. Hardly one does, so those that do not are dropped before Python sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from gateway.redaction.automaton import MOST, Text
from gateway.redaction.beside import WORDS, Conditions, asked, judged_with, sift
from gateway.redaction.evidence import Phrase, Rule
from gateway.redaction.stepping import Room
from gateway.redaction.tables import Lists, Machine, numbers

Candidate: TypeAlias = "tuple[int, int, Rule]"
"""(start, end, rule)"""


class Stretch(NamedTuple):
    """text[start:end], and the numbers of the phrases that it is."""

    start: int
    end: int
    phrases: list[int]


class Judge:
    """Says what holds where it stands. For one thread.

    Args:
        sides: of all links and vetoes.
        phrases: by number.

    A text is ASCII, as it is written; what stands beyond a zero byte has nothing to do with a candidate.
    """

    def __init__(self, sides: Machine, phrases: Sequence[Phrase]) -> None:
        rules = dict.fromkeys(phrase.rule for phrase in phrases if phrase.rule is not None)
        self._rules = {rule: number for number, rule in enumerate(rules)}
        self._held = sides, Room.of(sides), _conditions(phrases, self._rules, len(sides.first))
        self._table = judged_with(*self._held)

    def stretches(self, text: bytes, heard: Text, settled: int) -> Iterator[list[Stretch]]:
        """For each place where something begins, in order, all that holds there, the longest last.

        Idioms are with it; and so is whatever ends behind `settled`, or is a pattern in which a part is the finding.
        """
        keys = heard.phrases()
        kept = np.empty((len(keys), 3), np.int32)
        count = sift(keys, np.frombuffer(text, np.uint8), heard.starts, heard.ends, settled, MOST, kept, self._table)
        several: list[Stretch] = []
        for start, end, number in kept[:count].tolist():
            if several and several[-1].start != start:
                yield several
                several = []
            if several and several[-1].end == end:
                several[-1].phrases.append(number)
            else:
                several.append(Stretch(start, end, [number]))
        if several:
            yield several

    def holds(self, text: bytes, candidate: Candidate) -> bool:
        """Whether what a candidate's rule needs stands beside it, and no veto does."""
        return self._asked(text, candidate, later=False)

    def may_turn(self, text: bytes, candidate: Candidate) -> bool:
        """Whether what may come after a candidate, if the text goes on, can still decide it."""
        return self._asked(text, candidate, later=True)

    def _asked(self, text: bytes, candidate: Candidate, *, later: bool) -> bool:
        start, end, rule = candidate
        return asked(np.frombuffer(text, np.uint8), start, end, self._rules[rule], later, self._table)


def _conditions(phrases: Sequence[Phrase], rules: Mapping[Rule, int], sides: int) -> Conditions:
    """What the rules of some phrases ask of so many sides."""
    arounds = dict.fromkeys(around for rule in rules for around in (*rule.needs, rule.unless) if around is not None)
    numbered = {around: number for number, around in enumerate(arounds)}
    conditions = Lists.of(
        {
            number: [numbered[need] << 1 for need in rule.needs]
            + ([] if rule.unless is None else [numbered[rule.unless] << 1 | 1])
            for rule, number in rules.items()
        },
        len(rules),
    )
    beside = Lists.of({number: [*one.before, *one.after] for one, number in numbered.items()}, len(numbered))
    return Conditions(
        rules=numbers([-1 if one.rule is None or one.exact else rules[one.rule] for one in phrases]),
        cased=np.array([rule.cased for rule in rules], np.uint8),
        starts=conditions.starts,
        conditions=conditions.numbers,
        side_starts=beside.starts,
        sides=beside.numbers,
        words=WORDS,
        said=np.zeros((sides, 2), np.int32),
    )
