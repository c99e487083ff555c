"""The kinds of rule that a surface is made of.

Two families. A *shape* says what a value may be; reading a value by its shape gives the value
that may leave, typed for the redactor (see `providers.document`). A *verdict* says whether a
named thing may be there at all: allow, conditional, refuse, force. What no shape names is
refused. The rules hold no opinion of their own: each comes from a line of a surface file, with
its source.

A refusal travels as `Misfit`, which gathers the path on its way up, so that the happy path never
builds one. Paths hold only names that the surface knows and indices.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from gateway.errors import Code, Rule
from gateway.exchange import Forced
from providers.document import Approved, Document, Encoded, Identifier, Opaque, Sealed, Value

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch
_DIGITS = re.compile(r"[0-9]{1,9}").fullmatch
# A nonce and a tag alone are 28 bytes. Anything shorter could be a plain word that happens to be base64.
_SHORTEST_BLOB = 24
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\n\r"


class Misfit(Exception):
    """A value that may not leave. `path` is innermost first until `where` reads it."""

    def __init__(self, code: Code, reason: str, rule: Rule) -> None:
        super().__init__(code.value)
        self.code = code
        self.reason = reason
        self.rule = rule
        self.path: list[str | int] = []

    def where(self) -> str:
        """The path as callers know it: `messages[0].content`, an unnamed key as `?N`."""
        out = ""
        for step in reversed(self.path):
            out += f"[{step}]" if isinstance(step, int) else f".{step}" if out else step
        return out


class Walk(Struct, eq=False):
    """What reading one request gathers, and what it may use.

    Attributes:
        granted: conditional verdicts that hold for this caller, purpose and tenant.
        approved: digest of a schema -> the approved document, or None where it is not approved.
        pseudonym: caller's identifier -> keyed hash that may stand in its place.
        used: the conditional verdicts that were needed.
        forced: what was set.
        unscanned: kind of inline content -> how many.
        models: every model name in the request, the call's own first.
        deferred: forces that depend on the routed model.
    """

    granted: frozenset[str]
    approved: Callable[[Value], Value]
    pseudonym: Callable[[str], str]
    used: dict[str, None] = {}
    forced: list[Forced] = []
    unscanned: dict[str, int] = {}
    models: list[str] = []
    deferred: list[tuple[ForceBy, Value]] = []


class Shape(Protocol):
    """What a value may be."""

    def read(self, value: Value, walk: Walk) -> Value:
        """The value that may leave.

        Raises:
            Misfit: it may not.
        """


class _Dropped:
    """The field does not leave."""


DROPPED = _Dropped()


class Verdict(Protocol):
    """Whether a named thing may be there."""

    @property
    def rule(self) -> Rule:
        """The rule and its source."""

    def read(self, value: Value, walk: Walk) -> Value | _Dropped:
        """The value that leaves in its place.

        Raises:
            Misfit: the call may not leave with it.
        """


# --- scalars ------------------------------------------------------------------------------------


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


# --- containers ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Json:
    """Any JSON (tool input, a schema that is not strict). Every string and key in it is content."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        return value


