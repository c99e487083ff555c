"""Quotas shared through a real redis-server, and what holds when it is not there."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.errors import Code
from gateway.quotas import Claim, Counters, OverQuota, Quota
from gateway.replicas.door import Away, Door, DoorOptions
from gateway.replicas.quotas import SharedQuotas
from tests.redis_proxy import Proxy
from tests.redis_server import RedisServer


class Replica:
    """One replica's side."""

    def __init__(self, port: int, name: str, replicas: int = 2, wait_seconds: float = 0.05) -> None:
        self.counters = Counters(time.monotonic, time.time)
        self.door = Door(DoorOptions(hosts=(("127.0.0.1", port),), wait_seconds=wait_seconds), self._changed)
        self.quotas = SharedQuotas(self.door, self.counters, name, replicas)

    def _changed(self, up: bool) -> None:
        if up:
            self.quotas.came_back()

    async def tell(self) -> None:
        """Tell everything there is, and what was taken ahead."""
        self.quotas.end()
        while self.quotas.untold:
            await self.quotas.tell()


@asynccontextmanager
async def replicas(port: int, count: int = 2, wait_seconds: float = 5.0) -> AsyncIterator[list[Replica]]:
    """So many replicas, connected."""
    made = [Replica(port, f"replica{number}", count, wait_seconds) for number in range(count)]
    for one in made:
        await one.door.start()
        assert one.door.up
    try:
        yield made
    finally:
        for one in made:
            await one.door.stop()


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def caller(**bounds: int) -> list[Claim]:
    return [Claim("caller", "coaching", Quota(**bounds))]


async def admitted(where: list[Replica], claims: list[Claim], tries: int, tokens: int = 1, **kinds: bool) -> int:
    """How many of so many calls, taken in turn by the replicas and never ended, are admitted."""
    passed = 0
    for number in range(tries):
        try:
            await where[number % len(where)].quotas.claim(claims, tokens, stream=kinds.get("stream", False))
        except OverQuota:
            continue
        passed += 1
    return passed


@pytest.mark.parametrize(
    ("bounds", "expected", "stream"),
    [
        ({"per_minute": 7}, 7, False),
        ({"tokens_per_minute": 65}, 7, False),
        ({"in_flight": 7}, 7, False),
        ({"streams": 7}, 7, True),
        ({"tokens_per_day": 70}, 7, False),
    ],
    ids=["calls a minute", "tokens a minute", "calls in flight", "streams", "tokens a day"],
)
async def test_a_bound_holds_over_all_replicas(
    redis: RedisServer, bounds: dict[str, int], expected: int, stream: bool
) -> None:
    """Two replicas together admit what one alone would: exactly the bound."""
    async with replicas(redis.port) as both:
        assert await admitted(both, caller(**bounds), 20, tokens=10, stream=stream) == expected


async def test_concurrent_calls_of_many_replicas_never_exceed_a_bound(redis: RedisServer) -> None:
    """A hundred calls at the same moment through three replicas: the bound's number pass, in flight and by the minute."""
    async with replicas(redis.port, 3) as three:
        claims = [Claim("tenant", "t-1", Quota(in_flight=20)), Claim("processor", "p", Quota(per_minute=60))]

        async def one(number: int) -> bool:
            try:
                await three[number % 3].quotas.claim(claims, 1, stream=False)
            except OverQuota:
                return False
            return True

        assert sum(await asyncio.gather(*(one(number) for number in range(100)))) == 20


async def test_places_come_free_when_calls_end(redis: RedisServer) -> None:
    """A call that ended in one replica makes room in the other, once told."""
    async with replicas(redis.port) as (first, second):
        held = await first.quotas.claim(caller(in_flight=1), 1, stream=False)
        assert await admitted([second], caller(in_flight=1), 1) == 0
        held.release(1)
        await first.tell()

        assert await admitted([second], caller(in_flight=1), 1) == 1


