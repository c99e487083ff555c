"""The file under the journal: an encrypted SQLite database that one thread writes.

Everything that touches the disk is here and blocks; the journal calls it from its own thread.
Pages are encrypted and authenticated by SQLite3 Multiple Ciphers, in the database and in the
write-ahead log alike; temporary storage is memory (compiled in). SQLite itself must be 3.51.3
or later: before, two connections to one write-ahead log could lose a commit (sqlite.org/wal.html,
"WAL-reset bug"). Even so exactly one connection writes and checkpoints.

A row's key is `boot number << 40 | rseq`, so a boot's rows are contiguous and in order, and the
sequencer can consume them by range. `floor` is the lowest rseq whose call was still open when
the row was committed: recovery reads from there, however long the journal is.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
import secrets
import stat
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import apsw
from msgspec import Struct

LEAST_SQLITE = (3, 51, 3)
FILE_NAME = "journal.db"
RSEQ_BITS = 40
_TRIMMED_AT_ONCE = 2048
KIND_LETTERS = {"intent": "i", "outcome": "o", "refusal": "r", "operator": "p"}
APPLICATION_ID = 0x7A726731  # "zrg1"
BUSY_MILLISECONDS = 1000
LOG_BYTES = 4 * 2**20
"""Of the write-ahead log, about as long as it is when a quiet journal checkpoints."""

_SCHEMA = """
CREATE TABLE record(
  seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, call BLOB, attempt INTEGER NOT NULL,
  floor INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX record_call ON record(call, attempt, kind) WHERE call IS NOT NULL;
CREATE INDEX record_time ON record(time);
"""

# One statement commits a whole batch: bound, stepped and synced while the interpreter's lock is
# free. A row arrives as its columns in fixed widths (see `line`), so SQLite parses no JSON.
_COMMIT = """
INSERT INTO record SELECT ?2 + rowid, CAST(substr(value, 1, 16) AS INTEGER), substr(value, 17, 1),
  unhex(substr(value, 19, 32)), instr('123456789abcdef', substr(value, 18, 1)), ?3, substr(value, 51)
FROM carray(?1)
"""

# How far other journals were gathered into this one, by their names.
_GATHERED = "CREATE TABLE IF NOT EXISTS gathered(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT"

# What was gathered and may go.
_TRIM = "DELETE FROM record WHERE seq IN (SELECT seq FROM record WHERE seq <= ?1 AND seq NOT IN carray(?2) LIMIT 2048)"

_FORGET = "DELETE FROM record WHERE seq IN carray(?1) AND (kind <> 'p' OR body ->> 'session' IS NOT NULL)"

_OPEN_INTENTS = """
SELECT intent.body FROM record AS intent WHERE intent.seq BETWEEN ?1 AND ?2 AND intent.kind = 'i' AND NOT EXISTS (
  SELECT 1 FROM record AS outcome
  WHERE outcome.call = intent.call AND outcome.attempt = intent.attempt AND outcome.kind = 'o')
AND intent.body ->> 'writer' IS NULL
"""


_OPEN_GATHERED = """
SELECT lower(hex(intent.call)), intent.attempt, intent.body ->> 'tenant' FROM record AS intent
WHERE intent.time > ? AND intent.kind = 'i' AND intent.body ->> 'writer' IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM record AS outcome
  WHERE outcome.call = intent.call AND outcome.attempt = intent.attempt AND outcome.kind = 'o')
"""


class Cipher(enum.StrEnum):
    """How pages are encrypted and authenticated.

    AEGIS: AEGIS-256, a 256-bit authenticated cipher built of AES rounds (draft-irtf-cfrg-aegis-aead),
        which the processor's AES instructions carry out: half the cost of a commit of ten records.
    SQLCIPHER: AES-256-CBC with HMAC-SHA-512 (SQLCipher 4), for whoever must answer "AES-256" to the letter.
    """

    AEGIS = "aegis"
    SQLCIPHER = "sqlcipher"


class StoreFault(Exception):
    """The journal's file cannot be trusted or used. The text names the file and a reason, never content."""


