"""`processors`: the sub-processor registry, and the questions that auditors and incident teams ask of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from time import time_ns

from gateway.cli.table import Row, as_json, day, show
from gateway.cli.verb import OK, Unusable, Verb, bundle_of, complain, say, when
from gateway.config import Bundle
from gateway.config.drafting import NotDrafted, draft, evidence
from gateway.keys import sha256_hex
from gateway.policy.editor import processor_schema
from gateway.policy.entries import Entry
from gateway.policy.forms import instant
from gateway.policy.rules import Conditional
from gateway.suspensions import Suspensions, SuspensionsUnreadable
from providers import PROVIDERS

# --- new ----------------------------------------------------------------------------------------------


def _new_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--wire", required=True, choices=sorted(PROVIDERS), help="the protocol that it speaks")
    made.add_argument("--id", metavar="ID", help="the name of the file and of the entry (default: WIRE-draft)")


def _new(options: argparse.Namespace) -> int:
    bundle = bundle_of(options)
    entry_id = options.id or f"{options.wire}-draft"
    if not entry_id.isascii() or not _is_id(entry_id):
        raise Unusable("--id is lower-case letters, digits, - and _")
    surface = bundle.surfaces[options.wire]
    granted = surface.operations
    operations = [
        operation.name
        for operation in PROVIDERS[options.wire].operations
        if not operation.answered_here
        and operation.name in granted
        and not isinstance(granted[operation.name], Conditional)
    ]
    try:
        needed = {trait for name in operations for trait in surface.traits_needed.get(name, ())}
        traits = {trait: surface.traits[trait] for trait in needed}
        path = draft(bundle.directory, entry_id, options.wire, operations, bundle.settings.notice_days, traits)
    except NotDrafted as fault:
        raise Unusable(str(fault)) from None
    complain(f"{path}: a draft, which takes no traffic. The evidence that is still missing:")
    say(f"- {line}" for line in evidence(bundle_of(options).registry.entries[entry_id]))
    return OK


def _is_id(text: str) -> bool:
    return (
        len(text) <= 63
        and text[:1].isalnum()
        and text == text.lower()
        and text.replace("-", "").replace("_", "").isalnum()
    )


def _schema(options: argparse.Namespace) -> int:
    del options
    say([processor_schema().decode().rstrip("\n")])
    return OK


# --- list ---------------------------------------------------------------------------------------------


def _list_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--on", type=when, metavar="TIME", help="as it stood, or will stand, at a day or an instant")
    as_json(made)


def _list(options: argparse.Namespace) -> int:
    today = datetime.now(UTC)
    on = options.on or today
    entries = _entries_then(options, on) if on < today else bundle_of(options).registry.entries.values()
    show([_row(entry, on) for entry in entries], as_json=options.json, none="nothing was in force")
    return OK


def _entries_then(options: argparse.Namespace, on: datetime) -> Iterable[Entry]:
    """The entries of the configuration that was in force at a past instant, as the record and the state have it.

    Raises:
        Unusable: the record, or the configuration, cannot be read: today's files must not pass for those of that day.
    """
    from gateway.audit.configurations import kept_configuration  # noqa: PLC0415
    from gateway.audit.exposure import in_force_at  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.change.snapshot import NotASnapshot, snapshot  # noqa: PLC0415
    from gateway.keys import Keyring  # noqa: PLC0415

    bundle = bundle_of(options)
    if not (bundle.state / "journal").exists():
        complain("no gateway ever ran with this state, so nothing was in force")
        return []
    try:
        key = Keyring.open(bundle.state / "keys", master=bundle.master_key).journal_key()
        found = in_force_at(bundle.state / "journal", key, on)
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    if found is None:
        complain("no gateway had been started with this state by then, so nothing was in force")
        return []
    kept = kept_configuration(bundle.state / "log", found)
    if kept is None or sha256_hex(kept) != found:
        raise Unusable(f"the configuration {found[:16]}, in force then, is not in the state")
    try:
        entries = snapshot(kept, PROVIDERS).entries
    except NotASnapshot as fault:
        raise Unusable(f"the configuration {found[:16]}: {fault}") from None
    complain(f"by the configuration {found[:16]}, which was in force then")
    return entries.values()


def _row(entry: Entry, now: datetime) -> Row:
    agreement = entry.agreement(now)
    zero = [model.id for model in entry.form.models if model.retention_class == "zero"]
    return {
        "processor": entry.id,
        "state": entry.state(now).value,
        "legal_entity": entry.form.legal_entity.name,
        "agreement": None if agreement is None else agreement.id,
        "countries": list(_countries(entry, now)),
        "models": len(zero),
        "ends": day(entry.ends(now)),
        "missing": len(entry.missing),
    }


def _countries(entry: Entry, now: datetime) -> Iterable[str]:
    """As they are written, so that a set keeps its name."""
    form = entry.form.countries
    added = [
        name for item in form.added if item.effective is not None and item.effective <= now for name in item.countries
    ]
    return dict.fromkeys([*form.processing, *form.storage, *added])


# --- lapsing ------------------------------------------------------------------------------------------


def _lapsing_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--from", dest="start", type=when, metavar="TIME", help="default: now")
    made.add_argument("--to", dest="end", type=when, metavar="TIME", help="default: the end of the quarter")
    as_json(made)


def _lapsing(options: argparse.Namespace) -> int:
    bundle = bundle_of(options)
    start = options.start or datetime.now(UTC)
    end = options.end or quarter_end(start)
    none = f"nothing lapses before {end:%Y-%m-%d}"
    show(lapsing(bundle, start, end), as_json=options.json, none=none)
    return OK


def quarter_end(at: datetime) -> datetime:
    """The first instant of the next quarter of the calendar."""
    month = (at.month - 1) // 3 * 3 + 4
    return instant(f"{at.year + month // 13:04}-{(month - 1) % 12 + 1:02}-01")


def lapsing(bundle: Bundle, start: datetime, end: datetime) -> list[Row]:
    """What ends in [start, end), in order: agreements, transfer bases, exemptions, reviews. Examples are left out."""
    found: list[tuple[datetime, Row]] = []
    for entry in bundle.registry.entries.values():
        if entry.is_example:
            continue
        form = entry.form
        dated = [(item.valid_until, "agreement", item.id, list(map(str, item.kinds))) for item in form.agreements]
        dated += [(item.valid_until, "transfer", item.reference, [item.law, item.mechanism]) for item in form.transfers]
        dated += [(item.valid_until, "exemption", item.contract, [item.tenant]) for item in form.exemptions]
        dated.append((form.review_by, "review", "review_by", []))
        for until, what, name, of in dated:
            if until is not None and start <= until < end:
                renewed = what == "agreement" and entry.agreement(until) is not None
                row: Row = {"ends": day(until), "processor": entry.id, "what": what, "name": name, "of": [*of]}
                found.append((until, {**row, "renewed": "yes" if renewed else "no"}))
    return [row for _until, row in sorted(found, key=lambda item: (item[0], str(item[1]["processor"])))]


# --- served -------------------------------------------------------------------------------------------


def _served_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("processor", metavar="ID", help="an entry, of today or of the past")
    made.add_argument("--from", dest="start", type=when, required=True, metavar="TIME", help="included")
    made.add_argument("--to", dest="end", type=when, required=True, metavar="TIME", help="not included")
    made.add_argument("--calls", action="store_true", help="the ids of the calls, too; with --json")
    as_json(made)


def _served(options: argparse.Namespace) -> int:
    from gateway.audit.exposure import served  # noqa: PLC0415
    from gateway.audit.reader import rfc3339  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.keys import Keyring  # noqa: PLC0415

    if options.calls and not options.json:
        raise Unusable("--calls needs --json")
    bundle = bundle_of(options)
    try:
        key = Keyring.open(bundle.state / "keys", master=bundle.master_key).journal_key()
        found = served(
            bundle.state / "journal", key, options.processor, options.start, options.end, calls=options.calls
        )
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    rows: list[Row] = [
        {
            "tenant": item.tenant,
            "calls": item.attempts,
            "first": rfc3339(item.first),
            "last": rfc3339(item.last),
            "countries": [*sorted(item.countries)],
            "models": [*sorted(item.models)],
            "agreements": [*sorted(item.agreements)],
            **({"call_ids": [*item.calls]} if options.calls else {}),
        }
        for item in found
    ]
    show(rows, as_json=options.json, none=f"{options.processor} served nobody in this period")
    total = sum(item.attempts for item in found)
    countries = " ".join(sorted(set().union(*(item.countries for item in found)))) or "none"
    complain(f"{total} calls of {len(found)} tenants; countries: {countries}")
    return OK


# --- suspend ------------------------------------------------------------------------------------------


def _suspend_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("processor", metavar="ID", help="the entry")


def _say(options: argparse.Namespace, *, suspended: bool) -> int:
    bundle = bundle_of(options)
    if options.processor not in bundle.registry.entries:
        raise Unusable("processors/ has no entry of this name")
    try:
        Suspensions(bundle.state).say(options.processor, suspended=suspended, now=time_ns() // 1000)
    except (SuspensionsUnreadable, OSError) as fault:
        raise Unusable(
            str(fault) if isinstance(fault, SuspensionsUnreadable) else "the state cannot be written"
        ) from None
    return OK


def _suspend(options: argparse.Namespace) -> int:
    said = _say(options, suspended=True)
    complain(
        f"{options.processor} takes no call from within a second on, here and at every replica that shares a Redis"
    )
    return said


def _resume(options: argparse.Namespace) -> int:
    said = _say(options, suspended=False)
    complain(f"{options.processor} serves again where its entry lets it; replicas without `carriage` each resume it")
    return said


VERBS = (
    Verb(
        ("processors", "list"),
        "the registry: what is in force now, or was or will be on a date",
        "gateway processors list --on 2026-12-24 --json",
        _list,
        _list_arguments,
    ),
    Verb(
        ("processors", "new"),
        "write a draft of an entry and list the evidence that is still missing",
        "gateway processors new --wire openai --id openai-ca",
        _new,
        _new_arguments,
    ),
    Verb(
        ("processors", "suspend"),
        "take an entry out of service by hand, at once and everywhere, until it is resumed",
        "gateway processors suspend openai-eu",
        _suspend,
        _suspend_arguments,
    ),
    Verb(
        ("processors", "resume"),
        "let an entry that was suspended by hand serve again",
        "gateway processors resume openai-eu",
        _resume,
        _suspend_arguments,
    ),
    Verb(
        ("processors", "schema"),
        "the JSON Schema of an entry, for editors: what config/processor.schema.json holds",
        "gateway processors schema",
        _schema,
    ),
    Verb(
        ("processors", "lapsing"),
        "which agreements, transfer bases, exemptions and reviews end this quarter",
        "gateway processors lapsing --to 2027-01-01",
        _lapsing,
        _lapsing_arguments,
    ),
    Verb(
        ("processors", "served"),
        "which tenants, calls and countries a processor served in a period: the list after a provider's breach",
        "gateway processors served openai-eu --from 2026-11-22 --to 2026-11-25T03:00:00Z",
        _served,
        _served_arguments,
    ),
)
