"""Recall and false alarms, printed, on the corpora that are at hand; the floors are what ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.redaction.engine import Engine
from tests.evaluate import ROOT, report

BESIDE = ROOT.parent / "shared" / "redaction"


def _corpora() -> list[Path]:
    """The labelled passages that ship, and the business talk beside the repository where it is present."""
    return [ROOT / "tests/data/sales_dev.jsonl", *BESIDE.glob("business_dev.jsonl")]


@pytest.mark.parametrize("path", _corpora(), ids=lambda path: path.stem)
def test_recall_and_false_alarms(engine: Engine, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped rules reach their floors at one and the same setting."""
    with capsys.disabled():
        print()
        total = report(path, engine)

    if total.gold:
        assert total.recall >= 0.75
        assert total.accuracy >= 0.95
        assert total.leak <= 0.30
    else:
        assert total.alarms_per_10k <= 1.5
