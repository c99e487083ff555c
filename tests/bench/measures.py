"""The measures: each is taken of all subjects in turn, in one run, and gives figures by subject."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.bench.load import Failed, Streams, burst, get, open_loop
from tests.bench.provider import FLAT, HOLD, PACED, PLAIN
from tests.bench.subjects import PROXY_CORE, DidNotStart, Subject
from tests.bench.texts import continued, conversation, grown, prompt, transcript

BARE = "bare"
_POOL_BYTES = 48 * 1024 * 1024
_FRESH_BYTES = 160 * 1024 * 1024
_CONVERSATIONS = 32


@dataclass(frozen=True, slots=True)
class Doses:
    """How long and how often. `passes` are rounds of one burst of every subject, the order reversed each time."""

    passes: int
    burst: float
    latency: float
    rounds: int
    streams: float
    held: int
    starts: int


FULL = Doses(passes=6, burst=0.8, latency=2.0, rounds=4, streams=1.2, held=1000, starts=2)
QUICK = Doses(passes=2, burst=0.4, latency=1.0, rounds=1, streams=0.8, held=300, starts=1)


@dataclass(slots=True)
class Bench:
    """One run: the provider's port, the subjects, the doses, and the texts' source."""

    provider: int
    subjects: Sequence[Subject]
    doses: Doses
    source: random.Random = field(default_factory=random.Random)


@dataclass(slots=True)
class Figures:
    """A measure's outcome: row -> subject -> figure, and why a subject has none."""

    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def put(self, row: str, subject: str, figure: float) -> None:
        """Note one figure."""
        self.rows.setdefault(row, {})[subject] = figure


async def _in_turn(bench: Bench, rounds: int, figures: Figures, take: Callable[[Subject], Awaitable[None]]) -> None:
    """Every subject once a round; the order is reversed each time, and one that failed is left out."""
    for number in range(rounds):
        for subject in bench.subjects if number % 2 == 0 else list(reversed(bench.subjects)):
            if subject.name not in figures.failures:
                try:
                    await take(subject)
                except (Failed, DidNotStart) as problem:
                    figures.failures[subject.name] = str(problem)
        # What a vanished load left behind should not weigh on the next one.
        await asyncio.sleep(0.05)


async def throughput(bench: Bench, size: int, made: Callable[[], bytes]) -> Figures:
    """Requests a second at saturation, of so many bytes: the best burst, and the median ratio to bare within a round."""
    figures = Figures()
    rates: dict[str, list[float]] = {}
    expected: dict[str, float] = {}

    async def take(subject: Subject) -> None:
        limit = (_FRESH_BYTES if subject.fresh else _POOL_BYTES) // size
        wanted = max(int(expected.get(subject.name, 500) * bench.doses.burst * 1.5), 64) + 96
        bodies = [made() for _ in range(min(limit, wanted if subject.fresh else 64))]
        requests = [subject.target.request(body) for body in bodies]
        rate = await burst(subject.target, requests, 32, bench.doses.burst)
        expected[subject.name] = max(rate, expected.get(subject.name, 0))
        rates.setdefault(subject.name, []).append(rate)

    # The first round warms up, and tells how many new texts a burst needs.
    await _in_turn(bench, 1, figures, take)
    rates.clear()
    await _in_turn(bench, bench.doses.passes, figures, take)
    for name, taken in rates.items():
        figures.put("requests/s", name, max(taken))
        if BARE in rates:
            figures.put("of bare", name, _median([a / b for a, b in zip(taken, rates[BARE], strict=False)]))
    return figures


async def fresh(bench: Bench, size: int) -> Figures:
    """The same, where each text is new."""
    return await throughput(bench, size, lambda: prompt(PLAIN, size, bench.source))


async def one_more_turn(bench: Bench, size: int) -> Figures:
    """The same, where conversations are sent again, each with a new turn."""
    known = itertools.cycle([conversation(size, bench.source) for _ in range(_CONVERSATIONS)])
    return await throughput(bench, size, lambda: continued(PLAIN, next(known), bench.source))


