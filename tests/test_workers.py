"""Several workers behind one port: one record of them all, whatever ends when, and limits that they share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.audit.evidence import open_evidence
from gateway.audit.verify import Policy, conclude, verify
from gateway.categories import Category
from gateway.keys import Keyring
from gateway.simulator import CREDENTIAL, Simulator
from tests.configuration import CALLER, TENANT, issue_key, write_configuration
from tests.gateway.redaction.conftest import one_word
from tests.houses import UNSCANNED, Served, client, records, serve, settings, unaccounted, unwitnessed
from tests.redis_server import free_port

BODY = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Hello healthword"}]}


def workers_of(served: Served) -> list[int]:
    """Process ids of the workers, from the kernel."""
    pid = served.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in children if b"gateway.workers.worker" in Path(f"/proc/{each}/cmdline").read_bytes()]


async def call(url: str, key: str) -> int:
    """One plain call on a connection of its own, so that the kernel chooses who takes it; its status."""
    async with client(key) as session, session.post(f"{url}/v1/chat/completions", json=BODY) as answer:
        await answer.read()
        return answer.status


def verified(state: Path) -> dict[str, Any]:
    """The totals of the whole log, which must hold."""
    keyring = Keyring.open(state / "keys")
    with open_evidence(state, keyring) as evidence:
        run = verify(evidence, Policy(evidence.policy(keyring)))
    said: list[str] = []
    assert conclude(run, said.append) == 0, said
    return dict(run.facts()["totals"])


@pytest.fixture
async def provider() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@contextlib.asynccontextmanager
async def serving(provider: Simulator, folder: Path, **chosen: object) -> AsyncIterator[tuple[Served, str]]:
    """Two workers, and a key."""
    configuration = write_configuration(folder, provider.port, CREDENTIAL, settings=settings(**chosen))  # type: ignore[arg-type]
    for path in (configuration / "recognizers").iterdir():  # one word a category: the shipped rules take long to build
        path.unlink()
    for category in Category:
        (configuration / "recognizers" / f"{category.value}.yaml").write_text(json.dumps(one_word(category)))
    key = issue_key(folder / "state", CALLER)
    served = await serve(configuration, folder, "--workers", "2")
    try:
        yield served, key
    finally:
        await served.kill()


async def until_worked(served: Served, condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(90):
        while not condition():
            assert served.process.returncode is None
            await asyncio.sleep(0.05)


async def test_two_workers_serve_one_port_and_make_one_log(provider: Simulator, tmp_path: Path) -> None:
    """Both take calls, the detectors are shared, and after a clean end the log holds every call of both."""
    async with serving(provider, tmp_path) as (served, key):
        statuses = await asyncio.gather(*(call(served.url, key) for _ in range(24)))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{served.operations_url}/readyz") as answer:
                ready = json.loads(await answer.read())
            async with session.get(f"{served.operations_url}/metrics") as answer:
                metrics = await answer.text()
        served.signal(signal.SIGTERM)
        code = await served.ended(90)

    assert set(statuses) == {200}
    assert code == 0, (tmp_path / "stderr").read_text()
    names = ["journal", "redactor", "checkpoint", "accepting", "current", "canary", "workers", "gathering"]
    assert (ready["ready"], ready["checks"]) == (True, dict.fromkeys(names, True))
    taken = [line for line in metrics.splitlines() if line.startswith("gateway_requests_total{worker=")]
    assert sorted(line.split('"')[1] for line in taken) == ["w0", "w1"]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in taken) == 24
    assert metrics.count("# TYPE gateway_requests_total counter") == 1
    state = tmp_path / "state"
    assert unaccounted(records(state)) == []
    assert unwitnessed(provider, state, TENANT) == []
    assert {str(arrival.document["messages"]) for arrival in provider.arrivals} == {
        str([{"role": "user", "content": "Hello [REDACTED]"}])
    }
    totals = verified(state)
    assert (totals["calls"], totals["open"], totals["indeterminate"]) == (24, 0, 0)


async def test_workers_that_are_asked_while_they_start_start_all_the_same(provider: Simulator, tmp_path: Path) -> None:
    """A balancer looks at `/readyz` from the first moment on, long before a worker knows anything of itself."""
    operations = free_port()
    ended = asyncio.Event()

    async def look() -> None:
        async with aiohttp.ClientSession() as session:
            while not ended.is_set():
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{operations}/readyz") as answer:
                        await answer.read()
                await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        try:
            async with serving(provider, tmp_path, operations={"port": operations}, **UNSCANNED) as (served, key):
                assert await call(served.url, key) == 200
                said = (tmp_path / "stdout").read_text()
        finally:
            ended.set()

    assert '"worker_ended"' not in said


async def test_a_killed_worker_is_replaced_and_what_it_left_is_closed(provider: Simulator, tmp_path: Path) -> None:
    """Under load: the others serve on, and its successor recovers its journal."""
    async with serving(provider, tmp_path, **UNSCANNED) as (served, key):
        victim, other = workers_of(served)
        ended = asyncio.Event()

        async def caller() -> None:
            while not ended.is_set():
                with contextlib.suppress(aiohttp.ClientError):
                    await call(served.url, key)

        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(caller())
            await provider.witness.until(lambda: len(provider.arrivals) >= 30, 20)
            os.kill(victim, signal.SIGKILL)
            await until_worked(served, lambda: len(workers_of(served)) == 2 and victim not in workers_of(served))
            seen = len(provider.arrivals)
            await provider.witness.until(lambda: len(provider.arrivals) >= seen + 30, 20)
            ended.set()
        assert other in workers_of(served)
        assert await call(served.url, key) == 200
        served.signal(signal.SIGTERM)
        assert await served.ended(90) == 0

    state = tmp_path / "state"
    assert unaccounted(records(state)) == []
    assert unwitnessed(provider, state, TENANT) == []
    assert verified(state)["open"] == 0


async def test_a_killed_parent_takes_its_workers_along_and_loses_nothing(provider: Simulator, tmp_path: Path) -> None:
    """They end as on SIGTERM; whoever starts next finds what they wrote and gathers it, also with fewer workers."""
    async with serving(provider, tmp_path, **UNSCANNED) as (served, key):
        assert [await call(served.url, key) for _ in range(8)] == [200] * 8
        workers = workers_of(served)
        await served.kill()
        async with asyncio.timeout(20):
            while any(Path(f"/proc/{pid}").exists() for pid in workers):
                await asyncio.sleep(0.05)
    configuration = tmp_path / "config"
    again = await serve(configuration, tmp_path, "--workers", "2")
    try:
        assert [await call(again.url, key) for _ in range(4)] == [200] * 4
        again.signal(signal.SIGTERM)
        assert await again.ended(90) == 0
    finally:
        await again.kill()

    state = tmp_path / "state"
    assert unaccounted(records(state)) == []
    totals = verified(state)
    assert (totals["calls"], totals["open"]) == (12, 0)


async def test_workers_share_a_callers_limit(provider: Simulator, tmp_path: Path) -> None:
    """Ten calls a minute are ten, whichever worker takes them."""
    async with serving(provider, tmp_path, limits={"caller_per_minute": 10}, **UNSCANNED) as (served, key):
        statuses = [await call(served.url, key) for _ in range(16)]

    assert statuses.count(200) == 10
    assert statuses.count(429) == 6


async def test_a_reload_reaches_every_worker(provider: Simulator, tmp_path: Path) -> None:
    """SIGHUP to the parent: every worker decides by the new configuration, and the record says so of each."""
    async with serving(provider, tmp_path, **UNSCANNED) as (served, key):
        assert await call(served.url, key) == 200
        entry = tmp_path / "config" / "processors" / "simulated-openai.yaml"
        entry.write_text(entry.read_text().replace('"suspended": false', '"suspended": true'))
        served.signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while {await call(served.url, key) for _ in range(8)} != {403}:
                pass
        served.signal(signal.SIGTERM)
        assert await served.ended(90) == 0

    changes = [line for line in records(tmp_path / "state") if line.get("act") == "configuration"]
    assert len(changes) == 3
    verified(tmp_path / "state")
