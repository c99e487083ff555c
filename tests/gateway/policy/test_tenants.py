"""Tenants: where their data may be, and what they narrow."""

from __future__ import annotations

from gateway.categories import Scope
from gateway.policy.countries import EEA, EU27, ISO, NAMED, expand, shown
from gateway.policy.tenants import Known, Tenant, parse_tenants

KNOWN = Known({"toy"}, {"summary"}, {"cache"})


def read(tree: object, known: Known = KNOWN) -> tuple[object, list[object]]:
    faults: list[object] = []
    return parse_tenants(tree, known, lambda path, _reason: faults.append(path)), faults


def test_a_tenant_is_read_as_written() -> None:
    """Named sets are expanded; what is absent narrows nothing."""
    tenants, faults = read(
        {
            "tenants": {
                "t-1": {"residency": ["EEA", "CH"], "status": "active"},
                "t-2": {
                    "residency": ["CA"],
                    "status": "suspended",
                    "processors": ["toy"],
                    "purposes": ["summary"],
                    "forbidden_grants": ["cache"],
                    "notice_days": 60,
                },
            }
        }
    )

    assert faults == []
    assert tenants == {
        "t-1": Tenant("t-1", NAMED["EEA_CH"]),
        "t-2": Tenant(
            "t-2", frozenset({"CA"}), frozenset({"toy"}), frozenset({"summary"}), frozenset({"cache"}), "suspended", 60
        ),
    }


def test_residency_and_status_must_be_said() -> None:
    """A tenant without a residency or a status is a fault, not a tenant of the world."""
    tenants, faults = read({"tenants": {"t-1": {}}})

    assert tenants is None
    assert faults == [("tenants", "t-1", "residency"), ("tenants", "t-1", "status")]


def test_names_are_not_checked_against_a_file_with_faults() -> None:
    """Where the other file is broken, a name in this one is no second fault."""
    tree = {"tenants": {"t-1": {"residency": ["CA"], "status": "active", "processors": ["gone"]}}}

    assert read(tree)[1] == [("tenants", "t-1", "processors", 0)]
    assert read(tree, Known(None, None, None))[1] == []


def test_many_tenants_share_their_country_sets() -> None:
    """Five thousand tenants of a few residencies hold a few sets."""
    tenants, _faults = read(
        {"tenants": {f"t-{number}": {"residency": ["EEA_CH"], "status": "active"} for number in range(100)}}
    )

    assert isinstance(tenants, dict)
    assert len({id(tenant.residency) for tenant in tenants.values()}) == 1


def test_the_named_sets() -> None:
    """The sets have as many members as the treaties, and each is a set of ISO codes."""
    assert (len(ISO), len(EU27), len(EEA)) == (249, 27, 30)
    assert NAMED["EEA_CH"] - EEA == {"CH"}
    assert EEA <= ISO and "GB" not in NAMED["EEA_CH"]
    assert shown(expand(["EU27", "NO", "IS", "LI"])) == "EEA"
    assert shown(frozenset({"US", "CA"})) == "CA US"


def test_a_tenant_may_be_stricter_and_not_laxer() -> None:
    """What the operator takes out of everybody's text is the least; an absent key takes it over."""
    known = Known({"toy"}, {"summary"}, {"cache"}, Scope.SENTENCE)
    usual = {"residency": ["CA"], "status": "active"}

    tenants, _faults = read({"tenants": {"a": usual, "b": {**usual, "redaction": "refuse"}}}, known)
    laxer, faults = read({"tenants": {"a": usual, "c": {**usual, "redaction": "span"}}}, known)

    assert isinstance(tenants, dict)
    assert [tenants[name].redaction for name in "ab"] == [Scope.SENTENCE, Scope.REFUSE]
    assert (laxer, faults) == (None, [("tenants", "c", "redaction")])
