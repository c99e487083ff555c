"""The file: encrypted, authenticated, ours alone, and openable only as what it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from gateway.audit import store as store_module
from gateway.audit.boot import row_line
from gateway.audit.store import LOG_BYTES, RSEQ_BITS, Cipher, SqliteStore, StoreFault, reading
from tests.gateway.audit.samples import KEY, intent, refusal


def _fill(directory: Path, cipher: Cipher = Cipher.AEGIS) -> SqliteStore:
    store = SqliteStore(directory, KEY, cipher=cipher)
    store.begin([row_line(refusal())])
    store.commit([row_line(intent()) for _ in range(200)], 1, 0)
    return store


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("cipher", Cipher)
def test_no_file_shows_what_is_recorded(directory: Path, cipher: Cipher) -> None:
    """While open, after a checkpoint and after the end, no file holds a recorded word in clear."""
    store = _fill(directory, cipher)
    marks = (b"tenant-seven", b"coach-service", b"record_call", b"SQLite format 3")

    for step in (lambda: None, store.checkpoint, store.close):
        step()
        contents = {path.name: path.read_bytes() for path in _files(directory)}
        assert contents["journal.db"]
        assert not [(name, mark) for name, content in contents.items() for mark in marks if mark in content]


def test_the_search_for_plain_words_would_find_them(tmp_path: Path) -> None:
    """Positive control: the same rows in a database without a key do show."""
    with apsw.Connection(str(tmp_path / "plain.db")) as plain:
        plain.execute("CREATE TABLE record(body TEXT)")
        plain.execute("INSERT INTO record VALUES (?)", (row_line(refusal()),))
    plain.close()

    assert b"tenant-seven" in (tmp_path / "plain.db").read_bytes()


@pytest.mark.parametrize("cipher", Cipher)
def test_a_wrong_key_is_refused(directory: Path, cipher: Cipher) -> None:
    """Another key opens the file neither for writing nor for reading."""
    _fill(directory, cipher).close()

    with pytest.raises(StoreFault, match="wrong key"):
        SqliteStore(directory, bytes(32), cipher=cipher)
    with pytest.raises(StoreFault, match="wrong key"):
        reading(directory / "journal.db", bytes(32), cipher)


def test_another_cipher_is_refused(directory: Path) -> None:
    """A file of one cipher does not open as the other."""
    _fill(directory).close()

    with pytest.raises(StoreFault):
        SqliteStore(directory, KEY, cipher=Cipher.SQLCIPHER)


@pytest.mark.parametrize("cipher", Cipher)
def test_a_flipped_byte_is_refused_in_every_page(directory: Path, cipher: Cipher) -> None:
    """Pages are authenticated: one changed byte anywhere is an error, never another record."""
    _fill(directory, cipher).close()
    path = directory / "journal.db"
    whole = path.read_bytes()

    for page in range(len(whole) // 4096):
        damaged = bytearray(whole)
        damaged[page * 4096 + 2048] ^= 1
        path.write_bytes(damaged)
        with pytest.raises((StoreFault, apsw.Error)):
            _read_all(path, cipher)
    path.write_bytes(whole)
    assert len(_read_all(path, cipher)) == 201


def _read_all(path: Path, cipher: Cipher) -> list[tuple[object, ...]]:
    connection = reading(path, KEY, cipher)
    try:
        connection.execute("PRAGMA integrity_check").fetchall()
        by_index = connection.execute(
            "SELECT call, attempt, kind FROM record INDEXED BY record_call WHERE call NOT NULL"
        )
        by_index.fetchall()
        connection.execute("SELECT time FROM record INDEXED BY record_time ORDER BY time").fetchall()
        return connection.execute("SELECT * FROM record").fetchall()
    finally:
        connection.close()


def test_files_are_ours_alone(directory: Path) -> None:
    """Directory 0700, every file 0600, whatever the umask."""
    before = os.umask(0)
    try:
        store = _fill(directory)
    finally:
        os.umask(before)

    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in _files(directory)} == {0o600}
    store.close()
    directory.chmod(0o755)
    with pytest.raises(StoreFault, match="this user alone"):
        SqliteStore(directory, KEY)


def test_a_file_of_something_else_is_refused(directory: Path) -> None:
    """A database that is encrypted with our key but is no journal is not written to."""
    directory.mkdir(mode=0o700)
    path = directory / "journal.db"
    path.touch(mode=0o600)
    connection = store_module.keyed(path, apsw.SQLITE_OPEN_READWRITE, KEY, Cipher.AEGIS, "")
    connection.execute("PRAGMA application_id = 7; CREATE TABLE other(a)").fetchall()
    connection.close()

    with pytest.raises(StoreFault, match="not a journal"):
        SqliteStore(directory, KEY)


def test_durability_is_set_and_checkpoints_are_ours(directory: Path) -> None:
    """Write-ahead log, full synchronisation, no automatic checkpoint, temporary storage in memory."""
    store = SqliteStore(directory, KEY)
    pragma = store._connection.pragma

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("wal_autocheckpoint") == 0
    assert "TEMP_STORE=2" in apsw.compile_options
    store.close()


def test_an_old_sqlite_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 3.51.3 a write-ahead log could lose commits: such a library never opens the journal."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")

    with pytest.raises(StoreFault, match=r"3\.51\.3"):
        SqliteStore(directory, KEY)


def test_recovery_reads_from_the_oldest_open_call(directory: Path) -> None:
    """What is open is found from the floor of the last row on, and nothing before it."""
    store = SqliteStore(directory, KEY)
    early, late = intent(), intent()
    store.begin([row_line(refusal())])
    store.commit([row_line(early)], 1, 0)
    store.commit([row_line(late)], 2, 1)
    store.commit([row_line(refusal())], 3, 2)
    store.close()

    found = SqliteStore(directory, KEY)

    assert len(found.found.open_intents) == 1
    assert late.call.encode() in found.found.open_intents[0]
    found.close()


def test_the_log_has_its_length_from_the_start(directory: Path, tmp_path: Path) -> None:
    """Commits write within the log's length, and a copy taken then opens with every row in spite of the zeros."""
    store = _fill(directory)
    length = (directory / "journal.db-wal").stat().st_size

    assert length == LOG_BYTES
    shutil.copytree(directory, copy := tmp_path / "copy")
    store.close()
    found = SqliteStore(copy, KEY)
    assert len(found.found.open_intents) == 200
    found.close()


