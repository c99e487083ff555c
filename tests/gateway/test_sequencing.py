"""The log's process beside the gateway: what is written last is in the log, even if the process is just starting again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from gateway.audit.evidence import open_evidence
from gateway.audit.log_store import LogReader
from gateway.audit.sequencing import Plan
from gateway.audit.verify import Policy, conclude, verify
from gateway.keys import Keyring
from gateway.sequencing import Sequencing
from gateway.simulator import Simulator
from tests.conftest import Gateway
from tests.houses import UNSCANNED, client, house, settings

BODY = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "How did it go?"}]}


async def _call(gateway: Gateway) -> None:
    url = f"{gateway.url}/v1/chat/completions"
    async with client(gateway.key) as session, session.post(url, json=BODY) as answer:
        await answer.read()
        assert answer.status == 200


async def test_a_stop_waits_for_a_process_that_is_just_starting_again(simulator: Simulator, tmp_path: Path) -> None:
    """It was killed, calls went on, and the gateway ends before the next one is there: all are in the log all the same."""
    async with house(simulator, tmp_path, settings(**UNSCANNED)) as gateway:  # type: ignore[arg-type]
        sequencing = gateway.application._sequencing
        await _call(gateway)
        async with asyncio.timeout(30):
            while sequencing.size == 0 or sequencing._process is None:
                await asyncio.sleep(0.02)
        sequencing._process.kill()
        async with asyncio.timeout(10):
            while sequencing._process is not None:
                await asyncio.sleep(0.005)
        for _ in range(3):
            await _call(gateway)
        state = gateway.state

    keyring, said = Keyring.open(state / "keys"), list[str]()
    with open_evidence(state, keyring) as evidence:
        run = verify(evidence, Policy(evidence.policy(keyring)))
    assert conclude(run, said.append) == 0, [line for line in said if "FAIL" in line]
    assert dict(run.facts()["totals"])["calls"] == 4
    with LogReader.read(state / "log", keyring.log_key()) as log:
        assert log.size > 8


def test_a_process_that_is_killed_while_its_claim_waits_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes the answer any more; on the loop that serves, writing to a process that is gone is an error."""
    program = tmp_path / "claims"
    program.write_text("#!/bin/sh\nread plan\necho claim 1 aa 0 bb\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr("gateway.sequencing.sys.executable", str(program))
    claims = 0

    async def killed_twice() -> None:
        again = asyncio.Event()

        async def claim(_old: str, _new: str) -> None:
            nonlocal claims
            claims += 1
            process = sequencing._process
            assert process is not None
            assert process.stdin is not None
            process.kill()
            while not process.stdin.transport.is_closing():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # closed it is in a turn after that
            if claims == 2:
                again.set()

        sequencing = Sequencing(Plan("", "", "", "", "", fenced=True), lambda _event: None, claim)
        sequencing.start()
        async with asyncio.timeout(20):
            await again.wait()
        sequencing.forbid()
        await sequencing.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(killed_twice())

    assert claims == 2
