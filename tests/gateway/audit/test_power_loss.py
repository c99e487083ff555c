"""The power goes at any moment: every state recovers to a whole prefix that holds everything acknowledged."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import apsw
import pytest

from gateway.audit.boot import row_line
from gateway.audit.evidence import Evidence
from gateway.audit.store import FILE_NAME, SqliteStore, reading
from gateway.audit.verify import verify
from tests.gateway.audit.forgeries import POLICY, failed
from tests.gateway.audit.logs import House
from tests.gateway.audit.power import VFS_NAME, at_each_sync, fresh_disk, lose, unsynced
from tests.gateway.audit.samples import EPOCH, KEY, intent, outcome


def _lost(directory: Path, rounds: int, seed: int) -> tuple[int, int]:
    """Write, lose the power at random moments, and look at what is left; how many losses, how many writes were unsynced."""
    chance = random.Random(seed)
    losses = at_risk = 0
    for number in range(rounds):
        fresh_disk()
        home = directory / f"r{number}"
        home.mkdir()
        journal = home / "journal"
        store = SqliteStore(journal, KEY, vfs=VFS_NAME)
        store.begin([_boot()])
        acknowledged, rseq = 1, 1
        taken: list[tuple[int, int]] = []
        moment = chance.randrange(2, 12)

        def cut(least: int, most: int) -> None:
            nonlocal at_risk
            at_risk += unsynced()
            lose(journal, home / f"cut-{len(taken)}", chance)  # noqa: B023  # at once
            taken.append((least, most))  # noqa: B023

        for step in range(14):
            batch = [row_line(each) for made in (intent(time=EPOCH + step),) for each in (made, outcome(made))]
            if step == moment:
                # In the middle of a commit, before each sync of it: one after its pages, and one before them where
                # the write-ahead log starts over.
                with at_each_sync(lambda: cut(acknowledged, rseq + len(batch))):  # noqa: B023  # at once
                    store.commit(batch, rseq, 0)
                assert taken
                break
            store.commit(batch, rseq, 0)
            rseq += len(batch)
            acknowledged = rseq
            if chance.random() < 0.3:
                if chance.random() < 0.5:
                    store.checkpoint()
                else:
                    lose(journal, home / f"found-{step}", chance)
                    _whole(home / f"found-{step}", acknowledged, rseq)
                    losses += 1
        for each, (least, most) in enumerate(taken):
            _whole(home / f"cut-{each}", least, most)
            losses += 1
        store.close()
    return losses, at_risk


def _lost_log(directory: Path, rounds: int, seed: int) -> int:
    """Order beneath losses of power in the middle of a checkpoint; each time the log goes on and verifies. The size."""
    chance = random.Random(seed)
    house = House(directory / "state")
    house.boot()
    size = 0
    for number in range(rounds):
        house.calls(12)
        fresh_disk()
        with house.sequencer(vfs=VFS_NAME) as sequencer:
            signed = sequencer.step()
            assert signed is not None
            house.calls(6)
            guard = (house.directory / "guard").read_bytes()
            cuts: list[Path] = []

            def cut() -> None:
                cuts.append(directory / f"found-{number}-{len(cuts)}")  # noqa: B023  # at once
                lose(house.directory / "log", cuts[-1], chance)  # noqa: B023

            with at_each_sync(cut):
                sequencer.step()
        (house.directory / "guard").write_bytes(guard)  # it is written once the log is on the disk
        shutil.rmtree(house.directory / "log")
        chance.choice(cuts).rename(house.directory / "log")
        size = house.sequence()
        path = house.directory / "journal" / FILE_NAME
        with house.log() as log, contextlib.closing(reading(path, KEY)) as journal:
            latest = log.latest()
            assert latest is not None
            assert latest.size >= signed.size
            run = verify(Evidence(log, journal, house.directory / "log", None, latest), POLICY)
            assert {name: run.a[name].first for name in failed(run)} == {}
    house.end()
    return size


def _boot() -> str:
    from gateway.audit.boot import first_records  # noqa: PLC0415
    from gateway.audit.language import Id, Sha  # noqa: PLC0415
    from gateway.audit.store import Found  # noqa: PLC0415

    (record,) = first_records(Found(0, None, None, ()), Id("ab" * 16), Sha("cd" * 32), EPOCH)
    return row_line(record)


def _whole(found: Path, least: int, most: int) -> None:
    """What is found opens, is sound, has every row up to `least` and none with a hole; the next boot can begin."""
    with contextlib.closing(SqliteStore(found, KEY)) as store:
        assert store._connection.pragma("integrity_check") == "ok"
        rows = [seq & (1 << 40) - 1 for (seq,) in store._connection.execute("SELECT seq FROM record ORDER BY seq")]
        assert rows == list(range(len(rows)))
        assert least <= len(rows) <= most
        assert store.found.boot == 1
    with contextlib.closing(reading(found / FILE_NAME, KEY)) as reader:
        assert reader.execute("SELECT count(*) FROM record").fetchone() == (len(rows),)


def test_a_few_losses_of_power_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A seeded sample; the full dose is in `make soak`."""
    losses, at_risk = _lost(tmp_path, 6, seed=3)

    assert losses >= 6
    assert at_risk > 0


def test_a_disk_that_lies_about_its_sync_would_be_noticed(tmp_path: Path) -> None:
    """The simulation can fail: without a sync at each commit, what was acknowledged is not all there."""
    chance = random.Random(1)
    fresh_disk()
    store = SqliteStore(tmp_path / "journal", KEY, vfs=VFS_NAME)
    store.begin([_boot()])
    store._connection.execute("PRAGMA synchronous = OFF").fetchall()
    for step in range(8):
        made = intent(time=EPOCH + step)
        store.commit([row_line(made), row_line(outcome(made))], 1 + 2 * step, 0)
    missed = 0
    for at in range(4):
        lose(tmp_path / "journal", tmp_path / f"found-{at}", chance)
        try:
            _whole(tmp_path / f"found-{at}", 17, 17)
        except (AssertionError, apsw.Error):
            missed += 1
    store.close()

    assert missed > 0


def test_a_log_that_lost_its_power_goes_on(tmp_path: Path) -> None:
    """A checkpoint is there with every tile or not at all, whatever the disk kept of it, and signing goes on from there."""
    assert _lost_log(tmp_path, 4, seed=9) > 100


@pytest.mark.soak
def test_a_thousand_losses_of_power(tmp_path: Path) -> None:
    """Losses at random moments, writes kept, dropped and torn at random."""
    (tmp_path / "log").mkdir()
    _lost_log(tmp_path / "log", 60, seed=23)
    losses, at_risk = _lost(tmp_path, 400, seed=17)
    print(f"\n{losses:,} losses of power, {at_risk:,} writes at risk: every acknowledged row was there, no hole")
