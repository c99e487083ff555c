"""Work beside the event loop that may not hold it up: reading a configuration of thousands of tenants, for one.

A thread shares the interpreter with the loop. Three things make it polite: it gives way every half millisecond, not
every five; nothing in it is one long call into C; and the collector does not run, since a full collection stops every
thread for as long as it takes. What the work leaves behind is taken out of the collector's sight afterwards: a
configuration goes by reference count when its last call ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

GIVE_WAY_SECONDS: Final = 0.0005


async def aside(work: Callable[[], T]) -> T:
    """Do `work` in a thread of its own, politely. One at a time is meant; two would end each other's politeness."""
    with polite():
        return await asyncio.to_thread(work)


@contextlib.contextmanager
def polite() -> Iterator[None]:
    """While this lasts, no thread holds the interpreter for long."""
    interval, collecting = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(GIVE_WAY_SECONDS)
    gc.disable()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.freeze()
        if collecting:
            gc.enable()
