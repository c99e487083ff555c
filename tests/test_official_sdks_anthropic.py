"""The unmodified `anthropic` client, directly and through the gateway: the gateway is invisible."""

from __future__ import annotations

from typing import Any

import anthropic
import pydantic
import pytest

from gateway.simulator import CREDENTIAL, Fault, Scenario, Simulator
from tests.conftest import Gateway, approve_schema
from tests.official_sdks import (
    ANTHROPIC_MODEL,
    KINDS,
    Case,
    entered,
    listed,
    play,
    raised,
    schemas,
    settle,
    strict,
    with_headers,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = "How did the call with the customer go?"
TALK: list[Any] = [{"role": "user", "content": ASKED}]
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "minutes": {"type": "integer"}},
    "required": ["topic", "minutes"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"name": name, "description": "Looks it up", "input_schema": SCHEMA} for name in ("find_call", "find_deal")
]


class Score(pydantic.BaseModel):
    """What a coach says of a call."""

    quote: str
    points: int
    advice: list[str]


def _create(client: Any, **more: Any) -> Any:
    asked = {"model": ANTHROPIC_MODEL, "max_tokens": 2048, "messages": TALK, **more}
    return client.messages.create(**asked)


async def plain(client: Any) -> object:
    result = strict(await settle(_create(client)))
    assert result.content[0].text == f"You said: {ASKED}"
    assert result.stop_reason == "end_turn"
    assert result.usage.input_tokens > 0
    assert result._request_id
    return result


async def streamed(client: Any) -> object:
    events = await listed(_create(client, stream=True))
    assert "".join(event.delta.text for event in events if event.type == "content_block_delta").endswith(ASKED)
    assert events[-1].type == "message_stop"
    return strict(events)


async def system_blocks_and_cache_control(client: Any) -> object:
    system = [
        {"type": "text", "text": "You coach sales people."},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
    ]
    result = strict(await settle(_create(client, system=system)))
    assert result.usage.cache_creation_input_tokens > 0
    return result


async def several_turns(client: Any) -> object:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": "Hello, what is it?"},
        {"role": "user", "content": [{"type": "text", "text": "The call"}, {"type": "text", "text": "went well"}]},
    ]
    result = strict(await settle(_create(client, messages=turns, system="Be brief.")))
    assert result.content[0].text == "You said: The call went well"
    return result


async def tools(client: Any) -> object:
    first = strict(await settle(_create(client, tools=TOOLS)))
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["find_call", "find_deal"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "It went well"} for call in calls]
    turns = [
        *TALK,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": results},
    ]
    second = strict(await settle(_create(client, messages=turns, tools=TOOLS)))
    assert second.content[0].text == "The tool said: It went well"
    return [first, second]


async def tools_streamed(client: Any) -> object:
    events = await listed(_create(client, tools=TOOLS, stream=True))
    deltas = [event.delta.type for event in events if event.type == "content_block_delta"]
    assert "input_json_delta" in deltas
    return strict(events)


async def one_chosen_tool(client: Any) -> object:
    choice = {"type": "tool", "name": "find_deal", "disable_parallel_tool_use": True}
    result = strict(await settle(_create(client, tools=TOOLS, tool_choice=choice)))
    assert [block.name for block in result.content if block.type == "tool_use"] == ["find_deal"]
    return result


async def thinking(client: Any) -> object:
    first = strict(await settle(_create(client, thinking={"type": "enabled", "budget_tokens": 1024})))
    assert first.content[0].signature
    turns = [
        *TALK,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": "Why?"},
    ]
    second = strict(await settle(_create(client, messages=turns, thinking={"type": "adaptive"})))
    assert second.content[1].text == "You said: Why?"
    return [first, second]


async def thinking_streamed(client: Any) -> object:
    events = await listed(_create(client, thinking={"type": "adaptive"}, stream=True))
    deltas = [event.delta.type for event in events if event.type == "content_block_delta"]
    assert {"thinking_delta", "signature_delta", "text_delta"} <= set(deltas)
    return strict(events)


async def redacted_thinking(client: Any) -> object:
    result = strict(await settle(_create(client)))
    assert result.content[0].type == "redacted_thinking"
    return result


