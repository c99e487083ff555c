"""What happened to the list, and what will: derived from the dates of the registry, never written by hand."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.config import Bundle
from gateway.policy.entries import Entry
from gateway.policy.notices import Announced


class Happening(enum.StrEnum):
    """The kinds of change."""

    ANNOUNCED = "announced"
    EFFECTIVE = "effective"
    COUNTRIES_ANNOUNCED = "countries_announced"
    COUNTRIES_EFFECTIVE = "countries_effective"
    EXEMPTION = "exemption"
    SUSPENDED = "suspended"
    RETIRED = "retired"
    PURPOSE_ANNOUNCED = "purpose_announced"
    PURPOSE_EFFECTIVE = "purpose_effective"


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One change at an instant: `subject` is an entry's or a purpose's id, `countries` as they are written."""

    at: datetime
    happening: Happening
    subject: str
    countries: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Stable: the same change has the same id on every day and in both languages."""
        return f"{self.at:%Y-%m-%d}/{self.happening}/{self.subject}"


def listed(bundle: Bundle, now: datetime) -> list[Entry]:
    """The entries that the public list names at `now`: announced, and neither examples nor this computer."""
    return [
        entry
        for entry in bundle.registry.entries.values()
        if not entry.is_example
        and not entry.form.unsafe_plaintext  # only this computer may have that
        and entry.form.notice.announced is not None
        and entry.form.notice.announced <= now
    ]


def events(bundle: Bundle, now: datetime) -> list[Event]:
    """The change log at `now`, newest first. What is still to come is in it once it was announced."""
    found = [event for entry in listed(bundle, now) for event in _of_entry(entry, now)]
    for purpose in bundle.purposes.values():
        kinds = (Happening.PURPOSE_ANNOUNCED, Happening.PURPOSE_EFFECTIVE)
        found += _of_notice(purpose.form.notice, kinds, purpose.id, now)
    return sorted(found, reverse=True)


def _of_entry(entry: Entry, now: datetime) -> Iterator[Event]:
    form = entry.form
    yield from _of_notice(form.notice, (Happening.ANNOUNCED, Happening.EFFECTIVE), entry.id, now)
    kinds = (Happening.COUNTRIES_ANNOUNCED, Happening.COUNTRIES_EFFECTIVE)
    for added in form.countries.added:
        yield from _of_notice(added, kinds, entry.id, now, added.countries)
    for exemption in form.exemptions:
        if exemption.valid_from is not None and exemption.valid_from <= now:
            yield Event(exemption.valid_from, Happening.EXEMPTION, entry.id)
    if form.suspended is not None and form.suspended <= now and form.suspended.year > 1:  # `true` has no instant
        yield Event(form.suspended, Happening.SUSPENDED, entry.id)
    if form.retired is not None and form.retired <= now:
        yield Event(form.retired, Happening.RETIRED, entry.id)


def _of_notice(
    notice: Announced,
    kinds: tuple[Happening, Happening],
    subject: str,
    now: datetime,
    countries: tuple[str, ...] = (),
) -> Iterator[Event]:
    if notice.announced is None or notice.effective is None or notice.announced > now:
        return
    yield Event(notice.announced, kinds[0], subject, countries)
    yield Event(notice.effective, kinds[1], subject, countries)
