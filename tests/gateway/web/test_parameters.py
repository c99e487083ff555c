"""Parameters: what the pages take, and that anything else is refused in words that quote nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.audit.scope import Scope
from gateway.web.pages import PAGES
from gateway.web.parameters import GRAMMARS, BadParameter, address, filters_of, instant, parse, place, shown

NOW = datetime(2026, 11, 26, 15, 4, tzinfo=UTC)
MARK = "zqmark"
EVERYTHING = tuple(GRAMMARS)
EVERYONE = Scope.everyone()

BAD = {
    "script": f"tenant=<script>{MARK}</script>",
    "script, encoded": f"tenant=%3Cscript%3E{MARK}",
    "a quote": f"model={MARK}'",
    "injection": f"tenant={MARK}' OR 1=1--",
    "an unknown name": f"{MARK}=1",
    "a name with markup": f"<{MARK}>=1",
    "given twice": f"tenant={MARK}&tenant={MARK}b",
    "twice, once empty": f"tenant=&tenant={MARK}",
    "a null byte": f"tenant={MARK}%00",
    "a new line": f"tenant={MARK}%0d%0aset-cookie:x",
    "not ASCII": f"tenant={MARK}%C3%A9",
    "broken UTF-8": f"tenant={MARK}%ff",
    "too long a word": f"tenant={MARK}{'a' * 80}",
    "too long an address": f"tenant={MARK}{'a' * 3000}",
    "too many": "&".join(f"tenant{n}={MARK}" for n in range(40)),
    "a path": f"agreement=../../{MARK}",
    "no day": f"from={MARK}",
    "a day that is none": "from=2026-02-30",
    "a year before time": "from=1969-01-01",
    "a year after time": "to=9999-12-31",
    "a day with a zone": "from=2026-01-01T00:00:00%2B02:00",
    "a huge number": f"at={'9' * 40}",
    "a negative number": "page=-1",
    "a float": "page=1.5",
    "digits of another script": "page=%D9%A1",
    "a forged place": "after=1-2-3",
    "a place with words": f"after=1-{MARK}",
    "a huge place": f"before={'9' * 30}-1",
    "a short call": "call=0123",
    "a call in capitals": f"call={'A' * 32}",
    "a decision": "decision=maybe",
    "a format": "format=exe",
    "countries in small letters": "countries=fr",
    "too many countries": f"countries={'+'.join(['FR'] * 60)}",
    "no digest": "old=12",
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_in_its_grammar_is_refused_and_not_quoted(case: str) -> None:
    """Each is refused, by a message that says what is taken and holds nothing of what was sent."""
    with pytest.raises(BadParameter) as refused:
        parse(BAD[case], EVERYTHING)

    assert MARK not in refused.value.reason
    assert "<" not in refused.value.reason
    assert refused.value.reason.endswith(".")


def test_empty_ones_are_absent() -> None:
    """A form sends every field; what is empty says nothing."""
    assert parse("tenant=&from=2026-11-01&model=", EVERYTHING) == {"from": "2026-11-01"}


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_every_parameter_of_every_page_has_a_grammar(page: object) -> None:
    """A page cannot take what nobody checks."""
    assert set(page.takes) <= set(GRAMMARS)  # type: ignore[attr-defined]


def test_a_period_has_an_end_after_its_beginning() -> None:
    """An empty or turned period is refused; the usual one is the last thirty days."""
    usual = filters_of({}, NOW, EVERYONE)

    assert (shown(usual.since), shown(usual.until)) == ("2026-10-28", "2026-11-27")
    for until in ("2026-11-01", "2026-10-31"):
        with pytest.raises(BadParameter):
            filters_of({"from": "2026-11-01", "to": until}, NOW, EVERYONE)


def test_a_period_is_no_wider_than_the_scope() -> None:
    """What is said of a period is said of the days that may be seen: it is cut to them, and refused outside of them."""
    first = round(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) // 86_400
    quarter = Scope.everyone(first, first + 92)

    for given, period in (
        ({}, ("2026-09-01", "2026-10-01")),
        ({"from": "2026-01-01"}, ("2026-07-01", "2026-10-01")),
        ({"from": "2026-08-01T09:30", "to": "2027-01-01"}, ("2026-08-01T09:30:00", "2026-10-01")),
    ):
        filters = filters_of(given, NOW, quarter)
        assert (shown(filters.since), shown(filters.until)) == period
    with pytest.raises(BadParameter):
        filters_of({"from": "2026-11-01", "to": "2026-11-02"}, NOW, quarter)


@pytest.mark.parametrize("text", ["2026-11-25", "2026-11-25T09:30:00", "2026-11-25T09:30:01"])
def test_instants_are_shown_as_they_are_read(text: str) -> None:
    """A day stays a day; an instant is told to the second."""
    assert shown(round(instant(text).timestamp()) * 1_000_000) == text


def test_a_permalink_has_its_parameters_in_one_order() -> None:
    """The same query is the same address, whichever way it came about; what is None goes."""
    one = address("/calls", {"tenant": "t", "from": "2026-01-01"}, model="m")
    two = address("/calls", {"model": "m", "tenant": "t", "after": "1-2"}, **{"from": "2026-01-01", "after": None})

    assert one == two == "/calls?from=2026-01-01&tenant=t&model=m"
    assert address("/calls", {}) == "/calls"


def test_a_place_is_two_numbers() -> None:
    """A place in the list is a time and a key of the journal."""
    assert place("123-456") == (123, 456)
    assert place(None) is None
