"""What `config/recognizers/` may say, and what each of its examples promises."""

from __future__ import annotations

import pytest

from gateway.categories import Category
from gateway.redaction.engine import Engine
from gateway.redaction.plain import Plain
from gateway.redaction.rules import CONTEXT, Example, RulesInvalid, compile_rules
from tests.evaluate import rules

EXAMPLES = compile_rules(rules()).examples


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.found], ids=lambda one: one.text[:60])
def test_positive_examples_are_found(engine: Engine, example: Example) -> None:
    """Each marked stretch of a positive example is covered, as its file's category."""
    (findings,) = engine.find([example.text])

    for stretch in example.found:
        start = example.text.index(stretch)
        covered = [one for one in findings if one.start < start + len(stretch) and start < one.end]
        assert sum(min(one.end, start + len(stretch)) - max(one.start, start) for one in covered) * 2 >= len(stretch)
        assert example.category in {one.category for one in covered}


@pytest.mark.parametrize("example", [one for one in EXAMPLES if not one.found], ids=lambda one: one.text[:60])
def test_negative_examples_are_left_alone(engine: Engine, example: Example) -> None:
    """Nothing in a negative example is a finding."""
    assert engine.find([example.text]) == [[]]


@pytest.mark.parametrize("category", Category)
def test_every_category_has_examples_of_both_kinds(category: Category) -> None:
    """A category without a positive and a negative example is not reviewed."""
    assert {bool(one.found) for one in EXAMPLES if one.category is category} == {True, False}


def test_rules_alike_but_for_their_terms_are_heard_as_one() -> None:
    """A rule written twice moves no other's findings: the terms of both are found, and a link still binds."""
    mappings: dict[str, Plain] = {
        category.value: {"rules": [{"name": "own", "terms": [f"word of {category.value}"]}]} for category in Category
    }
    mappings["HEALTH"] = {
        "rules": [
            {"name": "twice", "score": 0.9, "terms": ["zebra"]},
            {"name": "twice", "score": 0.9, "terms": ["lion"]},
            {"name": "linked", "score": 0.8, "needs": ["tie"], "terms": ["tiger"]},
        ]
    }
    mappings["context"] = {"links": {"tie": {"before": ["\\bmy "]}}}

    found = Engine(mappings).find(["the zebra", "the lion", "the tiger", "my tiger"])

    assert [[one.score for one in findings] for findings in found] == [[0.9], [0.9], [], [0.8]]


FAULTS: dict[str, tuple[str, Plain, tuple[str | int, ...]]] = {
    "unknown key of a file": ("HEALTH", {"rulez": []}, ("HEALTH", "rulez")),
    "unknown key of a rule": (
        "HEALTH",
        {"rules": [{"name": "x", "terms": ["y"], "need": []}]},
        ("HEALTH", "rules", 0, "need"),
    ),
    "rule without a name": ("HEALTH", {"rules": [{"terms": ["y"]}]}, ("HEALTH", "rules", 0, "name")),
    "score out of range": (
        "HEALTH",
        {"rules": [{"name": "x", "terms": ["y"], "score": 2.0}]},
        ("HEALTH", "rules", 0, "score"),
    ),
    "rule that finds nothing": ("HEALTH", {"rules": [{"name": "x"}]}, ("HEALTH", "rules", 0)),
    "unknown link": ("HEALTH", {"rules": [{"name": "x", "terms": ["y"], "needs": ["z"]}]}, ("HEALTH", "rules", 0)),
    "unknown macro": (
        "HEALTH",
        {"rules": [{"name": "x", "patterns": ["a <nobody>"]}]},
        ("HEALTH", "rules", 0, "patterns", 0),
    ),
    "pattern with look-around": (
        "HEALTH",
        {"rules": [{"name": "x", "patterns": ["(?<=a)b"]}]},
        ("HEALTH", "rules", 0, "patterns", 0),
    ),
    "number where a string belongs": (
        "HEALTH",
        {"rules": [{"name": "x", "terms": [1]}]},
        ("HEALTH", "rules", 0, "terms", 0),
    ),
    "positive example without a mark": (
        "HEALTH",
        {"examples": {"positive": ["nothing"]}},
        ("HEALTH", "examples", "positive", 0),
    ),
    "not a mapping": ("HEALTH", ["x"], ("HEALTH",)),
    "no such category": ("WEALTH", {}, ("WEALTH",)),
    "custom pattern that backtracks": (
        "HEALTH",
        {"presidio": [{"name": "x", "patterns": [{"name": "y", "regex": r"(a)\1", "score": 0.5}]}]},
        ("HEALTH", "presidio", 0, "patterns", 0),
    ),
    "custom recogniser of nothing": ("HEALTH", {"presidio": [{"name": "x"}]}, ("HEALTH", "presidio", 0)),
    "link that cannot be read": (
        CONTEXT,
        {"links": {"his": {"before": ["his ", "(?s:a.b)"]}}},
        (CONTEXT, "links", "his", "before"),
    ),
    "link with look-around": (CONTEXT, {"links": {"his": {"after": ["(?=a)b"]}}}, (CONTEXT, "links", "his", "after")),
    "unknown key of the context": (CONTEXT, {"macro": {}}, (CONTEXT, "macro")),
}


