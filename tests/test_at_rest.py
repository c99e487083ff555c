"""Everything at rest: what a lived-in state holds for whoever has its files, with the master key and without."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import openai
import pytest

from gateway.audit.log_store import LOG_FILE, LogReader
from gateway.audit.retention.register import Known, Register
from gateway.audit.store import FILE_NAME, Cipher, StoreFault, keyed, reading, translated
from gateway.cli import main
from gateway.keys import KeyFault, Keyring
from gateway.simulator import Simulator
from tests.configuration import CALLER, EUROPEAN, TENANT
from tests.conftest import Gateway
from tests.houses import UNSCANNED, house, records, settings

SUBJECT, CUSTOMER, CONTENT = "rep-4711", "Example Customer Ltd", "A sentence of a caller that nobody keeps"

IN_CLEAR = {
    "tenants.roll": {TENANT, EUROPEAN},  # opaque ids, as in tenants.yaml
    "caller_keys.json": {CALLER},  # digests of keys, and whose they are, as in callers.yaml
}
"""Beside public facts (configurations, lists of indices, checkpoints, tiles), all that stands in no encrypted file."""


@pytest.fixture
async def lived(simulator: Simulator, tmp_path: Path) -> AsyncIterator[tuple[Gateway, dict[str, str]]]:
    """A gateway with a call about one person, and a customer's name."""
    chosen = settings(**UNSCANNED)
    async with house(simulator, tmp_path, chosen) as gateway:
        keyring = Keyring.open(gateway.state / "keys")
        Register(keyring).keep(Known(TENANT, CUSTOMER))
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
            headers = {"x-gateway-tenant": TENANT, "x-gateway-subject": SUBJECT}
            raw = await client.chat.completions.with_raw_response.create(
                model="gpt-simulated", messages=[{"role": "user", "content": CONTENT}], extra_headers=headers
            )
        yield gateway, {"call": raw.headers["x-gateway-call-id"], "key": gateway.key}


def _holding(state: Path, marker: str) -> set[str]:
    """The files that hold a marker, as text or as the bytes that its hex digits stand for."""
    forms = [marker.encode()]
    with contextlib.suppress(ValueError):
        forms.append(bytes.fromhex(marker))
    return {
        str(path.relative_to(state))
        for path in sorted(state.rglob("*"))
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    }


async def test_without_the_master_key_a_state_says_nothing_of_anybody(lived: tuple[Gateway, dict[str, str]]) -> None:
    """Of calls, people and customers nothing can be read; what stands in clear is listed, and not more than that."""
    gateway, seen = lived
    (intent,) = [line for line in records(gateway.state) if line["kind"] == "intent"]
    markers = [
        seen["call"],
        seen["key"],
        SUBJECT,
        CUSTOMER,
        CONTENT,
        str(intent["subject"]),
        TENANT,
        EUROPEAN,
        CALLER,
    ]

    found = {marker: _holding(gateway.state, marker) for marker in markers}

    in_clear = {name: {marker for marker in markers if name in found[marker]} for name in IN_CLEAR}
    assert in_clear["tenants.roll"] <= IN_CLEAR["tenants.roll"]
    assert in_clear["caller_keys.json"] == IN_CLEAR["caller_keys.json"]
    elsewhere = {marker: names - IN_CLEAR.keys() for marker, names in found.items()}
    assert {marker: names for marker, names in elsewhere.items() if names and marker != CALLER} == {}


async def test_with_the_master_key_the_same_search_finds_them(lived: tuple[Gateway, dict[str, str]]) -> None:
    """So the search could find what it looks for; and content it does not find even then."""
    gateway, seen = lived
    keyring = Keyring.open(gateway.state / "keys")
    (intent,) = [line for line in records(gateway.state) if line["kind"] == "intent"]
    with contextlib.closing(reading(gateway.state / "journal" / FILE_NAME, keyring.journal_key())) as journal:
        pages = journal.serialize("main") + b"".join(
            str(row).encode() for row in journal.execute("SELECT hex(call), body FROM record")
        )

    for marker in (seen["call"], TENANT, str(intent["subject"])):
        assert marker.encode() in pages
    assert CONTENT.encode() not in pages
    assert SUBJECT.encode() not in pages
    assert [each.name for each in Register(keyring).all()] == [CUSTOMER]


async def test_tenants_are_sealed_apart(lived: tuple[Gateway, dict[str, str]]) -> None:
    """Each by a key of its own: one person is another under each tenant, and what is destroyed with one is only its own."""
    gateway, _seen = lived
    keyring = Keyring.open(gateway.state / "keys", create=True)
    register = Register(keyring)
    register.keep(Known(EUROPEAN, "Another Customer"))
    sealed = keyring.seal_for(TENANT, "note", b"of one")

    assert keyring.tenant_mac(TENANT, "subject", SUBJECT) != keyring.tenant_mac(EUROPEAN, "subject", SUBJECT)
    with pytest.raises(KeyFault):
        keyring.unseal_for(EUROPEAN, "note", sealed)
    keyring.destroy_tenant(TENANT)
    anew = Keyring.open(gateway.state / "keys")
    with pytest.raises(KeyFault):
        anew.unseal_for(TENANT, "note", sealed)
    assert anew.has_tenant(EUROPEAN)


async def test_every_key_rotates_and_an_old_one_opens_nothing(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`gateway keys rotate --data`: master key and data keys; the old line may go, and by itself is worth nothing."""
    chosen = settings(**UNSCANNED)
    async with (
        house(simulator, tmp_path, chosen) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client,
    ):
        await client.embeddings.create(model="text-embedding-simulated", input="Hello")
    state, masters = gateway.state, gateway.state / "keys" / "master.keys"
    old_line, old = masters.read_text(), Keyring.open(state / "keys")
    old_keys = {f"journal/{FILE_NAME}": old.journal_key(), f"log/{LOG_FILE}": old.log_key()}

    assert await asyncio.to_thread(main, ["keys", "rotate", "--data", "--config", str(gateway.configuration)]) == 0
    new_line = masters.read_text().removeprefix(old_line)
    assert new_line
    masters.write_text(new_line)

    anew = Keyring.open(state / "keys")
    assert [line["kind"] for line in records(state)].count("intent") == 1
    with LogReader.read(state / "log", anew.log_key()) as log:
        assert log.size > 3
    for name, key in old_keys.items():
        with pytest.raises(StoreFault), translated(state / name):
            keyed(state / name, apsw.SQLITE_OPEN_READONLY, key, Cipher.AEGIS, "")
    masters.write_text(old_line)
    with pytest.raises(KeyFault):
        Keyring.open(state / "keys").journal_key()
