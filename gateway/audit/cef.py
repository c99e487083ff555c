"""The record as a SIEM takes it from syslog: CEF in a message of RFC 5424, one a leaf.

CEF (ArcSight Common Event Format, version 0): seven header fields between bars, then `key=value` pairs. Where the
format's own dictionary has a key, it is used; every other field of the record goes by its name under `gateway`.
Message and header are ASCII, since the record is.
"""

from __future__ import annotations

from typing import Final

import orjson

from gateway.audit.export import Record, Value, severe, what
from gateway.audit.reader import rfc3339

FACILITY: Final = 13
"""Log audit (RFC 5424 section 6.2.1)."""

_WARNING, _INFORMATIONAL = 4, 6
_MOST_SEQUENCE = 2**31 - 1

_KEYS: Final = {
    "index": "externalId",
    "kind": "cat",
    "code": "reason",
    "result": "outcome",
    "caller": "suser",
    "key": "suid",
    "wire": "app",
    "processor": "destinationServiceName",
    "start": "start",
    "end": "end",
}
_LABELLED: Final = {
    "log": "cs1",
    "leaf": "cs2",
    "tenant": "cs3",
    "call": "cs4",
    "model": "cs5",
    "operation": "cs6",
    "status": "cn1",
    "input_tokens": "cn2",
    "output_tokens": "cn3",
}
"""Keys of the dictionary for what it has no name for; each has a label beside it."""

_INSTANTS: Final = frozenset({"time", "start", "end"})


def syslog(record: Record) -> str:
    """A message of RFC 5424, without framing. `sequenceId` is the leaf's index plus one: a gap there is a loss."""
    severity = _WARNING if severe(record) else _INFORMATIONAL
    time, index, origin = record.get("time"), record["index"], str(record["log"])
    stamp = rfc3339(time) if isinstance(time, int) else "-"
    sequence = index % _MOST_SEQUENCE + 1 if isinstance(index, int) else 1
    host = origin.partition("/")[0][:255]
    structured = f'[origin software="zero-retention-gateway"][meta sequenceId="{sequence}"]'
    return f"<{FACILITY * 8 + severity}>1 {stamp} {host} gateway - {record['kind']} {structured} {cef(record)}"


def cef(record: Record) -> str:
    """The event alone."""
    name = what(record)
    header = ("zero-retention-gateway", "gateway", "1", name.replace(" ", ":"), name, "6" if severe(record) else "3")
    pairs = [f"{key}={_value(value)}" for key, value in _pairs(record)]
    return f"CEF:0|{'|'.join(map(_header, header))}|{' '.join(pairs)}"


def _pairs(record: Record) -> list[tuple[str, Value]]:
    pairs: list[tuple[str, Value]] = []
    for name, value in record.items():
        if value is None:
            continue
        if name in _INSTANTS and isinstance(value, int):
            value = value // 1000  # noqa: PLW2901  # the format counts milliseconds
        if name in _LABELLED:
            pairs += [(f"{_LABELLED[name]}Label", name), (_LABELLED[name], value)]
        elif name == "time":
            pairs.append(("rt", value))
        else:
            pairs.append((_KEYS.get(name) or "gateway" + "".join(map(str.capitalize, name.split("_"))), value))
    if record["kind"] in {"intent", "refusal"}:
        pairs.append(("act", "allow" if record["kind"] == "intent" else "refuse"))
    return pairs


def _header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _value(value: Value) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
