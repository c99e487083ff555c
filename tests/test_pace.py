"""How fast several replicas are: beside as many that stand alone, with what they share, and how soon calls are signed.

Figures of a machine whose two cores serve the gateways, their provider, Redis and the load: so each is a ratio of two that
are measured in turn, or a delay.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.app import Application
from gateway.audit.journal import now
from gateway.audit.ledger import Ledger
from gateway.simulator import Simulator
from tests.bench.load import Target
from tests.bench.provider import PLAIN
from tests.bench.subjects import LOAD_CORE, Subject, provider
from tests.gateway.audit.samples import intent, outcome
from tests.loads import Measured, Requests, closed, opened, together
from tests.redis_server import RedisServer
from tests.regions import Host, region


def target(host: Host) -> Target:
    assert host.served is not None
    return Target(host.served.port, (("authorization", f"Bearer {host.key}"),))


def cpu(hosts: Sequence[Host]) -> float:
    """Seconds of processor that the hosts' processes have taken."""
    found = 0.0
    for host in hosts:
        assert host.served is not None
        found += Subject("", (), Target(0), (0, ""), process=host.served.process).cpu()
    return found


@asynccontextmanager
async def replicas(folder: Path, redis: RedisServer, **more: object) -> AsyncIterator[tuple[list[Host], list[Host]]]:
    """Three hosts that share log and limits; and three that share nothing. `more`: see `region`."""
    async with AsyncExitStack() as stack:
        upstream = provider()
        await upstream.start(LOAD_CORE)
        stack.push_async_callback(upstream.stop)
        raw = cast("Simulator", SimpleNamespace(port=upstream.target.port))
        sharing = await stack.enter_async_context(region(folder, raw, redis, "b", "c", models=(PLAIN,), **more))
        others: list[Host] = []
        for name in ("x", "y", "z"):
            host = Host(folder, name, raw, None, keeps=True, models=(PLAIN,), **more)
            others.append(host)
            await host.start()
            assert host.served is not None
            stack.push_async_callback(host.served.kill)
        yield sharing, others


@dataclass(frozen=True)
class Turn:
    """What three hosts did at once: calls a second, and milliseconds of processor a call, of hosts and Redis."""

    rate: float
    cost: float
    redis: float


async def flat_out(hosts: Sequence[Host], requests: Sequence[Requests], redis: RedisServer, seconds: float) -> Turn:
    """All of them, each by six connections that ask again as soon as they are answered."""
    before = cpu(hosts), redis.cpu()
    found = await asyncio.gather(
        *(closed(target(host), each, 6, seconds) for host, each in zip(hosts, requests, strict=True))
    )
    calls = sum(each.answers[200] for each in found)
    assert all(set(each.answers) == {200} for each in found)
    spent = (cpu(hosts) - before[0], redis.cpu() - before[1])
    return Turn(sum(each.goodput for each in found), spent[0] / calls * 1000, spent[1] / calls * 1000)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("more", "reached"), [({"redaction": {}}, 0.85), ({}, 0.75)], ids=["everything on", "redaction off"]
)
async def test_what_three_that_share_are_beside_three_that_do_not(
    tmp_path: Path, private_redis: RedisServer, more: dict[str, object], reached: float
) -> None:
    """What one log and shared limits cost: throughput, processor and latency, in turn. The goal is 0.95 of the calls.

    Three processes on two cores are never three times one that has them alone, so the sum that they are held against is
    that of three that run at the same time in the same places, share nothing, and leave the limits out.
    """
    async with replicas(tmp_path, private_redis, **more) as both:
        asked = [[Requests(target(host)) for host in hosts] for hosts in both]
        turns: tuple[list[Turn], list[Turn]] = ([], [])
        delays: tuple[list[Measured], list[Measured]] = ([], [])
        for number in range(7):
            for at, hosts in enumerate(both):
                turn = await flat_out(hosts, asked[at], private_redis, 4.0)
                late = await opened(target(hosts[1]), asked[at][1], 60, 3.0)
                if number:  # what is measured first is colder
                    turns[at].append(turn)
                    delays[at].append(late)
    ratio = [one.rate / other.rate for one, other in zip(*turns, strict=True)]
    costs = [(one.cost + one.redis) / other.cost for one, other in zip(*turns, strict=True)]
    shown = [[median(getattr(turn, name) for turn in each) for name in ("rate", "cost", "redis")] for each in turns]
    print(f"\nthree that share: {shown[0][0]:.0f} calls/s of {shown[1][0]:.0f}: median {median(ratio):.3f} "
          f"({min(ratio):.2f} to {max(ratio):.2f}; goal 0.95); processor a call {shown[0][1]:.3f} ms and Redis "
          f"{shown[0][2]:.3f} of {shown[1][1]:.3f}: {median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f}); "
          + "; ".join(f"p{part * 100:.0f} {together(delays[0]).percentile(part):.1f} ms of {together(delays[1]).percentile(part):.1f}"
                      for part in (0.5, 0.99)))  # fmt: skip
    assert median(ratio) > reached


async def recorded(ledger: Ledger, rate: float, seconds: float, ended: list[float]) -> None:
    """So many calls a second that take no time: each an intent and an outcome, and when that was durable."""

    async def call() -> None:
        made = intent(time=now())
        admission = await ledger.admit(made)
        await ledger.conclude(admission, outcome(made, time=now()))
        ended.append(time.monotonic())

    begin, done = time.monotonic(), 0
    async with asyncio.TaskGroup() as calls:
        while (elapsed := time.monotonic() - begin) < seconds:
            for _ in range(int(elapsed * rate) - done):
                calls.create_task(call())
                done += 1
            await asyncio.sleep(0.002)


@pytest.mark.soak
async def test_calls_are_signed_within_two_seconds(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """A thousand calls a second, recorded at two hosts: how long after its outcome each is under a checkpoint of the log."""
    async with region(tmp_path, simulator, private_redis) as (home,), AsyncExitStack() as stack:
        outposts = []
        for name in ("b", "c"):
            host = Host(tmp_path, name, simulator, private_redis, keeps=False)
            outposts.append(Application(host.configuration, stream=io.BytesIO()))
            await outposts[-1].start()
            stack.push_async_callback(outposts[-1].stop)
        await asyncio.sleep(4)  # what they wrote at their start is signed
        first, ended, signed = home.size(), list[float](), list[tuple[float, int]]()
        loads = [asyncio.ensure_future(recorded(each._ledger, 500, 20.0, ended)) for each in outposts]
        async with asyncio.timeout(90):
            while not all(each.done() for each in loads) or signed[-1][1] - first < 2 * len(ended):
                signed.append((time.monotonic(), await asyncio.to_thread(home.size)))
                await asyncio.sleep(0.05)
    ended.sort()
    delays, number = list[float](), 0
    for at, size in signed:
        while number < len(ended) and 2 * (number + 1) <= size - first:
            delays.append(at - ended[number])
            number += 1
    delays.sort()
    print(f"\n{len(ended) / (ended[-1] - ended[0]):.0f} calls/s at two hosts, {len(ended)} in all: signed after "
          f"{median(delays):.2f} s at the median, p99 {delays[int(0.99 * len(delays))]:.2f} s, at the latest {delays[-1]:.2f} s")  # fmt: skip
    assert len(delays) == len(ended)
    assert delays[-1] < 2
