"""How many calls of each kind there were in a day or a month, as columns: counted over any filter in milliseconds.

A tally is an array of rows (kind, then `SUMS`), sorted by kind, kept as its bytes; one a tenant and period. Kinds are
the numbers of the index's table `alike`. The only door of numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import orjson

DIMENSIONS = (
    "tenant", "decision", "end", "caller", "purpose", "wire", "operation", "processor", "agreement", "countries",
    "model", "source",
)  # fmt: skip
"""What two calls of the same kind have in common. `end` is the result, the code of a refusal, or `open`."""

SUMS = ("rows", "calls", "redactions", "input_tokens", "output_tokens")
"""What is summed: rows (attempts and refusals), calls (first attempts), findings taken out, tokens."""

Column: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
Table: TypeAlias = "np.ndarray[tuple[int, int], np.dtype[np.int64]]"

_WIDTH = 1 + len(SUMS)
PLACE: Mapping[str, int] = {name: place for place, name in enumerate(DIMENSIONS)}
_REFUSE = "refuse"


def added(former: bytes | None, more: Mapping[int, Sequence[int]]) -> bytes:
    """A tally with more in it: kind -> sums, which may be negative. Kinds of which no row is left go."""
    kinds = np.fromiter(sorted(more), np.int64, len(more))
    news = np.array([(kind, *more[kind]) for kind in kinds.tolist()], np.int64).reshape(-1, _WIDTH)
    if former:
        held = table([former]).copy()
        places = np.searchsorted(held[:, 0], kinds)
        known = (places < len(held)) & (held[np.minimum(places, len(held) - 1), 0] == kinds)
        held[places[known], 1:] += news[known, 1:]
        if not known.all():
            held = np.concatenate([held, news[~known]])
            held = held[np.argsort(held[:, 0], kind="stable")]
        news = held
    return news[news[:, 1] > 0].tobytes()


def table(tallies: Iterable[bytes]) -> Table:
    """Tallies as one array, one after the other."""
    return np.frombuffer(b"".join(tallies), np.int64).reshape(-1, _WIDTH)


@dataclass(frozen=True, slots=True)
class Sums:
    """What rows add up to. `rows` are attempts and refusals, `calls` first attempts."""

    rows: int = 0
    calls: int = 0
    redactions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Kinds:
    """What the kinds are: a number -> its facts, as words and as columns of numbers. Grows; a number never changes."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, ...]] = []
        self._codes: list[dict[str, int]] = [{} for _name in DIMENSIONS]
        self._words: list[list[str]] = [[] for _name in DIMENSIONS]
        self._columns: Table = np.zeros((0, len(DIMENSIONS)), np.int64)

    @property
    def highest(self) -> int:
        """The greatest number that is known; numbers begin at 1."""
        return max(len(self.facts) - 1, 0)

    def learn(self, more: Iterable[tuple[int, str]]) -> None:
        """Kinds by number, in order, as the index has them."""
        blank = tuple("" for _name in DIMENSIONS)
        rows: list[list[int]] = []
        for number, text in more:
            while len(self.facts) <= number:
                self.facts.append(blank)
                rows.append([self._code(place, "") for place in range(len(DIMENSIONS))])
            facts = tuple(map(str, orjson.loads(text)))
            self.facts[number] = facts
            rows[-1] = [self._code(place, word) for place, word in enumerate(facts)]
        if rows:
            self._columns = np.concatenate([self._columns, np.array(rows, np.int64)])

    def matching(self, values: Iterable[tuple[str, str]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which kinds have these facts, by number."""
        found = np.ones(len(self.facts), np.bool_)
        for name, word in values:
            found &= self._columns[:, PLACE[name]] == self._codes[PLACE[name]].get(word, -1)
        return found

    def facet(self, name: str, rows: Column) -> list[tuple[str, int]]:
        """How many rows have each word of a dimension, the most first. `rows` is by kind."""
        place = PLACE[name]
        counted = np.bincount(self._columns[:, place], rows, len(self._words[place]))
        found = [(word, int(count)) for word, count in zip(self._words[place], counted.tolist(), strict=True) if word]
        return sorted([each for each in found if each[1]], key=lambda each: (-each[1], each[0]))

    def grouped(self, names: Sequence[str], sums: Table) -> list[tuple[tuple[str, ...], Sums]]:
        """The sums of each combination of words that occurs. `sums` is by kind."""
        there = np.flatnonzero(sums[:, 0])
        places = [PLACE[name] for name in names]
        if not len(there):
            return []
        codes, inverse = np.unique(self._columns[there][:, places], axis=0, return_inverse=True)
        totals = [np.bincount(inverse.reshape(-1), sums[there, at]).astype(np.int64) for at in range(len(SUMS))]
        return [
            (
                tuple(self._words[place][code] for place, code in zip(places, row, strict=True)),
                Sums(*(int(total[at]) for total in totals)),
            )
            for at, row in enumerate(codes.tolist())
        ]

    def _code(self, place: int, word: str) -> int:
        codes = self._codes[place]
        found = codes.get(word)
        if found is None:
            found = codes[word] = len(codes)
            self._words[place].append(word)
        return found


class Tally:
    """Everything of a period: rows of kinds and sums, and the instant at which each row's stretch begins.

    Args:
        parts: (start of the stretch in microseconds, tally).
    """

    def __init__(self, parts: Iterable[tuple[int, bytes]]) -> None:
        held = list(parts)
        lengths = [len(each) // (8 * _WIDTH) for _start, each in held]
        self._starts: Column = np.repeat(np.array([start for start, _each in held], np.int64), lengths)
        # Column by column in memory: each is read by itself, and several times.
        self._columns: Table = np.ascontiguousarray(table([each for _start, each in held]).T)
        self._sums: Table | None = None

    def by_kind(self, kinds: int) -> Table:
        """The sums by number of the kind, below `kinds`. To be read only."""
        if self._sums is None or len(self._sums) < kinds:
            numbers = self._columns[0]
            sums = [np.bincount(numbers, self._columns[at + 1], kinds).astype(np.int64) for at in range(len(SUMS))]
            self._sums = np.stack(sums, axis=1)
        return self._sums[:kinds]

    def bars(self, kinds: Kinds, values: Iterable[tuple[str, str]], edges: Sequence[int]) -> list[tuple[int, int, int]]:
        """For each stretch between two `edges`: attempts, refusals, redactions of the kinds with these facts."""
        wanted, numbers = kinds.matching(values), self._columns[0]
        refused = kinds.matching([("decision", _REFUSE)])
        rows, redactions = self._columns[1], self._columns[3]
        bar = np.searchsorted(np.array(edges, np.int64), self._starts, "right") - 1
        count = len(edges) - 1

        def summed(those: np.ndarray[tuple[int], np.dtype[np.bool_]], what: Column) -> list[float]:
            there = those[numbers]
            return cast("list[float]", np.bincount(bar[there], what[there], count).tolist())

        found = (summed(wanted & ~refused, rows), summed(wanted & refused, rows), summed(wanted, redactions))
        return [(int(one), int(two), int(three)) for one, two, three in zip(*found, strict=True)]

    def with_any(self, wanted: Iterable[int]) -> list[int]:
        """The starts of the stretches that have any of these kinds, each once."""
        there = np.isin(self._columns[0], np.fromiter(wanted, np.int64))
        return cast("list[int]", np.unique(self._starts[there]).tolist())
