"""Fixtures for tests that open sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest
import uvloop

T = TypeVar("T")
Run = Callable[[Coroutine[object, object, T]], T]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[T]:
    """Runs a scenario to its end on a loop of each kind, for at most 20 seconds."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runner(scenario: Coroutine[object, object, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(20):
                return await scenario

        with asyncio.Runner(loop_factory=factory) as loop:
            return loop.run(bounded())

    return runner
