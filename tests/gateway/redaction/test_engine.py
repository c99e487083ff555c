"""Findings of the engine: offsets, isolation of texts, evasion, and no way to the network."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.categories import Category
from gateway.redaction.engine import Engine, NotWorking
from gateway.redaction.findings import Ends, Window, well_formed
from gateway.redaction.plain import Plain
from gateway.redaction.recognizers import Result
from gateway.redaction.segments import join, pieces
from tests.gateway.redaction.conftest import shipped

ROOT = Path(__file__).parents[3]
PHRASES = {
    "HIV positive": ("My brother is ", ", so he left early."),
    "shop steward": ("Their site lead is the ", " and he will object."),
    "fasting for Ramadan": ("Rachid is ", " until Friday."),
    "type 2 diabetes": ("She was diagnosed with ", " last year."),
    "his husband": ("Devon and ", " are away."),
    "arrêt maladie": ("Sandrine est en ", " depuis lundi."),
    "voted Labour": ("I ", " last time."),
    "délégué syndical": ("Normand est ", " depuis mars."),
}
_CYRILLIC = str.maketrans(
    "aeopcxiAEOPCHTB", "\u0430\u0435\u043e\u0440\u0441\u0445\u0456\u0410\u0415\u041e\u0420\u0421\u041d\u0422\u0412"
)
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
EVASIONS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "no-break space": lambda text: text.replace(" ", "\u00a0"),
    "double space": lambda text: text.replace(" ", "  "),
    "new line": lambda text: text.replace(" ", "\n"),
    "hyphen": lambda text: text.replace(" ", "-"),
    "en dash": lambda text: text.replace(" ", " \u2013 "),
    "underscore": lambda text: text.replace(" ", "_"),
    "filler": lambda text: text.replace(" ", ", uh, "),
    "French filler": lambda text: text.replace(" ", " euh "),
    "full width": lambda text: text.translate(_WIDE),
    "homoglyphs": lambda text: text.translate(_CYRILLIC),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "without accents": lambda text: "".join(
        c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)
    ),
    "letter-spaced": lambda text: "  ".join(" ".join(word) if len(word) > 1 else word for word in text.split()),
    "dotted": lambda text: " ".join(".".join(word) if len(word) > 2 else word for word in text.split()),
    "bold": lambda text: f"**{text}**",
    "quoted": lambda text: f"\u00ab {text} \u00bb",
    "italic": lambda text: f"_{text}_",
}


@pytest.mark.parametrize("evasion", EVASIONS.values(), ids=EVASIONS.keys())
@pytest.mark.parametrize("phrase", PHRASES)
def test_no_spelling_hides_a_phrase(engine: Engine, phrase: str, evasion: Callable[[str], str]) -> None:
    """However a planted phrase is spelled, no letter of it stays outside the findings."""
    before, after = PHRASES[phrase]
    spelled = evasion(phrase)
    text = before + spelled + after

    (findings,) = engine.find([text])

    left = {at for at in range(len(before), len(before) + len(spelled)) if text[at].isalnum()}
    for one in findings:
        left -= set(range(one.start, one.end))
    assert not left


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["he is", "my wife", "HIV", "voted", "\n", ". ", "uh", "\u200b", "é", "Labour", "pregnant", "\ud7ff", " "]
        ),
        max_size=25,
    )
)
def test_findings_are_well_formed(parts: list[str]) -> None:
    """Spans are in order, apart, and inside the text."""
    text = " ".join(parts)
    (findings,) = shipped().find([text])

    assert well_formed(findings, len(text))


def test_texts_of_one_call_do_not_see_each_other(engine: Engine) -> None:
    """A person in one text is no context for a word in the next, and no term runs over from one to another."""
    texts = ["My brother is HIV", "positive", "", "he voted", "Labour", "Devon and his husband"]

    together = engine.find(texts)

    assert together == [engine.find([text])[0] for text in texts]


def test_neighbours_change_no_finding(engine: Engine) -> None:
    """Whatever is analysed with a text, in what order: each finding is the one that it has alone, to the character."""
    texts = [example.text for example in engine.compiled.examples]
    alone = [findings for text in texts for findings in engine.find([text])]
    order = list(range(len(texts)))
    random.Random(5).shuffle(order)

    together = engine.find([texts[index] for index in order])

    assert together == [alone[index] for index in order]


def test_an_operators_pattern_ends_with_its_text(few: dict[str, Plain]) -> None:
    """A pattern that takes anything sees one text at a time: it neither runs on nor hides what the next begins with."""
    pattern: Plain = {"name": "own", "regex": ".?plan(?:.|\\s)*", "score": 0.5}
    own: Plain = {"recognizers": [{"name": "Own", "supported_entity": "HEALTH", "patterns": [pattern]}]}
    engine = Engine({**few, "own": own})

    assert engine.find(["our plan", "plan b"]) == engine.find(["our plan"]) + engine.find(["plan b"])


def test_a_window_that_is_whole_is_settled_as_it_is_at_the_end_of_a_stream(engine: Engine) -> None:
    """What is analysed in one go finds what the horizon finds, window by window."""
    windows = [Window(example.text, 0, Ends.CLOSED) for example in engine.compiled.examples]
    beside = [Window("My brother has ", 0, Ends.OPEN), "My brother has can&#99;er"]

    together = engine.look([*windows, *beside])

    assert together[: len(windows)] == [engine._horizon.settle(window) for window in windows]
    assert together[len(windows) :] == [*engine.settle(beside[:1]), *engine.find(beside[1:])]


def test_results_that_are_alike_count_once() -> None:
    """As Presidio's own do: whoever puts them into a set is left with one of each."""
    results = [Result("HEALTH", start, 9, 0.5) for start in (2, 2, 3)]

    assert len(set(results)) == 2
    assert hash(results[0]) == hash(results[1])


