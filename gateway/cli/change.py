"""`diff` and `change`: what a change of the configuration means, and who approved it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.audit.store import StoreFault
from gateway.change.chain import Chain, ChainBroken, NotApplied
from gateway.change.control import OFF
from gateway.change.difference import Kind, difference
from gateway.change.snapshot import NotASnapshot, Snapshot, snapshot
from gateway.change.statement import Proposal, approve, spelled
from gateway.change.words import explain, reach
from gateway.cli.table import Row, as_json, day, show
from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain, say
from gateway.config import Bundle, environment, load
from gateway.keys import KeyFault, make_approver_key, read_approver_key
from gateway.policy.tenants import Tenant
from providers import PROVIDERS

Tenants = Mapping[str, Tenant]

# --- diff ---------------------------------------------------------------------------------------------


def _diff_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--with", dest="new", type=Path, required=True, metavar="DIR", help="the other configuration")


def _diff(options: argparse.Namespace) -> int:
    old, new = bundle_of(options), load(options.new, environment(), wires=PROVIDERS)
    say(_told(_snapshot(old), _snapshot(new), old.tenants, new.tenants, old))
    return OK


def _told(old: Snapshot, new: Snapshot, was: Tenants, will: Tenants, bundle: Bundle) -> Iterator[str]:
    """The whole difference; the calls of the past are those of `bundle`'s state."""
    now = datetime.now(UTC)
    yield from explain(old, new, difference(old, new, now))
    yield ""
    yield from reach(old, new, was, will, now)
    yield ""
    yield from _replayed(old, new, was, will, bundle, now)


def _replayed(
    old: Snapshot, new: Snapshot, was: Tenants, will: Tenants, bundle: Bundle, now: datetime
) -> Iterator[str]:
    from gateway.audit.tally import tally  # noqa: PLC0415
    from gateway.change.replay import DAYS, replay, told  # noqa: PLC0415
    from gateway.keys import Keyring  # noqa: PLC0415

    try:
        key = Keyring.open(bundle.state / "keys", master=bundle.master_key).journal_key()
        found = tally(bundle.state / "journal", key, now - timedelta(days=DAYS), now + timedelta(seconds=1))
    except (StoreFault, KeyFault):
        yield "no records of the past can be read here, so none were decided again"
        return
    yield from told(replay(old, new, was, will, found, now))


def _snapshot(bundle: Bundle) -> Snapshot:
    try:
        return snapshot(bundle.preimage, PROVIDERS)
    except NotASnapshot as fault:  # it was just loaded, so this is a defect of ours
        raise Unusable(str(fault)) from None


# --- change -------------------------------------------------------------------------------------------


def _key_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("file", type=Path, metavar="FILE", help="where the private key goes; keep it to yourself")


def _key(options: argparse.Namespace) -> int:
    signer = make_approver_key(options.file)
    complain(f"{options.file}: the private key, which nobody else may have. For `change.approvers` of gateway.yaml:")
    say([f"public_key: {signer.public.hex()}"])
    return OK


def _propose_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--with", dest="new", type=Path, metavar="DIR", help="where it is; default: that of --config")
    made.add_argument("--days", type=int, default=30, metavar="N", help="how long it may be applied (default: 30)")


def _propose(options: argparse.Namespace) -> int:
    if not 1 <= options.days <= 365:
        raise Unusable("--days is a number from 1 to 365")
    bundle = bundle_of(options)
    new = bundle if options.new is None else load(options.new, environment(), wires=PROVIDERS)
    now = datetime.now(UTC).replace(microsecond=0)
    chain = Chain(bundle.state, PROVIDERS)
    try:
        proposal = chain.propose(new.preimage, now + timedelta(days=options.days), now)
    except NotApplied as fault:
        complain(str(fault))
        return DOES_NOT_HOLD
    except (ChainBroken, StoreFault) as fault:
        raise Unusable(str(fault)) from None
    _complain_of(proposal, chain, bundle, new.tenants)
    say([proposal.statement.id])
    return OK


def _approve_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("proposal", metavar="ID", help="what `propose` printed; the first 8 digits suffice")
    made.add_argument("--key", type=Path, required=True, metavar="FILE", help="your private key")


