"""The overview: the report's sentence for a period, four tiles, and what needs somebody's eye."""

from __future__ import annotations

from dataclasses import replace

from gateway.audit.pages import Counts, Filters
from gateway.audit.periods import DAY
from gateway.audit.store import RSEQ_BITS
from gateway.web.agreements import agreements
from gateway.web.asking import Ask, Shown, words_of
from gateway.web.charts import timeline
from gateway.web.coverage import coverage
from gateway.web.parameters import shown

_PERIODS = (("today", 1), ("7 days", 7), ("30 days", 30), ("90 days", 90), ("13 months", 396))


def answer(ask: Ask) -> Shown:
    """The page."""
    filters = ask.filters
    counts = ask.view.counts(filters)
    known = agreements(ask.house.state)
    covered, bare = coverage(ask.view, filters, ask.house.state, known)
    log, now = ask.house.log_state(), ask.house.clock()
    gaps = [
        act
        for act in ask.view.acts(("gap",))
        if _between(act.body.get("start"), filters) or _between(act.body.get("end"), filters)
    ]
    refused = ask.view.counts(replace(filters, values=(("decision", "refuse"),)))
    ends = dict(counts.facet("end"))
    attempts = counts.total.rows - refused.total.rows
    expiring = [
        (each, (each.until - now) // DAY)
        for each in known
        if each.covers and each.until is not None and now < each.until <= now + 90 * DAY
    ]
    facts: dict[str, object] = {
        "since": filters.since,
        "until": filters.until,
        "calls": counts.total.calls,
        "attempts": attempts,
        "covered": covered,
        "uncovered": bare,
        "refused": refused.total.rows,
        "reasons": refused.facet("end"),
        "redactions": counts.total.redactions,
        "indeterminate": ends.get("indeterminate", 0),
        "open": ends.get("open", 0),
        "gaps": [(act.body.get("start"), act.body.get("end"), act.body.get("refused")) for act in gaps],
        "erased": sum(1 for _each in ask.view.acts(("erased", "prune"))),
        "log": log,
        "age": None if log.time is None else (now - log.time) // 1_000_000,
        "chart": timeline(counts.bars, "Attempts and refusals over the period"),
        "bars": counts.bars,
        "processors": top(counts, "processor"),
        "purposes": top(counts, "purpose"),
        "expiring": expiring,
        "indexed": ask.view.marks.get("last", -1) & (1 << RSEQ_BITS) - 1,
        "behind": ask.view.behind(),
        "periods": [(label, shown(_back(now, days)), shown(_back(now, 0))) for label, days in _PERIODS],
    }
    return Shown(
        "overview.html",
        "Overview",
        words_of("every attempt and refusal", filters),
        counts.total.rows,
        facts,
        ask.settled,
    )


def top(counts: Counts, name: str) -> list[tuple[str, int]]:
    """The most frequent words of a dimension."""
    return counts.facet(name)[:6]


def _back(now: int, days: int) -> int:
    return (now // DAY + 1 - days) * DAY


def _between(value: object, filters: Filters) -> bool:
    return isinstance(value, int) and filters.since <= value < filters.until
