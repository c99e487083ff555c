"""Each attempt's two records, kept in step: an intent admits it, exactly one outcome concludes it.

The relay's view of the journal. Nothing here can be lost to cancellation: a record belongs to the
journal from the moment it is submitted, and no task of a handler needs to live until it lands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.audit.journal import Journal, now
from gateway.audit.language import NotRecordable
from gateway.audit.record import Intent, Operator, Outcome, Refusal
from gateway.audit.words import Result
from gateway.errors import Code, Unavailable
from gateway.exchange import Admission


class Ledger:
    """Who is admitted and not yet concluded. One per journal, used from its event loop."""

    def __init__(self, journal: Journal, clock: Callable[[], int] = now) -> None:
        """`clock` gives microseconds since 1970, UTC."""
        self._journal = journal
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._open: dict[Admission, Intent] = {}
        self._concluding: dict[Admission, asyncio.Future[int]] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def healthy(self) -> bool:
        """Whether an attempt would be admitted now."""
        return self._journal.healthy

    @property
    def open_calls(self) -> int:
        """How many attempts are admitted and have no durable outcome."""
        return len(self._open) + len(self._concluding)

    async def admit(self, intent: Intent) -> Admission:
        """Make the intent durable; only then may a byte of its call leave.

        If the wait fails or is cancelled, nothing may leave, and an intent that lands late is
        closed by itself: `cut_off` with `audit_unavailable`, or `aborted_by_caller`.

        Raises:
            Unavailable: it is not durable, or cannot be recorded.
            ValueError: this attempt was admitted before.
        """
        durable = self._journal.submit(intent)
        admission = Admission(intent.call, intent.attempt)
        try:
            await durable
        except Unavailable:
            self._withdraw(intent, Result.CUT_OFF, Code.AUDIT_UNAVAILABLE)
            raise
        except asyncio.CancelledError:
            self._withdraw(intent, Result.ABORTED_BY_CALLER, None)
            raise
        self._open[admission] = intent
        self._empty.clear()
        return admission

    def conclude(self, admission: Admission, outcome: Outcome) -> asyncio.Future[None]:
        """Close an attempt. The outcome is on its way when this returns; await it before the last byte.

        The first outcome wins; a later one is dropped, and awaiting it waits for the first.
        Cancelling the wait changes nothing. An outcome that cannot be recorded is replaced by its
        result alone, and the future raises, so that the answer does not look complete.

        Raises (on await):
            Unavailable: the outcome is not known to be durable, or could not be recorded whole.
            ValueError: the attempt was not admitted, or is closed already and forgotten.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()
        durable = self._concluding.get(admission)
        fault: Unavailable | ValueError | None = None
        if durable is None:
            durable, fault = self._submit(admission, outcome)
        if durable is None:
            waiter.set_exception(fault or ValueError("this attempt is not open"))
            waiter.exception()  # the caller may be gone; whoever awaits still gets it
            return waiter
        durable.add_done_callback(lambda landed: _settle(waiter, landed, fault))
        return waiter

    async def refuse(self, refusal: Refusal) -> None:
        """Record a call that never left.

        Raises:
            Unavailable: it is not known to be durable, or cannot be recorded.
        """
        await self._journal.append(refusal)

    async def note(self, record: Operator) -> None:
        """Record something about the gateway itself.

        Raises:
            Unavailable: it is not known to be durable, or cannot be recorded.
        """
        await self._journal.append(record)

    async def drain(self, within: float) -> int:
        """Wait until every admitted attempt is concluded, at most `within` seconds; how many are left.

        What is left the journal closes as `indeterminate` when it is closed.
        """
        try:
            async with asyncio.timeout(within):
                await self._empty.wait()
        except TimeoutError:
            return self.open_calls
        return 0

    def _submit(
        self, admission: Admission, outcome: Outcome
    ) -> tuple[asyncio.Future[int] | None, Unavailable | ValueError | None]:
        intent = self._open.get(admission)
        if intent is None:
            return None, ValueError("this attempt is not open")
        if (outcome.call, outcome.attempt) != (intent.call, intent.attempt):
            return None, ValueError("this outcome is of another attempt")
        fault: Unavailable | None = None
        try:
            try:
                durable = self._journal.submit(outcome)
            except NotRecordable as unrecordable:
                fault = unrecordable
                durable = self._journal.submit(self._bare(intent, Result.INDETERMINATE, outcome.code))
        except (Unavailable, ValueError) as refused:  # poisoned, or closed by a recovery in between
            self._forget(admission)
            return None, refused if isinstance(refused, Unavailable) else fault
        del self._open[admission]
        self._concluding[admission] = durable
        durable.add_done_callback(lambda _: self._forget(admission))
        return durable, fault

    def _withdraw(self, intent: Intent, result: Result, code: Code | None) -> None:
        """Close an intent that nobody waits for, if it may land: nothing was sent."""
        if self._journal.fault is None and self._journal.holds(intent.call, intent.attempt):
            self._journal.submit(self._bare(intent, result, code, sent=False))

    def _bare(self, intent: Intent, result: Result, code: Code | None, sent: bool | None = None) -> Outcome:
        return Outcome(
            time=self._clock(),
            call=intent.call,
            attempt=intent.attempt,
            tenant=intent.tenant,
            result=result,
            code=code,
            sent=sent,
        )

    def _forget(self, admission: Admission) -> None:
        self._open.pop(admission, None)
        self._concluding.pop(admission, None)
        if not self._open and not self._concluding:
            self._empty.set()


def _settle(waiter: asyncio.Future[None], landed: asyncio.Future[int], fault: Exception | None) -> None:
    if waiter.done():
        return
    if fault is None and not landed.cancelled():
        fault_seen = landed.exception()
        fault = fault_seen if isinstance(fault_seen, Exception) else None
    if fault is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(fault)
        waiter.exception()
