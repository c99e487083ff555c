"""A provider in trouble, and another that has the model: the call goes there if that is configured, and only then."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.app import Application
from gateway.audit.evidence import open_evidence
from gateway.audit.verify import Policy, conclude, verify
from gateway.keys import Keyring
from gateway.simulator import CREDENTIAL, Fault, Scenario, Simulator
from tests.configuration import PURPOSE, TENANT, entry, issue_key, write_configuration
from tests.conftest import Gateway
from tests.houses import UNSCANNED, client, records, settings, unaccounted
from tests.redis_server import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "gpt-simulated"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "How did it go?"}]}
EVERYTHING = ["unreachable", "left_alone", 429, 503, 529]
ORDER = ("simulated-a", "simulated-b", "simulated-c")
"""Entries with the same countries are taken in the order of their names."""


def switched(*after: object, **more: object) -> dict[str, Any]:
    """Settings with failover on for the tests' purpose."""
    failover: dict[str, object] = {"purposes": [PURPOSE], **({"after": list(after)} if after else {})}
    return settings(failover=[failover], **{**UNSCANNED, **more})  # type: ignore[arg-type]


@dataclass
class World:
    """A gateway with several entries for one model, each with a provider of its own."""

    gateway: Gateway
    providers: list[Simulator]
    heads: list[Any] = field(default_factory=list)
    seen: int = 0

    async def call(self, *, stream: bool = False, **headers: str) -> tuple[int, bytes]:
        """One call; status and body. Its headers are the last of `heads`."""
        url = f"{self.gateway.url}/v1/chat/completions"
        async with (
            client(self.gateway.key) as session,
            session.post(url, json={**BODY, "stream": stream}, headers=headers) as answer,
        ):
            self.heads.append(answer.headers)
            return answer.status, await answer.read()

    @property
    def served(self) -> str | None:
        """Which entry answered last."""
        found = self.heads[-1].get("x-gateway-processor")
        return None if found is None else str(found)

    def arrivals(self) -> list[int]:
        """How many calls came to each provider."""
        return [len(provider.arrivals) for provider in self.providers]

    async def told(self) -> list[tuple[str, int, str | None, str | None]]:
        """What the record says since the last look: (kind, attempt, processor, result), once it is whole."""
        async with asyncio.timeout(10):
            while unaccounted(records(self.gateway.state)):
                await asyncio.sleep(0.02)
        ours = [line for line in records(self.gateway.state) if line["kind"] in {"intent", "outcome", "refusal"}]
        seen, self.seen = self.seen, len(ours)
        return [(line["kind"], line["attempt"], line.get("processor"), line.get("result")) for line in ours[seen:]]


