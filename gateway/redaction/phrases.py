"""What the rules name, as one graph over words: terms and patterns share its places, a macro is one edge.

A *place* stands between two words of a phrase. Its edges bear *atoms*: a word as it is spelled, the words of a
macro, any word, or the words of a form (`\\d{2,}`, `grand\\w+`). So a pattern over hundreds of names costs as much
as one over a single name, and thousands of terms that begin alike begin at one place.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import re2

from gateway.redaction.automata import linear_options
from gateway.redaction.grammar import Tree, Unread, spellings, written

ANY = 0
"""The atom that every word bears."""
MOST_WORDS = 48
"""Words and marks of a phrase at most."""
_FEW = 8
"""So many characters of a class are written out one by one."""
_MOST_STEPS = 50_000
_PART = re.compile(r"[0-9a-z_]+|[^0-9a-z_ ]")
_ANY_WORD = frozenset({r"(?:\w){1,}", r"(?:\w){0,}"})


class Macro(NamedTuple):
    """A name for many phrases: those that are single words, and the others."""

    words: frozenset[str]
    others: tuple[Tree, ...]


def macro(tree: Tree, known: Mapping[str, Macro]) -> Macro:
    """The macro of a tree, in which macros that are known already may occur."""
    words: set[str] = set()
    others: list[Tree] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if one.kind == "or":
            waiting.extend(one.parts)
        elif one.kind == "macro":
            words |= known[one.text].words
            others.extend(known[one.text].others)
        else:
            spelled = spellings(one)
            if spelled is None or "" in spelled:
                others.append(one)
            else:
                words.update(spelled)
    return Macro(frozenset(words), tuple(others))


class Phrases:
    """The graph: `edges` and `ends` by place. Place 0 is where every phrase begins.

    An edge says which places an atom leads to; an end is a number that the caller gave to what ends there.
    """

    def __init__(self, macros: Mapping[str, Macro]) -> None:
        self.edges: list[dict[int, tuple[int, ...]]] = [{}]
        self.ends: list[tuple[int, ...]] = [()]
        self.macros = macros
        self._terms: dict[tuple[int, str], int] = {}
        self._spelled: dict[str, int] = {}
        self._forms: dict[str, int] = {}
        self._named: dict[str, int] = {}
        self._atoms = ANY + 1

    def add_term(self, term: str, end: int) -> None:
        """A term: folded words and marks, one space for a gap."""
        place = 0
        for part in _PART.findall(term):
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

    def place(self, *ends: int) -> int:
        """A new place."""
        self.edges.append({})
        self.ends.append(ends)
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
        return ANY if form in _ANY_WORD else self._atom(self._forms, form)

    def named(self, name: str) -> int:
        """The atom of a macro's single words."""
        return self._atom(self._named, name)

    def _atom(self, known: dict[str, int], key: str) -> int:
        if key not in known:
            known[key] = self._atoms
            self._atoms += 1
        return known[key]

    def leads(self) -> dict[int, dict[int, tuple[int, ...]]]:
        """The edges by atom, and then by place."""
        found: dict[int, dict[int, tuple[int, ...]]] = defaultdict(dict)
        for place, edges in enumerate(self.edges):
            for atom, targets in edges.items():
                found[atom][place] = targets
        return dict(found)

    def depths(self) -> list[int]:
        """By place, how many words and marks a phrase may have behind it there, `MOST_WORDS` at most."""
        depths = [0] * len(self.edges)
        waiting = [0]
        while waiting:
            place = waiting.pop()
            depth = min(depths[place] + 1, MOST_WORDS)
            for targets in self.edges[place].values():
                for target in targets:
                    if depths[target] < depth:
                        depths[target] = depth
                        waiting.append(target)
        return depths

    def bearing(self) -> dict[bytes, tuple[int, ...]]:
        """The atoms that words bear which some phrase spells, or a macro holds; forms apart."""
        found: dict[str, list[int]] = defaultdict(list)
        for word, atom in self._spelled.items():
            found[word].append(atom)
        for name, atom in self._named.items():
            for word in self.macros[name].words:
                found[word].append(atom)
        return {word.encode(): tuple(atoms) for word, atoms in found.items()}

    def forms(self) -> tuple[re2.Set | None, tuple[int, ...]]:
        """What says which forms a word has, by number; and their atoms by that number."""
        if not self._forms:
            return None, ()
        known = re2.Set.FullMatchSet(linear_options())
        for form in self._forms:
            known.Add(form.encode())
        known.Compile()
        return known, tuple(self._forms.values())


