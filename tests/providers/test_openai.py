"""The OpenAI wire: what its answers show, how its errors look to the official client, what it asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import httpx2
import openai
import pytest
from openai.types import CreateEmbeddingResponse, Model, ModerationCreateResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from providers.document import Document
from providers.openai import CHAT, EMBEDDINGS, MODERATIONS, OPENAI, RESPONSES, SHOW_MODEL, TRANSCRIPTIONS
from providers.provider import Observation, Operation, Refusal, Usage

REFUSAL = Refusal(
    status=403,
    code="parameter_retains_data",
    message="this would leave data behind",
    where="input[0].file_id",
    call_id="call-1",
    source="O1 2026-11-23",
    instead="Send text.",
)


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> openai.OpenAI:
    """The official client, whose provider is a function."""
    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="key", base_url="http://provider.test/v1", http_client=transport, max_retries=0)


# --- answers, as the client's own types build them ------------------------------------------------


def chat(**message: Any) -> Document:
    """A chat completion with this message."""
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "logprobs": None, "message": {"role": "assistant", **message}},
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }
    return cast("Document", ChatCompletion.model_validate(answer).to_dict())


def chunk(**fields: Any) -> Document:
    """A chunk of a chat stream."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    return cast("Document", ChatCompletionChunk.model_validate(base | fields).to_dict())


def delta(finish: str | None = None, **fields: Any) -> Document:
    """A chunk whose one choice has this delta."""
    return chunk(choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


def response(*output: Document, **fields: Any) -> Document:
    """A response object."""
    base = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "output": list(output),
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "metadata": {},
        "store": False,
        "background": False,
        "previous_response_id": None,
        "conversation": None,
        "incomplete_details": None,
        "error": None,
        "moderation": None,
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 13,
        },
    }
    return cast("Document", base | fields)


def message(*parts: Document) -> Document:
    """An output message."""
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(parts)}


TEXT: Document = {"type": "output_text", "text": "secret", "annotations": []}
COUNTED = Usage(9, 4, 2, 0, 1)


def test_whole_chat_answer_shows_names_and_numbers() -> None:
    """Model, id, usage and finish reason are seen, text is not."""
    seen = OPENAI.observe(CHAT, chat(content="secret"))

    assert seen == Observation(model="m", usage=COUNTED, finishes=("stop",), response_id="chatcmpl-1")
    assert "secret" not in repr(seen)


def test_whole_response_shows_names_and_numbers() -> None:
    """Output items and their parts, model, id, usage and how it ended are seen, text is not."""
    call: Document = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "secret", "arguments": "{}"}
    answer = Response.model_validate(response(message(TEXT), call)).to_dict()
    seen = OPENAI.observe(RESPONSES, cast("Document", answer))

    assert seen == Observation(
        kinds=(("item", "message"), ("part", "output_text"), ("item", "function_call")),
        model="m",
        usage=COUNTED,
        finishes=("completed",),
        response_id="resp_1",
    )
    assert "secret" not in repr(seen)


