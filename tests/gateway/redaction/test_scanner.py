"""The scan finds what the slow and plain reference finds, however fast it goes about it."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator

import pytest

from gateway.categories import Category
from gateway.redaction.automaton import MOST
from gateway.redaction.engine import Engine
from gateway.redaction.evidence import Rule
from gateway.redaction.findings import Ends, Window
from gateway.redaction.folding import fold
from gateway.redaction.plain import Plain
from gateway.redaction.rules import Compiled
from tests.evaluate import ROOT, rules
from tests.gateway.redaction.conftest import one_word
from tests.gateway.redaction.reference import Reference

BESIDE = ROOT.parent / "shared" / "redaction"
CORPORA = [ROOT / "tests/data/sales_dev.jsonl", *BESIDE.glob("business_dev.jsonl")]
_WORD = re.compile(r"\w+")
GLUE = (" ", " ", " ", ", ", ". ", "\n", "-", "  ", "'s ", "! ", " (", "; ")
SMALL = "i'm she's his my he is a with for on was diagnosed Maria is the of not their in at and got".split()  # noqa: SIM905


HEARD = ("HEALTH", "GENETIC")
"""Of these all terms, and the patterns that are not too long for the reference's one expression."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The shipped rules, as far as the reference can hold them."""
    shipped = rules()
    for category in Category:
        if category.value not in HEARD:
            mapping = shipped[category.value]
            assert isinstance(mapping, dict)
            mapping["rules"] = []
            mapping["examples"] = {}
    return Engine(shipped)


@pytest.fixture(scope="module")
def reference(engine: Engine) -> Reference:
    """All that these rules name, as one expression."""
    return Reference(engine.compiled, rules()["context"])


def difference(compiled: Compiled, reference: Reference, text: str) -> list[tuple[str, str, str]]:
    """What one finds and the other does not: who, the category, the stretch.

    Which of several rules for one stretch is told first is not compared: the reference reads a gap behind it, too.
    """

    def told(who: str, found: Iterator[tuple[int, int, Rule]]) -> set[tuple[str, str, str, int]]:
        """What stands at either end and belongs to no word is nothing to differ about."""
        words = [
            (rule.category.value, [match.span() for match in _WORD.finditer(text, start, end)])
            for start, end, rule in found
            if "+" not in text[end - 1 : end + 1]  # the reference wants a word's end at the end
        ]
        return {(who, name, text[spans[0][0] : spans[-1][1]], spans[0][0]) for name, spans in words}

    fast = told("scan", compiled.scanner.scan(text))
    slow = told("reference", reference.scan(text))
    both = {one[1:] for one in fast} & {one[1:] for one in slow}
    return [one[:3] for one in fast | slow if one[1:] not in both]


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_finds_what_the_reference_finds(engine: Engine, reference: Reference, path: object, step: int) -> None:
    """On whole passages of real and written talk the two agree to the character."""
    with open(str(path), encoding="utf-8") as lines:  # noqa: PTH123
        for line in itertools.islice(lines, 0, None, step if str(path).endswith("sales_dev.jsonl") else 4 * step):
            text = fold(json.loads(line)["text"]).shadow
            assert difference(engine.compiled, reference, text) == []


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 8))])
def test_finds_what_the_reference_finds_in_words_thrown_together(
    engine: Engine, reference: Reference, seed: int
) -> None:
    """Terms, idioms, pieces of them and small words in any order and with any mark between are judged alike."""
    chance = random.Random(seed)
    terms = sorted(engine.compiled.terms)
    parts: list[str] = []
    for _ in range(1_200):
        term = chance.choice(terms)
        words = term.split(" ")
        parts.append(chance.choice([term, term, chance.choice(words), " ".join(words[1:]), chance.choice(SMALL)]))
        parts.append(chance.choice(GLUE))
    assert difference(engine.compiled, reference, fold("".join(parts)).shadow) == []


