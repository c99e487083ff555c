"""A caller that speaks HTTP byte by byte: no library between a test and the wire.

It writes exactly what it is given, reads answers as RFC 9112 section 6 frames them, and can tell whether a
connection was kept.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import TracebackType

from providers.document import Document

PATIENCE = 10.0
"""Seconds that any one answer may take."""

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Header names are lower case; the body is without its framing."""

    version: str
    status: int
    headers: tuple[Header, ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of that header, or None. Fails if it stands twice."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} stands twice"
        return values[0] if values else None

    @property
    def document(self) -> Document:
        """The body as JSON. Raises `ValueError` where it is none."""
        tree = json.loads(self.body)
        assert isinstance(tree, dict)
        return tree

    @property
    def code(self) -> str | None:
        """The gateway's own code, as the header says it."""
        return self.header("x-gateway-code")

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends with it."""
        return self.version != "HTTP/1.1" or self.header("connection") == "close"

    @property
    def everything(self) -> bytes:
        """All that the answer says, in one string to search."""
        lines = [f"{name}: {value}\n" for name, value in self.headers]
        return "".join(lines).encode("latin-1") + b"\n" + self.body


def head(method: str, target: str, headers: Iterable[Header]) -> bytes:
    """A request head. Text is Latin-1, so that any byte can be written."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def request(
    method: str, target: str, headers: Iterable[Header] = (), body: bytes = b"", *, host: str = "127.0.0.1"
) -> bytes:
    """A well-framed request: `Host` and `Content-Length` first, then these headers, then the body."""
    framing = [("Host", host)]
    if body or method not in {"GET", "HEAD"}:
        framing.append(("Content-Length", str(len(body))))
    return head(method, target, [*framing, *headers]) + body


class Connection:
    """One connection to a port of this machine; use as `async with Connection(port) as connection:`."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    async def send(self, data: bytes) -> None:
        """Write these bytes. That the other side closed early is seen when its answer is read."""
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    async def answer(self) -> Answer:
        """Read one final answer.

        Raises:
            EOFError: the connection ended before it was whole.
            TimeoutError: it took too long.
        """
        async with asyncio.timeout(PATIENCE):
            while True:
                version, status, headers = await self._head()
                if status != 100:
                    return Answer(version, status, headers, await self._body(status, dict(headers)))

    async def ask(self, data: bytes) -> Answer:
        """Send a request and read its answer."""
        await self.send(data)
        return await self.answer()

    async def ended(self) -> bool:
        """Wait until the other side closes; False if it says something more instead."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self._reader.read(1) == b""
            except ConnectionError:
                return True

    async def _head(self) -> tuple[str, int, tuple[Header, ...]]:
        block = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = block.removesuffix("\r\n\r\n").split("\r\n")
        version, status, _reason = first.split(" ", 2)
        assert version.startswith("HTTP/")
        split = [line.partition(":") for line in lines]
        return version, int(status), tuple((name.lower(), value.strip()) for name, _colon, value in split)

    async def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if status in {101, 204, 304}:
            return b""
        if headers.get("transfer-encoding") == "chunked":
            return b"".join([chunk async for chunk in self._chunks()])
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return await self._reader.read()

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        assert await self._reader.readexactly(2) == b"\r\n"


async def ask(port: int, data: bytes) -> Answer:
    """One request on a connection of its own, and its answer."""
    async with Connection(port) as connection:
        return await connection.ask(data)
