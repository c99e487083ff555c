"""The index beside the journal: what the auditor's pages are answered from, so that none reads the journal through.

Derived and disposable: every fact in it is the journal's, and a missing or foreign index is made anew. It is a file of
its own, encrypted as the journal is, written by the pages' process alone, so the commit point never waits for it and a
page never waits for the commit point. One row an attempt or refusal, by time; what many of them have in common (tenant,
model, how it ended ...) is one row of `alike`, and `day_tally` and `month_tally` count those, kept up as rows come. So
a count over any filter and any period costs what the *kinds* of calls cost, not the calls.

What is erased in the journal goes here too: the record that says that something was erased makes the index drop every
row that the journal no longer has, and `forget` removes the files for whoever erases while no page is served.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import apsw
import orjson

from gateway.audit.periods import DAY, month_of
from gateway.audit.store import FILE_NAME, Cipher, StoreFault, keyed, lock, reading, translated

INDEX_FOLDER = "pages"
INDEX_FILE = "index.db"
APPLICATION_ID = 0x7A726937  # "zri7": another layout is made anew
STEP = 4096
"""Rows of the journal that one transaction takes in."""

NOBODY = 0
"""The tenant of a refusal that came before the tenant was known."""

ERASING = frozenset({"erased"})
"""Operator acts after which the journal has fewer rows than before."""

_THERE = "SELECT value FROM carray(?1) WHERE EXISTS (SELECT 1 FROM record WHERE seq = value)"

OPEN = "open"
_SCHEMA = """
CREATE TABLE mark(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE alike(id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, facts TEXT UNIQUE NOT NULL) STRICT;
CREATE TABLE tenant(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL) STRICT;
CREATE TABLE call(time INTEGER, seq INTEGER, tenant INTEGER NOT NULL, alike INTEGER NOT NULL, call BLOB NOT NULL,
  attempt INTEGER NOT NULL, outcome INTEGER, redactions INTEGER, input_tokens INTEGER, output_tokens INTEGER,
  status INTEGER, ms INTEGER, PRIMARY KEY(time, seq)) STRICT, WITHOUT ROWID;
CREATE INDEX call_alike ON call(alike);
CREATE INDEX call_call ON call(call);
CREATE TABLE day_tally(period INTEGER, tenant INTEGER, kinds BLOB NOT NULL, PRIMARY KEY(period, tenant)) STRICT;
CREATE TABLE month_tally(period INTEGER, tenant INTEGER, kinds BLOB NOT NULL, PRIMARY KEY(period, tenant)) STRICT;
CREATE TABLE act(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, act TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX act_act ON act(act, time);
CREATE INDEX act_time ON act(time);
"""
Body = dict[str, "str | int | bool | list[object] | None"]


@dataclass(slots=True)
class _Row:
    """One attempt or refusal on its way in. `tenant` is a number of the table of tenants."""

    time: int
    seq: int
    tenant: int
    facts: tuple[str, ...]
    call: bytes
    attempt: int
    first: int
    outcome: int | None = None
    redactions: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    status: int | None = None
    ms: int | None = None

    def sums(self) -> tuple[int, ...]:
        return 1, self.first, self.redactions, self.input_tokens or 0, self.output_tokens or 0


@dataclass(slots=True)
class _Batch:
    """What one transaction adds."""

    rows: dict[tuple[bytes, int], _Row] = field(default_factory=dict)
    closed: list[tuple[_Row, tuple[str, ...], tuple[int, ...]]] = field(default_factory=list)
    acts: list[tuple[int, int, str, str]] = field(default_factory=list)
    tallies: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)
    erased: bool = False


class Index:
    """The index, for its one writer.

    Args:
        state: the state directory; the index is in its folder `pages`.
        key: 32 bytes, of the index.
        journal_key: of the journal.
        cipher: of both.

    Raises:
        StoreFault: another process keeps this index, or a file cannot be used.
    """

    def __init__(self, state: Path, key: bytes, journal_key: bytes, cipher: Cipher = Cipher.AEGIS) -> None:
        directory = state / INDEX_FOLDER
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / INDEX_FILE
        self._lock = lock(directory / "index.lock")
        self._journal: apsw.Connection | None = None
        try:
            self._journal = reading(state / "journal" / FILE_NAME, journal_key, cipher)
            self._connection = self._open(key, cipher)
        except BaseException:
            if self._journal is not None:
                self._journal.close()
            os.close(self._lock)
            raise
        self._alike: dict[tuple[str, ...], int] = {}
        self._tenants: dict[str, int] = {}
        self._last = -1
        self._remember()

    @property
    def last(self) -> int:
        """The key of the last row of the journal that is in; -1 if none is."""
        return self._last

    def step(self, most: int = STEP) -> int:
        """Take in what the journal has gained, at most `most` rows; how many there were.

        Raises:
            StoreFault: the journal cannot be read, or the index cannot be written.
        """
        with translated(self._path):
            found = self._from_journal(
                "SELECT seq, time, kind, body FROM record WHERE seq > ? ORDER BY seq LIMIT ?", (self._last, most)
            )
            if not found:
                return 0
            rows = cast(list[tuple[int, int, str, str]], found)
            try:
                with self._connection:
                    batch = _Batch()
                    for seq, time, kind, text in rows:
                        self._take(batch, seq, time, kind, text)
                    self._write(batch)
                    self._mark("last", rows[-1][0])
                    if batch.erased:
                        self._sweep()
            except BaseException:
                self._remember()  # what was numbered in a transaction that did not come about
                raise
            self._last = rows[-1][0]
            if batch.erased:  # no page of what was erased stays in the log's file
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return len(rows)

    def close(self) -> None:
        """Release the files. Calling it twice is fine."""
        if self._lock >= 0:
            self._connection.close()
            if self._journal is not None:
                self._journal.close()
            os.close(self._lock)
            self._lock = -1

    # taking in

    def _take(self, batch: _Batch, seq: int, time: int, kind: str, text: str) -> None:
        body: Body = orjson.loads(text)
        if kind == "p":
            self._take_act(batch, seq, time, text, body)
        elif kind == "o":
            self._take_outcome(batch, seq, body)
        else:
            self._take_row(batch, seq, time, kind, body)

    def _take_act(self, batch: _Batch, seq: int, time: int, text: str, body: Body) -> None:
        act = str(body.get("act"))
        if act == "boot":
            self._mark("boot", seq)
        if act == "heartbeat":
            self._mark("heartbeat", time)
            return
        batch.acts.append((seq, time, act, text))
        batch.erased = batch.erased or act in ERASING

    def _take_row(self, batch: _Batch, seq: int, time: int, kind: str, body: Body) -> None:
        attempt = _number(body, "attempt")
        facts = (
            _text(body, "tenant"),
            "allow" if kind == "i" else "refuse",
            OPEN if kind == "i" else _text(body, "code"),
            _text(body, "caller"),
            _text(body, "purpose"),
            _text(body, "wire"),
            _text(body, "operation"),
            _text(body, "processor"),
            _text(body, "agreement"),
            " ".join(str(each) for each in cast("list[object]", body.get("countries") or ())),
            _text(body, "model"),
            _text(body, "source"),
        )
        row = _Row(
            time=time,
            seq=seq,
            tenant=self._tenant(facts[0]),
            facts=facts,
            call=bytes.fromhex(_text(body, "call")),
            attempt=attempt,
            first=1 if kind == "i" and attempt == 0 else 0,
            redactions=_number(body, "redactions"),
        )
        batch.rows[row.call, attempt] = row

    def _take_outcome(self, batch: _Batch, seq: int, body: Body) -> None:
        key = bytes.fromhex(_text(body, "call")), _number(body, "attempt")
        row = batch.rows.get(key)
        if row is None:
            row = self._open_row(*key)
            if row is None:
                return  # its intent was erased, and so it will be
            batch.closed.append((row, row.facts, row.sums()))
            batch.rows[key] = row
        row.outcome = seq
        row.facts = (*row.facts[:2], _text(body, "result"), *row.facts[3:])
        row.redactions += _number(body, "redactions")
        row.input_tokens, row.output_tokens = _maybe(body, "input_tokens"), _maybe(body, "output_tokens")
        row.status, row.ms = _maybe(body, "status"), _maybe(body, "total_ms")

    def _open_row(self, call: bytes, attempt: int) -> _Row | None:
        found = self._connection.execute(
            "SELECT time, seq, call.tenant, facts, redactions FROM call JOIN alike ON alike.id = call.alike "
            "WHERE call = ? AND attempt = ? AND outcome IS NULL",
            (call, attempt),
        ).fetchone()
        if found is None:
            return None
        time, seq, tenant, facts, redactions = cast(tuple[int, int, int, str, int], found)
        return _Row(
            time, seq, tenant, tuple(orjson.loads(facts)), call, attempt, int(attempt == 0), redactions=redactions
        )

    def _write(self, batch: _Batch) -> None:
        many = self._connection.executemany
        for row, facts, sums in batch.closed:
            self._count(batch, row, facts, [-value for value in sums])
        many(
            "REPLACE INTO call VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (row.time, row.seq, row.tenant, self._kind(row.facts, row.tenant), row.call, row.attempt, row.outcome,
                 row.redactions, row.input_tokens, row.output_tokens, row.status, row.ms)
                for row in batch.rows.values()
            ],
        )  # fmt: skip
        for row in batch.rows.values():
            self._count(batch, row, row.facts, list(row.sums()))
        many("REPLACE INTO act VALUES(?,?,?,?)", batch.acts)
        self._tally(batch.tallies)

    def _count(self, batch: _Batch, row: _Row, facts: tuple[str, ...], sums: list[int]) -> None:
        key = row.time // DAY, row.tenant, self._kind(facts, row.tenant)
        held = batch.tallies.get(key)
        batch.tallies[key] = sums if held is None else [one + two for one, two in zip(held, sums, strict=True)]

    def _tally(self, tallies: dict[tuple[int, int, int], list[int]]) -> None:
        """Add to the tallies: (day, tenant, kind) -> sums."""
        from gateway.audit.tallies import added  # noqa: PLC0415  # numpy: the gateway only removes an index

        days: dict[tuple[int, int], dict[int, list[int]]] = {}
        months: dict[tuple[int, int], dict[int, list[int]]] = {}
        for (day, tenant, alike), sums in tallies.items():
            days.setdefault((day, tenant), {})[alike] = sums
            month = months.setdefault((month_of(day), tenant), {})
            held = month.get(alike)
            month[alike] = sums if held is None else [one + two for one, two in zip(held, sums, strict=True)]
        for name, counts in (("day_tally", days), ("month_tally", months)):
            self._connection.executemany(
                f"REPLACE INTO {name} VALUES(?,?,?)",
                [(*place, added(self._tally_of(name, place), more)) for place, more in counts.items()],
            )

    def _tally_of(self, name: str, place: tuple[int, int]) -> bytes | None:
        sql = f"SELECT kinds FROM {name} WHERE period = ? AND tenant = ?"  # noqa: S608  # ours
        found = self._connection.execute(sql, place).fetchone()
        return cast(bytes, found[0]) if found else None

    def _kind(self, facts: tuple[str, ...], tenant: int) -> int:
        found = self._alike.get(facts)
        if found is None:
            found = self._alike[facts] = next(self._numbers)
            self._connection.execute("INSERT INTO alike VALUES(?,?,?)", (found, tenant, orjson.dumps(facts).decode()))
        return found

    def _tenant(self, name: str) -> int:
        if not name:
            return NOBODY
        found = self._tenants.get(name)
        if found is None:
            found = self._tenants[name] = next(self._tenant_numbers)
            self._connection.execute("INSERT INTO tenant VALUES(?,?)", (found, name))
        return found

    # erasing

    def _sweep(self) -> None:
        """Drop every row whose record the journal no longer has, count it out, and forget what only it named."""
        place = (-1, -1)
        while True:
            found = self._connection.execute(
                "SELECT time, seq FROM call WHERE (time, seq) > (?,?) ORDER BY time, seq LIMIT ?", (*place, STEP)
            ).fetchall()
            if not found:
                break
            places = cast("list[tuple[int, int]]", found)
            there = self._from_journal(_THERE, (apsw.carray(array("q", [seq for _time, seq in places])),))
            kept = {seq for (seq,) in there}
            for each in places:
                if each[1] not in kept:
                    self._drop(*each)
            place = places[-1]
        execute = self._connection.execute
        looks = [seq for (seq,) in execute("SELECT seq FROM act WHERE act IN ('view', 'export')")]
        kept = {seq for (seq,) in self._from_journal(_THERE, (apsw.carray(array("q", looks)),))} if looks else set()
        self._connection.executemany("DELETE FROM act WHERE seq = ?", [(seq,) for seq in looks if seq not in kept])
        self._mark("alike", next(self._numbers))
        self._mark("tenant", next(self._tenant_numbers))
        self._mark("sweeps", self._last_mark("sweeps") + 1)
        for name in ("day_tally", "month_tally"):
            execute(f"DELETE FROM {name} WHERE length(kinds) = 0")  # noqa: S608  # ours
        execute("DELETE FROM alike WHERE NOT EXISTS (SELECT 1 FROM call WHERE call.alike = alike.id)")
        execute("DELETE FROM tenant WHERE id NOT IN (SELECT tenant FROM alike)")
        self._remember()

    def _drop(self, time: int, seq: int) -> None:
        found = self._connection.execute(
            "SELECT call.tenant, alike, attempt, redactions, input_tokens, output_tokens, facts FROM call "
            "JOIN alike ON alike.id = call.alike WHERE time = ? AND seq = ?",
            (time, seq),
        ).fetchone()
        tenant, alike, attempt, redactions, given, taken, facts = cast(
            tuple[int, int, int, int, "int | None", "int | None", str], found
        )
        first = int(attempt == 0 and orjson.loads(facts)[1] == "allow")
        self._tally({(time // DAY, tenant, alike): [-1, -first, -redactions, -(given or 0), -(taken or 0)]})
        self._connection.execute("DELETE FROM call WHERE time = ? AND seq = ?", (time, seq))

    # the files

    def _open(self, key: bytes, cipher: Cipher) -> apsw.Connection:
        for _again in range(2):
            made = self._make(key, cipher)
            if made is not None:
                return made
            _remove(self._path)
        raise StoreFault(f"{self._path}: cannot be made")

    def _make(self, key: bytes, cipher: Cipher) -> apsw.Connection | None:
        """The index, new or as it was left; None where it is damaged, of another layout, or of another journal."""
        if not self._path.exists():
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            connection = keyed(self._path, apsw.SQLITE_OPEN_READWRITE, key, cipher, "")
        except apsw.Error:
            return None
        with translated(self._path):
            connection.pragma("journal_mode", "wal")
            # A lost commit costs a second look at the journal, so the disk is not waited for.
            connection.execute(
                "PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536"
            ).fetchall()
            if connection.pragma("application_id") == 0:
                with connection:
                    connection.execute(_SCHEMA)
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}").fetchall()
                return connection
            if connection.pragma("application_id") == APPLICATION_ID and self._continues(connection):
                return connection
        connection.close()
        return None

    def _continues(self, connection: apsw.Connection) -> bool:
        """Whether the journal is the one that this index was made of, and not older."""
        marks = dict(cast("list[tuple[str, int]]", connection.execute("SELECT name, value FROM mark").fetchall()))
        boot, last = marks.get("boot"), marks.get("last", -1)
        if boot is None:
            return last < 0
        ours = connection.execute("SELECT body FROM act WHERE seq = ?", (boot,)).fetchone()
        theirs = self._from_journal("SELECT body FROM record WHERE seq = ?", (boot,))
        newest = self._from_journal("SELECT max(seq) FROM record", ())
        return bool(theirs) and ours == theirs[0] and cast(int, newest[0][0]) >= last

    def _remember(self) -> None:
        with translated(self._path):
            execute = self._connection.execute
            kinds = cast("list[tuple[int, str]]", execute("SELECT id, facts FROM alike").fetchall())
            self._alike = {tuple(map(str, orjson.loads(facts))): number for number, facts in kinds}
            tenants = cast("list[tuple[int, str]]", execute("SELECT id, name FROM tenant").fetchall())
            self._tenants = {name: number for number, name in tenants}
            # Numbers are never used twice in one life of the index, so what a reader remembers of one stays true.
            self._numbers = itertools.count(self._highest("alike", self._alike.values()))
            self._tenant_numbers = itertools.count(self._highest("tenant", self._tenants.values()))
            marks = dict(cast("list[tuple[str, int]]", execute("SELECT name, value FROM mark").fetchall()))
        self._last = marks.get("last", -1)

    def _highest(self, name: str, numbers: Iterable[int]) -> int:
        return max(self._last_mark(name), 1, *(number + 1 for number in numbers))

    def _last_mark(self, name: str) -> int:
        found = self._connection.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
        return cast(int, found[0]) if found else 0

    def _from_journal(self, sql: str, bindings: tuple[object, ...]) -> list[tuple[object, ...]]:
        assert self._journal is not None  # noqa: S101  # only before the constructor is done
        return cast("list[tuple[object, ...]]", self._journal.execute(sql, bindings).fetchall())

    def _mark(self, name: str, value: int) -> None:
        self._connection.execute("REPLACE INTO mark VALUES(?,?)", (name, value))


def forget(state: Path) -> None:
    """Remove the index of a state, for whoever erased records while no page is served; the next start makes it anew.

    Raises:
        StoreFault: the pages are being served; they drop what was erased by themselves.
    """
    directory = state / INDEX_FOLDER
    if not directory.exists():
        return
    held = lock(directory / "index.lock")
    try:
        _remove(directory / INDEX_FILE)
    finally:
        os.close(held)


def drop_packs(state: Path) -> int:
    """Delete the evidence packs that lie beside the index for the pages; how many. They can be built anew."""
    found = list((state / INDEX_FOLDER).glob("*/*.zip"))
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _number(body: Body, name: str) -> int:
    return _maybe(body, name) or 0


def _maybe(body: Body, name: str) -> int | None:
    value = body.get(name)
    return value if isinstance(value, int) else None
