"""Change control in the running gateway: what was not approved does not serve, and what was is in the record."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import yaml

from gateway.app import Application
from gateway.change.chain import Chain
from gateway.change.statement import approve
from gateway.cli import main
from gateway.config import load
from gateway.errors import ConfigurationError
from gateway.keys import Keyring, Signer, public_key_id
from gateway.simulator import CREDENTIAL, Simulator
from providers import PROVIDERS
from tests.configuration import CALLER, issue_key, write_configuration
from tests.houses import UNSCANNED, client, records, settings

ADA, GRACE = Signer(b"\1" * 32), Signer(b"\2" * 32)
CONTROL = {
    "residency": [["CA"], ["EU27"]],
    "approvers": [{"id": "ada", "public_key": ADA.public.hex()}, {"id": "grace", "public_key": GRACE.public.hex()}],
}


@dataclass(slots=True)
class Controlled:
    """A gateway under change control."""

    application: Application
    configuration: Path
    state: Path
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.application.port}"

    async def ask(self, model: str = "gpt-simulated") -> tuple[int, str, str]:
        """Status, code and policy of one call."""
        document = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        async with (
            client(self.key) as session,
            session.post(f"{self.url}/v1/chat/completions", json=document) as answer,
        ):
            await answer.read()
            return answer.status, answer.headers.get("x-gateway-code", ""), answer.headers["x-gateway-policy"]

    async def ready(self) -> dict[str, object]:
        port = self.application.operations_port
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            told: dict[str, object] = await answer.json()
            return told


def approved(configuration: Path, state: Path, *signers: Signer) -> str:
    """Propose, approve and apply what stands in the directory; its digest."""
    bundle, chain, now = load(configuration, {}, wires=PROVIDERS), Chain(state, PROVIDERS), datetime.now(UTC)
    proposal = chain.propose(bundle.preimage, now + timedelta(days=1), now)
    for signer in signers:
        chain.approve(proposal, approve(proposal.statement, signer), now)
    return chain.apply(proposal, now).statement.digest


def edit(path: Path, **changes: object) -> None:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**tree, **changes}), encoding="utf-8")


@pytest.fixture
async def controlled(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Controlled]:
    """The application, its first configuration approved by two."""
    chosen = settings(**UNSCANNED, change=CONTROL)
    configuration, state = (
        write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=chosen),
        tmp_path / "state",
    )
    approved(configuration, state, ADA, GRACE)
    key = issue_key(state, CALLER)
    application = Application(configuration, state, stream=io.BytesIO())
    await application.start()
    try:
        yield Controlled(application, configuration, state, key)
    finally:
        await application.stop()


async def test_an_unapproved_configuration_neither_starts_nor_reloads(
    simulator: Simulator, tmp_path: Path, controlled: Controlled, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reload says which file and why, the last good one serves on, and a start with the same files refuses."""
    _status, _code, policy = await controlled.ask()
    path = controlled.configuration / "processors" / "simulated-openai.yaml"
    models = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    edit(path, models=[*models, {**models[0], "id": "gpt-new"}])

    taken = await controlled.application.reload()

    said = capsys.readouterr().err
    assert taken is False
    assert "simulated-openai.yaml" in said
    assert "gateway change propose" in said
    assert (await controlled.ask())[2] == policy
    assert (await controlled.ask("gpt-new"))[:2] == (403, "model_not_allowed")
    assert (await controlled.ready())["warnings"] == [f"the configuration on disk was refused; {policy} serves on"]
    with pytest.raises(ConfigurationError, match=r"simulated-openai\.yaml"):
        await Application(controlled.configuration, controlled.state, stream=io.BytesIO()).start()


async def test_an_applied_change_is_taken_over_and_recorded(controlled: Controlled) -> None:
    """The running gateway takes it over by itself; the record has digest, parent and the keys, each change once."""
    path = controlled.configuration / "processors" / "simulated-openai.yaml"
    models = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    edit(path, models=[*models, {**models[0], "id": "gpt-new"}])

    digest = approved(controlled.configuration, controlled.state, ADA)
    async with asyncio.timeout(20):
        while (await controlled.ask("gpt-new"))[0] != 200:
            await asyncio.sleep(0.05)  # it looks every half second: there is no event to wait for

    changes = [line for line in records(controlled.state) if line.get("act") == "change"]
    assert [line["approvers"] for line in changes] == [
        sorted([public_key_id(ADA.public), public_key_id(GRACE.public)]),
        [public_key_id(ADA.public)],
    ]
    assert (changes[1]["configuration"], changes[1]["parent"]) == (digest, changes[0]["configuration"])
    assert "parent" not in changes[0]
    assert (await controlled.ready()).get("warnings") is None
    intents = [line for line in records(controlled.state) if line["kind"] == "intent"]
    assert intents[-1]["configuration"] == digest


async def test_the_calls_of_the_past_are_decided_again(
    controlled: Controlled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`diff` reads the records of the running gateway and says what would become of its calls."""
    for _ in range(3):
        assert (await controlled.ask())[0] == 200
    proposed = tmp_path / "proposed"
    shutil.copytree(controlled.configuration, proposed, dirs_exist_ok=True)
    edit(proposed / "processors" / "simulated-openai.yaml", suspended=True)

    code = await asyncio.to_thread(main, ["diff", "--config", str(controlled.configuration), "--with", str(proposed)])

    said = capsys.readouterr().out
    assert code == 0
    assert "1 change, which together needs 1 approver" in said
    assert "Of 3 calls of the last 30 days" in said
    assert "  3 would be refused: processor_not_active" in said


async def test_taking_the_approvers_out_changes_nothing(controlled: Controlled) -> None:
    """Without approvers in the file the gateway is still under change control, also one that points at another state."""
    path = controlled.configuration / "gateway.yaml"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    del tree["change"]
    path.write_text(json.dumps({**tree, "state": "../elsewhere"}), encoding="utf-8")

    assert await controlled.application.reload() is False
    assert (await controlled.ask())[0] == 200


async def test_each_tenant_that_moves_is_recorded(controlled: Controlled) -> None:
    """No approval is asked for within an approved residency; the record has the tenant's keyed hash and no id."""
    path = controlled.configuration / "tenants.yaml"
    tenants = yaml.safe_load(path.read_text(encoding="utf-8"))["tenants"]
    edit(path, tenants={**tenants, "t-new": {"residency": ["CA"], "status": "active"}})
    assert await controlled.application.reload()
    edit(path, tenants={**tenants, "t-new": {"residency": ["CA"], "status": "cancelled"}})
    assert await controlled.application.reload()
    edit(path, tenants={**tenants, "t-wide": {"residency": ["CA", "US"], "status": "active"}})
    assert await controlled.application.reload() is False

    moved = [line for line in records(controlled.state) if line.get("act") == "tenant"]
    assert [line["enabled"] for line in moved] == [True, False]
    assert (
        moved[0]["subject"]
        == moved[1]["subject"]
        == Keyring.open(controlled.state / "keys").tenant_mac("t-new", "tenant", "t-new")
    )
    assert "t-new" not in json.dumps(moved)
