"""From the callers' side to the auditor's: what real clients did is in a pack that an outsider verifies."""

from __future__ import annotations

import asyncio
import json
import shutil
import zipfile
from pathlib import Path

import openai
import pytest

from gateway.audit import verify
from gateway.audit.evidence import open_evidence, own_policy
from gateway.audit.report import Period, build
from gateway.cli import main
from gateway.keys import Keyring
from gateway.simulator import Simulator
from gateway.simulator.small import OPENAI_MODELS
from tests.conftest import serving


async def test_calls_of_a_stock_client_are_in_a_pack_that_holds(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Allowed, streamed and refused calls, a restart between them; then every assertion holds of the state and the pack."""
    model = OPENAI_MODELS[0]
    for _start in range(2):
        shutil.rmtree(tmp_path / "config", ignore_errors=True)
        async with (
            serving(simulator, tmp_path) as gateway,
            openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client,
        ):
            ask = [{"role": "user", "content": "Summarise the call."}]
            await client.chat.completions.create(model=model, messages=ask)  # type: ignore[call-overload]
            stream = await client.chat.completions.create(model=model, messages=ask, stream=True)  # type: ignore[call-overload]
            assert [chunk async for chunk in stream]
            for extra in ({"unheard_of": 1}, {"user": "x" * 5}):
                try:
                    await client.chat.completions.create(model=model, messages=ask, extra_body=extra)  # type: ignore[call-overload]
                except openai.APIStatusError as refused:
                    assert refused.status_code in {400, 403}
            state = gateway.state
    keyring = Keyring.open(state / "keys")

    with open_evidence(state, keyring) as evidence:
        policy = verify.Policy(own_policy(evidence.origin, keyring))
        built = await asyncio.to_thread(build, evidence, keyring, tmp_path / "pack.zip", Period(), 0)
    assert built.failed == ()
    run = verify.verify(verify.Pack(str(tmp_path / "pack.zip")), policy)
    assert [held.first for held in run.a.values() if held.failed] == []
    facts = run.facts()
    assert facts["totals"]["uncovered"] == facts["totals"]["open"] == 0
    assert facts["totals"]["boots"] == 2
    assert facts["totals"]["attempts"] >= 4
    assert facts["totals"]["refused"] >= 2
    with zipfile.ZipFile(tmp_path / "pack.zip") as opened:
        whole = b"".join(opened.read(name) for name in opened.namelist())
        assert json.loads(opened.read("report.json"))["facts"]["totals"] == facts["totals"]
    assert b"Summarise the call" not in whole
    assert b"unheard_of" not in whole
    export = ["audit", "export", "--config", str(tmp_path / "config"), "--format", "ocsf"]
    capsys.readouterr()
    assert main(export) == main([*export, "--after", str(facts["totals"]["boots"])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[run.index :] == lines[3 : run.index]
