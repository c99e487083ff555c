"""The detector: findings from processes of their own, so that the event loop never looks at a text.

"No findings" is an empty list. "Could not look" is `Unavailable`, always: a worker that is late,
dies, or answers what cannot be true is killed and replaced, and what it held is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import orjson

from gateway.categories import Category, Personal
from gateway.errors import Code, Unavailable
from gateway.redaction.findings import Finding, Settled, Window, well_formed
from gateway.redaction.memory import Memory
from gateway.redaction.nursery import COMMAND, LENGTH, READY
from gateway.redaction.plain import Plain
from gateway.redaction.segments import join, pieces

_SURROGATE = re.compile("[\ud800-\udfff]")
_ROOT = Path(__file__).parents[2]
_BOOT = "import sys; sys.path[:0] = [sys.argv[2]]; from gateway.redaction.nursery import main; main(int(sys.argv[1]))"
_CATEGORIES = (*Category, *Personal)

_CHUNK = 128 * 1024
"""Characters in one frame: a long transcript goes as several, between which short calls get their turn."""
_QUEUE = 2_048
_QUEUE_SIZE = 64 << 20
_START = 60.0
_PAUSE = (0.05, 0.2, 1.0, 5.0)
_DOUBTFUL = 5
"""So many failures in a row without one answer, and the detector is not healthy."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one frame may take: a floor for a busy machine, and a rate some 15 times slower than usual."""

    floor: float = 0.75
    per_kilobyte: float = 0.001

    def seconds(self, size: int) -> float:
        """For that many characters."""
        return self.floor + self.per_kilobyte * size / 1024


_Item: TypeAlias = str | Window
"""What a worker is asked to look at: a whole text, or a window of one that goes on."""


class _Job:
    """Some pieces of one caller's texts, and the future that gets what is found in each."""

    __slots__ = ("alone", "done", "items", "size")

    def __init__(self, items: Sequence[_Item], size: int, done: asyncio.Future[list[Settled]]) -> None:
        self.items = items
        self.size = size
        self.done = done
        self.alone = False


