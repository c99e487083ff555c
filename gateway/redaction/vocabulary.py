"""The words that phrases tell apart, each with its symbol: those that some phrase spells, and those met since."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.redaction.native import Addresses, native, whole
from gateway.redaction.phrases import ANY
from gateway.redaction.tables import Bytes, Graph, Lists, Numbers, Vocabulary, numbers, signs
from gateway.redaction.walk import Words, bit_of, mixed, put, run_of, sought, taken
from gateway.redaction.wordforms import WordForms, borne

_T = TypeVar("_T", bound=np.generic)

HEARD, MATE = 1, 2
NOTHING = 0
"""The symbol of no word: before a text and after it. It bears no atom."""
_LETTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz_")
_MOST_WORDS = 50_000
_MOST_LETTERS = 1 << 20
_MOST_FURTHER = 256
_ROOM = 4_096
_FREE = 3
_LATELY = 1 << 13
_SORTED_ONE_BY_ONE = 12


def vocabulary(bearing: Mapping[bytes, tuple[int, ...]], forms: WordForms, often: Mapping[str, float]) -> Vocabulary:
    """The words that some phrase spells, given their atoms, forms apart, and how often words are said.

    Symbols are in that order, so that those of most talk lie side by side.
    """
    listed = sorted(word for word in bearing if len(word) == 1 or _LETTERS.issuperset(word))
    known: dict[frozenset[int], int] = {frozenset(): NOTHING}
    symbol = {
        word: known.setdefault(_atoms(word, bearing[word], forms), len(known))
        for word in sorted(listed, key=lambda word: -often.get(word.decode(), 0.0))
    }
    symbols = [symbol[word] for word in listed]
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
        self._kinds = (np.diff(graph.notices.starts) > 0).astype(np.uint8) * HEARD
        self._kinds[graph.notices.mates] |= MATE
        self._further: dict[bytes, Further] = {}
        self._opening = np.diff(graph.opening.starts) > 0
        self._forget()
        self.marks = np.full(256, NOTHING, np.int32)
        for number in range(self._from(b"\x7f")):
            if fixed.starts[number + 1] - fixed.starts[number] == 1:
                self.marks[fixed.letters[fixed.starts[number]]] = fixed.symbols[number]

    def _forget(self) -> None:
        """Only the graph's own words are known."""
        fixed = self._fixed
        starts, atoms = fixed.bearing
        heard, mates = self._kinds[atoms] & HEARD > 0, self._kinds[atoms] & MATE > 0
        self.words = Words(
            fixed.letters,
            fixed.starts,
            fixed.symbols,
            fixed.slots,
            fresh_letters=np.zeros(_MOST_LETTERS, np.uint8),
            fresh_starts=np.zeros(_MOST_WORDS + 1, np.int32),
            fresh_symbols=np.zeros(_MOST_WORDS, np.int32),
            fresh_slots=np.zeros(_FREE * _MOST_WORDS, np.int32),
            atom_starts=_longer(starts),
            atoms=_longer(atoms),
            heard_starts=_longer(np.concatenate(([0], np.cumsum(heard)))[starts].astype(np.int32)),
            heard=_longer(atoms[heard]),
            mate_starts=_longer(np.concatenate(([0], np.cumsum(mates)))[starts].astype(np.int32)),
            mates=_longer(atoms[mates]),
            signs=_longer(signs(starts, atoms)),
            sets=np.zeros(_FREE * _MOST_WORDS, np.int32),
            sizes=np.array([len(starts) - 1, 0, 0, 0], np.int32),
            lately=np.zeros((_LATELY, 4), np.int64),
        )

    def ready(self) -> bool:
        """Before a text: what was remembered goes, if it is much. Whether all symbols mean what they meant."""
        symbols, fresh, _letters, _sets = self.words.sizes.tolist()
        if fresh < _MOST_WORDS and symbols <= len(self._fixed.bearing.starts) + _MOST_WORDS:
            return True
        self._forget()
        return False

    def learn(
        self, text: Bytes, starts: Numbers, ends: Numbers, symbols: Numbers, given: Callable[[], Addresses]
    ) -> None:
        """Give symbols to the words that `walk.cut` does not know; they are remembered, if there is room.

        `given` gives what `walk` is given, with the `words` of now.
        """
        forms = self._forms
        while not learn(text, starts, ends, symbols, self._kinds, forms.found, forms.table, given()):
            words = self.words
            self.words = words._replace(
                atom_starts=_longer(words.atom_starts),
                atoms=_longer(words.atoms),
                heard_starts=_longer(words.heard_starts),
                heard=_longer(words.heard),
                mate_starts=_longer(words.mate_starts),
                mates=_longer(words.mates),
                signs=_longer(words.signs),
            )

    def further(self, piece: bytes) -> Further:
        """What a word may bear that begins like this. Without a beginning: nothing, since nobody asks."""
        known = self._further.get(piece)
        if known is None:
            borne = np.zeros(len(self._kinds), bool)
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


