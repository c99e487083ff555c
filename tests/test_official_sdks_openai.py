"""The unmodified `openai` client, directly and through the gateway: the gateway is invisible."""

from __future__ import annotations

import enum
from typing import Any

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import CREDENTIAL, Fault, Scenario, Simulator
from tests.conftest import Gateway, approve_schema
from tests.official_sdks import (
    EMBEDDING_MODEL,
    KINDS,
    MODERATION_MODEL,
    OPENAI_MODEL,
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
TALK: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You coach sales people."},
    {"role": "user", "content": ASKED},
]
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "minutes": {"type": "integer"}},
    "required": ["topic", "minutes"],
    "additionalProperties": False,
}
CHAT_TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": name, "description": "Looks it up", "parameters": SCHEMA, "strict": False},
    }
    for name in ("find_call", "find_deal")
]
TOOLS: list[Any] = [
    {"type": "function", "name": name, "description": "Looks it up", "parameters": SCHEMA, "strict": False}
    for name in ("find_call", "find_deal")
]
CUSTOM: list[Any] = [{"type": "custom", "name": "note", "description": "Takes a note"}]


class Mood(enum.Enum):
    """How a call went."""

    GOOD = "good"
    BAD = "bad"


class Moment(pydantic.BaseModel):
    """A moment of a call."""

    second: int
    quote: str


class Score(pydantic.BaseModel):
    """What a coach says of a call."""

    mood: Mood
    moments: list[Moment]
    advice: str | None
    final: bool


class Lookup(pydantic.BaseModel):
    """Arguments of a strict function."""

    customer: str


async def chat_plain(client: Any) -> object:
    result = strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK)))
    assert result.choices[0].message.content == f"You said: {ASKED}"
    assert result.usage.total_tokens == result.usage.prompt_tokens + result.usage.completion_tokens
    assert result._request_id
    return result


async def chat_streamed(client: Any) -> object:
    chunks = await listed(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == f"You said: {ASKED}"
    assert all(chunk.usage is None for chunk in chunks)
    return strict(chunks)


async def chat_streamed_with_usage(client: Any) -> object:
    options = {"include_usage": True}
    chunks = await listed(
        client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, stream=True, stream_options=options)
    )
    assert [len(chunk.choices) for chunk in chunks[-2:]] == [1, 0]
    assert chunks[-1].usage.prompt_tokens > 0
    return strict(chunks)


async def chat_tools(client: Any) -> object:
    result = strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, tools=CHAT_TOOLS)))
    assert [call.function.name for call in result.choices[0].message.tool_calls] == ["find_call", "find_deal"]
    assert result.choices[0].finish_reason == "tool_calls"
    return result


async def chat_tools_streamed(client: Any) -> object:
    chunks = await listed(
        client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, tools=CHAT_TOOLS, stream=True)
    )
    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert {call.index for call in pieces} == {0, 1}
    return strict(chunks)


async def chat_one_tool_at_a_time(client: Any) -> object:
    result = await settle(
        client.chat.completions.create(
            model=OPENAI_MODEL, messages=TALK, tools=CHAT_TOOLS, parallel_tool_calls=False, tool_choice="required"
        )
    )
    assert len(result.choices[0].message.tool_calls) == 1
    return strict(result)


async def chat_chosen_tool_and_its_result(client: Any) -> object:
    choice = {"type": "function", "function": {"name": "find_deal"}}
    first = strict(
        await settle(
            client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, tools=CHAT_TOOLS, tool_choice=choice)
        )
    )
    call = first.choices[0].message.tool_calls[0]
    turns = [
        *TALK,
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "The deal is open"},
    ]
    second = strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=turns, tools=CHAT_TOOLS)))
    assert call.function.name == "find_deal"
    assert second.choices[0].message.content == "The tool said: The deal is open"
    return [first, second]


async def chat_custom_tool(client: Any) -> object:
    tools = [{"type": "custom", "custom": {"name": "note", "description": "Takes a note"}}]
    result = strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, tools=tools)))
    assert result.choices[0].message.tool_calls[0].custom.input == ASKED
    return result


async def chat_legacy_functions(client: Any) -> object:
    functions = [{"name": "find_call", "parameters": SCHEMA}]
    result = strict(
        await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, functions=functions))
    )
    assert result.choices[0].message.function_call.name == "find_call"
    assert result.choices[0].finish_reason == "function_call"
    return result


