"""A change in words and numbers: what differs and who must approve it, and what it opens and closes for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from gateway.change.difference import Change, needed
from gateway.change.snapshot import Snapshot
from gateway.policy.choice import TenantClass, tenant_classes
from gateway.policy.countries import shown
from gateway.policy.tenants import Tenant

MOST = 200
"""Facts that are told one by one; the gravest come first."""


def explain(old: Snapshot, new: Snapshot, changes: list[Change]) -> Iterator[str]:
    """What differs, the gravest first, and how many must approve it."""
    yield f"from configuration {old.digest[:16]} to {new.digest[:16]}"
    if not changes:
        yield "nothing differs that the digest covers: tenants and callers need no approval"
        return
    needs = needed(changes)
    who = "1 approver" if needs == 1 else f"{needs} different approvers"
    yield f"{len(changes)} change{'' if len(changes) == 1 else 's'}, which together need{_s(len(changes))} {who}"
    for change in sorted(changes, key=lambda item: -item.needs)[:MOST]:
        yield f"  {change.needs} approver{'' if change.needs == 1 else 's'}: {change.what}"
    if len(changes) > MOST:
        yield f"  and {len(changes) - MOST} more"


def reach(
    old: Snapshot, new: Snapshot, was: Mapping[str, Tenant], will: Mapping[str, Tenant], now: datetime
) -> Iterator[str]:
    """For each class of tenants, what it may use and where that is, before and after."""
    before = {item.terms: item for item in tenant_classes(old.registry, was, now)}
    after = {item.terms: item for item in tenant_classes(new.registry, will, now)}
    yield "Tenants, by what their agreements say of processors"
    same = 0
    for terms in {**before, **after}:
        lines = list(_class(old, new, before.get(terms), after.get(terms)))
        if lines:
            item = after.get(terms) or before[terms]
            more = f" and {item.tenants - 1} more" if item.tenants > 1 else ""
            yield f"  {item.example}{more}: {shown(terms.residency)}"
            yield from lines
        else:
            same += 1
    if same:
        yield f"  {same} class{'' if same == 1 else 'es'} may use what they could use before"


def _class(old: Snapshot, new: Snapshot, was: TenantClass | None, will: TenantClass | None) -> Iterator[str]:
    if was is not None and will is not None:
        if was.tenants != will.tenants:
            yield f"    {was.tenants} tenants before, {will.tenants} now"
    elif will is not None:
        yield f"    {will.tenants} tenants that have not had these terms before"
    elif was is not None:
        yield f"    {was.tenants} tenants no longer have these terms"
    pairs = (
        ("processors", _processors(old, was), _processors(new, will)),
        ("models", frozenset(was.models if was else ()), frozenset(will.models if will else ())),
        ("countries", _countries(old, was), _countries(new, will)),
    )
    for what, before, after in pairs:
        for which, names in (("gained", after - before), ("lost", before - after)):
            if names:
                yield f"    {what} {which}: {shown(names) if what == 'countries' else ', '.join(sorted(names))}"


def _s(count: int) -> str:
    """The ending of a verb."""
    return "s" if count == 1 else ""


def _processors(bundle: Snapshot, item: TenantClass | None) -> frozenset[str]:
    return frozenset() if item is None else frozenset(bundle.entries) - {name for name, _why in item.excluded}


def _countries(bundle: Snapshot, item: TenantClass | None) -> frozenset[str]:
    return frozenset().union(*(bundle.entries[name].countries for name in _processors(bundle, item)))
