"""A list that grows: found in the text, cut out of it and put back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.document import NotStrict, parse, serialise
from providers.growing import inside, opening, parts, serialise_after, stand, without, written

ITEMS: list[Any] = [{"a": "one"}, {"b": ["]", "},{", '"'], "c": {"m": [{"a": "one"}]}}, {}]


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (orjson.dumps({"m": ITEMS, "z": 1}), 6),
        (orjson.dumps({"y": '"m":[{', "m": ITEMS}), 21),
        (orjson.dumps({"x": {"m": ITEMS}, "m": ITEMS}), 11),
        (orjson.dumps({"m": []}), None),
        (orjson.dumps({"m": ["x"]}), None),
        (b'{"m": [{}]}', None),
    ],
    ids=["first", "after a string", "of another", "empty", "of strings", "a space before it"],
)
def test_it_seems_to_begin_where_its_key_stands(data: bytes, start: int | None) -> None:
    assert opening(data, "m") == start


@given(data=st.data())
def test_items_stand_between_two_places_and_no_others(data: st.DataObject) -> None:
    """Of all places there are, those alone pass where an item ends, and the list is the document's."""
    members = {"x": {"m": ITEMS}, "m": ITEMS, "y": '"m":[{"a":"one"},{', "z": [1, {"m": ITEMS}]}
    chosen = data.draw(st.permutations(list(members)))
    document = {key: members[key] for key in chosen}
    text, key = orjson.dumps(document), b'"m":[{"a"'
    starts = [at + 5 for at in range(len(text)) if text.startswith(key, at)]
    top = text.index(orjson.dumps({"m": ITEMS})[1:-1]) + 5 if chosen[0] == "m" else None
    for start in starts:
        for count in range(1, len(ITEMS) + 1):
            end = start + len(written(ITEMS[:count]))
            found = [at for at in range(len(text)) if stand(text, start, at, document, "m", ITEMS[count:])]
            assert found == ([end] if _is_top(text, start) else [])
    assert top is None or top in starts


def _is_top(text: bytes, start: int) -> bool:
    """Whether no container is open there but the document and one list."""
    depth, quoted, escaped = 0, False, False
    for byte in text[:start].decode():
        if quoted:
            quoted, escaped = escaped or byte != '"', byte == "\\" and not escaped
        elif byte == '"':
            quoted = True
        else:
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(byte, 0)
    return depth == 2


@pytest.mark.parametrize(
    ("text", "ends"), [(b",{", True), (b"]", True), (b", {", False), (b",]", False), (b"}", False), (b",5", False)]
)
def test_an_item_ends_before_another_and_at_the_end(text: bytes, ends: bool) -> None:
    assert parts(b"0123" + text, 4) is ends


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(
    known=st.lists(st.dictionaries(st.text(max_size=3), _VALUES, max_size=2), min_size=1, max_size=4),
    new=st.lists(st.dictionaries(st.text(max_size=3), _VALUES, max_size=2), max_size=3),
    members=st.dictionaries(st.text(max_size=3).filter(lambda key: key != "m"), _VALUES, max_size=3),
    rest=st.binary(max_size=6),
)
def test_cut_out_and_put_back_it_is_the_same(
    known: list[Any], new: list[Any], members: dict[str, Any], rest: bytes
) -> None:
    """And what follows may be anything: with and without the known items, it is JSON or it is not."""
    body = orjson.dumps({**members, "m": [*known, *new]})
    try:
        parse(body)
    except NotStrict:
        return  # a NUL in a key
    first = orjson.dumps({**members, "m": known})
    start = opening(first, "m")
    assert start is not None
    end = start + len(written(known))
    if not stand(first, start, end, parse(first), "m", []):
        return  # another list of that name stands before it
    document = parse(without(body, start, end))
    assert document == {**members, "m": new}
    assert serialise_after(written(known), document, "m") == body
    broken = body[:end] + rest + body[end + len(rest) :]
    if parts(broken, end):
        assert _is_strict(broken) is _is_strict(without(broken, start, end))


def _is_strict(data: bytes) -> bool:
    try:
        parse(data)
    except NotStrict:
        return False
    return True


def test_items_before_no_others() -> None:
    assert serialise_after(written(ITEMS), {"a": 1, "m": []}, "m") == serialise({"a": 1, "m": ITEMS})


@given(said=st.text(min_size=1, max_size=30), at=st.integers(0, 30), new=st.lists(st.just({"a": "two"}), max_size=2))
def test_within_a_text_it_is_cut_and_put_together_again(said: str, at: int, new: list[Any]) -> None:
    """What is read again, and what was before it, are the text."""
    at = min(at, len(said))
    body = orjson.dumps({"x": 1, "m": [{"a": "one"}, {"b": 5, "a": said}, *new], "y": 2})
    start, item = body.index(b"[") + 1, body.index(b'{"b"')
    text = item + len(b'{"b":5,"a":"')
    first = text + len(orjson.dumps(said[:at])) - 2
    rest = parse(inside(body, start, item, text, first))
    assert rest == {"x": 1, "m": [{"b": 5, "a": said[at:]}, *new], "y": 2}
    assert serialise_after(body[start:first], rest, "m", text - item) == body