async def test_a_refusal_names_the_wait_and_uses_nothing_up(redis: RedisServer) -> None:
    """All claims or none: a tenant over its bound costs its caller nothing, and the answer tells the wait and the rates."""
    async with replicas(redis.port) as (one, _other):
        tight = [*caller(per_minute=10), Claim("tenant", "t-1", Quota(per_minute=2))]
        assert await admitted([one], tight, 5) == 2
        with pytest.raises(OverQuota) as caught:
            await one.quotas.claim(tight, 1, stream=False)

        assert caught.value.code is Code.RATE_LIMITED
        assert 29 <= (caught.value.retry_after or 0) <= 30
        assert [(rate.kind, rate.limit, rate.remaining) for rate in caught.value.rates] == [("requests", 2, 0)]
        assert await admitted([one], caller(per_minute=10), 20) == 8


async def test_tokens_really_used_are_counted_once(redis: RedisServer) -> None:
    """The estimate gives way to the provider's count, and a telling whose reply is lost counts once."""
    async with Proxy(redis.port) as proxy, replicas(proxy.port) as (one, two):
        claims = caller(tokens_per_day=1000)
        (await one.quotas.claim(claims, 10, stream=False)).release(10)
        await one.tell()  # from now on the server knows the script, so that the reply that is lost is of its work
        held = await one.quotas.claim(claims, 10, stream=False)
        held.release(690)
        proxy.cut = 1
        with pytest.raises(Away):
            await one.quotas.tell()
        await until(lambda: one.door.up)
        await one.tell()

        assert redis.ask("HGET", "{zrg}:quota:caller:coaching", "u") == b"$3\r\n700\r\n"
        await until(lambda: two.door.up)
        assert await admitted([two], claims, 10, tokens=100) == 3


async def test_a_lost_reply_is_not_asked_for_again(redis: RedisServer) -> None:
    """The script was carried out and its reply lost: the call is admitted by the share, and Redis counted it once."""
    async with Proxy(redis.port) as proxy, replicas(proxy.port) as (one, _two):
        proxy.cut = 1
        await one.quotas.claim(caller(per_minute=10), 1, stream=False)
        await until(lambda: one.door.up)

        assert await admitted([one], caller(per_minute=10), 20) == 9


@pytest.mark.parametrize("late", [False, True], ids=["its reply was lost", "it came when nobody waited any more"])
async def test_a_call_that_was_perhaps_counted_is_charged_once(private_redis: RedisServer, late: bool) -> None:
    """What Redis counted of a call that its replica then counted by itself is given back, or is never counted."""
    server, claims = private_redis, caller(tokens_per_day=1000, tokens_per_minute=100)
    async with Proxy(server.port) as proxy, replicas(proxy.port, wait_seconds=0.3) as (one, _two):
        (await one.quotas.claim(claims, 1, stream=False)).release(1)
        await one.tell()  # the server knows the scripts
        proxy.hold = late
        proxy.cut = 0 if late else 1
        held = await one.quotas.claim(claims, 60, stream=False)
        await until(lambda: one.door.up)
        held.release(50)
        await one.tell()
        assert server.ask("HGET", "{zrg}:quota:caller:coaching", "u") == b"$2\r\n51\r\n"
        await proxy.let_go()

        assert server.ask("HGET", "{zrg}:quota:caller:coaching", "u") == b"$2\r\n51\r\n"
        left = server.ask("HGET", "{zrg}:quota:caller:coaching", "t").split(b"\r\n")[1]
        assert 49e6 <= int(left) < 60e6  # and what the minute gave back meanwhile


async def test_flushed_scripts_and_a_wiped_server_are_borne(redis: RedisServer) -> None:
    """SCRIPT FLUSH costs nothing; after FLUSHALL the minute begins anew and what is in flight is told again."""
    async with replicas(redis.port) as (one, two):
        held = await one.quotas.claim(caller(in_flight=2), 1, stream=False)
        redis.ask("SCRIPT", "FLUSH")
        assert await admitted([two], caller(in_flight=2), 1) == 1
        redis.ask("FLUSHALL")
        one.quotas.came_back()
        two.quotas.came_back()
        await one.tell()
        await two.tell()

        assert await admitted([one, two], caller(in_flight=2), 4) == 0
        held.release(1)


