"""The journal's thread: does blocking jobs one after the other and tells the loop how each ended."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable

from gateway.audit.store import StoreFault

Job = Callable[[], object]
Done = Callable[[object, StoreFault | None], None]


class Worker:
    """One thread that does jobs in order and tells the loop. A daemon: a hanging disk must not hold the process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[tuple[Job, Done] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="journal", daemon=True).start()

    def do(self, job: Job, done: Done) -> None:
        """Run `job` in the thread, then `done(result, fault)` in the loop."""
        self._jobs.put((job, done))

    def stop(self) -> None:
        """Let the thread end after the jobs it has."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, done = task
            result: object = None
            fault: StoreFault | None = StoreFault("the journal's thread died")
            try:
                result = job()
                fault = None
            except StoreFault as error:
                fault = error
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever would ask
                    self._loop.call_soon_threadsafe(done, result, fault)
