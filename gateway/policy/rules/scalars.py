"""Shapes of a single value: text, names, numbers, constants, models, and what no text scan can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import Code, Rule
from gateway.policy.rules.values import decode_base64, looks_like_text
from gateway.policy.rules.walk import Misfit, Verdict, Walk
from providers.document import Encoded, Identifier, Opaque, Sealed, Value

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch
# A nonce and a tag alone are 28 bytes. Anything shorter could be a plain word that happens to be base64.
_SHORTEST_BLOB = 24


@dataclass(frozen=True, slots=True)
class Text:
    """A string that is content. It stays a plain `str`, so it is scanned."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a string is expected here", self.rule)
        return value


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier of the wire's grammar; scanned with its separators read as spaces."""

    rule: Rule
    longest: int = 64

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str or not _IDENTIFIER(value) or len(value) > self.longest:
            raise Misfit(
                Code.PARAMETER_UNKNOWN,
                f"an identifier of letters, digits, _ and - is expected ({self.longest})",
                self.rule,
            )
        return Identifier(value)


@dataclass(frozen=True, slots=True)
class Blob:
    """Base64 that the provider made and that does not decode to text (encrypted reasoning, signatures)."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a base64 string is expected here", self.rule)
        data = decode_base64(value, self.rule)
        if 0 < len(data) < _SHORTEST_BLOB or looks_like_text(data):
            raise Misfit(Code.CONTENT_NOT_SCANNABLE, "an opaque value decodes to text", self.rule)
        return Opaque(value)


@dataclass(frozen=True, slots=True)
class SealedText:
    """Text that the provider signed: scanned, never edited."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a string is expected here", self.rule)
        return Sealed(value)


@dataclass(frozen=True, slots=True)
class EncodedJson:
    """A string that holds JSON (tool arguments)."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a string is expected here", self.rule)
        return Encoded(value)


@dataclass(frozen=True, slots=True)
class Number:
    """A number, a whole number, or a boolean. Booleans are never numbers."""

    rule: Rule
    kinds: tuple[type, ...]
    words: str

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) not in self.kinds:
            raise Misfit(Code.PARAMETER_UNKNOWN, f"{self.words} is expected here", self.rule)
        return value


@dataclass(frozen=True, slots=True)
class Constants:
    """A closed list of strings, each with a verdict. What leaves is our own constant."""

    rule: Rule
    values: Mapping[str, Verdict]

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str or (verdict := self.values.get(value)) is None:
            raise Misfit(Code.PARAMETER_UNKNOWN, "the value is not one that the surface names", self.rule)
        return verdict.read(value, walk)  # type: ignore[return-value]  # a constant is never dropped


@dataclass(frozen=True, slots=True)
class Constant:
    """One string of ours."""

    value: Opaque

    def read(self, value: Value, walk: Walk) -> Value:
        return self.value


@dataclass(frozen=True, slots=True)
class Model:
    """A model's name, wherever it hides; all of them must be open to the caller."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a model's name is expected here", self.rule)
        walk.models.append(value)
        return Opaque(value)


@dataclass(frozen=True, slots=True)
class Inline:
    """Inline bytes that no text scan can read: image, file, audio.

    Reached only through a conditional verdict. `prefix` is set for data URLs; `magic` lists the
    leading bytes of the types that are allowed.
    """

    rule: Rule
    kind: str
    data_url: bool
    types: Mapping[str, tuple[bytes, ...]]

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a string is expected here", self.rule)
        payload = value
        magic = [mark for marks in self.types.values() for mark in marks]
        if self.data_url:
            head, comma, payload = value.partition(",")
            media, _, encoding = head.removeprefix("data:").partition(";")
            if not head.startswith("data:") or not comma:
                raise Misfit(Code.PARAMETER_RETAINS_DATA, "only inline data may be here, no reference", self.rule)
            if encoding != "base64" or media not in self.types:
                raise Misfit(Code.CONTENT_NOT_SCANNABLE, "this type of inline data is not on the list", self.rule)
            magic = list(self.types[media])
        data = decode_base64(payload, self.rule)
        if not any(data.startswith(mark) for mark in magic):
            raise Misfit(Code.CONTENT_NOT_SCANNABLE, "the inline data is not of a listed type", self.rule)
        walk.unscanned[self.kind] = walk.unscanned.get(self.kind, 0) + 1
        return Opaque(value)


@dataclass(frozen=True, slots=True)
class Url:
    """A URL, told apart by whether it holds the data itself (RFC 2397) or points at it."""

    rule: Rule
    data: Verdict
    other: Verdict

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not str:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a string is expected here", self.rule)
        verdict = self.data if value.startswith("data:") else self.other
        return verdict.read(value, walk)  # type: ignore[return-value]  # a string is never dropped