async def test_what_a_dead_replica_held_comes_free(redis: RedisServer) -> None:
    """A replica that stops telling holds its places until its lease ends, and no longer."""
    async with replicas(redis.port) as (one, two):
        await one.quotas.claim(caller(in_flight=1), 1, stream=False)
        key = "{zrg}:quota:caller:coaching"
        assert await admitted([two], caller(in_flight=1), 1) == 0
        redis.ask("HSET", key, "f:replica0", "1 0 1 1000")  # its lease ended long ago

        assert await admitted([two], caller(in_flight=1), 1) == 1


@pytest.mark.parametrize("fault", ["refused", "black hole", "slow by 2 s", "out of memory", "read only"])
async def test_without_redis_each_replica_grants_its_share(private_redis: RedisServer, fault: str) -> None:
    """Whatever is wrong with Redis: half of the bound a replica of two, never more, never none, in under 100 ms."""
    server = private_redis
    async with Proxy(server.port) as proxy, replicas(proxy.port, wait_seconds=0.05) as both:
        for one in both:
            await one.quotas.claim(caller(in_flight=10_000), 1, stream=False)  # connected, scripts known
        if fault == "refused":
            server.stop()
        elif fault == "black hole":
            server.signal(signal.SIGSTOP)
        elif fault == "slow by 2 s":
            proxy.delay = 2.0
        elif fault == "out of memory":
            server.ask("CONFIG", "SET", "maxmemory", "1")
        else:
            server.ask("REPLICAOF", "127.0.0.1", "1")
        longest = 0.0
        passed = 0
        for number in range(40):
            began = time.monotonic()
            passed += await admitted([both[number % 2]], caller(per_minute=10), 1)
            longest = max(longest, time.monotonic() - began)
        server.signal(signal.SIGCONT) if fault == "black hole" else None

        assert passed == 10
        assert longest < 0.1 + 0.05  # a shared machine's own pauses
        proxy.delay = 0.0


async def test_redis_that_comes_back_is_used_again(private_redis: RedisServer) -> None:
    """After the outage the bound is one for all again, and the tokens used meanwhile are told."""
    server = private_redis
    async with replicas(server.port) as (one, two):
        server.stop()
        held = await one.quotas.claim(caller(tokens_per_day=1000), 10, stream=False)
        server.start()
        await until(lambda: one.door.up)
        held.release(900)
        await one.tell()
        two.door.lost()
        await until(lambda: two.door.up)

        assert await admitted([two], caller(tokens_per_day=1000), 5, tokens=50) == 2


async def test_a_call_that_goes_elsewhere_gives_back_one_scope(redis: RedisServer) -> None:
    """The processor that did not serve it has its place and tokens again; the caller is charged once, at the end."""
    claims = [*caller(in_flight=1), Claim("processor", "p", Quota(in_flight=1, tokens_per_day=100))]
    async with replicas(redis.port) as (one, two):
        held = await one.quotas.claim(claims, 100, stream=False)
        assert await admitted([two], claims[1:], 1) == 0
        held.leave("processor")
        await one.tell()
        assert await admitted([two], claims[1:], 1, tokens=100) == 1
        assert await admitted([two], claims[:1], 1) == 0
        held.release(7)
        await one.tell()

        assert await admitted([two], claims[:1], 1) == 1


async def test_one_that_the_share_admitted_gives_back_one_scope(private_redis: RedisServer) -> None:
    """Without Redis it is the share of this process that is given back."""
    claims = [*caller(in_flight=2), Claim("processor", "p", Quota(in_flight=2, tokens_per_minute=100))]
    async with replicas(private_redis.port) as (one, _two):
        private_redis.stop()
        held = await one.quotas.claim(claims, 50, stream=False)
        assert await admitted([one], claims[1:], 1) == 0
        held.leave("processor")

        assert await admitted([one], claims[1:], 1) == 1
        assert one.counters.count("caller:coaching") == (1, 0)
