"""Calls that are claimed ahead: fewer round trips, and not one call, place or token more than the bound."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from gateway.quotas import Claim, OverQuota, Quota
from gateway.replicas.ahead import KEPT_SECONDS, Ahead, part
from tests.gateway.replicas.test_quotas import Replica, admitted, caller, replicas, until
from tests.redis_proxy import Proxy
from tests.redis_server import RedisServer

KEY = "{zrg}:quota:caller:coaching"
ALL = Quota(per_minute=1000, tokens_per_minute=1000, in_flight=100)


def number(redis: RedisServer, field: str) -> int:
    """A number of the caller's hash."""
    return int(redis.ask("HGET", KEY, field).split(b"\r\n")[1])


def scripts(redis: RedisServer) -> int:
    """How many scripts the server has run."""
    said = redis.ask("INFO", "commandstats").decode()
    return int(said.partition("cmdstat_evalsha:calls=")[2].partition(",")[0] or 0)


async def busy(one: Replica, claims: Sequence[Claim], calls: int, tokens: int = 1) -> int:
    """So many calls, each ended before the next; how many were admitted."""
    passed = 0
    for _ in range(calls):
        try:
            held = await one.quotas.claim(claims, tokens, stream=False)
        except OverQuota:
            continue
        held.release(tokens)
        passed += 1
    return passed


@pytest.mark.parametrize(
    ("granted", "tokens", "later", "stream", "expected"),
    [
        ((1, 5, 1), 5, 0.0, False, True),
        ((0, 5, 1), 5, 0.0, False, False),
        ((1, 4, 1), 5, 0.0, False, False),
        ((1, 5, 0), 5, 0.0, False, False),
        ((1, 5, 1), 5, KEPT_SECONDS, False, False),
        ((1, 5, 1), 5, 0.0, True, True),
    ],
    ids=[
        "just enough",
        "no call",
        "a token too few",
        "no place",
        "its time is over",
        "a stream, where none are bounded",
    ],
)
def test_a_block_covers_a_call_only_with_all_that_it_needs(
    granted: tuple[int, int, int], tokens: int, later: float, stream: bool, expected: bool
) -> None:
    """One without the others admits nothing."""
    block = Ahead(0.0)
    block.grant(*granted, (0, 0), 10.0)

    assert block.covers(ALL, tokens, 10.0 + later, stream=stream) is expected


def test_streams_that_are_bounded_are_never_taken_ahead() -> None:
    """They last too long to be guessed."""
    block = Ahead(0.0)
    block.grant(9, 9, 9, (0, 0), 0.0)

    assert not block.covers(Quota(streams=9), 1, 0.0, stream=True)
    assert block.covers(Quota(streams=9), 1, 0.0, stream=False)


def test_a_slow_caller_takes_nothing_ahead() -> None:
    """Seven calls in half a second are claimed one by one; eight ask for as many again."""
    slow, quick = Ahead(0.0), Ahead(0.0)
    for _ in range(7):
        slow.seen(1, 0)
        quick.seen(1, 0)
    quick.seen(1, 0)

    assert slow.want(0.5) == (0, 0, 0)
    assert quick.want(0.5) == (8, 8, 4)
    assert quick.want(0.5) == (0, 0, 0), "another call asks"


async def test_a_busy_caller_needs_few_round_trips(redis: RedisServer) -> None:
    """Two hundred calls, one after the other, in a tenth as many scripts."""
    async with replicas(redis.port) as (one, _two):
        claims = caller(per_minute=100_000, in_flight=1000, tokens_per_day=1_000_000)
        before = scripts(redis)
        assert await busy(one, claims, 200) == 200

        assert scripts(redis) - before < 20


