"""The closed language that records are written in: every type a field may have, and no other.

There is no type for text. A value is a member of an enumeration, a word that configuration
registered, a bounded integer, a boolean, an identifier that the gateway minted, a keyed hash, a
digest of public material, an instant, or a short set of these. What a caller or a provider sent
fits none of them unless it already equals a registered word.

`Word`, `Id`, `Mac` and `Sha` are strings in memory (so that writing them costs nothing), but each
is sealed: a `Word` comes only out of a `Vocabulary`, the others only out of hex digits.
"""

from __future__ import annotations

import enum
import math
import re
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self, TypeVar, cast

from msgspec import Struct

from gateway.errors import Code, Unavailable

GREATEST = 2**53 - 1
"""The greatest integer that every JSON reader keeps exact (RFC 8259 section 6)."""


class NotRecordable(Unavailable):
    """A value is outside its field's domain, so the record is not written and the call fails closed.

    `field` names the record's field, never the value.
    """

    def __init__(self, field: str) -> None:
        super().__init__(
            Code.AUDIT_UNAVAILABLE, "The call cannot be recorded: a fact about it is not a registered word."
        )
        self.field = field


class Word(str):
    """A word that configuration registered. One subclass a namespace; `LIMIT` is how many it may hold.

    Not callable: `Vocabulary.word` finds the ones there are, and `parse` reads back what was one.
    """

    __slots__ = ()
    LIMIT: ClassVar[int] = 0
    GRAMMAR: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,79}")

    def __new__(cls, *_: object) -> Self:
        """Refuses: text does not become a word by being called one.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{cls.__name__} comes from a Vocabulary")


W = TypeVar("W", bound=Word)
T = TypeVar("T")

_MOST_KEPT = 20_000


def _word(kind: type[W], text: str) -> W:
    if kind.GRAMMAR.fullmatch(text) is None:
        raise NotRecordable(kind.__name__)
    return str.__new__(kind, text)


class Vocabulary:
    """The words of one configuration. Immutable: a reload makes a new one.

    Args:
        words: namespace -> its words. Duplicates count once; a namespace that is not given is empty.

    Raises:
        ValueError: a word outside the grammar, or more words than the namespace may hold.
    """

    __slots__ = ("_kept", "_words")

    def __init__(self, words: Mapping[type[Word], Iterable[str]]) -> None:
        table: dict[type[Word], dict[str, Word]] = {}
        for kind, texts in words.items():
            held = table[kind] = {}
            for text in texts:
                if kind.GRAMMAR.fullmatch(text) is None:
                    raise ValueError(f"{kind.__name__}: {text!r} cannot be a word of the audit record")
                held[text] = str.__new__(kind, text)
            if len(held) > kind.LIMIT:
                raise ValueError(f"{kind.__name__}: {len(held)} words, the audit record has room for {kind.LIMIT}")
        self._words = table
        self._kept: dict[object, object] = {}

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` found in this vocabulary for `key`, made once. For words that many calls share; bounded."""
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = make()
        return cast(T, found)

    def word(self, kind: type[W], text: str) -> W:
        """The registered word that equals `text`.

        Raises:
            NotRecordable: there is none.
        """
        found = self._words.get(kind, _NO_WORDS).get(text)
        if type(found) is not kind:
            raise NotRecordable(kind.__name__)
        return found

    def words(self, kind: type[W], texts: Iterable[str]) -> tuple[W, ...]:
        """The registered words that equal `texts`, each once, in order of spelling.

        Raises:
            NotRecordable: one of them is not registered.
        """
        return tuple(sorted({self.word(kind, text) for text in texts}))

    def known(self, kind: type[W], text: str | None) -> W | None:
        """The registered word that equals `text`, or None: for what a provider says and may be anything."""
        found = None if text is None else self._words.get(kind, _NO_WORDS).get(text)
        return found if type(found) is kind else None