def test_small_answers_show_model_and_usage() -> None:
    """Embeddings, moderations and transcriptions show what they have."""
    embedding = CreateEmbeddingResponse.model_validate(
        {"object": "list", "model": "e", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    )
    moderation = ModerationCreateResponse.model_validate({"id": "modr-1", "model": "o", "results": []})
    spoken: Document = {"text": "", "usage": {"type": "tokens", "input_tokens": 5, "output_tokens": 6}}

    assert OPENAI.observe(EMBEDDINGS, cast("Document", embedding.to_dict())) == Observation(model="e", usage=Usage(3))
    assert OPENAI.observe(MODERATIONS, cast("Document", moderation.to_dict())) == Observation(
        model="o", response_id="modr-1"
    )
    assert OPENAI.observe(TRANSCRIPTIONS, spoken) == Observation(usage=Usage(5, 6))


ECHOES: dict[str, tuple[Operation, Document, str]] = {
    "stored response": (RESPONSES, response(store=True), "store"),
    "background": (RESPONSES, response(background=True), "background"),
    "conversation": (RESPONSES, response(conversation={"id": "conv_1"}), "conversation"),
    "previous response": (RESPONSES, response(previous_response_id="resp_0"), "previous_response_id"),
    "stored prompt": (RESPONSES, response(prompt={"id": "pmpt_1"}), "prompt"),
    "access programs": (RESPONSES, response(access_programs={"cyber": "standard"}), "access_programs"),
    "metadata": (RESPONSES, response(metadata={"a": "b"}), "metadata"),
    "cache for 24 hours": (RESPONSES, response(prompt_cache_retention="24h"), "prompt_cache_retention_24h"),
    "cache for 12 hours": (RESPONSES, response(prompt_cache_options={"ttl": "12h"}), "prompt_cache_ttl_12h"),
    "cache diagnostics": (
        RESPONSES,
        response(prompt_cache_diagnostics={"type": "cache_hit"}),
        "prompt_cache_diagnostics",
    ),
    "cache written": (
        RESPONSES,
        response(usage={"input_tokens_details": {"cache_write_tokens": 8}}),
        "cache_write",
    ),
    "cache written by ttl": (
        RESPONSES,
        response(usage={"input_tokens_details": {"cache_write_tokens_details": {"ttl_30m_tokens": 8}}}),
        "cache_write",
    ),
    "moderation": (RESPONSES, response(moderation={"input": {}}), "moderation"),
    "searches counted": (RESPONSES, response(tool_usage={"web_search": {"num_requests": 1}}), "web_search_usage"),
    "images counted": (RESPONSES, response(tool_usage={"image_gen": {"total_tokens": 1}}), "image_generation_usage"),
    "live web access": (RESPONSES, response(tools=[{"type": "web_search"}]), "live_web_access"),
    "container of code": (
        RESPONSES,
        response({"type": "code_interpreter_call", "container_id": "cntr_1"}),
        "container",
    ),
    "container of a shell": (
        RESPONSES,
        response({"type": "shell_call", "environment": {"type": "container_reference"}}),
        "container",
    ),
    "file in a result": (
        RESPONSES,
        response({"type": "function_call_output", "output": [{"type": "input_image", "file_id": "f"}]}),
        "file_id",
    ),
    "not a response": (RESPONSES, {"id": "x"}, "form"),
    "stored chat": (CHAT, chat(content="") | {"store": True}, "store"),
    "chat metadata": (CHAT, chat(content="") | {"metadata": {"a": "b"}}, "metadata"),
    "chat moderation": (CHAT, chat(content="") | {"moderation": {}}, "moderation"),
    "chat cache written": (
        CHAT,
        chat(content="") | {"usage": {"prompt_tokens_details": {"cache_write_tokens": 1}}},
        "cache_write",
    ),
    "spoken answer": (CHAT, chat(audio={"id": "a", "data": "", "expires_at": 1, "transcript": ""}), "audio"),
    "not a chat": (CHAT, {"id": "x"}, "form"),
    "choice that is none": (CHAT, {"choices": [1]}, "form"),
    "message that is none": (CHAT, {"choices": [{"message": 1}]}, "form"),
}


@pytest.mark.parametrize(("operation", "answer", "echo"), ECHOES.values(), ids=ECHOES)
def test_every_sign_of_kept_state_is_seen(operation: Operation, answer: Document, echo: str) -> None:
    """A field that only kept state fills becomes an echo, in a whole answer and inside a stream."""
    assert echo in OPENAI.observe(operation, answer).echoes
    if operation is RESPONSES and echo != "form":
        event: Document = {"type": "response.created", "response": answer}

        assert echo in OPENAI.observe_event(RESPONSES, "response.created", event).echoes


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_whole_answer_that_is_not_ready_is_kept(status: str) -> None:
    """An answer to fetch later is kept until then; inside a stream the same status is only a turn to wait for."""
    waiting = response(status=status)
    event: Document = {"type": "response.queued", "response": waiting}

    assert OPENAI.observe(RESPONSES, waiting).echoes == ("queued",)
    assert OPENAI.observe_event(RESPONSES, "response.queued", event).echoes == ()


def test_cache_reads_are_no_echo() -> None:
    """Tokens read from a cache that is kept in memory only are counted, not reported as kept state."""
    assert OPENAI.observe(CHAT, chat(content="")).echoes == ()
    assert OPENAI.observe(RESPONSES, response()).echoes == ()


KINDS: dict[str, tuple[Document, tuple[tuple[str, str], ...]]] = {
    "local shell": (response(tools=[{"type": "shell", "environment": {"type": "local"}}]), (("tool", "shell:local"),)),
    "hosted shell": (response(tools=[{"type": "shell"}]), (("tool", "shell:container_auto"),)),
    "hosted search of tools": (response(tools=[{"type": "tool_search"}]), (("tool", "tool_search:server"),)),
    "own search of tools": (
        response(tools=[{"type": "tool_search", "execution": "client"}]),
        (("tool", "tool_search:client"),),
    ),
    "namespace": (
        response(tools=[{"type": "namespace", "tools": [{"type": "mcp"}]}]),
        (("tool", "namespace"), ("tool", "mcp")),
    ),
    "tool without a type": (response(tools=["mcp"]), (("tool", ""),)),
    "tools in an item": (
        response({"type": "additional_tools", "tools": [{"type": "mcp"}]}),
        (("item", "additional_tools"), ("tool", "mcp")),
    ),
    "hosted search call": (response({"type": "tool_search_call"}), (("item", "tool_search_call:server"),)),
    "own search result": (
        response({"type": "tool_search_output", "execution": "client", "tools": [{"type": "function"}]}),
        (("item", "tool_search_output:client"), ("tool", "function")),
    ),
    "citation": (
        response(message({"type": "output_text", "annotations": [{"type": "file_citation"}]})),
        (("item", "message"), ("part", "output_text"), ("annotation", "file_citation")),
    ),
    "reasoning": (
        response({"type": "reasoning", "summary": [{"type": "summary_text"}], "content": [{"type": "reasoning_text"}]}),
        (("item", "reasoning"), ("part", "reasoning_text"), ("part", "summary_text")),
    ),
    "item without a type": (response({"id": "x"}), (("item", ""),)),
}


@pytest.mark.parametrize(("answer", "kinds"), KINDS.values(), ids=KINDS)
def test_everything_typed_is_named(answer: Document, kinds: tuple[tuple[str, str], ...]) -> None:
    """Items, parts, annotations and tools are named for the surface, variants that decide included."""
    assert OPENAI.observe(RESPONSES, answer).kinds == kinds


def test_chat_tool_calls_and_citations_are_named() -> None:
    """Tool calls of a message have the names that the responses wire gives them."""
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "2", "type": "custom", "custom": {"name": "c", "input": ""}},
    ]
    citation = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
    seen = OPENAI.observe(CHAT, chat(tool_calls=calls, annotations=[citation]))

    assert seen.kinds == (("item", "function_call"), ("item", "custom_tool_call"), ("annotation", "url_citation"))
    assert seen.echoes == ("web_search_usage",)


