"""Why something was found: the rule, and the class of its evidence. Made when asked for, and kept nowhere.

The scan is run again over the same text with the same rules, so that what decides needs to carry no reasons.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.categories import Personal
from gateway.redaction.findings import Finding
from gateway.redaction.folding import fold
from gateway.redaction.recognizers import Linear
from gateway.redaction.rules import Compiled
from gateway.redaction.segments import pieces


class Evidence(enum.StrEnum):
    """What a finding rests on."""

    PHRASE = "phrase"  # reveals it wherever it stands
    LINKED = "linked term"  # counts because the words round it tie it to a person
    OPERATOR = "operator's recogniser"
    PERSONAL = "Presidio's recogniser"  # ordinary personal data
    OTHER = "other"  # a layer above the rules


@dataclass(frozen=True, slots=True)
class Explained:
    """A finding and why. `rule` is the name in the category's file; it quotes no text.

    `grown` is how many code points before and after it went along because the model of `growth` says so.
    """

    finding: Finding
    rule: str
    evidence: Evidence
    grown: tuple[int, int] = (0, 0)

    def shown(self) -> dict[str, str | int | float]:
        """As `--explain` prints it: offsets in code points, end exclusive; `grown_...` only where there is any."""
        one = self.finding
        shown: dict[str, str | int | float] = {
            "start": one.start,
            "end": one.end,
            "category": one.category.value,
            "score": round(one.score, 3),
            "rule": self.rule,
            "evidence": self.evidence.value,
        }
        before, after = self.grown
        return {**shown, "grown_before": before, "grown_after": after} if before or after else shown


@dataclass(frozen=True, slots=True)
class _Reason:
    start: int
    end: int
    score: float
    rule: str
    evidence: Evidence


class Explainer:
    """Says of findings that an engine with these rules made what they rest on."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._linear = [(custom.name, Linear(custom)) for custom in compiled.custom]

    def explain(self, text: str, findings: Sequence[Finding]) -> list[Explained]:
        """Each finding with its reason, in order."""
        if not findings:
            return []
        reasons = [reason for part in pieces(text) for reason in self._reasons(text[part.start : part.end], part.start)]
        return [self._explained(finding, reasons) for finding in findings]

    def _explained(self, finding: Finding, reasons: Sequence[_Reason]) -> Explained:
        if isinstance(finding.category, Personal):
            return Explained(finding, "personal data", Evidence.PERSONAL)
        touching = [one for one in reasons if one.start < finding.end and finding.start < one.end]
        if not touching:
            return Explained(finding, "other", Evidence.OTHER)
        same = [one for one in touching if one.score == finding.score] or touching
        best = max(same, key=lambda one: (one.score, one.end - one.start))
        before = min(one.start for one in touching) - finding.start
        after = finding.end - max(one.end for one in touching)
        return Explained(finding, best.rule, best.evidence, (max(before, 0), max(after, 0)))

    def _reasons(self, piece: str, shift: int) -> Iterator[_Reason]:
        folded = fold(piece)
        for start, end, rule in self._compiled.scanner.scan(folded.shadow):
            evidence = Evidence.LINKED if rule.needs else Evidence.PHRASE
            yield _moved(folded.original, shift, start, end, rule.score, f"{rule.category}: {rule.name}", evidence)
        for title, recognizer in self._linear:
            for result in recognizer.analyze(folded.shadow, recognizer.supported_entities):
                name = f"{result.entity_type}: {title}"
                yield _moved(folded.original, shift, result.start, result.end, result.score, name, Evidence.OPERATOR)


def _moved(
    original: Callable[[int, int], tuple[int, int]],
    shift: int,
    start: int,
    end: int,
    score: float,
    rule: str,
    evidence: Evidence,
) -> _Reason:
    first, last = original(start, end)
    return _Reason(first + shift, last + shift, score, rule, evidence)
