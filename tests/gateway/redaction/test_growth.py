"""What the model lets findings grow by, whole and streamed, and the file it is read from."""

from __future__ import annotations

import hashlib
import random
import time

import numpy as np
import pytest
import yaml

from gateway.categories import Category
from gateway.redaction.edges import AHEAD, BITS, FEATURES, LEFT, MOST, NUMBERS, RIGHT, TOKEN
from gateway.redaction.engine import Engine
from gateway.redaction.explain import Explainer
from gateway.redaction.findings import Ends, Window
from gateway.redaction.growth import GROWTH, Found, Growth, read_growth, written
from gateway.redaction.plain import Plain
from gateway.redaction.reach import asked, desk, given
from gateway.redaction.rules import RulesInvalid
from tests.evaluate import ROOT, rules
from tests.gateway.redaction.conftest import one_word

MODEL = rules()[GROWTH]
WORD = "healthword"
EAGER = {"eagerness": 10.0}


def shipped(**changed: Plain) -> Growth:
    """The model that ships, with other bounds."""
    assert isinstance(MODEL, dict)
    growth = read_growth({**MODEL, **changed}, lambda key, reason: pytest.fail(f"{key}: {reason}"))
    assert growth is not None
    return growth


def grown(growth: Growth, text: str, word: str = WORD) -> list[str]:
    """What each mention of a word grows to."""
    data = text.encode()
    found = []
    at = data.find(word.encode())
    while at >= 0:
        found.append(Found(at, at + len(word), Category.HEALTH))
        at = data.find(word.encode(), at + 1)
    return [data[one.start : one.end].decode() for one in growth.grow(data, found)]


@pytest.fixture(scope="module")
def eager() -> Engine:
    """One word a category, and a model that takes all that its bounds allow."""
    few: dict[str, Plain] = {category.value: one_word(category) for category in Category}
    assert isinstance(MODEL, dict)
    return Engine({**few, GROWTH: {**MODEL, **EAGER}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"no. one {WORD} two", f"one {WORD} two"),
        (f"no! {WORD}? no", WORD),
        (f"no\n{WORD}\nno", WORD),
        (f"no\x00{WORD}\x00no", WORD),
        (f"p b x v {WORD} p b q g e f g h i k", f"b x v {WORD} p b q g e f g h"),
        (f"he is the {WORD} of a b he has", f"{WORD} of a b"),
        (f"b bb-cc, {WORD} (dd) ee", f"b bb-cc, {WORD} (dd) ee"),
        (f"{'a' * LEFT} {WORD} {'a' * RIGHT}", WORD),
        (f"xx{WORD}yy zz", WORD),
        (WORD, WORD),
    ],
    ids=[
        "a sentence",
        "its marks",
        "a line",
        "a text",
        "words",
        "words that say nothing",
        "marks within",
        "characters",
        "part of a word",
        "alone",
    ],
)
def test_a_finding_grows_within_its_bounds(text: str, expected: str) -> None:
    """By whole words, not over the end of a sentence, a line or a text, and by so much at most."""
    assert grown(shipped(**EAGER), text) == [expected]


def test_findings_do_not_grow_into_one_another() -> None:
    """What says something between two belongs to the first; none takes another's words, nor what only joins them."""
    assert grown(shipped(**EAGER), f"b {WORD} b cc {WORD} g") == [f"b {WORD} b cc", f"{WORD} g"]
    assert grown(shipped(**EAGER), f"b {WORD}, and {WORD} has {WORD}") == [f"b {WORD}", WORD, WORD]


def test_nothing_grows_where_the_model_says_no() -> None:
    """The bounds are bounds; the model decides."""
    assert grown(shipped(eagerness=-10.0), f"a b {WORD} c d") == [WORD]


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("now there's a malignant hyperthermia bracelet on my wrist", "hyperthermia", "malignant hyperthermia"),
        ("half of her side carry the breast cancer gene so she asked", "breast cancer", "breast cancer gene"),
    ],
)
def test_what_ships_takes_what_belongs(text: str, word: str, expected: str) -> None:
    """An example of what it is for: the words that make a condition whole."""
    assert expected in grown(shipped(), text, word)[0]


def test_what_is_found_is_found_without_it_too(eager: Engine) -> None:
    """The model makes no finding, and takes none away."""
    text = f"One {WORD} two. Nothing here. Three geneticword four."

    spans = [text[one.start : one.end] for one in eager.find([text])[0]]

    assert spans == [f"One {WORD} two", "Three geneticword four"]


