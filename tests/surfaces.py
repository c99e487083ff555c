"""A surface file of this repository, read and driven as the gateway does, for the tests of the wires."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any, cast

import yaml

from gateway.errors import Code
from gateway.policy import grammar
from gateway.policy.rules import Misfit, Verdict, Walk
from gateway.policy.surface import Surface
from providers.document import Approved, Document, Value
from providers.provider import Provider

FOLDER = Path(__file__).resolve().parent.parent / "config" / "surfaces"


def written(wire: Provider) -> dict[str, Any]:
    """The YAML of a wire's surface; the caller may edit it."""
    return copy.deepcopy(_read(wire.name))


@functools.cache
def _read(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8")))


def load(tree: object, wire: Provider) -> Surface:
    """A surface without a fault."""
    faults: list[str] = []
    surface = grammar.parse(tree, wire, lambda path, reason: faults.append(f"{path}: {reason}"))
    assert not faults, "\n".join(faults)
    return surface


def walk(*granted: str, schemas: tuple[Value, ...] = ()) -> Walk:
    """What reading one request needs: grants, approved schemas, and a pseudonym that shows itself."""

    def approved(schema: Value) -> Value:
        return Approved(cast("Document", schema)) if schema in schemas else None

    return Walk(frozenset(granted), approved, lambda value: f"pseudonym-{len(value)}")


def judged(verdict: Verdict, document: Document, reading: Walk, **traits: str) -> Document:
    """The document that leaves to a model with these traits.

    Raises:
        Misfit: it may not leave.
    """
    kept = cast("Document", verdict.read(document, reading))
    for force, value in reading.deferred:
        force.settle(value, traits, kept, reading.forced)
    return kept


def refusal(verdict: Verdict, document: Document, reading: Walk, **traits: str) -> tuple[Code, str] | None:
    """The code and the path of the refusal, or None where the document leaves."""
    try:
        judged(verdict, document, reading, **traits)
    except Misfit as misfit:
        return misfit.code, misfit.where()
    return None
