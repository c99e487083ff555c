"""A finding: where a text reveals a category, or holds personal data. Offsets and codes only, never the text."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from gateway.categories import Category, Personal


class Finding(NamedTuple):
    """A span of a text, in code points, end exclusive, that reveals a category."""

    start: int
    end: int
    category: Category | Personal
    score: float


class Ends(enum.IntEnum):
    """What is known of the end of a text.

    OPEN: it may go on. LATE: it may, but nobody may wait for that any more. CLOSED: it is the end.
    """

    OPEN = 0
    LATE = 1
    CLOSED = 2


class Window(NamedTuple):
    """Text to be settled from `start` on; before it stands what was settled, as context."""

    text: str
    start: int
    ends: Ends

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole text."""
        return self.ends is Ends.CLOSED and not self.start


class Settled(NamedTuple):
    """The findings between a window's start and `end`, in order and apart; none runs over `end`."""

    findings: list[Finding]
    end: int


Item: TypeAlias = "str | Window"
"""What is looked at: a whole text, or a window of one that goes on."""
Answer: TypeAlias = "list[Finding] | Settled"
"""What is found in one item: in a text, or in a window and up to where."""


def add(findings: list[Finding], new: Finding) -> None:
    """Append a finding that begins no earlier than the last; overlapping ones become one.

    The category of the higher score stays.
    """
    if findings and new.start < findings[-1].end:
        old = findings.pop()
        category = old.category if old.score >= new.score else new.category
        new = Finding(old.start, max(old.end, new.end), category, max(old.score, new.score))
    findings.append(new)


def behind(findings: Sequence[Finding], start: int) -> list[Finding]:
    """What of findings lies behind a place."""
    return [one if one.start >= start else one._replace(start=start) for one in findings if one.end > start]


def well_formed(findings: Sequence[Finding], length: int) -> bool:
    """Whether the spans lie in a text of that length, in order and apart."""
    return all(0 <= one.start < one.end <= length for one in findings) and all(
        before.end <= after.start for before, after in pairwise(findings)
    )


def merge(findings: Sequence[Finding], more: Sequence[Finding]) -> list[Finding]:
    """Findings of several readings of one text, in order and apart."""
    merged: list[Finding] = []
    for one in sorted([*findings, *more]):
        add(merged, one)
    return merged


def beside(special: list[Finding], personal: Sequence[Finding]) -> list[Finding]:
    """Both in order and apart. Where they overlap, the special one takes all: it never comes back."""
    if not personal:
        return special
    merged: list[Finding] = []
    for new in sorted([*special, *personal]):
        one = new
        if merged and new.start < merged[-1].end:
            old = merged.pop()
            kept = old if isinstance(old.category, Category) else new
            one = kept._replace(start=old.start, end=max(old.end, new.end))
        merged.append(one)
    return merged
