"""Which words a pattern needs: read from its own source, so that a text without them need not be looked at.

A pattern is read into a tree, and the tree into *exact* strings as far as it has few: lower-case words
with one space for whatever may stand between. From these follow the *keys* (words of which each match
holds one, whole or in part, and how many words at most stand before it in the match) and the
*firsts* (how the first word of a match may begin). Both are supersets: what is said to be needed is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import product
from math import prod

from gateway.redaction.grammar import WORD, Tree

_MOST_STRINGS = 400
_FEW = 10
"""So many characters in a class are written out one by one."""
ENDLESS = 1_000


@dataclass(frozen=True, slots=True)
class Key:
    """A literal of the plain text (a space on a side where the word ends there), and the words before it at most."""

    literal: str
    lead: int


@dataclass(frozen=True, slots=True)
class Firsts:
    """How matches may begin: with whole words, or words with these beginnings; and those after a gap that is theirs."""

    words: frozenset[str]
    beginnings: frozenset[str]
    after_gap: frozenset[str]


Weigh = Callable[[str], float]
"""How often a literal is to be met with in ordinary text, as a relative number."""


def keys(tree: Tree, weigh: Weigh, left: bool = True, right: bool = True) -> frozenset[Key] | None:
    """Words of which every match holds one, those that are met with least; None if there are none to name.

    `left` and `right` say whether a word that a match begins or ends with surely begins or ends there.
    """
    found = _keys(tree, weigh, left, right)
    return None if found is None else found[1]


def firsts(tree: Tree) -> Firsts:
    """How every match begins."""
    made = _Firsts()
    made.add([tree], gap=False)
    return Firsts(frozenset(made.words), frozenset(made.beginnings), frozenset(made.after_gap))


# --- strings ---


def exact(tree: Tree) -> frozenset[str] | None:
    """All that a tree matches, with each run of other than word characters as a space; None if it is too much."""
    if not tree.asked:
        tree.strings = _exact(tree)
        tree.asked = True
    return tree.strings


def _exact(tree: Tree) -> frozenset[str] | None:
    if not tree.parts:
        return _characters(tree.mask) if tree.kind == "set" else frozenset({""}) if tree.kind == "seq" else None
    parts = [exact(part) for part in tree.parts]
    if tree.kind == "seq":
        return _joined(parts)
    if tree.kind == "or":
        return _either(parts)
    (strings,) = parts
    if strings is not None and strings == frozenset({" "}):
        return frozenset({" ", ""} if tree.least == 0 else {" "})
    if tree.most is None or tree.most > 3:
        return None
    return _either([_joined([strings] * count) for count in range(tree.least, tree.most + 1)])


def _either(parts: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts) or sum(map(len, whole)) > _MOST_STRINGS:
        return None
    return frozenset().union(*whole)


@lru_cache(maxsize=1_024)
def _characters(mask: int) -> frozenset[str] | None:
    found = {" "} if mask & ~WORD else set()
    word = mask & WORD
    if word.bit_count() > _FEW:
        return None
    return frozenset(found | {chr(code) for code in range(128) if word >> code & 1})


def _joined(parts: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts) or prod(map(len, whole)) > _MOST_STRINGS:
        return None
    if not any(len(part) > 1 for part in whole):
        return frozenset({_collapse("".join(string for part in whole for string in part))})
    return frozenset(map(_collapse, map("".join, product(*whole))))


def _collapse(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def gaps(tree: Tree) -> int:
    """How many times at most a match passes from one word to the next."""
    if not tree.parts:
        return 1 if tree.mask & ~WORD else 0
    if tree.kind == "or":
        return max(map(gaps, tree.parts), default=0)
    if tree.kind == "seq":
        return min(ENDLESS, sum(map(gaps, tree.parts)))
    (part,) = tree.parts
    inside = gaps(part)
    if inside == 0 or (part.kind == "set" and not part.mask & WORD):
        return inside
    return ENDLESS if tree.most is None else min(ENDLESS, inside * tree.most)


def _edge(tree: Tree, last: bool) -> tuple[bool, bool]:
    """Whether it may match nothing, and whether all else it matches begins (or ends) beside a word."""
    if tree.kind == "edge":
        return False, True
    if tree.kind in {"set", "text"}:
        return False, bool(tree.mask) and not tree.mask & WORD
    if tree.kind == "or":
        edges = [_edge(part, last) for part in tree.parts]
        return any(empty for empty, _ in edges), all(apart for _, apart in edges)
    if tree.kind == "repeat":
        empty, apart = _edge(tree.parts[0], last)
        return empty or tree.least == 0, apart
    for part in reversed(tree.parts) if last else tree.parts:
        empty, apart = _edge(part, last)
        if not empty or not apart:
            return empty, apart
    return True, True


def _apart(trees: Iterable[Tree], last: bool, beyond: bool) -> bool:
    """Whether a word that stands beside these trees surely ends there."""
    for tree in trees:
        empty, apart = _edge(tree, last)
        if not apart:
            return False
        if not empty:
            return True
    return beyond


# --- keys ---

_Choice = tuple[float, frozenset[Key]]


def _keys(tree: Tree, weigh: Weigh, left: bool, right: bool) -> _Choice | None:
    strings = exact(tree)
    if strings is not None:
        return _of_strings(strings, weigh, left, right, 0)
    if tree.kind == "or":
        choices = [_keys(part, weigh, left, right) for part in tree.parts]
        known = [one for one in choices if one is not None]
        return _united(known) if len(known) == len(choices) else None
    if tree.kind in {"set", "edge"}:
        return None
    if tree.kind == "repeat":
        return _keys(tree.parts[0], weigh, left and tree.most == 1, right and tree.most == 1) if tree.least else None
    items = _flat(tree)
    best: _Choice | None = None
    at = before = 0
    while at < len(items):
        strings, end = _run(items, at)
        opens = _apart(reversed(items[:at]), True, left)
        closes = _apart(items[end:], False, right)
        if strings is None:
            made = _keys(items[at], weigh, opens, closes)
            made = None if made is None else (made[0], frozenset(Key(k.literal, k.lead + before) for k in made[1]))
        else:
            made = _of_strings(strings, weigh, opens, closes, before)
        if made is not None and (best is None or made[0] < best[0]):
            best = made
        before = min(ENDLESS, before + sum(map(gaps, items[at:end])))
        at = end
    return best


def _united(choices: Sequence[_Choice]) -> _Choice:
    return sum(cost for cost, _ in choices), frozenset().union(*(found for _, found in choices))


def _flat(tree: Tree) -> list[Tree]:
    """The parts of a sequence, those of sequences in it as its own."""
    if tree.kind == "seq":
        return [item for part in tree.parts for item in _flat(part)]
    return [tree]


def _run(items: Sequence[Tree], at: int) -> tuple[frozenset[str] | None, int]:
    """As many items from there as have few strings together; one, if it has too many itself."""
    strings = exact(items[at])
    end = at + 1
    while strings is not None and end < len(items):
        more = _joined([strings, exact(items[end])])
        if more is None:
            break
        strings = more
        end += 1
    return strings, end


def _of_strings(strings: frozenset[str], weigh: Weigh, left: bool, right: bool, before: int) -> _Choice | None:
    """Words of which each string has one, together as light as can be had greedily; None if a string has none."""
    if len(strings) == 1:
        (string,) = strings
        if string.isalnum() and left and right:
            return weigh(f" {string} "), frozenset({Key(f" {string} ", before)})
    leads: dict[str, int] = {}
    having: dict[str, set[int]] = {}
    for number, string in enumerate(sorted(strings)):
        words = string.split(" ")
        for index, word in enumerate(words):
            opens = index > 0 or left
            closes = index < len(words) - 1 or right
            literal = f"{' ' if opens else ''}{word}{' ' if closes else ''}"
            if word and len(literal) >= 3:
                leads[literal] = max(leads.get(literal, 0), before + index)
                having.setdefault(literal, set()).add(number)
    waiting = [(weigh(literal) / len(numbers), -len(literal), literal) for literal, numbers in having.items()]
    heapify(waiting)
    left_over = set(range(len(strings)))
    chosen: list[str] = []
    while left_over:
        if not waiting:
            return None
        _price, size, literal = heappop(waiting)
        now = having[literal] & left_over
        if not now:
            continue
        if len(now) < len(having[literal]):
            having[literal] = now
            heappush(waiting, (weigh(literal) / len(now), size, literal))
            continue
        chosen.append(literal)
        left_over -= now
    return sum(map(weigh, chosen)), frozenset(Key(literal, leads[literal]) for literal in chosen)


# --- beginnings ---


@dataclass(slots=True)
class _Firsts:
    words: set[str] = field(default_factory=set)
    beginnings: set[str] = field(default_factory=set)
    after_gap: set[str] = field(default_factory=set)

    def add(self, items: Sequence[Tree], gap: bool) -> None:
        """How a sequence may begin, after a gap or not."""
        flat = [item for tree in items for item in _flat(tree)]
        strings, end = _run(flat, 0) if flat else (frozenset({""}), 0)
        if strings is not None:
            for string in strings:
                self._add_string(string, flat[end:], gap)
            return
        head, rest = flat[0], flat[1:]
        if head.kind == "edge":
            self.add(rest, gap)
        elif head.kind == "set":
            for code in range(128):
                if (head.mask & WORD) >> code & 1:
                    self._begin(chr(code), False, gap)
            if head.mask & ~WORD:
                self._begin("", False, True)
        elif head.kind == "or":
            for part in head.parts:
                self.add([part, *rest], gap)
        else:
            self._add_repeated(head.parts[0], gap)
            if _edge(head, False)[0]:
                self.add(rest, gap)

    def _add_string(self, string: str, rest: Sequence[Tree], gap: bool) -> None:
        first, more, _ = string.strip(" ").partition(" ")
        gap = gap or string.startswith(" ")
        if first:
            self._begin(first, bool(more) or string.endswith(" ") or _apart(rest, False, True), gap)
        elif rest:
            self.add(rest, gap)
        else:
            self._begin("", False, gap)

    def _add_repeated(self, part: Tree, gap: bool) -> None:
        """Nothing is known of how a word goes on that a repeated part begins."""
        inside = _Firsts()
        inside.add([part], gap)
        self.beginnings |= inside.words | inside.beginnings
        self.after_gap |= inside.after_gap

    def _begin(self, word: str, whole: bool, after_gap: bool) -> None:
        (self.after_gap if after_gap else self.words if whole else self.beginnings).add(word)
