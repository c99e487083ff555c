"""Ordinary personal data through the whole gateway: what leaves, what comes back, and who decides."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
import pytest_asyncio
import yaml

from gateway.simulator import Simulator
from tests.configuration import TENANT
from tests.conftest import Gateway
from tests.houses import house, records, settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

JANE = "jane.doe@example.com"
SAID = f"Write to {JANE}; my brother is HIV positive."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    lasting_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Gateway, Simulator]]:
    """A gateway that takes out addresses and numbers, and puts them back."""
    chosen = settings(personal_data={"kinds": ["EMAIL", "PHONE", "CARD"], "restore": True})
    async with house(lasting_simulator, tmp_path_factory.mktemp("personal"), chosen) as gateway:
        yield gateway, lasting_simulator


def left(simulator: Simulator) -> str:
    """The last body that reached the provider."""
    return (simulator.arrivals[-1].body or b"").decode()


async def test_an_address_leaves_as_a_placeholder_and_comes_back(running: tuple[Gateway, Simulator]) -> None:
    """The echo of the simulated provider names the placeholder; the caller reads the address, and not the diagnosis."""
    gateway, simulator = running
    client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)

    async with client:
        raw = await client.chat.completions.with_raw_response.create(
            model="gpt-simulated", messages=[{"role": "user", "content": SAID}]
        )

    sent = left(simulator)
    assert JANE not in sent and "[EMAIL_" in sent and "HIV" not in sent
    text = raw.parse().choices[0].message.content or ""
    assert JANE in text and "[REDACTED]" in text and "HIV" not in text
    assert raw.headers["x-gateway-redactions"] == "EMAIL=1, HEALTH=1"
    (intent,) = [line for line in records(gateway.state) if line["kind"] == "intent"]
    assert intent["redactions"] == 2


async def test_the_placeholder_is_the_same_in_every_turn_and_on_both_wires(running: tuple[Gateway, Simulator]) -> None:
    """Nothing is kept between calls, and the same value is still the same placeholder."""
    gateway, simulator = running
    seen = []
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        for text in (SAID, f"Again: {JANE.upper()}"):
            await client.messages.create(
                model="claude-simulated", max_tokens=64, messages=[{"role": "user", "content": text}]
            )
            sent = left(simulator)
            seen.append(sent[sent.index("[EMAIL_") :][:18])

    assert seen[0] == seen[1]


async def test_a_stream_is_restored(running: tuple[Gateway, Simulator]) -> None:
    """On both wires, however the provider cuts the placeholder; nothing of it is left."""
    gateway, _simulator = running
    chat = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)
    messages = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)

    async with chat, messages:
        stream = await chat.chat.completions.create(
            model="gpt-simulated", messages=[{"role": "user", "content": SAID}], stream=True
        )
        text = "".join([event.choices[0].delta.content or "" async for event in stream if event.choices])
        async with messages.messages.stream(
            model="claude-simulated", max_tokens=256, messages=[{"role": "user", "content": SAID}]
        ) as other:
            said = await other.get_final_text()
        response = await chat.responses.create(model="gpt-simulated", input=SAID, stream=True)
        events = [event async for event in response]

    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    (final,) = [event.response.output_text for event in events if event.type == "response.completed"]
    for answer in (text, said, deltas, final):
        assert JANE in answer and "[REDACTED]" in answer
        assert "EMAIL" not in answer and "HIV" not in answer


async def test_tool_arguments_are_restored(running: tuple[Gateway, Simulator]) -> None:
    """Streamed or whole, they parse, and name the caller's own value."""
    gateway, _simulator = running
    tool: dict[str, object] = {
        "type": "function",
        "function": {"name": "send", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}},
    }
    asked: dict[str, object] = {
        "model": "gpt-simulated", "messages": [{"role": "user", "content": SAID}], "tools": [tool],
    }  # fmt: skip
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        whole = await client.chat.completions.create(**asked)  # type: ignore[call-overload]
        stream = await client.chat.completions.create(**asked, stream=True)  # type: ignore[call-overload]
        deltas = [event.choices[0].delta async for event in stream if event.choices]

    arguments = "".join(
        call.function.arguments or "" for delta in deltas for call in delta.tool_calls or () if call.function
    )
    for written in (whole.choices[0].message.tool_calls[0].function.arguments, arguments):
        assert JANE in json.dumps(json.loads(written))
        assert "EMAIL_" not in written


async def test_a_tenant_that_is_stricter(running: tuple[Gateway, Simulator]) -> None:
    """A reload later its calls with a finding are refused, with the place; others pass, and addresses still come back."""
    gateway, simulator = running
    path = gateway.configuration / "tenants.yaml"
    before = path.read_text(encoding="utf-8")
    tenants = yaml.safe_load(before)
    tenants["tenants"][TENANT]["redaction"] = "refuse"
    path.write_text(json.dumps(tenants), encoding="utf-8")
    assert await gateway.application.reload()
    arrived = len(simulator.arrivals)
    try:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await client.chat.completions.create(
                    model="gpt-simulated", messages=[{"role": "user", "content": SAID}]
                )
            assert len(simulator.arrivals) == arrived
            fine = await client.chat.completions.create(
                model="gpt-simulated", messages=[{"role": "user", "content": f"Write to {JANE}"}]
            )
    finally:
        path.write_text(before, encoding="utf-8")
        assert await gateway.application.reload()

    assert (caught.value.code, caught.value.param) == ("content_not_scannable", "messages[0].content")
    assert JANE in (fine.choices[0].message.content or "")
