"""What the rules come to: the values that scanning and judging work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from gateway.categories import Category
from gateway.redaction.automata import NOWHERE, Expression, Span
from gateway.redaction.grammar import Tree, read, written
from gateway.redaction.tables import Numbers

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
    """What must stand before (ending at) or after (starting at) a candidate: any of these sides, by number."""

    before: Numbers
    after: Numbers


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


@dataclass(frozen=True, eq=False)
class Phrase:
    """What the number of a phrase stands for: the terms or a `pattern` of a rule; without a rule, idioms.

    `exact` is a pattern in which a part is marked as the finding, letter for letter as RE2 reads it.
    """

    rule: Rule | None
    pattern: str = ""
    macros: Mapping[str, Tree] = field(default_factory=dict)
    exact: str = ""

    @property
    def source(self) -> str:
        """A pattern as RE2 reads it; nothing for terms."""
        return self.exact or (written(read(self.pattern, phrase=True), self.macros) if self.pattern else "")

    def part(self, text: bytes) -> Span:
        """Where in a text that this is the part stands that is the finding; `NOWHERE` if there is none."""
        if self._expression is None:
            return NOWHERE
        whole, part, *_others = *self._expression.whole(text), NOWHERE
        return whole if part == NOWHERE else part

    @cached_property
    def _expression(self) -> Expression | None:
        return Expression(self.exact) if self.exact else None


@dataclass(frozen=True, slots=True)
class Custom:
    """An operator's own recogniser: `patterns` are (name, RE2, score), `words` a deny list."""

    category: Category
    name: str
    patterns: tuple[tuple[str, str, float], ...]
    words: tuple[str, ...]
    words_score: float
