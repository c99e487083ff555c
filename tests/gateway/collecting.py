"""Collectors of the security team, as real servers on loopback: what they took, and how they fail."""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from socket import (
    SHUT_RDWR,
    SHUT_WR,
    SO_LINGER,
    SO_RCVBUF,
    SOL_SOCKET,
    create_server,
    socket,
)

from aiohttp import web

from tests.loopback import served


@dataclass(slots=True)
class Taken:
    """What a collector holds, and what it does with the next batches; when nothing more is scripted, it takes all.

    `indices` are of the records in the order in which they came; `requests` and `messages` the raw ones.
    """

    script: deque[str] = field(default_factory=deque)
    indices: list[int] = field(default_factory=list)
    requests: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    held: list[socket] = field(default_factory=list)
    batches: int = 0

    def next(self) -> str:
        """What to do with this batch."""
        self.batches += 1
        return self.script.popleft() if self.script else "take"


@asynccontextmanager
async def otlp_endpoint() -> AsyncIterator[tuple[str, Taken]]:
    """An OTLP endpoint over HTTP: its address, and what it took."""
    taken = Taken()

    async def logs(request: web.Request) -> web.StreamResponse:
        how = taken.next()
        body = await request.read()
        if how == "busy":
            return web.Response(status=503, headers={"Retry-After": "7"})
        if how == "no":
            return web.Response(status=400, text="no")
        if how == "hang up" and request.transport is not None:
            request.transport.abort()
            return web.Response()
        document = json.loads(body)
        taken.requests.append(document)
        taken.headers.append(dict(request.headers))
        taken.indices += [_index(record) for record in document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]]
        if how == "take and hang up" and request.transport is not None:
            request.transport.abort()
        return web.json_response({"partialSuccess": {"rejectedLogRecords": "2"}} if how == "partly" else {})

    application = web.Application(client_max_size=8 * 2**20)
    application.router.add_post("/v1/logs", logs)
    async with served(application) as port:
        yield f"http://127.0.0.1:{port}/v1/logs", taken


def _index(record: dict[str, list[dict[str, dict[str, str]]]]) -> int:
    return next(int(each["value"]["intValue"]) for each in record["attributes"] if str(each["key"]) == "gateway.index")


@contextmanager
def syslog_server(
    context: ssl.SSLContext | None = None, script: Iterable[str] = (), port: int = 0
) -> Iterator[tuple[int, Taken]]:
    """A syslog server, with TLS where there is a context: its port, and what it took. A thread, one connection at a time.

    Scripted words: `half` reads some and closes; `drop` reads some and resets; `deaf` reads nothing; `shut` reads
    nothing either, has little room, and ends its own side; `mute` reads all and closes without ending TLS.
    """
    taken = Taken(script=deque(script))
    with create_server(("127.0.0.1", port)) as listening:
        if "shut" in taken.script:
            listening.setsockopt(SOL_SOCKET, SO_RCVBUF, 1)  # the least there is
        serving = threading.Thread(target=_serve, args=(listening, context, taken))
        serving.start()
        try:
            yield listening.getsockname()[1], taken
        finally:
            listening.shutdown(SHUT_RDWR)
            serving.join()
            for connection in taken.held:
                connection.close()


def _serve(listening: socket, context: ssl.SSLContext | None, taken: Taken) -> None:
    while True:
        try:
            plain, _address = listening.accept()
        except OSError:
            return
        with plain, suppress(OSError):
            if context is None:
                _connected(plain, taken, taken.next())
                continue
            with context.wrap_socket(plain, server_side=True) as encrypted:
                how = taken.next()
                _connected(encrypted, taken, how)
                if how in {"take", "half"}:
                    encrypted.unwrap()


def _connected(connection: socket, taken: Taken, how: str) -> None:
    if how in {"deaf", "shut"}:
        taken.held.append(connection.dup())
        if how == "shut":
            connection.shutdown(SHUT_WR)
    elif how in {"half", "drop"}:
        _keep(taken, connection.recv(3000))
        if how == "drop":
            connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    else:
        _keep(taken, b"".join(iter(lambda: connection.recv(65536), b"")))


def _keep(taken: Taken, stream: bytes) -> None:
    """The whole messages of a stream with octet counts (RFC 6587 section 3.4.1)."""
    while stream:
        count, _space, rest = stream.partition(b" ")
        message = rest[: int(count)] if count.isdigit() else b""
        if not message or len(message) < int(count):
            return
        taken.messages.append(message)
        taken.indices.append(int(message.partition(b"externalId=")[2].split(b" ")[0]))
        stream = rest[int(count) :]


def once(indices: list[int]) -> list[int]:
    """What came, each where it came first."""
    return list(dict.fromkeys(indices))


def recorder(waits: list[float]) -> Callable[[float], Awaitable[None]]:
    """A sleep that writes down how long it was asked for, and lets others run."""

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    return wait
