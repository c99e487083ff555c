"""JSON in a text that comes in pieces, read string by string: tool arguments, structured answers.

A `Reading` takes the text and gives its prose to *stretches*: all of a text that is no JSON, else each
string and key by itself, decoded, and again so for JSON inside a string. What stands outside strings is
only what JSON has there (brackets, commas, numbers, `true`); at anything else the text was no JSON
after all, and is prose from there on. So nothing is ever skipped that could be read.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Protocol, TypeAlias

Marks: TypeAlias = "list[tuple[int, int]]"
"""(offset in a text, where that character stands in the channel): between two marks both run alike."""

MAX_NESTED = 6
"""JSON in a string in JSON in a string: deeper is read as plain text."""
_CONTEXT = 256

_SPACES = re.compile(r"[ \t\r\n]*")
_RUN = re.compile(r'[^"\\]+')
_BARE = re.compile(r"[A-Za-z0-9+.-]+")
_VALUE = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_UNIT = re.compile(r"u[0-9A-Fa-f]{4}")
_SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE_SIZE = 6  # \uXXXX
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class TakesProse(Protocol):
    """A stretch of prose."""

    def feed(self, text: str, marks: Marks) -> None:
        """More of it, and where it stands."""

    def close(self) -> None:
        """Nothing more will come."""


Open: TypeAlias = Callable[[bool, str], TakesProse]
"""Makes a new stretch: whether it is a key, and what stands before it."""


def raw_at(marks: Marks, offset: int) -> int:
    """Where in the channel the character at an offset stands."""
    start, raw = marks[bisect_right(marks, (offset, 1 << 62)) - 1]
    return raw + offset - start


def cut(marks: Marks, start: int, end: int) -> Marks:
    """The marks of text[start:end]."""
    if len(marks) == 1:
        return [(0, marks[0][1] + start - marks[0][0])]
    inside = [(offset - start, raw) for offset, raw in marks if start < offset <= end]
    return [(0, raw_at(marks, start)), *inside]


def cut_before(marks: Marks, offset: int) -> Marks:
    """The marks that still matter from an offset on."""
    return marks[max(0, bisect_right(marks, (offset, 1 << 62)) - 1) :]


class Reading:
    """One text, at one depth of JSON in strings."""

    __slots__ = ("_bracket", "_depth", "_inside", "_key", "_known", "_marks", "_open", "_prose", "_rest", "_stack")

    def __init__(self, open_stretch: Open, depth: int = 0, *, key: bool = False) -> None:
        self._open = open_stretch
        self._depth = depth
        self._key = key
        self._rest = ""  # what cannot be read before more comes
        self._marks: Marks = []
        self._prose: TakesProse | None = None
        self._inside: Reading | None = None
        self._stack: list[str] = []
        self._bracket = ""  # the last bracket, comma or colon
        self._known = ""  # the last characters, as context for what turns out to be prose

    @property
    def is_prose(self) -> bool:
        """All that comes from now on is prose."""
        return self._prose is not None

    def held_from(self) -> int | None:
        """Where in the channel that begins which cannot be read before more comes, if anything does."""
        if self._rest:
            return self._marks[0][1]
        return None if self._inside is None else self._inside.held_from()

    def feed(self, text: str, marks: Marks) -> None:
        """Take more text, and where it stands in the channel."""
        if self._prose is not None:
            self._prose.feed(text, marks)
            return
        if self._rest:
            size = len(self._rest)
            marks = [*self._marks, *((offset + size, raw) for offset, raw in marks)]
            text = self._rest + text
            self._rest = ""
        if self._stack or self._bracket:
            self._read(text, marks)
            return
        at = _SPACES.match(text).end()  # type: ignore[union-attr]  # matches anything
        if at == len(text):
            self._rest, self._marks = text, marks
        elif text[at] in "{[" and self._depth <= MAX_NESTED:
            self._read(text, marks)
        else:
            self._fall(text, marks, 0)

    def close(self) -> None:
        """Nothing more will come."""
        if self._rest:
            text, marks = self._rest, self._marks
            self._rest = ""
            if self._inside is not None:  # an escape that was cut off
                self._inside.feed(text, marks)
            else:
                self._fall(text, marks, 0)
        if self._inside is not None:
            self._inside.close()
        if self._prose is not None:
            self._prose.close()

    def _fall(self, text: str, marks: Marks, at: int) -> None:
        """From here on it is prose."""
        self._prose = self._open(self._key, (self._known + text[:at])[-_CONTEXT:])
        self._prose.feed(text[at:], cut(marks, at, len(text)))

    def _wait(self, text: str, marks: Marks, at: int) -> None:
        self._rest, self._marks = text[at:], cut(marks, at, len(text))

    def _read(self, text: str, marks: Marks) -> None:
        at = 0
        size = len(text)
        while at < size:
            if self._inside is not None:
                step = self._string(self._inside, text, marks, at)
            else:
                step = self._structure(text, marks, at)
            if self._prose is not None:
                return
            if not step:
                self._wait(text, marks, at)
                break
            at += step
        self._known = (self._known + text[:at])[-_CONTEXT:]

    def _string(self, inside: Reading, text: str, marks: Marks, at: int) -> int:
        """Read on in a string; return how many characters, 0 if more must come first."""
        match = _RUN.match(text, at)
        if match is not None:
            inside.feed(match.group(), cut(marks, at, match.end()))
            return match.end() - at
        if text[at] == '"':
            inside.close()
            self._inside = None
            return 1
        decoded = _escape(text, at)
        if decoded is None:
            return 0
        character, size = decoded
        inside.feed(character, [(0, raw_at(marks, at)), (len(character), raw_at(marks, at + size))])
        return size

    def _structure(self, text: str, marks: Marks, at: int) -> int:
        """Read on between strings; return how many characters, 0 if more must come first or it is prose now."""
        match = _BARE.match(text, at)
        if match is not None and self._stack:
            if match.end() < len(text) and not _VALUE.fullmatch(match.group()):
                self._fall(text, marks, at)
            return match.end() - at if match.end() < len(text) else 0
        spaces = _SPACES.match(text, at).end() - at  # type: ignore[union-attr]  # matches anything
        if spaces:
            return spaces
        mark = text[at]
        if mark in "{[" and (self._stack or not self._bracket):
            self._stack.append(mark)
        elif mark in "}]" and self._stack:
            self._stack.pop()
        elif mark == '"' and self._stack:
            key = self._stack[-1] == "{" and self._bracket in {"{", ","}
            self._inside = Reading(self._open, self._depth + 1, key=key)
            return 1
        elif mark not in ",:" or not self._stack:
            self._fall(text, marks, at)
            return 0
        self._bracket = mark
        return 1


def _escape(text: str, at: int) -> tuple[str, int] | None:
    """The character that an escape stands for, and its length; None if more must come first."""
    if len(text) < at + 2:
        return None
    short = _SHORT.get(text[at + 1])
    if short is not None:
        return short, 2
    if _UNIT.match(text, at + 1) is None:
        return None if len(text) < at + _ESCAPE_SIZE and text[at + 1] == "u" else (_UNREADABLE, 2)
    unit = int(text[at + 2 : at + 6], 16)
    if not 0xD800 <= unit < 0xDC00:
        return chr(unit) if not 0xDC00 <= unit < 0xE000 else _UNREADABLE, _ESCAPE_SIZE
    return _pair(text[at + _ESCAPE_SIZE : at + 2 * _ESCAPE_SIZE], unit)


def _pair(follows: str, unit: int) -> tuple[str, int] | None:
    """The character of a high surrogate and the escape that follows it."""
    if len(follows) < _ESCAPE_SIZE and r"\u".startswith(follows[:2]):
        return None  # a high surrogate waits for the low one (RFC 8259 section 7)
    if follows[:1] == "\\" and _UNIT.match(follows, 1) is not None and 0xDC00 <= (low := int(follows[2:], 16)) < 0xE000:
        return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), 2 * _ESCAPE_SIZE
    return _UNREADABLE, _ESCAPE_SIZE
