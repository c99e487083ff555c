"""`tenant`, `subject`, `prune`, `restore`: what is kept of whom, and a state that came back from a backup."""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain, say
from gateway.config import Bundle
from gateway.keys import Keyring
from providers import PROVIDERS

if TYPE_CHECKING:
    from gateway.audit.retention.handouts import Handout


def _state(options: argparse.Namespace) -> tuple[Bundle, Keyring]:
    bundle = bundle_of(options)
    return bundle, Keyring.open(bundle.state / "keys", master=bundle.master_key)


def _now() -> int:
    return time.time_ns() // 1000


def _tenant(options: argparse.Namespace, bundle: Bundle) -> str:
    from gateway.policy.forms import is_id  # noqa: PLC0415

    if not is_id(options.tenant):
        raise Unusable("a tenant's id is lower-case letters, digits, - and _")
    if options.tenant not in bundle.tenants:
        complain(f"tenants.yaml has no tenant {options.tenant}")
    return str(options.tenant)


def _of_tenant(made: argparse.ArgumentParser) -> None:
    made.add_argument("tenant", metavar="ID", help="a tenant's id")


def _of_subject(made: argparse.ArgumentParser) -> None:
    made.add_argument("tenant", metavar="ID", help="the tenant's id")
    made.add_argument("subject", metavar="SUBJECT", help="whom it is about, as callers write it in x-gateway-subject")


# --- names --------------------------------------------------------------------------------------------


def _add_arguments(made: argparse.ArgumentParser) -> None:
    _of_tenant(made)
    made.add_argument("--name", metavar="TEXT", help="what people call the customer; it stands nowhere else")


def _add(options: argparse.Namespace) -> int:
    from gateway.audit.retention.register import Known, Register  # noqa: PLC0415

    bundle, keyring = _state(options)
    tenant = _tenant(options, bundle)
    Register(keyring).keep(Known(tenant, options.name))
    complain(f"{tenant} is known; calls are made for it once tenants.yaml lists it")
    return OK


def _list(options: argparse.Namespace) -> int:
    from gateway.audit.retention.register import Register  # noqa: PLC0415

    bundle, keyring = _state(options)
    for known in Register(keyring).all():
        listed = bundle.tenants.get(known.id)
        say([f"{known.id:24}  {'not listed' if listed is None else listed.status:10}  {known.name or '-'}"])
    return OK


# --- copies -------------------------------------------------------------------------------------------


def _export_arguments(made: argparse.ArgumentParser) -> None:
    _of_tenant(made)
    made.add_argument("out", metavar="OUT.zip", type=Path)


def _export_subject_arguments(made: argparse.ArgumentParser) -> None:
    _of_subject(made)
    made.add_argument("out", metavar="OUT.zip", type=Path)


def _export(options: argparse.Namespace) -> int:
    from gateway.audit.evidence import open_evidence  # noqa: PLC0415
    from gateway.audit.retention.copies import copy  # noqa: PLC0415
    from gateway.audit.retention.handouts import hand_out  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415

    bundle, keyring = _state(options)
    tenant, subject = _tenant(options, bundle), getattr(options, "subject", None)
    mac = None
    if subject is not None:
        if not keyring.has_tenant(tenant):
            raise Unusable("nothing is kept of this tenant")
        mac = keyring.tenant_mac(tenant, "subject", subject)
    now = _now()
    try:
        with open_evidence(bundle.state, keyring) as evidence:
            digest, count = copy(evidence, keyring, bundle.state, options.out, tenant, mac, now)
            mark = keyring.tenant_mac(tenant, "tenant", tenant) if keyring.has_tenant(tenant) else None
            hand_out(bundle.state, digest, count, now, (0, evidence.end), whose=mark, recipient="whom it is about")
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    except OSError as error:
        raise Unusable(f"{options.out}: errno {error.errno}") from None
    say([f"{count} records, each with its proof"])
    return OK


# --- erasure ------------------------------------------------------------------------------------------


def _erase(options: argparse.Namespace) -> int:
    from gateway.change.erasure import propose  # noqa: PLC0415

    bundle, keyring = _state(options)
    tenant = _tenant(options, bundle)
    made = propose(keyring, tenant, getattr(options, "subject", None), _now())
    complain(f"proposed; two approvers of gateway.yaml sign it: gateway tenant approve {made.id[:16]} --key FILE")
    say([made.id])
    return OK


def _approve_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("proposal", metavar="ID", help="what `erase` printed; the first 8 digits suffice")
    made.add_argument("--key", type=Path, required=True, metavar="FILE", help="your private key")


def _approve(options: argparse.Namespace) -> int:
    from gateway.change.chain import Chain, ChainBroken  # noqa: PLC0415
    from gateway.change.erasure import NotErased, approve, proposed  # noqa: PLC0415
    from gateway.keys import read_approver_key  # noqa: PLC0415

    bundle, keyring = _state(options)
    chain = Chain(bundle.state, PROVIDERS)
    left: list[Handout] = []
    try:
        held = proposed(keyring, options.proposal, _now())
        whom = "the whole tenant" if held.subject is None else "one person"
        complain(f"erasure {held.id[:16]} of tenant {held.tenant}: {whom}")
        left = _left(bundle.state, keyring, held.tenant, held.subject)
        control = chain.control_after(chain.links())
        receipt = approve(keyring, held, read_approver_key(options.key), control, datetime.now(UTC))
    except NotErased as fault:
        complain(str(fault))
        return DOES_NOT_HOLD
    except ChainBroken as fault:
        raise Unusable(str(fault)) from None
    if receipt is None:
        complain("approved by one; another approver must sign, too")
        return OK
    complain(
        "approved by two; a gateway that runs carries it out within seconds, or else at its next start. The receipt:"
    )
    say([orjson.dumps(asdict(receipt)).decode()])
    if left:
        last = datetime.fromtimestamp(max(each.delete_by for each in left) / 1_000_000, UTC)
        complain(f"{len(left)} copies and packs that left may hold it; the last is to be deleted by {last:%Y-%m-%d}")
    for each in left:
        made = datetime.fromtimestamp(each.made / 1_000_000, UTC)
        complain(f"  {each.document[:16]}, made {made:%Y-%m-%d} for {each.recipient or 'somebody'}: tell them")
    return OK


