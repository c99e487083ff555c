"""The company that anchors keep: it must miss no phrase, and spare most walks."""

from __future__ import annotations

import random
import re

import pytest

from gateway.redaction.anchors import graph
from gateway.redaction.automaton import Automaton
from gateway.redaction.choosing import LAST
from gateway.redaction.company import Company, companies
from gateway.redaction.grammar import read
from gateway.redaction.phrases import ANY, Phrases

USUAL, SELDOM, RARE, OTHER, EVERYWHERE = range(1, 6)
OFTEN = {ANY: float("inf"), USUAL: 0.02, SELDOM: 1e-4, RARE: 1e-6, OTHER: 1e-6, EVERYWHERE: 0.6}


def met(steps: dict[int, dict[int, list[int]]], over: set[int] | None = None) -> Company | None:
    """The company from place 0 on; place 9 is where ways are over."""
    return companies([0], lambda place: steps[place].items(), over or {9}, OFTEN)[0]


@pytest.mark.parametrize(
    ("steps", "atoms", "within"),
    [
        ({0: {RARE: [9]}}, {RARE}, 1),
        ({0: {USUAL: [1]}, 1: {RARE: [9]}}, {RARE}, 2),
        ({0: {RARE: [1]}, 1: {USUAL: [9]}}, {RARE}, 1),
        ({0: {ANY: [1], RARE: [9]}, 1: {ANY: [2]}, 2: {RARE: [9]}}, {RARE}, 3),
        ({0: {USUAL: [1], SELDOM: [9]}, 1: {RARE: [9], OTHER: [9]}}, {SELDOM, RARE, OTHER}, 2),
        ({0: {SELDOM: [0, 1]}, 1: {RARE: [9]}}, {SELDOM, RARE}, 2),
    ],
)
def test_the_rarest_words_that_every_way_meets(
    steps: dict[int, dict[int, list[int]]], atoms: set[int], within: int
) -> None:
    """Of each way the rarest word, and as far off as the farthest of them."""
    company = met(steps)

    assert company is not None
    assert (set(company.atoms), company.within) == (atoms, within)


@pytest.mark.parametrize(
    ("steps", "over"),
    [
        ({0: {RARE: [1]}}, {0}),
        ({0: {ANY: [9], RARE: [9]}}, {9}),
        ({0: {ANY: [1]}, 1: {ANY: [0], RARE: [9]}}, {9}),
        ({place: {ANY: [place + 1]} for place in range(20)} | {20: {RARE: [99]}}, {99}),
        ({0: {EVERYWHERE: [9]}}, {9}),
    ],
)
def test_no_company_where_none_need_be_met(steps: dict[int, dict[int, list[int]]], over: set[int]) -> None:
    """A way may be over, or go on by any word, or back to where it was, or too far; or what is met is met anywhere."""
    assert met(steps, over) is None


def noticed(heard: Automaton, text: str) -> int:
    """How many anchors of a text are gone on from."""
    symbols = heard.hear(text.encode())._symbols
    return len(heard.noticed(symbols))


def automaton(*sources: str) -> Automaton:
    """Of some patterns."""
    phrases = Phrases({})
    for number, source in enumerate(sources):
        phrases.add_pattern(read(source, phrase=True), number)
    return Automaton(graph(phrases))


@pytest.mark.parametrize(
    ("source", "near", "apart"),
    [
        ("zebra (?:\\w+ ){0,3}quagga", "a zebra or a quagga", "a zebra or a small herd of quagga"),
        ("quagga (?:\\w+ ){0,3}zebra", "quagga or a zebra", "zebra then came quagga"),
        ("zoo (?:\\w+ ){0,3}zebra", "the zoo has a zebra", "a zebra of the zoo"),
        ("zebra of quagga", "zebra of quagga", "zebra of horse"),
        ("on zebra", "he is on zebra", "he is off zebra"),
        ("(?:quagga|okapi) (?:\\w+ ){0,2}zebra", "an okapi, no zebra", "giraffe and zebra"),
    ],
)
def test_an_anchor_is_gone_on_from_in_company_only(source: str, near: str, apart: str) -> None:
    """The other words of the phrase stand where they may, or nothing is walked."""
    heard = automaton(source)

    assert noticed(heard, near) > 0
    assert noticed(heard, apart) == 0


def test_no_phrase_is_missed_for_want_of_company() -> None:
    """Phrases of gaps, alternatives and usual words, in texts made of their words: as regular expressions find them."""
    chance = random.Random(7)
    words = ["zebra", "quagga", "okapi", "tapir", "the", "of", "is", "he", "a", "on"]

    def source() -> str:
        parts = []
        for _ in range(chance.randint(1, 3)):
            parts.append("|".join(chance.sample(words, chance.randint(1, 3))))
        gaps = [chance.choice([" ", " ", f" (?:\\w+ ){{0,{chance.randint(1, 4)}}}"]) for _ in parts[1:]]
        return "".join(f"(?:{part}){gap}" for part, gap in zip(parts, [*gaps, ""], strict=True))

    total = 0
    for _round in range(60):
        sources = list({source() for _ in range(chance.randint(1, 8))})
        heard = automaton(*sources)
        text = " ".join(chance.choices([*words, "horse"], k=60))
        starts = [match.start() for match in re.finditer(r"\w+", text)]
        found = {int(key) & (1 << LAST) - 1 for key in heard.phrases(heard.hear(text.encode())._symbols)}
        expected = {
            number
            for number, one in enumerate(sources)
            if any(re.compile(rf"(?:{one})\b").match(text, start) for start in starts)
        }
        assert found == expected, (sources, text)
        total += len(found)
    assert total > 100
