"""A host's journal on its disk, while it is carried."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.audit.store import Carried
from gateway.replicas.carriage import Line
from gateway.replicas.carrying import OnDisk
from gateway.replicas.door import Away, DoorOptions


class SlowSpool:
    """Reads for as long as it is told, and notices who comes meanwhile."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.at_once = 0
        self.overlapped = self.closed_busy = False

    def _read(self) -> None:
        self.at_once += 1
        self.overlapped = self.overlapped or self.at_once > 1
        self.begun.set()
        assert self.may_end.wait(10)
        self.at_once -= 1

    def after(self, _seq: int, _most: int) -> list[Carried]:
        self._read()
        return []

    def last(self) -> int:
        self._read()
        return 7

    def close(self) -> None:
        self.closed_busy = self.at_once > 0


async def _nothing(_through: int) -> None:
    return


async def test_a_journal_is_closed_once_nothing_reads_it() -> None:
    """A carrier that is cancelled leaves its reading behind in a thread: nobody reads beside it, and the end waits for it."""
    spool = SlowSpool()
    source = OnDisk(spool, _nothing)  # type: ignore[arg-type]
    first = asyncio.ensure_future(source.after(-1, 10))
    await asyncio.to_thread(spool.begun.wait, 10)
    first.cancel()
    second = asyncio.ensure_future(source.last())
    closing = asyncio.ensure_future(source.close())
    await asyncio.sleep(0.05)  # that nothing happens has no event
    assert not closing.done()
    spool.may_end.set()
    await closing

    assert await second == 7
    assert (spool.overlapped, spool.closed_busy) == (False, False)


async def test_a_command_that_the_library_cancels_is_one_that_failed() -> None:
    """Who carries tries again; a cancellation that is not ours would end it for good, unnoticed."""
    line = Line(DoorOptions(hosts=(("127.0.0.1", 1),)))

    async def cancelled() -> object:
        raise asyncio.CancelledError

    with pytest.raises(Away):
        await line._bounded(cancelled())
    await line.close()