class OutOfSpace(StoreFault):
    """The disk is full. Nothing of the batch was written; the file is sound."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the file held when it was opened: the previous boot, if any, and what it left open.

    `boot` is its number (0: there was none), `first` and `last` its first and last record,
    `open_intents` the intents that have no outcome; all in canonical form.
    """

    boot: int
    last: bytes | None
    first: bytes | None
    open_intents: tuple[bytes, ...]


StoredRow = tuple[int, int, str, bytes | None, int, int, str]
"""A row as it stands in the file: seq, time, kind, call, attempt, floor, body."""


class Store(Protocol):
    """What the journal needs of its file. Called from one thread."""

    found: Found
    boot: int
    identity: int

    def begin(self, lines: Sequence[str]) -> None: ...
    def commit(self, lines: Sequence[str], first: int, floor: int) -> None: ...
    def holds(self, seq: int) -> bool: ...
    def checkpoint(self) -> None: ...
    def gather(self, lines: Sequence[str], first: int, floor: int, name: str, seq: int) -> None: ...
    def gathered(self) -> dict[str, int]: ...
    def trim(self, through: int, keep: Sequence[int]) -> bool: ...
    def open_gathered(self, since: int) -> list[tuple[str, int, str]]: ...
    def forget(self, seqs: Sequence[int]) -> None: ...
    def truncate(self) -> bool: ...
    def check(self, last: int) -> None: ...
    def release_ballast(self) -> bool: ...
    def restore_ballast(self) -> bool: ...
    def close(self) -> None: ...


def line(time: int, kind: str, call: str | None, attempt: int, body: str) -> str:
    """A row as `commit` takes it: time (16 digits), kind (a letter), attempt (a hex digit), call (32), body."""
    return line_of(time, KIND_LETTERS[kind], call or "", attempt, body)


def line_of(time: int, letter: str, call: str, attempt: int, body: str) -> str:
    """As `line`, of what a row's columns hold: the kind's letter, and the call in hex or nothing."""
    return f"{str(time).zfill(16)}{letter}{attempt:x}{call or _NO_CALL}{body}"


_NO_CALL = "-" * 32  # not hex, so that unhex() makes it NULL
LINE = f"printf('%016d%s%x%s%s', time, kind, attempt, iif(call IS NULL, '{_NO_CALL}', lower(hex(call))), body)"
"""SQL that makes a row a line again."""


class Carried(Struct, frozen=True, gc=False):
    """A row's key, and the row as a line."""

    seq: int
    line: str

    @property
    def time(self) -> int:
        """Microseconds since 1970."""
        return int(self.line[:16])

    @property
    def kind(self) -> str:
        """The kind's letter."""
        return self.line[16]

    @property
    def attempt(self) -> tuple[str, int]:
        """The call's id in hex digits, and the number of the attempt."""
        return self.line[18:50], int(self.line[17], 16)

    @property
    def body(self) -> str:
        """The record in its canonical form."""
        return self.line[_BODY:]


_BODY = 50


