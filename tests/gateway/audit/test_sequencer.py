"""The sequencer: one order, one signed past, and a log that others can verify."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint
from sigstore.errors import VerificationError

from gateway.audit.language import Id, Sha
from gateway.audit.log_store import LogReader, LogStore
from gateway.audit.merkle import inclusion, root
from gateway.audit.record import Operator, Row, canonical_row
from gateway.audit.sequencer import OutOfOrder
from gateway.audit.store import StoreFault
from gateway.audit.tiles import Tiles
from gateway.audit.tlog import ED25519, Checkpoint, bundle_path, key_id, unbundle
from gateway.audit.verify import Verification
from gateway.audit.words import Act, Role
from gateway.keys import Keyring, Signer
from gateway.simulator import Simulator
from tests.conftest import Gateway, serving
from tests.gateway.audit.logs import DAY, LOG_KEY, ORIGIN, SIGNER, House, lived_in


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "state")
    made.boot()
    return made


class _Keys:
    """What sigstore asks for a key: it checks with `cryptography`, not with us."""

    def verify(self, *, key_id: bytes, signature: bytes, data: bytes) -> None:
        del key_id
        Ed25519PublicKey.from_public_bytes(SIGNER.public).verify(signature, data)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[House, str]]:
    """A log of several hundred leaves behind an ordinary web server; its address."""
    house = lived_in(tmp_path / "state", calls=400)
    with house.log() as log:
        Tiles(tmp_path / "public").publish(log)
    handler = functools.partial(_Quiet, directory=str(tmp_path / "public"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield house, f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        del format, args


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310  # loopback
        body: bytes = answer.read()
    return body


def _entries(address: str, size: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < size:
        width = min(256, size - len(found))
        found += unbundle(_get(address + bundle_path(len(found) // 256, width)))
    return found


def test_two_foreign_verifiers_accept_the_log_over_http(served: tuple[House, str]) -> None:
    """pymerkle finds the signed root in the served entries; sigstore accepts the signature and every inclusion proof."""
    house, address = served
    signed = SignedCheckpoint.from_text(_get(address + "checkpoint").decode())
    size = signed.checkpoint.log_size
    entries = _entries(address, size)
    tree = InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)

    assert size > 512
    assert tree.get_root().hex() == signed.checkpoint.log_hash
    signed.signed_note.verify(_Keys(), key_id(ORIGIN, ED25519, SIGNER.public))  # type: ignore[arg-type]
    with house.log() as log:
        for index in (0, 1, 255, 256, size // 2, size - 1):
            path = inclusion(index, size, log.subtrees())
            verify_merkle_inclusion(_proof(entries[index], index, size, path, signed.checkpoint.log_hash))  # type: ignore[arg-type]
            with pytest.raises(VerificationError):
                verify_merkle_inclusion(_proof(b"\1other", index, size, path, signed.checkpoint.log_hash))  # type: ignore[arg-type]


def _proof(entry: bytes, index: int, size: int, path: list[bytes], log_hash: str) -> SimpleNamespace:
    proof = SimpleNamespace(log_index=index, tree_size=size, hashes=path, root_hash=bytes.fromhex(log_hash))
    return SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=entry))


def test_what_is_served_holds_no_record_about_a_call(served: tuple[House, str]) -> None:
    """Commitments are 33 bytes; only operator facts are in clear, and they name no tenant."""
    _house, address = served
    size = Checkpoint.parse(_get(address + "checkpoint").decode()).size

    for entry in _entries(address, size):
        if entry[:1] == b"\1":
            assert len(entry) == 33
        else:
            assert orjson.loads(entry[1:])["kind"] == "operator"
            assert b"tenant" not in entry


def test_who_looked_at_the_pages_is_committed_to_and_not_shown(house: House) -> None:
    """A look concerns a person: its leaf is a commitment, and the record in clear in its place fails A9."""
    made = Operator(time=house.tick(), act=Act.VIEW, role=Role.SECURITY, session=Id("5e" * 16), query=Sha("ab" * 32))
    house.write(made)
    house.sequence()
    with house.log() as log:
        entries = [log.entry(index) for index in range(log.size)]
        assert [entry[:1] for entry in entries].count(b"\1") == 1
        assert not any(b"5e5e" in entry for entry in entries)
        body = log.leaves(log.size - 1, log.size)
    assert body[0].salt is not None
    run = Verification(0)
    clear = canonical_row(Row(Id("ab" * 16), 0, made))
    run.leaf(b"\2" + clear, None, None)
    assert run.a["A9"].failed == 1


def test_a_commitment_is_of_the_record_and_its_salt(house: House) -> None:
    """The log holds for a row what anybody can compute from the row, its place and its salt."""
    house.calls(1)
    house.sequence()
    assert house._store is not None
    ((seq, body),) = house._store._connection.execute("SELECT seq, body FROM record WHERE kind = 'i'").fetchall()

    with house.log() as log:
        (leaf,) = [leaf for leaf in log.leaves(0, 99) if leaf.seq == seq]
        entry = log.entries(0)[leaf.index]
        boot = log.boots()[1][0]
    record = orjson.loads(body) | {"boot": boot, "rseq": 1, "tseq": 1}
    written = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    assert leaf.salt is not None
    assert len(leaf.salt) == 32
    assert entry == b"\1" + hashlib.sha256(b"zr-audit/v1\0" + leaf.salt + written).digest()


def test_rows_keep_the_order_of_the_journal_and_tenants_are_counted(house: House) -> None:
    """Each row has the next index, and a tenant's records are numbered from one without gaps."""
    house.calls(30)
    size = house.sequence()
    house.calls(10)
    more = house.sequence()

    with house.log() as log:
        leaves = log.leaves(0, more)
    assert 0 < size < more
    assert [leaf.index for leaf in leaves] == list(range(more))
    assert [leaf.seq for leaf in leaves] == sorted(leaf.seq or 0 for leaf in leaves)
    assert [leaf.tseq for leaf in leaves if leaf.tseq] == list(range(1, more))