def _approve(options: argparse.Namespace) -> int:
    bundle, chain = _chain(options)
    now = datetime.now(UTC)
    try:
        proposal = chain.proposal(options.proposal)
        _complain_of(proposal, chain, bundle, bundle.tenants)
        approval = approve(proposal.statement, read_approver_key(options.key))
        proposal = chain.approve(proposal, approval, now)
        have = len(chain.approved_by(proposal, chain.links(), now))
    except NotApplied as fault:
        complain(str(fault))
        return DOES_NOT_HOLD
    except ChainBroken as fault:
        raise Unusable(str(fault)) from None
    complain(f"approved by {approval.key}: {have} of {proposal.statement.needs}")
    say([approval.key])
    return OK


def _apply_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("proposal", metavar="ID", help="what `propose` printed; the first 8 digits suffice")


def _apply(options: argparse.Namespace) -> int:
    bundle, chain = _chain(options)
    try:
        proposal = chain.proposal(options.proposal)
        if proposal.statement.digest != bundle.digest:
            complain(f"{options.config} is not what was proposed; put its files there first")
            return DOES_NOT_HOLD
        link = chain.apply(proposal, datetime.now(UTC))
    except NotApplied as fault:
        complain(str(fault))
        return DOES_NOT_HOLD
    except ChainBroken as fault:
        raise Unusable(str(fault)) from None
    complain("applied; a running gateway takes it over within a second, and records it")
    say([link.statement.digest])
    return OK


def _history_arguments(made: argparse.ArgumentParser) -> None:
    as_json(made)


def _history(options: argparse.Namespace) -> int:
    _bundle, chain = _chain(options)
    try:
        links = chain.links()
        rows = [_row(link, chain, links[:number]) for number, link in enumerate(links)]
        rows += [_row(item, chain, links) for item in chain.proposals() if item.statement.number == len(links)]
    except (ChainBroken, NotApplied) as fault:
        complain(str(fault))
        return DOES_NOT_HOLD
    show(rows, as_json=options.json, none=OFF)
    return OK


def _row(item: Proposal, chain: Chain, before: list[Proposal]) -> Row:
    statement = item.statement
    approved = chain.approved_by(item, before, item.applied or datetime.now(UTC))
    state = "applied" if item.applied is not None else f"{len(approved)} of {statement.needs} approvals"
    return {
        "number": statement.number,
        "digest": statement.digest[:16],
        "parent": None if statement.parent is None else statement.parent[:16],
        "state": state,
        "applied": day(item.applied),
        "approved_by": [f"{name} ({key})" for key, name in sorted(approved.items())],
        "kinds": [str(kind) for kind in statement.kinds],
        "proposal": statement.id[:16],
    }


def _chain(options: argparse.Namespace) -> tuple[Bundle, Chain]:
    bundle = bundle_of(options)
    return bundle, Chain(bundle.state, PROVIDERS)


def _complain_of(proposal: Proposal, chain: Chain, bundle: Bundle, tenants: Tenants) -> None:
    """Tell, beside the answer, what a proposal is and what it means."""
    statement = proposal.statement
    complain(f"proposal {statement.id[:16]}, number {statement.number}, until {spelled(statement.until)}")
    if statement.parent is None:
        complain(f"{Kind.FIRST}: configuration {statement.digest[:16]} begins the chain, if two of its approvers agree")
        return
    old, new = chain.snapshot(statement.parent), chain.snapshot(statement.digest)
    for line in _told(old, new, bundle.tenants, tenants, bundle):
        complain(line)


VERBS = (
    Verb(
        ("diff",),
        "what a change means: who must approve it, what it opens and closes for whom, and for the calls of 30 days",
        "gateway diff --config /etc/gateway --with proposed/",
        _diff,
        _diff_arguments,
    ),
    Verb(
        ("change", "key"),
        "make the key with which an approver signs",
        "gateway change key ada.key",
        _key,
        _key_arguments,
    ),
    Verb(
        ("change", "propose"),
        "propose a configuration; says what it means and how many must approve it",
        "gateway change propose --with proposed/",
        _propose,
        _propose_arguments,
    ),
    Verb(
        ("change", "approve"),
        "sign a proposal with a key that the configuration in force lists",
        "gateway change approve 0123456789abcdef --key ada.key",
        _approve,
        _approve_arguments,
    ),
    Verb(
        ("change", "apply"),
        "bring an approved configuration into force",
        "gateway change apply 0123456789abcdef --config /etc/gateway",
        _apply,
        _apply_arguments,
    ),
    Verb(
        ("change", "history"),
        "every configuration that was applied, each proved again, and what is proposed",
        "gateway change history --json",
        _history,
        _history_arguments,
    ),
)
