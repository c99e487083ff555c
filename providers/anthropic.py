"""The Anthropic wire: `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`.

Knowledge of how this provider speaks: operations, credential, error shape, stream events, and what
an answer shows. Sources: the error, streaming and overview pages of the API reference (read
2026-11-23) and the types of the official client, `anthropic` 2.14.0. What is allowed stands in
`config/surfaces/anthropic.yaml`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import orjson
from msgspec import Struct

from providers import anthropic_speech, sse
from providers.document import Document, Value
from providers.provider import Observation, Operation, Provider, Rate, Refusal, Usage

MESSAGES = Operation("messages", "POST", "/v1/messages", dialect="messages", convention="chat", growing="messages")
COUNT_TOKENS = Operation(
    "messages.count_tokens", "POST", "/v1/messages/count_tokens", dialect="count_tokens", growing="messages"
)
LIST_MODELS = Operation("models.list", "GET", "/v1/models", body="none", answered_here=True, dialect="models")
SHOW_MODEL = Operation("models.show", "GET", "/v1/models/{id}", body="none", answered_here=True, dialect="model")

_PAGE = 20
_LARGEST_PAGE = 1000
_RELEASE_UNKNOWN = "1970-01-01T00:00:00Z"  # what this API itself writes where it knows no release date

# `anthropic.types.shared.ErrorType`, and `request_too_large`, which only the error page names.
_ERROR_TYPES = frozenset(
    {
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "timeout_error",
        "api_error",
        "overloaded_error",
        "conflict_error",
        "memory_precondition_failed_error",
        "memory_path_conflict_error",
    }
)
# Values of `error.details.error_code` that an operator can act on; any other is reported as "".
_ERROR_CODES = frozenset(
    {
        "thread_unsupported_request",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "organization_on_hold",
        "request_body_encoding_unsupported",
        "request_body_encoding_invalid",
        "request_body_too_large_after_decoding",
        "compaction_unavailable",
        "compaction_signature_invalid",
        "tool_name_conflict",
        "tool_reference_unresolved",
    }
)
_TYPE_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_STOP_REASONS = frozenset(
    {
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "compaction",
        "refusal",
        "model_context_window_exceeded",
    }
)
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


# --- errors -------------------------------------------------------------------------------------


def shape_error(refusal: Refusal) -> bytes:
    """The body of an error as the stock client reads it.

    The stable code of this gateway stands in `error.details.error_code`, also where the provider has a
    code of its own for the same thing (`thread_unsupported_request`).
    """
    sentences = [refusal.message if refusal.message.endswith(".") else f"{refusal.message}."]
    details: Document = {"error_code": refusal.code, "path": refusal.where}
    if refusal.where:
        sentences.insert(0, f"{refusal.where}:")
    if refusal.source:
        sentences.append(f"Source: {refusal.source}.")
        details["source"] = refusal.source
    if refusal.instead:
        sentences.append(f"Instead: {refusal.instead}")
        details["instead"] = refusal.instead
    kind = _TYPE_BY_STATUS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "api_error")
    error: Document = {"type": kind, "message": " ".join(sentences), "details": details}
    return orjson.dumps({"type": "error", "error": error, "request_id": refusal.call_id})


def shape_stream_error(operation: Operation, refusal: Refusal) -> bytes:
    """The event that makes the stock client raise `APIStatusError` in the middle of a stream."""
    return sse.build("error", shape_error(refusal))


def error_code(body: Document) -> tuple[str, str]:
    """Type and code of a provider's error, each a word of the closed lists above or empty."""
    error = body.get("error")
    if type(error) is not dict:
        return "", ""
    details = error.get("details")
    code = details.get("error_code") if type(details) is dict else None
    return _word(error.get("type"), _ERROR_TYPES), _word(code, _ERROR_CODES)


def scrub_error(body: Document, replace: Callable[[str], str]) -> Document:
    """The same error with every text replaced.

    Types, codes and ids stay where they have the form of one; any other string may quote the input
    (`details` name paths and features) and is replaced; a key that is no plain word is dropped.
    """
    return {key: _scrubbed(key, value, replace) for key, value in body.items() if _WORD(key)}


def _scrubbed(key: str, value: Value, replace: Callable[[str], str]) -> Value:
    if isinstance(value, str):
        return value if key in _KEPT and _WORD(value) else replace(value)
    if isinstance(value, list):
        return [_scrubbed("", item, replace) for item in value]
    if isinstance(value, dict):
        return scrub_error(value, replace)
    return value


_KEPT = frozenset({"type", "error_code", "request_id"})


def _word(value: Value, words: frozenset[str], otherwise: str = "") -> str:
    return value if isinstance(value, str) and value in words else otherwise


# --- answers ------------------------------------------------------------------------------------