class _Worker(asyncio.Protocol):
    """The gateway's end of one worker: at most one frame under way."""

    def __init__(self, detector: Detector, number: int) -> None:
        self._detector = detector
        self._held = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self.number = number
        self.jobs: list[_Job] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # a stream socket's; uvloop's is no subclass

    def ask(self, jobs: list[_Job], seconds: float) -> None:
        """Send one frame; the answer, or a failure, goes to the detector."""
        assert self.transport is not None  # noqa: S101  # only connected workers are idle
        self.jobs = jobs
        payload = _encode([item for job in jobs for item in job.items])
        self._timer = asyncio.get_running_loop().call_later(seconds, self._detector.failed, self)
        self.transport.write(LENGTH.pack(len(payload)) + payload)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if len(self._held) < LENGTH.size:
            return
        (size,) = LENGTH.unpack_from(self._held)
        if len(self._held) < LENGTH.size + size:
            return
        answer = _decode(bytes(self._held[LENGTH.size :]), self.jobs)
        self._held.clear()
        if answer is None:
            self._detector.failed(self)
        else:
            self.settle()
            self._detector.answered(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._detector.failed(self)

    def settle(self) -> None:
        """No deadline runs any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Detector:
    """Finds special categories in texts, off the loop.

    Args:
        mappings: what the files of `config/recognizers/` hold, by stem: plain values.
        workers: how many processes look at once.
        patience: how long a frame may take.
        remembered: how many pieces' findings are kept.

    One event loop, any number of concurrent `find`. After `stop` it may be started again.
    """

    def __init__(
        self,
        mappings: Mapping[str, Plain],
        workers: int = 1,
        patience: Patience = Patience(),
        remembered: int = 32_768,
    ) -> None:
        self._rules = orjson.dumps(mappings)
        self._count = workers
        self._patience = patience
        self._memory = Memory(remembered)
        self._short: deque[_Job] = deque()
        self._long: deque[_Job] = deque()
        self._turn = False
        self._size = 0
        self._workers: dict[int, _Worker] = {}
        self._idle: deque[_Worker] = deque()
        self._numbers = 0
        self._failures = 0
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._gone = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._ready = False
        self._births: set[asyncio.Task[None]] = set()

    @property
    def healthy(self) -> bool:
        """Whether a text given now would very likely be looked at."""
        return self._ready and bool(self._workers) and self._failures < _DOUBTFUL

    async def start(self) -> None:
        """Start the processes; return when they have found their known phrases.

        Raises:
            Unavailable: the rules are not valid, do not find what they must, or nothing answers.
        """
        await self._raise_nursery()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="detector")  # ended by `stop`

    async def stop(self) -> None:
        """End the processes. What still waits is refused."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._fell()

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text, in code points, in order and apart.

        Raises:
            Unavailable: nobody could look (`redaction_unavailable`), or too much waits (`overloaded`).
        """
        cut = [pieces(text) for text in texts]
        found: dict[bytes, Sequence[Finding]] = {}
        missing: dict[bytes, str] = {}
        names: list[list[bytes]] = []
        for text, parts in zip(texts, cut, strict=True):
            row: list[bytes] = []
            for part in parts:
                piece = text[part.start : part.end] if len(parts) > 1 else text
                name = self._memory.name(piece)
                row.append(name)
                if name not in found and name not in missing:
                    known = self._memory.recall(name)
                    if known is None:
                        missing[name] = piece
                    else:
                        found[name] = known
            names.append(row)
        if missing:
            await self._look(missing, found)
        return [join(parts, [found[name] for name in row]) for parts, row in zip(cut, names, strict=True)]

    async def settle(self, windows: Sequence[Window]) -> list[Settled]:
        """What is found in windows of texts that go on, and up to where it is final. Short texts; nothing is kept.

        Raises:
            Unavailable: as `find`.
        """
        total = sum(len(window.text) for window in windows)
        self._check_room(total)
        job = _Job(windows, total, asyncio.get_running_loop().create_future())
        self._short.append(job)
        self._size += total
        self._pump()
        return await job.done

    def _check_room(self, total: int) -> None:
        if not self._ready:
            raise _unavailable()
        if len(self._short) + len(self._long) >= _QUEUE or self._size + total > _QUEUE_SIZE:
            raise Unavailable(Code.OVERLOADED, "Too many texts wait for the redactor.")

    async def _look(self, missing: dict[bytes, str], found: dict[bytes, Sequence[Finding]]) -> None:
        total = sum(map(len, missing.values()))
        self._check_room(total)
        loop = asyncio.get_running_loop()
        queue = self._long if total > _CHUNK else self._short
        waiting: list[tuple[list[bytes], asyncio.Future[list[Settled]]]] = []
        for batch in _batches(missing):
            texts = [missing[name] for name in batch]
            job = _Job(texts, sum(map(len, texts)), loop.create_future())
            waiting.append((batch, job.done))
            queue.append(job)
            self._size += job.size
        self._pump()
        try:
            for batch, done in waiting:
                for name, (findings, _end) in zip(batch, await done, strict=True):
                    found[name] = findings
                    self._memory.keep(name, findings)
        finally:
            for _batch, done in waiting:
                if not done.done():
                    done.cancel()
                elif not done.cancelled():
                    done.exception()  # seen: the first failure speaks for all

    def _pump(self) -> None:
        """Give waiting jobs to idle workers."""
        while self._idle and (self._short or self._long):
            jobs = self._next()
            if jobs:
                worker = self._idle.popleft()
                worker.ask(jobs, self._patience.seconds(sum(job.size for job in jobs)))

    def _next(self) -> list[_Job]:
        """One frame's worth: many short jobs, or one chunk of a long one, in turns."""
        self._turn = not self._turn
        queue = self._long if self._long and (self._turn or not self._short) else self._short
        jobs: list[_Job] = []
        size = 0
        while queue and (not jobs or (size + queue[0].size <= _CHUNK and not queue[0].alone)):
            job = queue.popleft()
            self._size -= job.size
            if job.done.done():
                continue  # its caller is gone
            jobs.append(job)
            size += job.size
            if job.alone:
                break
        return jobs

    def answered(self, worker: _Worker, answer: list[Settled]) -> None:
        """A worker's findings for all that its frame holds."""
        self._failures = 0
        at = 0
        for job in worker.jobs:
            if not job.done.done():
                job.done.set_result(answer[at : at + len(job.items)])
            at += len(job.items)
        worker.jobs = []
        self._idle.append(worker)
        self._pump()

    def failed(self, worker: _Worker) -> None:
        """A worker is late, gone, or not to be believed: end it, replace it, refuse what it held.

        Where it held several callers' jobs, each is asked once more by itself: one text that
        breaks a worker must not refuse its neighbours.
        """
        worker.settle()
        jobs, worker.jobs = worker.jobs, []
        if self._workers.pop(worker.number, None) is not None:
            self._failures += 1
            with contextlib.suppress(ValueError):
                self._idle.remove(worker)
            self._command(b"K", worker.number)
            self._bear()
        if worker.transport is not None:
            worker.transport.abort()
        for job in reversed(jobs):
            if job.done.done():
                continue
            if len(jobs) > 1 and self._ready:
                job.alone = True
                self._size += job.size
                self._short.appendleft(job)
            else:
                job.done.set_exception(_unavailable())

    # --- the processes ---

    def _command(self, verb: bytes, number: int, sockets: Sequence[socket.socket] = ()) -> bool:
        if self._control is None:
            return False
        try:
            socket.send_fds(self._control, [COMMAND.pack(verb, number)], [one.fileno() for one in sockets])
        except OSError:
            self._gone.set()
            return False
        return True

    def _bear(self) -> None:
        """Have the nursery fork one more worker, if there is a nursery."""
        if not self._ready:
            return
        task = asyncio.get_running_loop().create_task(self._bear_one())
        self._births.add(task)
        task.add_done_callback(self._births.discard)

    async def _bear_one(self) -> None:
        self._numbers += 1
        number = self._numbers
        ours, theirs = socket.socketpair()
        try:
            if not self._command(b"F", number, [theirs]):
                ours.close()
                return
        finally:
            theirs.close()
        ours.setblocking(False)
        _transport, worker = await asyncio.get_running_loop().create_unix_connection(
            lambda: _Worker(self, number), sock=ours
        )
        self._workers[number] = worker
        self._idle.append(worker)
        self._pump()

    async def _raise_nursery(self) -> None:
        """Start the nursery and its workers.

        Raises:
            Unavailable: it did not become ready.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            # An empty environment: the gateway's own holds credentials.
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220  # our own interpreter and code; a fork and exec
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), str(_ROOT)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
            )
        finally:
            theirs.close()
        self._control = ours
        try:
            async with asyncio.timeout(_START):
                await loop.sock_sendall(ours, LENGTH.pack(len(self._rules)) + self._rules)
                word = await loop.sock_recv(ours, 1)
        except (OSError, TimeoutError):
            word = b""
        if word != READY:
            await self._fell()
            raise Unavailable(Code.REDACTION_UNAVAILABLE, "The redactor did not start.")
        self._gone.clear()
        self._ready = True
        self._failures = 0
        loop.add_reader(ours, self._gone.set)  # it says nothing more: readable means closed
        for _ in range(self._count):
            await self._bear_one()

    async def _keep(self) -> None:
        """Raise a new nursery whenever the last one is gone."""
        tries = 0
        while True:
            await self._gone.wait()
            await self._fell()
            await asyncio.sleep(_PAUSE[min(tries, len(_PAUSE) - 1)])
            tries += 1
            with contextlib.suppress(Unavailable):
                await self._raise_nursery()
                tries = 0
            if not self._ready:
                self._gone.set()

    async def _fell(self) -> None:
        """Clear away the nursery and its workers; refuse what waits."""
        self._ready = False
        for birth in tuple(self._births):
            birth.cancel()
        for worker in tuple(self._workers.values()):
            self.failed(worker)
        self._idle.clear()
        for queue in (self._short, self._long):
            while queue:
                job = queue.popleft()
                if not job.done.done():
                    job.done.set_exception(_unavailable())
        self._size = 0
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)
        await asyncio.sleep(0)  # the transports' own goodbye


def _unavailable() -> Unavailable:
    return Unavailable(Code.REDACTION_UNAVAILABLE, "The redactor could not look at this text, so nothing was sent.")


def _batches(missing: Mapping[bytes, str]) -> list[list[bytes]]:
    batches: list[list[bytes]] = [[]]
    size = 0
    for name, text in missing.items():
        if size + len(text) > _CHUNK and batches[-1]:
            batches.append([])
            size = 0
        batches[-1].append(name)
        size += len(text)
    return batches


def _encode(items: list[_Item]) -> bytes:
    try:
        return orjson.dumps(items)
    except orjson.JSONEncodeError:  # a lone surrogate: one character stands for it, so offsets stay
        return orjson.dumps(
            [_plain(item) if isinstance(item, str) else (_plain(item.text), item.start, item.ends) for item in items]
        )


def _plain(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _decode(payload: bytes, jobs: Sequence[_Job]) -> list[Settled] | None:
    """A worker's answer, or None if it cannot be one."""
    items = [item for job in jobs for item in job.items]
    try:
        answer = orjson.loads(payload)
        if len(answer) != len(items):
            return None
        return [_read(one, item) for one, item in zip(answer, items, strict=True)]
    except (ValueError, TypeError, IndexError, KeyError):
        return None


def _read(answer: object, item: _Item) -> Settled:
    """What a worker says of one item: its findings; for a window, where it is settled and its findings.

    Raises:
        ValueError, TypeError, IndexError: it cannot be true.
    """
    start, end, listed = 0, len(item), answer
    if not isinstance(item, str):
        start = item.start
        end, listed = answer  # type: ignore[misc]  # what cannot be unpacked raises
        if type(end) is not int or not start <= end <= len(item.text):
            raise ValueError("not an end")
    if not listed:
        return Settled([], end)
    findings = [Finding(first, last, _CATEGORIES[index], score) for first, last, index, score in listed]  # type: ignore[attr-defined]
    if not (
        all(type(one.start) is type(one.end) is int and type(one.score) is float for one in findings)
        and well_formed(findings, end)
        and findings[0].start >= start
    ):
        raise ValueError("not findings")
    return Settled(findings, end)
