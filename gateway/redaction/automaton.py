"""The graph of phrases as a machine that hears one word after another; its states are made when they are needed.

What a state does with a word is remembered, so ordinary talk soon costs one look-up a word, however many rules
there are. What is remembered is bounded; no text can make a step cost more than the places it stands at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import getitem, length_hint
from typing import TypeAlias

from gateway.redaction.phrases import ANY, Phrases

_MOST_WORDS = 50_000
_MOST_STEPS = 300_000
_OFTEN_ENOUGH = 40
_LARGE = 100
NOTHING = 0
"""The symbol of an empty piece: two gaps side by side."""


_OFTEN = (
    b"a about an and are as at back be because but by d de des down du en et first for from going had has have he "
    b"her here his i in is it la le les like lot m not now of off on one or our out over right s she so t that the "
    b"their there they this through to un une up was we well when who will with would you your 19 2 3"
).split()
"""Words that would tell of a phrase too often."""


Heard: TypeAlias = "tuple[int, int, tuple[set[int], ...]]"
"""(symbols left, words, atoms): a phrase of so many words at most may end, whose first word bears one of some atoms."""


class Leads:
    """The edges from some places. Where they are asked for again and again, the small ones are put together."""

    __slots__ = ("_asked", "_large", "_places", "_small")

    def __init__(self, places: frozenset[int]) -> None:
        self._places = places
        self._asked = 0
        self._small: dict[int, set[int]] | None = None
        self._large: list[dict[int, tuple[int, ...]]] = []

    def targets(self, edges: Sequence[dict[int, tuple[int, ...]]], atoms: frozenset[int]) -> set[int]:
        """Where one stands after a word that bears these atoms, given the edges by place."""
        found: set[int] = set()
        self._asked += 1
        if self._small is None and self._asked > _OFTEN_ENOUGH:
            self._put_together(edges)
        large: Iterable[dict[int, tuple[int, ...]]] = self._large
        if self._small is None:
            large = [edges[place] for place in self._places]
        else:
            for atom in atoms & self._small.keys() if len(atoms) > len(self._small) else atoms:
                lead = self._small.get(atom)
                if lead is not None:
                    found |= lead
        for leads in large:
            if not leads.keys().isdisjoint(atoms):
                for atom in atoms & leads.keys():
                    found.update(leads[atom])
        return found

    def _put_together(self, edges: Sequence[dict[int, tuple[int, ...]]]) -> None:
        small: dict[int, set[int]] = {}
        self._small = small
        for place in self._places:
            leads = edges[place]
            if len(leads) > _LARGE:
                self._large.append(leads)
            else:
                for atom, lead in leads.items():
                    known = small.get(atom)
                    if known is None:
                        small[atom] = set(lead)
                    else:
                        known.update(lead)


class State(dict[int, "State"]):
    """Where phrases stand that began with one and the same word; the state after each symbol that was asked for.

    `ends` are the numbers of those that end here. `places` is empty where none is under way any more.
    """

    __slots__ = ("_automaton", "ends", "leads", "places")

    def __init__(self, automaton: Automaton, places: frozenset[int], ends: tuple[int, ...]) -> None:
        super().__init__()
        self._automaton = automaton
        self.places = places
        self.ends = ends
        self.leads = Leads(places)

    def __missing__(self, symbol: int) -> State:
        return self._automaton.after(self, symbol)


class Talk(dict[int, "Talk"]):
    """Where phrases may stand that began at any word before.

    Where one ends is not remembered (but in `ending`), so that whoever hears is told each time. `behind` are the
    words that those which end here have at most, `begins` the atoms of which the first word of each
    bears one.
    """

    __slots__ = ("_automaton", "begins", "behind", "ending", "leads", "places")

    def __init__(self, automaton: Automaton, places: frozenset[int], behind: int, begins: tuple[set[int], ...]) -> None:
        super().__init__()
        self._automaton = automaton
        self.places = places
        self.behind = behind
        self.begins = begins
        self.ending: dict[int, Talk] = {}
        self.leads = Leads(places)

    def __missing__(self, symbol: int) -> Talk:
        return self._automaton.hear_one(self, symbol)


class Words(dict[bytes, int]):
    """The symbol of each piece of text: words that no phrase tells apart have one."""

    def __init__(self, phrases: Phrases) -> None:
        super().__init__({b"": NOTHING})
        self._bearing = phrases.bearing()
        self._forms, self._formed = phrases.forms()
        self._any = (ANY, *self._formed)
        self.wide = frozenset({ANY}).union(*(self._of_form(word) for word in _COMMON))
        often = [(*self._bearing.get(word, ()), *self._of_form(word)) for word in _OFTEN]
        self.often = frozenset(atom for atoms in often for atom in atoms) - self.wide
        self._ordered = sorted(self._bearing)
        self._beginnings: dict[bytes, frozenset[int]] = {}
        self._symbols: dict[frozenset[int], int] = {}
        self.atoms: list[frozenset[int]] = [frozenset()]
        """By symbol; `wide` are those that most words bear, `often` those of the most frequent words."""

    def __missing__(self, piece: bytes) -> int:
        spelled = self._bearing.get(piece, ())
        atoms = frozenset((ANY, *spelled, *self._of_form(piece)) if piece[0] in _LETTERS else spelled)
        symbol = self._symbols.get(atoms)
        if symbol is None:
            symbol = self._symbols[atoms] = len(self.atoms)
            self.atoms.append(atoms)
        if len(self) < _MOST_WORDS:
            self[piece] = symbol
        return symbol

    def _of_form(self, piece: bytes) -> list[int]:
        return [] if self._forms is None else [self._formed[number] for number in self._forms.Match(piece) or ()]

    def beginning(self, piece: bytes) -> frozenset[int]:
        """The atoms of all words that begin like this."""
        known = self._beginnings.get(piece)
        if known is None:
            low = bisect_left(self._ordered, piece)
            high = bisect_left(self._ordered, piece + b"\x7f")
            known = frozenset(self._any).union(*(self._bearing[word] for word in self._ordered[low:high]))
            if len(self._beginnings) < _MOST_WORDS:
                self._beginnings[piece] = known
        return known


_COMMON = (b"pipeline", b"customer", b"renewal", b"le", b"monday", b"7", b"2024")
_LETTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz_")


class Automaton:
    """Hears words, one thread at a time. `here` hears only the phrases that begin with the next word, and all of each.

    What `hear` follows is looser, so that there is little of it: any word may have stood before a phrase's
    second part, where the first ends with any words. What it tells of is gone through once more, from `here`.
    """

    def __init__(self, phrases: Phrases) -> None:
        self.words = Words(phrases)
        self._edges = phrases.edges
        self._also = phrases.closed()
        self._ends = phrases.ends
        self._begun, self._sizes, self._ended, self._followed = phrases.loosened(self.words.wide, self.words.often)
        self._steps = 0
        self._heard: Iterator[int] = iter(())
        self._begins = phrases.begins
        self._found: list[Heard] = []
        self._states: dict[frozenset[int], State] = {}
        self.here = self._state(frozenset({0}) | self._also.get(0, frozenset()))
        self._silence = Talk(self, frozenset(), 0, ())
        self._talks: dict[frozenset[int], Talk] = {}
        self._first: dict[int, frozenset[int]] = {}
        self._forget()

    def hear(self, symbols: Sequence[int]) -> list[Heard]:
        """Where a phrase may end, in order."""
        self._heard = iter(symbols)
        found: list[Heard] = []
        self._found = found
        deque(accumulate(self._heard, getitem, initial=self._silence), maxlen=0)
        return found

    def hear_one(self, talk: Talk, symbol: int) -> Talk:
        """What follows a symbol; remembered, unless a phrase may end there: then it is noted."""
        if symbol == NOTHING:
            talk[symbol] = talk
            return talk
        after = talk.ending.get(symbol)
        if after is None:
            if self._steps > _MOST_STEPS:
                self._forget()
            self._steps += 1
            atoms = self.words.atoms[symbol]
            told = atoms - self.words.wide
            places = self._first.get(symbol)
            if places is None:
                begun = {target for atom in told if atom in self._begun for target in self._begun[atom]}
                places = self._first[symbol] = self._closed(begun)
            if talk.places:
                going_on = talk.leads.targets(self._edges, told) if told else set()
                for place in talk.places & self._followed:
                    for atom in atoms & self._edges[place].keys():
                        going_on.update(self._edges[place][atom])
                if going_on:
                    places |= self._closed(going_on)
            after = self._talk(places)
            (talk.ending if after.behind else talk)[symbol] = after
        if after.behind:
            self._found.append((length_hint(self._heard), after.behind, after.begins))
        return after

    def _closed(self, places: set[int]) -> frozenset[int]:
        """With the places at which one stands as well."""
        for place in self._also.keys() & places:
            places |= self._also[place]
        return frozenset(places)

    def _talk(self, places: frozenset[int]) -> Talk:
        talk = self._talks.get(places)
        if talk is None:
            behind = max([self._sizes.get(place, 0) for place in places], default=0)
            ended = {end for place in places if place in self._ended for end in self._ended[place]}
            talk = self._talks[places] = Talk(self, places, behind, tuple([self._begins[end] for end in ended]))
        return talk

    def goes_on(self, state: State, atoms: Iterable[int]) -> bool:
        """Whether a phrase goes on with a word that bears one of these."""
        return any([not self._edges[place].keys().isdisjoint(atoms) for place in state.places])

    def after(self, state: State, symbol: int) -> State:
        """The state after a symbol; remembered."""
        if symbol == NOTHING and state.places:
            state[symbol] = state
            return state
        self._steps += 1
        places = self._closed(state.leads.targets(self._edges, self.words.atoms[symbol]))
        known = self._states.get(places)
        after = state[symbol] = self._state(places) if known is None else known
        return after

    def _state(self, places: frozenset[int]) -> State:
        ends = {end for place in places for end in self._ends[place]}
        state = self._states[places] = State(self, places, tuple(sorted(ends)))
        return state

    def _forget(self) -> None:
        """Bounded: what was remembered goes. What is in use meanwhile is whole, but made anew for the next."""
        self.here.clear()
        self._silence.clear()
        self._silence.ending.clear()
        self._states = {}
        self._first = {}
        self._talks = {frozenset(): self._silence}
        self._steps = 0
