"""`canary`: the controls, proved by trial in the running gateway or apart; the test that accepts a new entry."""

from __future__ import annotations

import argparse
import asyncio
from time import monotonic, sleep
from typing import cast

from gateway.cli.table import Row, as_json, show
from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of
from gateway.config import Bundle

_LOOK_SECONDS = 0.2


def _arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("processors", nargs="*", metavar="ID", help="only these entries, drafts too; default: all in use")
    made.add_argument("--wait", type=float, default=300.0, metavar="SECONDS", help="for the gateway; default: 300")
    made.add_argument(
        "--apart",
        action="store_true",
        help="without a running gateway: this configuration, in a process of its own; stops nothing, records nothing",
    )
    as_json(made)


def _canary(options: argparse.Namespace) -> int:
    bundle = bundle_of(options)
    for name in options.processors:
        if name not in bundle.registry.entries:
            raise Unusable(f"{name}: there is no such entry")
    found = _apart(bundle, options.processors) if options.apart else _asked(bundle, options.processors, options.wait)
    rows = cast("list[Row]", found)
    show(rows, as_json=options.json, none="nothing was tried: the gateway could not, or has no such entry in force")
    return OK if rows and all(row["verdict"] == "pass" for row in rows) else DOES_NOT_HOLD


def _asked(bundle: Bundle, processors: list[str], seconds: float) -> list[dict[str, object]]:
    """What the running gateway found."""
    from gateway.canary.canary import answer, ask  # noqa: PLC0415

    try:
        number = ask(bundle.state, processors)
    except OSError:
        raise Unusable(f"{bundle.state}: cannot be written") from None
    until = monotonic() + seconds
    while (found := answer(bundle.state, number)) is None:
        if monotonic() > until:
            raise Unusable("no running gateway of this state took it up; start it, wait longer, or try it --apart")
        sleep(_LOOK_SECONDS)
    return found


def _apart(bundle: Bundle, processors: list[str]) -> list[dict[str, object]]:
    """What a round in this process finds."""
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.canary.apart import play_apart  # noqa: PLC0415
    from gateway.canary.canary import shown  # noqa: PLC0415
    from gateway.errors import Unavailable  # noqa: PLC0415
    from gateway.listener import ListenerError  # noqa: PLC0415

    chosen = [bundle.registry.entries[name] for name in processors] or None
    try:
        return [shown(result) for result in asyncio.run(play_apart(bundle, chosen))]
    except (OSError, StoreFault, ListenerError, Unavailable):
        raise Unusable(
            "not played: it needs a temporary folder, a port on loopback, and a redactor that starts"
        ) from None


VERBS = (
    Verb(
        ("canary",),
        "prove the controls by trial through every route of the running gateway; exit 1 unless every one holds",
        "gateway canary openai-ca --json",
        _canary,
        _arguments,
    ),
)
