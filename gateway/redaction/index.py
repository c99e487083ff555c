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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from gateway.redaction.automata import Expression
from gateway.redaction.everyday import weight
from gateway.redaction.patterns import GAP_CHARACTERS, gapped
from gateway.redaction.shapes import Firsts, Key, Unread, firsts, keys, read

MOST = 192
"""Characters of a candidate at most. What reads on for longer is none."""
_LEAD = 24
_WORDS = re.compile(rb"[0-9A-Za-z_]+")
_PLAIN = bytes(code if chr(code).isascii() and (chr(code).isalnum() or code == 0x5F) else 0x20 for code in range(256))
_OPEN = bytes(0x20 if chr(code) in GAP_CHARACTERS else code for code in range(256))
_SIMPLE = re.compile(rb"[a-z0-9_]+(?: [a-z0-9_]+)*")


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
        return -1 if end == start + MOST and text[end - 1 : end + 1].translate(_PLAIN).isalnum() else end


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


class Index:
    """The literals and patterns of all rules, by the words that they need.

    Args:
        literals: folded, lower case, one space for a gap.
        idioms: literals that swallow what begins within them, and are nothing by themselves.
        patterns: RE2 sources, in the order of their numbers.
    """

    def __init__(self, literals: Iterable[bytes], idioms: Iterable[bytes], patterns: Sequence[str]) -> None:
        self._entries: dict[bytes, Entry] = {}
        self._needs: dict[str, _Need] = {}
        self._count = len(patterns)
        sources = list(patterns)
        for literal in literals:
            if _SIMPLE.fullmatch(literal):
                self._add_literal(literal)
            else:
                sources.append(gapped(re.escape(literal.decode("ascii"))))
        self._idiom_leads: dict[bytes, int] = {}
        for idiom in idioms:
            if _SIMPLE.fullmatch(idiom):
                self._add_idiom(idiom)
            else:
                sources.append(gapped(re.escape(idiom.decode("ascii"))))
        self._wild = self._add_patterns(sources)
        keyed = sorted(self._needs)
        self._keys = [_Asked.of(key, self._needs[key]) for key in keyed]
        self._automaton = (
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
                self._idiom_leads[word] = max(self._idiom_leads.get(word, 0), index)

    def _add_literal(self, literal: bytes) -> None:
        words = self._enter(literal)
        _cost, _short, index = min(
            (weight(f" {word.decode()} "), -len(word), index) for index, word in enumerate(words)
        )
        self._need(Key(f" {words[index].decode()} ", index)).literals.add(words[0])

    def _enter(self, literal: bytes) -> list[bytes]:
        words = literal.split(b" ")
        entry = self._entries.setdefault(words[0], Entry())
        if len(words) == 1:
            entry.alone = True
        else:
            entry.seconds.setdefault(words[1], []).append(literal)
        return words

    def _add_patterns(self, sources: Sequence[str]) -> Expression | None:
        """Make the groups; return what finds the patterns that need no word."""
        by_word: dict[str, set[int]] = defaultdict(set)
        by_beginning: dict[str, set[int]] = defaultdict(set)
        after_gap: dict[str, set[int]] = defaultdict(set)
        wild: list[str] = []
        for number, source in enumerate(sources):
            needed, begins = _read(source)
            if needed is None:
                wild.append(source)
            else:
                for key in needed:
                    need = self._need(key)
                    need.patterns.update(word.encode() for word in begins.words)
                    need.beginnings.update(word.encode() for word in begins.beginnings | begins.after_gap)
            for word in begins.words:
                by_word[word].add(number)
            for beginning in begins.beginnings:
                by_beginning[beginning].add(number)
            for word in begins.after_gap:
                after_gap[word].add(number)
        self._lengths = sorted(map(len, {*by_beginning}), reverse=True)
        gap_lengths = {*map(len, after_gap)}
        made: dict[frozenset[int], Group] = {}

        def group(members: set[int]) -> Group | None:
            if not members:
                return None
            known = frozenset(members)
            if known not in made:
                made[known] = Group(sources, sorted(known), self._count)
            return made[known]

        def begun(word: str) -> set[int]:
            return set().union(*(by_beginning.get(word[:length], ()) for length in self._lengths))

        def begun_after_gap(word: str) -> set[int]:
            return set().union(*(after_gap.get(word[:length], ()) for length in gap_lengths))

        self._begun = {
            word.encode(): Entry(group=group(begun(word)), after_gap=group(begun_after_gap(word)))
            for word in {*by_beginning, *after_gap}
        }
        self._lengths = sorted({*self._lengths, *gap_lengths}, reverse=True)
        for word in {*by_word, *(word.decode() for word in self._entries)}:
            entry = self._entries.setdefault(word.encode(), Entry())
            entry.group = group(by_word.get(word, set()) | begun(word))
            entry.after_gap = group(begun_after_gap(word))
        for entry in self._entries.values():
            for listed in entry.seconds.values():
                listed.sort(key=len, reverse=True)
        return Expression(rf"\b(?:{'|'.join(wild)})\b", longest=True) if wild else None

    # --- asking ---

    def entry(self, word: bytes) -> Entry | None:
        """What may begin with a word."""
        found = self._entries.get(word)
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

    def stretches(self, text: bytes) -> list[tuple[int, int]]:
        """(start, end) of the longest literal or pattern at each place of a lower-case text where one begins.

        In order; they may overlap. An idiom is among them where it could matter.
        """
        if self._automaton is None and self._wild is None:
            return []
        return _Search(self, text).stretches()


class _Search:
    """One text, asked where something begins and how far it reaches there.

    `plain` is the text with a space for all that stands in no word, and one space more at either end:
    the word that begins at text[start] stands behind the space plain[start].
    """

    __slots__ = ("_index", "_literals", "_open", "_patterns", "_plain", "_text")

    def __init__(self, index: Index, text: bytes) -> None:
        self._index = index
        self._text = text
        self._plain = b" %b " % text.translate(_PLAIN)
        self._open = b""
        self._literals: dict[int, bytes] = {}
        self._patterns: dict[int, bytes] = {}
        """Where a literal, or a pattern, may begin, and the word that it begins with (a pattern after a gap: before)."""

    def stretches(self) -> list[tuple[int, int]]:
        """See `Index.stretches`."""
        self._find_keys()
        if self._index._wild is not None:
            self._find_wild(self._index._wild)
        found: dict[int, int] = {}
        for start, word in self._literals.items():
            end = self._literal(start, word)
            if end >= 0:
                found[start] = end
        for start, word in self._patterns.items():
            end = self._pattern(start, word)
            if end >= 0:
                found[start] = max(end, found.get(start, -1), self._literal(start, word))
        if found:
            self._find_idioms(found)
        return sorted(found.items())

    def _find_keys(self) -> None:
        index, plain, at_literals, at_patterns = self._index, self._plain, self._literals, self._patterns
        if index._automaton is None:
            return
        keys = index._keys
        for number, start, _end in index._automaton.find_matches_as_indexes(plain, overlapping=True):
            whole, opens, literal, pattern, lead, literals, patterns, beginnings, firsts = keys[number]
            if not whole:
                start = start if opens else plain.rfind(b" ", 0, start)
                pattern = plain[start + 1 : plain.find(b" ", start + 1)]
                if pattern not in patterns and not pattern.startswith(beginnings):
                    pattern = None
            if literal is not None:
                at_literals[start] = literal
            if pattern is not None:
                self._enter(start, pattern)
            if lead and (
                beginnings
                or not firsts.isdisjoint(plain[start - MOST if start > MOST else 0 : start].rsplit(None, lead))
            ):
                for before, word in self._words_before(start, lead):
                    if word in literals:
                        at_literals[before] = word
                    if word in patterns or word.startswith(beginnings):
                        self._enter(before, word)

    def _enter(self, start: int, word: bytes) -> None:
        """Note that a pattern may begin with that word, or with the gap before it."""
        if start in self._patterns:
            return
        self._patterns[start] = word
        entry = self._index.entry(word)
        if entry is not None and entry.after_gap is not None:
            low = max(0, start - MOST)
            gap = len(self._plain[low : start + 1].rstrip())
            if gap:
                self._patterns[low + gap - 1] = word

    def _find_wild(self, wild: Expression) -> None:
        position = 0
        while (start := wild.find(self._text, position)[0]) >= 0:
            word = self._plain.find(b" ", start + 1)
            self._enter(start, self._plain[start + 1 : word])
            position = max(word - 1, start + 1)

    def _find_idioms(self, found: dict[int, int]) -> None:
        """Add the idioms that could swallow what was found, and those that could swallow these."""
        leads, plain = self._index._idiom_leads, self._plain
        waiting = list(found)
        seen = set(waiting)
        while waiting:
            start = waiting.pop()
            word = start + 1
            while plain[word] == 0x20:  # it begins with a gap
                word += 1
            lead = leads.get(plain[word : plain.find(b" ", word)], 0)
            for before, first in self._words_before(start, lead) if lead else ():
                if before not in seen:
                    seen.add(before)
                    end = self._literal(before, first)
                    if end >= 0:
                        found[before] = end
                        waiting.append(before)

    def _words_before(self, start: int, count: int) -> Iterator[tuple[int, bytes]]:
        """The words before the one at text[start], backwards: where each begins, and the word."""
        low = max(0, start - MOST)
        before = self._plain[low:start]
        for _ in range(count):
            before = before.rstrip()
            at = before.rfind(b" ")
            if at < 0:
                return  # the first word of the text stands behind a space too: this one was cut
            yield low + at, before[at + 1 :]
            before = before[:at]

    def _pattern(self, start: int, word: bytes) -> int:
        """Where the longest pattern that begins at text[start], with that word, ends; -1 if none does."""
        entry = self._index.entry(word)
        if entry is None:
            return -1
        group = entry.after_gap if self._plain[start + 1] == 0x20 else entry.group
        return -1 if group is None else group.longest(self._text, start)

    def _literal(self, start: int, word: bytes) -> int:
        """Where the longest literal that begins at text[start], with that word, ends; -1 if none does."""
        entry = self._index._entries.get(word)
        plain = self._plain
        if entry is None or plain[start + 1] == 0x20:
            return -1
        alone = start + len(word) if entry.alone else -1
        if not entry.seconds:
            return alone
        second = start + len(word) + 2
        while plain[second : second + 1] == b" " and second - start < MOST:
            second += 1
        listed = entry.seconds.get(plain[second : plain.find(b" ", second)])
        if listed is None:
            return alone
        if not self._open:
            self._open = self._text.translate(_OPEN)
        region = self._open[start : start + MOST + 1]
        if b"  " in region:
            region = _squeezed(region)
        for literal in listed:
            if region.startswith(literal) and not region[len(literal) : len(literal) + 1].translate(_PLAIN).strip():
                at = start
                for part in literal.split(b" "):  # every gap is as long as it is
                    at = self._open.index(part, at) + len(part)
                return at
        return alone


def _squeezed(region: bytes) -> bytes:
    while b"  " in region:
        region = region.replace(b"  ", b" ")
    return region


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
