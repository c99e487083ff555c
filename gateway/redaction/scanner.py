"""The scan: every stretch that a rule names, where what stands round it lets it count.

The automaton says where something begins, and all that it may be; what does not hold is dropped; of the rest the
longest is found. Time is linear in the text, whatever the text is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.redaction.automaton import MOST
from gateway.redaction.judging import Candidate, Stretch
from gateway.redaction.rules import Compiled


def scan(compiled: Compiled, text: str) -> Iterator[Candidate]:
    """(start, end, rule) of each candidate that holds, in order and apart. The text is folded."""
    cased = text.encode("ascii", "replace")
    size = len(cased)
    position = 0
    held: Candidate | None = None
    for stretches in compiled.judge.stretches(cased, compiled.automaton.hear(cased.lower()), size):
        start, end, _phrases = stretches[-1]
        if start < position:
            if held is not None and start < held[1] < end:
                held = held[0], farther(compiled, cased, held, stretches), held[2]
                position = held[1]
            continue
        found = _found(compiled, cased, stretches)
        if isinstance(found, int):
            position = found
        elif found is not None:
            if held is not None:
                yield held
            held = found
            position = found[1]
    if held is not None:
        yield held


def farther(compiled: Compiled, cased: bytes, held: Candidate, stretches: Sequence[Stretch]) -> int:
    """Where a candidate ends, given what begins within it: of the same category, it may go on beyond its end."""
    for stretch in beyond(held, stretches):
        listed = candidates(compiled, cased, stretch, len(cased))
        if listed is None:
            break
        best = highest(longer(held, listed))
        if best is not None:
            return best[1]
    return held[1]


def beyond(held: Candidate, stretches: Sequence[Stretch]) -> Iterator[Stretch]:
    """Those that end beyond a candidate, within its bounds; the longest first."""
    start, end, _rule = held
    return (stretch for stretch in reversed(stretches) if end < stretch.end <= start + MOST)


def longer(held: Candidate, listed: Sequence[Candidate]) -> list[Candidate]:
    """Those that reveal the same as a candidate, and end beyond it."""
    return [one for one in listed if one[1] > held[1] and one[2].category is held[2].category]


def _found(compiled: Compiled, cased: bytes, stretches: Sequence[Stretch]) -> Candidate | int | None:
    """What begins somewhere, or where it ends if it is an idiom."""
    for stretch in reversed(stretches):
        listed = candidates(compiled, cased, stretch, len(cased))
        if listed is None:
            return stretch.end
        best = highest(listed)
        if best is not None:
            return best
    return None


def candidates(compiled: Compiled, cased: bytes, stretch: Stretch, settled: int) -> list[Candidate] | None:
    """What a stretch is, or may be if it ends behind `settled`; None if it is an idiom, which swallows what is in it."""
    start, end, phrases = stretch
    found: list[Candidate] = []
    for number in phrases:
        phrase = compiled.phrases[number]
        if phrase.rule is None:
            return None
        if phrase.grouped is None:
            found.append((start, end, phrase.rule))
            continue
        spans = phrase.grouped.whole(cased[start:end].lower())
        if spans[0][0] >= 0:
            first, last = spans[1] if spans[1][0] >= 0 else spans[0]
            part = start + first, start + last, phrase.rule
            if end > settled or compiled.judge.holds(cased, part):
                found.append(part)
    return found


def highest(found: Sequence[Candidate]) -> Candidate | None:
    """The candidate of the highest score; of several, the first."""
    return max(found, key=_score, default=None)


def _score(candidate: Candidate) -> float:
    return candidate[2].score
