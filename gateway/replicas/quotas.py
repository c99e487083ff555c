"""Quotas that all replicas share, counted in Redis; while it is away, a stated part of each in this process.

With Redis: one script a call, all claims or none, and with it a block for the calls that follow, which need no round
trip then (`ahead`). A call whose reply is lost was perhaps counted; it is not asked for again, but settled afterwards:
what was counted there is given back, since it is counted here (`scripts.SETTLE`), and what was not never is. Without:
`Quota.share` of each bound, never none and never nothing, and of the day's tokens the part of what Redis last said was
left. What calls really used, what is in flight, and what of a block was not used is told afterwards, gathered, and told
again until it is heard; each telling counts once. What was acknowledged within the last seconds is said again to a
Redis that comes back, which may be another that never got it (`lately`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Final, cast

from gateway.quotas import Claim, Counters, Held, OverQuota, Quota, parted, refusal, tightest
from gateway.replicas.ahead import FEWEST, Ahead, part
from gateway.replicas.ahead import KEPT_SECONDS as AHEAD_SECONDS
from gateway.replicas.door import Away, Door, Reply, Word
from gateway.replicas.lately import Lately
from gateway.replicas.scripts import COUNT, KEPT_SECONDS, KINDS, MARKED_SECONDS, MARKS, SETTLE, TAKE, TELL
from providers.provider import Rate

LEASE_SECONDS: Final = 15.0
"""How long what a replica has in flight counts without being told again."""
_TELL_EVERY: Final = 0.05
"""How long what is to be told waits for a claim to go along with: a round trip of its own costs as much as a claim."""
_MOST_TOLD: Final = 128
_AGAIN_SECONDS: Final = 0.25
"""The longest that a refusal is given again without asking: what others give back may make room earlier."""

_UsedUp = tuple[float, float, tuple[Rate, ...]]
"""Until when nobody is asked again, when there is a call again, and the rates that were told."""
_Batch = dict[str, tuple[int, int]]
"""Of each key: tokens to count, and calls to give back."""
_NEVER: Final[_UsedUp] = 0.0, 0.0, ()


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
        self._aheads: defaultdict[str, Ahead] = defaultdict(lambda: Ahead(monotonic()))
        self._open: set[str] = set()
        self._asking: set[str] = set()
        self._used_up: dict[str, _UsedUp] = {}
        self._refreshed = monotonic()
        self._used: dict[str, int] = {}
        self._unused: dict[str, int] = {}
        self._changed: set[str] = set()
        self._doubtful: dict[int, tuple[list[str], int]] = {}
        self._unheard: tuple[int, _Batch] | None = None
        self._lately = Lately(monotonic, MARKED_SECONDS / 2)
        self._left_today: dict[str, int] = {}
        self._stirred = asyncio.Event()
        self._along: asyncio.Future[Reply] | None = None

    async def claim(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> Held:
        """See `quotas.Quotas`."""
        if not self._door.up:
            return self._alone(claims, tokens, stream=stream)
        now = monotonic()
        if self._used_up:
            self._refuse_again(claims, now)
        covered, asked = self._covered(claims, tokens, now, stream=stream)
        if asked:
            self._tell_along()  # before this call counts in: it is not admitted yet
        for claim in covered:
            self._aheads[claim.key].spend(claim.quota, tokens)
        self._counters.begin(claims, stream=stream)
        left: dict[str, tuple[int, int]] = {}
        if asked:
            try:
                left = await self._take(asked, tokens, now, stream=stream)
            except (OverQuota, Away, asyncio.CancelledError) as error:
                self._put_back(covered, tokens)
                self._counters.leave(claims, stream=stream)
                self._tell_soon(claims, 0)  # a telling that went before may have counted this call in
                if isinstance(error, Away):
                    return self._alone(claims, tokens, stream=stream)
                raise
        levels = [left.get(claim.key) or self._aheads[claim.key].level for claim in claims]
        return _Shared(self, claims, tokens, stream=stream, rates=tightest(claims, levels))

    def _refused(self, claim: Claim, kind: str, wait: float, rates: tuple[Rate, ...]) -> OverQuota:
        if kind == "per_minute":
            now = monotonic()
            self._used_up[claim.key] = now + min(wait, _AGAIN_SECONDS), now + wait, rates
        return refusal(claim, kind, wait, rates)

    def _refuse_again(self, claims: Sequence[Claim], now: float) -> None:
        """Refuse without asking whoever was told to wait and did not: a caller far beyond its limit must cost little.

        Raises:
            OverQuota: Redis said a moment ago that there is no call left until later.
        """
        for claim in claims:
            until, free, rates = self._used_up.get(claim.key, _NEVER)
            if now < until and claim.quota.per_minute is not None:
                raise refusal(claim, "per_minute", free - now, rates)

    def _covered(
        self, claims: Sequence[Claim], tokens: int, now: float, *, stream: bool
    ) -> tuple[list[Claim], list[Claim]]:
        """The claims that a block covers, and those that Redis is to be asked for."""
        covered: list[Claim] = []
        asked: list[Claim] = []
        for claim in claims:
            ahead = self._aheads[claim.key]
            ahead.seen(tokens, self._counters.count(claim.key)[0])
            (covered if ahead.covers(claim.quota, tokens, now, stream=stream) else asked).append(claim)
        return covered, asked

    async def _take(
        self, asked: Sequence[Claim], tokens: int, now: float, *, stream: bool
    ) -> dict[str, tuple[int, int]]:
        """Take in Redis, for a call that counts as in flight here, what is asked; the calls and tokens left there.

        Raises:
            Away: whether it was counted is unknown.
            OverQuota: it was not.
        """
        wants = [self._want(claim, now) for claim in asked]
        turn = next(self._turns)
        marks, mark = self._mark(turn)
        keys = [*(self._door.key(f"quota:{claim.key}") for claim in asked), marks]
        words: list[Word] = [
            self._replica, turn, round(LEASE_SECONDS * 1000), tokens, int(stream), KEPT_SECONDS, mark, MARKED_SECONDS,
            part(self._replicas), FEWEST,
        ]  # fmt: skip
        for claim, want in zip(asked, wants, strict=True):
            calls, streams = self._counters.count(claim.key)
            words += [*_bounds(claim.quota), calls + self._aheads[claim.key].places, streams, *want]
        granted = [0] * (3 * len(asked))
        left = [(0, 0)] * len(asked)
        try:
            reply = cast("list[int]", await self._door.run(TAKE, keys, words))
            left = self._left(asked, reply[1:] if reply[0] == 1 else reply[4:])
            if reply[0] != 1:
                raise self._refused(asked[reply[1] - 1], KINDS[reply[2] - 1], reply[3] / 1000, tightest(asked, left))
            granted = reply[1 + 3 * len(asked) :]
            taken = [(1 + granted[at], tokens + granted[at + 1]) for at in range(0, len(granted), 3)]
            self._lately.heard(turn, partial(self._count, turn, keys[:-1], taken))
        except (Away, asyncio.CancelledError):
            self._doubt(turn, asked, tokens, ahead=any(map(any, wants)))  # perhaps it was counted
            raise
        finally:
            for at, (claim, want) in enumerate(zip(asked, wants, strict=True)):
                if any(want):
                    self._grant(claim, granted[3 * at : 3 * at + 3], left[at])
        return {claim.key: each for claim, each in zip(asked, left, strict=True)}

    def _want(self, claim: Claim, now: float) -> tuple[int, int, int]:
        """What to ask for ahead; the block before it ends."""
        ahead = self._aheads[claim.key]
        want = ahead.want(now)
        if any(want):
            self._end(claim.key)
            self._asking.add(claim.key)  # what it gets counts as in flight there, before it is known here
        return want

    def _grant(self, claim: Claim, granted: Sequence[int], left: tuple[int, int]) -> None:
        calls, tokens, places = granted
        self._aheads[claim.key].grant(calls, tokens, places, left, monotonic())
        self._asking.discard(claim.key)
        self._open.add(claim.key)
        self._tell_soon([claim], 0)

    def _left(self, claims: Sequence[Claim], levels: Sequence[int]) -> list[tuple[int, int]]:
        """Calls and tokens left in Redis, of its reply's levels."""
        for claim, today in zip(claims, levels[2::3], strict=False):
            if today >= 0:
                self._left_today[claim.key] = today
        return [(levels[at], levels[at + 1]) for at in range(0, 3 * len(claims), 3)]

    def _put_back(self, covered: Sequence[Claim], tokens: int) -> None:
        """Into their blocks, of which `_end_over` gives back what is over by now."""
        for claim in covered:
            self._aheads[claim.key].spend(claim.quota, tokens, -1)
            self._open.add(claim.key)

    def _end(self, key: str) -> None:
        """End a block: what is left of it is told."""
        calls, tokens = self._aheads[key].end()
        self._open.discard(key)
        self._unused[key] = self._unused.get(key, 0) + calls
        self._used[key] = self._used.get(key, 0) - tokens
        self._changed.add(key)
        self._stirred.set()

    def _end_over(self) -> None:
        now = monotonic()
        for key in tuple(self._open):
            if self._aheads[key].over(now) or not self._door.up:
                self._end(key)

    def end(self) -> None:
        """End every block."""
        for key in tuple(self._open):
            self._end(key)

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

    def _doubt(self, turn: int, claims: Sequence[Claim], tokens: int, *, ahead: bool) -> None:
        """Nobody knows whether this call was counted: settle it when Redis answers again."""
        counted = [self._door.key(f"quota:{claim.key}") for claim in claims if ahead or claim.quota.counts_tokens]
        if counted:
            self._doubtful[turn] = counted, tokens
        self._tell_soon(claims, 0)

    def left(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> None:
        """A call that Redis, or nobody but us, admitted is over."""
        self._counters.leave(claims, stream=stream)
        now = monotonic()
        for claim in claims:
            if not self._aheads[claim.key].keeps(now) or stream or (tokens and claim.quota.counts_tokens):
                self._tell_soon([claim], tokens)

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
        return bool(self._doubtful) or self._unheard is not None or not self._changed <= self._asking

    def came_back(self) -> None:
        """Redis is there again: it knows nothing of what is in flight, and counts the day from now on.

        Before any call is claimed there: a primary that lacks what was said last must not count what follows first.
        """
        self._lately.again()
        self._counters.forget_used()
        self.end()  # what was charged may be forgotten there
        self._tell_in_flight()

    def _tell_in_flight(self) -> None:
        self._changed.update(self._counters.in_flight(), self._open)
        self._refreshed = monotonic()
        self._stirred.set()

    async def keep_telling(self) -> None:
        """Tell what has changed, gathered, what is in flight before its lease ends, and end blocks, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AHEAD_SECONDS / 4 if self._open else LEASE_SECONDS / 3):
                    await self._stirred.wait()
            if monotonic() - self._refreshed > LEASE_SECONDS / 3:
                self._tell_in_flight()
            self._stirred.clear()
            await asyncio.sleep(_TELL_EVERY)
            self._end_over()
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
            await self._settle(turn, keys, tokens)
            del self._doubtful[turn]
            self._lately.heard(turn, partial(self._settle, turn, keys, tokens))
        if self._along is not None:
            await asyncio.wait([self._along])
        if (said := self._say()) is not None:
            await said
            self._told()

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
            self._told()

    def _told(self) -> None:
        if self._unheard is not None:
            turn, batch = self._unheard
            self._unheard = None
            self._lately.heard(turn, partial(self._tell, turn, batch))

    def _say(self) -> asyncio.Future[Reply] | None:
        """Send one batch, or again what was perhaps not heard; None if there is nothing.

        Raises:
            Away: Redis is down.
        """
        if self._unheard is None:
            if self._changed <= self._asking:
                return None
            told = sorted(self._changed - self._asking)[:_MOST_TOLD]
            batch = {key: (self._used.pop(key, 0), self._unused.pop(key, 0)) for key in told}
            self._changed.difference_update(batch)
            self._unheard = next(self._turns), batch
        return self._tell(*self._unheard)

    # what may be said twice, each by its number; all raise Away where Redis is down

    def _count(self, turn: int, keys: Sequence[str], taken: Sequence[tuple[int, int]]) -> asyncio.Future[Reply]:
        """What a call took, block and all, in calls and tokens of each key."""
        marks, mark = self._mark(turn)
        return self._door.ask(COUNT, [marks, *keys], [mark, MARKED_SECONDS, KEPT_SECONDS, *itertools.chain(*taken)])

    def _settle(self, turn: int, keys: Sequence[str], tokens: int) -> asyncio.Future[Reply]:
        marks, mark = self._mark(turn)
        return self._door.ask(SETTLE, [marks, *keys], [tokens, mark, MARKED_SECONDS, turn, self._replica])

    def _tell(self, turn: int, batch: _Batch) -> asyncio.Future[Reply]:
        """With what is in flight now, whenever the rest was."""
        keys = [self._door.key(f"told:{self._replica}"), *(self._door.key(f"quota:{key}") for key in batch)]
        words: list[Word] = [self._replica, turn, round(LEASE_SECONDS * 1000), KEPT_SECONDS]
        for key, (tokens, unused) in batch.items():
            calls, streams = self._counters.count(key)
            words += [tokens, unused, calls + self._kept(key), streams]
        return self._door.ask(TELL, keys, words)

    def _kept(self, key: str) -> int:
        """The places that count as in flight though no call has them."""
        ahead = self._aheads.get(key)
        return 0 if ahead is None else ahead.places


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
