"""Which texts are the beginning of something a rule could match: what a stream must not let go of yet.

An automaton over the rules' own sources, its states made when a text first needs them. It may call a
text a beginning that is none (word boundaries and anchors are not looked at, upper case counts as lower
case), never the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable

_WORD = sum(1 << code for code in b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGIT = sum(1 << code for code in b"0123456789")
_SPACE = sum(1 << code for code in b"\t\n\f\r ")
_ALL = (1 << 128) - 1
_UPPER = sum(1 << code for code in range(65, 91))
_CLASSES = {
    "w": _WORD,
    "W": _ALL & ~_WORD,
    "d": _DIGIT,
    "D": _ALL & ~_DIGIT,
    "s": _SPACE,
    "S": _ALL & ~_SPACE,
}
_NAMED = {"t": 9, "n": 10, "r": 13, "f": 12, "v": 11, "a": 7}
_ANCHORS = frozenset("bBAzZ")
_MOST_STATES = 20_000


class Unread(ValueError):
    """A pattern is written in a way that this reader does not know."""


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
    """Knows every beginning of what some patterns and literals match.

    Args:
        patterns: RE2 sources.
        literals: folded texts in which a space stands for any gap.
        gap: the source of such a gap.

    Raises:
        Unread: a pattern uses what this reader does not know.
    """

    def __init__(self, patterns: Iterable[str], literals: Iterable[bytes] = (), gap: str = " ") -> None:
        # A place either takes a byte of `_bytes` and leads to the one in `_leads`, or leads to all of those at once.
        self._bytes: list[int] = [0]
        self._leads: list[tuple[int, ...]] = [()]  # place 0: the end of a match
        self._known: dict[frozenset[int], _State] = {}
        entries = [_Reader(self, pattern).read() for pattern in patterns]
        entries.extend(self._trie(literals, gap))
        self._first = frozenset(self._closed(entries))
        self._start = self._state(self._first)
        self._dead = self._state(frozenset())
        self.begin_words = not any(self._bytes[place] & ~_WORD for place in self._first)
        """Whether every match begins with a letter, a digit or an underscore."""

    def alive(self, text: bytes, start: int) -> bool:
        """Whether text[start:] is such a beginning, or a whole match. The text is lower-case ASCII."""
        state, dead = self._start, self._dead
        for byte in text[start:]:
            state = state[byte]
            if state is dead:
                return False
        return True

    def first(self, text: bytes, starts: Iterable[int]) -> int | None:
        """The first of these places from which text reads on as such a beginning, to its end."""
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
        taken = [self._leads[place][0] for place in places if self._bytes[place] & bit]
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
                    waiting.extend(self._leads[place])
        return {place for place in found if self._bytes[place] or place == 0}

    # --- making places, from the end of a pattern to its beginning ---

    def takes(self, mask: int, lead: int) -> int:
        """A new place that takes one of these bytes."""
        upper = mask & _UPPER
        self._bytes.append(mask | upper << 32)
        self._leads.append((lead,))
        return len(self._bytes) - 1

    def forks(self, leads: Iterable[int]) -> int:
        """A new place that is several at once."""
        self._bytes.append(0)
        self._leads.append(tuple(leads))
        return len(self._bytes) - 1

    def join(self, fork: int, lead: int) -> None:
        """Have a fork lead to one more place."""
        self._leads[fork] += (lead,)

    def _trie(self, literals: Iterable[bytes], gap: str) -> list[int]:
        ordered = sorted(set(literals))
        return self._branches(ordered, 0, gap)

    def _branches(self, literals: list[bytes], depth: int, gap: str) -> list[int]:
        """One place for each byte that comes next in some sorted literals with `depth` bytes in common."""
        entries: list[int] = []
        at = 0
        while at < len(literals):
            literal = literals[at]
            if len(literal) == depth:
                at += 1
                continue
            end = at + 1
            while end < len(literals) and literals[end][depth] == literal[depth]:
                end += 1
            below = self._branches(literals[at:end], depth + 1, gap)
            if len(literal) == depth + 1:
                below.append(0)
            lead = below[0] if len(below) == 1 else self.forks(below)
            byte = literal[depth]
            entries.append(_Reader(self, gap).read(lead) if byte == 0x20 else self.takes(1 << byte, lead))
            at = end
        return entries


class _Reader:
    """Reads one RE2 source into places. Ours are written from a small part of that language."""

    def __init__(self, automaton: Beginnings, source: str) -> None:
        self._automaton = automaton
        self._source = source
        self._at = 0

    def read(self, lead: int = 0) -> int:
        """The first place of the whole pattern, which goes on at `lead`."""
        tree = self._alternatives()
        if self._at != len(self._source):
            raise Unread("a bracket is closed that was not opened")
        return self._place(tree, lead)

    # The tree: ("set", mask), ("seq", [...]), ("or", [...]), ("repeat", tree, least, most or None).

    def _alternatives(self) -> _Tree:
        branches = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _Tree("or", parts=branches)

    def _sequence(self) -> _Tree:
        parts: list[_Tree] = []
        while (character := self._peek()) not in {"", "|", ")"}:
            self._at += 1
            parts.append(self._repeated(self._atom(character)))
        return _Tree("seq", parts=parts)

    def _atom(self, character: str) -> _Tree:
        if character == "(":
            return self._group()
        if character == "[":
            return _Tree("set", mask=self._class())
        if character in "^$":
            return _Tree("seq")
        if character in "*+?{":
            raise Unread("nothing stands before a repetition")
        if character == "\\":
            name = self._next()
            return _Tree("seq") if name in _ANCHORS else _Tree("set", mask=self._escaped(name))
        return _Tree("set", mask=_ALL if character == "." else _bit(character))

    def _group(self) -> _Tree:
        if self._peek() == "?":
            self._at += 1
            while (character := self._next()) not in {":", ")"}:
                if character not in "ims-U":
                    raise Unread("a group of a kind that this reader does not know")
            if character == ")":  # flags for what follows: case is ignored here, the rest is over-approximated
                return _Tree("seq")
        inner = self._alternatives()
        if self._next() != ")":
            raise Unread("a bracket is not closed")
        return inner

    def _repeated(self, tree: _Tree) -> _Tree:
        while (mark := self._peek()) in {"*", "+", "?", "{"}:
            self._at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1), "{": (0, None)}[mark]
            if mark == "{":
                end = self._source.find("}", self._at)
                low, comma, high = self._source[self._at : end].partition(",")
                if end < 0 or not low.isdecimal() or (high and not high.isdecimal()):
                    raise Unread("a repetition that is not counted")
                least = int(low)
                most = int(high) if high else None if comma else least
                self._at = end + 1
            if self._peek() == "?":  # as few as possible: the same texts
                self._at += 1
            tree = _Tree("repeat", parts=[tree], least=least, most=most)
        return tree

    def _class(self) -> int:
        negated = self._peek() == "^"
        if negated:
            self._at += 1
        mask = 0
        first = True
        while (character := self._next()) != "]" or first:
            first = False
            if character == "[" and self._peek() == ":":
                raise Unread("a named class")
            if character == "\\":
                name = self._next()
                low = self._escaped(name)
            else:
                low = _bit(character)
            if self._peek() == "-" and self._source[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                character = self._next()
                high = self._escaped(self._next()) if character == "\\" else _bit(character)
                low = (high << 1) - low if low & (low - 1) == 0 and high >= low else _refuse()
            mask |= low
        return _ALL & ~mask if negated else mask

    def _escaped(self, name: str) -> int:
        if name in _CLASSES:
            return _CLASSES[name]
        if name in _NAMED:
            return 1 << _NAMED[name]
        if name == "x":
            digits = self._source[self._at : self._at + 2]
            self._at += 2
            try:
                return 1 << int(digits, 16) if int(digits, 16) < 128 else 0
            except ValueError:
                raise Unread("an escape that is not two hexadecimal digits") from None
        if name.isalnum():
            raise Unread("an escape that this reader does not know")
        return _bit(name)

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise Unread("the pattern ends too early")
        self._at += 1
        return character

    def _place(self, tree: _Tree, lead: int) -> int:
        automaton = self._automaton
        if tree.kind == "set":
            return automaton.takes(tree.mask, lead)
        if tree.kind == "seq":
            for part in reversed(tree.parts):
                lead = self._place(part, lead)
            return lead
        if tree.kind == "or":
            return automaton.forks([self._place(part, lead) for part in tree.parts])
        (part,) = tree.parts
        if tree.most is None:
            loop = automaton.forks([lead])
            automaton.join(loop, self._place(part, loop))
            lead = loop
        else:
            for _ in range(tree.most - tree.least):
                lead = automaton.forks([self._place(part, lead), lead])
        for _ in range(tree.least):
            lead = self._place(part, lead)
        return lead


class _Tree:
    """A pattern as a tree: `set` of bytes, `seq` of parts, one `or` other part, or a `repeat` of one."""

    __slots__ = ("kind", "least", "mask", "most", "parts")

    def __init__(
        self,
        kind: str,
        mask: int = 0,
        parts: list[_Tree] | None = None,
        least: int = 0,
        most: int | None = None,
    ) -> None:
        self.kind = kind
        self.mask = mask
        self.parts = parts or []
        self.least = least
        self.most = most


def _bit(character: str) -> int:
    return 1 << ord(character) if character < "\x80" else 0


def _refuse() -> int:
    raise Unread("a range that does not go upwards")