class _Part(NamedTuple):
    """What was read of a word so far: letters as spelled, a form, or a macro's word."""

    kind: str
    text: str


_NOTHING = _Part("", "")


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
        self._final = phrases.place(end)

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
            case "or":
                lead = self._new(*(("", "", self._state(part, lead)) for part in tree.parts))
            case "macro":
                others = (("", "", self._state(one, lead)) for one in self._phrases.macros[tree.text].others)
                lead = self._new(("macro", tree.text, lead), *others)
            case "repeat":
                lead = self._repeated(tree, lead)
            case "seq" | "group":
                lead = self._sequence(list(tree.parts), lead)
        return lead

    def _sequence(self, parts: list[Tree], lead: int) -> int:
        """Parts of one word that are not spelled out are one form."""
        while parts:
            within = next((at for at, part in enumerate(reversed(parts)) if not _is_within_word(part)), len(parts))
            run = parts[len(parts) - within :]
            if any(spellings(part) is None for part in run):
                lead = self._new(("form", "".join(written(part, {}) for part in run), lead))
                del parts[-within:]
            else:
                lead = self._state(parts.pop(), lead)
        return lead

    def _repeated(self, tree: Tree, lead: int) -> int:
        (part,) = tree.parts
        if tree.most != 1 and _is_within_word(part):
            counted = Tree("repeat", parts=[part], least=max(1, tree.least), most=tree.most)
            state = self._new(("form", written(counted, {}), lead))
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
            if state == 0:
                self._arrive(place, part, self._final)
            for kind, text, lead in self._moves[state]:
                if not kind or (kind == "gap" and not part.kind):
                    waiting.append((lead, part))
                elif kind == "gap":
                    self._arrive(place, part, self._place(lead))
                elif kind == "mark" and part.kind:  # it ends a word
                    self._arrive(place, part, self._place(state))
                elif kind == "mark":
                    self._phrases.lead(place, self._phrases.spelled(text), self._place(lead))
                else:
                    waiting.extend((lead, read) for read in self._read(kind, text, part))

    def _read(self, kind: str, text: str, part: _Part) -> Iterator[_Part]:
        """What is read of a word with a move's text, form or macro added."""
        if not part.kind:
            yield _Part(kind, text)
        elif kind == "macro":
            for word in self._phrases.macros[text].words:
                yield _Part(part.kind, part.text + word)
        elif part.kind == "macro":
            for word in self._phrases.macros[part.text].words:
                yield _Part(kind, word + text)
        else:
            yield _Part("form" if "form" in {kind, part.kind} else "text", part.text + text)

    def _arrive(self, place: int, part: _Part, target: int) -> None:
        """An edge for the word that was read; none was, if what the pattern could go on with may be left out."""
        phrases = self._phrases
        if part.kind == "macro":
            phrases.lead(place, phrases.named(part.text), target)
        elif part.kind:
            phrases.lead(
                place, phrases.spelled(part.text) if part.kind == "text" else phrases.formed(part.text), target
            )
        elif place:
            phrases.ends[place] = (self._end,)
        else:
            raise Unread("the pattern matches nothing")

    def _place(self, state: int) -> int:
        if state not in self._places:
            self._places[state] = self._phrases.place()
            self._waiting.append(state)
        return self._places[state]


def _is_within_word(tree: Tree) -> bool:
    """Whether all it matches is a part of one word."""
    if tree.kind == "text":
        return tree.text.isalnum()
    return tree.kind == "set" or (tree.kind in {"seq", "or", "repeat"} and all(map(_is_within_word, tree.parts)))
