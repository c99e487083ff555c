"""The configuration changes while the gateway serves: nothing widens on error, nothing in flight changes."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import yaml

from gateway.app import Application
from gateway.caller_keys import KeyFile
from gateway.cli import main
from gateway.disclosure.notices import Sent, record_sent
from gateway.keys import caller_key_id
from gateway.simulator import CREDENTIAL, Scenario, Simulator
from tests.configuration import CALLER, issue_key, write_configuration
from tests.conftest import Gateway, approve_schema
from tests.houses import UNSCANNED, client, house, records, serve, settings

PROMPTLY = 1.5
"""Seconds until a key issued or revoked by another process must count."""

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"points": {"type": "integer"}},
    "required": ["points"],
    "additionalProperties": False,
}


@pytest.fixture
async def changing(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose configuration the test edits."""
    async with house(simulator, tmp_path, settings(**UNSCANNED)) as running:
        yield running


async def _call(url: str, key: str, **more: object) -> tuple[int, dict[str, str]]:
    document = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Hello"}], **more}
    async with client(key) as session, session.post(f"{url}/v1/chat/completions", json=document) as answer:
        await answer.read()
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}


async def _metric(port: int, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def _edit(directory: Path, name: str, **changes: object) -> None:
    path = directory / name
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**tree, **changes}), encoding="utf-8")


