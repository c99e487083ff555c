"""The public page: one description of the list, written as HTML, Markdown and a JSON feed, in English and French.

The HTML needs no script, style sheet or image, names its language, and marks what an operator wrote in English as
such, so that a screen reader reads it in the right voice (WCAG 2.2, 3.1.1 and 3.1.2). Tables have captions and scopes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape

import orjson

from gateway.config import Bundle
from gateway.disclosure.events import Event, Happening, events, listed
from gateway.disclosure.words import Language, country, word
from gateway.policy.entries import Entry


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and what stands beside it; `written` is in the operator's own words, which are English."""

    label: str
    values: tuple[str, ...]
    written: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One sub-processor."""

    anchor: str
    heading: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole list, in one language."""

    language: Language
    title: str
    dated: str
    intro: str
    sections: tuple[Section, ...]
    purposes: tuple[tuple[str, str, str, str], ...]
    changes: tuple[tuple[str, str], ...]


def page(bundle: Bundle, now: datetime, language: Language) -> Page:
    """The public list at `now`."""
    names = {entry.id: _name(entry) for entry in bundle.registry.entries.values()}
    return Page(
        language=language,
        title=word("title", language),
        dated=f"{word('dated', language)} {_day(now)}",
        intro=word("intro", language, days=bundle.settings.notice_days),
        sections=tuple(
            Section(entry.id, _name(entry), tuple(_facts(entry, now, language))) for entry in listed(bundle, now)
        ),
        purposes=tuple(
            (
                purpose.id,
                word(purpose.form.policy, language),
                word(purpose.form.lawful_basis, language),
                _day(purpose.form.notice.effective) if purpose.form.notice.effective is not None else "",
            )
            for purpose in bundle.purposes.values()
            if purpose.form.notice.announced is not None and purpose.form.notice.announced <= now
        ),
        changes=tuple((_day(event.at), _change(event, names, language)) for event in events(bundle, now)),
    )


def feed(bundle: Bundle, now: datetime, language: Language) -> bytes:
    """The change log as a JSON Feed (jsonfeed.org, version 1.1). An item's id never changes."""
    names = {entry.id: _name(entry) for entry in bundle.registry.entries.values()}
    items = [
        {
            "id": event.id,
            "date_published": f"{event.at:%Y-%m-%dT%H:%M:%SZ}",
            "title": _change(event, names, language),
            "content_text": _change(event, names, language),
        }
        for event in events(bundle, now)
    ]
    document = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": word("title", language),
        "language": language,
        "items": items,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def markdown(shown: Page) -> str:
    """The page as Markdown (CommonMark, with tables)."""
    language = shown.language
    lines = [f"# {_plain(shown.title)}", "", _plain(shown.dated), "", _plain(shown.intro), ""]
    if not shown.sections:
        lines += [word("none", language), ""]
    for section in shown.sections:
        lines += [f"## {_plain(section.heading)}", ""]
        for fact in section.facts:
            if len(fact.values) > 1:
                lines += [f"- **{fact.label}**:", *(f"  - {_plain(value)}" for value in fact.values)]
            else:
                lines.append(f"- **{fact.label}**: {_plain(fact.values[0])}")
        lines.append("")
    lines += [f"## {word('purposes', language)}", "", *_rows(_purpose_head(language), shown.purposes), ""]
    lines += [f"## {word('changes', language)}", "", *_rows(_change_head(language), shown.changes)]
    return "\n".join(lines) + "\n"


def html(shown: Page) -> str:
    """The page as HTML."""
    language = shown.language
    body = [f"<h1>{escape(shown.title)}</h1>", f"<p>{escape(shown.dated)}</p>", f"<p>{escape(shown.intro)}</p>"]
    if not shown.sections:
        body.append(f"<p>{escape(word('none', language))}</p>")
    for section in shown.sections:
        body.append(f'<section aria-labelledby="{escape(section.anchor)}">')
        body.append(f'<h2 id="{escape(section.anchor)}">{escape(section.heading)}</h2>')
        body.append("<dl>")
        for fact in section.facts:
            spoken = ' lang="en"' if fact.written and language != "en" else ""
            body.append(f"<dt>{escape(fact.label)}</dt>")
            body += [f"<dd{spoken}>{escape(value)}</dd>" for value in fact.values]
        body += ["</dl>", "</section>"]
    body += _table(word("purposes", language), _purpose_head(language), shown.purposes)
    body += _table(word("changes", language), _change_head(language), shown.changes)
    inner = "\n".join(body)
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(shown.title)}</title>\n</head>\n<body>\n"
        f'<a href="#list">{escape(word("skip", language))}</a>\n<main id="list">\n{inner}\n</main>\n</body>\n</html>\n'
    )


