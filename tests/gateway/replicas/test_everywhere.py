"""What is decided at one replica holds at all within a second: suspensions and approved changes; and who cannot know, stops."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Application
from gateway.caller_keys import KeyFile
from gateway.change.chain import Chain
from gateway.cli import main
from gateway.keys import Keyring, mint_caller_key
from gateway.replicas.changes import Changes
from gateway.replicas.door import Door, DoorOptions
from gateway.replicas.suspended import Suspended
from gateway.simulator import CREDENTIAL, Simulator
from gateway.suspensions import FILE, Suspensions, Word
from providers import PROVIDERS
from tests.configuration import CALLER, issue_key, write_configuration
from tests.houses import UNSCANNED, client, records, settings
from tests.redis_server import RedisServer
from tests.test_change_control import ADA, CONTROL, GRACE, approved, edit

BODY = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "How did it go?"}]}
ENTRY = "simulated-openai"


class Replica:
    """An application with files and a state of its own."""

    def __init__(self, folder: Path, simulator: Simulator, chosen: dict[str, object]) -> None:
        self.configuration = write_configuration(folder, simulator.port, CREDENTIAL, settings=chosen)
        self.state = folder / "state"
        self.key = issue_key(self.state)
        self.application = Application(self.configuration, self.state, stream=io.BytesIO())

    async def ask(self) -> str:
        """The code of one call, or `ok`."""
        url = f"http://127.0.0.1:{self.application.port}/v1/chat/completions"
        async with client(self.key) as session, session.post(url, json=BODY) as answer:
            await answer.read()
            return answer.headers.get("x-gateway-code", "ok")

    async def until(self, code: str, seconds: float = 30.0) -> float:
        """How long it takes until calls are answered so."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while await self.ask() != code:
                await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def warnings(self) -> list[str]:
        """What readiness tells."""
        url = f"http://127.0.0.1:{self.application.operations_port}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return list((await answer.json())["warnings"])

    def verb(self, *words: str) -> int:
        """Run the command line on this replica's configuration."""
        return main([*words, "--config", str(self.configuration)])


@asynccontextmanager
async def replicas(
    folder: Path,
    simulator: Simulator,
    redis: RedisServer | None,
    count: int,
    before: Callable[[Replica], object] = lambda _replica: None,
    **more: object,
) -> AsyncIterator[list[Replica]]:
    """So many, which share this Redis or none; `before` is done with each before it starts."""
    more_replicas: dict[str, object] = {"count": count, "wait_seconds": 0.1, **more.pop("replicas", {})}  # type: ignore[dict-item]
    chosen = settings(**UNSCANNED, **more)  # type: ignore[arg-type]
    if redis is not None:
        chosen["replicas"] = {"url": redis.url, **more_replicas}
    async with AsyncExitStack() as stack:
        made = []
        for number in range(count):
            one = Replica(folder / str(number), simulator, chosen)
            before(one)
            await one.application.start()
            stack.push_async_callback(one.application.stop)
            made.append(one)
        yield made


async def test_a_suspension_holds_everywhere_and_is_in_the_record(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """The other replica refuses, also after Redis was wiped and it reloaded; each resumes at its own host; all is recorded."""
    async with replicas(tmp_path, simulator, private_redis, 2) as (one, two):
        assert [await one.ask(), await two.ask()] == ["ok", "ok"]
        assert one.verb("processors", "suspend", ENTRY) == 0
        await two.until("processor_not_active")
        await one.until("processor_not_active")
        assert f"{ENTRY} is suspended by hand" in await two.warnings()
        private_redis.ask("FLUSHALL")
        assert await two.application.reload()
        assert await two.ask() == "processor_not_active"
        assert one.verb("processors", "resume", ENTRY) == 0
        await one.until("ok")
        assert await two.ask() == "processor_not_active"
        assert two.verb("processors", "resume", ENTRY) == 0
        await two.until("ok")
        state = two.state

    acts = [line for line in records(state) if line["kind"] == "operator" and line["act"] == "suspension"]
    assert [(line["processor"], line["enabled"]) for line in acts] == [(ENTRY, False), (ENTRY, True)]


async def test_a_suspension_outlives_a_restart_and_needs_no_redis(simulator: Simulator, tmp_path: Path) -> None:
    """By the file alone: within a second in the running gateway, and from the first call of the next."""
    async with replicas(tmp_path, simulator, None, 1) as (one,):
        assert one.verb("processors", "suspend", "nobody") == 2
        assert one.verb("processors", "suspend", ENTRY) == 0
        await one.until("processor_not_active")
    again = Application(one.configuration, one.state, stream=io.BytesIO())
    await again.start()
    one.application = again
    try:
        assert await one.ask() == "processor_not_active"
    finally:
        await again.stop()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"simulated-openai": [1]}', '{"Not An Id": [1, true]}', '{"a": [true, true]}']
)
async def test_while_nobody_knows_who_is_suspended_nothing_is_granted(
    simulator: Simulator, tmp_path: Path, content: str
) -> None:
    """A damaged file refuses every call, retryable, and readiness names it; whole again, calls pass."""
    async with replicas(tmp_path, simulator, None, 1) as (one,):
        (one.state / FILE).write_text(content)
        await one.until("overloaded")
        assert any(FILE in words for words in await one.warnings())
        (one.state / FILE).write_text("{}")

        await one.until("ok")


