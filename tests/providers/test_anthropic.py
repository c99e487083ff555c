"""What the Anthropic wire says about answers and errors, held against the official client's types."""

from __future__ import annotations

import json
from typing import get_args

import anthropic
import httpx2 as httpx
import pytest
from anthropic import types as ga
from anthropic.types import beta
from anthropic.types.shared.error_type import ErrorType

from gateway.errors import Code
from providers import sse
from providers.anthropic import ANTHROPIC, COUNT_TOKENS, LIST_MODELS, MESSAGES, SHOW_MODEL
from providers.document import Document
from providers.provider import Observation, Refusal, Usage

# --- answers ------------------------------------------------------------------------------------


def dumped(model: ga.Message | beta.BetaMessage) -> Document:
    """A typed answer as it stands on the wire."""
    document: Document = json.loads(model.to_json())
    return document


def message(**change: object) -> Document:
    """A whole answer as the client types it."""
    body: dict[str, object] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "content": [{"type": "text", "text": "Bonjour", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "container": None,
        "usage": {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 0, "server_tool_use": None},
    }
    return dumped(beta.BetaMessage.model_validate({**body, **change}))


def test_whole_answer_shows_model_usage_reason_and_kind() -> None:
    """A plain answer shows its names and numbers, and no echo."""
    usage = {"input_tokens": 9, "output_tokens": 30, "output_tokens_details": {"thinking_tokens": 20}}

    assert ANTHROPIC.observe(MESSAGES, message(usage=usage)) == Observation(
        kinds=(("block", "text"),),
        model="claude-opus-5",
        usage=Usage(input=9, output=30, reasoning=20),
        finishes=("end_turn",),
        response_id="msg_1",
    )


def test_count_of_tokens_shows_its_number() -> None:
    """The answer to a count shows the input tokens and nothing else."""
    body: Document = json.loads(ga.MessageTokensCount(input_tokens=42).to_json())

    assert ANTHROPIC.observe(COUNT_TOKENS, body) == Observation(usage=Usage(input=42))


TOOL_USE: Document = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
PAGE: Document = {
    "type": "page_location",
    "cited_text": "x",
    "document_index": 0,
    "start_page_number": 1,
    "end_page_number": 2,
}
KINDS = {
    "a hosted tool by its name": (TOOL_USE, (("block", "server_tool_use"), ("tool", "web_search"))),
    "a direct caller": (
        {"type": "tool_use", "id": "toolu_1", "name": "n", "input": {}, "caller": {"type": "direct"}},
        (("block", "tool_use"), ("caller", "direct")),
    ),
    "a hosted caller": (
        {**TOOL_USE, "caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_2"}},
        (("block", "server_tool_use"), ("caller", "code_execution_20260120"), ("tool", "web_search")),
    ),
    "a citation": (
        {"type": "text", "text": "x", "citations": [PAGE]},
        (("block", "text"), ("citation", "page_location")),
    ),
    "a block without a type": ({"text": "x"}, (("block", ""),)),
    "a block that is no object": ("x", (("block", ""),)),
    "a hosted tool without a name": ({"type": "server_tool_use"}, (("block", "server_tool_use"), ("tool", ""))),
    "citations that are no list": (
        {"type": "text", "citations": PAGE},
        (("block", "text"), ("citation", "page_location")),
    ),
}


@pytest.mark.parametrize(("block", "kinds"), KINDS.values(), ids=KINDS)
def test_blocks_show_their_kinds_whole_and_streamed(block: Document, kinds: tuple[tuple[str, str], ...]) -> None:
    """A block shows the same kinds in a whole answer and at its start in a stream."""
    whole: Document = {"type": "message", "content": [block]}
    event: Document = {"type": "content_block_start", "index": 0, "content_block": block}

    assert ANTHROPIC.observe(MESSAGES, whole).kinds == kinds
    assert ANTHROPIC.observe_event(MESSAGES, "content_block_start", event).kinds == kinds


