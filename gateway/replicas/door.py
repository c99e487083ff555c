"""The connection to Redis: by URL, bounded in time, its errors translated, and commands that share a round trip.

`redis` retries ten times by default, also writes that were carried out and whose reply was lost. Here nothing is ever
retried by the library; whoever calls says what may come twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, cast

from redis.asyncio import Redis, Sentinel
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

Word: TypeAlias = "str | bytes | int | float"
Reply: TypeAlias = "int | bytes | str | list[Reply] | None"
Client: TypeAlias = "Redis | RedisCluster"

_TOGETHER: Final = 64
"""Most scripts of one round trip."""
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.0)
_PROBE_SECONDS: Final = 1.0


class Away(Exception):
    """Redis is not there, is late, or refuses writes. The text is the class of the error, never what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOptions:
    """How to reach Redis.

    Attributes:
        hosts: one server, or the Sentinels, or nodes of the cluster.
        kind: `single`, `sentinel` or `cluster`.
        service: the name that Sentinel knows it by.
        tag: the hash tag of every key (`zrg:REGION`).
        user, password: of its access list; None where it has none.
        tls: whether it is TLS 1.3; `authorities` is a PEM file of roots, None takes the system's.
        wait_seconds: the longest a call of ours waits.
    """

    hosts: tuple[tuple[str, int], ...]
    kind: str = "single"
    service: str = ""
    tag: str = "zrg"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    authorities: Path | None = None
    wait_seconds: float = 0.05


@dataclass(slots=True)
class _Script:
    text: str
    keys: Sequence[str]
    words: Sequence[Word]
    done: asyncio.Future[Reply]


class Door:
    """One Redis, for one event loop.

    Args:
        options: how to reach it.
        on_change: told whether it is up, whenever that changes; at the start it is not yet.

    Attributes:
        up: whether the last word from it was good. While it is not, `run` refuses at once.
    """

    def __init__(self, options: DoorOptions, on_change: Callable[[bool], None] = lambda _up: None) -> None:
        self.options = options
        self.up = False
        self._on_change = on_change
        self._client: Client = connect(options, options.wait_seconds)
        self._waiting: deque[_Script] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._prober: asyncio.Task[None] | None = None
        self._found = asyncio.Event()
        self._stopped = False
        self._rounds: set[asyncio.Task[None]] = set()
        self._shas: dict[str, str] = {}

    def key(self, name: str) -> str:
        """A key under the hash tag."""
        return f"{{{self.options.tag}}}:{name}"

    async def start(self) -> None:
        """Look once whether it is there; if not, go on looking."""
        self._probe_soon()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._found.wait()

    async def stop(self) -> None:
        """Refuse what waits, and close."""
        self._stopped, self.up = True, False
        tasks = [task for task in (self._sender, self._prober, *self._rounds) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:  # bounded: the library may take a cancellation for a time-out of its own
            await asyncio.wait(tasks, timeout=_PROBE_SECONDS)
        self._refuse_waiting()
        await hang_up(self._client)

    async def run(self, text: str, keys: Sequence[str], words: Sequence[Word]) -> Reply:
        """Run a script; those asked for at the same time share a round trip. It is sent once.

        Raises:
            Away: whether it was carried out is unknown.
        """
        return await self.ask(text, keys, words)

    def ask(self, text: str, keys: Sequence[str], words: Sequence[Word]) -> asyncio.Future[Reply]:
        """As `run`, before whatever is asked for after it; what is given ends as `run` does.

        Raises:
            Away: it is down.
        """
        if not self.up:
            raise Away("Down")
        script = _Script(text, keys, words, asyncio.get_running_loop().create_future())
        self._waiting.append(script)
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send(), name="redis")
        return script.done

    def lost(self) -> None:
        """It is away: every call is told at once, until a look finds it back."""
        if self.up:
            self.up = False
            self._on_change(False)
        self._refuse_waiting()
        self._probe_soon()

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
                # A task of its own: the library may hold a cancellation up for longer than anybody may wait.
                round_trip = asyncio.get_running_loop().create_task(self._round(batch), name="redis-round")
                self._rounds.add(round_trip)
                round_trip.add_done_callback(self._ended)
                try:
                    await asyncio.wait([round_trip], timeout=self.options.wait_seconds)
                finally:
                    if not round_trip.done():
                        round_trip.cancel()
                        self.lost()
                    _refuse(batch, "TimeoutError")  # those that are settled stay as they are
        finally:
            self._sender = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._rounds.discard(task)

    async def _round(self, batch: list[_Script]) -> None:
        """Send a batch and settle it. What the server does not know yet (NOSCRIPT: not carried out) is sent whole."""
        try:
            await self._exchange(batch)
        except (RedisError, OSError, TimeoutError) as error:
            _refuse(batch, type(error).__name__)
            self.lost()

    async def _exchange(self, batch: list[_Script]) -> None:
        replies = await self._pipeline(batch, whole=False)
        unknown = [script for script, reply in zip(batch, replies, strict=True) if isinstance(reply, NoScriptError)]
        if unknown:
            _settle(unknown, await self._pipeline(unknown, whole=True))
        _settle(batch, replies)
        if any(isinstance(reply, RedisError) and not isinstance(reply, NoScriptError) for reply in replies):
            self.lost()

    async def _pipeline(self, batch: list[_Script], *, whole: bool) -> list[Reply | Exception]:
        pipe = self._client.pipeline(transaction=False)
        for script in batch:
            name = "EVAL" if whole else "EVALSHA"
            text = script.text if whole else self._sha(script.text)
            pipe.execute_command(name, text, len(script.keys), *script.keys, *script.words)
        return cast("list[Reply | Exception]", await pipe.execute(raise_on_error=False))

    def _sha(self, text: str) -> str:
        if text not in self._shas:
            self._shas[text] = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        return self._shas[text]

    def _refuse_waiting(self) -> None:
        _refuse(self._waiting, "Down")
        self._waiting.clear()

    def _probe_soon(self) -> None:
        if self._prober is None and not self._stopped:
            self._prober = asyncio.get_running_loop().create_task(self._probe(), name="redis-probe")

    async def _probe(self) -> None:
        """Look until it takes a write again: one that is full or read-only answers a ping all the same."""
        key, tries = self.key("probe"), 0
        try:
            while not self._stopped:
                try:
                    async with asyncio.timeout(self.options.wait_seconds * 4):
                        await self._client.set(key, b"1", px=1000)
                    break
                except (RedisError, OSError, TimeoutError):
                    # Spread out, or all replicas would come back in the same instant.
                    await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)] * random.uniform(0.5, 1.5))  # noqa: S311
                    tries += 1
        finally:
            self._prober = None
        if self._stopped:
            return
        self.up = True
        self._found.set()
        self._on_change(True)


