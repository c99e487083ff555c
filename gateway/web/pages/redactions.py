"""Redactions over time. Records have numbers only: a category beside a person's hash would be what was taken out."""

from __future__ import annotations

from gateway.audit.pages import Counts
from gateway.web.asking import Ask, Shown, words_of
from gateway.web.charts import timeline
from gateway.web.parameters import address

_BY = (("tenant", "Tenant"), ("purpose", "Purpose"), ("model", "Model"), ("caller", "Caller"))


def answer(ask: Ask) -> Shown:
    """The page."""
    filters = ask.filters
    counts = ask.view.counts(filters)
    tables = [(name, label, _most(counts, name)) for name, label in _BY]
    totals = [act for act in ask.view.acts(("totals",), most=62)]
    changes = [act for act in ask.view.acts(("configuration", "boot"), most=50) if act.body.get("configuration")]
    facts: dict[str, object] = {
        "total": counts.total,
        "chart": timeline(counts.bars, "Redactions over the period", redactions=True),
        "bars": counts.bars,
        "tables": tables,
        "totals": totals,
        "changes": changes,
        "given": ask.settled,
        "filters": filters,
        "address": address,
        "chosen": filters.values,
        "path": "/redactions",
    }
    return Shown(
        "redactions.html", "Redactions", words_of("redactions", filters), counts.total.rows, facts, ask.settled
    )


def _most(counts: Counts, name: str) -> list[tuple[str, int, int]]:
    """(word, redactions, calls) of a dimension, the most redactions first."""
    rows = [(names[0], sums.redactions, sums.calls) for names, sums in counts.grouped(name) if names[0] and sums.calls]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:25]