async def citations(client: Any) -> object:
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "The customer asked for a discount."},
        "title": "Notes",
        "citations": {"enabled": True},
    }
    turns = [{"role": "user", "content": [document, {"type": "text", "text": ASKED}]}]
    result = strict(await settle(_create(client, messages=turns)))
    events = strict(await listed(_create(client, messages=turns, stream=True)))
    assert result.content[0].citations[0].cited_text == "The customer asked for a discount."
    assert "citations_delta" in [event.delta.type for event in events if event.type == "content_block_delta"]
    return [result, events]


async def cut_at_the_limit(client: Any) -> object:
    result = strict(await settle(_create(client, max_tokens=2)))
    assert result.stop_reason == "max_tokens"
    return result


async def stop_sequence(client: Any) -> object:
    result = strict(await settle(_create(client, stop_sequences=["customer"])))
    assert (result.stop_reason, result.stop_sequence) == ("stop_sequence", "customer")
    return result


async def refusal(client: Any) -> object:
    result = strict(await settle(_create(client)))
    assert result.stop_reason == "refusal"
    return result


async def structured_output(client: Any) -> object:
    shape = {"format": {"type": "json_schema", "schema": SCHEMA}}
    result = strict(await settle(_create(client, output_config=shape)))
    assert '"topic"' in result.content[0].text
    return result


async def parsed(client: Any) -> object:
    result = await settle(
        client.messages.parse(model=ANTHROPIC_MODEL, max_tokens=2048, messages=TALK, output_format=Score)
    )
    assert result.parsed_output == Score(quote=ASKED, points=1, advice=[ASKED])
    return [result, result.parsed_output]


async def stream_helper(client: Any) -> object:
    async def use(stream: Any) -> object:
        events = await listed(stream)
        final = await settle(stream.get_final_message())
        assert final.content[0].text == f"You said: {ASKED}"
        return [[event.type for event in events], final]

    return await entered(client.messages.stream(model=ANTHROPIC_MODEL, max_tokens=2048, messages=TALK), use)


async def stream_helper_text(client: Any) -> object:
    async def use(stream: Any) -> object:
        texts = await listed(stream.text_stream)
        assert "".join(texts) == f"You said: {ASKED}"
        return texts

    return await entered(client.messages.stream(model=ANTHROPIC_MODEL, max_tokens=2048, messages=TALK), use)


async def stream_helper_with_tools_and_thinking(client: Any) -> object:
    async def use(stream: Any) -> object:
        events = await listed(stream)
        final = await settle(stream.get_final_message())
        assert final.content[-1].input == {"topic": ASKED, "minutes": 1}
        return [[event.type for event in events], final]

    manager = client.messages.stream(
        model=ANTHROPIC_MODEL, max_tokens=2048, messages=TALK, tools=TOOLS, thinking={"type": "adaptive"}
    )
    return await entered(manager, use)


async def stream_helper_parse(client: Any) -> object:
    async def use(stream: Any) -> object:
        final = await settle(stream.get_final_message())
        assert final.parsed_output.points == 1
        return final

    manager = client.messages.stream(model=ANTHROPIC_MODEL, max_tokens=2048, messages=TALK, output_format=Score)
    return await entered(manager, use)


async def raw_response(client: Any) -> object:
    shown = await with_headers(
        client.messages.with_raw_response.create(model=ANTHROPIC_MODEL, max_tokens=2048, messages=TALK)
    )
    assert shown["request id"]
    return shown


async def count_tokens(client: Any) -> object:
    result = strict(
        await settle(
            client.messages.count_tokens(model=ANTHROPIC_MODEL, messages=TALK, system="Be brief.", tools=TOOLS)
        )
    )
    assert result.input_tokens > 8
    return result


async def fails(client: Any) -> object:
    return await raised(lambda: _create(client))


async def fails_without_retries(client: Any) -> object:
    return await raised(lambda: _create(client.with_options(max_retries=0)))


async def fails_in_a_stream(client: Any) -> object:
    return await raised(lambda: listed(_create(client, stream=True)))


