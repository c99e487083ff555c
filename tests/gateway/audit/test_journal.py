"""The commit point: durable or refused, in order, under every fault of the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from gateway.audit.boot import first_records, row_line
from gateway.audit.journal import Settings
from gateway.audit.language import Id, NotRecordable
from gateway.audit.reader import Filters, Line, query
from gateway.audit.record import Operator, Refusal, parse
from gateway.audit.store import OutOfSpace, SqliteStore, StoreFault
from gateway.audit.words import Act
from gateway.errors import Code, Unavailable
from tests.gateway.audit.conftest import Opener
from tests.gateway.audit.faults import Faults
from tests.gateway.audit.samples import CONFIGURATION, EPOCH, KEY, intent, outcome, refusal

Lines = Callable[[], list[Line]]
QUICK = Settings(timeout=0.5, closing_timeout=1.0, check_every=0.02, ballast=4096)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop and the journal's thread run until it holds, at most 10 s."""
    async with asyncio.timeout(10):
        while not condition():  # what is awaited happens in another thread or a timer, by design without an event
            await asyncio.sleep(0.001)


async def test_rows_are_contiguous_in_the_order_of_submission(open_journal: Opener, lines: Lines) -> None:
    """Many writers at once get every number of the boot exactly once, in the order they asked."""
    journal = await open_journal()
    made = [intent() for _ in range(1000)]

    places = await asyncio.gather(*(journal.append(each) for each in made))

    assert places == list(range(1, 1001))
    rows = [line for line in lines() if line["kind"] == "intent"]
    assert [row["call"] for row in rows] == [each.call for each in made]
    assert [row["rseq"] for row in rows] == places


async def test_appending_waits_for_the_sync(open_journal: Opener, faults: Faults) -> None:
    """No append returns before the disk has synced its row."""
    journal = await open_journal(faulty=True)
    before = faults.syncs
    faults.hold.clear()

    waiting = journal.submit(intent())
    await until(faults.syncing.is_set)
    await asyncio.sleep(0)

    assert not waiting.done()
    faults.hold.set()
    assert await waiting == 1
    assert faults.syncs > before


async def test_what_queues_during_a_sync_is_one_commit(open_journal: Opener, faults: Faults) -> None:
    """A hundred rows that arrive while the disk syncs cost one more sync, not a hundred."""
    journal = await open_journal(faulty=True)
    faults.hold.clear()
    first = journal.submit(intent())
    await until(faults.syncing.is_set)
    before = faults.syncs
    rest = [journal.submit(intent()) for _ in range(100)]

    faults.hold.set()
    await asyncio.gather(first, *rest)

    assert faults.syncs == before + 1


async def test_what_comes_turn_by_turn_is_one_commit(open_journal: Opener, faults: Faults) -> None:
    """While the loop has more ready, a commit takes it along; one that comes alone waits for nobody."""
    journal = await open_journal(faulty=True)
    before = faults.syncs
    records = [journal.submit(intent()), journal.submit(intent())]
    asyncio.get_running_loop().call_soon(lambda: records.append(journal.submit(intent())))
    await asyncio.sleep(0)

    await asyncio.gather(*records)
    together = faults.syncs - before
    alone = journal.submit(intent())
    await asyncio.sleep(0)
    handed_over = len(journal._batch)
    await alone

    assert len(records) == 3
    assert together == 1
    assert handed_over == 1


def beyond_limit() -> Refusal:
    """A refusal of a caller beyond its limit."""
    return replace(refusal(), code=Code.RATE_LIMITED)


