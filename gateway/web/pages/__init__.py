"""The pages: the table of all of them, by the path that begins with their name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.web.asking import Answer, Ask
from gateway.web.pages import (
    access,
    agreements,
    attestations,
    calls,
    configuration,
    denials,
    endpoints,
    integrity,
    overview,
    redactions,
    reports,
    retention,
)
from gateway.web.parameters import FILTERS, PERIOD


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        name: as `viewer.MAY` has it.
        title: in the navigation.
        answer: makes it.
        takes: its parameters.
        parts: how many further parts its path may have, at most.
    """

    name: str
    title: str
    answer: Callable[[Ask], Answer]
    takes: tuple[str, ...] = ()
    parts: int = 0


_LIST = (*PERIOD, *FILTERS, "after", "before", "call")

PAGES: Mapping[str, Page] = {
    page.name: page
    for page in (
        Page("overview", "Overview", overview.answer, PERIOD),
        Page("calls", "Calls", calls.answer, (*_LIST, "format"), parts=2),
        Page("denials", "Denials", denials.answer, _LIST),
        Page("agreements", "Agreements", agreements.answer),
        Page("endpoints", "Endpoints", endpoints.answer, PERIOD),
        Page("redactions", "Redactions", redactions.answer, (*PERIOD, *FILTERS)),
        Page("attestations", "Attestations", attestations.answer),
        Page("configuration", "Configuration", configuration.answer, ("old", "source"), parts=1),
        Page("integrity", "Integrity", integrity.answer, ("at",), parts=1),
        Page("retention", "Retention", retention.answer),
        Page("access", "Access", access.answer, ("page",)),
        Page("reports", "Reports", reports.answer, (), parts=1),
    )
}
"""In the order of the navigation. The overview is at `/`, too."""