def test_unknown_finish_reason_becomes_a_word_of_ours() -> None:
    """What the provider writes where a reason stands never goes further as it is."""
    answer = chat(content="")
    cast("Any", answer["choices"])[0]["finish_reason"] = "the customer said"

    assert OPENAI.observe(CHAT, answer).finishes == ("other",)
    incomplete = response(status="incomplete", incomplete_details={"reason": "max_output_tokens"})

    assert OPENAI.observe(RESPONSES, incomplete).finishes == ("max_output_tokens",)


# --- stream events --------------------------------------------------------------------------------


def test_chat_chunks_show_what_whole_answers_show() -> None:
    """Text, tool calls, finish, usage and the end mark of a chat stream are told apart."""
    call = [{"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]
    more = [{"index": 0, "function": {"arguments": "{"}}]
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    plain = Observation("chat.completion.chunk", model="m", response_id="chatcmpl-1")
    seen = [
        OPENAI.observe_event(CHAT, "", document)
        for document in (
            delta(content="secret"),
            delta(tool_calls=call),
            delta(tool_calls=more),
            delta("tool_calls"),
            chunk(usage=usage),
            None,
        )
    ]

    assert seen[0] == seen[2] == plain
    assert seen[1].kinds == (("item", "function_call"),)
    assert seen[3].finishes == ("tool_calls",)
    assert seen[4].usage == Usage(9, 4)
    assert [event.terminal for event in seen] == [False] * 5 + [True]


CHUNKS: dict[str, Document] = {
    "audio": delta(audio={"id": "audio_1"}),
    "expiry of audio": delta(audio={"expires_at": 1}),
    "moderation": chunk() | {"moderation": {"input": {}}},
    "store": chunk() | {"store": True},
    "metadata": chunk() | {"metadata": {"a": "b"}},
    "cache written": chunk() | {"usage": {"prompt_tokens_details": {"cache_write_tokens": 1}}},
    "parts in a delta": chunk() | {"choices": [{"delta": {"content": [{"type": "x", "file_id": "f"}]}}]},
}


@pytest.mark.parametrize("document", CHUNKS.values(), ids=CHUNKS)
def test_fast_path_of_chunks_hides_no_echo(document: Document) -> None:
    """A chunk with anything but a piece of text is read whole."""
    assert OPENAI.observe_event(CHAT, "", document).echoes


def test_responses_stream_shows_items_parts_and_its_end() -> None:
    """Each kind of event of a responses stream is named, and its terminal event is known."""
    events: list[Document] = [
        {"type": "response.created", "response": response(status="in_progress", usage=None)},
        {"type": "response.output_item.added", "item": message()},
        {"type": "response.content_part.added", "part": TEXT},
        {"type": "response.output_text.delta", "delta": "secret"},
        {"type": "response.output_text.annotation.added", "annotation": {"type": "url_citation"}},
        {"type": "response.output_item.done", "item": message(TEXT)},
        {"type": "response.completed", "response": response(message(TEXT))},
    ]
    seen = [OPENAI.observe_event(RESPONSES, cast("str", event["type"]), event) for event in events]

    assert [(each.event, each.kinds) for each in seen] == [
        ("response.created", ()),
        ("response.output_item.added", (("item", "message"),)),
        ("response.content_part.added", (("part", "output_text"),)),
        ("response.output_text.delta", ()),
        ("response.output_text.annotation.added", (("annotation", "url_citation"),)),
        ("response.output_item.done", (("item", "message"), ("part", "output_text"))),
        ("response.completed", (("item", "message"), ("part", "output_text"))),
    ]
    assert [each.terminal for each in seen] == [False] * 6 + [True]
    assert (seen[0].model, seen[0].finishes, seen[-1].usage) == ("m", (), COUNTED)


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed"])
def test_each_ending_of_a_response_is_terminal(kind: str) -> None:
    """A response ends in one of three ways, and a failure names its code."""
    failed = response(status="failed", error={"code": "server_error", "message": "secret"})
    seen = OPENAI.observe_event(RESPONSES, kind, {"type": kind, "response": failed})

    assert (seen.terminal, seen.error) == (True, "server_error")


def test_transcript_ends_with_its_usage() -> None:
    """The last event of a transcript is terminal and counts."""
    done: Document = {"type": "transcript.text.done", "text": "", "usage": {"input_tokens": 1, "output_tokens": 2}}
    seen = OPENAI.observe_event(TRANSCRIPTIONS, "transcript.text.done", done)

    assert seen == Observation("transcript.text.done", usage=Usage(1, 2), terminal=True)


UNNAMED: dict[str, tuple[Operation, str, Document | None]] = {
    "name and type that differ": (RESPONSES, "response.created", {"type": "response.output_text.delta"}),
    "no type": (RESPONSES, "response.created", {}),
    "end mark where there is none": (RESPONSES, "", None),
    "response that is none": (RESPONSES, "response.created", {"type": "response.created", "response": 1}),
    "chat chunk with a name": (CHAT, "thread.created", chunk()),
    "another object": (CHAT, "", {"object": "thread.message.delta"}),
}


@pytest.mark.parametrize(("operation", "name", "data"), UNNAMED.values(), ids=UNNAMED)
def test_events_that_two_readers_take_differently_have_no_name(
    operation: Operation, name: str, data: Document | None
) -> None:
    """An event that is not what it says becomes one that no surface allows."""
    assert OPENAI.observe_event(operation, name, data).event == "unnamed"


ERRORS: dict[str, tuple[Operation, str, Document, str]] = {
    "chat": (CHAT, "", {"error": {"code": "server_error", "message": "secret"}}, "server_error"),
    "flat": (RESPONSES, "error", {"type": "error", "code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
    "nested": (RESPONSES, "error", {"type": "error", "error": {"code": "server_error"}}, "server_error"),
    "hidden in another event": (RESPONSES, "response.created", {"type": "response.created", "error": {}}, "unknown"),
    "code that is not listed": (CHAT, "", {"error": {"code": "she said"}}, "unknown"),
    "type alone": (CHAT, "", {"error": {"type": "server_error"}}, "server_error"),
}


@pytest.mark.parametrize(("operation", "name", "data", "code"), ERRORS.values(), ids=ERRORS)
def test_errors_inside_a_stream_are_seen(operation: Operation, name: str, data: Document, code: str) -> None:
    """Whatever the client would raise is an error event with a listed code."""
    seen = OPENAI.observe_event(operation, name, data)

    assert (seen.event, seen.error) == ("error", code)


# --- errors, as the client raises them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (400, openai.BadRequestError, "invalid_request_error"),
        (401, openai.AuthenticationError, "invalid_request_error"),
        (403, openai.PermissionDeniedError, "invalid_request_error"),
        (404, openai.NotFoundError, "invalid_request_error"),
        (413, openai.APIStatusError, "invalid_request_error"),
        (429, openai.RateLimitError, "rate_limit_error"),
        (502, openai.InternalServerError, "server_error"),
        (503, openai.InternalServerError, "service_unavailable_error"),
    ],
)
def test_client_raises_its_usual_exception(status: int, raised: type[openai.APIStatusError], kind: str) -> None:
    """A refusal carries code, path, reason, source and advice to where the client's users look for them."""
    refusal = Refusal(status, "some_code", "No way", "input[0]", "call-1", "O1 2026-11-23", "Send text.")
    body = OPENAI.shape_error(refusal)
    here = client(lambda request: httpx2.Response(status, content=body, headers={"x-request-id": "call-1"}))

    with here, pytest.raises(raised) as caught:
        here.models.list()

    error = caught.value
    assert (error.code, error.param, error.type) == ("some_code", "input[0]", kind)
    assert error.request_id == "call-1"
    assert cast("dict[str, str]", error.body)["message"] == (
        "input[0]: No way. Source: O1 2026-11-23. Instead: Send text."
    )


def test_error_without_a_place_has_a_null_param() -> None:
    """All four keys are always there, as the provider's published schema has them."""
    body = json.loads(OPENAI.shape_error(Refusal(400, "body_invalid", "Not JSON.", None, "call-1")))

    assert body == {
        "error": {"message": "Not JSON.", "type": "invalid_request_error", "param": None, "code": "body_invalid"}
    }


def test_client_raises_in_the_middle_of_a_chat_stream() -> None:
    """The error event ends a chat stream with an exception."""
    first = b"data: " + json.dumps(delta(content="a")).encode() + b"\n\n"
    stream = streaming(first + OPENAI.shape_stream_error(CHAT, REFUSAL))

    with pytest.raises(openai.APIError) as caught, stream as here:
        list(here.chat.completions.create(model="m", messages=[], stream=True))

    assert (caught.value.code, caught.value.param) == (REFUSAL.code, REFUSAL.where)


def test_client_raises_in_the_middle_of_a_responses_stream() -> None:
    """The error event ends a responses stream with an exception, and not with one more event."""
    first: Document = {"type": "response.output_text.delta", "delta": "a", "sequence_number": 1}
    head = b"event: response.output_text.delta\ndata: " + json.dumps(first).encode() + b"\n\n"
    stream = streaming(head + OPENAI.shape_stream_error(RESPONSES, REFUSAL))

    with pytest.raises(openai.APIError) as caught, stream as here:
        list(here.responses.create(model="m", input="", stream=True))

    assert (caught.value.code, caught.value.param) == (REFUSAL.code, REFUSAL.where)


def test_client_raises_in_the_middle_of_a_transcript() -> None:
    """The error event ends a transcript with an exception."""
    stream = streaming(OPENAI.shape_stream_error(TRANSCRIPTIONS, REFUSAL))

    with pytest.raises(openai.APIError) as caught, stream as here:
        list(here.audio.transcriptions.create(model="m", file=b"RIFF", stream=True))

    assert caught.value.code == REFUSAL.code


def streaming(body: bytes) -> openai.OpenAI:
    """A client whose provider answers with these events."""
    headers = {"content-type": "text/event-stream"}
    return client(lambda request: httpx2.Response(200, content=body, headers=headers))


def test_provider_errors_are_named_by_listed_words_only() -> None:
    """Type and code are words of the wire, whatever the provider writes there."""
    listed: Document = {"error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "secret"}}

    assert OPENAI.error_code(listed) == ("insufficient_quota", "insufficient_quota")
    assert OPENAI.error_code({"error": {"type": "secret", "code": 1}}) == ("", "")
    assert OPENAI.error_code({"error": "secret"}) == ("", "")


def test_scrubbed_error_keeps_its_form_and_no_text() -> None:
    """Types and codes stay; every other string, of whatever key, is replaced, and odd keys are dropped."""
    body: Document = {
        "error": {
            "message": "you sent secret",
            "type": "invalid_request_error",
            "code": "unknown_parameter",
            "param": "secret",
            "details": [{"code": "a secret", "n": 1, "secret key": "x"}],
        }
    }

    assert OPENAI.scrub_error(body, lambda text: "*") == {
        "error": {
            "message": "*",
            "type": "invalid_request_error",
            "code": "unknown_parameter",
            "param": "*",
            "details": [{"code": "*", "n": 1}],
        }
    }


# --- what the gateway answers itself, and what it asks ----------------------------------------------


def test_client_reads_the_models() -> None:
    """The list has the form of the official client's page, in the order given; one model has its form."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        one = request.url.path.removeprefix("/v1/models").strip("/")
        body = OPENAI.show_model(one) if one else OPENAI.list_models(("b", "a"), {})
        return httpx2.Response(200, content=body, headers={"content-type": "application/json"})

    with client(answer) as here:
        page, model = here.models.list(), here.models.retrieve("a")

    assert [each.id for each in page] == ["b", "a"]
    assert not page.has_next_page()
    assert Model.model_validate(model.to_dict(), strict=True).id == "a"
    assert SHOW_MODEL.path.endswith("/{id}")


USAGE: dict[str, tuple[Operation, Document, bool, Document]] = {
    "chat without options": (CHAT, {"stream": True}, True, {"include_usage": True}),
    "chat with null": (CHAT, {"stream_options": None}, True, {"include_usage": True}),
    "chat that declines": (CHAT, {"stream_options": {"include_usage": False}}, True, {"include_usage": True}),
    "chat that asks": (CHAT, {"stream_options": {"include_usage": True}}, False, {"include_usage": True}),
    "chat with another option": (
        CHAT,
        {"stream_options": {"include_obfuscation": False}},
        True,
        {"include_obfuscation": False, "include_usage": True},
    ),
}


@pytest.mark.parametrize(("operation", "document", "changed", "options"), USAGE.values(), ids=USAGE)
def test_chat_streams_are_made_to_report_usage(
    operation: Operation, document: Document, changed: bool, options: Document
) -> None:
    """Usage is asked for, and it is known whether the caller had asked."""
    assert OPENAI.ask_usage(operation, document) is changed
    assert document["stream_options"] == options


def test_other_streams_report_usage_unasked() -> None:
    """Nothing is added to a responses request."""
    document: Document = {"stream": True}

    assert OPENAI.ask_usage(RESPONSES, document) is False
    assert document == {"stream": True}


def test_usage_event_is_told_from_all_others() -> None:
    """Only the chunk without choices that has a usage exists because usage was asked for."""
    usage: Document = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}

    assert OPENAI.is_usage_event(CHAT, chunk(usage=usage))
    assert not OPENAI.is_usage_event(CHAT, chunk())
    assert not OPENAI.is_usage_event(CHAT, delta(content="a") | {"usage": usage})
    assert not OPENAI.is_usage_event(RESPONSES, chunk(usage=usage))


@pytest.mark.parametrize(("stream", "asked"), [(True, True), ("true", True), (False, False), (None, False), (1, False)])
def test_streams_are_asked_for_by_true(stream: bool | str | int | None, asked: bool) -> None:
    """A stream is asked for by true, or in a form by its word."""
    assert OPENAI.asks_stream({"stream": stream}) is asked
    assert OPENAI.asks_stream({}) is False


def test_account_behind_the_gateway_is_not_named() -> None:
    """The key goes where the provider wants it; headers that name its account do not come back."""
    assert dict(OPENAI.credential("key")) == {"authorization": "Bearer key"}
    assert not {"openai-organization", "openai-project"} & set(OPENAI.forwarded_response_headers)
    assert not {"openai-organization", "openai-project"} & set(OPENAI.forwarded_request_headers)
