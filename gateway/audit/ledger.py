"""Each attempt's two records, kept in step: an intent admits it, exactly one outcome concludes it.

The relay's view of the journal. Nothing here can be lost to cancellation: a record belongs to the
journal from the moment it is submitted, and no task of a handler needs to live until it lands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from gateway.audit.journal import Journal, now
from gateway.audit.language import Id, NotRecordable
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
        self.copied: Callable[[int], Awaitable[None]] | None = None
        """Where this disk may be lost: waits until the row of this key is elsewhere, too, or is `Unavailable`."""

    @property
    def healthy(self) -> bool:
        """Whether an attempt would be admitted now."""
        return self._journal.healthy

    @property
    def open_calls(self) -> int:
        """How many attempts are admitted, or may be, and have no durable outcome."""
        return self._journal.open_calls

    async def admit(self, intent: Intent) -> Admission:
        """Make the intent durable; only then may a byte of its call leave.

        If the wait fails or is cancelled, nothing may leave, and an intent that lands late is
        closed by itself: `cut_off` with `audit_unavailable`, or `aborted_by_caller`.

        Raises:
            Unavailable: it is not durable, or cannot be recorded.
            ValueError: this attempt is open already.
        """
        durable = self._journal.submit(intent)
        admission = Admission(intent.call, intent.attempt)
        try:
            await durable
            if self.copied is not None:
                await self.copied(self._journal.last_seq)
        except Unavailable:
            self._close(intent.call, intent.attempt, Result.CUT_OFF, Code.AUDIT_UNAVAILABLE, sent=False)
            raise
        except asyncio.CancelledError:
            self._close(intent.call, intent.attempt, Result.ABORTED_BY_CALLER, None, sent=False)
            raise
        return admission

    def conclude(self, admission: Admission, outcome: Outcome) -> asyncio.Future[int]:
        """Close an attempt. The outcome is on its way when this returns; await it before the last byte.

        The first outcome wins: a later one is dropped, and awaiting it waits for the first to be
        durable. Cancelling the wait changes nothing, so a handler that is being cancelled may
        call this without awaiting. After a recovery the attempt is closed as `indeterminate`.

        Raises:
            NotRecordable: the outcome cannot be recorded; `indeterminate` is, in its stead. The
                answer must not look complete.
            Unavailable: the journal is poisoned. On await: the outcome is not known to be durable.
        """
        call, attempt = outcome.call, outcome.attempt
        if (call, attempt) != (admission.call_id, admission.attempt):
            raise NotRecordable("call")
        if self._journal.fault is None and self._journal.tenant_of(call, attempt) is None:
            return self._journal.closing(call, attempt)
        try:
            return self._journal.submit(outcome)
        except NotRecordable:
            self._close(call, attempt, Result.INDETERMINATE, None, sent=None)
            raise

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
        """Wait until every attempt is concluded, at most `within` seconds; how many are left.

        What is left the journal closes as `indeterminate` when it is closed.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._journal.settled()
        return self._journal.open_calls

    def _close(self, call: Id, attempt: int, result: Result, code: Code | None, *, sent: bool | None) -> None:
        """Close an attempt that nobody else will, if its intent is on the disk or may still get there."""
        tenant = self._journal.tenant_of(call, attempt)
        if tenant is not None and self._journal.fault is None:
            time = self._clock()
            self._journal.submit(
                Outcome(time=time, call=call, attempt=attempt, tenant=tenant, result=result, code=code, sent=sent)
            )
