"""What the record costs: CPU per append and the wait for durability, at several rates and by cipher.

Run `python -m tests.bench.journal`. A call is an intent, a short stay upstream, and an outcome.
CPU is of the whole process (loop, journal thread, kernel time of the sync), less that of the same
load without a journal.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from gateway.audit.boot import row_line
from gateway.audit.journal import Journal, Settings, now
from gateway.audit.ledger import Ledger
from gateway.audit.record import Intent
from gateway.audit.store import Cipher, SqliteStore
from tests.gateway.audit.samples import CONFIGURATION, KEY, intent, outcome


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU per append; milliseconds of waiting for the intent."""

    appends: int
    per_append_us: float
    wait_p50_ms: float
    wait_p99_ms: float
    wait_max_ms: float

    def __str__(self) -> str:
        return (
            f"{self.appends:6} appends  {self.per_append_us:6.1f} us each  "
            f"wait p50 {self.wait_p50_ms:.2f} p99 {self.wait_p99_ms:.2f} max {self.wait_max_ms:.2f} ms"
        )


async def at_rate(ledger: Ledger | None, calls_per_second: float, seconds: float) -> tuple[float, list[float]]:
    """CPU seconds spent and the waits of intents, for calls that arrive evenly on a 1 ms grid."""
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    begin, cpu = loop.time(), time.process_time()
    made = 0
    async with asyncio.TaskGroup() as tasks:
        while (elapsed := loop.time() - begin) < seconds:
            while made < elapsed * calls_per_second:
                tasks.create_task(_one_call(ledger, waits))
                made += 1
            await asyncio.sleep(0.001)
    return time.process_time() - cpu, waits


async def saturated(ledger: Ledger | None, calls: int, concurrency: int) -> tuple[float, list[float]]:
    """As `at_rate`, for `concurrency` callers that each send their next call at once."""
    waits: list[float] = []
    cpu = time.process_time()

    async def caller() -> None:
        for _ in range(calls // concurrency):
            await _one_call(ledger, waits)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(caller())
    return time.process_time() - cpu, waits


async def _one_call(ledger: Ledger | None, waits: list[float]) -> None:
    made: Intent = intent(time=now())
    begin = time.perf_counter()
    if ledger is None:
        outcome(made)
        return
    admission = await ledger.admit(made)
    waits.append(time.perf_counter() - begin)
    await asyncio.sleep(0)
    await ledger.conclude(admission, outcome(made, time=now()))


async def measure(cipher: Cipher, load: Callable[[Ledger | None], Awaitable[tuple[float, list[float]]]]) -> Cost:
    """Run one load on a fresh journal and subtract the same load without one."""
    with tempfile.TemporaryDirectory() as directory:
        opener = partial(SqliteStore, Path(directory) / "journal", KEY, cipher=cipher)
        journal = await Journal.open(
            Path(directory), KEY, configuration=CONFIGURATION, opener=opener, settings=Settings(ballast=0, timeout=5)
        )
        cpu, waits = await load(Ledger(journal))
        await journal.close()
    idle, _ = await load(None)
    waits.sort()
    appends = 2 * len(waits)
    return Cost(
        appends,
        (cpu - idle) / appends * 1e6,
        *(waits[int(len(waits) * part)] * 1e3 for part in (0.5, 0.99)),
        waits[-1] * 1e3,
    )


def commit_costs(cipher: Cipher, batch: int, commits: int = 200) -> tuple[float, float, float]:
    """One batch straight into the store: p50 and p99 in ms, CPU in us a row."""
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory) / "journal", KEY, cipher=cipher)
        waits, cpu, first = [], 0.0, 0
        for _ in range(commits):
            made = [intent(time=now()) for _ in range(batch)]
            lines = [row_line(each) for each in made]
            begin, used = time.perf_counter(), time.process_time()
            store.commit(lines, first, 0)
            cpu += time.process_time() - used
            waits.append(time.perf_counter() - begin)
            first += batch
        store.close()
    waits.sort()
    return waits[len(waits) // 2] * 1e3, waits[int(len(waits) * 0.99)] * 1e3, cpu / first * 1e6


def disk_syncs(count: int = 300, pause: float = 0.0) -> tuple[float, float]:
    """What the disk itself takes now for 4 KiB written over and synced: p50 and p99 in ms, to read the rest against.

    After `pause` seconds of rest each: a machine that slept in between takes longer, for a journal as for this.
    """
    waits = []
    with tempfile.NamedTemporaryFile() as file:
        os.write(file.fileno(), bytes(4096 * count))
        os.fsync(file.fileno())
        for number in range(count):
            time.sleep(pause)
            begin = time.perf_counter()
            os.pwrite(file.fileno(), bytes(4096), 4096 * number)
            os.fdatasync(file.fileno())
            waits.append(time.perf_counter() - begin)
    waits.sort()
    return waits[count // 2] * 1e3, waits[int(count * 0.99)] * 1e3


async def main() -> None:
    """Print the whole table."""
    async for row in table():
        sys.stdout.write(f"{row}\n")


async def table() -> AsyncIterator[str]:
    """The figures, a line each."""
    for cipher in Cipher:
        for batch in (1, 4, 10, 100):
            p50, p99, each = commit_costs(cipher, batch)
            yield (f"{cipher:10} commit of {batch:3}: p50 {p50:.2f} p99 {p99:.2f} ms, {each:.1f} us CPU a row")
    yield "disk alone, 4 KiB and a sync: p50 {:.2f} p99 {:.2f} ms".format(*disk_syncs())
    for cipher in Cipher:
        for rate in (0.5, 50.0, 1500.0, 3000.0):
            cost = await measure(cipher, partial(at_rate, calls_per_second=rate, seconds=4.0))
            yield (f"{cipher:10} {2 * rate:5.0f} appends/s: {cost}")
        for concurrency in (32, 256):
            cost = await measure(cipher, partial(saturated, calls=8192, concurrency=concurrency))
            yield (f"{cipher:10} {concurrency} callers at once: {cost}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(main())