class SqliteStore:
    """The journal's file, open for writing. Holds the lock that keeps a second writer out.

    Args:
        directory: made with mode 0700 if absent; must be ours alone.
        key: 32 bytes.
        cipher: must be what the file was made with.
        ballast: bytes kept allocated beside the journal, to be released when the disk is full so
            that calls under way can still be closed.
        vfs: SQLite's name of the file system layer; tests put a faulty one beneath.

    Raises:
        StoreFault: another writer, a wrong key, a damaged file, an old SQLite, a wrong owner.
    """

    def __init__(
        self, directory: Path, key: bytes, *, cipher: Cipher = Cipher.AEGIS, ballast: int = 0, vfs: str = ""
    ) -> None:
        _refuse_old_sqlite()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_open_to_others(directory)
        self._path = directory / FILE_NAME
        self._ballast_path, self._ballast = directory / "ballast", ballast
        self._arguments = (key, cipher, vfs)
        self._lock = lock(directory / "journal.lock")
        try:
            self._create_file()
            with translated(self._path):
                self._connection = self._connect()
                self.found = self._read()
                # Rewrites what a dying process left in the log, from the cache, under a sync that
                # must succeed: a sync that failed before may have left clean-looking pages unwritten.
                with contextlib.suppress(apsw.BusyError):  # a reader is at work; the next checkpoint does it
                    self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self.restore_ballast()
        except BaseException:
            os.close(self._lock)
            raise
        self.boot = self.found.boot + 1
        self.identity = identity_of(self._connection)
        self._files: dict[str, tuple[int, int]] = {}

    def commit(self, lines: Sequence[str], first: int, floor: int) -> None:
        """Write rows `first`, `first + 1`, ... of this boot, and return when they are on the disk.

        All of them or none. `lines` are made by `line`.

        Raises:
            OutOfSpace: nothing was written.
            StoreFault: whether they were written is unknown; this store must not be used again.
        """
        with translated(self._path):
            self._connection.execute(_COMMIT, (apsw.carray(tuple(lines)), self._seq(first) - 1, floor))

    def begin(self, lines: Sequence[str]) -> None:
        """Write the first rows of this boot and remember which files they went to.

        Raises:
            StoreFault: as `commit`; out of space counts as unusable here.
        """
        self.commit(lines, 0, 0)
        self._files = self._identities()
        with translated(self._path):
            self._lengthen_log()

    def put(self, rows: Sequence[StoredRow], name: str | None = None, seq: int = -1) -> None:
        """Rows as they stood in another file of this journal, and how far the journal `name` was gathered there.

        Raises:
            OutOfSpace, StoreFault: as `commit`.
        """
        with translated(self._path), self._connection:
            self._connection.executemany("INSERT INTO record VALUES(?,?,?,?,?,?,?)", rows)
            if name is not None:
                self._connection.execute(_GATHERED)
                self._connection.execute("REPLACE INTO gathered VALUES(?, ?)", (name, seq))

    def holds(self, seq: int) -> bool:
        """Whether there is a row of this key, of whatever boot.

        Raises:
            StoreFault: it cannot be read.
        """
        with translated(self._path):
            return self._connection.execute("SELECT 1 FROM record WHERE seq = ?", (seq,)).fetchone() is not None

    def gather(self, lines: Sequence[str], first: int, floor: int, name: str, seq: int) -> None:
        """As `commit`, for rows of another journal; that it was taken up to its row `seq` lands with them.

        Raises:
            OutOfSpace, StoreFault: as `commit`.
        """
        with translated(self._path), self._connection:
            self._connection.execute(_GATHERED)
            self._connection.execute(_COMMIT, (apsw.carray(tuple(lines)), self._seq(first) - 1, floor))
            self._connection.execute("REPLACE INTO gathered VALUES(?, ?)", (name, seq))

    def gathered(self) -> dict[str, int]:
        """How far each other journal was gathered: name -> the key of its last row that is here.

        Raises:
            StoreFault: it cannot be read.
        """
        with translated(self._path):
            self._connection.execute(_GATHERED)
            return dict(cast("list[tuple[str, int]]", self._connection.execute("SELECT * FROM gathered").fetchall()))

    def trim(self, through: int, keep: Sequence[int]) -> bool:
        """Delete rows up to the key `through`, which another journal holds for good; whether there may be more.

        This boot's first row stays, and that of the boot of `through`, since they say whose the rows after them are;
        so do those of the keys in `keep`.

        Raises:
            OutOfSpace, StoreFault: as `commit`.
        """
        spared = {self.boot << RSEQ_BITS, through >> RSEQ_BITS << RSEQ_BITS, *keep}
        with translated(self._path):
            self._connection.execute(_TRIM, (through, apsw.carray(array("q", spared))))
            return self._connection.changes() >= _TRIMMED_AT_ONCE

    def open_gathered(self, since: int) -> list[tuple[str, int, str]]:
        """Attempts that other journals opened after an instant and nothing closed yet: call, attempt, tenant.

        Raises:
            StoreFault: it cannot be read.
        """
        with translated(self._path):
            found = self._connection.execute(_OPEN_GATHERED, (since,)).fetchall()
        return cast("list[tuple[str, int, str]]", found)

    def checkpoint(self) -> None:
        """Bring the log's pages into the database, so that the log can start over.

        Raises:
            OutOfSpace, StoreFault: as `commit`. Never left to SQLite's own, which swallows a failed sync.
        """
        with translated(self._path):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def forget(self, seqs: Sequence[int]) -> None:
        """Delete rows by their keys, whatever boot wrote them. Overwritten with zeros, on the disk.

        Operator rows stay, but those of who looked at the pages.

        What was there is in the log's old pages until `truncate`.

        Raises:
            OutOfSpace, StoreFault: as `commit`.
        """
        with translated(self._path):
            self._connection.execute(_FORGET, (apsw.carray(array("q", seqs)),))

    def truncate(self) -> bool:
        """Bring the whole log into the database and cut it to nothing; False while somebody reads older pages.

        Raises:
            OutOfSpace, StoreFault: as `commit`.
        """
        with translated(self._path):
            self._connection.set_busy_timeout(0)  # this thread also commits: it never waits for a reader
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                return False
            finally:
                self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        return True

    def check(self, last: int) -> None:
        """Ask whether the open files are still the ones in the directory, and read row `last` back.

        Raises:
            StoreFault: they are not: what is written now would be lost.
        """
        if self._identities() != self._files:
            raise StoreFault(f"{self._path}: the open journal is no longer the file of that name")
        with translated(self._path), contextlib.closing(reading(self._path, *self._arguments)) as probe:
            if not probe.execute("SELECT 1 FROM record WHERE seq = ?", (self._seq(last),)).fetchone():
                raise StoreFault(f"{self._path}: the last row cannot be read back")

    def release_ballast(self) -> bool:
        """Give the ballast's space to the journal; whether there was any."""
        try:
            self._ballast_path.unlink()
        except FileNotFoundError:
            return False
        return True

    def restore_ballast(self) -> bool:
        """Allocate the ballast again; False if the disk has no room for it."""
        try:
            descriptor = os.open(self._ballast_path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            if self._ballast:
                os.posix_fallocate(descriptor, 0, self._ballast)
        except OSError:
            self.release_ballast()
            return False
        finally:
            os.close(descriptor)
        return True

    def close(self) -> None:
        """Close the file and release the lock. Checkpoints, so that a copy is whole. Calling it twice is fine.

        Raises:
            StoreFault: the last checkpoint failed; the lock is released all the same.
        """
        if self._lock < 0:
            return
        try:
            with translated(self._path):
                try:
                    self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                finally:
                    self._connection.close()
        finally:
            os.close(self._lock)
            self._lock = -1

    def _seq(self, rseq: int) -> int:
        return self.boot << RSEQ_BITS | rseq

    def _create_file(self) -> None:
        if self._path.exists():
            refuse_open_to_others(self._path)
            return
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _connect(self) -> apsw.Connection:
        connection = keyed(self._path, apsw.SQLITE_OPEN_READWRITE, *self._arguments)
        try:
            _prepare(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _read(self) -> Found:
        execute = self._connection.execute
        last = execute("SELECT seq, floor, body FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        if last is None:
            return Found(0, None, None, ())
        seq, floor, body = cast(tuple[int, int, str], last)
        boot = seq >> RSEQ_BITS
        first = boot << RSEQ_BITS
        heads = execute("SELECT body FROM record WHERE seq = ?", (first,)).fetchall()
        if not heads:
            raise StoreFault(f"{self._path}: the last boot has no first row")
        intents = execute(_OPEN_INTENTS, (first + floor, seq)).fetchall()
        head, *left = (str(each).encode() for (each,) in [*heads, *intents])
        return Found(boot, body.encode(), head, tuple(left))

    def _lengthen_log(self) -> None:
        """Give the write-ahead log its usual length at once: zeros after its last row, which end it as nothing would.

        A sync of what lies within a file's length writes data alone. One that also has a new length to write wakes the
        file system's own thread for it, and waits milliseconds for that where no processor is idle. Where there is no
        room, the log grows as it is written.
        """
        descriptor = os.open(self._path.with_name(f"{FILE_NAME}-wal"), os.O_WRONLY | os.O_CLOEXEC)
        try:
            length = os.fstat(descriptor).st_size
            zeros = bytes(max(0, LOG_BYTES - length))
            with contextlib.suppress(OSError):
                if os.pwrite(descriptor, zeros, length) == len(zeros):
                    os.fdatasync(descriptor)
                    return
            os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)

    def _identities(self) -> dict[str, tuple[int, int]]:
        found = {}
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                status = self._path.with_name(self._path.name + suffix).stat()
                found[suffix] = (status.st_dev, status.st_ino)
        return found


def _prepare(connection: apsw.Connection, path: Path) -> None:
    """Set durability, and make the table in a new file."""
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StoreFault(f"{path}: the file system does not carry a write-ahead log")
    connection.execute("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = ON").fetchall()
    if connection.pragma("application_id") == 0:
        with connection:
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}").fetchall()
            # Tells this file from one that takes its place: what was gathered of the one is not of the other.
            connection.execute(f"PRAGMA user_version = {secrets.randbelow(2**31 - 1) + 1}").fetchall()
    elif connection.pragma("application_id") != APPLICATION_ID:
        raise StoreFault(f"{path}: not a journal")


def reading(path: Path, key: bytes, cipher: Cipher = Cipher.AEGIS, vfs: str = "") -> apsw.Connection:
    """A connection that only reads, also while another process writes. The caller closes it.

    Raises:
        StoreFault: a wrong key, no such file, not a journal.
    """
    with translated(path):
        connection = keyed(path, apsw.SQLITE_OPEN_READONLY, key, cipher, vfs)
        if connection.pragma("application_id") != APPLICATION_ID:
            connection.close()
            raise StoreFault(f"{path}: not a journal")
        return connection


def legible(connection: apsw.Connection, seqs: Sequence[int]) -> list[StoredRow]:
    """The rows of these keys, which rise, without those that are not there or stand where the file is damaged."""
    if not seqs:
        return []
    span = seqs[0], seqs[-1]
    try:
        found = connection.execute("SELECT * FROM record WHERE seq BETWEEN ? AND ? ORDER BY seq", span).fetchall()
    except apsw.Error:
        middle = len(seqs) // 2
        return [] if middle == 0 else legible(connection, seqs[:middle]) + legible(connection, seqs[middle:])
    return cast("list[StoredRow]", found)


def identity_of(connection: apsw.Connection) -> int:
    """The number that a journal's file was made with; 0 where it is older than that."""
    return cast(int, connection.pragma("user_version"))


def refuse_open_to_others(path: Path) -> None:
    """Check that a file or directory is ours alone.

    Raises:
        StoreFault: another user owns it or may use it.
    """
    status = path.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise StoreFault(f"{path}: must belong to this user alone (mode 700 or 600)")


def keyed(path: Path, flags: int, key: bytes, cipher: Cipher, vfs: str) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags, vfs or None)
    try:
        connection.pragma("cipher", cipher.value)
        if cipher is Cipher.AEGIS:
            connection.pragma("algorithm", "aegis-256")
        else:
            connection.pragma("legacy", 0)
        # A raw key: it is random already, so stretching it would only cost time.
        connection.execute(f"PRAGMA key = 'raw:{key.hex()}'").fetchall()
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # the first page must decrypt
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_old_sqlite() -> None:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < LEAST_SQLITE:
        raise StoreFault("SQLite is older than 3.51.3 and can lose commits of a write-ahead log")


@contextlib.contextmanager
def apart(directory: Path) -> Iterator[None]:
    """Hold the lock of the journal in `directory`, so that no gateway runs on this state meanwhile.

    Raises:
        StoreFault: one does.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = lock(directory / "journal.lock")
    try:
        yield
    finally:
        os.close(held)


def lock(path: Path) -> int:
    """The descriptor that holds an exclusive lock on a file, made if absent. Closing it releases the lock.

    Raises:
        StoreFault: another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreFault(f"{path}: another process writes this journal") from None
    return descriptor


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours. Their text is dropped: it may quote a statement."""
    try:
        yield
    except apsw.FullError:
        raise OutOfSpace(f"{path}: the disk is full") from None
    except apsw.NotADBError:
        raise StoreFault(f"{path}: a wrong key, or not a journal") from None
    except apsw.Error as error:
        raise StoreFault(f"{path}: {type(error).__name__}") from None
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None
