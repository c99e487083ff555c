"""Orders the journal's rows into the log of a region, and signs what it says.

Reads the journal from another process, so that the commit point never waits for it: a call is
durable long before it is in the log. It adds to each record its place, the tenant's count and a
salt, and writes leaves, tiles and the signed checkpoint in one transaction. Killed at any moment,
it goes on from the last checkpoint; nothing unsigned is ever left to repair.

It refuses to sign rather than to guess: a row missing in a boot, a boot missing, a row that is no
record, a journal or a log that is older than what was signed before (a restored backup).
"""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from gateway.audit.edge import Edge
from gateway.audit.guard import Guard
from gateway.audit.language import NotRecordable
from gateway.audit.leaf import SALT_BYTES, TenantHead, clear, commitment, head, spelled
from gateway.audit.log_store import Batch, Leaf, LogStore, Signed, Staged, TenantCount
from gateway.audit.merkle import EMPTY, root
from gateway.audit.record import Glimpse, glimpse
from gateway.audit.retention.spans import kept_spans, written_spans
from gateway.audit.store import FILE_NAME, RSEQ_BITS, Cipher, StoreFault, reading, translated
from gateway.audit.tlog import Checkpoint
from gateway.audit.words import Tenant
from gateway.keys import Entropy, Signer

MOST = 4096
"""Leaves of one checkpoint."""

DAY = 86_400_000_000
_RSEQ = (1 << RSEQ_BITS) - 1


class OutOfOrder(StoreFault):
    """Journal and log do not continue each other, so nothing more is signed. Names the place, never a value."""


