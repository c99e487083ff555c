"""The detector: findings from processes of their own, so that the event loop never looks at a text.

"No findings" is an empty list. "Could not look" is `Unavailable`, always: a worker that is late,
dies, or answers what cannot be true is ended and replaced, and what it held is refused. When the
nursery is lost its workers go on; they are replaced once there is a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import orjson

from gateway.errors import Code, Unavailable
from gateway.redaction.blocks import Block, Cut, asked, blocks, encoded_windows, items
from gateway.redaction.crew import Crew
from gateway.redaction.findings import Answer, Finding, Settled, Window
from gateway.redaction.memory import Memory
from gateway.redaction.patience import USUAL, Patience
from gateway.redaction.plain import Plain
from gateway.redaction.segments import join
from gateway.redaction.waiting import Job, Waiting, chunks
from gateway.redaction.workers import Worker

_PAUSE = (0.05, 0.2, 1.0, 5.0)
_DOUBTFUL = 5
"""So many failures in a row without one answer, and the detector is not healthy."""


class Detector:
    """Finds special categories in texts, off the loop.

    Args:
        mappings: what the files of `config/recognizers/` hold, by stem: plain values.
        workers: how many processes look at once.
        patience: how long a frame may take.
        remembered: how many blocks of texts, and findings in them, are kept.
        mother: leads to a pool that several gateway processes share (`pool`); None: a nursery of its own.

    One event loop, any number of concurrent `find`. After `stop` it may be started again.
    """

    def __init__(
        self,
        mappings: Mapping[str, Plain],
        workers: int = 1,
        patience: Patience = USUAL,
        remembered: int = 32_768,
        mother: socket.socket | None = None,
    ) -> None:
        self._rules = orjson.dumps(mappings)
        self._mother = mother
        self._count = workers
        self._patience = patience
        self._memory = Memory(remembered)
        self._waiting = Waiting()
        self._workers: set[Worker] = set()
        self._idle: deque[Worker] = deque()
        self._failures = 0
        self._pumping = False
        self._crew: Crew | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._births: set[asyncio.Task[None]] = set()

    @property
    def healthy(self) -> bool:
        """Whether a text given now would very likely be looked at."""
        return bool(self._workers) and self._failures < _DOUBTFUL

    async def start(self) -> None:
        """Start the processes; return when they have found their known phrases.

        Raises:
            Unavailable: the rules are not valid, do not find what they must, or nothing answers.
        """
        await self._man(await Crew.raised(self._rules, self._mother))
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="detector")  # ended by `stop`

    async def stop(self) -> None:
        """End the processes. What still waits is refused."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        crew, self._crew = self._crew, None
        for birth in tuple(self._births):
            birth.cancel()
        for worker in tuple(self._workers):
            if crew is not None and worker.nursery == crew.name:
                crew.kill(worker.number)
            self.failed(worker)
        self._refuse_waiting()
        if crew is not None:
            await crew.end()
        await asyncio.sleep(0)  # the transports' own goodbye

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text, in code points, in order and apart.

        Raises:
            Unavailable: nobody could look (`redaction_unavailable`), or too much waits (`overloaded`).
        """
        listed, cuts = items(texts)
        found: list[list[Finding]] = [[] for _item in listed]
        missing: dict[bytes, Block] = {}
        wanted: list[tuple[bytes, int]] = []
        for block in blocks(listed):
            name = self._memory.name(block.json)
            known = self._memory.recall(name)
            if known is None:
                missing.setdefault(name, block)
                wanted.append((name, block.first))
            for index, remembered in known or ():
                found[block.first + index] = list(remembered)
        if missing:
            answers = await self._look(listed, cuts.values(), missing)
            for name, first in wanted:
                for index, findings in enumerate(answers[name], first):
                    if findings:
                        found[index] = list(findings)
        return _joined(found, cuts, len(texts)) if cuts else found

    async def settle(self, windows: Sequence[Window]) -> list[Settled]:
        """What is found in windows of texts that go on, and up to where it is final. Nothing is kept.

        Raises:
            Unavailable: as `find`.
        """
        size = sum([len(window.text) for window in windows])
        self._check(size)
        job = Job([encoded_windows(windows)], windows, size, asyncio.get_running_loop().create_future())
        self._waiting.add_answer(job)
        self._pump_soon()
        return cast("list[Settled]", await job.done)

    def _check(self, size: int) -> None:
        """Whether there is somebody to look, and room for so many characters more."""
        if not self._workers and (self._crew is None or self._crew.gone.is_set()):
            raise _unavailable()
        self._waiting.check_room(size)

    async def _look(
        self, listed: Sequence[str], cuts: Iterable[Cut], missing: Mapping[bytes, Block]
    ) -> dict[bytes, Sequence[list[Finding]]]:
        """What the workers find in blocks that are not remembered, by their names."""
        self._check(sum([block.size for block in missing.values()]))
        loop = asyncio.get_running_loop()
        parts = [asked(part, listed, cuts) for part in chunks(missing.items())]
        jobs = [
            Job(
                [one.json for one in part],
                [item for one in part for item in one.items],
                sum([one.size for one in part]),
                loop.create_future(),
            )
            for part in parts
        ]
        self._waiting.add(jobs)
        self._pump_soon()
        answers: dict[bytes, Sequence[list[Finding]]] = {}
        try:
            for part, job in zip(parts, jobs, strict=True):
                answer = cast("list[list[Finding]]", await job.done)
                at = 0
                for one in part:
                    for name, found in one.by_name(answer[at : at + len(one.items)]):
                        answers[name] = found
                        self._memory.keep(name, found)
                    at += len(one.items)
        finally:
            for job in jobs:
                if not job.done.done():
                    job.done.cancel()
                elif not job.done.cancelled():
                    job.done.exception()  # seen: the first failure speaks for all
        return answers

    def _pump_soon(self) -> None:
        # What is asked in this turn of the loop, and in those after it while each brings more, goes in one frame: to
        # switch to a worker and back costs more than to look at a short text.
        if not self._pumping and self._idle:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._turned, 0)

    def _turned(self, before: int) -> None:
        count = len(self._waiting)
        if before < count and not self._waiting.fills_a_frame:
            asyncio.get_running_loop().call_soon(self._turned, count)
        else:
            self._pump()

    def _pump(self) -> None:
        """Give waiting jobs to idle workers."""
        self._pumping = False
        while self._idle and self._waiting:
            jobs = self._waiting.next()
            if jobs:
                self._idle.popleft().ask(jobs, self._patience.seconds(sum(job.size for job in jobs)))

    # --- what workers say; see `workers.Overseer` ---

    def answered(self, worker: Worker, answer: list[Answer]) -> None:
        """A worker's findings for all items of its frame."""
        self._failures = 0
        at = 0
        for job in worker.jobs:
            if not job.done.done():
                job.done.set_result(answer[at : at + job.count])
            at += job.count
        worker.jobs = []
        if worker in self._workers:
            self._idle.append(worker)
        else:
            self._retire(worker)
        self._pump_soon()

    def failed(self, worker: Worker) -> None:
        """A worker is late, gone, or not to be believed: end it, replace it, refuse what it held.

        Where it held several callers' jobs, each is asked once more by itself: one text that
        breaks a worker must not refuse its neighbours.
        """
        worker.settle()
        jobs, worker.jobs = worker.jobs, []
        if worker in self._workers:
            self._workers.discard(worker)
            self._failures += 1
            with contextlib.suppress(ValueError):
                self._idle.remove(worker)
            if self._crew is not None and worker.nursery == self._crew.name:
                self._crew.kill(worker.number)
                self._bear(self._crew)
        if worker.transport is not None:
            worker.transport.abort()
        for job in reversed(jobs):
            if job.done.done():
                continue
            if len(jobs) > 1 and self._crew is not None:
                self._waiting.again(job)
            else:
                job.done.set_exception(_unavailable())

    # --- the processes ---

    def _bear(self, crew: Crew) -> None:
        """Have one more worker, if the nursery still stands."""
        task = asyncio.get_running_loop().create_task(self._bear_one(crew))
        self._births.add(task)
        task.add_done_callback(self._births.discard)

    async def _bear_one(self, crew: Crew) -> None:
        forked = crew.fork()
        if forked is None:
            return
        number, ours = forked
        await self._connect(crew.name, number, ours)

    async def _connect(self, nursery: int, number: int, ours: socket.socket) -> None:
        _transport, worker = await asyncio.get_running_loop().create_unix_connection(
            lambda: Worker(self, nursery, number), sock=ours
        )
        self._workers.add(worker)
        self._idle.append(worker)
        self._pump()

    async def _man(self, crew: Crew) -> None:
        """Have all workers forked by this nursery, and let those of the last one go once they are idle."""
        self._crew = crew
        self._failures = 0
        old = tuple(self._workers)
        for _ in range(self._count):
            await self._bear_one(crew)
        for worker in old:
            self._workers.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
                self._retire(worker)
            # one that is busy answers first, and is let go then

    def _retire(self, worker: Worker) -> None:
        worker.settle()
        if worker.transport is not None:
            worker.transport.abort()

    async def _keep(self) -> None:
        """Raise a new nursery whenever the last one is gone."""
        while True:
            assert self._crew is not None  # noqa: S101  # from `start` until after this task's end
            await self._crew.gone.wait()
            await self._crew.end()
            tries = 0
            while True:
                await asyncio.sleep(_PAUSE[min(tries, len(_PAUSE) - 1)])
                tries += 1
                with contextlib.suppress(Unavailable):
                    await self._man(await Crew.raised(self._rules, self._mother))
                    break
                if not self._workers:
                    self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        for job in self._waiting.clear():
            if not job.done.done():
                job.done.set_exception(_unavailable())


def _joined(found: Sequence[list[Finding]], cuts: Mapping[int, Cut], count: int) -> list[list[Finding]]:
    """The findings of whole texts from those of items."""
    whole: list[list[Finding]] = []
    at = 0
    for index in range(count):
        cut = cuts.get(index)
        if cut is None:
            whole.append(found[at])
            at += 1
        else:
            whole.append(join(cut.parts, found[at : at + len(cut.parts)]))
            at += len(cut.parts)
    return whole


def _unavailable() -> Unavailable:
    return Unavailable(Code.REDACTION_UNAVAILABLE, "The redactor could not look at this text, so nothing was sent.")
