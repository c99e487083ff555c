"""A call as spans: one of our own, and below it one for each attempt at a provider.

Names follow the semantic conventions for HTTP servers and for generative-AI clients
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/); what has no name there is `gateway.FIELD`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gateway.attempt import Attempt
from gateway.audit.words import Result
from gateway.otlp import Value, attributes
from gateway.passage import Passage
from gateway.telemetry.context import context

Span = dict[str, object]
"""A `Span` of the protocol, in JSON."""

_SERVER, _CLIENT = 2, 3
_ERROR: Final = {"code": 2}
_HTTP_FAILS = 500


def operation_name(passage: Passage) -> str:
    """What the conventions call a call's operation; where they do not, our own name."""
    operation = passage.target.operation
    return "" if operation is None else operation.convention or operation.name


def spans(passage: Passage, ended: int, now: float, entropy: Callable[[int], bytes]) -> list[Span]:
    """The spans of a call that has ended; none where the caller's trace is not sampled.

    Args:
        passage: the call.
        ended: now, in nanoseconds since 1970.
        now: the same on the clock by which the passage counts, in seconds.
        entropy: gives so many random bytes.
    """
    trace, parent, sampled = context(passage.traceparent, passage.call_id)
    if not sampled:
        return []

    def at(seconds: float) -> str:
        return str(ended - int((now - seconds) * 1e9))

    own = entropy(8).hex()
    operation = passage.target.operation
    name = "HTTP" if operation is None else f"{operation.method} {operation.path}"
    made: Span = {
        "traceId": trace,
        "spanId": own,
        "name": name,
        "kind": _SERVER,
        "startTimeUnixNano": at(passage.started),
        "endTimeUnixNano": str(ended),
        "attributes": attributes(_said_of_call(passage)),
        "status": _ERROR if passage.status >= _HTTP_FAILS else {},
    }
    if parent:
        made["parentSpanId"] = parent
    return [made, *_attempts(passage, trace, own, at, entropy)]


def _said_of_call(passage: Passage) -> dict[str, Value | None]:
    operation, entry = passage.target.operation, None if passage.opened is None else passage.opened.entry
    grant = passage.grant
    return {
        "http.request.method": None if operation is None else operation.method,
        "http.route": None if operation is None else operation.path,
        "http.response.status_code": passage.status or None,
        "error.type": None if passage.code is None else passage.code.value,
        "gateway.call": passage.call_id,
        "gateway.caller": None if passage.caller is None else passage.caller.id,
        "gateway.tenant": None if entry is None else entry.tenant,
        "gateway.purpose": None if entry is None else entry.purpose,
        "gateway.processor": None if grant is None else grant.route.processor,
        "gateway.redactions": sum(passage.redactions.values()),
    }


def _attempts(
    passage: Passage, trace: str, parent: str, at: Callable[[float], str], entropy: Callable[[int], bytes]
) -> Iterator[Span]:
    operation = operation_name(passage)
    for attempt in passage.attempts:
        intent, failed = attempt.intent, attempt.result is not Result.COMPLETED
        yield {
            "traceId": trace,
            "spanId": entropy(8).hex(),
            "parentSpanId": parent,
            "name": f"{operation} {intent.model}",
            "kind": _CLIENT,
            "startTimeUnixNano": at(attempt.started),
            "endTimeUnixNano": at(attempt.started + attempt.seconds),
            "attributes": attributes(_said_of_attempt(attempt, operation)),
            "status": _ERROR if failed else {},
        }


def _said_of_attempt(attempt: Attempt, operation: str) -> dict[str, Value | None]:
    intent, usage = attempt.intent, attempt.usage
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": intent.wire,
        "gen_ai.request.model": intent.model,
        "gen_ai.response.model": attempt.served,
        "gen_ai.usage.input_tokens": None if usage is None else usage.input,
        "gen_ai.usage.output_tokens": None if usage is None else usage.output,
        "http.response.status_code": attempt.status,
        "error.type": error_type(attempt.result),
        "gateway.processor": intent.processor,
        "gateway.attempt": intent.attempt,
        "gateway.stream": intent.stream,
    }


def error_type(result: Result | None) -> str | None:
    """How an attempt failed, by the record's own word; None if it did not."""
    return None if result is Result.COMPLETED else (result or Result.INDETERMINATE).value