REMOVAL: Document = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "n"}}
CONTAINER: Document = {"id": "container_1", "expires_at": "2026-11-25T00:00:00Z"}
COUNTS: Document = {"input_tokens": 1, "output_tokens": 1}
ECHOES: dict[str, tuple[dict[str, object], str]] = {
    "a container": ({"container": CONTAINER}, "container"),
    "diagnostics": ({"diagnostics": {"cache_miss_reason": None}}, "diagnostics"),
    "a cache read": ({"usage": {**COUNTS, "cache_read_input_tokens": 5}}, "cache_read"),
    "a cache write": ({"usage": {**COUNTS, "cache_creation_input_tokens": 5}}, "cache_write"),
    "a cache write by lifetime": (
        {"usage": {**COUNTS, "cache_creation": {"ephemeral_1h_input_tokens": 5, "ephemeral_5m_input_tokens": 0}}},
        "cache_write",
    ),
    "a hosted search": (
        {"usage": {**COUNTS, "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}},
        "server_tool_use",
    ),
    "a cited file": (
        {"content": [{"type": "text", "text": "x", "citations": [{**PAGE, "file_id": "file_1"}]}]},
        "citations.file_id",
    ),
    "changed tools": (
        {"content": [{"type": "compaction", "content": "x", "tool_changes": [REMOVAL]}]},
        "compaction.tool_changes",
    ),
}


@pytest.mark.parametrize(("change", "echo"), ECHOES.values(), ids=ECHOES)
def test_answer_shows_each_sign_of_kept_state(change: dict[str, object], echo: str) -> None:
    """Each field that betrays kept state is an echo; zero counters and nulls are none."""
    assert ANTHROPIC.observe(MESSAGES, message(**change)).echoes == (echo,)
    assert ANTHROPIC.observe_event(
        MESSAGES, "message_start", {"type": "message_start", "message": message(**change)}
    ).echoes == (echo,)
    assert ANTHROPIC.observe(MESSAGES, message()).echoes == ()


def test_answer_of_a_thread_is_an_echo() -> None:
    """A field named thread, which no type of the client has yet, is an echo."""
    assert ANTHROPIC.observe(MESSAGES, {**message(), "thread": {"id": "x"}}).echoes == ("thread",)


def test_usage_shows_region_and_iterations() -> None:
    """Where inference ran and who produced a part of the answer are kinds for the surface to judge."""
    part = {**COUNTS, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    iterations = [{"type": "message", "model": "m", **part}, {"type": "advisor_message", "model": "m", **part}]

    seen = ANTHROPIC.observe(
        MESSAGES, message(usage={**COUNTS, "inference_geo": "us", "iterations": iterations}, content=[])
    )

    assert seen.kinds == (("geo", "us"), ("iteration", "message"), ("iteration", "advisor_message"))


@pytest.mark.parametrize("body", [{}, {"type": "message"}, {"type": "other", "content": []}], ids=str)
def test_answer_of_another_form_is_a_block_without_a_name(body: Document) -> None:
    """What is no message cannot pass as an empty one."""
    assert ("block", "") in ANTHROPIC.observe(MESSAGES, body).kinds


def test_unknown_stop_reason_is_never_quoted() -> None:
    """Finish reasons are words of a closed list, so that no text can reach the record."""
    assert ANTHROPIC.observe(MESSAGES, {**message(), "stop_reason": "secret words"}).finishes == ("other",)


# --- streams ------------------------------------------------------------------------------------

USAGE: Document = {"output_tokens": 12, "input_tokens": 9, "cache_read_input_tokens": 0}
EVENTS: dict[str, tuple[Document, Observation]] = {
    "start": (
        {"type": "message_start", "message": {**message(), "content": [], "stop_reason": None}},
        Observation(
            "message_start",
            model="claude-opus-5",
            usage=Usage(input=9, output=3, cache_read=0),
            response_id="msg_1",
        ),
    ),
    "text": (
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        Observation("content_block_delta", (("delta", "text_delta"),)),
    ),
    "citation": (
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": PAGE}},
        Observation("content_block_delta", (("delta", "citations_delta"), ("citation", "page_location"))),
    ),
    "unknown delta": (
        {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta"}},
        Observation("content_block_delta", (("delta", "new_delta"),)),
    ),
    "delta without a form": (
        {"type": "content_block_delta", "index": 0, "delta": "x"},
        Observation("content_block_delta", (("delta", ""),)),
    ),
    "block stop": ({"type": "content_block_stop", "index": 0}, Observation("content_block_stop")),
    "end of message": (
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "container": None}, "usage": USAGE},
        Observation("message_delta", usage=Usage(input=9, output=12, cache_read=0), finishes=("tool_use",)),
    ),
    "container at the end": (
        {"type": "message_delta", "delta": {"container": CONTAINER}, "usage": USAGE},
        Observation("message_delta", echoes=("container",), usage=Usage(input=9, output=12, cache_read=0)),
    ),
    "fallback": (
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}},
        },
        Observation("content_block_start", (("block", "fallback"),), model="b"),
    ),
    "terminal": ({"type": "message_stop"}, Observation("message_stop", terminal=True)),
    "ping": ({"type": "ping"}, Observation("ping")),
    "error": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}},
        Observation("error", error="overloaded_error"),
    ),
    "unknown error": (
        {"type": "error", "error": {"type": "secret words", "message": "secret"}},
        Observation("error", error="unknown"),
    ),
    "unknown event": ({"type": "message_extra"}, Observation("message_extra")),
}


@pytest.mark.parametrize(("data", "seen"), EVENTS.values(), ids=EVENTS)
def test_event_shows_what_it_holds(data: Document, seen: Observation) -> None:
    """Each stream event shows its names and numbers."""
    assert ANTHROPIC.observe_event(MESSAGES, str(data["type"]), data) == seen


