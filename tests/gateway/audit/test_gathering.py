"""Journals gathered into one: each row once and in order, and a log that says whose it was and misses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import verify as verifier
from gateway.audit.boot import row_line
from gateway.audit.evidence import Evidence as StateEvidence
from gateway.audit.gathering import Gatherer, OutOfTurn, Spool, started_by
from gateway.audit.journal import Journal, Settings
from gateway.audit.log_store import Signed
from gateway.audit.store import FILE_NAME, Carried, OutOfSpace, reading
from gateway.errors import Unavailable
from tests.gateway.audit.forgeries import POLICY, Evidence, Leaf, failed
from tests.gateway.audit.logs import KEY, House


def started_by_row(row: Carried) -> str:
    """The boot that a boot's first row begins."""
    return str(started_by(row.body))


class Gathered:
    """A home whose journal and log are made of its own rows and of its workers'; all tell one time."""

    def __init__(self, folder: Path) -> None:
        self.home = House(folder / "home")
        self.workers = [House(folder / f"w{number}") for number in range(2)]
        self.spools: dict[str, Spool] = {}

    def tick(self) -> int:
        for worker in self.workers:
            worker.time = max(worker.time, self.home.time)
        self.home.time = max(worker.time for worker in self.workers)
        return self.home.tick()

    @contextlib.asynccontextmanager
    async def open(self, patience: float = 10) -> AsyncIterator[Gatherer]:
        journal = await Journal.open(
            self.home.directory / "journal",
            KEY,
            configuration=self.home.configuration,
            clock=self.tick,
            settings=Settings(timeout=patience, ballast=4096),
        )
        self.journal = journal
        try:
            yield Gatherer(journal)
        finally:
            await journal.close()

    async def take(self, gatherer: Gatherer, most: int = 1024) -> int:
        """Gather what every worker has."""
        count = 0
        for number, worker in enumerate(self.workers):
            name = f"w{number}"
            if name not in self.spools:
                self.spools[name] = Spool(worker.directory / "journal", KEY)
            turn = await gatherer.turn(name)
            while rows := self.spools[name].after(turn.seq, most):
                count += await gatherer.take(name, rows, turn.seq, self.spools[name].started(rows[0].seq >> 40))
                turn = await gatherer.turn(name)
        return count

    @contextlib.contextmanager
    def evidence(self, start: Signed | None = None) -> Iterator[StateEvidence]:
        with (
            self.home.log() as log,
            contextlib.closing(reading(self.home.directory / "journal" / FILE_NAME, KEY)) as journal,
        ):
            latest = log.latest()
            assert latest is not None
            yield StateEvidence(log, journal, self.home.directory / "log", start, latest)

    def verified(self, start: Signed | None = None) -> verifier.Verification:
        with self.evidence(start) as evidence:
            return verifier.verify(evidence, POLICY)

    def close(self) -> None:
        for spool in self.spools.values():
            spool.close()
        for worker in self.workers:
            if worker._store is not None:
                worker.end(cleanly=False)


@pytest.fixture
def gathered(tmp_path: Path) -> Iterator[Gathered]:
    made = Gathered(tmp_path)
    yield made
    made.close()


async def test_what_workers_wrote_is_in_one_log_that_holds(gathered: Gathered) -> None:
    """Two workers, one of them killed with a call open and started again, and a home that restarts in the middle."""
    one, two = gathered.workers
    async with gathered.open() as gatherer:
        one.boot()
        two.boot()
        one.calls(6)
        two.calls(4)
        assert await gathered.take(gatherer, most=7) > 20
        gathered.home.sequence()
        one.write(one.intent())
        await gathered.take(gatherer)
        one.end(cleanly=False)
        one.tick()
        one.boot()
    async with gathered.open() as gatherer:
        two.calls(3)
        one.calls(2)
        await gathered.take(gatherer)
        two.end()
        await gathered.take(gatherer)
        assert await gathered.take(gatherer) == 0
    gathered.home.sequence()

    run = gathered.verified()

    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.facts()["totals"]["calls"] == 16
    assert run.facts()["totals"]["indeterminate"] == 1
    assert run.facts()["totals"]["open"] == 0
    assert any(line.startswith("writer ") and "without warning" in line for line in run.losses)


async def test_a_period_knows_the_workers_that_were_there_when_it_began(gathered: Gathered) -> None:
    """Their configuration was announced before it, by a home that has started anew since."""
    one, two = gathered.workers
    async with gathered.open() as gatherer:
        one.boot()
        two.boot()
        two.calls(1)
        two.end()
        two.boot()
        await gathered.take(gatherer)
    async with gathered.open() as gatherer:
        one.calls(3)
        await gathered.take(gatherer)
        gathered.home.sequence()
        with gathered.home.log() as log:
            start = log.latest()
        one.write(one.intent())
        one.end(cleanly=False)
        one.boot()
        one.calls(2)
        two.calls(2)
        two.end()
        await gathered.take(gatherer)
    gathered.home.sequence()

    run = gathered.verified(start)

    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.facts()["totals"]["calls"] == 5


