"""The project's own corpora: what is measured is what their authors bracketed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.corpora.convert import passages

CORPORA = Path(__file__).resolve().parent / "corpora"
SOURCES = sorted(CORPORA.glob("*.src"))


@pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])
def test_lines_are_the_source_converted(source: Path) -> None:
    """Each corpus's JSON lines say exactly what its bracketed source says."""
    lines = source.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()

    records = list(passages(source.read_text(encoding="utf-8")))

    assert records
    assert [json.loads(line) for line in lines] == records


@pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])
def test_every_passage_has_its_own_id_and_text(source: Path) -> None:
    """No id and no text occurs twice in a corpus, so that no passage is measured twice."""
    records = list(passages(source.read_text(encoding="utf-8")))

    assert len({str(record["id"]) for record in records}) == len(records)
    assert len({str(record["text"]).casefold() for record in records}) == len(records)


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param("she is ⟦tall|HEIGHT⟧", id="a category that is none"),
        pytest.param("she is ⟦ill |HEALTH⟧", id="a space at the edge"),
        pytest.param("she is ⟦ill|HEALTH", id="a bracket left open"),
    ],
)
def test_bad_brackets_are_refused(marked: str) -> None:
    """A source with a bracket that cannot be read is refused, naming the passage and not its words."""
    with pytest.raises(ValueError, match=r"x001: a (bad|broken) bracket") as refusal:
        list(passages(f"# x001 en clean\n{marked}\n"))

    assert "she is" not in str(refusal.value)
