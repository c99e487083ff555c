"""The public page: what is enforced, said in two languages, to everybody, and nothing that is nobody's business."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import orjson
import pytest

from gateway.config import Bundle
from gateway.disclosure.events import Happening, events, listed
from gateway.disclosure.page import feed, html, markdown, page
from gateway.disclosure.words import LANGUAGES, WORDS, Language
from gateway.policy.countries import NAMED
from gateway.policy.entries import State
from gateway.policy.purposes import LawfulBasis, PolicyPurpose
from gateway.policy.transfers import Law, Mechanism
from tests.gateway.config.small import NOW, read, write
from tests.gateway.disclosure.changing import CHANGING


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write(tmp_path, **CHANGING))


class Outline(HTMLParser):
    """What a screen reader is told: language, headings, tables and whether every element is closed."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def everything(bundle: Bundle, now: datetime = NOW) -> str:
    shown = [page(bundle, now, language) for language in LANGUAGES]
    feeds = [feed(bundle, now, language).decode() for language in LANGUAGES]
    return "\n".join([*map(html, shown), *map(markdown, shown), *feeds])


def test_it_lists_what_was_announced(bundle: Bundle) -> None:
    """Announced entries are listed, those to come and drafts are not, in no form."""
    assert [entry.id for entry in listed(bundle, NOW)] == ["toy-eu", "toy-us"]
    assert "toy-soon" not in everything(bundle)
    assert "Secret Plans" not in everything(bundle)
    assert "toy-soon" in everything(bundle, datetime(2026, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize("form", [html, markdown], ids=["HTML", "Markdown"])
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Sub-processors", "As of 2026-11-25", "in use", "announced, not in use yet", "Germany, France", "from 2026-12-20 on also Switzerland", "in force until 2027-01-01", "an outage elsewhere", "Summaries of calls", "standard contractual clauses", "toy-large", "30 days"]),
        ("fr", ["Sous-traitants", "Situation au 2026-11-25", "annoncé, pas encore utilisé", "Allemagne, France", "à partir du 2026-12-20 également Suisse", "en vigueur jusqu", "Résumés d", "Les images signalées sont conservées.", "clauses contractuelles types", "30 jours"]),
    ],
    ids=["English", "French"],
)  # fmt: skip
def test_it_says_what_customers_must_know(bundle: Bundle, form: object, language: Language, words: list[str]) -> None:
    """State, countries now and to come, agreement, basis of transfer, carve-outs, emergencies and dates are all there."""
    said = form(page(bundle, NOW, language))  # type: ignore[operator]

    for expected in words:
        assert expected in said


def test_an_emergency_does_not_say_whose(bundle: Bundle) -> None:
    """The exemption is shown, the tenant is not, nor any other tenant's id, caller or credential."""
    said = everything(bundle)

    assert "an outage elsewhere" in said
    for private in ("t-ca", "t-eu", "addendum 7", "TOY_KEY", "Grace", "service:"):
        assert private not in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_html_is_accessible(bundle: Bundle, language: Language) -> None:
    """It names its language, has one title and headings in order, captions, scopes, a way past the top, and no script."""
    text = html(page(bundle, NOW, language))
    outline = Outline(text)
    tags = [tag for tag, _attributes in outline.attributes]

    assert outline.open == []
    assert ("html", {"lang": language}) in outline.attributes
    assert outline.headings == ["h1", "h2", "h2"]
    assert tags.count("table") == tags.count("caption") == 2
    assert all("scope" in attributes for tag, attributes in outline.attributes if tag == "th")
    assert ("a", {"href": "#list"}) in outline.attributes
    assert ("main", {"id": "list"}) in outline.attributes
    assert not {"script", "style", "img", "link"} & set(tags)
    ids = [attributes["id"] for _tag, attributes in outline.attributes if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["aria-labelledby"] for tag, attributes in outline.attributes if tag == "section"} <= set(ids)


def test_the_operators_own_words_are_marked_as_english(bundle: Bundle) -> None:
    """On the French page what has no translation is read in an English voice; what has one is not."""
    text = html(page(bundle, NOW, "fr"))

    assert '<dd lang="en">Flagged images are kept, *always* &amp; &lt;everywhere&gt;.</dd>' in text
    assert "<dd>Les images signalées sont conservées.</dd>" in text


def test_what_an_operator_writes_is_text(bundle: Bundle) -> None:
    """Marks of HTML and Markdown in a name or a carve-out do not become structure."""
    shown = page(bundle, NOW, "en")

    assert "<b>" not in html(shown)
    assert "Toy Inc \\| \\<b\\>bold\\</b\\>" in markdown(shown)
    tables = [line for line in markdown(shown).splitlines() if line.startswith("| 20")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {3}


def test_the_change_log_is_derived(bundle: Bundle) -> None:
    """Newest first: announcements and what follows from them, exemptions, and nothing that was not announced yet."""
    log = [(f"{event.at:%Y-%m-%d}", event.happening, event.subject) for event in events(bundle, NOW)]

    assert log[:6] == [
        ("2026-12-20", Happening.COUNTRIES_EFFECTIVE, "toy-eu"),
        ("2026-12-10", Happening.EFFECTIVE, "toy-us"),
        ("2026-11-20", Happening.COUNTRIES_ANNOUNCED, "toy-eu"),
        ("2026-11-15", Happening.EXEMPTION, "toy-us"),
        ("2026-11-10", Happening.ANNOUNCED, "toy-us"),
        ("2026-01-01", Happening.PURPOSE_EFFECTIVE, "summary"),
    ]


def test_the_feed_is_one_that_readers_take(bundle: Bundle) -> None:
    """JSON Feed 1.1: version, title, items with ids that are the same in both languages and on a later day."""
    feeds = [orjson.loads(feed(bundle, now, language)) for language in LANGUAGES for now in (NOW, NOW.replace(day=27))]

    for document in feeds:
        assert document["version"] == "https://jsonfeed.org/version/1.1"
        assert document["title"]
        assert all(item["id"] and item["content_text"] and item["date_published"] for item in document["items"])
    assert len({tuple(item["id"] for item in document["items"]) for document in feeds}) == 1
    assert len({item["id"] for item in feeds[0]["items"]}) == len(feeds[0]["items"])


def test_a_list_without_entries_says_so(tmp_path: Path) -> None:
    """Before anything was announced the page says that there is none."""
    shown = page(read(write(tmp_path)), datetime(2025, 10, 1, tzinfo=UTC), "en")

    assert "No sub-processor is listed." in html(shown)
    assert "No sub-processor is listed." in markdown(shown)


def test_every_word_that_a_page_may_need_is_there() -> None:
    """Each member of each closed list has its words in both languages."""
    needed = {
        *(f"state.{state}" for state in State),
        *(f"event.{happening}" for happening in Happening),
        *(f"law.{law}" for law in get_args(Law)),
        *get_args(Mechanism),
        *get_args(PolicyPurpose),
        *get_args(LawfulBasis),
        *(f"country.{name}" for name in NAMED),
        *(f"country.{name}" for name in NAMED["EEA_CH"]),
    }

    assert needed <= WORDS.keys()
    assert all(len(words) == len(LANGUAGES) and all(words) for words in WORDS.values())
    for english, french in WORDS.values():
        assert re.findall(r"{\w+}", english) == re.findall(r"{\w+}", french)