DISAGREEING: dict[str, tuple[str, Document | None]] = {
    "a name that differs from the type": ("ping", {"type": "content_block_delta", "delta": {"type": "text_delta"}}),
    "data without a type": ("message_stop", {}),
    "no name": ("", {"type": "message_stop"}),
    "no data": ("message_stop", None),
}


@pytest.mark.parametrize(("name", "data"), DISAGREEING.values(), ids=DISAGREEING)
def test_event_of_two_meanings_is_unnamed(name: str, data: Document | None) -> None:
    """An event whose name and type differ is one that no surface names, and never terminal."""
    assert ANTHROPIC.observe_event(MESSAGES, name, data) == Observation("unnamed")


# --- errors -------------------------------------------------------------------------------------


def refusal(status: int = 403, code: Code = Code.PARAMETER_RETAINS_DATA) -> Refusal:
    """A refusal of the gateway."""
    return Refusal(
        status=status,
        code=code.value,
        message="this would leave data behind or send it elsewhere",
        where="thread",
        call_id="call_1",
        source="A2 2026-11-23",
        instead="Send the whole conversation.",
    )


def client(answer: httpx.Response) -> anthropic.Anthropic:
    """The official client, answered without a socket."""
    transport = httpx.MockTransport(lambda request: answer)
    return anthropic.Anthropic(
        api_key="k", base_url="http://gateway", max_retries=0, http_client=httpx.Client(transport=transport)
    )


STATUSES = {
    400: (anthropic.BadRequestError, "invalid_request_error"),
    401: (anthropic.AuthenticationError, "authentication_error"),
    403: (anthropic.PermissionDeniedError, "permission_error"),
    404: (anthropic.NotFoundError, "not_found_error"),
    413: (anthropic.APIStatusError, "request_too_large"),
    429: (anthropic.RateLimitError, "rate_limit_error"),
    502: (anthropic.InternalServerError, "api_error"),
    503: (anthropic.InternalServerError, "overloaded_error"),
    504: (anthropic.InternalServerError, "timeout_error"),
}


@pytest.mark.parametrize(("status", "expected"), STATUSES.items(), ids=str)
def test_refusal_raises_the_usual_exception(status: int, expected: tuple[type[Exception], str]) -> None:
    """The stock client raises its usual exception, with code, path, source and advice in it."""
    answer = httpx.Response(status, content=ANTHROPIC.shape_error(refusal(status)))

    with pytest.raises(expected[0]) as caught:
        client(answer).messages.create(model="m", max_tokens=1, messages=[])

    assert isinstance(caught.value, anthropic.APIStatusError)
    assert caught.value.body == {
        "type": "error",
        "error": {
            "type": expected[1],
            "message": "thread: this would leave data behind or send it elsewhere. "
            "Source: A2 2026-11-23. Instead: Send the whole conversation.",
            "details": {
                "error_code": "parameter_retains_data",
                "path": "thread",
                "source": "A2 2026-11-23",
                "instead": "Send the whole conversation.",
            },
        },
        "request_id": "call_1",
    }


def test_every_code_has_a_type_that_the_client_knows() -> None:
    """The error type of every refusal code is one that the client or the error page names."""
    known = {*get_args(ErrorType), "request_too_large"}

    for code in Code:
        assert json.loads(ANTHROPIC.shape_error(refusal(code.status, code)))["error"]["type"] in known


def test_refusal_without_a_rule_says_only_what_it_knows() -> None:
    """Where no field and no rule decided, none is named."""
    plain = Refusal(401, "unauthenticated", "the key is not known.", None, "call_1")

    error = json.loads(ANTHROPIC.shape_error(plain))["error"]

    assert error["message"] == "the key is not known."
    assert error["details"] == {"error_code": "unauthenticated", "path": None}


def test_stream_error_raises_in_the_client() -> None:
    """An error event in a stream makes the stock client raise, after what came before it."""
    start = sse.build("message_start", json.dumps({"type": "message_start", "message": message()}).encode())
    stream = start + ANTHROPIC.shape_stream_error(MESSAGES, refusal(502, Code.RESPONSE_NOT_ALLOWED))
    answer = httpx.Response(200, content=stream, headers={"content-type": "text/event-stream"})
    seen: list[str] = []

    with pytest.raises(anthropic.APIStatusError) as caught:
        seen.extend(
            event.type for event in client(answer).messages.create(model="m", max_tokens=1, messages=[], stream=True)
        )

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["details"]["error_code"] == "response_not_allowed"