async def chat_legacy_functions_streamed(client: Any) -> object:
    functions = [{"name": "find_call", "parameters": SCHEMA}]
    chunks = await listed(
        client.chat.completions.create(
            model=OPENAI_MODEL, messages=TALK, functions=functions, function_call={"name": "find_call"}, stream=True
        )
    )
    assert chunks[-1].choices[0].finish_reason == "function_call"
    return strict(chunks)


async def chat_json_mode(client: Any) -> object:
    shape = {"type": "json_object"}
    result = await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, response_format=shape))
    assert ASKED in result.choices[0].message.content
    return strict(result)


async def chat_parse(client: Any) -> object:
    result = await settle(client.chat.completions.parse(model=OPENAI_MODEL, messages=TALK, response_format=Score))
    assert result.choices[0].message.parsed == Score(
        mood=Mood.GOOD, moments=[Moment(second=1, quote=ASKED)], advice=ASKED, final=True
    )
    return result


async def chat_parse_strict_function(client: Any) -> object:
    tools = [openai.pydantic_function_tool(Lookup)]
    result = await settle(client.chat.completions.parse(model=OPENAI_MODEL, messages=TALK, tools=tools))
    assert result.choices[0].message.tool_calls[0].function.parsed_arguments == Lookup(customer=ASKED)
    return result


async def chat_choices(client: Any) -> object:
    result = strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, n=3)))
    assert len({choice.message.content for choice in result.choices}) == 3
    return result


async def chat_choices_streamed(client: Any) -> object:
    chunks = await listed(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, n=2, stream=True))
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}
    return strict(chunks)


async def chat_logprobs(client: Any) -> object:
    result = strict(
        await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, logprobs=True, top_logprobs=2))
    )
    assert len(result.choices[0].logprobs.content[0].top_logprobs) == 2
    return result


async def chat_cut_at_the_limit(client: Any) -> object:
    result = strict(
        await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, max_completion_tokens=2))
    )
    assert result.choices[0].finish_reason == "length"
    return result


async def chat_stop_sequence(client: Any) -> object:
    result = strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, stop=["call"])))
    assert result.choices[0].message.content == "You said: How did the "
    return result


async def chat_refusal(client: Any) -> object:
    result = strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK)))
    assert result.choices[0].message.refusal
    return result


async def chat_refusal_streamed(client: Any) -> object:
    chunks = await listed(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, stream=True))
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks)
    return strict(chunks)


async def chat_stream_helper(client: Any) -> object:
    async def use(stream: Any) -> object:
        events = await listed(stream)
        final = await settle(stream.get_final_completion())
        assert final.choices[0].message.content == f"You said: {ASKED}"
        return [[event.type for event in events], final]

    return await entered(client.chat.completions.stream(model=OPENAI_MODEL, messages=TALK), use)


async def chat_stream_helper_tools(client: Any) -> object:
    async def use(stream: Any) -> object:
        events = await listed(stream)
        final = await settle(stream.get_final_completion())
        assert final.choices[0].message.tool_calls[0].function.parsed_arguments == Lookup(customer=ASKED)
        return [[event.type for event in events], final]

    tools = [openai.pydantic_function_tool(Lookup)]
    return await entered(client.chat.completions.stream(model=OPENAI_MODEL, messages=TALK, tools=tools), use)


async def chat_stream_helper_parse(client: Any) -> object:
    async def use(stream: Any) -> object:
        events = await listed(stream)
        final = await settle(stream.get_final_completion())
        assert final.choices[0].message.parsed.mood is Mood.GOOD
        return [[event.type for event in events], final]

    return await entered(client.chat.completions.stream(model=OPENAI_MODEL, messages=TALK, response_format=Score), use)


async def chat_raw_response(client: Any) -> object:
    shown = await with_headers(client.chat.completions.with_raw_response.create(model=OPENAI_MODEL, messages=TALK))
    assert shown["request id"]
    return shown


async def chat_streaming_response(client: Any) -> object:
    async def use(response: Any) -> object:
        lines = [line async for line in response.iter_lines()] if hasattr(response, "aiter") else None
        body = await settle(response.read()) if lines is None else lines
        return [response.status_code, bool(response.headers.get("x-request-id")), bool(body)]

    return await entered(client.chat.completions.with_streaming_response.create(model=OPENAI_MODEL, messages=TALK), use)


async def responses_plain(client: Any) -> object:
    result = strict(await settle(client.responses.create(model=OPENAI_MODEL, input=ASKED, instructions="Be brief.")))
    assert result.output_text == f"You said: {ASKED}"
    assert result.usage.total_tokens == result.usage.input_tokens + result.usage.output_tokens
    return result


