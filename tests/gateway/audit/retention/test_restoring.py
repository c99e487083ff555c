"""A backup put back: what was deleted goes again before anything is served, and the log goes on without a second past."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.audit.retention.register import Known, Register
from gateway.audit.retention.requests import ask
from gateway.audit.retention.restoring import NotAdopted, adopt, lost_before, reapply, recorded
from gateway.audit.store import StoreFault
from gateway.audit.tiles import Tiles
from gateway.audit.words import Ground
from gateway.keys import Keyring
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.retention.states import EIGHT, State


async def _lived(state: State, tmp_path: Path, *, lag: bool = False) -> None:
    """A backup, then calls and an erasure; the newest copy of the log is in `tiles`. Then the backup is put back."""
    async with state.open():
        await state.live(3)
        Register(state.keyring).keep(Known(EIGHT, "Example Customer"))
        await state.call(EIGHT, "ana")
        if not lag:
            state.order()
        await state.journal.truncate()
        shutil.copytree(state.directory, tmp_path / "backup")
        if lag:
            state.order()
        await state.live(2)
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()
        await state.live(1)
    async with state.open():
        await state.live(1)
    with state.log_read() as log:
        Tiles(tmp_path / "tiles").publish(log)
    shutil.rmtree(state.directory)
    shutil.copytree(tmp_path / "backup", state.directory)
    state.keyring = Keyring.open(state.directory / "keys")


@pytest.mark.parametrize("lag", [False, True])
async def test_a_restored_state_loses_again_what_was_erased_and_its_log_goes_on(tmp_path: Path, lag: bool) -> None:
    """Refused as it is; after reapplying, the tenant is in no file; after adopting, the log is signed on and holds."""
    state = State(tmp_path / "state")
    await _lived(state, tmp_path, lag=lag)
    marker = EIGHT.encode()
    assert state.holding(marker)
    with pytest.raises(StoreFault, match="rolled back"), state.sequencer():
        pass
    assert state.keyring.has_tenant(EIGHT)

    assert reapply(state.directory, state.keyring, state.guard) == 1

    assert not state.keyring.has_tenant(EIGHT)
    assert Register(state.keyring).all() == []
    assert reapply(state.directory, state.keyring, state.guard) == 0
    if not lag:
        assert state.holding(marker) == set()
    lost = adopt(state.directory, state.keyring, state.guard, tmp_path / "tiles", state.time)
    assert lost is not None
    assert lost.count > 10
    assert lost == lost_before(state.directory)
    assert adopt(state.directory, state.keyring, state.guard, tmp_path / "tiles", state.time) is None
    assert state.holding(marker) == set()
    async with state.open():
        await state.ledger.note(lost.act(state.tick()))
        recorded(state.directory)
        await state.live(2)
    assert lost_before(state.directory) is None
    run = state.verify()
    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.facts()["totals"]["lost"] >= lost.count - 17
    assert any("lost with a disk" in line for line in run.facts()["losses"])


async def test_without_the_record_of_the_loss_the_log_does_not_hold(tmp_path: Path) -> None:
    """What a lost disk took is missing until it is said, and stays listed for ever."""
    state = State(tmp_path / "state")
    await _lived(state, tmp_path)
    reapply(state.directory, state.keyring, state.guard)
    adopt(state.directory, state.keyring, state.guard, tmp_path / "tiles", state.time)
    async with state.open():
        await state.live(1)

    assert failed(state.verify()) >= {"A4", "A5"}


@pytest.mark.parametrize("change", ["older", "forked", "missing", "foreign"])
async def test_another_copy_is_not_adopted(tmp_path: Path, change: str) -> None:
    """A copy older than the guard, of another past, with a hole, or signed by another key."""
    state = State(tmp_path / "state")
    await _lived(state, tmp_path)
    reapply(state.directory, state.keyring, state.guard)
    tiles = tmp_path / "tiles"
    bundle = next(path for path in (tiles / "tile" / "entries").rglob("*") if path.is_file())
    if change == "older":
        with state.log_read() as log:
            shutil.rmtree(tiles)
            Tiles(tiles).publish(log)
    elif change == "forked":
        content = bytearray(bundle.read_bytes())
        content[-1] ^= 1
        bundle.write_bytes(bytes(content))
    elif change == "missing":
        bundle.unlink()
    else:
        (tiles / "checkpoint").write_text((tiles / "checkpoint").read_text().replace("— ", "— x"))

    with pytest.raises(NotAdopted):
        adopt(state.directory, state.keyring, state.guard, tiles, state.time)
    with pytest.raises(StoreFault, match="rolled back"), state.sequencer():
        pass
