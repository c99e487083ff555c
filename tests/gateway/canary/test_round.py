"""Trials of the controls: what holds passes and is recorded; each control that is broken is found out and stops its route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace as changed

from gateway.audit.ledger import Ledger
from gateway.audit.words import Verdict
from gateway.canary import round as rounds
from gateway.canary.round import Result
from gateway.canary.texts import FINDINGS, leaks, missing, texts
from gateway.cli import main
from gateway.errors import Code, Refused, Unavailable
from gateway.exchange import Admission
from gateway.passage import Passage
from gateway.policy.surface import Surface
from gateway.redaction.redactor import Cleaned, Redactor
from gateway.simulator import Simulator
from providers import PROVIDERS
from providers.trials import REFUSED, TRIALS, filled
from tests.conftest import Gateway
from tests.houses import client, records

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Hello"}]}


async def played(gateway: Gateway) -> dict[str, Result]:
    """One round over everything in use."""
    return {result.processor: result for result in await gateway.application._canary.play()}


async def called(gateway: Gateway) -> str:
    """One call of the first wire: `x-gateway-code`, or `ok`."""
    async with client(gateway.key) as session, session.post(f"{gateway.url}/v1/chat/completions", json=CHAT) as answer:
        await answer.read()
        return answer.headers.get("x-gateway-code", "ok")


async def ready(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    """Readiness: status and document."""
    url = f"http://127.0.0.1:{gateway.application.operations_port}/readyz"
    async with client("") as session, session.get(url) as answer:
        return answer.status, dict(await answer.json())


def acts(gateway: Gateway) -> list[dict[str, Any]]:
    """The canaries of the record."""
    return [dict(line) for line in records(gateway.state) if line.get("act") == "canary"]


@pytest_asyncio.fixture(loop_scope="module")
async def well(lasting_gateway: Gateway) -> AsyncIterator[Gateway]:
    """The gateway, before and after well: a test that breaks something must not leave it so."""
    yield lasting_gateway
    if not lasting_gateway.application._canary.well:
        await played(lasting_gateway)
    assert lasting_gateway.application._canary.well


async def test_the_controls_hold_on_every_route(well: Gateway, lasting_simulator: Simulator) -> None:
    """Both wires, each operation, plain and streamed: nothing telling arrived, nothing reached a provider, all is recorded."""
    lasting_simulator.reset()
    results = await played(well)

    assert {name: (result.verdict, result.faults) for name, result in results.items()} == {
        "simulated-openai": (Verdict.PASS, []), "simulated-anthropic": (Verdict.PASS, []),
    }  # fmt: skip
    assert lasting_simulator.arrivals == []
    last = {act["processor"]: act for act in acts(well)[-2:]}
    assert {name: act["count"] for name, act in last.items()} == {name: r.calls for name, r in results.items()}
    assert last["simulated-openai"]["readings"] == [
        ["leaks", "absent"],
        ["refusals", "refused"],
        ["unrecorded", "absent"],
    ]


async def test_a_trial_never_looks_like_a_call_of_a_tenant(well: Gateway) -> None:
    """Its records are of our own caller and tenant, and of a processor that no entry is."""
    await played(well)
    made = [line for line in records(well.state) if line["tenant"] == "gateway:canary"]

    assert {line["processor"] for line in made if line["kind"] == "intent"} == {
        "canary:simulated-openai", "canary:simulated-anthropic"
    }  # fmt: skip
    assert {line["caller"] for line in made} == {"gateway:canary"}
    intents = [line["call"] for line in made if line["kind"] == "intent"]
    assert sorted(intents) == sorted(line["call"] for line in made if line["kind"] == "outcome")


async def _blind(_self: Redactor, document: Any, _known: object) -> Cleaned:
    """A redactor that finds nothing."""
    return Cleaned(document, {})


async def _unwritten(_self: Ledger, intent: Any) -> Admission:
    """An admission of which nothing is on the disk."""
    return Admission(intent.call, intent.attempt)


async def _told_elsewhere(_self: Ledger, _refusal: Any) -> None:
    """A refusal of which nothing is on the disk."""


def replace_forced(trial: Any) -> Any:
    """A trial that wants something else to arrive than the surface forces."""
    return changed(trial, forced={"store": True}) if trial.forced else trial


BREAKS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], object]]] = {
    "nothing is taken out": ("leaked", lambda patch: patch.setattr(Redactor, "clean", _blind)),
    "answers are not cleaned": ("leaked", lambda patch: patch.setattr(Passage, "answer", lambda _self: None)),
    "intents are not written": ("unrecorded", lambda patch: patch.setattr(Ledger, "admit", _unwritten)),
    "refusals are not written": ("unrecorded", lambda patch: patch.setattr(Ledger, "refuse", _told_elsewhere)),
    "something else is forced": (
        "let_through",
        lambda patch: patch.setattr(
            rounds, "TRIALS", {wire: tuple(map(replace_forced, trials)) for wire, trials in TRIALS.items()}
        ),
    ),
    "what retains is let through": (
        "let_through",
        lambda patch: patch.setattr(
            rounds, "REFUSED", {"openai": (TRIALS["openai"][2],), "anthropic": REFUSED["anthropic"]}
        ),
    ),
}


@pytest.mark.parametrize("broken", BREAKS)
async def test_a_broken_control_turns_readiness_red_and_stops_its_route(
    well: Gateway, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """It is found, named and recorded; no call goes there; when it is mended, the next round ends that."""
    kind, breaks = BREAKS[broken]
    with monkeypatch.context() as patch:
        breaks(patch)
        result = (await played(well))["simulated-openai"]
        refused, (status, told) = await called(well), await ready(well)

    assert (result.verdict, bool(getattr(result, kind))) == (Verdict.FAIL, True), result.faults
    assert refused == "processor_not_active"
    assert (status, told["checks"]["canary"]) == (503, False)
    assert any(line.startswith("simulated-openai: ") for line in told["warnings"])
    assert [act["verdict"] for act in acts(well) if act["processor"] == "simulated-openai"][-1] == "fail"

    assert (await played(well))["simulated-openai"].verdict is Verdict.PASS
    assert (await called(well), (await ready(well))[0]) == ("ok", 200)


async def test_what_could_not_be_tried_proves_nothing(well: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the redactor is away, no trial passes and none fails: readiness has its own check for that."""

    async def away(_self: Redactor, _document: Any, _known: object) -> Any:
        raise Unavailable(Code.REDACTION_UNAVAILABLE, "nobody can look")

    with monkeypatch.context() as patch:
        patch.setattr(Redactor, "clean", away)
        result = (await played(well))["simulated-openai"]

    assert result.verdict is Verdict.INCONCLUSIVE
    assert well.application._canary.well
    assert await called(well) == "ok"


