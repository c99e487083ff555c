"""Secrets: sealed at rest, refused when others could read them, never shown."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from gateway.keys import (
    CallerKey,
    KeyFault,
    Keyring,
    add_master,
    caller_key_id,
    check_caller_key,
    mint_caller_key,
    new_call_id,
    shown_key,
)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.open(tmp_path / "keys", create=True)


def test_first_start_makes_a_master_key_nobody_else_can_read(tmp_path: Path) -> None:
    """A first start with `create` leaves a 0700 directory and a 0600 master file."""
    Keyring.open(tmp_path / "keys", create=True)

    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "master.keys").stat().st_mode & 0o777 == 0o600


def test_a_missing_master_key_is_not_replaced(tmp_path: Path) -> None:
    """Without `create`, or with sealed keys left behind, a vanished master is a fault."""
    with pytest.raises(KeyFault):
        Keyring.open(tmp_path / "keys")
    Keyring.open(tmp_path / "keys", create=True).journal_key()
    (tmp_path / "keys" / "master.keys").unlink()

    with pytest.raises(KeyFault, match="restore it"):
        Keyring.open(tmp_path / "keys", create=True)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_master_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A master file that group or world may use stops the start."""
    Keyring.open(tmp_path / "keys", create=True)
    (tmp_path / "keys" / "master.keys").chmod(mode)

    with pytest.raises(KeyFault, match="chmod 600"):
        Keyring.open(tmp_path / "keys")


def test_a_key_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    """A key directory that others may enter stops the start."""
    Keyring.open(tmp_path / "keys", create=True)
    (tmp_path / "keys").chmod(0o750)

    with pytest.raises(KeyFault, match="chmod 700"):
        Keyring.open(tmp_path / "keys")


def test_a_linked_master_file_is_refused(tmp_path: Path) -> None:
    """A symbolic link is not a key file: its target may belong to anyone."""
    Keyring.open(tmp_path / "keys", create=True)
    real = tmp_path / "keys" / "master.keys"
    real.rename(tmp_path / "elsewhere")
    real.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeyFault, match="plain file"):
        Keyring.open(tmp_path / "keys")


@pytest.mark.parametrize(
    "content",
    ["", "0123abcd\n", "0123abcd zz\n", "0123abcd " + "a" * 63 + "\n", ("0123abcd " + "a" * 64 + "\n") * 2],
    ids=["empty", "no key", "not hex", "too short", "an id twice"],
)
def test_a_malformed_master_file_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    """A bad master file names file and form, never what it holds."""
    Keyring.open(tmp_path / "keys", create=True)
    (tmp_path / "keys" / "master.keys").write_text(content)

    with pytest.raises(KeyFault) as caught:
        Keyring.open(tmp_path / "keys")
    assert "0123abcd" not in str(caught.value)


def test_what_is_sealed_opens_only_for_its_purpose(keyring: Keyring) -> None:
    """Sealed bytes come back for the same purpose, and for no other."""
    sealed = keyring.seal("journal", b"a secret")

    assert keyring.unseal("journal", sealed) == b"a secret"
    with pytest.raises(KeyFault):
        keyring.unseal("tenant", sealed)


def test_any_flipped_bit_of_sealed_bytes_is_refused(keyring: Keyring) -> None:
    """Every byte of magic, key id, nonce, text and tag is authenticated."""
    sealed = keyring.seal("journal", b"a secret")

    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(KeyFault):
            keyring.unseal("journal", bytes(damaged))
    with pytest.raises(KeyFault):
        keyring.unseal("journal", b"")


def test_rotation_seals_with_the_newest_and_opens_with_all(tmp_path: Path) -> None:
    """After a rotation old seals open, new ones use the new key, and `reseal` frees the old one."""
    directory = tmp_path / "keys"
    before = Keyring.open(directory, create=True)
    journal, mac = before.journal_key(), before.tenant_mac("t", "subject", "rep")

    newest = add_master(directory / "master.keys")
    after = Keyring.open(directory)

    assert after.newest == newest != before.newest
    assert after.journal_key() == journal
    assert after.reseal() == 2
    assert after.reseal() == 0
    lines = (directory / "master.keys").read_text().splitlines()
    (directory / "master.keys").write_text(lines[-1] + "\n")
    alone = Keyring.open(directory)
    assert alone.journal_key() == journal
    assert alone.tenant_mac("t", "subject", "rep") == mac


def test_a_master_kept_outside_the_state_leaves_only_sealed_files_in_it(tmp_path: Path) -> None:
    """With the master elsewhere, no file of the state holds a key in clear."""
    keyring = Keyring.open(tmp_path / "state" / "keys", master=tmp_path / "master", create=True)
    secret = keyring.journal_key()

    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["journal.sealed"]
    assert all(secret not in path.read_bytes() for path in files)
    assert Keyring.open(tmp_path / "state" / "keys", master=tmp_path / "master").journal_key() == secret


def test_tenants_hashes_are_keyed_and_separated(keyring: Keyring) -> None:
    """The same value hashes differently by tenant and by field, and the same again later."""
    mac = keyring.tenant_mac("one", "subject", "rep")

    assert len(mac) == 32 and int(mac, 16) >= 0
    assert mac == keyring.tenant_mac("one", "subject", "rep")
    assert len({mac, keyring.tenant_mac("two", "subject", "rep"), keyring.tenant_mac("one", "request", "rep")}) == 3
    assert keyring.tenant_mac("one", "a", "bc") != keyring.tenant_mac("one", "ab", "c")
    assert keyring.tenant_mac("one", "subject", "\ud800")  # half a surrogate pair is a value too