def test_the_later_word_holds(tmp_path: Path) -> None:
    """Whatever a clock says: who speaks last is later than all he heard, and of one instant the suspension holds."""
    one = Suspensions(tmp_path)
    one.say("a", suspended=True, now=100)
    assert one.say("a", suspended=False, now=50) == Word(101, False)
    assert not one.hear({"a": Word(100, True)})
    assert one.hear({"a": Word(101, True), "b": Word(5, False)})

    assert one.words() == {"a": Word(101, True), "b": Word(5, False)}


@asynccontextmanager
async def exchange(redis: RedisServer, folder: Path, keyring: Keyring | None) -> AsyncIterator[Suspended]:
    folder.mkdir(exist_ok=True)
    door = Door(DoorOptions(hosts=(("127.0.0.1", redis.port),), wait_seconds=5.0))
    await door.start()
    try:
        yield Suspended(door, Suspensions(folder), lambda: {"a", "b"}, keyring)
    finally:
        await door.stop()


async def test_hosts_with_one_master_key_resume_for_each_other(redis: RedisServer, tmp_path: Path) -> None:
    """A resumption is believed only under the seal; one that anybody wrote, or that was moved to another entry, is not."""
    keyring = Keyring.open(tmp_path / "keys", create=True)
    foreign = Keyring.open(tmp_path / "other", create=True)
    async with (
        exchange(redis, tmp_path / "one", keyring) as one,
        exchange(redis, tmp_path / "two", keyring) as two,
        exchange(redis, tmp_path / "three", foreign) as three,
    ):
        for name in ("a", "b"):
            one._suspensions.say(name, suspended=True, now=10)
        for each in (one, two, three):
            await each.exchange()
        redis.ask("HSET", "{zrg}:suspended", "b", f"90 0 {keyring.seal('suspension/a', b'90 0').hex()}")
        redis.ask("HSET", "{zrg}:suspended", "unknown", "90 1 -")
        one._suspensions.say("a", suspended=False, now=20)
        for each in (one, two, three):
            await each.exchange()

        assert two._suspensions.words() == {"a": Word(20, False), "b": Word(10, True)}
        assert three._suspensions.words() == {"a": Word(10, True), "b": Word(10, True)}
        assert (two.foreign, three.foreign) == (1, 2)


@pytest.mark.parametrize("said", ["", "x", "1", "99999999999999999999 1 -", "-5 1 -", "7 2 -", "1 1", "\u00e9 1 -"])
async def test_what_redis_says_wrongly_is_passed_over(redis: RedisServer, tmp_path: Path, said: str) -> None:
    """Whatever stands there, the exchange goes on, and a word of ours is told."""
    redis.ask("HSET", "{zrg}:suspended", "a", said)
    async with exchange(redis, tmp_path / "one", None) as one, exchange(redis, tmp_path / "two", None) as two:
        one._suspensions.say("b", suspended=True, now=10)
        await one.exchange()
        await two.exchange()

        assert two._suspensions.words()["b"] == Word(10, True)


# --- changes ------------------------------------------------------------------------------------------


def renewed(one: Replica) -> None:
    """Put the files of a change there: one more model."""
    path = one.configuration / "processors" / f"{ENTRY}.yaml"
    models = json.loads(path.read_text())["models"]
    edit(path, models=[*models, {**models[0], "id": "gpt-new"}])


def first_approved(one: Replica) -> None:
    approved(one.configuration, one.state, ADA, GRACE)


def digest(one: Replica) -> str:
    return one.application.bundle.digest


