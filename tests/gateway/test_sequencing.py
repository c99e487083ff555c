"""The log's process beside the gateway: what is written last is in the log, even if the process is just starting again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.audit.evidence import open_evidence
from gateway.audit.log_store import LogReader
from gateway.audit.verify import Policy, conclude, verify
from gateway.keys import Keyring
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
