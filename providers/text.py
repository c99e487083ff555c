"""Every string of a document, with its path: read, and replace.

A `Slot` is one string that must be scanned. Slots of one document are in document order, keys
before their values. A string that holds a JSON object or array gives a slot for each string and key
inside it, twice deep and more, so that a replacement never breaks the JSON round it: only the
literals that change are written anew, and every other byte stays. (Tool arguments are JSON in a
string on both wires; a tool's result often is.)

Adjacent text parts (a list of strings, or of objects with a `text`) form a *run*: a reader sees them
as one text, so a scanner must too.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson
from msgspec import Struct

from providers.document import MAX_NODES, Approved, Document, Encoded, Identifier, Opaque, Sealed, Value

Path: TypeAlias = "tuple[str | int, ...]"

MAX_NESTED = 6
"""JSON in a string in JSON in a string: deeper is read as plain text."""
_LITERAL = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_KEY_FOLLOWS = re.compile(r"[ \t\r\n]*:")
_OPENING = re.compile(r"[ \t\r\n]*[\[{]")


class Kind(enum.Enum):
    """What may happen to a slot's string."""

    CONTENT = "content"  # a finding is replaced
    KEY = "key"  # the name of a member: replaced too, kept apart from its siblings
    IDENTIFIER = "identifier"  # `_` and `-` read as spaces; a finding refuses
    SEALED = "sealed"  # must stay as it is; a finding refuses


class TooMany(ValueError):
    """More strings than a document may hold, JSON in strings included."""


class Slot(Struct, frozen=True):
    """One string of a document.

    `path` leads to the string in the tree, or for a key to its member. `inside` are the spans of
    the literals to step into, for JSON in a string: the outermost first.
    """

    path: Path
    text: str
    kind: Kind
    inside: tuple[tuple[int, int], ...] = ()

    def __repr__(self) -> str:
        return "<Slot>"


def stands_alone(item: Value) -> bool:
    """Whether an item of a list is read by itself, so that it makes no run with its neighbours."""
    return type(item) is dict and "text" not in item


def may_hold_json(text: str) -> bool:
    """Whether a string may be read as JSON, rather than as text."""
    return _OPENING.match(text) is not None


class Strings(Struct, frozen=True):
    """`slots` in document order; `runs` are indices of slots that read on as one text."""

    slots: Sequence[Slot]
    runs: Sequence[Sequence[int]]


def strings(document: Document, known_keys: frozenset[str] = frozenset()) -> Strings:
    """Everything in a document that is to be scanned. Keys in `known_keys` are the wire's own words.

    Raises:
        TooMany: beyond `MAX_NODES` strings in all.
    """
    found = _Finder(known_keys)
    found.visit(document, ())
    return Strings(found.slots, found.runs)


def replace(document: Document, changes: Mapping[int, str], slots: Sequence[Slot]) -> Document:
    """A new document with some slots' strings exchanged; what does not change is shared with the old one.

    `changes` are by index into `slots`, as `strings` gave them for this document. A changed key that
    would fall together with another gets a number.
    """
    root = _Edit()
    for index, text in changes.items():
        slot = slots[index]
        edit = root
        for step in slot.path:
            edit = edit.below.setdefault(step, _Edit())
        if slot.kind is Kind.KEY and not slot.inside:
            edit.key = text
        else:
            edit.texts.append((slot.inside, text))
    rebuilt = _rebuild(document, root)
    assert isinstance(rebuilt, dict)  # noqa: S101  # a dict rebuilds as a dict
    return rebuilt


