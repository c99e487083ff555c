"""What holds where it stands, to the letter, and which of it is found; held against a slow and plain reading."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.categories import Category
from gateway.redaction.automaton import MOST
from gateway.redaction.plain import Plain
from gateway.redaction.rules import Compiled, compile_rules
from tests.gateway.redaction.conftest import one_word

BEFORE, AFTER = 120, 72
"""Characters beside a candidate that count; `MOST` of its own."""
CONTEXT: dict[str, Plain] = {
    "links": {
        "person": {"before": ["he is"], "after": ["of his"]},
        "kin": {"after": ["and hers"]},
        "had": {"before": ["has", "had"]},
        "far": {"before": ["zed[^!]*"], "after": ["[^!]*zed"]},
        "alone": {"before": [r"\A"]},
        "last": {"after": [r"\z"]},
    },
    "vetoes": {"trade": {"before": ["sells"], "after": ["shop", "[^!]*zod"]}},
}
RULES: dict[str, list[Plain]] = {
    "HEALTH": [
        {"name": "linked", "terms": ["flu", "man flu", "cold feet"], "needs": ["person"]},
        {"name": "of any", "terms": ["fever"], "needs": ["person | kin"]},
        {"name": "of both", "terms": ["gout"], "needs": ["person", "kin"]},
        {"name": "vetoed", "terms": ["cold"], "unless": ["trade"]},
        {"name": "reached", "terms": ["mumps"], "needs": ["far"]},
        {"name": "alone", "terms": ["acne"], "needs": ["alone", "last"]},
        {"name": "cased", "terms": ["als"], "cased": True},
        {
            "name": "plain",
            "terms": ["breast cancer", "st jude", "ill"],
            "patterns": [r"very(?: very)* ill", r"on \w+ ill"],
        },
        {"name": "part", "patterns": ["had (asthma) badly", "(angina) so or so"], "needs": ["had"]},
        {"name": "score", "terms": ["spots"], "score": 0.9, "needs": ["person"]},
        {"name": "linked, too", "terms": ["rash"], "score": 0.9, "needs": ["person"]},
    ],
    "GENETIC": [
        {"name": "score", "terms": ["spots"], "score": 0.6},
        {"name": "unlinked", "terms": ["rash"], "score": 0.6, "unless": ["person"]},
    ],
}


def made() -> Compiled:
    """The rules, compiled."""
    mappings: dict[str, Plain] = {category.value: one_word(category) for category in Category}
    for name, rules in RULES.items():
        mappings[name] = {"rules": rules, "idioms": ["cold call"], "examples": {"positive": ["[[spots]]"]}}
    return compile_rules({**mappings, "context": CONTEXT}, lambda path, reason: pytest.fail(f"{path}: {reason}"))


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """A few rules, each of which asks one thing."""
    return made()


def found(compiled: Compiled, text: str) -> list[str]:
    """What the scan finds in a folded text."""
    return [text[start:end] for start, end, _rule in compiled.scanner.scan(text)]


HELD: dict[str, tuple[str, list[str]]] = {
    "nothing beside it": ("the flu here", []),
    "a link before": ("so he is flu now", ["flu"]),
    "a link after": ("the flu of his kin", ["flu"]),
    "a link on the wrong side": ("of his flu he is", []),
    "a link one word away": ("he is so flu", []),
    "a link at the very beginning and end": ("he is flu", ["flu"]),
    "a term at the very beginning": ("flu of his", ["flu"]),
    "a term alone": ("flu", []),
    "one link or another: the first": ("fever of his", ["fever"]),
    "one link or another: the second": ("fever and hers", ["fever"]),
    "one link or another: neither": ("fever and his", []),
    "both links": ("he is gout and hers", ["gout"]),
    "the first of both links": ("he is gout", []),
    "the second of both links": ("gout and hers", []),
    "no veto": ("a cold!", ["cold"]),
    "a veto before": ("sells cold!", []),
    "a veto after": ("a cold shop", []),
    "a veto of the next sentence": ("a cold. Shop now", ["cold"]),
    "a veto behind what only looks like a sentence's end": ("a cold. shop now", []),
    "a veto behind a quotation's end": ('a cold." Shop now', ["cold"]),
    "a veto within a sentence that another follows": ("a cold shop. Now", []),
    "a link of the next sentence": ("the flu. Of his", ["flu"]),
    "a link of another text before": ("he is\0flu", []),
    "a link of another text after": ("flu\0of his", []),
    "a veto of another text": ("sells\0cold\0shop", ["cold"]),
    "a link beyond another text's beginning": ("zed\0mumps", []),
    "a link beyond a text's end": ("mumps\0zed", []),
    "the same but for what comes after": ("mumps zed\0mumps zad", ["mumps"]),
    "the same before another end": ("mumps\0mumps zed", ["mumps"]),
    "a text's beginning and end": ("acne", ["acne"]),
    "a text's beginning and end between others": ("he\0acne\0he", ["acne"]),
    "no text's beginning": ("he acne", []),
    "no text's end": ("acne he", []),
    "a link beside a text's end": ("he is flu\0he", ["flu"]),
    "a capital letter": ("with Als here", ["Als"]),
    "no capital letter": ("with als here", []),
    "a capital letter only within": ("with aLS here", []),
    "a sentence's end within": ("the breast. Cancer", []),
    "a sentence's end within, in quotation marks": ('the breast." Cancer', []),
    "no sentence's end, for it goes on in lower case": ("the breast. cancer", ["breast. cancer"]),
    "no sentence's end, for there is no gap": ("the breast.Cancer", ["breast.Cancer"]),
    "no sentence's end, for it is an abbreviation": ("to St. Jude", ["St. Jude"]),
    "no sentence's end, for the abbreviation is of one word": ("on St. Ill", ["on St. Ill"]),
    "no sentence's end, for its word has three letters": ("on the. Ill", ["on the. Ill"]),
    "a sentence's end behind a word": ("on time. Ill", ["Ill"]),
    "the longer": ("he is man flu", ["man flu"]),
    "the longer of two that hold": ("he is cold feet", ["cold feet"]),
    "the shorter, where the longer does not hold": ("with cold feet", ["cold"]),
    "of two scores the higher": ("he is spots", ["spots"]),
    "a part, judged where it stands": ("had asthma badly", ["asthma"]),
    "a part before which nothing stands": ("angina so or so", []),
    "a part with its link": ("has angina so or so", ["angina"]),
    "an idiom": ("a cold call", []),
    "what comes after an idiom": ("cold call, cold!", ["cold"]),
}


@pytest.mark.parametrize(("text", "expected"), HELD.values(), ids=HELD.keys())
def test_what_holds_is_found_where_it_stands(compiled: Compiled, text: str, expected: list[str]) -> None:
    """What a rule needs must stand beside it, no veto may, and no sentence may end within it."""
    assert found(compiled, text) == expected


def test_of_several_rules_the_highest_that_holds_counts(compiled: Compiled) -> None:
    """A higher score that nothing beside it speaks for gives way."""
    assert [rule.category for *_, rule in compiled.scanner.scan("he is spots")] == [Category.HEALTH]
    assert [rule.category for *_, rule in compiled.scanner.scan("the spots")] == [Category.GENETIC]


def test_rules_that_are_remembered_at_one_place_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one answered is not taken for the other's answer."""
    monkeypatch.setattr("gateway.redaction.scanner.LATELY", 1)

    assert [rule.category for *_, rule in made().scanner.scan("the spots")] == [Category.GENETIC]


