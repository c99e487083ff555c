"""Placeholders of ordinary personal data: the same for the same value, and the way back."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.categories import PERSONAL_DATA, Category, Personal
from gateway.redaction.engine import Engine
from gateway.redaction.personal import Restorer, placeholder, settled
from gateway.redaction.plain import Plain
from gateway.redaction.redactor import Redactor
from gateway.redaction.treatment import Treatment
from providers.document import Document, Encoded, Identifier
from tests.gateway.redaction.conftest import InProcess


def keyed(key: str) -> object:
    """A tenant's keyed hash."""
    return lambda label, value: hashlib.blake2b(f"{label}\0{value}".encode(), key=key.encode()).hexdigest()[:32]


ONE = keyed("one")
JANE = "jane.doe@example.com"
STANDS = placeholder(Personal.EMAIL, JANE, ONE)  # type: ignore[arg-type]
DIGITS = STANDS[7:-1]

SAME = [
    (Personal.EMAIL, JANE, "Jane.Doe@Example.com"),
    (Personal.PHONE, "+1 (416) 555-0199", "416.555.0199"),
    (Personal.CARD, "4111 1111 1111 1111", "4111111111111111"),
    (Personal.IBAN, "GB82 WEST 1234 5698 7654 32", "gb82west12345698765432"),
    (Personal.FR_NIR, "1 84 12 76 451 089 46", "184127645108946"),
]


@pytest.mark.parametrize(("kind", "one", "other"), SAME, ids=[str(case[0]) for case in SAME])
def test_the_same_value_has_the_same_placeholder(kind: Personal, one: str, other: str) -> None:
    """However it is spelled, on every replica that has the tenant's key."""
    assert placeholder(kind, one, ONE) == placeholder(kind, other, keyed("one"))  # type: ignore[arg-type]
    assert placeholder(kind, one, ONE).startswith(f"[{kind}_")  # type: ignore[arg-type]


def test_other_values_and_tenants_have_others() -> None:
    """Values that look alike never meet, and one tenant's placeholder is not another's."""
    made = {placeholder(Personal.EMAIL, f"user{n}@example.com", ONE) for n in range(5_000)}  # type: ignore[arg-type]

    assert len(made) == 5_000
    assert placeholder(Personal.EMAIL, JANE, keyed("two")) != STANDS  # type: ignore[arg-type]
    assert placeholder(Personal.CARD, "1", ONE)[-11:] != placeholder(Personal.PHONE, "1", ONE)[-11:]  # type: ignore[arg-type]


DRESSED = {
    "as it is": (STANDS, JANE),
    "upper case": (STANDS.upper(), JANE),
    "title": (f"[Email_{DIGITS.title()}]", JANE),
    "bold": (f"**{STANDS}**", f"**{JANE}**"),
    "bold inside": (f"[**EMAIL_{DIGITS}**]", JANE),
    "code": (f"`{STANDS}`", f"`{JANE}`"),
    "escaped underscore": (f"[EMAIL\\_{DIGITS}]", JANE),
    "escaped brackets": (f"\\[EMAIL\\_{DIGITS}\\]", JANE),
    "without brackets": (f"to EMAIL_{DIGITS}, now", f"to {JANE}, now"),
    "bold without brackets": (f"**EMAIL_{DIGITS}**", f"**{JANE}**"),
    "a space": (f"[EMAIL {DIGITS}]", JANE),
    "a link": (f"[write]({STANDS})", f"[write]({JANE})"),
    "an unknown one": ("[EMAIL_aaaaaaaaaa]", "[EMAIL_aaaaaaaaaa]"),
    "longer": (f"[EMAIL_{DIGITS}a]", f"[EMAIL_{DIGITS}a]"),
    "of another kind": (f"[PHONE_{DIGITS}]", f"[PHONE_{DIGITS}]"),
    "part of a word": (f"xEMAIL_{DIGITS}", f"xEMAIL_{DIGITS}"),
}


@pytest.mark.parametrize(("said", "expected"), DRESSED.values(), ids=DRESSED.keys())
def test_a_placeholder_comes_back_however_a_model_dresses_it(said: str, expected: str) -> None:
    """Re-cased, bold, escaped or bare; what is not one of this request's stays."""
    assert Restorer({STANDS: JANE}).restore(f"Ok: {said}.") == f"Ok: {expected}."


