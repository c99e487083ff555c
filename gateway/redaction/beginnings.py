"""Which texts are the beginning of something that an operator's patterns could match, letter by letter.

An automaton over RE2 sources, its states made when a text first needs them. It may call a text a beginning
that is none (word boundaries and anchors are not looked at, upper case counts as lower case), never the
other way round.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.redaction.grammar import Tree, either_case, read

_MOST_STATES = 20_000


class _State(dict[int, "_State"]):
    """A set of places in the sources; byte -> the set after it, made when first asked for."""

    __slots__ = ("_automaton", "places")

    def __init__(self, automaton: Beginnings, places: frozenset[int]) -> None:
        super().__init__()
        self._automaton = automaton
        self.places = places

    def __missing__(self, byte: int) -> _State:
        after = self[byte] = self._automaton.after(self.places, byte)
        return after


class Beginnings:
    """Knows every beginning of what some RE2 sources match.

    Raises:
        grammar.Unread: a source is written in a way that is not known there.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        # A place either takes a byte of `_bytes` and leads to the one in `_leads`, or is several at once, in `_forked`.
        self._bytes: list[int] = [0]  # place 0: the end of a match
        self._leads: list[int] = [0]
        self._forked: dict[int, list[int]] = {0: []}
        self._masks: dict[int, int] = {}
        self._known: dict[frozenset[int], _State] = {}
        self._start = self._state(frozenset(self._closed([self._place(read(source), 0) for source in sources])))
        self._dead = self._state(frozenset())

    def first(self, text: bytes, starts: Iterable[int]) -> int | None:
        """The first of these places from which a text (lower-case ASCII) reads on as such a beginning, to its end."""
        begin, dead, size = self._start, self._dead, len(text)
        for start in starts:
            state = begin
            at = start
            while at < size:
                state = state[text[at]]
                if state is dead:
                    break
                at += 1
            else:
                return start
        return None

    def after(self, places: frozenset[int], byte: int) -> _State:
        """The state that a byte leads to."""
        bit = 1 << byte
        taken = [self._leads[place] for place in places if self._bytes[place] & bit]
        return self._state(frozenset(self._closed(taken)))

    def _state(self, places: frozenset[int]) -> _State:
        state = self._known.get(places)
        if state is None:
            if len(self._known) >= _MOST_STATES:  # bounded: forget all but what is always needed
                for known in self._known.values():
                    known.clear()
                self._known = {one.places: one for one in (self._start, self._dead)}
            state = self._known[places] = _State(self, places)
        return state

    def _closed(self, entries: Iterable[int]) -> set[int]:
        """The places reached from some without taking a byte; the end of a match is one."""
        found: set[int] = set()
        waiting = list(entries)
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                if not self._bytes[place]:
                    waiting.extend(self._forked[place])
        return {place for place in found if self._bytes[place] or place == 0}

    # --- making places, from the end of a pattern to its beginning ---

    def _place(self, tree: Tree, lead: int) -> int:
        """The first place of a tree, which goes on at the place `lead`."""
        if tree.kind == "set":
            return self._takes(tree.mask, lead)
        if tree.kind == "text":
            for character in reversed(tree.text):
                lead = self._takes(1 << ord(character), lead)
            return lead
        if tree.kind in {"seq", "edge"}:
            for part in reversed(tree.parts):
                lead = self._place(part, lead)
            return lead
        if tree.kind == "or":
            return self._forks(*(self._place(part, lead) for part in tree.parts))
        (part,) = tree.parts
        if tree.most is None:
            loop = self._forks(lead)
            self._forked[loop].append(self._place(part, loop))
            lead = loop
        else:
            for _ in range(tree.most - tree.least):
                lead = self._forks(self._place(part, lead), lead)
        for _ in range(tree.least):
            lead = self._place(part, lead)
        return lead

    def _takes(self, mask: int, lead: int) -> int:
        """A new place that takes one of these bytes."""
        either = either_case(mask)
        self._bytes.append(self._masks.setdefault(either, either))  # thousands are the same
        self._leads.append(lead)
        return len(self._bytes) - 1

    def _forks(self, *leads: int) -> int:
        """A new place that is several at once."""
        self._bytes.append(0)
        self._leads.append(0)
        self._forked[len(self._bytes) - 1] = list(leads)
        return len(self._bytes) - 1