async def test_refusals_for_a_limit_wait_for_company(open_journal: Opener, faults: Faults) -> None:
    """Where calls are under way, so that many are one commit; they go with the next of them, or in the end by themselves."""
    journal = await open_journal(faulty=True, settings=Settings(timeout=10, ballast=4096, patience=0.2))
    began = asyncio.get_running_loop().time()
    places = [await journal.append(beyond_limit())]
    assert asyncio.get_running_loop().time() - began < 0.2  # nobody is there whose call would wait
    places.append(await journal.append(intent()))
    before = faults.syncs
    many = [journal.submit(beyond_limit())]
    for _ in range(50):
        await asyncio.sleep(0)
        many.append(journal.submit(beyond_limit()))
    assert (faults.syncs, journal._batch) == (before, [])
    places += await asyncio.gather(*many)
    assert faults.syncs == before + 1

    with_others = [journal.submit(beyond_limit()), journal.submit(intent())]
    began = asyncio.get_running_loop().time()
    places += await asyncio.gather(*with_others)
    assert asyncio.get_running_loop().time() - began < 0.2
    assert faults.syncs == before + 2

    faults.hold.clear()
    intent_first = journal.submit(intent())
    await until(faults.syncing.is_set)
    meanwhile = journal.submit(beyond_limit())
    await asyncio.sleep(0.25)  # beyond its patience, while the disk is busy
    faults.hold.set()
    places += [await intent_first, await meanwhile]
    assert await journal.drain(5)

    assert places == list(range(1, len(places) + 1))


async def test_a_record_outside_its_domain_never_reaches_the_disk(open_journal: Opener, lines: Lines) -> None:
    """What is not recordable raises at once and leaves the journal as it was."""
    journal = await open_journal()

    with pytest.raises(NotRecordable):
        await journal.append(Operator(time=-1, act=Act.KEY))

    assert journal.healthy
    assert [line["kind"] for line in lines()] == ["operator"]


async def test_an_attempt_has_one_intent_and_one_outcome(open_journal: Opener) -> None:
    """A second intent while it is open, a second outcome, and an outcome of nothing are refused."""
    journal = await open_journal()
    made = intent()
    await journal.append(made)

    with pytest.raises(ValueError, match="intent already"):
        await journal.append(made)
    await journal.append(outcome(made))
    with pytest.raises(ValueError, match="no open intent"):
        await journal.append(outcome(made))
    with pytest.raises(ValueError, match="no open intent"):
        await journal.append(outcome(intent()))


async def test_a_reused_attempt_is_caught_by_the_file(open_journal: Opener) -> None:
    """A closed attempt cannot be opened again: the file refuses it and the journal stops."""
    journal = await open_journal()
    made = intent()
    await journal.append(made)
    await journal.append(outcome(made))

    with pytest.raises(Unavailable):
        await journal.append(made)
    assert not journal.healthy


async def test_cancelling_the_wait_does_not_take_the_record_back(open_journal: Opener, lines: Lines) -> None:
    """A record whose waiter is cancelled still lands, once."""
    journal = await open_journal()
    made = intent()
    task = asyncio.ensure_future(journal.append(made))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert await journal.drain(5)

    assert [line["call"] for line in lines() if line["kind"] == "intent"] == [made.call]


async def test_a_clean_end_is_known_at_the_next_start(open_journal: Opener, lines: Lines) -> None:
    """The next boot names the one before and says that it ended cleanly; nothing was open."""
    first = await open_journal()
    await first.append(refusal())
    await first.close()
    second = await open_journal()

    acts = [
        (line.get("act"), line.get("clean"), line.get("previous")) for line in lines() if line["kind"] == "operator"
    ]
    assert acts == [("boot", None, None), ("shutdown", None, None), ("boot", True, first.boot)]
    assert second.boot != first.boot


async def test_closing_closes_what_is_open(open_journal: Opener, lines: Lines) -> None:
    """A call that is still open at the end gets `indeterminate` before the shutdown record."""
    journal = await open_journal()
    made = intent()
    await journal.append(made)

    await journal.close()
    await journal.close()

    ends = [(line["kind"], line["result"] or line.get("act")) for line in lines()]
    assert ends[-2:] == [("outcome", "indeterminate"), ("operator", "shutdown")]
    with pytest.raises(Unavailable):
        await journal.append(intent())