async def responses_items(client: Any) -> object:
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": ASKED}]},
    ]
    result = strict(await settle(client.responses.create(model=OPENAI_MODEL, input=turns)))
    assert result.output_text == f"You said: {ASKED}"
    return result


async def responses_streamed(client: Any) -> object:
    events = await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta").endswith(ASKED)
    return strict(events)


async def responses_tools(client: Any) -> object:
    first = strict(await settle(client.responses.create(model=OPENAI_MODEL, input=ASKED, tools=TOOLS + CUSTOM)))
    assert [item.name for item in first.output] == ["find_call", "find_deal", "note"]
    call = first.output[0]
    items = [
        {"role": "user", "content": ASKED},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "It went well"},
    ]
    second = strict(await settle(client.responses.create(model=OPENAI_MODEL, input=items, tools=TOOLS)))
    assert second.output_text == "The tool said: It went well"
    return [first, second]


async def responses_tools_streamed(client: Any) -> object:
    events = await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, tools=TOOLS + CUSTOM, stream=True))
    kinds = {event.type for event in events}
    assert {"response.function_call_arguments.done", "response.custom_tool_call_input.done"} <= kinds
    return strict(events)


async def responses_reasoning(client: Any) -> object:
    first = strict(
        await settle(
            client.responses.create(
                model=OPENAI_MODEL,
                input=ASKED,
                reasoning={"effort": "low", "summary": "auto"},
                include=["reasoning.encrypted_content"],
            )
        )
    )
    kept = first.output[0]
    assert kept.encrypted_content
    items = [
        {"role": "user", "content": ASKED},
        kept.model_dump(exclude_none=True),
        {"role": "user", "content": "Why?"},
    ]
    second = strict(await settle(client.responses.create(model=OPENAI_MODEL, input=items)))
    assert second.output_text == "You said: Why?"
    return [first, second]


async def responses_reasoning_streamed(client: Any) -> object:
    events = await listed(
        client.responses.create(
            model=OPENAI_MODEL, input=ASKED, reasoning={"effort": "low", "summary": "auto"}, stream=True
        )
    )
    kinds = {event.type for event in events}
    assert {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"} <= kinds
    return strict(events)


async def responses_annotations_streamed(client: Any) -> object:
    events = await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, stream=True))
    assert "response.output_text.annotation.added" in {event.type for event in events}
    return strict(events)


async def responses_refusal_streamed(client: Any) -> object:
    events = await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, stream=True))
    assert "response.refusal.done" in {event.type for event in events}
    return strict(events)


async def responses_incomplete_streamed(client: Any) -> object:
    events = await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, max_output_tokens=2, stream=True))
    assert events[-1].type == "response.incomplete"
    return strict(events)


async def responses_failed_streamed(client: Any) -> object:
    events = await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, stream=True))
    assert events[-1].type == "response.failed"
    return strict(events)


async def responses_error_event(client: Any) -> object:
    events = await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, stream=True))
    assert events[-1].type == "error"
    return [event.type for event in events] + [events[-1].code]


async def responses_parse(client: Any) -> object:
    result = await settle(client.responses.parse(model=OPENAI_MODEL, input=ASKED, text_format=Score))
    assert result.output_parsed.moments == [Moment(second=1, quote=ASKED)]
    return result


async def responses_stream_helper(client: Any) -> object:
    async def use(stream: Any) -> object:
        events = await listed(stream)
        final = await settle(stream.get_final_response())
        assert final.output_parsed.mood is Mood.GOOD
        return [[event.type for event in events], final]

    return await entered(client.responses.stream(model=OPENAI_MODEL, input=ASKED, text_format=Score), use)


async def responses_json_mode(client: Any) -> object:
    result = strict(
        await settle(client.responses.create(model=OPENAI_MODEL, input=ASKED, text={"format": {"type": "json_object"}}))
    )
    assert ASKED in result.output_text
    return result


async def responses_tools_of_the_caller(client: Any) -> object:
    tools = [
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "apply_patch"},
        {"type": "tool_search", "execution": "client"},
    ]
    events = strict(await listed(client.responses.create(model=OPENAI_MODEL, input=ASKED, tools=tools, stream=True)))
    kinds = {event.item.type for event in events if event.type == "response.output_item.done"}
    assert {"shell_call", "apply_patch_call", "tool_search_call"} <= kinds
    assert "response.shell_call_command.done" in {event.type for event in events}
    return events


