"""More calls than may be: refused at once, cheaply and accountably, while those within their limits are served."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import pytest

from gateway.audit.evidence import open_evidence
from gateway.audit.verify import Policy, conclude, verify
from gateway.keys import Keyring
from gateway.simulator import Scenario, Simulator
from tests.bench.load import Target
from tests.bench.provider import PLAIN
from tests.bench.subjects import LOAD_CORE, PROXY_CORE, Subject, free_port, provider
from tests.configuration import CALLER, MANY, PURPOSE, TENANT, issue_key, write_configuration
from tests.houses import UNSCANNED, client, house, records, settings, unaccounted
from tests.loads import Measured, Requests, closed, opened, together

BODY = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "How did it go?"}]}


async def _flood(url: str, key: str, count: int) -> Counter[int]:
    """So many calls, eight at a time; how they were answered."""
    answers: Counter[int] = Counter()
    left = iter(range(count))

    async def call() -> None:
        for _ in left:
            async with session.post(f"{url}/v1/chat/completions", json=BODY) as answer:
                await answer.read()
                answers[answer.status] += 1

    async with client(key) as session, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(call())
    return answers


async def test_each_refusal_for_a_limit_is_one_record(simulator: Simulator, tmp_path: Path) -> None:
    """However many there are, none is left out, and every call is accounted for in a log that verifies."""
    async with house(simulator, tmp_path, settings(limits={"caller_per_minute": 3}, **UNSCANNED)) as gateway:
        answers = await _flood(gateway.url, gateway.key, 63)
        state = gateway.state

    lines = records(state)
    refused = [line for line in lines if line["kind"] == "refusal"]
    assert answers == Counter({200: 3, 429: 60})
    assert [line["code"] for line in refused] == ["rate_limited"] * 60
    assert unaccounted(lines) == []
    _assert_verified(state)


async def test_calls_that_find_every_place_taken_are_counted_and_recorded_by_the_minute(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Turned away before anybody asks whose they are, in the wire's own form, and told in one record with their number."""
    simulator.script(Scenario(delay=1.0), model="gpt-simulated", count=1)
    async with house(simulator, tmp_path, settings(limits={"in_flight": 1}, **UNSCANNED)) as gateway:
        held = asyncio.ensure_future(_flood(gateway.url, gateway.key, 1))
        await simulator.witness.until(lambda: simulator.witness.open == 1)
        said = []
        async with client("nobody's key") as session:
            for path in ("/v1/chat/completions", "/v1/messages", "/nowhere"):
                async with session.post(f"{gateway.url}{path}", json=BODY) as answer:
                    assert (answer.status, answer.headers["x-gateway-code"]) == (503, "overloaded")
                    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
                    said.append((await answer.json(), answer.headers["x-gateway-call-id"]))
            async with session.head(gateway.url) as answer:
                assert (answer.status, await answer.read()) == (503, b"")
            async with session.post(f"{gateway.url}/v1/messages", headers={"Upgrade": "h2c"}, json=BODY) as answer:
                assert (answer.status, answer.headers["connection"]) == (400, "close")
        await held
        url = f"http://127.0.0.1:{gateway.application.operations_port}/metrics"
        async with client("") as session, session.get(url) as answer:
            metrics = await answer.text()
        state = gateway.state

    assert "gateway_turned_away_total 4.0" in metrics
    assert said[0][0]["error"]["code"] == said[1][0]["error"]["details"]["error_code"] == "overloaded"
    assert len({call for _body, call in said}) == 3
    lines = records(state)
    acts = [line for line in lines if line.get("act") == "unauthenticated"]
    assert [(line["refused"], line["count"]) for line in acts] == [(0, 4)]
    assert unaccounted(lines) == []
    _assert_verified(state)


def _assert_verified(state: Path) -> None:
    keyring, said = Keyring.open(state / "keys"), list[str]()
    with open_evidence(state, keyring) as evidence:
        run = verify(evidence, Policy(evidence.policy(keyring)))
    assert conclude(run, said.append) == 0, [line for line in said if "FAIL" in line]


