"""Tenants come and go without approval, and none unseen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.categories import Scope
from gateway.change.roll import FILE, Moved, Roll, RollUnreadable
from gateway.policy.countries import expand
from gateway.policy.tenants import Tenant

ONE = Tenant("t-1", expand(["CA"]))
TWO = Tenant("t-2", expand(["EEA"]))
BOTH = {"t-1": ONE, "t-2": TWO}


def roll(state: Path) -> Roll:
    found = Roll(state)
    found.keep(BOTH)
    return found


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"residency": expand(["CA", "US"])}, id="residency"),
        pytest.param({"processors": frozenset({"toy-eu"})}, id="processors"),
        pytest.param({"purposes": frozenset({"summary"})}, id="purposes"),
        pytest.param({"forbidden_grants": frozenset({"cache"})}, id="forbidden grants"),
        pytest.param({"notice_days": 60}, id="notice"),
        pytest.param({"redaction": Scope.REFUSE}, id="redaction"),
        pytest.param({"objections": frozenset({"toy-eu"})}, id="objections"),
        pytest.param({"laws": frozenset({"QC"})}, id="laws"),
    ],
)
def test_every_term_counts(tmp_path: Path, changed: dict[str, object]) -> None:
    """Whatever changes of a tenant is seen, of that tenant alone, until the roll is kept again."""
    found = roll(tmp_path)
    tenants = {**BOTH, "t-1": replace(ONE, **changed)}

    assert found.moved(BOTH) == []
    assert found.moved(tenants) == [Moved("t-1", there=True, served=True)]
    found.keep(tenants)
    assert found.moved(tenants) == []


def test_coming_going_and_ending(tmp_path: Path) -> None:
    """A new tenant, one that is gone and one that is cancelled each are seen, in order."""
    tenants = {"t-2": replace(TWO, status="cancelled"), "t-3": Tenant("t-3", expand(["CA"]))}

    assert roll(tmp_path).moved(tenants) == [
        Moved("t-1", there=False, served=False),
        Moved("t-2", there=True, served=False),
        Moved("t-3", there=True, served=True),
    ]


def test_the_first_look_begins_the_roll(tmp_path: Path) -> None:
    """Where there is none nothing has moved; what was kept is for its owner alone."""
    assert Roll(tmp_path).moved(BOTH) is None
    roll(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "[]", '{"t-1": 1}', "{"])
def test_a_damaged_roll(tmp_path: Path, text: str) -> None:
    """It is said, and not taken for an empty one."""
    (tmp_path / FILE).write_text(text, encoding="ascii")

    with pytest.raises(RollUnreadable, match="is damaged"):
        Roll(tmp_path).moved(BOTH)