async def responses_raw(client: Any) -> object:
    return await with_headers(client.responses.with_raw_response.create(model=OPENAI_MODEL, input=ASKED))


async def embeddings_by_default(client: Any) -> object:
    result = strict(await settle(client.embeddings.create(model=EMBEDDING_MODEL, input=[ASKED, "Fine"])))
    assert [len(one.embedding) for one in result.data] == [1536, 1536]
    return result


async def embeddings_of_both_encodings(client: Any) -> object:
    plain = strict(
        await settle(
            client.embeddings.create(model=EMBEDDING_MODEL, input=ASKED, dimensions=64, encoding_format="float")
        )
    )
    packed = await settle(
        client.embeddings.create(model=EMBEDDING_MODEL, input=ASKED, dimensions=64, encoding_format="base64")
    )
    assert len(plain.data[0].embedding) == 64
    assert isinstance(packed.data[0].embedding, str)
    return [plain, packed]


async def moderations(client: Any) -> object:
    result = strict(await settle(client.moderations.create(model=MODERATION_MODEL, input=[ASKED, "I could kill him"])))
    assert [one.flagged for one in result.results] == [False, True]
    return result


async def unknown_parameter_value(client: Any) -> object:
    return await raised(lambda: client.chat.completions.create(model=OPENAI_MODEL, messages=TALK))


async def failing_then_well(client: Any) -> object:
    return strict(await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK)))


async def no_retries_left(client: Any) -> object:
    return await raised(
        lambda: client.with_options(max_retries=0).chat.completions.create(model=OPENAI_MODEL, messages=TALK)
    )


async def stream_error(client: Any) -> object:
    return await raised(lambda: listed(client.chat.completions.create(model=OPENAI_MODEL, messages=TALK, stream=True)))


def _error(status: int, **more: Any) -> tuple[Scenario, ...]:
    return (Scenario(status=status, error_param="temperature", **more),)


RECORDING = ("call.wav", b"RIFF\x24\x08\0\0WAVEfmt " + bytes(64), "audio/wav")


async def transcription(client: Any) -> object:
    result = await settle(client.audio.transcriptions.create(model=OPENAI_MODEL, file=RECORDING))
    assert result.text
    return result


async def transcription_streamed(client: Any) -> object:
    events = await listed(client.audio.transcriptions.create(model=OPENAI_MODEL, file=RECORDING, stream=True))
    assert [event.type for event in events][-1] == "transcript.text.done"
    return events