@native
def learn(
    text: Bytes,
    starts: Numbers,
    ends: Numbers,
    symbols: Numbers,
    kinds: Bytes,
    found: Numbers,
    forms: Addresses,
    table: Addresses,
) -> bool:
    """Give symbols to the words of a text that have none; whether there was room for all.

    Args:
        text, starts, ends, symbols: see `walk.cut`.
        kinds: by atom, `HEARD` if something is noticed at it, and `MATE` if it is of a company.
        found: room for the atoms of a word.
        forms: see `wordforms.borne`.
        table: see `walk.given`.
    """
    words, _ways, _room, _stands = taken(table)
    for number in range(len(symbols)):
        if symbols[number] >= 0:
            continue
        start, end = starts[number], ends[number]
        symbol = sought(text, start, end, table)
        if symbol < 0:
            count = borne(text, start, end, found, forms)
            found[count] = ANY
            symbol = _of_atoms(found, count + 1, kinds, words)
            if symbol < 0:
                return False
            _remember(text, start, end, symbol, words)
        symbols[number] = symbol
    return True


@native
def _sift(atoms: Numbers, at: int, end: int) -> None:
    """Let an atom sink in a heap until none below it is greater."""
    while 2 * at + 1 < end:
        child = 2 * at + 1
        if child + 1 < end and atoms[child] < atoms[child + 1]:
            child += 1
        if atoms[at] >= atoms[child]:
            break
        atoms[at], atoms[child] = atoms[child], atoms[at]
        at = child


@native
def _sort(atoms: Numbers, count: int) -> None:
    """Put the first numbers in order: many by a heapsort, since it needs no memory, and no text makes it slow."""
    if count <= _SORTED_ONE_BY_ONE:
        for end in range(1, count):
            atom = atoms[end]
            at = end
            while at > 0 and atoms[at - 1] > atom:
                atoms[at] = atoms[at - 1]
                at -= 1
            atoms[at] = atom
        return
    for at in range(count // 2 - 1, -1, -1):
        _sift(atoms, at, count)
    for end in range(count - 1, 0, -1):
        atoms[0], atoms[end] = atoms[end], atoms[0]
        _sift(atoms, 0, end)


@native
def _of_atoms(found: Numbers, count: int, kinds: Bytes, words: Words) -> int:
    """The symbol of words that bear these atoms, a new one if need be; -1 if there is no room for it."""
    _sort(found, count)
    last = count - 1
    slot = mixed(found, count) % len(words.sets)
    while words.sets[slot]:
        symbol = whole(words.sets[slot])
        low, high = run_of(words.atom_starts, symbol)
        same = 0
        while same < count and low + same < high and words.atoms[low + same] == found[last - same]:
            same += 1
        if same == count == high - low:
            return symbol
        slot = (slot + 1) % len(words.sets)
    symbol = whole(words.sizes[0])
    start, heard, mates = (
        whole(words.atom_starts[symbol]),
        whole(words.heard_starts[symbol]),
        whole(words.mate_starts[symbol]),
    )
    if (
        symbol + 2 > len(words.signs)
        or symbol + 2 > len(words.atom_starts)
        or start + count > len(words.atoms)
        or heard + count > len(words.heard)
        or mates + count > len(words.mates)
    ):
        return -1
    sign = np.uint64(0)
    for number in range(count):
        atom = found[last - number]
        words.atoms[start + number] = atom
        sign |= np.uint64(1) << bit_of(atom)
        if kinds[atom] & HEARD:
            words.heard[heard] = atom
            heard += 1
        if kinds[atom] & MATE:
            words.mates[mates] = atom
            mates += 1
    words.atom_starts[symbol + 1] = start + count
    words.heard_starts[symbol + 1] = heard
    words.mate_starts[symbol + 1] = mates
    words.signs[symbol] = sign
    words.sizes[0] = symbol + 1
    if 2 * whole(words.sizes[3]) < len(words.sets):
        words.sizes[3] += 1
        words.sets[slot] = symbol
    return symbol


@native
def _remember(text: Bytes, start: int, end: int, symbol: int, words: Words) -> None:
    """Let a word be found again, if there is room."""
    word, first = whole(words.sizes[1]), whole(words.sizes[2])
    if word + 1 >= len(words.fresh_starts) or first + end - start > len(words.fresh_letters):
        return
    for at in range(end - start):
        words.fresh_letters[first + at] = text[start + at]
    words.fresh_symbols[word] = symbol
    words.fresh_starts[word + 1] = first + end - start
    put(words.fresh_slots, words.fresh_letters, words.fresh_starts, word)
    words.sizes[1] = word + 1
    words.sizes[2] = first + end - start


def _longer(column: NDArray[_T]) -> NDArray[_T]:
    """A copy with room for as much again, and some more."""
    made = np.zeros(2 * len(column) + _ROOM, column.dtype)
    made[: len(column)] = column
    return made
