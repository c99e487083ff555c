"""The record as other tools take it: NDJSON, CSV, and OCSF 1.8 API Activity, a leaf a line. See also `otlp`, `cef`.

Every line bears the log's name, the leaf's index and its hash, so a tool that drops a line shows a gap
and any line can be proved against the log. Only what a checkpoint covers is given, in the log's order; who
follows the log asks again from the next index and loses nothing. An erased record is a line that says so.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import orjson

from gateway.audit.evidence import Row, Written, open_written
from gateway.audit.leaf import CLEAR
from gateway.audit.log_store import LOG_FILE
from gateway.audit.merkle import leaf_hash
from gateway.audit.store import StoreFault
from gateway.keys import Keyring

Value = str | int | bool | list[object] | None
Record = dict[str, Value]

COLUMNS = (
    "log", "index", "leaf", "kind", "time", "boot", "rseq", "tseq", "call", "attempt", "tenant", "caller", "key",
    "purpose", "subject", "wire", "operation", "processor", "agreement", "countries", "model", "stream", "size",
    "redactions", "forced", "code", "result", "sent", "status", "error", "finishes", "input_tokens", "output_tokens",
    "first_ms", "total_ms", "served", "provider_request", "echo", "configuration", "act", "started", "previous",
    "clean", "closed", "refused", "start", "end",
)  # fmt: skip
"""Of a CSV line; the most that spreadsheets need. NDJSON has every field."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OK, _FAILURE, _OTHER = 1, 2, 99
_WORTH_A_LOOK = frozenset({"gap", "recovery", "unauthenticated"})


def records(written: Written, since: int) -> Iterator[Record]:
    """Each leaf from `since` on: its record, with `log`, `index` and `leaf` (the leaf's hash in hex).

    Raises:
        StoreFault: a file cannot be read, or lacks a record that no deletion on record is of: passing it over would
            lose it without a word.
    """
    origin = written.origin
    for row in written.rows(since):
        if row.entry[:1] != CLEAR and row.text is None and row.salt is not None and not written.deleted(row.index):
            raise StoreFault(f"the record of index {row.index} cannot be read, and was not deleted: `gateway verify`")
        yield {"log": origin, "index": row.index, "leaf": leaf_hash(row.entry).hex(), **_body(row)}


def batch(state: Path, keyring: Keyring, since: int, most: int) -> tuple[list[Record], int]:
    """At most so many records from `since` on, and how many leaves there are. No file is open when this returns.

    Raises:
        StoreFault: see `records`.
    """
    if not (state / "log" / LOG_FILE).exists():
        return [], 0  # nothing was signed yet
    with open_written(state, keyring) as written:
        if written is None or since >= written.end:
            return [], 0 if written is None else written.end
        return list(islice(records(written, since), most)), written.end


def what(record: Record) -> str:
    """What a record is, in two words of the record's own: `outcome completed`, `operator gap`."""
    more = record.get("act") or record.get("result") or record.get("code")
    return f"{record['kind']} {more}" if more else str(record["kind"])


def severe(record: Record) -> bool:
    """Whether somebody may want to look: a refusal, an attempt that did not complete, something that may be lost."""
    kind = record["kind"]
    if kind == "outcome":
        return record["result"] != "completed"
    return kind == "refusal" or record.get("act") in _WORTH_A_LOOK or record.get("clean") is False


def ndjson(record: Record) -> str:
    """A line of NDJSON."""
    return orjson.dumps(record).decode()


def csv_line(record: Mapping[str, Value]) -> str:
    """A line of CSV (RFC 4180, without its end). A cell can never be a formula, though no value could be one."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([_cell(record.get(name)) for name in COLUMNS])
    return out.getvalue()


def csv_head() -> str:
    """The first line of CSV."""
    return ",".join(COLUMNS)


def ocsf(record: Record) -> str:
    """A line of OCSF 1.8, class API Activity (6003), with the profiles `ai_operation` and `security_control`.

    What would be content there is never filled: `message_context` has counts alone, `http_request` and
    `api.request` do not occur, and no address of an end user is given.
    """
    kind, number = str(record["kind"]), _number
    event: dict[str, object] = {
        "activity_id": 99,
        "activity_name": "Inference" if kind in {"intent", "outcome", "refusal"} else "Operation",
        "category_uid": 6,
        "class_uid": 6003,
        "type_uid": 600399,
        "severity_id": 1,
        "time": number(record, "time") // 1000,
        "metadata": _metadata(record, kind),
        "actor": {"app_uid": str(record.get("key") or "gateway")},
        "src_endpoint": {"uid": str(record.get("key") or "gateway")},
        "api": {"operation": str(record.get("operation") or record.get("act") or kind)},
    }
    if record.get("subject"):
        event["actor"] = {"app_uid": str(record.get("key")), "user": {"uid": record["subject"]}}
    if record.get("wire"):
        event["api"] = {"operation": record.get("operation") or kind, "service": {"name": record["wire"]}}
    if record.get("processor") and record.get("model"):
        event["ai_model"] = {"ai_provider": record["processor"], "name": record["model"]}
        event["dst_endpoint"] = {"uid": record["processor"]}
    if kind in {"intent", "refusal"}:
        event["action_id"], event["disposition_id"] = (1, 1) if kind == "intent" else (2, 2)
    event |= _how_it_ended(record, kind)
    return orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode()


FORMATS: dict[str, Callable[[Record], str]] = {"ndjson": ndjson, "csv": csv_line, "ocsf": ocsf}


def _how_it_ended(record: Record, kind: str) -> dict[str, object]:
    if kind == "refusal":
        return {"status_id": _FAILURE, "status_code": record["code"]}
    if kind != "outcome":
        return {}
    result = record["result"]
    ended: dict[str, object] = {
        "status_id": _OK if result == "completed" else _OTHER if result == "indeterminate" else _FAILURE,
        "status_code": result,
    }
    if ended["status_id"] == _OTHER:
        ended["status"] = "Indeterminate"
    if record.get("status") is not None:
        ended["http_response"] = {"code": record["status"]}
    tokens = {"prompt_tokens": record.get("input_tokens"), "completion_tokens": record.get("output_tokens")}
    if None not in tokens.values():
        total = _number(record, "input_tokens") + _number(record, "output_tokens")
        ended["message_context"] = {"service": {"name": "zero-retention-gateway"}, **tokens, "total_tokens": total}
    return ended


def _metadata(record: Record, kind: str) -> dict[str, object]:
    metadata: dict[str, object] = {
        "version": "1.8.0",
        "product": {"name": "zero-retention-gateway", "vendor_name": "zero-retention-gateway"},
        "profiles": ["ai_operation", "security_control"],
        "log_name": record["log"],
        "log_version": str(record.get("v", 1)),
        "event_code": kind,
        "uid": f"{record['log']}#{record['index']}",
        "sequence": record["index"],
        "labels": [f"leaf:{record['leaf']}"],
    }
    for ours, theirs in (("call", "correlation_uid"), ("tenant", "tenant_uid")):
        if record.get(ours):
            metadata[theirs] = record[ours]
    return metadata


def _body(row: Row) -> Record:
    if row.entry[:1] == CLEAR:
        body: Record = orjson.loads(row.entry[1:])
    elif row.text is None:
        return {"kind": "erased"}
    else:
        body = orjson.loads(row.text)
    return body


def _cell(value: Value) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) else text


def _number(record: Mapping[str, Value], name: str) -> int:
    value = record.get(name)
    return value if isinstance(value, int) else 0
