"""Retention and erasure: how far back the record goes, what was pruned and erased, and what is due."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.audit.pages import Filters
from gateway.audit.periods import DAY, month_of, month_start
from gateway.web.asking import Ask, Shown

ACTS = ("prune", "erase", "erased", "tenant")
MONTHS = 13


def answer(ask: Ask) -> Shown:
    """The page."""
    now = ask.house.clock()
    acts = ask.view.acts(ACTS)
    counts = ask.view.counts(Filters())
    oldest = counts.bars[0].start if counts.bars else None
    edge = month_start(month_of(now // DAY) - MONTHS) * DAY
    facts: dict[str, object] = {
        "acts": acts,
        "oldest": oldest,
        "edge": edge,
        "overdue": oldest is not None and oldest < edge,
        "month": f"{datetime.fromtimestamp(edge // 1_000_000, UTC):%B %Y}",
        "kept": counts.total.rows,
        "bars": counts.bars,
        "due": [act for act in acts if act.act == "erase" and not _done(act.body.get("document"), acts)],
    }
    return Shown("retention.html", "Retention and erasure", "every deletion that is recorded", len(acts), facts)


def _done(document: object, acts: object) -> bool:
    return any(act.act == "erased" and act.body.get("document") == document for act in acts)  # type: ignore[attr-defined]