async def test_a_home_that_is_killed_gathers_on_without_a_row_twice_or_missing(gathered: Gathered) -> None:
    """What was gathered is known from the journal itself, also in the middle of a worker's boot."""
    one, two = gathered.workers
    one.boot()
    two.boot()
    one.calls(8)
    async with gathered.open() as gatherer:
        await gathered.take(gatherer, most=5)
    one.calls(3)
    async with gathered.open() as gatherer:
        await gathered.take(gatherer)
        rows = gathered.spools["w0"].after(-1)
        assert await gatherer.take("w0", rows, -1) == 0
    gathered.home.sequence()

    assert failed(gathered.verified()) == set()


def two_boots(gathered: Gathered) -> tuple[list[Carried], int]:
    """The rows of a worker that ended well and began again, and where its second boot begins; another has begun, too."""
    one, two = gathered.workers
    one.boot()
    two.boot()
    one.calls(3)
    one.end()
    one.boot()
    one.calls(3)
    with contextlib.closing(Spool(one.directory / "journal", KEY)) as spool:
        rows = spool.after(-1)
    return rows, next(at for at, row in enumerate(rows) if row.seq >> 40 == 2)


async def test_a_row_after_a_missing_one_is_not_gathered(gathered: Gathered) -> None:
    """Neither in a boot, nor a boot after a missing one, nor one whose beginning is not there."""
    all_rows, second = two_boots(gathered)
    async with gathered.open() as gatherer:
        with pytest.raises(OutOfTurn):
            await gatherer.take("w0", all_rows[1:], all_rows[0].seq)
        with pytest.raises(OutOfTurn):
            await gatherer.take("w0", all_rows[second:], all_rows[second - 1].seq)
        assert await gatherer.take("w0", all_rows[:3], -1) == 3
        with pytest.raises(OutOfTurn):
            await gatherer.take("w0", all_rows[4:], all_rows[3].seq)
        with pytest.raises(
            OutOfTurn
        ):  # the end of the boot before may be on its way, or lost: its first row cannot say
            await gatherer.take("w0", all_rows[second:], all_rows[second - 1].seq)
        assert await gatherer.take("w0", all_rows[1:], all_rows[0].seq) == len(all_rows) - 3


async def test_rows_sent_again_from_a_boot_before_keep_each_its_own_boot(gathered: Gathered) -> None:
    """A home that starts anew is sent the end of a boot it has, and with it the next boot: whose those are is seen there."""
    rows, second = two_boots(gathered)
    async with gathered.open() as gatherer:
        await gatherer.take("w0", rows[: second + 2], -1)
    async with gathered.open() as gatherer:
        await gatherer.take("w0", rows[second - 2 :], rows[second - 3].seq, started_by_row(rows[0]))
    with contextlib.closing(reading(gathered.home.directory / "journal" / FILE_NAME, KEY)) as journal:
        found = journal.execute(
            "SELECT body ->> 'writer', body ->> 'wseq' FROM record WHERE body ->> 'writer' IS NOT NULL"
        )
        placed = [(str(writer), int(wseq)) for writer, wseq in found]

    boots = [started_by_row(rows[0]), started_by_row(rows[second])]
    assert placed == [(boots[(row.seq >> 40) - 1], row.seq & 0xFFFF) for row in rows]


async def test_a_worker_forgets_only_what_a_checkpoint_covers(gathered: Gathered) -> None:
    """And keeps what its own recovery needs: its boot record, its open calls, its last row."""
    one, two = gathered.workers
    one.boot()
    two.boot()
    one.calls(5)
    assert one._store is not None
    async with gathered.open() as gatherer:
        await gathered.take(gatherer)
        before = gathered.journal.last_seq
        assert gatherer.signed(before - 10**6) == {}
        gathered.home.sequence()
        with gathered.home.log() as log:
            signed = gatherer.signed(log.last_seq)["w0"]
        last = 1 << 40 | one._next - 1
        while one._store.trim(signed, [last]):
            pass
        assert [row.seq & 0xFFFF for row in gathered.spools["w0"].after(-1)] == [0, one._next - 1]
        at, open_call = one._next, one.intent()
        one._store.commit([row_line(open_call)], one._next, one._next)
        one._next += 1
        one.calls(2)
        await gathered.take(gatherer)
        one._store.trim(1 << 40 | one._next - 1, [1 << 40 | at, 1 << 40 | one._next - 1])
        kept = [row.seq & 0xFFFF for row in gathered.spools["w0"].after(-1)]
        assert kept == [0, at, one._next - 1]
    one.end(cleanly=False)
    one.boot()
    assert one._store is not None
    assert len(one._store.found.open_intents) == 1


