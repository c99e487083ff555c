"""Reconciliation from end to end: the official clients fetch what the providers count, and a call that went round shows."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anthropic
import openai
import pytest

from gateway.app import Application
from gateway.audit import verify
from gateway.audit.evidence import open_evidence
from gateway.audit.reconciliation import Reconciled, kept_reports
from gateway.cli import main
from gateway.config import Bundle, load
from gateway.keys import Keyring
from gateway.reconciling import NotFetched, days_of, reconcile_all
from gateway.simulator import CREDENTIAL, Simulator
from gateway.simulator.accounting import AUDITOR, KEY
from gateway.simulator.scenario import Scenario
from gateway.simulator.small import ANTHROPIC_MODELS, OPENAI_MODELS
from gateway.usage import fetch
from providers import PROVIDERS, USAGE
from providers.document import Document
from providers.usage import NotUsage
from tests.configuration import issue_key, write_configuration
from tests.gateway.audit.forgeries import failed

ASK: list[dict[str, str]] = [{"role": "user", "content": "Summarise the call."}]
PROCESSORS = ("simulated-openai", "simulated-anthropic")
DAY = 86_400


def configured(folder: Path, port: int) -> Path:
    """A configuration that says where usage is reported."""
    usage = [
        {"processor": name, "credential": {"file": "secrets/usage"}, "keys": [KEY], "scope": ["proj_simulated"]}
        for name in PROCESSORS
    ]
    settings: dict[str, object] = {"usage": usage, "redaction": {"unsafe_redaction_off": True}}
    directory = write_configuration(folder, port, CREDENTIAL, settings=settings)
    (directory / "secrets" / "usage").write_text(f"{AUDITOR}\n", encoding="ascii")
    return directory


@asynccontextmanager
async def serving(directory: Path, state: Path) -> AsyncIterator[Application]:
    """The gateway."""
    application = Application(directory, state, stream=io.BytesIO())
    await application.start()
    try:
        yield application
    finally:
        await application.stop()


async def calls(simulator: Simulator, base: str, key: str) -> None:
    """One of every sort: plain, streamed, embedded, moderated, counted, and one that the provider refuses."""
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0) as client:
        for _ in range(3):
            await client.chat.completions.create(model=OPENAI_MODELS[0], messages=ASK)  # type: ignore[call-overload]
        stream = await client.chat.completions.create(model=OPENAI_MODELS[0], messages=ASK, stream=True)  # type: ignore[call-overload]
        assert [chunk async for chunk in stream]
        await client.responses.create(model=OPENAI_MODELS[0], input="Summarise the call.")
        await client.embeddings.create(model=OPENAI_MODELS[2], input="Summarise the call.")
        await client.moderations.create(model=OPENAI_MODELS[3], input="Summarise the call.")
        simulator.script(Scenario(status=429))
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model=OPENAI_MODELS[0], messages=ASK)  # type: ignore[call-overload]
    async with anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0) as other:
        for _ in range(3):
            await other.messages.create(model=ANTHROPIC_MODELS[0], max_tokens=64, messages=ASK)  # type: ignore[arg-type]
        async with other.messages.stream(model=ANTHROPIC_MODELS[0], max_tokens=64, messages=ASK) as told:  # type: ignore[arg-type]
            await told.get_final_message()
        await other.messages.count_tokens(model=ANTHROPIC_MODELS[0], messages=ASK)  # type: ignore[arg-type]


def bundle_of(directory: Path) -> Bundle:
    return load(directory, {}, wires=PROVIDERS)


async def compare(directory: Path, state: Path) -> dict[str, list[str]]:
    """What differs today and yesterday, by processor."""
    today = int(time.time()) // DAY
    keyring = Keyring.open(state / "keys")
    made = await reconcile_all(bundle_of(directory), state, keyring, range(today - 1, today + 1))
    return {name: _why(each) for name, each in made}


def _why(made: Reconciled) -> list[str]:
    return sorted({why for row in json.loads(made.written)["days"] for why in row["why"]})


async def test_what_went_round_the_gateway_shows(simulator: Simulator, tmp_path: Path) -> None:
    """Through the gateway both agree; each call beside it, and each under another key, is a difference; all is recorded."""
    directory, state = configured(tmp_path, simulator.port), tmp_path / "state"
    key = issue_key(state)
    async with serving(directory, state) as application:
        await calls(simulator, f"http://127.0.0.1:{application.port}", key)
    assert await compare(directory, state) == {name: [] for name in PROCESSORS}
    report = next(json.loads(each) for each in kept_reports(state / "log").values() if b"simulated-openai" in each)
    today = report["days"][-1]
    assert (today["attempts"], today["requests"], today["explained"]) == (8, 7, 1)
    assert today["tokens"] == today["said"] != [0, 0]

    await calls(simulator, f"http://127.0.0.1:{simulator.port}", CREDENTIAL)  # around it
    assert await compare(directory, state) == {
        PROCESSORS[0]: ["more_input", "more_output", "more_requests"],
        PROCESSORS[1]: ["more_input", "more_output"],
    }
    simulator.accounting.key = "key_of_somebody"
    await calls(simulator, f"http://127.0.0.1:{simulator.port}", CREDENTIAL)
    assert all("foreign_key" in why for why in (await compare(directory, state)).values())

    async with serving(directory, state):
        pass
    keyring = Keyring.open(state / "keys")
    with open_evidence(state, keyring) as evidence:
        run = verify.verify(evidence, verify.Policy(evidence.policy(keyring)))
    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.a["A13"].checked == 6 * 3
    assert any("foreign_key" in note for note in run.a["A13"].notes)


@pytest.mark.parametrize("wire", USAGE)
async def test_every_page_and_part_of_a_report_is_read(simulator: Simulator, wire: str) -> None:
    """Days come on pages, more than a question holds are asked for in turn, and only what is in the scope counts."""
    from gateway.outside import Outside  # noqa: PLC0415

    today = int(time.time()) // DAY
    await calls(simulator, f"http://127.0.0.1:{simulator.port}", CREDENTIAL)
    simulator.accounting.per_page = 3
    outside = Outside([simulator.url])
    try:
        for scope, found in ((["proj_simulated"], True), ((), True), (["proj_other"], False)):
            made = await fetch(wire, outside, simulator.url, AUDITOR, scope, range(today - 39, today + 1))
            parts = len(USAGE[wire].parts)
            assert len(made.answers) == parts * (11 + 3)
            assert {each.day for each in made.used} == ({today} if found else set())
            assert sum(each.requests or 0 for each in made.used) == (7 if found and USAGE[wire].requests else 0)
    finally:
        await outside.close()


@pytest.mark.parametrize("wire", USAGE)
@pytest.mark.parametrize("spoilt", ["credential", "status", "no json", "no object", "no list", "no count", "no end"])
async def test_what_is_no_report_is_not_taken_for_one(simulator: Simulator, wire: str, spoilt: str) -> None:
    """A refusal, an error, junk, a count that is none, a page without a next one: nothing is compared."""
    from gateway.outside import Outside  # noqa: PLC0415

    day = {"start_time": 0, "starting_at": "1970-01-01T00:00:00Z"}
    simulator.accounting.status = 500 if spoilt == "status" else 200
    bodies: dict[str, bytes] = {
        "no json": b"<html>",
        "no object": b"[]",
        "no list": b'{"data":{}}',
        "no count": json.dumps({"data": [{**day, "results": [{"api_key_id": "k", "output_tokens": -1}]}]}).encode(),
        "no end": b'{"data":[],"has_more":true,"next_page":null}',
    }
    simulator.accounting.raw = bodies.get(spoilt)
    outside = Outside([simulator.url])
    try:
        with pytest.raises(NotFetched):
            await fetch(wire, outside, simulator.url, "wrong" if spoilt == "credential" else AUDITOR, (), range(1))
    finally:
        await outside.close()


@pytest.mark.parametrize("wire", USAGE)
def test_a_key_or_a_day_that_is_none_is_not_read(wire: str) -> None:
    """An id with a space, a bucket that begins within a day."""
    read, part = USAGE[wire].read, USAGE[wire].parts[0]
    good: Document = {"start_time": 0, "starting_at": "1970-01-01T00:00:00Z", "results": [{"api_key_id": "k"}]}
    assert [each.key for each in read(part, {"data": [good]}).used] == ["k"]
    for bad in (
        {**good, "results": [{"api_key_id": "a key"}]},
        {**good, "start_time": 5, "starting_at": "1970-01-01T00:00:05Z"},
        {**good, "start_time": "0", "starting_at": "yesterday"},
    ):
        with pytest.raises(NotUsage):
            read(part, {"data": [bad]})  # type: ignore[list-item]


def test_only_whole_days_that_are_over_are_compared() -> None:
    """Two hours after a day's end at the earliest; without dates it is the last such day."""
    midnight = datetime(2026, 11, 26, tzinfo=UTC)
    day = int(midnight.timestamp()) // DAY

    assert days_of(None, None, midnight.timestamp() + 7200) == range(day - 1, day)
    assert days_of(None, None, midnight.timestamp() + 7199) == range(day - 2, day - 1)
    assert days_of(midnight - timedelta(days=3), midnight, midnight.timestamp() + 9999) == range(day - 3, day)
    for start, end in ((None, midnight + timedelta(days=1)), (midnight, midnight), (midnight, None)):
        with pytest.raises(ValueError, match="day"):
            days_of(start, end, midnight.timestamp() + 7200)


async def test_the_verb_says_what_differs(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 where all agrees, 1 where something differs, 2 where nothing can be compared."""
    directory, state = configured(tmp_path, simulator.port), tmp_path / "state"
    async with serving(directory, state):
        pass
    verb = ["audit", "reconcile", "--config", str(directory)]
    assert await asyncio.to_thread(main, verb) == 0
    simulator.accounting.clock = lambda: time.time() - DAY
    await calls(simulator, f"http://127.0.0.1:{simulator.port}", CREDENTIAL)
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    late = ["--from", yesterday, "--processor", PROCESSORS[0]] if datetime.now(UTC).hour >= 2 else []
    expected = 1 if late else 0
    assert await asyncio.to_thread(main, [*verb, *late]) == expected
    said = capsys.readouterr()
    assert f"{PROCESSORS[1]}: agrees within tolerance" in said.out
    assert not late or "a call went round the gateway" in said.out
    assert AUDITOR not in said.out + said.err
    simulator.accounting.status = 503
    for more in ([], ["--processor", "nobody"], ["--to", "2100-01-01"]):
        assert await asyncio.to_thread(main, [*verb, *more]) == 2