CASES: list[Case[Any]] = [
    Case("transcription", transcription),
    Case("transcription, streamed", transcription_streamed),
    Case("chat, plain", chat_plain),
    Case("chat, streamed", chat_streamed),
    Case("chat, streamed with usage", chat_streamed_with_usage),
    Case("chat, two tools at once", chat_tools),
    Case("chat, two tools at once, streamed", chat_tools_streamed),
    Case("chat, one tool at a time", chat_one_tool_at_a_time),
    Case("chat, a chosen tool and its result", chat_chosen_tool_and_its_result, attempts=2),
    Case("chat, a custom tool", chat_custom_tool),
    Case("chat, legacy functions", chat_legacy_functions),
    Case("chat, legacy functions, streamed", chat_legacy_functions_streamed),
    Case("chat, JSON mode", chat_json_mode),
    Case("chat, parse", chat_parse),
    Case("chat, parse of a strict function", chat_parse_strict_function),
    Case("chat, three choices", chat_choices),
    Case("chat, two choices, streamed", chat_choices_streamed),
    Case("chat, log probabilities", chat_logprobs),
    Case("chat, cut at the limit", chat_cut_at_the_limit),
    Case("chat, stop sequence", chat_stop_sequence),
    Case("chat, refusal", chat_refusal, (Scenario(content="refusal"),)),
    Case("chat, refusal, streamed", chat_refusal_streamed, (Scenario(content="refusal"),)),
    Case("chat, stream helper", chat_stream_helper),
    Case("chat, stream helper with a strict function", chat_stream_helper_tools),
    Case("chat, stream helper with parse", chat_stream_helper_parse),
    Case("chat, raw response", chat_raw_response),
    Case("chat, streaming response", chat_streaming_response),
    Case("responses, plain", responses_plain),
    Case("responses, items", responses_items),
    Case("responses, streamed", responses_streamed),
    Case("responses, queued, streamed", responses_streamed, (Scenario(content="queued"),)),
    Case("responses, function and custom tools", responses_tools, attempts=2),
    Case("responses, function and custom tools, streamed", responses_tools_streamed),
    Case("responses, typed tools of the caller, streamed", responses_tools_of_the_caller),
    Case("responses, encrypted reasoning sent back", responses_reasoning, attempts=2),
    Case("responses, reasoning, streamed", responses_reasoning_streamed, (Scenario(content="reasoning_text"),)),
    Case("responses, annotations, streamed", responses_annotations_streamed, (Scenario(content="annotations"),)),
    Case("responses, refusal, streamed", responses_refusal_streamed, (Scenario(content="refusal"),)),
    Case("responses, incomplete, streamed", responses_incomplete_streamed),
    Case("responses, failed, streamed", responses_failed_streamed, (Scenario(content="failed"),)),
    Case("responses, error event", responses_error_event, (Scenario(fault=Fault.STREAM_ERROR),)),
    Case("responses, parse", responses_parse),
    Case("responses, stream helper with parse", responses_stream_helper),
    Case("responses, JSON mode", responses_json_mode),
    Case("responses, raw response", responses_raw),
    Case("embeddings, as the client asks by itself", embeddings_by_default),
    Case("embeddings, float and base64", embeddings_of_both_encodings, attempts=2),
    Case("moderations", moderations),
    Case("error 400", unknown_parameter_value, _error(400)),
    Case("error 401", unknown_parameter_value, _error(401)),
    Case("error 403", unknown_parameter_value, _error(403)),
    Case("error 404", unknown_parameter_value, _error(404)),
    Case("error 413", unknown_parameter_value, _error(413)),
    Case("error 422", unknown_parameter_value, _error(422)),
    Case("error 429, not retried", no_retries_left, _error(429, headers={"retry-after": "7"})),
    Case("error 500, not retried", no_retries_left, _error(500)),
    Case("error 503, not retried", no_retries_left, _error(503)),
    Case("error 500, then well", failing_then_well, _error(500), attempts=2),
    Case("error 429 that says not to retry", unknown_parameter_value, _error(429, headers={"x-should-retry": "false"})),
    Case("error in a stream", stream_error, (Scenario(fault=Fault.STREAM_ERROR),)),
]


def _client(kind: str, url: str, key: str) -> Any:
    maker = openai.OpenAI if kind == "sync" else openai.AsyncOpenAI
    return maker(base_url=f"{url}/v1", api_key=key, timeout=10.0)


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


@pytest.mark.parametrize("kind", KINDS)
async def test_models_are_listed(kind: str, lasting_simulator: Simulator) -> None:
    """The list of models, and one of them, satisfy the client's types."""

    async def run(client: Any) -> object:
        models = strict(await listed(client.models.list()))
        return [[model.id for model in models], strict(await settle(client.models.retrieve(OPENAI_MODEL))).id]

    shown = await play(
        Case("models", run, attempts=2), _client(kind, lasting_simulator.url, CREDENTIAL), lasting_simulator
    )

    assert isinstance(shown, list)
    assert OPENAI_MODEL in shown[0]
    assert shown[1] == OPENAI_MODEL


@pytest.mark.parametrize("kind", KINDS)
async def test_models_are_those_of_the_caller(
    kind: str, lasting_simulator: Simulator, lasting_gateway: Gateway
) -> None:
    """The gateway answers the list of models itself, in the client's types, and asks no provider."""

    async def run(client: Any) -> object:
        models = strict(await listed(client.models.list()))
        return [[model.id for model in models], strict(await settle(client.models.retrieve(OPENAI_MODEL))).id]

    shown = await play(
        Case("models", run, attempts=0),
        _client(kind, lasting_gateway.url, lasting_gateway.granted_key),
        lasting_simulator,
    )

    assert isinstance(shown, list)
    assert OPENAI_MODEL in shown[0]
    assert shown[1] == OPENAI_MODEL


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_credential(kind: str, lasting_simulator: Simulator) -> None:
    """A credential that is not the configured one is the wire's own 401."""

    async def run(client: Any) -> object:
        return await raised(lambda: client.chat.completions.create(model=OPENAI_MODEL, messages=TALK))

    shown = await play(
        Case("wrong", run), _client(kind, lasting_simulator.url, "not-the-credential"), lasting_simulator
    )

    assert isinstance(shown, dict)
    assert (shown["class"], shown["code"]) == ("AuthenticationError", "invalid_api_key")
