"""Admission within the process."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Code, GatewayError, Refused, Unavailable
from gateway.limits import Allowance, Limits


class Clock:
    """Seconds that go on when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


ALLOWANCE = Allowance(in_flight=2, per_minute=3)


def test_calls_of_a_minute_are_counted() -> None:
    """The last permitted call of a minute passes, the next waits, and the wait that is told is enough."""
    clock = Clock()
    limits = Limits(10, clock)
    for _ in range(3):
        with limits.admit("a", ALLOWANCE):
            pass

    with pytest.raises(Refused) as caught:
        limits.admit("a", ALLOWANCE)
    assert (caught.value.code, caught.value.status, caught.value.retry_after) == (Code.RATE_LIMITED, 429, 20)
    assert caught.value.retryable
    clock.now += 19.9
    with pytest.raises(Refused):
        limits.admit("a", ALLOWANCE)
    clock.now += 0.2
    limits.admit("a", ALLOWANCE).leave()


def test_calls_in_flight_are_bounded_per_caller() -> None:
    """A caller's place is free again when its call leaves, however it leaves, and only once."""
    limits = Limits(10, Clock())
    allowance = Allowance(in_flight=2, per_minute=100)
    first = limits.admit("a", allowance)
    with limits.admit("a", allowance), pytest.raises(Refused) as caught:
        limits.admit("a", allowance)
    first.leave()
    first.leave()

    assert caught.value.code is Code.RATE_LIMITED
    assert limits.in_flight == 0
    with pytest.raises(KeyError), limits.admit("a", allowance):
        raise KeyError
    assert limits.in_flight == 0


def test_calls_in_flight_are_bounded_in_total() -> None:
    """When the process is full every caller is told so, and other callers' limits stay their own."""
    limits = Limits(2, Clock())
    held = [limits.admit("a", ALLOWANCE), limits.admit("b", ALLOWANCE)]

    with pytest.raises(Unavailable) as caught:
        limits.admit("c", ALLOWANCE)
    assert (caught.value.code, caught.value.retry_after) == (Code.OVERLOADED, 1)
    held[0].leave()
    limits.admit("c", ALLOWANCE)


def test_refused_call_takes_no_token() -> None:
    """Knocking at a full house does not use up the minute."""
    limits = Limits(1, Clock())
    held = limits.admit("b", ALLOWANCE)
    for _ in range(10):
        with pytest.raises(Unavailable):
            limits.admit("a", ALLOWANCE)
    held.leave()

    for _ in range(3):
        limits.admit("a", ALLOWANCE).leave()


@pytest.mark.parametrize("allowance", [Allowance(0, 10), Allowance(10, 0)])
def test_nothing_allowed_is_nothing(allowance: Allowance) -> None:
    """An allowance of nought refuses every call."""
    with pytest.raises(Refused) as caught:
        Limits(10, Clock()).admit("a", allowance)

    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60


def test_table_is_bounded_and_forgetting_grants_nothing() -> None:
    """A full table forgets only callers whose minute is whole again; else a stranger is refused."""
    clock = Clock()
    limits = Limits(100, clock, max_callers=2)
    for name in ("a", "a", "a", "b"):
        limits.admit(name, ALLOWANCE).leave()

    with pytest.raises(Unavailable):
        limits.admit("c", ALLOWANCE)
    clock.now += 59.9
    with pytest.raises(Unavailable):
        limits.admit("c", ALLOWANCE)
    clock.now += 0.2
    limits.admit("c", ALLOWANCE)


def test_caller_with_a_call_in_flight_is_not_forgotten() -> None:
    """However long a call takes, its place stays counted."""
    clock = Clock()
    limits = Limits(100, clock, max_callers=1)
    held = limits.admit("a", ALLOWANCE)
    clock.now += 3600

    with pytest.raises(Unavailable):
        limits.admit("b", ALLOWANCE)
    held.leave()
    limits.admit("b", ALLOWANCE)


@settings(deadline=None)
@given(
    st.integers(1, 120),
    st.lists(st.tuples(st.floats(0, 90), st.sampled_from("ab")), max_size=60),
)
def test_no_minute_holds_more_than_twice_the_allowance(per_minute: int, steps: list[tuple[float, str]]) -> None:
    """A bucket of a minute's calls refilled evenly lets through at most two minutes' worth in any minute."""
    clock = Clock()
    limits = Limits(1000, clock)
    passed: dict[str, list[float]] = {"a": [], "b": []}
    for wait, caller in steps:
        clock.now += wait
        try:
            limits.admit(caller, Allowance(1000, per_minute)).leave()
        except GatewayError:
            continue
        passed[caller].append(clock.now)

    for times in passed.values():
        for start in times:
            assert sum(start <= time < start + 60 for time in times) <= 2 * per_minute
    assert limits.in_flight == 0
