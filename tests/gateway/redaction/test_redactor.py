"""Whole documents: what is taken out, what stays, what refuses."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.categories import PLACEHOLDER, Category
from gateway.errors import Code, Refused
from gateway.redaction.engine import Engine
from gateway.redaction.findings import Finding
from gateway.redaction.redactor import Redactor, typed
from providers.document import Approved, Document, Encoded, Identifier, Opaque, Sealed, Value
from tests.gateway.redaction.conftest import InProcess, shipped

KNOWN = frozenset({"messages", "role", "content", "type", "text", "name", "tools", "arguments", "id", "input"})
SECRET = "My brother is HIV positive."


def clean(finds: InProcess, document: Document) -> Document:
    """The document, cleaned."""
    return asyncio.run(Redactor(finds, KNOWN).clean(document)).document


SLOTS: dict[str, tuple[Document, Document]] = {
    "a message": ({"content": SECRET}, {"content": "My brother is [REDACTED]."}),
    "a list of strings": ({"input": ["fine", SECRET]}, {"input": ["fine", "My brother is [REDACTED]."]}),
    "deep inside": ({"tools": [{"x": {"y": [SECRET]}}]}, {"tools": [{"x": {"y": ["My brother is [REDACTED]."]}}]}),
    "a key": ({"tools": {"his husband": 1, "b": 2}}, {"tools": {"[REDACTED]": 1, "b": 2}}),
    "two keys": (
        {"tools": {"his husband": 1, "her wife": 2}},
        {"tools": {"[REDACTED]": 1, "[REDACTED]2": 2}},
    ),
    "a key with underscores": ({"tools": {"his_husband": [1.50]}}, {"tools": {"[REDACTED]": [1.50]}}),
    "JSON in a string": (
        {"arguments": Encoded('{"n": 1.0e2, "note":"His husband. \\u00e9","k":[true,null]}')},
        {"arguments": Encoded('{"n": 1.0e2, "note":"[REDACTED]. é","k":[true,null]}')},
    ),
    "JSON in JSON in a string": (
        {"arguments": Encoded(json.dumps({"a": json.dumps({"b": SECRET})}))},
        {
            "arguments": Encoded(
                json.dumps({"a": json.dumps({"b": "My brother is [REDACTED]."}, separators=(": "[:1], ": "))})
            )
        },
    ),
    "a key in JSON in a string": (
        {"arguments": Encoded('{"his husband":1,"her wife":2}')},
        {"arguments": Encoded('{"[REDACTED]":1,"[REDACTED]2":2}')},
    ),
    "escapes in JSON in a string": (
        {"arguments": Encoded('{"a":"He is HIV\\u0020positive"}')},
        {"arguments": Encoded('{"a":"He is [REDACTED]"}')},
    ),
    "broken JSON is text": (
        {"arguments": Encoded('{"a":"' + SECRET)},
        {"arguments": Encoded('{"a":"My brother is [REDACTED].')},
    ),
    "a word split over parts": (
        {"content": [{"type": "text", "text": "He is HIV posi"}, {"type": "text", "text": "tive, sadly"}]},
        {"content": [{"type": "text", "text": "He is [REDACTED]"}, {"type": "text", "text": ", sadly"}]},
    ),
    "a phrase split between words": (
        {"content": [{"type": "text", "text": "They wrote to his"}, {"type": "text", "text": "husband"}]},
        {"content": [{"type": "text", "text": "They wrote to [REDACTED]"}, {"type": "text", "text": ""}]},
    ),
    "letters over many parts": (
        {"input": ["his h", "us", "ba", "nd"]},
        {"input": ["[REDACTED]", "", "", ""]},
    ),
}


@pytest.mark.parametrize(("document", "expected"), SLOTS.values(), ids=SLOTS.keys())
def test_takes_findings_out_of_every_slot(finds: InProcess, document: Document, expected: Document) -> None:
    """Wherever it hides, a finding leaves as the placeholder; types and everything else stay."""
    before = copy.deepcopy(document)

    cleaned = clean(finds, document)

    assert _plain(cleaned) == _plain(expected)
    assert document == before


def _plain(value: Value) -> Value:
    """JSON in strings compared as JSON, so that separators do not matter."""
    if isinstance(value, Encoded):
        try:
            return ["encoded", _plain_inner(json.loads(value))]
        except ValueError:
            return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _plain_inner(value: Value) -> Value:
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)  # type: ignore[no-any-return]
    return {k: _plain_inner(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_bytes_outside_a_finding_stay_in_json_in_a_string(finds: InProcess) -> None:
    """Only the literal that changes is written anew: numbers, escapes and spaces elsewhere stay as they were."""
    before = '{ "n": 1.0e2 , "u":"\\u00e9\\/",\n"note":"his husband", "big": 123456789012345678901 }'

    cleaned = clean(finds, {"arguments": Encoded(before)})

    assert cleaned["arguments"] == before.replace("his husband", "[REDACTED]")


STAY: dict[str, Document] = {
    "nothing found": {"content": "The pipeline is healthy.", "n": 1.5, "x": None, "t": True},
    "opaque": {"id": Opaque("his husband")},
    "approved subtree": {"tools": Approved({"his husband": SECRET})},
    "identifier": {"id": Identifier("call_123")},
    "sealed": {"text": Sealed("thinking about pipelines")},
    "encoded": {"arguments": Encoded('{"a":1.0}')},
    "empty": {},
}


@pytest.mark.parametrize("document", STAY.values(), ids=STAY.keys())
def test_a_document_without_findings_is_the_same_object(finds: InProcess, document: Document) -> None:
    """Where nothing is found, nothing is copied."""
    assert clean(finds, document) is document


REFUSED: dict[str, tuple[Document, str]] = {
    "identifier": ({"messages": [{"name": Identifier("his_husband")}]}, "messages[0].name"),
    "identifier with hyphens": ({"id": Identifier("HIV-positive-brother")}, "id"),
    "sealed": ({"content": [{"text": Sealed(SECRET)}]}, "content[0].text"),
    "under an unknown key": ({"x": 1, "who knows": {"id": Identifier("her_wife")}}, "?1.id"),
}


@pytest.mark.parametrize(("document", "where"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_what_may_not_be_edited(finds: InProcess, document: Document, where: str) -> None:
    """A finding in an identifier or a signed block refuses the call, and says where in the surface's words."""
    with pytest.raises(Refused) as caught:
        clean(finds, document)

    assert caught.value.code is Code.CONTENT_NOT_SCANNABLE
    assert caught.value.where == where
    assert "husband" not in caught.value.reason


