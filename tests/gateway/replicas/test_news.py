"""Revocations that reach every replica, and a replica that no longer hears."""

from __future__ import annotations

import asyncio
import io
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import openai
import pytest

from gateway.app import Application
from gateway.caller_keys import KeyFile
from gateway.keys import mint_caller_key
from gateway.replicas.door import Door, DoorOptions
from gateway.replicas.news import News
from gateway.simulator import CREDENTIAL, Simulator
from tests.configuration import CALLER, write_configuration
from tests.redis_server import RedisServer


@asynccontextmanager
async def serving(simulator: Simulator, folder: Path, **replicas: object) -> AsyncIterator[Application]:
    """One replica with a state of its own, and without a redactor."""
    settings: dict[str, object] = {"replicas": replicas, "redaction": {"unsafe_redaction_off": True}}
    configuration = write_configuration(folder, simulator.port, CREDENTIAL, settings=settings)
    application = Application(configuration, folder / "state", stream=io.BytesIO())
    await application.start()
    try:
        yield application
    finally:
        await application.stop()


async def ask(application: Application, key: str) -> str:
    """The gateway's code, or `ok`."""
    url = f"http://127.0.0.1:{application.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
        try:
            await client.models.list()
        except openai.APIStatusError as error:
            return error.response.headers["x-gateway-code"]
    return "ok"


async def until(application: Application, key: str, code: str, seconds: float) -> float:
    """How long it takes until the answer is this one."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while await ask(application, key) != code:
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_key_revoked_at_one_replica_is_refused_at_all(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """Two hosts with files of their own: what one revokes, the other refuses within a second or so, also after a reload."""
    key = mint_caller_key()
    for host in ("a", "b"):
        KeyFile(tmp_path / host / "state").add(CALLER, key, datetime.now(UTC), None)
    redis = {"url": private_redis.url, "count": 2, "wait_seconds": 0.1}
    async with serving(simulator, tmp_path / "a", **redis) as one, serving(simulator, tmp_path / "b", **redis) as two:
        assert [await ask(one, key.text), await ask(two, key.text)] == ["ok", "ok"]
        KeyFile(tmp_path / "a" / "state").revoke(key.key_id, datetime.now(UTC))
        await until(two, key.text, "unauthenticated", 10)
        private_redis.ask("FLUSHALL")
        assert await two.reload()

        assert await ask(two, key.text) == "unauthenticated"


async def test_a_replica_that_no_longer_hears_grants_nothing(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """Past `stale_seconds` every call is refused, retryable, until Redis is heard again."""
    key = mint_caller_key()
    KeyFile(tmp_path / "a" / "state").add(CALLER, key, datetime.now(UTC), None)
    async with serving(
        simulator, tmp_path / "a", url=private_redis.url, count=1, wait_seconds=0.1, stale_seconds=2
    ) as one:
        assert await ask(one, key.text) == "ok"
        private_redis.signal(signal.SIGSTOP)
        took = await until(one, key.text, "overloaded", 20)
        private_redis.signal(signal.SIGCONT)
        await until(one, key.text, "ok", 20)

    assert took > 1.0


@pytest.mark.parametrize("known", [0, 1, 2500])
async def test_any_number_of_revocations_is_told(private_redis: RedisServer, known: int) -> None:
    """None, one, or more than one message holds; what is no key id in the set is not taken over."""
    door = Door(DoorOptions(hosts=(("127.0.0.1", private_redis.port),), wait_seconds=5.0))
    await door.start()
    private_redis.ask("SADD", "{zrg}:revoked", "not an id")
    heard: set[str] = set()
    ours = [f"{number:016x}" for number in range(known)]
    await News(door, lambda: ours, lambda _ids: None).exchange()
    await News(door, lambda: (), heard.update).exchange()
    await door.stop()

    assert heard == set(ours)
