"""Killed at any moment, the gateway or the sequencer: nothing promised is lost, and the whole log verifies."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.audit.evidence import Evidence
from gateway.audit.store import FILE_NAME, reading
from gateway.audit.verify import verify
from tests.gateway.audit.forgeries import POLICY, failed
from tests.gateway.audit.logs import KEY, MINUTE, House
from tests.gateway.audit.samples import EPOCH


def _start(what: str, house: House) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.gateway.audit.log_worker", what, str(house.directory)]
    path = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    return subprocess.Popen(
        [*command, str(house.time - EPOCH)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )


def _kill_both(house: House, chance: random.Random) -> list[bytes]:
    """Calls and the sequencer side by side, killed one after the other; what the journal had promised."""
    working = [_start("calls", house), _start("log", house)]
    caller = working[0]
    assert caller.stdout is not None
    said = [caller.stdout.readline()]
    time.sleep(chance.random() * 0.15)
    chance.shuffle(working)
    for each in working:
        each.send_signal(signal.SIGKILL)
        time.sleep(chance.random() * 0.02)
    rest = caller.stdout.read()
    for each in working:
        each.wait()
        if each.stdout is not None:
            each.stdout.close()
    return [line for line in (said[0] + rest).split(b"\n") if line]


def _killed(directory: Path, times: int, seed: int) -> tuple[int, int]:
    """Kill so often; how many records were promised, and how many leaves there are."""
    chance = random.Random(seed)
    house = House(directory)
    house.boot()
    house.end()
    house.sequence()
    promised: set[str] = set()
    size = 0
    for number in range(times):
        promised |= {line.decode() for line in _kill_both(house, chance) if line.count(b" ") == 1}
        house.time = max(house.time, EPOCH) + 60 * MINUTE
        house.boot()
        house.end()
        size = house.sequence()
        if number % 25 == 24 or number == times - 1:
            _verify(house, promised)
    return len(promised), size


def _verify(house: House, promised: set[str]) -> None:
    path = house.directory / "journal" / FILE_NAME
    with house.log() as log, contextlib.closing(reading(path, KEY)) as journal:
        latest = log.latest()
        assert latest is not None
        run = verify(Evidence(log, journal, house.directory / "log", None, latest), POLICY)
        assert failed(run) == set(), {name: run.a[name].first for name in failed(run)}
        rows = journal.execute("SELECT lower(hex(call)) || ' ' || kind FROM record WHERE call IS NOT NULL").fetchall()
    assert promised <= {row for (row,) in rows}


def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    """A seeded sample; the full dose is in `make soak`."""
    promised, size = _killed(tmp_path / "state", 3, seed=5)

    assert 0 < promised <= size


@pytest.mark.soak
def test_five_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    """500 kills of gateway and sequencer at random moments."""
    promised, size = _killed(tmp_path / "state", 500, seed=11)
    print(f"\n500 kills: {promised:,} records promised, 0 missing; {size:,} leaves, all fourteen assertions hold")
