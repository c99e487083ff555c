"""How far a text is settled: what is found up to there stays so, however the text goes on.

A stream is let go up to there. The horizon is where the first stretch begins that a rule may still
come to match, or to match otherwise: a beginning of what some rule names, or a candidate on whose
other side something may still speak for or against it. It follows from the rules and from the text
alone, so what is found does not depend on how the text was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.categories import Category
from gateway.redaction.automaton import Text
from gateway.redaction.beginnings import Beginnings
from gateway.redaction.beside import AFTER, BEFORE
from gateway.redaction.findings import Ends, Finding, Settled, Window, add
from gateway.redaction.folding import fold, unsettled
from gateway.redaction.grammar import Unread
from gateway.redaction.growth import Found, Growth
from gateway.redaction.judging import Candidate, Stretch
from gateway.redaction.recognizers import Linear
from gateway.redaction.rules import Compiled
from gateway.redaction.scanner import beyond, candidates, highest, longer

_WORD_AT_END = re.compile(rb"\w*\Z")


class _Span(NamedTuple):
    """A stretch of the shadow that is used up: by a finding, or (`rule` is None) by an idiom."""

    start: int
    end: int
    finding: Finding | None


def _span(candidate: Candidate) -> _Span:
    start, end, rule = candidate
    return _Span(start, end, Finding(start, end, rule.category, rule.score))


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
        compiled, size = self._compiled, len(lower)
        spans: list[_Span] = []
        words = compiled.automaton.hear(lower)
        starts = self._starts(words, lower, start, ends)
        alive = next(starts, size)
        settled = size if ends is Ends.CLOSED else size - AFTER
        begun = position = start
        held: Candidate | None = None
        for stretches in compiled.judge.stretches(cased, words, settled):
            first = stretches[0].start
            if first >= alive:
                break
            within = held if held is not None and first < held[1] else None
            if first < position and within is None:
                continue
            best, final = self._decided(cased, stretches, within, settled)
            if not final and ends is Ends.OPEN:
                return (spans, first) if within is None else (spans[:-1], begun)
            if isinstance(best, int) and within is None:
                spans.append(_Span(first, best, None))
                held, position = None, best
            elif isinstance(best, tuple):
                if within is None:
                    begun = first
                else:
                    best = within[0], best[1], within[2]
                    spans.pop()
                held, position = best, best[1]
                spans.append(_span(best))
            if held is not None and alive < position and ends is Ends.OPEN:
                return spans[:-1], begun  # what begins within it may carry it farther
            while alive < position:
                alive = next(starts, size)
        return spans, alive

    def _decided(
        self, cased: bytes, stretches: list[Stretch], within: Candidate | None, settled: int
    ) -> tuple[Candidate | int | None, bool]:
        """What begins somewhere, or where it ends if it is an idiom; and whether that is so however the text goes on.

        Within a candidate it is what goes on beyond that.
        """
        for stretch in reversed(stretches) if within is None else beyond(within, stretches):
            listed = candidates(self._compiled, cased, stretch, settled)
            if listed is None:
                return stretch.end, True
            if within is not None:
                listed = longer(within, listed)
            best, final = (highest(listed), True) if stretch.end <= settled else self._unsettled(cased, listed)
            if best is not None or not final:
                return best, final
        return None, True

    def _unsettled(self, cased: bytes, listed: list[Candidate]) -> tuple[Candidate | None, bool]:
        """The candidate that holds where a stretch ends, and whether that is so however the text goes on."""
        judge = self._compiled.judge
        if any(judge.may_turn(cased, one) for one in listed):
            return highest(listed), False  # rather too much
        return highest([one for one in listed if judge.holds(cased, one)]), True

    def _starts(self, words: Text, lower: bytes, start: int, ends: Ends) -> Iterator[int]:
        """Where in the text something begins that its end leaves open, in order."""
        if ends is Ends.CLOSED:
            return
        if ends is Ends.LATE:
            match = _WORD_AT_END.search(lower, start)
            start = len(lower) if match is None else match.start()
        yield from (place for place in words.unfinished() if place >= start)

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