BAD = {
    "not YAML": lambda directory: (directory / "gateway.yaml").write_text("region: [", encoding="utf-8"),
    "an unknown key": lambda directory: _edit(directory, "gateway.yaml", unheard_of=True),
    "a processor without a name": lambda directory: _edit(directory, "processors/simulated-openai.yaml", id=""),
    "no tenants": lambda directory: (directory / "tenants.yaml").unlink(),
    "a surface that is gone": lambda directory: (directory / "surfaces" / "openai.yaml").unlink(),
    "no callers": lambda directory: (directory / "callers.yaml").unlink(),
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_configuration_keeps_the_last_good(changing: Gateway, fault: str) -> None:
    """A reload that fails says so in the metric and the log, and the gateway serves as before."""
    application = changing.application
    _status, before = await _call(changing.url, changing.key)

    BAD[fault](changing.configuration)
    taken = await application.reload()

    status, after = await _call(changing.url, changing.key)
    assert taken is False
    assert status == 200
    assert after["x-gateway-policy"] == before["x-gateway-policy"]
    assert await _metric(application.operations_port, "gateway_last_reload_ok") == 0


async def test_a_bad_configuration_never_widens(changing: Gateway) -> None:
    """What one file of a bad configuration would newly allow stays refused, though that file is sound."""
    path = changing.configuration / "processors" / "simulated-openai.yaml"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    more = {"id": "gpt-new", "retention_class": "zero", "traits": {"prompt_cache": "explicit"}}
    path.write_text(json.dumps({**tree, "models": [*tree["models"], more]}), encoding="utf-8")
    _edit(changing.configuration, "gateway.yaml", unheard_of=True)

    taken = await changing.application.reload()
    refused, headers = await _call(changing.url, changing.key, model="gpt-new")

    gateway_yaml = changing.configuration / "gateway.yaml"
    sound = yaml.safe_load(gateway_yaml.read_text(encoding="utf-8"))
    gateway_yaml.write_text(json.dumps({k: v for k, v in sound.items() if k != "unheard_of"}), encoding="utf-8")
    mended = await changing.application.reload()
    allowed, _headers = await _call(changing.url, changing.key, model="gpt-new")

    assert (taken, refused, headers["x-gateway-code"]) == (False, 403, "model_not_allowed")
    assert (mended, allowed) == (True, 200)
    assert await _metric(changing.application.operations_port, "gateway_last_reload_ok") == 1


async def test_a_call_in_flight_keeps_the_configuration_it_began_with(changing: Gateway, simulator: Simulator) -> None:
    """A suspended processor takes no new call, and the one it serves goes on under the old policy."""
    _status, before = await _call(changing.url, changing.key)
    simulator.script(Scenario(delay=0.5))
    in_flight = asyncio.get_running_loop().create_task(_call(changing.url, changing.key))
    await simulator.witness.until(lambda: len(simulator.arrivals) == 2 and simulator.arrivals[1].body is not None)

    _edit(changing.configuration, "processors/simulated-openai.yaml", suspended=True)
    assert await changing.application.reload()
    refused, headers = await _call(changing.url, changing.key)

    status, kept = await in_flight
    assert (refused, headers["x-gateway-code"]) == (403, "processor_not_active")
    assert headers["x-gateway-policy"] != before["x-gateway-policy"]
    assert status == 200
    assert kept["x-gateway-policy"] == before["x-gateway-policy"]


async def test_a_credential_is_rotated_without_a_restart(
    changing: Gateway, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the file is looked at again, calls bear what it holds now; without that file none leaves."""
    monkeypatch.setattr("gateway.config.secrets.LOOK_AGAIN_SECONDS", 0.0)
    path = changing.configuration / "secrets" / "simulated"
    await _call(changing.url, changing.key)

    path.write_text("another-credential\n", encoding="ascii")
    await _call(changing.url, changing.key)
    path.unlink()
    refused, _headers = await _call(changing.url, changing.key)

    shown = [arrival.header("authorization") for arrival in simulator.arrivals]
    assert shown == [f"Bearer {CREDENTIAL}", "Bearer another-credential"]
    assert refused == 502


async def _until(url: str, key: str, status: int) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < PROMPTLY + 1:
        if (await _call(url, key))[0] == status:
            return loop.time() - began
        await asyncio.sleep(0.05)  # another process's change: there is no event to wait for
    return loop.time() - began


async def test_a_new_key_works_and_a_revoked_one_stops_promptly(changing: Gateway) -> None:
    """Issued and revoked in the state by another program, effective without restart or reload."""
    key = issue_key(changing.state, CALLER)
    issued = await _until(changing.url, key, 200)
    key_id = caller_key_id(key)
    assert key_id is not None
    KeyFile(changing.state).revoke(key_id, datetime.now(UTC))
    revoked = await _until(changing.url, key, 401)

    assert issued < PROMPTLY
    assert revoked < PROMPTLY
    assert (await _call(changing.url, changing.key))[0] == 200


async def test_a_key_that_comes_or_goes_is_recorded(changing: Gateway) -> None:
    """Each has its operator record, by the key's public id."""
    key_id = caller_key_id(issue_key(changing.state, CALLER))
    assert key_id is not None

    def seen() -> list[object]:
        return [line["enabled"] for line in records(changing.state) if line.get("key") == key_id]

    async with asyncio.timeout(10):
        while seen() != [True]:
            await asyncio.sleep(0.1)
        KeyFile(changing.state).revoke(key_id, datetime.now(UTC))
        while seen() != [True, False]:
            await asyncio.sleep(0.1)


async def test_an_approved_schema_is_in_force_without_a_restart(changing: Gateway) -> None:
    """A schema is refused until its file is there, and passes after."""
    wanted = {"type": "json_schema", "json_schema": {"name": "score", "strict": True, "schema": SCHEMA}}
    refused, headers = await _call(changing.url, changing.key, response_format=wanted)
    await approve_schema(changing, SCHEMA)  # type: ignore[arg-type]  # a dict of JSON values
    allowed, _headers = await _call(changing.url, changing.key, response_format=wanted)

    assert (refused, headers["x-gateway-code"]) == (403, "schema_not_approved")
    assert allowed == 200


async def test_the_checks_of_reload_can_fail(changing: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reload that takes nothing over, a suspended processor would still serve: the status tells."""

    async def nothing(_application: Application) -> bool:
        return True

    monkeypatch.setattr(Application, "reload", nothing)
    _edit(changing.configuration, "processors/simulated-openai.yaml", suspended=True)
    assert await changing.application.reload()

    assert (await _call(changing.url, changing.key))[0] == 200


async def test_sighup_reloads_a_good_configuration_and_keeps_on_with_a_bad_one(
    simulator: Simulator, tmp_path: Path
) -> None:
    """The signal does what `reload` does, and the log says which it was, without a value of the file."""
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
    key = issue_key(tmp_path / "state", CALLER)
    served = await serve(configuration, tmp_path)
    try:
        _status, before = await _call(served.url, key)
        _edit(configuration, "processors/simulated-openai.yaml", review_by="2035-06-01")
        served.signal(signal.SIGHUP)
        good = await _said(tmp_path / "stdout", "reload")
        _status, changed = await _call(served.url, key)
        (configuration / "gateway.yaml").write_text("region: quokka-secret\n]", encoding="utf-8")
        served.signal(signal.SIGHUP)
        bad = await _said(tmp_path / "stdout", "reload_failed")
        status, kept = await _call(served.url, key)

        assert good["policy"] == changed["x-gateway-policy"] != before["x-gateway-policy"]
        assert bad["faults"] == 1
        assert (status, kept["x-gateway-policy"]) == (200, changed["x-gateway-policy"])
        assert await _metric(served.operations_port, "gateway_last_reload_ok") == 0
        assert "quokka" not in (tmp_path / "stdout").read_text("utf-8") + (tmp_path / "stderr").read_text("utf-8")
    finally:
        await served.kill()


async def _said(out: Path, event: str) -> dict[str, object]:
    async with asyncio.timeout(10):
        while True:
            for line in out.read_bytes().splitlines():
                said: dict[str, object] = json.loads(line)
                if said["event"] == event:
                    return said
            await asyncio.sleep(0.02)  # another process's file: there is no event to wait for


async def test_a_suspension_counts_for_the_next_call(changing: Gateway) -> None:
    """A call that comes after the reload is refused; nothing that was found before is remembered."""
    before, _headers = await _call(changing.url, changing.key)

    _edit(changing.configuration, "processors/simulated-openai.yaml", suspended=True)
    taken = await changing.application.reload()

    after, headers = await _call(changing.url, changing.key)
    assert (before, taken, after, headers["x-gateway-code"]) == (200, True, 403, "processor_not_active")


async def test_a_notice_that_was_sent_is_in_the_record(changing: Gateway) -> None:
    """What the command wrote down becomes one operator record, once."""
    state = changing.configuration.parent / "state"
    sent = Sent("processor/simulated-openai", "simulated-openai", "ab" * 32, 3, datetime(2026, 11, 25, tzinfo=UTC))
    record_sent(state, sent)

    for _ in range(2):
        await changing.application._noting.all()

    noted = [line for line in records(state) if line.get("act") == "notice"]
    assert [(line["processor"], line["document"], line["told"]) for line in noted] == [
        ("simulated-openai", "ab" * 32, 3)
    ]


async def test_readiness_warns_of_an_end(changing: Gateway) -> None:
    """An agreement that ends within seven days is told beside the checks, and the gateway is ready all the same."""
    review = f"{datetime.now(UTC) + timedelta(days=6):%Y-%m-%d}"
    _edit(changing.configuration, "processors/simulated-openai.yaml", review_by=review)
    await changing.application.reload()

    port = changing.application.operations_port
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        told = await answer.json()

    assert (answer.status, told["ready"]) == (200, True)
    assert [words for words in told["warnings"] if "simulated-openai takes no more traffic within 7 days" in words]


async def test_reloads_take_their_turns(changing: Gateway) -> None:
    """Two that are asked for at once are both taken, one after the other, and the last one's words are in force."""
    _edit(changing.configuration, "processors/simulated-openai.yaml", suspended=True)

    taken = await asyncio.gather(*(changing.application.reload() for _ in range(3)))

    status, headers = await _call(changing.url, changing.key)
    assert (taken, status, headers["x-gateway-code"]) == ([True] * 3, 403, "processor_not_active")


async def test_the_registry_of_a_past_day_is_what_was_in_force_then(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`processors list --on` reads the configuration of that instant, whatever stands in today's files."""

    async def listed(at: datetime) -> tuple[int, dict[str, str], str]:
        capsys.readouterr()
        arguments = ["processors", "list", "--on", f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", "--json", "--config", str(directory)]
        code = await asyncio.to_thread(main, arguments)
        said = capsys.readouterr()
        rows = json.loads(said.out) if code == 0 else []
        return code, {row["processor"]: row["state"] for row in rows}, said.err

    began = datetime.now(UTC)
    async with house(simulator, tmp_path, settings(**UNSCANNED)) as gateway:
        directory = gateway.configuration
        started = datetime.now(UTC)
        entry = directory / "processors" / "simulated-openai.yaml"
        tree = yaml.safe_load(entry.read_text(encoding="utf-8"))
        entry.write_text(json.dumps({**tree, "suspended": "2026-01-01"}), encoding="utf-8")
        first = gateway.application._force.digest
        assert await gateway.application.reload()
        reloaded = datetime.now(UTC)
        entry.unlink()

        _code, before, words = await listed(started)
        assert (before["simulated-openai"], first[:16] in words) == ("active", True)
        assert (await listed(reloaded))[1]["simulated-openai"] == "suspended"
        code, none, words = await listed(began - timedelta(days=1))
        assert (code, none, "nothing was in force" in words) == (0, {}, True)
        assert "simulated-openai" not in (await listed(reloaded + timedelta(days=1)))[1]

        kept = gateway.state / "log" / "configurations" / f"{first}.json"
        kept.write_bytes(kept.read_bytes() + b" ")
        code, _none, words = await listed(started)
        assert (code, "is not in the state" in words) == (2, True)
