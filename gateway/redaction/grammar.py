"""Patterns of the rules read into trees: the part of RE2's language that they are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gateway.redaction.patterns import GAP

WORD = sum(1 << code for code in b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGIT = sum(1 << code for code in b"0123456789")
_SPACE = sum(1 << code for code in b"\t\n\f\r ")
_ALL = (1 << 128) - 1
_CLASSES = {"w": WORD, "W": _ALL & ~WORD, "d": _DIGIT, "D": _ALL & ~_DIGIT, "s": _SPACE, "S": _ALL & ~_SPACE}
_CONTROLS = {"t": 9, "n": 10, "r": 13, "f": 12, "v": 11, "a": 7}
_TEXT = re.compile(r"[a-z0-9_]{2,}(?![*+?{])")


class Unread(ValueError):
    """A pattern is written in a way that is not known here. Then it needs nothing, and may begin with anything."""


@dataclass(slots=True)
class Tree:
    """A `text` or gap, a `set` of characters, a `seq` of parts, one `or` another, a `repeat`, or a word's `edge`."""

    kind: str
    mask: int = 0
    parts: list[Tree] = field(default_factory=list)
    least: int = 0
    most: int | None = None
    strings: frozenset[str] | None = None
    """What `exact` said, once it was asked (`asked`)."""
    asked: bool = False


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


_GAP = f"(?:{GAP})"
_GAP_TREE = Tree("text", mask=_ALL & ~WORD, strings=frozenset({" "}), asked=True)  # what most of a rule's marks come to


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
            if self._source.startswith(_GAP, self._at):
                self._at += len(_GAP)
                parts.append(self._repeated(_GAP_TREE))
                continue
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
        return Tree("edge") if name == "b" else None if name in "Az" else Tree("set", self._escaped(name))

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
