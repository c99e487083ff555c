"""Which texts are beginnings of what patterns match, held against RE2 itself."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redaction.beginnings import Beginnings
from gateway.redaction.grammar import Unread

SOURCES = (
    "his (?:cancer|chemo)",
    r"(?:missing (?:\w+ ){1,2}teeth)",
    "[a-c]{2,3}d?",
    r"\d+(?: |,)?kg",
    "(?i)(?-i:[A-Z][a-z]+)'s",
    r"[^\n.!?]{0,5}\bshe\b",
    "x(y|z)*w",
    r"\x41\x2d[\w-]+\.",
)


def begins(known: Beginnings, text: bytes) -> bool:
    """Whether all of a text is a beginning."""
    return known.first(text, (0,)) is not None


@pytest.mark.parametrize("source", SOURCES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_beginning_of_every_match_is_alive(source: str, data: st.DataObject) -> None:
    """Whatever a pattern matches, each of its beginnings is known as one."""
    python = source.replace("(?i)", "").replace("(?-i:", "(?:")
    match = data.draw(st.from_regex(python, fullmatch=True, alphabet=st.characters(codec="ascii"))).lower().encode()

    known = Beginnings([source])

    assert all(begins(known, match[:size]) for size in range(1, len(match) + 1))


@given(text=st.text(alphabet="his cancrehmo", max_size=14))
@settings(max_examples=200, deadline=None)
def test_what_is_alive_can_become_a_match(text: str) -> None:
    """What is called a beginning is one: some ending makes it a match."""
    endings = ["his cancer", "his chemo"]
    can = any(ending.startswith(text) for ending in endings)

    assert begins(Beginnings(["his (?:cancer|chemo)"]), text.encode()) is can


def test_the_first_of_several_places_is_told() -> None:
    """`breast[ ,-]+cancer` begins where `breast-canc` stands at the end, and nowhere in `breast-canx`."""
    known = Beginnings(["breast[ ,-]+cancer"])

    assert known.first(b"my breast-canc", [0, 3, 10]) == 3
    assert known.first(b"my breast-canx", [0, 3, 10]) is None


def test_upper_case_is_read_as_lower_case() -> None:
    """A rule that asks for a capital still has its beginning in a lowered text."""
    assert begins(Beginnings(["[A-Z][a-z]+ is"]), b"marisol i")


@pytest.mark.parametrize("source", [r"\pL+", "[[:alpha:]]", "(?P<name>a)", "a{x}", "(a", "a)", "*a", r"\Qa\E"])
def test_what_cannot_be_read_is_said(source: str) -> None:
    """A pattern beyond the reader is refused, so that its user can take everything for a beginning."""
    with pytest.raises(Unread):
        Beginnings([source])


def test_states_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many states texts ask for, only so many are kept, and the answers stay right."""
    monkeypatch.setattr("gateway.redaction.beginnings._MOST_STATES", 8)
    known = Beginnings(["[a-z]{1,20}0"])

    assert all(begins(known, b"q" * size) is (size <= 20) for size in range(1, 25))
    assert len(known._known) <= 9


def test_sources_are_those_that_re2_takes() -> None:
    """The patterns of this test are RE2's own."""
    assert all(re2.compile(source.encode()) for source in SOURCES)