async def grown_text(bench: Bench, size: int) -> Figures:
    """The same, where all was said in one text, and that has grown by a turn."""
    known = itertools.cycle([transcript(size, bench.source) for _ in range(_CONVERSATIONS)])
    return await throughput(bench, size, lambda: grown(PLAIN, next(known), bench.source))


async def latency(bench: Bench) -> Figures:
    """Microseconds from the scheduled instant to the answer at 100 requests/s and 1 KB: best round of each."""
    figures = Figures()
    taken: dict[str, list[tuple[float, float]]] = {}

    async def take(subject: Subject) -> None:
        total = int(100 * bench.doses.latency)
        requests = [subject.target.request(prompt(PLAIN, 1024, bench.source)) for _ in range(total)]
        found = await open_loop(subject.target, iter(requests), 100, bench.doses.latency)
        taken.setdefault(subject.name, []).append((_quantile(found, 0.5), _quantile(found, 0.99)))

    await _in_turn(bench, bench.doses.rounds, figures, take)
    for name, rounds in taken.items():
        figures.put("p50 ms", name, min(p50 for p50, _ in rounds) / 1e3)
        figures.put("p99 ms", name, min(p99 for _, p99 in rounds) / 1e3)
        if BARE in taken:
            for row, index in (("p50 ms over bare", 0), ("p99 ms over bare", 1)):
                best = min(one[index] for one in rounds) - min(one[index] for one in taken[BARE])
                figures.put(row, name, best / 1e3)
    return figures


async def chunks_flat_out(bench: Bench) -> Figures:
    """Stream chunks a second, 32 streams as fast as they go, and processor time for each: the best round."""
    figures = Figures()

    async def take(subject: Subject) -> None:
        streams = Streams(subject.target, prompt(FLAT, 256, bench.source, stream=True))
        await streams.open(32, 10)
        before, spent, begin = streams.chunks.count, subject.cpu(), time.perf_counter()
        await asyncio.sleep(bench.doses.streams)
        brought = streams.chunks.count - before
        rate = brought / (time.perf_counter() - begin)
        if subject.argv and brought:
            _least(figures, "CPU us a chunk", subject.name, (subject.cpu() - spent) * 1e6 / brought)
        streams.vanish()
        await _quiet(bench)
        figures.put("chunks/s", subject.name, max(rate, figures.rows.get("chunks/s", {}).get(subject.name, 0)))

    await _in_turn(bench, bench.doses.rounds, figures, take)
    return figures


async def first_token(bench: Bench) -> Figures:
    """Milliseconds from a request to the first token of its stream, one stream at a time: the best round's median."""
    figures = Figures()

    async def take(subject: Subject) -> None:
        taken: list[float] = []
        for _ in range(20):
            streams = Streams(subject.target, prompt(PACED, 256, bench.source, stream=True))
            streams.chunks.timed = True
            begin = time.perf_counter()
            await streams.open(1, 10)
            while not streams.chunks.delays:
                await asyncio.sleep(0.001)
            taken.append((time.perf_counter() - begin) * 1e3)
            streams.vanish()
        await _quiet(bench)
        _least(figures, "p50 ms", subject.name, _quantile(taken, 0.5))

    await _in_turn(bench, bench.doses.rounds, figures, take)
    return figures


async def chunk_delay(bench: Bench) -> Figures:
    """Milliseconds from the provider's write to the caller's read, 100 streams of 50 chunks/s each."""
    figures = Figures()
    taken: dict[str, list[tuple[float, float]]] = {}

    async def take(subject: Subject) -> None:
        streams = Streams(subject.target, prompt(PACED, 256, bench.source, stream=True))
        await streams.open(100, 10)
        await asyncio.sleep(0.3)
        streams.chunks.timed = True
        before, spent = streams.chunks.count, subject.cpu()
        await asyncio.sleep(bench.doses.streams)
        delays = streams.chunks.delays
        if subject.argv and delays:
            cpu = (subject.cpu() - spent) * 1e6 / (streams.chunks.count - before)
            _least(figures, "CPU us a chunk", subject.name, cpu)
        streams.vanish()
        await _quiet(bench)
        if not delays:
            raise Failed("no chunk arrived")
        taken.setdefault(subject.name, []).append((_quantile(delays, 0.5), _quantile(delays, 0.99)))

    await _in_turn(bench, bench.doses.rounds, figures, take)
    for name, rounds in taken.items():
        for row, index in (("p50", 0), ("p99", 1)):
            best = min(one[index] for one in rounds)
            figures.put(f"{row} ms", name, best / 1e3)
            if BARE in taken:
                figures.put(f"{row} of bare", name, best / min(one[index] for one in taken[BARE]))
    return figures