def test_refuses_more_strings_than_can_be_scanned(finds: InProcess) -> None:
    """JSON in a string cannot smuggle in more strings than a document may have."""
    with pytest.raises(Refused) as caught:
        clean(finds, {"arguments": Encoded(json.dumps(["a"] * 50_000))})

    assert caught.value.code is Code.CONTENT_NOT_SCANNABLE


def test_counts_by_category(finds: InProcess) -> None:
    """Each finding counts once, one split over parts included."""
    document: Document = {
        "content": [{"text": "Devon and his"}, {"text": "husband; she voted Labour"}],
        "input": "my sister is HIV positive",
    }

    cleaned = asyncio.run(Redactor(finds, KNOWN).clean(document))

    assert cleaned.redactions == {
        Category.SEX_LIFE_ORIENTATION: 1,
        Category.POLITICAL_OPINION: 1,
        Category.HEALTH: 1,
    }


def test_an_operator_may_name_the_category(finds: InProcess) -> None:
    """The typed placeholder says what was taken out."""
    text, counts = asyncio.run(Redactor(finds, placeholder=typed).redact(SECRET))

    assert text == "My brother is [REDACTED:HEALTH]."
    assert counts == {Category.HEALTH: 1}


def test_known_keys_are_not_content(finds: InProcess) -> None:
    """The surface's own field names are not looked at."""
    clean(finds, {"messages": [{"role": "fine", "content": "words here", "other": "x"}]})

    assert "messages" not in finds.asked
    assert "other" in finds.asked


WORDS = st.lists(
    st.sampled_from(
        [
            "his husband",
            "HIV positive",
            "my brother is",
            "voted Labour",
            "the pipeline",
            "is",
            "pregnant",
            ".",
            "\n",
            '"',
            "\\",
            "é",
            "{",
            "uh",
        ]
    ),
    max_size=12,
).map(" ".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_json_stays_json_and_keeps_its_shape(value: Value) -> None:
    """Cleaning changes no structure: same containers, same lengths, same numbers; inside strings as well."""
    document: Document = {"content": value, "arguments": Encoded(json.dumps([value]))}

    cleaned = clean(InProcess(shipped()), document)

    assert _shape(cleaned["content"]) == _shape(value)
    assert _shape(json.loads(str(cleaned["arguments"]))) == _shape([value])


def _shape(value: Value) -> object:
    if isinstance(value, dict):
        return [_shape(item) for item in value.values()]
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return "text" if isinstance(value, str) else value


@settings(max_examples=100, deadline=None)
@given(WORDS)
def test_cleaning_again_brings_nothing_back(text: str) -> None:
    """What was cleaned once is left as it is; or less is left, where what spoke for it, or against more, went with it."""
    redactor = Redactor(InProcess(shipped()))

    once, _counts = asyncio.run(redactor.redact(text))
    twice, counts = asyncio.run(redactor.redact(once))

    assert Counter(twice.replace(PLACEHOLDER, "").split()) <= Counter(once.replace(PLACEHOLDER, "").split())
    assert PLACEHOLDER not in once or PLACEHOLDER in twice
    assert (twice == once) is not bool(counts)


class _Counting:
    """Finds nothing, and knows how many texts and characters it was given."""

    texts = 0
    characters = 0

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Count."""
        self.texts, self.characters = len(texts), sum(map(len, texts))
        return [[] for _ in texts]


@pytest.mark.parametrize("size", [1, 300, 700])
async def test_joining_parts_costs_no_more_than_the_parts(size: int) -> None:
    """What is scanned grows with the document, not with its square, however many small parts it has."""
    given: list[int] = []
    for count in (200, 400):
        counting = _Counting()
        await Redactor(counting).clean({"stop": ["x" * size] * count})
        given.append(counting.characters)

    assert given[1] <= 2.05 * given[0]
    assert given[1] <= 5 * 400 * size


async def test_a_phrase_cut_into_letters_is_found(engine: Engine) -> None:
    """Each letter is a part of its own, among many parts; the placeholder stands once."""
    parts: list[Value] = [*"He is well. ", *"My wife has epilepsy", *" and goes on. " * 40]

    cleaned = await Redactor(InProcess(engine)).clean({"stop": parts})

    stop = cleaned.document["stop"]
    assert isinstance(stop, list)
    joined = "".join(str(part) for part in stop)
    assert "epilepsy" not in joined
    assert joined.count("[REDACTED]") == 1
    assert "My wife has [REDACTED] and goes on." in joined
