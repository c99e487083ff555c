"""A tenant that is erased at the log's host is erased at every host, also at one that was away, and does not come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.audit.retention.requests import ask
from gateway.audit.words import Ground
from gateway.cli import main
from gateway.keys import Keyring
from gateway.replicas.carriage import Line
from gateway.replicas.carrying import meet
from gateway.replicas.door import DoorOptions
from gateway.replicas.erasures import LOST_SECONDS, Answering, Asking
from gateway.simulator import Simulator
from tests.configuration import CALLER, TENANT
from tests.redis_server import RedisServer
from tests.regions import Host, intents, records_of, until


@pytest.fixture
async def provider() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


class Hosts:
    """Keyrings of three hosts under one master key, and their lines to one Redis."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        master = folder / "master.keys"
        self.keyrings = [
            Keyring.open(folder / name / "keys", master=master, create=True) for name in ("home", "b", "c")
        ]
        for each in self.keyrings:
            each.shared = True
        self.home, self.one, self.two = self.keyrings
        self.lines = [Line(DoorOptions(hosts=(("127.0.0.1", redis.port),))) for _ in self.keyrings]
        self.gathered = {"b.1": 7, "c.1": 9}
        self.now = 0.0
        self.asking = Asking(self.lines[0], self.home, self._gathered, lambda: self.now)
        self.lasts: list[dict[str, int] | None] = [{"b.1": 7}, {"c.1": 9}]

    async def _gathered(self) -> dict[str, int]:
        return self.gathered

    async def answer(self, which: int) -> None:
        async def lasts(_field: str) -> dict[str, int] | None:
            return self.lasts[which]

        await Answering(self.lines[which + 1], self.keyrings[which + 1], lasts).step()

    async def close(self) -> None:
        for line in self.lines:
            await line.close()


@pytest.fixture
async def hosts(tmp_path: Path, redis: RedisServer) -> AsyncIterator[Hosts]:
    made = Hosts(tmp_path, redis)
    for line, keyring in zip(made.lines, made.keyrings, strict=True):
        await meet(line, keyring, ["t1", "t2"])
    yield made
    await made.close()


async def test_a_tenant_is_gone_once_every_host_has_forgotten_it(hosts: Hosts) -> None:
    """Each host is waited for, and what it wrote until then; another tenant keeps its key."""
    mac = hosts.two.tenant_mac("t1", "subject", "ana")
    hosts.home.destroy_tenant("t1")
    hosts.lasts[1] = {"c.1": 12}
    assert await hosts.asking.waits("t1")
    await hosts.answer(0)
    assert await hosts.asking.waits("t1")
    assert hosts.asking.awaited == {"c.1"}
    hosts.lasts[1] = None  # a worker there does not answer
    await hosts.answer(1)
    assert await hosts.asking.waits("t1")
    hosts.lasts[1] = {"c.1": 12}
    await hosts.answer(1)
    assert await hosts.asking.waits("t1")  # three rows of it are on their way
    hosts.gathered["c.1"] = 12

    assert not await hosts.asking.waits("t1")
    assert [each.has_tenant("t1") for each in hosts.keyrings] == [False] * 3
    assert [each.has_tenant("t2") for each in hosts.keyrings] == [True] * 3
    await meet(hosts.lines[2], hosts.two, ["t1"])
    await meet(hosts.lines[0], hosts.home, ["t1"])
    assert hosts.home.tenant_mac("t1", "subject", "ana") == hosts.two.tenant_mac("t1", "subject", "ana") != mac


async def test_a_key_that_is_gone_does_not_come_back(hosts: Hosts, redis: RedisServer) -> None:
    """Neither from Redis, nor from a host that was away, nor after Redis was wiped; and it is said again to who was away."""
    mac, old = hosts.two.tenant_mac("t1", "subject", "ana"), hosts.two.tenant_sealed("t1")
    hosts.home.destroy_tenant("t1")
    redis.ask("FLUSHALL")
    await meet(hosts.lines[2], hosts.two, ["t1"])  # it was away, and brings its key
    await meet(hosts.lines[0], hosts.home, ["t1"])
    assert hosts.home.tenant_mac("t1", "subject", "ana") != mac
    assert hosts.home.is_gone("t1", old)
    await hosts.asking._say(hosts.home.gone())
    await hosts.answer(1)
    await meet(hosts.lines[2], hosts.two, ["t1"])

    assert hosts.two.tenant_mac("t1", "subject", "ana") == hosts.home.tenant_mac("t1", "subject", "ana")


