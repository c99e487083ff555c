"""One pool of detector processes for several gateway processes: a process of its own between them and the nursery.

It speaks the nursery's language (see `nursery`), so that a `Crew` cannot tell the two apart: whoever is connected
sends its rules and hears `R`, and what it then "forks" is a channel on which one frame at a time is answered. Those
who send the same rules share one nursery and its workers; frames of all channels wait in one queue, so that no worker
is idle while a frame waits. A worker that is late or lost is replaced here, and its channel closed, which is how who
asked learns that nobody could look. Rules that nobody uses any more end with their last user.

Texts pass through and are kept nowhere; it runs with an empty environment and leaves no core file.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource
import signal
import socket
import sys
from collections.abc import Coroutine
from dataclasses import dataclass

import uvloop

from gateway.errors import Unavailable
from gateway.redaction.crew import Crew
from gateway.redaction.nursery import COMMAND, LENGTH, READY, Gone
from gateway.redaction.patience import Patience

_PAUSE = (0.05, 0.2, 1.0, 5.0)
_MOST_WAITING = 4096


@dataclass(eq=False, slots=True)
class _Frame:
    """A frame and its answer; None if nobody could look. `again`: a worker was lost over it, or before it."""

    payload: bytes
    answer: asyncio.Future[bytes | None]
    again: bool = False


class Bench:
    """The workers of one set of rules, from `start` to `end`.

    Args:
        rules: as a nursery takes them.
        workers: how many look at once.
        patience: how long a frame may take once a worker has it.
    """

    def __init__(self, rules: bytes, workers: int, patience: Patience) -> None:
        self._rules = rules
        self._count = workers
        self._patience = patience
        self._crew: Crew | None = None
        self._stands = asyncio.Event()
        self._frames: asyncio.Queue[_Frame] = asyncio.Queue(_MOST_WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self.users = 0

    async def start(self) -> None:
        """Raise the nursery; return when it has found its known phrases.

        Raises:
            Unavailable: the rules are not valid, do not find what they must, or nothing answers.
        """
        self._crew = await Crew.raised(self._rules)
        self._stands.set()
        make = asyncio.get_running_loop().create_task
        self._tasks = [make(self._tend()) for _ in range(self._count)]
        self._tasks.append(make(self._keep()))

    async def end(self) -> None:
        """End every process. What waits is not answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._crew is not None:
            await self._crew.end()
        while not self._frames.empty():
            _settle(self._frames.get_nowait(), None)

    async def look(self, payload: bytes) -> bytes | None:
        """What a worker says of a frame; None if none could look."""
        frame = _Frame(payload, asyncio.get_running_loop().create_future())
        await self._frames.put(frame)
        return await frame.answer

    async def _tend(self) -> None:
        """Have one worker, and another whenever it is lost."""
        loop = asyncio.get_running_loop()
        while True:
            await self._stands.wait()
            crew = self._crew
            forked = None if crew is None else crew.fork()
            if crew is None or forked is None:
                await asyncio.sleep(_PAUSE[0])
                continue
            number, link = forked
            with link:
                while await self._answered(loop, link):
                    pass
            crew.kill(number)

    async def _answered(self, loop: asyncio.AbstractEventLoop, link: socket.socket) -> bool:
        """Give the next frame to a worker; False if the worker is lost."""
        frame = await self._frames.get()
        if frame.answer.done():  # whoever asked has gone
            return True
        answer = None
        try:
            async with asyncio.timeout(self._patience.seconds(len(frame.payload))):
                await loop.sock_sendall(link, LENGTH.pack(len(frame.payload)) + frame.payload)
                answer = await received(loop, link)
        except TimeoutError:  # which is an OSError, too
            pass
        except (OSError, Gone):
            if not frame.again and not self._frames.full():
                frame.again = True  # an idle worker may have been lost long before, and only now it shows
                self._frames.put_nowait(frame)
                return False
        _settle(frame, answer)
        return answer is not None

    async def _keep(self) -> None:
        """Raise a new nursery whenever the last one is gone; its workers answer on meanwhile."""
        while True:
            assert self._crew is not None  # noqa: S101  # from `start` on
            await self._crew.gone.wait()
            self._stands.clear()
            await self._crew.end()
            tries = 0
            while not self._stands.is_set():
                await asyncio.sleep(_PAUSE[min(tries, len(_PAUSE) - 1)])
                tries += 1
                with contextlib.suppress(Unavailable):
                    self._crew = await Crew.raised(self._rules)
                    self._stands.set()


