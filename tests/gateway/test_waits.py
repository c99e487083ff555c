"""Waits that may end early: what comes in time comes, what does not is given up, and who cancels is obeyed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.waits import Deadlines, Waits

SOON, NEVER = 0.01, 60.0


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.Event().wait()


async def at_once() -> str:
    """Come after one turn of the loop."""
    await asyncio.sleep(0)
    return "here"


async def test_what_comes_in_time_comes() -> None:
    """A result is given back, and leaves nothing behind that could end a later wait."""
    waits = Waits()
    try:
        found = [await waits.within(SOON, at_once()) for _ in range(3)]
        await asyncio.wait_for(asyncio.shield(asyncio.sleep(5 * SOON)), NEVER)  # any timer of these waits is over
    finally:
        waits.close()

    assert found == ["here"] * 3


@pytest.mark.parametrize("before", [SOON / 4, NEVER], ids=["after a shorter wait", "after a longer one"])
async def test_what_is_late_is_given_up(before: float) -> None:
    """Each wait has its own end, whatever the timer was made for, and the task may go on."""
    waits = Waits()
    try:
        assert await waits.within(before, at_once()) == "here"
        with pytest.raises(TimeoutError):
            await waits.within(SOON, forever())
        assert await waits.within(NEVER, at_once()) == "here"
    finally:
        waits.close()

    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def _cancelled(wait: Callable[[Waits], Awaitable[object]]) -> asyncio.Task[None]:
    """A task that is cancelled by somebody else as it waits."""
    began = asyncio.Event()

    async def work() -> None:
        waits = Waits()
        try:
            began.set()
            await wait(waits)
        finally:
            waits.close()

    task = asyncio.create_task(work())
    await began.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("seconds", [0.0, NEVER], ids=["and late too", "in time"])
async def test_who_cancels_is_obeyed(seconds: float) -> None:
    """A cancellation from outside is no lateness, even where both come together."""
    task = await _cancelled(lambda waits: waits.within(seconds, forever()))

    assert task.cancelled()


async def test_only_what_still_waits_is_expired() -> None:
    """Each gets its whole time, in the order in which they began; what came in time is not expired."""
    late = list[str]()
    over = asyncio.Event()
    began = asyncio.get_running_loop().time()

    def expire(waiting: str) -> None:
        late.append(waiting)
        if waiting == "last":
            over.set()

    deadlines = Deadlines(SOON, expire)
    for waiting in ("first", "came", "second"):
        deadlines.begin(waiting)
    deadlines.end("came")
    await asyncio.sleep(SOON / 2)
    deadlines.begin("last")
    deadlines.end("unknown")
    await asyncio.wait_for(over.wait(), NEVER)

    assert late == ["first", "second", "last"]
    assert asyncio.get_running_loop().time() - began >= 1.5 * SOON
    deadlines.close()
