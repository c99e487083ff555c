"""`processors page` and `processors notices`: what customers are told of sub-processors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway.cli.table import Row, as_json, day, show
from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain, say, when
from gateway.config import Bundle
from gateway.disclosure.notices import Due, Sent, SentUnreadable, due, record_sent
from gateway.disclosure.page import feed, html, markdown, page
from gateway.disclosure.words import LANGUAGES, Language
from gateway.keys import sha256_hex


def _page_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--language", choices=LANGUAGES, default="en", help="default: en")
    made.add_argument("--format", choices=("html", "markdown", "feed"), default="html", help="default: html")
    made.add_argument("--out", type=Path, metavar="DIR", help="write every form in every language there instead")
    made.add_argument("--on", type=when, metavar="TIME", help="as it stood, or will stand, at a day or an instant")


def _page(options: argparse.Namespace) -> int:
    bundle, now = bundle_of(options), options.on or datetime.now(UTC)
    if options.out is None:
        sys.stdout.write(_written(bundle, now, options.language, options.format))
        return OK
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for language in LANGUAGES:
            for form, ending in (("html", "html"), ("markdown", "md"), ("feed", "json")):
                target = options.out / f"processors.{language}.{ending}"
                target.write_text(_written(bundle, now, language, form), encoding="utf-8")
                say([str(target)])
    except OSError:
        raise Unusable(f"{options.out}: cannot be written") from None
    return OK


def _written(bundle: Bundle, now: datetime, language: Language, form: str) -> str:
    if form == "feed":
        return feed(bundle, now, language).decode()
    shown = page(bundle, now, language)
    return html(shown) if form == "html" else markdown(shown)


def _notices_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--sent", metavar="NOTICE", help="record that this notice was sent to everybody concerned")
    made.add_argument("--document", type=Path, metavar="FILE", help="the notice as it was sent; with --sent")
    as_json(made)


def _notices(options: argparse.Namespace) -> int:
    bundle, now = bundle_of(options), datetime.now(UTC)
    if (options.sent is None) != (options.document is None):
        raise Unusable("--sent and --document go together")
    try:
        found = due(bundle, now)
        if options.sent is not None:
            return _record_sent(bundle, found, options, now)
    except SentUnreadable as fault:
        raise Unusable(str(fault)) from None
    show([_due_row(item, now, whole=options.json) for item in found], as_json=options.json, none="nobody need be told")
    late = [item for item in found if item.is_late(now)]
    for item in late:
        complain(f"{item.id} was to be sent by {item.by:%Y-%m-%d} and is not recorded as sent (--sent {item.id})")
    return DOES_NOT_HOLD if late else OK


def _due_row(item: Due, now: datetime, *, whole: bool) -> Row:
    first, last = min(item.effective.values()), max(item.effective.values())
    row: Row = {
        "notice": item.id,
        "what": item.what,
        "by": day(item.by),
        "effective": day(first) if first == last else f"{day(first)} to {day(last)}",
        "tenants": len(item.effective),
        "state": "sent" if item.sent is not None else "late" if item.is_late(now) else "to be sent",
    }
    return {**row, "effective_for": {name: day(at) for name, at in item.effective.items()}} if whole else row


def _record_sent(bundle: Bundle, found: Sequence[Due], options: argparse.Namespace, now: datetime) -> int:
    item = next((item for item in found if item.id == options.sent), None)
    if item is None:
        raise Unusable("no such notice is due; `gateway processors notices` lists them")
    try:
        document = sha256_hex(options.document.read_bytes())
    except OSError:
        raise Unusable(f"{options.document}: cannot be read") from None
    if item.document is not None and item.document != document:
        raise Unusable("this is not the document whose digest the configuration names for this notice")
    kind, name = item.id.split("/")[:2]
    sent = Sent(item.id, None if kind == "purpose" else name, document, len(item.effective), now)
    record_sent(bundle.state, sent)
    complain(f"recorded: {item.id}, to {sent.told} tenants; a running gateway puts it into the record within a minute")
    say([document])
    return OK


VERBS = (
    Verb(
        ("processors", "page"),
        "the public list for customers: HTML, Markdown and a JSON feed, in English and French",
        "gateway processors page --language fr --format markdown",
        _page,
        _page_arguments,
    ),
    Verb(
        ("processors", "notices"),
        "whom to tell what by when; --sent records that it was sent",
        "gateway processors notices --sent processor/openai-eu --document notice.pdf",
        _notices,
        _notices_arguments,
    ),
)
