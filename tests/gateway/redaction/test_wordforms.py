"""The forms of words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redaction.machines import machine
from gateway.redaction.wordforms import ANY_WORD, WordForms, form_pattern, plainest

_FORMS = (
    r"grand(?:\w){1,}",
    r"(?:\w){1,}man",
    r"(?:\w){0,}man",
    r"micro(?:\w){1,}scope",
    r"age(?:\d){2,}",
    r"(?:\d){1,}th",
    r"(?:[\x61\x62\x63]){2,4}",
    r"(?:\d){2,}",
    r"(?:\w){3,5}",
    r"(?:\d){1,}(?:[\x61\x62\x63]){0,1}",
    r"(?:[\x61\x62\x63]){1,3}\d(?:\w){0,}",
    r"(?:[\x61\x62\x63]){1,}(?:\w){1,2}",
    r"(?:one|two|(?:\d){1,})fold",
)


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (r"(?:\w){0,3}(?:\w){1,}", ANY_WORD),
        (r"\w(?:\w){1,}", r"(?:\w){2,}"),
        (r"(?:\w){1,}(?:\w){1,}", r"(?:\w){2,}"),
        (r"(?:\d){1,2}(?:\d){0,1}", r"(?:\d){1,3}"),
        (r"hla(?:\w){0,4}", r"hla(?:\w){0,4}"),
        (r"(?:one|two)fold", r"(?:one|two)fold"),
    ],
)
def test_forms_that_say_the_same_are_written_the_same(form: str, written: str) -> None:
    """Classes that follow each other are one, and capitals are none: words are in lower case."""
    assert plainest(form) == written


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text("abc12mnx_", min_size=1, max_size=8),
        st.sampled_from(
            [b"grandson", b"grand", b"man", b"woman", b"microxscope", b"microscope", b"age12", b"4th", b"twofold"]
        ).map(bytes.decode),
    )
)
def test_a_word_has_the_forms_that_match_it(word: str) -> None:
    """Whichever way a form is looked up, it is borne exactly where its source matches the whole word."""
    forms = WordForms(machine([form_pattern({form: number for number, form in enumerate(_FORMS)})]))

    borne = sorted(forms.borne(word.encode()))

    assert borne == [number for number, form in enumerate(_FORMS) if re.fullmatch(form, word, re.ASCII)]
