"""A list that grows: found in the text, cut out of it and put back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.document import Document, NotStrict, parse, serialise
from providers.growing import find, follow, parts, serialise_after, without, written

ITEMS: list[Any] = [{"a": "one"}, {"b": ["]", "},{", '"'], "c": {"m": [{"a": "one"}]}}, {}]


def _body(**members: Any) -> tuple[bytes, Document]:
    data = orjson.dumps(members)
    return data, parse(data)


@pytest.mark.parametrize("before", [{}, {"x": [{"m": [{"a": "two"}]}]}, {"y": '"m":[{'}])
def test_it_is_found_where_it_stands(before: dict[str, Any]) -> None:
    data, document = _body(**before, m=ITEMS, z=1)
    start = find(data, document, "m", written(ITEMS))
    assert start is None if "x" in before else start == data.index(b'"m":[{') + 5


@pytest.mark.parametrize(
    ("data", "member"),
    [
        (orjson.dumps({"x": {"m": ITEMS}, "m": [{}]}), "m"),
        (orjson.dumps({"x": {"m": ITEMS}, "m": ITEMS}), "m"),
        (b'{"m": ' + orjson.dumps(ITEMS) + b"}", "m"),
        (orjson.dumps({"m": ITEMS}).replace(b"},{", b"}, {"), "m"),
        (orjson.dumps({"m": [*ITEMS, 5]}), "m"),
        (orjson.dumps({"m": []}), "m"),
    ],
    ids=["of another", "of both", "a space before it", "a space in it", "more of it", "empty"],
)
def test_it_is_not_found_where_it_is_written_otherwise(data: bytes, member: str) -> None:
    assert find(data, parse(data), member, written(ITEMS)) is None
    assert find(data, parse(data), member, b"") is None


@pytest.mark.parametrize(
    ("text", "whole"),
    [(b',{"a":1}]', True), (b',{"a":1},', False), (b',{"a":1} ]', False), (b"]", False), (b"", False)],
)
def test_what_follows_is_all_or_it_does_not_follow(text: bytes, whole: bool) -> None:
    assert follow(b"0123" + text, 4, written([{"a": 1}])) is whole


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
    start = find(first, parse(first), "m", written(known))
    if start is None:
        return  # the same list stands before it
    end = start + len(written(known))
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