@dataclass(frozen=True, slots=True)
class Schema:
    """A structured-output schema: it leaves only as the approved document of the same digest."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a JSON Schema object is expected here", self.rule)
        approved = walk.approved(value)
        if approved is None:
            raise Misfit(Code.SCHEMA_NOT_APPROVED, "the digest of this schema is not approved", self.rule)
        return approved


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose every item has one shape."""

    rule: Rule
    item: Verdict

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not list:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a list is expected here", self.rule)
        read = self.item.read
        out: list[Value] = []
        for item in value:
            try:
                kept = read(item, walk)
            except Misfit as misfit:
                misfit.path.append(len(out))
                raise
            if kept is DROPPED:
                raise Misfit(Code.PARAMETER_RETAINS_DATA, "an item of this list may not leave", self.item.rule)
            out.append(kept)  # type: ignore[arg-type]  # DROPPED was excluded
        return out


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with free keys of digits (`logit_bias`) and values of one shape."""

    rule: Rule
    item: Shape

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "an object is expected here", self.rule)
        if not all(map(_DIGITS, value)):
            raise Misfit(Code.PARAMETER_UNKNOWN, "keys of digits are expected here", self.rule)
        return {key: self.item.read(item, walk) for key, item in value.items()}


_TYPE_WORDS: Mapping[type, str] = {
    str: "string",
    list: "list",
    dict: "object",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class ByType:
    """One of several shapes, told apart by the JSON type of the value."""

    rule: Rule
    cases: Mapping[str, Verdict]

    def read(self, value: Value, walk: Walk) -> Value:
        case = self.cases.get(_TYPE_WORDS[type(value)])
        if case is None:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a value of this JSON type is not expected here", self.rule)
        return case.read(value, walk)  # type: ignore[return-value]  # ListOf and Object refuse DROPPED


@dataclass(frozen=True, slots=True)
class Strictness:
    """How a tool's schema and its `strict` flag go together.

    A strict schema is compiled and cached by the provider outside the zero-retention promise, so it
    must be approved. `absent_is_strict` is the Responses API's habit of trying strict when the
    flag is missing: then false is forced.
    """

    flag: str
    schema: str
    absent_is_strict: bool
    label: str
    rule: Rule


@dataclass(slots=True)
class Object:
    """An object whose every key is named. Built empty and completed by the loader: shapes may recurse."""

    rule: Rule
    name: str
    fields: dict[str, Verdict] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    needed: dict[str, Code] = field(default_factory=dict)
    absent: list[tuple[str, Force | ForceBy]] = field(default_factory=list)
    strictness: Strictness | None = None

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "an object is expected here", self.rule)
        out: Document = {}
        fields = self.fields
        for key, item in value.items():
            verdict = fields.get(key)
            if verdict is None:
                raise self._misfit(
                    f"?{list(value).index(key)}", Code.PARAMETER_UNKNOWN, "the surface does not name this field"
                )
            try:
                if type(verdict) is Allow:  # by far the most: its own `read` without the call
                    out[key] = None if item is None else verdict.shape.read(item, walk)
                    continue
                kept = verdict.read(item, walk)
            except Misfit as misfit:
                misfit.path.append(key)
                raise
            if kept is not DROPPED:
                out[key] = kept  # type: ignore[assignment]  # DROPPED was excluded
        if self.absent or self.required or self.needed or self.strictness is not None:
            self._complete(value, out, walk)
        return out

    def _complete(self, value: Document, out: Document, walk: Walk) -> None:
        for name, force in self.absent:
            if name not in value and (kept := force.when_absent(walk)) is not DROPPED:
                out[name] = kept  # type: ignore[assignment]  # DROPPED was excluded
        for name in self.required:
            if value.get(name) is None:
                raise self._misfit(name, Code.BODY_INVALID, "a required field is missing")
        for name, code in self.needed.items():
            if value.get(name) is None:
                rule = self.fields[name].rule
                raise self._misfit(name, code, "what the provider does without this field would keep data", rule)
        if self.strictness is not None:
            self._settle_strictness(self.strictness, value, out, walk)

    def _misfit(self, step: str, code: Code, reason: str, rule: Rule | None = None) -> Misfit:
        misfit = Misfit(code, reason, rule or self.rule)
        misfit.path.append(step)
        return misfit

    def _settle_strictness(self, strictness: Strictness, value: Document, out: Document, walk: Walk) -> None:
        wanted = value.get(strictness.flag)
        if wanted is False or (wanted is None and not strictness.absent_is_strict):
            return
        approved = walk.approved(value.get(strictness.schema))
        if approved is not None:
            out[strictness.schema] = approved
        elif wanted is None:
            out[strictness.flag] = False
            walk.forced.append(Forced(strictness.label, "false"))
        else:
            reason = "the digest of this strict schema is not approved"
            raise self._misfit(strictness.schema, Code.SCHEMA_NOT_APPROVED, reason, strictness.rule)


@dataclass(slots=True)
class Union:
    """One of several objects, told apart by a field whose values the surface names.

    `absent` is the case of an object without that field; `absent_with` maps the presence of another
    key to a case first. Completed by the loader: shapes may recurse.
    """

    rule: Rule
    name: str
    by: str
    cases: dict[str, Verdict] = field(default_factory=dict)
    absent: str | None = None
    absent_with: dict[str, str] = field(default_factory=dict)

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "an object is expected here", self.rule)
        name = value.get(self.by)
        if name is None:
            name = next((case for key, case in self.absent_with.items() if key in value), self.absent)
        verdict = self.cases.get(name) if type(name) is str else None
        if verdict is None:
            misfit = Misfit(Code.PARAMETER_UNKNOWN, f"the surface names no such {self.by} here", self.rule)
            misfit.path.append(self.by)
            raise misfit
        return verdict.read(value, walk)  # type: ignore[return-value]  # cases are never dropped


# --- verdicts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allow:
    """May be there, in this shape. `null` is absence and passes."""

    rule: Rule
    shape: Shape

    def read(self, value: Value, walk: Walk) -> Value | _Dropped:
        return None if value is None else self.shape.read(value, walk)


@dataclass(frozen=True, slots=True)
class Conditional:
    """May be there where an operator granted it by name to this caller and purpose."""

    rule: Rule
    grant: str
    shape: Shape
    code: Code

    def read(self, value: Value, walk: Walk) -> Value | _Dropped:
        if value is None:
            return None
        if self.grant not in walk.granted:
            raise Misfit(self.code, f"this needs the grant {self.grant}, which is not given here", self.rule)
        kept = self.shape.read(value, walk)
        walk.used[self.grant] = None
        return kept


@dataclass(frozen=True, slots=True)
class Refuse:
    """May not be there, except as `null` or as one of the harmless values (`background: false`)."""

    rule: Rule
    code: Code
    harmless: tuple[Value, ...] = ()

    def read(self, value: Value, walk: Walk) -> Value | _Dropped:
        if value is None or any(same(value, safe) for safe in self.harmless):
            return DROPPED
        raise Misfit(self.code, "this would leave data behind or send it elsewhere", self.rule)


@dataclass(frozen=True, slots=True)
class Force:
    """The gateway sets this.

    `value` is what leaves, or DROPPED, or `PSEUDONYM`. `contrary` says what an explicit other value
    meets: `refuse`, so that the caller learns, or `replace`. `set_when_absent` puts the value
    where the caller sent none. `tolerated` values pass as they are.
    """

    rule: Rule
    label: str
    value: Value | _Dropped
    contrary: str = "refuse"
    set_when_absent: bool = True
    pseudonym: bool = False
    code: Code = Code.PARAMETER_RETAINS_DATA
    tolerated: tuple[str, ...] = ()
    said: Forced = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", Forced(self.label, spell(self.value)))

    def read(self, value: Value, walk: Walk) -> Value | _Dropped:
        if value is None:
            return self.when_absent(walk)
        if same(value, self.value):
            return self.value
        if type(value) is str and value in self.tolerated:
            return Opaque(value)
        if self.pseudonym:
            if type(value) is not str:
                raise Misfit(Code.PARAMETER_UNKNOWN, "a string is expected here", self.rule)
            walk.forced.append(Forced(self.label, "pseudonym"))
            return Opaque(walk.pseudonym(value))
        if self.contrary == "refuse":
            raise Misfit(self.code, "another value would leave data behind", self.rule)
        return self._set(walk)

    def when_absent(self, walk: Walk) -> Value | _Dropped:
        """What leaves where the caller sent nothing."""
        return self._set(walk) if self.set_when_absent and self.value is not DROPPED else DROPPED

    def _set(self, walk: Walk) -> Value | _Dropped:
        walk.forced.append(self.said)
        return self.value


@dataclass(frozen=True, slots=True)
class ForceBy:
    """The gateway sets this by a trait of the routed model; settled after routing.

    With the grant `unless`, the caller's own value passes in `shape` instead.
    """

    rule: Rule
    field: str
    trait: str
    cases: Mapping[str, Value | _Dropped]
    unless: str | None
    shape: Shape | None
    said: Mapping[str, Forced] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        said = {trait: Forced(self.field, spell(safe)) for trait, safe in self.cases.items()}
        object.__setattr__(self, "said", said)

    def read(self, value: Value, walk: Walk) -> Value | _Dropped:
        if self.unless is not None and self.shape is not None and self.unless in walk.granted:
            walk.used[self.unless] = None
            return None if value is None else self.shape.read(value, walk)
        walk.deferred.append((self, value))
        return DROPPED

    def when_absent(self, walk: Walk) -> Value | _Dropped:
        """Settled after routing, unless the grant lets the provider's default stand."""
        if self.unless is not None and self.unless in walk.granted:
            walk.used[self.unless] = None  # the default that stands is what was granted, and the answer shows it
            return DROPPED
        walk.deferred.append((self, None))
        return DROPPED

    def settle(self, value: Value, traits: Mapping[str, str], document: Document, forced: list[Forced]) -> None:
        """Put the value for this model into the document's top level.

        Raises:
            Misfit: the model has no such trait, or the caller sent a contrary value.
        """
        trait = traits.get(self.trait)
        if trait is None or trait not in self.cases:
            misfit = Misfit(Code.PARAMETER_RETAINS_DATA, "this model has no safe value for it on record", self.rule)
            misfit.path.append(self.field)
            raise misfit
        safe = self.cases[trait]
        if value is not None and not same(value, safe):
            misfit = Misfit(Code.PARAMETER_RETAINS_DATA, "another value would leave data behind", self.rule)
            misfit.path.append(self.field)
            raise misfit
        if safe is not DROPPED:
            document[self.field] = safe  # type: ignore[assignment]  # DROPPED was excluded
            if value is None:
                forced.append(self.said[trait])


