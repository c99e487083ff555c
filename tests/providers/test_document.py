"""The strict JSON of both wires, against two other parsers."""

from __future__ import annotations

import json
import math
from typing import Any

import jiter
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers import document as module
from providers.document import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_NODES,
    Approved,
    Encoded,
    Identifier,
    NotStrict,
    Opaque,
    Sealed,
    parse,
    serialise,
)

REFUSED: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \n",
    "not JSON": b"{",
    "array": b"[]",
    "string": b'"a"',
    "number": b"1",
    "null": b"null",
    "two documents": b"{}{}",
    "trailing comma": b'{"a":1,}',
    "trailing data": b"{} x",
    "lines": b'{"a":1}\n{"a":2}',
    "comment": b'{"a":1/**/}',
    "single quotes": b"{'a':1}",
    "unquoted key": b"{a:1}",
    "duplicate key": b'{"a":1,"a":2}',
    "duplicate key, equal values": b'{"a":1,"a":1}',
    "duplicate key, first spaced": b'{"a" :1,"a":2}',
    "duplicate key, second spaced": b'{"a":1,"a"\n:2}',
    "duplicate key, both tabbed": b'{"a"\t:1,"a"\t:2}',
    "duplicate key, carriage return": b'{"a"\r\n:1,"a":2}',
    "duplicate key, escaped": b'{"store":true,"\\u0073tore":false}',
    "duplicate key, escaped first": b'{"\\u0073tore":false,"store":true}',
    "duplicate key, nested": b'{"x":[{"a":1,"b":2,"a":3}]}',
    "duplicate key beside a mark within a string": b'{"a":1,"a":2,"b":"\\":"}',
    "duplicate key ending in a backslash": b'{"a\\\\":1,"a\\\\":2}',
    "duplicate key beside one ending in a backslash": b'{"a\\\\":1,"b":2,"b":3}',
    "duplicate key beside a spaced one ending in a backslash": b'{"a\\\\" :1,"b" :2,"b" :3}',
    "duplicate empty key": b'{"":1,"":2}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":-Infinity}',
    "overflow": b'{"a":1e999}',
    "negative overflow": b'{"a":-1e999}',
    "overflow, nested": b'{"a":[[1E400]]}',
    "integer above": b'{"a":9007199254740993}',
    "integer below": b'{"a":-9007199254740993}',
    "integer of 64 bits": b'{"a":18446744073709551615}',
    "integer of 100 digits": b'{"a":' + b"9" * 100 + b"}",
    "leading zero": b'{"a":01}',
    "plus sign": b'{"a":+1}',
    "bare point": b'{"a":.5}',
    "hexadecimal": b'{"a":0x1}',
    "lone high surrogate": b'{"a":"\\ud800"}',
    "lone low surrogate": b'{"a":"\\udc00"}',
    "reversed surrogates": b'{"a":"\\udc00\\ud800"}',
    "lone surrogate in a key": b'{"\\ud800":1}',
    "surrogate as bytes": b'{"a":"\xed\xa0\x80"}',
    "overlong": b'{"a":"\xc0\xaf"}',
    "Latin-1": b'{"a":"\xe9"}',
    "cut character": b'{"a":"\xe2\x82"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-16 without mark": '{"a":1}'.encode("utf-16-le"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "UTF-7": b'{"a":"+AGEAYg-"}\xff',
    "NUL in a key": b'{"a\\u0000b":1}',
    "NUL in a nested key": b'{"x":[{"\\u0000":1}]}',
    "raw NUL": b'{"a":"\0"}',
    "raw line feed in a string": b'{"a":"\n"}',
    "form feed as white space": b'{\f"a":1}',
    "no-break space as white space": b'{\xc2\xa0"a":1}',
    "bad escape": b'{"a":"\\x41"}',
    "multipart": b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
    "form": b"a=1&b=2",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_parsers_read_differently_is_refused(name: str) -> None:
    """Nothing that is not strict JSON passes, and the error quotes none of it."""
    with pytest.raises(NotStrict) as caught:
        parse(REFUSED[name])

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


