"""Waits that may end early: one timer for all those of a task that waits again and again, or for all of one length.

`asyncio.timeout` makes a timer for each wait and takes it back, which for the pieces of a stream costs more than
the piece. Here a timer that is due looks whether what it was made for still waits, and sleeps on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Waits:
    """The waits of the task that makes it, one at a time. `close` when there are no more."""

    __slots__ = ("_due", "_late", "_loop", "_task", "_timer")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # made in a coroutine
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._late = False

    async def within(self, seconds: float, awaited: Awaitable[T]) -> T:
        """What is awaited, if it comes in time.

        Raises:
            TimeoutError: it did not; it was cancelled.
        """
        due = self._due = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            self._arm(due)
        cancelling = self._task.cancelling()
        try:
            return await awaited
        except asyncio.CancelledError:
            if self._late and self._task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise  # somebody else cancelled, too
        finally:
            self._due, self._late = None, False

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._arm(self._due)
        else:
            self._late = True
            self._task.cancel()


class Deadlines(Generic[T]):
    """Waits of one length, each by what waits: what began first is due first.

    Args:
        seconds: how long each may take.
        expire: told of each that took longer.
    """

    __slots__ = ("_due", "_expire", "_loop", "_seconds", "_timer")

    def __init__(self, seconds: float, expire: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._due: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, waiting: T) -> None:
        """It waits from now on."""
        self._due[waiting] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def end(self, waiting: T) -> None:
        """It waits no more, if it did."""
        self._due.pop(waiting, None)

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        while self._due:
            waiting, due = next(iter(self._due.items()))
            if self._loop.time() < due:
                self._timer = self._loop.call_at(due, self._look)
                return
            del self._due[waiting]
            self._expire(waiting)