# --- small judgements that several rules share ----------------------------------------------------


def decode_base64(text: str, rule: Rule) -> bytes:
    """The bytes of strict base64 in either alphabet (RFC 4648 sections 4 and 5).

    Raises:
        Misfit: it is not that.
    """
    try:
        return base64.b64decode(text.encode("ascii").translate(_STANDARD), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Misfit(Code.CONTENT_NOT_SCANNABLE, "strict base64 is expected here", rule) from None


_STANDARD = bytes.maketrans(b"-_", b"+/")


def looks_like_text(data: bytes) -> bool:
    """Whether decoded bytes read as text in UTF-8, UTF-16 or a one-byte alphabet.

    Ciphertext and signatures have some 37 % printable bytes and almost never two NULs in ten; text
    has far more of one or the other.
    """
    if not data:
        return False
    printable = len(data) - len(data.translate(None, _PRINTABLE))
    if printable > 0.75 * len(data) or data.count(0) > 0.25 * len(data):
        return True
    try:
        return len(data) >= 8 and data.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def same(value: Value, constant: Value | _Dropped) -> bool:
    """Equality that does not take 1 for true, nor 0 for false."""
    return value == constant and isinstance(value, bool) is isinstance(constant, bool)


def spell(value: Value | _Dropped) -> str:
    """A value of ours as the header spells it: `false`, `absent`, `explicit`."""
    if value is DROPPED:
        return "absent"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return " ".join(f"{key}:{spell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(spell(item) for item in value)
    return str(value)


def freeze(value: Value) -> Value:
    """A constant of the surface as it goes into a document: its strings need no scan."""
    if isinstance(value, str):
        return Opaque(value)
    if isinstance(value, list):
        return [freeze(item) for item in value]
    if isinstance(value, dict):
        return Approved({key: freeze(item) for key, item in value.items()})
    return value