class _Finder:
    def __init__(self, known_keys: frozenset[str]) -> None:
        self.slots: list[Slot] = []
        self.runs: list[list[int]] = []
        self._known = known_keys

    def visit(self, value: Value, path: Path) -> None:
        kind = type(value)
        if kind is str:
            self._text(value, path)  # type: ignore[arg-type]
        elif kind is dict:
            for key, member in value.items():  # type: ignore[union-attr]
                if key not in self._known:
                    self._add(Slot((*path, key), key, Kind.KEY))
                below = type(member)
                if below is Opaque:
                    continue
                if below is str:
                    self._text(member, (*path, key))  # type: ignore[arg-type]
                elif below is list:
                    self._list(member, (*path, key))  # type: ignore[arg-type]
                elif below is dict or isinstance(member, str):
                    self.visit(member, (*path, key))
        elif kind is list:
            self._list(value, path)  # type: ignore[arg-type]
        elif isinstance(value, str):
            self._exempt(value, path)

    def _list(self, values: list[Value], path: Path) -> None:
        run: list[int] = []
        for index, value in enumerate(values):
            first = len(self.slots)
            kind = type(value)
            if kind is str or kind is dict or kind is list or isinstance(value, str):
                self.visit(value, (*path, index))
            part: Path | None = None
            if kind is str:
                part = (*path, index)
            elif kind is dict and "text" in value:  # type: ignore[operator]  # it is a mapping
                part = (*path, index, "text")
            if part is not None:
                run.extend(
                    at
                    for at in range(first, len(self.slots))
                    if self.slots[at].path == part and self.slots[at].kind is Kind.CONTENT and not self.slots[at].inside
                )
        if len(run) > 1:
            self.runs.append(run)

    def _exempt(self, value: str, path: Path) -> None:
        if isinstance(value, Opaque):
            return
        if isinstance(value, Identifier):
            self._add(Slot(path, value, Kind.IDENTIFIER))
        elif isinstance(value, Sealed):
            self._add(Slot(path, value, Kind.SEALED))
        else:  # Encoded, and what nobody knows: never less than content
            self._text(value, path)

    def _text(self, text: str, path: Path, inside: tuple[tuple[int, int], ...] = ()) -> None:
        text = str(text)  # exactly a string: what parses JSON takes no subclass
        if may_hold_json(text) and len(inside) < MAX_NESTED and _is_json(text):
            for match in _LITERAL.finditer(text):
                literal = match.group()
                content = orjson.loads(literal) if "\\" in literal else literal[1:-1]
                step = (*inside, match.span())
                if _KEY_FOLLOWS.match(text, match.end()):
                    self._add(Slot(path, content, Kind.KEY, step))
                else:
                    self._text(content, path, step)
        else:
            self._add(Slot(path, text, Kind.CONTENT, inside))

    def _add(self, slot: Slot) -> None:
        if len(self.slots) >= MAX_NODES * 2:
            raise TooMany("the document holds too many strings")
        self.slots.append(slot)


def _is_json(text: str) -> bool:
    """Whether a string is JSON, as any parser would read it."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


class _Edit:
    __slots__ = ("below", "key", "texts")

    def __init__(self) -> None:
        self.below: dict[str | int, _Edit] = {}
        self.key: str | None = None
        self.texts: list[tuple[tuple[tuple[int, int], ...], str]] = []


def _rebuild(value: Value, edit: _Edit) -> Value:
    if isinstance(value, str):
        return _rewrite(value, edit.texts, 0) if edit.texts else value
    if isinstance(value, list):
        return [_rebuild(item, edit.below[index]) if index in edit.below else item for index, item in enumerate(value)]
    if not isinstance(value, dict) or isinstance(value, Approved):
        return value
    made: dict[str, Value] = {}
    for key, member in value.items():
        below = edit.below.get(key)
        if below is None:
            made[key] = member
            continue
        name = key if below.key is None else _free(below.key, value, made)
        made[name] = _rebuild(member, below)
    return made


def _free(name: str, old: Mapping[str, Value], new: Mapping[str, Value]) -> str:
    number = 2
    free = name
    while free in old or free in new:
        free = f"{name}{number}"
        number += 1
    return free


def _rewrite(text: str, changes: list[tuple[tuple[tuple[int, int], ...], str]], depth: int) -> str:
    """The string with the literals at these spans exchanged; one level of JSON in a string a call."""
    if len(changes[0][0]) == depth:
        changed = changes[0][1]
        return Encoded(changed) if isinstance(text, Encoded) else changed
    grouped: dict[tuple[int, int], list[tuple[tuple[tuple[int, int], ...], str]]] = {}
    for change in changes:
        grouped.setdefault(change[0][depth], []).append(change)
    parts: list[str] = []
    done = 0
    seen: dict[str, int] = {}
    for (start, end), below in sorted(grouped.items()):
        changed = _rewrite(orjson.loads(text[start:end]), below, depth + 1)
        if _KEY_FOLLOWS.match(text, end):  # a number keeps changed keys apart
            seen[changed] = seen.get(changed, 0) + 1
            if seen[changed] > 1:
                changed = f"{changed}{seen[changed]}"
        parts.append(text[done:start])
        parts.append(orjson.dumps(changed).decode())
        done = end
    parts.append(text[done:])
    rewritten = "".join(parts)
    return Encoded(rewritten) if isinstance(text, Encoded) else rewritten
