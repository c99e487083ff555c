"""Endpoints against residency: how many attempts of tenants of each residency went to each processor's countries."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.policy.countries import ANYWHERE, shown
from gateway.web.asking import Ask, Shown, words_of


@dataclass(frozen=True, slots=True)
class _Row:
    """Attempts that went to a processor in these countries: by residency (and whether it admits them), and unknown."""

    processor: str
    countries: str
    cells: list[tuple[int, bool]]
    gone: int


def answer(ask: Ask) -> Shown:
    """The page. Residency is the configuration's of now; the record has the countries that each attempt went to."""
    filters = ask.filters
    tenants = {
        name: tenant.residency for name, tenant in ask.house.bundle.tenants.items() if ask.viewer.scope.admits(name)
    }
    groups: dict[frozenset[str], list[str]] = {}
    for name, residency in tenants.items():
        groups.setdefault(frozenset(residency), []).append(name)
    columns = sorted(groups, key=lambda each: (len(each), sorted(each)))
    cells: dict[tuple[str, str], dict[frozenset[str], int]] = {}
    gone: dict[tuple[str, str], int] = {}
    allowed = replace(filters, values=(("decision", "allow"),))
    counts = ask.view.counts(allowed)
    for (tenant, processor, countries), sums in counts.grouped("tenant", "processor", "countries"):
        row = processor, countries
        cells.setdefault(row, {})
        whose = tenants.get(tenant)
        if whose is None:
            gone[row] = gone.get(row, 0) + sums.rows
        else:
            key = frozenset(whose)
            cells[row][key] = cells[row].get(key, 0) + sums.rows
    table = [
        _Row(*row, [(counted.get(each, 0), _inside(row[1], each)) for each in columns], gone.get(row, 0))
        for row, counted in sorted(cells.items())
    ]
    wrong = sum(count for each in table for count, inside in each.cells if not inside)
    facts: dict[str, object] = {
        "columns": [(shown(each), len(groups[each]), groups[each][:8]) for each in columns],
        "table": table,
        "wrong": wrong,
        "filters": filters,
        "given": ask.settled,
    }
    return Shown(
        "endpoints.html", "Endpoints and residency", words_of("attempts by processor and residency", allowed),
        counts.total.rows, facts, ask.settled,
    )  # fmt: skip


def _inside(countries: str, residency: frozenset[str]) -> bool:
    return ANYWHERE in residency or set(countries.split()) <= residency
