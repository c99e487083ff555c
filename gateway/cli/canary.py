"""`canary`: the controls, proved by trial in the running gateway; the test by which a new entry is accepted."""

from __future__ import annotations

import argparse
from time import monotonic, sleep
from typing import cast

from gateway.cli.table import Row, as_json, show
from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of

_LOOK_SECONDS = 0.2


def _arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("processors", nargs="*", metavar="ID", help="only these entries, drafts too; default: all in use")
    made.add_argument("--wait", type=float, default=300.0, metavar="SECONDS", help="for the gateway; default: 300")
    as_json(made)


def _canary(options: argparse.Namespace) -> int:
    from gateway.canary.canary import answer, ask  # noqa: PLC0415

    bundle = bundle_of(options)
    for name in options.processors:
        if name not in bundle.registry.entries:
            raise Unusable(f"{name}: there is no such entry")
    try:
        number = ask(bundle.state, options.processors)
    except OSError:
        raise Unusable(f"{bundle.state}: cannot be written") from None
    until = monotonic() + options.wait
    while (found := answer(bundle.state, number)) is None:
        if monotonic() > until:
            raise Unusable("no running gateway of this state took it up; start it, or wait longer")
        sleep(_LOOK_SECONDS)
    rows = cast("list[Row]", found)
    show(rows, as_json=options.json, none="nothing was tried: the gateway could not, or has no such entry in force")
    return OK if rows and all(row["verdict"] == "pass" for row in rows) else DOES_NOT_HOLD


VERBS = (
    Verb(
        ("canary",),
        "prove the controls by trial through every route of the running gateway; exit 1 unless every one holds",
        "gateway canary openai-ca --json",
        _canary,
        _arguments,
    ),
)
