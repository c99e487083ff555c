"""A journal's last rows in memory: the same as the file has, or nothing is said."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from gateway.audit import journal as journals
from gateway.audit.gathering import Spool
from gateway.audit.journal import Journal, Settings
from gateway.audit.language import Sha
from gateway.audit.store import FILE_NAME, RSEQ_BITS, StoreFault
from gateway.audit.tail import MOST, Tail
from gateway.errors import Unavailable
from tests.gateway.audit.samples import KEY, intent, outcome

BOOT = 1 << RSEQ_BITS


async def opened(folder: Path, **settings: float) -> Journal:
    journal = await Journal.open(
        folder / "journal",
        KEY,
        configuration=Sha("0" * 64),
        settings=Settings(ballast=0, **settings),  # type: ignore[arg-type]
    )
    journal.tail = Tail()
    return journal


async def call(journal: Journal) -> None:
    begun = intent(time=journals.now())
    await journal.append(begun)
    await journal.append(outcome(begun, time=journals.now()))


@pytest.mark.parametrize(
    ("seq", "most", "expected"),
    [
        (BOOT + 1, 9, None),
        (BOOT + 2, 9, [3, 4, 5]),
        (BOOT + 3, 1, [4]),
        (BOOT + 4, 9, [5]),
        (BOOT + 5, 9, []),
        (BOOT + 6, 9, None),
        (-1, 9, None),
    ],
    ids=[
        "a row too early",
        "all",
        "no more than asked",
        "the last",
        "none is left",
        "from the future",
        "from the start",
    ],
)
def test_rows_are_given_from_where_they_go_on(seq: int, most: int, expected: list[int] | None) -> None:
    """Whoever is further behind, or beyond, is told to read the file."""
    tail = Tail()
    tail.add(BOOT + 3, ["c", "d"])
    tail.add(BOOT + 5, ["e"])

    found = tail.after(seq, most)

    assert (None if found is None else [row.seq - BOOT for row in found]) == expected


def test_memory_is_bounded_and_a_gap_ends_what_was_before_it() -> None:
    """The earliest go first; rows that do not follow are not given after those before them."""
    tail = Tail()
    assert tail.after(-1, 9) is None
    tail.add(BOOT, ["x"] * (MOST + 1))
    assert tail.after(BOOT - 1, 9) is None
    found = tail.after(BOOT, MOST + 9)
    assert found is not None
    assert len(found) == MOST
    tail.add(BOOT + MOST + 2, ["after a gap"])

    assert tail.after(BOOT + MOST, 9) is None
    assert tail.after(BOOT + MOST + 1, 9) == [(row := tail._rows[-1])]
    assert row.line == "after a gap"


async def test_it_has_the_rows_that_the_file_has(tmp_path: Path) -> None:
    """Byte for byte, of every kind of record there is in a boot."""
    journal = await opened(tmp_path)
    begin = journal.last_seq
    await asyncio.gather(*(call(journal) for _ in range(20)))
    assert journal.tail is not None
    remembered = journal.tail.after(begin, 100)
    with contextlib.closing(Spool(tmp_path / "journal", KEY)) as spool:
        written = spool.after(begin)
    await journal.close()

    assert remembered == written
    assert len(written) == 40


async def test_rows_that_were_not_committed_are_not_there(tmp_path: Path) -> None:
    """A commit that failed leaves nothing behind, and a boot after it begins with what the file has."""
    journal = await opened(tmp_path)
    await call(journal)
    assert journal.tail is not None
    last = journal.last_seq
    store, commit = journal._store, journal._store.commit

    def fails(*_arguments: object) -> None:
        raise StoreFault("test")

    store.commit = fails  # type: ignore[method-assign,assignment]
    with pytest.raises(Unavailable):
        await call(journal)
    assert journal.tail.after(last, 9) == []
    store.commit = commit  # type: ignore[method-assign]
    await journal.recover()
    assert journal.tail.after(last, 9) is None
    await call(journal)
    with contextlib.closing(Spool(tmp_path / "journal", KEY)) as spool:
        written = spool.after(journal.last_seq - 2)
    assert journal.tail.after(journal.last_seq - 2, 9) == written
    await journal.close()


async def test_what_was_trimmed_leaves_the_log_within_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write-ahead log is cut, but not at each trim: commits are slower until it has its length again."""
    monkeypatch.setattr(journals, "_CUT_SECONDS", 0.2)
    journal = await opened(tmp_path, check_every=0.05)
    log = tmp_path / "journal" / f"{FILE_NAME}-wal"
    await call(journal)
    await journal.trim(journal.last_seq)
    length = log.stat().st_size
    assert length > 0
    async with asyncio.timeout(10):
        while log.stat().st_size == length:
            await asyncio.sleep(0.01)
    assert log.stat().st_size < length
    await call(journal)
    before = log.stat().st_size
    await asyncio.sleep(0.5)  # that nothing is cut where nothing was trimmed has no event

    assert log.stat().st_size == before
    await journal.close()
