"""Between a client and a real redis-server: what a network, or another version of the server, does to commands."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Iterator

INFO = b"# Server\r\nredis_version:7.4.1\r\n# Persistence\r\naof_enabled:1\r\n"
_GONE = (asyncio.IncompleteReadError, ConnectionError)


class Proxy:
    """Passes commands on, one after the other on each connection, from `__aenter__` to `__aexit__`.

    Attributes:
        delay: seconds before each reply.
        cut: so many of the next commands are carried out, and their connections reset instead of a reply.
        hold: the next command is kept from the server until `let_go`, whoever has hung up by then.
        asked: how often each command came.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.port = 0
        self.delay = 0.0
        self.cut = 0
        self.hold = False
        self.asked: Counter[str] = Counter()
        self._held: asyncio.Future[None] | None = None
        self._done = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()

    async def refuse(self) -> None:
        """Take no connections, and hang up."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self) -> None:
        """Take connections again, at the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def let_go(self) -> None:
        """Pass on what is held, and wait until it was carried out."""
        if self._held is not None:
            self._held.set_result(None)
            self._held = None
            await self._done.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with closing(writer), contextlib.suppress(*_GONE, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
            with closing(back):
                while True:
                    command = await _word(reader)
                    name = command.split(b"\r\n")[2].decode().upper()
                    self.asked[name] += 1
                    reply = await self.answer(name)
                    if reply is None:
                        reply = await self._carried_out(command, there, back)
                    if self.delay:
                        await asyncio.sleep(self.delay)
                    if self.cut:
                        self.cut -= 1
                        reset(writer)
                        return
                    writer.write(reply)
                    await writer.drain()
        self._tasks.discard(task)

    async def answer(self, name: str) -> bytes | None:
        """What is answered to a command in the server's place; None: the server answers."""
        del name
        return None

    async def _carried_out(self, command: bytes, there: asyncio.StreamReader, back: asyncio.StreamWriter) -> bytes:
        holding, self.hold = self.hold, False
        if holding:
            self._held = asyncio.get_running_loop().create_future()
            await self._held
        back.write(command)
        reply = await _word(there)
        if holding:
            self._done.set()
        return reply


class NewerRedis(Proxy):
    """A newer server than there is: Debian's has no `WAITAOF` (that is 7.2), so its answers are scripted, as `INFO`'s are.

    Attributes:
        held: what `WAITAOF` answers: (this server, its replicas).
        info: what `INFO` answers.
        waited: set while `WAITAOF` may answer.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.held = (1, 0)
        self.info = INFO
        self.waited = asyncio.Event()
        self.waited.set()

    async def __aenter__(self) -> NewerRedis:
        await super().__aenter__()
        return self

    async def answer(self, name: str) -> bytes | None:
        """See `Proxy`."""
        if name == "WAITAOF":
            await self.waited.wait()
            return b"*2\r\n:%d\r\n:%d\r\n" % self.held
        return b"$%d\r\n%s\r\n" % (len(self.info), self.info) if name == "INFO" else None


@contextlib.contextmanager
def closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Close a connection, whatever became of it."""
    try:
        yield
    finally:
        writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST, as a middle box does."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _word(reader: asyncio.StreamReader) -> bytes:
    """One value of the protocol, raw, with all that is in it."""
    line = await reader.readuntil(b"\r\n")
    kind, count = line[:1], line[1:-2]
    if kind in b"$=!" and count != b"-1":
        return line + await reader.readexactly(int(count) + 2)
    if kind in b"*~>" and count != b"-1":
        return line + b"".join([await _word(reader) for _ in range(int(count))])
    if kind == b"%":
        return line + b"".join([await _word(reader) for _ in range(2 * int(count))])
    return line