class Pool:
    """Everybody who is connected, and the benches that they use."""

    def __init__(self, workers: int, patience: Patience) -> None:
        self._workers = workers
        self._patience = patience
        self._benches: dict[bytes, Bench] = {}
        self._raising = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()

    async def run(self, mother: socket.socket) -> None:
        """Take whoever the other end of `mother` sends, until it closes."""
        mother.setblocking(False)
        with mother, contextlib.suppress(Gone):
            while True:
                _verb, _number, link = await commanded(mother)
                if link is not None:
                    self._begin(self._serve(link))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._endings, *(bench.end() for bench in self._benches.values()))

    def _begin(self, job: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, link: socket.socket) -> None:
        """One `Crew`, from its rules to its end."""
        loop = asyncio.get_running_loop()
        link.setblocking(False)
        channels: dict[int, asyncio.Task[None]] = {}
        bench = None
        name = b""
        try:
            rules = await received(loop, link)
            name = hashlib.sha256(rules).digest()
            bench = await self._bench(name, rules)
            await loop.sock_sendall(link, READY)
            while True:
                verb, number, channel = await commanded(link)
                if verb == b"F" and channel is not None:
                    channels[number] = self._begin(_channel(channel, bench))
                elif number in channels:
                    channels.pop(number).cancel()
        except (Gone, OSError, Unavailable):
            pass  # it sees its socket close
        finally:
            link.close()
            for task in channels.values():
                task.cancel()
            if bench is not None:
                self._leave(name, bench)

    async def _bench(self, name: bytes, rules: bytes) -> Bench:
        async with self._raising:
            bench = self._benches.get(name)
            if bench is None:
                bench = Bench(rules, self._workers, self._patience)
                await bench.start()
                self._benches[name] = bench
            bench.users += 1
            return bench

    def _leave(self, name: bytes, bench: Bench) -> None:
        bench.users -= 1
        if not bench.users:
            del self._benches[name]
            ending = asyncio.get_running_loop().create_task(bench.end())
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)


async def _channel(link: socket.socket, bench: Bench) -> None:
    """Answer one frame after the other, until the other end closes or nobody could look."""
    loop = asyncio.get_running_loop()
    link.setblocking(False)
    with link:
        try:
            while (answer := await bench.look(await received(loop, link))) is not None:
                await loop.sock_sendall(link, LENGTH.pack(len(answer)) + answer)
        except (Gone, OSError):
            pass


async def received(loop: asyncio.AbstractEventLoop, link: socket.socket) -> bytes:
    """One frame, without its length.

    Raises:
        Gone: the other end closed first.
        OSError: the link is broken.
    """
    (size,) = LENGTH.unpack(await _exactly(loop, link, LENGTH.size))
    return await _exactly(loop, link, size)


async def _exactly(loop: asyncio.AbstractEventLoop, link: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    at = 0
    while at < size:
        got = await loop.sock_recv_into(link, view[at:])
        if not got:
            raise Gone
        at += got
    return bytes(data)


async def commanded(link: socket.socket) -> tuple[bytes, int, socket.socket | None]:
    """The next command on a control socket: its verb, its number, and the socket that came with it.

    Raises:
        Gone: the other end closed.
    """
    loop = asyncio.get_running_loop()
    data, came = b"", []
    while len(data) < COMMAND.size:
        try:
            more, descriptors, _flags, _address = socket.recv_fds(link, COMMAND.size - len(data), 1)
        except BlockingIOError:
            await _readable(loop, link)
            continue
        except OSError:
            raise Gone from None
        came += descriptors
        if not more:
            raise Gone
        data += more
    verb, number = COMMAND.unpack(data)
    return verb, number, socket.socket(fileno=came[0]) if came else None


async def _readable(loop: asyncio.AbstractEventLoop, link: socket.socket) -> None:
    ready: asyncio.Future[None] = loop.create_future()

    def now() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(link, now)
    try:
        await ready
    finally:
        loop.remove_reader(link)


def _settle(frame: _Frame, answer: bytes | None) -> None:
    if not frame.answer.done():
        frame.answer.set_result(answer)


def main(descriptor: int, workers: int, floor: float, per_kilobyte: float) -> None:
    """Run on the control socket with that descriptor, until the parent closes it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent's to handle; we end after it, with its socket
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold texts
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Pool(workers, Patience(floor, per_kilobyte)).run(socket.socket(fileno=descriptor)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
