"""Who looked at the record: each view and each export of the auditor's pages, kept before the answer leaves.

A file of its own, encrypted as the journal is. The pages append to it; the gateway reads it and records each line as an
operator record, with the session's random id in place of a person. Who a session was is here alone, and can be erased.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import apsw

from gateway.audit.index import INDEX_FOLDER
from gateway.audit.periods import DAY
from gateway.audit.store import Cipher, StoreFault, keyed, translated

ACCESS_FILE = "access.db"
APPLICATION_ID = 0x7A726132  # "zra2"
KEPT_DAYS = 396
"""Thirteen months, as the records themselves."""

_SCHEMA = """
CREATE TABLE session(id TEXT PRIMARY KEY, role TEXT NOT NULL, who TEXT NOT NULL, scope TEXT NOT NULL,
  began INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE look(id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, session TEXT NOT NULL, act TEXT NOT NULL,
  query TEXT NOT NULL, digest TEXT NOT NULL, rows INTEGER NOT NULL) STRICT;
CREATE INDEX look_time ON look(time);
"""


@dataclass(frozen=True, slots=True)
class Looked:
    """One view or export.

    Attributes:
        id: its number, from 1 without reuse.
        time: microseconds since 1970.
        session: the random id of the session (32 hex digits).
        role: of the session.
        who: as the sign-in named them.
        scope: what the session may see, in words.
        act: `view`, `export` or `refused`.
        query: the address that was asked, without host.
        digest: its SHA-256, which the record has.
        rows: how many rows matched.
    """

    id: int
    time: int
    session: str
    role: str
    who: str
    scope: str
    act: str
    query: str
    digest: str
    rows: int


class AccessBook:
    """The file, for the pages.

    Raises:
        StoreFault: it cannot be used. Nothing is shown then.
    """

    def __init__(self, state: Path, key: bytes, cipher: Cipher = Cipher.AEGIS) -> None:
        directory = state / INDEX_FOLDER
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / ACCESS_FILE
        if not self._path.exists():
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        self._guard = threading.Lock()
        with translated(self._path):
            self._connection = keyed(self._path, apsw.SQLITE_OPEN_READWRITE, key, cipher, "")
            self._connection.pragma("journal_mode", "wal")
            self._connection.execute("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON").fetchall()
            if self._connection.pragma("application_id") == 0:
                with self._connection:
                    self._connection.execute(_SCHEMA)
                    self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}").fetchall()
            elif self._connection.pragma("application_id") != APPLICATION_ID:
                raise StoreFault(f"{self._path}: not a book of access")

    def enter(self, session: str, role: str, who: str, scope: str, now: int) -> None:
        """Somebody signed in. What is older than thirteen months goes."""
        with self._guard, translated(self._path), self._connection:
            self._connection.execute("INSERT INTO session VALUES(?,?,?,?,?)", (session, role, who, scope, now))
            self._connection.execute("DELETE FROM look WHERE time < ?", (now - KEPT_DAYS * DAY,))
            self._connection.execute(
                "DELETE FROM session WHERE began < ? AND id NOT IN (SELECT session FROM look)", (now - 2 * DAY,)
            )

    def note(self, session: str, act: str, query: str, digest: str, rows: int, now: int) -> None:
        """Somebody looks: on the disk when this returns.

        Raises:
            StoreFault: it is not; nothing may be shown.
        """
        with self._guard, translated(self._path):
            self._connection.execute(
                "INSERT INTO look(time, session, act, query, digest, rows) VALUES(?,?,?,?,?,?)",
                (now, session, act, query, digest, rows),
            )

    def looks(self, scope: str | None, *, before: int = 2**62, most: int = 100) -> list[Looked]:
        """The last ones with a number below `before`, newest first; only those of sessions of this scope, if given."""
        with self._guard, translated(self._path):
            where, more = ("", ()) if scope is None else ("AND scope = ?", (scope,))
            return _read(self._connection, f"look.id < ? {where} ORDER BY look.id DESC LIMIT ?", (before, *more, most))

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


def looks_after(state: Path, key: bytes, number: int, most: int, cipher: Cipher = Cipher.AEGIS) -> list[Looked]:
    """Views and exports after the one of that number, in order: for the gateway, which records them.

    Raises:
        StoreFault: the file is damaged, or of another key.
    """
    path = state / INDEX_FOLDER / ACCESS_FILE
    if not path.exists():
        return []
    with translated(path), contextlib.closing(keyed(path, apsw.SQLITE_OPEN_READONLY, key, cipher, "")) as connection:
        if connection.pragma("application_id") != APPLICATION_ID:
            return []
        return _read(connection, "look.id > ? ORDER BY look.id LIMIT ?", (number, most))


def access_mark(state: Path) -> tuple[int, int] | None:
    """What changes whenever somebody looks. One `stat`."""
    try:
        status = (state / INDEX_FOLDER / f"{ACCESS_FILE}-wal").stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _read(connection: apsw.Connection, rest: str, bindings: tuple[object, ...]) -> list[Looked]:
    sql = (
        "SELECT look.id, time, session, coalesce(role, ''), coalesce(who, 'erased'), coalesce(scope, ''), act, query, "  # noqa: S608
        f"digest, rows FROM look LEFT JOIN session ON session.id = session WHERE {rest}"
    )
    rows = connection.execute(sql, bindings).fetchall()
    return [Looked(*row) for row in cast("list[tuple[int, int, str, str, str, str, str, str, str, int]]", rows)]
