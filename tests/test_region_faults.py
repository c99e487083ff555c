"""Three hosts with one log and shared limits, under load, and everything that goes wrong between them.

After each fault: every answer that a caller has is a completed call of the log, every arrival at the provider has its
intent, the tokens that Redis counted are those of the calls, once each, and the log holds. `make test` takes one or two
rounds of some faults, `make soak` twenty of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from gateway.audit.store import StoreFault
from gateway.quotas import BYTES_A_TOKEN
from gateway.simulator import Scenario, Simulator
from tests.configuration import CALLER
from tests.houses import client
from tests.redis_groups import Watched
from tests.redis_proxy import Proxy
from tests.redis_server import RedisServer
from tests.regions import BODY, Host, Reachable, records_of, region

COUNTED = f"{{zrg:test}}:quota:caller:{CALLER}"
LIMITS = {"caller_tokens_per_day": 1_000_000_000, "caller_in_flight": 500}
ESTIMATE = 1 + len(json.dumps(BODY)) // BYTES_A_TOKEN
"""What a call is charged of which nobody knows how it ended."""
SETTLED_SECONDS = 30


@dataclass
class World:
    """The hosts, what stands between them, and the callers of all three.

    Attributes:
        answered: the calls of which a caller has the whole answer: which host gave it, and when.
        other: what else callers were told.
        tokens: of these calls, as the provider counted them; `charged`: as Redis did, in the end.
        disks, gone: how many went, and when that of a host.
        lost: calls that were answered by a host in its last second before its disk was gone, and are not in the log.
    """

    provider: Simulator
    chance: random.Random
    hosts: list[Host]
    redis: Reachable
    server: RedisServer
    proxy: Proxy | None = None
    watched: Watched | None = None
    answered: dict[str, tuple[str, float]] = field(default_factory=dict)
    other: Counter[object] = field(default_factory=Counter)
    tokens: int = 0
    charged: int = 0
    disks: int = 0
    gone: dict[str, float] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    _quiet: dict[str, asyncio.Event] = field(default_factory=dict)
    _calling: int = 0

    @property
    def home(self) -> Host:
        """Who makes the log."""
        return self.hosts[0]

    async def soon(self, most: float) -> None:
        """Wait for so many seconds at most, as chance has it."""
        await asyncio.sleep(self.chance.uniform(0, most))

    def ask(self, *words: str) -> bytes:
        """Ask the server that counts now."""
        if self.watched is not None and self.watched.primary() == self.watched.second.port:
            return self.watched.second.ask(*words)
        return self.server.ask(*words)

    def counted(self) -> int:
        """The tokens that Redis counted of the caller today."""
        lines = self.ask("HGET", COUNTED, "u").split(b"\r\n")
        return int(lines[1]) if len(lines) > 2 else 0

    async def calls(self, host: Host) -> None:
        """Call a host, again and again, unless the world is quiet."""
        go = self._quiet.setdefault(host.folder.name, asyncio.Event())
        go.set()
        async with client(host.key) as session:
            while True:
                await go.wait()
                self._calling += 1
                try:
                    assert host.served is not None
                    url = f"{host.served.url}/v1/chat/completions"
                    async with session.post(url, json=BODY, timeout=aiohttp.ClientTimeout(30)) as answer:
                        body = await answer.json()
                        if answer.status == 200:
                            self.tokens += body["usage"]["total_tokens"]
                            self.answered[answer.headers["x-gateway-call-id"]] = host.folder.name, time.monotonic()
                        else:
                            self.other[answer.headers.get("x-gateway-code", answer.status)] += 1
                except (OSError, aiohttp.ClientError, TimeoutError):
                    self.other["broken"] += 1  # the host was killed, or stands still
                    await asyncio.sleep(0.05)
                finally:
                    self._calling -= 1
                await asyncio.sleep(0.04)

    async def quiet(self) -> None:
        """Have no call under way."""
        for go in self._quiet.values():
            go.clear()
        async with asyncio.timeout(SETTLED_SECONDS):
            while self._calling:
                await asyncio.sleep(0.01)

    def loud(self) -> None:
        """Go on calling."""
        for go in self._quiet.values():
            go.set()

    async def hold(self, *, exactly: bool) -> None:
        """All that must be true once a fault is over; `exactly`: of the tokens, none may be missing either.

        Raises:
            AssertionError: it is not.
        """
        async with asyncio.timeout(SETTLED_SECONDS):
            while missing := await asyncio.to_thread(self._missing):
                await asyncio.sleep(0.1)
                if all(self._was_lost(call) for call in missing):
                    self.lost |= missing
        lines = await asyncio.to_thread(records_of, self.home)
        attempts = sum(line["kind"] == "intent" for line in lines)
        arrived = sum(arrival.body is not None for arrival in self.provider.arrivals)
        under_way = self.disks  # of each host whose disk went, the one call that nobody had an answer to
        assert arrived <= attempts + len(self.lost) + under_way, (arrived, attempts, self.lost)
        async with asyncio.timeout(SETTLED_SECONDS):  # what is there is signed within a moment
            while await asyncio.to_thread(self._signed) < attempts:
                await asyncio.sleep(0.2)
        # Who was killed may have claimed, and then not even begun to record it.
        unknown = attempts + len(self.lost) - len(self.answered) if exactly else self.other["broken"]
        due = self.tokens + ESTIMATE * unknown
        until = time.monotonic() + SETTLED_SECONDS
        while (counted := self.counted()) > due or (exactly and counted < due):
            assert time.monotonic() < until, (counted, due, unknown)  # it is told within a moment
            await asyncio.sleep(0.05)

    def _signed(self) -> int:
        """Calls in the signed log; a sequencer that is killed at once has signed none yet."""
        try:
            return int(self.home.verified()["calls"])
        except StoreFault:
            return 0

    def _missing(self) -> set[str]:
        try:
            lines = records_of(self.home)
        except StoreFault:
            return set(self.answered)
        ended = {line["call"] for line in lines if line["kind"] == "outcome" and line["result"] == "completed"}
        return self.answered.keys() - ended - self.lost

    def _was_lost(self, call: str) -> bool:
        host, when = self.answered[call]
        return self.gone.get(host, -1e9) - 1.0 < when < self.gone.get(host, -1e9)


# --- what goes wrong: each begins it, waits, and puts it right -------------------------------------------


async def refuse(world: World) -> None:
    assert world.proxy is not None
    await world.proxy.refuse()
    await world.soon(1.5)
    await world.proxy.accept()


async def swallow(world: World) -> None:
    world.server.signal(signal.SIGSTOP)
    await world.soon(2.5)
    world.server.signal(signal.SIGCONT)


async def delay(world: World) -> None:
    assert world.proxy is not None
    world.proxy.delay = 2.0
    await world.soon(3)
    world.proxy.delay = 0.0


async def reset(world: World) -> None:
    assert world.proxy is not None
    for _ in range(world.chance.randint(1, 6)):
        world.proxy.cut += world.chance.randint(1, 4)
        await world.soon(0.4)
    world.proxy.cut = 0


async def fill(world: World) -> None:
    world.server.ask("CONFIG", "SET", "maxmemory", "1")
    await world.soon(2)
    world.server.ask("CONFIG", "SET", "maxmemory", "0")


async def wipe(world: World) -> None:
    for _ in range(world.chance.randint(1, 3)):
        world.server.ask("FLUSHALL")
        await world.soon(0.5)


async def fail_over(world: World) -> None:
    """The primary takes writes that its replica never gets, and is killed; the replica is promoted without them."""
    assert world.watched is not None
    await asyncio.to_thread(world.watched.cut)
    await world.soon(0.7)
    await asyncio.to_thread(world.watched.lose)


async def kill_sequencer(world: World) -> None:
    for _ in range(world.chance.randint(1, 3)):
        for process in sequencers_of(world.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        await world.soon(0.5)


async def kill_home(world: World) -> None:
    assert world.home.served is not None
    await world.home.served.kill()
    await world.soon(0.5)
    await world.home.start()


async def kill_outpost(world: World) -> None:
    host = world.chance.choice(world.hosts[1:])
    assert host.served is not None
    await host.served.kill()
    await host.start()


async def twin(world: World) -> None:
    """A copy of the log's host serves beside it, with what both had signed until then."""
    copy = world.hosts[0].folder.parent / "twin"
    await world.home.end()
    shutil.rmtree(copy, ignore_errors=True)
    made = Host(copy.parent, "twin", world.provider, world.redis, keeps=True, limits=LIMITS)
    shutil.rmtree(made.state)
    shutil.copytree(world.home.state, made.state)
    await world.home.start()
    size, signed = world.home.size(), made.size()
    async with asyncio.timeout(SETTLED_SECONDS):
        while world.home.size() == size:
            await asyncio.sleep(0.05)
    try:
        await made.start()
        async with asyncio.timeout(SETTLED_SECONDS):
            while "another sequencer" not in (made.folder / "stderr").read_text():
                await asyncio.sleep(0.05)
        await world.soon(1)
        assert made.size() == signed
    finally:
        assert made.served is not None
        await made.served.kill()


