"""The company that anchors keep: words of which one stands near, wherever a phrase is said.

An anchor is the rarest word of a phrase, but among forty thousand phrases that is often a usual one. Two words are
hardly ever said together by chance: where nothing of its company stands near an anchor, nothing need be walked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from gateway.redaction.phrases import ANY
from gateway.redaction.tables import BITS, MIX, NUMBER, SIZE, WITHIN, Notices, Signs, numbers

_FAR = 16
"""Words."""
_SELDOM = 2e-7
"""How often an atom is borne at least, in words."""
_OFTEN = 0.5
"""How many of its words are met by chance, at most: what stands near anywhere tells nothing."""
_NOTICED, _GONE_TO = 100, 20
"""What it costs to go on from an anchor, and to each place, where it costs 1 to ask whether a word is of a company."""
_ROOM = 16
"""Bits for each atom of a company."""

Steps: TypeAlias = "Callable[[int], Iterable[tuple[int, Iterable[int]]]]"
"""By place, the atoms of the words that lead on from there, each with the places where they lead."""


class Company(NamedTuple):
    """Atoms of which one of so many words bears one; `often` is how often a word does."""

    atoms: frozenset[int]
    within: int
    often: float


class Anchor(NamedTuple):
    """An anchor, and what it is known by.

    `number` is its own where phrases begin with it (`begins` is 1); else that of the place before it, to which words
    lead from where phrases begin. `before` and `after` are the signs of the atoms that may stand right beside it, and
    `places` is how many one stands at behind it.
    """

    atom: int
    begins: int
    number: int
    behind: Company | None
    ahead: Company | None
    before: int
    after: int
    places: int


def companies(
    wanted: Iterable[int], steps: Steps, over: Collection[int], often: Mapping[int, float]
) -> dict[int, Company | None]:
    """By place, what company is met on all ways on from there; None where none is known to be.

    Args:
        wanted: the places; others on their ways are there as well.
        steps: leads on from a place.
        over: the places where a way may be over.
        often: by atom, how often a word bears it.
    """
    found: dict[int, Company | None] = dict.fromkeys(over)
    begun = set(found)
    waiting = list(wanted)
    while waiting:
        place = waiting[-1]
        if place not in begun:
            begun.add(place)
            waiting.extend(one for _atom, targets in steps(place) for one in targets if one not in begun)
            continue
        waiting.pop()
        if place not in found:
            found[place] = _met(steps(place), found, often)
    return found


def _met(
    steps: Iterable[tuple[int, Iterable[int]]], found: Mapping[int, Company | None], often: Mapping[int, float]
) -> Company | None:
    """The company from a place on: of each word beside it, that word, or what is met beyond it, if that is rarer.

    Of a place where a way comes back to itself nothing is known yet: the word will do, and any word tells nothing.
    """
    own: set[int] = set()
    several: list[Company | None] = []
    for atom, targets in steps:
        for target in targets:
            beyond = found.get(target)
            if beyond is not None and (atom == ANY or beyond.often < often.get(atom, _SELDOM)):
                several.append(beyond._replace(within=beyond.within + 1))
            elif atom == ANY:
                return None
            else:
                own.add(atom)
    if own:
        several.append(_company(frozenset(own), 1, often))
    return of_all(several, often)


def of_all(several: Sequence[Company | None], often: Mapping[int, float]) -> Company | None:
    """The company that is met where one of several is; None if one is not known, or if that tells nothing."""
    known = [one for one in several if one is not None]
    if len(known) < len(several):
        return None
    if len(known) == 1:
        found = known[0]
    else:
        atoms = frozenset[int]().union(*[one.atoms for one in known])
        found = _company(atoms, max([one.within for one in known], default=0), often)
    return found if found.within <= _FAR and found.often * found.within < _OFTEN else None


def _company(atoms: frozenset[int], within: int, often: Mapping[int, float]) -> Company:
    return Company(atoms, within, sum([max(often.get(atom, 0.0), _SELDOM) for atom in atoms]))


def notices(anchors: Sequence[Anchor], often: Mapping[int, float], atoms: int) -> Notices:
    """Tables of anchors.

    Args:
        anchors: all of them.
        often: by atom, how often a word bears it.
        atoms: how many there are.
    """
    numbered = _Numbered(anchors, often)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for one in anchors:
        key = one.atom, numbered.of(one.behind), numbered.of(one.ahead), one.begins, one.before, one.after
        groups[key].append(one.number)
    keys = sorted(groups)
    several = [groups[key] for key in keys]
    starts = numbers(np.cumsum([0, *map(len, several)]))
    table = np.column_stack([np.array([key[1:4] for key in keys], np.int32).reshape(-1, 3), starts[:-1]])
    return Notices(
        starts=numbers(np.searchsorted([key[0] for key in keys], np.arange(atoms + 1))),
        rows=numbers(np.append(table.ravel(), [0, 0, 0, starts[-1]])),
        beside=np.array([key[4:] for key in keys], np.uint64).ravel(),
        anchors=numbers([number for some in several for number in some]),
        companies=np.concatenate(numbered.held),
        mates=numbers(sorted(frozenset[int]().union(*numbered.known))),
    )


class _Numbered:
    """The companies that are worth asking for, as `Notices.rows` has them. Those of rare anchors seldom are."""

    def __init__(self, anchors: Iterable[Anchor], often: Mapping[int, float]) -> None:
        self.known: dict[frozenset[int], int] = {}
        self.held = [np.zeros(1, np.uint64)]
        self._size = 1
        self._spared: dict[frozenset[int], float] = defaultdict(float)
        for one in anchors:
            spared = often.get(one.atom, _SELDOM) * (_NOTICED + _GONE_TO * one.places)
            for company in (one.behind, one.ahead):
                if company is not None:
                    self._spared[company.atoms] += spared

    def of(self, company: Company | None) -> int:
        """Its number, and within how many words it stands; 0 for none."""
        if company is None or self._spared[company.atoms] < company.often:
            return 0
        number = self.known.get(company.atoms)
        if number is None:
            held = _held(company.atoms)
            number = self.known[company.atoms] = self._size << SIZE | len(held).bit_length() - 1 << WITHIN
            self.held.append(held)
            self._size += len(held)
        return number | company.within


def _held(atoms: Collection[int]) -> Signs:
    """The bits of a company in `Notices.companies`."""
    mixed = np.array(sorted(atoms), np.uint64) * np.uint64(MIX) >> np.uint64(32)
    found = np.zeros(1 << (_ROOM * len(mixed) // 64).bit_length(), np.uint64)
    at = (mixed >> np.uint64(NUMBER) & np.uint64(len(found) - 1)).astype(np.int64)
    for shift in BITS:
        np.bitwise_or.at(found, at, np.uint64(1) << (mixed >> np.uint64(shift) & np.uint64(63)))
    return found
