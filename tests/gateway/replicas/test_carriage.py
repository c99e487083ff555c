"""Several hosts, one log: journals carried through Redis, which may be lost, wiped or late, and one who signs."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.simulator import Simulator
from tests.configuration import TENANT
from tests.houses import unaccounted
from tests.redis_server import RedisServer
from tests.regions import Host, intents, records_of, region, until


@pytest.fixture
async def provider() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


async def test_one_log_holds_what_every_host_wrote(
    provider: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """In seconds, and whole once they ended; a host keeps only what recovery needs of what was signed."""
    async with region(tmp_path, provider, private_redis, "b", "c") as (home, one, two):
        await two.end()
        await two.start("--workers", "2")
        for host in (home, one, two):
            assert [await host.call() for _ in range(4)] == [200] * 4
        await until(lambda: intents(home) == 12)
        await until(lambda: len(records_of(one)) <= 4)
        await one.end()
        await two.end()
        await home.end()

    assert unaccounted(records_of(home)) == []
    totals = home.verified()
    assert (totals["calls"], totals["open"], totals["boots"]) == (12, 0, 6)
    tenants = {host.keyring.tenant_mac(TENANT, "subject", "x") for host in (home, one, two)}
    assert len(tenants) == 1


async def test_a_redis_that_is_wiped_and_killed_loses_nothing(
    provider: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """Under load; no call is refused for it, and every one is in the log in the end."""
    async with region(tmp_path, provider, private_redis, "b") as (home, one):
        statuses: list[int] = []
        ended = asyncio.Event()

        async def caller(host: Host) -> None:
            while not ended.is_set():
                statuses.append(await host.call())

        async with asyncio.TaskGroup() as group:
            for host in (home, one, one):
                group.create_task(caller(host))
            for _ in range(3):
                await asyncio.sleep(0.7)
                private_redis.ask("FLUSHALL")
            private_redis.stop()
            await asyncio.sleep(1.5)
            private_redis.start()
            await asyncio.sleep(0.5)
            ended.set()
        assert set(statuses) == {200}
        await until(lambda: intents(home) == len(statuses))
        await one.end()
        await home.end()

    assert unaccounted(records_of(home)) == []
    totals = home.verified()
    assert (totals["calls"], totals["open"]) == (len(statuses), 0)


async def test_a_killed_home_and_a_paused_replica_go_on(
    provider: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """The log's host killed twice, a replica stopped for seconds and killed: nothing twice, nothing missing."""
    async with region(tmp_path, provider, private_redis, "b") as (home, one):
        calls = 0
        for _ in range(2):
            for _ in range(5):
                assert await one.call() == 200
            calls += 5
            assert home.served is not None
            await home.served.kill()
            assert await one.call() == 200
            calls += 1
            await home.start()
        assert one.served is not None
        one.served.signal(signal.SIGSTOP)
        await asyncio.sleep(3)
        one.served.signal(signal.SIGCONT)
        assert await one.call() == 200
        await one.served.kill()
        await one.start()
        assert await one.call() == 200
        calls += 2
        await until(lambda: intents(home) == calls)
        await one.end()
        await home.end()

    assert unaccounted(records_of(home)) == []
    totals = home.verified()
    assert (totals["calls"], totals["open"]) == (calls, 0)


async def test_two_sequencers_never_both_sign(provider: Simulator, tmp_path: Path, private_redis: RedisServer) -> None:
    """A copy of the log's host signs nothing once the other has signed more, also after that one is gone."""
    async with region(tmp_path, provider, private_redis, "b") as (home, one):
        assert await one.call() == 200
        await until(lambda: intents(home) == 1)
        await home.end()
        twin = Host(tmp_path, "twin", provider, private_redis, keeps=True)
        twin.key = home.key
        shutil.rmtree(twin.state)
        shutil.copytree(home.state, twin.state)
        await home.start()
        before = home.size()
        assert await one.call() == 200
        await until(lambda: home.size() > before)
        copied = twin.size()
        try:
            await twin.start()
            assert await twin.call() == 200
            await until(lambda: "another sequencer" in (twin.folder / "stderr").read_text())
            assert await one.call() == 200
            await until(lambda: intents(home) == 3)
            assert twin.size() == copied
            assert intents(twin) == 2
            await home.end()
            assert await one.call() == 200
            await asyncio.sleep(1.5)
            assert twin.size() == copied
            private_redis.ask("FLUSHALL")
            await asyncio.sleep(4)
            assert twin.size() == copied
        finally:
            if twin.served is not None:
                await twin.served.kill()
        await home.start()
        await until(lambda: intents(home) == 4)
        await one.end()
        await home.end()

    assert unaccounted(records_of(home)) == []
    assert home.verified()["calls"] == 4


async def test_a_host_restored_from_an_old_copy_grants_nothing(
    provider: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """What it would write now, the log has already, otherwise; it says so and stops before anything leaves."""
    async with region(tmp_path, provider, private_redis, "b") as (home, one):
        await one.end()
        shutil.copytree(one.state, tmp_path / "copy")
        await one.start()
        assert [await one.call() for _ in range(6)] == [200] * 6
        await until(lambda: intents(home) == 6)
        await one.end()
        shutil.rmtree(one.state)
        shutil.copytree(tmp_path / "copy", one.state)
        await one.start()

        async with asyncio.timeout(20):
            while (await one.ready())["checks"]["current"]:
                await asyncio.sleep(0.05)
        seen = len(provider.arrivals)
        assert await one.call() == 503
        assert len(provider.arrivals) == seen


async def test_another_regions_entries_are_not_taken(
    provider: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """Whoever can write to Redis cannot write to the log: entries are sealed under the master key."""
    async with region(tmp_path, provider, private_redis) as (home,):
        assert await home.call() == 200
        for entry in ("nonsense", "x" * 5000):
            private_redis.ask("XADD", "{zrg:test}:carriage", "*", "n", "b.00000001", "d", entry)
        await until(lambda: private_redis.ask("XLEN", "{zrg:test}:carriage") == b":0\r\n")
        await home.end()

    assert home.verified()["calls"] == 1
