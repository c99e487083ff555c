"""What a replica has of a limit ahead of its calls, so that most calls of a busy caller need no round trip.

A block of calls and tokens is charged in Redis when it is taken, and what of it was not used is given back when it
ends; so no more is ever admitted than was charged. Places in flight are no stock: those that a block came with, and
those of its calls that ended, up to as many, count as in flight until it ends. No block is more than a part of what was
left (`part`), so near its end a limit is claimed call by call.
"""

from __future__ import annotations

from typing import Final

from gateway.quotas import Quota

KEPT_SECONDS: Final = 1.0
"""How long a block may be used: by so much later than it was charged may a call be admitted."""
_REACH_SECONDS: Final = 0.5
"""Of how long a caller's pace a block is."""
_SEEN_SECONDS: Final = 0.25
"""The least time over which a pace is reckoned."""
FEWEST: Final = 8
"""Calls, for fewer of which nothing is taken ahead."""
_FEWEST_PLACES: Final = 4


def part(replicas: int) -> int:
    """Which part of what is left a block may be, as a divisor: all replicas together have a quarter at most."""
    return 4 * replicas


class Ahead:
    """Of one claim: the block there is, and the pace of its calls. For one thread.

    Attributes:
        calls, tokens, places: what is left of the block.
        asking: whether a block was asked for.
        left: calls and tokens that Redis had beside it.
    """

    __slots__ = (
        "_most",
        "_peak",
        "_since",
        "_until",
        "_used",
        "_used_tokens",
        "asking",
        "calls",
        "left",
        "places",
        "tokens",
    )

    def __init__(self, now: float) -> None:
        self.calls = self.tokens = self.places = 0
        self.asking = False
        self.left = 0, 0
        self._most = self._peak = self._used = self._used_tokens = 0
        self._until = self._since = now

    @property
    def level(self) -> tuple[int, int]:
        """Calls and tokens that are left, in the block and beside it."""
        return self.left[0] + self.calls, self.left[1] + self.tokens

    def covers(self, quota: Quota, tokens: int, now: float, *, stream: bool) -> bool:
        """Whether the block has all that a call needs."""
        return (
            now < self._until
            and (quota.per_minute is None or self.calls > 0)
            and (not quota.counts_tokens or self.tokens >= tokens)
            and (quota.in_flight is None or self.places > 0)
            and not (stream and quota.streams is not None)
        )

    def spend(self, quota: Quota, tokens: int, calls: int = 1) -> None:
        """Take a call out of the block that covers it; -1 puts one back that was not admitted."""
        if quota.per_minute is not None:
            self.calls -= calls
        if quota.counts_tokens:
            self.tokens -= tokens * calls
        if quota.in_flight is not None:
            self.places -= calls

    def seen(self, tokens: int, in_flight: int) -> None:
        """Count a call beside so many in flight, for the pace."""
        self._used += 1
        self._used_tokens += tokens
        self._peak = max(self._peak, in_flight + 1)

    def keeps(self, now: float) -> bool:
        """Keep the place of a call that ended; False if there are enough, or the block is over."""
        if now >= self._until or self.places >= self._most:
            return False
        self.places += 1
        return True

    def want(self, now: float) -> tuple[int, int, int]:
        """Calls, tokens and places to ask for by the pace since the last time; nothing while another call asks."""
        passed = max(now - self._since, _SEEN_SECONDS)
        calls = int(self._used * _REACH_SECONDS / passed)
        if self.asking or (calls < FEWEST and passed <= _SEEN_SECONDS):
            return 0, 0, 0
        tokens = int(self._used_tokens * _REACH_SECONDS / passed)
        peak = self._peak
        self._used = self._used_tokens = self._peak = 0
        self._since = now
        if calls < FEWEST:
            return 0, 0, 0
        self.asking = True
        return calls, tokens, max(_FEWEST_PLACES, peak)

    def grant(self, calls: int, tokens: int, places: int, left: tuple[int, int], now: float) -> None:
        """Have the block that was granted; the one before it has ended."""
        self.calls, self.tokens, self.places, self.left = calls, tokens, places, left
        self._most, self.asking = places, False
        self._until = now + KEPT_SECONDS

    def over(self, now: float) -> bool:
        """Whether the block may be used no more."""
        return now >= self._until

    def end(self) -> tuple[int, int]:
        """End the block: the calls and tokens to give back."""
        unused = self.calls, self.tokens
        self.calls = self.tokens = self.places = self._most = 0
        self._until = 0.0
        return unused