async def test_a_second_writer_is_refused(open_journal: Opener, directory: Path) -> None:
    """While one process writes a journal, nobody else can open it for writing."""
    journal = await open_journal()

    with pytest.raises(StoreFault, match="another process"):
        await open_journal()
    with pytest.raises(StoreFault, match="another process"):
        SqliteStore(directory, KEY)

    await journal.append(intent())


async def test_a_failed_sync_poisons_until_recovery(open_journal: Opener, faults: Faults, lines: Lines) -> None:
    """After EIO on a sync nothing is written any more; recovery closes what was open, as a new boot."""
    journal = await open_journal(faulty=True)
    before, landed = intent(), intent()
    await journal.append(before)
    faults.sync = apsw.IOError

    with pytest.raises(Unavailable) as caught:
        await journal.append(landed)
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert not journal.healthy and journal.fault
    faults.sync = None
    for record in (intent(), refusal(), outcome(before)):
        with pytest.raises(Unavailable):
            await journal.append(record)

    boot = journal.boot
    await journal.recover()

    assert journal.healthy and journal.boot != boot and not journal.open_calls
    await journal.append(intent())
    rows = lines()
    intents = [line["call"] for line in rows if line["kind"] == "intent"]
    outcomes = [(line["call"], line["result"]) for line in rows if line["kind"] == "outcome"]
    assert outcomes == [(call, "indeterminate") for call in intents[:-1]]
    assert before.call in intents
    assert "recovery" in [line.get("act") for line in rows]


async def test_a_failed_write_poisons(open_journal: Opener, faults: Faults) -> None:
    """EIO on a write is as final as on a sync."""
    journal = await open_journal(faulty=True)
    faults.write = apsw.IOError

    with pytest.raises(Unavailable):
        await journal.append(intent())
    assert not journal.healthy


async def test_recovery_on_a_broken_disk_fails_and_stays_poisoned(open_journal: Opener, faults: Faults) -> None:
    """If the file still cannot be written, recovery raises and the journal keeps refusing."""
    journal = await open_journal(faulty=True)
    faults.sync = apsw.IOError
    with pytest.raises(Unavailable):
        await journal.append(intent())

    with pytest.raises(StoreFault):
        await journal.recover()

    assert not journal.healthy
    with pytest.raises(Unavailable):
        await journal.append(intent())
    faults.sync = None
    await journal.recover()
    assert journal.healthy


async def test_a_hanging_disk_refuses_instead_of_freezing(open_journal: Opener, faults: Faults, lines: Lines) -> None:
    """Within the timeout waiters are refused, later intents at once; afterwards a gap says how many."""
    journal = await open_journal(QUICK, faulty=True)
    held = intent()
    await journal.append(held)
    faults.hold.clear()
    late = intent()

    with pytest.raises(Unavailable):
        await journal.append(late)
    assert not journal.healthy
    for _ in range(3):
        with pytest.raises(Unavailable):
            journal.submit(intent())
    closing = journal.submit(outcome(held))
    with pytest.raises(Unavailable):
        await closing

    faults.hold.set()
    await until(lambda: journal.healthy)
    assert await journal.drain(5)

    rows = lines()
    assert [line["call"] for line in rows if line["kind"] == "intent"] == [held.call, late.call]
    assert [line["call"] for line in rows if line["kind"] == "outcome"] == [held.call]
    gaps = [line for line in rows if line.get("act") == "gap"]
    assert [(gap["refused"], gap["start"], gap["end"]) for gap in gaps] == [(4, EPOCH, EPOCH)]
    await journal.append(intent())


