"""Sentinel and Cluster: the same promises through real groups of servers, also while one of them fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.quotas import Claim, Counters, OverQuota, Quota
from gateway.replicas.carriage import Heads, Line
from gateway.replicas.door import Door, DoorOptions
from gateway.replicas.news import News
from gateway.replicas.quotas import SharedQuotas
from tests.redis_groups import SERVICE, Cluster, Watched

TAG = "zrg:test"


def caller(**bounds: int) -> list[Claim]:
    return [Claim("caller", "coaching", Quota(**bounds)), Claim("tenant", "t-1", Quota(in_flight=1000))]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes; each test finds them empty."""
    made = Cluster(tmp_path_factory.mktemp("cluster") / "nodes")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A primary, its replica and their Sentinel, for one test to break."""
    made = Watched(tmp_path / "watched")
    made.start()
    yield made
    made.stop()


def by_cluster(cluster: Cluster) -> DoorOptions:
    for node in cluster.nodes:
        node.ask("FLUSHALL")
    return DoorOptions(hosts=cluster.hosts, kind="cluster", tag=TAG, wait_seconds=5.0)


def by_sentinel(watched: Watched, wait_seconds: float = 5.0) -> DoorOptions:
    return DoorOptions(
        hosts=(("127.0.0.1", watched.port),), kind="sentinel", service=SERVICE, tag=TAG, wait_seconds=wait_seconds
    )


@asynccontextmanager
async def sharing(options: DoorOptions, count: int = 2) -> AsyncIterator[list[tuple[Door, SharedQuotas]]]:
    made = []
    for number in range(count):
        counters = Counters(time.monotonic, time.time)
        door = Door(options)
        quotas = SharedQuotas(door, counters, f"replica{number}", count)
        await door.start()
        made.append((door, quotas))
    try:
        yield made
    finally:
        for door, _quotas in made:
            await door.stop()


async def admitted(quotas: SharedQuotas, claims: list[Claim], tries: int) -> int:
    """How many of so many calls that never end pass."""
    passed = 0
    for _ in range(tries):
        try:
            await quotas.claim(claims, 1, stream=False)
        except OverQuota:
            continue
        passed += 1
    return passed


async def up(door: Door, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not door.up:
            await asyncio.sleep(0.01)


async def _promises(options: DoorOptions) -> None:
    async with sharing(options) as ((first, one), (second, two)):
        assert (first.up, second.up) == (True, True)
        assert await admitted(one, caller(per_minute=7), 5) + await admitted(two, caller(per_minute=7), 5) == 7
        heard: set[str] = set()
        await News(first, lambda: ["0" * 16], lambda _ids: None).exchange()
        await News(second, lambda: (), heard.update).exchange()
        assert heard == {"0" * 16}
    one_line, two_line = Line(options), Line(options)
    try:
        await one_line.run("XADD", one_line.key("carriage"), "*", "n", "w", "d", b"row")
        assert await two_line.run("XLEN", two_line.key("carriage")) == 1
        replies = await two_line.run_all(("GET", two_line.key("head")), ("XLEN", two_line.key("carriage")))
        assert replies == [None, 1]
        assert await Heads(one_line, "one").claim("", "1 aa") is None
        assert await Heads(two_line, "two").claim("", "1 bb") == "1 aa"
    finally:
        await one_line.close()
        await two_line.close()


async def test_a_cluster_keeps_every_promise(cluster: Cluster) -> None:
    """One bound for two replicas over several claims, revocations, a stream, and one claim of two: all in one slot."""
    await _promises(by_cluster(cluster))


async def test_a_sentinel_keeps_every_promise(watched: Watched) -> None:
    """The same through whom the Sentinel names."""
    await _promises(by_sentinel(watched))


async def test_a_cluster_whose_node_hangs_holds_no_call_up(cluster: Cluster) -> None:
    """The node of our slot stops answering: the share is granted within the wait, and used again when it answers."""
    options = by_cluster(cluster)
    options = DoorOptions(hosts=options.hosts, kind="cluster", tag=TAG, wait_seconds=0.05)
    node = cluster.holder(f"{{{TAG}}}:probe")
    async with sharing(options) as ((door, one), _other):
        await up(door)
        await one.claim(caller(in_flight=10_000), 1, stream=False)
        node.signal(signal.SIGSTOP)
        try:
            longest = 0.0
            for _ in range(10):
                began = time.monotonic()
                await admitted(one, caller(per_minute=10), 1)
                longest = max(longest, time.monotonic() - began)
            assert await admitted(one, caller(per_minute=10), 10) == 0, "more than its share of five"
        finally:
            node.signal(signal.SIGCONT)
        assert longest < 0.1 + 0.05  # a shared machine's own pauses
        await up(door)


async def test_a_failover_that_loses_acknowledged_writes_loses_no_bound_and_no_revocation(watched: Watched) -> None:
    """The link is cut, the primary acknowledges, and dies: the promoted replica is told again what is in flight and revoked."""
    async with sharing(by_sentinel(watched, 0.3), count=1) as [(door, one)]:
        await up(door)
        watched.cut()
        await one.claim(caller(in_flight=2), 1, stream=False)
        heard: set[str] = set()
        news = News(door, lambda: ["1" * 16], heard.update)
        await news.exchange()
        revoked = f"{{{TAG}}}:revoked"
        assert [node.ask("EXISTS", revoked) for node in (watched.first, watched.second)] == [b":1\r\n", b":0\r\n"]
        watched.first.signal(signal.SIGKILL)
        async with asyncio.timeout(30):
            while watched.primary() != watched.second.port:
                await asyncio.sleep(0.05)
        door.lost()
        await up(door)
        one.came_back()
        while one.untold:
            await one.tell()
        await news.exchange()

        assert watched.second.ask("SMEMBERS", revoked) == b"*1\r\n$16\r\n" + b"1" * 16 + b"\r\n"
        assert await admitted(one, caller(in_flight=2), 3) == 1


@pytest.mark.soak
@pytest.mark.parametrize("repeat", range(20))
async def test_failovers(watched: Watched, repeat: int) -> None:
    """Twenty of them, each with the link cut first."""
    del repeat
    await test_a_failover_that_loses_acknowledged_writes_loses_no_bound_and_no_revocation(watched)
