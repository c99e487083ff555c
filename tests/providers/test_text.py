"""Strings of a document by path."""

from __future__ import annotations

import json

import pytest

from providers.document import Approved, Encoded, Identifier, Opaque, Sealed, Value
from providers.text import Kind, TooMany, replace, stands_alone, strings

KNOWN = frozenset({"a", "content", "text", "type"})


def test_gives_every_string_with_its_path_and_kind() -> None:
    """Content, keys, identifiers and sealed strings come in document order; exemptions do not come."""
    document = {
        "a": "one",
        "content": [{"text": "two", "own key": "three"}, 4, None],
        "x": {"a": Identifier("id_1"), "type": Opaque("constant"), "text": Sealed("signed")},
        "b": Approved({"hidden": "no"}),
    }

    slots = strings(document, KNOWN).slots

    assert [(slot.path, slot.text, slot.kind) for slot in slots] == [
        (("a",), "one", Kind.CONTENT),
        (("content", 0, "text"), "two", Kind.CONTENT),
        (("content", 0, "own key"), "own key", Kind.KEY),
        (("content", 0, "own key"), "three", Kind.CONTENT),
        (("x",), "x", Kind.KEY),
        (("x", "a"), "id_1", Kind.IDENTIFIER),
        (("x", "text"), "signed", Kind.SEALED),
        (("b",), "b", Kind.KEY),
    ]


def test_steps_into_json_in_a_string() -> None:
    """Each literal of JSON in a string is a slot, keys told from values, however deep it is nested."""
    inner = json.dumps({"k": "deep"})
    document = {"a": Encoded(json.dumps({"key": ["v\u00e9", inner], "n": 1}))}

    slots = strings(document, KNOWN).slots

    assert [(slot.text, slot.kind, len(slot.inside)) for slot in slots] == [
        ("key", Kind.KEY, 1),
        ("v\u00e9", Kind.CONTENT, 1),
        ("k", Kind.KEY, 2),
        ("deep", Kind.CONTENT, 2),
        ("n", Kind.KEY, 1),
    ]


def test_what_is_not_json_is_text() -> None:
    """A string that merely begins like JSON is one slot."""
    slots = strings({"a": Encoded('{"a": ')}, KNOWN).slots

    assert [slot.text for slot in slots] == ['{"a": ']


def test_adjacent_texts_are_runs() -> None:
    """Strings of one list, or of its parts, read on; others in between do not part them."""
    document = {
        "a": ["x", "y"],
        "content": [{"text": "p"}, {"type": Opaque("image")}, {"text": "q"}],
        "text": ["alone"],
    }

    found = strings(document, KNOWN)

    assert [[found.slots[index].text for index in run] for run in found.runs] == [["x", "y"], ["p", "q"]]


def test_replaces_and_shares_what_stays() -> None:
    """The new tree has the new strings, shares untouched branches, and keeps the type of JSON in a string."""
    document = {"a": "one", "content": [{"text": "two"}, {"text": "three"}], "x": Encoded('{"k": [1.0, "four"]}')}
    slots = strings(document, KNOWN).slots
    index = {slot.text: number for number, slot in enumerate(slots)}

    changed = replace(document, {index["two"]: "TWO", index["four"]: 'F"R', index["x"]: "y"}, slots)

    assert changed == {"a": "one", "content": [{"text": "TWO"}, {"text": "three"}], "y": '{"k": [1.0, "F\\"R"]}'}
    assert isinstance(changed["y"], Encoded)
    assert changed["content"][1] is document["content"][1]  # type: ignore[index]
    assert list(changed) == ["a", "content", "y"]
    assert document["x"] == '{"k": [1.0, "four"]}'


@pytest.mark.parametrize("taken", ["old", "new"])
def test_a_changed_key_is_kept_apart(taken: str) -> None:
    """A key that would fall together with another gets a number, and no value is lost."""
    document = {"p": 1, "q": 2} if taken == "new" else {"p": 1, "z": 2}
    slots = strings(document, KNOWN).slots

    changed = replace(document, {0: "z", 1: "z"} if taken == "new" else {0: "z"}, slots)

    assert sorted(changed.values()) == [1, 2]  # type: ignore[type-var]
    assert next(iter(changed)) == ("z" if taken == "new" else "z2")


def test_too_many_strings_is_an_error() -> None:
    """The bound holds over JSON in strings too."""
    with pytest.raises(TooMany):
        strings({"a": Encoded(json.dumps(["x"] * 50_000))}, KNOWN)


@pytest.mark.parametrize(
    ("item", "alone"),
    [("one", False), ({"text": "one"}, False), ({"content": [{"text": "one"}]}, True), (["one"], False)],
)
def test_what_stands_alone_is_in_no_run_with_its_neighbours(item: Value, alone: bool) -> None:
    """Of a list of such items, none reads on from another."""
    assert stands_alone(item) is alone
    run = [index for run in strings({"a": ["before", item, "after"]}, KNOWN).runs for index in run]
    assert not alone or run == [0, 2]