async def held_streams(bench: Bench) -> Figures:
    """KiB a held stream, streams the provider still serves 2 s after all callers vanished, and when none was left."""
    figures = Figures()

    async def take(subject: Subject) -> None:
        body = prompt(HOLD, 256, bench.source, stream=True)
        first = Streams(subject.target, body)
        await first.open(min(50, bench.doses.held), 10)
        first.vanish()
        await _quiet(bench)
        before = subject.memory()
        streams = Streams(subject.target, body)
        await streams.open(bench.doses.held, 30)
        await asyncio.sleep(1.0)
        if subject.argv:
            figures.put("KiB a stream", subject.name, (subject.memory() - before) / bench.doses.held)
        streams.vanish()
        begin = time.monotonic()
        gone: float | None = None
        while gone is None and time.monotonic() - begin < 2.0:
            await asyncio.sleep(0.02)
            if await _open(bench) == 0:
                gone = time.monotonic() - begin
        figures.put("open after 2 s", subject.name, 0 if gone is not None else await _open(bench))
        if gone is not None:
            figures.put("none after s", subject.name, gone)
        await _quiet(bench)

    await _in_turn(bench, 1, figures, take)
    return figures


async def footprint(bench: Bench) -> Figures:
    """MB of the idle process tree soon after its start, and seconds from start to ready: the best of some starts."""
    figures = Figures()

    async def take(subject: Subject) -> None:
        if not subject.argv:
            return
        await subject.stop()
        await subject.start(PROXY_CORE)
        await asyncio.sleep(0.5)
        for row, figure in (("idle MB", subject.memory() * 1024 / 1e6), ("start s", subject.started_in)):
            figures.put(row, subject.name, min(figure, figures.rows.get(row, {}).get(subject.name, figure)))

    await _in_turn(bench, bench.doses.starts, figures, take)
    return figures


async def redaction(bench: Bench) -> Figures:
    """The redactor alone, in a process of its own: see `tests.bench.redaction`."""
    figures = Figures()
    quick = ["--quick"] if bench.doses is QUICK else []
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.redaction", "--json", *quick, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await done.communicate()
    if done.returncode:
        figures.failures["gateway"] = "the redactor's own benchmark failed"
        return figures
    for row, figure in json.loads(output).items():
        figures.put(row, "gateway", figure)
    return figures


MEASURES: dict[str, Callable[[Bench], Awaitable[Figures]]] = {
    "footprint": footprint,
    "rps-1k": lambda bench: fresh(bench, 1024),
    "rps-50k": lambda bench: fresh(bench, 50 * 1024),
    "turn-50k": lambda bench: one_more_turn(bench, 50 * 1024),
    "grown-50k": lambda bench: grown_text(bench, 50 * 1024),
    "latency": latency,
    "chunks": chunks_flat_out,
    "first": first_token,
    "delay": chunk_delay,
    "streams": held_streams,
    "redaction": redaction,
}


async def _open(bench: Bench) -> int:
    return int(await get(bench.provider, "/open") or b"-1")


async def _quiet(bench: Bench) -> None:
    """Wait until the provider serves no stream, 10 s at most: the next subject must not pay for this one."""
    for _ in itertools.repeat(None, 200):
        if await _open(bench) == 0:
            return
        await asyncio.sleep(0.05)


def _least(figures: Figures, row: str, subject: str, figure: float) -> None:
    figures.put(row, subject, min(figure, figures.rows.get(row, {}).get(subject, figure)))


def _quantile(figures: Sequence[float], share: float) -> float:
    ordered = sorted(figures)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _median(figures: Sequence[float]) -> float:
    return _quantile(figures, 0.5)
