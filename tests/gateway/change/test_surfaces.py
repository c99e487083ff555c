"""What loosens a surface and what tightens it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gateway.change.surfaces import moves
from tests.gateway.policy.surfaces import SURFACE

Edit = Callable[[Any], object]


def edited(edit: Edit) -> Any:
    tree = copy.deepcopy(SURFACE)
    edit(tree)
    return tree


def fields(tree: Any) -> Any:
    return tree["shapes"]["request"]["fields"]


LOOSER: dict[str, tuple[Edit, str]] = {
    "a field that is named now": (lambda tree: fields(tree).update(extra="text"), "request.extra"),
    "a refused field that is allowed": (lambda tree: fields(tree).update(previous="text"), "request.previous"),
    "a forced value that is no longer forced": (lambda tree: fields(tree).pop("store"), "request.store"),
    "a forced value that is another": (lambda tree: fields(tree).update(store={"force": True}), "request.store"),
    "a forced value that the caller may send": (lambda tree: fields(tree).update(store="boolean"), "request.store"),
    "a value that a forced one tolerates": (
        lambda tree: fields(tree)["tier"].update(tolerated=["slow", "fast"]),
        "request.tier",
    ),
    "one more constant": (lambda tree: fields(tree).update(effort=["low", "high", "most"]), "request.effort=most"),
    "another shape": (lambda tree: fields(tree).update(call_id="text"), "request.call_id"),
    "an operation for everybody": (
        lambda tree: tree["operations"].update(hear={"allow": "request", "source": "T1"}),
        "operations.hear",
    ),
    "another grant": (lambda tree: tree["operations"]["hear"].update(conditional="cache"), "operations.hear"),
    "a header value": (
        lambda tree: tree["headers"]["toy-beta"]["values"].update({"files-1": "allow"}),
        "headers.toy-beta.files-1",
    ),
    "an answer that passes": (lambda tree: tree["answers"]["item"].update(container="json"), "answers.item.container"),
    "a namespace of answers": (
        lambda tree: tree["answers"].update(block={"source": "T1", "text": "json"}),
        "answers.block.text",
    ),
    "a query": (lambda tree: tree["query"].update(after={"allow": "text", "source": "T1"}), "query.after"),
    "a JSON type": (lambda tree: fields(tree)["input"]["types"].update(number="number"), "request.input.number"),
    "what is required": (lambda tree: tree["shapes"]["request"].update(required=[]), "request.required"),
    "a member of a list": (
        lambda tree: fields(tree)["include"]["list"]["values"].update(stored="allow"),
        "request.include[].stored",
    ),
    "a grant": (lambda tree: tree["grants"].update(more="more"), "grants.more"),
    "a key that nobody knows": (lambda tree: tree.update(unheard=1), "unheard"),
    "a trait": (lambda tree: tree["traits"].update(cache=["explicit", "none", "some"]), "traits"),
}
TIGHTER: dict[str, tuple[Edit, str]] = {
    "a field that is gone": (lambda tree: fields(tree).pop("note"), "request.note"),
    "a field that is refused": (
        lambda tree: fields(tree).update(note={"refuse": "parameter_retains_data"}),
        "request.note",
    ),
    "a field under a grant": (
        lambda tree: fields(tree).update(note={"conditional": "cache", "shape": "text"}),
        "request.note",
    ),
    "one constant less": (lambda tree: fields(tree).update(effort=["low"]), "request.effort=high"),
    "an operation that is gone": (lambda tree: tree["operations"].pop("hear"), "operations.hear"),
    "an answer that is gone": (lambda tree: tree["answers"]["item"].pop("search"), "answers.item.search"),
    "a header value that is gone": (
        lambda tree: tree["headers"]["toy-beta"]["values"].pop("good-1"),
        "headers.toy-beta.good-1",
    ),
    "a case that is gone": (lambda tree: fields(tree)["input"]["types"].pop("list"), "request.input.list"),
}
WORDING: dict[str, Edit] = {
    "a source": lambda tree: tree["shapes"]["request"].update(source="T2"),
    "what to do instead": lambda tree: fields(tree)["previous"].update(instead="Send them again."),
    "the day it was read": lambda tree: tree.update(read="2026-11-24"),
    "a path that is refused anyway": lambda tree: tree["paths"].clear(),
    "allow, written out": lambda tree: fields(tree).update(note={"allow": "text", "note": "as before"}),
    "a refused field that is not named": lambda tree: fields(tree).pop("previous"),
    "a shape that nothing names": lambda tree: tree["shapes"].update(unused={"fields": {"a": "text"}, "source": "T1"}),
}


@pytest.mark.parametrize("name", LOOSER)
def test_what_loosens(name: str) -> None:
    """More may leave, or nobody can say that it may not: loosened, and the place is named."""
    edit, where = LOOSER[name]

    found = moves(SURFACE, edited(edit))  # type: ignore[arg-type]  # a tree of plain values

    assert (where, True) in {(move.where, move.loosened) for move in found}


@pytest.mark.parametrize("name", TIGHTER)
def test_what_tightens(name: str) -> None:
    """Less may leave: tightened, nothing is loosened, and the way back is a loosening."""
    edit, where = TIGHTER[name]

    there = moves(SURFACE, edited(edit))  # type: ignore[arg-type]
    back = moves(edited(edit), SURFACE)  # type: ignore[arg-type]

    assert {(move.where, move.loosened) for move in there} == {(where, False)}
    assert (where, True) in {(move.where, move.loosened) for move in back}


@pytest.mark.parametrize("name", WORDING)
def test_what_is_only_words(name: str) -> None:
    """Sources, days and other words move no verdict."""
    assert moves(SURFACE, edited(WORDING[name])) == []  # type: ignore[arg-type]


def test_the_same_is_the_same() -> None:
    """Nothing moves in a surface that is as it was."""
    assert moves(SURFACE, copy.deepcopy(SURFACE)) == []  # type: ignore[arg-type]
