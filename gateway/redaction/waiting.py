"""What waits for a worker: jobs, and whose turn it is.

Answers go before requests, since what has begun should end before more begins; but a request gets its turn after
each frame of answers. A long transcript takes turns with short calls. What else there is room for goes along.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from gateway.errors import Code, Unavailable
from gateway.redaction.blocks import Block
from gateway.redaction.findings import Answer, Item

CHUNK = 64 * 1024
"""Characters in one frame: some milliseconds. A long transcript goes as several."""
_MANY = 8
"""Jobs in a frame, from which on one more saves little."""
_QUEUE = 2_048
_QUEUE_SIZE = 64 << 20


class Job:
    """Some blocks of what one caller asks, as JSON lists and as items, and the future that gets the answers.

    `size` is of all its texts, in characters.
    """

    __slots__ = ("alone", "blocks", "count", "done", "items", "size")

    def __init__(
        self, blocks: Sequence[bytes], items: Sequence[Item], size: int, done: asyncio.Future[list[Answer]]
    ) -> None:
        self.blocks = blocks
        self.items = items
        self.count = len(items)
        self.size = size
        self.done = done
        self.alone = False


class Waiting:
    """The jobs that no worker has yet: of answers, of short calls, and the chunks of long ones."""

    def __init__(self) -> None:
        self._answers: deque[Job] = deque()
        self._short: deque[Job] = deque()
        self._long: deque[Job] = deque()
        self._answered = self._turn = False
        self._size = 0

    def __len__(self) -> int:
        return len(self._answers) + len(self._short) + len(self._long)

    @property
    def fills_a_frame(self) -> bool:
        """Whether nothing is gained by waiting for more."""
        return len(self) >= _MANY or self._size >= CHUNK

    def check_room(self, size: int) -> None:
        """Whether so many characters more may wait.

        Raises:
            Unavailable: too much waits already (`overloaded`).
        """
        if len(self) >= _QUEUE or self._size + size > _QUEUE_SIZE:
            raise Unavailable(Code.OVERLOADED, "Too many texts wait for the redactor.")

    def add(self, jobs: Sequence[Job]) -> None:
        """One request's jobs, in order."""
        (self._long if len(jobs) > 1 else self._short).extend(jobs)
        self._size += sum([job.size for job in jobs])

    def add_answer(self, job: Job) -> None:
        """Some of an answer."""
        self._answers.append(job)
        self._size += job.size

    def again(self, job: Job) -> None:
        """A job to be asked once more, by itself and next."""
        job.alone = True
        self._size += job.size
        self._answers.appendleft(job)
        self._answered = False

    def next(self) -> list[Job]:
        """One frame's worth: those whose turn it is, and what else there is room for. Empty if all callers are gone."""
        self._answered = bool(self._answers) and not (self._answered and (self._short or self._long))
        if self._answered:
            queue = self._answers
        else:
            self._turn = not self._turn
            queue = self._long if self._long and (self._turn or not self._short) else self._short
        jobs: list[Job] = []
        size = 0
        for those in (queue, self._answers, self._short, self._long):
            while those and (not jobs or (size + those[0].size <= CHUNK and not those[0].alone)):
                job = those.popleft()
                self._size -= job.size
                if job.done.done():
                    continue  # its caller is gone
                jobs.append(job)
                size += job.size
                if job.alone:
                    return jobs
        return jobs

    def clear(self) -> list[Job]:
        """All that waits, which does so no more."""
        jobs = [*self._answers, *self._short, *self._long]
        self._answers.clear()
        self._short.clear()
        self._long.clear()
        self._size = 0
        return jobs


def chunks(blocks: Iterable[tuple[bytes, Block]]) -> list[list[tuple[bytes, Block]]]:
    """Blocks with their names, in frames' worths, in order."""
    made: list[list[tuple[bytes, Block]]] = [[]]
    size = 0
    for name, block in blocks:
        if made[-1] and size + block.size > CHUNK:
            made.append([])
            size = 0
        made[-1].append((name, block))
        size += block.size
    return made
