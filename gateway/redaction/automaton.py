"""The graph of phrases as a machine that hears texts: what is in each, and what is under way at its end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.redaction.choosing import FIRST, LAST
from gateway.redaction.native import Addresses
from gateway.redaction.patterns import GAP_CHARACTERS
from gateway.redaction.tables import NOTICE, Bytes, Counts, Graph, Longs, Numbers, Signs
from gateway.redaction.vocabulary import Known
from gateway.redaction.walk import BEHIND, Room, Stands, Ways, Words, cut, given, hear, meet, notice, under_way

MOST = 192
"""Characters of a candidate at most, but for the word that it ends with. What reads on for longer is none."""
_OF_WORDS = "0123456789_abcdefghijklmnopqrstuvwxyz"
_ROWS = 1 << 13
_LATE = 1 << 29
_STANDS = 1 << 15
_PLACES, _ENDS = 16, 2  # of a stand, on average
_FREE = 3
_KEY = np.array([(1 << FIRST) - (1 << LAST), 1 << LAST, 1])
"""Makes a number of a phrase's row by which rows are in order: its first word, how many more it has, its number."""
_ASKED = 1 << 16


class Automaton:
    """Hears texts; one at a time."""

    def __init__(self, graph: Graph) -> None:
        places = len(graph.edges.starts) - 1
        edges, ends, also, ways, notices = graph.edges, graph.ends, graph.also, graph.ways, graph.notices
        self._ways = Ways(
            graph.heads.reshape(places + 1, -1),
            *edges[1:],
            ends.numbers,
            also.numbers,
            *ways[1:],
            *graph.anchors[1:],
            notices.starts,
            notices.rows.reshape(-1, NOTICE),
            notices.beside,
            notices.anchors,
            notices.companies,
            *graph.opening,
            graph.sieves,
        )
        sizes = (places, places, MOST + 2, places, 1)
        self._room = Room(*(np.zeros(size, np.int32) for size in sizes))
        self._stands = _stands(_STANDS, len(self._ways.notices))
        self._noticed = np.zeros(_ROWS, np.uint64)
        self._met = np.zeros(_ROWS, np.uint32)
        self._rows = np.zeros((_ROWS, 3), np.int32)
        self.known = Known(graph)
        self._words: Words | None = None
        self._table: Addresses

    def hear(self, text: bytes) -> Text:
        """A lower-case text as words and marks."""
        known = self.known
        if not known.ready():
            self._forget()
        if self._room.clock[0] > _LATE:
            for column in (self._room.seen, self._room.clock):
                column[:] = 0
        data = np.frombuffer(text + _BEHIND, np.uint8)
        starts, ends, symbols = (np.empty(len(text), np.int32) for _ in range(3))
        maps = np.empty(len(text) // 32 + 4, np.uint64)
        count = cut(data, _LETTERS, _GAPS, known.marks, maps, starts, ends, symbols, self._given())
        symbols = symbols[:count]
        known.learn(data, starts, ends, symbols, self._given)
        return Text(self, text, starts[:count], ends[:count], symbols.view(np.uint32))

    def phrases(self, symbols: Counts) -> Longs:
        """The keys of all phrases, in order, some of them more than once; see `choosing.FIRST`."""
        noticed = self.noticed(symbols)
        while True:
            so_far = np.zeros(2, np.int32)
            at = -1
            while not hear(symbols, noticed, self._rows, so_far, MOST, self._given()):
                self._forget(more=at == so_far[0])
                at = int(so_far[0])
            total = int(so_far[1])
            if total <= len(self._rows):
                break
            self._rows = np.zeros((2 * total, 3), np.int32)
        keys: Longs = self._rows[:total] @ _KEY
        keys.sort(kind="stable")  # which takes a tenth where they are nearly in order
        return keys

    def noticed(self, symbols: Counts) -> Signs:
        """Where to go on from, see `walk.notice`; until the next text is asked for."""
        starts = np.empty(len(symbols) + 1, np.uint32)
        while (count := meet(symbols, starts, self._met, self._given())) > len(self._met):
            self._met = np.zeros(2 * count, np.uint32)
        while (count := notice(symbols, starts, self._met, self._noticed, self._given())) > len(self._noticed):
            self._noticed = np.zeros(2 * count, np.uint64)
        return self._noticed[:count]

    def under_way(self, symbols: Counts, low: int, piece: bytes) -> NDArray[np.int64]:
        """The words from `low` on with which something may begin that a text leaves open which ends with a piece."""
        begun = np.zeros(len(symbols) + 1, np.uint8)
        further = self.known.further(piece)
        more = False
        while not under_way(symbols, low, *further, not piece, begun, self._given()):
            self._forget(more)
            more = True
        return np.flatnonzero(begun)

    def _forget(self, more: bool = False) -> None:
        """Nothing is remembered of where words led; there is room for more of it, if need be."""
        stands = self._stands
        if more:
            self._stands = _stands(2 * len(stands.bounds), len(stands.noticed))
            self._words = None
            return
        for column in (stands.bounds, stands.slots, stands.asked, stands.noticed):
            column[:] = 0
        stands.total[0] = 1

    def _given(self) -> Addresses:
        """The one argument of the walk, made anew where the vocabulary, or what is remembered, has other arrays."""
        words = self.known.words
        if self._words is not words:
            self._words = words
            self._table = given(words, self._ways, self._room, self._stands)
        return self._table


def _stands(size: int, rows: int) -> Stands:
    """Room for so many stands, and rows of `Notices`; there is only the one that is nowhere."""
    return Stands(
        places=np.zeros(_PLACES * size, np.int32),
        ends=np.zeros(_ENDS * size, np.int32),
        bounds=np.zeros((size, 4), np.int32),
        slots=np.zeros(_FREE * size, np.int32),
        asked=np.zeros((_ASKED, 4), np.int32),
        signs=np.zeros(size, np.uint64),
        noticed=np.zeros(rows, np.int32),
        total=np.ones(1, np.int32),
    )


class Text:
    """A text as words, and what the rules name in it; `starts` and `ends` are where each word begins and ends."""

    __slots__ = ("_automaton", "_symbols", "_text", "ends", "starts")

    def __init__(
        self,
        automaton: Automaton,
        text: bytes,
        starts: Numbers,
        ends: Numbers,
        symbols: Counts,
    ) -> None:
        self._automaton = automaton
        self._text = text
        self.starts = starts
        self.ends = ends
        self._symbols = symbols

    def phrases(self) -> Longs:
        """The keys of all phrases, in order, some of them more than once; see `choosing.FIRST`."""
        return self._automaton.phrases(self._symbols)

    def bounds(self, key: int) -> tuple[int, int]:
        """Where the phrase of a key begins and ends."""
        first = key >> FIRST
        return int(self.starts[first]), int(self.ends[first + (key >> LAST & (1 << FIRST - LAST) - 1)])

    def unfinished(self) -> Iterator[int]:
        """Where something begins, in order, that may go on beyond the end of the text; its last word may."""
        text, starts = self._text, self.starts
        size = len(text)
        low = int(np.searchsorted(starts, size - MOST))
        partial = bool(len(starts)) and self.ends[-1] == size and chr(text[-1]) in _OF_WORDS
        over = len(starts) - partial
        piece = text[starts[-1] :] if partial else b""
        for index in self._automaton.under_way(self._symbols[:over], min(low, over), piece).tolist():
            yield int(starts[index])


def _ranges(characters: str) -> Bytes:
    """The first and the last of each run of characters."""
    codes = np.sort(np.frombuffer(characters.encode(), np.uint8))
    apart = np.flatnonzero(np.diff(codes) != 1)
    return np.column_stack([codes[np.append(0, apart + 1)], codes[np.append(apart, -1)]]).ravel()


_LETTERS, _GAPS = _ranges(_OF_WORDS), _ranges(GAP_CHARACTERS)
_BEHIND = b" " * BEHIND
