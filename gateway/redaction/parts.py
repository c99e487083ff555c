"""Where in a phrase the part stands that is marked as the finding: RE2 says so.

With all its macros written out such a pattern has up to fifty thousand characters, and RE2 takes milliseconds and
megabytes to make an expression of it. So of each macro only those members are written out that may stand in the texts
at hand. No other could match there, and these stay in order: what RE2 finds is the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from gateway.redaction.automata import NOWHERE, Expression, Span

MACRO = re.compile(r"<([a-z_]+)>")
_BEGINS = re.compile(r"[0-9a-z_]+(?![?*{])")
_WORD = re.compile(rb"[0-9a-z_]+")
_NEVER = r"[^\x00-\x7f]"
"""Matches nothing in ASCII."""
_FIRST = 4
"""Letters by which a member is looked up, at most."""
_WORDS = 512
_EXPRESSIONS = 256
_LONG = 4096
"""A longer source names what many texts hold, and takes much memory: its expression is not remembered."""


class Source:
    """A pattern as RE2 reads it, but for the macros in it; one that is not known stands for nothing."""

    __slots__ = ("_expression", "_is_fixed", "_pieces")

    def __init__(self, source: str, macros: Mapping[str, Members]) -> None:
        pieces = [macros.get(one) if at % 2 else one for at, one in enumerate(MACRO.split(source))]
        self._pieces = [piece for piece in pieces if piece]
        self._is_fixed = len(pieces) == 1
        self._expression: Expression | None = None

    def written(self, words: Collection[str] | None = None) -> str:
        """The source for texts that are made of these words and of other characters; None: for any text."""
        return "".join([one if isinstance(one, str) else one.written(words) for one in self._pieces])

    def parts(self, texts: Sequence[bytes]) -> list[Span]:
        """Where in each of some lower-case texts that it matches the marked part stands; `NOWHERE` if there is none."""
        expression = self._made_for(texts)
        return [_part(expression, text) for text in texts]

    def _made_for(self, texts: Sequence[bytes]) -> Expression:
        if self._is_fixed:
            if self._expression is None:
                self._expression = Expression(self.written())
            return self._expression
        source = self.written({word.decode() for text in texts for word in _WORD.findall(text)})
        return _remembered(source) if len(source) <= _LONG else Expression(source)


class Members:
    """What a macro stands for: one source or another, of which the first that matches is taken."""

    __slots__ = ("_beginnings", "_known", "_others", "_sources")

    def __init__(self, sources: Sequence[Source | str]) -> None:
        self._sources = sources
        self._beginnings: dict[str, list[tuple[str, int]]] = {}
        """By their first letters, all letters with which members begin, and their numbers."""
        self._others: list[int] = []
        """The numbers of those that need not begin with letters that are known."""
        self._known: dict[int, tuple[int, ...]] = {}
        """By Python's keyed hash of a word: no text is kept."""
        for number, source in enumerate(sources):
            letters = _letters(source)
            if letters:
                self._beginnings.setdefault(letters[:_FIRST], []).append((letters, number))
            else:
                self._others.append(number)

    def written(self, words: Collection[str] | None) -> str:
        """See `Source.written`."""
        sources = self._sources if words is None else [self._sources[number] for number in self._among(words)]
        written = [one if isinstance(one, str) else one.written(words) for one in sources]
        return f"(?:{'|'.join(written)})" if written else _NEVER

    def _among(self, words: Collection[str]) -> list[int]:
        """The numbers of those that may stand in texts made of these words, in order."""
        found = set(self._others)
        known = self._known
        for word in words:
            within = known.get(hash(word))
            found.update(self._within(word) if within is None else within)
        return sorted(found)

    def _within(self, word: str) -> tuple[int, ...]:
        """The numbers of those that may begin within a word."""
        beginnings = {word[at : at + size] for at in range(len(word)) for size in range(1, _FIRST + 1)}
        listed = [self._beginnings[one] for one in beginnings if one in self._beginnings]
        found = tuple([number for some in listed for letters, number in some if letters in word])
        if len(self._known) >= _WORDS:
            self._known.clear()
        self._known[hash(word)] = found
        return found


def _letters(source: Source | str) -> str:
    """The letters with which all begins that a source matches; none if there are no such letters, or a choice."""
    begins = _BEGINS.match(source) if isinstance(source, str) and "|" not in source else None
    return begins.group() if begins else ""


def _part(expression: Expression, text: bytes) -> Span:
    whole, part, *_others = *expression.whole(text), NOWHERE
    return whole if part == NOWHERE else part


@lru_cache(_EXPRESSIONS)
def _remembered(source: str) -> Expression:
    return Expression(source)