@pytest.mark.parametrize("seed", range(2))
def test_finds_what_the_reference_finds_in_examples_cut_up(engine: Engine, reference: Reference, seed: int) -> None:
    """Examples of the rules, with words dropped, swapped and doubled, are judged alike."""
    chance = random.Random(seed)
    words = [word for example in engine.compiled.examples for word in example.text.split()]
    for _ in range(len(words) // 8):
        at = chance.randrange(len(words) - 1)
        words[at], words[at + 1] = words[at + 1], chance.choice([words[at], words[chance.randrange(len(words))]])

    assert difference(engine.compiled, reference, fold(" ".join(words)).shadow) == []


@pytest.fixture(scope="module")
def linked() -> Engine:
    """Phrases that begin within one another, of two categories, and an idiom."""
    few: dict[str, Plain] = {category.value: one_word(category) for category in Category}
    chain = [f"chain{number} chain{number + 1}" for number in range(40)]
    health = ["breast cancer", "cancer survivor group", "survivor group of hope", *chain]
    few["HEALTH"] = {
        "rules": [{"name": "word", "terms": ["healthword", *health]}],
        "idioms": ["survivor group game"],
        "examples": {"positive": ["a [[healthword]] here"]},
    }
    few["GENETIC"] = {
        "rules": [{"name": "word", "terms": ["geneticword", "cancer gene"]}],
        "examples": {"positive": ["a [[geneticword]] here"]},
    }
    return Engine(few)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my breast cancer survivor group met", ["breast cancer survivor group"]),
        ("my breast cancer survivor group of hope met", ["breast cancer survivor group of hope"]),
        ("my breast cancer gene", ["breast cancer"]),
        ("a cancer survivor group game", ["cancer survivor group"]),
        ("the survivor group game", []),
        ("breast cancer and cancer survivor group", ["breast cancer", "cancer survivor group"]),
    ],
)
def test_what_begins_within_a_finding_may_carry_it_farther(linked: Engine, text: str, expected: list[str]) -> None:
    """If it reveals the same; not so another category, nor an idiom."""
    assert [text[one.start : one.end] for one in linked.find([text])[0]] == expected


def test_a_chain_of_findings_has_bounds(linked: Engine) -> None:
    """However many phrases overlap, one finding is no longer than a candidate may be; the next begins behind it."""
    text = " ".join(f"chain{number}" for number in range(41))

    found = linked.find([text])[0]

    assert len(found) > 1
    assert all(one.end - one.start <= MOST for one in found)
    assert sum(one.end - one.start for one in found) > len(text) - 10 * len(found)


def test_at_every_split_a_chain_is_settled_as_a_whole(linked: Engine) -> None:
    """What may still be carried farther is not let go."""
    chance = random.Random(5)
    words = [
        "breast",
        "cancer",
        "survivor",
        "group",
        "of",
        "hope",
        "breast",
        "cancer",
        "gene",
        "chain1",
        "chain2",
        "chain3",
        "a,",
        "survivor",
        "group",
        "game",
    ]
    for _ in range(60):
        text = " ".join(word for word in words if chance.random() < 0.9)
        (found,) = linked.find([text])
        start = 0
        for at in range(1, len(text) + 1):
            (settled,) = linked.settle([Window(text[:at], start, Ends.CLOSED if at == len(text) else Ends.OPEN)])
            assert settled.findings == [one for one in found if start <= one.start and one.end <= settled.end]
            assert not any(one.start < settled.end < one.end for one in found)
            start = settled.end if chance.random() < 0.5 else start
        assert settled.end == len(text)


def test_who_may_not_wait_lets_go_of_what_might_be_carried_farther(linked: Engine) -> None:
    """The longest that a stream may hold is a bound: then a finding goes as far as it is known."""
    text = "my breast cancer"

    (held,) = linked.settle([Window(text, 0, Ends.OPEN)])
    (late,) = linked.settle([Window(text, 0, Ends.LATE)])

    assert (held.findings, held.end) == ([], 3)
    assert [text[one.start : one.end] for one in late.findings] == ["breast cancer"]
    assert late.end == len(text)
