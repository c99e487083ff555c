"""Admission within this process: calls in flight in total and per caller, and calls a minute per caller.

Memory is bounded by the table's size, whoever knocks. Replicas share their counts elsewhere; what is here
holds in any case.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from gateway.errors import Code, Unavailable
from gateway.quotas import LONGEST_WAIT, OverQuota
from providers.provider import Rate


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one caller may do. `per_minute` refills evenly and may be used at once."""

    in_flight: int
    per_minute: int


@dataclass(slots=True)
class _Caller:
    tokens: float
    seen: float
    in_flight: int = 0


class Limits:
    """The counters. Not for several threads; every method returns at once.

    Args:
        in_flight: calls in flight over all callers.
        clock: seconds that never run backwards (`time.monotonic`).
        max_callers: rows of the table. Idle callers whose minute is whole again are forgotten first.
    """

    def __init__(self, in_flight: int, clock: Callable[[], float], *, max_callers: int = 10_000) -> None:
        self._total = in_flight
        self._clock = clock
        self._max_callers = max_callers
        self._callers: OrderedDict[str, _Caller] = OrderedDict()
        self.in_flight = 0

    def admit(self, caller: str, allowance: Allowance) -> Slot:
        """Take a place for one call; use as `with limits.admit(...):`.

        A refused call takes no token.

        Raises:
            Refused: `rate_limited`, with the seconds until a try may succeed.
            Unavailable: `overloaded`, when the process is full.
        """
        now = self._clock()
        row = self._row(caller, allowance, now)
        if row.tokens < 1:
            wait = math.ceil((1 - row.tokens) * 60 / allowance.per_minute) if allowance.per_minute > 0 else LONGEST_WAIT
            rate = Rate("requests", allowance.per_minute, 0, 60.0)
            raise OverQuota("This caller has used its calls of the minute.", wait, (rate,))
        if row.in_flight >= allowance.in_flight:
            raise OverQuota("This caller has too many calls in flight.", 1)
        if self.in_flight >= self._total:
            raise Unavailable(Code.OVERLOADED, "The gateway has too many calls in flight.", retry_after=1)
        row.tokens -= 1
        row.in_flight += 1
        self.in_flight += 1
        return Slot(self, row)

    @property
    def full(self) -> bool:
        """Whether every place is taken, so that nobody could be admitted whoever it is."""
        return self.in_flight >= self._total

    def _row(self, caller: str, allowance: Allowance, now: float) -> _Caller:
        row = self._callers.get(caller)
        if row is None:
            self._make_room(now)
            row = self._callers[caller] = _Caller(allowance.per_minute, now)
            return row
        self._callers.move_to_end(caller)
        refilled = row.tokens + max(0.0, now - row.seen) * allowance.per_minute / 60
        row.tokens = min(float(allowance.per_minute), refilled)
        row.seen = now
        return row

    def _make_room(self, now: float) -> None:
        while len(self._callers) >= self._max_callers:
            name, oldest = next(iter(self._callers.items()))
            # A minute after its last call any bucket is full again, so forgetting it grants nothing.
            if oldest.in_flight or now - oldest.seen < 60:
                raise Unavailable(Code.OVERLOADED, "The gateway serves too many callers.", retry_after=1)
            del self._callers[name]

    def _leave(self, row: _Caller) -> None:
        row.in_flight -= 1
        self.in_flight -= 1


class Slot:
    """One admitted call. Leaving it twice is leaving it once."""

    __slots__ = ("_limits", "_row")

    def __init__(self, limits: Limits, row: _Caller) -> None:
        self._limits: Limits | None = limits
        self._row = row

    def leave(self) -> None:
        """Give the place back."""
        if self._limits is not None:
            self._limits._leave(self._row)
            self._limits = None

    def __enter__(self) -> Slot:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.leave()
