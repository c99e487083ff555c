"""The load: raw keep-alive HTTP/1.1 clients that cost little, closed loop, open loop, and streams."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

_CLOCK = re.compile(rb"@(\d{19})@")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a subject listens, and the headers that its callers need."""

    port: int
    headers: tuple[tuple[str, str], ...] = ()

    def request(self, body: bytes) -> bytes:
        """A chat completion's bytes, head included."""
        named = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"content-type: application/json\r\naccept: */*\r\n{named}content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Failed(RuntimeError):
    """A subject answered something else than 200, or hung up."""


class Connection(asyncio.Protocol):
    """One keep-alive connection. `ask` sends a request; `done` is called once its answer is whole.

    `done` gets the connection and the status; 0 means that the other side hung up before.
    """

    __slots__ = ("_busy", "_held", "_transport", "done")

    def __init__(self, done: Callable[[Connection, int], None]) -> None:
        self.done = done
        self._held = b""
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exception: Exception | None) -> None:
        self._transport = None
        if self._busy:
            self._busy = False
            self.done(self, 0)

    def ask(self, request: bytes) -> None:
        self._busy = True
        if self._transport is None:
            self._busy = False
            self.done(self, 0)
        else:
            self._transport.write(request)

    def abort(self) -> None:
        self._busy = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._held + data if self._held else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._held = data
            return
        head = data[:end].lower()
        at = head.find(b"content-length:")
        if at >= 0:
            stop = head.find(b"\r\n", at)
            whole = len(data) >= end + 4 + int(head[at + 15 : stop if stop > 0 else None])
        else:
            whole = data.endswith(b"0\r\n\r\n")
        if not whole:
            self._held = data
            return
        self._held = b""
        self._busy = False
        self.done(self, int(data[9:12]))


async def _connect(target: Target, done: Callable[[Connection, int], None]) -> Connection:
    loop = asyncio.get_running_loop()
    _transport, connection = await loop.create_connection(lambda: Connection(done), "127.0.0.1", target.port)
    return connection


async def burst(target: Target, requests: Sequence[bytes], connections: int, seconds: float) -> float:
    """Closed loop: so many connections, each asking again as soon as it is answered.

    Counted is from when every connection was answered once, so that a queue that fills is not taken for
    slowness, and until `seconds` have passed and as many answers again have come (at most 20 times as long).

    Returns:
        Answers a second. The requests are taken in turn, and again from the start once used up.

    Raises:
        Failed: an answer was not 200.
    """
    given = itertools.cycle(requests)
    silent: set[int] = set()
    answered = 0
    failed: list[int] = []
    running = True
    steady, enough = asyncio.Event(), asyncio.Event()

    def done(connection: Connection, status: int) -> None:
        nonlocal answered
        if status == 200:
            answered += 1
            if running:
                connection.ask(next(given))
            if answered >= connections:
                enough.set()
            if silent:
                silent.discard(id(connection))
                if not silent:
                    steady.set()
        else:
            failed.append(status)
            steady.set()
            enough.set()

    opened = [await _connect(target, done) for _ in range(connections)]
    silent.update(map(id, opened))
    for connection in opened:
        connection.ask(next(given))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20 * seconds):
            await steady.wait()
    answered = 0
    enough.clear()
    begin = time.perf_counter()
    await asyncio.sleep(seconds)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20 * seconds):
            await enough.wait()
    running = False
    rate = answered / (time.perf_counter() - begin)
    for connection in opened:
        connection.abort()
    if failed:
        raise Failed(f"{len(failed)} answers were not 200; the first was {failed[0]}")
    return rate


