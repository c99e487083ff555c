"""The log's own disk fails, or the clock is set: what is signed stays whole, and the next sequencer goes on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import apsw
import pytest

from gateway.audit.evidence import Evidence
from gateway.audit.store import FILE_NAME, StoreFault, reading
from gateway.audit.verify import Verification, verify
from tests.gateway.audit.faults import VFS_NAME, Faults
from tests.gateway.audit.forgeries import POLICY, failed
from tests.gateway.audit.logs import DAY, MINUTE, SECOND, House
from tests.gateway.audit.samples import KEY


def checked(house: House) -> Verification:
    """All fourteen assertions over everything."""
    with house.log() as log, contextlib.closing(reading(house.directory / "journal" / FILE_NAME, KEY)) as journal:
        latest = log.latest()
        assert latest is not None
        return verify(Evidence(log, journal, house.directory / "log", None, latest), POLICY)


@pytest.mark.parametrize(
    ("where", "error"),
    [("write", apsw.IOError), ("sync", apsw.IOError), ("write", apsw.ReadOnlyError), ("write", apsw.FullError)],
    ids=["EIO on a write", "EIO on a sync", "a read-only file system", "a full disk"],
)
def test_a_log_whose_disk_fails_goes_on_where_it_was(
    tmp_path: Path, faults: Faults, where: str, error: type[apsw.Error]
) -> None:
    """Nothing more is signed by the one that met the fault; the next orders every row once, on what was signed."""
    house = House(tmp_path / "state")
    house.boot()
    house.calls(20)
    signed = house.sequence()
    house.calls(20)
    with house.sequencer(vfs=VFS_NAME) as sequencer:
        setattr(faults, where, error)
        with pytest.raises(StoreFault):
            sequencer.step()
        faults.write = faults.sync = None
    with house.log() as log:
        latest = log.latest()
        assert latest is not None
        assert latest.size in {signed, log.size}  # a sync that failed may have left all of it, or nothing

    house.end()
    assert house.sequence() > signed

    run = checked(house)
    assert {name: run.a[name].first for name in failed(run)} == {}


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
def test_a_log_whose_file_is_gone_is_not_signed_into_the_void(tmp_path: Path, name: str) -> None:
    """Without its file nothing is signed; without its write-ahead log alone, what is signed next is what was there."""
    house = House(tmp_path / "state")
    house.boot()
    house.calls(20)
    with house.sequencer() as sequencer:
        sequencer.step()
        house.calls(5)
        (house.directory / "log" / name).rename(tmp_path / "kept")
        if name == "log.db":
            with pytest.raises(StoreFault, match="no longer the file"):
                sequencer.step()
    if name == "log.db":
        (tmp_path / "kept").replace(house.directory / "log" / name)
    house.end()
    house.sequence()

    assert failed(checked(house)) == set()


def test_a_clock_that_jumps_does_not_disorder_the_log(tmp_path: Path) -> None:
    """An hour back, a day on and back again, and one that stands: order is by sequence, and every assertion holds."""
    house = House(tmp_path / "state")
    house.boot()
    for step in (0, -60 * MINUTE, DAY, -DAY, 0):
        house.tick(step + SECOND)
        house.calls(10)
        house.sequence()
    stands = house.time
    for _ in range(10):
        house.time = stands - SECOND
        house.calls(1)
    house.end()
    house.tick(DAY)
    house.sequence()

    run = checked(house)
    assert {name: run.a[name].first for name in failed(run)} == {}
    with house.log() as log:
        seqs = [leaf.seq for leaf in log.leaves(0, log.size) if leaf.seq is not None]
    assert seqs == sorted(seqs)