async def in_force(one: Replica, wanted: str, seconds: float = 30.0) -> float:
    """How long until it is in force there."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while digest(one) != wanted:
            await asyncio.sleep(0.01)
    return time.monotonic() - began


@asynccontextmanager
async def controlled(
    folder: Path, simulator: Simulator, redis: RedisServer, count: int = 2, **settled: object
) -> AsyncIterator[list[Replica]]:
    """Replicas under change control, with one chain."""
    chain = folder / "chain"

    def prepare(one: Replica) -> None:
        if chain.exists():
            shutil.copytree(chain, one.state / "changes", dirs_exist_ok=True)
        else:
            first_approved(one)
            shutil.copytree(one.state / "changes", chain)

    async with replicas(folder, simulator, redis, count, prepare, change=CONTROL, replicas=settled) as made:
        yield made


async def test_a_change_that_is_applied_at_one_replica_is_in_force_at_all(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """Its files are everywhere, it is applied once: the other proves it against its own chain, takes it over, and records it."""
    async with controlled(tmp_path, simulator, private_redis) as (one, two):
        for each in (one, two):
            renewed(each)
            assert not await each.application.reload()
        wanted = approved(one.configuration, one.state, ADA, GRACE)
        await in_force(two, wanted)
        await in_force(one, wanted)
        links = [len(Chain(each.state, PROVIDERS).links()) for each in (one, two)]
        state = two.state

    assert links == [2, 2]
    acts = [line["act"] for line in records(state) if line["kind"] == "operator"]
    assert acts.count("configuration") == 1


async def test_a_replica_without_the_files_of_a_change_stops_until_it_has_them(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """It serves for `stale_seconds`, says why, then refuses; the files arrive, and it serves under the change."""
    async with controlled(tmp_path, simulator, private_redis, stale_seconds=2) as (one, two):
        renewed(one)
        wanted = approved(one.configuration, one.state, ADA, GRACE)
        await in_force(one, wanted)
        assert await two.until("overloaded") > 0.5
        assert any("applied at another replica" in words for words in await two.warnings())
        assert await one.ask() == "ok"
        renewed(two)
        await two.until("ok")

        assert digest(two) == wanted


async def test_a_change_that_nobody_signed_stops_nobody(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """A link made up in Redis is as if it were not there, and a real one replaces it."""
    async with controlled(tmp_path, simulator, private_redis, stale_seconds=2) as (one, two):
        real = Chain(one.state, PROVIDERS).links()[-1].written.decode()
        for forged in (real.replace('"number":0', '"number":1'), "{}", "x" * 100_000):
            private_redis.ask("HSET", "{zrg:test}:changes", "1", forged)
            await asyncio.sleep(1.0)  # two exchanges and more: that nothing happens has no event
            assert two.application._shared is not None
            assert two.application._shared.behind_seconds == 0.0
        for each in (one, two):
            renewed(each)
        await in_force(two, approved(one.configuration, one.state, ADA, GRACE))


async def test_a_wiped_redis_is_told_the_chain_again(redis: RedisServer) -> None:
    """All links, not only the last: a replica that is far behind needs each."""
    door = Door(DoorOptions(hosts=(("127.0.0.1", redis.port),), wait_seconds=5.0))
    await door.start()
    links, heard = [f"link {number}".encode() for number in range(20)], list[bytes]()

    async def adopt(line: bytes) -> bool:
        heard.append(line)
        return True

    async def never(_line: bytes) -> bool:
        raise AssertionError

    full, empty = Changes(door, lambda: links, never), Changes(door, lambda: heard, adopt)
    await full.exchange()
    redis.ask("FLUSHALL")
    await full.exchange()
    await full.exchange()
    for _ in range(3):
        await empty.exchange()
    await door.stop()

    assert heard == links


# --- how soon -----------------------------------------------------------------------------------------


def told(what: str, taken: list[float]) -> None:
    taken.sort()
    print(
        f"\n{what}, {len(taken)} times: median {taken[len(taken) // 2]:.2f} s, nine of ten {taken[int(len(taken) * 0.9)]:.2f} s, "
        f"longest {taken[-1]:.2f} s"
    )


@pytest.mark.soak
@pytest.mark.parametrize("way", ["redis", "file"])
async def test_how_soon(simulator: Simulator, tmp_path: Path, private_redis: RedisServer, way: str) -> None:
    """Twenty suspensions, revocations and changes each: from the act at one replica to the first refusal at another."""
    shared = way == "redis"
    suspended, revoked, changed = list[float](), list[float](), list[float]()
    async with controlled(tmp_path, simulator, private_redis) as (one, two):
        other = two if shared else one
        for number in range(20):
            await asyncio.sleep(number % 7 / 10)
            Suspensions(one.state).say(ENTRY, suspended=True, now=time.time_ns() // 1000)
            suspended.append(await other.until("processor_not_active"))
            for each in (one, two):
                Suspensions(each.state).say(ENTRY, suspended=False, now=time.time_ns() // 1000)
            await other.until("ok")
        for number in range(20):
            key = mint_caller_key()
            for each in (one, two):
                KeyFile(each.state).add(CALLER, key, datetime.now(UTC), None)
            usual, other.key = other.key, key.text
            await other.until("ok")
            await asyncio.sleep(number % 7 / 10)
            KeyFile(one.state).revoke(key.key_id, datetime.now(UTC))
            revoked.append(await other.until("unauthenticated"))
            other.key = usual
        for number in range(20):
            for each in (one, two):
                path = each.configuration / "processors" / f"{ENTRY}.yaml"
                edit(path, carve_outs=[f"revision {number}"])
            await asyncio.sleep(number % 7 / 10)
            wanted = approved(one.configuration, one.state, ADA, GRACE)
            changed.append(await in_force(other, wanted))
    for what, taken in (("suspension", suspended), ("revocation", revoked), ("change", changed)):
        told(f"{what} by {way}", taken)