@asynccontextmanager
async def world(
    folder: Path,
    chosen: dict[str, Any],
    *,
    down: frozenset[int] = frozenset(),
    names: tuple[str, ...] = ORDER,
    closed: Mapping[str, dict[str, object]] | None = None,
) -> AsyncIterator[World]:
    """Entries with the model, and a provider each; nobody listens at those in `down`.

    `closed` are more entries, all at the second provider, with keys that keep calls from them.
    """
    async with Simulator() as first, Simulator() as second, Simulator() as third:
        providers = [first, second, third]
        configuration = write_configuration(folder, first.port, CREDENTIAL, settings=chosen)
        (configuration / "processors" / "simulated-openai.yaml").unlink()
        ports = [free_port() if number in down else each.port for number, each in enumerate(providers)]
        entries = {name: entry("openai", f"http://127.0.0.1:{port}", [MODEL], name=name)
                   for name, port in zip(names, ports, strict=False)}  # fmt: skip
        for name, keys in (closed or {}).items():
            entries[name] = {**entry("openai", second.url, [MODEL], name=name), **keys}
        for name, tree in entries.items():
            (configuration / "processors" / f"{name}.yaml").write_text(json.dumps(tree))
        key = issue_key(folder / "state")
        application = Application(configuration, folder / "state", stream=io.BytesIO())
        await application.start()
        try:
            yield World(Gateway(application, configuration, folder / "state", key, key), providers)
        finally:
            await application.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One with everything switched on."""
    async with world(tmp_path_factory.mktemp("world"), switched(*EVERYTHING)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def at(lasting: World) -> World:
    """The same, whose providers have seen nothing yet."""
    for provider in lasting.providers:
        provider.reset()
    await lasting.told()
    return lasting


A, B, C = ORDER


@pytest.mark.parametrize(
    ("status", "result"),
    [(429, "refused_by_provider"), (503, "upstream_failed"), (529, "upstream_failed")],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_an_answer_that_is_named_leads_on(at: World, status: int, result: str, stream: bool) -> None:
    """The caller gets the other entry's answer; each attempt has its own intent and outcome."""
    at.providers[0].script(Scenario(status=status))
    got, body = await at.call(stream=stream)

    assert (got, at.served, at.arrivals()) == (200, B, [1, 1, 0])
    assert b"[DONE]" in body or not stream
    assert await at.told() == [
        ("intent", 0, A, None),
        ("outcome", 0, A, result),
        ("intent", 1, B, None),
        ("outcome", 1, B, "completed"),
    ]


async def test_an_entry_that_cannot_be_reached_leads_on(tmp_path: Path) -> None:
    """The attempt that reached nobody is recorded as one that sent no byte, and the next entry is asked."""
    async with world(tmp_path, switched(), down=frozenset({0, 1})) as at:
        got, _body = await at.call()

        assert (got, at.served, at.arrivals()) == (200, C, [0, 0, 1])
        assert [line[1:] for line in await at.told() if line[0] == "outcome"] == [
            (0, A, "upstream_failed"),
            (1, B, "upstream_failed"),
            (2, C, "completed"),
        ]


async def test_an_entry_that_is_left_alone_is_passed_over(tmp_path: Path) -> None:
    """Once the breaker is open nothing is tried there, so the record has one attempt, at the other entry."""
    chosen = switched("left_alone", upstream={"failures": 1, "pause_seconds": 60})
    async with world(tmp_path, chosen, down=frozenset({0})) as at:
        assert (await at.call())[0] == 502
        got, _body = await at.call()

        assert (got, at.served) == (200, B)
        assert (await at.told())[2:] == [("intent", 0, B, None), ("outcome", 0, B, "completed")]


async def test_an_entry_that_asked_for_patience_is_passed_over(tmp_path: Path) -> None:
    """A provider's 429 with seconds sends everybody elsewhere for so long, after one call was told of it."""
    async with world(tmp_path, switched("left_alone", upstream={"heed_retry_after": True})) as at:
        at.providers[0].script(Scenario(status=429, headers={"retry-after": "40"}))

        assert [(await at.call())[0], (await at.call())[0]] == [429, 200]
        assert at.arrivals() == [1, 1, 0]


@pytest.mark.parametrize(
    ("scenario", "status"),
    [
        (Scenario(status=500), 500),
        (Scenario(status=502), 502),
        (Scenario(status=400), 400),
        (Scenario(fault=Fault.DIE_BEFORE_HEAD), 502),
        (Scenario(fault=Fault.DIE_MID_BODY), 502),
        (Scenario(fault=Fault.MALFORMED), 502),
    ],
    ids=["500", "502", "400", "no head", "half a body", "malformed"],
)
async def test_what_may_have_been_worked_on_is_never_sent_again(at: World, scenario: Scenario, status: int) -> None:
    """Whatever is switched on: the caller gets that error, and no other provider sees the call."""
    at.providers[0].script(scenario)
    got, _body = await at.call()

    assert (got, at.arrivals()) == (status, [1, 0, 0])
    assert len(await at.told()) == 2


