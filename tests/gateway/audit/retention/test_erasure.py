"""Erasure: what was asked for is nowhere afterwards, all else stands, and the log says so and still holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.audit.index import INDEX_FILE, INDEX_FOLDER, Index
from gateway.audit.language import Id, Sha
from gateway.audit.log_store import LogStore
from gateway.audit.record import Operator
from gateway.audit.report import Period, build
from gateway.audit.retention import requests
from gateway.audit.retention.erasure import NotYet
from gateway.audit.retention.register import Known, Register
from gateway.audit.retention.requests import ask
from gateway.audit.store import SqliteStore, StoreFault, reading
from gateway.audit.verify import Pack, verify
from gateway.audit.words import Act, Ground, Role
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.logs import DAY
from tests.gateway.audit.retention.states import EIGHT, SEVEN, State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def first(state: State) -> dict[str, str | None]:
    run = state.verify()
    return {name: run.a[name].first for name in failed(run)}


async def test_an_erased_tenant_is_in_no_file(state: State) -> None:
    """Its id, its people's hashes, its calls, its name and its key are gone from every file; a scan before finds each."""
    async with state.open():
        await state.live()
        state.days(1)
        await state.live(1)  # the first day's counts are in the log by now
        made = await state.call(EIGHT, "ana")
        state.order()
        Register(state.keyring).keep(Known(EIGHT, "Example Customer"))
        key = state.keyring.tenant_mac(EIGHT, "subject", "ana").encode()
        markers = (EIGHT.encode(), key, made.call.encode())
        assert state.holding(*markers) >= {"journal/journal.db in clear", "log/log.db in clear"}
        assert state.holding(SEVEN.encode()) >= {"journal/journal.db in clear", "log/log.db in clear"}

        _, receipt = ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        assert await state.erasing.due() == 1
        await state.call(SEVEN, "ana")

        assert state.holding(*markers) == set()
        assert state.holding(SEVEN.encode()) == {"journal/journal.db in clear", "log/log.db in clear"}
        assert not state.keyring.has_tenant(EIGHT)
        assert Register(state.keyring).all() == []
        assert requests.kept(state.keyring) == []
    run = state.verify()
    assert failed(run) == set()
    facts = run.facts()["totals"]
    assert facts["erased"] == 2 * 8 + 1  # eight calls, and the count of the first day
    assert (facts["erasures"], facts["calls"]) == (1, 8)
    assert sha256(bytes.fromhex(receipt.salt) + EIGHT.encode()).hexdigest() == receipt.commitment
    with state.evidence() as evidence:
        acts = [row.entry for row in evidence.rows() if b'"act":"erase"' in row.entry]
    assert len(acts) == 1
    assert receipt.commitment.encode() in acts[0]
    assert EIGHT.encode() not in acts[0]


async def test_what_the_pages_kept_goes_too(state: State) -> None:
    """An index that nobody serves by is removed; one that is in use drops the rows by itself, as the record says to."""
    file = state.directory / INDEX_FOLDER / INDEX_FILE
    async with state.open():
        await state.live()
        index = Index(state.directory, state.keyring.index_key(), state.keyring.journal_key())
        while index.step():
            pass
        index.close()
        assert file.exists()
        pack = file.parent / "reports" / "evidence.zip"
        pack.parent.mkdir()
        pack.write_bytes(b"a pack that holds what is erased")

        ask(state.keyring, Ground.SUBJECT, EIGHT, "ana", state.tick())
        await state.erasing.due()
        assert not file.exists()
        assert not pack.exists()

        index = Index(state.directory, state.keyring.index_key(), state.keyring.journal_key())
        with contextlib.closing(index):
            while index.step():
                pass
            rows = _calls(index)
            ask(state.keyring, Ground.SUBJECT, SEVEN, "ana", state.tick())
            await state.erasing.due()
            assert file.exists()
            while index.step():
                pass
            assert 0 < _calls(index) < rows
    assert first(state) == {}


def _calls(index: Index) -> int:
    ((count,),) = index._connection.execute("SELECT count(*) FROM call").fetchall()
    assert isinstance(count, int)
    return count


