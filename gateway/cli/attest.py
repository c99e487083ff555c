"""`attest`: the providers' own settings, read back now; what it reads, the running gateway takes over and records."""

from __future__ import annotations

import argparse
import asyncio
from time import time_ns

from gateway.cli.table import Row, as_json, show
from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain
from gateway.config import Bundle
from gateway.policy.entries import Entry


def _arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("processors", nargs="*", metavar="ID", help="only these entries, drafts too; default: all")
    made.add_argument("--probe", action="store_true", help="also try what is kept of a constant text (a minute or two)")
    made.add_argument(
        "--lift", metavar="ID", help="let an entry whose answers showed retention take traffic again; reads nothing"
    )
    as_json(made)


def _attest(options: argparse.Namespace) -> int:
    bundle = bundle_of(options)
    entries = bundle.registry.entries
    for name in (*options.processors, *filter(None, [options.lift])):
        if name not in entries:
            raise Unusable(f"{name}: there is no such entry")
    if options.lift:
        return _lift(bundle, entries[options.lift])
    chosen = [
        entry
        for entry in entries.values()
        if entry.form.read_back and (entry.id in options.processors if options.processors else not entry.is_example)
    ]
    silent = set(options.processors) - {entry.id for entry in chosen}
    if silent:
        raise Unusable(f"{', '.join(sorted(silent))}: names no read_back, so it rests on its agreement alone")
    rows = asyncio.run(_read(bundle, chosen, probe=options.probe))
    show(rows, as_json=options.json, none="no entry names a read_back: all rest on their agreements alone")
    return OK if all(row["verdict"] == "pass" for row in rows) else DOES_NOT_HOLD


async def _read(bundle: Bundle, chosen: list[Entry], *, probe: bool) -> list[Row]:
    from gateway.attest.methods import Means, probe_storage, read_settings  # noqa: PLC0415  # seconds
    from gateway.attest.standing import Asked, mark  # noqa: PLC0415

    roots = bundle.settings.upstream.authorities
    means = Means(bundle.secret, None if roots is None else bundle.path(roots))
    read = await asyncio.gather(*(read_settings(entry, means) for entry in chosen))
    made = [("reading", entry, reading) for entry, reading in zip(chosen, read, strict=True)]
    if probe:
        probed = [entry for entry in chosen if entry.form.read_back and entry.form.read_back.probe]
        found = await asyncio.gather(*(probe_storage(entry, means) for entry in probed))
        made += [("probe", entry, reading) for entry, reading in zip(probed, found, strict=True)]
    for what, entry, reading in made:
        _leave(bundle, Asked(what, mark(entry), reading))
    return [
        {
            "processor": entry.id,
            "what": what,
            "verdict": reading.verdict.value,
            "said": [f"{setting}={word}" for setting, word in sorted(reading.said.items())],
            "wrong": [*map(str, reading.wrong)],
        }
        for what, entry, reading in made
    ]


def _lift(bundle: Bundle, entry: Entry) -> int:
    from gateway.attest.standing import Asked, mark  # noqa: PLC0415
    from gateway.attest.verdicts import Reading  # noqa: PLC0415

    _leave(bundle, Asked("lift", mark(entry), Reading(entry.id, time_ns() // 1000, {})))
    complain(f"{entry.id}: the running gateway takes this over, and records it, within a second")
    return OK


def _leave(bundle: Bundle, asked: object) -> None:
    from gateway.attest.standing import Asked, ask  # noqa: PLC0415

    assert isinstance(asked, Asked)  # noqa: S101  # of ours
    try:
        ask(bundle.state, asked)
    except OSError:
        raise Unusable(f"{bundle.state}: cannot be written, so what was read cannot be recorded") from None


VERBS = (
    Verb(
        ("attest",),
        "read the providers' own retention settings back; exit 1 unless every one reads as agreed",
        "gateway attest openai-eu --json",
        _attest,
        _arguments,
    ),
)
