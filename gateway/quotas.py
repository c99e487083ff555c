"""What a caller, a tenant and a processor may use: calls and tokens a minute, calls and streams at once, tokens a day.

One interface, `Quotas`, with two sides: `Counters` here counts in this process; `replicas.quotas` counts in Redis for
all replicas and falls back on a share of the same counters. Names come from the configuration, so tables are bounded.

Tokens are the provider's own count, input and output; until it says, a quarter of the body's bytes stands for them.
A bucket may go below nought by what was estimated wrongly, and the next call waits until it is above nought again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from gateway.errors import Code, Refused
from providers.provider import Rate

DAY_SECONDS = 86_400
BYTES_A_TOKEN = 4
"""Of a request's body, for the estimate: English prose has about four letters a token, and JSON no fewer bytes."""
LONGEST_WAIT = 60
"""Seconds. A stock client sleeps as long as it is told, so it is never told more."""


class Quota(Struct, frozen=True, cache_hash=True):
    """Most of each kind; None is no bound. A minute's allowance refills evenly and may be used at once."""

    per_minute: int | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None
    streams: int | None = None
    tokens_per_day: int | None = None

    @property
    def bounded(self) -> bool:
        """Whether anything is bounded."""
        return self != UNBOUNDED

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are bounded."""
        return self.tokens_per_minute is not None or self.tokens_per_day is not None

    def share(self, replicas: int) -> Quota:
        """What one of so many replicas may use by itself: an even part, at least one of each."""
        parts = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return Quota(**{name: None if most is None else max(1, most // replicas) for name, most in parts})


UNBOUNDED = Quota()


class Claim(Struct, frozen=True):
    """One of those whom a call counts for. `scope` is `caller`, `tenant` or `processor`; `key`: where it is counted."""

    scope: str
    name: str
    quota: Quota
    key: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "key", f"{self.scope}:{self.name}")  # read many times a call


class OverQuota(Refused):
    """Somebody has used what they may. `rates` are what the wire's own headers tell."""

    def __init__(self, reason: str, wait: float, rates: tuple[Rate, ...] = (), *, worth_waiting: bool = True) -> None:
        seconds = max(1, min(math.ceil(wait), LONGEST_WAIT))
        super().__init__(Code.RATE_LIMITED, reason, retry_after=seconds, retryable=worth_waiting)
        self.rates = rates


class Held(Protocol):
    """What one admitted call holds until `release`. `rates` are what is left of the tightest bounds."""

    rates: tuple[Rate, ...]

    def release(self, tokens: int | None) -> None:
        """Give places back and count the tokens that were really used (None: unknown). Twice is once."""
        ...

    def leave(self, scope: str) -> None:
        """Give back the places of one scope before the others, and its tokens: none were used there."""
        ...


