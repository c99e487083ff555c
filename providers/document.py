"""Bytes to a tree and back: the strict JSON that both wires speak.

What a provider receives is our own serialisation of the tree that policy and redactor saw, so
two parsers can never read one body differently. Accepted is only what every parser reads alike:
UTF-8 without a byte order mark, one object, no duplicate key, finite numbers, integers within
2**53, no lone surrogate, no NUL in a key, bounded depth and node count. (RFC 8259 sections 4, 6
and 8; RFC 7493 section 2, I-JSON.)

A string in the tree is of a type that says what may happen to it: plain `str` is content and is
scanned; the subclasses below are exemptions that only a judgement makes.
"""

from __future__ import annotations

import json
from typing import NoReturn, TypeAlias

import orjson

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Document: TypeAlias = dict[str, Value]

MAX_DEPTH = 64
MAX_NODES = 20_000
MAX_INTEGER = 2**53

_NUMBERS = frozenset({int, float})
_BACKSLASH = ord("\\")
_APART = 256
"""Bytes from one quote to the next, from which on searching for them is faster."""


class Opaque(str):
    """A string that needs no scan: our own constant, or a blob proved not to be text."""

    __slots__ = ()


class Identifier(str):
    """`[A-Za-z0-9_-]{1,64}`: scanned with `_` and `-` read as spaces; a finding refuses the call."""

    __slots__ = ()


class Sealed(str):
    """Signed by the provider: scanned, and must pass byte-identical, so a finding refuses the call."""

    __slots__ = ()


class Encoded(str):
    """A string that holds JSON (tool arguments): scanned inside, and stays JSON."""

    __slots__ = ()


class Approved(dict[str, "Value"]):
    """A subtree that was reviewed as a whole beforehand (a structured-output schema): not scanned."""

    __slots__ = ()


class NotStrict(ValueError):
    """The bytes are not the strict JSON above. The message is ours and quotes nothing."""


def parse(data: bytes) -> Document:
    """Read one strict JSON object.

    Raises:
        NotStrict: for anything else; the message says what, never which value.
    """
    return parse_counting(data)[0]


def parse_counting(data: bytes) -> tuple[Document, int]:
    """The same, and how many values there are in the object, those in its members among them.

    Raises:
        NotStrict: as `parse`.
    """
    try:
        tree = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise NotStrict("the body is not valid JSON in UTF-8") from None
    if type(tree) is not dict:
        raise NotStrict("the body is not a JSON object")
    strings, values, doubtful = _measure(tree)
    # A duplicate key leaves no trace in the tree but that the text holds more strings than the tree does.
    if doubtful or not _holds_strings(data, strings):
        return _parse_slowly(data), values
    return tree, values


def serialise(tree: Document) -> bytes:
    """Our own compact UTF-8 serialisation.

    Raises:
        NotStrict: if the tree holds what JSON cannot say.
    """
    try:
        return orjson.dumps(tree)
    except orjson.JSONEncodeError:
        raise NotStrict("the document cannot be serialised") from None


def _measure(tree: Document) -> tuple[int, int, bool]:
    """Count strings, keys among them, and values; say whether a number needs the slow reader.

    Raises:
        NotStrict: too deep, too many nodes, or a NUL in a key.
    """
    strings = nodes = 0
    doubtful = False
    level: list[Value] = [tree]
    for _depth in range(MAX_DEPTH):
        below: list[Value] = []
        for container in level:
            if type(container) is dict:
                strings += len(container)
                if "\0" in "".join(container):
                    raise NotStrict("a key holds a NUL character")
                values = container.values()
            else:
                values = container  # type: ignore[assignment]  # only lists and dicts are collected
            nodes += len(values)
            for value in values:
                kind = type(value)
                if kind is str:
                    strings += 1
                elif kind is dict or kind is list:
                    below.append(value)
                elif kind in _NUMBERS and not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]
                    doubtful = True
        if nodes > MAX_NODES:
            raise NotStrict(f"the body has more than {MAX_NODES} values")
        if not below:
            return strings, nodes, doubtful
        level = below
    raise NotStrict(f"the body is nested deeper than {MAX_DEPTH} levels")


def _holds_strings(data: bytes, strings: int) -> bool:
    """Whether the text (which is JSON) holds exactly that many strings, keys among them.

    Every string has two quotes of its own; any other is escaped: it stands behind an odd run of backslashes. Few
    quotes in a long text are found one by one sooner than all are counted: a search reads 32 bytes at once.
    """
    wanted = 2 * strings
    most = len(data) // _APART
    bare = start = 0
    for _ in range(most if wanted <= most else 0):
        at = data.find(b'"', start)
        if at < 0:
            return bare == wanted
        bare += data[at - 1] != _BACKSLASH or _is_even(data[start:at])
        start = at + 1
    return _counts_bare(data, wanted)


def _is_even(piece: bytes) -> bool:
    """Whether the backslashes at its end are in pairs."""
    return (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 0


def _counts_bare(data: bytes, wanted: int) -> bool:
    """Whether so many quotes are not escaped.

    Backslashes stand in strings only: without their pairs, one is left before a quote exactly if that is escaped.
    """
    quotes = data.count(b'"')
    return quotes == wanted or quotes - data.replace(b"\\\\", b"").count(b'\\"') == wanted


def _parse_slowly(data: bytes) -> Document:
    try:
        tree = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_int=_integer,
            parse_float=_finite,
        )
    except NotStrict:
        raise
    except (ValueError, RecursionError):
        raise NotStrict("the body is not valid JSON in UTF-8") from None
    if type(tree) is not dict:
        raise NotStrict("the body is not a JSON object")
    _measure(tree)
    return tree


def _unique(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise NotStrict("an object names a key twice")
    return unique


def _integer(digits: str) -> int:
    if len(digits) > 17 or not -MAX_INTEGER <= int(digits) <= MAX_INTEGER:
        raise NotStrict("an integer is outside +-2**53")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotStrict("a number is too large")
    return number


def _not_finite(_text: str) -> NoReturn:
    raise NotStrict("NaN and Infinity are not JSON")
