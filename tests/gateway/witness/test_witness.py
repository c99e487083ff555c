"""The witness that others run: it cosigns what extends what it saw, remembers that durably, and refuses the rest."""

from __future__ import annotations

import asyncio
import signal
import stat
import sys
from pathlib import Path

import pytest

from gateway.audit import verify
from gateway.audit.cosigning import Cosigner, cosignature, keep_trust, submission
from gateway.audit.evidence import own_policy
from gateway.audit.verify import Policy
from gateway.config.settings import Witness as Form
from gateway.keys import Keyring, Signer
from gateway.outside import Outside
from gateway.witness.witness import SIZE, NotAWitness, Witness
from gateway.witnessing import RolledBack, Witnessing
from tests.configuration import ROOT
from tests.gateway.audit.forgeries import checkpoint, failed
from tests.gateway.audit.logs import ORIGIN
from tests.gateway.audit.retention.states import State

NAME = "witness.example/w1"


def key_of(keyring: Keyring) -> str:
    """The log's key, as its policy writes it."""
    return own_policy(ORIGIN, keyring).split()[1]


def made(folder: Path, keyring: Keyring, now: int = 1_795_000_000) -> Witness:
    """A witness of this log."""
    return Witness(folder, NAME, [key_of(keyring)], lambda: now)


def asked(state: State, old: int) -> tuple[bytes, str]:
    """What is sent for the last checkpoint, and that checkpoint."""
    with state.log_read() as log:
        signed = log.latest()
        assert signed is not None
        return submission(log, old, signed.note), signed.note


async def test_what_extends_the_last_is_cosigned(tmp_path: Path) -> None:
    """By a signature that our own client and the verifier take; another process with the folder goes on from there."""
    state, folder = State(tmp_path / "state"), tmp_path / "seen"
    witness = made(folder, state.keyring)
    async with state.open():
        size = 0
        for _ in range(3):
            await state.live(1)
            body, note = asked(state, size)
            said = witness.add(body)
            assert said.status == 200
            assert cosignature(said.body.encode(), Cosigner.of(witness.key), note) == said.body
            size = state.ordering.size
            assert witness.add(body).status == 409  # from where it was; it is further now
            again = witness.add(asked(state, size)[0])
            assert again.status == 200  # the same once more, as a client may that lost the answer
        policy = Policy(own_policy(ORIGIN, state.keyring) + f"witness w {witness.key}\nquorum w\n")
        assert verify.read_checkpoint(note + said.body, policy)[1] == size
        witness.close()
        anew = made(folder, state.keyring)
        assert anew.key == witness.key
        assert (anew.add(body).status, anew.add(body).body, anew.add(body).kind) == (409, f"{size}\n", SIZE)
        anew.close()

    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


async def test_what_does_not_extend_it_is_refused(tmp_path: Path) -> None:
    """Another past, another log, another key, no proof, or what is no submission; after all that the true one is taken."""
    state = State(tmp_path / "state")
    witness = made(tmp_path / "seen", state.keyring)
    signer = state.keyring.log_signer()
    async with state.open():
        await state.live(1)
        assert witness.add(asked(state, 0)[0]).status == 200
        size = state.ordering.size
        await state.live(1)
        true, note = asked(state, size)
    proof = true.split(b"\n\n")[0]

    def sent(head: bytes, written: str) -> int:
        return witness.add(head + b"\n\n" + written.encode()).status

    fork = [bytes([1]) + bytes(32)] * (size + 3)
    assert sent(b"old %d" % size, checkpoint(fork[:size], signer)) == 409  # the same size, another root
    assert sent(proof, checkpoint(fork, signer)) == 422  # another past
    assert sent(b"old %d" % size, note) == 422  # no proof
    assert sent(proof, checkpoint(fork, Signer(bytes(32)))) == 403
    assert sent(proof, note.replace(ORIGIN, "elsewhere.example/log")) == 404
    for head in (
        b"",
        b"old",
        b"old -1",
        b"old 01",
        b"old 9999999",
        b"old 1\n!",
        b"old 1\nAAAA",
        b"old 1" + b"\n" + b"A" * 44,
    ):
        assert sent(head, note) == 400, head
    for body in (b"", b"\xff\xfe", b"old 0", b"old 0\n\n", true[:-1]):
        assert witness.add(body).status in {400, 403, 404}, body
    assert witness.add(true).status == 200
    witness.close()


async def test_what_is_kept_must_be_whole(tmp_path: Path) -> None:
    """A damaged memory or key signs nothing, and neither do two witnesses in one folder."""
    state, folder = State(tmp_path / "state"), tmp_path / "seen"
    witness = made(folder, state.keyring)
    async with state.open():
        await state.live(1)
        body = asked(state, 0)[0]
    assert witness.add(body).status == 200
    with pytest.raises(NotAWitness):
        made(folder, state.keyring)
    (kept,) = folder.glob("*.note")
    assert witness.seen(kept.stem).body.startswith(ORIGIN)
    assert {witness.seen(name).status for name in ("0" * 64, "../key", "key")} == {404}
    kept.write_text("gone")
    with pytest.raises(OSError, match="not a checkpoint"):
        witness.add(body)
    witness.close()
    (folder / "key").write_text("short")
    with pytest.raises(NotAWitness, match="another witness"):
        made(folder, state.keyring)
    for log, name in (("nonsense", NAME), (key_of(state.keyring), "two words")):
        with pytest.raises(NotAWitness):
            Witness(tmp_path / "other", name, [log], lambda: 0)


async def test_the_product_is_witnessed_by_it(tmp_path: Path) -> None:
    """As a process of its own: a gateway's log is cosigned, a pack meets the quorum, and a rolled-back log is found out."""
    state = State(tmp_path / "state")
    command = ["witness", str(tmp_path / "seen"), "--name", NAME, "--log", key_of(state.keyring), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    key, url = [line.decode().strip() for line in (await process.stdout.readline(), await process.stdout.readline())]
    outside = Outside([url])
    try:
        keep_trust(state.directory / "log", [key], 1)
        told: list[str] = []
        client = Witnessing(
            state.directory, state.keyring.log_key(), (Form(key=key, url=url),), 1, outside, told.append
        )
        async with state.open():
            for _ in range(2):
                await state.live(1)
                assert await client.look() == 1
        with state.evidence() as evidence:
            # the witness's clock is true, and the records' is made up: long before
            run = verify.verify(evidence, Policy(evidence.policy(state.keyring)))
        assert failed(run) == set()
        (note,) = (tmp_path / "seen").glob("*.note")
        answer = await outside.ask("GET", f"{url}/{note.stem}/checkpoint")
        assert (answer.status, answer.body) == (200, note.read_bytes())
        assert (await outside.ask("GET", f"{url}/key")).status == 404
        grown = note.read_text("utf-8").split("\n")
        note.write_text("\n".join([grown[0], str(int(grown[1]) + 9), *grown[2:]]), "utf-8")
        with pytest.raises(RolledBack):
            await Witnessing(
                state.directory, state.keyring.log_key(), (Form(key=key, url=url),), 1, outside, told.append
            ).look()
    finally:
        await outside.close()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