def test_a_log_that_has_no_room_stays_as_short_as_it_is(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk takes a part of the zeros only, that part is given back, and rows are written all the same."""
    write = os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        return write(descriptor, data[: len(data) // 2], offset)

    monkeypatch.setattr(os, "pwrite", half)
    store = SqliteStore(directory, KEY)
    store.begin([row_line(refusal())])

    assert (directory / "journal.db-wal").stat().st_size < 100_000
    store.commit([row_line(intent())], 1, 0)
    assert store.holds(store.boot << RSEQ_BITS | 1)
    store.close()


def test_a_batch_is_written_whole_or_not_at_all(directory: Path) -> None:
    """A row that the file refuses takes its batch with it."""
    store = _fill(directory)
    twice = intent()

    with pytest.raises(StoreFault):
        store.commit([row_line(intent()), row_line(twice), row_line(twice)], 201, 0)

    assert len(_read_all(directory / "journal.db", Cipher.AEGIS)) == 201
    store.close()


def test_the_ballast_comes_and_goes(directory: Path) -> None:
    """The ballast occupies its space, is released once, and can be had again."""
    store = SqliteStore(directory, KEY, ballast=8192)
    ballast = directory / "ballast"

    assert ballast.stat().st_blocks * 512 >= 8192
    assert store.release_ballast() and not ballast.exists()
    assert not store.release_ballast()
    assert store.restore_ballast() and ballast.exists()
    store.close()
    huge = SqliteStore(directory, KEY, ballast=2**62)
    assert not ballast.exists()
    huge.close()
