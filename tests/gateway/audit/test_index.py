"""The index of the auditor's pages: it says what the journal says, however it came to, and forgets what the journal forgot."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from gateway.audit.boot import row_line
from gateway.audit.index import INDEX_FILE, INDEX_FOLDER, Index, forget
from gateway.audit.pages import Filters, Pages
from gateway.audit.record import Operator
from gateway.audit.scope import Scope
from gateway.audit.store import FILE_NAME, Cipher, SqliteStore, StoreFault, keyed
from gateway.audit.words import Act, Tenant
from tests.gateway.audit.logs import House, lived_in
from tests.gateway.audit.samples import KEY, VOCABULARY, intent, outcome, refusal

INDEX_KEY = bytes(range(96, 128))
EVERYONE = Scope.everyone()


@contextlib.contextmanager
def index_of(state: Path) -> Iterator[Index]:
    """The index of a state, open for writing."""
    index = Index(state, INDEX_KEY, KEY)
    try:
        yield index
    finally:
        index.close()


def caught_up(state: Path, most: int = 4096) -> int:
    """Bring the index up to the journal, so many rows at a time; how many rows."""
    with index_of(state) as index:
        taken = 0
        while rows := index.step(most):
            taken += rows
        return taken


def facts(state: Path) -> tuple[Counter[tuple[str, ...]], int, int]:
    """What the index says of everything: rows by decision, end and attempt; calls; redactions."""
    pages = Pages(state, INDEX_KEY, KEY)
    with pages.view(EVERYONE) as view:
        lines = list(view.walk(Filters()))
        total = view.counts(Filters()).total
    pages.close()
    assert total.rows == len(lines)
    return (
        Counter((line.facts["decision"], line.facts["end"], str(line.attempt)) for line in lines),
        total.calls,
        total.redactions,
    )


@pytest.mark.parametrize("most", [1, 2, 3, 7, 4096])
def test_the_steps_in_which_it_was_made_do_not_matter(tmp_path: Path, most: int) -> None:
    """Taken in row by row, so that each outcome comes later than its intent, or at once: the same index."""
    house = lived_in(tmp_path / "state")

    caught_up(house.directory, most)

    rows, calls, _redactions = facts(house.directory)
    assert rows["allow", "completed", "0"] == 40
    assert rows["allow", "indeterminate", "0"] == 1
    assert rows["refuse", "parameter_retains_data", "0"] == 8
    assert calls == 41


def test_an_open_attempt_is_open_until_its_outcome_comes(tmp_path: Path) -> None:
    """A call under way is listed as open; the outcome moves it, and no count remains behind."""
    house = House(tmp_path / "state")
    house.boot()
    begun = house.intent()
    house.write(begun)
    caught_up(house.directory)
    before = facts(house.directory)

    house.write(house.outcome(begun))
    caught_up(house.directory)

    assert before[0] == {("allow", "open", "0"): 1}
    assert facts(house.directory)[0] == {("allow", "completed", "0"): 1}
    house.end()


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """A second start takes in only what is new."""
    house = House(tmp_path / "state")
    house.boot()
    house.calls(10)
    first = caught_up(house.directory)
    again = caught_up(house.directory)
    house.calls(3)

    later = caught_up(house.directory)

    assert first == 1 + 22
    assert again == 0
    assert later == 6
    assert facts(house.directory)[1] == 13
    house.end()


def test_a_transaction_that_fails_leaves_no_numbers_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds that were numbered in a step that failed are numbered again, so the counts are whole afterwards."""
    house = House(tmp_path / "state")
    house.boot()
    house.calls(10)
    with index_of(house.directory) as index:
        monkeypatch.setattr(index, "_tally", lambda _tallies: (_ for _ in ()).throw(apsw.FullError()))
        with pytest.raises(StoreFault):
            index.step()
        monkeypatch.undo()

        assert index.step() == 23

    assert facts(house.directory)[1] == 10
    house.end()


def test_the_index_of_another_journal_is_made_anew(tmp_path: Path) -> None:
    """An index whose boot the journal does not have, or that is ahead of a restored journal, is dropped."""
    one, two = House(tmp_path / "one"), House(tmp_path / "two")
    for house, count in ((one, 12), (two, 3)):
        house.boot()
        house.calls(count)
        caught_up(house.directory)
        house.end()
    (two.directory / INDEX_FOLDER / INDEX_FILE).write_bytes((one.directory / INDEX_FOLDER / INDEX_FILE).read_bytes())

    caught_up(two.directory)

    assert facts(two.directory)[1] == 3


@pytest.mark.parametrize("damage", [b"", b"not a database at all, and longer than a page of sqlite" * 100])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """An index that cannot be read is no reason to show nothing: it is only derived."""
    house = House(tmp_path / "state")
    house.boot()
    house.calls(5)
    house.end()
    (house.directory / INDEX_FOLDER).mkdir(mode=0o700)
    path = house.directory / INDEX_FOLDER / INDEX_FILE
    path.write_bytes(damage)
    path.chmod(0o600)

    caught_up(house.directory)

    assert facts(house.directory)[1] == 5


def test_two_processes_do_not_keep_one_index(tmp_path: Path) -> None:
    """The second writer is refused."""
    house = House(tmp_path / "state")
    house.boot()
    house.end()
    with index_of(house.directory), pytest.raises(StoreFault):
        Index(house.directory, INDEX_KEY, KEY)


# --- erasure ------------------------------------------------------------------------------------


