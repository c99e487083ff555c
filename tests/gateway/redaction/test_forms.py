"""Forms of text that only look like others."""

from __future__ import annotations

import re

import pytest

from gateway.redaction import forms
from gateway.redaction.engine import Engine
from gateway.redaction.growth import GROWTH
from tests.evaluate import rules


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("z\u00e9ro un deux trois", "0123"),
        ("zero one two", "012"),
        ("z?ro one two", "z?ro12"),
    ],
)
def test_spoken_digits_are_read(text: str, read: str) -> None:
    """A spoken zero with its accent is a digit; what only looks so in ASCII stays what it is."""
    assert forms._spoken(text) == read


def test_what_ends_like_a_spoken_digit_breaks_nothing(engine: Engine) -> None:
    """`ro` is no digit in any language: such a text is looked at like any other."""
    assert engine.find(["ro two three four", "Z\u00c9RO UN DEUX TROIS", "z?ro un, deux"]) == [[], [], []]


def test_words_that_tell_spelt_texts_apart_are_those_of_rules(engine: Engine) -> None:
    """The model's weights are letters, too, and say nothing."""
    words = engine._forms._words

    assert {"diabetes", "husband"} <= words
    assert max(map(len, words)) < 40
    assert not any(word in words for word in re.findall("[a-z]{7,}", str(rules()[GROWTH]["weights"]).lower())[:50])  # type: ignore[call-overload, index]
