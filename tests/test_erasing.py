"""The product's own acts, from a stock client's call to an empty state: erase, copy, by key and without an approver."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import yaml

from gateway import erasing as desk
from gateway.app import Application
from gateway.audit import verify
from gateway.audit.evidence import open_evidence, own_policy
from gateway.audit.retention.register import Known, Register
from gateway.cli import main
from gateway.keys import Keyring
from gateway.simulator import Simulator
from gateway.simulator.small import OPENAI_MODELS
from tests.configuration import CALLER, MANY, TENANT
from tests.conftest import caller_key, example_configuration
from tests.detectors import shared


class Running:
    """The application with `many-tenants` allowed to erase, and clients of it."""

    def __init__(self, application: Application, configuration: Path, state: Path) -> None:
        self.application, self.configuration, self.state = application, configuration, state
        self.key, self.other = caller_key(state, MANY), caller_key(state, CALLER)

    async def ask(self, method: str, path: str, key: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        address = f"http://127.0.0.1:{self.application.operations_port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, address, json=body, headers={"Authorization": f"Bearer {key}"}) as response,
        ):
            return response.status, await response.read()

    async def call(self, subject: str) -> None:
        async with openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{self.application.port}/v1", api_key=self.key, max_retries=0
        ) as client:
            await client.chat.completions.create(
                model=OPENAI_MODELS[0],
                messages=[{"role": "user", "content": "Summarise the call."}],
                extra_headers={
                    "x-gateway-tenant": TENANT,
                    "x-gateway-purpose": "call_summary",
                    "x-gateway-subject": subject,
                },
            )

    async def done(self, erasure: str) -> None:
        async with asyncio.timeout(60):
            while json.loads((await self.ask("GET", f"/erasures/{erasure}", self.key))[1])["state"] != "done":
                await asyncio.sleep(0.2)


def configured(tmp_path: Path, simulator: Simulator) -> Path:
    configuration = example_configuration(tmp_path, simulator.port)
    path = configuration / "gateway.yaml"
    path.write_text(json.dumps({**yaml.safe_load(path.read_text()), "erasure": {"callers": [MANY]}}))
    return configuration


@pytest.fixture
async def running(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("gateway.app.PUMP_SECONDS", 0.1)
    configuration = configured(tmp_path, simulator)
    application = Application(configuration, tmp_path / "state", stream=io.BytesIO(), part=shared())
    known = Running(application, configuration, tmp_path / "state")  # its keys are there before it looks for them
    await application.start()
    try:
        yield known
    finally:
        await application.stop()


async def test_one_click_erases_a_person_and_then_the_tenant(running: Running) -> None:
    """No approver: a receipt at once; soon neither the person, nor then the tenant, is in the record, which still holds."""
    await running.call("rep-17")
    await running.call("rep-18")
    status, body = await running.ask("POST", f"/tenants/{TENANT}/subjects/erase", running.key, {"subject": "rep-17"})
    assert status == 202
    receipt = json.loads(body)
    assert receipt["backups_clear_by"] - receipt["requested"] == 35 * 86_400_000_000
    await running.done(receipt["erasure"])
    status, content = await running.ask("POST", f"/tenants/{TENANT}/export", running.key)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        records = opened.read("records.ndjson").splitlines()
    assert len(records) == 2

    status, body = await running.ask("POST", f"/tenants/{TENANT}/erase", running.key)
    assert status == 202
    await running.done(json.loads(body)["erasure"])
    await running.application.stop()

    keyring = Keyring.open(running.state / "keys")
    assert not keyring.has_tenant(TENANT)
    with open_evidence(running.state, keyring) as evidence:
        texts = [row.text or "" for row in evidence.rows()]
        run = verify.verify(evidence, verify.Policy(own_policy(evidence.origin, keyring)))
    assert not any(TENANT in text for text in texts)
    assert {name: held.first for name, held in run.a.items() if held.failed} == {}
    assert run.facts()["totals"]["erased"] == 4
    acts = [json.loads(text).get("act") for text in texts if text]
    assert [act for act in acts if act in {"erase", "erased", "export"}] == [
        "erase",
        "erased",
        "export",
        "erase",
        "erased",
    ]


_REFUSED = {
    "a stranger": ("POST", f"/tenants/{TENANT}/erase", "stranger", None, 401, "unauthenticated"),
    "a service that is not named": ("POST", f"/tenants/{TENANT}/erase", "other", None, 404, "operation_not_allowed"),
    "another's tenant": ("POST", "/tenants/t-unheard/erase", "key", None, 403, "tenant_unknown"),
    "another method": ("GET", f"/tenants/{TENANT}/erase", "key", None, 404, "operation_not_allowed"),
    "nobody": ("POST", f"/tenants/{TENANT}/subjects/erase", "key", {"subject": ""}, 400, "body_invalid"),
    "more": ("POST", f"/tenants/{TENANT}/subjects/erase", "key", {"subject": "a", "more": 1}, 400, "body_invalid"),
    "too long": ("POST", f"/tenants/{TENANT}/subjects/erase", "key", {"subject": "x" * 257}, 400, "body_invalid"),
    "another path": ("POST", "/tenants/..%2f/erase", "key", None, 404, None),
}


async def test_nobody_else_erases(simulator: Simulator, tmp_path: Path) -> None:
    """Only a named service, with its own key, for its own tenants, in the one form; all else changes nothing."""
    key, other, ask = await _desk_alone(simulator, tmp_path)
    keys = {"stranger": "zrg_x", "other": other, "key": key}

    for name, (method, path, who, body, status, code) in _REFUSED.items():
        assert await ask(method, path, keys[who], body) == (status, code), name
    assert not list((tmp_path / "state" / "keys").glob("erasures/*"))


async def _desk_alone(simulator: Simulator, tmp_path: Path) -> Any:
    """The desk without the rest of the gateway: a listener, and nobody who erases."""
    import logging  # noqa: PLC0415

    from gateway.config import load  # noqa: PLC0415
    from gateway.listener import Listener, ListenerOptions  # noqa: PLC0415
    from gateway.logs import detached_logger  # noqa: PLC0415
    from gateway.metrics import Metrics  # noqa: PLC0415
    from gateway.operations import operations_handler  # noqa: PLC0415
    from providers import PROVIDERS  # noqa: PLC0415

    keyring = Keyring.open(tmp_path / "state" / "keys", create=True)
    keys = caller_key(tmp_path / "state", MANY), caller_key(tmp_path / "state", CALLER)
    bundle = load(configured(tmp_path, simulator), {}, wires=PROVIDERS)
    made = desk.Desk(tmp_path / "state", keyring, None, None, lambda: bundle, lambda: 0, print)  # type: ignore[arg-type]

    async def ask(method: str, path: str, key: str, body: Any) -> tuple[int, str | None]:
        listener = Listener(ListenerOptions(port=0, any_name=True), detached_logger(logging.NullHandler()))
        await listener.start(operations_handler(Metrics([]), {}, list, made.handle))
        try:
            headers = {"Authorization": f"Bearer {key}"}
            from yarl import URL  # noqa: PLC0415

            address = URL(f"http://127.0.0.1:{listener.port}{path}", encoded=True)
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, address, json=body, headers=headers) as response,
            ):
                tree = await response.json()
                return response.status, tree["error"] if "reason" in tree else None
        finally:
            await listener.close(0.1)

    return (*keys, ask)


async def test_a_cancelled_tenant_goes_by_itself_after_its_grace(simulator: Simulator, tmp_path: Path) -> None:
    """Thirty days after it was first seen cancelled, and not a second before; one that is active again is kept."""
    from gateway.audit.retention import requests  # noqa: PLC0415
    from gateway.config import load  # noqa: PLC0415
    from providers import PROVIDERS  # noqa: PLC0415

    bundle = load(configured(tmp_path, simulator), {}, wires=PROVIDERS)
    keyring = Keyring.open(tmp_path / "state" / "keys", create=True)
    keyring.tenant_mac("t-gone", "subject", "rep")
    Register(keyring).keep(Known(TENANT, "Example", cancelled=5))
    time = [10 * 86_400_000_000]
    made = desk.Desk(tmp_path / "state", keyring, None, None, lambda: bundle, lambda: time[0], print)  # type: ignore[arg-type]

    made._end_graces()

    assert {each.id: each.cancelled for each in Register(keyring).all()} == {"t-gone": time[0], TENANT: None}
    start = time[0]
    time[0] = start + 30 * 86_400_000_000 - 1
    made._end_graces()
    assert requests.kept(keyring) == []
    time[0] += 60_000_001
    made._end_graces()
    time[0] += 60_000_001
    made._end_graces()
    (request,) = requests.kept(keyring)
    assert (request.tenant, request.ground, request.subject) == ("t-gone", "cancelled", None)


async def test_an_operators_own_erasure_needs_two_approvers(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without change control nobody can; one approver does not suffice, nor does one twice, nor a stranger."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from gateway.audit.retention import requests  # noqa: PLC0415
    from gateway.change.erasure import NotErased, approve, proposed  # noqa: PLC0415
    from gateway.config.settings import Approver, ChangeControl  # noqa: PLC0415
    from gateway.keys import Signer  # noqa: PLC0415

    configuration = configured(tmp_path, simulator)
    keyring = Keyring.open(tmp_path / "state" / "keys", create=True)
    common = ["--config", str(configuration)]
    assert main(["tenant", "add", TENANT, "--name", "Example Customer", *common]) == 0
    assert main(["tenant", "list", *common]) == 0
    assert "Example Customer" in capsys.readouterr().out
    assert main(["tenant", "erase", TENANT, *common]) == 0
    proposal = capsys.readouterr().out.strip()
    assert main(["change", "key", str(tmp_path / "ada.key")]) == 0
    assert main(["tenant", "approve", proposal, "--key", str(tmp_path / "ada.key"), *common]) == 1
    assert "lists none" in capsys.readouterr().err

    signers = [Signer(bytes([number]) * 32) for number in (1, 2, 3)]
    control = ChangeControl(
        approvers=tuple(Approver(id=f"a{at}", public_key=each.public.hex()) for at, each in enumerate(signers[:2])),
        residency=(("CA",),),
    )
    now = datetime.now(UTC)
    held = proposed(keyring, proposal, 1)
    with pytest.raises(NotErased, match="not that of an approver"):
        approve(keyring, held, signers[2], control, now)
    assert approve(keyring, held, signers[0], control, now) is None
    held = proposed(keyring, proposal, 1)
    with pytest.raises(NotErased, match="already"):
        approve(keyring, held, signers[0], control, now)
    assert requests.kept(keyring) == []
    receipt = approve(keyring, held, signers[1], control, now)

    assert receipt is not None
    (request,) = requests.kept(keyring)
    assert (request.tenant, len(request.approvers)) == (TENANT, 2)
    with pytest.raises(NotErased):
        proposed(keyring, proposal, 1)
    assert await asyncio.to_thread(main, ["prune", *common]) == 0
    assert "1 erasures" in capsys.readouterr().out
    assert requests.kept(keyring) == []
    assert Register(keyring).all() == []
    assert main(["restore", *common]) == 0
