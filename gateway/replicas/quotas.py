"""Quotas that all replicas share, counted in Redis; while it is away, a stated part of each in this process.

With Redis: one script a call, all claims or none. A call whose reply is lost was perhaps counted; it is not asked for
again, but settled afterwards: what was counted there is given back, since it is counted here (`scripts.SETTLE`), and
what was not never is. Without: `Quota.share` of each bound, never none and never nothing, and of the
day's tokens the part of what Redis last said was left. What calls really used, and what is in flight, is told
afterwards, gathered, and told again until it is heard; each telling counts once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Final, cast

from gateway.quotas import Claim, Counters, Held, Quota, parted, refusal, tightest
from gateway.replicas.door import Away, Door, Reply, Word
from gateway.replicas.scripts import KEPT_SECONDS, KINDS, MARKED_SECONDS, MARKS, SETTLE, TAKE, TELL
from providers.provider import Rate

LEASE_SECONDS: Final = 15.0
"""How long what a replica has in flight counts without being told again."""
_TELL_EVERY: Final = 0.05
"""How long what is to be told waits for a claim to go along with: a round trip of its own costs as much as a claim."""
_MOST_TOLD: Final = 128


class SharedQuotas:
    """The shared side of `quotas.Quotas`. Belongs to one event loop.

    Args:
        door: Redis.
        counters: of this process: what is in flight here, and the share while Redis is away.
        replica: this process's own random id.
        replicas: how many share.
    """

    def __init__(self, door: Door, counters: Counters, replica: str, replicas: int) -> None:
        self._door = door
        self._counters = counters
        self._replica = replica
        self._replicas = replicas
        self._turns = itertools.count(1)
        self._used: dict[str, int] = {}
        self._changed: set[str] = set()
        self._doubtful: dict[int, tuple[list[str], int]] = {}
        self._unheard: tuple[int, dict[str, int]] | None = None
        self._left_today: dict[str, int] = {}
        self._stirred = asyncio.Event()
        self._along: asyncio.Future[Reply] | None = None

    async def claim(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> Held:
        """See `quotas.Quotas`."""
        if not self._door.up:
            return self._alone(claims, tokens, stream=stream)
        self._tell_along()  # before this call counts in: it is not admitted yet
        counts = self._counters.begin(claims, stream=stream)
        turn = next(self._turns)
        marks, mark = self._mark(turn)
        keys = [*(self._door.key(f"quota:{claim.key}") for claim in claims), marks]
        words: list[Word] = [
            self._replica, turn, round(LEASE_SECONDS * 1000), tokens, int(stream), KEPT_SECONDS, mark, MARKED_SECONDS
        ]  # fmt: skip
        for claim, (calls, streams) in zip(claims, counts, strict=True):
            words += [*_bounds(claim.quota), calls, streams]
        try:
            reply = cast("list[int]", await self._door.run(TAKE, keys, words))
        except Away:
            self._counters.leave(claims, stream=stream)
            self._doubt(turn, claims, tokens)
            return self._alone(claims, tokens, stream=stream)
        except asyncio.CancelledError:
            self._counters.leave(claims, stream=stream)
            self._doubt(turn, claims, tokens)  # perhaps it was counted; the caller got nothing for it
            raise
        return self._decided(claims, tokens, reply, stream=stream)

    def _decided(self, claims: Sequence[Claim], tokens: int, reply: list[int], *, stream: bool) -> Held:
        admitted = reply[0] == 1
        levels = reply[1:] if admitted else reply[4:]
        left = [(levels[at], levels[at + 1]) for at in range(0, len(levels), 3)]
        for claim, today in zip(claims, levels[2::3], strict=True):
            if today >= 0:
                self._left_today[claim.key] = today
        rates = tightest(claims, left)
        if not admitted:
            self._counters.leave(claims, stream=stream)
            self._tell_soon(claims, 0)  # a telling that went before may have counted this call in
            raise refusal(claims[reply[1] - 1], KINDS[reply[2] - 1], reply[3] / 1000, rates)
        return _Shared(self, claims, tokens, stream=stream, rates=rates)

    def _alone(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> Held:
        """Admit by this process's share.

        Raises:
            OverQuota: it is used up.
        """
        shares = [Claim(claim.scope, claim.name, self._share(claim)) for claim in claims]
        taken = self._counters.take(shares, tokens, stream=stream)
        # In the counters of this process it is counted in full already; Redis has heard nothing of it.
        return _Alone(self, shares, tokens, stream=stream, rates=taken.rates)

    def _share(self, claim: Claim) -> Quota:
        quota = claim.quota
        left = self._left_today.get(claim.key)
        if left is None or quota.tokens_per_day is None:
            return quota.share(self._replicas)
        today = min(quota.tokens_per_day, left)
        share = quota.share(self._replicas)
        return Quota(share.per_minute, share.tokens_per_minute, share.in_flight, share.streams, today // self._replicas)

    # what is told afterwards

    def _mark(self, turn: int) -> tuple[str, int]:
        """Where a call's mark is: the key, and the first of its two bits."""
        return self._door.key(f"marks:{self._replica}:{turn // MARKS}"), turn % MARKS * 2

    def _doubt(self, turn: int, claims: Sequence[Claim], tokens: int) -> None:
        """Nobody knows whether this call was counted: settle it when Redis answers again."""
        counted = [self._door.key(f"quota:{claim.key}") for claim in claims if claim.quota.counts_tokens]
        if counted:
            self._doubtful[turn] = counted, tokens
        self._tell_soon(claims, 0)

    def left(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> None:
        """A call that Redis, or nobody but us, admitted is over."""
        self._counters.leave(claims, stream=stream)
        self._tell_soon(claims, tokens)

    def adjusted(self, claims: Sequence[Claim], tokens: int) -> None:
        """It used more, or fewer, tokens than this process's share was charged."""
        self._counters.adjust(claims, tokens)

    def _tell_soon(self, claims: Sequence[Claim], tokens: int) -> None:
        for claim in claims:
            key = claim.key
            self._changed.add(key)
            if tokens and claim.quota.counts_tokens:
                self._used[key] = self._used.get(key, 0) + tokens
        self._stirred.set()

    @property
    def untold(self) -> bool:
        """Whether anything is still to be told."""
        return bool(self._changed or self._doubtful) or self._unheard is not None

    def came_back(self) -> None:
        """Redis is there again: it knows nothing of what is in flight, and counts the day from now on."""
        self._counters.forget_used()
        self._changed.update(self._counters.in_flight())
        self._stirred.set()

    async def keep_telling(self) -> None:
        """Tell what has changed, gathered, and what is in flight before its lease ends. Runs until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LEASE_SECONDS / 3):
                    await self._stirred.wait()
            except TimeoutError:
                self._changed.update(self._counters.in_flight())
            self._stirred.clear()
            await asyncio.sleep(_TELL_EVERY)
            while self._door.up and self.untold:
                try:
                    await self.tell()
                except Away:
                    break

    async def tell(self) -> None:
        """Tell one batch; one that was not heard keeps its number, so that it counts once.

        Raises:
            Away: it was perhaps not heard.
        """
        for turn, (keys, tokens) in tuple(self._doubtful.items()):
            marks, mark = self._mark(turn)
            await self._door.run(SETTLE, [marks, *keys], [tokens, mark, MARKED_SECONDS])
            del self._doubtful[turn]
        if self._along is not None:
            await asyncio.wait([self._along])
        if (said := self._say()) is not None:
            await said
            self._unheard = None

    def _tell_along(self) -> None:
        """Tell what there is just before the claim that is sent next, in its round trip."""
        if self._along is None and self._unheard is None and not self._doubtful and (said := self._say()) is not None:
            self._along = said
            said.add_done_callback(self._told_along)

    def _told_along(self, said: asyncio.Future[Reply]) -> None:
        self._along = None
        if said.cancelled() or said.exception() is not None:
            self._stirred.set()  # told again, under its number
        else:
            self._unheard = None

    def _say(self) -> asyncio.Future[Reply] | None:
        """Send one batch, or again what was perhaps not heard; None if there is nothing.

        Raises:
            Away: Redis is down.
        """
        if self._unheard is None:
            if not self._changed:
                return None
            batch = {key: self._used.pop(key, 0) for key in itertools.islice(sorted(self._changed), _MOST_TOLD)}
            self._changed.difference_update(batch)
            self._unheard = next(self._turns), batch
        turn, batch = self._unheard
        keys = [self._door.key(f"told:{self._replica}"), *(self._door.key(f"quota:{key}") for key in batch)]
        words: list[Word] = [self._replica, turn, round(LEASE_SECONDS * 1000), KEPT_SECONDS]
        for key, tokens in batch.items():
            words += [tokens, *self._counters.count(key)]
        return self._door.ask(TELL, keys, words)


class _Shared:
    """A call that Redis admitted."""

    __slots__ = ("_claims", "_quotas", "_stream", "_tokens", "rates")

    def __init__(
        self, quotas: SharedQuotas, claims: Sequence[Claim], tokens: int, *, stream: bool, rates: tuple[Rate, ...]
    ) -> None:
        self._quotas: SharedQuotas | None = quotas
        self._claims = claims
        self._tokens = tokens
        self._stream = stream
        self.rates = rates

    def leave(self, scope: str) -> None:
        """See `quotas.Held`."""
        gone, self._claims = parted(self._claims, scope)
        if self._quotas is not None and gone:
            self._give_back(self._quotas, gone)

    def _give_back(self, quotas: SharedQuotas, gone: Sequence[Claim]) -> None:
        quotas.left(gone, -self._tokens, stream=self._stream)

    def release(self, tokens: int | None) -> None:
        """See `quotas.Held`."""
        quotas, self._quotas = self._quotas, None
        if quotas is not None:
            quotas.left(self._claims, 0 if tokens is None else tokens - self._tokens, stream=self._stream)


class _Alone(_Shared):
    """A call that this process admitted by its share: Redis has not counted any of its tokens."""

    __slots__ = ()

    def _give_back(self, quotas: SharedQuotas, gone: Sequence[Claim]) -> None:
        quotas.adjusted(gone, -self._tokens)
        quotas.left(gone, 0, stream=self._stream)

    def release(self, tokens: int | None) -> None:
        """See `quotas.Held`."""
        quotas, self._quotas = self._quotas, None
        if quotas is not None:
            used = self._tokens if tokens is None else tokens
            quotas.adjusted(self._claims, used - self._tokens)
            quotas.left(self._claims, used, stream=self._stream)


def _bounds(quota: Quota) -> list[int]:
    """The five bounds as the script takes them."""
    return [-1 if most is None else most for most in (getattr(quota, kind) for kind in KINDS)]
