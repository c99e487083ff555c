"""The log on its way to a collector: every leaf at least once and in order, whatever the collector does meanwhile."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from gateway import forwarding
from gateway.audit.evidence import Written, open_written
from gateway.audit.export import batch, records
from gateway.audit.retention.handouts import handouts
from gateway.audit.retention.requests import DAY, ask
from gateway.audit.retention.salvage import salvage
from gateway.audit.store import FILE_NAME, StoreFault
from gateway.audit.words import Ground
from gateway.cli import main
from gateway.collectors import Collector, NotTaken, collector
from gateway.config import Bundle
from gateway.durable import locked
from gateway.forwarding import Forwarding, Place, forward
from tests.configuration import ROOT
from tests.gateway.audit.retention.states import EIGHT, State
from tests.gateway.collecting import once, otlp_endpoint, recorder, syslog_server
from tests.gateway.test_collectors import described


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    """A state with a few calls in its log, whose journal is open."""
    state = State(tmp_path / "state")
    async with state.open():
        await state.live(3)
        yield state


def _bundle(tmp_path: Path, url: str) -> tuple[Bundle, Collector]:
    bundle = described(tmp_path, {"name": "siem", "url": url})
    return bundle, collector(bundle, bundle.settings.collectors[0])


async def test_what_there_is_goes_once_and_the_next_run_goes_on(state: State, tmp_path: Path) -> None:
    """A second run sends only what came since; with an index it begins again after that."""
    async with otlp_endpoint() as (url, taken):
        bundle, there = _bundle(tmp_path, url)
        await there.close()
        runs: list[tuple[list[str], list[int]]] = []
        for after in (None, None, 4):
            told: list[str] = []
            before = len(taken.indices)
            await forward(bundle, bundle.settings.collectors[0], follow=False, after=after, tell=told.append)
            runs.append((told, taken.indices[before:]))
            await state.live(1)
        size = state.ordering.size

    (first, all_there_was), (_second, grown), (_third, anew) = runs
    assert first[1:] == [f"{len(all_there_was)} leaves were taken, up to index {len(all_there_was) - 1}"]
    assert all_there_was == list(range(len(all_there_was)))
    assert grown[0] == len(all_there_was)
    assert anew == list(range(5, anew[-1] + 1))
    assert anew[-1] > grown[-1]
    assert anew[-1] < size


async def test_a_collector_that_is_away_and_fails_is_sent_all_of_it(state: State, tmp_path: Path) -> None:
    """Busy, gone before and after it took a batch: followed, each leaf arrives, in order, and pauses are bounded."""
    waits: list[float] = []
    told: list[str] = []
    async with otlp_endpoint() as (url, taken):
        bundle, there = _bundle(tmp_path, url)
        there.most = 5
        place = Place(bundle.state, "siem")
        way = Forwarding(state.directory, state.keyring, there, place, told.append, recorder(waits))
        taken.script.extend(["take", "busy", "hang up", *["busy"] * 12, "take and hang up", "take"])
        following = asyncio.create_task(way.run(follow=True))
        for _ in range(3):
            await state.live(2)
            async with asyncio.timeout(20):
                while place.next() < state.ordering.size:
                    await asyncio.sleep(0.01)  # another task's file
        following.cancel()
        await asyncio.wait({following})
        await there.close()

    assert once(taken.indices) == list(range(state.ordering.size))
    assert len(taken.indices) > state.ordering.size  # with the batch that it took before it hung up
    assert max(waits) <= 60
    assert 7.0 in waits
    assert [line.partition(":")[0] for line in told[1:]] == ["from index 5 on"] * 2


async def test_one_batch_is_held_and_no_file_is_open_meanwhile(state: State, tmp_path: Path) -> None:
    """While a collector hangs, an erasure is carried out to its end: nobody reads the files."""
    asked, go = asyncio.Event(), asyncio.Event()
    sizes: list[int] = []

    class Hanging:
        most = 7

        async def send(self, records: object) -> None:
            sizes.append(len(records))  # type: ignore[arg-type]
            asked.set()
            await go.wait()

        async def close(self) -> None: ...

    way = Forwarding(state.directory, state.keyring, Hanging(), Place(state.directory, "siem"), print)
    running = asyncio.create_task(way.run(follow=False))
    await asked.wait()
    ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
    await state.erasing.due()
    go.set()
    await running

    assert state.verify().a["A14"].failed == 0
    assert set(sizes[:-1]) == {7}
    assert sum(sizes) == way.sent == state.ordering.size


@pytest.mark.parametrize("kind", ["otlp", "syslog"])
async def test_a_run_that_is_killed_anywhere_loses_nothing(
    state: State, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill after a batch was taken, and before that is written down, sends the batch once more."""
    kills = iter([False, True, True, False, True])

    class Killed(BaseException):
        pass

    def keep(place: Place, index: int, kept: object = Place.keep) -> None:
        if next(kills, False):
            raise Killed
        kept(place, index)  # type: ignore[operator]

    monkeypatch.setattr(Place, "keep", keep)
    async with otlp_endpoint() as (url, taken):
        with syslog_server(script=["take", "drop", "half"]) as (port, received):
            bundle, there = _bundle(tmp_path, url if kind == "otlp" else f"tcp://127.0.0.1:{port}")
            there.most = 6
            ends = []
            for _ in range(4):
                place = Place(bundle.state, "siem")
                way = Forwarding(state.directory, state.keyring, there, place, print, recorder([]))
                try:
                    await way.run(follow=False)
                    ends.append("end")
                except Killed:
                    ends.append("killed")
            await there.close()
    came = taken.indices if kind == "otlp" else received.indices

    assert ends == ["killed", "killed", "killed", "end"]
    assert once(came) == list(range(state.ordering.size))
    assert len(came) > state.ordering.size + 2 * 6


