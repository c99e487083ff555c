"""Pieces of a text: they cover it once, grow only at the end, and lose nothing at a cut."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redaction.engine import Engine
from gateway.redaction.segments import REACH, SIZE, join, pieces

TEXTS = st.builds(
    lambda unit, count, mark: mark.join([unit] * count),
    st.text(alphabet="abc de", min_size=1, max_size=60),
    st.integers(0, 900),
    st.sampled_from(["\n", " ", "", ". "]),
)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_every_place_is_answered_for_once(text: str) -> None:
    """The ranges that pieces answer for follow on one another from the start to the end."""
    parts = pieces(text)

    assert parts[0].first == 0
    assert parts[-1].last == len(text)
    assert all(before.last == after.first for before, after in itertools.pairwise(parts))
    assert all(part.start <= part.first <= part.last <= part.end for part in parts)
    assert all(part.end - part.start <= 2 * (SIZE + REACH) for part in parts)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.text(alphabet="xy \n", max_size=300))
def test_a_longer_text_keeps_its_beginning(text: str, more: str) -> None:
    """What is appended changes no piece that ends well before it."""
    before = [part for part in pieces(text) if part.end + 2 * SIZE < len(text)]

    assert pieces(text + more)[: len(before)] == before


@pytest.mark.parametrize("mark", ["\n", " ", "."], ids=["lines", "words", "one word"])
def test_nothing_is_lost_at_a_cut(engine: Engine, mark: str) -> None:
    """A phrase is found whole wherever the cut falls, even in its middle."""
    phrase = "her brother was diagnosed with type 2 diabetes ok"
    filling = ("word" + mark) * (2 * SIZE)
    for shift in range(0, len(phrase) + 10, 3):
        for place in (SIZE, 2 * SIZE):
            text = filling[: place - shift] + " " + phrase + " " + filling[:SIZE]

            parts = pieces(text)
            findings = join(parts, engine.find([text[part.start : part.end] for part in parts]))

            assert [text[one.start : one.end].endswith("type 2 diabetes") for one in findings] == [True]


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes], ids=["one line", "lines"])
def test_nothing_is_lost_at_a_cut_in_base64(engine: Engine, encode: Callable[[bytes], bytes]) -> None:
    """Of a short end all is taken that the last piece sees, so that begins before what it answers for."""
    filling, phrase = "We went through the renewal and who owns it. ", "My wife was diagnosed with multiple sclerosis. "
    before = filling * ((2 * SIZE if encode is base64.b64encode else SIZE) // len(filling))
    for more in range(0, len(filling), 6):
        for after in range(0, 4 * len(filling), len(filling)):
            said = before[: len(before) * 3 // 4 + more] + phrase + filling[: after // 4] * 4
            text = "See " + encode(said.encode()).decode()
            told = [at for at in range(4, len(text)) if text[at] != "\n"]
            start = said.index("sclerosis")
            letters = told[start * 4 // 3 : -(-(start + len("sclerosis")) * 4 // 3)]

            parts = pieces(text)
            findings = join(parts, engine.find([text[part.start : part.end] for part in parts]))

            assert all(any(one.start <= at < one.end for one in findings) for at in letters)
