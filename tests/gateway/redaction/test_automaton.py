"""Words and marks of a text, and what begins and ends among them."""

from __future__ import annotations

import random
import re
from collections import defaultdict

import numpy as np
import pytest

from gateway.redaction.anchors import common_words, graph, how_often
from gateway.redaction.automaton import Automaton
from gateway.redaction.choosing import NUMBERS
from gateway.redaction.grammar import Unread, read
from gateway.redaction.machines import machine
from gateway.redaction.phrases import Phrases, macro
from gateway.redaction.tables import USUAL
from gateway.redaction.walk import SIEVE
from gateway.redaction.wordforms import form_pattern

KIN = macro(read("mother|father|big sister|half (?:brother|sister)", phrase=True), {})


def automaton(*sources: str) -> Automaton:
    """Hears these patterns, numbered as they come."""
    phrases = Phrases({"kin": KIN})
    for number, source in enumerate(sources):
        phrases.add_pattern(read(source, phrase=True), number)
    return Automaton(graph(phrases))


def told(heard: Automaton, text: str) -> list[list[tuple[str, tuple[int, ...]]]]:
    """What each stretch is, and its numbers, by where it begins."""
    words = heard.hear(text.encode())
    found: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for key in np.unique(words.phrases()).tolist():
        start, end = words.bounds(key)
        found[start][end].append(key & NUMBERS)
    return [
        [(text[start:end], tuple(numbers)) for end, numbers in stretches.items()] for start, stretches in found.items()
    ]


HEARD: dict[str, tuple[tuple[str, ...], str, list[list[tuple[str, tuple[int, ...]]]]]] = {
    "one word": (("cancer",), "no cancer, none", [[("cancer", (0,))]]),
    "no part of a word": (("art",), "party art", [[("art", (0,))]]),
    "over any gap": (("breast cancer",), 'breast, \n"cancer', [[('breast, \n"cancer', (0,))]]),
    "not over another mark": (("breast cancer",), "breast? cancer", []),
    "the shorter and the longer": (
        ("type 2", "type 2 diabetes"),
        "a type 2 diabetes",
        [[("type 2", (0,)), ("type 2 diabetes", (1,))]],
    ),
    "two patterns at one place": (("black woman", r"black \w+"), "a black woman", [[("black woman", (0, 1))]]),
    "what begins within another": (("a b c", "b c d"), "a b c d", [[("a b c", (0,))], [("b c d", (1,))]]),
    "a macro's word, and its words": (
        ("<kin> is",),
        "mother is; half sister is",
        [[("mother is", (0,))], [("half sister is", (0,))]],
    ),
    "a macro's word with an ending": (
        ("<kin>s are",),
        "fathers are, big sisters are",
        [[("fathers are", (0,))], [("big sisters are", (0,))]],
    ),
    "a form": ((r"grand\w+",), "the grandmother (grand)", [[("grandmother", (0,))]]),
    "any word, so often": ((r"on (?:\w+ ){0,2}strike",), "on a long strike", [[("on a long strike", (0,))]]),
    "marks, before and after others": (("a&e",), "[at a & e]!", [[("a & e", (0,))]]),
    "for ever": (
        (r"very(?: very)* ill",),
        "very very very ill",
        [[("very very very ill", (0,))], [("very very ill", (0,))], [("very ill", (0,))]],
    ),
}


@pytest.mark.parametrize(("sources", "text", "expected"), HEARD.values(), ids=HEARD.keys())
def test_phrases_are_heard_where_they_stand(
    sources: tuple[str, ...], text: str, expected: list[list[tuple[str, tuple[int, ...]]]]
) -> None:
    """Each place where something begins tells all that it may be, in the text's own offsets."""
    assert told(automaton(*sources), text) == expected


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("he has breast ", [7]),
        ("he has breast can", [7]),
        ("he has breast! ", []),
        ("he has", []),
        ("he has b", [7]),
        ("half big bi", [0, 5, 9]),
        ("half big si", []),
        ("", []),
    ],
)
def test_what_may_go_on_is_told(text: str, places: list[int]) -> None:
    """Where a phrase has begun that the end of the text leaves open; its last word may be the beginning of one."""
    assert list(automaton("breast cancer", "half big <kin>", "big <kin>").hear(text.encode()).unfinished()) == places


