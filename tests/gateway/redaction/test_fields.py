"""JSON whose keys name a category."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.redaction.engine import Engine
from gateway.redaction.fields import FIELDS, Fields
from gateway.redaction.redactor import Redactor
from providers.document import Document, Encoded, Value
from tests.evaluate import rules
from tests.gateway.redaction.conftest import InProcess

R = "[REDACTED]"
CASES: dict[str, tuple[Value, Value]] = {
    "a value": ({"religion": "Pastafarian"}, {"religion": R}),
    "however the key is written": ({"Religious-Affiliation": "Zzz"}, {"Religious-Affiliation": R}),
    "camel case": ({"sexualOrientation": "Zzz"}, {"sexualOrientation": R}),
    "French": ({"état de santé": "Zzz"}, {"état de santé": R}),
    "a list": ({"allergies": ["Zzz", "Yyy"]}, {"allergies": [R, R]}),
    "nothing": ({"religion": "n/a", "disability": "", "race": "{race}"}, {"religion": "n/a", "disability": "", "race": R}),
    "a schema": ({"religion": {"type": "string"}}, {"religion": {"type": "string"}}),
    "its neighbour": ({"religion": 5, "note": "Zzz"}, {"religion": 5, "note": "Zzz"}),
    "another key": ({"region": "Zzz"}, {"region": "Zzz"}),
}  # fmt: skip


def cleaned(engine: Engine, document: Document) -> Document:
    """As a call leaves."""
    fields = Fields(rules()[FIELDS])
    return asyncio.run(Redactor(InProcess(engine), frozenset({"x"}), fields=fields).clean(document)).document


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES.keys())
def test_a_key_that_names_a_category(engine: Engine, before: Value, after: Value) -> None:
    """Its string, or those in its list, are findings; in the tree, in a string, and in a string in a string."""
    assert cleaned(engine, {"x": before}) == {"x": after}
    once = cleaned(engine, {"x": Encoded(json.dumps(before))})
    assert json.loads(str(once["x"])) == after
    twice = cleaned(engine, {"x": json.dumps({"y": json.dumps(before)})})
    assert json.loads(json.loads(str(twice["x"]))["y"]) == after


def test_without_the_file_no_key_names_anything() -> None:
    """The names are data."""
    assert Fields(None).find([]) == {}
