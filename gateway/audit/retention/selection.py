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
import orjson

from gateway.audit.log_store import LogReader
from gateway.audit.store import FILE_NAME, Cipher, reading, translated
from gateway.keys import Keyring

MONTHS = 13
YEAR = 365 * 86_400_000_000
_AT_ONCE = 500
_ROWS = """
SELECT seq, kind, lower(hex(call)), attempt, body ->> 'subject' FROM record WHERE seq IN carray(?1) AND kind <> 'p'
"""
# The pluses have SQLite go by the index over time.
_LAST_BEFORE = "SELECT max(+seq) FROM record WHERE time < ? AND +seq <= ?"
_OLDER = "SELECT seq FROM record WHERE seq IN carray(?1) AND +time < ?2"
_ACROSS = """
SELECT intent.seq FROM record AS outcome JOIN record AS intent
  ON intent.call = outcome.call AND intent.attempt = outcome.attempt AND intent.kind = 'i'
WHERE outcome.time >= ?1 AND outcome.time < ?2 AND outcome.kind = 'o' AND +intent.time < ?1
UNION ALL
SELECT outcome.seq FROM record AS intent JOIN record AS outcome
  ON outcome.call = intent.call AND outcome.attempt = intent.attempt AND outcome.kind = 'o'
WHERE intent.time >= ?1 AND intent.time < ?2 AND intent.kind = 'i' AND +outcome.time < ?1
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

    def last_before(self, time: int, through: int) -> int | None:
        """The greatest key, up to `through`, of a row older than an instant; None if there is none."""
        with translated(self._path):
            row = self._connection.execute(_LAST_BEFORE, (time, through)).fetchone()
        return None if row is None else cast("int | None", row[0])

    def older(self, seqs: Sequence[int], time: int) -> set[int]:
        """Those of the rows that are there and older than an instant."""
        with translated(self._path):
            found = self._connection.execute(_OLDER, (apsw.carray(array("q", seqs)), time)).fetchall()
        return {cast(int, seq) for (seq,) in found}

    def after(self, seq: int) -> list[tuple[int, str]]:
        """(key, id of its boot) of each row after `seq`."""
        with translated(self._path):
            found = self._connection.execute(_AFTER, (seq,)).fetchall()
        return cast(list[tuple[int, str]], found)

    def across(self, time: int) -> list[int]:
        """The keys of rows older than an instant whose call has its other row after it: at most a day after."""
        with translated(self._path):
            found = self._connection.execute(_ACROSS, (time, time + _LONGEST_CALL)).fetchall()
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


def before(log: LogReader, rows: Rows, time: int, known: int) -> Iterator[int]:
    """The indices of each leaf that commits to a record older than `time`; calls that end later stay whole.

    Each record is asked for its own time. The log's order is not that of time where it is made of several journals:
    a row may come to it later than younger ones of others, so no place in it divides what is older from what is not.

    Args:
        log: the log.
        rows: the journal's.
        time: microseconds since 1970.
        known: an instant at which the log had them, by the clock of who signs: what a clock that was set back says of
            the age of a record counts for nothing.
    """
    signed, last = log.signed_before(known), rows.last_before(time, log.last_seq)
    if signed is None or last is None:
        return
    below, start = min(signed.size, log.index_of(last) + 1), 0
    kept = set(rows.across(time))
    while leaves := log.committed(start, below, _AT_ONCE):
        old = rows.older([leaf.seq for leaf in leaves if leaf.seq is not None], time) - kept
        yield from (leaf.index for leaf in leaves if leaf.seq in old or (leaf.note and _told(leaf.note) < time))
        start = leaves[-1].index + 1


def _told(note: str) -> int:
    """When a tenant's count, which the log made itself, was made."""
    return int(orjson.loads(note)["time"])


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
