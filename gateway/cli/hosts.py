"""`hosts`: those that make one log together, and one that is lost."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import cast

from gateway.cli.table import Row, as_json, day, show
from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain

_LOOK_SECONDS = 0.2


def _arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "host", metavar="HOST", help="as `replicas.carriage.host` names it; at the host that keeps the log"
    )
    made.add_argument("--boot", default="", metavar="DIGITS", help="which boot is meant, where the record cannot tell")
    made.add_argument("--though-heard", action="store_true", help="though something of it came a moment ago")
    made.add_argument("--wait", type=float, default=60.0, metavar="SECONDS", help="for the gateway; default: 60")
    as_json(made)


def _lost(options: argparse.Namespace) -> int:
    from gateway.losing import answer, ask  # noqa: PLC0415

    state = bundle_of(options).state
    try:
        number = ask(state, options.host, options.boot, though_heard=options.though_heard)
    except OSError:
        raise Unusable(f"{state}: cannot be written") from None
    until = monotonic() + options.wait
    while (found := answer(state, number)) is None:
        if monotonic() > until:
            raise Unusable("no running gateway that keeps the log of several hosts took it up in this state")
        sleep(_LOOK_SECONDS)
    if "refused" in found:
        complain(f"{options.host}: {found['refused']}")
        return DOES_NOT_HOLD
    rows = cast("list[Row]", found["journals"])
    for row in rows:
        row["last"] = day(datetime.fromtimestamp(cast(int, row["last"]) / 1_000_000, UTC))
    show(rows, as_json=options.json, none=f"{options.host} had been given up before")
    return OK


VERBS = (
    Verb(
        ("hosts", "lost"),
        "declare a host lost: its open calls end as indeterminate, a gap says so, nothing of it is taken any more",
        "gateway hosts lost eu-2",
        _lost,
        _arguments,
    ),
)