CASES: list[Case[Any]] = [
    Case("plain", plain),
    Case("streamed", streamed),
    Case("system blocks and cache control", system_blocks_and_cache_control),
    Case("several turns", several_turns),
    Case("two tools at once and their results", tools, attempts=2),
    Case("two tools at once, streamed", tools_streamed),
    Case("one chosen tool", one_chosen_tool),
    Case("thinking, sent back", thinking, attempts=2),
    Case("thinking, streamed", thinking_streamed),
    Case("redacted thinking", redacted_thinking, (Scenario(content="redacted_thinking"),)),
    Case("citations, plain and streamed", citations, attempts=2),
    Case("cut at the limit", cut_at_the_limit),
    Case("stop sequence", stop_sequence),
    Case("refusal", refusal, (Scenario(content="refusal"),)),
    Case("structured output", structured_output),
    Case("parse", parsed),
    Case("stream helper", stream_helper),
    Case("stream helper, text only", stream_helper_text),
    Case("stream helper with tools and thinking", stream_helper_with_tools_and_thinking),
    Case("stream helper with parse", stream_helper_parse),
    Case("raw response", raw_response),
    Case("count tokens", count_tokens),
    Case("error 400", fails, (Scenario(status=400),)),
    Case("error 401", fails, (Scenario(status=401),)),
    Case("error 402", fails, (Scenario(status=402),)),
    Case("error 403", fails, (Scenario(status=403),)),
    Case("error 404", fails, (Scenario(status=404),)),
    Case("error 413", fails, (Scenario(status=413),)),
    Case("error 429, not retried", fails_without_retries, (Scenario(status=429, headers={"retry-after": "7"}),)),
    Case("error 500, not retried", fails_without_retries, (Scenario(status=500),)),
    Case("error 529, not retried", fails_without_retries, (Scenario(status=529),)),
    Case("error 529, then well", plain, (Scenario(status=529),), attempts=2),
    Case("error 429 that says not to retry", fails, (Scenario(status=429, headers={"x-should-retry": "false"}),)),
    Case("error in a stream", fails_in_a_stream, (Scenario(fault=Fault.STREAM_ERROR),)),
]


def _client(kind: str, url: str, key: str) -> Any:
    maker = anthropic.Anthropic if kind == "sync" else anthropic.AsyncAnthropic
    return maker(base_url=url, api_key=key, timeout=10.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_directly(case: Case[Any], kind: str, lasting_simulator: Simulator) -> None:
    """The simulated provider satisfies the client's types, helpers and error classes."""
    shown = await play(case, _client(kind, lasting_simulator.url, CREDENTIAL), lasting_simulator)

    assert shown


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_through_the_gateway(
    case: Case[Any], kind: str, lasting_simulator: Simulator, lasting_gateway: Gateway
) -> None:
    """The client shows the same through the gateway as directly, attempts included."""
    direct = await play(case, _client(kind, lasting_simulator.url, CREDENTIAL), lasting_simulator)
    for schema in schemas(lasting_simulator.arrivals):
        await approve_schema(lasting_gateway, schema)

    through = await play(case, _client(kind, lasting_gateway.url, lasting_gateway.granted_key), lasting_simulator)

    assert through == direct


async def _models(client: Any) -> object:
    models = strict(await listed(client.models.list()))
    return [[model.id for model in models], strict(await settle(client.models.retrieve(ANTHROPIC_MODEL))).id]


@pytest.mark.parametrize("kind", KINDS)
async def test_models_are_listed(kind: str, lasting_simulator: Simulator) -> None:
    """The list of models, and one of them, satisfy the client's types."""
    shown = await play(
        Case("models", _models, attempts=2), _client(kind, lasting_simulator.url, CREDENTIAL), lasting_simulator
    )

    assert isinstance(shown, list)
    assert ANTHROPIC_MODEL in shown[0]
    assert shown[1] == ANTHROPIC_MODEL


@pytest.mark.parametrize("kind", KINDS)
async def test_models_are_those_of_the_caller(
    kind: str, lasting_simulator: Simulator, lasting_gateway: Gateway
) -> None:
    """The gateway answers the list of models itself, in the client's types, and asks no provider."""
    shown = await play(
        Case("models", _models, attempts=0),
        _client(kind, lasting_gateway.url, lasting_gateway.granted_key),
        lasting_simulator,
    )

    assert isinstance(shown, list)
    assert ANTHROPIC_MODEL in shown[0]
    assert shown[1] == ANTHROPIC_MODEL


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_credential(kind: str, lasting_simulator: Simulator) -> None:
    """A credential that is not the configured one is the wire's own 401."""
    shown = await play(
        Case("wrong", fails), _client(kind, lasting_simulator.url, "not-the-credential"), lasting_simulator
    )

    assert isinstance(shown, dict)
    assert (shown["class"], shown["type"]) == ("AuthenticationError", "authentication_error")
