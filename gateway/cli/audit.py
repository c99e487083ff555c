"""`audit`: the records of calls."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import orjson

from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain, say, when

FORMATS = ("ndjson", "csv", "ocsf", "otlp", "cef")

AT_ONCE = 1024

FOLLOW_SECONDS = 1.0
"""How often a follower looks: as often as there are checkpoints."""


def _audit_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "action",
        nargs="?",
        choices=("export", "reconcile"),
        help="export: every record in the signed log, for other tools; reconcile: our attempts against the usage that "
        "the providers of `usage:` report, by whole days (default: the last one that they have counted)",
    )
    made.add_argument("--format", choices=FORMATS, default="ndjson", help="of an export to standard output")
    made.add_argument("--after", type=int, metavar="INDEX", help="export: only what follows this index")
    made.add_argument(
        "--into",
        metavar="NAME",
        help="export: to this one of `collectors:`, as OTLP or as CEF over syslog; it goes on from where it was",
    )
    made.add_argument("--follow", action="store_true", help="export: go on as the log grows, until interrupted")
    made.add_argument("--from", dest="start", type=when, metavar="TIME", help="a day or an instant, included")
    made.add_argument("--to", dest="end", type=when, metavar="TIME", help="a day or an instant, not included")
    for name in ("tenant", "caller", "processor", "code", "call"):
        made.add_argument(f"--{name}", metavar=name.upper())
    made.add_argument("--decision", choices=("allow", "refuse"))
    made.add_argument("--kind", choices=("intent", "outcome", "refusal", "operator"))
    made.add_argument("--limit", type=int, metavar="N", help="at most N records")
    made.add_argument("--jsonl", action="store_true", help="one JSON object a line")


def _audit(options: argparse.Namespace) -> int:
    if options.action == "reconcile":
        return _reconcile(options)
    if options.action != "export":
        return _query(options)
    return _export(options) if options.into is None else _forward(options)


def _reconcile(options: argparse.Namespace) -> int:
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.errors import UpstreamError  # noqa: PLC0415
    from gateway.keys import Keyring  # noqa: PLC0415
    from gateway.reconciling import NotFetched, days_of, reconcile_all  # noqa: PLC0415

    bundle = bundle_of(options)
    keyring = Keyring.open(bundle.state / "keys", master=bundle.master_key)
    try:
        days = days_of(options.start, options.end, time.time())
        made = asyncio.run(reconcile_all(bundle, bundle.state, keyring, days, options.processor))
    except UpstreamError:
        raise Unusable("a credential of `usage:` cannot be read") from None
    except (StoreFault, NotFetched, ValueError) as fault:
        raise Unusable(str(fault)) from None
    for processor, each in made:
        say([f"{processor}: {'; '.join(each.differences) or 'agrees within tolerance'}"])
    return DOES_NOT_HOLD if any(each.differences for _processor, each in made) else OK


def _export(options: argparse.Namespace) -> int:
    from gateway.audit import export  # noqa: PLC0415
    from gateway.audit.cef import syslog  # noqa: PLC0415
    from gateway.audit.journal import now  # noqa: PLC0415
    from gateway.audit.otlp import otlp  # noqa: PLC0415
    from gateway.audit.retention.handouts import hand_out_daily  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.keys import Keyring  # noqa: PLC0415

    bundle = bundle_of(options)
    keyring = Keyring.open(bundle.state / "keys", master=bundle.master_key)
    line = {**export.FORMATS, "otlp": otlp, "cef": syslog}[options.format]
    following = 0 if options.after is None else options.after + 1
    if options.format == "csv" and following == 0:
        say([export.csv_head()])
    try:
        while True:
            found, _end = export.batch(bundle.state, keyring, following, AT_ONCE)
            if found:  # no file is open while whoever reads this takes it
                try:
                    hand_out_daily(bundle.state, following, now(), "standard output")
                except OSError as fault:
                    raise Unusable(f"that a copy leaves cannot be written down (errno {fault.errno})") from None
                say(map(line, found))
                following += len(found)
                continue
            sys.stdout.flush()
            if not options.follow:
                return OK
            time.sleep(FOLLOW_SECONDS)
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    except KeyboardInterrupt:
        return OK


def _forward(options: argparse.Namespace) -> int:
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.collectors import NotTaken  # noqa: PLC0415
    from gateway.forwarding import forward  # noqa: PLC0415

    bundle, name = bundle_of(options), options.into
    named = next((item for item in bundle.settings.collectors if item.name == name), None)
    if named is None:
        raise Unusable("`collectors:` of gateway.yaml names no such one")
    try:
        asyncio.run(
            forward(
                bundle, named, follow=options.follow, after=options.after, tell=lambda line: complain(f"{name}: {line}")
            )
        )
    except BlockingIOError:
        raise Unusable(f"{name}: another process sends there already") from None
    except NotTaken as fault:
        complain(f"{name}: {fault}")
        return DOES_NOT_HOLD
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    except OSError as fault:
        raise Unusable(f"{name}: a file that it needs cannot be used (errno {fault.errno})") from None
    except KeyboardInterrupt:
        return OK
    return OK


def _query(options: argparse.Namespace) -> int:
    from gateway.audit.reader import Filters, query, table_line  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.keys import Keyring  # noqa: PLC0415

    bundle = bundle_of(options)
    names = ("start", "end", "tenant", "caller", "processor", "decision", "code", "kind", "call", "limit")
    filters = Filters(**{name: getattr(options, name) for name in names})
    try:
        key = Keyring.open(bundle.state / "keys", master=bundle.master_key).journal_key()
        for line in query(bundle.state / "journal", key, filters):
            say([orjson.dumps(line).decode() if options.jsonl else table_line(line)])
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    except ValueError:
        raise Unusable("a filter is no value that a record can have") from None
    return OK


VERBS = (
    Verb(
        ("audit",),
        "the records of calls, oldest first",
        "gateway audit --from 2026-11-01 --tenant t-4f1c --decision refuse --jsonl",
        _audit,
        _audit_arguments,
    ),
)
