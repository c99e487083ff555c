"""When customers are told of what is new, and from when it may take traffic: dates that are facts, with evidence.

A new processor, country or purpose waits for its notice. A further model under an agreement in force needs none.
Whoever was announced before the gateway came carries that announcement with the digest of what was sent, so a date
in the past is a claim about a document and not a wish.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import Field

from gateway.policy.forms import CountryName, Days, Evidenced, Form, Id, Path, Prose, Report, Sha256, Window

USUAL_DAYS: Final = 30
"""Days of notice unless `notice_days` of gateway.yaml says more or fewer. The law names none (GDPR Art. 28(2))."""


class Announced(Form):
    """What was announced, when, and from when it counts. The digest is of the notice as it was sent."""

    announced: Evidenced
    effective: Evidenced
    document_sha256: Sha256

    def effective_for(self, days: int) -> datetime | None:
        """From when it counts for a tenant that was promised `days` of notice; None while a date is missing."""
        if self.announced is None or self.effective is None:
            return None
        return max(self.effective, self.announced + timedelta(days=days))


class Notice(Announced):
    """The announcement of an entry. `days` is its own notice, and may only be longer than usual."""

    days: Days


class Addition(Announced):
    """Countries in which the processor works from `effective` on, beside those that it had before."""

    countries: Annotated[tuple[CountryName, ...], Field(min_length=1)]
    reason: Prose


class Exemption(Window):
    """An emergency: one tenant served before the notice has run, because its own contract says so.

    Bounded in time, approved by two people, and shown on the public page.
    """

    tenant: Id
    reason: Prose
    contract: Prose
    document_sha256: Sha256
    approvers: tuple[Prose, ...]

    def admits(self, tenant: str, now: datetime) -> bool:
        """Whether this tenant is exempted at `now`."""
        return self.tenant == tenant and self.holds(now)


def check_notice(notice: Announced, at: Path, days: int, report: Report) -> None:
    """Report a notice that is shorter than `days`."""
    if notice.announced is None or notice.effective is None:
        return
    if notice.effective < notice.announced + timedelta(days=days):
        report((*at, "effective"), f"it is sooner than the announcement and its {days} days of notice allow")
