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
"""Characters of a candidate at most. What reads on for longer is none."""
_LEAD = 24
_WORDS = re.compile(rb"[0-9A-Za-z_]+")
_PLAIN = bytes(code if chr(code).isascii() and (chr(code).isalnum() or code == 0x5F) else 0x20 for code in range(256))
_SIMPLE = re.compile(rb"[a-z0-9_]+(?: [a-z0-9_]+)*")


def plainly(text: bytes) -> bytes:
    """The text with a space for every character that belongs to no word."""
    return text.translate(_PLAIN)


class Group:
    """Patterns that may begin alike: the longest match of any, and each by its number."""

    __slots__ = ("_longest", "members")

    def __init__(self, sources: Sequence[str], members: Sequence[int], count: int) -> None:
        self._longest = Expression(rf"(?:{'|'.join(sources[one] for one in members)})\b", longest=True)
        self.members = tuple(one for one in members if one < count)  # beyond are literals, known by their text

    def longest(self, text: bytes, start: int) -> int:
        """Where the longest match that begins there ends; -1 if there is none."""
        end = self._longest.at(text, start, min(len(text), start + MOST))[1]
        # At the limit RE2 takes the middle of a word for its end.
        return -1 if end == start + MOST and b" " not in plainly(text[end - 1 : end + 1]) else end


@dataclass(slots=True)
class Entry:
    """What may begin with a word: the word alone, literals by their second word, patterns; and patterns after a gap."""

    alone: bool = False
    seconds: dict[bytes, list[bytes]] = field(default_factory=dict)
    group: Group | None = None
    after_gap: Group | None = None


@dataclass(slots=True)
class _Need:
    """What a key may be needed for: matches that begin so many words before it at most, with such a word."""

    lead: int = 0
    literals: set[bytes] = field(default_factory=set)
    patterns: set[bytes] = field(default_factory=set)
    beginnings: set[bytes] = field(default_factory=set)


class _Asked(NamedTuple):
    """A key as the search asks for it. `word` is the key where it is a whole word, and a match may begin with it."""

    whole: bool
    opens: bool
    literal: bytes | None
    pattern: bytes | None
    lead: int
    literals: frozenset[bytes]
    patterns: frozenset[bytes]
    beginnings: tuple[bytes, ...]
    firsts: frozenset[bytes]

    @classmethod
    def of(cls, key: str, need: _Need) -> _Asked:
        """The key, a literal of the plain text, with what it is needed for."""
        word = key.strip(" ").encode()
        beginnings = tuple(need.beginnings)
        begins = word in need.patterns or word.startswith(beginnings)
        return cls(
            whole=key[0] == key[-1] == " ",
            opens=key[0] == " ",
            literal=word if word in need.literals else None,
            pattern=word if begins else None,
            lead=need.lead,
            literals=frozenset(need.literals),
            patterns=frozenset(need.patterns),
            beginnings=beginnings,
            firsts=frozenset(need.literals | need.patterns),
        )


class _Groups:
    """Which patterns may begin with a word, gathered; a group for each set of them that there is."""

    def __init__(self, sources: Sequence[str], count: int) -> None:
        self._sources = sources
        self._count = count
        self._made: dict[frozenset[int], Group] = {}
        self.by_word: dict[str, set[int]] = defaultdict(set)
        self.by_beginning: dict[str, set[int]] = defaultdict(set)
        self.by_gap: dict[str, set[int]] = defaultdict(set)
        """Beginnings of the word after a gap that a pattern begins with."""

    def add(self, number: int, begins: Firsts) -> None:
        """Note how a pattern begins."""
        for words, known in (
            (begins.words, self.by_word),
            (begins.beginnings, self.by_beginning),
            (begins.after_gap, self.by_gap),
        ):
            for word in words:
                known[word].add(number)

    def of(self, word: str, after_gap: bool = False, whole: bool = True) -> Group | None:
        """The patterns that may begin with that word, or with a gap and that word; None if there are none."""
        begun = self.by_gap if after_gap else self.by_beginning
        numbers = {number for length in range(len(word) + 1) for number in begun.get(word[:length], ())}
        if whole and not after_gap:
            numbers |= self.by_word.get(word, set())
        known = frozenset(numbers)
        if known and known not in self._made:
            self._made[known] = Group(self._sources, sorted(known), self._count)
        return self._made.get(known)


