"""Messages between the parent and a worker: JSON objects, a line each, over a socket that both were born with.

Nothing of a call's content goes here: counts, names from the configuration, metrics. Who loses the other end is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable
from typing import TypeAlias, cast

import orjson

Message: TypeAlias = "dict[str, object]"
_MOST = 16 * 2**20


class Lost(Exception):
    """The other process is gone, or does not answer in time."""


class Channel:
    """One end. Belongs to one event loop.

    Args:
        hear: told of each message that is no answer; what it returns is sent back, if the other end asked.
    """

    def __init__(self, hear: Callable[[Message], Message | None]) -> None:
        self._hear = hear
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()

    async def open(self, link: socket.socket) -> None:
        """Take over a connected socket."""
        reader, self._writer = await asyncio.open_connection(sock=link, limit=_MOST)
        self._task = asyncio.get_running_loop().create_task(self._listen(reader), name="channel")

    def send(self, message: Message) -> None:
        """Send, without waiting; to nobody if the other end is gone."""
        if self._writer is not None and not self.closed.is_set():
            self._writer.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))

    async def ask(self, message: Message, seconds: float) -> Message:
        """Send, and wait for the answer.

        Raises:
            Lost: there is none in that time.
        """
        if self.closed.is_set():
            raise Lost
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self.send({**message, "ask": number})
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise Lost from None
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """Hang up. Twice is fine."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._end()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(cast(Message, orjson.loads(line)))
        except (OSError, ValueError):
            pass
        finally:
            self._end()

    def _take(self, message: Message) -> None:
        number = message.pop("answer", None)
        if isinstance(number, int):
            asked = self._asked.get(number)
            if asked is not None and not asked.done():
                asked.set_result(message)
            return
        number = message.pop("ask", None)
        reply = self._hear(message)
        if isinstance(number, int):
            self.send({**(reply or {}), "answer": number})

    def _end(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(Lost())
            if self._writer is not None:
                with contextlib.suppress(OSError):
                    self._writer.close()