async def test_an_outcome_outwaits_a_hang(open_journal: Opener, faults: Faults, lines: Lines) -> None:
    """Intents are refused while the disk hangs; an answer that is on its way waits for it to move again."""
    patient = Settings(timeout=0.05, closing_timeout=30.0, check_every=0.02, ballast=4096)
    journal = await open_journal(patient, faulty=True)
    held, queued = intent(), intent()
    await journal.append(held)
    await journal.append(queued)
    faults.hold.clear()
    closing = journal.submit(outcome(held))
    await until(lambda: not journal.healthy)
    behind = journal.submit(outcome(queued))
    with pytest.raises(Unavailable):
        journal.submit(intent())
    assert not closing.done()
    assert not behind.done()

    faults.hold.set()

    assert await closing < await behind
    assert [line["call"] for line in lines() if line["kind"] == "outcome"] == [held.call, queued.call]
    assert journal.healthy


async def test_a_hang_is_seen_although_its_first_waiter_left(open_journal: Opener, faults: Faults) -> None:
    """The breaker watches the disk, not the caller: a cancelled waiter does not hide a hang."""
    journal = await open_journal(QUICK, faulty=True)
    faults.hold.clear()
    journal.submit(intent()).cancel()

    await until(lambda: not journal.healthy)

    with pytest.raises(Unavailable):
        journal.submit(intent())


class _SmallDisk(SqliteStore):
    """A disk that is full while `full` is set, but for what the ballast gave back."""

    full = False
    room = 0

    def commit(self, lines: object, first: int, floor: int) -> None:
        if _SmallDisk.full and _SmallDisk.room <= 0:
            raise OutOfSpace("full")
        _SmallDisk.room -= 1
        super().commit(lines, first, floor)  # type: ignore[arg-type]

    def release_ballast(self) -> bool:
        _SmallDisk.room = 1
        return super().release_ballast()

    def restore_ballast(self) -> bool:
        return not _SmallDisk.full and super().restore_ballast()


async def test_a_full_disk_still_closes_calls(open_journal: Opener, directory: Path, lines: Lines) -> None:
    """Outcomes go into the ballast's room, intents are refused, and a gap is recorded when space returns."""
    _SmallDisk.full, _SmallDisk.room = False, 0
    journal = await open_journal(Settings(timeout=10, check_every=0.01, ballast=4096), store=_SmallDisk)
    held = intent()
    await journal.append(held)
    _SmallDisk.full = True

    refused = [journal.submit(intent()), journal.submit(refusal())]
    closing = journal.submit(outcome(held))

    assert await closing == 2
    for each in refused:
        with pytest.raises(Unavailable):
            await each
    assert not journal.healthy
    assert not (directory / "ballast").exists()
    with pytest.raises(Unavailable):
        await journal.append(intent())

    _SmallDisk.full = False
    await until(lambda: journal.healthy)
    assert await journal.append(intent()) in {3, 4}
    assert await journal.drain(5)

    assert (directory / "ballast").stat().st_size == 4096
    assert [line["refused"] for line in lines() if line.get("act") == "gap"] == [3]
    assert [line["rseq"] for line in lines()] == list(range(5))


async def test_sqlite_s_own_disk_full_is_not_a_poisoning(open_journal: Opener, faults: Faults, lines: Lines) -> None:
    """ENOSPC from the file system leaves the file sound: the next commit after it works."""
    journal = await open_journal(QUICK, faulty=True)
    faults.write = apsw.FullError

    with pytest.raises(Unavailable):
        await journal.append(intent())
    assert journal.fault is None

    faults.write = None
    await until(lambda: journal.healthy)
    made = intent()
    await journal.append(made)
    assert [line["call"] for line in lines() if line["kind"] == "intent"] == [made.call]


async def test_a_full_queue_refuses_intents_but_not_outcomes(open_journal: Opener, faults: Faults) -> None:
    """At the limit the next intent is refused at once, while an open call can still be closed."""
    journal = await open_journal(Settings(waiting=3, timeout=30, ballast=0), faulty=True)
    held = intent()
    await journal.append(held)
    faults.hold.clear()
    journal.submit(intent())
    await until(faults.syncing.is_set)
    waiting = [journal.submit(intent()) for _ in range(3)]

    with pytest.raises(Unavailable):
        journal.submit(intent())
    closing = journal.submit(outcome(held))

    faults.hold.set()
    await asyncio.gather(*waiting, closing)
    assert journal.healthy


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
async def test_an_unlinked_file_is_noticed(open_journal: Opener, directory: Path, name: str) -> None:
    """A journal whose file is gone from the directory stops: what it writes would be lost."""
    journal = await open_journal(Settings(timeout=10, check_every=0.01, ballast=0))
    await journal.append(intent())
    (directory / name).unlink()

    await until(lambda: not journal.healthy)

    with pytest.raises(Unavailable):
        await journal.append(intent())


