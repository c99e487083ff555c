"""The disk fails beneath a gateway that serves: nothing leaves meanwhile, readiness says so, and it resumes by itself."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import aiohttp
import apsw
import orjson
import pytest

import gateway.audit.journal
import gateway.sequencing
from gateway.audit import verify
from gateway.audit.evidence import open_evidence
from gateway.audit.store import SqliteStore, StoreFault
from gateway.keys import Keyring
from gateway.simulator import Scenario, Simulator
from tests.configuration import TENANT
from tests.conftest import Gateway
from tests.gateway.audit.faults import VFS_NAME, Faults, fresh_faults
from tests.gateway.audit.forgeries import failed
from tests.houses import UNSCANNED, client, house, records, settings, unaccounted, unwitnessed

SOON = {"timeout_seconds": 0.5, "closing_seconds": 2.0, "check_seconds": 0.05, "ballast_bytes": 4096}


@dataclass
class World:
    """A gateway over a disk that fails on demand, and its provider."""

    gateway: Gateway
    provider: Simulator
    disk: Faults

    async def call(self) -> int:
        """One call; its status."""
        document = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "How did it go?"}]}
        async with client(self.gateway.key) as session:
            try:
                async with session.post(f"{self.gateway.url}/v1/chat/completions", json=document) as answer:
                    body = await answer.read()
                    assert answer.status == 200 or b"audit_unavailable" in body or b"upstream" in body
                    return answer.status
            except aiohttp.ClientError:
                return 0

    async def ready(self) -> dict[str, bool]:
        """What readiness says of each part."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.gateway.application.operations_port}/readyz") as answer,
        ):
            said = orjson.loads(await answer.read())
            assert (answer.status == 200) is said["ready"]
            checks: dict[str, bool] = said["checks"]
            return checks

    async def until(self, part: str, *, holds: bool) -> None:
        """Wait until readiness says so."""
        async with asyncio.timeout(20):
            while (await self.ready())[part] is not holds:
                await asyncio.sleep(0.02)

    async def refuses(self) -> None:
        """Calls are refused, and the provider hears nothing of them."""
        await self.provider.witness.until(lambda: self.provider.witness.open == 0)
        before = len(self.provider.arrivals)
        for _ in range(3):
            assert await self.call() == 503
        assert len(self.provider.arrivals) == before


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that nothing tells of."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def given_up(made: World) -> int:
    """For how many reasons the journal was given up, one after the other, and not taken again."""
    stream = made.gateway.application._stream
    assert isinstance(stream, io.BytesIO)
    said = [orjson.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert "journal_recovered" not in said
    return said.count("journal_given_up")


def boots(made: World) -> list[object]:
    """The boots of the record, while it can be read."""
    try:
        return [line for line in records(made.gateway.state) if line.get("act") == "boot"]
    except StoreFault:
        return []


@asynccontextmanager
async def world(
    simulator: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch, **journal: float
) -> AsyncIterator[World]:
    """One; when it has ended, the record must be whole and its log must hold."""
    disk = fresh_faults()
    monkeypatch.setattr(gateway.audit.journal, "SqliteStore", partial(SqliteStore, vfs=VFS_NAME))
    try:
        async with house(simulator, folder, settings(journal={**SOON, **journal}, **UNSCANNED)) as made:
            yield World(made, simulator, disk)
    finally:
        fresh_faults()
    lines = records(folder / "state")
    assert unaccounted(lines) == []
    assert unwitnessed(simulator, folder / "state", TENANT) == []
    keyring = Keyring.open(folder / "state" / "keys")
    with open_evidence(folder / "state", keyring) as evidence:
        run = verify.verify(evidence, verify.Policy(evidence.policy(keyring)))
    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.totals["open"] == 0


FAULTS: dict[str, Callable[[Faults], None]] = {
    "EIO on a write": lambda disk: setattr(disk, "write", apsw.IOError),
    "EIO on a sync": lambda disk: setattr(disk, "sync", apsw.IOError),
    "a read-only file system": lambda disk: setattr(disk, "write", apsw.ReadOnlyError),
    "a full disk": lambda disk: setattr(disk, "write", apsw.FullError),
    "a sync that stalls": lambda disk: disk.hold.clear(),
}


def heal(disk: Faults) -> None:
    """The disk works again."""
    disk.write = disk.sync = None
    disk.hold.set()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_failing_disk_refuses_and_resumes(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """While it lasts nothing leaves and readiness is false; then calls are taken again, and a gap tells of the rest."""
    async with world(simulator, tmp_path, monkeypatch) as made:
        assert await made.call() == 200
        FAULTS[name](made.disk)
        await made.refuses()
        await made.until("journal", holds=False)
        await made.refuses()

        heal(made.disk)
        await made.until("journal", holds=True)

        assert await made.call() == 200
        gaps = [line for line in records(made.gateway.state) if line.get("act") == "gap"]
        assert sum(int(str(line["refused"])) for line in gaps) >= 6


@pytest.mark.parametrize("name", ["EIO on a sync", "a read-only file system"])
async def test_an_answer_whose_end_cannot_be_recorded_is_not_whole(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The disk fails while the provider answers: the caller gets no whole answer, and the record no second outcome."""
    async with world(simulator, tmp_path, monkeypatch) as made:
        simulator.script(Scenario(delay=0.5))
        calling = asyncio.get_running_loop().create_task(made.call())
        await simulator.witness.until(lambda: len(simulator.arrivals) == 1)
        FAULTS[name](made.disk)

        assert await calling != 200

        heal(made.disk)
        await made.until("journal", holds=True)
        assert await made.call() == 200
        assert [line["result"] for line in records(made.gateway.state) if line["kind"] == "outcome"] == [
            "indeterminate",
            "completed",
        ]


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
async def test_an_unlinked_journal_is_not_replaced_by_a_new_one(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its file is gone: nothing leaves until it is back under its name, and every row that was promised is there."""
    async with world(simulator, tmp_path, monkeypatch) as made:
        assert await made.call() == 200
        file, kept = made.gateway.state / "journal" / name, tmp_path / "kept"
        os.link(file, kept)
        file.unlink()
        if name == "journal.db":
            await until(lambda: given_up(made) == 2)  # that it is another, and that it is gone
            await made.refuses()
            assert not file.exists()
            kept.replace(file)
        else:
            await until(lambda: len(boots(made)) == 2)  # what the open file still held was brought in
        await made.until("journal", holds=True)
        assert await made.call() == 200
        results = [line["result"] for line in records(made.gateway.state) if line["kind"] == "outcome"]
        assert results == ["completed", "completed"]
        await until(lambda: made.gateway.application._sequencing.size > 0)  # its process looked at the journal before


async def test_a_journal_that_lacks_what_was_promised_is_not_taken(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older copy under its name is refused; the file that was there is taken."""
    async with world(simulator, tmp_path, monkeypatch) as made:
        folder, kept = made.gateway.state / "journal", tmp_path / "kept"
        await made.gateway.application._journal.truncate()
        old = (folder / "journal.db").read_bytes()
        assert await made.call() == 200
        kept.mkdir()
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            os.link(folder / name, kept / name)
            (folder / name).unlink()
        (folder / "journal.db").write_bytes(old)
        (folder / "journal.db").chmod(0o600)
        await until(lambda: given_up(made) == 2)  # that it is another, and what it lacks
        await made.refuses()
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            (kept / name).replace(folder / name)
        await made.until("journal", holds=True)
        assert await made.call() == 200


async def test_a_start_without_the_journal_of_its_log_is_refused(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a log and no journal nothing is begun in its place."""
    async with world(simulator, tmp_path, monkeypatch) as made:
        assert await made.call() == 200
    moved = tmp_path / "moved"
    (tmp_path / "state" / "journal").rename(moved)
    for folder in ("config",):
        (tmp_path / folder).rename(tmp_path / f"{folder}.before")

    with pytest.raises(StoreFault, match="is gone"):
        async with house(simulator, tmp_path, settings(journal=SOON, **UNSCANNED)):
            pass

    assert not (tmp_path / "state" / "journal" / "journal.db").exists()


# the log beside it: it may be late, but readiness says so, and nothing is signed that does not continue it


async def _stopped(made: World) -> Callable[[], None]:
    process = made.gateway.application._sequencing._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    return lambda: process.send_signal(signal.SIGCONT)


async def _unlinked(made: World) -> Callable[[], None]:
    file = made.gateway.state / "log" / "log.db"
    kept = file.parent.parent / "kept.db"
    os.link(file, kept)
    file.unlink()
    return lambda: kept.replace(file) and None


LOG_FAULTS: dict[str, Callable[[World], Awaitable[Callable[[], None]]]] = {
    "its process hangs, as by a sync that stalls": _stopped,
    "its file is gone": _unlinked,
}


@pytest.mark.parametrize("name", LOG_FAULTS)
async def test_a_log_that_stands_still_is_told_and_goes_on(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Calls are recorded meanwhile; readiness is false until the log has caught up."""
    monkeypatch.setattr(gateway.sequencing, "STALE_SECONDS", 3.0)
    async with world(simulator, tmp_path, monkeypatch) as made:
        assert await made.call() == 200
        sequencing = made.gateway.application._sequencing
        await until(lambda: sequencing.size >= 3)
        repair = await LOG_FAULTS[name](made)
        await made.until("checkpoint", holds=False)
        assert await made.call() == 200

        repair()

        await made.until("checkpoint", holds=True)


# the clock


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(days=1)], ids=["an hour back", "a day on"])
async def test_a_clock_that_is_set_is_told_and_the_order_stays(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: timedelta
) -> None:
    """Calls are judged at both ends of the doubt and recorded in their order; readiness warns; set right, it is silent."""
    async with world(simulator, tmp_path, monkeypatch) as made:
        application = made.gateway.application
        assert await made.call() == 200
        clock, journal = application._clock, application._journal
        wall, recorded = clock._wall, journal._clock
        clock._wall = lambda: datetime.now(UTC) + step  # type: ignore[method-assign]
        journal._clock = lambda: recorded() + round(step.total_seconds() * 1e6)
        assert any("the clock was set" in each for each in application._warnings())
        assert await made.call() == 200
        clock._wall, journal._clock = wall, recorded  # type: ignore[method-assign]
        assert not any("the clock was set" in each for each in application._warnings())
        assert await made.call() == 200
    rows = [line["rseq"] for line in records(tmp_path / "state")]
    assert rows == list(range(len(rows)))
