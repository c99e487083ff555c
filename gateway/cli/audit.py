"""`audit`: the records of calls."""

from __future__ import annotations

import argparse

import orjson

from gateway.cli.verb import OK, Unusable, Verb, bundle_of, say, when


def _audit_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--from", dest="start", type=when, metavar="TIME", help="a day or an instant, included")
    made.add_argument("--to", dest="end", type=when, metavar="TIME", help="a day or an instant, not included")
    for name in ("tenant", "caller", "processor", "code", "call"):
        made.add_argument(f"--{name}", metavar=name.upper())
    made.add_argument("--decision", choices=("allow", "refuse"))
    made.add_argument("--kind", choices=("intent", "outcome", "refusal", "operator"))
    made.add_argument("--limit", type=int, metavar="N", help="at most N records")
    made.add_argument("--jsonl", action="store_true", help="one JSON object a line")


def _audit(options: argparse.Namespace) -> int:
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
