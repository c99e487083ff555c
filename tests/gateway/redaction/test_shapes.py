"""Which words a pattern needs, and how it begins: never too little."""

from __future__ import annotations

import random
import re

import pytest

from gateway.redaction.engine import Engine
from gateway.redaction.everyday import weight
from gateway.redaction.grammar import Unread, read
from gateway.redaction.patterns import readied
from gateway.redaction.shapes import Firsts, firsts, keys

KEYS = {
    "the rarer word": ("his (?:late |ex )?(?:husband|hubby)", {" husband ", " hubby "}),
    "one word for many": ("(?:five|six|[1-9]) months (?:gone|along)", {" months "}),
    "spellings": ("organi[sz]er for unifor", {" unifor "}),
    "a word that goes on": ("hla[a-z0-9]{0,4} gene", {" gene "}),
    "only the beginning of a word": ("iris[a-z]*", {" iris"}),
    "behind any number of words": ("at (?:the |his )*(?:mosque|shul)", {" mosque ", " shul "}),
    "nothing to name": (r"\w+ [a-z]+", None),
}


@pytest.mark.parametrize(("pattern", "expected"), KEYS.values(), ids=KEYS.keys())
def test_names_the_rarest_words(pattern: str, expected: set[str] | None) -> None:
    """Of the words that a pattern cannot be without, those are named that talk has least of."""
    found = keys(read(readied(pattern)), weight)

    assert (found and {key.literal for key in found}) == expected


FIRSTS = {
    "words": ("(?:he|she) came out", Firsts(frozenset({"he", "she"}), frozenset(), frozenset())),
    "an optional word": ("(?:my )?wife", Firsts(frozenset({"my", "wife"}), frozenset(), frozenset())),
    "the beginning of a word": ("hla[a-z]* x", Firsts(frozenset(), frozenset({"hla"}), frozenset())),
    "a gap of its own": (" s transitioning", Firsts(frozenset(), frozenset(), frozenset({"s"}))),
}


@pytest.mark.parametrize(("pattern", "expected"), FIRSTS.values(), ids=FIRSTS.keys())
def test_tells_how_matches_begin(pattern: str, expected: Firsts) -> None:
    """Whole words, beginnings of words, and words behind a gap that belongs to the match."""
    assert firsts(read(readied(pattern))) == expected


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?P<x>a)", "[[:alpha:]]", r"\pL", "a{x}", "(a", "a)"])
def test_what_is_not_known_is_not_guessed(pattern: str) -> None:
    """A pattern written otherwise is asked of every text."""
    with pytest.raises(Unread):
        read(pattern)


def test_every_match_of_the_shipped_rules_holds_a_key(engine: Engine) -> None:
    """Whatever part of an example a pattern matches, one of its keys stands in it, and it begins as was told."""
    chance = random.Random(7)
    texts = [example.text.lower() for example in engine.compiled.examples if example.text.isascii()]
    words = [word for text in texts for word in text.split()]
    texts += [" ".join(chance.choices(words, k=40)) for _ in range(60)]
    looked = 0
    for _rule, pattern in engine.compiled.patterns:
        tree = read(pattern.source)
        needed, begins = keys(tree, weight), firsts(tree)
        for text in texts:
            start, end = pattern.find(text.encode())
            if start < 0 or (start and text[start - 1].isalnum()) or text[end : end + 1].isalnum():
                continue
            looked += 1
            plain = " " + re.sub(r"\W", " ", text[start:end]) + " "
            assert needed is None or any(key.literal in plain for key in needed)
            first = plain.split()[0]
            assert first in begins.words or first.startswith((*begins.beginnings, *begins.after_gap))
    assert looked > 20
