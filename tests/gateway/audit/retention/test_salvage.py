"""A journal that is gone or damaged, without a backup: named by the verifier, salvaged, and recorded as lost for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway.audit.boot import row_line
from gateway.audit.language import Id
from gateway.audit.record import Operator
from gateway.audit.retention import salvage as salvaging
from gateway.audit.retention.requests import ask
from gateway.audit.retention.restoring import NotAdopted, lost_before, reapply, recorded
from gateway.audit.retention.salvage import salvage
from gateway.audit.store import FILE_NAME, Cipher, StoreFault, keyed
from gateway.audit.words import Act, Ground
from gateway.cli import main
from gateway.keys import new_boot_id
from tests.configuration import write_configuration
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.retention.states import EIGHT, State
from tests.houses import serve

PAGE = 4096


def _journal(state: State) -> Path:
    return state.directory / "journal" / FILE_NAME


def _gone(path: Path) -> None:
    for each in path.parent.glob(f"{FILE_NAME}*"):
        each.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // PAGE * PAGE])


def _hole(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // PAGE * PAGE
    content[middle : middle + PAGE] = bytes(PAGE)
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], None]] = {"gone": _gone, "empty": _empty, "cut in half": _half, "a page lost": _hole}


async def _lived(directory: Path, rounds: int = 40) -> State:
    """Two boots with calls, all in the log."""
    state = State(directory)
    async with state.open():
        await state.live(rounds)
    async with state.open():
        await state.live(rounds)
        await state.journal.truncate()
    return state


async def _goes_on(state: State) -> None:
    """A gateway starts, records what was lost, and serves."""
    assert reapply(state.directory, state.keyring, state.guard) == 0
    async with state.open():
        lost = lost_before(state.directory)
        if lost is not None:
            await state.ledger.note(lost.act(state.tick()))
            recorded(state.directory)
        await state.live(2)


def _verified(state: State) -> tuple[dict[str, int], list[str]]:
    """Totals and losses of the whole log, which must hold."""
    run = state.verify()
    assert {name: run.a[name].first for name in failed(run)} == {}
    return run.facts()["totals"], run.losses


@pytest.mark.parametrize("damage", DAMAGE)
async def test_the_verifier_names_what_is_not_there(tmp_path: Path, damage: str) -> None:
    """A4, by index, where a file is there; and a gateway does not begin a new journal in the place of one."""
    state = await _lived(tmp_path / "state")
    DAMAGE[damage](_journal(state))

    if damage in {"gone", "empty"}:
        with pytest.raises(StoreFault, match="--salvage"):
            reapply(state.directory, state.keyring, state.guard)
    else:
        run = state.verify()
        assert "A4" in failed(run)
        assert str(run.a["A4"].first).startswith("index ")


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_can_be_read_is_kept_and_the_rest_recorded_as_lost(tmp_path: Path, damage: str) -> None:
    """The log goes on and holds; the loss is listed with its count; facts about the gateway all come back."""
    state = await _lived(tmp_path / "state")
    with state.evidence() as evidence:
        rows = list(evidence.rows())
    facts = [row.entry for row in rows if row.entry[:1] == b"\2"]
    DAMAGE[damage](_journal(state))

    lost = salvage(state.directory, state.keyring, state.tick())
    assert lost is not None
    assert lost == lost_before(state.directory)
    await _goes_on(state)

    totals, losses = _verified(state)
    assert totals["lost"] == lost.count
    assert any(f"{lost.count} records of the log were lost with a disk" in line for line in losses)
    assert lost.count == len(rows) - len(facts) if damage in {"gone", "empty"} else 0 < lost.count < len(rows) * 3 / 4
    key = state.keyring.journal_key()
    with contextlib.closing(keyed(_journal(state), apsw.SQLITE_OPEN_READONLY, key, Cipher.AEGIS, "")) as kept:
        assert kept.execute("SELECT count(*) FROM record WHERE kind = 'p'").get >= len(facts)
        assert kept.pragma("integrity_check") == "ok"


async def test_a_sound_journal_loses_nothing(tmp_path: Path) -> None:
    """Every row is where it was, those that the log has not ordered yet, too."""
    state = await _lived(tmp_path / "state", rounds=5)
    async with state.open():
        for _ in range(4):
            await state.call(EIGHT)
        await state.journal.truncate()
        state.order = lambda: 0  # type: ignore[method-assign]  # the log does not come to it
    del state.order
    before = _all(state)

    assert salvage(state.directory, state.keyring, state.tick()) is None
    assert _all(state) == before
    await _goes_on(state)
    assert _verified(state)[0]["lost"] == 0


def _all(state: State) -> list[object]:
    key = state.keyring.journal_key()
    with contextlib.closing(keyed(_journal(state), apsw.SQLITE_OPEN_READONLY, key, Cipher.AEGIS, "")) as opened:
        return opened.execute("SELECT seq, time, kind, call, attempt, body FROM record ORDER BY seq").fetchall()


async def test_a_row_that_was_changed_is_lost_not_kept(tmp_path: Path) -> None:
    """Only what the log commits to comes back."""
    state = await _lived(tmp_path / "state", rounds=3)
    key = state.keyring.journal_key()
    with contextlib.closing(keyed(_journal(state), apsw.SQLITE_OPEN_READWRITE, key, Cipher.AEGIS, "")) as opened:
        opened.execute("UPDATE record SET body = replace(body, '2048', '2049') WHERE seq = (1 << 40) + 3")
        opened.execute("UPDATE record SET body = replace(body, 'boot', 'gap') WHERE seq = 1 << 40")
        assert opened.total_changes() == 2

    lost = salvage(state.directory, state.keyring, state.tick())

    assert lost is not None
    assert lost.count == 1
    await _goes_on(state)
    _verified(state)


async def test_what_was_erased_stays_so(tmp_path: Path) -> None:
    """It is neither lost nor brought back."""
    state = State(tmp_path / "state")
    async with state.open():
        await state.live(6)
        ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
        await state.erasing.due()
        await state.live(0)
        await state.journal.truncate()
    erased = state.verify().facts()["totals"]["erased"]
    _hole(_journal(state))

    lost = salvage(state.directory, state.keyring, state.tick())
    await _goes_on(state)

    totals, _losses = _verified(state)
    assert totals["erased"] == erased > 0
    assert totals["lost"] == (0 if lost is None else lost.count)


@pytest.mark.parametrize("step", ["write_durably", "forget", "replace"])
async def test_stopped_anywhere_it_goes_on_when_it_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The same is lost then, and listed once."""
    state = await _lived(tmp_path / "state")
    _half(_journal(state))

    class Stopped(BaseException):
        pass

    def stop(*_arguments: object, **_more: object) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        where = {"write_durably": salvaging, "forget": salvaging.LogStore, "replace": Path}[step]
        if step == "replace":
            kept = Path.replace
            patched.setattr(Path, "replace", lambda path, to: stop() if path.name == FILE_NAME else kept(path, to))
        else:
            patched.setattr(where, step, stop)
        with pytest.raises(Stopped):
            salvage(state.directory, state.keyring, state.tick())
    lost = salvage(state.directory, state.keyring, state.tick())

    assert lost is not None
    await _goes_on(state)
    assert _verified(state)[0]["lost"] == lost.count


