"""Which words a pattern needs: read from its own source, so that a text without them need not be looked at.

A pattern is read into a tree, and the tree into *exact* strings as far as it has few: lower-case words
with one space for whatever may stand between. From these follow the *keys* (words of which each match
holds one, whole or in part, and how many words at most stand before it in the match) and the
*firsts* (how the first word of a match may begin). Both are supersets: what is said to be needed is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import product
from math import prod

_WORD = sum(1 << code for code in b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGIT = sum(1 << code for code in b"0123456789")
_SPACE = sum(1 << code for code in b"\t\n\f\r ")
_ALL = (1 << 128) - 1
_CLASSES = {"w": _WORD, "W": _ALL & ~_WORD, "d": _DIGIT, "D": _ALL & ~_DIGIT, "s": _SPACE, "S": _ALL & ~_SPACE}
_CONTROLS = {"t": 9, "n": 10, "r": 13, "f": 12, "v": 11, "a": 7}
_MOST_STRINGS = 400
_FEW = 10
"""So many characters in a class are written out one by one."""
ENDLESS = 1_000


class Unread(ValueError):
    """A pattern is written in a way that is not known here. Then it needs nothing, and may begin with anything."""


@dataclass(slots=True)
class Tree:
    """A `text` of word characters, a `set` of characters, `seq` of parts, one `or` another part, or a `repeat` of one."""

    kind: str
    mask: int = 0
    parts: list[Tree] = field(default_factory=list)
    least: int = 0
    most: int | None = None
    strings: frozenset[str] | None = None
    """What `exact` said, once it was asked (`asked`)."""
    asked: bool = False


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


def read(source: str) -> Tree:
    """The tree of an RE2 source.

    Raises:
        Unread: it is written in a way that is not known here.
    """
    reader = _Reader(source)
    tree = reader.alternatives()
    if reader.peek():
        raise Unread("a bracket is closed that was not opened")
    return tree


def keys(tree: Tree, weigh: Weigh) -> frozenset[Key] | None:
    """Words of which every match holds one, those that are met with least; None if there are none to name."""
    found = _keys(tree, weigh, left=True, right=True)
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
    if tree.kind == "set":
        return _characters(tree.mask)
    if tree.kind == "or":
        found: set[str] = set()
        for part in tree.parts:
            strings = exact(part)
            if strings is None or len(found) + len(strings) > _MOST_STRINGS:
                return None
            found |= strings
        return frozenset(found)
    if tree.kind == "seq":
        return _joined([exact(part) for part in tree.parts])
    (part,) = tree.parts
    strings = exact(part)
    if strings is None:
        return None
    if strings == {" "}:
        return frozenset({" ", ""} if tree.least == 0 else {" "})
    if tree.most is None or tree.most > 3:
        return None
    times = [_joined([strings] * count) for count in range(tree.least, tree.most + 1)]
    whole = [one for one in times if one is not None]
    return frozenset().union(*whole) if len(whole) == len(times) else None


@lru_cache(maxsize=1_024)
def _characters(mask: int) -> frozenset[str] | None:
    found = {" "} if mask & ~_WORD else set()
    word = mask & _WORD
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
    if tree.kind in {"set", "text"}:
        return 1 if tree.mask & ~_WORD else 0
    if tree.kind == "or":
        return max(map(gaps, tree.parts), default=0)
    if tree.kind == "seq":
        return min(ENDLESS, sum(map(gaps, tree.parts)))
    (part,) = tree.parts
    inside = gaps(part)
    if inside == 0 or (part.kind == "set" and not part.mask & _WORD):
        return inside
    return ENDLESS if tree.most is None else min(ENDLESS, inside * tree.most)


def _edge(tree: Tree, last: bool) -> tuple[bool, bool]:
    """Whether it may match nothing, and whether all else it matches begins (or ends) beside a word."""
    if tree.kind in {"set", "text"}:
        return False, tree.kind == "set" and not tree.mask & _WORD
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
    if tree.kind == "set":
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
        if made is not None and (best is None or made[0] < best[0]) and before < ENDLESS:
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
        if not flat:
            self._begin("", False, gap)
            return
        strings, end = _run(flat, 0)
        if strings is not None:
            closes = _apart(flat[end:], False, True)
            for string in strings:
                first, rest, _ = string.strip(" ").partition(" ")
                after = gap or string.startswith(" ")
                if first:
                    self._begin(first, bool(rest) or string.endswith(" ") or closes, after)
                elif end < len(flat):
                    self.add(flat[end:], after)
            return
        head, rest_of = flat[0], flat[1:]
        if head.kind == "set":
            for code in range(128):
                if (head.mask & _WORD) >> code & 1:
                    self._begin(chr(code), False, gap)
            if head.mask & ~_WORD:
                self._begin("", False, True)
        elif head.kind == "or":
            for part in head.parts:
                self.add([part, *rest_of], gap)
        else:
            inside = _Firsts()
            inside.add(head.parts, gap)
            self.beginnings |= inside.words | inside.beginnings
            self.after_gap |= inside.after_gap
            if _edge(head, False)[0]:
                self.add(rest_of, gap)

    def _begin(self, word: str, whole: bool, after_gap: bool) -> None:
        (self.after_gap if after_gap else self.words if whole else self.beginnings).add(word)


# --- reading ---

_TEXT = re.compile(r"[a-z0-9_]{2,}(?![*+?{])")


class _Reader:
    """Reads the part of RE2's language that rules are written in."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def alternatives(self) -> Tree:
        """One part or another, up to a bracket or the end."""
        parts = [self._sequence()]
        while self.peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Tree("or", parts=parts)

    def peek(self) -> str:
        """The next character, or nothing."""
        return self._source[self._at : self._at + 1]

    def _next(self) -> str:
        character = self.peek()
        if not character:
            raise Unread("the pattern ends too early")
        self._at += 1
        return character

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self.peek() not in {"", "|", ")"}:
            text = _TEXT.match(self._source, self._at)
            if text is not None:
                self._at = text.end()
                parts.append(Tree("text", strings=frozenset({text.group()}), asked=True))
                continue
            part = self._one()
            if part is not None:
                parts.append(self._repeated(part))
        return parts[0] if len(parts) == 1 else Tree("seq", parts=parts)

    def _one(self) -> Tree | None:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return Tree("set", self._class())
        if character == ".":
            return Tree("set", _ALL)
        if character in "^$":
            return None
        if character in "*+?{":
            raise Unread("a repetition of nothing")
        if character != "\\":
            return Tree("set", _bit(character))
        name = self._next()
        return None if name in "bAz" else Tree("set", self._escaped(name))

    def _group(self) -> Tree:
        if self.peek() == "?":
            self._at += 1
            while (character := self._next()) != ":":
                if character not in "ims-U":
                    raise Unread("a group of a kind that is not known here")
        inner = self.alternatives()
        if self._next() != ")":
            raise Unread("a bracket is not closed")
        return inner

    def _repeated(self, tree: Tree) -> Tree:
        while (mark := self.peek()) and mark in "*+?{":
            self._at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1), "{": (0, None)}[mark]
            if mark == "{":
                end = self._source.find("}", self._at)
                low, comma, high = self._source[self._at : end].partition(",")
                if end < 0 or not low.isdecimal() or (high and not high.isdecimal()):
                    raise Unread("a repetition that is not counted")
                least, most = int(low), int(high) if high else None if comma else int(low)
                self._at = end + 1
            if self.peek() == "?":  # as few as possible: the same texts
                self._at += 1
            tree = Tree("repeat", parts=[tree], least=least, most=most)
        return tree

    def _class(self) -> int:
        negated = self.peek() == "^"
        self._at += negated
        mask = 0
        first = True
        while (character := self._next()) != "]" or first:
            first = False
            if character == "[" and self.peek() == ":":
                raise Unread("a named class")
            low = self._escaped(self._next()) if character == "\\" else _bit(character)
            if self.peek() == "-" and self._source[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                character = self._next()
                high = self._escaped(self._next()) if character == "\\" else _bit(character)
                if low & (low - 1) or high & (high - 1) or high < low:
                    raise Unread("a range that does not go upwards")
                low = (high << 1) - low
            mask |= low
        return _ALL & ~mask if negated else mask

    def _escaped(self, name: str) -> int:
        if name in _CLASSES:
            return _CLASSES[name]
        if name in _CONTROLS:
            return 1 << _CONTROLS[name]
        if name.isalnum():
            raise Unread("an escape that is not known here")
        return _bit(name)


def _bit(character: str) -> int:
    return 1 << ord(character) if character < "\x80" else 0
