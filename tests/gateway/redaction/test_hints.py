"""Where other forms of a text may be."""

from __future__ import annotations

import base64
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.redaction import forms
from gateway.redaction.automata import Expression
from gateway.redaction.hints import AROUND, HINTS, seen, stretches
from gateway.redaction.marks import BLOCK, DIGITS, INLINE, KINDS, MAY_BE, VAIN, marked

EACH = {kind: Expression(hint) for kind, hint in HINTS.items()}
RUN = re.compile(r"[A-Za-z0-9+/_-]+")
NAMES = ["PlayStation", "iPhone", "McGrew", "SMEs", "MP3s", "x9Y", "IFRs-16"]
PIECES = st.one_of(
    st.sampled_from([*DIGITS, "z?ro", "tone", "Oned", *NAMES, *INLINE.split("|"), *BLOCK.split("|"), "inaudible"]),
    st.sampled_from(
        [*" ,.-_\n\r\t=/+?<>&%\\`~*[]();:#!'\"aZ09i\0\x1f", "</", "<!--", "&amp;", "%2f", "-\r\n  ", "a b c"]
    ),
    st.builds(lambda text: base64.b64encode(text.encode()).decode(), st.text(max_size=60)),
    st.text(alphabet="abYZ019+/-_=", max_size=12),
)
TEXTS = st.builds(
    lambda room, pieces, between: "." * room + between.join(pieces),
    st.integers(0, 130),
    st.lists(PIECES, max_size=5).flatmap(lambda few: st.lists(st.sampled_from([*few, "a", " "]), max_size=30)),
    st.sampled_from(["", " ", ", ", "-"]),
)


@settings(deadline=None)
@given(TEXTS)
def test_no_hint_is_overlooked(text: str) -> None:
    """Wherever RE2 finds one there is a mark, and its kind is said, but for base64 of which nothing comes."""
    data = text.encode()

    marks, bits = marked(data)

    for bit, kind in enumerate(KINDS):
        begins = [at for at in range(len(data)) if EACH[kind].at(data, at, len(data))[0] >= 0]
        allowed = {MAY_BE, VAIN} if kind == "base64" else {MAY_BE}
        assert {marks[at] for at in begins} <= allowed
        assert not begins or bits >> bit & 1 or kind == "base64"


@pytest.mark.parametrize(
    "hint",
    [
        *(
            "<b>",
            "<BLOCKQUOTE ",
            "<html\n",
            "<h6\t",
            "<br/",
            "</x",
            "<!--",
            "&ab;",
            "&Eacute;",
            "&#",
            "%aF",
            "\\u",
            "\\*",
        ),
        *("`", "~~", "a*b", "?**?", "_***9", "](", "a-\nb", "?-\r\n  ?", "1+_", "?+a"),
        *("a b c d", "A-b.C ?x", "a. b. c. d", "a ? ? ?x", "one, two", "UN, ,- z?ro", "Neuf Niner", "oh-Une"),
        *("aBc", "1Bc", "aB1", "a1B", "ABc", "A1c", "aa=", "/+=", "-_=", "AA="),
    ],
)
def test_a_hint_is_seen_wherever_it_stands(hint: str) -> None:
    """Machine code sees many letters at a time, and none of its bounds hides one."""
    for room in range(130):
        for behind in (b"", b".", b"." * 70):
            marks, _bits = marked(b"." * room + hint.encode() + behind)
            assert marks[room]


@settings(deadline=None)
@given(TEXTS)
def test_what_looks_like_base64_in_vain_says_nothing(text: str) -> None:
    """Only such a hint is marked so, and the whole of what it is in decodes to no text."""
    data = text.encode()

    marks, _bits = marked(data)

    runs = {at: run.group() for run in RUN.finditer(text) for at in range(*run.span())}
    vain = [at for at, mark in enumerate(marks) if mark == VAIN]
    assert [EACH["base64"].at(data, at, len(data)) for at in vain] == [(at, at + 3) for at in vain]
    assert not [runs[at] for at in vain if forms._base64(runs[at]) is not None]


@settings(deadline=None)
@given(st.lists(st.one_of(TEXTS, st.just("and " * 120), st.just("\u00e9" * 300)), max_size=6))
@example(["PlayStation", "two, one", "and " * 200])
@example(["two, one", "and " * 120, "PlayStation", "and " * 60, "YouTube", "and " * 60, "z\u00e9ro un"])
def test_stretches_reach_as_far_as_all_hints_do(parts: list[str]) -> None:
    """They are those round whatever RE2 finds, if there may be a form in them."""
    text = " ".join(parts)
    data = text.encode("ascii", "replace")
    hint = Expression("|".join(HINTS.values()))

    every: list[tuple[int, int]] = []
    begin, last = hint.find(data)
    while begin >= 0:
        start, end = max(0, begin - AROUND), min(len(data), last + 2 * AROUND)
        if every and start <= every[-1][1]:
            start = every.pop()[0]
        every.append((start, end))
        begin, last = hint.find(data, last + AROUND) if last + AROUND < len(data) else (-1, -1)

    marks, _bits = marked(data)
    assert stretches(text) == [(start, end) for start, end in every if MAY_BE in marks[start:end]]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_forms(name: str) -> None:
    """What is written with capitals inside is not read again, and hides nothing that is."""
    assert stretches(f"my {name} is here") == []
    assert stretches(f"my {name} is SElWIHBvc2l0aXZl") != []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("two-four", {"spoken"}),
        ("Z\u00c9RO UN", {"spoken"}),
        ("tone, two", set()),
        ("z\u00e9ro un", {"spoken"}),
        ("oh, <em>one", {"markup"}),
        ("<inaudible> one", set()),
        ("SElWIHBvc2l0aXZl", {"base64"}),
        ("SGk=", {"base64"}),
        ("a i d s +", {"spelt"}),
        ("a i d said", set()),
        ("5% of S&P and R&D, C- \nA", set()),
    ],
)
def test_kinds_of_forms(text: str, kinds: set[str]) -> None:
    """Those that may be in a stretch."""
    assert seen(text.encode("ascii", "replace")).kinds == kinds


@pytest.mark.parametrize("piece", ["<x", "&ab", "one, ", "a*", "aB", "ab=", "a-\n ", "one" + ", " * 900, "a b c d2 "])
def test_hostile_text_takes_bounded_time(piece: str) -> None:
    """Nothing in a text makes the search more than linear."""
    text = piece * (1_000_000 // len(piece))
    began = time.perf_counter()

    stretches(text)

    assert time.perf_counter() - began < 2.0