LONG = b'{"long":"' + b"said and done " * 2_000


WITHIN = {
    "no quote": b"",
    "three quotes": b'\\"' * 3,
    "many quotes": b'\\"' * 500,
    "backslashes at the end": b"\\\\" * 3,
    "quotes behind backslashes": b'\\\\\\"' * 3,
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name.startswith("duplicate")])
@pytest.mark.parametrize("within", WITHIN)
def test_a_duplicate_is_seen_beside_a_long_text(name: str, within: str) -> None:
    """Where strings are few and far between they are counted otherwise, to the same number."""
    with pytest.raises(NotStrict):
        parse(LONG + WITHIN[within] + b'",' + REFUSED[name][1:])


@pytest.mark.parametrize("within", WITHIN)
def test_a_long_text_passes(within: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many quotes stand in it, and without a second parse."""
    monkeypatch.setattr(module, "_parse_slowly", None)
    data = LONG + WITHIN[within] + b'","a":1}'

    assert parse(data) == json.loads(data)


ACCEPTED: dict[str, bytes] = {
    "empty object": b"{}",
    "white space everywhere": b' {\t"a" :\r\n1 , "b": [ 1 , 2 ] } \n',
    "same key in two objects": b'{"a":{"a":1},"b":{"a":2}}',
    "mark within a string": b'{"a":"\\":","b":"x\\" : y"}',
    "quotes in text": b'{"a":"she said \\"no\\" twice, \\"no\\": enough"}',
    "JSON in a string": b'{"arguments":"{\\"a\\":{\\"b\\":1}}"}',
    "key ending in a backslash": b'{"a\\\\":1,"b":"\\":"}',
    "largest integer": b'{"a":9007199254740992,"b":-9007199254740992}',
    "large float": b'{"a":1e300,"b":-1.5e300}',
    "surrogate pair": b'{"a":"\\ud83d\\ude00"}',
    "escaped NUL in a value": b'{"a":"\\u0000"}',
    "line separators": '{"a":"\u2028\u2029\x85"}'.encode(),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_strict_json_is_read_as_the_standard_library_reads_it(name: str) -> None:
    """Ordinary documents pass, and mean the same to two other parsers."""
    data = ACCEPTED[name]

    assert parse(data) == json.loads(data) == jiter.from_json(data)


@pytest.mark.parametrize(
    "name", ["mark within a string", "quotes in text", "JSON in a string", "white space everywhere"]
)
def test_ordinary_text_does_not_need_the_slow_reader(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes and JSON in strings are common in traffic; they do not cost a second parse."""
    monkeypatch.setattr(module, "_parse_slowly", None)

    parse(ACCEPTED[name])


@pytest.mark.parametrize(("depth", "passes"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
@pytest.mark.parametrize("kind", ["objects", "arrays"])
def test_depth_is_bounded(kind: str, depth: int, passes: bool) -> None:
    """The deepest permitted nesting passes; one level more does not."""
    inner = depth - 1
    data = (
        b'{"a":' * inner + b"{}" + b"}" * inner if kind == "objects" else b'{"a":' + b"[" * inner + b"]" * inner + b"}"
    )

    if passes:
        assert parse(data)
    else:
        with pytest.raises(NotStrict, match="deeper"):
            parse(data)


def test_extreme_depth_does_not_break_the_parser() -> None:
    """A million brackets are refused like any other nesting."""
    with pytest.raises(NotStrict):
        parse(b'{"a":' + b"[" * 1_000_000)


@pytest.mark.parametrize(("nodes", "passes"), [(MAX_NODES - 1, True), (MAX_NODES, True), (MAX_NODES + 1, False)])
def test_number_of_values_is_bounded(nodes: int, passes: bool) -> None:
    """The last permitted value passes; one more does not."""
    data = b'{"a":[' + b",".join([b"0"] * (nodes - 1)) + b"]}"

    if passes:
        assert parse(data)
    else:
        with pytest.raises(NotStrict, match="values"):
            parse(data)


TEXT = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from('":\\ \n{}[],')), max_size=12)
KEYS = TEXT.filter(lambda key: "\0" not in key)
NUMBERS = st.one_of(
    st.integers(-MAX_INTEGER, MAX_INTEGER), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        st.one_of(NUMBERS, TEXT),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(TREES, st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :"), ("\n,\t", "\r\n:\n")]))
def test_every_tree_comes_back(tree: dict[str, Any], ascii_only: bool, separators: tuple[str, str]) -> None:
    """However a document is spelt, it is read as the standard library and jiter read it, and so is our own spelling."""
    data = json.dumps(tree, ensure_ascii=ascii_only, separators=separators).encode()

    read = parse(data)

    assert read == tree
    assert json.loads(data) == json.loads(serialise(read)) == tree
    assert jiter.from_json(serialise(read)) == tree
    assert parse(serialise(read)) == read


PARTS = st.sampled_from(
    [
        b'"a"',
        b'"a\\\\"',
        b'"\\""',
        b'"\\\\\\":"',
        b'":"',
        b":",
        b",",
        b"{",
        b"}",
        b"[",
        b"]",
        b" ",
        b"\n",
        b"1",
        b'"b":1',
        b"\\",
    ]
)
PAIRS = st.lists(
    st.tuples(
        st.sampled_from([b'"a"', b'"b"', b'"\\u0061"', b'"a\\\\"', b'"\\""', b'"\\\\\\":"']),
        st.sampled_from([b":", b" :", b"\n: "]),
    ),
    max_size=5,
).map(lambda keys: b"{" + b",".join(key + colon + b'"\\":"' for key, colon in keys) + b"}")


def strictly(data: bytes) -> object:
    """A slow, independent reading: the standard library's, with every rule as a hook."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in pairs}) != len(pairs) or any("\0" in key for key, _ in pairs):
            raise ValueError
        return dict(pairs)

    def integer(digits: str) -> int:
        if abs(int(digits)) > 2**53:
            raise ValueError
        return int(digits)

    def finite(text: str) -> float:
        if not math.isfinite(float(text)):
            raise ValueError
        return float(text)

    def never(_text: str) -> None:
        raise ValueError

    text = data.decode("utf-8")
    tree = json.loads(text, object_pairs_hook=unique, parse_int=integer, parse_float=finite, parse_constant=never)
    if not isinstance(tree, dict) or text.startswith("\ufeff"):
        raise TypeError
    json.dumps(tree, ensure_ascii=False).encode()  # a lone surrogate has no bytes
    return tree


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.lists(PARTS, max_size=14).map(b"".join), PAIRS, st.binary(max_size=30)))
@example(b'{"a\\\\":1,"b":2,"b":3}')
@example(b'{"\\\\\\":":1,"a":2,"a":3}')
def test_decision_is_that_of_a_slow_reader(data: bytes) -> None:
    """The fast path refuses and accepts exactly what an independent slow reading does, and reads the same."""
    try:
        wanted = strictly(data)
    except (ValueError, TypeError):
        with pytest.raises(NotStrict):
            parse(data)
    else:
        assert parse(data) == wanted


@pytest.mark.parametrize("kind", [Opaque, Identifier, Sealed, Encoded])
def test_typed_strings_are_written_as_strings(kind: type[str]) -> None:
    """An exemption from the scan changes nothing of what is written."""
    assert serialise({"a": kind("é\n"), "b": Approved({"c": kind("x")})}) == '{"a":"é\\n","b":{"c":"x"}}'.encode()


def test_what_json_cannot_say_is_not_written() -> None:
    """A lone surrogate, or a key that is no string, is an error without its value."""
    for tree in ({"a": "\ud800"}, {1: "a"}, {"a": {1, 2}}):
        with pytest.raises(NotStrict) as caught:
            serialise(tree)  # type: ignore[arg-type]  # on purpose
        assert "d800" not in str(caught.value)
