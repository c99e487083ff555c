"""Characters one by one as ASCII."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.redaction.letters import fold_character, folded, in_ascii

TEXTS = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("a_ \u00e9\u2026\u200b\u0153\U0001f600\ud800\0")))


@settings(deadline=None)
@given(TEXTS, TEXTS)
@example("a" * 64, "\u00e9" + "_" * 9)
def test_each_character_is_read_as_itself_whatever_stands_beside_it(before: str, after: str) -> None:
    """A text is read as its characters are, one after the other, and it is said where they are not one each."""
    text = f"{before}\u00e9{after}"

    made, pieces = folded(text)

    each = [fold_character(one) if one > "\x7f" else one.replace("_", " ") for one in text]
    assert made.decode() == "".join(each)
    assert sum(new - (end - start) for start, end, new in pieces) == len(made) - len(text)


@settings(deadline=None)
@given(TEXTS)
def test_what_is_beyond_ascii_is_a_question_mark(text: str) -> None:
    """A byte for each code point."""
    assert in_ascii(text) == text.encode("ascii", "replace")
