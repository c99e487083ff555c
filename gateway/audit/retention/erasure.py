"""Carries out what was asked: name the leaves in the log, then delete rows, salts and keys, then say that it is done.

1. A whole tenant's key and name are destroyed first: what its calls write from then on is under another key.
2. Calls of the tenant that are under way are waited for, and the log must have all that the journal has.
3. The list of leaves is kept, and the act that names it becomes durable. From here on it is decided: whatever stops us,
   the sequencer forgets the salts once it has ordered the act, and we start again here.
4. The journal's rows are deleted, overwritten with zeros, and its write-ahead log is cut to nothing.
5. The sequencer has forgotten the salts and cut its own log.
6. The packs that lie with the auditor's pages go, and their index, too, unless they are served: then they drop what
   the journal has no more.
7. A second act says so, and the request itself is dropped.

Each step can be done again, so a crash between two of them costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from gateway.audit import index
from gateway.audit.journal import Journal
from gateway.audit.language import Id, Mac, Sha
from gateway.audit.log_store import LogReader
from gateway.audit.record import Operator
from gateway.audit.retention import requests, selection
from gateway.audit.retention.register import Register
from gateway.audit.retention.requests import Request
from gateway.audit.retention.spans import Span, keep_spans, kept_spans, spans_of, written_spans
from gateway.audit.store import StoreFault
from gateway.audit.words import Act
from gateway.keys import Keyring

ROWS_AT_ONCE = 256
"""Rows deleted between two commits: a few milliseconds."""

Pump = Callable[[], Awaitable[None]]
"""Lets the log move on: a pause beside a running sequencer, or a step of one."""


Elsewhere = Callable[[str], Awaitable[bool]]
"""Whether a call of a tenant is under way whose intent another journal holds; told of it first, it forgets its key."""


class NotYet(Exception):
    """Something that was waited for did not come in time; what was asked is still kept, and is tried again."""


class Erasing:
    """The one who deletes, over one state. One erasure at a time.

    Args:
        state: the state directory.
        keyring: of the state.
        journal: open; its rows are deleted through it.
        clock: microseconds since 1970, UTC.
        pump: called between two looks at the log.
        patience: how many looks before it gives up for now.
        elsewhere: asked beside `journal` where other journals are gathered into it.
    """

    def __init__(
        self,
        state: Path,
        keyring: Keyring,
        journal: Journal,
        clock: Callable[[], int],
        pump: Pump,
        patience: int = 1200,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._state = state
        self._keyring = keyring
        self._journal = journal
        self._clock = clock
        self._pump = pump
        self._patience = patience
        self._elsewhere = elsewhere
        self._register = Register(keyring)
        self._one = asyncio.Lock()

    async def due(self) -> int:
        """Carry out everything that was asked, oldest first; how many there were.

        Raises:
            NotYet: a call or a reader stood in the way.
            Unavailable: the journal cannot be written; nothing is lost, do it again.
            StoreFault, KeyFault: a file cannot be read.
        """
        async with self._one:
            waiting = await asyncio.to_thread(requests.kept, self._keyring)
            for request in waiting:
                await self._erase(request)
            return len(waiting)

    async def prune(self) -> int:
        """Forget every record that is older than the rolling months; how many there were.

        Raises:
            NotYet, Unavailable, StoreFault: as `due`.
        """
        async with self._one:
            now = self._clock()
            edge = selection.edge_of(now)
            written, count = await asyncio.to_thread(self._older, edge, now - selection.YEAR)
            if count:
                document = await asyncio.to_thread(keep_spans, self._log, written)
                act = Operator(time=self._clock(), act=Act.PRUNE, document=Sha(document), count=count, end=edge)
                await self._journal.append(act)
                await self._forget(document)
            return count

    @property
    def _log(self) -> Path:
        return self._state / "log"

    async def _erase(self, request: Request) -> None:
        if request.whole and not request.tenant_gone:
            request = await asyncio.to_thread(self._destroy, request)
        if request.document is None or not await self._decided(request.document):
            place = self._journal.place
            for _ in range(self._patience):
                if not self._journal.open_of(request.tenant, place) and not await self._open(request.tenant):
                    break
                await self._pump()
            else:
                raise NotYet("a call is under way")
            through = await self._ordered()
            written, count = await asyncio.to_thread(self._chosen, request, through)
            document = await asyncio.to_thread(keep_spans, self._log, written)
            request = replace(request, document=document)
            await asyncio.to_thread(requests.keep, self._keyring, request)
            await self._journal.append(self._act(request, document, count))
        await self._forget(request.document or "")
        await asyncio.to_thread(requests.done, self._keyring, request)

    async def _open(self, tenant: str) -> bool:
        return self._elsewhere is not None and await self._elsewhere(tenant)

    async def _decided(self, document: str) -> bool:
        """Whether the act that names this list is in the record: we may have been stopped before or after it."""
        await self._ordered()
        with LogReader.read(self._log, self._keyring.log_key()) as log:
            return document in log.erasures()

    async def _ordered(self) -> int:
        """Wait until the log has all that the journal has now; the last row of that."""
        through = self._journal.last_seq
        await self._until(lambda: self._last_seq() >= through, "the log is behind")
        return through

    def _destroy(self, request: Request) -> Request:
        """Step 1."""
        self._register.forget(request.tenant)
        self._keyring.destroy_tenant(request.tenant)
        request = replace(request, tenant_gone=True)
        requests.keep(self._keyring, request)
        return request

    def _chosen(self, request: Request, through: int) -> tuple[bytes, int]:
        with selection.opened(self._state, self._keyring) as (log, rows):
            indices = selection.of_tenant(log, rows, request.tenant, request.subject, through)
        return written_spans(spans_of(indices)), len(indices)

    def _older(self, edge: int, known: int) -> tuple[bytes, int]:
        with selection.opened(self._state, self._keyring) as (log, rows):
            spans = list(spans_of(selection.before(log, rows, edge, known)))
        return written_spans(spans), sum(end - start for start, end in spans)

    def _act(self, request: Request, document: str, count: int) -> Operator:
        return Operator(
            time=self._clock(),
            act=Act.ERASE,
            ground=request.ground,
            document=Sha(document),
            count=count,
            subject=Mac(request.mark),
            receipt=Sha(request.receipt),
            start=request.requested,
            end=request.backups_clear_by,
            approvers=tuple(sorted(Id(key) for key in request.approvers)) or None,
        )

    async def _forget(self, document: str) -> None:
        """Steps 4 to 7."""
        for span in await asyncio.to_thread(kept_spans, self._log, document):
            for seqs in await asyncio.to_thread(self._seqs, span):
                await self._journal.forget(seqs)
        for _ in range(self._patience):
            if await self._journal.truncate():
                break
            await self._pump()
        else:
            raise NotYet("somebody reads the journal")
        await self._until(lambda: self._forgotten(document), "the log has not forgotten yet")
        await asyncio.to_thread(index.drop_packs, self._state)
        with contextlib.suppress(StoreFault):  # the pages are served
            await asyncio.to_thread(index.forget, self._state)
        await self._journal.append(Operator(time=self._clock(), act=Act.ERASED, document=Sha(document)))

    def _seqs(self, span: Span) -> list[list[int]]:
        with LogReader.read(self._log, self._keyring.log_key()) as log:
            found = log.seqs(*span)
        return [found[at : at + ROWS_AT_ONCE] for at in range(0, len(found), ROWS_AT_ONCE)]

    def _last_seq(self) -> int:
        with LogReader.read(self._log, self._keyring.log_key()) as log:
            return log.last_seq

    def _forgotten(self, document: str) -> bool:
        with LogReader.read(self._log, self._keyring.log_key()) as log:
            return log.erasures().get(document, False)

    async def _until(self, holds: Callable[[], bool], why: str) -> None:
        for _ in range(self._patience):
            if await asyncio.to_thread(_asked, holds):
                return
            await self._pump()
        raise NotYet(why)


def _asked(holds: Callable[[], bool]) -> bool:
    """Whether it holds; a log that is not there yet holds nothing."""
    try:
        return holds()
    except StoreFault:
        return False
