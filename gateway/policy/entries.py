"""One entry of the sub-processor registry in time: what follows from its facts at an instant.

State is never typed: it follows from dates and evidence. Windows are half open, [from, until), in UTC.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from gateway.policy.countries import ANYWHERE, expand
from gateway.policy.facts import NEEDED, Agreement, EntryForm, Model
from gateway.policy.forms import Path, Window
from gateway.policy.transfers import AREAS, Law

__all__ = ["Agreement", "Entry", "EntryForm", "Model", "State"]


class State(enum.StrEnum):
    """Where an entry stands at an instant."""

    DRAFT = "draft"
    ANNOUNCED = "announced"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    RETIRED = "retired"


@dataclass(frozen=True)
class Entry:
    """An entry that was read without a fault.

    Attributes:
        form: what the file says.
        missing: the paths of evidence that is still to be filled.
    """

    form: EntryForm
    missing: tuple[Path, ...]

    @property
    def id(self) -> str:
        """The id that records bear."""
        return self.form.id

    @property
    def is_example(self) -> bool:
        """Whether it is for reading only: marked so, or with evidence still to be filled."""
        return self.form.example or bool(self.missing)

    @cached_property
    def countries(self) -> frozenset[str]:
        """Every country it ever names: what a record must be able to say. `{ANYWHERE}` where it may be anywhere."""
        added = [name for item in self.form.countries.added for name in item.countries]
        return _whole((*self._own, *added))

    def countries_at(self, now: datetime) -> frozenset[str]:
        """The whole set that a tenant's residency must contain at `now`: processing, storage, and what was added."""
        added = [
            name
            for item in self.form.countries.added
            if item.effective is not None and item.effective <= now
            for name in item.countries
        ]
        return _whole((*self._own, *added)) if added else self._whole_own

    def dates(self, days: int = 0) -> set[datetime]:
        """Every instant at which anything about it may change for a tenant that was promised `days` of notice."""
        form = self.form
        windows = [date for item in windows_of(form) for date in (item.valid_from, item.valid_until)]
        announcements = [
            date
            for item in (form.notice, *form.countries.added)
            for date in (item.announced, item.effective, item.effective_for(days))
        ]
        single = (form.retired, form.suspended, form.review_by)
        return {date for date in (*single, *windows, *announcements) if date is not None}

    def standing(self, now: datetime, days: int = 0, tenant: str | None = None) -> State:
        """Its state at `now`, agreements left aside.

        Args:
            now: aware.
            days: the notice that a tenant was promised, where it is longer than usual.
            tenant: for whom an exemption may hold.
        """
        form = self.form
        if form.retired is not None and form.retired <= now:
            return State.RETIRED
        if self.is_example or form.notice.announced is None or form.notice.effective is None or form.review_by is None:
            return State.DRAFT
        if form.suspended is not None and form.suspended <= now:
            return State.SUSPENDED
        if now < form.notice.announced:
            return State.DRAFT
        if form.review_by <= now:
            return State.EXPIRED
        return State.ACTIVE if self._noticed(now, days, tenant) else State.ANNOUNCED

    def agreement(self, now: datetime) -> Agreement | None:
        """The zero-retention agreement in force, or None unless every needed kind is in force at `now`."""
        in_force = {kind: item for item in self.form.agreements if item.holds(now) for kind in item.kinds}
        return in_force.get("zero_retention") if all(kind in in_force for kind in NEEDED) else None

    def state(self, now: datetime) -> State:
        """Its state at `now`: what people are shown."""
        standing = self.standing(now)
        if standing is not State.ACTIVE or self.agreement(now) is not None:
            return standing
        ended = [item for item in self.form.agreements if item.valid_until is not None and item.valid_until <= now]
        return State.EXPIRED if ended else State.ANNOUNCED

    def exempts(self, tenant: str | None, now: datetime) -> bool:
        """Whether an emergency exemption lets this tenant in before the notice has run."""
        return tenant is not None and any(item.admits(tenant, now) for item in self.form.exemptions)

    def uncovered(self, laws: Iterable[Law], now: datetime) -> list[Law]:
        """Of these laws, those under which data may not go to this entry's countries at `now`, in order."""
        countries = self.countries_at(now)
        return sorted(
            law
            for law in laws
            if not (countries <= AREAS[law])
            and not any(item.law == law and item.holds(now) for item in self.form.transfers)
        )

    def ends(self, now: datetime) -> datetime | None:
        """The instant at which it stops taking traffic unless somebody acts; None if it takes none at `now`.

        The earliest of: review, suspension or retirement to come, and the end of the last agreement of a needed kind
        that follows without a gap.
        """
        if self.state(now) is not State.ACTIVE:
            return None
        form = self.form
        single = [date for date in (form.review_by, form.suspended, form.retired) if date is not None and date > now]
        return min([*single, *(self._until(kind, now) for kind in NEEDED)])

    def _until(self, kind: str, now: datetime) -> datetime:
        until = now
        while True:
            later = [
                item.valid_until
                for item in self.form.agreements
                if kind in item.kinds and item.holds(until) and item.valid_until is not None
            ]
            if not later:
                return until
            until = max(later)

    def _noticed(self, now: datetime, days: int, tenant: str | None) -> bool:
        """Whether this tenant has had its notice of the entry, and of every country in which it already works."""
        effective = self.form.notice.effective_for(days)
        if effective is None or (now < effective and not self.exempts(tenant, now)):
            return False
        return not any(
            item.effective is not None and until is not None and item.effective <= now < until
            for item in self.form.countries.added
            for until in (item.effective_for(days),)
        )

    @cached_property
    def _own(self) -> tuple[str, ...]:
        return (*self.form.countries.processing, *self.form.countries.storage)

    @cached_property
    def _whole_own(self) -> frozenset[str]:
        return _whole(self._own)


def windows_of(form: EntryForm) -> Iterator[Window]:
    """Everything about an entry that holds from one instant until another."""
    yield from form.agreements
    yield from form.transfers
    yield from form.exemptions


def _whole(names: Iterable[str]) -> frozenset[str]:
    everything = expand(names)
    return frozenset({ANYWHERE}) if ANYWHERE in everything else everything
