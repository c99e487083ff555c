"""Our attempts held against the providers' usage reports: fetches them, compares, keeps the report, notes it in a book.

For a verb that somebody runs daily, so that a key that reads usage is never with what serves. The gateway records each
line of the book; see `gateway.noting`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import orjson

from gateway.audit.evidence import open_evidence
from gateway.audit.reconciliation import Reconciled, counted, keep_report, note_report, reconcile
from gateway.config import Bundle
from gateway.config.settings import Usage
from gateway.keys import Keyring
from gateway.outside import Outside
from gateway.usage import NotFetched, fetch
from providers import USAGE

__all__ = ["NotFetched", "days_of", "reconcile_all"]

SETTLED_SECONDS = 2 * 3600
"""After a day's end its last attempts have ended, and the reports have counted them."""

_DAY = 86_400
_MICRO = 1_000_000


def days_of(start: datetime | None, end: datetime | None, now: float) -> range:
    """The days that are asked for, whole and over.

    Args:
        start: the first, or None for the last day that is over long enough.
        end: the day after the last, or None for all that are.
        now: seconds since 1970.

    Raises:
        ValueError: there is none, or one that is not over yet.
    """
    last = int(now - SETTLED_SECONDS) // _DAY
    until = last if end is None else int(end.timestamp()) // _DAY
    since = until - 1 if start is None else int(start.timestamp()) // _DAY
    if until > last:
        raise ValueError("a day can be reconciled two hours after its end")
    if since >= until:
        raise ValueError("there is no whole day between these two")
    return range(since, until)


async def reconcile_all(
    bundle: Bundle, state: Path, keyring: Keyring, days: range, processor: str | None = None
) -> list[tuple[str, Reconciled]]:
    """Compare each processor of `usage:`, or one; each report is kept and in the book when this returns.

    Raises:
        ValueError: `usage:` does not name it.
        NotFetched: a report cannot be had, by processor.
        StoreFault: the log cannot be read, or a report not kept.
        UpstreamError: a credential cannot be read.
    """
    wanted = [each for each in bundle.settings.usage if processor in (None, each.processor)]
    if not wanted:
        raise ValueError("`usage:` of gateway.yaml names no such processor")
    upstream = bundle.settings.upstream
    roots = None if upstream.authorities is None else bundle.path(upstream.authorities)
    made: list[tuple[str, Reconciled]] = []
    outside = Outside([_base_url(bundle, each) for each in wanted], roots)
    try:
        for item in wanted:
            wire = bundle.registry.entries[item.processor].form.wire
            key = bundle.secret(item.credential.reference)
            try:
                theirs = await fetch(wire, outside, _base_url(bundle, item), key, item.scope, days)
            except NotFetched as fault:
                raise NotFetched(f"{item.processor}: {fault}") from None
            ours = counted(_records(state, keyring, days), item.processor)
            found = reconcile(item.processor, ours, theirs.used, USAGE[wire], item.keys, days, theirs.answers)
            note_report(state, keep_report(state / "log", found.written))
            made.append((item.processor, found))
    finally:
        await outside.close()
    return made


def _base_url(bundle: Bundle, item: Usage) -> str:
    return item.base_url or bundle.registry.entries[item.processor].form.base_url


def _records(state: Path, keyring: Keyring, days: range) -> Iterator[Mapping[str, object]]:
    """The records of those days, and what ended soon after them."""
    since = days.start * _DAY * _MICRO
    with open_evidence(state, keyring, since, days.stop * _DAY * _MICRO + SETTLED_SECONDS * _MICRO) as evidence:
        for row in evidence.rows():
            if row.text is not None:
                yield orjson.loads(row.text)
