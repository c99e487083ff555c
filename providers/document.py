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
    try:
        tree = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise NotStrict("the body is not valid JSON in UTF-8") from None
    if type(tree) is not dict:
        raise NotStrict("the body is not a JSON object")
    # Two equal texts have one meaning: where our own serialisation gives the bytes back, no key was named
    # twice and no number lost a digit. Any other spelling (white space, escapes) goes to the slow reader.
    if orjson.dumps(tree) != data:
        return _parse_slowly(data)
    _measure(tree)
    return tree


def serialise(tree: Document) -> bytes:
    """Our own compact UTF-8 serialisation.

    Raises:
        NotStrict: if the tree holds what JSON cannot say.
    """
    try:
        return orjson.dumps(tree)
    except orjson.JSONEncodeError:
        raise NotStrict("the document cannot be serialised") from None


def _measure(tree: Document) -> None:
    """Hold depth, number of values, keys and integers against their bounds.

    Raises:
        NotStrict: one of them is exceeded.
    """
    nodes = 0
    level: list[dict[str, Value] | list[Value]] = [tree]
    for _depth in range(MAX_DEPTH):
        below: list[dict[str, Value] | list[Value]] = []
        for container in level:
            nodes += len(container)
            if type(container) is dict and "\0" in "".join(container):
                raise NotStrict("a key holds a NUL character")
            for value in container.values() if type(container) is dict else container:
                kind = type(value)
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    below.append(value)  # type: ignore[arg-type]  # its type was just looked at
                elif kind is int and not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]  # as above
                    raise NotStrict("an integer is outside +-2**53")
        if nodes > MAX_NODES:
            raise NotStrict(f"the body has more than {MAX_NODES} values")
        if not below:
            return
        level = below
    raise NotStrict(f"the body is nested deeper than {MAX_DEPTH} levels")


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
