"""What stands behind the log besides its own key, in words for `gateway check`: copies, witnesses, whose clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gateway.config.bundle import Bundle
from gateway.keys import KeyFault, certificate_spans


def vouchers(bundle: Bundle, now: datetime) -> Iterator[str]:
    """A line for each; a warning where `serve` would start and one of them would not work."""
    log = bundle.settings.log
    yield f"  called {bundle.origin}"
    yield "  its last checkpoint is kept " + (
        "in the state alone: name `log.guard` on another volume, or a restored backup goes unnoticed"
        if log.guard is None
        else f"a second time in {bundle.guard()}"
    )
    yield "  it is published " + ("nowhere (`log.tiles`)" if log.tiles is None else f"in {bundle.path(log.tiles)}")
    for item in bundle.settings.collectors:
        yield f"  it is sent to {item.url} while `gateway audit export --into {item.name} --follow` runs"
    yield f"  {len(log.witnesses)} witnesses, of which an auditor asks for {log.quorum}"
    if log.time_stamps is None:
        yield "  no authority says at what time it was there (`log.time_stamps`)"
        return
    stamps = log.time_stamps
    yield f"  time stamps of {stamps.url} every {stamps.every_hours} h, believed by {stamps.roots}:"
    try:
        spans = roots(bundle)
    except KeyFault as fault:
        yield f"  WARNING: log.time_stamps.roots: {fault}; no time-stamp token is fetched"
        return
    for name, since, until in spans:
        if since <= now < until:
            yield f"    {name}, until {until:%Y-%m-%d}"
        else:
            yield f"    WARNING: {name}: good from {since:%Y-%m-%d} to {until:%Y-%m-%d}, and not now"
    if not any(since <= now < until for _name, since, until in spans):
        yield "  WARNING: log.time_stamps.roots: no certificate is good now, so no token will be believed"


def roots(bundle: Bundle) -> list[tuple[str, datetime, datetime]]:
    """(subject, from when, until when) of each root that time stamps are believed by; none where there are no stamps.

    Raises:
        KeyFault: the file cannot be read, or holds no certificates.
    """
    stamps = bundle.settings.log.time_stamps
    if stamps is None:
        return []
    path = bundle.path(stamps.roots)
    try:
        return certificate_spans(path.read_bytes())
    except OSError as error:
        raise KeyFault(f"{path}: errno {error.errno}") from None
