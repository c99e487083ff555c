"""The OpenAI wire: chat completions, responses, embeddings, moderations, transcriptions, models.

Knowledge of how this provider speaks: operations, credential, error shape, stream events, and what
an answer shows. Sources: the API overview, error and streaming pages of the provider's reference
(read 2026-11-23) and the types of the official client, `openai` 3.57.0. What is allowed stands in
`config/surfaces/openai.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from providers import openai_answers, openai_errors, openai_speech
from providers.document import Document, Value
from providers.provider import Operation, Provider, Rate

CHAT = Operation(
    "chat.completions", "POST", "/v1/chat/completions", dialect="chat", convention="chat", growing="messages"
)
RESPONSES = Operation("responses", "POST", "/v1/responses", dialect="responses", convention="chat", growing="input")
EMBEDDINGS = Operation("embeddings", "POST", "/v1/embeddings", dialect="embeddings", convention="embeddings")
MODERATIONS = Operation("moderations", "POST", "/v1/moderations", dialect="moderations")
TRANSCRIPTIONS = Operation(
    "audio.transcriptions", "POST", "/v1/audio/transcriptions", body="multipart", dialect="transcription"
)
LIST_MODELS = Operation("models.list", "GET", "/v1/models", body="none", answered_here=True, dialect="models")
SHOW_MODEL = Operation("models.show", "GET", "/v1/models/{id}", body="none", answered_here=True, dialect="model")


# --- what the gateway answers itself --------------------------------------------------------------


def list_models(models: tuple[str, ...], query: Mapping[str, str]) -> bytes:
    """All models on one page (`openai.types.Model`, `openai.pagination.SyncPage`)."""
    data: list[Value] = [_model(model) for model in models]
    return orjson.dumps({"object": "list", "data": data})


def show_model(model: str) -> bytes:
    """One model (`openai.types.Model`)."""
    return orjson.dumps(_model(model))


def _model(model: str) -> Document:
    return {"id": model, "object": "model", "created": 0, "owned_by": "openai"}


# --- requests -----------------------------------------------------------------------------------


def asks_stream(document: Document) -> bool:
    """Whether the request asks for a stream; a form says so in words."""
    return document.get("stream") is True or document.get("stream") == "true"


def ask_usage(operation: Operation, document: Document) -> bool:
    """Make a chat stream report usage, which it otherwise never does; whether that changed the request."""
    if operation.dialect != "chat":
        return False
    options = document.get("stream_options")
    if type(options) is not dict:
        document["stream_options"] = {"include_usage": True}
        return True
    if options.get("include_usage") is True:
        return False
    options["include_usage"] = True
    return True


def is_usage_event(operation: Operation, data: Document) -> bool:
    """Whether a chunk has no choices and a usage: the one that `include_usage` adds before the end mark."""
    return operation.dialect == "chat" and data.get("choices") == [] and type(data.get("usage")) is dict


def show_rates(rates: Sequence[Rate], _now: datetime) -> Mapping[str, str]:
    """The rate-limit headers of this wire; a reset is a duration such as `6m0s` (rate limits guide, 2026-11-25)."""
    headers: dict[str, str] = {}
    for rate in rates:
        headers[f"x-ratelimit-limit-{rate.kind}"] = str(rate.limit)
        headers[f"x-ratelimit-remaining-{rate.kind}"] = str(rate.remaining)
        headers[f"x-ratelimit-reset-{rate.kind}"] = _duration(rate.reset)
    return headers


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _credential(secret: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {secret}"}


OPENAI = Provider(
    name="openai",
    alias="/openai",
    operations=(CHAT, RESPONSES, EMBEDDINGS, MODERATIONS, TRANSCRIPTIONS, LIST_MODELS, SHOW_MODEL),
    forwarded_request_headers=("openai-beta",),
    # Not `openai-organization` and `openai-project`: they name the account behind the gateway.
    forwarded_response_headers=(
        "x-request-id",
        "openai-processing-ms",
        "openai-version",
        "x-ratelimit-",
        "retry-after",
        "x-should-retry",
    ),
    request_id_header="x-request-id",
    credential=_credential,
    shape_error=openai_errors.shape_error,
    shape_stream_error=openai_errors.shape_stream_error,
    observe=openai_answers.observe,
    observe_event=openai_answers.observe_event,
    error_code=openai_errors.error_code,
    scrub_error=openai_errors.scrub_error,
    list_models=list_models,
    show_model=show_model,
    asks_stream=asks_stream,
    ask_usage=ask_usage,
    said=openai_speech.said,
    said_in_event=openai_speech.said_in_event,
    show_rates=show_rates,
    is_usage_event=is_usage_event,
    padding="obfuscation",
    end_mark=b"[DONE]",
    usage_parameter="stream_options.include_usage",
)