async def test_nobody_else_can_have_a_key_destroyed(hosts: Hosts, redis: RedisServer) -> None:
    """What is not sealed under the region's master key, or is about another key, destroys nothing; nor does an answer count."""
    field = hosts.one.tenant_field("t1")
    redis.ask("HSET", "{zrg}:erased", "ab" * 16, f"asked {field}")
    await hosts.lines[0].run(
        "HSET", "{zrg}:erased", "cd" * 16, hosts.home.seal("erased/" + "ab" * 16, b"asked " + field.encode())
    )
    await hosts.lines[0].run(
        "HSET", "{zrg}:erased", "ef" * 16, hosts.home.seal("erased/" + "ef" * 16, b"asked " + field.encode())
    )
    await hosts.answer(0)
    hosts.home.destroy_tenant("t2")
    (mark,) = hosts.home.gone()
    for name in hosts.gathered:
        redis.ask("HSET", f"{{zrg}}:answered:{mark}", name, "99")

    assert hosts.one.has_tenant("t1")
    assert await hosts.asking.waits("t2")
    assert hosts.asking.awaited == {"b.1", "c.1"}


async def test_a_host_that_is_lost_is_not_waited_for_for_ever(hosts: Hosts) -> None:
    """Nothing of its journal came for longer than a call can last; should it come back, the key goes there, too."""
    hosts.home.destroy_tenant("t1")
    assert await hosts.asking.waits("t1")
    await hosts.answer(0)
    hosts.now = LOST_SECONDS
    hosts.gathered["b.1"] = 8
    assert await hosts.asking.waits("t1")
    hosts.now = LOST_SECONDS + 1
    assert not await hosts.asking.waits("t1")

    await hosts.answer(1)
    assert not hosts.two.has_tenant("t1")


async def test_a_persons_erasure_waits_for_what_every_host_has_written(hosts: Hosts) -> None:
    """No key goes; the next erasure asks anew."""
    hosts.lasts[0] = {"b.1": 8}
    assert await hosts.asking.waits("t1")
    for which in range(2):
        await hosts.answer(which)
    assert await hosts.asking.waits("t1")
    hosts.gathered["b.1"] = 8
    assert not await hosts.asking.waits("t1")

    assert await hosts.asking.waits("t1")
    assert [each.has_tenant("t1") for each in hosts.keyrings] == [True] * 3


async def test_a_host_of_several_does_not_erase_alone(
    provider: Simulator, tmp_path: Path, redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """`gateway prune`, while none of its gateways runs, leaves what other hosts have to forget, too."""
    host = Host(tmp_path, "home", provider, redis, keeps=True)
    keyring = Keyring.open(host.state / "keys", master=tmp_path / "master.keys", create=True)
    ask(keyring, Ground.TENANT, TENANT, None, 1)

    assert await asyncio.to_thread(main, ["prune", "--config", str(host.configuration)]) == 2
    assert "waits for the other hosts" in capsys.readouterr().err
    assert keyring.has_tenant(TENANT)


async def _ask(host: Host, method: str, path: str) -> dict[str, Any]:
    assert host.served is not None
    headers = {"authorization": f"Bearer {host.key}"}
    url = f"{host.served.operations_url}{path}"
    async with aiohttp.ClientSession(headers=headers) as session, session.request(method, url) as answer:
        assert answer.status in {200, 202}, await answer.text()
        return dict(json.loads(await answer.read()))


async def test_an_erasure_at_the_logs_host_is_one_at_every_host(
    provider: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """One with two workers, one that is away when it is asked for: done only once neither has the key, and the log holds."""
    erasure = {"erasure": {"callers": [CALLER]}}
    home = Host(tmp_path, "home", provider, private_redis, keeps=True, **erasure)
    one = Host(tmp_path, "b", provider, private_redis, keeps=False)
    two = Host(tmp_path, "c", provider, private_redis, keeps=False)
    try:
        await home.start()
        await one.start("--workers", "2")
        await two.start()
        for host in (home, one, two, one):
            assert await host.call() == 200
        await until(lambda: intents(home) == 4)
        mac = two.keyring.tenant_mac(TENANT, "subject", "ana")
        assert one.keyring.tenant_mac(TENANT, "subject", "ana") == mac
        await two.end()
        asked = (await _ask(home, "POST", f"/tenants/{TENANT}/erase"))["erasure"]
        await until(lambda: not one.keyring.has_tenant(TENANT))
        assert (await _ask(home, "GET", f"/erasures/{asked}"))["state"] == "waiting"
        async with asyncio.timeout(30):
            while not any("erasure waits for journal c." in said for said in (await home.ready())["warnings"]):
                await asyncio.sleep(0.1)
        await two.start()
        async with asyncio.timeout(60):
            while (await _ask(home, "GET", f"/erasures/{asked}"))["state"] != "done":
                await asyncio.sleep(0.1)
        assert two.keyring.tenant_mac(TENANT, "subject", "ana") != mac  # it is still in tenants.yaml, and begins anew
        for host in (one, two, home):
            await host.end()
    finally:
        for host in (one, two, home):
            if host.served is not None:
                await host.served.kill()

    assert not home.keyring.has_tenant(TENANT)
    assert [line for line in records_of(home) if line["tenant"] == TENANT] == []
    assert home.verified()["erasures"] == 1