TEXTS = st.lists(
    st.sampled_from(
        [STANDS, STANDS.upper(), f"**EMAIL_{DIGITS}**", f"\\[EMAIL\\_{DIGITS}\\]", "[", "[EM", "email", "E", " ", "x", "_",
         "[**EMAIL_", "CA_SIN", "a\u00e9", "]", "\\", "[EMAIL_aaaaaaaaaa]", "]] mail"]
    ),
    max_size=10,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 120), max_size=6))
def test_a_text_in_pieces_is_restored_as_the_whole(text: str, cuts: list[int]) -> None:
    """Holding back from where a placeholder may have begun gives the same text, however it was cut."""
    restorer = Restorer({STANDS: JANE})
    out, held, done = "", "", 0
    for cut in [*sorted(min(cut, len(text)) for cut in cuts), len(text)]:
        held += text[done:cut]
        done = cut
        ready = restorer.settled(held)
        out += restorer.restore(held[:ready])
        held = held[ready:]

    assert out + restorer.restore(held) == restorer.restore(text)


def test_little_is_held_back() -> None:
    """Talk is let go at once; of what may be a placeholder, never more than the longest one."""
    assert settled("Nothing begins here.") == 20
    assert settled("write to [") == 9
    assert settled(f"write to {STANDS[:-1]}") == 9
    assert settled(f"write to {STANDS}") == 9 + len(STANDS)
    assert settled("[" * 10_000) >= 10_000 - 64


@pytest.fixture(scope="module")
def asked() -> InProcess:
    """An engine that was asked for all kinds."""
    few: dict[str, Plain] = {
        category.value: {
            "rules": [{"name": "word", "terms": [f"{category.value.split('_')[0].lower()}word"]}],
            "examples": {"positive": [f"a [[{category.value.split('_')[0].lower()}word]] here"]},
        }
        for category in Category
    }
    return InProcess(Engine({**few, PERSONAL_DATA: [kind.value for kind in Personal]}))


FOUND = {
    "e-mail": ("write jane_doe@example.com today", "jane_doe@example.com", Personal.EMAIL),
    "e-mail with a zero width": ("write j\u200bane@exa\u200bmple.com", "j\u200bane@exa\u200bmple.com", Personal.EMAIL),
    "spoken e-mail": ("it's jane dot doe at example dot com, ok", "jane dot doe at example dot com", Personal.EMAIL),
    "phone": ("call 416-555-0199 now", "416-555-0199", Personal.PHONE),
    "French phone": ("au 06 12 34 56 78 svp", "06 12 34 56 78", Personal.PHONE),
    "phone in wide digits": ("cell \uff14\uff11\uff16-\uff15\uff15\uff15-\uff10\uff11\uff19\uff19", "\uff14\uff11\uff16-\uff15\uff15\uff15-\uff10\uff11\uff19\uff19", Personal.PHONE),
    "spoken phone": ("call four one six five five five oh one nine nine ok", "four one six five five five oh one nine nine", Personal.PHONE),
    "card": ("card 4111 1111 1111 1111 ok", "4111 1111 1111 1111", Personal.CARD),
    "card with a filler": ("card 4111-1111, uh, 1111-1111", "4111-1111, uh, 1111-1111", Personal.CARD),
    "IBAN": ("IBAN GB82 WEST 1234 5698 7654 32 ok", "GB82 WEST 1234 5698 7654 32", Personal.IBAN),
    "Canadian SIN": ("mon NAS est 130 692 544", "130 692 544", Personal.CA_SIN),
    "US SSN": ("SSN 536-90-4399", "536-90-4399", Personal.US_SSN),
    "UK NHS": ("NHS 943 476 5919", "943 476 5919", Personal.UK_NHS),
    "French NIR": ("NIR 1 84 12 76 451 089 46", "1 84 12 76 451 089 46", Personal.FR_NIR),
    "IP address": ("from 192.168.1.20 today", "192.168.1.20", Personal.IP),
    "MAC address": ("at 00:1B:44:11:3A:B7", "00:1B:44:11:3A:B7", Personal.MAC),
}  # fmt: skip