class Quotas(Protocol):
    """Whoever counts. `claim` is all or nothing: a refused call uses nothing up."""

    async def claim(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> Held:
        """Take a call, `tokens` as estimated, and a place for each of the claims.

        Raises:
            OverQuota: `rate_limited`, with the seconds until a try may succeed.
        """
        ...


class Book(Struct, frozen=True, eq=False):
    """The quotas of one configuration.

    Attributes:
        tenant: of each tenant that `tenants` does not name.
        processor: of each processor that `processors` does not name.
    """

    tenant: Quota = UNBOUNDED
    tenants: dict[str, Quota] = {}
    processor: Quota = UNBOUNDED
    processors: dict[str, Quota] = {}

    def claims(self, caller: str, own: Quota, tenant: str, processor: str) -> tuple[Claim, ...]:
        """Whom a call counts for: those with any bound."""
        return _claims(self, caller, own, tenant, processor)


@lru_cache(maxsize=8192)
def _claims(book: Book, caller: str, own: Quota, tenant: str, processor: str) -> tuple[Claim, ...]:
    found = (
        ("caller", caller, own),
        ("tenant", tenant, book.tenants.get(tenant, book.tenant)),
        ("processor", processor, book.processors.get(processor, book.processor)),
    )
    return tuple(Claim(scope, name, quota) for scope, name, quota in found if quota.bounded)


NO_QUOTAS = Book()


class _Row:
    """The counters of one claim."""

    __slots__ = ("at", "calls", "day", "requests", "streams", "tokens", "used")

    def __init__(self, now: float) -> None:
        self.requests = self.tokens = math.inf  # cut down to a full bucket by the first refill
        self.at = now
        self.calls = self.streams = self.used = self.day = 0


class Counters:
    """The embedded side: counts in this process. For one thread; nothing waits.

    Args:
        monotonic: seconds that never run backwards.
        wall: seconds since 1970, for the day (UTC).
    """

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._rows: dict[str, _Row] = {}

    async def claim(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> Held:
        """See `Quotas`."""
        return self.take(claims, tokens, stream=stream)

    def take(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> Taken:
        """`claim`, at once.

        Raises:
            OverQuota: as `claim`.
        """
        rows = [self._refilled(claim) for claim in claims]
        left = self._wall() % DAY_SECONDS
        for claim, row in zip(claims, rows, strict=True):
            _refuse_over(claim, row, DAY_SECONDS - left, stream=stream)
        for row in rows:
            row.requests -= 1
            row.tokens -= tokens
            row.used += tokens
        self.begin(claims, stream=stream)
        return Taken(
            self, claims, tokens, stream=stream, rates=tightest(claims, [(r.requests, r.tokens) for r in rows])
        )

    def begin(self, claims: Sequence[Claim], *, stream: bool) -> None:
        """Count a call in flight, whoever admitted it."""
        for claim in claims:
            row = self._row(claim.key)
            row.calls += 1
            row.streams += stream

    def leave(self, claims: Sequence[Claim], *, stream: bool) -> None:
        """Count it out again."""
        for claim in claims:
            row = self._row(claim.key)
            row.calls -= 1
            row.streams -= stream

    def adjust(self, claims: Sequence[Claim], tokens: int) -> None:
        """Count tokens that were used beyond what was estimated, or fewer."""
        for claim in claims:
            row = self._row(claim.key)
            row.tokens -= tokens
            row.used += tokens

    def count(self, key: str) -> tuple[int, int]:
        """(calls, streams) in flight."""
        row = self._rows.get(key)
        return (0, 0) if row is None else (row.calls, row.streams)

    def in_flight(self) -> list[str]:
        """The keys that have calls in flight."""
        return [key for key, row in self._rows.items() if row.calls]

    def restore(self, key: str, used: int) -> None:
        """Count tokens of today that an earlier process saw used, or forget them (negative)."""
        row = self._row(key)
        row.day = int(self._wall() // DAY_SECONDS)
        row.used = max(0, row.used + used)

    def forget_used(self) -> None:
        """Begin the day's count anew: somebody else counts what was used so far."""
        for row in self._rows.values():
            row.used = 0

    def _row(self, key: str) -> _Row:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(self._monotonic())
        return row

    def _refilled(self, claim: Claim) -> _Row:
        row, quota, now = self._row(claim.key), claim.quota, self._monotonic()
        passed = max(0.0, now - row.at) / 60
        row.at = now
        row.requests = _refill(row.requests, quota.per_minute, passed)
        row.tokens = _refill(row.tokens, quota.tokens_per_minute, passed)
        day = int(self._wall() // DAY_SECONDS)
        if day > row.day:  # a clock that is set back gives nobody a second day
            row.day, row.used = day, 0
        return row


class Taken:
    """One call's claims in this process."""

    __slots__ = ("_claims", "_counters", "_stream", "_tokens", "rates")

    def __init__(
        self, counters: Counters, claims: Sequence[Claim], tokens: int, *, stream: bool, rates: tuple[Rate, ...]
    ) -> None:
        self._counters: Counters | None = counters
        self._claims = claims
        self._tokens = tokens
        self._stream = stream
        self.rates = rates

    def leave(self, scope: str) -> None:
        """See `Held`."""
        gone, self._claims = parted(self._claims, scope)
        if self._counters is not None and gone:
            self._counters.leave(gone, stream=self._stream)
            self._counters.adjust(gone, -self._tokens)

    def release(self, tokens: int | None) -> None:
        """See `Held`."""
        counters, self._counters = self._counters, None
        if counters is None:
            return
        counters.leave(self._claims, stream=self._stream)
        if tokens is not None and tokens != self._tokens:
            counters.adjust(self._claims, tokens - self._tokens)


def parted(claims: Sequence[Claim], scope: str) -> tuple[list[Claim], list[Claim]]:
    """Those of a scope, and the others."""
    return [claim for claim in claims if claim.scope == scope], [claim for claim in claims if claim.scope != scope]


def refusal(claim: Claim, kind: str, wait: float, rates: tuple[Rate, ...] = ()) -> OverQuota:
    """What the caller is told. `kind` is the field of `Quota` that is used up, `wait` seconds."""
    whose = _WHOSE[claim.scope]
    return OverQuota(_REASONS[kind].format(whose), wait, rates, worth_waiting=kind != "tokens_per_day")


def tightest(claims: Sequence[Claim], left: Sequence[tuple[float, float]]) -> tuple[Rate, ...]:
    """The bounds a minute that are nearest to their end: of calls, and of tokens; `left` is for each claim."""
    calls: Rate | None = None
    tokens: Rate | None = None
    for claim, levels in zip(claims, left, strict=True):
        quota = claim.quota
        if quota.per_minute is not None:
            calls = _tighter(calls, "requests", quota.per_minute, levels[0])
        if quota.tokens_per_minute is not None:
            tokens = _tighter(tokens, "tokens", quota.tokens_per_minute, levels[1])
    return tuple(rate for rate in (calls, tokens) if rate is not None)


def _tighter(found: Rate | None, kind: str, most: int, level: float) -> Rate:
    remaining = max(0, min(most, math.floor(level)))
    if found is not None and found.remaining / found.limit <= remaining / most:
        return found
    return Rate(kind, most, remaining, (most - remaining) * 60 / most)


_WHOSE = {"caller": "This caller", "tenant": "This tenant", "processor": "This processor"}
_REASONS = {
    "per_minute": "{} has used its calls of the minute.",
    "tokens_per_minute": "{} has used its tokens of the minute.",
    "in_flight": "{} has too many calls in flight.",
    "streams": "{} has too many streams open.",
    "tokens_per_day": "{} has used its tokens of the day.",
}


def _refill(level: float, most: int | None, minutes: float) -> float:
    return math.inf if most is None else min(float(most), level + minutes * most)


def _refuse_over(claim: Claim, row: _Row, day_left: float, *, stream: bool) -> None:
    quota = claim.quota
    rates = tightest([claim], [(row.requests, row.tokens)])
    if quota.per_minute is not None and row.requests < 1:
        raise refusal(claim, "per_minute", (1 - row.requests) * 60 / quota.per_minute, rates)
    if quota.tokens_per_minute is not None and row.tokens <= 0:
        raise refusal(claim, "tokens_per_minute", (1 - row.tokens) * 60 / quota.tokens_per_minute, rates)
    if quota.in_flight is not None and row.calls >= quota.in_flight:
        raise refusal(claim, "in_flight", 1, rates)
    if stream and quota.streams is not None and row.streams >= quota.streams:
        raise refusal(claim, "streams", 1, rates)
    if quota.tokens_per_day is not None and row.used >= quota.tokens_per_day:
        raise refusal(claim, "tokens_per_day", day_left, rates)