async def test_a_home_whose_disk_is_full_gathers_nothing_and_then_all(gathered: Gathered) -> None:
    """A gathering that did not land is asked about, not guessed."""
    one, two = gathered.workers
    one.boot()
    two.boot()
    one.calls(3)
    async with gathered.open() as gatherer:
        store = gathered.journal._store
        whole = store.gather

        def full(*_arguments: object) -> None:
            raise OutOfSpace("full")

        store.gather = full  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await gathered.take(gatherer)
        store.gather = whole  # type: ignore[method-assign]
        async with asyncio.timeout(20):
            while gathered.journal._outage is not None or gathered.journal._full:
                await asyncio.sleep(0.05)
        assert await gathered.take(gatherer) == one._next + two._next
    gathered.home.sequence()

    assert failed(gathered.verified()) == set()


async def test_a_home_grants_again_once_a_slow_gathering_is_over(gathered: Gathered) -> None:
    """Whoever waited behind it too long was refused; with no call open, there is no other commit to say that all is well."""
    one, two = gathered.workers
    one.boot()
    two.boot()
    one.calls(3)
    begun, may_end = threading.Event(), threading.Event()
    async with gathered.open(patience=0.05) as gatherer:
        whole = gathered.journal._store.gather

        def slow(*arguments: Any) -> None:
            begun.set()
            assert may_end.wait(10)
            whole(*arguments)

        gathered.journal._store.gather = slow  # type: ignore[method-assign]
        gathering = asyncio.create_task(gathered.take(gatherer))
        assert await asyncio.to_thread(begun.wait, 10)
        waiting = gathered.journal.submit(gathered.home.intent())
        gathered.journal._watch()  # as the watchdog of a commit just before does
        with pytest.raises(Unavailable):
            await waiting
        may_end.set()
        await gathering
        await gathered.journal.append(gathered.home.refusal())


Change = Callable[[list[dict[str, object]]], object]


def _drop(kind: str, at: int) -> Change:
    def change(records: list[dict[str, object]]) -> None:
        found = [record for record in records if "writer" in record and record["kind"] == kind]
        records.remove(found[at])

    return change


def _set(act: str, at: int, **values: object) -> Change:
    def change(records: list[dict[str, object]]) -> None:
        found = [record for record in records if "writer" in record and record.get("act") == act]
        found[at].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "assertion"),
    [
        pytest.param(_drop("refusal", 0), "A5", id="a-row-of-a-worker-gone"),
        pytest.param(_drop("outcome", 1), "A5", id="an-outcome-gone"),
        pytest.param(_set("boot", 0, started="ab" * 16), "A5", id="a-boot-that-begins-another"),
        pytest.param(_set("boot", 2, previous="ab" * 16), "A5", id="a-worker-after-nobody"),
        pytest.param(_set("boot", 1, clean=True), "A5", id="a-kill-called-clean"),
        pytest.param(_set("boot", 0, configuration="ab" * 32), "A10", id="calls-under-what-was-not-announced"),
        pytest.param(_drop("operator", 0), "A5", id="a-worker-without-its-boot"),
    ],
)
async def test_a_key_holder_cannot_leave_out_a_workers_row(gathered: Gathered, change: Change, assertion: str) -> None:
    """Numbered anew as the home's rows and signed by the log's own key: the worker's own numbers stand against it."""
    one, two = gathered.workers
    async with gathered.open() as gatherer:
        one.boot()
        two.boot()
        one.calls(6)
        two.calls(2)
        one.write(one.intent())
        one.end(cleanly=False)
        one.boot()
        one.calls(2)
        await gathered.take(gatherer)
    gathered.home.sequence()
    with gathered.evidence() as evidence:
        rows = [Leaf(*each) for each in evidence.leaves()]
        made = Evidence(rows, evidence.note_b, evidence.configurations)
    assert failed(made.verify()) == set()

    records = [row.record for row in made.rows]
    change(records)
    counts: dict[str, int] = {}
    tenants: dict[object, int] = {}
    forged = []
    for record in records:
        if "rseq" in record:
            record["rseq"] = counts.setdefault(str(record["boot"]), 0)
            counts[str(record["boot"])] += 1
        if "tseq" in record and record["kind"] != "tenant_head":
            record["tseq"] = tenants[record["tenant"]] = tenants.get(record["tenant"], 0) + 1
        shape = next(row for row in made.rows if row.clear == (record["kind"] == "operator"))
        forged.append(shape.saying(json.dumps(record, sort_keys=True, separators=(",", ":"))))
    run = replace(made, rows=forged).signed().verify()

    assert assertion in failed(run)