async def test_beyond_capacity_is_refused_at_once_and_others_pass_when_there_is_room(
    simulator: Simulator, tmp_path: Path
) -> None:
    """With every place taken a call gets 503 with `retry-after`, nothing waits in a queue; then it passes."""
    simulator.script(Scenario(delay=1.0), model="gpt-simulated", count=2)
    async with house(simulator, tmp_path, settings(limits={"in_flight": 2}, **UNSCANNED)) as gateway:
        held = [asyncio.ensure_future(_flood(gateway.url, gateway.key, 1)) for _ in range(2)]
        await simulator.witness.until(lambda: simulator.witness.open == 2)
        async with client(gateway.key) as session:
            began = time.monotonic()
            async with session.post(f"{gateway.url}/v1/chat/completions", json=BODY) as answer:
                body, took = await answer.json(), time.monotonic() - began
        assert (answer.status, body["error"]["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert took < 0.9, "it waited for a place"
        await asyncio.gather(*held)

        assert await _flood(gateway.url, gateway.key, 1) == Counter({200: 1})


# --- the full dose: figures of a gateway on one core, the load and the provider on the other -----------------


_MEMORY = "/dev/shm"  # noqa: S108  # a folder of its own in it


@asynccontextmanager
async def _subject(upstream: int, limits: dict[str, object], callers: dict[str, object], where: str | None = None):  # type: ignore[no-untyped-def]
    """A gateway with the redactor on, pinned to one core, its state somewhere; its two callers' targets."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        port, operations = free_port(), free_port()
        chosen: dict[str, object] = {
            "listen": {"port": port}, "operations": {"port": operations}, "limits": limits, "redaction": {},
        }  # fmt: skip
        directory = write_configuration(Path(folder), upstream, "soak", openai_models=(PLAIN,), settings=chosen)
        (directory / "secrets" / "simulated").write_text("bench-credential\n")
        own = {"tenants": [TENANT], "purposes": [PURPOSE]}
        listed = {CALLER: {**own, **callers.get(CALLER, {})}, MANY: {**own, **callers.get(MANY, {})}}  # type: ignore[dict-item]
        (directory / "callers.yaml").write_text(json.dumps({"callers": {**listed, "grants-holder": own}}))
        keys = [issue_key(Path(folder) / "state", name) for name in (CALLER, MANY)]
        argv = (sys.executable, "-m", "gateway", "serve", "--config", str(directory))
        targets = [Target(port, (("authorization", f"Bearer {key}"),)) for key in keys]
        subject = Subject("gateway", argv, targets[0], (operations, "/readyz"))
        await subject.start(PROXY_CORE, 120)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {LOAD_CORE})  # or the load would take from what it measures
        try:
            yield subject, targets
        finally:
            os.sched_setaffinity(0, before)
            await subject.stop()


@pytest.mark.soak
async def test_goodput_at_three_times_the_load() -> None:
    """Peak and overload in turn: how much of the peak is left, and how soon the rest is told.

    In short turns, and many: whoever else uses the machine takes from some of either. Three times the load is three
    times the median peak so far.
    """
    upstream = provider()
    await upstream.start(LOAD_CORE)
    limits = {"caller_per_minute": 10_000_000, "caller_in_flight": 48, "in_flight": 48}
    parts, peaks, turned, held = list[float](), list[float](), list[float](), list[float]()
    try:
        async with _subject(upstream.target.port, limits, {}) as (subject, targets):
            requests = Requests(targets[0])
            await closed(targets[0], requests, 32, 3.0)
            held.append(subject.memory())
            for _ in range(20):
                peak = await closed(targets[0], requests, 32, 2.0)
                peaks.append(peak.goodput)
                flood = await opened(targets[0], requests, 3 * median(peaks), 2.0)
                parts.append(flood.goodput / peak.goodput)
                turned.append(flood.percentile(0.99, of="turned"))
                print(
                    f"\npeak {peak.goodput:.0f}/s p99 {peak.percentile(0.99):.0f} ms; offered three times that: "
                    f"served {flood.goodput:.0f}/s p99 {flood.percentile(0.99):.0f} ms, {dict(flood.answers)}, "
                    f"refused within p50 {flood.percentile(0.5, of='turned'):.0f} p99 {turned[-1]:.0f} ms"
                )
                await asyncio.sleep(0.3)  # the connections of the flood are gone
            held.append(subject.memory())
    finally:
        await upstream.stop()
    print(f"goodput of peak: median {median(parts):.2f}, {min(parts):.2f} to {max(parts):.2f}; "
          f"memory {held[1] / held[0]:.2f} of before")  # fmt: skip
    assert set(flood.answers) <= {200, 429, 503}
    assert median(parts) > 0.9


@pytest.mark.soak
async def test_one_caller_at_ten_times_its_limit() -> None:
    """Another's calls alone, and beside a caller who sends ten times what it may, in turn.

    The state is in memory: a shared disk that pauses now and then would decide the 99th percentile of either.
    """
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    upstream = provider()
    await upstream.start(LOAD_CORE)
    limits = {"caller_per_minute": 10_000_000, "caller_in_flight": 10_000, "in_flight": 10_000}
    callers = {MANY: {"limits": {"per_minute": 600}}}  # ten a second, and it sends a hundred
    try:
        async with _subject(upstream.target.port, limits, callers, memory) as (_running, (usual, greedy)):
            ours, theirs = Requests(usual), Requests(greedy)
            await opened(usual, ours, 40, 3.0)
            alone, beside, quiet = list[Measured](), list[Measured](), list[Measured]()
            for _ in range(8):
                alone.append(await opened(usual, ours, 40, 5.0))
                while not (await closed(greedy, theirs, 4, 0.5)).answers[429]:
                    pass  # what it had left of its minute
                both = await asyncio.gather(opened(usual, ours, 40, 5.0), opened(greedy, theirs, 100, 5.0))
                beside.append(both[0])
                # What the ten calls a second that it may make cost the other, without the ninety that it may not.
                fair = await asyncio.gather(opened(usual, ours, 40, 5.0), opened(greedy, theirs, 10, 5.0))
                quiet.append(fair[0])
                print(f"\ngreedy: {dict(both[1].answers)}, usual {dict(both[0].answers)}")
    finally:
        await upstream.stop()
    for part in (0.5, 0.99):
        figures = [together(which).percentile(part) for which in (alone, quiet, beside)]
        print(f"p{part * 100:.0f} of the other: alone {figures[0]:.1f}, beside one within its limit {figures[1]:.1f}, "
              f"at ten times it {figures[2]:.1f} ms: {figures[2] / figures[1]:.2f} of that, "
              f"{figures[2] / figures[0]:.2f} of alone")  # fmt: skip
    # Round by round: one pause of a shared machine would else decide the 99th percentile of all rounds together.
    raised = [one.percentile(0.99) / other.percentile(0.99) for one, other in zip(beside, alone, strict=True)]
    print(
        f"p99 at ten times it, of alone, by the round: median {median(raised):.2f}, {min(raised):.2f} to {max(raised):.2f}"
    )
    assert all(set(each.answers) == {200} for each in beside)
    assert median(raised) <= 1.2
