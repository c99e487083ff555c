"""Limits of several workers: the parent counts for all, and a worker that hears nothing grants its part."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.quotas import Claim, Counters, OverQuota, Quota
from gateway.workers.channel import Channel, Lost, Message
from gateway.workers.quotas import AskedQuotas, Till

CALLER = [Claim("caller", "one", Quota(per_minute=4, in_flight=3, tokens_per_day=1000))]


class Pair:
    """A parent's till and a worker's quotas, over a real pair of sockets."""

    def __init__(self, counters: Counters, workers: int) -> None:
        self.till = Till(counters)
        self.deaf = False
        self.parent = Channel(self._hear)
        self.worker = Channel(lambda _message: None)
        self.quotas = AskedQuotas(self.worker, Counters(lambda: 0.0, lambda: 0.0), workers)

    async def open(self) -> None:
        ours, theirs = socket.socketpair()
        await self.parent.open(ours)
        await self.worker.open(theirs)

    def _hear(self, message: Message) -> Message | None:
        if "claim" in message:
            return self.till.claim(message)
        if "leave" in message:
            self.till.leave(message)
        else:
            self.till.release(message)
        return None

    async def close(self) -> None:
        await self.worker.close()
        await self.parent.close()


@asynccontextmanager
async def pairs(count: int) -> AsyncIterator[tuple[Counters, list[Pair]]]:
    counters = Counters(lambda: 0.0, lambda: 0.0)
    made = [Pair(counters, count) for _ in range(count)]
    for pair in made:
        await pair.open()
    try:
        yield counters, made
    finally:
        for pair in made:
            await pair.close()


async def test_workers_use_one_allowance() -> None:
    """At n - 1, n and n + 1, whichever worker takes the call; the refusal says when to come again."""
    async with pairs(2) as (_counters, (one, two)):
        for pair in (one, two, one, two):
            (await pair.quotas.claim(CALLER, 10, stream=False)).release(10)
        with pytest.raises(OverQuota) as refused:
            await one.quotas.claim(CALLER, 10, stream=False)

    assert refused.value.retry_after == 15
    assert [(rate.kind, rate.limit, rate.remaining) for rate in refused.value.rates] == [("requests", 4, 0)]


async def test_what_a_dead_worker_held_is_given_back() -> None:
    """Its calls are over; those of others are not."""
    async with pairs(2) as (counters, (one, two)):
        for pair in (one, one, two):
            await pair.quotas.claim(CALLER, 10, stream=False)
        assert counters.count("caller:one") == (3, 0)

        one.till.empty()

        assert counters.count("caller:one") == (1, 0)


async def test_a_worker_without_an_answer_grants_its_part() -> None:
    """At once when the parent is gone: half of four calls, and then no more."""
    async with pairs(2) as (_counters, (one, _two)):
        await one.parent.close()
        async with asyncio.timeout(5):
            await one.worker.closed.wait()
        for _ in range(2):
            (await one.quotas.claim(CALLER, 10, stream=False)).release(10)

        with pytest.raises(OverQuota):
            await one.quotas.claim(CALLER, 10, stream=False)


async def test_who_asks_a_lost_end_is_told() -> None:
    """Also whoever was waiting for an answer."""
    async with pairs(1) as (_counters, (one,)):
        asked = asyncio.get_running_loop().create_task(one.parent.ask({"tell": True}, 10))
        await one.worker.close()

        with pytest.raises(Lost):
            await asked
        with pytest.raises(Lost):
            await one.worker.ask({"tell": True}, 10)


async def test_a_call_that_goes_elsewhere_gives_back_one_scope() -> None:
    """The parent counts the processor out at once, and its tokens; the caller's place is held until the end."""
    claims = [*CALLER, Claim("processor", "p", Quota(in_flight=1, tokens_per_day=1000))]
    async with pairs(1) as (counters, [pair]):
        held = await pair.quotas.claim(claims, 10, stream=False)
        held.leave("processor")
        other = await pair.quotas.claim(claims[1:], 10, stream=False)
        assert (counters.count("caller:one"), counters.count("processor:p")) == ((1, 0), (1, 0))
        held.release(7)
        other.release(7)
        await pair.quotas.claim(CALLER, 0, stream=False)

        assert (counters.count("caller:one"), counters.count("processor:p")) == ((1, 0), (0, 0))
        assert [counters._rows[key].used for key in ("caller:one", "processor:p")] == [7, 7]
