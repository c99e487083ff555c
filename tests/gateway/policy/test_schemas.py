"""Approved schemas: found in what surrounds them, known by the digest of their canonical form."""

from __future__ import annotations

import pytest

from gateway.policy.schemas import NotASchema, Schemas, canonical_digest, extract
from providers.document import Approved, Document

SCHEMA: Document = {"type": "object", "properties": {"note": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(SCHEMA, id="bare"),
        pytest.param(
            {"type": "json_schema", "json_schema": {"name": "note", "schema": SCHEMA, "strict": True}},
            id="a response format",
        ),
        pytest.param({"format": {"type": "json_schema", "name": "note", "schema": SCHEMA}}, id="a text format"),
        pytest.param({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, id="an output format"),
        pytest.param({"type": "function", "function": {"name": "note", "parameters": SCHEMA}}, id="a function"),
        pytest.param({"type": "function", "name": "note", "parameters": SCHEMA, "strict": True}, id="a flat function"),
        pytest.param({"name": "note", "input_schema": SCHEMA}, id="a tool"),
        pytest.param({"tools": [{"name": "note", "input_schema": SCHEMA}]}, id="a list of one tool"),
    ],
)
def test_a_schema_is_found_in_what_surrounds_it(document: Document) -> None:
    """The outermost object that is a JSON Schema is the one, whatever a wire calls the field round it."""
    assert extract(document) == SCHEMA


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param({}, "no JSON Schema", id="nothing"),
        pytest.param({"type": "json_schema", "name": "note"}, "no JSON Schema", id="a format without its schema"),
        pytest.param({"type": 7}, "no JSON Schema", id="a type that is none"),
        pytest.param({"type": []}, "no JSON Schema", id="a type of nothing"),
        pytest.param({"a": SCHEMA, "b": SCHEMA}, "several", id="two schemas"),
    ],
)
def test_what_is_no_single_schema(document: Document, says: str) -> None:
    """None or several is an error that quotes nothing."""
    with pytest.raises(NotASchema, match=says):
        extract(document)


@pytest.mark.parametrize("kind", [["string", "null"], "array", "boolean"])
def test_a_schema_need_not_be_an_object(kind: object) -> None:
    """Any type of JSON Schema, and lists of them, count."""
    assert extract({"type": kind}) == {"type": kind}  # type: ignore[dict-item]


def test_the_digest_ignores_order_and_nothing_else() -> None:
    """Key order is free; every other difference is another schema."""
    reordered: Document = dict(reversed(SCHEMA.items()))
    others: list[Document] = [
        {**SCHEMA, "title": "x"},
        {**SCHEMA, "additionalProperties": 0},
        {**SCHEMA, "properties": {"Note": {"type": "string"}}},
        {**SCHEMA, "properties": {"note": {"type": "string", "description": ""}}},
        {**SCHEMA, "required": []},
    ]

    assert canonical_digest(reordered) == canonical_digest(SCHEMA)
    assert canonical_digest(SCHEMA) not in {canonical_digest(other) for other in others}


def test_only_the_approved_document_leaves() -> None:
    """An approved schema is answered by our own reviewed copy; any other by nothing."""
    schemas = Schemas([SCHEMA])
    sent: Document = dict(reversed(SCHEMA.items()))

    approved = schemas.approved(sent)

    assert isinstance(approved, Approved) and approved == SCHEMA and approved is not sent
    assert schemas.approved({**SCHEMA, "title": "x"}) is None
    assert schemas.approved("object") is None
    assert (len(schemas), list(schemas.documents)) == (1, [canonical_digest(SCHEMA)])
