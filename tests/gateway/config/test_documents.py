"""YAML as this house reads it: plain values, and the line of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.documents import Document, read_document


def document(folder: Path, text: str) -> Document:
    path = folder / "a.yaml"
    path.write_bytes(text.encode())
    faults: list[object] = []
    read = read_document(path, "a.yaml", lambda *fault: faults.append(fault))
    assert read is not None, faults
    return read


@pytest.mark.parametrize(
    ("written", "value"),
    [
        pytest.param("true", True, id="true"),
        pytest.param("false", False, id="false"),
        pytest.param("null", None, id="null"),
        pytest.param("7", 7, id="a whole number"),
        pytest.param("-7", -7, id="a negative number"),
        pytest.param("0.5", 0.5, id="a decimal"),
        pytest.param("word", "word", id="a word"),
        pytest.param("'no'", "no", id="a quoted word"),
        pytest.param('"7"', "7", id="a quoted number"),
        pytest.param('"NO"', "NO", id="Norway in quotes"),
        pytest.param("2026-11-25", "2026-11-25", id="a date stays text"),
        pytest.param("2026-11-25T09:30:00Z", "2026-11-25T09:30:00Z", id="an instant stays text"),
        pytest.param("1.2.3", "1.2.3", id="a version"),
        pytest.param("gpt-5.6-sol", "gpt-5.6-sol", id="a model"),
        pytest.param("https://x.example:8443/v1", "https://x.example:8443/v1", id="a URL"),
        pytest.param(
            "caf\u00e9 \u2014 \u00ab soci\u00e9t\u00e9 \u00bb",
            "caf\u00e9 \u2014 \u00ab soci\u00e9t\u00e9 \u00bb",
            id="French",
        ),
        pytest.param("|\n  one\n  two", "one\ntwo\n", id="a block of text"),
        pytest.param("[a, {b: [1, true]}]", ["a", {"b": [1, True]}], id="a flow list"),
        pytest.param("{}", {}, id="an empty mapping"),
    ],
)
def test_values_are_read_as_written(tmp_path: Path, written: str, value: object) -> None:
    """A value is what every reader of YAML takes it for."""
    assert document(tmp_path, f"key: {written}\n").tree == {"key": value}


def test_each_path_has_its_line(tmp_path: Path) -> None:
    """A key, an item, and whatever is not there, which has the line of what it would be in."""
    read = document(tmp_path, "# a comment\none: 1\n\ntwo:\n  three:\n    - a\n    - b: {c: 4,\n        d: 5}\n")

    lines = {
        path: read.line(path)
        for path in (
            ("one",),
            ("two",),
            ("two", "three"),
            ("two", "three", 0),
            ("two", "three", 1),
            ("two", "three", 1, "b"),
            ("two", "three", 1, "b", "c"),
            ("two", "three", 1, "b", "d"),
            ("two", "missing"),
            ("two", "three", 9),
            (),
        )
    }

    assert list(lines.values()) == [2, 4, 5, 6, 7, 7, 7, 8, 4, 5, 2]


def test_lines_may_end_as_windows_writes_them(tmp_path: Path) -> None:
    """CR LF counts as one line's end and is no part of a text."""
    read = document(tmp_path, "one: a\r\ntwo: b\r\n")

    assert read.tree == {"one": "a", "two": "b"}
    assert read.line(("two",)) == 2
