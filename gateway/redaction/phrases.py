"""What the rules name, as one graph over words: terms and patterns share its places, a macro is one edge.

A *place* stands between two words of a phrase. Its edges bear *atoms*: a word as it is spelled, the words of a
macro, any word, or the words of a form (`\\d{2,}`, `grand\\w+`). So a pattern over hundreds of names costs as much
as one over a single name, and thousands of terms that begin alike begin at one place.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from gateway.redaction.grammar import Tree, Unread, is_any_word, is_within_word, spellings, ways, written
from gateway.redaction.wordforms import ANY_WORD, plainest

ANY = 0
"""The atom that every word bears."""
_FEW = 8
"""So many characters of a class are written out one by one."""
_MANY = 8
_ENDING = 4
_LONGEST = 40
_MOST_STEPS = 200_000
_PART = re.compile(r"[0-9a-z_]+|[^0-9a-z_ ]")


class Macro(NamedTuple):
    """A name for many phrases: single words, several words spelled out, and patterns."""

    words: frozenset[str]
    phrases: frozenset[str]
    others: tuple[Tree, ...]


def macro(tree: Tree, known: Mapping[str, Macro]) -> Macro:
    """The macro of a tree, in which macros that are known already may occur."""
    spelled: set[str] = set()
    others: list[Tree] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if one.kind == "or":
            waiting.extend(one.parts)
        elif one.kind == "macro":
            spelled |= known[one.text].words | known[one.text].phrases
            others.extend(known[one.text].others)
        else:
            spellings_of = spellings(one, gaps=True)
            if spellings_of is None or "" in spellings_of:
                others.append(one)
            else:
                spelled.update(spellings_of)
    words = frozenset(word for word in spelled if " " not in word)
    return Macro(words, frozenset(spelled - words), tuple(others))


class Phrases:
    """The graph: `edges` and `ends` by place. Place 0 is where every phrase begins.

    An edge says which places an atom leads to; an end is a number that the caller gave to what ends there.
    """

    def __init__(self, macros: Mapping[str, Macro]) -> None:
        self.edges: list[dict[int, tuple[int, ...]]] = [{}]
        self.ends: list[tuple[int, ...]] = [()]
        self.also: dict[int, set[int]] = defaultdict(set)
        """By place, others at which one stands who stands there: what many places go on with is written once."""
        self.macros = macros
        self._terms: dict[tuple[int, str], int] = {}
        self._spelled: dict[str, int] = {}
        self.forms: dict[str, int] = {}
        """RE2 sources, and the atoms of the words that they match as a whole."""
        self._named: dict[str, int] = {}
        self.atoms = ANY + 1

    def add_term(self, term: str, end: int) -> None:
        """A term: folded words and marks, one space for a gap."""
        place = 0
        parts = _PART.findall(term)
        for part in parts:
            ahead = self._terms.get((place, part))
            if ahead is None:
                ahead = self._terms[place, part] = self.lead(place, self.spelled(part))
            place = ahead
        if place:
            self.ends[place] = (*self.ends[place], end)

    def add_pattern(self, tree: Tree, end: int) -> None:
        """A pattern.

        Raises:
            Unread: it matches nothing, or has too many spellings.
        """
        _Pattern(self, end).add(tree)

    def place(self) -> int:
        """A new place."""
        self.edges.append({})
        self.ends.append(())
        return len(self.edges) - 1

    def lead(self, place: int, atom: int, target: int | None = None) -> int:
        """An edge from a place; to a new one, if no target is given."""
        if target is None:
            target = self.place()
        known = self.edges[place].get(atom, ())
        if target not in known:
            self.edges[place][atom] = (*known, target)
        return target

    def spelled(self, word: str) -> int:
        """The atom of a word, or a mark, as it is spelled."""
        return self._atom(self._spelled, word)

    def formed(self, form: str) -> int:
        """The atom of the words that an RE2 source matches as a whole."""
        form = plainest(form)
        return ANY if form == ANY_WORD else self._atom(self.forms, form)

    def named(self, name: str) -> int:
        """The atom of a macro's single words."""
        return self._atom(self._named, name)

    def _atom(self, known: dict[str, int], key: str) -> int:
        if key not in known:
            known[key] = self.atoms
            self.atoms += 1
        return known[key]

    def put_first(self, atoms: Sequence[int]) -> None:
        """Give these atoms the lowest numbers, in order; `ANY` keeps its own."""
        new = {atom: number for number, atom in enumerate(atoms, ANY + 1)}
        new.update(zip(sorted(new.values() - new.keys()), sorted(new.keys() - new.values()), strict=True))
        for known in (self._spelled, self.forms, self._named):
            known.update({key: new[atom] for key, atom in known.items() if atom in new})
        for place, leads in enumerate(self.edges):
            if not new.keys().isdisjoint(leads):
                self.edges[place] = {new.get(atom, atom): targets for atom, targets in leads.items()}

    def closed(self) -> dict[int, frozenset[int]]:
        """By place, all others at which one stands who stands there, where there are any."""
        found: dict[int, frozenset[int]] = {}
        for place in self.also:
            seen = {place}
            waiting = [place]
            while waiting:
                fresh = self.also.get(waiting.pop(), set()) - seen
                seen |= fresh
                waiting.extend(fresh)
            found[place] = frozenset(seen - {place})
        return found

    def bearing(self) -> dict[bytes, tuple[int, ...]]:
        """The atoms that words bear which some phrase spells, or a macro holds; forms apart."""
        found: dict[str, list[int]] = defaultdict(list)
        for word, atom in self._spelled.items():
            found[word].append(atom)
        for name, atom in self._named.items():
            for word in self.macros[name].words:
                found[word].append(atom)
        return {word.encode(): tuple(atoms) for word, atoms in found.items()}