async def test_a_witness_that_sees_nothing_proves_nothing(well: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The positive control: findings that were shown to it must be seen, or no trial is made."""
    with monkeypatch.context() as patch:
        patch.setattr(rounds, "leaks", lambda _data: [])
        results = await played(well)

    assert {(result.verdict, result.calls) for result in results.values()} == {(Verdict.INCONCLUSIVE, 0)}


async def test_a_route_that_refuses_what_it_should_let_through_is_told(
    well: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over-blocking stops nothing, and is no pass."""
    with monkeypatch.context() as patch:
        patch.setattr(Surface, "read_headers", _no_headers)
        result = (await played(well))["simulated-openai"]

    assert result.verdict is Verdict.INCONCLUSIVE
    assert any("it was not let through (parameter_unknown)" in fault for fault in result.faults)


def _no_headers(_self: Surface, _headers: Any, _walk: Any) -> Any:
    raise Refused(Code.PARAMETER_UNKNOWN, "no header is known")


async def test_a_new_entry_is_tried_before_it_takes_traffic(well: Gateway) -> None:
    """A draft with evidence missing, of which nothing is announced, is tried by name and stays what it is."""
    path = well.configuration / "processors" / "simulated-openai.yaml"
    tree = json.loads(path.read_text("utf-8"))
    draft = {**tree, "id": "draft", "example": True, "suspended": "2026-01-01", "countries": {"processing": ["DE"]}}
    draft["agreements"] = [{**tree["agreements"][0], "valid_until": "TO_BE_FILLED"}]
    other = path.with_name("draft.yaml")
    other.write_text(json.dumps(draft), "utf-8")
    try:
        assert await well.application.reload()
        entry = well.application._force.bundle.registry.entries["draft"]
        assert "draft" not in await played(well)
        (result,) = await well.application._canary.play([entry])
    finally:
        other.unlink()
        assert await well.application.reload()

    assert (result.processor, result.verdict) == ("draft", Verdict.PASS)


async def test_the_verb_asks_the_running_gateway(well: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """All routes, then one by name, in the gateway that serves: exit 0, and what was tried in a table."""
    for names, expected in (
        ([], {"simulated-openai", "simulated-anthropic"}),
        (["simulated-openai"], {"simulated-openai"}),
    ):
        capsys.readouterr()
        code = await asyncio.to_thread(main, ["canary", *names, "--json", "--config", str(well.configuration)])
        rows = json.loads(capsys.readouterr().out)
        assert (code, {row["processor"]: row["verdict"] for row in rows}) == (0, dict.fromkeys(expected, "pass"))
        assert {act["processor"] for act in acts(well)[-len(expected) :]} == expected


async def test_the_verb_exits_with_one_where_a_control_is_broken(
    well: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says which operation, and what was wrong."""
    with monkeypatch.context() as patch:
        patch.setattr(Passage, "answer", lambda _self: None)
        assert await asyncio.to_thread(main, ["canary", "--config", str(well.configuration)]) == 1
    assert "the answer came back with a finding in it" in capsys.readouterr().out


async def test_nothing_of_a_round_is_left(well: Gateway, tmp_path: Path) -> None:
    """Its key opens nothing afterwards, and the callers of the gateway are who they were."""
    before = well.application._force.bundle.callers.key_ids()
    await played(well)

    assert well.application._force.bundle.callers.key_ids() == before
    assert not (well.state / "canary").exists()


# --- the texts and the tables -------------------------------------------------------------------------


@pytest.mark.parametrize("wire", PROVIDERS)
async def test_every_wire_has_trials_of_each_operation(wire: str) -> None:
    """Each operation that callers have without a grant is tried, and each wire has requests that must not leave."""
    granted = {op.name for op in PROVIDERS[wire].operations if not op.answered_here} - {"audio.transcriptions"}

    assert {trial.operation for trial in TRIALS[wire]} == granted
    assert len(REFUSED[wire]) >= 2


async def test_each_place_has_a_text_of_its_own() -> None:
    """No two places share a text, and none is left as it stands in the table."""
    for trials in TRIALS.values():
        for trial in trials:
            document, placed = filled(trial, "m", texts())
            shown = json.dumps(document)
            assert len(set(placed)) == len(placed) > 0
            assert "\\u0000" not in shown
            assert missing(shown.encode(), placed) == []
            assert leaks(shown) != []


@pytest.mark.parametrize(("sentence", "word"), FINDINGS)
async def test_a_leak_is_seen_in_any_spelling(sentence: str, word: str) -> None:
    """Upper case, JSON escapes and JSON within JSON hide nothing."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in sentence)

    for body in (sentence, sentence.upper(), f'{{"a":"{escaped}"}}', json.dumps({"a": json.dumps({"b": sentence})})):
        assert leaks(body) == [word]
    assert leaks("It went well.") == []


async def test_the_verdict_of_a_result() -> None:
    """One failure outweighs all; what was not looked for is no pass; nor is nothing."""
    good = Result("x", calls=3)
    assert good.verdict is Verdict.PASS
    assert replace(good, calls=0).verdict is Verdict.INCONCLUSIVE
    assert replace(good, looked=False).verdict is Verdict.INCONCLUSIVE
    assert replace(good, unproved=["y"]).verdict is Verdict.INCONCLUSIVE
    for kind in ("leaked", "unrecorded", "let_through"):
        assert replace(good, unproved=["y"], **{kind: ["z"]}).verdict is Verdict.FAIL