class Index:
    """The literals and patterns of all rules, by the words that they need.

    Args:
        literals: folded, lower case, one space for a gap.
        idioms: literals that swallow what begins within them, and are nothing by themselves.
        patterns: RE2 sources, in the order of their numbers.

    `keys` are those of the `automaton`, by number; `wild` finds what has none. `idiom_leads` says how many words
    of an idiom may stand before a word.
    """

    def __init__(self, literals: Iterable[bytes], idioms: Iterable[bytes], patterns: Sequence[str]) -> None:
        self.entries: dict[bytes, Entry] = {}
        self._needs: dict[str, _Need] = {}
        self._count = len(patterns)
        sources = list(patterns)
        for literal in literals:
            if _SIMPLE.fullmatch(literal):
                self._add_literal(literal)
            else:
                sources.append(gapped(re.escape(literal.decode("ascii"))))
        self.idiom_leads: dict[bytes, int] = {}
        for idiom in idioms:
            if _SIMPLE.fullmatch(idiom):
                self._add_idiom(idiom)
            else:
                sources.append(gapped(re.escape(idiom.decode("ascii"))))
        self.wild = self._add_patterns(sources)
        for entry in self.entries.values():
            for listed in entry.seconds.values():
                listed.sort(key=len, reverse=True)
        keyed = sorted(self._needs)
        self.keys = [_Asked.of(key, self._needs[key]) for key in keyed]
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

    def _add_patterns(self, sources: Sequence[str]) -> Expression | None:
        """Make the groups; return what finds the patterns that need no word."""
        groups = _Groups(sources, self._count)
        wild: list[str] = []
        for number, source in enumerate(sources):
            needed, begins = _read(source)
            groups.add(number, begins)
            if needed is None:
                wild.append(source)
            for key in needed or ():
                need = self._need(key)
                need.patterns.update(word.encode() for word in begins.words)
                need.beginnings.update(word.encode() for word in begins.beginnings | begins.after_gap)
        for word in {*groups.by_word, *(word.decode() for word in self.entries)}:
            entry = self.entries.setdefault(word.encode(), Entry())
            entry.group, entry.after_gap = groups.of(word), groups.of(word, after_gap=True)
        begun = {*groups.by_beginning, *groups.by_gap}
        self._lengths = sorted({*map(len, begun)}, reverse=True)
        self._begun = {
            word.encode(): Entry(group=groups.of(word, whole=False), after_gap=groups.of(word, after_gap=True))
            for word in begun
        }
        return Expression(rf"\b(?:{'|'.join(wild)})\b", longest=True) if wild else None

    # --- asking ---

    def entry(self, word: bytes) -> Entry | None:
        """What may begin with a word."""
        found = self.entries.get(word)
        if found is None and self._lengths:
            for length in self._lengths:
                found = self._begun.get(word[:length])
                if found is not None:
                    break
        return found

    def members(self, piece: bytes) -> tuple[int, ...]:
        """The numbers of the patterns that may match a piece of text."""
        match = _WORDS.search(piece)
        entry = None if match is None else self.entry(match.group())
        if match is None or entry is None:
            return ()
        group = entry.after_gap if match.start() else entry.group
        return () if group is None else group.members


def _read(source: str) -> tuple[frozenset[Key] | None, Firsts]:
    """What a pattern needs and begins with. One that is not understood needs nothing, and may begin with anything."""
    try:
        tree = read(source)
    except Unread:
        return None, Firsts(frozenset(), frozenset({""}), frozenset({""}))
    needed = keys(tree, weight)
    if needed is not None and any(key.lead > _LEAD for key in needed):
        needed = None
    return needed, firsts(tree)
