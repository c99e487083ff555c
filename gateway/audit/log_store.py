"""The file of the log: leaves, tiles, bundles and checkpoints, in one SQLite database of its own.

One writer, the sequencer. Everything that belongs to one checkpoint lands in one transaction, so
there is no state in which a signed checkpoint lacks a tile, and nothing to repair after a crash.
Encrypted as the journal is. Salts are here and nowhere else; the records are in the journal.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import apsw
from msgspec import Struct

from gateway.audit.leaf import CLEAR
from gateway.audit.merkle import HASH_BYTES, Subtree, perfect_root
from gateway.audit.store import Cipher, StoreFault, keyed, lock, refuse_open_to_others, translated
from gateway.audit.tlog import TILE, unbundle

LOG_FILE = "log.db"
_FORGET_AT_ONCE = 4096
APPLICATION_ID = 0x7A726C31  # "zrl1"

_SCHEMA = """
CREATE TABLE origin(name TEXT NOT NULL) STRICT;
CREATE TABLE leaf(idx INTEGER PRIMARY KEY, seq INTEGER, tenant INTEGER, tseq INTEGER, salt BLOB) STRICT;
CREATE INDEX leaf_seq ON leaf(seq) WHERE seq IS NOT NULL;
CREATE INDEX leaf_tenant ON leaf(tenant) WHERE tenant IS NOT NULL;
CREATE TABLE note(idx INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE tile(level INTEGER, position INTEGER, hashes BLOB NOT NULL, PRIMARY KEY(level, position)) STRICT;
CREATE TABLE bundle(position INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, time INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
CREATE INDEX checkpoint_time ON checkpoint(time);
CREATE TABLE boot(number INTEGER PRIMARY KEY, id TEXT NOT NULL, rows INTEGER NOT NULL) STRICT;
CREATE TABLE tenant(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, tseq INTEGER NOT NULL,
  headed INTEGER NOT NULL, day INTEGER NOT NULL) STRICT;
"""
# What the log says must be forgotten, by the digest of its list: the act's index, and whether that was done.
_ADDED_SCHEMA = """
CREATE TABLE IF NOT EXISTS erasure(document TEXT PRIMARY KEY, idx INTEGER NOT NULL, done INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS staged(seed BLOB NOT NULL, time INTEGER NOT NULL, headed_on INTEGER NOT NULL,
  rows INTEGER NOT NULL) STRICT;
"""


class Leaf(Struct, frozen=True):
    """One leaf: where its record is (`seq` in the journal, or `note` here), whose it is, and its salt."""

    index: int
    seq: int | None
    tenant: int | None
    tseq: int | None
    salt: bytes | None
    note: str | None = None


_LeafRow = tuple[int, int | None, int | None, int | None, bytes | None, str | None]


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint: `size`, when it was made (microseconds since 1970), the signed note."""

    size: int
    time: int
    note: str


@dataclass(frozen=True, slots=True)
class Staged:
    """What a batch that is about to be claimed is made of: the seed of its salts, its time, and its number of rows."""

    seed: bytes
    time: int
    headed_on: int
    rows: int


@dataclass(slots=True)
class TenantCount:
    """How many records a tenant has (`tseq`), how many its last head said, and for which day."""

    id: int
    name: str
    tseq: int = 0
    headed: int = 0
    day: int = -1


@dataclass(slots=True)
class Batch:
    """What one checkpoint adds."""

    leaves: list[Leaf] = field(default_factory=list)
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)
    bundles: dict[int, bytes] = field(default_factory=dict)
    boots: dict[int, tuple[str, int]] = field(default_factory=dict)
    tenants: dict[str, TenantCount] = field(default_factory=dict)
    erasures: dict[str, int] = field(default_factory=dict)


class LogReader:
    """The log, for whoever only reads it, also while the sequencer writes."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        """Use `read`."""
        self._connection = connection
        self._path = path

    @classmethod
    @contextlib.contextmanager
    def read(cls, directory: Path, key: bytes, cipher: Cipher = Cipher.AEGIS) -> Iterator[LogReader]:
        """The log in `directory`; one moment of it, however long the reading takes.

        Raises:
            StoreFault: a wrong key, no such file, not a log.
        """
        path = directory / LOG_FILE
        with translated(path), contextlib.closing(keyed(path, apsw.SQLITE_OPEN_READONLY, key, cipher, "")) as made:
            if made.pragma("application_id") != APPLICATION_ID:
                raise StoreFault(f"{path}: not a log")
            with made:
                yield cls(made, path)

    @property
    def directory(self) -> Path:
        """Where the file is, and what belongs to it."""
        return self._path.parent

    @property
    def origin(self) -> str:
        """The log's name."""
        return str(self._row("SELECT name FROM origin")[0])

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return cast(int, self._row("SELECT coalesce(max(idx) + 1, 0) FROM leaf")[0])

    @property
    def last_seq(self) -> int:
        """The key of the last journal row that is in the log; -1 if none is."""
        return cast(int, self._row("SELECT coalesce(max(seq), -1) FROM leaf WHERE seq IS NOT NULL")[0])

    def last_seq_before(self, index: int) -> int:
        """The key of the last journal row among the leaves before `index`; -1 if there is none."""
        found = self._all("SELECT seq FROM leaf WHERE idx < ? AND seq IS NOT NULL ORDER BY idx DESC LIMIT 1", (index,))
        return cast(int, found[0][0]) if found else -1

    def index_of(self, seq: int) -> int:
        """The index of a journal row's leaf.

        Raises:
            StoreFault: it is not in the log.
        """
        found = self._all("SELECT idx FROM leaf WHERE seq = ?", (seq,))
        if not found:
            raise StoreFault(f"{self._path}: a row of the journal has no leaf")
        return cast(int, found[0][0])

    def boots(self) -> dict[int, tuple[str, int]]:
        """Each boot's number -> its id and how many of its rows are in the log."""
        rows = cast(list[tuple[int, str, int]], self._all("SELECT number, id, rows FROM boot"))
        return {number: (name, count) for number, name, count in rows}

    def tenants(self) -> dict[str, TenantCount]:
        """Each tenant's counters, by name."""
        rows = self._all("SELECT id, name, tseq, headed, day FROM tenant")
        return {row[1]: TenantCount(*row) for row in cast(list[tuple[int, str, int, int, int]], rows)}

    def latest(self) -> Signed | None:
        """The last checkpoint, if there is one."""
        return self._signed("ORDER BY size DESC", ())

    def signed_at(self, size: int) -> Signed | None:
        """The checkpoint of exactly this size, if it was kept."""
        return self._signed("WHERE size = ?", (size,))

    def signed_before(self, time: int) -> Signed | None:
        """The last checkpoint made at or before an instant."""
        return self._signed("WHERE +time <= ? ORDER BY size DESC", (time,))

    def signed_after(self, time: int) -> Signed | None:
        """The first checkpoint made at or after an instant."""
        return self._signed("WHERE +time >= ? ORDER BY size", (time,))

    def leaves(self, start: int, end: int) -> list[Leaf]:
        """Leaves [start, end)."""
        rows = self._all(
            "SELECT leaf.idx, seq, tenant, tseq, salt, note.body FROM leaf LEFT JOIN note ON note.idx = leaf.idx "
            "WHERE leaf.idx >= ? AND leaf.idx < ? ORDER BY leaf.idx",
            (start, end),
        )
        return [Leaf(*row) for row in cast(list[_LeafRow], rows)]

    def seqs(self, start: int, end: int) -> list[int]:
        """The keys of the journal rows behind leaves [start, end)."""
        found = self._all("SELECT seq FROM leaf WHERE idx >= ? AND idx < ? AND seq IS NOT NULL", (start, end))
        return [cast(int, seq) for (seq,) in found]

    def of_tenant(self, name: str) -> list[tuple[int, int | None]]:
        """(index, journal row) of each leaf about a tenant that is not forgotten, in order; no row for a count."""
        rows = self._all(
            "SELECT leaf.idx, leaf.seq FROM leaf JOIN tenant ON tenant.id = leaf.tenant "
            "WHERE tenant.name = ? AND leaf.salt IS NOT NULL ORDER BY leaf.idx",
            (name,),
        )
        return cast(list[tuple[int, int | None]], rows)

    def committed(self, start: int, below: int, most: int) -> list[Leaf]:
        """The first `most` leaves in [start, below) that commit to a record and are not forgotten."""
        rows = self._all(
            "SELECT leaf.idx, seq, tenant, tseq, salt, note.body FROM leaf LEFT JOIN note ON note.idx = leaf.idx "
            "WHERE leaf.idx >= ? AND leaf.idx < ? AND salt IS NOT NULL ORDER BY leaf.idx LIMIT ?",
            (start, below, most),
        )
        return [Leaf(*row) for row in cast(list[_LeafRow], rows)]

    def last_kept(self, seq: int) -> int:
        """The last journal row at or before `seq` that was not forgotten: a commitment without its salt was."""
        at = seq
        while True:
            rows = self._all("SELECT idx, seq, salt IS NULL FROM leaf WHERE seq <= ? ORDER BY seq DESC LIMIT 64", (at,))
            for index, each, bare in cast(list[tuple[int, int, int]], rows):
                if not bare or self.entry(index)[:1] == CLEAR:
                    return each
                at = each - 1
            if not rows:
                return seq

    def erasures(self) -> dict[str, bool]:
        """The digest of each list of what the log says must be forgotten, in order -> whether that was done."""
        rows = cast(list[tuple[str, int]], self._all("SELECT document, done FROM erasure ORDER BY idx"))
        return {document: bool(done) for document, done in rows}

    def due(self) -> dict[str, int]:
        """Of those, what is not done yet -> the index of the act."""
        return dict(cast(list[tuple[str, int]], self._all("SELECT document, idx FROM erasure WHERE NOT done")))

    def entry(self, index: int) -> bytes:
        """One entry."""
        return self.entries(index // TILE)[index % TILE]

    def tile(self, level: int, position: int) -> bytes:
        """A tile's hashes, as many as there are; nothing if there is none."""
        found = self._all("SELECT hashes FROM tile WHERE level = ? AND position = ?", (level, position))
        return cast(bytes, found[0][0]) if found else b""

    def bundle(self, position: int) -> bytes:
        """A bundle's entries, as many as there are; nothing if there is none."""
        found = self._all("SELECT entries FROM bundle WHERE position = ?", (position,))
        return cast(bytes, found[0][0]) if found else b""

    def entries(self, position: int, width: int = TILE) -> list[bytes]:
        """The first `width` entries of a bundle."""
        return unbundle(self.bundle(position))[:width]

    def subtrees(self) -> Subtree:
        """The roots of perfect subtrees, out of the tiles; the tiles of one proof are read once."""
        kept: dict[tuple[int, int], bytes] = {}

        def subtree(height: int, position: int) -> bytes:
            level, above = divmod(height, 8)
            first = position << above
            place = level, first // TILE
            if place not in kept:
                kept[place] = self.tile(*place)
            start = first % TILE * HASH_BYTES
            hashes = kept[place][start : start + (HASH_BYTES << above)]
            if len(hashes) != HASH_BYTES << above:
                raise StoreFault(f"{self._path}: a tile is missing")
            return perfect_root([hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)])

        return subtree

    def _signed(self, rest: str, bindings: tuple[int, ...]) -> Signed | None:
        # The plus keeps SQLite from the index over time, from which it would sort every checkpoint of that side.
        rows = self._all(f"SELECT size, time, note FROM checkpoint {rest} LIMIT 1", bindings)  # noqa: S608  # ours
        return Signed(*cast(tuple[int, int, str], rows[0])) if rows else None

    def _row(self, sql: str) -> tuple[object, ...]:
        return self._all(sql)[0]

    def _all(self, sql: str, bindings: tuple[int | str, ...] = ()) -> list[tuple[object, ...]]:
        with translated(self._path):
            return cast(list[tuple[object, ...]], self._connection.execute(sql, bindings).fetchall())


class LogStore(LogReader):
    """The log, for its one writer.

    Raises:
        StoreFault: another writer, a wrong key, another log's file, a damaged file.
    """

    def __init__(self, directory: Path, key: bytes, origin: str, cipher: Cipher = Cipher.AEGIS, vfs: str = "") -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_open_to_others(directory)
        path = directory / LOG_FILE
        self._lock = lock(directory / "log.lock")
        try:
            if not path.exists():
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            refuse_open_to_others(path)
            with translated(path):
                connection = keyed(path, apsw.SQLITE_OPEN_READWRITE, key, cipher, vfs)
                super().__init__(connection, path)
                self._prepare(origin)
            self._file = identity(path)
        except BaseException:
            os.close(self._lock)
            raise

    def refuse_moved(self) -> None:
        """Refuse to go on where the open file is no longer the one of its name: what is written then would be lost.

        Raises:
            StoreFault: it is not.
        """
        if identity(self._path) != self._file:
            raise StoreFault(f"{self._path}: the open log is no longer the file of that name")

    def add(self, batch: Batch, signed: Signed) -> None:
        """Write one checkpoint and everything beneath it; on the disk when this returns, or not at all.

        The checkpoint before goes, unless it was the last of its hour: periods begin and end at
        checkpoints, and one a second for a year would outgrow the log.

        Raises:
            StoreFault: whether it was written is unknown; open the file anew.
        """
        with translated(self._path), self._connection:
            many = self._connection.executemany
            many("INSERT INTO leaf VALUES(?,?,?,?,?)", [_columns(leaf) for leaf in batch.leaves])
            many("INSERT INTO note VALUES(?,?)", [(each.index, each.note) for each in batch.leaves if each.note])
            many("REPLACE INTO tile VALUES(?,?,?)", [(*place, hashes) for place, hashes in batch.tiles.items()])
            many("REPLACE INTO bundle VALUES(?,?)", batch.bundles.items())
            many("REPLACE INTO boot VALUES(?,?,?)", [(number, *rest) for number, rest in batch.boots.items()])
            many("REPLACE INTO tenant VALUES(?,?,?,?,?)", _tenant_rows(batch.tenants.values()))
            many("INSERT OR IGNORE INTO erasure VALUES(?,?,0)", batch.erasures.items())
            self._connection.execute(
                "DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint) AND time / ?1 = ?2 / ?1",
                (3_600_000_000, signed.time),
            )
            self._connection.execute("INSERT INTO checkpoint VALUES(?,?,?)", (signed.size, signed.time, signed.note))
            self._connection.execute("DELETE FROM staged")

    def stage(self, staged: Staged | None) -> None:
        """Remember, durably, what the next batch is made of, until it is added; None: there is none after all.

        Raises:
            StoreFault: whether it was written is unknown; open the file anew.
        """
        with translated(self._path), self._connection:
            self._connection.execute("DELETE FROM staged")
            if staged is not None:
                row = (staged.seed, staged.time, staged.headed_on, staged.rows)
                self._connection.execute("INSERT INTO staged VALUES(?,?,?,?)", row)

    def staged(self) -> Staged | None:
        """What was staged and not added."""
        rows = self._all("SELECT seed, time, headed_on, rows FROM staged")
        return Staged(*cast(tuple[bytes, int, int, int], rows[0])) if rows else None

    def forget(self, spans: Iterable[tuple[int, int]]) -> None:
        """Forget the salts of leaves [start, end) and whose they were; what is left cannot be tested against a guess.

        A tenant of whom no leaf is left goes, too. What was there is in old pages until `forgotten`.

        Raises:
            StoreFault: how far it came is unknown; do it again, which changes nothing more.
        """
        for start, end in spans:
            for first in range(start, end, _FORGET_AT_ONCE):
                span = first, min(end, first + _FORGET_AT_ONCE)
                with translated(self._path), self._connection:
                    self._connection.execute(
                        "UPDATE leaf SET tenant = NULL, tseq = NULL, salt = NULL "
                        "WHERE idx >= ? AND idx < ? AND salt IS NOT NULL",
                        span,
                    )
                    self._connection.execute("DELETE FROM note WHERE idx >= ? AND idx < ?", span)
        with translated(self._path), self._connection:
            self._connection.execute(
                "DELETE FROM tenant WHERE NOT EXISTS (SELECT 1 FROM leaf WHERE leaf.tenant = tenant.id)"
            )

    def forgotten(self, document: str, index: int = -1) -> bool:
        """Cut the write-ahead log and note that a list was carried out; False while a reader holds old pages.

        Raises:
            StoreFault: whether it was noted is unknown.
        """
        with translated(self._path):
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                return False
            self._connection.execute(
                "INSERT INTO erasure VALUES(?1,?2,1) ON CONFLICT(document) DO UPDATE SET done = 1", (document, index)
            )
        return True

    def close(self) -> None:
        """Release the file. Calling it twice is fine."""
        if self._lock >= 0:
            self._connection.close()
            os.close(self._lock)
            self._lock = -1

    def _prepare(self, origin: str) -> None:
        connection = self._connection
        if connection.pragma("journal_mode", "wal") != "wal":
            raise StoreFault(f"{self._path}: the file system does not carry a write-ahead log")
        connection.execute("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON").fetchall()
        found = connection.pragma("application_id")
        if found == 0:
            with connection:
                connection.execute(_SCHEMA)
                connection.execute("INSERT INTO origin VALUES(?)", (origin,))
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}").fetchall()
        elif found != APPLICATION_ID:
            raise StoreFault(f"{self._path}: not a log")
        elif self.origin != origin:
            raise StoreFault(f"{self._path}: this is the log of another origin; an origin never changes")
        connection.execute(_ADDED_SCHEMA)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file bears this name: device and inode; None where none does."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _columns(leaf: Leaf) -> Sequence[int | bytes | None]:
    return leaf.index, leaf.seq, leaf.tenant, leaf.tseq, leaf.salt


def _tenant_rows(tenants: Iterable[TenantCount]) -> list[tuple[int, str, int, int, int]]:
    return [(each.id, each.name, each.tseq, each.headed, each.day) for each in tenants]