def test_at_every_split_what_is_settled_is_what_the_whole_gives(eager: Engine) -> None:
    """However eager the model: what is let go is final, and no finding stands across it."""
    dice = random.Random(3)
    words = [WORD, "geneticword", "a", "of", "it,", "bb", "ccc.", "dd\n", "uh", "I", "e-e", "x" * 40, "(f)", "!"]
    for _ in range(20):
        text = " ".join(dice.choices(words, k=24))
        (found,) = eager.find([text])
        start = 0
        for at in range(1, len(text) + 1):
            ends = Ends.CLOSED if at == len(text) else Ends.OPEN
            (settled,) = eager.settle([Window(text[:at], start, ends)])
            assert settled.findings == [one for one in found if start <= one.start and one.end <= settled.end]
            assert not any(one.start < settled.end < one.end for one in found)
            start = settled.end if dice.random() < 0.5 else start
        assert settled.end == len(text)


def test_explaining_says_what_the_model_added(eager: Engine) -> None:
    """The rule found the word; so many characters beside it went along."""
    text = f"one {WORD} three"

    (told,) = Explainer(eager.compiled).explain(text, eager.find([text])[0])

    assert told.rule == "HEALTH: word"
    assert (told.shown()["grown_before"], told.shown()["grown_after"]) == (4, 6)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"sha256": "0" * 64}, "weights"),
        ({"weights": "AAAA"}, "weights"),
        ({"weights": "?"}, "weights"),
        ({"weights": None}, "weights"),
        ({"scale": 0.0}, "scale"),
        ({"scale": 1}, "scale"),
        ({"eagerness": 11.0}, "eagerness"),
        ({"left": 17}, "left"),
        ({"left": -1}, "left"),
        ({"right": 8.0}, "left"),
        ({"rihgt": 8}, ""),
    ],
)
def test_a_file_with_a_fault_is_refused(changed: dict[str, Plain], key: str) -> None:
    """What is not exactly a model is none, and the place is told."""
    assert isinstance(MODEL, dict)
    faults: list[str] = []

    assert read_growth({**MODEL, **changed}, lambda key, _reason: faults.append(key)) is None
    assert faults == [key]


def test_an_engine_does_not_start_with_weights_of_another_digest(few: dict[str, Plain]) -> None:
    """The digest in the file is that of the weights, or nothing is scanned."""
    assert isinstance(MODEL, dict)
    faults: list[object] = []

    with pytest.raises(RulesInvalid):
        Engine(
            {**few, GROWTH: {**MODEL, "sha256": hashlib.sha256(b"").hexdigest()}}, lambda path, _: faults.append(path)
        )

    assert faults == [(GROWTH, "weights")]


def test_what_is_written_is_read_back() -> None:
    """A model survives its file, up to its rounding."""
    weights = np.random.default_rng(1).normal(0, 0.3, 1 << BITS).astype(np.float32)
    weights[0] = 0
    made = written(weights, 0.25, 2, 5)

    growth = read_growth(yaml.safe_load(yaml.safe_dump(made)), lambda key, reason: pytest.fail(reason))

    assert growth is not None
    assert growth.most == (2, 5)
    again = growth._weights
    assert float(np.abs(again - weights).max()) <= float(made["scale"]) / 2 + 1e-6  # type: ignore[arg-type]


def test_the_file_names_no_word() -> None:
    """The model is numbers: no word of a passage stands in its file."""
    text = (ROOT / "config/recognizers/growth.yaml").read_text()
    body = text.partition("weights: |")[2].split()

    assert len(body) > 1000
    assert {len(line) for line in body[:-1]} == {112}


def test_absent_forms_have_no_weight() -> None:
    """A short word has no beginning and no ending that could be mistaken for another's."""
    room = desk()
    speaking = np.zeros((2 * (MOST + AHEAD), len(FEATURES)), np.int32)
    finding = 10, 12, NUMBERS[Category.HEALTH]

    for text, absent in ((b"ms ms of; ms ms ms", 11), (b"sclerosis ms", 6)):
        at = text.index(b" ms")
        finding = at + 1, at + 3, NUMBERS[Category.HEALTH]
        left, _right = asked(
            np.frombuffer(text, np.uint8), finding, (1, 0), given(room), speaking, np.zeros(64, np.int32)
        )
        assert left == 1
        assert (speaking[0] == 0).sum() == absent
        assert 0 <= speaking[0].max() < 1 << BITS


def test_a_text_full_of_findings_takes_milliseconds() -> None:
    """50 KB in which every other word is a finding: a bound that only something quadratic breaks."""
    dice = random.Random(5)
    text = " ".join(f"{WORD} {dice.randrange(10**6)}" for _ in range(2_900)).encode()
    found = [
        Found(one.start(), one.end(), Category.HEALTH) for one in TOKEN.finditer(text) if one.group() == WORD.encode()
    ]
    growth = shipped()

    began = time.process_time()
    growth.grow(text, found)

    assert len(found) == 2_900
    assert time.process_time() - began < 2.0