@pytest.mark.parametrize(("stem", "mapping", "path"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_reported_with_their_place(
    few: dict[str, Plain], stem: str, mapping: Plain, path: tuple[str | int, ...]
) -> None:
    """A mapping that is not rules is refused, and the report names the place and what to write."""
    told: list[tuple[tuple[str | int, ...], str]] = []

    with pytest.raises(RulesInvalid):
        compile_rules({**few, stem: mapping}, lambda where, reason: told.append((where, reason)))

    assert path in [where for where, _reason in told]
    assert all(reason for _where, reason in told)


def test_a_category_without_a_file_is_a_fault(few: dict[str, Plain]) -> None:
    """What is not known cannot be found: all eight files must be there."""
    del few["GENETIC"]
    told: list[tuple[str | int, ...]] = []

    with pytest.raises(RulesInvalid):
        compile_rules(few, lambda where, _reason: told.append(where))

    assert told == [("GENETIC",)]


def test_an_operator_adds_recognisers_in_presidios_words(few: dict[str, Plain]) -> None:
    """Patterns and deny lists of an operator find, accents folded, in any case, over any gap."""
    health = few["HEALTH"]
    assert isinstance(health, dict)
    health["presidio"] = [
        {
            "name": "ward",
            "patterns": [{"name": "code", "regex": r"\bunité-\d{3}\b", "score": 0.7}],
            "deny_list": ["Château Rose"],
            "deny_list_score": 0.9,
        }
    ]
    engine = Engine(few)
    text = "transferred to Unité-417, then CHATEAU\u00a0ROSE"

    (findings,) = engine.find([text])

    assert [text[one.start : one.end] for one in findings] == ["Unité-417", "CHATEAU\u00a0ROSE"]
    assert [one.score for one in findings] == [0.7, 0.9]


def _own(**changed: Plain) -> Plain:
    entry: dict[str, Plain] = {
        "name": "Clinics",
        "supported_entity": "HEALTH",
        "deny_list": ["ward seven"],
        "patterns": [{"name": "file number", "regex": r"ZX-\d{4}", "score": 0.7}],
    }
    return {"recognizers": [{**entry, **changed}]}


def test_an_operators_own_file_adds_recognisers(few: dict[str, Plain]) -> None:
    """Under any name of its own; each finds for the category that it names, through every spelling."""
    engine = Engine({**few, "our-clinics": _own()})

    (findings,) = engine.find(["seen in Ward  Seven, file zx-1234"])

    assert [(one.start, one.end, one.category) for one in findings] == [
        (8, 19, Category.HEALTH),
        (26, 33, Category.HEALTH),
    ]


OWN: dict[str, tuple[Plain, tuple[object, ...]]] = {
    "a category's file under a wrong name": ({"rules": []}, ("HEALT",)),
    "nothing in it": ({"recognizers": []}, ("HEALT",)),
    "no category": (_own(supported_entity="PERSON"), ("HEALT", "recognizers", 0, "supported_entity")),
    "a pattern that RE2 cannot run": (
        _own(patterns=[{"name": "x", "regex": "(?=a)b", "score": 0.5}]),
        ("HEALT", "recognizers", 0, "patterns", 0),
    ),
    "an unknown key": (_own(context=["x"]), ("HEALT", "recognizers", 0, "context")),
}


@pytest.mark.parametrize(("mapping", "path"), OWN.values(), ids=OWN.keys())
def test_an_operators_file_with_a_fault_is_refused(
    few: dict[str, Plain], mapping: Plain, path: tuple[object, ...]
) -> None:
    """With the place of the fault; a misspelt category is no file of one's own."""
    faults: list[object] = []

    with pytest.raises(RulesInvalid):
        compile_rules({**few, "HEALT": mapping}, lambda where, _reason: faults.append(where))

    assert faults == [path]
