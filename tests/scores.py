"""The scores of the redaction guidelines: gold spans against predictions, whoever predicted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from gateway.redaction.plain import Plain

Row: TypeAlias = "Mapping[str, Plain]"


class Span(NamedTuple):
    """A prediction: code points, end exclusive; whatever its maker calls what it found."""

    start: int
    end: int
    category: str


_WORD = re.compile(r"\w+(?:['’-]\w+)*")  # noqa: RUF001
_STOP = frozenset(
    re.findall(
        r"\S+",
        """
    a an the of in on at to for from by with and or but is are was were be been am i you he she it we they my your his
    her its our their me him them this that these those as so not no do does did has have had 's 'm 're
    un une le la les de du des d l et ou à au aux en dans sur pour par avec est sont était son sa ses mon ma mes
    uh um erm euh ben like you know
    """,
    )
)
_BEFORE, _AFTER = 50, 30


@dataclass
class Score:
    """What one corpus, or one part of it, came to. `missed` and `alarms` quote the text."""

    gold: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    leaks: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    words: int = 0
    missed: list[dict[str, str]] = field(default_factory=list)
    alarms: list[dict[str, str]] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of scored gold spans that are covered by half or more; 1 if there are none."""
        return _share(self.hit.total(), self.gold.total(), 1.0)

    @property
    def leak(self) -> float:
        """Share of scored gold spans of which a content word stays."""
        return _share(self.leaks.total(), self.gold.total(), 0.0)

    @property
    def accuracy(self) -> float:
        """Share of covered spans whose category is right."""
        return _share(self.right.total(), self.hit.total(), 1.0)

    @property
    def alarms_per_10k(self) -> float:
        """False positives per 10,000 words."""
        return self.per_10k(self.false.total())

    def per_10k(self, count: int) -> float:
        """A count per 10,000 words."""
        return 10_000 * count / max(1, self.words)

    def of(self, category: str) -> Score:
        """The part of one category. Its alarms are those that claimed it, over all words."""
        parts = ("gold", "hit", "right", "leaks", "false")
        return Score(**{name: Counter({category: getattr(self, name)[category]}) for name in parts}, words=self.words)


def score(rows: Iterable[Row], found: Iterable[Sequence[Span]]) -> Score:
    """Compare the predictions of each row with its gold spans."""
    total = Score()
    for row, spans in zip(rows, found, strict=True):
        text = str(row["text"])
        total.words += len(text.split())
        gold = _gold(row)
        for start, end, category, optional in gold:
            if not optional:
                _score_span(total, row, (start, end, category), spans)
        for one in spans:
            if not any(one.start < end and start < one.end for start, end, _category, _optional in gold):
                total.false[one.category] += 1
                total.alarms.append({"kind": "alarm", **_told(row, one.start, one.end), "said": one.category})
    return total


def _gold(row: Row) -> list[tuple[int, int, str, bool]]:
    spans = row["spans"]
    assert isinstance(spans, list)
    return [(one["start"], one["end"], one["category"], bool(one.get("optional"))) for one in spans]  # type: ignore[index,call-overload,union-attr,misc]


def _score_span(total: Score, row: Row, gold: tuple[int, int, str], spans: Sequence[Span]) -> None:
    start, end, category = gold
    text = str(row["text"])
    covering = [one for one in spans if one.start < end and start < one.end]
    characters = {at for one in covering for at in range(max(start, one.start), min(end, one.end))}
    total.gold[category] += 1
    leaks = any(
        match.group().casefold() not in _STOP
        and not characters >= set(range(start + match.start(), start + match.end()))
        for match in _WORD.finditer(text[start:end])
    )
    total.leaks[category] += leaks
    covered = 2 * len(characters) >= end - start
    right = any(one.category == category for one in covering)
    if covered:
        total.hit[category] += 1
        total.right[category] += right
    if not covered or not right or leaks:
        kind = "miss" if not covered else "leak" if leaks else "category"
        said = ", ".join(sorted({one.category for one in covering}))
        total.missed.append({"kind": kind, **_told(row, start, end), "gold": category, "said": said})


def _told(row: Row, start: int, end: int) -> dict[str, str]:
    text = str(row["text"])
    around = f"{text[max(0, start - _BEFORE) : start]}⟦{text[start:end]}⟧{text[end : end + _AFTER]}"
    return {"id": str(row.get("id")), "text": around}


def _share(part: int, whole: int, nothing: float) -> float:
    return part / whole if whole else nothing
