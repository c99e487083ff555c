"""Of several sequencers one alone signs: the next checkpoint is claimed first, and a claim outlives a crash."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.audit.guard import Guard
from gateway.audit.log_store import LogStore
from gateway.audit.sequencer import Sequencer
from gateway.audit.store import StoreFault
from tests.gateway.audit.logs import DAY, KEY, LOG_KEY, ORIGIN, SIGNER, House


class Claims:
    """What Redis would hold, for sequencers of this process. `stops`: the process ends once the claim was granted."""

    def __init__(self) -> None:
        self.head: tuple[int, bytes] | None = None
        self.granted: list[tuple[int, bytes]] = []
        self.stops = False

    def claim(self, size: int, root: bytes, holds: Callable[[int, bytes], bool]) -> None:
        if self.head is not None and self.head != (size, root) and not holds(*self.head):
            raise StoreFault("another sequencer")
        self.head = size, root
        self.granted.append(self.head)
        if self.stops:
            raise KeyboardInterrupt


@contextlib.contextmanager
def sequencer(house: House, claims: Claims) -> Iterator[Sequencer]:
    log = LogStore(house.directory / "log", LOG_KEY, ORIGIN)
    guard = Guard(house.directory / "guard")
    made = Sequencer(house.directory / "journal", KEY, log, SIGNER, guard, lambda: house.time, fence=claims)
    with contextlib.closing(made):
        yield made


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "state")
    made.boot()
    made.calls(6)
    yield made
    made.end()


def test_what_was_claimed_before_a_crash_is_signed_after_it(house: House) -> None:
    """The same leaves under the same salts, whatever the journal has gained since, also over the turn of a day."""
    claims = Claims()
    with sequencer(house, claims) as one:
        assert one.step() is not None
    house.tick(DAY)
    house.calls(3)
    claims.stops = True
    with sequencer(house, claims) as one, pytest.raises(KeyboardInterrupt):
        one.step()
    house.calls(2)
    house.tick(DAY)
    claims.stops = False
    with sequencer(house, claims) as one:
        signed = one.step()
        more = one.step()

    assert signed is not None
    assert claims.granted[1] == claims.granted[2]
    assert signed.size == claims.granted[1][0]
    assert more is not None
    assert more.size > signed.size


def test_a_copy_of_the_log_signs_nothing_once_the_other_has(house: House, tmp_path: Path) -> None:
    """Whether it was copied before or lags behind; what it has signed stays as it was."""
    claims = Claims()
    with sequencer(house, claims) as one:
        one.step()
        copy = House(tmp_path / "copy")
        shutil.rmtree(copy.directory)
        shutil.copytree(house.directory, copy.directory)
        house.calls(2)
        assert one.step() is not None
    copy.boot()
    copy.calls(2)
    for _ in range(2):  # its process ends, and is started again
        with sequencer(copy, claims) as two, pytest.raises(StoreFault, match="another sequencer"):
            before = two.size
            two.step()
    copy.end()
    with LogStoreOf(copy) as log:
        assert log.size == before
        assert log.latest() is not None


class LogStoreOf:
    """The log of a house, opened anew."""

    def __init__(self, house: House) -> None:
        self._log = LogStore(house.directory / "log", LOG_KEY, ORIGIN)

    def __enter__(self) -> LogStore:
        return self._log

    def __exit__(self, *_error: object) -> None:
        self._log.close()


def test_two_that_have_the_same_log_do_not_both_sign_what_comes_next(house: House, tmp_path: Path) -> None:
    """Their salts differ, so their next roots do: the first claim stands, and the other is refused for good."""
    claims = Claims()
    with sequencer(house, claims) as one:
        one.step()
    house.calls(2)
    house.end()
    twin = House(tmp_path / "twin")
    shutil.rmtree(twin.directory)
    shutil.copytree(house.directory, twin.directory)
    with sequencer(house, claims) as one:
        assert one.step() is not None
    with sequencer(twin, claims) as two, pytest.raises(StoreFault, match="another sequencer"):
        two.step()
    house.boot()


def test_a_quiet_journal_claims_nothing(house: House) -> None:
    """And leaves nothing staged."""
    claims = Claims()
    with sequencer(house, claims) as one:
        one.step()
        assert one.step() is None
        assert one.log.staged() is None

    assert len(claims.granted) == 1
