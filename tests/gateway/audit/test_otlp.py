"""OTLP log records and CEF messages: every field of a record, nothing else, in the form that the other side parses."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import pytest

from gateway.audit.cef import cef, syslog
from gateway.audit.evidence import Written
from gateway.audit.export import Record, records
from gateway.audit.otlp import otlp, request
from gateway.audit.store import FILE_NAME, reading
from tests.gateway.audit.logs import KEY, ORIGIN, House, lived_in

ERASED: Record = {"log": ORIGIN, "index": 7, "leaf": "ab" * 32, "kind": "erased"}
RESOURCE = {"service.name": "zero-retention-gateway", "gateway.log": ORIGIN}

# Of a collector's own schema, what we write: opentelemetry/proto/logs/v1/logs.proto, in JSON's names.
LOG_RECORD = {
    "timeUnixNano": str, "observedTimeUnixNano": str, "severityNumber": int, "severityText": str, "eventName": str,
    "body": dict, "attributes": list,
}  # fmt: skip
CONVENTIONS = {
    "gen_ai.provider.name": "wire", "gen_ai.request.model": "model", "gen_ai.response.model": "served",
    "gen_ai.usage.input_tokens": "input_tokens", "gen_ai.usage.output_tokens": "output_tokens",
    "http.response.status_code": "status",
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return lived_in(tmp_path_factory.mktemp("otlp") / "state", calls=300)


@pytest.fixture(scope="module")
def exported(house: House) -> list[Record]:
    with opened(house) as written:
        return [*records(written, 0), ERASED]


@contextlib.contextmanager
def opened(house: House) -> Iterator[Written]:
    with house.log() as log, contextlib.closing(reading(house.directory / "journal" / FILE_NAME, KEY)) as journal:
        latest = log.latest()
        assert latest is not None
        yield Written(log, journal, house.directory / "log", None, latest)


def _value(tree: dict[str, object]) -> object:
    """An AnyValue as Python has it."""
    ((kind, value),) = tree.items()
    if kind == "arrayValue":
        assert isinstance(value, dict)
        return [_value(each) for each in value["values"]]
    if kind == "intValue":
        assert isinstance(value, str)
        return int(value)
    assert isinstance(value, {"stringValue": str, "boolValue": bool}[kind])
    return value


def _attributes(of: list[dict[str, object]]) -> dict[str, object]:
    assert all(each.keys() == {"key", "value"} for each in of)
    names = [str(each["key"]) for each in of]
    assert len(set(names)) == len(names)
    return {str(each["key"]): _value(each["value"]) for each in of}  # type: ignore[arg-type]


def test_otlp_holds_each_field_once_and_nothing_else(exported: list[Record]) -> None:
    """Read back from its attributes, each record is what NDJSON gives; instants stand in nanoseconds."""
    document = json.loads(request(exported))
    (resource_logs,) = document["resourceLogs"]
    (scope_logs,) = resource_logs["scopeLogs"]

    assert _attributes(resource_logs["resource"]["attributes"]) == RESOURCE
    for record, made in zip(exported, scope_logs["logRecords"], strict=True):
        assert all(isinstance(value, LOG_RECORD[name]) for name, value in made.items())
        found = _attributes(made["attributes"])
        assert found.pop("log.record.uid") == f"{ORIGIN}#{record['index']}"
        back = {CONVENTIONS.get(name) or name.removeprefix("gateway."): value for name, value in found.items()}
        time = {"time": int(made["timeUnixNano"]) // 1000} if "timeUnixNano" in made else {}
        assert {**back, **time, "log": ORIGIN} == record
        assert set(made["body"]["stringValue"].split()) <= {
            str(record.get(name)) for name in ("kind", "act", "result", "code")
        }


def test_otlp_warns_of_what_somebody_may_want_to_see() -> None:
    """Refusals, attempts that did not complete, and what may be lost; not of the rest."""
    of: list[tuple[Record, int]] = [
        ({"kind": "refusal", "code": "tenant_unknown"}, 13),
        ({"kind": "outcome", "result": "upstream_failed"}, 13),
        ({"kind": "outcome", "result": "completed"}, 9),
        ({"kind": "operator", "act": "gap"}, 13),
        ({"kind": "operator", "act": "heartbeat"}, 9),
        ({"kind": "operator", "act": "reconciliation", "clean": False}, 13),
    ]
    for record, severity in of:
        (made,) = json.loads(otlp({"log": ORIGIN, "index": 1, **record}))["resourceLogs"][0]["scopeLogs"][0][
            "logRecords"
        ]
        assert made["severityNumber"] == severity, record


SYSLOG = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<time>-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) "
    r"(?P<process>-) (?P<kind>[!-~]{1,32}) "
    r"(?P<data>\[origin software=\"[^\"\\\]]+\"\]\[meta sequenceId=\"(?P<sequence>\d+)\"\]) (?P<message>CEF:0\|.*)"
)
"""RFC 5424 section 6."""


def _parsed(message: str) -> tuple[list[str], dict[str, str]]:
    """Header and extension of a CEF event, as its own description says to read them."""
    parts = re.split(r"(?<!\\)\|", message, maxsplit=7)
    pairs = re.findall(r"(?:^| )([A-Za-z0-9]+)=((?:\\.|[^\\=])*?)(?= [A-Za-z0-9]+=|$)", parts[7])
    assert len({key for key, _value in pairs}) == len(pairs)
    unescaped = {
        key: re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value) for key, value in pairs
    }
    return parts[:7], unescaped


def test_cef_holds_each_field_once_and_nothing_else(exported: list[Record]) -> None:
    """Read back from its pairs and labels, each record is what NDJSON gives; instants stand in milliseconds."""
    names = {
        "externalId": "index", "cat": "kind", "reason": "code", "outcome": "result", "suser": "caller", "suid": "key",
        "app": "wire", "destinationServiceName": "processor", "rt": "time", "start": "start", "end": "end",
    }  # fmt: skip
    for record in exported:
        found = SYSLOG.fullmatch(syslog(record))
        assert found is not None
        header, pairs = _parsed(found["message"])
        assert header[:4] == ["CEF:0", "zero-retention-gateway", "gateway", "1"]
        assert header[6] in {"3", "6"}
        pairs.pop("act", None)
        back: dict[str, object] = {}
        for key, value in pairs.items():
            if key.endswith("Label"):
                back[value] = pairs[key.removesuffix("Label")]
            elif f"{key}Label" not in pairs:
                own = re.sub("(?<!^)([A-Z])", r"_\1", key.removeprefix("gateway")).lower()
                back[names.get(key, own)] = value
        assert back == {name: _said(name, value) for name, value in record.items()}
        assert found["time"] == "-" or record["kind"] != "erased"
        assert int(found["sequence"]) == int(str(record["index"])) + 1
        assert found["kind"] == record["kind"]


def _said(name: str, value: object) -> str:
    if name == "time" and isinstance(value, int):
        return str(value // 1000)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def test_no_value_can_end_its_place() -> None:
    """Even though no value of a record could hold such a sign."""
    header, pairs = _parsed(cef({**ERASED, "tenant": "a=b\\c d=e\nf|g", "kind": "x|y\\z"}))

    assert len(header) == 7
    assert pairs["cs3"] == "a=b\\c d=e\nf|g"
    assert pairs["cat"] == "x|y\\z"


def test_priority_says_log_audit_and_how_grave() -> None:
    """Facility 13; warning for what somebody may want to see."""
    assert syslog({**ERASED, "kind": "refusal", "code": "tenant_unknown"}).startswith("<108>1 - log.example.invalid ")
    assert syslog(ERASED).startswith("<110>1 - log.example.invalid ")


def test_a_sequence_number_stays_in_its_range() -> None:
    """At its end it begins again at 1 (RFC 5424 section 7.3.1)."""
    last = 2**31 - 2

    assert f'sequenceId="{2**31 - 1}"' in syslog({**ERASED, "index": last})
    assert 'sequenceId="1"' in syslog({**ERASED, "index": last + 1})