async def lose_disk(world: World) -> None:
    """The host is killed under load, and comes back with nothing but its keys of callers and the master key."""
    host = world.chance.choice(world.hosts[1:])
    assert host.served is not None
    await host.served.kill()
    world.gone[host.folder.name] = time.monotonic()
    world.disks += 1
    host.lose_disk()
    await host.start()


async def pause(world: World) -> None:
    host = world.chance.choice(world.hosts)
    assert host.served is not None
    host.served.signal(signal.SIGSTOP)
    await asyncio.sleep(10)
    host.served.signal(signal.SIGCONT)


async def skew(world: World) -> None:
    """A host comes back with a clock that is up to an hour before or behind the others'."""
    host = world.chance.choice(world.hosts[1:])
    await host.end()
    await host.start(skew=world.chance.randint(-3600, 3600))


def sequencers_of(host: Host) -> list[int]:
    """The processes that make a host's log."""
    assert host.served is not None
    path = Path(f"/proc/{host.served.process.pid}/task/{host.served.process.pid}/children")
    found = []
    for each in path.read_text().split():
        with contextlib.suppress(OSError):
            if b"gateway.audit.sequencing" in Path(f"/proc/{each}/cmdline").read_bytes():
                found.append(int(each))
    return found


@dataclass(frozen=True)
class Fault:
    """How it goes wrong.

    Attributes:
        spares: Redis keeps what it counted, and every host its calls: so the count must be exact.
        by: how the hosts reach Redis.
    """

    happen: Callable[[World], Awaitable[None]]
    spares: bool = True
    by: str = "server"


