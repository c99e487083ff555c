"""One text, asked where something that a rule names begins, and how far it reaches there."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.redaction.automata import Expression
from gateway.redaction.index import MOST, Index
from gateway.redaction.patterns import GAP_CHARACTERS, plainly

_OPEN = bytes(0x20 if chr(code) in GAP_CHARACTERS else code for code in range(256))


def stretches(index: Index, text: bytes) -> list[tuple[int, int]]:
    """(start, end) of the longest literal or pattern at each place of a lower-case text where one begins.

    In order; they may overlap. An idiom is among them where it could matter.
    """
    return _Search(index, text).stretches()


class _Search:
    """One text, asked where something begins and how far it reaches there.

    `plain` is the text with a space for all that stands in no word, and one space more at either end:
    the word that begins at text[start] stands behind the space plain[start].
    """

    __slots__ = ("_index", "_literals", "_open", "_patterns", "_plain", "_text")

    def __init__(self, index: Index, text: bytes) -> None:
        self._index = index
        self._text = text
        self._plain = b" %b " % plainly(text)
        self._open = b""
        self._literals: dict[int, bytes] = {}
        self._patterns: dict[int, frozenset[int]] = {}
        """Where a literal may begin, and with which word; where patterns may begin, and their numbers."""

    def stretches(self) -> list[tuple[int, int]]:
        """See the function."""
        self._find_keys()
        if self._index.wild is not None:
            self._find_wild(self._index.wild)
        found: dict[int, int] = {}
        for start, word in self._literals.items():
            end = self._literal(start, word)
            if end >= 0:
                found[start] = end
        for start, numbers in self._patterns.items():
            end = max([self._index.reach(number, self._text, start) for number in numbers])
            if end >= 0:
                found[start] = max(end, found.get(start, -1), self._literal(start, self._word(start)))
        if found:
            self._find_idioms(found)
        return sorted(found.items())

    def _find_keys(self) -> None:
        index, plain, at_literals = self._index, self._plain, self._literals
        if index.automaton is None:
            return
        keys = index.keys
        seen: dict[int, int] = {}
        for number, begin, _end in index.automaton.find_matches_as_indexes(plain, overlapping=True):
            whole, opens, literal, pattern, lead, literals, begun = keys[number]
            start = begin if opens else plain.rfind(b" ", 0, begin)
            if not whole:
                pattern = begun.of(self._word(start))
            if literal is not None:
                at_literals[start] = literal
            if pattern:
                self._enter(start, pattern)
            if not lead:
                continue
            # What stands before the last place of this key was seen from there.
            low = max(seen.get(number, 0), start - MOST, 0)
            seen[number] = start
            tail = plain[low:start].rsplit(None, lead)
            if begun.beginnings or not (literals.isdisjoint(tail) and begun.words.keys().isdisjoint(tail)):
                for before, word in self._words_before(start, lead, low):
                    if word in literals:
                        at_literals[before] = word
                    pattern = begun.of(word)
                    if pattern:
                        self._enter(before, pattern)

    def _word(self, start: int) -> bytes:
        """The word that begins there; nothing, if there is none."""
        return self._plain[start + 1 : self._plain.find(b" ", start + 1)]

    def _enter(self, start: int, numbers: frozenset[int]) -> None:
        """Note that patterns may begin with the word there, or with the gap before it."""
        known = self._patterns.get(start)
        if known is numbers:
            return
        self._patterns[start] = numbers if known is None else known | numbers
        after_gap = numbers & self._index.after_gap
        if after_gap:
            low = max(0, start - MOST)
            gap = len(self._plain[low : start + 1].rstrip())
            if gap:
                at = low + gap - 1
                self._patterns[at] = self._patterns.get(at, after_gap) | after_gap

    def _find_wild(self, wild: Expression) -> None:
        position = 0
        while (start := wild.find(self._text, position)[0]) >= 0:
            word = start + 1
            while self._plain[word] == 0x20:
                word += 1
            end = self._plain.find(b" ", word)
            self._patterns[start] = self._index.all.of(self._plain[word:end])
            position = max(end - 1, start + 1)

    def _find_idioms(self, found: dict[int, int]) -> None:
        """Add the idioms that could swallow what was found, and those that could swallow these."""
        leads, plain = self._index.idiom_leads, self._plain
        waiting = list(found)
        seen = set(waiting)
        while waiting:
            start = waiting.pop()
            word = start + 1
            while plain[word] == 0x20:  # it begins with a gap
                word += 1
            lead = leads.get(plain[word : plain.find(b" ", word)], 0)
            for before, first in self._words_before(start, lead, max(0, start - MOST)) if lead else ():
                if before not in seen:
                    seen.add(before)
                    end = self._literal(before, first)
                    if end >= 0:
                        found[before] = end
                        waiting.append(before)

    def _words_before(self, start: int, count: int, low: int) -> Iterator[tuple[int, bytes]]:
        """The words before the one at text[start], backwards, down to text[low]: where each begins, and the word."""
        before = self._plain[low:start]
        for _ in range(count):
            before = before.rstrip()
            at = before.rfind(b" ")
            if at < 0:
                return  # the first word of the text stands behind a space too: this one was cut
            yield low + at, before[at + 1 :]
            before = before[:at]

    def _literal(self, start: int, word: bytes) -> int:
        """Where the longest literal that begins at text[start], with that word, ends; -1 if none does."""
        entry = self._index.entries.get(word)
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
            if region.startswith(literal) and not plainly(region[len(literal) : len(literal) + 1]).strip():
                at = start
                for part in literal.split(b" "):  # every gap is as long as it is
                    at = self._open.index(part, at) + len(part)
                return at
        return alone


def _squeezed(region: bytes) -> bytes:
    while b"  " in region:
        region = region.replace(b"  ", b" ")
    return region