class _Sight(Struct, eq=False):
    """What is seen of one answer or event while it is read."""

    kinds: list[tuple[str, str]] = []
    echoes: list[str] = []
    usage: Usage | None = None

    def block(self, block: Value) -> None:
        """A content block. What has no type is a block without a name, which no surface allows."""
        kind = _type(block)
        self.kinds.append(("block", kind))
        if type(block) is not dict:
            return
        if block.get("citations"):
            self._citations(block["citations"])
        if block.get("caller") is not None:
            self.kinds.append(("caller", _type(block["caller"])))
        if kind == "server_tool_use":
            name = block.get("name")
            self.kinds.append(("tool", name if isinstance(name, str) else ""))
        if kind == "compaction" and block.get("tool_changes"):
            self.echoes.append("compaction.tool_changes")

    def citation(self, citation: Value) -> None:
        """A citation, which may point at a stored file."""
        self.kinds.append(("citation", _type(citation)))
        if type(citation) is dict and citation.get("file_id") is not None:
            self.echoes.append("citations.file_id")

    def state(self, holder: Document) -> None:
        """Fields of a message, or of its delta, that only kept state fills."""
        for name in ("container", "thread", "diagnostics"):
            if holder.get(name) is not None:
                self.echoes.append(name)

    def counters(self, usage: Value) -> None:
        """Token counts, and what they betray of caches, hosted tools, other models and regions."""
        if type(usage) is not dict:
            return
        details = usage.get("output_tokens_details")
        self.usage = Usage(
            input=_count(usage.get("input_tokens")),
            output=_count(usage.get("output_tokens")),
            cache_read=_count(usage.get("cache_read_input_tokens")),
            cache_write=_count(usage.get("cache_creation_input_tokens")),
            reasoning=_count(details.get("thinking_tokens")) if type(details) is dict else None,
        )
        if self.usage.cache_read:
            self.echoes.append("cache_read")
        if self.usage.cache_write or _positive(usage.get("cache_creation")):
            self.echoes.append("cache_write")
        if _positive(usage.get("server_tool_use")):
            self.echoes.append("server_tool_use")
        if (region := usage.get("inference_geo")) is not None:
            self.kinds.append(("geo", region if isinstance(region, str) else ""))
        if type(iterations := usage.get("iterations")) is list:
            self.kinds.extend(("iteration", _type(iteration)) for iteration in iterations)

    def _citations(self, citations: Value) -> None:
        for citation in citations if type(citations) is list else [citations]:
            self.citation(citation)


def observe(operation: Operation, document: Document) -> Observation:
    """What a whole answer shows."""
    if operation.dialect == "count_tokens":
        return Observation(usage=Usage(input=_count(document.get("input_tokens"))))
    return _message("", document)


def observe_event(operation: Operation, name: str, data: Document | None) -> Observation:
    """What one stream event shows.

    A client acts on the name of an event or on the type in its data, so where the two differ no
    judgement of one would hold for the other: it is then an event that no surface names.
    """
    kind = "" if data is None else data.get("type")
    if data is None or type(kind) is not str or kind != name:
        return _UNNAMED
    reader = _EVENTS.get(kind)
    return Observation(kind, terminal=kind == "message_stop") if reader is None else reader(data)


_UNNAMED = Observation("unnamed")
_PLAIN_DELTAS = {
    kind: Observation("content_block_delta", (("delta", kind),))
    for kind in ("text_delta", "input_json_delta", "thinking_delta", "signature_delta", "compaction_delta")
}


def _block_delta(data: Document) -> Observation:
    delta = data.get("delta")
    kind = _type(delta)
    plain = _PLAIN_DELTAS.get(kind)
    if plain is not None:
        return plain
    sight = _Sight([("delta", kind)])
    if kind == "citations_delta" and type(delta) is dict:
        sight.citation(delta.get("citation"))
    return Observation("content_block_delta", tuple(sight.kinds), tuple(sight.echoes))


def _block_start(data: Document) -> Observation:
    sight = _Sight()
    block = data.get("content_block")
    sight.block(block)
    return Observation("content_block_start", tuple(sight.kinds), tuple(sight.echoes), _fallback_model(block))


def _message_start(data: Document) -> Observation:
    message = data.get("message")
    return _message("message_start", message if type(message) is dict else {})


def _error(data: Document) -> Observation:
    return Observation("error", error=error_code(data)[0] or "unknown")


def _message(event: str, message: Document) -> Observation:
    sight = _Sight()
    content = message.get("content")
    if message.get("type") != "message" or type(content) is not list:
        sight.kinds.append(("block", ""))
    else:
        for block in content:
            sight.block(block)
    sight.state(message)
    sight.counters(message.get("usage"))
    model, identifier = message.get("model"), message.get("id")
    return Observation(
        event,
        tuple(sight.kinds),
        tuple(sight.echoes),
        model=model if isinstance(model, str) else None,
        usage=sight.usage,
        finishes=_finishes(message),
        response_id=identifier if isinstance(identifier, str) else None,
    )


