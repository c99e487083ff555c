"""One text, and the stretches in it that something which the rules name may be.

The text is cut into words and marks, which the automaton hears one after another. Where it says that a phrase
ends, the words before it are gone through once more, from each where one may begin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.redaction.automaton import NOTHING, Automaton
from gateway.redaction.grammar import ENDLESS
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
        "_counted",
        "_found",
        "_has_marks",
        "_marks",
        "_pieces",
        "_spaced",
        "_symbols",
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
        self._symbols = list(map(automaton.words.__getitem__, self._pieces))
        self._found = automaton.hear(self._symbols)
        self._has_marks = len(spaced) > len(text)
        self._counted = self._at = self._marks = 0  # the piece that was asked for last, where it begins, marks before

    def stretches(self) -> Iterator[list[Stretch]]:
        """For each place where something begins, in order, all that it may be, the longest last."""
        size = len(self._pieces)
        places: set[int] = set()
        atoms, symbols = self._automaton.words.atoms, self._symbols
        for left, words, begins in self._found:
            for place in self._back(size - left, words):
                borne = atoms[symbols[place]]
                if any([not first.isdisjoint(borne) for first in begins]):
                    places.add(place)
        for place in sorted(places):
            found = self._from(place)
            if found:
                yield found

    def unfinished(self) -> Iterator[int]:
        """Where something begins, in order, that may go on beyond the end of the text; its last word may."""
        last = len(self._pieces) - (self._pieces[-1] != b"")
        begun = [place for place in self._back(last, ENDLESS) if self._may_go_on(place, last)]
        yield from map(self._offset, reversed(begun))
        if last < len(self._pieces) and self._may_go_on(last, last):
            yield self._offset(last)

    def _back(self, end: int, count: int) -> Iterator[int]:
        """The last so many pieces before one that are words or marks, backwards."""
        while count and end:
            end -= 1
            if self._symbols[end] != NOTHING:
                count -= 1
                yield end

    def _from(self, index: int) -> list[Stretch]:
        symbols = self._symbols
        state = self._automaton.here
        found: list[Stretch] = []
        for at in range(index, min(len(symbols), index + MOST)):
            state = state[symbols[at]]
            if state.ends and symbols[at] != NOTHING:
                start, last = self._offset(index), self._offset(at)
                if last - start > MOST:
                    break
                found.append(Stretch(start, last + len(self._pieces[at]), state.ends))
            elif not state.places:
                break
        return found

    def _may_go_on(self, place: int, last: int) -> bool:
        """Whether a phrase that begins there may have what the text goes on with: with a word that is not over yet."""
        state = self._automaton.here
        for symbol in self._symbols[place:last]:
            state = state[symbol]
            if not state.places:
                return False
        unfinished = self._pieces[last] if last < len(self._pieces) else b""
        heard = self._automaton
        if unfinished and not heard.goes_on(state, heard.words.beginning(unfinished)):
            return False
        return self.size - self._offset(place) <= MOST

    def _offset(self, index: int) -> int:
        """Where a piece begins in the text: two spaces were put about each mark."""
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
