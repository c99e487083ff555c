"""Three replicas behind HAProxy, restarted one after the other under load: no plain call fails, one log has them all."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.simulator import Scenario, Simulator
from tests.haproxy import HaProxy
from tests.houses import LIMITS, client, unaccounted
from tests.redis_server import RedisServer, free_port
from tests.regions import BODY, Host, intents, records_of, until

CALLERS = 6
STREAMS = 2
STREAM = {**BODY, "stream": True}


@pytest.fixture
async def provider() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        running.script(Scenario(delay=0.02), model="gpt-simulated")
        yield running


class Load:
    """Callers of one balancer: how plain calls ended, and how streams did."""

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._key = key
        self.plain: Counter[object] = Counter()
        self.streams: Counter[str] = Counter()
        self.calls: list[str] = []
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Call until `ended`."""
        async with client(self._key) as session, asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._call(session))
            for _ in range(STREAMS):
                group.create_task(self._stream(session))

    async def _call(self, session):  # type: ignore[no-untyped-def]
        while not self.ended.is_set():
            try:
                async with session.post(self._url, json=BODY) as answer:
                    await answer.read()
                    self.plain[answer.status] += 1
                    self.calls.append(answer.headers.get("x-gateway-call-id", ""))
            except OSError as error:
                self.plain[type(error).__name__] += 1

    async def _stream(self, session):  # type: ignore[no-untyped-def]
        while not self.ended.is_set():
            async with session.post(self._url, json=STREAM) as answer:
                text = await answer.text()
                self.calls.append(answer.headers.get("x-gateway-call-id", ""))
            self.streams[
                "whole" if text.rstrip().endswith("[DONE]") else "marked" if '"error"' in text else "bare"
            ] += 1


async def _rolled(provider: Simulator, folder: Path, redis: RedisServer, rounds: int) -> tuple[Load, Host]:
    """Restart every replica `rounds` times under load; the load, and the host that made the log."""
    limits = {**LIMITS, "drain_seconds": 5.0, "handover_seconds": 1.0}
    hosts, places = [], []
    for name in ("home", "b", "c"):
        places.append((free_port(), free_port()))
        hosts.append(
            Host(
                folder, name, provider, redis, keeps=name == "home", limits=limits,
                listen={"host": "127.0.0.1", "port": places[-1][0]},
                operations={"host": "127.0.0.1", "port": places[-1][1]},
            )
        )  # fmt: skip
    for host in hosts[1:]:  # one key, wherever a call lands
        shutil.copy(hosts[0].state / "caller_keys.json", host.state / "caller_keys.json")
    balancer = HaProxy(folder / "haproxy", places)
    try:
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(host.start())
        await balancer.start()
        load = Load(balancer.url, hosts[0].key)
        await asyncio.sleep(1)  # the balancer's first look at each
        running = asyncio.get_running_loop().create_task(load.run())
        for _ in range(rounds):
            for host in hosts:
                await host.end()
                await host.start()
                await asyncio.sleep(0.6)  # until the balancer has seen that it is back
        load.ended.set()
        await asyncio.wait_for(running, 30)
        await until(lambda: intents(hosts[0]) == len(load.calls))
        for host in reversed(hosts):
            await host.end()
    finally:
        balancer.stop()
        for host in hosts:
            if host.served is not None:
                await host.served.kill()
    return load, hosts[0]


def _hold(load: Load, home: Host) -> None:
    assert set(load.plain) == {200}, load.plain
    assert load.streams["bare"] == 0, load.streams
    lines = records_of(home)
    assert unaccounted(lines) == []
    assert {line["call"] for line in lines if line["kind"] == "intent"} == set(load.calls)
    totals = home.verified()
    assert (totals["calls"], totals["open"], totals["indeterminate"]) == (len(load.calls), 0, 0)


@asynccontextmanager
async def _replica(ready: Callable[[], Awaitable[int]]) -> AsyncIterator[tuple[int, int]]:
    """Something that takes calls, and says whether it is ready as it is told; its two ports."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=await ready() if request.path == "/readyz" else 200)

    async with AsyncExitStack() as stack:
        ports = []
        for _ in range(2):
            server = web.ServerRunner(web.Server(answer))
            await server.setup()
            stack.push_async_callback(server.cleanup)
            await web.TCPSite(server, "127.0.0.1", 0).start()
            ports.append(server.addresses[0][1])
        yield ports[0], ports[1]


async def _late() -> int:
    await asyncio.sleep(0.3)
    return 200


async def _unready() -> int:
    return 503


@pytest.mark.parametrize("ready", [_late, _unready], ids=["late to say that they are ready", "not ready"])
async def test_the_balancer_never_refuses_what_a_replica_would_take(
    tmp_path: Path, ready: Callable[[], Awaitable[int]]
) -> None:
    """One replica is gone and the others are busier than a check is patient, or not ready: calls are served all the same."""
    async with _replica(ready) as one, _replica(ready) as two:
        balancer = HaProxy(tmp_path / "haproxy", [one, (free_port(), free_port()), two], inter=100)
        await balancer.start()
        try:
            statuses: Counter[int] = Counter()
            async with client("") as session:
                for _ in range(40):
                    async with session.post(f"{balancer.url}/v1/chat/completions", json=BODY) as answer:
                        statuses[answer.status] += 1
                    await asyncio.sleep(0.02)  # in all, several checks
        finally:
            balancer.stop()

    assert statuses == {200: 40}


async def test_a_rolling_restart_fails_no_call(provider: Simulator, tmp_path: Path, private_redis: RedisServer) -> None:
    """Each of three replicas once, the log's own host among them."""
    load, home = await _rolled(provider, tmp_path, private_redis, rounds=1)

    _hold(load, home)
    assert sum(load.plain.values()) > 100


@pytest.mark.soak
async def test_ten_rolling_restarts_fail_no_call(
    provider: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """Thirty restarts."""
    load, home = await _rolled(provider, tmp_path, private_redis, rounds=10)

    _hold(load, home)
    print(f"\nplain calls {sum(load.plain.values())}, streams {dict(load.streams)}, restarts 30: none failed")