class Drawn:
    """Salts that follow from a seed, so that the same batch can be made again after a crash. The seed goes with it."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, size: int) -> bytes:
        """The next `size` bytes, at most 32."""
        self._count += 1
        return hmac.digest(self._seed, self._count.to_bytes(8), "sha256")[:size]


class Fence(Protocol):
    """Whoever sees to it that of several sequencers, each with a copy of the log, one alone signs what comes next."""

    def claim(self, size: int, root: bytes, holds: Callable[[int, bytes], bool]) -> None:
        """Claim the place after what this log has: nothing is signed before. Waits as long as it takes.

        Args:
            size, root: of the log with what is to be signed.
            holds: whether this log has so many leaves or more, and this root over them.

        Raises:
            StoreFault: another has signed what this log does not have, or nobody can say and we end.
        """
        ...


class Sequencer:
    """The one who orders and signs. For one thread.

    Args:
        journal: the journal's directory.
        log: open for writing; closed by `close`.
        guard: where the last checkpoint is kept a second time.
        clock: microseconds since 1970, UTC.
        cipher: of the journal.
        fence: asked before anything is signed, where other hosts could sign, too.

    Raises:
        OutOfOrder: the log, its guard and the journal do not agree.
        StoreFault: a file cannot be used.
    """

    def __init__(
        self,
        journal: Path,
        journal_key: bytes,
        log: LogStore,
        signer: Signer,
        guard: Guard,
        clock: Callable[[], int],
        cipher: Cipher = Cipher.AEGIS,
        fence: Fence | None = None,
    ) -> None:
        self._fence = fence
        self._path = journal / FILE_NAME
        self._log, self._signer, self._guard, self._clock = log, signer, guard, clock
        self._origin = log.origin
        self._boots, self._tenants = log.boots(), log.tenants()
        self._newest = max(self._boots, default=0)
        self._greatest_tenant = max((tenant.id for tenant in self._tenants.values()), default=0)
        self._last = log.last_seq
        self._headed_on = -1
        self._entropy: Callable[[int], bytes] = Entropy()
        self._due = log.due()
        try:
            self._edge = Edge.of(log)
        except ValueError as fault:
            raise OutOfOrder(f"{self._path.parent}: {fault}") from None
        self._latest = log.latest()
        self._refuse_another_past()
        if self._latest is not None:
            self._guard.keep(self._latest.note)  # a kill between the log and its guard is made good before all else
        self._journal = reading(self._path, journal_key, cipher)
        try:
            self._refuse_another_journal()
        except BaseException:
            self._journal.close()
            raise

    @property
    def log(self) -> LogStore:
        """The log that it writes."""
        return self._log

    @property
    def latest(self) -> Signed | None:
        """The last checkpoint, if anything was ever signed."""
        return self._latest

    @property
    def size(self) -> int:
        """How many leaves are signed."""
        return self._edge.size

    def step(self) -> Signed | None:
        """Order what the journal has gained, at most `MOST` rows; the checkpoint over it, or None if there was nothing.

        Raises:
            OutOfOrder: a row or a boot is missing, or a row is no record.
            StoreFault: the journal cannot be read, or whether the log was written is unknown. Open both anew.
        """
        self._log.refuse_moved()
        if self._fence is None:
            return self._sign(self._clock(), self._rows(MOST))
        staged = self._log.staged()
        if staged is None:
            found = self._rows(MOST)
            staged = Staged(os.urandom(SALT_BYTES), self._clock(), self._headed_on, len(found))
            if not found and staged.time // DAY == self._headed_on:
                self.forget()
                return None
            self._log.stage(staged)
        self._entropy, self._headed_on = Drawn(staged.seed), staged.headed_on
        signed = self._sign(staged.time, self._rows(staged.rows))
        if signed is None:
            self._log.stage(None)
        return signed

    def _rows(self, most: int) -> list[tuple[int, str]]:
        with translated(self._path):
            found = self._journal.execute(
                "SELECT seq, body FROM record WHERE seq > ? ORDER BY seq LIMIT ?", (self._last, most)
            ).fetchall()
        return cast(list[tuple[int, str]], found)

    def _sign(self, now: int, found: list[tuple[int, str]]) -> Signed | None:
        batch = Batch()
        entries = self._heads(now, batch)
        for seq, body in found:
            entries.append(self._order(seq, body, now, batch))
        if not entries:
            self.forget()
            return None
        self._edge.append(entries, batch)
        time = max(now, self._latest.time if self._latest else 0)
        checkpoint = Checkpoint(self._origin, self._edge.size, self._edge.root)
        if self._fence is not None:
            # If we stop from here on, the same rows and salts come again, and are ours already.
            self._fence.claim(checkpoint.size, checkpoint.root, self._holds)
        signed = Signed(checkpoint.size, time, checkpoint.sign(self._signer))
        self._log.add(batch, signed)
        self._latest = signed
        self._guard.keep(signed.note)
        self._due |= batch.erasures
        self.forget()
        return signed

    def _holds(self, size: int, theirs: bytes) -> bool:
        return size <= self._log.size and (root(0, size, self._log.subtrees()) if size else EMPTY) == theirs

    def forget(self) -> None:
        """Forget the salts that the log says must be forgotten; the journal's rows are the gateway's to delete.

        A reader of old pages holds it up; it is then tried again at the next call.

        Raises:
            StoreFault: a list is not kept, or the log cannot be written.
        """
        lists = {document: kept_spans(self._log.directory, document) for document in self._due}
        for document, spans in lists.items():  # all of them before the tiles tell anybody, whatever holds one up
            act = self._log.entry(self._due[document])[1:].decode()
            self._guard.keep_act(document, act, written_spans(spans).decode())
        for document, spans in lists.items():
            self._log.forget(spans)
            if not self._log.forgotten(document, self._due[document]):
                return
            del self._due[document]
            held = self._log.tenants()
            self._tenants = {name: tenant for name, tenant in self._tenants.items() if name in held}

    def close(self) -> None:
        """Release both files."""
        self._journal.close()
        self._log.close()

    def _order(self, seq: int, body: str, now: int, batch: Batch) -> bytes:
        """The entry of one row, which joins the batch."""
        number, rseq = seq >> RSEQ_BITS, seq & _RSEQ
        try:
            record = glimpse(body.encode())
        except NotRecordable:
            raise OutOfOrder(f"{self._path}: row {rseq} of boot {number} is not a record") from None
        boot = self._boot(number, rseq, record, batch)
        index = self._edge.size + len(batch.leaves)
        self._last = seq
        if record.forgets is not None:
            batch.erasures[record.forgets] = index
        if record.operator:
            batch.leaves.append(Leaf(index, seq, None, None, None))
            return clear(self._in_place(body, record, boot, rseq, None))
        salt = self._entropy(SALT_BYTES)
        tenant = None if record.tenant is None else self._count(record.tenant, now, batch)
        whose, tseq = (None, None) if tenant is None else (tenant.id, tenant.tseq)
        batch.leaves.append(Leaf(index, seq, whose, tseq, salt))
        return commitment(salt, self._in_place(body, record, boot, rseq, tseq))

    def _in_place(self, body: str, record: Glimpse, boot: str, rseq: int, tseq: int | None) -> bytes:
        """The committed form; `body` must be as much shorter as the place is long, or it was not in its one form."""
        made = spelled(record.values, boot, rseq, tseq)
        place = f'"boot":"{boot}","rseq":{rseq},' if tseq is None else f'"boot":"{boot}","rseq":{rseq},"tseq":{tseq},'
        if len(made) != len(body) + len(place):
            raise OutOfOrder(f"{self._path}: row {rseq} of boot {boot[:8]} is not a record in its one form")
        return made

    def _boot(self, number: int, rseq: int, record: Glimpse, batch: Batch) -> str:
        """The id of the boot that a row is of, which must be its next row."""
        if number in self._boots:
            name, rows = self._boots[number]
            if number != self._newest or rseq != rows:
                raise OutOfOrder(f"{self._path}: row {rows} of boot {number} is missing")
        else:
            if (self._boots and number != self._newest + 1) or rseq != 0:
                raise OutOfOrder(f"{self._path}: a boot before {number}, or its first row, is missing")
            started = record.started
            if started is None:
                raise OutOfOrder(f"{self._path}: boot {number} does not begin with a boot record")
            name, self._newest = started, number
        self._boots[number] = batch.boots[number] = (name, rseq + 1)
        return name

    def _count(self, name: Tenant, now: int, batch: Batch) -> TenantCount:
        tenant = self._tenants.get(name)
        if tenant is None:
            self._greatest_tenant += 1
            tenant = self._tenants[name] = TenantCount(self._greatest_tenant, name)
        tenant.tseq += 1
        tenant.day = now // DAY
        batch.tenants[name] = tenant
        return tenant

    def _heads(self, now: int, batch: Batch) -> list[bytes]:
        """Once a day: the count of each tenant that had records since its last one."""
        today = now // DAY
        if today == self._headed_on:
            return []
        self._headed_on = today
        entries: list[bytes] = []
        for tenant in self._tenants.values():
            if tenant.tseq > tenant.headed and tenant.day < today:
                word = str.__new__(Tenant, tenant.name)
                body = head(TenantHead(time=now, tenant=word, tseq=tenant.tseq, day=tenant.day))
                salt = self._entropy(SALT_BYTES)
                index = self._edge.size + len(batch.leaves)
                batch.leaves.append(Leaf(index, None, tenant.id, None, salt, body.decode("ascii")))
                tenant.headed = tenant.tseq
                batch.tenants[tenant.name] = tenant
                entries.append(commitment(salt, body))
        return entries

    def _refuse_another_past(self) -> None:
        """Refuse a log that is not what we signed last, or is older than what the guard saw."""
        if self._edge.size != (self._latest.size if self._latest else 0):
            raise OutOfOrder("the log's leaves and its last checkpoint differ; nothing is signed")
        if self._latest is not None:
            ours = Checkpoint(self._origin, self._edge.size, self._edge.root)
            if not self._latest.note.startswith(ours.sign(self._signer)):  # witnesses' lines may follow
                raise OutOfOrder("the log's tiles, key and last checkpoint do not fit each other; nothing is signed")
        self._guard.refuse_older(self._origin, self._edge.size, self._log.subtrees())

    def _refuse_another_journal(self) -> None:
        """Refuse a journal that is not the one ordered so far: another boot under a known number, or fewer rows."""
        if not self._boots:
            return
        number = max(self._boots)
        name, rows = self._boots[number]
        with translated(self._path):
            first, last = (
                self._journal.execute("SELECT body FROM record WHERE seq = ?", (seq,)).fetchone()
                for seq in (number << RSEQ_BITS, self._log.last_kept(number << RSEQ_BITS | rows - 1))
            )
        if first is None or last is None:
            raise OutOfOrder(f"{self._path}: older than the log; restore the journal, nothing is signed")
        started = None
        with contextlib.suppress(NotRecordable):
            started = glimpse(str(first[0]).encode()).started
        if started != name:
            raise OutOfOrder(f"{self._path}: another journal than the log's; nothing is signed")
