"""What the rules come to: the values that scanning and judging work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.categories import Category
from gateway.redaction.automata import Expression
from gateway.redaction.patterns import plainly

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
class Clue:
    """One pattern of a link or veto, and words of which a text that it holds in has one (None: it may hold in any)."""

    expression: Expression
    words: frozenset[bytes] | None


class Beside:
    """The text on one side of a candidate, and the words in it."""

    __slots__ = ("_words", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._words: list[bytes] | None = None

    def holds(self, clues: Iterable[Clue]) -> bool:
        """Whether one of these stands here."""
        if self._words is None:
            self._words = plainly(self.text.lower()).split()
        for clue in clues:
            if (clue.words is None or not clue.words.isdisjoint(self._words)) and clue.expression.holds(self.text):
                return True
        return False


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """Text that must stand before (ending at) or after (starting at) a candidate: any of the clues."""

    before: tuple[Clue, ...]
    after: tuple[Clue, ...]

    def holds(self, before: Beside, after: Beside) -> bool:
        """Whether it stands there."""
        return before.holds(self.before) or after.holds(self.after)


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
