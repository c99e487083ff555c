"""What is in force at an instant, and what starts or ends soon, in words: the report of `gateway check`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.categories import Scope
from gateway.config.bundle import Bundle
from gateway.config.vouchers import roots, vouchers
from gateway.errors import UpstreamError
from gateway.keys import KeyFault
from gateway.policy.choice import TenantClass, tenant_classes
from gateway.policy.countries import shown
from gateway.policy.entries import Entry, State
from gateway.policy.forms import gathered
from gateway.policy.purposes import Purpose
from gateway.policy.transfers import AREAS

_SHOWN = 20
SOON_DAYS = (1, 7, 30)
"""A date within these many days is announced, under the smallest that it is within."""


MOST_CLASSES = 40
"""Tenant classes that are told one by one; the largest come first."""


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
    yield "The log"
    yield from vouchers(bundle, now)
    if (telemetry := bundle.settings.telemetry) is not None:
        yield ""
        yield "Telemetry"
        told = [*(["spans"] if telemetry.traces else []), *(["metrics"] if telemetry.metrics_seconds else [])]
        yield f"  {telemetry.url} is told {' and '.join(told) or 'nothing'}, without content"
    yield ""
    yield "Purposes, as callers declare them"
    for purpose in bundle.purposes.values():
        yield _purpose(purpose, now)
    yield ""
    yield "Tenants, by what their agreements say of processors"
    yield from _classes(tenant_classes(bundle.registry, bundle.tenants, now))
    yield ""
    yield from _grants(bundle)
    yield ""
    if bundle.failover:
        yield from _failover(bundle)
        yield ""
    active = sum(tenant.status == "active" for tenant in bundle.tenants.values())
    yield f"{len(bundle.callers.services)} callers, {active} active tenants of {len(bundle.tenants)}"
    yield from _redaction(bundle)
    yield from _personal(bundle)
    yield f"{len(bundle.schemas)} approved schemas"
    if bundle.callers.fault is not None:
        yield f"WARNING: no caller key is good while this stands: {bundle.callers.fault}"
    if not any(entry.state(now) is State.ACTIVE for entry in bundle.registry.entries.values()):
        yield "No processor is active: every call will be refused."


def expiry_warnings(bundle: Bundle, now: datetime) -> list[str]:
    """A sentence for each active entry that takes no more traffic within thirty, seven or one days."""
    found: list[tuple[datetime, str]] = []
    for entry in bundle.registry.entries.values():
        ends = entry.ends(now)
        within = None if ends is None else soon(ends, now)
        if ends is not None and within is not None:
            days = f"{within} day{'' if within == 1 else 's'}"
            found.append((ends, f"{entry.id} takes no more traffic within {days}: from {ends:%Y-%m-%d %H:%M} UTC on"))
    return [words for _ends, words in sorted(found)]


def soon(at: datetime, now: datetime) -> int | None:
    """The smallest of `SOON_DAYS` within which an instant to come lies, or None."""
    return next((days for days in SOON_DAYS if now < at <= now + timedelta(days=days)), None)


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
        for transfer in form.transfers:
            dated.append((transfer.valid_until, f"the {transfer.mechanism} under the law of {transfer.law} ends"))
        for added in form.countries.added:
            dated.append((added.effective, f"it works in {' '.join(added.countries)}, too"))
        for exemption in form.exemptions:
            dated.append((exemption.valid_until, f"the emergency exemption of {exemption.tenant} ends"))
        found += [Turn(at, f"{entry.id}: {what}") for at, what in dated if at is not None]
    for purpose in bundle.purposes.values():
        if purpose.form.notice.effective is not None:
            found.append(Turn(purpose.form.notice.effective, f"purpose {purpose.id}: calls may be made for it"))
    with contextlib.suppress(KeyFault):  # `vouchers` says it
        found += [Turn(until, f"{name} of log.time_stamps.roots ends") for name, _since, until in roots(bundle)]
    for name, expires in bundle.callers.expiries():
        found.append(Turn(expires, f"caller key {name} ends"))
    return sorted(found)


def _entry(bundle: Bundle, entry: Entry, now: datetime) -> Iterator[str]:
    form, state = entry.form, entry.state(now)
    yield f"  {entry.id}: {_called(entry, state)}"
    yield f"    {form.wire} at {form.base_url}, {form.legal_entity.name} ({form.legal_entity.country})"
    yield f"    countries: {' '.join(form.countries.processing)}; storage: {' '.join(form.countries.storage) or 'none'}"
    if entry.missing:
        yield f"    evidence to be filled ({len(entry.missing)}): {gathered(entry.missing)}"
    if form.read_back is not None:
        every, stale = form.read_back.every_seconds // 60, form.read_back.stale_after_seconds // 60
        yield f"    settings read back by {form.read_back.method} every {every} min; a pass counts for {stale} min"
    else:
        yield "    settings are not read back: it rests on its agreement"
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
    for added in form.countries.added:
        from_when = "at a date to be filled" if added.effective is None else f"from {added.effective:%Y-%m-%d} on"
        yield f"    countries {from_when}: {' '.join(added.countries)}, too ({added.reason})"
    for transfer in form.transfers:
        force = "in force" if transfer.holds(now) else "not in force"
        yield f"    transfer under the law of {transfer.law}: {transfer.mechanism}, {transfer.reference}, {force}"
    without = entry.uncovered(AREAS, now)
    if without:
        yield f"    no basis for a transfer under the law of: {', '.join(without)}"
    for exemption in form.exemptions:
        force = "in force" if exemption.holds(now) else "not in force"
        yield f"    emergency exemption of {exemption.tenant}: {exemption.reason}; {exemption.contract}, {force}"
    for carve_out in form.carve_outs:
        yield f"    kept all the same: {carve_out}"
    if state is State.ACTIVE and not _readable(bundle, entry):
        yield f"    WARNING: its credential ({form.credential.reference}) cannot be read now, so its calls would fail"


def _called(entry: Entry, state: State) -> str:
    """An entry is an example by its mark, and as good as one while evidence is missing."""
    if entry.form.example:
        return "EXAMPLE, takes no traffic"
    return "DRAFT, takes no traffic before its evidence is there" if entry.is_example else state.value


def _purpose(purpose: Purpose, now: datetime) -> str:
    form = purpose.form
    said = f"  {purpose.id}: {form.policy}, {form.lawful_basis}, {form.data} data"
    if not purpose.may_carry_content:
        return f"{said}; no content leaves for it"
    effective = purpose.effective(0)
    return said if effective <= now else f"{said}; not before {effective:%Y-%m-%d}"


def _classes(classes: list[TenantClass]) -> Iterator[str]:
    for item in classes[:MOST_CLASSES]:
        terms, others = item.terms, item.tenants - 1
        extras = [f"notice of {terms.notice_days} days"] if terms.notice_days else []
        extras += [f"only {', '.join(sorted(terms.processors))}"] if terms.processors is not None else []
        extras += [f"objects to {', '.join(sorted(terms.objections))}"] if terms.objections else []
        extras += [f"under the law of {', '.join(sorted(terms.laws))}"] if terms.laws else []
        who = f"{item.example} and {others} more" if others else item.example
        yield f"  {who}: {'; '.join([shown(terms.residency), *extras])}"
        yield f"    models: {', '.join(item.models) or 'none: every call will be refused'}"
        for processor, reason in item.excluded:
            yield f"    not {processor}: {reason}"
        if not terms.laws and not any(terms.residency <= area for area in AREAS.values()):
            yield "    no law is named (`laws:`), so no basis for a transfer is asked for"
    if len(classes) > MOST_CLASSES:
        yield f"  and {len(classes) - MOST_CLASSES} smaller classes"
    if not classes:
        yield "  none"


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
        within = soon(turn.at, now)
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


def _personal(bundle: Bundle) -> Iterator[str]:
    chosen = bundle.settings.personal_data
    if chosen.kinds:
        back = "answers get it back" if chosen.restore else "answers do not get it back"
        yield f"personal data taken out: {', '.join(chosen.kinds)}; {back}"


def _grants(bundle: Bundle) -> Iterator[str]:
    yield "Conditional grants in force"
    meanings = {name: text for surface in bundle.surfaces.values() for name, text in surface.grants.items()}
    for item in bundle.settings.grants:
        meaning = meanings.get(item.grant, "")
        yield f"  {item.grant}: {', '.join(item.callers)} for {', '.join(item.purposes)} ({meaning})"
    if not bundle.settings.grants:
        yield "  none"


def _failover(bundle: Bundle) -> Iterator[str]:
    yield "Failover: what leads to another entry"
    for (purpose, tenant), on in sorted(bundle.failover.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        yield f"  {purpose} of {tenant or 'every tenant'}: {', '.join(sorted(map(str, on)))}"
    models = bundle.registry.at_several()
    yield (
        f"  models at several entries: {', '.join(models)}"
        if models
        else ("  WARNING: no model is at two entries of a wire, so no call can go elsewhere")
    )
