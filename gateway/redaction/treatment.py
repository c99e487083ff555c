"""How one tenant's text is treated: how much goes with a finding, and what stands for ordinary personal data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.categories import Scope
from gateway.redaction.findings import Finding, add
from gateway.redaction.personal import Pseudonym

REACH = 300
"""Characters on either side that a sentence without an end may have: speech recognition writes none."""
_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019\u00bb)\]]*(?=\s|$)|[\n\r\u2028\u2029]|[\u3002\uff01\uff1f]")
_TITLE = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|mme|mlle|no|vs|etc|[a-z]))\.\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a tenant asks of the redactor.

    `pseudonym` is the tenant's keyed hash, from which placeholders of ordinary personal data are made; without
    it such data is not taken out. `restore` says whether answers get the values back.
    """

    scope: Scope = Scope.SPAN
    pseudonym: Pseudonym | None = None
    restore: bool = False


USUAL: Final = Treatment()
"""What nobody asked anything else of."""


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


def complete(text: str, findings: Sequence[Finding]) -> int:
    """Up to where the sentences of a text that goes on are complete: what widens a finding there is all known."""
    done = 0
    for match in _END.finditer(text):
        if match.end() < len(text) and not _TITLE.search(text, max(0, match.end() - 6), match.end()):
            done = match.end()
    if not done and len(text) <= 3 * REACH:
        return done
    done = done or len(text) - 2 * REACH  # no end in sight: what is farther off than a sentence reaches
    for one in sentences(text, findings):  # a finding may run over the end of its line
        if one.start < done < one.end:
            done = one.start
    return done


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
