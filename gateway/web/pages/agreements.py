"""Agreements: a bar each over time with the calls beneath, gaps, expiry and carve-outs."""

from __future__ import annotations

from gateway.audit.pages import Filters
from gateway.audit.periods import DAY
from gateway.web.agreements import Agreement, agreements
from gateway.web.asking import Ask, Shown
from gateway.web.charts import Span, spans, timeline


def answer(ask: Ask) -> Shown:
    """The page."""
    now = ask.house.clock()
    known = agreements(ask.house.state)
    used = {
        names: sums.rows for names, sums in ask.view.counts(Filters()).grouped("processor", "agreement") if names[1]
    }
    rows = [_row(ask, each, now, used.get((each.processor, each.id), 0)) for each in known]
    dated = [each for each in known if each.since is not None and each.until is not None]
    begin = min([each.since for each in dated if each.since is not None], default=now - 365 * DAY)
    since, until = max(begin, now - 2 * 365 * DAY), now + 365 * DAY
    bars = [
        Span(f"{each.processor}: {each.id}", each.since, each.until, _kind(each, now))
        for each in dated
        if each.since is not None and each.until is not None and each.until > since
    ]
    facts: dict[str, object] = {
        "rows": rows,
        "chart": spans(bars, since, until, now, "Agreements over time"),
        "unknown": [
            (names, count) for names, count in used.items() if names not in {(a.processor, a.id) for a in known}
        ],
        "gaps": _gaps(known, now),
    }
    return Shown(
        "agreements.html", "Agreements", "every agreement of every configuration that this log names", len(rows), facts
    )


def _row(ask: Ask, each: Agreement, now: int, count: int) -> dict[str, object]:
    chart: object = ""
    bars = []
    if count:
        bars = ask.view.counts(Filters(values=(("processor", each.processor), ("agreement", each.id)))).bars
        chart = timeline(bars, f"Attempts under {each.id}")
    days = None if each.until is None else (each.until - now) // DAY
    return {"agreement": each, "count": count, "days": days, "kind": _kind(each, now), "chart": chart, "bars": bars}


def _kind(each: Agreement, now: int) -> str:
    if each.since is None or each.until is None:
        return "unfilled"
    if now >= each.until:
        return "expired"
    if now < each.since:
        return "future"
    days = (each.until - now) // DAY
    return "critical" if days <= 7 else "urgent" if days <= 30 else "soon" if days <= 90 else "inforce"


def _gaps(known: list[Agreement], now: int) -> list[tuple[str, int, int | None]]:
    """Stretches between the first agreement of a processor and now or later, in which none was in force."""
    found: list[tuple[str, int, int | None]] = []
    by: dict[str, list[Agreement]] = {}
    for each in known:
        if each.covers and each.since is not None and each.until is not None:
            by.setdefault(each.processor, []).append(each)
    for processor, held in by.items():
        reach: int | None = None
        for each in sorted(held, key=lambda item: item.since or 0):
            if reach is not None and each.since is not None and each.since > reach:
                found.append((processor, reach, each.since))
            reach = max(reach or 0, each.until or 0)
        if reach is not None and reach < now:
            found.append((processor, reach, None))
    return found
