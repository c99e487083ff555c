"""What the rules come to: the values that scanning and judging work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.categories import Category
from gateway.redaction.automata import NOWHERE, Span
from gateway.redaction.grammar import Tree, read, written
from gateway.redaction.parts import Source
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

    `exact` is a pattern in which a part is marked as the finding, letter for letter as RE2 reads it, macros by name.
    """

    rule: Rule | None
    pattern: str = ""
    macros: Mapping[str, Tree] = field(default_factory=dict)
    exact: Source | None = None

    @property
    def source(self) -> str:
        """A pattern as RE2 reads it; nothing for terms."""
        if self.exact is not None:
            return self.exact.written()
        return written(read(self.pattern, phrase=True), self.macros) if self.pattern else ""

    def parts(self, texts: Sequence[bytes]) -> list[Span]:
        """Where in each of some texts that are this the part stands that is the finding; `NOWHERE` if there is none."""
        return [NOWHERE] * len(texts) if self.exact is None else self.exact.parts(texts)


@dataclass(frozen=True, slots=True)
class Custom:
    """An operator's own recogniser: `patterns` are (name, RE2, score), `words` a deny list."""

    category: Category
    name: str
    patterns: tuple[tuple[str, str, float], ...]
    words: tuple[str, ...]
    words_score: float