async def test_who_does_not_follow_gives_up_at_last_and_says_where(state: State, tmp_path: Path) -> None:
    """With an exit, so that whoever started it knows; what was taken before stays so."""
    waits: list[float] = []
    async with otlp_endpoint() as (url, taken):
        bundle, there = _bundle(tmp_path, url)
        there.most = 5
        place = Place(bundle.state, "siem")
        taken.script.extend(["take", *["hang up"] * 20])
        with pytest.raises(NotTaken, match="from index 5 on"):
            await Forwarding(state.directory, state.keyring, there, place, print, recorder(waits)).run(follow=False)
        await there.close()

    assert len(waits) == forwarding.TRIES - 1
    assert place.next() == 5


@pytest.mark.parametrize("how", ["no", "partly"], ids=["refuses", "takes a part"])
async def test_what_is_refused_for_good_is_never_passed_over(state: State, tmp_path: Path, how: str) -> None:
    """Not even by a follower: it ends and says where, and the batch comes again when it is started anew."""
    async with otlp_endpoint() as (url, taken):
        bundle, there = _bundle(tmp_path, url)
        taken.script.append(how)
        place = Place(bundle.state, "siem")
        with pytest.raises(NotTaken, match="from index 0 on"):
            await Forwarding(state.directory, state.keyring, there, place, print, recorder([])).run(follow=True)
        await Forwarding(state.directory, state.keyring, there, place, print).run(follow=False)
        await there.close()

    assert once(taken.indices) == list(range(state.ordering.size))


async def test_a_log_that_is_shorter_than_what_was_sent_is_not_sent(state: State, tmp_path: Path) -> None:
    """It came back from an older backup: what it will hold at those indices is not what the collector has there."""
    async with otlp_endpoint() as (url, taken):
        bundle, there = _bundle(tmp_path, url)
        place = Place(bundle.state, "siem")
        place.keep(state.ordering.size + 1)
        with pytest.raises(StoreFault, match="older backup"):
            await Forwarding(state.directory, state.keyring, there, place, print).run(follow=False)
        await there.close()

    assert taken.batches == 0


async def test_a_collector_has_a_copy_with_an_end(state: State, tmp_path: Path) -> None:
    """Once a day it is written down for the record and for whoever erases, to go within 35 days."""
    async with otlp_endpoint() as (url, _taken):
        bundle, there = _bundle(tmp_path, url)
        place, told = Place(bundle.state, "siem"), list[str]()
        way = Forwarding(state.directory, state.keyring, there, place, told.append, clock=lambda: state.time)
        for _ in range(2):
            await way.run(follow=False)
            await state.live(1)
        state.days(1)
        await way.run(follow=False)
        await there.close()
    left = handouts(state.directory)

    assert [each.recipient for each in left] == ["siem", "siem"]
    assert all(each.delete_by - each.made == 35 * DAY for each in left)
    assert all(each.may_hold("any", [3]) for each in left)
    assert len(told) == 2