def test_each_checkpoint_extends_the_one_before(house: House) -> None:
    """The root that an earlier checkpoint signed is the root of that many leaves of the log now."""
    notes = []
    for _ in range(6):
        house.calls(7)
        with house.sequencer() as sequencer:
            signed = sequencer.step()
            assert signed is not None
            notes.append(Checkpoint.parse(signed.note))

    with house.log() as log:
        assert [each.root for each in notes] == [root(0, each.size, log.subtrees()) for each in notes]


def test_a_quiet_journal_makes_no_checkpoint(house: House) -> None:
    """Nothing new, nothing signed."""
    house.sequence()

    with house.sequencer() as sequencer:
        assert sequencer.step() is None


def test_once_a_day_each_tenant_has_its_count_in_the_log(house: House) -> None:
    """The day after, one committed head a tenant, and no second one."""
    house.calls(3)
    house.sequence()
    house.tick(DAY)
    with_head = house.sequence()
    house.tick(DAY)

    assert house.sequence() == with_head
    with house.log() as log:
        last = log.leaves(with_head - 1, with_head)[0]
    assert last.note is not None
    assert orjson.loads(last.note) | {"time": 0} == {
        "day": (house.time - 2 * DAY) // DAY,
        "kind": "tenant_head",
        "tenant": "tenant-seven",
        "time": 0,
        "tseq": with_head - 2,
        "v": 1,
    }


# what it refuses


def _copy(house: House, name: str, to: str) -> None:
    shutil.copytree(house.directory / name, house.directory / to)


def _restore(house: House, name: str, saved: str) -> None:
    shutil.rmtree(house.directory / name)
    shutil.copytree(house.directory / saved, house.directory / name)


def test_a_log_restored_from_an_old_backup_is_not_signed(house: House) -> None:
    """The guard, kept elsewhere, saw a later checkpoint."""
    house.calls(3)
    house.sequence()
    _copy(house, "log", "backup")
    house.calls(3)
    house.sequence()
    _restore(house, "log", "backup")

    with pytest.raises(StoreFault, match="rolled back"):
        house.sequence()


def test_a_log_made_anew_is_not_signed(house: House) -> None:
    """Even when it has as many leaves as the one that was signed: its salts are others."""
    house.calls(3)
    house.sequence()
    shutil.rmtree(house.directory / "log")
    (house.directory / "guard").rename(house.directory / "elsewhere")
    house.sequence()
    (house.directory / "elsewhere").rename(house.directory / "guard")

    with pytest.raises(StoreFault, match="not the one that was signed"):
        house.sequence()


def test_a_journal_restored_from_an_old_backup_is_not_signed(house: House) -> None:
    """Fewer rows than the log has, or another boot under a number that it knows."""
    house.calls(3)
    house.end()
    _copy(house, "journal", "backup")
    house.boot()
    house.calls(3)
    house.sequence()
    house.end()
    _restore(house, "journal", "backup")

    with pytest.raises(OutOfOrder, match="older than the log"):
        house.sequence()
    house.boot()
    house.calls(9)
    with pytest.raises(OutOfOrder, match="another journal"):
        house.sequence()


def test_another_key_does_not_sign_on(house: House) -> None:
    """The key of the last checkpoint signs the next one; changing it is a deliberate act."""
    house.calls(1)
    house.sequence()

    with pytest.raises(OutOfOrder, match="do not fit"), house.sequencer(Signer(bytes(32))):
        pass


def test_another_origin_does_not_go_on(house: House) -> None:
    """A log keeps its name."""
    house.calls(1)
    house.sequence()

    with pytest.raises(StoreFault, match="another origin"):
        LogStore(house.directory / "log", LOG_KEY, "log.example.invalid/us")


