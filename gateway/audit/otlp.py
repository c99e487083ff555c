"""The record as OpenTelemetry takes it: OTLP log records in JSON, one a leaf.

We write the JSON form of the protocol ourselves: it is stable, a page of code, and what collectors accept beside its
binary form. The official exporter would bring its own HTTP client, which obeys proxies of the environment and follows
redirects, and four packages more. Shapes and rules:
https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md, "JSON Protobuf Encoding".

What would be content there has nowhere to come from: `body` is made of two words of the record, and the attributes of
the generative-AI conventions that hold messages or instructions are never set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from gateway.audit.export import Record, severe, what
from gateway.otlp import SERVICE, attribute

_INFO, _WARN = 9, 13
_NAMES: Final = {
    "wire": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "served": "gen_ai.response.model",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "status": "http.response.status_code",
}
"""Fields for which the semantic conventions have a name of their own; all others are `gateway.FIELD`."""

_ELSEWHERE: Final = frozenset({"log", "time"})


def request(records: Sequence[Record]) -> bytes:
    """An `ExportLogsServiceRequest` of records of one log, at least one: the body of a POST."""
    resource = [attribute("service.name", SERVICE), attribute("gateway.log", str(records[0]["log"]))]
    scope = {"scope": {"name": "gateway.audit"}, "logRecords": [_log_record(record) for record in records]}
    return orjson.dumps({"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [scope]}]})


def otlp(record: Record) -> str:
    """A line of the collector's own file format: a request with this record alone."""
    return request([record]).decode()


def _log_record(record: Record) -> dict[str, object]:
    """A `LogRecord`. `log.record.uid` says which lines are one, for those that come twice."""
    severity = _WARN if severe(record) else _INFO
    made: dict[str, object] = {
        "severityNumber": severity,
        "severityText": "WARN" if severity == _WARN else "INFO",
        "eventName": f"gateway.{record['kind']}",
        "body": {"stringValue": what(record)},
        "attributes": [
            attribute("log.record.uid", f"{record['log']}#{record['index']}"),
            *(
                attribute(_NAMES.get(name, f"gateway.{name}"), value)
                for name, value in record.items()
                if value is not None and name not in _ELSEWHERE
            ),
        ],
    }
    time = record.get("time")
    if isinstance(time, int):  # an erased record has none: unknown, not 1970
        made["timeUnixNano"] = made["observedTimeUnixNano"] = str(time * 1000)
    return made