async def test_what_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    """A damaged page of the journal: nothing from there on is sent, until it is salvaged and recorded as lost."""
    state = State(tmp_path / "state")
    async with state.open():
        await state.live(40)
        await state.journal.truncate()
    path = state.directory / "journal" / FILE_NAME
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)
    async with otlp_endpoint() as (url, taken):
        bundle, there = _bundle(tmp_path, url)
        there.most = 5
        place = Place(bundle.state, "siem")
        with pytest.raises(StoreFault, match="cannot be read, and was not deleted"):
            await Forwarding(state.directory, state.keyring, there, place, print).run(follow=True)
        came = place.next()
        assert salvage(state.directory, state.keyring, state.tick()) is not None
        await Forwarding(state.directory, state.keyring, there, place, print).run(follow=False)
        await there.close()
    with state.evidence() as evidence:
        size = evidence.end

    assert 0 < came < size
    assert taken.indices == list(range(size))


async def test_what_is_being_erased_is_sent_as_erased(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row may be gone before its salt is: the log's own act says that it was deleted."""
    with open_written(state.directory, state.keyring) as written:
        assert written is not None
        salts = {row.index: row.salt for row in written.rows() if EIGHT in (row.text or "")}
    ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
    await state.erasing.due()
    rows = Written.rows
    monkeypatch.setattr(
        Written,
        "rows",
        lambda self, since=0: (structs.replace(row, salt=salts.get(row.index, row.salt)) for row in rows(self, since)),
    )
    with open_written(state.directory, state.keyring) as written:
        assert written is not None
        kinds = {record["index"]: record["kind"] for record in records(written, 0)}

    assert salts
    assert {kinds[index] for index in salts} == {"erased"}


async def test_the_verb_sends_and_says_so(state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes: 0 all was taken, 1 it was not, 2 no such collector, or another process sends there."""
    with syslog_server() as (port, received):
        bundle, _there = _bundle(tmp_path, f"tcp://127.0.0.1:{port}")
        command = ["audit", "export", "--config", str(bundle.directory), "--into"]
        sent = await asyncio.to_thread(main, [*command, "siem"])
        unknown = await asyncio.to_thread(main, [*command, "nobody"])
        with locked(Place(bundle.state, "siem").lock):
            busy = await asyncio.to_thread(main, [*command, "siem"])
        checked = await asyncio.to_thread(main, ["check", "--config", str(bundle.directory)])
    shown = capsys.readouterr()
    said = shown.err

    assert (sent, unknown, busy, checked) == (0, 2, 2, 0)
    assert f"it is sent to tcp://127.0.0.1:{port} while `gateway audit export --into siem --follow` runs" in shown.out
    assert received.indices == list(range(state.ordering.size))
    assert f"siem: {state.ordering.size} leaves were taken, up to index {state.ordering.size - 1}" in said
    assert "another process sends there already" in said


async def test_a_reader_that_has_seen_enough_is_no_fault(state: State, tmp_path: Path) -> None:
    """`gateway audit export | head`: exit code 0 and not a word; and of a state without a log there is nothing to say."""
    bundle, there = _bundle(tmp_path, "http://127.0.0.1:9/v1/logs")
    await there.close()
    await state.live(60)
    command = (
        f"{sys.executable} -m gateway audit export --config {bundle.directory} | head -c 10; exit ${{PIPESTATUS[0]}}"
    )
    piped = await asyncio.create_subprocess_exec("bash", "-c", command, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    out, errors = await piped.communicate()

    assert (piped.returncode, errors) == (0, b"")
    assert out == b'{"log":"lo'
    assert batch(tmp_path, state.keyring, 0, 10) == ([], 0)


async def test_the_verb_says_what_was_not_taken(
    state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the index from which on, and exit code 1."""
    monkeypatch.setattr(forwarding, "TRIES", 1)
    async with otlp_endpoint() as (url, taken):
        taken.script.append("no")
        bundle, there = _bundle(tmp_path, url)
        await there.close()
        code = await asyncio.to_thread(main, ["audit", "export", "--config", str(bundle.directory), "--into", "siem"])

    assert code == 1
    assert "siem: from index 0 on: it answered 400" in capsys.readouterr().err
    assert state.ordering.size