def erase(house: House, calls: list[str]) -> None:
    """Delete the records of these calls from the journal, as an erasure does."""
    connection = keyed(house.directory / "journal" / FILE_NAME, apsw.SQLITE_OPEN_READWRITE, KEY, Cipher.AEGIS, "")
    for call in calls:
        connection.execute("DELETE FROM record WHERE call = ?", (bytes.fromhex(call),))
    connection.close()


def written(house: House) -> list[str]:
    """Two tenants' calls, refusals and one that is open; the calls of tenant-eight."""
    eight = VOCABULARY.word(Tenant, "tenant-eight")
    gone: list[str] = []
    for number in range(12):
        begun = house.intent()
        house.write(begun, house.outcome(begun))
        if number % 3 == 0:
            other = replace(house.intent(), tenant=eight)
            house.write(other, replace(house.outcome(other), tenant=eight))
            gone.append(other.call)
    refused = replace(house.refusal(), tenant=eight)
    opened = replace(house.intent(), tenant=eight)
    house.write(refused, opened)
    return [*gone, refused.call, opened.call]


def test_what_is_erased_in_the_journal_goes_here_too(tmp_path: Path) -> None:
    """After the record of an erasure no row, count, kind, tenant or byte of it is left; everything else is."""
    house = House(tmp_path / "state")
    house.boot()
    gone = written(house)
    caught_up(house.directory)
    erase(house, gone)
    house.write(Operator(time=house.tick(), act=Act.HEARTBEAT))
    with index_of(house.directory) as index:
        monkey = pytest.MonkeyPatch()
        monkey.setattr("gateway.audit.index.ERASING", frozenset({"shutdown"}))
        house.end()  # the record that says so, under whatever name
        while index.step():
            pass
        monkey.undo()

    pages = Pages(house.directory, INDEX_KEY, KEY)
    with pages.view(EVERYONE) as view:
        counts = view.counts(Filters())
        assert counts.facet("tenant") == [("tenant-seven", 12)]
        assert counts.total.rows == len(list(view.walk(Filters()))) == 12
        assert [view.call(call) for call in gone] == [[]] * len(gone)
    pages.close()
    connection = keyed(
        house.directory / INDEX_FOLDER / INDEX_FILE, apsw.SQLITE_OPEN_READONLY, INDEX_KEY, Cipher.AEGIS, ""
    )
    assert connection.execute("SELECT name FROM tenant").fetchall() == [("tenant-seven",)]
    assert not [facts for (facts,) in connection.execute("SELECT facts FROM alike") if "tenant-eight" in str(facts)]
    connection.close()


def test_a_reader_forgets_what_was_erased_while_it_was_open(tmp_path: Path) -> None:
    """Kinds and counts that a page remembered are dropped, and numbers that were given are never given again."""
    house = House(tmp_path / "state")
    house.boot()
    gone = written(house)
    caught_up(house.directory)
    pages = Pages(house.directory, INDEX_KEY, KEY)
    with pages.view(EVERYONE) as view:
        assert len(view.counts(Filters()).facet("tenant")) == 2
    erase(house, gone)
    monkey = pytest.MonkeyPatch()
    monkey.setattr("gateway.audit.index.ERASING", frozenset({"shutdown"}))
    house.end()
    caught_up(house.directory)
    monkey.undo()
    house.boot()
    house.write(refusal(time=house.tick()))
    caught_up(house.directory)

    with pages.view(EVERYONE) as view:
        assert view.counts(Filters()).facet("tenant") == [("tenant-seven", 13)]
        assert [line.facts["tenant"] for line in view.walk(Filters())] == ["tenant-seven"] * 13
        assert not [facts for facts in view._kinds.facts if "tenant-eight" in facts]
    pages.close()
    house.end()


def test_forget_removes_the_files_and_refuses_while_pages_are_served(tmp_path: Path) -> None:
    """Whoever erases without the pages removes the index; while they run, they do it themselves."""
    house = House(tmp_path / "state")
    house.boot()
    house.calls(3)
    house.end()
    forget(house.directory)  # there is none yet
    with index_of(house.directory) as index:
        index.step()
        with pytest.raises(StoreFault):
            forget(house.directory)

    forget(house.directory)

    assert not list((house.directory / INDEX_FOLDER).glob("index.db*"))
    caught_up(house.directory)
    assert facts(house.directory)[1] == 3


def test_the_file_shows_nothing_without_its_key(tmp_path: Path) -> None:
    """The index is encrypted as the journal is: no word of a record is in the file."""
    house = House(tmp_path / "state")
    house.boot()
    house.calls(20)
    house.end()
    caught_up(house.directory)

    for path in (house.directory / INDEX_FOLDER).glob("index.db*"):
        content = path.read_bytes()
        assert b"tenant-seven" not in content
        assert b"SQLite format" not in content


def test_retries_are_rows_and_not_calls(tmp_path: Path) -> None:
    """A second attempt of a call is a row of its own; the call counts once."""
    store = SqliteStore(tmp_path / "state" / "journal", KEY)
    first = intent()
    second = intent(first.call, 1)
    records = [first, outcome(first), second, outcome(second)]
    store.begin([row_line(Operator(time=first.time, act=Act.BOOT))])
    store.commit([row_line(each) for each in records], 1, 0)
    store.close()

    caught_up(tmp_path / "state")

    rows, calls, redactions = facts(tmp_path / "state")
    assert rows == {("allow", "completed", "0"): 1, ("allow", "completed", "1"): 1}
    assert (calls, redactions) == (1, 4)
