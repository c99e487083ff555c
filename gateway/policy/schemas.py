"""Structured-output schemas that people approved: a schema leaves only as an approved document.

Providers keep schemas outside their zero-retention promise (system data at one, cached for a day at
another), so each is reviewed once, as a whole, and known by the digest of its canonical form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import orjson

from providers.document import Approved, Document, Value

_KINDS = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_KEYWORDS = frozenset({"$schema", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "properties"})


class NotASchema(ValueError):
    """The document holds no schema, or several. The message is ours and quotes nothing."""


class Schemas:
    """The approved schemas of one configuration, by digest. Immutable."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self._documents: dict[str, Approved] = {canonical_digest(item): Approved(item) for item in documents}

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def documents(self) -> Mapping[str, Document]:
        """Digest -> the document that may leave."""
        return self._documents

    def approved(self, schema: Value) -> Value:
        """The approved document of the same canonical form, or None."""
        return self._documents.get(canonical_digest(schema)) if type(schema) is dict else None


def canonical_digest(schema: Value) -> str:
    """SHA-256 over the canonical form, 64 hex digits: sorted keys, no spaces, UTF-8; nothing is left out."""
    return hashlib.sha256(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)).hexdigest()


def extract(document: Value) -> Document:
    """The one JSON Schema in a document: bare, or inside a response format, a tool or a function.

    It is found by its form, whatever the wire calls the field round it.

    Raises:
        NotASchema: there is none, or more than one.
    """
    found = list(_outermost(document))
    if not found:
        raise NotASchema("no JSON Schema in it; expected is an object with a type, properties, enum, anyOf or $ref")
    if len(found) > 1:
        raise NotASchema("several JSON Schemas in it; approve one at a time")
    return found[0]


def _outermost(value: Value) -> Iterable[Document]:
    if isinstance(value, dict):
        if _is_schema(value):
            yield value
            return
        for item in value.values():
            yield from _outermost(item)
    elif isinstance(value, list):
        for item in value:
            yield from _outermost(item)


def _is_schema(value: Document) -> bool:
    kind = value.get("type")
    if isinstance(kind, str):
        return kind in _KINDS
    if isinstance(kind, list):
        return bool(kind) and all(isinstance(item, str) and item in _KINDS for item in kind)
    return not _KEYWORDS.isdisjoint(value)