async def test_without_overwriting_the_marker_would_be_found(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan can fail: where SQLite does not overwrite what it deletes, the erased tenant is still in the pages."""
    async with state.open():
        await state.live()
        for store in (state.journal._store, state.ordering.log):
            assert isinstance(store, SqliteStore | LogStore)
            store._connection.execute("PRAGMA secure_delete = OFF").fetchall()
        made = await state.call(EIGHT, "ana")
        state.order()

        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()

        assert "journal/journal.db in clear" in state.holding(made.call.encode(), EIGHT.encode())


async def test_an_erased_person_is_gone_and_the_tenant_stays(state: State) -> None:
    """Only the calls about that person of that tenant go; the same name at another tenant is another person."""
    async with state.open():
        await state.live()
        mac = state.keyring.tenant_mac(SEVEN, "subject", "ana").encode()
        other = state.keyring.tenant_mac(SEVEN, "subject", "ben").encode()
        same = state.keyring.tenant_mac(EIGHT, "subject", "ana").encode()
        assert state.holding(mac)

        _, receipt = ask(state.keyring, Ground.SUBJECT, SEVEN, "ana", state.tick())
        await state.erasing.due()

        assert state.holding(mac) == set()
        assert state.holding(other)
        assert state.holding(same)
        assert state.keyring.has_tenant(SEVEN)
    run = state.verify()
    assert failed(run) == set()
    assert (run.facts()["totals"]["erased"], run.facts()["totals"]["calls"]) == (6, 9)
    assert sha256(bytes.fromhex(receipt.salt) + SEVEN.encode() + b"\0ana").hexdigest() == receipt.commitment


async def test_a_call_under_way_is_waited_for(state: State) -> None:
    """What is open when the erasure is asked for goes with it, once it has its outcome; until then nothing is decided."""
    async with state.open(patience=3):
        await state.live(2)
        made = state.intent(EIGHT, "ana")
        admission = await state.ledger.admit(made)
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())

        with pytest.raises(NotYet):
            await state.erasing.due()
        assert state.holding(made.call.encode())
        from msgspec.structs import replace  # noqa: PLC0415

        from tests.gateway.audit.samples import outcome  # noqa: PLC0415

        await state.ledger.conclude(admission, replace(outcome(made, time=state.tick()), tenant=made.tenant))
        await state.erasing.due()

        assert state.holding(made.call.encode()) == set()
    assert first(state) == {}


async def test_a_reader_of_old_pages_is_waited_for(state: State) -> None:
    """While somebody reads the state as it was, the write-ahead log keeps what he reads; the erasure is not done yet."""
    async with state.open(patience=3):
        await state.live(2)
        path = state.directory / "journal" / "journal.db"
        with contextlib.closing(reading(path, state.keyring.journal_key())) as reader:
            reader.execute("BEGIN").fetchall()
            reader.execute("SELECT count(*) FROM record").fetchall()
            ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
            with pytest.raises(NotYet):
                await state.erasing.due()
        assert len(requests.kept(state.keyring)) == 1

        await state.erasing.due()

        assert requests.kept(state.keyring) == []
        assert path.with_name("journal.db-wal").stat().st_size < 100_000
    assert first(state) == {}


class _Stop(Exception):
    """Stands for a kill: nothing after it happens."""


_PLACES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {}


@pytest.mark.parametrize("place", ["destroy", "select", "act", "kept", "rows", "salts", "erased"])
async def test_it_goes_on_after_a_crash_at_any_step(state: State, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped anywhere, the next start ends what was asked, and the tenant is in no file."""
    async with state.open():
        await state.live(3)
        made = await state.call(EIGHT, "ana")
        state.order()
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        erasing = state.erasing
        with monkeypatch.context() as patched:
            _break(erasing, state, place, patched)
            with pytest.raises(_Stop):
                await erasing.due()
    async with state.open():
        await state.erasing.due()
        assert state.holding(made.call.encode(), EIGHT.encode()) == set()
    assert first(state) == {}
    assert not state.keyring.has_tenant(EIGHT)


def _break(erasing: object, state: State, place: str, patched: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> object:
        raise _Stop

    async def stop_later(*_: object) -> int:
        raise _Stop

    from gateway.audit.retention import erasure  # noqa: PLC0415

    if place == "destroy":
        patched.setattr(state.keyring, "destroy_tenant", stop) if hasattr(state.keyring, "__dict__") else (
            patched.setattr(type(state.keyring), "destroy_tenant", stop)
        )
    elif place == "select":
        patched.setattr(erasing, "_chosen", stop)
    elif place == "act":
        patched.setattr(state.journal, "append", stop_later)
    elif place == "kept":
        real = requests.keep
        patched.setattr(erasure.requests, "keep", lambda k, r: stop() if r.document else real(k, r))
    elif place == "rows":
        patched.setattr(state.journal, "forget", stop_later)
    elif place == "salts":
        patched.setattr(erasing, "_forgotten", stop)
    else:
        patched.setattr(erasing, "_forgotten", lambda _document: state.order() and True)
        real_append = state.journal.append

        async def append(record: object) -> int:
            if getattr(record, "act", None) == "erased":
                raise _Stop
            return await real_append(record)  # type: ignore[arg-type]

        patched.setattr(state.journal, "append", append)


async def test_a_pack_of_an_earlier_period_shows_the_later_erasure(state: State, tmp_path: Path) -> None:
    """Records of a period that were erased after its end are missing there, and covered by a proved act after B."""
    async with state.open():
        await state.live(3)
        end = state.time
        state.days(2)
        await state.live(3)
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()
    with state.evidence(until=end) as evidence:
        assert evidence.later is not None
        built = await asyncio.to_thread(build, evidence, state.keyring, tmp_path / "p.zip", Period(), state.time)
    assert built.failed == ()

    run = verify(Pack(str(tmp_path / "p.zip")), state.policy())
    assert failed(run) == set()
    assert run.facts()["totals"]["erased"] == 6
    pack = Pack(str(tmp_path / "p.zip"))
    pack.later = None
    assert failed(verify(pack, state.policy())) >= {"A4"}
    note, path, acts = evidence.later
    for forged in ((note, path[:-1], acts), (note, path, [(i, e + b" ", p) for i, e, p in acts])):
        pack = Pack(str(tmp_path / "p.zip"))
        pack.later = forged
        assert "A4" in failed(verify(pack, state.policy()))
    pack = Pack(str(tmp_path / "p.zip"))
    pack.lists = {digest: each.replace(b"[", b"[ ", 1) for digest, each in pack.lists.items()}
    assert "A4" in failed(verify(pack, state.policy()))


async def test_a_silent_deletion_beside_a_logged_one_is_found(state: State) -> None:
    """A row that goes without an act is missed, although erasures are in the same log; so is one that never went."""
    async with state.open():
        await state.live(3)
        before = dict(_bodies(state))
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()
        kept = dict(_bodies(state))
        store = state.journal._store
        assert isinstance(store, SqliteStore)
        victim = max(seq for seq, body in kept.items() if '"kind":"outcome"' in body)
        store._connection.execute("DELETE FROM record WHERE seq = ?", (victim,))
        assert set(before) - set(kept)
    assert "A4" in first(state)


async def test_what_was_said_to_be_erased_must_be_gone(state: State) -> None:
    """A copy of the state that kept the records although the log says they are gone fails A14."""
    async with state.open():
        await state.live(3)
        with state.evidence() as evidence:
            rows = {row.index: (row.entry, row.salt, row.text) for row in evidence.rows()}
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()
    with state.evidence() as evidence:
        leaves = list(evidence.leaves())
        evidence.leaves = lambda: iter([rows.get(at, leaf) for at, leaf in enumerate(leaves)])  # type: ignore[method-assign]
        run = verify(evidence, state.policy())
    assert failed(run) == {"A12", "A14"}


async def test_an_erasure_that_is_not_carried_out_is_found(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty days after it was asked for, an act without its end fails A14."""
    async with state.open():
        await state.live(2)
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        with monkeypatch.context() as patched:
            _break(state.erasing, state, "rows", patched)
            with pytest.raises(_Stop):
                await state.erasing.due()
        state.order()
        assert "A14" not in first(state)
        state.days(31)
        await state.call(SEVEN)
    assert "A14" in first(state)


async def test_a_tenant_that_comes_back_is_a_new_one(state: State) -> None:
    """After an erasure the same id has another key, counts from one again, and everything holds."""
    async with state.open():
        await state.live(2)
        mac = state.keyring.tenant_mac(EIGHT, "subject", "ana")
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()

        await state.live(2)

        assert state.keyring.tenant_mac(EIGHT, "subject", "ana") != mac
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()
    assert first(state) == {}


async def test_thirteen_months_and_the_current_one_are_kept(state: State) -> None:
    """What is older than the rolling months goes with its salts; calls that straddle the edge stay whole; all holds."""
    async with state.open():
        await state.live(3)
        old = await state.call(SEVEN, "ana")
        await state.ledger.note(look(state, OLD_SESSION))
        state.order()
        assert await state.erasing.prune() == 0
        while state.time < EDGE - 2 * DAY:
            state.days(20)
            await state.call(SEVEN)
        state.time = EDGE - 1_500_000  # a second before the month begins
        straddling = await state.call(EIGHT)
        assert straddling.time < EDGE
        recent = await state.call(EIGHT)
        await state.ledger.note(look(state, SESSION))
        index = Index(state.directory, state.keyring.index_key(), state.keyring.journal_key())
        while index.step():
            pass
        assert _looks(index) == 2
        state.order()
        state.time = NOW
        assert "A14" not in first(state)
        await state.call(SEVEN)
        state.order()
        assert "A14" in first(state)

        assert await state.erasing.prune() > 20
        assert await state.erasing.prune() == 0

        assert state.holding(old.call.encode(), OLD_SESSION.encode()) == set()
        assert state.holding(SESSION.encode())
        while index.step():
            pass
        assert _looks(index) == 1
        index.close()
        assert state.holding(straddling.call.encode())
        assert state.holding(recent.call.encode())
    run = state.verify()
    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.facts()["totals"]["prunes"] == 1


async def test_the_earliest_record_coming_last_prunes_nothing(tmp_path: Path) -> None:
    """As of a host that started first and was gathered last: what is before it in the log is younger, and stays."""
    state = State(tmp_path / "state", time=EDGE + 5 * DAY)
    async with state.open():
        calls = [await state.call(SEVEN) for _ in range(3)]
        state.time = EDGE + 4 * DAY
        calls.append(await state.call(EIGHT))
        state.time = EDGE + 5 * DAY
        state.order()
        state.time = NOW

        assert await state.erasing.prune() == 0

        assert all(state.holding(each.call.encode()) for each in calls)


async def test_a_row_that_came_late_to_the_log_makes_none_before_it_old(state: State) -> None:
    """Of several journals' rows the earliest may come last: each goes by its own time, and nothing recent goes."""
    async with state.open():
        old = await state.call(SEVEN)
        state.order()
        state.days(25)
        before = [await state.call(SEVEN) for _ in range(3)]
        state.order()
        late, then = before[0], state.time
        state.time = late.time - 1_500_000
        earliest = await state.call(EIGHT)
        assert earliest.time < late.time
        state.time = then
        assert await state.erasing.prune() == 0
        while state.time < EDGE:
            state.days(20)
            await state.call(SEVEN)
        state.time = EDGE - DAY
        gathered = [await state.call(EIGHT)]
        state.time = EDGE + DAY
        kept = [await state.call(SEVEN) for _ in range(3)]
        state.order()
        state.time = EDGE - DAY
        gathered.append(await state.call(EIGHT))
        state.time = EDGE + DAY
        kept.append(await state.call(SEVEN))
        state.order()
        state.time = NOW
        await state.call(SEVEN)
        state.time = EDGE - DAY
        said = await state.call(EIGHT)
        state.time = NOW
        state.order()

        await state.erasing.prune()

        for each in (old, *before, earliest, *gathered):
            assert state.holding(each.call.encode()) == set()
        for each in (*kept, said):
            assert state.holding(each.call.encode())


def look(state: State, session: str) -> Operator:
    """A look at the auditor's pages."""
    return Operator(
        time=state.tick(), act=Act.VIEW, role=Role.SECURITY, session=Id(session), query=Sha("ab" * 32), rows=3,
        start=state.time,
    )  # fmt: skip


def _looks(index: Index) -> int:
    ((count,),) = index._connection.execute("SELECT count(*) FROM act WHERE act = 'view'").fetchall()
    assert isinstance(count, int)
    return count


OLD_SESSION, SESSION = "5e" * 16, "5f" * 16
# EPOCH lies in November 2026. Fourteen months after the January that follows, December is the oldest month that goes.
EDGE = 1_798_761_600_000_000  # 2027-01-01
NOW = 1_833_062_400_000_000 + 10 * DAY  # 2028-02-11


def _bodies(state: State) -> list[tuple[int, str]]:
    path = state.directory / "journal" / "journal.db"
    with contextlib.closing(reading(path, state.keyring.journal_key())) as opened:
        return opened.execute("SELECT seq, body FROM record").fetchall()


def test_a_list_that_was_changed_is_refused(tmp_path: Path) -> None:
    """Lists are known by digest and have one form."""
    from gateway.audit.retention.spans import keep_spans, kept_spans, read_spans, spans_of, written_spans  # noqa: PLC0415

    assert list(spans_of([1, 2, 3, 7, 9, 10])) == [(1, 4), (7, 8), (9, 11)]
    written = written_spans([(1, 4), (7, 8)])
    digest = keep_spans(tmp_path, written)
    assert kept_spans(tmp_path, digest) == [(1, 4), (7, 8)]
    for bad in (
        b"",
        b"{}",
        written + b" ",
        written_spans([(4, 1)]),
        written_spans([(7, 8), (1, 4)]),
        written_spans([(1, 4), (4, 5)]),
    ):
        with pytest.raises(ValueError, match="list"):
            read_spans(bad)
    (tmp_path / "erasures" / f"{digest}.json").write_bytes(written_spans([(1, 5)]))
    with pytest.raises(StoreFault):
        kept_spans(tmp_path, digest)


async def test_a_row_beside_the_log_is_counted(state: State) -> None:
    """A12 of a state: a row that the journal has and the log does not is a difference in the totals."""
    async with state.open():
        await state.live(2)
        store = state.journal._store
        assert isinstance(store, SqliteStore)
        assert "A12" not in first(state)
        store._connection.execute(
            "INSERT INTO record SELECT 5, time, kind, randomblob(16), attempt, floor, body FROM record "
            "WHERE kind = 'i' LIMIT 1"
        )
        assert first(state) == {"A12": "attempts: the database counts 5, the log 4"}
