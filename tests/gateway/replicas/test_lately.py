"""A Redis that comes back without what it acknowledged last: each call is charged once all the same."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gateway.replicas.door import Away
from gateway.replicas.lately import KEPT_SECONDS, MOST, Lately
from gateway.replicas.quotas import SharedQuotas
from tests.gateway.replicas.test_ahead import busy, number
from tests.gateway.replicas.test_quotas import Replica, caller, replicas, until
from tests.redis_proxy import Proxy
from tests.redis_server import RedisServer

CLAIMS = caller(tokens_per_day=100_000, tokens_per_minute=100_000, per_minute=6000, in_flight=1000)


def forget(server: RedisServer) -> None:
    """Put the server back to when it was last saved: a replica that lags behind is promoted."""
    server.stop()
    server.start()


async def back(*replicas_: Replica) -> None:
    """Have each find Redis there again, and hear whatever was asked there; a connection of before may fail first."""
    for one in replicas_:
        one.door.lost()
        while True:
            await until(lambda one=one: one.door.up)  # type: ignore[misc]
            with contextlib.suppress(Away):
                await one.tell()
                await one.door.run("return 1", [], [])
                break


@pytest.mark.parametrize("saved", range(5), ids=["nothing", "a call", "a block", "its end", "what came after"])
async def test_what_a_failover_lost_is_counted_once(private_redis: RedisServer, saved: int) -> None:
    """Whatever the new primary has of it: a call, a block taken ahead, what its end gave back, and the calls after it."""
    async with replicas(private_redis.port, wait_seconds=0.5) as (one, two):
        (await two.quotas.claim(CLAIMS, 1000, stream=False)).release(1000)
        await two.tell()
        private_redis.ask("SAVE")
        for step in range(1, 5):
            if step == 1:
                (await one.quotas.claim(CLAIMS, 60, stream=False)).release(50)
            elif step == 2:
                await busy(one, CLAIMS, 50, tokens=10)
                assert number(private_redis, "u") > 1560, "nothing was taken ahead"
            elif step == 3:
                await one.tell()
                assert number(private_redis, "u") == 1550
            else:
                (await one.quotas.claim(CLAIMS, 60, stream=False)).release(70)
                await one.tell()
            if step == saved:
                private_redis.ask("SAVE")
        calls = number(private_redis, "r")
        for _ in range(3):  # what was said again is lost again
            forget(private_redis)
            await back(one, two)
            assert number(private_redis, "u") == 1620

        assert abs(number(private_redis, "r") - calls) / 1e6 < 500  # what the minute gave back meanwhile


async def test_a_redis_that_lost_nothing_counts_nothing_again(private_redis: RedisServer) -> None:
    """It only was away for a moment."""
    async with replicas(private_redis.port, wait_seconds=0.5) as (one, two):
        await busy(one, CLAIMS, 50, tokens=10)
        await one.tell()
        (await one.quotas.claim(CLAIMS, 60, stream=False)).release(70)
        await one.tell()
        for _ in range(3):
            await back(one, two)

        assert number(private_redis, "u") == 570


async def test_a_call_that_was_settled_before_is_settled_again(private_redis: RedisServer) -> None:
    """Its claim was counted and saved, its reply lost; that it was given back was acknowledged, and went with the primary."""
    async with Proxy(private_redis.port) as proxy, replicas(proxy.port, wait_seconds=0.3) as (one, _two):
        (await one.quotas.claim(CLAIMS, 1, stream=False)).release(1)
        await one.tell()
        proxy.cut = 1
        held = await one.quotas.claim(CLAIMS, 60, stream=False)
        assert number(private_redis, "u") == 61
        private_redis.ask("SAVE")
        await until(lambda: one.door.up)
        held.release(50)
        await one.tell()
        assert number(private_redis, "u") == 51
        forget(private_redis)
        await back(one)

        assert number(private_redis, "u") == 51


async def test_it_is_said_again_before_any_call_is_claimed(
    private_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that was used up on the primary that is gone admits nobody on the next."""
    used_up = caller(tokens_per_day=100)
    async with replicas(private_redis.port, wait_seconds=0.5) as (one, _two):
        private_redis.ask("SAVE")
        (await one.quotas.claim(used_up, 100, stream=False)).release(100)
        forget(private_redis)
        came_back, found = SharedQuotas.came_back, list[int]()

        def then_claim(self: SharedQuotas) -> None:
            came_back(self)
            asking.append(asyncio.ensure_future(busy(one, used_up, 1)))

        asking: list[asyncio.Future[int]] = []
        monkeypatch.setattr(SharedQuotas, "came_back", then_claim)
        one.door.lost()
        await until(lambda: bool(asking))
        found.append(await asking[0])

        assert found == [0]


class Said:
    """Notes what is asked for again, and answers at once."""

    def __init__(self) -> None:
        self.turns: list[int] = []

    def ask(self, turn: int) -> asyncio.Future[object]:
        self.turns.append(turn)
        answer = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer


async def test_it_is_kept_for_seconds_and_never_more_than_so_many() -> None:
    """Said in order of its numbers; what is older than the last by more than a replica may lag is not, nor beyond the most."""
    now, said = [0.0], Said()
    lately = Lately(lambda: now[0], longest=1800)
    for turn, when in ((1, 0.0), (3, 0.5), (2, 0.6), (4, KEPT_SECONDS + 0.5)):
        now[0] = when
        lately.heard(turn, lambda turn=turn: said.ask(turn))  # type: ignore[misc]
    lately.again()
    assert said.turns == [2, 3, 4]
    for turn in range(5, MOST + 6):
        lately.heard(turn, lambda turn=turn: said.ask(turn))  # type: ignore[misc]
    said.turns.clear()
    lately.again()
    assert said.turns == list(range(6, MOST + 6))
    now[0] += 1800
    said.turns.clear()
    lately.again()

    assert said.turns == []
