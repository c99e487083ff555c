"""What a change would have meant for the calls of the past, as far as their records tell.

Each call is decided twice at one instant, by the old bundle and by the new, so that only the change makes a difference.
A record names operation, model, tenant, purpose and the grants that were used; it holds no parameter, so what a changed
verdict over a parameter would have done nobody can tell from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.audit.tally import Alike, Tally
from gateway.change.snapshot import Snapshot
from gateway.errors import Code, Refused
from gateway.policy.rules import Conditional
from gateway.policy.tenants import Tenant

DAYS = 30
"""How far a replay looks back."""

Tenants = Mapping[str, Tenant]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a bundle says of a call: where it goes and in which countries that is, or why it does not."""

    processor: str | None
    countries: tuple[str, ...] = ()
    code: Code | None = None


@dataclass(slots=True)
class Replay:
    """Counts of calls. `refused` is by code, `moved` by (from, to); `tenants` and `services` are those concerned."""

    same: int = 0
    refused: Counter[Code] = field(default_factory=Counter)
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    opened: int = 0
    tenants: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    untold: int = 0

    @property
    def total(self) -> int:
        """Every call that was made in the period."""
        return self.same + self.refused.total() + self.moved.total() + self.opened


def replay(old: Snapshot, new: Snapshot, was: Tenants, will: Tenants, found: Tally, now: datetime) -> Replay:
    """Decide the calls of a period under both bundles, each with its own tenants, as of `now`."""
    result = Replay(untold=found.refusals.total())
    for alike, count in found.calls.items():
        before, after = decide(old, was, alike, now), decide(new, will, alike, now)
        if after.code is not None and before.code is None:
            result.refused[after.code] += count
        elif after.code is None and before.code is not None:
            result.opened += count
        elif after.processor != before.processor and after.processor is not None and before.processor is not None:
            result.moved[before.processor, after.processor] += count
        else:
            result.same += count
            continue
        result.tenants.add(alike.tenant)
        result.services.add(alike.caller)
    return result


def decide(bundle: Snapshot, tenants: Tenants, call: Alike, now: datetime) -> Decision:
    """What this bundle says of such a call at `now`."""
    tenant, purpose = tenants.get(call.tenant), bundle.purposes.get(call.purpose)
    if tenant is None or tenant.status != "active":
        return Decision(None, code=Code.TENANT_UNKNOWN)
    if purpose is None or (tenant.purposes is not None and call.purpose not in tenant.purposes):
        return Decision(None, code=Code.PURPOSE_NOT_ALLOWED)
    granted = bundle.grants.get((call.caller, call.purpose), frozenset()) - tenant.forbidden_grants
    surface = bundle.surfaces.get(call.wire)
    verdict = None if surface is None else surface.operations.get(call.operation)
    if verdict is None or (isinstance(verdict, Conditional) and verdict.grant not in granted):
        return Decision(None, code=Code.OPERATION_NOT_ALLOWED)
    if not call.conditionals <= granted:
        return Decision(None, code=Code.PARAMETER_RETAINS_DATA)
    try:
        purpose.permit(now, tenant.notice_days or 0)
        route = bundle.registry.route(
            wire=call.wire, operation=call.operation, model=call.model, tenant=tenant, now=now
        )
    except Refused as refused:
        return Decision(None, code=refused.code)
    return Decision(route.processor, route.countries)


def told(result: Replay) -> Iterator[str]:
    """The result in words and numbers."""
    yield f"Of {result.total} calls of the last {DAYS} days"
    yield f"  {result.same} would be decided as before"
    for code, count in sorted(result.refused.items()):
        yield f"  {count} would be refused: {code}"
    for (source, target), count in sorted(result.moved.items()):
        yield f"  {count} would go to {target} instead of {source}"
    if result.opened:
        yield f"  {result.opened} would be allowed, which the configuration before would refuse now"
    if result.tenants:
        yield f"  concerned: {len(result.tenants)} tenants, {len(result.services)} services"
    if result.untold:
        yield f"  {result.untold} more were refused then; their records do not say enough to decide them again"
    yield "  what changed verdicts over parameters would do is not in this: records hold no parameter"
