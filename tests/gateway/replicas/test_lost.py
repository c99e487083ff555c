"""A host that is declared lost: by one verb at the log's host, once nothing was heard of it, and for good."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from gateway.audit.retention.requests import ask, kept
from gateway.audit.words import Ground
from gateway.cli import main
from gateway.simulator import Scenario, Simulator
from tests.configuration import EUROPEAN
from tests.houses import unaccounted
from tests.redis_server import RedisServer
from tests.regions import Host, intents, records_of, region, until


async def lost(home: Host, capsys: pytest.CaptureFixture[str], name: str, *more: str) -> tuple[int, str]:
    """What the verb says of a host."""
    words = ["hosts", "lost", name, "--config", str(home.configuration), "--json", *more]
    code = await asyncio.to_thread(main, words)
    said = capsys.readouterr()
    return code, said.out + said.err


async def test_a_host_that_is_lost_is_given_up(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its open calls are closed, the log holds and says so, and an erasure waits for it no more; it comes back as another."""
    async with region(tmp_path, simulator, private_redis, "b") as (home, one):
        assert [await one.call() for _ in range(3)] == [200] * 3
        simulator.script(Scenario(delay=60.0), model="gpt-simulated", count=1)
        hanging = asyncio.ensure_future(one.call())
        await until(lambda: intents(home) == 4)
        assert one.served is not None
        await one.served.kill()
        await asyncio.gather(hanging, return_exceptions=True)
        assert (await lost(home, capsys, "nobody"))[0] == 1
        assert await lost(home, capsys, "b") == (1, f"b: {await _heard(home, one)}\n")
        ask(home.keyring, Ground.TENANT, EUROPEAN, None, time.time_ns() // 1000)
        await asyncio.sleep(2)  # that it is not carried out has no event
        assert len(kept(home.keyring)) == 1

        code, said = await lost(home, capsys, "b", "--though-heard")
        (row,) = json.loads(said)
        assert (code, row["journal"][:2], row["closed"]) == (0, "b.", 1)
        assert await lost(home, capsys, "b", "--though-heard") == (0, "[]\n")
        await until(lambda: kept(home.keyring) == [])
        await one.start()
        told = await one.ready()
        assert (told["checks"]["current"], await one.call()) == (False, 503)
        assert any("declared lost" in warning for warning in told["warnings"])
        await one.served.kill()
        one.lose_disk()
        await one.start()
        assert await one.call() == 200
        await until(lambda: intents(home) == 5)
        await one.end()
        await home.end()

    lines = records_of(home)
    assert unaccounted(lines) == []
    assert [line["result"] for line in lines if line["kind"] == "outcome"].count("indeterminate") == 1
    totals = home.verified()
    assert (totals["calls"], totals["open"], totals["indeterminate"]) == (5, 0, 1)


async def _heard(home: Host, one: Host) -> str:
    (writer,) = {str(line["writer"]) for line in records_of(home) if line.get("writer")}
    return f"boot {writer[:8]} of it was heard less than 150 seconds ago"
