"""What time it is, and how sure that is: the wall clock held against one that nobody can set.

A wall clock that jumps forward would activate an entry before its notice has run, or one that jumps back would keep an
agreement that has ended. So the time since the start is also counted by the monotonic clock, and where the two part by
more than `TOLERANCE` the truth is taken to lie between them: a call leaves only if it might leave at both ends. A step
is never believed by and by; whoever set the clock right starts the gateway anew.

Linux counts its monotonic clock at the rate to which NTP slews the wall clock, so only a step parts them, or a machine
that slept (clock_gettime(2)). A clock that was already wrong when the process began cannot be seen from in here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

TOLERANCE: Final = 2.0
"""Seconds. A second of doubt is no doubt: agreements end at midnight, not at the tick."""


class Clock:
    """The instant of judgement.

    Args:
        wall: aware instants, which anybody with the right may set.
        monotonic: seconds that never run backwards.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._start = wall()
        self._mark = monotonic()

    def read(self) -> tuple[datetime, datetime | None]:
        """The earliest that it may be; and the latest, or None where there is no doubt."""
        wall = self._wall()
        step = self._step(wall)
        if -TOLERANCE <= step <= TOLERANCE:
            return wall, None
        counted = wall - timedelta(seconds=step)
        return (wall, counted) if wall < counted else (counted, wall)

    @property
    def doubt(self) -> float:
        """Seconds by which the wall clock was set since the start: forward above zero, back below; 0 within bounds."""
        step = self._step(self._wall())
        return 0.0 if abs(step) <= TOLERANCE else step

    def _step(self, wall: datetime) -> float:
        """Seconds by which `wall` is ahead of what was counted since the start."""
        return (wall - self._start).total_seconds() - (self._monotonic() - self._mark)
