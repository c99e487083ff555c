"""The commit point: a record is either on the disk or its caller is told that it is not.

Group commit without a window: whatever was submitted while the previous commit was syncing goes
into the next one, and an idle journal commits at once. Only a refusal for a limit waits for company
(`Settings.patience`) where calls are under way: a caller beyond its limit would else keep the disk
busy, and the calls of others waiting for it. All state belongs to the event loop; one
thread does nothing but run one SQL statement a batch, so it takes the interpreter's lock twice
for a whole batch. The order of submission is the order of rows.

What goes wrong, and what then holds:

* the disk hangs: after `timeout` every intent and refusal that waits is refused, and every later
  one at once, until the commit returns. An outcome is waited for `closing_timeout`, because its
  provider was asked already. A row whose waiter gave up may still land; the ledger closes it then.
* the disk is full: nothing of the batch landed. The ballast is released so that open calls can be
  closed; intents and refusals are refused until the ballast fits again; a `gap` record says so.
* any other error: nobody can know what landed, so the journal is poisoned and refuses all until
  `recover` (or a restart) has read the file back as a new boot.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec import Struct

from gateway.audit.boot import first_records, indeterminate, row_line
from gateway.audit.language import Id, Sha
from gateway.audit.open_calls import Key, OpenCall, OpenCalls
from gateway.audit.record import Intent, Operator, Outcome, Record, Refusal
from gateway.audit.store import FILE_NAME, RSEQ_BITS, OutOfSpace, SqliteStore, Store, StoreFault
from gateway.audit.tail import Tail
from gateway.audit.words import Act, Tenant
from gateway.audit.worker import Done, Job, Worker
from gateway.errors import Code, Unavailable
from gateway.keys import new_boot_id

_TURNS = 4
"""Turns of the loop that a commit may wait for more records, as long as each brings some."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds of the journal. Times in seconds.

    Attributes:
        timeout: the longest an intent or a refusal waits for the disk.
        closing_timeout: the longest an outcome does.
        waiting: most intents and refusals that may wait; outcomes are bounded by open calls.
        batch: most rows of one commit.
        check_every: between checks that the open file is still the file of that name.
        ballast: bytes kept for closing calls when the disk is full.
        patience: how long a refusal for a limit waits for the record of a call to be committed with, where there was
            one so lately; a busy journal has the next long before that.
    """

    timeout: float = 0.25
    closing_timeout: float = 5.0
    waiting: int = 8192
    batch: int = 512
    check_every: float = 5.0
    ballast: int = 64 * 2**20
    patience: float = 0.1


_SHORT = 0.001
_PATIENT = frozenset({Code.RATE_LIMITED, Code.OVERLOADED})
_JOB_SECONDS = 60.0
_CUT_SECONDS = 25.0


def now() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


class _Waiting(Struct, eq=False):
    """A record on its way to the disk."""

    record: Record
    line: str
    key: Key | None
    durable: asyncio.Future[int]
    since: float


class _Gathering(Struct, eq=False):
    """Rows of another journal on their way to the disk, and how far they bring it."""

    lines: Sequence[str]
    name: str
    seq: int
    durable: asyncio.Future[int]


@dataclass(slots=True)
class _Outage:
    start: int
    refused: int = 0


class Journal:
    """The journal of one process. Every method is for the event loop that opened it.

    Attributes:
        boot: this start's random id.
        orphans: calls that the boot before left open, closed by this one as indeterminate.
        fault: why the journal is poisoned, for the operator; None while it is not.
        tail: of the rows that are committed, for who carries them.
    """

    def __init__(
        self, opener: Callable[[], Store], configuration: Sha, clock: Callable[[], int], settings: Settings
    ) -> None:
        """Use `open`."""
        self._opener = opener
        self._configuration = configuration
        self._clock = clock
        self._settings = settings
        self._worker: Worker | None = None
        self._loop = asyncio.get_running_loop()
        self._recovering = asyncio.Lock()
        self.tail: Tail | None = None
        self._promised: int | None = None
        self._file: Path | None = None
        self._reset()

    def _reset(self) -> None:
        self.boot = Id(new_boot_id())
        self.orphans = 0
        self.fault: str | None = None
        self._next = 0
        self._queue: deque[_Waiting] = deque()
        self._batch: list[_Waiting] = []
        self._to_gather: deque[_Gathering] = deque()
        self._gathering: _Gathering | None = None
        self._open = OpenCalls()
        self._outage: _Outage | None = None
        self._cut_due = self._stalled = self._given_up = self._full = self._closing = self._checking = False
        self._unchecked_pages = 0
        self._uncut: float | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._last_hope: asyncio.TimerHandle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._last_call = -1e9
        self._still = asyncio.Event()
        self._still.set()

    @classmethod
    async def open(
        cls,
        directory: Path,
        key: bytes,
        *,
        configuration: Sha,
        clock: Callable[[], int] = now,
        settings: Settings | None = None,
        opener: Callable[[], Store] | None = None,
    ) -> Journal:
        """Open or make the journal in `directory`, encrypted under the 32 bytes of `key`.

        Before it returns, and in one commit, the new boot has said whether the previous one ended
        cleanly and has closed every call that it left open as `indeterminate`.

        Args:
            configuration: digest of the configuration in force, for the boot record.
            clock: microseconds since 1970, UTC.
            opener: makes the store, in the journal's thread; tests give a faulty one.

        Raises:
            StoreFault: the file cannot be used; the gateway must not start.
        """
        settings = settings or Settings()
        journal = cls(
            opener or partial(SqliteStore, directory, key, ballast=settings.ballast), configuration, clock, settings
        )
        journal._file = directory / FILE_NAME
        await journal._start()
        return journal

    async def recover(self) -> None:
        """After a poisoning: read the file back as a new boot, which closes what was open as `indeterminate`.

        A call under way keeps that outcome; concluding it later has no effect. A `gap` says from when to when nothing
        could be written, and how many were turned away.

        Raises:
            StoreFault: the file still cannot be used, or lacks a row that was promised; the journal stays poisoned.
        """
        async with self._recovering:
            if self.fault is None or self._closing:
                return
            fault, outage = self.fault, self._outage
            if self._promised is None and self._next:
                self._promised = self.last_seq
            await self._stop()
            self._reset()
            self.fault, self._outage = fault, outage
            await self._start()
            self.fault = self._promised = None
            self._end_outage()

    @property
    def healthy(self) -> bool:
        """Whether an intent would be accepted now. Readiness follows it."""
        return self.fault is None and not (self._stalled or self._full or self._closing)

    @property
    def open_calls(self) -> int:
        """How many intents have no durable outcome."""
        return len(self._open)

    def tenant_of(self, call: Id, attempt: int) -> Tenant | None:
        """Whose attempt it is, if its intent is durable or may still become so and nothing closes it yet."""
        held = self._open.get((call, attempt))
        return None if held is None or held.closing else held.tenant

    def closing(self, call: Id, attempt: int) -> asyncio.Future[int]:
        """The rseq of an outcome that was submitted before, once it is durable; -1 at once if it is by now."""
        durable: asyncio.Future[int] = self._loop.create_future()
        held = self._open.get((call, attempt))
        if held is None or not held.closing:
            durable.set_result(-1)
        elif held.also is None:
            held.also = [durable]
        else:
            held.also.append(durable)
        return durable

    @property
    def identity(self) -> int:
        """The number that the file was made with."""
        return self._store.identity

    def now(self) -> int:
        """Microseconds since 1970, by the journal's clock."""
        return self._clock()

    @property
    def place(self) -> int:
        """The rseq of the next row that becomes durable."""
        return self._next

    @property
    def last_seq(self) -> int:
        """The key of the last durable row."""
        return self._store.boot << RSEQ_BITS | self._next - 1

    def open_of(self, tenant: str, before: int) -> bool:
        """Whether an attempt of the tenant that began before this rseq has no durable outcome yet."""
        return self._open.any_of(tenant, before)

    async def forget(self, seqs: Sequence[int]) -> None:
        """Delete rows by their keys, between two commits. Operator rows stay.

        Raises:
            Unavailable: it is not known that they are gone; the journal is poisoned, full or closed.
        """
        await self._done(partial(self._store.forget, seqs))

    async def truncate(self) -> bool:
        """Leave nothing deleted in the write-ahead log; False while somebody reads it.

        Raises:
            Unavailable: as `forget`.
        """
        return await self._done(self._store.truncate) is True

    async def _done(self, job: Job) -> object:
        """Do a job of the store in its turn, and wait for its end."""
        ended: asyncio.Future[object] = self._loop.create_future()

        def settle(result: object, fault: StoreFault | None) -> None:
            if fault is not None:
                self._checked(None, fault)
                _fail(ended)
            elif not ended.done():
                ended.set_result(result)

        if self.fault is not None or self._closing or self._stalled:
            raise unavailable()
        self._do(job, settle)
        try:
            async with asyncio.timeout(_JOB_SECONDS):
                return await ended
        except TimeoutError:
            raise unavailable() from None

    async def settled(self) -> None:
        """Wait until every intent has a durable outcome."""
        await self._open.settled.wait()

    async def append(self, record: Record) -> int:
        """Write a record; its rseq, once it is durable.

        Cancelling the wait does not take the record back.

        Raises:
            NotRecordable: a value is outside its domain.
            Unavailable: it is not known to be durable (`audit_unavailable`).
        """
        return await self.submit(record)

    def submit(self, record: Record) -> asyncio.Future[int]:
        """Queue a record now; the future gives its rseq once it is durable, or Unavailable.

        From here on the record needs nobody to wait for it: an outcome that was submitted is
        written even if every task of its call is cancelled.

        Raises:
            NotRecordable: a value is outside its domain.
            Unavailable: the journal is poisoned or closed; or, for intents and refusals, it
                hangs, is full, or has too many waiting.
            ValueError: a second intent for one attempt, or an outcome without an open intent.
        """
        waiting = _Waiting(record, row_line(record), None, self._loop.create_future(), self._loop.time())
        if self.fault is not None:
            if self._outage is not None and isinstance(record, Intent | Refusal):
                self._outage.refused += 1
            raise unavailable()
        if isinstance(record, Intent):
            self._refuse_unless_well()
            waiting.key = record.call, record.attempt
            self._open.begin(waiting.key, record.tenant)
        elif isinstance(record, Outcome):
            waiting.key = record.call, record.attempt
            self._open.close(waiting.key)
        elif isinstance(record, Refusal):
            self._refuse_unless_well()
        self._enqueue(waiting)
        return waiting.durable

    async def gather(self, lines: Sequence[str], name: str, seq: int) -> int:
        """Add rows that the journal `name` holds durably up to its row `seq`; the rseq that the last of them has here.

        Rows and how far they bring that journal land in one commit, so each is here exactly once.

        Raises:
            Unavailable: whether they landed is unknown; `gathered` says it once the journal is well again.
        """
        if self.fault is not None or self._closing or self._outage is not None:
            raise unavailable()
        made = _Gathering(lines, name, seq, self._loop.create_future())
        self._to_gather.append(made)
        self._wait_no_more()
        self._still.clear()
        self._cut_soon()
        return await made.durable

    async def gathered(self) -> dict[str, int]:
        """How far each other journal was gathered: name -> the key of its last row that is here.

        Raises:
            Unavailable: it cannot be said now.
        """
        found = await self._done(self._store.gathered)
        assert isinstance(found, dict)  # noqa: S101  # what the store gives
        return found

    async def trim(self, through: int) -> None:
        """Delete rows up to the key `through`, which another journal holds for good, but for what recovery needs.

        What of them is in the write-ahead log goes within the next half minute: each time that it is cut, the commits
        after it take longer until it has its length again.

        Raises:
            Unavailable: how far it came is unknown; do it again.
        """
        boot = self._store.boot << RSEQ_BITS
        while await self._done(partial(self._store.trim, through, [self.last_seq, *self._open.places(boot)])):
            pass
        self._uncut = self._uncut or self._loop.time()

    async def open_gathered(self, since: int) -> list[tuple[str, int, str]]:
        """Attempts that other journals opened after an instant and nothing closed yet: call, attempt, tenant.

        Raises:
            Unavailable: it cannot be said now.
        """
        found = await self._done(partial(self._store.open_gathered, since))
        assert isinstance(found, list)  # noqa: S101  # what the store gives
        return found

    async def drain(self, within: float) -> bool:
        """Wait until nothing is on its way to the disk; False if that took longer than `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._still.wait()
        except TimeoutError:
            return False
        return True

    async def close(self, within: float = 5.0) -> None:
        """End cleanly: close what is still open as `indeterminate`, write `shutdown`, release the file.

        At most `within` seconds for what is on its way and again for the end itself. Calling it
        twice is fine.
        """
        if self._closing:
            return
        self._closing = True
        self._wait_no_more()
        self._cut_soon()
        await self.drain(within)
        if self.fault is None and not self._batch:
            left = self._open.unclosed()
            for (call, attempt), tenant in left:
                self.submit(indeterminate(self._clock(), call, attempt, tenant))
            self._put(Operator(time=self._clock(), act=Act.SHUTDOWN, closed=len(left)))
            await self.drain(within)
        await self._stop()
        self.fault = self.fault or "closed"

    async def _start(self) -> None:
        worker = Worker(self._loop)
        opened: asyncio.Future[tuple[Store, int]] = self._loop.create_future()

        def settle(result: object, fault: StoreFault | None) -> None:
            if opened.done():
                return
            if fault is not None:
                opened.set_exception(fault)
            elif isinstance(result, tuple):
                opened.set_result(result)

        worker.do(self._begin, settle)
        try:
            self._store, self._next = await opened
        except BaseException:
            worker.stop()
            raise
        self._worker = worker
        if self.tail is not None:
            self.tail.forget()
        self._tick_in(self._settings.check_every)

    def _begin(self) -> tuple[Store, int]:
        """In the worker's thread: open the file and write this boot's first rows, in one commit."""
        if self._promised is not None and self._file is not None and not self._file.exists():
            raise StoreFault(f"{self._file}: is gone; put it back, a new one is not begun in its place")
        store = self._opener()
        try:
            self._refuse_if_lacking(store)
            rows = first_records(store.found, self.boot, self._configuration, self._clock())
            store.begin([row_line(record) for record in rows])
            self.orphans = sum(isinstance(record, Outcome) for record in rows)
        except BaseException:
            with contextlib.suppress(StoreFault):
                store.close()
            raise
        return store, len(rows)

    def _refuse_if_lacking(self, store: Store) -> None:
        if self._promised is not None and not store.holds(self._promised):
            raise StoreFault("the journal lacks rows that were promised: put back the file that was there")

    async def _stop(self) -> None:
        for timer in (self._watchdog, self._last_hope, self._ticker, self._later):
            if timer is not None:
                timer.cancel()
        for each in [*self._batch, *self._queue]:
            self._fail(each)
        self._fail_gathering()
        worker, self._worker = self._worker, None
        if worker is None:
            return
        done = asyncio.Event()
        worker.do(self._store.close, lambda _result, _fault: done.set())
        worker.stop()
        with contextlib.suppress(TimeoutError):  # the disk hangs: the thread is left behind, with the lock
            async with asyncio.timeout(self._settings.timeout * 20):
                await done.wait()

    def _do(self, job: Job, done: Done) -> None:
        worker = self._worker
        if worker is None:
            return

        def still_ours(result: object, fault: StoreFault | None) -> None:
            if self._worker is worker:  # else it is late news of a file that was given up
                done(result, fault)

        worker.do(job, still_ours)

    def _refuse_unless_well(self) -> None:
        if self._closing or self._outage is not None or len(self._queue) >= self._settings.waiting:
            if self._outage is not None:
                self._outage.refused += 1
            raise unavailable()

    def _put(self, record: Operator) -> None:
        self._enqueue(_Waiting(record, row_line(record), None, self._loop.create_future(), self._loop.time()))

    def _enqueue(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._still.clear()
        if self._given_up:
            self._fail(waiting)
        if not _is_patient(waiting):
            self._last_call = waiting.since
            self._wait_no_more()
        self._cut_soon()

    def _waits_for_company(self) -> bool:
        """Whether nothing is to be committed yet: only refusals for a limit, where a call's record may soon come."""
        if self._later is not None:
            return True
        now, patience = self._loop.time(), self._settings.patience
        left = patience - (now - self._queue[0].since)
        if left < _SHORT or now - self._last_call > patience or self._closing or self._to_gather:
            return False
        if not all(map(_is_patient, self._queue)):
            return False
        self._later = self._loop.call_later(left, self._cut_late)
        return True

    def _cut_late(self) -> None:
        self._later = None
        self._cut_soon()

    def _wait_no_more(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _cut_soon(self) -> None:
        # At the end of this turn of the loop: whatever else becomes ready in it comes along.
        if not self._cut_due and not self._batch and self._gathering is None:
            self._cut_due = True
            self._loop.call_soon(self._cut_once_still, len(self._queue), _TURNS)

    def _cut_once_still(self, seen: int, turns: int) -> None:
        # Where records keep coming, what the loop has ready comes along too: nobody waits for a clock, and a lone
        # record for nothing. A commit costs the same for one and for ten.
        if turns and len(self._queue) > seen:
            self._loop.call_soon(self._cut_once_still, len(self._queue), turns - 1)
        else:
            self._cut()

    def _cut(self) -> None:
        self._cut_due = False
        if self._batch or self._gathering is not None or self.fault is not None:
            return
        if not self._queue:
            if self._to_gather:
                self._gather_next()
            else:
                self._still.set()
            return
        if self._waits_for_company():
            return
        self._batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._settings.batch))]
        floor = self._open.floor(self._next)
        commit = partial(self._store.commit, [each.line for each in self._batch], self._next, floor)
        self._do(commit, self._committed)
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._settings.timeout, self._watch)

    def _committed(self, _: object, fault: StoreFault | None) -> None:
        batch, self._batch = self._batch, []
        if self._stalled:
            self._moves_again()
        if isinstance(fault, OutOfSpace):
            self._out_of_space(batch)
            return
        if self.fault is not None:  # the file was found to be gone while this was written to it
            fault = StoreFault(self.fault)
        if fault is not None:
            self._queue.extendleft(reversed(batch))
            self._poison(fault)
            return
        rseq = self._next
        for each in batch:
            held = self._open.get(each.key)
            if held is not None and each.key is not None:
                if isinstance(each.record, Intent):
                    held.rseq = rseq
                else:
                    self._open.end(each.key)
                    _tell(held.also, rseq)
            if not each.durable.done():
                each.durable.set_result(rseq)
            rseq += 1
        if self.tail is not None:
            self.tail.add(self.last_seq + 1, [each.line for each in batch])
        self._next = rseq
        self._unchecked_pages += 4 + len(batch) // 3  # measured: 5.4 for a commit of four
        if self._outage is not None:
            self._end_outage()
        self._checkpoint_if_due()
        self._cut_soon()

    def _gather_next(self) -> None:
        next_ = self._gathering = self._to_gather.popleft()
        floor = self._open.floor(self._next)
        self._do(partial(self._store.gather, next_.lines, self._next, floor, next_.name, next_.seq), self._took)

    def _took(self, _: object, fault: StoreFault | None) -> None:
        made, self._gathering = self._gathering, None
        assert made is not None  # noqa: S101  # one at a time
        if isinstance(fault, OutOfSpace):
            _fail(made.durable)
            self._out_of_space([])
            return
        if fault is not None or self.fault is not None:
            _fail(made.durable)
            self._poison(fault or StoreFault(str(self.fault)))
            return
        self._next += len(made.lines)
        if not made.durable.done():
            made.durable.set_result(self._next - 1)
        self._unchecked_pages += 4 + len(made.lines) // 3
        if self._outage is not None:  # begun by who waited behind this: with no call open, no commit would end it
            self._end_outage()
        self._checkpoint_if_due()
        self._cut_soon()

    def _fail_gathering(self) -> None:
        for each in (self._gathering, *self._to_gather):
            if each is not None:
                _fail(each.durable)
        self._to_gather.clear()

    def _checkpoint_if_due(self) -> None:
        # Of some 4 KiB each. Better in a quiet moment, at the latest when the log is 16 MiB.
        if self._unchecked_pages > (4000 if self._queue else 1000):
            self._unchecked_pages = 0
            self._do(self._store.checkpoint, self._checked)

    def _out_of_space(self, batch: list[_Waiting]) -> None:
        """Nothing of `batch` landed. Keep what closes calls, refuse the rest, and make room."""
        self._begin_outage()
        kept: list[_Waiting] = []
        for each in [*batch, *self._queue]:
            held = self._open.get(each.key)
            if isinstance(each.record, Intent | Refusal) or (isinstance(each.record, Outcome) and _unwritten(held)):
                self._drop(each)
            else:
                kept.append(each)
        self._queue = deque(kept)
        if not self._full:
            self._full = True
            self._tick_in(min(1.0, self._settings.check_every))
            self._do(self._store.release_ballast, lambda _result, _fault: self._cut_soon())

    def _poison(self, fault: StoreFault) -> None:
        self.fault = str(fault)
        self._begin_outage()
        for each in self._queue:
            self._refuse(each)
        self._queue.clear()
        self._fail_gathering()
        self._still.set()

    def _watch(self) -> None:
        self._watchdog = None
        oldest = self._oldest()
        if oldest is None or self._stalled:
            return
        left = oldest.since + self._settings.timeout - self._loop.time()
        if left > 0:
            self._watchdog = self._loop.call_later(left, self._watch)
        else:
            # One more turn: if it was the loop that stood still, the commit's answer is waiting in it.
            self._loop.call_soon(self._overdue, oldest)

    def _oldest(self) -> _Waiting | None:
        if self._batch:
            return self._batch[0]
        return self._queue[0] if self._queue else None

    def _overdue(self, oldest: _Waiting) -> None:
        if self._oldest() is not oldest:
            self._watch()
            return
        self._stalled = bool(self._batch)
        self._begin_outage()
        for each in self._batch:
            if isinstance(each.record, Intent | Refusal):
                self._refuse(each)
        waiting, self._queue = self._queue, deque()
        for each in waiting:
            if isinstance(each.record, Intent | Refusal):
                self._drop(each)
            else:
                self._queue.append(each)
        if self._stalled:
            left = self._settings.closing_timeout - self._settings.timeout
            self._last_hope = self._loop.call_later(max(0.0, left), self._give_up)

    def _give_up(self) -> None:
        self._given_up = True
        for each in [*self._batch, *self._queue]:
            self._fail(each)

    def _moves_again(self) -> None:
        self._stalled = self._given_up = False
        if self._last_hope is not None:
            self._last_hope.cancel()

    def _begin_outage(self) -> None:
        if self._outage is None:
            self._outage = _Outage(self._clock())

    def _end_outage(self) -> None:
        if self._outage is not None and not self._full:
            outage, self._outage = self._outage, None
            end = max(self._clock(), outage.start)
            gap = Operator(time=end, act=Act.GAP, start=outage.start, end=end, refused=outage.refused)
            self._put(gap)

    def _refuse(self, waiting: _Waiting) -> None:
        if self._outage is not None and isinstance(waiting.record, Intent | Refusal):
            self._outage.refused += 1
        self._fail(waiting)

    def _fail(self, waiting: _Waiting) -> None:
        _fail(waiting.durable)
        held = None if isinstance(waiting.record, Intent) else self._open.get(waiting.key)
        for durable in (held and held.also) or ():
            _fail(durable)

    def _drop(self, waiting: _Waiting) -> None:
        """Refuse what will never reach the disk."""
        if waiting.key is not None:
            self._open.end(waiting.key)
        self._refuse(waiting)

    def _tick_in(self, seconds: float) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        if self.fault is not None:
            return
        self._tick_in(min(1.0, self._settings.check_every) if self._full else self._settings.check_every)
        if self._stalled or self._checking:
            return
        if self._full:
            self._do(self._store.restore_ballast, self._ballasted)
            self._cut_soon()
        else:
            self._checking = True
            self._do(partial(self._store.check, self._next - 1), self._checked)
            if self._uncut is not None and self._loop.time() - self._uncut > _CUT_SECONDS:
                self._do(self._store.truncate, self._was_cut)

    def _was_cut(self, cut: object, fault: StoreFault | None) -> None:
        if cut is True:
            self._uncut = None
        self._checked(None, fault)

    def _ballasted(self, restored: object, fault: StoreFault | None) -> None:
        if fault is None and restored is True:
            self._full = False
            self._end_outage()

    def _checked(self, _: object, fault: StoreFault | None) -> None:
        self._checking = False
        if isinstance(fault, OutOfSpace):
            self._out_of_space([])
        elif fault is not None:
            self._poison(fault)


def unavailable() -> Unavailable:
    """The refusal of a call that cannot be recorded."""
    return Unavailable(
        Code.AUDIT_UNAVAILABLE, "The audit record cannot be written, so nothing left. Try again shortly."
    )


def _is_patient(waiting: _Waiting) -> bool:
    return isinstance(waiting.record, Refusal) and waiting.record.code in _PATIENT


def _unwritten(held: OpenCall | None) -> bool:
    return held is None or held.rseq is None


def _tell(waiters: list[asyncio.Future[int]] | None, rseq: int) -> None:
    for durable in waiters or ():
        if not durable.done():
            durable.set_result(rseq)


def _fail(durable: asyncio.Future[int] | asyncio.Future[object]) -> None:
    if not durable.done():
        durable.set_exception(unavailable())
        durable.exception()  # marks it as seen: the waiter may have gone, and that is no news