ERRORS: dict[str, tuple[Document, tuple[str, str]]] = {
    "known words": (
        {"error": {"type": "billing_error", "details": {"error_code": "enforced_spend_limit_reached"}}},
        ("billing_error", "enforced_spend_limit_reached"),
    ),
    "unknown words": ({"error": {"type": "secret", "details": {"error_code": "secret"}}}, ("", "")),
    "other types": ({"error": {"type": ["api_error"], "details": "x"}}, ("", "")),
    "no error": ({"message": "x"}, ("", "")),
}


@pytest.mark.parametrize(("body", "words"), ERRORS.values(), ids=ERRORS)
def test_error_code_is_of_a_closed_list(body: Document, words: tuple[str, str]) -> None:
    """Only words that the wire knows come out of an error body."""
    assert ANTHROPIC.error_code(body) == words


def test_scrubbed_error_keeps_its_form_and_no_text() -> None:
    """Every text of an error is replaced; type, code and request id stay, if they look like one."""
    body: Document = {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "secret",
            "details": {"error_code": "tool_name_conflict", "names": ["secret", {"type": "secret words"}], "max": 3},
            "secret key": "secret",
        },
        "request_id": "req_1",
    }

    assert ANTHROPIC.scrub_error(body, lambda text: "…") == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "…",
            "details": {"error_code": "tool_name_conflict", "names": ["…", {"type": "…"}], "max": 3},
        },
        "request_id": "req_1",
    }


# --- models -------------------------------------------------------------------------------------

MODELS = ("a", "b", "c", "d", "e")
PAGES: dict[str, tuple[dict[str, str], str, bool]] = {
    "everything": ({}, "abcde", False),
    "a first page": ({"limit": "2"}, "ab", True),
    "the page after": ({"limit": "2", "after_id": "b"}, "cd", True),
    "the last page": ({"limit": "2", "after_id": "d"}, "e", False),
    "after the last": ({"after_id": "e"}, "", False),
    "the page before": ({"limit": "2", "before_id": "d"}, "bc", True),
    "before the first": ({"before_id": "a"}, "", False),
    "an unknown cursor": ({"after_id": "z"}, "", False),
    "a limit of nothing": ({"limit": "0"}, "a", True),
    "a limit that is no number": ({"limit": "x"}, "abcde", False),
    "a limit of the largest page": ({"limit": "1001"}, "abcde", False),
}


@pytest.mark.parametrize(("query", "ids", "more"), PAGES.values(), ids=PAGES)
def test_list_of_models_is_paged(query: dict[str, str], ids: str, more: bool) -> None:
    """A page holds the models that the cursor and the limit ask for."""
    page = json.loads(ANTHROPIC.list_models(MODELS, query))

    assert [model["id"] for model in page["data"]] == list(ids)
    assert (page["has_more"], page["first_id"], page["last_id"]) == (more, ids[:1] or None, ids[-1:] or None)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 20])
def test_client_pages_through_all_models(limit: int) -> None:
    """The stock client's own iterator finds every model once, forwards and backwards."""
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, content=ANTHROPIC.list_models(MODELS, dict(request.url.params)))
    )
    stock = anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=httpx.Client(transport=transport))

    forwards = list(stock.models.list(limit=limit))
    backwards = [model.id for model in stock.models.list(limit=limit, before_id="e")]

    assert [model.id for model in forwards] == list(MODELS)
    assert sorted(backwards) == list(MODELS[:-1])
    assert all(ga.ModelInfo.model_validate(model.model_dump()) for model in forwards)


def test_one_model_is_as_the_client_types_it() -> None:
    """The body of one model has every required field of the client's type."""
    model = ga.ModelInfo.model_validate_json(ANTHROPIC.show_model("claude-opus-5"))

    assert (model.id, model.type, model.lifecycle) == ("claude-opus-5", "model", "active")


# --- the table ----------------------------------------------------------------------------------


def test_table_says_how_to_speak_to_the_provider() -> None:
    """Paths, credential and headers are those of the first-party API."""
    assert {(operation.method, operation.path) for operation in ANTHROPIC.operations} == {
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{id}"),
    }
    assert LIST_MODELS.answered_here
    assert SHOW_MODEL.answered_here
    assert ANTHROPIC.credential("key") == {"x-api-key": "key"}
    assert ANTHROPIC.forwarded_request_headers == ("anthropic-version", "anthropic-beta")
    assert not any("organization" in name or "workspace" in name for name in ANTHROPIC.forwarded_response_headers)


@pytest.mark.parametrize(("value", "stream"), [(True, True), (False, False), (None, False), ("true", False)])
def test_stream_is_asked_by_true_only(value: bool | str | None, stream: bool) -> None:
    """Only the constant true asks for a stream, and usage needs no asking."""
    document: Document = {"stream": value}

    assert ANTHROPIC.asks_stream(document) is stream
    assert ANTHROPIC.ask_usage(MESSAGES, document) is False
    assert not ANTHROPIC.is_usage_event(MESSAGES, document)
    assert document == {"stream": value}
