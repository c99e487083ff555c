"""Phrases of the rules as trees, and trees as RE2 reads them."""

from __future__ import annotations

import pytest
import re2

from gateway.redaction.grammar import Unread, is_grouped, macros_of, read, spellings, ways, written

MATCHES: dict[str, tuple[str, str, bool]] = {
    "a space is any gap": ("he is", "he,  is", True),
    "an apostrophe is a gap too": ("he's", "he s", True),
    "no gap is none": ("he is", "heis", False),
    "a gap that may be absent": ("i'?m", "im", True),
    "two gaps side by side are one": ("a, b", "a b", True),
    "a mark stands for itself, with gaps about it or none": ("r&b", "r & b", True),
    "another mark does not": ("r&b", "r+b", False),
    "a word of letters and gaps may be a double one": (r"[\w'-]+ is", "o'neil is", True),
    "but no third": (r"[\w'-]+ is", "a b c is", False),
    "some of a class": ("organi[sz]ed", "organised", True),
    "so many": (r"(?:\w+ ){0,2}gene", "the bad gene", True),
    "not so many": (r"(?:\w+ ){0,2}gene", "the very bad gene", False),
}


@pytest.mark.parametrize(("source", "text", "matches"), MATCHES.values(), ids=MATCHES.keys())
def test_a_phrase_is_words_and_gaps(source: str, text: str, matches: bool) -> None:
    """What is written out for RE2 matches what the phrase means."""
    assert (re2.compile(written(read(source, phrase=True), {})).fullmatch(text) is not None) is matches


def test_a_macro_is_named_and_written_out() -> None:
    """The tree knows the name; only what is written out holds its words."""
    tree = read("my <kin>'s", phrase=True)

    assert macros_of(tree) == {"kin"}
    assert re2.compile(written(tree, {"kin": read("mother|big sister", phrase=True)})).fullmatch("my big sister's")


def test_a_marked_part_is_known() -> None:
    """A group marks the finding in a phrase; in a link it is a bracket like any other."""
    assert is_grouped(read("as (?:a )?(black) woman", phrase=True))
    assert not is_grouped(read("(a|b)"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [("fiancee?", ["fiance", "fiancee"]), ("organi[sz]e", ["organise", "organize"]), ("a b", None), (r"\w+", None)],
)
def test_few_single_words_are_spelled_out(source: str, expected: list[str] | None) -> None:
    """What is a few single words is told by its spellings."""
    found = spellings(read(source, phrase=True))

    assert (None if found is None else sorted(found)) == expected


BEYOND = {
    "look-ahead": "(?=a)b",
    "a back-reference": r"(a)\1",
    "a negated class": "[^a]b",
    "letters and marks in one class": "[a-z&]+",
    "a bracket that is not closed": "(a",
    "a repetition of nothing": "*a",
    "too many repetitions": r"(?:\w+ ){0,999}a",
}


@pytest.mark.parametrize("source", BEYOND.values(), ids=BEYOND.keys())
def test_what_is_no_phrase_is_said(source: str) -> None:
    """A phrase that cannot be heard word by word is refused."""
    with pytest.raises(Unread, match=r"\w"):
        read(source, phrase=True)


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("ab", ["ab"]),
        ("(?:eye|ear)s?", ["eye", "eyes", "ear", "ears"]),
        (r"recogni[sz]e\w*", ["recognise", "recognize"]),
        (r"(?:finger\w*|palm)print", ["fingerprint", "palmprint"]),
    ],
)
def test_a_word_with_choices_is_written_in_each_way(source: str, written: list[str]) -> None:
    """Without a choice each; a class of many characters is none."""
    found = ways([read(source)])

    assert found is not None
    assert ["".join(part.text for part in way) for way in found] == written


def test_a_word_that_may_be_written_in_very_many_ways_is_left_as_it_is() -> None:
    """A few choices after each other are thousands of words."""
    assert ways([read("(?:a|b|c|d|e)" * 4)]) is None
