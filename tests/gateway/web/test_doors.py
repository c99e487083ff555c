"""Sessions and one-time links: who comes in, for how long, and what a token is good for afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit.scope import Scope
from gateway.audit.words import Role
from gateway.web.links import HOLDS_SECONDS, make, sweep, take
from gateway.web.sessions import MOST, Sessions
from gateway.web.viewer import MAY, Viewer, scope_words


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_when_nobody_looks_and_at_its_end() -> None:
    """Idle too long, or as a whole too long: the cookie is nobody's then. Each page puts off the first, not the second."""
    clock = Clock()
    sessions = Sessions(60, 150, clock)
    value, viewer = sessions.enter(Role.SECURITY, Scope.everyone(), "who")
    clock.now += 59
    assert sessions.find(value) == viewer
    clock.now += 59
    assert sessions.find(value) == viewer
    assert sessions.left(value) == 32
    clock.now += 32

    assert sessions.find(value) is None

    value, _viewer = sessions.enter(Role.SECURITY, Scope.everyone(), "who")
    clock.now += 60
    assert sessions.find(value) is None


def test_a_seat_that_expires_ends_the_session() -> None:
    """The session of a bounded seat is no longer than the seat."""
    clock = Clock()
    sessions = Sessions(600, 600, clock)
    value, _viewer = sessions.enter(Role.EXTERNAL_AUDITOR, Scope.everyone(), "who", most=10)
    clock.now += 10

    assert sessions.find(value) is None


def test_signing_out_ends_it_and_tokens_are_their_own() -> None:
    """After leaving, the cookie is nobody's; another's cookie is not touched, and no two are alike."""
    sessions = Sessions(60, 60, Clock())
    made = [sessions.enter(Role.SECURITY, Scope.everyone(), "who") for _each in range(3)]
    sessions.leave(made[0][0])

    assert sessions.find(made[0][0]) is None
    assert sessions.find(made[1][0]) == made[1][1]
    assert sessions.find("forged") is None
    assert len({value for value, _viewer in made} | {viewer.form_token for _value, viewer in made}) == 6


def test_sessions_are_bounded() -> None:
    """The one that was unused the longest makes room."""
    clock = Clock()
    sessions = Sessions(10**6, 10**6, clock)
    values = []
    for _each in range(MOST + 1):
        clock.now += 1
        values.append(sessions.enter(Role.SECURITY, Scope.everyone(), "who")[0])

    assert sessions.find(values[0]) is None
    assert sessions.find(values[1]) is not None


def test_a_link_works_once_and_for_ten_minutes(tmp_path: Path) -> None:
    """Its bearer is what it says; a second time, later, or with another token there is nothing."""
    token = make(tmp_path, Role.TENANT_AUDITOR, ("t-1",), 100.0)
    entry = take(tmp_path, token, 100.0 + HOLDS_SECONDS)
    late = make(tmp_path, Role.SECURITY, (), 100.0)

    assert entry is not None
    assert (entry.role, entry.scope) == (Role.TENANT_AUDITOR, Scope.of(["t-1"]))
    assert take(tmp_path, token, 101.0) is None
    assert take(tmp_path, late, 100.1 + HOLDS_SECONDS) is None
    assert take(tmp_path, "../../etc/passwd", 101.0) is None
    assert not list((tmp_path / "pages" / "links").iterdir())


def test_a_tenants_link_names_its_tenant(tmp_path: Path) -> None:
    """A tenant's role without a tenant would be everyone's: refused."""
    for role in (Role.TENANT_ADMIN, Role.TENANT_AUDITOR):
        with pytest.raises(ValueError, match="tenant"):
            make(tmp_path, role, (), 0.0)


def test_links_that_nobody_used_are_swept(tmp_path: Path) -> None:
    """A file that has lost its use goes."""
    make(tmp_path, Role.SECURITY, (), 0.0)
    sweep(tmp_path, 2**33)

    assert not list((tmp_path / "pages" / "links").iterdir())


@pytest.mark.parametrize("role", Role)
def test_a_tenants_scope_opens_no_page_of_the_whole(role: Role) -> None:
    """Whatever the role: configurations, packs and attestations are for who may see everyone."""
    viewer = Viewer(role, Scope.of(["t-1"]), "who", "0" * 32, "token")

    assert not any(viewer.may(page) for page in ("configuration", "reports", "attestations"))
    assert viewer.may("calls")
    assert set(MAY) == set(Role)


def test_a_scope_says_what_it_is() -> None:
    """The words of a scope name tenants in order, and days where they are bounded."""
    assert scope_words(Scope.everyone()) == "every tenant"
    assert scope_words(Scope.of(["b", "a"], 0, 31)) == "tenants a, b, 1970-01-01 to 1970-01-31"
