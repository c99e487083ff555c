"""New data keys: the old ones open nothing, all is there, and a stop at any moment is mended by the next run."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.audit import rekeying
from gateway.audit.rekeying import FILES, rekey
from gateway.keys import Keyring
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.retention.states import State


async def test_both_databases_are_under_new_keys(tmp_path: Path) -> None:
    """Neither file opens under its old key; the state is written on and verifies whole."""
    state = State(tmp_path / "state")
    async with state.open():
        await state.live(3)
    old = {name: key() for name, key in (("journal", state.keyring.journal_key), ("log", state.keyring.log_key))}

    assert rekey(state.directory, state.keyring) == 2

    for purpose, key in old.items():
        assert not rekeying._opens(state.directory / FILES[purpose], key)
    assert not list(state.directory.rglob("*.rekeyed"))
    state.keyring = Keyring.open(state.directory / "keys")
    async with state.open():
        await state.live(2)
    run = state.verify()
    assert failed(run) == set()
    assert run.facts()["totals"]["calls"] == 10


@pytest.mark.parametrize("place", ["before the copy is in place", "before the key is"])
async def test_a_stop_half_way_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Run again it goes on, whichever of the two keys opens the file."""
    state = State(tmp_path / "state")
    async with state.open():
        await state.live(2)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if place == "before the key is":
            patched.setattr(Keyring, "promote", stop)
        else:
            patched.setattr(rekeying.os, "fsync", stop)
        with pytest.raises(KeyboardInterrupt):
            rekey(state.directory, state.keyring)
    state.keyring = Keyring.open(state.directory / "keys")

    assert rekey(state.directory, state.keyring) == 2

    assert failed(state.verify()) == set()