# --- what is told of one entry ------------------------------------------------------------------------


def _facts(entry: Entry, now: datetime, language: Language) -> Iterator[Fact]:
    form = entry.form

    def label(key: str) -> str:
        return word(key, language)

    state = entry.state(now)
    yield Fact(label("state"), (word(f"state.{state.value}", language),))
    yield Fact(label("address"), (f"{form.legal_entity.address} ({country(form.legal_entity.country, language)})",))
    yield Fact(label("contact"), (form.legal_entity.contact,))
    if form.service is not None:
        own = form.service if form.french is None or language == "en" else form.french.service
        yield Fact(label("service"), (own,), _is_written(entry, language))
    for key, values in (("data", form.data_categories), ("subjects", form.data_subjects)):
        if values:
            yield Fact(label(key), values, written=True)
    yield Fact(label("processing"), tuple(_processing(entry, now, language)))
    storage = ", ".join(country(name, language) for name in form.countries.storage)
    yield Fact(label("storage"), (storage or label("no_storage"),))
    zero = ", ".join(model.id for model in form.models if model.retention_class == "zero")
    yield Fact(label("models"), (zero or "-",))
    transfers = tuple(
        f"{word(f'law.{item.law}', language)}: {word(item.mechanism, language)}"
        for item in form.transfers
        if item.holds(now)
    )
    yield Fact(label("transfers"), transfers or (label("no_transfers"),))
    yield Fact(label("agreement"), (_agreement(entry, now, language),))
    kept = form.carve_outs if form.french is None or language == "en" else form.french.carve_outs
    yield Fact(label("kept"), kept, _is_written(entry, language))
    yield from _dates(entry, language)
    if form.upstream_subprocessors is not None:
        yield Fact(label("upstream"), (form.upstream_subprocessors,))
    for item in form.exemptions:  # without the tenant, who is nobody's business
        if item.valid_from is not None and item.valid_until is not None and item.valid_from <= now:
            span = {"start": _day(item.valid_from), "end": _day(item.valid_until), "why": item.reason}
            yield Fact(label("emergency"), (word("emergencies", language, **span),))


def _dates(entry: Entry, language: Language) -> Iterator[Fact]:
    notice = entry.form.notice
    for key, at in (("announced", notice.announced), ("effective", notice.effective)):
        if at is not None:
            yield Fact(word(key, language), (_day(at),))


def _processing(entry: Entry, now: datetime, language: Language) -> Iterator[str]:
    names = list(entry.form.countries.processing)
    to_come: list[str] = []
    for item in entry.form.countries.added:
        if item.effective is None or item.announced is None or item.announced > now:
            continue
        if item.effective <= now:
            names += item.countries
        else:
            told = ", ".join(country(name, language) for name in item.countries)
            to_come.append(f"{word('to_come', language, date=_day(item.effective))} {told}")
    yield ", ".join(country(name, language) for name in dict.fromkeys(names))
    yield from to_come


def _agreement(entry: Entry, now: datetime, language: Language) -> str:
    agreement = entry.agreement(now)
    if agreement is None or agreement.valid_until is None:
        return word("not_in_force", language)
    return word("in_force", language, date=_day(agreement.valid_until))


def _is_written(entry: Entry, language: Language) -> bool:
    return entry.form.french is None or language == "en"


def _change(event: Event, names: dict[str, str], language: Language) -> str:
    countries = ", ".join(country(name, language) for name in event.countries)
    is_purpose = event.happening in {Happening.PURPOSE_ANNOUNCED, Happening.PURPOSE_EFFECTIVE}
    name = event.subject if is_purpose else names[event.subject]
    return word(f"event.{event.happening}", language, name=name, countries=countries)


def _name(entry: Entry) -> str:
    return f"{entry.form.legal_entity.name} ({entry.id})"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


# --- forms of writing ---------------------------------------------------------------------------------

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>#|&"})


def _plain(text: str) -> str:
    """Text that Markdown reads as text."""
    return text.translate(_SPECIAL)


def _purpose_head(language: Language) -> tuple[str, ...]:
    return tuple(word(key, language) for key in ("purpose", "policy", "basis", "effective"))


def _change_head(language: Language) -> tuple[str, ...]:
    return tuple(word(key, language) for key in ("date", "change"))


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(_plain, row))} |"


def _table(caption: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"<table>\n<caption>{escape(caption)}</caption>"
    yield "<thead><tr>" + "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head) + "</tr></thead>\n<tbody>"
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        yield f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'
    yield "</tbody>\n</table>"