def _message_delta(data: Document) -> Observation:
    sight = _Sight()
    delta = data.get("delta")
    change = delta if type(delta) is dict else {}
    sight.state(change)
    sight.counters(data.get("usage"))
    return Observation(
        "message_delta", tuple(sight.kinds), tuple(sight.echoes), usage=sight.usage, finishes=_finishes(change)
    )


_EVENTS: Mapping[str, Callable[[Document], Observation]] = {
    "content_block_delta": _block_delta,
    "content_block_start": _block_start,
    "message_start": _message_start,
    "message_delta": _message_delta,
    "error": _error,
}


def _finishes(holder: Document) -> tuple[str, ...]:
    reason = holder.get("stop_reason")
    return () if reason is None else (_word(reason, _STOP_REASONS, "other"),)


def _fallback_model(block: Value) -> str | None:
    """The model that goes on from a `fallback` block; `message_start` named the one that refused."""
    if type(block) is not dict or block.get("type") != "fallback":
        return None
    target = block.get("to")
    model = target.get("model") if type(target) is dict else None
    return model if isinstance(model, str) else ""


def _type(value: Value) -> str:
    kind = value.get("type") if type(value) is dict else None
    return kind if isinstance(kind, str) else ""


def _count(value: Value) -> int | None:
    return value if type(value) is int else None


def _positive(counters: Value) -> bool:
    return type(counters) is dict and any(type(count) is int and count > 0 for count in counters.values())


# --- what the gateway answers itself --------------------------------------------------------------


def list_models(models: tuple[str, ...], query: Mapping[str, str]) -> bytes:
    """One page of models, in the given order (`anthropic.types.ModelInfo`, `anthropic.pagination.SyncPage`).

    `limit` is 20 where absent or no number, and held within 1 to 1000. A cursor that names no model here
    gives an empty page, so that paging ends.
    """
    digits = query.get("limit", "")
    wanted = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 9 else _PAGE
    limit = min(max(wanted, 1), _LARGEST_PAGE)
    rest = list(models)
    backwards = "before_id" in query
    for cursor, part in (("after_id", 1), ("before_id", 0)):
        if cursor in query:
            mark = query[cursor]
            at = rest.index(mark) if mark in rest else None
            rest = [] if at is None else rest[at + 1 :] if part else rest[:at]
    page = rest[-limit:] if backwards else rest[:limit]
    body: Document = {
        "data": [_model(model) for model in page],
        "has_more": len(rest) > len(page),
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }
    return orjson.dumps(body)


def show_model(model: str) -> bytes:
    """One model (`anthropic.types.ModelInfo`)."""
    return orjson.dumps(_model(model))


def _model(model: str) -> Document:
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": _RELEASE_UNKNOWN,
        "lifecycle": "active",
        "capabilities": None,
        "line": None,
        "max_input_tokens": None,
        "max_tokens": None,
        "deprecated_at": None,
        "retires_at": None,
    }


def _credential(secret: str) -> Mapping[str, str]:
    # The API overview names this header for API keys under every version. The 2.x client sends the key as
    # a bearer token, which also names short-lived OAuth tokens; here only a key is ever meant.
    return {"x-api-key": secret}


def show_rates(rates: Sequence[Rate], now: datetime) -> Mapping[str, str]:
    """The rate-limit headers of this wire; a reset is an instant in RFC 3339 (rate limits page, read 2026-11-25)."""
    headers: dict[str, str] = {}
    for rate in rates:
        stem = f"anthropic-ratelimit-{rate.kind}"
        headers[f"{stem}-limit"] = str(rate.limit)
        headers[f"{stem}-remaining"] = str(rate.remaining)
        headers[f"{stem}-reset"] = (now + timedelta(seconds=math.ceil(rate.reset))).strftime("%Y-%m-%dT%H:%M:%SZ")
    return headers


ANTHROPIC = Provider(
    name="anthropic",
    alias="/anthropic",
    operations=(MESSAGES, COUNT_TOKENS, LIST_MODELS, SHOW_MODEL),
    forwarded_request_headers=("anthropic-version", "anthropic-beta"),
    # Not `anthropic-organization-id` and `anthropic-workspace-id`: they name the account behind the gateway.
    forwarded_response_headers=(
        "request-id",
        "anthropic-ratelimit-",
        "anthropic-priority-",
        "anthropic-fast-",
        "retry-after",
        "x-should-retry",
    ),
    request_id_header="request-id",
    credential=_credential,
    shape_error=shape_error,
    shape_stream_error=shape_stream_error,
    observe=observe,
    observe_event=observe_event,
    error_code=error_code,
    scrub_error=scrub_error,
    list_models=list_models,
    show_model=show_model,
    asks_stream=lambda document: document.get("stream") is True,
    ask_usage=lambda operation, document: False,  # every stream of this wire reports usage
    said=anthropic_speech.said,
    said_in_event=anthropic_speech.said_in_event,
    show_rates=show_rates,
    is_usage_event=lambda operation, data: False,
    constant_headers={},  # the version is the caller's choice, and the provider refuses a call without one
    telltale_header="anthropic-version",
)
