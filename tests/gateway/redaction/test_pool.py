"""The pool that several gateway processes share: one nursery for all, every failure a refusal, nobody starved."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import Code, Unavailable
from gateway.redaction.detector import Detector
from gateway.redaction.patience import Patience
from gateway.redaction.plain import Plain
from gateway.redaction.pool import Pool

WORD = "healthword"


class Pooled:
    """A pool in this process, and detectors that know it by its socket alone."""

    def __init__(self, rules: dict[str, Plain]) -> None:
        self.rules = rules
        self.mother, theirs = socket.socketpair()
        self.pool = Pool(2, Patience(floor=2.0))
        self.task = asyncio.get_running_loop().create_task(self.pool.run(theirs))
        self.detectors: list[Detector] = []

    async def detector(self, rules: dict[str, Plain] | None = None) -> Detector:
        made = Detector(rules or self.rules, workers=2, patience=Patience(floor=20), remembered=0, mother=self.mother)
        await made.start()
        self.detectors.append(made)
        await until(lambda: len(self.processes()) == 2 * len(self.pool._benches))  # forked, not only asked for
        return made

    def processes(self) -> list[int]:
        """The forked workers, from the kernel."""
        found = []
        for bench in self.pool._benches.values():
            assert bench._crew is not None
            assert bench._crew.process is not None
            nursery = bench._crew.process.pid
            found += [int(pid) for pid in Path(f"/proc/{nursery}/task/{nursery}/children").read_text().split()]
        return found

    async def close(self) -> None:
        for detector in self.detectors:
            await detector.stop()
        self.mother.close()
        await asyncio.wait_for(self.task, 10)


@pytest.fixture
async def pooled(few: dict[str, Plain]) -> AsyncIterator[Pooled]:
    made = Pooled(few)
    try:
        yield made
    finally:
        await made.close()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_all_who_have_the_same_rules_share_one_nursery(pooled: Pooled, few: dict[str, Plain]) -> None:
    """And whoever has other rules has another, which ends with its last user."""
    one, two = await pooled.detector(), await pooled.detector()

    found = await asyncio.gather(*(each.find([f"text {at} {WORD}"]) for at in range(20) for each in (one, two)))

    assert all(len(findings) == 1 for (findings,) in found)
    assert len(pooled.pool._benches) == 1
    assert len(pooled.processes()) == 2
    own: Plain = {"recognizers": [{"name": "Own", "supported_entity": "HEALTH", "deny_list": ["ownword"]}]}
    three = await pooled.detector({**few, "own": own})
    assert len((await three.find(["ownword"]))[0]) == 1
    assert (await one.find(["ownword"])) == [[]]
    assert len(pooled.pool._benches) == 2
    pooled.detectors.remove(three)
    await three.stop()
    await until(lambda: len(pooled.pool._benches) == 1)


async def test_a_worker_that_dies_is_replaced_and_another_looks(pooled: Pooled) -> None:
    """Whether it died over a frame or idle before: the frame is looked at once more."""
    detector = await pooled.detector()
    await detector.find(["awake"])
    first = pooled.processes()
    for pid in first:
        os.kill(pid, signal.SIGSTOP)
    asked = asyncio.get_running_loop().create_task(detector.find([WORD]))
    await until(lambda: len(detector._idle) == 1)
    for pid in first:
        os.kill(pid, signal.SIGKILL)

    assert len((await asked)[0]) == 1
    assert len((await detector.find([WORD + " again"]))[0]) == 1
    assert not set(pooled.processes()) & set(first)


async def test_a_worker_that_is_stuck_is_ended_here(pooled: Pooled) -> None:
    """The pool's own patience ends it, before that of those who wait for others, too."""
    detector = await pooled.detector()
    await detector.find(["awake"])
    stuck = pooled.processes()
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)

    with pytest.raises(Unavailable) as refused:
        await detector.find([WORD])
    assert refused.value.code is Code.REDACTION_UNAVAILABLE
    await until(lambda: set(pooled.processes()) != set(stuck))
    for pid in set(stuck) & set(pooled.processes()):
        os.kill(pid, signal.SIGCONT)
    assert len((await detector.find([WORD + " again"]))[0]) == 1


async def test_a_lost_nursery_is_raised_again_behind_their_backs(pooled: Pooled) -> None:
    """Its workers answer on; the next one's take their place when they are lost."""
    detector = await pooled.detector()
    (bench,) = pooled.pool._benches.values()
    first = bench._crew
    assert first is not None
    assert first.process is not None
    first.process.kill()
    assert len((await detector.find([WORD]))[0]) == 1
    await until(lambda: bench._crew is not first and bench._stands.is_set())

    assert len((await detector.find([WORD + " x"]))[0]) == 1


async def test_a_pool_that_ends_leaves_its_users_refusing(few: dict[str, Plain]) -> None:
    """At once, and until there is another one."""
    pooled = Pooled(few)
    detector = await pooled.detector()
    pooled.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pooled.task
    for task in tuple(pooled.pool._tasks):
        task.cancel()
    await asyncio.gather(*pooled.pool._tasks, return_exceptions=True)

    await until(lambda: not detector._workers)
    with pytest.raises(Unavailable):
        await detector.find([WORD])
    await detector.stop()
    pooled.mother.close()
    await asyncio.gather(*pooled.pool._endings, *(bench.end() for bench in pooled.pool._benches.values()))


async def test_bad_rules_are_refused_and_leave_nothing_behind(pooled: Pooled) -> None:
    """As a nursery would."""
    with pytest.raises(Unavailable):
        await pooled.detector({"health": {"recognizers": [{"name": "x", "nonsense": 1}]}})
    assert pooled.pool._benches == {}
