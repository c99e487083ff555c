"""A newer Redis than there is: the real server, and in front of it who answers some commands by a script.

Debian's redis-server has no `WAITAOF` (that is 7.2), so its answers are scripted, and those of `INFO`; every other
command is carried out by the real server behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

INFO = b"# Server\r\nredis_version:7.4.1\r\n# Persistence\r\naof_enabled:1\r\n"


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


class ScriptedRedis:
    """Listens from `__aenter__` to `__aexit__`.

    Attributes:
        held: what `WAITAOF` answers: (this server, its replicas).
        info: what `INFO` answers.
        asked: how often each scripted command came.
        waited: set while `WAITAOF` may answer.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self.port = 0
        self.held = (1, 0)
        self.info = INFO
        self.asked: Counter[str] = Counter()
        self.waited = asyncio.Event()
        self.waited.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ScriptedRedis:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    command = await _word(reader)
                    writer.write(await self._answer(command, there, back))
                    await writer.drain()
        finally:
            for each in (writer, back):
                each.close()
                with contextlib.suppress(ConnectionError):
                    await each.wait_closed()

    async def _answer(self, command: bytes, there: asyncio.StreamReader, back: asyncio.StreamWriter) -> bytes:
        name = command.split(b"\r\n")[2].decode().upper()
        if name == "WAITAOF":
            self.asked[name] += 1
            await self.waited.wait()
            return b"*2\r\n:%d\r\n:%d\r\n" % self.held
        if name == "INFO":
            self.asked[name] += 1
            return b"$%d\r\n%s\r\n" % (len(self.info), self.info)
        back.write(command)
        return await _word(there)
