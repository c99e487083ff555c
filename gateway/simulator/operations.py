"""One request to one answer: wire, credential, operation, and the provider's own errors and headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gateway.simulator import chat, messages, responses, small
from gateway.simulator.answer import Answer, Ask, BadRequest, Received
from gateway.simulator.question import answering, texts
from gateway.simulator.refusals import anthropic_error, openai_error

Wire = Literal["openai", "anthropic"]

_OPERATIONS: dict[str, tuple[Wire, Callable[[Ask], Answer]]] = {
    "/v1/chat/completions": ("openai", chat.complete),
    "/v1/responses": ("openai", responses.create),
    "/v1/embeddings": ("openai", small.embeddings),
    "/v1/moderations": ("openai", small.moderations),
    "/v1/messages": ("anthropic", messages.complete),
    "/v1/messages/count_tokens": ("anthropic", messages.count_tokens),
}
_TRANSCRIPTIONS = "/v1/audio/transcriptions"
_MODELS = "/v1/models"


def respond(received: Received, credential: str) -> Answer:
    """The answer, its wire's headers included. Never raises: a fault of the request is an answer too."""
    wire = _wire(received)
    answering.set(received.scenario)
    try:
        answer = _answer(received, wire, credential)
    except _Refused as refusal:
        answer = _refuse(received, wire, refusal)
    except BadRequest as problem:
        answer = _refuse(received, wire, _Refused(400, problem.message, problem.where))
    return answer.bearing(_headers(received, wire, answer))


class _Refused(Exception):  # a provider's refusal, named as the gateway names its own
    def __init__(self, status: int, message: str, where: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.where = where


def _answer(received: Received, wire: Wire, credential: str) -> Answer:
    request, scenario = received.request, received.scenario
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    if credential not in (bearer, request.headers.get("x-api-key")):
        raise _Refused(401, "Incorrect API key provided." if wire == "openai" else "invalid x-api-key")
    if scenario.status != 200:
        quoted = f": {' '.join(texts(received.document))}" if scenario.echo_prompt else "."
        raise _Refused(scenario.status, f"Simulated error{quoted}")
    path = received.path
    if request.method == "GET" and (path == _MODELS or path.startswith(f"{_MODELS}/")):
        return _models(wire, path.removeprefix(_MODELS).removeprefix("/") or None)
    if request.method != "POST" or (path not in _OPERATIONS and path != _TRANSCRIPTIONS):
        raise _Refused(404, f"Invalid URL ({request.method} {path})" if wire == "openai" else "Not Found")
    if wire == "anthropic" and "anthropic-version" not in request.headers:
        raise _Refused(400, "anthropic-version: header is required")
    ask = Ask(received.document, received.arrival.number, scenario)
    if path == _TRANSCRIPTIONS:
        return small.transcriptions(ask, received.body, request.headers.get("content-type", ""))
    if not received.document:
        raise _Refused(400, "We could not parse the JSON body of your request.")
    return _OPERATIONS[path][1](ask)


def _models(wire: Wire, name: str | None) -> Answer:
    answer = small.openai_models(name) if wire == "openai" else small.anthropic_models(name)
    if answer is None:
        raise _Refused(404, "The model does not exist or you do not have access to it.")
    return answer


def _refuse(received: Received, wire: Wire, refusal: _Refused) -> Answer:
    scenario = received.scenario
    if wire == "openai":
        body = openai_error(refusal.status, refusal.message, scenario, refusal.where)
    else:
        body = anthropic_error(refusal.status, refusal.message, scenario, received.arrival.request_id)
    return Answer(status=refusal.status, body=body)


def _wire(received: Received) -> Wire:
    if received.path in _OPERATIONS:
        return _OPERATIONS[received.path][0]
    versioned = "anthropic-version" in received.request.headers
    return "anthropic" if versioned and received.path != _TRANSCRIPTIONS else "openai"


def _headers(received: Received, wire: Wire, answer: Answer) -> dict[str, str]:
    scenario = received.scenario
    headers = {"content-type": answer.content_type, **_WIRE_HEADERS[wire]}
    headers["x-request-id" if wire == "openai" else "request-id"] = received.arrival.request_id
    headers.update({name.lower(): value for name, value in scenario.headers.items()})
    return {name: value for name, value in headers.items() if name not in scenario.without_headers}


_WIRE_HEADERS: dict[Wire, dict[str, str]] = {
    "openai": {
        "openai-organization": "org-simulated",
        "openai-processing-ms": "12",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-remaining-tokens": "1999000",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": "30ms",
    },
    "anthropic": {
        "anthropic-organization-id": "00000000-0000-4000-8000-000000000001",
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
        "anthropic-ratelimit-requests-reset": "2026-11-23T00:00:00Z",
        "anthropic-ratelimit-tokens-limit": "400000",
        "anthropic-ratelimit-tokens-remaining": "399000",
        "anthropic-ratelimit-tokens-reset": "2026-11-23T00:00:00Z",
    },
}
