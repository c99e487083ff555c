"""What the rules come to: the values that scanning and judging work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.categories import Category
from gateway.redaction.automata import Expression

Path: TypeAlias = "tuple[str | int, ...]"
Report: TypeAlias = Callable[[Path, str], None]
"""Called with the path of a fault (the first part is the file's stem) and the reason."""


class RulesInvalid(ValueError):
    """The mappings are not rules. The faults went to the report."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence of a category's file. Each of `found` must be touched; without any, nothing may be."""

    category: Category
    text: str
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """Text that must stand before (ending at) or after (starting at) a candidate."""

    before: Expression | None
    after: Expression | None

    def holds(self, before: bytes, after: bytes) -> bool:
        """Whether it stands there."""
        return (self.before is not None and self.before.holds(before)) or (
            self.after is not None and self.after.holds(after)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """What its terms and patterns may reveal, and when they do."""

    category: Category
    name: str
    score: float
    needs: tuple[Around, ...]
    """All of these; empty if it needs nobody."""
    unless: Around | None
    cased: bool


@dataclass(frozen=True, slots=True)
class Custom:
    """An operator's own recogniser: `patterns` are (name, RE2, score), `words` a deny list."""

    category: Category
    name: str
    patterns: tuple[tuple[str, str, float], ...]
    words: tuple[str, ...]
    words_score: float
