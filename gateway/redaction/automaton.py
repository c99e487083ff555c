"""The graph of phrases as a machine: from an anchor backwards to where a phrase begins, and on to where it ends.

What a state does with a word is remembered, so a step soon costs one look-up, however many rules there are. What
is remembered is bounded; no text can make a step cost more than the places it stands at.
"""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from gateway.redaction.phrases import ANY, Forms
from gateway.redaction.tables import Graph, Leads

_MOST_WORDS = 50_000
_MOST_STEPS = 300_000
_OFTEN = 8
_LARGE = 30
_LETTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz_")
NOTHING = 0
"""The symbol of no piece: where the text begins or ends, and between two gaps side by side."""
_WHATEVER = -1
"""The atom that every piece bears, and none."""


class State(dict[int, "State"]):
    """Where phrases stand that began with one and the same word; the state after each symbol that was asked for.

    `ends` are the numbers of those that end here. `places` is empty where none is under way any more.
    """

    __slots__ = ("_automaton", "ends", "leads", "on", "places")

    def __init__(self, automaton: Automaton, places: frozenset[int], ends: tuple[int, ...]) -> None:
        super().__init__()
        self._automaton = automaton
        self.places = places
        self.ends = ends
        self.on: Set[int] | None = None
        self.leads: list[Leads] | None = None

    def __missing__(self, symbol: int) -> State:
        return self._automaton.after(self, symbol)


class Trail(dict[int, "Trail"]):
    """Where phrases stand that are noticed later; the trail before each symbol that was asked for.

    `begins` says whether one may begin here. `places` is empty where no way leads farther back.
    """

    __slots__ = ("_automaton", "begins", "leads", "places")

    def __init__(self, automaton: Automaton, places: frozenset[int], begins: bool) -> None:
        super().__init__()
        self._automaton = automaton
        self.places = places
        self.begins = begins
        self.leads: list[Leads] | None = None

    def __missing__(self, symbol: int) -> Trail:
        return self._automaton.before(self, symbol)


class Told(NamedTuple):
    """What a symbol tells of: where phrases stand that begin with it, and where others stood before it."""

    begun: State | None
    behind: Trail | None


class Fates(dict["tuple[int, int, int]", "Told | None"]):
    """What a symbol tells of between two others."""

    __slots__ = ("_automaton",)

    def __init__(self, automaton: Automaton) -> None:
        super().__init__()
        self._automaton = automaton

    def __missing__(self, symbols: tuple[int, int, int]) -> Told | None:
        told = self[symbols] = self._automaton.fate(*symbols)
        return told


class Anchor(NamedTuple):
    """What may be noticed at a symbol.

    Phrases that it begins, if the word after it bears one of the atoms `on`; and others that stood at places `before`
    it, by the atom that the word before bears then.
    """

    begun: State
    on: Set[int]
    before: Mapping[int, Collection[int]]