class _KernelTimer:
    """A periodic timerfd: asyncio's own timers are only good to a millisecond."""

    def __init__(self, interval: float, first: float) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = int(self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK))
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        parts = [value for span in (interval, first) for value in (int(span), int(span % 1 * 1e9))]
        setting = (ctypes.c_long * 4)(*parts)
        if self._libc.timerfd_settime(self.descriptor, 1, ctypes.byref(setting), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def expired(self) -> int:
        return int.from_bytes(os.read(self.descriptor, 8), "little")

    def close(self) -> None:
        os.close(self.descriptor)


async def open_loop(target: Target, requests: Iterator[bytes], rate: int, seconds: float) -> list[float]:
    """Open loop: a request at each scheduled instant, however slow the answers are.

    A subject that leaves half a second's requests unanswered gets later ones late, and its late
    instants count in full.

    Returns:
        Microseconds from the scheduled instant to the whole answer, one a request.

    Raises:
        Failed: an answer was not 200.
    """
    loop = asyncio.get_running_loop()
    interval, total = 1 / rate, int(rate * seconds)
    taken: list[float] = []
    failed: list[int] = []
    finished = loop.create_future()
    scheduled: dict[int, float] = {}

    def done(connection: Connection, status: int) -> None:
        now = time.monotonic()
        if status != 200:
            failed.append(status)
        taken.append((now - scheduled.pop(id(connection))) * 1e6)
        idle.append(connection)
        if len(taken) == total and not finished.done():
            finished.set_result(None)

    opened = [await _connect(target, done) for _ in range(max(32, rate // 2))]
    idle = list(opened)
    first = time.monotonic() + 0.05
    timer = _KernelTimer(interval, first)
    due = sent = 0

    def tick() -> None:
        nonlocal due, sent
        due = min(total, due + timer.expired())
        while sent < due and idle:
            connection = idle.pop()
            scheduled[id(connection)] = first + sent * interval
            sent += 1
            connection.ask(next(requests))

    loop.add_reader(timer.descriptor, tick)
    try:
        async with asyncio.timeout(seconds + 10):
            await finished
    except TimeoutError:
        raise Failed(f"{total - len(taken)} requests were not answered") from None
    finally:
        loop.remove_reader(timer.descriptor)
        timer.close()
        for connection in opened:
            connection.abort()
    if failed:
        raise Failed(f"{len(failed)} answers were not 200; the first was {failed[0]}")
    return taken


@dataclass(slots=True)
class Chunks:
    """What streams brought: how many chunks, the delay of each in microseconds, and how many streams began."""

    count: int = 0
    delays: list[float] = field(default_factory=list)
    begun: int = 0
    failed: int = 0
    timed: bool = False


class _Stream(asyncio.Protocol):
    __slots__ = ("_chunks", "_held", "_request", "_started", "transport")

    def __init__(self, request: bytes, chunks: Chunks) -> None:
        self._request = request
        self._chunks = chunks
        self._held = b""
        self._started = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        chunks = self._chunks
        if not self._started:
            self._started = True
            if data.startswith(b"HTTP/1.1 200"):
                chunks.begun += 1
            else:
                chunks.failed += 1
        data = self._held + data
        last = 0
        for match in _CLOCK.finditer(data):
            chunks.count += 1
            last = match.end()
            if chunks.timed:
                chunks.delays.append((now - int(match[1])) / 1e3)
        self._held = data[max(last, len(data) - 21) :]


class Streams:
    """Many streams at once, from `open` to `vanish`."""

    def __init__(self, target: Target, body: bytes) -> None:
        self._target = target
        self._request = target.request(body)
        self._open: list[_Stream] = []
        self.chunks = Chunks()

    async def open(self, count: int, seconds: float) -> None:
        """Open so many streams, and wait until each has begun.

        Raises:
            Failed: one was refused, or had not begun in time.
        """
        loop = asyncio.get_running_loop()
        until = time.monotonic() + seconds
        for _ in range(count):
            _transport, stream = await loop.create_connection(
                lambda: _Stream(self._request, self.chunks), "127.0.0.1", self._target.port
            )
            self._open.append(stream)
        while self.chunks.begun < count:
            if self.chunks.failed or time.monotonic() > until:
                self.vanish()
                raise Failed(f"{count - self.chunks.begun} of {count} streams did not begin")
            await asyncio.sleep(0.02)

    def vanish(self) -> None:
        """Close every connection at once, without a word."""
        for stream in self._open:
            if stream.transport is not None:
                stream.transport.abort()
        self._open.clear()


async def get(port: int, path: str) -> bytes | None:
    """The body of a plain GET, or None if nothing answers 200 there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
        async with asyncio.timeout(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head.lower())
            body = await reader.readexactly(int(length[1])) if length else b""
        return body if head.startswith(b"HTTP/1.1 200") else None
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()