def _left(state: Path, keyring: Keyring, tenant: str, subject: str | None) -> list[Handout]:
    """The copies that left and may hold what is to be erased: looked for before its key is gone."""
    from gateway.audit.retention import selection  # noqa: PLC0415
    from gateway.audit.retention.handouts import handouts  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415

    current = [each for each in handouts(state) if each.delete_by > _now()]
    if not current or not keyring.has_tenant(tenant):
        return current
    mark = keyring.tenant_mac(tenant, "tenant", tenant)
    try:
        with selection.opened(state, keyring) as (log, rows):
            mac = None if subject is None else keyring.tenant_mac(tenant, "subject", subject)
            indices = selection.of_tenant(log, rows, tenant, mac, log.last_seq)
    except StoreFault:
        return current
    return [each for each in current if each.may_hold(mark, indices)]


# --- the rolling months, and a restore -----------------------------------------------------------------


def _prune(options: argparse.Namespace) -> int:
    from gateway.audit.retention.apart import carried_out  # noqa: PLC0415
    from gateway.audit.retention.requests import kept  # noqa: PLC0415
    from gateway.audit.store import StoreFault, apart  # noqa: PLC0415

    bundle, keyring = _state(options)
    try:
        with apart(bundle.state / "journal"):
            pass
    except StoreFault:
        complain("a gateway runs on this state: it prunes by itself every day")
        return OK
    replicas = bundle.settings.replicas
    if replicas is not None and replicas.carriage is not None and kept(keyring):
        raise Unusable("an erasure waits for the other hosts: start the gateway, which carries it out with them")
    try:
        erased, pruned = asyncio.run(
            carried_out(bundle.state, keyring, bundle.guard(), bundle.origin, bundle.digest, bundle.preimage)
        )
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    say([f"{pruned} records were older than thirteen months and the current one; {erased} erasures were carried out"])
    return OK


def _restore_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--tiles", type=Path, metavar="DIR", help="the newest copy of the log that was published")
    made.add_argument(
        "--salvage",
        action="store_true",
        help="no backup of the journal is left: keep what can be read of it, and record the rest as lost",
    )


def _restore(options: argparse.Namespace) -> int:
    from gateway.audit.retention.restoring import NotAdopted, adopt, reapply  # noqa: PLC0415
    from gateway.audit.retention.salvage import salvage  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415

    bundle, keyring = _state(options)
    guard = bundle.guard()
    tiles = options.tiles or (None if bundle.settings.log.tiles is None else bundle.path(bundle.settings.log.tiles))
    try:
        saved = salvage(bundle.state, keyring, _now()) if options.salvage else None
        again = reapply(bundle.state, keyring, guard, bundle.tenants)
        lost = saved if tiles is None else adopt(bundle.state, keyring, guard, tiles, _now()) or saved
    except NotAdopted as fault:
        complain(str(fault))
        return DOES_NOT_HOLD
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    say([f"{again} deletions were carried out again"])
    say(
        [
            "the log is as new as its copy"
            if lost is None
            else f"{lost.count} records are lost; the log goes on, and says so"
        ]
    )
    return OK


VERBS = (
    Verb(
        ("tenant", "add"),
        "know a tenant by name, in the state alone, where it can be erased",
        "gateway tenant add t-4f1c --name 'Example GmbH'",
        _add,
        _add_arguments,
    ),
    Verb(("tenant", "list"), "the tenants that are known, with their names", "gateway tenant list", _list),
    Verb(
        ("tenant", "export"),
        "a copy of everything recorded of a tenant, with a proof for each record",
        "gateway tenant export t-4f1c copy.zip",
        _export,
        _export_arguments,
    ),
    Verb(
        ("tenant", "erase"),
        "propose to erase everything recorded of a tenant; two approvers sign",
        "gateway tenant erase t-4f1c",
        _erase,
        _of_tenant,
    ),
    Verb(
        ("tenant", "approve"),
        "sign an erasure that an operator proposed, of a tenant or of a person",
        "gateway tenant approve 0123456789abcdef --key ada.key",
        _approve,
        _approve_arguments,
    ),
    Verb(
        ("subject", "export"),
        "a copy of everything recorded of one person of a tenant, with proofs",
        "gateway subject export t-4f1c rep-17 copy.zip",
        _export,
        _export_subject_arguments,
    ),
    Verb(
        ("subject", "erase"),
        "propose to erase everything recorded of one person of a tenant; two approvers sign",
        "gateway subject erase t-4f1c rep-17",
        _erase,
        _of_subject,
    ),
    Verb(
        ("prune",),
        "forget what is older than thirteen months, while the gateway is stopped; a running one does it daily",
        "gateway prune --config /etc/gateway",
        _prune,
    ),
    Verb(
        ("restore",),
        "after a backup was put back: delete again what was deleted, and bring the log up to its newest copy",
        "gateway restore --tiles /srv/log",
        _restore,
        _restore_arguments,
    ),
)
