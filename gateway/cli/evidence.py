"""`verify` and `report`: the record checked, and handed to an auditor."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain, say, when
from gateway.keys import Keyring


def _verify_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("subject", metavar="STATE|PACK", type=Path, help="a state directory, or an evidence pack")
    made.add_argument("--policy", type=Path, metavar="FILE", help="the trust to check a pack by: log key, witnesses")
    made.add_argument("--tsa-roots", type=Path, metavar="FILE", help="time-stamp authorities to trust, as PEM")
    made.add_argument("--seen", action="append", default=[], metavar="FILE", help="a checkpoint kept from before")


def _verify(options: argparse.Namespace) -> int:
    from gateway.audit import verify  # noqa: PLC0415

    subject: Path = options.subject
    if not subject.exists():
        raise Unusable(f"{subject}: no such state or pack")
    try:
        if not subject.is_dir():
            return verify.verify_pack(
                str(subject), _text(options.policy), sys.stdout.write, options.seen, _text(options.tsa_roots)
            )
        return _verify_state(options, subject)
    except verify.NotVerified as fault:
        say([f"FAIL: {fault}"])
        return DOES_NOT_HOLD


def _verify_state(options: argparse.Namespace, state: Path) -> int:
    from gateway.audit import verify  # noqa: PLC0415
    from gateway.audit.evidence import open_evidence  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415

    keyring = _keyring(options, state)
    try:
        with open_evidence(state, keyring) as evidence:
            policy = evidence.policy(keyring) if options.policy is None else options.policy.read_text()
            seen = [Path(name).read_text(encoding="utf-8") for name in options.seen]
            roots = None if options.tsa_roots is None else options.tsa_roots.read_text(encoding="utf-8")
            run = verify.verify(evidence, verify.Policy(policy), verify.show_progress, seen, roots)
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    return verify.conclude(run, sys.stdout.write)


def _report_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--from", dest="start", type=when, metavar="TIME", help="a day or an instant; default: the first")
    made.add_argument("--to", dest="end", type=when, metavar="TIME", help="a day or an instant; default: now")
    made.add_argument("--recipient", default="unnamed", metavar="NAME", help="whom it is for; the pack says so")
    made.add_argument("out", metavar="OUT.zip", type=Path)


def _report(options: argparse.Namespace) -> int:
    from gateway.audit import verify  # noqa: PLC0415
    from gateway.audit.evidence import open_evidence  # noqa: PLC0415
    from gateway.audit.report import Period, build  # noqa: PLC0415
    from gateway.audit.retention.handouts import hand_out  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415

    bundle = bundle_of(options)
    if options.out.exists():
        raise Unusable(f"{options.out}: exists already")
    keyring = Keyring.open(bundle.state / "keys", master=bundle.master_key)
    period = Period(_microseconds(options.start), _microseconds(options.end), options.recipient)
    try:
        with open_evidence(bundle.state, keyring, period.since, period.until) as evidence:
            now = time.time_ns() // 1000
            built = build(evidence, keyring, options.out, period, now, verify.show_progress)
            span = evidence.start, evidence.end
            hand_out(bundle.state, built.digest, span[1] - span[0], now, span, recipient=period.recipient)
    except (StoreFault, verify.NotVerified) as fault:
        raise Unusable(str(fault)) from None
    except OSError as error:
        raise Unusable(f"{options.out}: errno {error.errno}") from None
    say([built.sentence])
    if built.failed:
        complain(f"does not hold: {', '.join(built.failed)}; the pack says so, too")
        return DOES_NOT_HOLD
    return OK


def _microseconds(instant: datetime | None) -> int | None:
    return None if instant is None else round(instant.timestamp() * 1_000_000)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _keyring(options: argparse.Namespace, state: Path) -> Keyring:
    """The keys in the state itself, or those that the configuration keeps elsewhere."""
    if (state / "keys" / "master.keys").exists():
        return Keyring.open(state / "keys")
    return Keyring.open(state / "keys", master=bundle_of(options).master_key)


VERBS = (
    Verb(
        ("verify",),
        "check a log or an evidence pack, offline: fourteen assertions",
        "gateway verify evidence.zip --policy policy.txt",
        _verify,
        _verify_arguments,
    ),
    Verb(
        ("report",),
        "build the evidence pack of a period",
        "gateway report --from 2026-10-01 --to 2027-01-01 --recipient 'Example Auditors' evidence.zip",
        _report,
        _report_arguments,
    ),
)
