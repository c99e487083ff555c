"""One text, and the stretches in it that something which the rules name may be.

The text is cut into words and marks, which the automaton hears one after another. Where it says that a phrase
ends, the words before it are gone through once more, from each where one may begin.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from typing import NamedTuple

from gateway.redaction.automaton import NOTHING, Automaton, State, Trail
from gateway.redaction.patterns import GAP_CHARACTERS

MOST = 192
"""Characters of a candidate at most, but for the word that it ends with. What reads on for longer is none."""

_WORD_CHARACTERS = frozenset(b"0123456789_abcdefghijklmnopqrstuvwxyz")
_GAPS = frozenset(GAP_CHARACTERS.encode())
_MARKS = bytes(code for code in range(0x20, 0x80) if code not in _WORD_CHARACTERS | _GAPS)
_CUT = bytes(
    code if code in _WORD_CHARACTERS or code in _MARKS else 0x20 if code in _GAPS else 0 for code in range(256)
)
"""A space for what may stand in a gap; a zero byte, which no phrase holds, for what is neither that nor a mark."""
_MARKED = [bytes([mark]) for mark in b"\x00" + _MARKS]
_NO_MARKS = bytes(code for code in range(256) if code not in _MARKS and code)


class Stretch(NamedTuple):
    """text[start:end], and the numbers of the phrases that it is."""

    start: int
    end: int
    phrases: tuple[int, ...]


class Text:
    """A lower-case text as words and marks."""

    __slots__ = (
        "_at",
        "_automaton",
        "_begun",
        "_counted",
        "_found",
        "_has_marks",
        "_last",
        "_marks",
        "_pieces",
        "_spaced",
        "_symbols",
        "_where",
        "size",
    )

    def __init__(self, automaton: Automaton, text: bytes) -> None:
        spaced = text.translate(_CUT)
        for mark in _MARKED:
            if mark in spaced:
                spaced = spaced.replace(mark, b" %b " % mark)
        self.size = len(text)
        self._automaton = automaton
        self._spaced = spaced
        self._pieces = spaced.split(b" ")
        symbols = list(map(automaton.words.__getitem__, self._pieces))
        self._where = list(compress(range(len(symbols)), symbols))
        self._symbols = list(filter(None, symbols))
        self._has_marks = len(spaced) > len(text)
        self._counted = self._at = self._marks = 0  # the piece that was asked for last, where it begins, marks before
        self._last = len(self._symbols) - (self._pieces[-1] != b"")
        self._found: dict[int, dict[int, tuple[int, ...]]] = {}
        self._begun: list[tuple[int, State]] = []
        self._hear()

    def _hear(self) -> None:
        """What is noticed at the anchors."""
        symbols, automaton = self._symbols, self._automaton
        anchors = [at for at, symbol in enumerate(symbols) if symbol < NOTHING]
        around = [*symbols, NOTHING]
        fates = map(automaton.fates.__getitem__, [(around[at - 1], around[at], around[at + 1]) for at in anchors])
        told = [(at, fate) for at, fate in zip(anchors, fates, strict=True) if fate is not None]
        if self._last - 1 in anchors[-2:]:  # the word after it is not over yet
            told.append((self._last - 1, automaton.told(symbols[self._last - 1])))
        for at, (begun, behind) in told:
            if begun is not None:
                self._follow(at, at, begun)
            if behind is not None:
                for index, trails in self._backwards(at, behind):
                    self._follow(index, at, automaton.led(trails, symbols[index : at + 1]))

    def stretches(self) -> Iterator[list[Stretch]]:
        """For each place where something begins, in order, all that it may be, the longest last."""
        for index in sorted(self._found):
            start = self._offset(index)
            found: list[Stretch] = []
            for at, phrases in sorted(self._found[index].items()):
                last = self._offset(at)
                if last - start > MOST:
                    break
                found.append(Stretch(start, last + len(self._pieces[self._where[at]]), phrases))
            if found:
                yield found

    def unfinished(self) -> Iterator[int]:
        """Where something begins, in order, that may go on beyond the end of the text; its last word may."""
        piece = self._pieces[-1]
        heard, symbols = self._automaton, self._symbols
        begun = {index for index, state in self._begun if heard.goes_on(state.places, piece)}
        if piece and heard.begins(piece):
            begun.add(self._last)
        for index, trails in self._backwards(self._last, heard.anywhere):
            if heard.goes_on(heard.along(trails, symbols[index : self._last]), piece):
                begun.add(index)
        for index in sorted(begun):
            start = self._offset(index)
            if self.size - start <= MOST:
                yield start

    def _backwards(self, at: int, trail: Trail) -> Iterator[tuple[int, list[Trail]]]:
        """Where a phrase may begin that is on a trail before a word, and all trails from there, the last one first."""
        symbols = self._symbols
        trails = [trail]
        for index in range(at - 1, max(-1, at - MOST), -1):
            trail = trail[symbols[index]]
            if not trail.places:
                return
            trails.append(trail)
            if trail.begins:
                yield index, trails

    def _follow(self, index: int, at: int, state: State) -> None:
        """Note what begins at a word and ends at another or later, given the state after that."""
        symbols = self._symbols
        found = self._found.get(index)
        for after in range(at + 1, min(len(symbols), index + MOST) + 1):
            if state.ends:
                if found is None:
                    found = self._found[index] = {}
                known = found.get(after - 1)
                found[after - 1] = state.ends if known is None else tuple(sorted({*known, *state.ends}))
            if after == self._last:
                self._begun.append((index, state))
            if after < len(symbols):
                state = state[symbols[after]]
                if not state.places:
                    return

    def _offset(self, word: int) -> int:
        """Where a word or mark begins in the text: two spaces were put about each mark."""
        index = self._where[word]
        at, counted = self._at, self._counted
        if index >= counted:
            at += sum(map(len, self._pieces[counted:index])) + index - counted
            marks = len(self._spaced[self._at : at].translate(None, _NO_MARKS)) if self._has_marks else 0
        else:
            at -= sum(map(len, self._pieces[index:counted])) + counted - index
            marks = -len(self._spaced[at : self._at].translate(None, _NO_MARKS)) if self._has_marks else 0
        self._at, self._counted = at, index
        self._marks += marks
        return at - 2 * self._marks - (self._has_marks and self._pieces[index][:1] in _MARKED)
