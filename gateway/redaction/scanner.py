"""The scan: every stretch that a rule names, and whether what stands round it lets it count.

The automaton says where something begins, and all that it may be; the longest that holds is found; a handful
of bounded searches judge each. Time is linear in the text, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gateway.redaction.automaton import MOST, Stretch
from gateway.redaction.beside import Beside, Links
from gateway.redaction.evidence import Rule
from gateway.redaction.rules import Compiled

BEFORE = 120
AFTER = 72
"""Characters of context on either side; `segments.REACH` must hold a candidate and both."""

_KNOWN = 1_024

Candidate: TypeAlias = "tuple[int, int, Rule]"
"""(start, end, rule)"""


def scan(compiled: Compiled, text: str) -> Iterator[Candidate]:
    """(start, end, rule) of each candidate that holds, in order and apart. The text is folded."""
    cased = text.encode("ascii", "replace")
    position = 0
    held: Candidate | None = None
    known: dict[tuple[int, int, bytes], Candidate | int] = {}
    for stretches in compiled.automaton.hear(cased.lower()).stretches():
        start, end, _phrases = stretches[-1]
        if start < position:
            if held is not None and start < held[1] < end:
                held = held[0], farther(compiled, cased, held, stretches), held[2]
                position = held[1]
            continue
        # A text made of repetitions asks the same over and over: what is said, and all round it that counts.
        low = max(0, start - BEFORE)
        asked = start - low, end - start, cased[low : end + AFTER]
        found = known.get(asked)
        if found is None:
            if len(known) >= _KNOWN:
                known.clear()
            found = known[asked] = _found(compiled, cased, stretches)
        if isinstance(found, int):
            position = start + found
        else:
            first, last, rule = found
            if held is not None:
                yield held
            held = start + first, start + last, rule
            position = start + last
    if held is not None:
        yield held


def farther(compiled: Compiled, cased: bytes, held: Candidate, stretches: Sequence[Stretch]) -> int:
    """Where a candidate ends, given what begins within it: of the same category, it may go on beyond its end."""
    for stretch in beyond(held, stretches):
        listed = candidates(compiled, cased, stretch)
        if listed is None:
            break
        best = judge(compiled.links, cased, longer(held, listed))
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


def _found(compiled: Compiled, cased: bytes, stretches: Sequence[Stretch]) -> Candidate | int:
    """What a stretch is, from where it begins; or how much of the text is used up: an idiom, or nothing."""
    start = stretches[0].start
    for stretch in reversed(stretches):
        listed = candidates(compiled, cased, stretch)
        if listed is None:
            return stretch.end - start
        best = judge(compiled.links, cased, listed)
        if best is not None:
            return best[0] - start, best[1] - start, best[2]
    return 0


def candidates(compiled: Compiled, cased: bytes, stretch: Stretch) -> list[Candidate] | None:
    """What a stretch may be; None if it is an idiom, which swallows what is in it."""
    start, end, phrases = stretch
    found: list[Candidate] = []
    if is_broken(cased, start, end):
        return found
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
            found.append((start + first, start + last, phrase.rule))
    return found


def judge(links: Links, cased: bytes, found: Sequence[Candidate]) -> Candidate | None:
    """The candidate of the highest score among those that hold where they stand."""
    best: Candidate | None = None
    beside: dict[tuple[int, int], tuple[Beside, Beside, Beside]] = {}
    for candidate in found:
        start, end, rule = candidate
        if best is not None and rule.score <= best[2].score:
            continue
        if rule.cased and not cased[start : start + 1].isupper():
            continue
        if rule.needs or rule.unless is not None:
            sides = beside.get((start, end))
            if sides is None:
                sides = beside[start, end] = _beside(links, cased, start, end)
            if not _holds(rule, *sides):
                continue
        best = candidate
    return best


def _beside(links: Links, cased: bytes, start: int, end: int) -> tuple[Beside, Beside, Beside]:
    """What stands before, after, and after within the sentence."""
    low = max(0, start - BEFORE)
    before = cased[max(low, cased.rfind(b"\x00", low, start) + 1) : start]
    high = cased.find(b"\x00", end, end + AFTER)
    after = cased[end : high if high >= 0 else end + AFTER]
    sentence = same_sentence(after)
    held = Beside(links, after)
    return Beside(links, before), held, held if len(sentence) == len(after) else Beside(links, sentence)


def same_sentence(after: bytes) -> bytes:
    """What follows a candidate, up to the end of its sentence: the next one's business says nothing against it."""
    ended = _SENTENCE.search(after)
    return after if ended is None else after[: ended.start()]


_END = re.compile(rb"\w{4}[.!?][\"')]*\s+(?=[A-Z])")


def is_broken(cased: bytes, start: int, end: int) -> bool:
    """Whether a sentence ends within a stretch: what stands in two is no phrase. (`St. Jude` is no end.)"""
    return _END.search(cased, start, end) is not None


_SENTENCE = re.compile(rb"[.!?][\"')]*\s+(?=[A-Z])")


def _holds(rule: Rule, before: Beside, after: Beside, sentence: Beside) -> bool:
    return all(need.holds(before, after) for need in rule.needs) and not (
        rule.unless is not None and rule.unless.holds(before, sentence)
    )
