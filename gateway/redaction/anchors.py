"""Where phrases are noticed: on the way through each, the edge whose word is rarest.

Whoever scans for phrases at their first words is busy all the time, since most begin with words that all talk is
made of. So of the edges of the graph some are *anchors*: every phrase passes one, and few words of talk bear one.
What stands before an anchor is gone through backwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np

from gateway.redaction.company import Anchor, companies, notices, of_all
from gateway.redaction.grammar import Unread
from gateway.redaction.machines import Pattern, machine
from gateway.redaction.phrases import ANY, Phrases
from gateway.redaction.tables import Bytes, Graph, Lists, Machine, Numbers, Signs, Table, numbers, sign, signs
from gateway.redaction.vocabulary import vocabulary
from gateway.redaction.walk import SIEVE, SIEVE_BITS
from gateway.redaction.wordforms import WordForms, form_pattern

_ENDLESS = float("inf")
_LOOK = 0.3
"""What it costs to look at the words beside one, of what it costs to go on from there."""
_IN = 1e5
_ROUNDS = 2
_ALONE = 4.0
_RARELY = 0.02
_MANY = 32
_LOOSE = 8
"""Bits of a sieve for each atom in it, at least."""
_OF_A_FORM = 10.0
"""How often a word is said that is not listed as common, and one of a form that no common word has."""


@cache
def common_words() -> dict[str, float]:
    """How often common words are said, in 100,000 words of business talk."""
    found: dict[str, float] = {}
    often = 0.0
    for line in resources.files(__package__).joinpath("common_words.txt").read_text("ascii").splitlines():
        if line[0] == " ":
            found.update(dict.fromkeys(line.split(), often))
        elif line[0] != "#":
            often = float(line)
    return found


def graph(phrases: Phrases, marked: Iterable[int] = (), sides: Iterable[Pattern] = ()) -> Graph:
    """The phrases as tables, and the anchors among their edges; and the machine of the sides.

    Args:
        phrases: the graph.
        marked: see there; it is only kept.
        sides: of all links and vetoes.

    Raises:
        Unread: any words at all may be a phrase; or there is too much of the sides.
    """
    said = how_often(phrases, machine([form_pattern(phrases.forms)]))
    del said[ANY]
    listed = sorted(said, key=lambda atom: (-said[atom], atom))
    phrases.put_first(listed)
    often = {ANY: _ENDLESS, **{number: said[atom] / _IN for number, atom in enumerate(listed, ANY + 1)}}
    edges, closed, size = phrases.edges, phrases.closed(), len(phrases.edges)
    nowhere = _endings(phrases)
    first = frozenset({0, *closed.get(0, ())})
    if not nowhere.isdisjoint(first):
        raise Unread("any words are such a phrase: it needs one that is spelled")
    forms = machine([form_pattern(phrases.forms)])
    costs = _Costs(phrases, closed, often)
    for _ in range(_ROUNDS):
        beyond = _beyond(phrases, costs, nowhere)
        noticed, ways = _chosen(phrases, closed, first, costs, beyond)
        costs.share(noticed)
    opening = _opening(phrases, first)
    anchors = Table.of(noticed, size)
    edge_table, end_lists = Table.of(dict(enumerate(edges)), size), Lists.of(dict(enumerate(phrases.ends)), size)
    also, way_table = Lists.of(closed, size), Table.of(ways, size)
    sieves, sieve = _sieves(edge_table)
    starts = [each.starts for each in (edge_table, end_lists, also, way_table, anchors)]
    begins = np.isin(np.arange(size + 1), sorted(first))
    bearing = {word.encode(): () for word in common_words()} | phrases.bearing()
    return Graph(
        edges=edge_table,
        ends=end_lists,
        also=also,
        ways=way_table,
        anchors=anchors,
        opening=Lists.of(opening, phrases.atoms),
        notices=notices(list(_beside(phrases, closed, first, anchors, ways, often)), often, phrases.atoms),
        heads=_heads([*starts, sieve << 1 | begins], signs(edge_table.starts, edge_table.keys)),
        sieves=sieves,
        vocabulary=vocabulary(bearing, WordForms(forms), common_words()),
        sides=machine(sides),
        forms=forms,
        marked=frozenset(marked),
    )


def _chosen(
    phrases: Phrases,
    closed: Mapping[int, frozenset[int]],
    first: frozenset[int],
    costs: _Costs,
    beyond: Sequence[float],
) -> tuple[dict[int, dict[int, list[int]]], dict[int, dict[int, set[int]]]]:
    """`anchors` and `ways` of the graph."""
    edges = phrases.edges
    noticed: dict[int, dict[int, list[int]]] = {}
    ways: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    seen = set(first)
    waiting = list(first)
    while waiting:
        place = waiting.pop()
        noticed[place] = {}
        for atom, targets in edges[place].items():
            rest = [target for target in targets if costs.of(place, atom, target) > beyond[target]]
            if len(rest) < len(targets):
                noticed[place][atom] = [target for target in targets if target not in rest]
            for target in rest:
                for one in (target, *closed.get(target, ())):
                    ways[one][atom].add(place)
                    if one not in seen:
                        seen.add(one)
                        waiting.append(one)
    return noticed, ways


def _opening(phrases: Phrases, first: frozenset[int]) -> dict[int, set[int]]:
    """`opening` of the graph."""
    opening: dict[int, set[int]] = defaultdict(set)
    for place in first:
        for atom, targets in phrases.edges[place].items():
            opening[atom].update(targets)
    return opening


def _beside(
    phrases: Phrases,
    closed: Mapping[int, frozenset[int]],
    first: frozenset[int],
    anchors: Table,
    ways: Mapping[int, Mapping[int, Collection[int]]],
    often: Mapping[int, float],
) -> Iterator[Anchor]:
    """The anchors, and what is beside them. Where a phrase is over, any word may be."""
    at = [(place, *closed.get(place, ())) for place in range(len(phrases.edges))]
    over = {place for place, others in enumerate(at) if any(phrases.ends[one] for one in others)}

    def onwards(place: int) -> Iterable[tuple[int, Iterable[int]]]:
        return [step for one in at[place] for step in phrases.edges[one].items()]

    def next_to(places: Iterable[int]) -> Iterable[int]:
        return [atom for one in places for atom, _to in ([(ANY, ())] if one in over else onwards(one))]

    ahead = companies(anchors.numbers.tolist(), onwards, over, often)
    behind = companies(ways, lambda place: ways[place].items(), first, often)
    for place in range(len(at)):
        for number in range(anchors.starts[place], anchors.starts[place + 1]):
            atom = int(anchors.keys[number])
            targets = anchors.numbers[anchors.offsets[number] : anchors.offsets[number + 1]].tolist()
            met, after = of_all([ahead[one] for one in targets], often), sign(next_to(targets))
            places = sum([len(at[one]) for one in targets])
            if place in first:
                yield Anchor(atom, 1, number, None, met, sign([ANY]), after, places)
            if place in ways:
                yield Anchor(atom, 0, place, behind[place], met, sign(ways[place]), after, places)


def _sieves(edges: Table) -> tuple[Bytes, Numbers]:
    """`sieves` of the graph; and by place where its own begins, as `walk.Ways` says, 0 where it has none."""
    sieve = np.zeros(len(edges.starts), np.int32)
    parts = [np.zeros(SIEVE, np.uint8)]
    for place in np.flatnonzero(np.diff(edges.starts) > _MANY).tolist():
        atoms = edges.keys[edges.starts[place] : edges.starts[place + 1]]
        size = int(_LOOSE * len(atoms)).bit_length()
        held = np.zeros(1 << size, np.uint8)
        held[atoms & (1 << size) - 1] = 1
        sieve[place] = sum(map(len, parts)) // SIEVE << SIEVE_BITS | size
        parts.append(np.packbits(held, bitorder="little"))
    return np.concatenate(parts), sieve


def _heads(starts: Sequence[Numbers], held: Signs) -> Numbers:
    """Rows of where lists begin, and of a sign in two halves; one more than there are signs."""
    halves = np.append(held, np.uint64(0)).view(np.uint32).reshape(-1, 2).view(np.int32)
    return numbers(np.column_stack([*starts, *halves.T]).ravel())


def _endings(phrases: Phrases) -> set[int]:
    """The places from where a phrase ends, or may after words that need not be any in particular."""
    before: dict[int, list[int]] = defaultdict(list)
    for place, edges in enumerate(phrases.edges):
        for target in edges.get(ANY, ()):
            before[target].append(place)
    for place, others in phrases.also.items():
        for other in others:
            before[other].append(place)
    waiting = [place for place, ends in enumerate(phrases.ends) if ends]
    found = set(waiting)
    while waiting:
        fresh = [place for place in before.get(waiting.pop(), ()) if place not in found]
        found.update(fresh)
        waiting.extend(fresh)
    return found


def how_often(phrases: Phrases, forms: Machine) -> dict[int, float]:
    """By atom, how often words bear it, as in `common_words`."""
    known = WordForms(forms)
    bearing = phrases.bearing()
    often = dict.fromkeys(phrases.forms.values(), _OF_A_FORM)
    for atoms in bearing.values():
        for atom in atoms:
            often[atom] = often.get(atom, 0.0) + _RARELY
    for word, said in common_words().items():
        for atom in (*bearing.get(word.encode(), ()), *known.borne(word.encode())):
            often[atom] = often.get(atom, 0.0) + said
    often[ANY] = _ENDLESS
    return often


class _Costs:
    """What it costs to listen to an edge: how often its word is said, and between such words as stand beside it."""

    def __init__(self, phrases: Phrases, closed: Mapping[int, frozenset[int]], often: Mapping[int, float]) -> None:
        self._often = often
        self._look: dict[int, float] = dict.fromkeys(often, _LOOK)
        size = len(phrases.edges)
        ahead, behind = [0.0] * size, [0.0] * size
        for place, edges in enumerate(phrases.edges):
            for atom, targets in edges.items():
                said = often.get(atom, 0.0)
                ahead[place] += said
                for target in targets:
                    for one in (target, *closed.get(target, ())):
                        behind[one] += said
        self._behind = [min(1.0, share) for share in behind]
        for place in (0, *closed.get(0, ())):
            self._behind[place] = 1.0
        self._ahead = [
            1.0 if phrases.ends[place] else min(1.0, share + sum([ahead[one] for one in closed.get(place, ())]))
            for place, share in enumerate(ahead)
        ]

    def share(self, noticed: Mapping[int, Collection[int]]) -> None:
        """A word that is looked at for many phrases costs little for each; for one more word there must be a reason."""
        times: dict[int, int] = defaultdict(int)
        for atoms in noticed.values():
            for atom in atoms:
                times[atom] += 1
        self._look = {atom: _LOOK * _ALONE / (_ALONE / 2 + many) for atom, many in times.items()}

    def of(self, place: int, atom: int, target: int) -> float:
        """The cost of an edge; endless, if any word will do."""
        said = self._often.get(atom, 0.0)
        return (
            said
            if said == _ENDLESS
            else said * (self._look.get(atom, 3 * _LOOK) + self._behind[place] * self._ahead[target])
        )


def _beyond(phrases: Phrases, costs: _Costs, nowhere: set[int]) -> list[float]:
    """By place, what one edge costs at most, if every phrase that goes on from there is noticed beyond it.

    A way that leads back to a place where it has been adds nothing: it has to leave that place once more.
    """
    edges, also = phrases.edges, phrases.also
    found = [0.0] * len(edges)
    seen = bytearray(len(edges))
    for place in nowhere:
        found[place] = _ENDLESS
        seen[place] = 1
    waiting = [place for place in range(len(edges)) if not seen[place]]
    while waiting:
        place = waiting[-1]
        if seen[place] == 2:
            waiting.pop()
            continue
        if not seen[place]:
            seen[place] = 1
            fresh = [target for targets in edges[place].values() for target in targets if not seen[target]]
            fresh.extend(other for other in also.get(place, ()) if not seen[other])
            if fresh:
                waiting.extend(fresh)
                continue
        waiting.pop()
        seen[place] = 2
        most = max([found[other] for other in also.get(place, ())], default=0.0)
        for atom, targets in edges[place].items():
            for target in targets:
                least = found[target]
                if least > most:
                    most = max(most, min(least, costs.of(place, atom, target)))
        found[place] = most
    return found
