"""A journal that is gone or damaged, and no backup of it: what can be read is kept, and the rest is recorded as lost.

The log says what there must be. Facts about the gateway stand in it in clear, so they come back whole whatever became
of the journal; a record about a call comes back only from a row that can be read and that the log commits to. What does
not come back is listed, its salts are forgotten, and a `gap` record says so for ever (see `restoring`). For people:
put a backup back if there is one.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw
import orjson

from gateway.audit import index
from gateway.audit.leaf import CLEAR, commitment, spelled
from gateway.audit.log_store import Leaf, LogReader, LogStore
from gateway.audit.retention.restoring import LOST, Lost, NotAdopted, lost_before
from gateway.audit.retention.spans import keep_spans, kept_spans, spans_of, written_spans
from gateway.audit.store import (
    FILE_NAME,
    KIND_LETTERS,
    RSEQ_BITS,
    SqliteStore,
    StoredRow,
    StoreFault,
    apart,
    legible,
    reading,
)
from gateway.audit.tlog import TILE
from gateway.durable import write_durably
from gateway.keys import Keyring

FOLDER: Final = "journal.salvaged"
"""In the state: where the journal is written anew."""

_RSEQ: Final = (1 << RSEQ_BITS) - 1


def salvage(state: Path, keyring: Keyring, now: int) -> Lost | None:
    """Write the journal anew from what can be read of it, and list what is lost; None where nothing is.

    Stopped anywhere, it goes on when it is run again.

    Args:
        state: the state, which nothing else has open.
        keyring: of the state.
        now: microseconds since 1970.

    Raises:
        NotAdopted: how far other journals were gathered into this one cannot be read.
        StoreFault: a gateway runs on this state, or the log itself cannot be read.
    """
    with LogReader.read(state / "log", keyring.log_key()) as log_read:
        origin = log_read.origin
    folder = state / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    with (
        apart(state / "journal"),
        contextlib.closing(LogStore(state / "log", keyring.log_key(), origin)) as log,
        contextlib.closing(SqliteStore(folder, keyring.journal_key())) as fresh,
        contextlib.ExitStack() as stack,
    ):
        old = _opened(state, keyring, stack)
        made = _Salvage(log, old, fresh)
        missing = list(spans_of(made.ordered()))
        made.unordered()
        made.gathered()
        lost = _listed(state, log, missing, now)
        stack.close()
        fresh.close()
        for suffix in ("-wal", "-shm"):  # what could be read of them is in the new file, and must not be read into it
            (state / "journal" / f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
        (folder / FILE_NAME).replace(state / "journal" / FILE_NAME)
    shutil.rmtree(folder)
    index.drop_packs(state)
    index.forget(state)
    return lost


def _opened(state: Path, keyring: Keyring, stack: contextlib.ExitStack) -> apsw.Connection | None:
    try:
        return stack.enter_context(contextlib.closing(reading(state / "journal" / FILE_NAME, keyring.journal_key())))
    except StoreFault:
        return None  # nothing of it can be read


def _listed(state: Path, log: LogStore, missing: list[tuple[int, int]], now: int) -> Lost | None:
    """Keep the list of what is lost, until a gateway records it; then forget its salts."""
    before = lost_before(state)  # of a run that was stopped, or an `adopt`, and that nobody has recorded yet
    held = [] if before is None else kept_spans(log.directory, before.document)
    spans = list(spans_of(sorted({at for start, end in (*missing, *held) for at in range(start, end)})))
    if not spans:
        return None
    latest = log.latest()
    document = keep_spans(log.directory, written_spans(spans))
    lost = Lost(document, sum(end - start for start, end in spans), 0 if latest is None else latest.time, now)
    write_durably(log.directory / LOST, orjson.dumps(lost))
    log.forget(missing)
    return lost


class _Salvage:
    def __init__(self, log: LogStore, old: apsw.Connection | None, fresh: SqliteStore) -> None:
        self._log, self._old, self._fresh = log, old, fresh
        self._boots = {number: name for number, (name, _rows) in log.boots().items()}
        self._gathers = False

    def ordered(self) -> Iterator[int]:
        """Copy every row that the log has ordered; the indices of those that are lost."""
        for position in range(-(-self._log.size // TILE)):
            entries = self._log.entries(position)
            leaves = [
                each for each in self._log.leaves(position * TILE, position * TILE + TILE) if each.seq is not None
            ]
            there = {row[0]: row for row in self._read([each.seq for each in leaves if each.seq is not None])}
            kept: list[StoredRow] = []
            for leaf in leaves:
                entry = entries[leaf.index % TILE]
                row = None if leaf.seq is None else there.get(leaf.seq)
                if entry[:1] == CLEAR:
                    kept.append(self._fact(leaf, entry))
                elif leaf.salt is not None:
                    if row is not None and self._committed(leaf, row, entry):
                        kept.append(row)
                    else:
                        yield leaf.index
            self._fresh.put(kept)

    def unordered(self) -> None:
        """Copy what the log has not ordered yet, up to the first row that is missing or cannot be read."""
        last = self._log.last_seq
        while self._old is not None:
            rows = legible(self._old, range(last + 1, last + 1 + TILE)) or legible(self._old, [_next_boot(last)])
            kept: list[StoredRow] = []
            for row in rows:
                if row[0] not in {last + 1, _next_boot(last)}:
                    break
                kept.append(row)
                last = row[0]
            if not kept:
                return
            self._fresh.put(kept)

    def gathered(self) -> None:
        """Copy how far other journals were gathered."""
        try:
            found = () if self._old is None else self._old.execute("SELECT name, seq FROM gathered").fetchall()
        except apsw.Error:
            found = ()
        if self._gathers and not found:
            raise NotAdopted("how far the journals of workers or other hosts were gathered cannot be read any more")
        for name, seq in found:
            self._fresh.put([], str(name), int(str(seq)))

    def _read(self, seqs: list[int]) -> list[StoredRow]:
        return [] if self._old is None else legible(self._old, sorted(seqs))

    def _fact(self, leaf: Leaf, entry: bytes) -> StoredRow:
        """The row of a fact that stands in the log in clear."""
        values = orjson.loads(entry[1:])
        self._gathers |= "writer" in values
        del values["boot"], values["rseq"]
        body = orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode("ascii")
        return int(leaf.seq or 0), int(values["time"]), KIND_LETTERS["operator"], None, 0, 0, body

    def _committed(self, leaf: Leaf, row: StoredRow, entry: bytes) -> bool:
        """Whether the log commits to this row."""
        seq, _time, _kind, _call, _attempt, _floor, body = row
        try:
            text = spelled(orjson.loads(body), self._boots.get(seq >> RSEQ_BITS, ""), seq & _RSEQ, leaf.tseq)
        except (orjson.JSONDecodeError, TypeError):
            return False
        return commitment(leaf.salt or b"", text) == entry


def _next_boot(seq: int) -> int:
    return (seq >> RSEQ_BITS) + 1 << RSEQ_BITS
