"""Witnesses: they see every past that we sign, a quorum is kept with the checkpoint, and a rolled-back log is stopped."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.audit import verify
from gateway.audit.cosigning import Cosigner, cosigned, keep_cosigned, keep_trust
from gateway.config.settings import Witness
from gateway.outside import Outside, Unreached
from gateway.witnessing import RolledBack, Witnessing
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.logs import ORIGIN
from tests.gateway.audit.retention.states import State
from tests.gateway.witnesses import TestWitness


@asynccontextmanager
async def witnessed(
    state: State, *witnesses: TestWitness, quorum: int = 1
) -> AsyncIterator[tuple[Witnessing, list[str]]]:
    told: list[str] = []
    outside = Outside([each.url for each in witnesses])
    forms = tuple(Witness(key=each.key, url=each.url) for each in witnesses)
    keep_trust(state.directory / "log", [each.key for each in witnesses], quorum)
    try:
        yield Witnessing(state.directory, state.keyring.log_key(), forms, quorum, outside, told.append), told
    finally:
        await outside.close()


async def test_every_checkpoint_extends_what_the_witness_saw(tmp_path: Path) -> None:
    """As the log grows the witness cosigns each, by a proof from where it was; a pack of it meets the auditor's quorum."""
    state, witness = State(tmp_path / "state"), TestWitness()
    async with witness.serve(), witnessed(state, witness) as (witnessing, told), state.open():
        assert await witnessing.look() == 0  # nothing is signed yet
        for _ in range(4):
            await state.live(1)
            assert await witnessing.look() == 1
            assert witness.sizes[ORIGIN] == state.ordering.size
        assert await witnessing.look() == 1
        asked = witness.asked
        async with witnessed(state, witness) as (anew, _):  # a new start knows nothing of the witness
            await state.live(1)
            assert await anew.look() == 1
        assert witness.asked == asked + 2
        assert told == []
    found = cosigned(state.directory / "log", 0, None)
    assert found is not None
    with state.evidence() as evidence:
        policy = evidence.policy(state.keyring)
        assert "quorum witnesses" in policy
        assert evidence.end == found[0]
        run = verify.verify(evidence, verify.Policy(policy))
    assert failed(run) == set()
    with state.evidence() as evidence:
        evidence.note_b = evidence.note_b[: evidence.note_b.rindex("— ")]
        assert failed(verify.verify(evidence, verify.Policy(policy))) >= {"A2"}


async def test_a_witness_that_signed_earlier_shows_a_record_that_is_dated_later(tmp_path: Path) -> None:
    """A3: what a witness cosigned cannot hold a record of an hour after, nor one of long before the checkpoint A."""
    state, witness = State(tmp_path / "state"), TestWitness()
    async with witness.serve(), witnessed(state, witness) as (witnessing, _), state.open():
        await state.live(1)
        assert await witnessing.look() == 1
        with state.evidence() as evidence:
            policy = verify.Policy(evidence.policy(state.keyring))
            run = verify.verify(evidence, policy)
        assert (failed(run), run.a["A3"].checked) == (set(), 1)
        state.time += 3_600_000_000
        await state.live(1)
        assert await witnessing.look() == 1
    with state.evidence() as evidence:
        run = verify.verify(evidence, policy)
    assert failed(run) == {"A3"}
    note = evidence.note_b
    assert verify.cosigned_at(note[: note.rindex("— ")], policy) == []


async def test_a_log_behind_its_witness_is_not_signed_on(tmp_path: Path) -> None:
    """Who restores an old state, guard and all, is told by the witness."""
    state, witness = State(tmp_path / "state"), TestWitness()
    async with witness.serve():
        async with state.open():
            await state.live(1)
            await state.journal.truncate()
            shutil.copytree(state.directory, tmp_path / "old")
            await state.live(1)
            async with witnessed(state, witness) as (witnessing, _):
                assert await witnessing.look() == 1
        shutil.rmtree(state.directory)
        shutil.copytree(tmp_path / "old", state.directory)
        async with witnessed(state, witness) as (witnessing, _):
            with pytest.raises(RolledBack, match="has seen"):
                await witnessing.look()
            stopped: list[str] = []
            await witnessing.run(stopped.append)
            assert len(stopped) == 1


async def test_a_quorum_is_met_or_nothing_is_kept(tmp_path: Path) -> None:
    """Of two witnesses one is silent or forges: with a quorum of two nothing is kept, with one its line is."""
    state = State(tmp_path / "state")
    good, bad = TestWitness(), TestWitness("witness.example/w2", bytes(range(32)))
    async with good.serve(), bad.serve(), state.open():
        await state.live(1)
        for attribute in ("silent", "forges"):
            setattr(bad, attribute, True)
            async with witnessed(state, good, bad, quorum=2) as (witnessing, told):
                assert await witnessing.look() == 1
                assert len(told) == 1
            assert cosigned(state.directory / "log", 0, None) is None
            setattr(bad, attribute, False)
        async with witnessed(state, good, bad, quorum=2) as (witnessing, told):
            assert await witnessing.look() == 2
            assert told == []
        found = cosigned(state.directory / "log", 0, None)
        assert found is not None
        assert found[1].count("\n— ") == 3  # the log's own, and two


async def test_another_past_is_not_cosigned(tmp_path: Path) -> None:
    """A second log under the same name and key gets no cosignature: the proof does not lead from what was signed."""
    one, two, witness = State(tmp_path / "one"), State(tmp_path / "two"), TestWitness()
    two.keyring = one.keyring
    async with witness.serve():
        async with one.open(), witnessed(one, witness) as (witnessing, _):
            await one.live(1)
            assert await witnessing.look() == 1
        async with two.open(), witnessed(two, witness) as (witnessing, told):
            await two.live(3)
            assert await witnessing.look() == 0
            assert "refused (status 422)" in told[0]


async def test_only_listed_hosts_are_asked(tmp_path: Path) -> None:
    """Another host, another port, plain text to elsewhere, a name that is not listed: nothing is asked."""
    witness = TestWitness()
    async with witness.serve():
        outside = Outside([witness.url])
        try:
            for address in (
                f"http://127.0.0.1:{witness.port + 1}/",
                "https://example.com/",
                f"http://localhost:{witness.port}/",
            ):
                with pytest.raises(Unreached):
                    await outside.ask("GET", address)
            assert (await outside.ask("GET", f"{witness.url}/nothing")).status == 404
        finally:
            await outside.close()


def test_one_note_an_hour_stays(tmp_path: Path) -> None:
    """The last cosigned checkpoint of each hour is kept, and the last of all."""
    from tests.gateway.audit.forgeries import checkpoint  # noqa: PLC0415

    for at in range(5):
        keep_cosigned(tmp_path, checkpoint([b"\2x"] * (at + 1)), 3600 * 7 + at * 1800)

    assert sorted(int(path.name[:20]) for path in (tmp_path / "cosigned").glob("*.note")) == [2, 4, 5]
    assert cosigned(tmp_path, 0, (3600 * 7 + 1800) * 1_000_000) is not None
    with pytest.raises(ValueError, match="cosigner"):
        Cosigner.of(TestWitness().key.replace("+", "+0", 1).replace("+0", "+", 1)[:-4] + "AAAA")
