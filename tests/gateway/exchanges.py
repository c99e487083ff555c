"""Values of one exchange for tests of the sockets: a wire with one operation, and a clean call to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from gateway.exchange import Admission, Call, CleanCall, Entry, Grant, Route
from providers.provider import Observation, Operation, Provider
from providers.speech import Speech

CHAT = Operation(name="chat", method="POST", path="/chat")

WIRE = Provider(
    name="plain",
    alias="/plain",
    operations=(CHAT,),
    forwarded_request_headers=(),
    forwarded_response_headers=(),
    request_id_header="x-request-id",
    credential=lambda secret: {"Authorization": f"Bearer {secret}"},
    constant_headers=MappingProxyType({"x-constant": "1"}),
    shape_error=lambda _refusal: b"{}",
    shape_stream_error=lambda _operation, _refusal: b"",
    observe=lambda _operation, _document: Observation(),
    observe_event=lambda _operation, _event, _document: Observation(),
    error_code=lambda _document: ("", ""),
    scrub_error=lambda document, _replace: document,
    list_models=lambda _models, _query: b"{}",
    show_model=lambda _model: b"{}",
    asks_stream=lambda _document: False,
    ask_usage=lambda _operation, _document: False,
    is_usage_event=lambda _operation, _data: False,
    said=lambda _operation, _document, _known: [],
    said_in_event=lambda _operation, _data, _known: Speech(),
    show_rates=lambda _rates, _now: {},
)

ADMISSION = Admission("call", 1)


def clean_call(base_url: str, body: bytes = b'{"a":1}', headers: Mapping[str, str] | None = None) -> CleanCall:
    """A call that passed every step before `send`."""
    entry = Entry("call", datetime.now(UTC), WIRE, CHAT, "caller", "key", "tenant", "purpose")
    route = Route("entry", base_url, "model", frozenset({"model"}), "agreement", ("DE",), "secret", {})
    call = Call(entry, {}, headers or {}, len(body))
    grant = Grant(call, {}, headers or {}, route, (), (), {}, stream=False)
    return CleanCall(grant, body, "application/json", {})
