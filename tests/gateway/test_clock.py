"""The clock: a step of the wall clock leaves doubt, and doubt never lets more through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.clock import TOLERANCE, Clock

START = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Hands:
    """A wall clock and a monotonic one, moved by the test."""

    def __init__(self) -> None:
        self.wall = START
        self.seconds = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


def clock_of(hands: Hands) -> Clock:
    return Clock(lambda: hands.wall, lambda: hands.seconds)


def test_a_clock_that_only_runs_leaves_no_doubt() -> None:
    """The wall clock is believed, with no latest beside it, however long it runs."""
    hands = Hands()
    clock = clock_of(hands)

    hands.pass_by(90 * 86_400)

    assert clock.read() == (START + timedelta(days=90), None)
    assert clock.doubt == 0.0


@pytest.mark.parametrize("step", [TOLERANCE, -TOLERANCE], ids=["forward", "back"])
def test_a_slight_step_is_believed(step: float) -> None:
    """Within the tolerance the wall clock counts."""
    hands = Hands()
    clock = clock_of(hands)

    hands.wall += timedelta(seconds=step)

    assert clock.read() == (START + timedelta(seconds=step), None)


def test_a_jump_forward_is_the_latest_and_what_was_counted_the_earliest() -> None:
    """A wall clock set forward moves the latest only, and stays in doubt however long it lasts."""
    hands = Hands()
    clock = clock_of(hands)

    hands.wall += timedelta(days=40)
    hands.pass_by(3600)

    assert clock.read() == (START + timedelta(hours=1), START + timedelta(days=40, hours=1))
    assert clock.doubt == 40 * 86_400


def test_a_jump_back_is_the_earliest_and_what_was_counted_the_latest() -> None:
    """A wall clock set back cannot keep what has ended."""
    hands = Hands()
    clock = clock_of(hands)

    hands.wall -= timedelta(days=1)

    assert clock.read() == (START - timedelta(days=1), START)
    assert clock.doubt == -86_400


def test_a_clock_that_is_set_right_again_is_believed_again() -> None:
    """A step and its opposite leave no doubt behind."""
    hands = Hands()
    clock = clock_of(hands)

    hands.wall += timedelta(days=40)
    clock.read()
    hands.wall -= timedelta(days=40)

    assert clock.read() == (START, None)
