"""A draft of an entry: read without a fault, without traffic, and plain about what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.drafting import NotDrafted, draft, evidence
from gateway.policy.entries import State
from gateway.policy.forms import gathered
from tests.gateway.config.small import NOW, read, write

_KEYS = {
    "legal_entity", "account_scope", "service", "data_categories", "data_subjects", "agreements", "transfers",
    "carve_outs", "notice", "upstream_subprocessors", "review_by", "sources",
}  # fmt: skip


def test_a_draft_is_read_and_takes_no_traffic(tmp_path: Path) -> None:
    """Beside it everything is as before, and it stays a draft however late it is."""
    directory = write(tmp_path)
    draft(directory, "toy-ca", "toy", ["ask"], 30)

    registry = read(directory).registry

    assert registry.entries["toy-ca"].state(NOW.replace(year=2099)) is State.DRAFT
    assert registry.entries["toy-eu"].state(NOW) is State.ACTIVE
    assert [url for url, _plain in registry.endpoints] == ["https://eu.toy.example"]


def test_every_missing_piece_of_evidence_is_explained(tmp_path: Path) -> None:
    """Each gap of the draft stands in one line that says what the evidence is."""
    directory = write(tmp_path)
    draft(directory, "toy-ca", "toy", ["ask"], 30)
    entry = read(directory).registry.entries["toy-ca"]

    lines = list(evidence(entry))

    said = "\n".join(lines)
    assert "legal_entity (name, address, country, contact)" in said
    assert "transfers[0] to [3] (reference, document_sha256, valid_from, valid_until)" in said
    assert {str(path[0]) for path in entry.missing} == {
        name for name in _KEYS if f": {name}" in said or f", {name}" in said
    }
    for start in ("from the signed contract", "the signed agreement", "the basis of the transfer", "the notice that"):
        assert sum(line.startswith(start) for line in lines) == 1


def test_a_draft_never_replaces_an_entry(tmp_path: Path) -> None:
    """A name that is taken is refused, and the entry is as it was."""
    directory = write(tmp_path)
    before = (directory / "processors/toy-eu.yaml").read_bytes()

    with pytest.raises(NotDrafted):
        draft(directory, "toy-eu", "toy", ["ask"], 30)

    assert (directory / "processors/toy-eu.yaml").read_bytes() == before


def test_a_draft_without_its_mark_is_still_none(tmp_path: Path) -> None:
    """Whoever only removes `example: true` opens nothing: the evidence is missing."""
    directory = write(tmp_path)
    path = draft(directory, "toy-ca", "toy", ["ask"], 30)
    path.write_text(path.read_text("utf-8").replace("example: true\n", ""), "utf-8")

    assert read(directory).registry.entries["toy-ca"].is_example


def test_many_places_are_told_in_few_words() -> None:
    """Keys of one mapping together, and mappings of a list that lack the same; nothing is left out."""
    assert gathered([]) == ""
    assert gathered([("review_by",), ("a", 0)]) == "review_by, a[0]"
    assert (
        gathered([("t", 0, "x"), ("t", 0, "y"), ("t", 1, "x"), ("t", 1, "y"), ("t", 2, "x")])
        == "t[0] to [1] (x, y), t[2] (x)"
    )


def test_a_draft_says_what_its_models_need(tmp_path: Path) -> None:
    """The traits that the surface asks of a model, with the values that it knows; they are a comment, and no guess."""
    directory = write(tmp_path)
    path = draft(directory, "toy-ca", "toy", ["ask"], 30, {"cache": {"memory", "none"}})

    assert "# class zero needs traits: {cache: memory or none}\n" in path.read_text("utf-8")
    assert read(directory).registry.entries["toy-ca"].form.models[0].traits == {}