FAULTS = {
    "redis refused": Fault(refuse, by="proxy"),
    "redis black-holed": Fault(swallow),
    "redis slow by 2 s": Fault(delay, by="proxy"),
    "redis reset after execution": Fault(reset, by="proxy"),
    "redis out of memory": Fault(fill),
    "redis wiped": Fault(wipe, spares=False),
    "redis failed over with the link cut first": Fault(fail_over, spares=False, by="sentinel"),
    "sequencer killed": Fault(kill_sequencer),
    "the log's host killed": Fault(kill_home, spares=False),
    "another host killed": Fault(kill_outpost, spares=False),
    "two sequencers": Fault(twin),
    "a host's disk gone": Fault(lose_disk, spares=False),
    "a host paused for 10 s": Fault(pause),
    "clock skew between hosts": Fault(skew),
}


@asynccontextmanager
async def world(folder: Path, by: str, seed: int) -> AsyncIterator[World]:
    """Three hosts, each called by one caller."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Simulator())
        provider.script(Scenario(delay=0.02), model="gpt-simulated")
        proxy = watched = None
        if by == "sentinel":
            watched = Watched(folder / "redis")
            stack.callback(watched.stop)
            await asyncio.to_thread(watched.start)
            server = watched.first
        else:
            server = RedisServer(folder / "redis")
            stack.callback(server.stop)
            await asyncio.to_thread(server.start)
        if by == "proxy":
            proxy = await stack.enter_async_context(Proxy(server.port))
        redis: Reachable = watched or proxy or server
        hosts = await stack.enter_async_context(region(folder, provider, redis, "b", "c", limits=LIMITS))
        yield World(provider, random.Random(seed), hosts, redis, server, proxy, watched)


async def happens(fault: Fault, folder: Path, rounds: int, seed: int = 1) -> World:
    """So many rounds of it under load; what came of the calls."""
    async with world(folder, fault.by, seed) as made:
        calling = [asyncio.ensure_future(made.calls(host)) for host in made.hosts]
        try:
            for _ in range(rounds):
                await made.soon(1)
                await fault.happen(made)
                await made.soon(1)
                await made.quiet()
                await made.hold(exactly=fault.spares)
                made.loud()
        finally:
            made.charged = made.counted()
            for each in calling:
                each.cancel()
            await asyncio.gather(*calling, return_exceptions=True)
        return made


@pytest.mark.parametrize("name", ["redis reset after execution", "a host's disk gone"])
async def test_a_fault_under_load_loses_nothing(tmp_path: Path, name: str) -> None:
    """One round: each answer is in the log, nothing left unlogged, and no call was charged twice."""
    made = await happens(FAULTS[name], tmp_path, 1)

    assert len(made.answered) > 5


@pytest.mark.soak
@pytest.mark.parametrize("name", FAULTS)
async def test_twenty_of_each_fault_lose_nothing(tmp_path: Path, name: str) -> None:
    """Each, twenty times in one region; what must hold is looked at after each of them."""
    made = await happens(FAULTS[name], tmp_path, 20, seed=7)

    print(
        f"\n{name}: 20 times; {len(made.answered)} answered calls, each in the log but {len(made.lost)} that went with "
        f"a disk; {made.charged} tokens counted of {made.tokens}; otherwise told {dict(made.other)}"
    )
    assert set(made.other) <= {"broken", "overloaded"}