async def test_a_stream_that_has_begun_is_never_begun_again(at: World) -> None:
    """An error in the middle ends it with the wire's own event, and nobody else is asked."""
    at.providers[0].script(Scenario(fault=Fault.DIE_MID_STREAM))
    got, body = await at.call(stream=True)

    assert (got, at.arrivals()) == (200, [1, 0, 0])
    assert b"[DONE]" not in body


async def test_a_caller_that_narrowed_the_call_stays_there(at: World) -> None:
    """`x-gateway-processor` never widens."""
    at.providers[0].script(Scenario(status=503))

    assert (await at.call(**{"x-gateway-processor": A}))[0] == 503
    assert at.arrivals() == [1, 0, 0]


async def test_each_entry_is_asked_once_and_the_last_ones_error_is_the_answer(at: World) -> None:
    """All three say no: three attempts, all counted, and the third one's answer."""
    before = at.gateway.application._metrics.render().decode()
    for provider, status in zip(at.providers, (429, 503, 429), strict=True):
        provider.script(Scenario(status=status, headers={"retry-after": "3"}), model=MODEL)

    assert ((await at.call())[0], at.served, at.arrivals()) == (429, C, [1, 1, 1])
    assert len(await at.told()) == 6
    after = at.gateway.application._metrics.render().decode()
    for processor, result in ((A, "refused_by_provider"), (B, "upstream_failed"), (C, "refused_by_provider")):
        counted = f'gateway_upstream_results_total{{processor="{processor}",result="{result}"}} '
        was, now = (float(page.partition(counted)[2].partition("\n")[0] or 0) for page in (before, after))
        assert now == was + 1


