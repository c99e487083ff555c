"""Which leaves an erasure is of: those of a tenant, of one person there, or of months that have passed.

Found by the log's own index of tenants, so nothing is read of anybody else. A call is taken whole or not at all: one
that is under way keeps its intent until it has its outcome.
"""

from __future__ import annotations

import contextlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import apsw

from gateway.audit.log_store import LogReader
from gateway.audit.store import FILE_NAME, Cipher, reading, translated
from gateway.keys import Keyring

MONTHS = 13
_AT_ONCE = 500
_ROWS = """
SELECT seq, kind, lower(hex(call)), attempt, body ->> 'subject' FROM record WHERE seq IN carray(?1) AND kind <> 'p'
"""
_EARLIEST = "SELECT seq FROM record WHERE time >= ? ORDER BY time LIMIT 1"
_ACROSS = """
SELECT intent.seq FROM record AS outcome JOIN record AS intent
  ON intent.call = outcome.call AND intent.attempt = outcome.attempt AND intent.kind = 'i'
WHERE outcome.time >= ?1 AND outcome.time < ?2 AND outcome.kind = 'o' AND intent.seq < ?3
"""
_AFTER = """
SELECT record.seq, first.body ->> 'started' FROM record JOIN record AS first ON first.seq = (record.seq >> 40) << 40
WHERE record.seq > ?1 ORDER BY record.seq
"""
_LONGEST_CALL = 86_400_000_000
_Row = tuple[int, str, str, int, str | None]


class Rows:
    """The journal's rows, for whoever only reads. `close` it."""

    def __init__(self, directory: Path, key: bytes, cipher: Cipher = Cipher.AEGIS) -> None:
        """Open the journal in `directory`.

        Raises:
            StoreFault: a wrong key, no such file, not a journal.
        """
        self._path = directory / FILE_NAME
        self._connection = reading(self._path, key, cipher)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def of(self, seqs: Sequence[int]) -> list[_Row]:
        """(key, kind, call, attempt, subject) of those of the rows that are there and are about a call."""
        found: list[_Row] = []
        for at in range(0, len(seqs), _AT_ONCE):
            with translated(self._path):
                rows = self._connection.execute(_ROWS, (apsw.carray(array("q", seqs[at : at + _AT_ONCE])),)).fetchall()
            found += cast(list[_Row], rows)
        return found

    def since(self, time: int) -> int | None:
        """The key of the earliest row at or after an instant; None if there is none."""
        with translated(self._path):
            row = self._connection.execute(_EARLIEST, (time,)).fetchone()
        return None if row is None else cast(int, row[0])

    def after(self, seq: int) -> list[tuple[int, str]]:
        """(key, id of its boot) of each row after `seq`."""
        with translated(self._path):
            found = self._connection.execute(_AFTER, (seq,)).fetchall()
        return cast(list[tuple[int, str]], found)

    def across(self, edge: int, time: int) -> list[int]:
        """The keys of intents before row `edge` whose outcome came at or after `time`: at most a day after."""
        with translated(self._path):
            found = self._connection.execute(_ACROSS, (time, time + _LONGEST_CALL, edge)).fetchall()
        return [cast(int, seq) for (seq,) in found]


def of_tenant(log: LogReader, rows: Rows, tenant: str, subject: str | None, through: int) -> list[int]:
    """The indices of every leaf about a tenant up to journal row `through`, in order.

    Args:
        log: the log.
        rows: the journal's.
        tenant: whose.
        subject: the keyed hash of the one person, or None for the whole tenant.
        through: the last row.

    Returns:
        Indices in rising order, without those of calls that are under way.
    """
    leaves = [(index, seq) for index, seq in log.of_tenant(tenant) if seq is None or seq <= through]
    found = rows.of([seq for _index, seq in leaves if seq is not None])
    unclosed: Counter[tuple[str, int]] = Counter()
    of_person: set[str] = set()
    for _seq, kind, call, attempt, whom in found:
        unclosed[call, attempt] += {"i": 1, "o": -1}.get(kind, 0)
        if whom == subject:
            of_person.add(call)
    under_way = {call for (call, _attempt), count in unclosed.items() if count > 0}
    calls = {seq: call for seq, _kind, call, _attempt, _whom in found}
    chosen: list[int] = []
    for index, seq in leaves:
        call = "" if seq is None else calls.get(seq, "")
        if call in under_way or (subject is not None and call not in of_person):
            continue
        chosen.append(index)
    return chosen


def before(log: LogReader, rows: Rows, time: int) -> Iterator[int]:
    """The indices of each leaf that commits to a record older than `time`; calls that end later stay whole."""
    edge = rows.since(time)
    if edge is None or edge > log.last_seq:
        return
    below, start = log.index_of(edge), 0
    kept = {log.index_of(seq) for seq in rows.across(edge, time)}
    while page := log.committed(start, below, _AT_ONCE):
        yield from (index for index in page if index not in kept)
        start = page[-1] + 1


def edge_of(now: int) -> int:
    """The beginning, in microseconds, of the oldest month that is kept: thirteen months and the current one."""
    at = datetime.fromtimestamp(now / 1_000_000, UTC)
    months = at.year * 12 + at.month - 1 - MONTHS
    first = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return round(first.timestamp() * 1_000_000)


@contextlib.contextmanager
def opened(state: Path, keyring: Keyring, cipher: Cipher = Cipher.AEGIS) -> Iterator[tuple[LogReader, Rows]]:
    """The log and the journal's rows of a state, for reading.

    Raises:
        StoreFault: a file cannot be used.
    """
    with (
        LogReader.read(state / "log", keyring.log_key(), cipher) as log,
        contextlib.closing(Rows(state / "journal", keyring.journal_key(), cipher)) as rows,
    ):
        yield log, rows
