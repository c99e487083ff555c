"""What went wrong lately on the way to a provider: a circuit breaker and the provider's own `retry-after`, per route.

A route is an entry and a model, since providers limit by model. It never chooses another one: it only says no sooner,
before an intent is written and before a byte leaves. How many calls may be under way at once is a quota of the
processor (`quotas`). For one event loop; bounded by the configuration's entries and models.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway.errors import Code, Refused, UpstreamError
from gateway.exchange import Route

LONGEST_WAIT = 60.0
"""Seconds. A provider that names more is asked again after so long."""


class _Way:
    __slots__ = ("failures", "trial_until", "waits_until")

    def __init__(self) -> None:
        self.failures = 0
        self.waits_until = 0.0
        self.trial_until = 0.0


class Routes:
    """The routes of this process.

    Args:
        clock: seconds that never run backwards.
        failures: so many in a row open the breaker.
        seconds: how long it stays open before one call may try.
        trial_seconds: how long that call is waited for before another may.
        heeds: whether a provider's `retry-after` stops everybody.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failures: int = 10,
        seconds: float = 5.0,
        trial_seconds: float = 30.0,
        heeds: bool = True,
    ) -> None:
        self._clock = clock
        self._most = failures
        self._seconds = seconds
        self._trial_seconds = trial_seconds
        self._heeds = heeds
        self._ways: dict[tuple[str, str], _Way] = {}

    def check(self, route: Route) -> None:
        """Whether a call may go there now; the first after a pause is its trial.

        Raises:
            Refused: `rate_limited`: the provider asked for patience.
            UpstreamError: `upstream_failed`, retryable: it failed again and again; nothing was sent.
        """
        way = self._ways.get((route.processor, route.model))
        if way is None:
            return
        now = self._clock()
        limited = way.failures < self._most
        if now < way.waits_until:
            wait = math.ceil(way.waits_until - now)
            if limited:
                raise Refused(Code.RATE_LIMITED, "The provider asked everybody to wait.", retry_after=wait)
            raise _open(wait)
        if not limited:
            if now < way.trial_until:
                raise _open(1)
            way.trial_until = now + self._trial_seconds

    def answered(self, route: Route, status: int, retry_after: str | None) -> None:
        """The provider answered with this status and, perhaps, a `retry-after` in seconds."""
        if status >= 500:
            self.failed(route)
        elif status == 429:
            self._wait(route, retry_after)
        else:
            self._ways.pop((route.processor, route.model), None)

    def failed(self, route: Route) -> None:
        """It could not be reached, broke off before it answered, or answered that it cannot."""
        way = self._way(route)
        way.failures += 1
        if way.failures >= self._most:
            way.waits_until = max(way.waits_until, self._clock() + self._seconds)
            way.trial_until = 0.0

    def _wait(self, route: Route, retry_after: str | None) -> None:
        """One without a number of seconds is passed on and stops nobody else: it may be about that call alone."""
        way = self._way(route)
        way.failures, way.trial_until = 0, 0.0  # it answers
        if self._heeds and retry_after is not None and retry_after.replace(".", "", 1).isdecimal():
            way.waits_until = max(way.waits_until, self._clock() + min(float(retry_after), LONGEST_WAIT))

    def _way(self, route: Route) -> _Way:
        return self._ways.setdefault((route.processor, route.model), _Way())


def _open(wait: int) -> UpstreamError:
    reason = "The provider failed again and again, so it is left alone for a moment; nothing was sent."
    return UpstreamError(Code.UPSTREAM_FAILED, reason, retryable=True, retry_after=wait)