async def test_a_caller_that_leaves_during_the_second_attempt_leaves_nothing_open(at: World) -> None:
    """It is closed as aborted, and nothing is asked of the third."""
    at.providers[0].script(Scenario(status=503))
    at.providers[1].script(Scenario(fault=Fault.STALL_BEFORE_HEAD))
    running = asyncio.ensure_future(at.call())
    await at.providers[1].witness.until(lambda: at.providers[1].witness.open == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [line[3] for line in await at.told() if line[0] == "outcome"] == ["upstream_failed", "aborted_by_caller"]
    assert at.arrivals() == [1, 1, 0]


async def test_an_entry_that_was_halted_meanwhile_is_no_way_out(at: World) -> None:
    """The judgement is of that instant: what read-backs or trials stopped since the call began counts."""
    at.providers[0].script(Scenario(status=429, delay=0.3))
    running = asyncio.ensure_future(at.call())
    await at.providers[0].witness.until(lambda: at.providers[0].witness.open == 1)
    at.gateway.application._halts.halt(B)
    try:
        assert ((await running)[0], at.arrivals()) == (200, [1, 0, 1])
    finally:
        at.gateway.application._halts.release(B)


@pytest.mark.parametrize(
    "failover",
    [
        pytest.param([], id="nothing"),
        pytest.param(
            [
                {"purposes": [PURPOSE]},
                {"purposes": [PURPOSE], "after": [503, 529]},
                {"purposes": ["coaching_feedback"], "after": [429]},
                {"purposes": [PURPOSE], "tenants": ["t-eu01"], "after": [429]},
            ],
            id="other troubles, purposes and tenants",
        ),
    ],
)
async def test_it_is_off_unless_it_is_named(tmp_path: Path, failover: list[object]) -> None:
    """The provider's own error passes on, as without it."""
    async with world(tmp_path, settings(failover=failover, **UNSCANNED)) as at:  # type: ignore[arg-type]
        at.providers[0].script(Scenario(status=429))

        assert ((await at.call())[0], at.arrivals()) == (429, [1, 0, 0])
        assert "x-gateway-code" not in at.heads[-1]


async def test_it_may_be_on_for_one_tenant(tmp_path: Path) -> None:
    """Named with the purpose."""
    chosen = settings(failover=[{"purposes": [PURPOSE], "tenants": [TENANT], "after": [429]}], **UNSCANNED)  # type: ignore[arg-type]
    async with world(tmp_path, chosen) as at:
        at.providers[0].script(Scenario(status=429))

        assert ((await at.call())[0], at.served) == (200, B)


_AGREEMENT: dict[str, object] = entry("openai", "http://127.0.0.1:1", [MODEL])["agreements"][0]  # type: ignore[index]
_NOT_GRANTED: dict[str, dict[str, object]] = {
    "simulated-b-abroad": {"countries": {"processing": ["US"]}},
    "simulated-b-ended": {"agreements": [{**_AGREEMENT, "valid_until": "2026-02-01"}]},
    "simulated-b-suspended": {"suspended": True},
    "simulated-b-unreviewed": {"review_by": "2026-01-02"},
}


async def test_only_where_the_judge_grants_it_anew(tmp_path: Path) -> None:
    """Entries that this tenant's call may not go to are no way out; the one behind them is."""
    names = (A, "simulated-unused", C)
    async with world(tmp_path, switched(429), names=names, closed=_NOT_GRANTED) as at:
        for provider in (at.providers[0], at.providers[2]):
            provider.script(Scenario(status=429, headers={"retry-after": "7"}))
        (at.gateway.configuration / "processors" / "simulated-unused.yaml").unlink()
        assert await at.gateway.application.reload()

        assert ((await at.call())[0], at.served, at.arrivals()) == (429, C, [1, 0, 1])
        assert at.heads[-1]["retry-after"] == "7"


async def test_every_attempt_is_cleaned_and_the_log_verifies(tmp_path: Path) -> None:
    """What the second provider gets is redacted like the first's, forced like it, and one log proves both."""
    chosen = settings(failover=[{"purposes": [PURPOSE], "after": [503]}])
    async with world(tmp_path, chosen) as at:
        at.providers[0].script(Scenario(status=503))
        url = f"{at.gateway.url}/v1/chat/completions"
        said = {"model": MODEL, "messages": [{"role": "user", "content": "She was diagnosed with leukaemia."}]}
        async with client(at.gateway.key) as session, session.post(url, json=said) as answer:
            await answer.read()
            assert answer.status == 200
            assert answer.headers["x-gateway-redactions"] == "HEALTH=1"
        documents = [provider.arrivals[0].document for provider in at.providers[:2]]
        state = at.gateway.state

    assert documents[0] == documents[1]
    assert "leukaemia" not in json.dumps(documents)
    assert documents[1]["store"] is False
    keyring = Keyring.open(state / "keys")
    lines: list[str] = []
    with open_evidence(state, keyring) as evidence:
        run = verify(evidence, Policy(evidence.policy(keyring)))
    assert conclude(run, lines.append) == 0, [line for line in lines if "FAIL" in line]
    totals = dict(run.facts()["totals"])
    assert (totals["calls"], totals["attempts"]) == (1, 2)


async def test_a_processors_places_go_back_when_the_call_goes_elsewhere(tmp_path: Path) -> None:
    """The entry that did not serve it is not charged for it; the other is; the caller is charged once."""
    limits = {"processor": {"in_flight": 1, "tokens_per_minute": 1000}, "tenant": {"per_minute": 100}}
    async with world(tmp_path, switched(503, limits=limits)) as at:
        at.providers[0].script(Scenario(status=503))
        assert (await at.call())[0] == 200
        rows = at.gateway.application._quotas._rows  # type: ignore[attr-defined]

        assert {key: (row.calls, row.used > 0) for key, row in rows.items()} == {
            f"processor:{A}": (0, False),
            f"processor:{B}": (0, True),
            f"tenant:{TENANT}": (0, True),
        }
        assert rows[f"tenant:{TENANT}"].requests == pytest.approx(99, abs=0.9)
        assert at.gateway.application._relay._limits.in_flight == 0
