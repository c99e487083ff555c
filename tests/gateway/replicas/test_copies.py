"""`durability: local+waitaof`: a call leaves only once its intent is in Redis' files, or the gateway does not start.

No server that has `WAITAOF` is at hand, so its answers are scripted in front of a real one; the refusal of an older
server is by a real one.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.app import Application
from gateway.audit.reader import Filters, query
from gateway.errors import ConfigurationError
from gateway.simulator import CREDENTIAL, Simulator
from tests.configuration import issue_key, write_configuration
from tests.houses import UNSCANNED, client, settings, unaccounted
from tests.redis_proxy import INFO, NewerRedis
from tests.redis_server import RedisServer

BODY = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "How did it go?"}]}


def host(folder: Path, simulator: Simulator, port: int, **carriage: object) -> Application:
    """A host of the region; all have the same master key."""
    replicas = {
        "url": f"redis://127.0.0.1:{port}", "count": 2, "wait_seconds": 0.1, "carriage": {"host": folder.name, **carriage},
    }  # fmt: skip
    chosen = settings(replicas=replicas, master_key={"file": str(folder.parent / "master.keys")}, **UNSCANNED)  # type: ignore[arg-type]
    configuration = write_configuration(folder, simulator.port, CREDENTIAL, settings=chosen)
    return Application(configuration, folder / "state", stream=io.BytesIO())


@dataclass
class Region:
    """The host that keeps the log, and one whose disk may be lost."""

    scripted: NewerRedis
    outpost: Application
    key: str

    async def call(self) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.outpost.port}/v1/chat/completions"
        async with client(self.key) as session, session.post(url, json=BODY) as answer:
            await answer.read()
            return answer.status, answer.headers.get("x-gateway-code", "ok")


@asynccontextmanager
async def region(folder: Path, simulator: Simulator, redis: RedisServer, copies: int = 0) -> AsyncIterator[Region]:
    async with NewerRedis(redis.port) as scripted, AsyncExitStack() as stack:
        home = host(folder / "home", simulator, redis.port, keeps_log=True)
        await home.start()
        stack.push_async_callback(home.stop)
        key = issue_key(folder / "away" / "state")
        outpost = host(folder / "away", simulator, scripted.port, durability="local+waitaof", copies=copies)
        scripted.held = (1, copies)
        await outpost.start()
        stack.push_async_callback(outpost.stop)
        async with asyncio.timeout(60):
            while redis.ask("GET", "{zrg:test}:home") == b"$-1\r\n":  # nobody takes what is sent before
                await asyncio.sleep(0.05)
        yield Region(scripted, outpost, key)


async def test_an_older_server_is_refused_at_the_start(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """With its version, what is needed, and the key of the setting; nothing listens."""
    one = host(tmp_path / "away", simulator, private_redis.port, durability="local+waitaof")
    with pytest.raises(ConfigurationError) as caught:
        await one.start()

    (fault,) = caught.value.faults
    assert fault.key == "replicas.carriage.durability"
    assert fault.reason == "this Redis is 7.0; WAITAOF needs 7.2 (that of Debian 12 is 7.0)"


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (INFO.replace(b"7.4.1", b"7.1.9"), "this Redis is 7.1"),
        (INFO.replace(b"7.4.1", b"what"), "of an unknown version"),
        (INFO.replace(b"aof_enabled:1", b"aof_enabled:0"), "set appendonly yes"),
    ],
)
async def test_one_that_cannot_keep_copies_is_refused_at_the_start(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer, info: bytes, words: str
) -> None:
    """Just too old, unreadable, or without a file of what it is told."""
    async with NewerRedis(private_redis.port) as scripted:
        scripted.info = info
        one = host(tmp_path / "away", simulator, scripted.port, durability="local+waitaof")
        with pytest.raises(ConfigurationError, match=words):
            await one.start()


async def test_a_call_leaves_once_its_intent_is_copied(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """While Redis has not said so the provider hears nothing; then the call is served, and the record is whole."""
    async with region(tmp_path, simulator, private_redis, copies=1) as at:
        assert await at.call() == (200, "ok")
        before, asked = len(simulator.arrivals), at.scripted.asked["WAITAOF"]
        at.scripted.waited.clear()
        running = asyncio.ensure_future(at.call())
        async with asyncio.timeout(10):
            while at.scripted.asked["WAITAOF"] == asked:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # that nothing arrives has no event
        assert len(simulator.arrivals) == before
        at.scripted.waited.set()

        assert await running == (200, "ok")
        assert len(simulator.arrivals) == before + 1


@pytest.mark.parametrize("held", [(0, 1), (1, 0)], ids=["not in its own file", "not at its replica"])
async def test_a_call_whose_intent_is_not_copied_does_not_leave(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer, held: tuple[int, int]
) -> None:
    """It is refused, retryable, and closed as one that sent no byte; afterwards calls pass again."""
    async with region(tmp_path, simulator, private_redis, copies=1) as at:
        assert await at.call() == (200, "ok")
        before = len(simulator.arrivals)
        # The home takes what it is sent, which is a copy as well: it must not be there to.
        private_redis.ask("SET", "{zrg:test}:home", "elsewhere")
        private_redis.ask("SET", "{zrg:test}:head", "1 nobody")
        at.scripted.held = held
        status, code = await at.call()
        assert (status, code, len(simulator.arrivals)) == (503, "audit_unavailable", before)
        at.scripted.held = (1, 1)
        assert await at.call() == (200, "ok")
        await at.outpost.journal.settled()
        lines = list(query(at.outpost.state / "journal", at.outpost.keyring.journal_key(), Filters()))

    assert unaccounted(lines) == []
    unsent = [line for line in lines if line["kind"] == "outcome" and line["sent"] is False]
    assert [(line["result"], line["code"]) for line in unsent] == [("cut_off", "audit_unavailable")]
