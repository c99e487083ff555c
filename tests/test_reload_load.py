"""Reloads under load: no call fails, none waits, and each is judged by one configuration from end to end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import yaml

from gateway.force import in_force
from gateway.passage import InForce
from gateway.simulator import Simulator
from tests.configuration import TENANT
from tests.conftest import Gateway
from tests.houses import UNSCANNED, client, house, records, settings, unaccounted, unwitnessed

CLIENTS = 8
TWINS = ("simulated-a", "simulated-b")


async def reload_under_load(gateway: Gateway, simulator: Simulator, seconds: float) -> dict[str, float]:
    """Two configurations take turns while clients call.

    Under each the model is at one processor alone, and that processor's agreement has that configuration's name: so a
    call that took its route from one and its digest from the other would show a pair that never was.
    """
    application, directory = gateway.application, gateway.configuration
    entry = yaml.safe_load((directory / "processors" / "simulated-openai.yaml").read_text(encoding="utf-8"))
    (directory / "processors" / "simulated-openai.yaml").unlink()
    loop = asyncio.get_running_loop()
    stop, pairs, faults = asyncio.Event(), Counter[tuple[str, str]](), list[str]()
    expected: dict[str, str] = {}

    async def turn(number: int) -> None:
        name = TWINS[number % 2]
        tree = {**entry, "id": name, "agreements": [{**entry["agreements"][0], "id": f"{name}-2026"}]}
        for other in TWINS:
            (directory / "processors" / f"{other}.yaml").unlink(missing_ok=True)
        (directory / "processors" / f"{name}.yaml").write_text(json.dumps(tree), encoding="utf-8")
        assert await application.reload()
        expected[application._force.digest] = name

    async def call(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            document = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Hello"}]}
            async with session.post(f"{gateway.url}/v1/chat/completions", json=document) as answer:
                body = await answer.read()
                if answer.status != 200:
                    faults.append(f"{answer.status} {body[:80]!r}")
                    continue
                pairs[answer.headers["x-gateway-policy"], answer.headers["x-gateway-processor"]] += 1

    await turn(0)
    reloads, ends = 1, loop.time() + seconds
    async with client(gateway.key) as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(call(session))
        while loop.time() < ends:
            await turn(reloads)
            reloads += 1
            await asyncio.sleep(0.05)  # so that calls pass between two reloads, too
        stop.set()

    assert faults == []
    assert set(pairs) <= {(digest[:16], name) for digest, name in expected.items()}
    assert len(pairs) == 2
    written = records(gateway.state)
    judged = {
        (line["configuration"], line["processor"], line["agreement"]) for line in written if line["kind"] == "intent"
    }
    assert judged == {(digest, name, f"{name}-2026") for digest, name in expected.items()}
    assert unaccounted(written) == []
    assert unwitnessed(simulator, gateway.state, TENANT) == []
    return {"calls": pairs.total(), "reloads": reloads}


async def test_reloads_under_load(simulator: Simulator, tmp_path: Path) -> None:
    """Some seconds of reloads, one after the other, and calls all the while."""
    async with house(simulator, tmp_path, settings(**UNSCANNED)) as gateway:
        done = await reload_under_load(gateway, simulator, 5.0)

    assert done["reloads"] >= 5
    assert done["calls"] >= 50


@pytest.mark.soak
async def test_a_minute_of_reloads_under_load(simulator: Simulator, tmp_path: Path) -> None:
    """The full dose."""
    async with house(simulator, tmp_path, settings(**UNSCANNED)) as gateway:
        done = await reload_under_load(gateway, simulator, 60.0)

    print(f"\n{done['calls']:.0f} calls, {done['reloads']:.0f} reloads, none failed")


async def test_a_mixture_would_show(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose digest is of another configuration than its route is found by the test above."""
    async with house(simulator, tmp_path, settings(**UNSCANNED)) as gateway:
        first = gateway.application._force.digest

        def stale(*arguments: object) -> InForce:
            from dataclasses import replace  # noqa: PLC0415

            return replace(in_force(*arguments), digest=first)  # type: ignore[arg-type]

        monkeypatch.setattr("gateway.app.in_force", stale)
        with pytest.raises(AssertionError):
            await reload_under_load(gateway, simulator, 1.0)