def test_what_is_a_link_to_one_rule_may_be_a_veto_to_another(compiled: Compiled) -> None:
    """Both are asked of one stretch: the veto is not of this sentence, and the link need not be."""
    for text, category in {"a rash. Of his": Category.HEALTH, "a rash. Hers": Category.GENETIC}.items():
        assert [rule.category for *_, rule in compiled.scanner.scan(text)] == [category]


@pytest.mark.parametrize("beyond", [False, True])
def test_what_stands_beside_a_candidate_has_bounds(compiled: Compiled, beyond: bool) -> None:
    """To the letter: so far before it, so far after it, and what a veto says as well."""
    before = "zed" + "-" * (BEFORE - 3 + beyond)
    after, veto = ("-" * (AFTER - 3 + beyond) + word for word in ("zed", "zod"))
    for around in ("", "!!"):
        assert found(compiled, f"{around}{before}mumps{around}") == ([] if beyond else ["mumps"])
        assert found(compiled, f"{around}mumps{after}{around}") == ([] if beyond else ["mumps"])
        assert found(compiled, f"{around}cold{veto}{around}") == (["cold"] if beyond else [])


@pytest.mark.parametrize("size", [MOST - 4, MOST - 3])
def test_a_candidate_has_bounds(compiled: Compiled, size: int) -> None:
    """But for its last word, to the letter."""
    text = f"on {'a' * size} ill"

    assert found(compiled, text) == ([text] if size + 4 <= MOST else ["ill"])
    assert max(map(len, found(compiled, "very " * 300 + "ill"))) <= MOST + 3


PIECES = (
    *(
        "flu",
        "fever",
        "gout",
        "cold",
        "mumps",
        "Als",
        "als",
        "angina so or so",
        "he is",
        "has",
        "of his",
        "and hers",
    ),
    *("sells", "shop", "Shop", "zed", "zod", "x" * 25, "\0", "!", ".", ",", '."'),
)


GAP = r"[ \t\n\",.'*/-]*"
NEVER = "(?!)"


def stands(one: str, before: str, other: str, after: str) -> bool:
    """Whether one side or the other does."""
    return bool(re.search(rf"(?i){one}{GAP}\Z", before) or re.match(rf"(?i){GAP}{other}", after))


def slow(text: str) -> Iterator[tuple[int, int]]:
    """The same of rules of one word each, told by regular expressions."""
    for match in re.finditer(r"(?i)\b(?:flu|fever|gout|cold|mumps|als|angina(?= so or so\b))\b", text):
        start, end = match.span()
        before = re.split("\0", text[max(0, start - BEFORE) : start])[-1]
        after = re.split("\0", text[end : end + AFTER])[0]
        sentence = re.split(r"[.!?][\"')]*\s+(?=[A-Z])", after)[0]
        person, kin = stands("he is", before, "of his", after), stands(NEVER, before, "and hers", after)
        if {
            "flu": person,
            "fever": person or kin,
            "gout": person and kin,
            "cold": not stands("sells", before, "(?:shop|[^!]*zod)", sentence),
            "mumps": stands("zed[^!]*", before, "[^!]*zed", after),
            "als": match.group()[0] == "A",
            "angina": stands("(?:has|had)", before, NEVER, after),
        }[match.group().lower()]:
            yield start, end


@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=12),
    gaps=st.lists(st.sampled_from((" ", " ", " ", ", ", "\n")), min_size=12, max_size=12),
    times=st.integers(1, 9),
)
@settings(max_examples=1_000, deadline=None)
def test_judges_as_a_plain_reading_does(compiled: Compiled, pieces: list[str], gaps: list[str], times: int) -> None:
    """Words, marks and ends of texts in any order, and the same over and over."""
    text = "".join(piece + gap for piece, gap in zip(pieces, gaps, strict=False)) * times

    assert [one[:2] for one in compiled.scanner.scan(text)] == list(slow(text))
