"""Approving a schema: looked at as a whole, kept under its name, refused with a place and no word of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config.approval import NotApproved, approve, approved
from gateway.policy.schemas import canonical_digest
from tests.gateway.config.small import read, write

SCHEMA = {"type": "object", "title": "A note", "properties": {"hasIllness": {"type": "string", "enum": ["x", "y z"]}}}


def finds(word: str) -> object:
    def scan(texts: Sequence[str]) -> list[list[str]]:
        return [["found"] if word and word in text else [] for text in texts]

    return scan


def given(folder: Path, document: object = SCHEMA, name: str = "Call Summary.json") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_an_approved_schema_is_in_force_after_a_reload(tmp_path: Path) -> None:
    """What was taken out of its response format is kept under a plain name, and may then leave."""
    directory = write(tmp_path)
    wrapped = {"type": "json_schema", "json_schema": {"name": "note", "schema": SCHEMA}}

    path, digest = approve(directory, given(tmp_path, wrapped), finds(""))  # type: ignore[arg-type]

    assert path == directory / "schemas" / "call-summary.json"
    assert digest == canonical_digest(SCHEMA)
    assert json.loads(path.read_text(encoding="utf-8")) == SCHEMA
    assert read(directory).schemas.approved(SCHEMA) == SCHEMA
    assert (path.name, digest) in list(approved(directory))
    assert {item.name for item in (directory / "schemas").iterdir()} == {"call-summary.json", "summary.json"}


@pytest.mark.parametrize(
    ("word", "place"),
    [
        pytest.param("A note", "?1", id="a title"),
        pytest.param("has Illness", "?2.?0", id="a key in camel case"),
        pytest.param("y z", "?2.?0.?1[1]", id="a value of an enumeration"),
    ],
)
def test_a_finding_anywhere_refuses(tmp_path: Path, word: str, place: str) -> None:
    """Keys count, identifiers are read as words, and the refusal gives places only."""
    directory = write(tmp_path)

    with pytest.raises(NotApproved) as caught:
        approve(directory, given(tmp_path), finds(word))  # type: ignore[arg-type]

    assert f"at {place}" in str(caught.value)
    assert word not in str(caught.value)
    assert len(list(approved(directory))) == 1


@pytest.mark.parametrize(
    ("document", "name", "says"),
    [
        pytest.param({"a": 1}, None, "no JSON Schema", id="no schema"),
        pytest.param("{", None, "not valid JSON", id="no JSON"),
        pytest.param(SCHEMA, "../gateway", "a name is", id="a name that leads elsewhere"),
        pytest.param(SCHEMA, "summary", "another schema", id="a name that is taken"),
    ],
)
def test_what_cannot_be_approved(tmp_path: Path, document: object, name: str | None, says: str) -> None:
    """Nothing is written for what is no schema, or under a name that would replace another."""
    directory = write(tmp_path)
    before = sorted(path.name for path in directory.rglob("*"))

    with pytest.raises(NotApproved, match=says):
        approve(directory, given(tmp_path, document), finds(""), name)  # type: ignore[arg-type]

    assert sorted(path.name for path in directory.rglob("*")) == before


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is said by its name."""
    with pytest.raises(NotApproved, match="cannot be read"):
        approve(write(tmp_path), tmp_path / "none.json", finds(""))  # type: ignore[arg-type]
