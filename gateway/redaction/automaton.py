"""The graph of phrases as a machine that hears one word after another; its states are made when they are needed.

What a state does with a word is remembered, so ordinary talk soon costs one look-up a word, however many rules
there are. What is remembered is bounded; no text can make a step cost more than the places it stands at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import getitem, length_hint

from gateway.redaction.phrases import ANY, Phrases

_MOST_WORDS = 50_000
_MOST_STEPS = 100_000
NOTHING = 0
"""The symbol of an empty piece: two gaps side by side."""


class State(dict[int, "State"]):
    """Where phrases stand that began with one and the same word; the state after each symbol that was asked for.

    `ends` are the numbers of those that end here. `places` is empty where none is under way any more. A word that
    bears none of the `atoms` ends them all.
    """

    __slots__ = ("_automaton", "atoms", "ends", "places")

    def __init__(
        self, automaton: Automaton, places: frozenset[int], ends: tuple[int, ...], atoms: frozenset[int]
    ) -> None:
        super().__init__()
        self._automaton = automaton
        self.places = places
        self.ends = ends
        self.atoms = atoms

    def __missing__(self, symbol: int) -> State:
        return self._automaton.after(self, symbol)

    __hash__ = object.__hash__  # type: ignore[assignment]  # itself, whatever it remembers


class Talk(dict[int, "Talk"]):
    """Where phrases stand that began with any of the words before: one `State` for each such word.

    Where one ends is not remembered (but in `ending`), so that whoever hears is told each time. `behind` are the
    words that those which end here have at most.
    """

    __slots__ = ("_automaton", "behind", "ending", "states")

    def __init__(self, automaton: Automaton, states: frozenset[State], behind: int) -> None:
        super().__init__()
        self._automaton = automaton
        self.states = states
        self.behind = behind
        self.ending: dict[int, Talk] = {}

    def __missing__(self, symbol: int) -> Talk:
        return self._automaton.hear_one(self, symbol)


class Words(dict[bytes, int]):
    """The symbol of each piece of text: words that no phrase tells apart have one."""

    def __init__(self, phrases: Phrases) -> None:
        super().__init__({b"": NOTHING})
        self._bearing = phrases.bearing()
        self._forms, self._formed = phrases.forms()
        self._any = (ANY, *self._formed)
        self._ordered = sorted(self._bearing)
        self._beginnings: dict[bytes, frozenset[int]] = {}
        self._symbols: dict[tuple[int, ...], int] = {}
        self.atoms: list[tuple[int, ...]] = [()]
        """By symbol."""

    def __missing__(self, piece: bytes) -> int:
        atoms = self._bearing.get(piece, ())
        if piece[0] in _LETTERS:
            atoms = (ANY, *atoms)
            if self._forms is not None:
                atoms = (*atoms, *(self._formed[number] for number in self._forms.Match(piece) or ()))
        symbol = self._symbols.get(atoms)
        if symbol is None:
            symbol = self._symbols[atoms] = len(self.atoms)
            self.atoms.append(atoms)
        if len(self) < _MOST_WORDS:
            self[piece] = symbol
        return symbol

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


_LETTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz_")


class Automaton:
    """Hears words, one thread at a time. `here` hears only the phrases that begin with the next word."""

    def __init__(self, phrases: Phrases) -> None:
        self.words = Words(phrases)
        self._edges = phrases.edges
        self._also = phrases.closed()
        self._ends = phrases.ends
        self._sizes = phrases.sizes
        self._steps = 0
        self._heard: Iterator[int] = iter(())
        self._found: list[tuple[int, int]] = []
        self._states: dict[frozenset[int], State] = {}
        self.here = self._state(frozenset({0}) | self._also.get(0, frozenset()))
        self._silence = Talk(self, frozenset(), 0)
        self._talks: dict[frozenset[State], Talk] = {}
        self._forget()

    def hear(self, symbols: Sequence[int]) -> tuple[list[tuple[int, int]], bool]:
        """(symbols left, words) where phrases of so many words at most end; and whether one is under way.

        A phrase may begin at any word.
        """
        self._heard = iter(symbols)
        found: list[tuple[int, int]] = []
        self._found = found
        (last,) = deque(accumulate(self._heard, getitem, initial=self._silence), maxlen=1)
        return found, bool(last.states)

    def hear_one(self, talk: Talk, symbol: int) -> Talk:
        """What follows a symbol; remembered, unless a phrase ends there: then it is noted."""
        if symbol == NOTHING:
            talk[symbol] = talk
            return talk
        after = talk.ending.get(symbol)
        if after is None:
            atoms = self.words.atoms[symbol]
            going_on = [state[symbol] for state in talk.states if not state.atoms.isdisjoint(atoms)]
            if going_on or talk is self._silence:
                after = self._joined(frozenset([self.here[symbol], *going_on]))
            else:
                after = self._begun(symbol)
            if self._steps > _MOST_STEPS:
                self._forget()
            self._steps += 1
            (talk.ending if after.behind else talk)[symbol] = after
        if after.behind:
            self._found.append((length_hint(self._heard), after.behind))
        return after

    def _begun(self, symbol: int) -> Talk:
        """What follows a symbol where nothing was under way."""
        known = self._silence.get(symbol, self._silence.ending.get(symbol))
        return self._joined(frozenset([self.here[symbol]])) if known is None else known

    def _joined(self, states: frozenset[State]) -> Talk:
        talk = self._talks.get(states)
        if talk is None:
            under_way = frozenset(state for state in states if state.places)
            talk = self._talks.get(under_way)
            if talk is None:
                sizes = self._sizes
                behind = max((sizes.get(place, 0) for state in under_way for place in state.places), default=0)
                talk = Talk(self, under_way, behind)
                self._talks[under_way] = talk
            self._talks[states] = talk
        return talk

    def after(self, state: State, symbol: int) -> State:
        """The state after a symbol; remembered."""
        if symbol == NOTHING and state.places:
            state[symbol] = state
            return state
        self._steps += 1
        targets: set[int] = set()
        atoms = self.words.atoms[symbol]
        for place in state.places:
            edges = self._edges[place]
            for atom in atoms:
                lead = edges.get(atom)
                if lead is not None:
                    targets.update(lead)
        for place in self._also.keys() & targets:
            targets |= self._also[place]
        places = frozenset(targets)
        known = self._states.get(places)
        after = state[symbol] = self._state(places) if known is None else known
        return after

    def _state(self, places: frozenset[int]) -> State:
        ends = {end for place in places for end in self._ends[place]}
        atoms = frozenset[int]().union(*(self._edges[place] for place in places))
        state = self._states[places] = State(self, places, tuple(sorted(ends)), atoms)
        return state

    def _forget(self) -> None:
        """Bounded: what was remembered goes. What is in use meanwhile is whole, but made anew for the next."""
        self.here.clear()
        self._silence.clear()
        self._silence.ending.clear()
        self._states = {}
        self._talks = {frozenset(): self._silence}
        self._steps = 0
