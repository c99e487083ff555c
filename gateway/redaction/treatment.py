"""How one tenant's text is treated: how much goes with a finding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.categories import Scope
from gateway.redaction.findings import Finding, add

REACH = 300
"""Characters on either side that a sentence without an end may have: speech recognition writes none."""
_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019\u00bb)\]]*(?=\s|$)|[\n\r\u2028\u2029]|[\u3002\uff01\uff1f]")
_TITLE = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|mme|mlle|no|vs|etc|[a-z]))\.\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a tenant asks of the redactor."""

    scope: Scope = Scope.SPAN


def sentences(text: str, findings: Sequence[Finding]) -> list[Finding]:
    """Each finding widened to its sentence; those that then meet are one.

    A sentence ends at a full stop, question or exclamation mark before a space, or at the end of a line; where
    no end comes, after `REACH` characters, at a space.
    """
    widened: list[Finding] = []
    for one in findings:
        start, end = _start(text, one.start), _end(text, one.end)
        add(widened, Finding(start, max(end, one.end), one.category, one.score))
    return widened


def _start(text: str, at: int) -> int:
    low = max(0, at - REACH)
    start = low
    for match in _END.finditer(text, low, at):
        if match.end() <= at and not _TITLE.search(text, max(0, match.end() - 6), match.end()):
            start = match.end()
    if start == low and low:
        space = text.find(" ", low, at)
        start = space if space >= 0 else low
    while start < at and text[start].isspace():
        start += 1
    return start


def _end(text: str, at: int) -> int:
    high = min(len(text), at + REACH)
    for match in _END.finditer(text, at, high):
        if not _TITLE.search(text, max(0, match.end() - 6), match.end()):
            return match.start() if match.group()[0] in "\n\r\u2028\u2029" else match.end()
    if high == len(text):
        return high
    space = text.rfind(" ", at, high)
    return space if space >= 0 else high
