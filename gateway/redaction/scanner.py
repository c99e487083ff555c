"""The scan: every stretch that a rule names, and whether what stands round it lets it count.

Linear in the text: RE2 finds the longest candidate at each place, a handful of bounded searches judge it.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.redaction.rules import Compiled, Rule, canonical

BEFORE = 120
AFTER = 72
"""Characters of context on either side; `segments.REACH` must hold a candidate and both."""


def scan(compiled: Compiled, text: str) -> Iterator[tuple[int, int, Rule]]:
    """(start, end, rule) of each candidate that holds, in order and apart."""
    cased = text.encode("ascii", "replace")
    lower = cased.lower()
    size = len(lower)
    search = compiled.scanner.search
    position = 0
    while position < size:
        match = search(lower, position)
        if match is None:
            return
        start, end = match.span()
        piece = lower[start:end]
        found = candidates(compiled, piece, start)
        if found is None:
            position = end
            continue
        best = judge(cased, found)
        if best is None:
            position = next_word(lower, start)
        else:
            yield best
            position = max(best[1], start + 1)


def candidates(compiled: Compiled, piece: bytes, start: int) -> list[tuple[int, int, Rule]] | None:
    """What a match of the scanner at `start` may be; None if it is an idiom, which swallows what is in it."""
    key = canonical(piece)
    if key in compiled.idioms or (compiled.idiom_set is not None and compiled.idiom_set.Match(key)):
        return None
    end = start + len(piece)
    found = [(start, end, rule) for rule in compiled.literals.get(key, ())]
    if compiled.pattern_set is not None:
        # A set that runs out of memory answers nothing. But something matched here: then each is asked.
        indices = compiled.pattern_set.Match(piece) or (() if found else range(len(compiled.patterns)))
        for index in indices:
            rule, pattern = compiled.patterns[index]
            match = pattern.fullmatch(piece)
            if match is not None:
                inner = match.span(1) if pattern.groups and match.span(1)[0] >= 0 else (0, end - start)
                found.append((start + inner[0], start + inner[1], rule))
    return found


def judge(cased: bytes, found: list[tuple[int, int, Rule]]) -> tuple[int, int, Rule] | None:
    """The candidate of the highest score among those that hold where they stand."""
    best: tuple[int, int, Rule] | None = None
    for candidate in found:
        if (best is None or candidate[2].score > best[2].score) and _holds(cased, candidate):
            best = candidate
    return best


def _holds(cased: bytes, candidate: tuple[int, int, Rule]) -> bool:
    start, end, rule = candidate
    if rule.cased and not cased[start : start + 1].isupper():
        return False
    if not rule.needs and rule.unless is None:
        return True
    low = max(0, start - BEFORE)
    before = cased[max(low, cased.rfind(b"\x00", low, start) + 1) : start]
    high = cased.find(b"\x00", end, end + AFTER)
    after = cased[end : high if high >= 0 else end + AFTER]
    return all(need.holds(before, after) for need in rule.needs) and not (
        rule.unless is not None and rule.unless.holds(before, after)
    )


def next_word(lower: bytes, start: int) -> int:
    """Where the next word after the one at `start` begins, or later."""
    size = len(lower)
    at = start
    while at < size and lower[at : at + 1].isalnum():
        at += 1
    return max(at, start + 1)
