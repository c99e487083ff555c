"""Whom to tell what by when: each change that still needs a notice, and the tenants that it concerns.

A tenant is concerned by an entry if, its notice once run, it might be served by it; by a purpose always. What was sent
is kept in the state, a line for each notice, and recorded by the running gateway (`Act.NOTICE`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

import orjson

from gateway.config import Bundle
from gateway.policy.countries import expand
from gateway.policy.entries import Entry
from gateway.policy.forms import TO_BE_FILLED, Digest, Form, Id, Instant, Prose, read
from gateway.policy.notices import Announced
from gateway.policy.tenants import Tenant

FILE = "notices.jsonl"


class SentUnreadable(Exception):
    """The file of notices that were sent is not what this program writes. The text is ours."""


@dataclass(frozen=True, slots=True)
class Due:
    """One notice.

    Attributes:
        id: `processor/ID`, `countries/ID/DAY` or `purpose/ID`; what `--sent` takes.
        what: the change, in words.
        by: the day that the entry names as that of the announcement: no later may it go out.
        effective: tenant id -> from when the change counts for it.
        document: the digest of the notice as the configuration names it, or None while it is to be filled.
        sent: when it was recorded as sent, or None.
    """

    id: str
    what: str
    by: datetime
    effective: dict[str, datetime]
    document: str | None
    sent: datetime | None

    def is_late(self, now: datetime) -> bool:
        """Whether it should have gone out by now. One that is announced on a day, not at an instant, has that day."""
        day = self.by.time() == time.min
        return self.sent is None and self.by + (timedelta(days=1) if day else timedelta()) <= now


class _SentForm(Form):
    notice: Prose
    processor: Id | None
    document: Digest
    told: int
    at: Instant


@dataclass(frozen=True, slots=True)
class Sent:
    """A notice that went out: which, about which entry (None: a purpose), its digest, to how many tenants, when."""

    notice: str
    processor: str | None
    document: str
    told: int
    at: datetime


def due(bundle: Bundle, now: datetime) -> list[Due]:
    """Every notice whose change has not come into effect for everybody at `now`, the most urgent first."""
    sent = {item.notice: item.at for item in read_sent(bundle.state)}
    tenants = [tenant for tenant in bundle.tenants.values() if tenant.status == "active"]
    found: list[Due] = []
    for entry in bundle.registry.entries.values():
        if not entry.is_example and not entry.form.unsafe_plaintext:
            found += _of_entry(entry, tenants, sent)
    for purpose in bundle.purposes.values():
        found += _notice(f"purpose/{purpose.id}", f"purpose {purpose.id}", purpose.form.notice, tenants, sent)
    return sorted(
        (item for item in found if any(at > now for at in item.effective.values())),
        key=lambda item: (item.sent is not None, item.by, item.id),
    )


def record_sent(state: Path, item: Sent) -> None:
    """Add a line that says that a notice went out; durable when it returns.

    Raises:
        SentUnreadable: the file cannot be written.
    """
    line = orjson.dumps(
        {
            "notice": item.notice,
            "processor": item.processor,
            "document": item.document,
            "told": item.told,
            "at": f"{item.at:%Y-%m-%dT%H:%M:%SZ}",
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
    try:
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(state / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        raise SentUnreadable(f"{state / FILE}: cannot be written") from None


def read_sent(state: Path) -> list[Sent]:
    """The notices that went out, oldest first.

    Raises:
        SentUnreadable: the file is there and is not what this program writes.
    """
    try:
        lines = (state / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError:
        raise SentUnreadable(f"{state / FILE}: cannot be read") from None
    return [_parsed(line, number, state) for number, line in enumerate(lines, 1)]


def _parsed(line: bytes, number: int, state: Path) -> Sent:
    faults: list[str] = []
    try:
        form = read(_SentForm, orjson.loads(line), lambda _path, reason: faults.append(reason))
    except orjson.JSONDecodeError:
        form = None
    if form is None:
        raise SentUnreadable(f"{state / FILE}:{number}: this line is not of this program")
    return Sent(form.notice, form.processor, form.document, form.told, form.at)


def _of_entry(entry: Entry, tenants: list[Tenant], sent: dict[str, datetime]) -> Iterator[Due]:
    form = entry.form
    yield from _notice(
        f"processor/{entry.id}",
        f"new sub-processor {form.legal_entity.name}",
        form.notice,
        [tenant for tenant in tenants if _is_open(entry, tenant, frozenset())],
        sent,
    )
    for added in form.countries.added:
        if added.effective is not None:
            yield from _notice(
                f"countries/{entry.id}/{added.effective:%Y-%m-%d}",
                f"{form.legal_entity.name} works in {' '.join(added.countries)}, too",
                added,
                # Who would be left out by the new country must know it most of all.
                [tenant for tenant in tenants if _is_open(entry, tenant, expand(added.countries))],
                sent,
            )


def _notice(
    notice_id: str, what: str, notice: Announced, tenants: list[Tenant], sent: dict[str, datetime]
) -> Iterator[Due]:
    if notice.announced is None:
        return
    effective = {tenant.id: notice.effective_for(tenant.terms.notice_days) for tenant in tenants}
    dated = {tenant: at for tenant, at in effective.items() if at is not None}
    document = None if notice.document_sha256 == TO_BE_FILLED else notice.document_sha256
    if dated:
        yield Due(notice_id, what, notice.announced, dated, document, sent.get(notice_id))


def _is_open(entry: Entry, tenant: Tenant, beside: frozenset[str]) -> bool:
    """Whether this tenant might be served by the entry, `beside` which countries it might not have."""
    terms = tenant.terms
    return (
        (terms.processors is None or entry.id in terms.processors)
        and entry.id not in terms.objections
        and expand(entry.form.countries.processing) - beside <= terms.residency
    )