async def test_what_was_not_used_is_given_back(redis: RedisServer) -> None:
    """Once a block is over, Redis has counted what was used, and nothing else."""
    async with replicas(redis.port) as (one, two):
        claims = caller(tokens_per_day=100_000, tokens_per_minute=100_000, per_minute=6000, in_flight=1000)
        assert await busy(one, claims, 50, tokens=10) == 50
        assert number(redis, "u") > 500, "nothing was taken ahead"
        telling = asyncio.ensure_future(one.quotas.keep_telling())
        await until(lambda: number(redis, "u") == 500)
        telling.cancel()

        assert 5950 <= number(redis, "r") / 1e6 <= 6000
        assert await admitted([two], caller(in_flight=1000), 1001) == 1000


@pytest.mark.parametrize("kind", ["per_minute", "tokens_per_day"])
async def test_blocks_never_come_to_more_than_the_bound(redis: RedisServer, kind: str) -> None:
    """Three busy replicas together are admitted the bound's number, but for what one has left over and gives back."""
    async with replicas(redis.port, 3) as three:
        claims = caller(**{kind: 600})
        passed = await asyncio.gather(*(busy(one, claims, 600) for one in three))
        assert sum(passed) <= 600 + 20 * (kind == "per_minute")  # ten come back each second
        for one in three:
            await one.tell()
        await asyncio.sleep(0.3)  # nobody is refused again without being asked
        left = await busy(three[0], claims, 600)

        assert 600 <= sum(passed) + left <= 600 + 40 * (kind == "per_minute")


async def test_places_taken_ahead_never_come_to_more_than_the_bound(redis: RedisServer) -> None:
    """Calls of three replicas begin and end at random: never more at once than may be, and all places can be had."""
    async with replicas(redis.port, 3) as three:
        claims, source = caller(in_flight=200), random.Random(3)
        held: list[list[object]] = [[], [], []]
        most = 0
        for step in range(3000):
            at = source.randrange(3)
            if held[at] and source.random() < (0.3 if step < 1500 else 0.1):
                held[at].pop().release(1)  # type: ignore[attr-defined]
            else:
                try:
                    held[at].append(await three[at].quotas.claim(claims, 1, stream=False))
                except OverQuota:
                    await three[at].quotas.tell()
            most = max(most, sum(map(len, held)))
        assert 150 < most <= 200
        for one in three:
            await one.tell()

        assert sum(map(len, held)) + await admitted(three, claims, 300) == 200


async def test_a_block_whose_reply_was_lost_is_given_back(private_redis: RedisServer) -> None:
    """The script granted it and nobody heard: it is settled with its call."""
    claims = caller(tokens_per_day=100_000, per_minute=6000, tokens_per_minute=100_000)
    async with Proxy(private_redis.port) as proxy, replicas(proxy.port, wait_seconds=0.3) as (one, _two):
        await busy(one, claims, 30)
        await one.tell()
        assert number(private_redis, "u") == 30
        await asyncio.sleep(0.3)
        for _ in range(30):  # as many as ask for a block
            one.quotas._aheads[claims[0].key].seen(1, 0)
        proxy.cut = 1
        held = await one.quotas.claim(claims, 1, stream=False)
        assert number(private_redis, "u") > 31, "nothing was granted ahead"
        await until(lambda: one.door.up)
        held.release(1)
        await one.tell()

        assert number(private_redis, "u") == 31
        assert number(private_redis, "r") / 1e6 > 5960


async def test_whoever_does_not_wait_is_refused_without_asking(redis: RedisServer) -> None:
    """A caller far beyond its limit costs one script for many refusals, and is admitted when there is a call again."""
    async with replicas(redis.port) as (one, _two):
        claims = caller(per_minute=300)
        await busy(one, claims, 310)
        await one.tell()
        await busy(one, claims, 10)
        before = scripts(redis)
        await busy(one, claims, 100)
        assert scripts(redis) - before < 20
        await asyncio.sleep(0.3)  # a call comes back each fifth of a second

        assert await busy(one, claims, 1) == 1


def test_all_replicas_together_have_a_quarter_ahead_at_most() -> None:
    """Of what is left when each takes its block."""
    assert [count / part(count) for count in (1, 3, 32)] == [0.25] * 3
