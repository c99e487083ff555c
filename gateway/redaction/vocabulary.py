"""The words that phrases tell apart, each with its symbol: those that some phrase spells, and those met since."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.redaction.phrases import ANY
from gateway.redaction.tables import Bytes, Graph, Lists, Vocabulary, bits, numbers, signs
from gateway.redaction.walk import BEGUN, PASSED, Words, put
from gateway.redaction.wordforms import WordForms

_T = TypeVar("_T", bound=np.generic)

NOTHING = 0
"""The symbol of no word: before a text and after it. It bears no atom."""
_LETTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz_")
_MOST_WORDS = 50_000
_MOST_LETTERS = 1 << 20
_MOST_FURTHER = 256
_ROOM = 4_096
_FREE = 3
_LATELY = 1 << 13


def vocabulary(bearing: Mapping[bytes, tuple[int, ...]], forms: WordForms) -> Vocabulary:
    """The words that some phrase spells, given their atoms, forms apart."""
    listed = sorted(word for word in bearing if len(word) == 1 or _LETTERS.issuperset(word))
    known: dict[frozenset[int], int] = {frozenset(): NOTHING}
    symbols = [known.setdefault(_atoms(word, bearing[word], forms), len(known)) for word in listed]
    letters = b"".join(listed)
    starts = [0]
    for word in listed:
        starts.append(starts[-1] + len(word))
    slots = np.zeros(_FREE * len(listed) + 1, np.int32)
    read, bounds = np.frombuffer(letters, np.uint8), numbers(starts)
    for number in range(len(listed)):
        put(slots, read, bounds, number)
    slots.flags.writeable = False
    return Vocabulary(
        read,
        bounds,
        numbers(symbols),
        slots,
        Lists.of(dict(enumerate(known)), len(known), backwards=True),
    )


def _atoms(word: bytes, spelled: tuple[int, ...], forms: WordForms) -> frozenset[int]:
    """All that a word bears; a mark only what spells it."""
    return frozenset((ANY, *spelled, *forms.borne(word)) if word[0] in _LETTERS else spelled)


class Further(NamedTuple):
    """What a word may bear of which only the beginning is known: a bit an atom, and whether phrases begin with one."""

    atoms: Bytes
    opens: bool


class Known:
    """The words of a graph, and others as they come: these only bear forms. What is remembered is bounded.

    `words` is for `walk`; `marks` are the symbols of marks, by byte.
    """

    def __init__(self, graph: Graph) -> None:
        fixed = self._fixed = graph.vocabulary
        self._forms = WordForms(graph.forms)
        self._hearing = (
            np.where(np.diff(graph.starting.starts), BEGUN, 0) | np.where(np.diff(graph.passing.starts), PASSED, 0)
        ).astype(np.uint8)
        self._further: dict[bytes, Further] = {}
        self._opening = np.diff(graph.opening.starts) > 0
        self._forget()
        self.marks = np.full(256, self._symbol(()), np.int32)
        for number in range(self._from(b"\x7f")):
            if fixed.starts[number + 1] - fixed.starts[number] == 1:
                self.marks[fixed.letters[fixed.starts[number]]] = fixed.symbols[number]

    def _forget(self) -> None:
        """Only the graph's own words are known."""
        fixed = self._fixed
        starts, atoms = fixed.bearing
        hearing = self._hearing[atoms]
        listened = hearing > 0
        self._symbols: dict[tuple[int, ...], int] = {}
        self._next = len(starts) - 1
        self._fresh = self._letters = 0
        letters = np.zeros(_MOST_LETTERS, np.uint8)
        self._room = letters.data
        self.words = Words(
            fixed.letters,
            fixed.starts,
            fixed.symbols,
            fixed.slots,
            fresh_letters=letters,
            fresh_starts=np.zeros(_MOST_WORDS + 1, np.int32),
            fresh_symbols=np.zeros(_MOST_WORDS, np.int32),
            fresh_slots=np.zeros(_FREE * _MOST_WORDS, np.int32),
            atom_starts=_longer(starts),
            atoms=_longer(atoms),
            heard_starts=_longer(np.concatenate(([0], np.cumsum(listened)))[starts].astype(np.int32)),
            heard=_longer(atoms[listened]),
            hearing=_longer(
                np.bitwise_or.reduceat(np.append(hearing, np.uint8(0)), starts[:-1]) * (np.diff(starts) > 0)
            ),
            signs=_longer(signs(starts, atoms)),
            lately=np.zeros((_LATELY, 4), np.int64),
        )

    def ready(self) -> bool:
        """Before a text: what was remembered goes, if it is much. Whether all symbols mean what they meant."""
        if self._fresh < _MOST_WORDS and self._next <= len(self._fixed.bearing.starts) + _MOST_WORDS:
            return True
        self._forget()
        return False

    def symbol(self, word: bytes) -> int:
        """The symbol of a word that `walk.cut` does not know; it is remembered, if there is room."""
        words = self.words
        symbol = self._symbol((ANY, *self._forms.borne(word)))
        if self._fresh < _MOST_WORDS and self._letters + len(word) <= _MOST_LETTERS:
            self._letters += len(word)
            self._room[self._letters - len(word) : self._letters] = word
            words.fresh_symbols[self._fresh] = symbol
            words.fresh_starts[self._fresh + 1] = self._letters
            put(words.fresh_slots, words.fresh_letters, words.fresh_starts, self._fresh)
            self._fresh += 1
        return symbol

    def _symbol(self, atoms: tuple[int, ...]) -> int:
        symbol = self._symbols.get(atoms)
        if symbol is None:
            symbol = self._symbols[atoms] = self._next
            atoms = tuple(sorted(atoms, reverse=True))
            self._next += 1
            words = self.words
            start = int(words.atom_starts[symbol])
            end = start + len(atoms)
            heard = [atom for atom in atoms if self._hearing[atom]]
            first = int(words.heard_starts[symbol])
            last = first + len(heard)
            if symbol + 1 >= len(words.atom_starts) or end > len(words.atoms) or last > len(words.heard):
                self.words = words = words._replace(
                    atom_starts=_longer(words.atom_starts),
                    atoms=_longer(words.atoms),
                    heard_starts=_longer(words.heard_starts),
                    heard=_longer(words.heard),
                    hearing=_longer(words.hearing),
                    signs=_longer(words.signs),
                )
            words.atoms[start:end] = atoms
            words.atom_starts[symbol + 1] = end
            words.heard[first:last] = heard
            words.heard_starts[symbol + 1] = last
            words.hearing[symbol] = np.bitwise_or.reduce(self._hearing[list(atoms)])
            words.signs[symbol] = np.bitwise_or.reduce(bits(np.array(atoms, np.int32)))
        return symbol

    def further(self, piece: bytes) -> Further:
        """What a word may bear that begins like this. Without a beginning: nothing, since nobody asks."""
        known = self._further.get(piece)
        if known is None:
            borne = np.zeros(len(self._hearing), bool)
            fixed = self._fixed
            if piece:
                borne[[ANY, *self._forms.atoms]] = True
                symbols = np.unique(fixed.symbols[self._from(piece) : self._from(piece + b"\x7f")])
                borne[fixed.bearing.of_rows(symbols)] = True
            if len(self._further) >= _MOST_FURTHER:
                self._further.clear()
            known = Further(np.packbits(borne, bitorder="little"), bool((borne & self._opening).any()))
            self._further[piece] = known
        return known

    def _from(self, piece: bytes) -> int:
        """The number of the first of the graph's words that do not come before a piece."""
        starts, letters = self._fixed.starts, self._fixed.letters
        return bisect_left(
            range(len(starts) - 1), piece, key=lambda number: letters[starts[number] : starts[number + 1]].tobytes()
        )


def _longer(column: NDArray[_T]) -> NDArray[_T]:
    """A copy with room for as much again, and some more."""
    made = np.zeros(2 * len(column) + _ROOM, column.dtype)
    made[: len(column)] = column
    return made