_NO_WORDS: dict[str, Word] = {}


class _Hex(str):
    __slots__ = ()
    GRAMMAR: ClassVar[re.Pattern[str]]

    def __new__(cls, digits: str) -> Self:
        """Check the digits.

        Raises:
            NotRecordable: they are not the lower-case hex digits this type has.
        """
        if cls.GRAMMAR.fullmatch(digits) is None:
            raise NotRecordable(cls.__name__)
        return str.__new__(cls, digits)


class Id(_Hex):
    """An identifier that the gateway minted: a call, a boot (32 digits), a caller key (16)."""

    __slots__ = ()
    GRAMMAR = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}")


class Mac(_Hex):
    """A value of a tenant, hashed under that tenant's key (`Keyring.tenant_mac`)."""

    __slots__ = ()
    GRAMMAR = re.compile(r"[0-9a-f]{32}")


class Sha(_Hex):
    """SHA-256 of material that the operator or a provider publishes. Never of content."""

    __slots__ = ()
    GRAMMAR = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Range:
    """The domain of an integer, ends included. With `step`, only its multiples."""

    least: int
    most: int
    step: int = 1

    def cap(self, value: int) -> int:
        """The member nearest above `value`, or the greatest: how a foreign number becomes recordable."""
        if self.step == 1 and self.least <= value <= self.most:
            return value
        return min(max(-(-value // self.step) * self.step, self.least), self.most)


@dataclass(frozen=True, slots=True)
class Subset:
    """The domain of a tuple: at most `most` members, each once, in order."""

    most: int


@dataclass(frozen=True, slots=True)
class Derived:
    """Marks a field that follows from others and the configuration, or that the gateway alone decides.

    It carries nothing that a caller or a provider chose beyond what is already counted.
    """


Instant = Annotated[int, Range(0, GREATEST), Derived()]
"""Microseconds since 1970, UTC, by the gateway's clock."""


@dataclass(frozen=True, slots=True)
class Domain:
    """How values of one type are checked, written and read.

    `encode` gives a JSON value, `decode` takes one; both raise ValueError outside the domain.
    `size` is how many values a caller or a provider can choose among; 1 means none. `sealed` is a
    class whose every instance is in the domain and is its own JSON value, so its type is check enough; `span` is
    that of an integer.
    """

    encode: Callable[[object], object]
    decode: Callable[[object], object]
    size: int
    sealed: type | None = None
    span: Range | None = None


def domain_of(hint: object) -> Domain:
    """The domain that an annotation means.

    Raises:
        TypeError: the annotation is not of this language: text, bytes, maps, anything.
    """
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        present = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(present) != 1:
            raise TypeError(f"not a type of the record language: {hint!r}")
        inner = domain_of(present[0])
        return replace(inner, size=inner.size + 1 if inner.size > 1 else 1)
    if typing.get_origin(hint) is Annotated:
        return _annotated(*typing.get_args(hint))
    if hint is bool:
        return _boolean()
    if isinstance(hint, type):
        if issubclass(hint, Word) and hint.LIMIT:
            return _wordly(hint)
        if hint in {Id, Mac, Sha}:
            return _hexadecimal(cast(type[_Hex], hint))
        if issubclass(hint, enum.StrEnum):
            return _enumerated(hint)
    raise TypeError(f"not a type of the record language: {hint!r}")


def _annotated(inner: object, *marks: object) -> Domain:
    ranges = [mark for mark in marks if isinstance(mark, Range)]
    subsets = [mark for mark in marks if isinstance(mark, Subset)]
    if inner is int and ranges:
        domain = _integer(ranges[0])
    elif typing.get_origin(inner) is tuple and subsets:
        domain = _tuple(typing.get_args(inner), subsets[0])
    elif not ranges and not subsets:
        domain = domain_of(inner)
    else:
        raise TypeError(f"not a type of the record language: {inner!r}")
    if any(isinstance(mark, Derived) for mark in marks):
        return replace(domain, size=1)
    return domain


def _boolean() -> Domain:
    def check(value: object) -> object:
        if value is True or value is False:
            return value
        raise ValueError

    return Domain(check, check, 2, bool)


def _integer(span: Range) -> Domain:
    least, most, step = span.least, span.most, span.step
    if not -GREATEST <= least <= most <= GREATEST:
        raise TypeError("an integer of a record fits 53 bits")

    def check(value: object) -> object:
        if type(value) is int and least <= value <= most and value % step == 0:
            return value
        raise ValueError

    return Domain(check, check, (most - least) // step + 1, span=span)


def _wordly(kind: type[Word]) -> Domain:
    def encode(value: object) -> object:
        if type(value) is kind:
            return value
        raise ValueError

    def decode(value: object) -> object:
        if type(value) is str and kind.GRAMMAR.fullmatch(value):
            return str.__new__(kind, value)
        raise ValueError

    return Domain(encode, decode, kind.LIMIT, kind)


def _hexadecimal(kind: type[_Hex]) -> Domain:
    def encode(value: object) -> object:
        if type(value) is kind:
            return value
        raise ValueError

    def decode(value: object) -> object:
        if type(value) is str and kind.GRAMMAR.fullmatch(value):
            return str.__new__(kind, value)
        raise ValueError

    return Domain(encode, decode, 1, kind)


def _enumerated(kind: type[enum.StrEnum]) -> Domain:
    members = {member.value: member for member in kind}

    def encode(value: object) -> object:
        if type(value) is kind:
            return value._value_
        raise ValueError

    def decode(value: object) -> object:
        if type(value) is str and value in members:
            return members[value]
        raise ValueError

    return Domain(encode, decode, len(members))


def _tuple(arguments: tuple[object, ...], subset: Subset) -> Domain:
    """A set of members (`tuple[X, ...]`), or a bounded count for each of some (`tuple[tuple[X, count], ...]`)."""
    if len(arguments) != 2 or arguments[1] is not Ellipsis:
        raise TypeError("a list of a record has one type of member and a greatest length")
    pair = typing.get_args(arguments[0]) if typing.get_origin(arguments[0]) is tuple else ()
    if pair:
        key, count = domain_of(pair[0]), domain_of(pair[1])
        member = _pair(key, count)
        size = (count.size + 1) ** min(key.size, subset.most)
    else:
        member = domain_of(arguments[0])
        size = sum(math.comb(member.size, taken) for taken in range(min(subset.most, member.size) + 1))
    most, sealed, encode_member, decode_member = subset.most, member.sealed, member.encode, member.decode
    checked: dict[int, tuple[object, object]] = {}  # by identity: a vocabulary gives the same tuple to many records

    def encode(value: object) -> object:
        known = checked.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        made = encode_anew(value)
        if len(checked) >= _MOST_KEPT:
            checked.clear()
        checked[id(value)] = (value, made)
        return made

    def encode_anew(value: object) -> object:
        if type(value) is not tuple or len(value) > most:
            raise ValueError
        encoded = [each if type(each) is sealed else encode_member(each) for each in value]
        if len(encoded) > 1:
            _refuse_disorder(encoded)
        return encoded

    def decode(value: object) -> object:
        if type(value) is not list or len(value) > most:
            raise ValueError
        decoded = tuple(decode_member(each) for each in value)
        encode(decoded)  # checks the order
        return decoded

    return Domain(encode, decode, size)


def _refuse_disorder(values: list[object]) -> None:
    # Order would carry information, and a repeated member would too. Members are words or pairs of
    # a word and a count; once encoded or checked they sort by the word's spelling.
    first = values[0]
    keys = [cast(list[str], value)[0] for value in values] if isinstance(first, list) else cast(list[str], values)
    if keys != sorted(set(keys)):
        raise ValueError


def _pair(key: Domain, count: Domain) -> Domain:
    def encode(value: object) -> object:
        if type(value) is not tuple or len(value) != 2:
            raise ValueError
        return [key.encode(value[0]), count.encode(value[1])]

    def decode(value: object) -> object:
        if type(value) is not list or len(value) != 2:
            raise ValueError
        return (key.decode(value[0]), count.decode(value[1]))

    return Domain(encode, decode, key.size * count.size)


class Codec:
    """How one record type is checked, written and read: its fields by name, in canonical order.

    `marks` are members that every record of this type has, always the same.
    """

    __slots__ = ("domains", "encode", "kind", "known_in_json", "required", "required_in_json")

    def __init__(self, kind: type[Struct], marks: Mapping[str, str | int]) -> None:
        hints = typing.get_type_hints(kind, include_extras=True)
        self.kind = kind
        self.domains = {name: domain_of(hints[name]) for name in sorted(kind.__struct_fields__)}
        self.required = frozenset(name for name in self.domains if not _optional(hints[name]))
        self.required_in_json = self.required | marks.keys()
        self.known_in_json = self.domains.keys() | marks.keys()
        self.encode = _compiled(self.domains, self.required, marks)
        """The fields of a record and its marks by name, in canonical order; absent values are left out.

        Raises NotRecordable where a value is outside its domain, or a required one is absent.
        """

    @property
    def bits(self) -> float:
        """What a caller and a provider together can say through one record of this type, in bits."""
        return sum(math.log2(domain.size) for domain in self.domains.values())

    def decode(self, values: Mapping[str, object]) -> object:
        """The record with these fields.

        Raises:
            NotRecordable: a field is unknown, missing, or outside its domain.
        """
        decoded: dict[str, object] = {}
        for name, value in values.items():
            domain = self.domains.get(name)
            if domain is None:
                raise NotRecordable("unknown")
            try:
                decoded[name] = domain.decode(value)
            except ValueError:
                raise NotRecordable(name) from None
        if not self.required <= decoded.keys():
            raise NotRecordable("missing")
        return self.kind(**decoded)


def _optional(hint: object) -> bool:
    return type(None) in typing.get_args(hint)


def _compiled(
    domains: Mapping[str, Domain], required: frozenset[str], marks: Mapping[str, str | int]
) -> Callable[[object], dict[str, object]]:
    """One function that checks and writes every field, as `dataclasses` makes its methods: twice for each call, on the
    way to the disk, a loop over domains costs three times this. Field names are our own; nothing else is in the source.
    """
    names: dict[str, object] = {"NotRecordable": NotRecordable}
    lines = ["def encode(record):", "  into = {}"]
    for index, field in enumerate(sorted([*domains, *marks])):
        if field in marks:
            lines.append(f"  into[{field!r}] = {marks[field]!r}")
            continue
        domain = domains[field]
        names[f"encode_{index}"], names[f"sealed_{index}"] = domain.encode, domain.sealed
        optional = field not in required
        lines.append(f"  value = record.{field}")
        lines.append("  if value is not None:" if optional else "  if True:")
        if domain.sealed is not None:
            lines.append(f"    if type(value) is not sealed_{index}: raise NotRecordable({field!r})")
            lines.append(f"    into[{field!r}] = value")
        elif domain.span is not None and domain.span.step == 1:
            span = domain.span
            lines.append(f"    if type(value) is not int or not {span.least} <= value <= {span.most}:")
            lines.append(f"      raise NotRecordable({field!r})")
            lines.append(f"    into[{field!r}] = value")
        else:
            lines.append("    try:")
            lines.append(f"      into[{field!r}] = encode_{index}(value)")
            lines.append(f"    except ValueError: raise NotRecordable({field!r}) from None")
    lines.append("  return into")
    exec("\n".join(lines), names)  # noqa: S102
    return cast(Callable[[object], dict[str, object]], names["encode"])
