"""The harness itself: it counts what it says it counts. How fast anything is belongs to a run of it."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.bench.load import Failed, Streams, Target, burst, get, open_loop
from tests.bench.measures import Figures
from tests.bench.provider import FLAT, HOLD, PLAIN
from tests.bench.subjects import LOAD_CORE, PROXY_CORE, DidNotStart, Subject, bare, free_port, provider
from tests.bench.table import ON, Bar, missed, render
from tests.bench.texts import prompt, transcript


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Subject]:
    """The raw provider, running."""
    subject = provider()
    await subject.start(LOAD_CORE)
    yield subject
    await subject.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def passthrough(upstream: Subject) -> AsyncIterator[Subject]:
    """The bare pass-through, running."""
    subject = bare(upstream.target.port)
    await subject.start(PROXY_CORE)
    yield subject
    await subject.stop()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("size", [1024, 50 * 1024])
async def test_a_burst_counts_answers(size: int, upstream: Subject, passthrough: Subject) -> None:
    """Both a direct and a relayed burst are answered, whatever the size."""
    body = prompt(PLAIN, size, random.Random(1))
    for target in (upstream.target, passthrough.target):
        rate = await burst(target, [target.request(body)], 4, 0.1)

        assert rate > 0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_burst_fails_on_an_error(passthrough: Subject) -> None:
    """Answers that are not 200 never count as throughput."""
    target = Target(passthrough.target.port)
    broken = target.request(b"{}").replace(b"content-length: 2", b"content-length: x")

    with pytest.raises(Failed, match="400"):
        await burst(target, [broken], 2, 0.1)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_open_loop_times_every_request(passthrough: Subject) -> None:
    """There is one figure a scheduled request, and none is shorter than nothing."""
    target = passthrough.target
    body = prompt(PLAIN, 1024, random.Random(1))

    taken = await open_loop(target, iter([target.request(body)] * 20), 100, 0.2)

    assert len(taken) == 20
    assert min(taken) > 0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("model", [FLAT, HOLD])
async def test_streams_are_counted_and_vanish(model: str, upstream: Subject, passthrough: Subject) -> None:
    """Chunks bear a clock from before they were read, and the provider sees its streams close."""
    port = upstream.target.port
    streams = Streams(passthrough.target, prompt(model, 64, random.Random(1), stream=True))
    streams.chunks.timed = True
    await streams.open(3, 5)
    await _until(lambda: _is_open(port, 3))
    await _until(lambda: _has(streams, 3))
    streams.vanish()

    assert len(streams.chunks.delays) == streams.chunks.count
    assert min(streams.chunks.delays) >= 0
    await _until(lambda: _is_open(port, 0))


async def _is_open(port: int, count: int) -> bool:
    return await get(port, "/open") == str(count).encode()


async def _has(streams: Streams, count: int) -> bool:
    return streams.chunks.count >= count


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another process does: it can only be asked."""
    for _ in range(500):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about in five seconds")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_subject_lives_on_its_core(passthrough: Subject) -> None:
    """A subject is pinned from its start, and its memory is that of a process."""
    assert passthrough.process is not None
    assert os.sched_getaffinity(passthrough.process.pid) == {PROXY_CORE}
    assert passthrough.memory() > 1024
    assert passthrough.started_in > 0


async def test_a_command_that_ends_did_not_start() -> None:
    """A subject whose command ends at once is reported, not waited for."""
    port = free_port()

    with pytest.raises(DidNotStart, match="nothing was not ready"):
        await Subject("nothing", ("false",), Target(port), (port, "/")).start(PROXY_CORE)


@pytest.mark.parametrize("size", [64, 1024, 50 * 1024])
def test_a_transcript_has_its_size_and_is_new(size: int) -> None:
    """A text has the size asked for, holds more than ASCII, and shares no line with the one before."""
    source = random.Random(1)
    first, second = transcript(size, source), transcript(size, source)

    assert size - 3 <= len(first.encode()) <= size
    assert not set(first.splitlines()) & set(second.splitlines())
    assert size < 1024 or not first.isascii()


@pytest.mark.parametrize(
    ("figure", "verdict"), [(1.9, "aim"), (2.0, "aim"), (2.1, "must"), (4.0, "must"), (4.1, "MISSED")]
)
def test_a_bar_is_reached_or_missed(figure: float, verdict: str) -> None:
    """The must and the aim belong to what reaches them."""
    assert Bar("m", "r", "s", must=4, aim=2).verdict(figure) == verdict
    assert Bar("m", "r", "s", must=-4, aim=-2, at_most=False).verdict(-figure) == verdict


def test_a_missed_bar_or_a_failure_fails_the_run() -> None:
    """A run holds only if no bar is missed and no subject failed; the table says which."""
    slow = Figures({"start s": {ON: 9.0}})
    fast = Figures({"start s": {ON: 1.0}})
    broken = Figures({"start s": {ON: 1.0}}, {"bare": "hung up"})

    assert not missed({"footprint": fast})
    assert missed({"footprint": slow})
    assert missed({"footprint": broken})
    assert "MISSED" in render({"footprint": slow}, [ON])
    assert "bare failed: hung up" in render({"footprint": broken}, [ON])