def test_a_separator_in_a_text_is_no_separator(engine: Engine) -> None:
    """The character that parts texts inside the engine does nothing in a text."""
    (findings, other) = engine.find(["He is HIV\x00 positive.", "his husband"])

    assert [one.category for one in findings] == [Category.HEALTH]
    assert [(one.start, one.end) for one in other] == [(0, 11)]


def test_an_engine_that_misses_its_examples_does_not_work(few: dict[str, Plain]) -> None:
    """An example that the rules do not find means that nothing may be trusted."""
    health = few["HEALTH"]
    assert isinstance(health, dict)
    health["examples"] = {"positive": ["a [[sentence]] with nothing in it"]}
    engine = Engine(few)

    with pytest.raises(NotWorking):
        engine.test()


def test_nothing_is_logged(engine: Engine, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither Presidio nor the rules write a word about a text, at any level."""
    with caplog.at_level(logging.DEBUG):
        engine.find(["My brother is HIV positive, jane.doe@example.com"])

    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_no_network_at_import_or_run() -> None:
    """With every connection forbidden, the engine imports, compiles and finds; and spaCy is never loaded."""
    script = """
import socket, sys
def forbidden(*a, **k):
    raise SystemExit("the network was asked")
class Forbidden(socket.socket):
    connect = connect_ex = sendto = sendmsg = forbidden
socket.socket = Forbidden
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = forbidden
from gateway.redaction import lean
lean.install()
from gateway.redaction.engine import Engine
from gateway.redaction.home import folder
from tests.configuration import rules
engine = Engine(rules(), where=folder())
assert engine.find(["mail jane.doe@example.com, her brother is HIV positive"])[0]
import tldextract
assert tldextract.extract("mail.example.co.uk").suffix == "co.uk"
assert not hasattr(sys.modules.get("spacy"), "__file__") or sys.modules["spacy"].__spec__.origin is None
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.stderr) == ("fine\n", "")


HOSTILE = {
    "dots": "a." * 25_000,
    "www": "www." * 12_500,
    "digits": "1 " * 25_000,
    "his": "his " * 12_500,
    "said": "my wife is a " * 4_000,
    "brackets": "(" * 50_000,
    "voted": "voted for the " * 3_500,
    "lines": "\n" * 50_000,
    "a term": "hiv " * 12_500,
    "a finding": "she has hiv " * 4_100,
    "one word": "a" * 50_000,
    "long gaps": ("hiv" + " " * 300 + "positive ") * 160,
    "one gap": "type" + " " * 50_000 + "2 diabetes",
    "spelled out": "H I V " * 8_000,
    "combining": "e" + "\u0301" * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_bounded_time(engine: Engine, text: str) -> None:
    """Fifty kilobytes made to be slow are no slower than the deadline of any call allows."""
    began = time.process_time()

    engine.find([text])

    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("seed", range(3))
def test_every_word_a_trigger_takes_bounded_time(engine: Engine, seed: int) -> None:
    """Terms of all rules after one another, with and without somebody who has them, are looked at in time."""
    chance = random.Random(seed)
    terms = sorted(engine.compiled.terms)
    people = ("he is ", "on ", "my wife has ", "voted for the ", "")
    text = " ".join(chance.choice(people) + chance.choice(terms) for _ in range(6_000))[:50_000]
    began = time.process_time()

    engine.find([text])

    assert time.process_time() - began < 6.0


def test_great_texts_take_bounded_time(engine: Engine) -> None:
    """Four megabytes, a line of one, every plane of Unicode: linear, as pieces and whole."""
    texts = [
        "rep: and then we said that the price is fine\n" * 90_000,
        "x" * 1_000_000,
        "e" + "\u0301" * 200_000,
        "".join(map(chr, [*range(0x20, 0xD800, 3), *range(0xE000, 0x110000, 17)])),
    ]
    began = time.process_time()

    for text in texts:
        parts = pieces(text)
        join(parts, engine.find([text[part.start : part.end] for part in parts]))

    assert time.process_time() - began < 30.0


@pytest.mark.parametrize("size", [997, 4_096, 50_000])
def test_cuts_change_nothing(engine: Engine, size: int) -> None:
    """A long text as pieces has the findings that it has as a whole."""
    rows = [json.loads(line)["text"] for line in (ROOT / "tests/data/sales_dev.jsonl").read_text().splitlines()]
    whole = "\n".join(rows)[size : size + 60_000]
    parts = pieces(whole)

    assert join(parts, engine.find([whole[part.start : part.end] for part in parts])) == engine.find([whole])[0]
