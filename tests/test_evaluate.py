"""The scores of the guidelines, on spans counted by hand, and what `make evaluate` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import evaluate
from tests.scores import Span, score

TEXT = "He is HIV, uh, positive and she votes."
ROW = {
    "id": "r1",
    "lang": "en",
    "style": "clean",
    "text": TEXT,
    "spans": [
        {"start": 6, "end": 23, "category": "HEALTH", "optional": False},
        {"start": 32, "end": 37, "category": "POLITICAL_OPINION", "optional": True},
    ],
}
CASES: dict[str, tuple[list[Span], tuple[float, float, float, float]]] = {
    "nothing found": ([], (0, 1, 1, 0)),
    "all of it": ([Span(6, 23, "HEALTH")], (1, 1, 0, 0)),
    "half of it leaks": ([Span(6, 15, "HEALTH")], (1, 1, 1, 0)),
    "less than half is a miss": ([Span(6, 14, "HEALTH")], (0, 1, 1, 0)),
    "the filler may stay": ([Span(6, 9, "HEALTH"), Span(15, 23, "HEALTH")], (1, 1, 0, 0)),
    "another category": ([Span(6, 23, "GENETIC")], (1, 0, 0, 0)),
    "an optional span is no alarm": ([Span(32, 33, "HEALTH")], (0, 1, 1, 0)),
    "an alarm": ([Span(0, 2, "HEALTH"), Span(6, 23, "HEALTH")], (1, 1, 0, 10_000 / 8)),
}


@pytest.mark.parametrize(("found", "expected"), CASES.values(), ids=CASES.keys())
def test_scores(found: list[Span], expected: tuple[float, float, float, float]) -> None:
    """Recall, category accuracy, strict leak and alarms per 10,000 words follow the guidelines."""
    total = score([ROW], [found])

    assert (total.recall, total.accuracy, total.leak, total.alarms_per_10k) == expected


def test_prints_a_table_and_writes_errors_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours and stock Presidio's lines stand in one table; the error list holds the miss and the alarm."""
    missed = {**ROW, "text": "zzz " * 9, "spans": [{"start": 0, "end": 3, "category": "HEALTH", "optional": False}]}
    alarm = {**ROW, "text": "Call 212-555-0142. My brother is diabetic.", "spans": []}
    (tmp_path / "c.jsonl").write_text(json.dumps(missed) + "\n" + json.dumps(alarm) + "\n", encoding="utf-8")
    errors = tmp_path / "errors.jsonl"

    assert evaluate.main([str(tmp_path / "c.jsonl"), "--errors", str(errors)]) == 0

    said = capsys.readouterr().out
    for word in ("c.jsonl: 2 rows", "HEALTH", "lang en", "style clean", "stock Presidio", "MB/s", "p99"):
        assert word in said
    listed = [json.loads(line) for line in errors.read_text(encoding="utf-8").splitlines()]
    assert [(one["kind"], one["corpus"]) for one in listed] == [("miss", "c.jsonl"), ("alarm", "c.jsonl")]


def test_help_warns_against_customers_text(capsys: pytest.CaptureFixture[str]) -> None:
    """An error list quotes text, and says so before it is made."""
    with pytest.raises(SystemExit):
        evaluate.main(["--help"])

    assert "never make such a list from customers' text" in " ".join(capsys.readouterr().out.split())
