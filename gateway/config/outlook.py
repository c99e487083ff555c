"""What is in force at an instant, and what starts or ends soon, in words: the report of `gateway check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.categories import Scope
from gateway.config.bundle import Bundle
from gateway.errors import UpstreamError
from gateway.policy.entries import Entry, State
from gateway.policy.forms import spelled

_SHOWN = 20
SOON_DAYS = (1, 7, 30)
"""A date within these many days is announced, under the smallest that it is within."""


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """Something that starts or ends at an instant."""

    at: datetime
    what: str


def outlook(bundle: Bundle, now: datetime) -> Iterator[str]:
    """The report, line by line."""
    yield f"configuration {bundle.digest[:16]} in {bundle.directory}, looked at {now:%Y-%m-%d %H:%M} UTC"
    for warning in bundle.settings.warnings():
        yield f"WARNING: {warning}"
    yield ""
    yield "Processors"
    for entry in bundle.registry.entries.values():
        yield from _entry(bundle, entry, now)
    yield ""
    yield from _soon(bundle, now)
    yield ""
    yield from _grants(bundle)
    yield ""
    active = sum(tenant.status == "active" for tenant in bundle.tenants.values())
    yield f"{len(bundle.callers.services)} callers, {active} active tenants of {len(bundle.tenants)}"
    yield from _redaction(bundle)
    yield f"{len(bundle.schemas)} approved schemas"
    if bundle.callers.fault is not None:
        yield f"WARNING: no caller key is good while this stands: {bundle.callers.fault}"
    if not any(entry.state(now) is State.ACTIVE for entry in bundle.registry.entries.values()):
        yield "No processor is active: every call will be refused."


def turns(bundle: Bundle) -> list[Turn]:
    """Every instant at which something starts or ends, in order."""
    found: list[Turn] = []
    for entry in bundle.registry.entries.values():
        if entry.is_example:
            continue
        form = entry.form
        dated = [
            (form.notice.announced, "is announced"),
            (form.notice.effective, "may take traffic"),
            (form.review_by, "takes no more traffic until it is reviewed (review_by)"),
            (form.suspended, "is suspended"),
            (form.retired, "is retired"),
        ]
        for item in form.agreements:
            dated += [
                (item.valid_from, f"agreement {item.id} begins"),
                (item.valid_until, f"agreement {item.id} ends"),
            ]
        found += [Turn(at, f"{entry.id}: {what}") for at, what in dated if at is not None]
    for name, expires in bundle.callers.expiries():
        found.append(Turn(expires, f"caller key {name} ends"))
    return sorted(found)


def _entry(bundle: Bundle, entry: Entry, now: datetime) -> Iterator[str]:
    form, state = entry.form, entry.state(now)
    said = "EXAMPLE, takes no traffic" if entry.is_example else state.value
    yield f"  {entry.id}: {said}"
    yield f"    {form.wire} at {form.base_url}, {form.legal_entity.name} ({form.legal_entity.country})"
    yield f"    countries: {' '.join(form.countries.processing)}; storage: {' '.join(form.countries.storage) or 'none'}"
    if entry.missing:
        yield f"    evidence to be filled: {', '.join(map(spelled, entry.missing))}"
    zero = [model.id for model in form.models if model.retention_class == "zero"]
    yield f"    models: {', '.join(zero) or 'none'}"
    refused = [f"{model.id} ({model.retention_class})" for model in form.models if model.retention_class != "zero"]
    if refused:
        yield f"    refused, for their retention class: {', '.join(refused)}"
    for item in form.agreements:
        window = "dates to be filled"
        if item.valid_from is not None and item.valid_until is not None:
            window = f"{item.valid_from:%Y-%m-%d} to {item.valid_until:%Y-%m-%d}"
        force = "in force" if item.holds(now) else "not in force"
        yield f"    agreement {item.id}: {', '.join(item.kinds)}; {window}, {force}"
    for carve_out in form.carve_outs:
        yield f"    kept all the same: {carve_out}"
    if state is State.ACTIVE and not _readable(bundle, entry):
        yield f"    WARNING: its credential ({form.credential.reference}) cannot be read now, so its calls would fail"


def _readable(bundle: Bundle, entry: Entry) -> bool:
    try:
        bundle.secret(entry.form.credential.reference)
    except UpstreamError:
        return False
    return True


def _soon(bundle: Bundle, now: datetime) -> Iterator[str]:
    yield "Starts or ends soon"
    count = 0
    for turn in turns(bundle):
        within = next((days for days in SOON_DAYS if now < turn.at <= now + timedelta(days=days)), None)
        if within is not None:
            count += 1
            yield f"  within {within} day{'' if within == 1 else 's'}: {turn.at:%Y-%m-%d %H:%M} UTC, {turn.what}"
    if not count:
        yield f"  nothing within {SOON_DAYS[-1]} days"


_SCOPES = {
    Scope.SPAN: "the words that reveal are taken out",
    Scope.SENTENCE: "the whole sentence round a finding is taken out",
    Scope.REFUSE: "a call with a finding is refused (content_not_scannable)",
}


def _redaction(bundle: Bundle) -> Iterator[str]:
    usual = Scope(bundle.settings.redaction.scope)
    yield f"redaction: {_SCOPES[usual]}"
    for scope in Scope:
        stricter = [tenant.id for tenant in bundle.tenants.values() if tenant.redaction is scope is not usual]
        if stricter:
            shown = ", ".join(stricter[:_SHOWN]) + (f" and {len(stricter) - _SHOWN} more" if stricter[_SHOWN:] else "")
            yield f"  for {shown}: {_SCOPES[scope]}"


def _grants(bundle: Bundle) -> Iterator[str]:
    yield "Conditional grants in force"
    meanings = {name: text for surface in bundle.surfaces.values() for name, text in surface.grants.items()}
    for item in bundle.settings.grants:
        meaning = meanings.get(item.grant, "")
        yield f"  {item.grant}: {', '.join(item.callers)} for {', '.join(item.purposes)} ({meaning})"
    if not bundle.settings.grants:
        yield "  none"