def test_tenants_hashes_survive_a_restart(tmp_path: Path) -> None:
    """A tenant's key is kept, so its hashes can be compared over time."""
    mac = Keyring.open(tmp_path / "keys", create=True).tenant_mac("one", "subject", "rep")

    assert Keyring.open(tmp_path / "keys").tenant_mac("one", "subject", "rep") == mac


def test_a_destroyed_tenant_key_unlinks_every_hash(keyring: Keyring) -> None:
    """Once a tenant's key is gone the same value hashes to something else."""
    mac = keyring.tenant_mac("one", "subject", "rep")

    assert keyring.destroy_tenant("one")

    assert keyring.tenant_mac("one", "subject", "rep") != mac
    assert not keyring.destroy_tenant("two")


def test_no_file_name_shows_a_tenant(tmp_path: Path, keyring: Keyring) -> None:
    """A tenant's id is in no path, whatever characters it has."""
    keyring.tenant_mac("../tenant-seven", "subject", "rep")

    assert not [path for path in tmp_path.rglob("*") if "seven" in path.name]


def test_a_fresh_caller_key_checks_and_names_itself(keyring: Keyring) -> None:
    """A minted key has the prefix, carries its id, and matches its digest alone."""
    minted, other = mint_caller_key(), mint_caller_key()

    assert minted.text.startswith(f"zrg_{minted.key_id}_")
    assert caller_key_id(minted.text) == minted.key_id
    assert check_caller_key(shown_key(minted.text), {minted.key_id: minted.digest}) == minted.key_id
    assert check_caller_key(shown_key(minted.text), {minted.key_id: other.digest}) is None
    assert check_caller_key(shown_key(minted.text), {}) is None


def _changed(key: CallerKey, position: int) -> str:
    letter = "0" if key.text[position] != "0" else "1"
    return key.text[:position] + letter + key.text[position + 1 :]


@pytest.mark.parametrize(
    "text",
    ["", "zrg_", "sk-" + "a" * 48, "zrg_" + "0" * 16 + "_" + "a" * 49, "\ud800", "zrg_" + "é" * 66, "x" * 100_000],
    ids=["empty", "prefix", "a provider's", "wrong check digits", "half a surrogate", "not ASCII", "huge"],
)
def test_malformed_caller_keys_are_refused(text: str) -> None:
    """What is not a key has no id and matches nothing."""
    assert caller_key_id(text) is None
    assert check_caller_key(shown_key(text), {"0" * 16: "0" * 64}) is None


def test_a_mistyped_caller_key_fails_its_check_digits() -> None:
    """Any single changed character is found without looking the key up."""
    minted = mint_caller_key()

    for position in range(len(minted.text)):
        assert caller_key_id(_changed(minted, position)) is None


def test_nothing_secret_is_in_a_repr(tmp_path: Path) -> None:
    """Printing a keyring or a minted key shows no secret."""
    keyring = Keyring.open(tmp_path / "keys", create=True)
    minted = mint_caller_key()
    master = (tmp_path / "keys" / "master.keys").read_text().split()[1]

    assert master not in repr(keyring) and master not in repr(list(keyring._masters.values()))
    assert minted.text not in repr(minted)
    assert keyring.journal_key().hex() not in repr(keyring)


def test_call_ids_are_version_7_and_ordered_by_time() -> None:
    """A call id holds the milliseconds, the version, the variant and the given entropy."""
    early = new_call_id(lambda: 1_795_000_000_000_000_000, lambda count: b"\xff" * count)
    late = new_call_id(lambda: 1_795_000_000_001_000_000, bytes)

    assert early == f"{1_795_000_000_000:012x}7fffbfffffffffffffff"
    assert late == f"{1_795_000_000_001:012x}70008000000000000000"
    assert early < late
    assert len({new_call_id(lambda: 0) for _ in range(1000)}) == 1000


def _first_start(folder: Path) -> bytes:
    return Keyring.open(folder / "keys", master=folder / "master.keys", create=True).journal_key()


def test_processes_that_start_for_the_first_time_together_share_one_master_key(tmp_path: Path) -> None:
    """None of them fails, and what one sealed every other reads."""
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        for round_ in range(20):
            folder = tmp_path / str(round_)
            folder.mkdir()
            assert len(set(pool.map(_first_start, [folder] * 4))) == 1


def test_a_key_made_by_another_process_at_the_same_moment_is_not_replaced(keyring: Keyring, tmp_path: Path) -> None:
    """Two processes that make the same key at once: one wins, and both use that one."""
    other = Keyring.open(tmp_path / "keys")
    real = other.seal

    def slow_seal(purpose: str, plain: bytes) -> bytes:
        keyring.journal_key()
        return real(purpose, plain)

    other_key = type("Slow", (Keyring,), {"seal": staticmethod(slow_seal)})(tmp_path / "keys", other._masters.values())

    assert other_key.journal_key() == keyring.journal_key()
    assert Keyring.open(tmp_path / "keys").journal_key() == keyring.journal_key()
    assert not list((tmp_path / "keys").glob(".*"))