@pytest.mark.parametrize(("text", "value", "kind"), FOUND.values(), ids=FOUND.keys())
def test_finds_each_kind(asked: InProcess, text: str, value: str, kind: Personal) -> None:
    """By Presidio's recognisers, through every spelling that folding knows, and spoken."""
    assert [(text[one.start : one.end], one.category) for one in asked.look(text)] == [(value, kind)]


NOTHING = [
    "we sold 1,234,567 units in 2024 at 12.5 percent, order 123456789, $450,000",
    "card 4111 1111 1111 1112",
    "NIR 1 84 12 76 451 089 47",
    "the quarter ended 2019-12-31, 10-14 days, 2020 2021 2022",
    "one two three go, at example dot com prices",
]


@pytest.mark.parametrize("text", NOTHING)
def test_numbers_without_proof_stay(asked: InProcess, text: str) -> None:
    """Amounts, dates and numbers whose checksum is wrong are no personal data."""
    assert asked.look(text) == []


def test_nothing_is_fetched_for_an_address(asked: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first e-mail address asks nobody for the list of domain endings."""

    def no_network(*_arguments: object, **_named: object) -> None:
        pytest.fail("a socket was asked for")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr("socket.create_connection", no_network)

    assert len(asked.look("write someone@never-seen-before.co.uk")) == 1


PLAIN = Treatment(pseudonym=ONE, restore=True)  # type: ignore[arg-type]


def test_a_document_is_cleaned_and_restored(asked: InProcess) -> None:
    """Strings, keys and JSON in strings; a special category beside it never comes back."""
    document: Document = {
        "a": f"Write {JANE}, healthword.",
        "arguments": Encoded(json.dumps({"to": JANE, JANE: 1})),
        "id": Identifier("call_4165550199"),
    }

    cleaned = asyncio.run(Redactor(asked).under(PLAIN).clean(document))

    assert cleaned.document["a"] == f"Write {STANDS}, [REDACTED]."
    assert json.loads(str(cleaned.document["arguments"])) == {"to": STANDS, STANDS: 1}
    assert cleaned.document["id"] == "call_4165550199"
    assert cleaned.redactions == {Personal.EMAIL: 3, Category.HEALTH: 1}
    assert Restorer(cleaned.values).restore(str(cleaned.document["a"])) == f"Write {JANE}, [REDACTED]."
    assert Restorer(cleaned.values).restore(str(cleaned.document["arguments"])) == document["arguments"]


def test_a_value_split_over_parts_is_one_value(asked: InProcess) -> None:
    """Its placeholder is that of the whole value, which comes back whole."""
    cleaned = asyncio.run(Redactor(asked).under(PLAIN).clean({"input": ["write jane.do", "e@example.com now"]}))

    assert cleaned.document == {"input": [f"write {STANDS}", " now"]}
    assert cleaned.values == {STANDS: JANE}


def test_no_value_breaks_json() -> None:
    """Line ends inside a value come back as spaces; a value with quotes stays a placeholder."""
    broken = Restorer({STANDS: "416\n555", "[EMAIL_bbbbbbbbbb]": '"'})

    assert broken.restore(f'{{"a": "{STANDS} [EMAIL_bbbbbbbbbb]"}}') == '{"a": "416 555 [EMAIL_bbbbbbbbbb]"}'


def test_a_special_category_takes_what_it_overlaps(asked: InProcess) -> None:
    """Where both are found, all of it goes for good."""
    cleaned = asyncio.run(Redactor(asked).under(PLAIN).clean({"a": "to healthword@example.com"}))

    assert cleaned.document == {"a": "to [REDACTED]"}
    assert cleaned.values == {}


def test_without_a_key_it_stays(asked: InProcess) -> None:
    """A text of an answer is not searched for ordinary personal data."""
    document: Document = {"a": f"Write {JANE}."}

    assert asyncio.run(Redactor(asked).clean(document)).document is document
    assert asyncio.run(Redactor(asked).redact(JANE)) == (JANE, {})
