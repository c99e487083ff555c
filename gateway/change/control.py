"""Whether a bundle may serve: the last question of a start and of a reload, after the files have no fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.change.chain import Chain, ChainBroken
from gateway.change.snapshot import NotASnapshot, trees_of
from gateway.config import Bundle
from gateway.config.settings import ChangeControl
from gateway.errors import ConfigurationError, Fault
from gateway.policy.countries import expand
from providers.provider import Provider

OFF = "change control is off: gateway.yaml lists no approvers (change:)"


def require_approval(bundle: Bundle, state: Path, wires: Mapping[str, Provider]) -> None:
    """Let a bundle serve only if it is the one that was approved last, or if change control is off.

    Args:
        bundle: without a fault.
        state: of the gateway that is to serve it; not what the bundle says of itself while another serves.
        wires: those that there are.

    Raises:
        ConfigurationError: with file and reason.
    """
    faults = [Fault(str(bundle.directory / name), 0, "(file)", why) for name, why in _faults(bundle, state, wires)]
    if faults:
        raise ConfigurationError(faults)


def warnings(bundle: Bundle) -> list[str]:
    """What people should know of change control beside the checks."""
    return [OFF] if bundle.settings.change is None else []


def _faults(bundle: Bundle, state: Path, wires: Mapping[str, Provider]) -> Iterator[tuple[str, str]]:
    chain, control = Chain(state, wires), bundle.settings.change
    try:
        links = chain.links()
        before = chain.control_after(links)
        if before is None and control is None:
            return
        if not links or links[-1].statement.digest != bundle.digest:
            yield from _unapproved(bundle, links[-1].statement.digest if links else None, chain)
            return
    except ChainBroken as fault:
        yield "gateway.yaml", f"change control: {fault}"
        return
    if control is not None:
        yield from _tenants(bundle, control)


def _unapproved(bundle: Bundle, in_force: str | None, chain: Chain) -> Iterator[tuple[str, str]]:
    if in_force is None:
        yield "gateway.yaml", f"the first configuration that lists approvers needs two of them: {_HOW}"
        return
    try:
        was, will = chain.snapshot(in_force), trees_of(bundle.preimage)
    except (ChainBroken, NotASnapshot):
        yield "gateway.yaml", f"this is not configuration {in_force[:16]}, which was approved last: {_HOW}"
        return
    schemas = frozenset(bundle.schemas.documents)
    differing = [name for name in sorted(was.trees.keys() | will.keys()) if was.trees.get(name) != will.get(name)]
    for name in [*differing, *(["schemas"] if was.schemas != schemas else [])]:
        yield name, f"it is not as in configuration {in_force[:16]}, which was approved last: {_HOW}"


def _tenants(bundle: Bundle, control: ChangeControl) -> Iterator[tuple[str, str]]:
    classes = [expand(names) for names in control.residency]
    for tenant in bundle.tenants.values():
        if tenant.status == "active" and not any(tenant.residency <= approved for approved in classes):
            yield (
                "tenants.yaml",
                f"the residency of {tenant.id} is wider than each of `change.residency` in gateway.yaml; "
                "a wider one needs two approvers",
            )


_HOW = "see `gateway change propose`, `approve` and `apply`"