async def test_a_replaced_file_is_noticed(open_journal: Opener, directory: Path) -> None:
    """A copy under the same name is not the open file, however alike: what is written now would be lost."""
    journal = await open_journal(Settings(timeout=10, check_every=0.01, ballast=0))
    await journal.append(intent())
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        copy = (directory / name).read_bytes()
        (directory / name).unlink()
        (directory / name).write_bytes(copy)

    await until(lambda: not journal.healthy)

    with pytest.raises(Unavailable):
        await journal.append(intent())


async def test_a_call_left_open_long_ago_is_found(open_journal: Opener, directory: Path, tmp_path: Path) -> None:
    """However many calls came and went since, a crash finds each that is still open, and only those."""
    journal = await open_journal()
    early, late = intent(), intent()
    await journal.append(early)
    for _ in range(20):
        made = intent()
        await journal.append(made)
        await journal.append(outcome(made))
    await journal.append(late)
    shutil.copytree(directory, tmp_path / "crashed")

    found = SqliteStore(tmp_path / "crashed", KEY)

    assert [parse(each) for each in found.found.open_intents] == [early, late]
    found.close()


async def test_the_check_passes_while_all_is_well(open_journal: Opener) -> None:
    """Many checks between appends find nothing wrong."""
    journal = await open_journal(Settings(timeout=10, check_every=0.001, ballast=0))

    for _ in range(50):
        await journal.append(intent())
        await asyncio.sleep(0.002)

    assert journal.healthy


async def test_the_log_is_brought_into_the_database(open_journal: Opener, directory: Path) -> None:
    """After many commits the write-ahead log starts over instead of growing."""
    journal = await open_journal()

    for _ in range(60):
        await asyncio.gather(*(journal.append(intent()) for _ in range(100)))

    assert (directory / "journal.db").stat().st_size > 1_000_000
    assert (directory / "journal.db-wal").stat().st_size < 30_000_000


@pytest.mark.parametrize("second_kill", [False, True], ids=["one kill", "killed again in recovery"])
def test_killed_under_load_nothing_acknowledged_is_missing(directory: Path, second_kill: bool) -> None:
    """After kill -9 at random moments every promised row is there, and each intent has exactly one outcome."""
    promised: Counter[tuple[str, str]] = Counter()
    for round_number in range(5):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.gateway.audit.crash_worker", str(directory)], stdout=subprocess.PIPE
        ) as worker:
            assert worker.stdout is not None
            for number, said in enumerate(worker.stdout):
                if number == (1 if second_kill and round_number % 2 else 150 + 97 * round_number):
                    os.kill(worker.pid, signal.SIGKILL)
                kind, _, call = said.decode().strip().partition(" ")
                if said.endswith(b"\n") and kind != "open":
                    promised[(kind, call)] += 1
    store = SqliteStore(directory, KEY)
    store.begin([row_line(record) for record in first_records(store.found, Id("ab" * 16), CONFIGURATION, EPOCH)])
    store.close()

    rows = list(query(directory, KEY, Filters()))

    found = Counter((str(row["kind"]), str(row["call"])) for row in rows if row["call"])
    assert promised and not promised - found
    intents = {call for kind, call in found if kind == "intent"}
    assert {call: found[("outcome", call)] for call in intents} == dict.fromkeys(intents, 1)
    assert sum(row["act"] == "boot" for row in rows if row["kind"] == "operator") == 6
    assert not SqliteStore(directory, KEY).found.open_intents