async def test_how_far_others_were_gathered_is_kept_or_nothing_is_done(tmp_path: Path) -> None:
    """Without it, their rows would come twice or never."""
    state = State(tmp_path / "state")
    writer = new_boot_id()
    async with state.open():
        await state.live(1)
        begins = Operator(
            time=state.tick(),
            act=Act.BOOT,
            started=Id(writer),
            configuration=state.configuration,
            writer=Id(writer),
            wseq=0,
        )
        await state.journal.gather([row_line(begins)], "w0.0000abcd", 1 << 40)
        await state.journal.truncate()
    salvage(state.directory, state.keyring, state.tick())
    async with state.open():
        assert await state.journal.gathered() == {"w0.0000abcd": 1 << 40}
    _gone(_journal(state))

    with pytest.raises(NotAdopted, match="gathered"):
        salvage(state.directory, state.keyring, state.tick())
    assert lost_before(state.directory) is None


async def test_the_verb_says_how_much_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gateway restore --salvage`; without it, it and `serve` refuse and name it."""
    directory = write_configuration(tmp_path, 9, "sk-simulated")
    state = await _lived(tmp_path / "state", rounds=2)
    _gone(_journal(state))
    with pytest.raises(RuntimeError) as unserved:
        await serve(directory, tmp_path)
    refused = await asyncio.to_thread(main, ["restore", "--config", str(directory)])
    salvaged = await asyncio.to_thread(main, ["restore", "--salvage", "--config", str(directory)])
    said = capsys.readouterr()

    assert "--salvage" in str(unserved.value)
    assert "Traceback" not in str(unserved.value)
    assert (refused, salvaged) == (2, 0)
    assert "--salvage" in said.err
    assert "20 records are lost; the log goes on, and says so" in said.out
    await _goes_on(state)
    _verified(state)