def connect(options: DoorOptions, wait_seconds: float, *, reading_seconds: float | None = None) -> Client:
    """A client that never retries by itself. `reading_seconds` lets a blocking read wait longer than that."""
    common: dict[str, object] = {
        "username": options.user,
        "password": options.password,
        "protocol": 3,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": max(wait_seconds * 4, 0.2),
        "socket_timeout": reading_seconds or max(wait_seconds * 4, 0.2),
        "health_check_interval": 15,
    }
    if options.tls:
        common |= {
            "ssl": True,
            "ssl_min_version": ssl.TLSVersion.TLSv1_3,
            "ssl_ca_certs": None if options.authorities is None else str(options.authorities),
        }
    if options.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in options.hosts]
        del common["health_check_interval"]
        return RedisCluster(startup_nodes=nodes, **common)  # type: ignore[arg-type]
    if options.kind == "sentinel":
        secured = {name: value for name, value in common.items() if name not in {"username", "password"}}
        sentinel = Sentinel(list(options.hosts), sentinel_kwargs=secured, **common)  # type: ignore[no-untyped-call]
        return cast("Redis", sentinel.master_for(options.service))
    host, port = options.hosts[0]
    return Redis(host=host, port=port, **common)  # type: ignore[arg-type]


async def hang_up(client: Client) -> None:
    """Close a client, and what it asks the Sentinels by, which the library leaves open."""
    pool = getattr(client, "connection_pool", None)
    asked = pool.sentinel_manager.sentinels if isinstance(pool, SentinelConnectionPool) else ()
    for each in (client, *asked):
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await each.aclose()


def _settle(batch: Sequence[_Script], replies: Sequence[Reply | Exception]) -> None:
    for script, reply in zip(batch, replies, strict=True):
        if script.done.done():
            continue
        if isinstance(reply, NoScriptError):
            script.done.set_exception(Away("NoScriptError"))
        elif isinstance(reply, Exception):
            script.done.set_exception(Away(type(reply).__name__))
        else:
            script.done.set_result(reply)


def _refuse(scripts: Sequence[_Script] | deque[_Script], why: str) -> None:
    for script in scripts:
        if not script.done.done():
            script.done.set_exception(Away(why))
