"""How far a text is settled: what is found up to there stays so, however the text goes on.

A stream is let go up to there. The horizon is where the first stretch begins that a rule may still
come to match, or to match otherwise: a beginning of what some rule names, or a candidate on whose
other side something may still speak for or against it. It follows from the rules and from the text
alone, so what is found does not depend on how the text was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from gateway.categories import Category
from gateway.redaction.automaton import Text
from gateway.redaction.beginnings import Beginnings
from gateway.redaction.beside import AFTER, BEFORE
from gateway.redaction.findings import Ends, Finding, Settled, Window, add
from gateway.redaction.folding import fold, unsettled
from gateway.redaction.grammar import Unread
from gateway.redaction.growth import Found, Growth
from gateway.redaction.recognizers import Linear
from gateway.redaction.rules import Compiled, Rule
from gateway.redaction.tables import Numbers, numbers

_WORD_AT_END = re.compile(rb"\w*\Z")


class _Span(NamedTuple):
    """A stretch of the shadow that is used up: by a finding, or (`rule` is None) by an idiom."""

    start: int
    end: int
    finding: Finding | None


def _span(start: int, end: int, rule: Rule | None) -> _Span:
    return _Span(start, end, None if rule is None else Finding(start, end, rule.category, rule.score))


def _position(span: _Span) -> tuple[int, int]:
    return span.start, -span.end


class Horizon:
    """Settles windows with compiled rules and the operator's own recognisers. Pure after construction."""

    def __init__(self, compiled: Compiled, own: list[Linear]) -> None:
        self._compiled = compiled
        self._own = own
        self._anywhere = _beginnings([source for one in own for source in one.sources])

    def settle(self, window: Window) -> Settled:
        """What is found in a window, and up to where."""
        text, ends = window.text, window.ends
        if ends is Ends.OPEN:
            text = text[: max(window.start, unsettled(text))]
        folded = fold(text)
        cased = folded.shadow.encode("ascii", "replace")
        lower = cased.lower()
        start = folded.shadowed(window.start)
        spans, end = self._rules(cased, lower, start, ends)
        others: list[_Span] = []
        for own in self._own:
            more, settled = self._own_of(own, cased, start, ends)
            others.extend(more)
            end = min(end, settled)
        if self._compiled.growth is not None:
            spans, end = _grown(self._compiled.growth, lower, start, ends, spans, end)
        spans.extend(others)
        spans.sort(key=_position)
        while any(one.start < end < one.end for one in spans):
            end = min(one.start for one in spans if one.start < end < one.end)
        findings: list[Finding] = []
        for one in spans:
            if one.finding is not None and one.end <= end:
                first, last = folded.original(one.start, one.end)
                if first < last:
                    add(findings, Finding(max(first, window.start), last, one.finding.category, one.finding.score))
        if end >= len(lower):
            return Settled(findings, len(text))
        stop, _last = folded.original(end, end + 1)
        return Settled(findings, max(stop, window.start, findings[-1].end if findings else 0))

    def _rules(self, cased: bytes, lower: bytes, start: int, ends: Ends) -> tuple[list[_Span], int]:
        """The spans that our rules use up from `start` on, and up to where they are final."""
        heard = self._compiled.automaton.hear(lower)
        found, end = self._compiled.scanner.settle(cased, heard, self._opened(heard, lower, start, ends), start, ends)
        return [_span(*one) for one in found], end

    def _opened(self, heard: Text, lower: bytes, start: int, ends: Ends) -> Numbers:
        """Where in the text something begins that its end leaves open, in order."""
        if ends is Ends.CLOSED:
            return numbers([])
        if ends is Ends.LATE:
            match = _WORD_AT_END.search(lower, start)
            start = len(lower) if match is None else match.start()
        return numbers([place for place in heard.unfinished() if place >= start])

    def _own_of(self, own: Linear, cased: bytes, start: int, ends: Ends) -> tuple[list[_Span], int]:
        """The spans of an operator's recogniser, which may begin anywhere."""
        end = size = len(cased)
        if ends is Ends.OPEN:
            reach = range(max(start, size - BEFORE - AFTER), size)
            alive = reach.start if self._anywhere is None else self._anywhere.first(cased.lower(), reach)
            end = size if alive is None else alive
        spans = [
            _Span(first, last, Finding(first, last, own.category, score))
            for first, last, score in own.matches(cased, start)
            if first < end
        ]
        return spans, end


def _grown(
    growth: Growth, lower: bytes, start: int, ends: Ends, spans: list[_Span], end: int
) -> tuple[list[_Span], int]:
    """The rules' spans with what belongs to each finding, and up to where they are final."""
    found = [Found(one.start, one.end, Category(one.finding.category)) for one in spans if one.finding is not None]
    grown = iter(growth.grow(lower, found, start, closed=ends is not Ends.OPEN))
    made: list[_Span] = []
    floor = start
    for one in spans:
        if one.finding is None:
            made.append(one)
            continue
        first, last, final = next(grown)
        if not final:
            end = min(end, one.start)
            break
        made.append(_Span(first, last, one.finding._replace(start=first, end=last)))
        if last <= end:
            floor = last
    return made, growth.settled(lower, end, floor) if ends is Ends.OPEN else end


def _beginnings(sources: Iterable[str]) -> Beginnings | None:
    """The beginnings of some sources; None if one cannot be read, so that everything may be one."""
    try:
        return Beginnings(sources)
    except Unread:
        return None
