"""Why a call goes where it goes: every entry that has the model, and what keeps the call from it, in words.

For people only: `route` decides, and this says of each entry what the same filters find.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Code
from gateway.policy.countries import ANYWHERE, shown
from gateway.policy.entries import Entry, State
from gateway.policy.processors import Registry
from gateway.policy.tenants import Tenant, Terms


@dataclass(frozen=True, slots=True)
class Considered:
    """One entry in the order of choice: `code` is None where the call may go there; the first such is taken."""

    processor: str
    code: Code | None
    reason: str
    chosen: bool


def considered(
    registry: Registry,
    *,
    wire: str,
    operation: str,
    model: str,
    tenant: Tenant,
    now: datetime,
    narrowed_to: str | None = None,
) -> list[Considered]:
    """Every entry that has this model under zero retention, in the order of choice, with what the filters say."""
    out: list[Considered] = []
    chosen = False
    for candidate in registry.candidates(wire, model):
        entry = candidate.entry
        code, reason = _verdict(registry, entry, tenant, now)
        if operation not in candidate.operations:
            code, reason = Code.MODEL_NOT_ALLOWED, "this model is not there for this operation"
        elif narrowed_to is not None and narrowed_to != entry.id:
            code, reason = Code.MODEL_NOT_ALLOWED, "the caller narrowed the call to another processor"
        elif code is None:
            reason = "taken: it has the fewest countries, then the first id" if not chosen else "fits, but comes later"
        out.append(Considered(entry.id, code, reason, code is None and not chosen))
        chosen = chosen or code is None
    return out


@dataclass(frozen=True, slots=True)
class TenantClass:
    """Tenants whose agreements say the same of processors: how many, what is left for them, and what is not and why.

    `models` are `wire/model`; `excluded` pairs an entry with the reason.
    """

    terms: Terms
    tenants: int
    example: str
    models: tuple[str, ...]
    excluded: tuple[tuple[str, str], ...]


def tenant_classes(registry: Registry, tenants: Mapping[str, Tenant], now: datetime) -> list[TenantClass]:
    """Each class of active tenants, the largest first."""
    members: dict[Terms, list[Tenant]] = {}
    for tenant in tenants.values():
        if tenant.status == "active":
            members.setdefault(tenant.terms, []).append(tenant)
    classes = [_class_of(registry, terms, found, now) for terms, found in members.items()]
    return sorted(classes, key=lambda item: (-item.tenants, item.example))


def _class_of(registry: Registry, terms: Terms, members: list[Tenant], now: datetime) -> TenantClass:
    first = min(members, key=lambda tenant: tenant.id)
    anybody = Tenant("", terms.residency, terms.processors, notice_days=terms.notice_days, objections=terms.objections,
                     laws=terms.laws)  # fmt: skip  # without an id: an exemption of one is not that of its class
    models: set[str] = set()
    excluded: list[tuple[str, str]] = []
    for entry in registry.entries.values():
        code, reason = _verdict(registry, entry, anybody, now)
        if code is not None:
            excluded.append((entry.id, reason))
            continue
        zero = (model for model in entry.form.models if model.retention_class == "zero")
        models.update(f"{entry.form.wire}/{model.id}" for model in zero)
    return TenantClass(terms, len(members), first.id, tuple(sorted(models)), tuple(excluded))


def _verdict(registry: Registry, entry: Entry, tenant: Tenant, now: datetime) -> tuple[Code | None, str]:
    code = registry.hurdle(entry, tenant, now)
    return code, "" if code is None else _why(entry, tenant.terms, now, code)


def _why(entry: Entry, terms: Terms, now: datetime, code: Code) -> str:
    if code is Code.MODEL_NOT_ALLOWED:
        return "the tenant objected to it" if entry.id in terms.objections else "not among the tenant's processors"
    if code is Code.RESIDENCY_MISMATCH:
        return f"outside the residency: {_outside(entry.countries_at(now) - terms.residency)}"
    if code is Code.PROCESSOR_NOT_ACTIVE:
        return "; ".join(_standing(entry, terms, now))
    if code is Code.AGREEMENT_EXPIRED:
        laws = entry.uncovered(terms.laws, now)
        if entry.agreement(now) is not None and laws:
            return f"no basis for a transfer under the law of {', '.join(laws)}"
        return "no zero-retention and no-training agreement is in force"
    return "its own retention setting was not read back as agreed"


def _standing(entry: Entry, terms: Terms, now: datetime) -> Iterator[str]:
    state = entry.standing(now, terms.notice_days)
    if entry.is_example:
        yield "an example, or evidence is still to be filled"
    elif state is State.ANNOUNCED:
        effective = entry.form.notice.effective_for(terms.notice_days)
        if effective is not None and now < effective:
            yield f"announced; takes this tenant's traffic from {effective:%Y-%m-%d %H:%M} UTC on"
        else:
            yield "it works in a new country of which this tenant's longer notice has not run"
    elif state is State.ACTIVE:
        yield "halted in the running gateway"
    else:
        yield state.value


def _outside(countries: Iterable[str]) -> str:
    found = frozenset(countries)
    return "it may be anywhere" if ANYWHERE in found else shown(found)
