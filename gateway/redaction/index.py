"""Which rules to ask at which words: the literals of all rules, and small expressions for their patterns.

One pass of an Aho-Corasick automaton over the text finds the *keys*: for each rule a word that its
matches cannot be without, and that talk is seldom made of. Round a key stand the only places where
something can begin; there the word itself tells which literals and which patterns may. So stock talk
costs little more than that pass, however many rules there are, and no text can make it cost much more:
the automaton is whole from the start, and every other question is about `MOST` characters.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from gateway.redaction.automata import Expression
from gateway.redaction.everyday import weight
from gateway.redaction.grammar import Unread, read
from gateway.redaction.patterns import gapped
from gateway.redaction.shapes import Firsts, Key, firsts, keys

MOST = 192
"""Characters of a candidate at most, but for the word that it ends with. What reads on for longer is none."""
_WORDS = re.compile(rb"[0-9A-Za-z_]+")
_SIMPLE = re.compile(rb"[a-z0-9_]+(?: [a-z0-9_]+)*")


@dataclass(slots=True)
class Entry:
    """The literals that begin with a word: it alone, and those of several words by their second, longest first."""

    alone: bool = False
    seconds: dict[bytes, list[bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class _Need:
    """What a key may be needed for: matches that begin so many words before it at most; literals, and patterns."""

    lead: int = 0
    literals: set[bytes] = field(default_factory=set)
    patterns: set[int] = field(default_factory=set)


class Begun:
    """Some patterns, by the words that they may begin with, or their beginnings."""

    __slots__ = ("_beginnings", "_known", "_words", "prefixes", "words")

    def __init__(self, numbers: Iterable[int], begins: Sequence[Firsts]) -> None:
        words: dict[bytes, set[int]] = defaultdict(set)
        beginnings: dict[bytes, set[int]] = defaultdict(set)
        for number in numbers:
            for word in begins[number].words:
                words[word.encode()].add(number)
            for word in begins[number].beginnings | begins[number].after_gap:
                beginnings[word.encode()].add(number)
        same: dict[frozenset[int], frozenset[int]] = {}
        self._words = {word: same.setdefault(frozenset(found), frozenset(found)) for word, found in words.items()}
        self.words = frozenset(words)
        self._beginnings = {word: frozenset(found) for word, found in beginnings.items()}
        self.prefixes = tuple(beginnings)
        self._known: dict[bytes, frozenset[int]] = {}

    def of(self, word: bytes) -> frozenset[int]:
        """The numbers of those that may begin with a word, or with a gap and that word."""
        known = self._known.get(word)
        if known is not None:
            return known
        found = self._words.get(word, _NONE)
        if word.startswith(self.prefixes):
            for beginning, numbers in self._beginnings.items():
                if word.startswith(beginning):
                    found |= numbers
        if len(self._known) < _MOST_KNOWN:
            self._known[word] = found
        return found


_NONE: frozenset[int] = frozenset()
_MOST_KNOWN = 1024


class Asked(NamedTuple):
    """A key as the search asks for it.

    `whole` says that it is a whole word; then `literal` and `pattern` are what may begin with it. Matches that
    begin up to `lead` words before it are literals that begin with one of `literals`, or patterns of `begun`.
    """

    whole: bool
    opens: bool
    literal: bytes | None
    pattern: frozenset[int]
    lead: int
    literals: frozenset[bytes]
    begun: Begun


class Index:
    """The literals and patterns of all rules, by the words that they need.

    Args:
        literals: folded, lower case, one space for a gap.
        idioms: literals that swallow what begins within them, and are nothing by themselves.
        patterns: RE2 sources, in the order of their numbers.

    `keys` are those of the `automaton`, by number; `wild` finds what has none. `idiom_leads` says how many words
    of an idiom may stand before a word. `all` tells of all patterns; `after_gap` are those that may begin with a gap.
    """

    def __init__(self, literals: Iterable[bytes], idioms: Iterable[bytes], patterns: Sequence[str]) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.idiom_leads: dict[bytes, int] = {}
        self._needs: dict[str, _Need] = {}
        self._count = len(patterns)
        sources = list(patterns)
        for literal in literals:
            if _SIMPLE.fullmatch(literal):
                self._add_literal(literal)
            else:
                sources.append(gapped(re.escape(literal.decode("ascii"))))
        for idiom in idioms:
            if _SIMPLE.fullmatch(idiom):
                self._add_idiom(idiom)
            else:
                sources.append(gapped(re.escape(idiom.decode("ascii"))))
        for entry in self.entries.values():
            for listed in entry.seconds.values():
                listed.sort(key=len, reverse=True)
        begins: list[Firsts] = []
        wild: list[str] = []
        for number, source in enumerate(sources):
            needed, first = _read(source)
            begins.append(first)
            if needed is None:
                wild.append(source)
            for key in needed or ():
                self._need(key).patterns.add(number)
        self.all = Begun(range(len(sources)), begins)
        self.after_gap = frozenset(number for number, first in enumerate(begins) if first.after_gap)
        self.wild = Expression(rf"\b(?:{'|'.join(wild)})\b", longest=True) if wild else None
        self._longest = [Expression(rf"(?:{source})\b", longest=True) for source in sources]
        keyed = sorted(self._needs)
        self.keys = self._asked(begins)
        self.automaton = (
            BytesAhoCorasick([key.encode() for key in keyed], implementation=Implementation.DFA) if keyed else None
        )

    # --- making ---

    def _need(self, key: Key) -> _Need:
        need = self._needs.setdefault(key.literal, _Need())
        need.lead = max(need.lead, key.lead)
        return need

    def _add_idiom(self, idiom: bytes) -> None:
        """It needs no key: what it could swallow has one, and is asked how far back an idiom may begin."""
        words = self._enter(idiom)
        for index, word in enumerate(words):
            if index:
                self.idiom_leads[word] = max(self.idiom_leads.get(word, 0), index)

    def _add_literal(self, literal: bytes) -> None:
        words = self._enter(literal)
        _cost, _short, index = min(
            (weight(f" {word.decode()} "), -len(word), index) for index, word in enumerate(words)
        )
        self._need(Key(f" {words[index].decode()} ", index)).literals.add(words[0])

    def _enter(self, literal: bytes) -> list[bytes]:
        words = literal.split(b" ")
        entry = self.entries.setdefault(words[0], Entry())
        if len(words) == 1:
            entry.alone = True
        else:
            entry.seconds.setdefault(words[1], []).append(literal)
        return words

    def _asked(self, begins: Sequence[Firsts]) -> list[Asked]:
        """The keys in their order. Those that are needed for the same patterns share what is known of these."""
        shared: dict[frozenset[int], Begun] = {}
        asked: list[Asked] = []
        for key, need in sorted(self._needs.items()):
            numbers = frozenset(need.patterns)
            if numbers not in shared:
                shared[numbers] = Begun(numbers, begins)
            begun = shared[numbers]
            word = key.strip(" ").encode()
            asked.append(
                Asked(
                    whole=key[0] == key[-1] == " ",
                    opens=key[0] == " ",
                    literal=word if word in need.literals else None,
                    pattern=begun.of(word),
                    lead=need.lead,
                    literals=frozenset(need.literals),
                    begun=begun,
                )
            )
        return asked

    # --- asking ---

    def members(self, piece: bytes) -> list[int]:
        """The numbers of the patterns that may match a piece of text."""
        match = _WORDS.search(piece)
        return [] if match is None else sorted(one for one in self.all.of(match.group()) if one < self._count)

    def reach(self, number: int, text: bytes, start: int, limit: int) -> int:
        """Where the longest match of a pattern ends that begins at text[start], up to `limit`; -1 if there is none."""
        return self._longest[number].at(text, start, limit)[1]


def _read(source: str) -> tuple[frozenset[Key] | None, Firsts]:
    """What a pattern needs and begins with. One that is not understood needs nothing, and may begin with anything."""
    try:
        tree = read(source)
    except Unread:
        return None, Firsts(frozenset(), frozenset({""}), frozenset({""}))
    return keys(tree, weight), firsts(tree)
