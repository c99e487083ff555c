"""What the log costs: what it adds to a call, leaves a second, a proof, and a million records verified.

All but what it adds to a call is CPU of one core.

`make bench` runs it; alone, `python -m tests.bench.log [LEAVES]`. A figure is `must / aim`, and a miss fails the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from gateway.audit.evidence import Evidence
from gateway.audit.journal import Journal, now
from gateway.audit.ledger import Ledger
from gateway.audit.merkle import inclusion
from gateway.audit.store import FILE_NAME, reading
from gateway.audit.verify import verify
from tests.bench.journal import disk_syncs
from tests.gateway.audit.forgeries import POLICY, failed
from tests.gateway.audit.logs import KEY, House
from tests.gateway.audit.samples import CONFIGURATION, intent, outcome


@dataclass(frozen=True)
class Figure:
    """One figure; `least` where more is better."""

    name: str
    value: float
    must: float
    aim: float
    unit: str
    least: bool = False

    @property
    def missed(self) -> bool:
        return self.value < self.must if self.least else self.value > self.must

    def line(self) -> str:
        sign = ">=" if self.least else "<="
        verdict = "MISSED" if self.missed else ""
        return (
            f"{self.name:24}{self.value:12,.1f} {self.unit:10} {sign} {self.must:g} / {self.aim:g} {verdict}".rstrip()
        )


def measure(leaves: int = 50_000) -> list[Figure]:
    """The figures of a log of so many leaves."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        house = House(Path(scratch) / "state")
        house.boot()
        for _ in range(leaves // 2200 + 1):
            house.calls(1000)
        begin = time.process_time()
        size = house.sequence()
        ordering = time.process_time() - begin
        path = house.directory / "journal" / FILE_NAME
        with house.log() as log, contextlib.closing(reading(path, KEY)) as journal:
            begin = time.process_time()
            for number in range(200):
                inclusion(number * 7919 % size, size, log.subtrees())
            proving = (time.process_time() - begin) / 200
            signed = log.latest()
            assert signed is not None
            evidence = Evidence(log, journal, house.directory / "log", None, signed)
            begin = time.process_time()
            run = verify(evidence, POLICY)
            verifying = time.process_time() - begin
            assert failed(run) == set()
        return [
            Figure("leaves ordered", size / ordering, 5_000, 30_000, "1/s", least=True),
            Figure("an inclusion proof", proving * 1000, 10, 2, "ms"),
            Figure("a million verified", verifying / size * 1e6, 60, 50, "s"),
            Figure("greatest memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 512, 128, "MiB"),
        ]


async def added(calls: int = 2000, rate: float = 200.0) -> list[Figure]:
    """What intent and outcome together add to a call, of so many a second.

    Providers take 30 to 70 ms: were it always the same, each outcome would come just behind another call's intent.
    """
    waits: list[float] = []
    stays = random.Random(1)

    async def call(ledger: Ledger) -> None:
        made = intent(time=now())
        begin = time.perf_counter()
        admission = await ledger.admit(made)
        admitted = time.perf_counter()
        await asyncio.sleep(stays.uniform(0.03, 0.07))
        answered = time.perf_counter()
        await ledger.conclude(admission, outcome(made, time=now()))
        waits.append(time.perf_counter() - answered + admitted - begin)

    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        journal = await Journal.open(Path(scratch) / "journal", KEY, configuration=CONFIGURATION)
        ledger, begin = Ledger(journal), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(calls):
                await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
                group.create_task(call(ledger))
        await journal.close()
    waits.sort()
    half, most = waits[calls // 2] * 1000, waits[calls * 99 // 100] * 1000
    return [
        Figure("added to a call, p50", half, 2, 1, "ms"),
        Figure("added to a call, p99", most, 10, 5, "ms"),
    ]


def main(leaves: int = 50_000) -> int:
    """Print the figures; 1 if one was missed."""
    costs = uvloop.run(added())
    floor = disk_syncs(pause=0.0025)  # two a call, as often as the calls above had them
    figures = [*costs, *measure(leaves)]
    for figure in figures:
        print(figure.line())
    print("the disk alone, 4 KiB and a sync every 2.5 ms: p50 {:.2f}, p99 {:.2f} ms".format(*floor))
    return int(any(figure.missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