_Part: TypeAlias = "tuple[str, str]"
"""(kind, text) of what was read of a word: letters as spelled (a `text`), a `form`, a macro's word, a `joined` two.

A `stem` may have one of many endings; a `whole` word has it. Where a gap before many words may be left out, no
word is made of every two.
"""
_NOTHING: _Part = ("", "")


def _said(way: list[Tree]) -> tuple[str, str]:
    """(kind, text) of a part of a word."""
    if all(part.kind == "text" for part in way):
        text = "".join(part.text for part in way)
        return "text" if text else "", text
    return "form", ANY_WORD if len(way) == 1 and is_any_word(way[0]) else "".join(written(part, {}) for part in way)


class _Pattern:
    """One pattern: first its moves from letter to letter, then its edges from word to word.

    Moves are by *state*, and are made from the end of the pattern to its beginning. State 0 is its end.
    """

    def __init__(self, phrases: Phrases, end: int) -> None:
        self._phrases = phrases
        self._end = end
        self._moves: list[list[tuple[str, str, int]]] = [[]]
        self._places: dict[int, int] = {}
        self._waiting: list[int] = []
        self._steps = 0
        self._leading = {0}
        self._grafts: dict[tuple[str, int], int] = {}
        self._final = phrases.place()
        self._end_at(self._final)

    def add(self, tree: Tree) -> None:
        """See `Phrases.add_pattern`."""
        self._lead_on(self._state(tree, 0), 0)
        while self._waiting:
            state = self._waiting.pop()
            self._lead_on(state, self._places[state])

    # --- from letter to letter ---

    def _new(self, *moves: tuple[str, str, int]) -> int:
        self._moves.append(list(moves))
        return len(self._moves) - 1

    def _state(self, tree: Tree, lead: int) -> int:
        """The state from which a tree is read, that goes on at the state `lead`."""
        match tree.kind:
            case "text":
                for piece in reversed(_PART.findall(tree.text)):
                    lead = self._new(("text" if piece.isalnum() else "mark", piece, lead))
            case "gap":
                lead = self._new(("gap", "", lead))
            case "set" if tree.mask.bit_count() > _FEW:
                lead = self._new(("form", written(tree, {}), lead))
            case "set":
                lead = self._new(*(("text", one, lead) for one in spellings(tree) or ()))
            case "or" if is_any_word(tree):
                lead = self._new(("form", ANY_WORD, lead))
            case "or":
                lead = self._new(*(("", "", self._state(part, lead)) for part in tree.parts))
            case "macro":
                others = (("", "", self._state(one, lead)) for one in self._phrases.macros[tree.text].others)
                lead = self._new(("macro", tree.text, lead), ("phrases", tree.text, lead), *others)
            case "repeat":
                lead = self._repeated(tree, lead)
            case "seq" | "group":
                lead = self._sequence(list(tree.parts), lead)
        return lead

    def _sequence(self, parts: list[Tree], lead: int) -> int:
        """Parts of one word that are not spelled out are one form, for each of the ways in which it may be written."""
        while parts:
            within = next((at for at, part in enumerate(reversed(parts)) if not is_within_word(part)), len(parts))
            run = parts[len(parts) - within :]
            if any(spellings(part) is None for part in run):
                lead = self._new(*((*_said(way), lead) for way in ways(run) or [run]))
                del parts[-within:]
            else:
                lead = self._state(parts.pop(), lead)
        return lead

    def _repeated(self, tree: Tree, lead: int) -> int:
        (part,) = tree.parts
        if tree.most != 1 and is_within_word(part):
            counted = Tree("repeat", parts=[part], least=max(1, tree.least), most=tree.most)
            state = self._new(("form", ANY_WORD if is_any_word(counted) else written(counted, {}), lead))
            return state if tree.least else self._new(("", "", state), ("", "", lead))
        if tree.most is None:
            loop = self._new(("", "", lead))
            self._moves[loop].append(("", "", self._state(part, loop)))
            lead = loop
        else:
            for _ in range(tree.most - tree.least):
                lead = self._new(("", "", self._state(part, lead)), ("", "", lead))
        for _ in range(tree.least):
            lead = self._state(part, lead)
        return lead

    # --- from word to word ---

    def _lead_on(self, state: int, place: int) -> None:
        """The edges of a place: from a state up to where the next word, or the mark, ends."""
        begin = state
        waiting: list[tuple[int, _Part]] = [(state, _NOTHING)]
        seen: set[tuple[int, _Part]] = set()
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise Unread("the pattern has too many spellings: name a macro, or write a gap")
            state, part = one
            so_far = part[0]
            if len(self._moves[state]) > _MANY and state != begin:
                if not so_far:
                    self._phrases.also[place].add(self._place(state))
                    continue
                if so_far == "text":
                    part = "stem", part[1]
            if state == 0:
                self._arrive(place, part, self._final)
            for move in self._moves[state]:
                waiting.extend(self._moved(place, state, part, move))

    def _moved(self, place: int, state: int, part: _Part, move: tuple[str, str, int]) -> list[tuple[int, _Part]]:
        """Where one is after a move within a word; of one that ends it, the edge."""
        kind, text, lead = move
        so_far = part[0]
        if not kind or (kind == "gap" and not so_far):
            return [(lead, part)]
        if kind == "gap":
            self._arrive(place, part, self._place(lead))
        elif kind == "mark" and so_far:  # it ends a word
            self._arrive(place, part, self._place(state))
        elif kind == "mark":
            self._phrases.lead(place, self._phrases.spelled(text), self._place(lead))
        elif kind != "phrases":
            return [(lead, read) for read in self._read(kind, text, part)]
        elif not so_far:
            self._phrases.also[place].add(self._graft(text, lead))
        return []

    def _graft(self, name: str, lead: int) -> int:
        """A place from which the phrases of a macro are read that are several words, and then on at a state."""
        if (name, lead) in self._grafts:
            return self._grafts[name, lead]
        phrases = self._phrases
        first = self._grafts[name, lead] = phrases.place()
        known: dict[tuple[int, str], int] = {}
        beyond = [("", target) for target in self._beyond(lead)]
        beyond.extend((text, target) for text, on in self._endings(lead) for target in self._beyond(on))
        for phrase in phrases.macros[name].phrases:
            *words, last = _PART.findall(phrase)
            place = first
            for word in words:
                ahead = known.get((place, word))
                if ahead is None:
                    ahead = known[place, word] = phrases.lead(place, phrases.spelled(word))
                place = ahead
            for ending, target in beyond:
                phrases.lead(place, phrases.spelled(last + ending), target)
        return first

    def _beyond(self, state: int) -> list[int]:
        """The places where one stands who reads no more of a word at a state."""
        found = [self._final] if 0 in self._idly(state) else []
        for one in self._idly(state):
            for kind, _text, lead in self._moves[one]:
                if kind == "gap":
                    found.append(self._place(lead))
                elif kind == "mark":
                    found.append(self._place(one))
        return found

    def _endings(self, state: int) -> list[tuple[str, int]]:
        """What may be read of a word at a state, if it is short; and the state after it."""
        return [
            (text, lead)
            for one in self._idly(state)
            for kind, text, lead in self._moves[one]
            if kind == "text" and len(text) <= _ENDING
        ]

    def _idly(self, state: int) -> set[int]:
        """The states that one is at without reading anything."""
        found = {state}
        waiting = [state]
        while waiting:
            fresh = {lead for kind, _text, lead in self._moves[waiting.pop()] if not kind} - found
            found |= fresh
            waiting.extend(fresh)
        return found

    def _read(self, kind: str, text: str, part: _Part) -> Iterable[_Part]:
        """What is read of a word with a move's text, form or macro added."""
        before, read = part
        if not before:
            return [(kind, text)]
        ending = kind == "text" and len(text) <= _ENDING
        words: list[_Part] = []
        if before == "macro" and ending:
            words = [("whole", word + text) for word in self._words(read)]
        elif before == "stem" and ending:  # of many endings, a short one
            words = [("whole", read + text)]
        elif kind == before == "text":
            words = [("text", read + text)] if len(read) < _LONGEST else []  # what goes on for ever is no word
        elif {kind, before} in ({"form"}, {"form", "text"}):
            words = [("joined", read + text)]
        return words

    def _words(self, name: str) -> list[str]:
        return sorted(self._phrases.macros[name].words)

    def _arrive(self, place: int, part: _Part, target: int) -> None:
        """An edge for the word that was read; none was, if what the pattern could go on with may be left out."""
        phrases = self._phrases
        kind, text = part
        if kind == "macro":
            phrases.lead(place, phrases.named(text), target)
        elif kind:
            atom = phrases.formed(text) if kind in {"form", "joined"} else phrases.spelled(text)
            if atom == ANY and place in self._leading:  # a phrase that any word may begin is heard from the next
                phrases.also[0].add(target)
                self._leading.add(target)
            else:
                phrases.lead(place, atom, target)
        elif place:
            self._end_at(place)
        else:
            raise Unread("the pattern matches nothing")

    def _end_at(self, place: int) -> None:
        self._phrases.ends[place] = (self._end,)

    def _place(self, state: int) -> int:
        if state not in self._places:
            self._places[state] = self._phrases.place()
            self._waiting.append(state)
        return self._places[state]