def test_there_is_one_sequencer(house: House) -> None:
    """A second one is refused while the first has the log."""
    with house.sequencer(), pytest.raises(StoreFault, match="another process"), house.sequencer():
        pass


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM record WHERE seq & 1099511627775 = 3", "is missing"),
        ("DELETE FROM record WHERE seq & 1099511627775 = 0", "first row, is missing"),
        ("UPDATE record SET body = replace(body, 'tenant-seven', 'tenant  seven') WHERE kind = 'i'", "not a record"),
        ("UPDATE record SET body = body || ' ' WHERE kind = 'o'", "not a record"),
    ],
)
def test_a_journal_with_a_hole_or_a_foreign_row_is_not_signed(house: House, sql: str, reason: str) -> None:
    """A missing row, a missing boot or what is no record stops the log; nothing of that step is signed."""
    house.calls(3)
    assert house._store is not None
    house._store._connection.execute(sql)

    with house.sequencer() as sequencer, pytest.raises(OutOfOrder, match=reason):
        sequencer.step()
    with house.log() as log:
        assert log.size == 0
        assert log.latest() is None


@pytest.mark.parametrize("table", ["tile", "bundle"])
def test_a_damaged_edge_is_not_signed(house: House, table: str) -> None:
    """Tiles that do not give the signed root stop the log."""
    house.calls(5)
    house.sequence()
    with LogStore(house.directory / "log", LOG_KEY, ORIGIN)._connection as connection:
        connection.execute({"tile": "DELETE FROM tile", "bundle": "DELETE FROM bundle"}[table])
    connection.close()

    with pytest.raises(StoreFault):
        house.sequence()


# killed

KILL = """
import os, signal, sys
from pathlib import Path
from tests.gateway.audit import logs
from gateway.audit.guard import Guard
from gateway.audit.log_store import LogStore
from gateway.audit.tiles import Tiles
place = sys.argv[2]
def die(*_a, **_k): os.kill(os.getpid(), signal.SIGKILL)
add, keep = LogStore.add, Guard.keep
if place == "before commit": LogStore.add = die
if place == "within commit":
    def half(self, batch, signed):
        with self._connection:
            self._connection.executemany("INSERT INTO leaf VALUES(?,?,?,?,?)", [(l.index, l.seq, l.tenant, l.tseq, l.salt) for l in batch.leaves])
            die()
    LogStore.add = half
if place == "after commit": LogStore.add = lambda self, *a: (add(self, *a), die())
if place == "after guard": Guard.keep = lambda self, *a: (keep(self, *a), die())
house = logs.House.__new__(logs.House)
house.directory = Path(sys.argv[1]); house.time = int(sys.argv[3])
house.sequence()
"""


@pytest.mark.parametrize("place", ["before commit", "within commit", "after commit", "after guard"])
def test_a_sequencer_killed_at_any_point_goes_on(house: House, place: str) -> None:
    """After the kill the log is whole, and the next sequencer orders every row once."""
    house.calls(5)
    house.sequence()
    house.calls(300)
    killed = subprocess.run(
        [sys.executable, "-c", KILL, str(house.directory), place, str(house.time)],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert killed.returncode == -signal.SIGKILL

    with house.sequencer() as sequencer:  # what is signed is guarded before anything else is done
        assert Checkpoint.parse((house.directory / "guard").read_text()).size == sequencer.size
    size = house.sequence()

    with house.log() as log:
        leaves = log.leaves(0, size)
        signed = log.latest()
        assert signed is not None
        assert Checkpoint.parse(signed.note).root == root(0, size, log.subtrees())
    assert house._store is not None
    rows = house._store._connection.execute("SELECT seq FROM record ORDER BY seq").fetchall()
    assert [leaf.seq for leaf in leaves] == [seq for (seq,) in rows]


async def test_the_gateway_keeps_the_log_beside_it(gateway: Gateway) -> None:
    """The gateway's own boot record comes into a log that its own process signs, and readiness says so."""
    state = gateway.state
    for _ in range(400):
        if (state / "keys" / "checkpoint").exists():
            break
        await asyncio.sleep(0.05)

    key = Keyring.open(state / "keys").log_key()
    with LogReader.read(state / "log", key) as log:
        signed = log.latest()
        assert signed is not None
        assert Checkpoint.parse(signed.note).root == root(0, signed.size, log.subtrees())
        assert orjson.loads(log.entries(0)[0][1:])["act"] == "boot"
    assert gateway.application.log_keeps_up


async def test_the_log_holds_all_that_the_gateway_wrote_once_it_ended(simulator: Simulator, tmp_path: Path) -> None:
    """The shutdown record, written last, is in the log when the application has stopped."""
    async with serving(simulator, tmp_path) as gateway:
        state = gateway.state

    with LogReader.read(state / "log", Keyring.open(state / "keys").log_key()) as log:
        last = log.entries((log.size - 1) // 256)[-1]
    assert orjson.loads(last[1:])["act"] == "shutdown"
