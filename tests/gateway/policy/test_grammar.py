"""Faults of a surface file: each is named where it stands, and none is taken for a grant."""

from __future__ import annotations

import copy

import pytest

from gateway.policy.grammar import parse
from tests.gateway.policy.surfaces import SURFACE, TOY


def faults_after(path: tuple[str, ...], value: object) -> list[tuple[str, str]]:
    tree = copy.deepcopy(SURFACE)
    node: dict[str, object] = tree
    for step in path[:-1]:
        inner = node[step]
        assert isinstance(inner, dict)
        node = inner
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    found: list[tuple[str, str]] = []
    parse(tree, TOY, lambda where, reason: found.append((".".join(map(str, where)), reason)))
    return found


_FIELDS = ("shapes", "request", "fields")


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        pytest.param(("wire",), "other", "wire", "wire: toy", id="the wrong wire"),
        pytest.param(("surprise",), 1, "surprise", "unknown key", id="an unknown key at the top"),
        pytest.param(("read",), "yesterday", "read", "YYYY-MM-DD", id="a date in words"),
        pytest.param(("sources", "T1"), {"page": ""}, "sources.T1.page", "which page", id="a source without a page"),
        pytest.param(
            ("operations", "shout"),
            {"allow": "request"},
            "operations.shout",
            "no such operation",
            id="an unknown operation",
        ),
        pytest.param(
            ("operations", "ask"),
            {"allow": "nothing"},
            "operations.ask.allow",
            "no shape",
            id="a shape that is not there",
        ),
        pytest.param(
            (*_FIELDS, "note"), "prose", "shapes.request.fields.note", "no shape", id="a word that is no shape"
        ),
        pytest.param((*_FIELDS, "note"), 7, "shapes.request.fields.note", "no shape", id="a number for a shape"),
        pytest.param(
            (*_FIELDS, "note"),
            {"allow": "text", "refuse": "body_invalid", "instead": "-"},
            "shapes.request.fields.note",
            "one verdict",
            id="two verdicts",
        ),
        pytest.param(
            (*_FIELDS, "note"),
            {"refuse": "parameter_retains_data"},
            "shapes.request.fields.note",
            "instead",
            id="no way out",
        ),
        pytest.param(
            (*_FIELDS, "note"),
            {"refuse": "go_away", "instead": "-"},
            "shapes.request.fields.note.refuse",
            "no refusal code",
            id="an unknown code",
        ),
        pytest.param(
            (*_FIELDS, "note"),
            {"conditional": "wish", "shape": "text", "instead": "-"},
            "shapes.request.fields.note.conditional",
            "does not list",
            id="an unknown grant",
        ),
        pytest.param(
            (*_FIELDS, "note"),
            {"allow": "text", "sauce": "T1"},
            "shapes.request.fields.note.sauce",
            "unknown key",
            id="a typing error",
        ),
        pytest.param(
            (*_FIELDS, "note"),
            {"allow": "text", "source": "T9"},
            "shapes.request.fields.note.source",
            "does not list",
            id="an unknown source",
        ),
        pytest.param(
            (*_FIELDS, "store"),
            {"force": False},
            "shapes.request.fields.store",
            "instead",
            id="a refusal without a way out",
        ),
        pytest.param(
            (*_FIELDS, "store"),
            {"force": False, "contrary": "maybe", "instead": "-"},
            "shapes.request.fields.store.contrary",
            "refuse",
            id="a third way",
        ),
        pytest.param(
            (*_FIELDS, "cache_options"),
            {"force_by": "cache", "cases": {"explicit": 1}, "instead": "-"},
            "shapes.request.fields.cache_options.cases",
            "one case for each",
            id="a trait's value without a case",
        ),
        pytest.param(
            ("headers", "x-more"),
            {"values": {"a": "allow"}},
            "headers.x-more",
            "does not forward",
            id="a header that is not forwarded",
        ),
        pytest.param(("headers", "toy-beta"), "text", "headers.toy-beta", "closed list", id="a header left open"),
        pytest.param(
            ("paths", "/v1/files"),
            {"methods": ["GET"], "allow": "text"},
            "paths./v1/files",
            "refused",
            id="a path granted by the back door",
        ),
        pytest.param(
            ("shapes", "part", "absent"), "ghost", "shapes.part", "not there", id="an absent case that is not there"
        ),
        pytest.param(
            ("shapes", "request", "required"),
            ["ghost"],
            "shapes.request.required",
            "not among",
            id="a required field unnamed",
        ),
        pytest.param(
            ("shapes", "request", "needed"),
            {"ghost": "parameter_retains_data"},
            "shapes.request.needed.ghost",
            "not among",
            id="a needed field unnamed",
        ),
        pytest.param(
            ("shapes", "request", "needed"),
            {"note": "parameter_retains_data"},
            "shapes.request.needed.note",
            "instead",
            id="a needed field without advice",
        ),
        pytest.param(
            ("shapes", "request", "needed"),
            {"previous": "no_such_code"},
            "shapes.request.needed.previous",
            "no refusal code",
            id="a needed field with an unknown code",
        ),
        pytest.param(
            (*_FIELDS, "note"),
            {"url": {"data": "text"}},
            "shapes.request.fields.note",
            "no shape",
            id="a URL without a verdict over references",
        ),
        pytest.param(("shapes", "text"), "text", "shapes.text", "already", id="a word taken"),
        pytest.param(
            ("shapes", "image_part", "fields", "data", "types"),
            ["image/bmp"],
            "shapes.image_part.fields.data.types",
            "leading bytes",
            id="a media type unknown",
        ),
        pytest.param(("answers",), None, "answers", "mapping", id="no answers"),
        pytest.param(("shapes",), [], "shapes", "mapping", id="a list for a mapping"),
    ],
)
def test_names_each_fault(path: tuple[str, ...], value: object, where: str, says: str) -> None:
    """A fault is reported at its key, in words that say what to write."""
    found = faults_after(path, value)

    assert any(place == where and says in reason for place, reason in found), found


def test_every_field_name_is_in_the_vocabulary() -> None:
    """Paths may hold these words and no others."""
    surface = parse(SURFACE, TOY, lambda path, reason: None)

    assert {"model", "input", "type", "text", "parameters", "cache_options"} <= surface.vocabulary
    assert surface.traits_needed == {"ask": frozenset({"cache"}), "hear": frozenset({"cache"})}


def test_each_rule_knows_its_source_and_date() -> None:
    """A refusal can be traced to a page and the day it was read."""
    surface = parse(SURFACE, TOY, lambda path, reason: None)

    assert surface.refused_paths["POST /v1/files"].source == "T1 2026-11-23"
    assert surface.answers["item"]["container"].rule.source == "T1 2026-11-23"