def test_words_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many words are met, only so many are kept, and what is found stays right."""
    monkeypatch.setattr("gateway.redaction.vocabulary._MOST_WORDS", 50)
    monkeypatch.setattr("gateway.redaction.vocabulary._MOST_LETTERS", 120)
    monkeypatch.setattr("gateway.redaction.vocabulary._MOST_FURTHER", 2)
    sources = ("breast cancer", r"on (?:\w+ ){0,2}strike", r"grand\w+ \d{2,}")
    chance = random.Random(1)
    heard = automaton(*sources)
    words = [f"w{number}" for number in range(500)] + ["breast", "cancer", "on", "strike", "grandmother", "87"] * 300
    for _ in range(20):
        text = " ".join(chance.choices(words, k=300))
        assert told(heard, text) == told(automaton(*sources), text) != []
        assert list(heard.hear(text.encode()).unfinished()) == list(
            automaton(*sources).hear(text.encode()).unfinished()
        )
    assert sum(heard.known.words.fresh_slots > 0) <= 50


def test_tables_grow_with_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """More phrases, more stands and more kinds of words than there was room for, and a clock that ran full."""
    monkeypatch.setattr("gateway.redaction.automaton._ROWS", 2)
    monkeypatch.setattr("gateway.redaction.automaton._STANDS", 2)
    monkeypatch.setattr("gateway.redaction.automaton._ASKED", 4)
    monkeypatch.setattr("gateway.redaction.automaton._LATE", 40)
    monkeypatch.setattr("gateway.redaction.vocabulary._ROOM", 12)
    sources = [rf"so\w* (?:\w+ ){{0,4}}(?:{letter}\w*|ill)" for letter in "abcdefgh"]
    heard = automaton(*sources)
    text = "so many words of all kinds are ill, some and so bad days he had a cold for ill " * 3
    plain = list(told(heard, text))

    assert len(plain) >= 9
    assert told(heard, text) == plain
    monkeypatch.undo()
    assert told(automaton(*sources), text) == plain


@pytest.mark.parametrize("source", ["", "(?:a)?", "(?:'| )"])
def test_a_pattern_of_nothing_is_refused(source: str) -> None:
    """A pattern that an empty text matches would be found everywhere."""
    with pytest.raises(Unread, match="nothing"):
        automaton(source)


def test_a_text_is_cut_where_its_letters_end() -> None:
    """Words and marks are those that a regular expression finds, wherever they lie in blocks of 64 characters."""
    heard = automaton("breast cancer")
    chance = random.Random(3)
    for size in (*range(70), 127, 128, 129, 191, 192, 193, 1000):
        for alphabet in ("abc1_ ,.?-\n", "ab", " .", "abcdefghijklmnopqrstuvwxyz" * 3 + " "):
            text = "".join(chance.choices(alphabet, k=size))
            cut = heard.hear(text.encode())
            spans = list(zip(cut.starts.tolist(), cut.ends.tolist(), strict=True))
            gaps = {character for character in alphabet if not heard.hear(character.encode())._symbols.size}

            assert spans == [
                found.span() for found in re.finditer(r"\w+|.", text, re.DOTALL) if found.group() not in gaps
            ], text


def test_a_place_that_leads_on_by_many_words_misses_none() -> None:
    """Of hundreds of words behind a seldom one, each is found and no other is."""
    common = sorted(word for word in common_words() if word.isalpha())
    words, others = common[::2], common[1::2]
    phrases = Phrases({})
    for number, word in enumerate(words):
        phrases.add_term(f"zebra {word}", number)
    heard = Automaton(graph(phrases))

    assert len(heard._ways.sieves) > SIEVE
    for number, word in enumerate(words):
        assert told(heard, f"a zebra {word} now") == [[(f"zebra {word}", (number,))]]
    for word in others:
        assert not told(heard, f"a zebra {word} now"), word


def test_what_most_words_bear_comes_first() -> None:
    """Forms that common words have get the lowest numbers, and what is found does not depend on them."""
    forms = [rf"[a-{last}]{{{least},}} ill" for last in "vwxyz" for least in range(1, 9)]
    phrases = Phrases({})
    for number, source in enumerate((*forms, "zebra ill")):
        phrases.add_pattern(read(source, phrase=True), number)
    before = how_often(phrases, machine([form_pattern(phrases.forms)]))
    heard = Automaton(graph(phrases))
    after = how_often(phrases, machine([form_pattern(phrases.forms)]))

    often = [after[atom] for atom in range(1, USUAL)]
    assert sorted(before.values()) == sorted(after.values())
    assert often == sorted(often, reverse=True)
    assert often[-1] >= max(said for atom, said in after.items() if atom >= USUAL)
    assert told(heard, "a zebra ill") == [[("zebra ill", (*range(32, 37), len(forms)))]]