class Words(dict[bytes, int]):
    """The symbol of each piece of text: words that no phrase tells apart have one. That of an anchor is negative.

    `atoms` are what the words of a symbol bear, `formed` those of words that no phrase spells.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__({b"": NOTHING})
        self._bearing = graph.bearing
        self._forms = Forms(graph.forms)
        self._turned = graph.turned
        self._ordered = sorted(self._bearing)
        self._beginnings: dict[bytes, frozenset[int]] = {}
        self._symbols: dict[frozenset[int], int] = {}
        self.formed = frozenset((ANY, *self._forms.atoms))
        self.atoms: dict[int, frozenset[int]] = {NOTHING: frozenset({_WHATEVER})}

    def __missing__(self, piece: bytes) -> int:
        spelled = self._bearing.get(piece, ())
        borne = (ANY, *spelled, *self._forms.borne(piece)) if piece[0] in _LETTERS else spelled
        atoms = frozenset((_WHATEVER, *borne))
        symbol = self._symbols.get(atoms)
        if symbol is None:
            symbol = -len(self.atoms) if any([self._turned[atom] for atom in borne]) else len(self.atoms)
            self._symbols[atoms] = symbol
            self.atoms[symbol] = atoms
        if len(self) < _MOST_WORDS:
            self[piece] = symbol
        return symbol

    def beginning(self, piece: bytes) -> frozenset[int]:
        """The atoms of all words that begin like this, but for those that the `formed` bear."""
        known = self._beginnings.get(piece)
        if known is None:
            low = bisect_left(self._ordered, piece)
            high = bisect_left(self._ordered, piece + b"\x7f")
            known = frozenset[int]().union(*(self._bearing[word] for word in self._ordered[low:high]))
            if len(self._beginnings) < _MOST_WORDS:
                self._beginnings[piece] = known
        return known


class Automaton:
    """Goes through phrases from one word to the next, in either direction.

    `anywhere` is where any phrase may stand that is not noticed yet.
    """

    def __init__(self, graph: Graph) -> None:
        self.words = Words(graph)
        self._graph = graph
        self._also = graph.also.filled()
        self._passed = graph.first | graph.ways.rows()
        self._steps = 0
        self._forget()

    def _forget(self) -> None:
        """Bounded: what was remembered goes. What is in use meanwhile stays whole."""
        if self._steps and not gc.isenabled():
            gc.collect()  # of states that know each other
        self._steps = 0
        self._anchors: dict[int, Anchor] = {}
        self._noticed_from: dict[tuple[int, int], State] = {}
        self._nowhere = State(self, frozenset(), ())
        self._states: dict[frozenset[int], State] = {self._nowhere.places: self._nowhere}
        self._trails: dict[frozenset[int], Trail] = {}
        self._beginnings: dict[bytes, bool] = {}
        self.anywhere = Trail(self, self._passed, False)
        self.fates = Fates(self)

    # --- onwards ---

    def told(self, symbol: int) -> Told:
        """What a symbol tells of, whatever stands beside it."""
        anchor = self._anchor(symbol)
        return Told(anchor.begun, self._trail({place for places in anchor.before.values() for place in places}))

    def fate(self, before: int, symbol: int, after: int) -> Told | None:
        """What a symbol tells of between two others, if anything."""
        self._count()
        anchor = self._anchor(symbol)
        had, has = self.words.atoms[before], self.words.atoms[after]
        begun = None if anchor.on.isdisjoint(has) else anchor.begun
        stood = _targets([anchor.before], had)
        places = [place for place in stood if not self._on(self._from(place, symbol)).isdisjoint(has)]
        behind = self._trail(frozenset(places)) if places else None
        return None if begun is None and behind is None else Told(begun, behind)

    def _anchor(self, symbol: int) -> Anchor:
        known = self._anchors.get(symbol)
        if known is None:
            self._count()
            ways, first = self._graph.ways, self._graph.first
            atoms = self.words.atoms[symbol]
            noticed = {place for atom in atoms if atom >= ANY for place in self._graph.turned[atom]}
            begun = self._state(self._noticed(noticed & first, atoms))
            before: dict[int, list[int]] = defaultdict(list)
            for place in noticed:
                for atom in ways[place]:
                    before[atom].append(place)
            known = self._anchors[symbol] = Anchor(begun, self._on(begun), dict(before))
        return known

    def _from(self, place: int, symbol: int) -> State:
        """Where one stands after the anchors from a place at a symbol; remembered."""
        known = self._noticed_from.get((place, symbol))
        if known is None:
            self._count()
            state = self._state(self._noticed({place}, self.words.atoms[symbol]))
            known = self._noticed_from[place, symbol] = state
        return known

    def _noticed(self, places: Set[int], atoms: frozenset[int]) -> set[int]:
        """Where one comes from some places by anchors that bear these atoms."""
        edges, passed = self._graph.edges, self._graph.passed
        return {
            target
            for place in places
            for atom in edges[place].keys() & atoms
            for target in edges[place][atom]
            if target not in passed[place].get(atom, ())
        }

    def _on(self, state: State) -> Set[int]:
        """The atoms of words with which phrases go on; whatever, where they end."""
        if state.on is None:
            ended = {_WHATEVER} if state.ends else set[int]()
            state.on = ended.union(*[self._graph.edges[place] for place in state.places])
        return state.on

    def led(self, trails: Sequence[Trail], symbols: Sequence[int]) -> State:
        """Where one stands after an anchor who kept to the trails before the symbols up to it, the first one's last."""
        return self._state(self._noticed(self.along(trails, symbols[:-1]), self.words.atoms[symbols[-1]]))

    def along(self, trails: Sequence[Trail], symbols: Sequence[int]) -> Set[int]:
        """The places where one stands after the symbols who keeps to the trails before and after each."""
        places: Set[int] = self._graph.first & trails[-1].places
        for trail, symbol in zip(trails[-2::-1], symbols, strict=True):
            leads = [self._graph.edges[place] for place in places]
            places = trail.places & self._closed(_targets(leads, self.words.atoms[symbol]))
        return places

    def after(self, state: State, symbol: int) -> State:
        """The state after a symbol; remembered."""
        self._count()
        leads = state.leads
        if leads is None:
            leads = [self._graph.edges[place] for place in state.places]
            if len(state) >= _OFTEN:
                leads = state.leads = _together(leads)
        after = state[symbol] = self._state(_targets(leads, self.words.atoms[symbol]))
        return after

    def goes_on(self, places: Set[int], piece: bytes) -> bool:
        """Whether a phrase goes on from one of these places with a word that begins like this."""
        leads = [self._graph.edges[place].keys() for place in places if self._graph.edges[place]]
        if not piece:
            return bool(leads)
        beginning, formed = self.words.beginning(piece), self.words.formed
        return any([not (atoms.isdisjoint(beginning) and atoms.isdisjoint(formed)) for atoms in leads])

    def begins(self, piece: bytes) -> bool:
        """Whether a phrase begins with a word that begins like this."""
        known = self._beginnings.get(piece)
        if known is None:
            self._count()
            known = self._beginnings[piece] = self.goes_on(self._graph.first, piece)
        return known

    def _state(self, places: set[int]) -> State:
        return self._known(frozenset(self._closed(places))) if places else self._nowhere

    def _known(self, places: frozenset[int]) -> State:
        state = self._states.get(places)
        if state is None:
            ends = {end for place in places for end in self._graph.ends[place]}
            state = self._states[places] = State(self, places, tuple(sorted(ends)))
        return state

    def _closed(self, places: set[int]) -> set[int]:
        """With the places at which one stands as well."""
        for place in self._also.keys() & places:
            places.update(self._also[place])
        return places

    # --- backwards ---

    def before(self, trail: Trail, symbol: int) -> Trail:
        """The trail before a symbol; remembered."""
        self._count()
        atoms = self.words.atoms[symbol]
        if trail is self.anywhere:
            places = {place for atom in atoms if atom >= ANY for place in self._graph.passing[atom]}
        else:
            leads = trail.leads
            if leads is None:
                leads = [self._graph.ways[place] for place in trail.places]
                if len(trail) >= _OFTEN:
                    leads = trail.leads = _together(leads)
            places = _targets(leads, atoms)
        before = trail[symbol] = self._trail(places)
        return before

    def _trail(self, places: Set[int]) -> Trail:
        known = frozenset(places)
        trail = self._trails.get(known)
        if trail is None:
            trail = self._trails[known] = Trail(self, known, not self._graph.first.isdisjoint(known))
        return trail

    def _count(self) -> None:
        if self._steps > _MOST_STEPS:
            self._forget()
        self._steps += 1


def _targets(several: Iterable[Leads], atoms: Set[int]) -> set[int]:
    """Where one comes by these atoms."""
    found: set[int] = set()
    few = len(atoms)
    for leads in several:
        if len(leads) < few:
            for atom in leads:
                if atom in atoms:
                    found.update(leads[atom])
        else:
            for atom in atoms:
                if atom in leads:
                    found.update(leads[atom])
    return found


def _together(several: Sequence[Leads]) -> list[Leads]:
    """The same in fewer: the small ones are put together."""
    return [_merged(leads for leads in several if len(leads) <= _LARGE), *[one for one in several if len(one) > _LARGE]]


def _merged(several: Iterable[Leads]) -> Leads:
    """Where one comes from any of several places."""
    found: dict[int, set[int]] = {}
    for leads in several:
        for atom, targets in leads.items():
            known = found.get(atom)
            if known is None:
                found[atom] = set(targets)
            else:
                known.update(targets)
    return found
