"""What a change would have meant for calls of the past, and in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.tally import Alike, Tally
from gateway.change.difference import difference
from gateway.change.replay import replay, told
from gateway.change.snapshot import snapshot
from gateway.change.words import explain, reach
from gateway.config import Bundle
from gateway.errors import Code
from gateway.policy.tenants import Tenant
from tests.gateway.change.controlled import CONTROLLED, NOW
from tests.gateway.config.small import FILES, WIRES, read, write

PROCESSOR = FILES["processors/toy-eu.yaml"]
TENANTS = FILES["tenants.yaml"]
NEARER = (
    PROCESSOR.replace("id: toy-eu", "id: toy-de")
    .replace("eu.toy", "de.toy")
    .replace("[DE, FR]", "[DE]")
    .replace("storage: [IE]", "storage: []")
)


def call(**changed: object) -> Alike:
    facts: dict[str, object] = {
        "tenant": "t-eu",
        "caller": "service",
        "purpose": "summary",
        "wire": "toy",
        "operation": "ask",
        "model": "toy-large",
        "processor": "toy-eu",
        "conditionals": frozenset(),
        **changed,
    }
    return Alike(**facts)  # type: ignore[arg-type]  # the values are of the field's types


def versions(folder: Path, changed: dict[str, str]) -> tuple[Bundle, Bundle]:
    first, second = (
        read(write(folder / str(number), **{"gateway.yaml": CONTROLLED, **files}))
        for number, files in enumerate(({}, changed))
    )
    return first, second


CHANGES: dict[str, tuple[dict[str, str], dict[Code, int], dict[tuple[str, str], int], int]] = {
    "nothing": ({}, {}, {}, 0),
    "a suspension": (
        {"processors/toy-eu.yaml": PROCESSOR.replace("suspended: false", "suspended: true")},
        {Code.PROCESSOR_NOT_ACTIVE: 5},
        {},
        0,
    ),
    "a model that is gone": (
        {"processors/toy-eu.yaml": PROCESSOR.replace("id: toy-large", "id: toy-larger")},
        {Code.MODEL_NOT_ALLOWED: 5},
        {},
        0,
    ),
    "a country outside": (
        {"processors/toy-eu.yaml": PROCESSOR.replace("[DE, FR]", "[DE, FR, US]")},
        {Code.RESIDENCY_MISMATCH: 5},
        {},
        0,
    ),
    "a processor with fewer countries": ({"processors/toy-de.yaml": NEARER}, {}, {("toy-eu", "toy-de"): 5}, 0),
    "an operation under a grant": (
        {"surfaces/toy.yaml": FILES["surfaces/toy.yaml"].replace('"allow": "request"', '"conditional": "cache", "shape": "request", "instead": "-"')},
        {Code.OPERATION_NOT_ALLOWED: 5},
        {},
        0,
    ),
    "a tenant that is gone": (
        {"tenants.yaml": TENANTS.replace("status: active\n    forbidden", "status: suspended\n    forbidden")},
        {Code.TENANT_UNKNOWN: 5},
        {},
        0,
    ),
    "a model that is new": (
        {"processors/toy-eu.yaml": PROCESSOR.replace("retention_class: retains", "retention_class: zero\n    traits: {cache: none}")},
        {},
        {},
        2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_calls_are_decided_again(tmp_path: Path, name: str) -> None:
    """Each call counts once: as before, refused by code, elsewhere, or allowed for the first time."""
    changed, refused, moved, opened = CHANGES[name]
    old, new = versions(tmp_path, changed)
    calls = Counter({call(): 5, call(model="toy-kept"): 2})

    result = replay(
        snapshot(old.preimage, WIRES), snapshot(new.preimage, WIRES), old.tenants, new.tenants,
        Tally(calls, Counter({"model_not_allowed": 3})), NOW,
    )  # fmt: skip

    assert (dict(result.refused), dict(result.moved), result.opened) == (refused, moved, opened)
    assert (result.total, result.untold) == (7, 3)
    assert result.tenants == ({"t-eu"} if refused or moved or opened else set())


def test_a_grant_that_was_used_is_asked_for_again(tmp_path: Path) -> None:
    """A call that used a grant is refused where the grant is gone; one that did not is not."""
    old, new = versions(tmp_path, {"gateway.yaml": CONTROLLED.replace("callers: [service]", "callers: [agent]")})
    tenants = {"t-eu": old.tenants["t-ca"]}
    calls = Counter({call(conditionals=frozenset({"cache"})): 4, call(): 1})
    old_side, new_side = snapshot(old.preimage, WIRES), snapshot(new.preimage, WIRES)

    result = replay(old_side, new_side, tenants, tenants, Tally(calls, Counter()), NOW)

    assert dict(result.refused) == {}  # its residency keeps it from the entry either way
    tenants = {"t-eu": _without_forbidding(old)}
    result = replay(old_side, new_side, tenants, tenants, Tally(calls, Counter()), NOW)
    assert dict(result.refused) == {Code.PARAMETER_RETAINS_DATA: 4}


def _without_forbidding(bundle: Bundle) -> Tenant:
    return replace(bundle.tenants["t-eu"], forbidden_grants=frozenset())


def test_a_change_in_words(tmp_path: Path) -> None:
    """Who must approve it comes first, then what each class of tenants gains and loses, then the calls of the past."""
    old, new = versions(tmp_path, {"processors/toy-de.yaml": NEARER, "processors/toy-eu.yaml": PROCESSOR.replace("suspended: false", "suspended: true")})  # fmt: skip
    was, will = snapshot(old.preimage, WIRES), snapshot(new.preimage, WIRES)
    found = replay(was, will, old.tenants, new.tenants, Tally(Counter({call(): 5}), Counter({"x": 1})), NOW)

    said = [
        *explain(was, will, difference(was, will, NOW)),
        *reach(was, will, old.tenants, new.tenants, NOW),
        *told(found),
    ]

    assert [line for line in said if "toy" in line or "countries" in line or "approvers" in line] == [
        "2 changes, which together need 2 different approvers",
        "  2 approvers: processor toy-de is added: Toy Ltd, in DE",
        "  1 approver: toy-eu: suspended is always now, which is sooner",
        "    processors gained: toy-de",
        "    processors lost: toy-eu",
        "    countries lost: FR IE",
        "  5 would go to toy-de instead of toy-eu",
    ]
    assert "  1 more were refused then; their records do not say enough to decide them again" in said


def test_no_change_in_words(tmp_path: Path) -> None:
    """Where only tenants differ, that is said, and for whom."""
    old, new = versions(tmp_path, {"tenants.yaml": TENANTS.replace("[EEA_CH]", "[CA]")})
    was, will = snapshot(old.preimage, WIRES), snapshot(new.preimage, WIRES)

    said = [*explain(was, will, []), *reach(was, will, old.tenants, new.tenants, NOW)]

    assert said[1] == "nothing differs that the digest covers: tenants and callers need no approval"
    assert "    1 tenants no longer have these terms" in said
    assert "    models lost: toy/toy-large" in said
