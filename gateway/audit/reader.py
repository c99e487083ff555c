"""What the `audit` verb shows: the journal read by filter, also while the gateway writes it.

Reads in pages of a few hundred rows, each in its own short transaction, so memory stays flat and
a long listing never keeps the writer's log from starting over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import apsw
import orjson

from gateway.audit.store import FILE_NAME, KIND_LETTERS, RSEQ_BITS, Cipher, StoreFault, reading

Value = str | int | bool | list[object] | None
Line = dict[str, Value]

_PAGE = 256
_DECISIONS = {"intent": "allow", "outcome": "allow", "refusal": "refuse"}
_CONTRACT = (
    "kind", "call", "attempt", "time", "tenant", "caller", "processor", "operation", "model", "decision", "code",
    "result", "provider_request",
)  # fmt: skip
_BORROWED = ("caller", "processor", "operation", "model", "wire", "purpose", "subject", "key", "agreement", "stream")

_SELECT = """
SELECT record.seq, record.time, record.body, intent.body FROM record
LEFT JOIN record AS intent ON record.kind = 'o' AND intent.call = record.call AND intent.attempt = record.attempt
  AND intent.kind = 'i'
WHERE record.seq > :after AND {conditions} ORDER BY record.seq LIMIT :page
"""


@dataclass(frozen=True, slots=True)
class Filters:
    """What to show; None means any. Times are aware; `start` is included, `end` is not.

    `kind` is intent, outcome, refusal or operator; `decision` is allow or refuse; `call` is 32
    hex digits; `limit` the most lines.
    """

    start: datetime | None = None
    end: datetime | None = None
    tenant: str | None = None
    caller: str | None = None
    processor: str | None = None
    decision: str | None = None
    code: str | None = None
    kind: str | None = None
    call: str | None = None
    limit: int | None = None


def query(directory: Path, key: bytes, filters: Filters, *, cipher: Cipher = Cipher.AEGIS) -> Iterator[Line]:
    """Records in journal order, as lines of `audit --jsonl`.

    Every line has the contract's keys (absent is null), then the record's other fields. An
    outcome shows the caller, model and the like of its intent.

    Raises:
        StoreFault: no journal there, a wrong key, or a page that is damaged.
        ValueError: a filter that no record can have.
    """
    conditions, bindings = _conditions(filters)
    sql = _SELECT.format(conditions=" AND ".join(["1", *conditions]))
    left = filters.limit
    after = -1
    with contextlib.closing(reading(directory / FILE_NAME, key, cipher)) as connection:
        while left is None or left > 0:
            page = _PAGE if left is None else min(_PAGE, left)
            try:
                found = connection.execute(sql, {**bindings, "after": after, "page": page}).fetchall()
            except apsw.Error as error:
                raise StoreFault(f"{directory / FILE_NAME}: {type(error).__name__}") from None
            rows = cast(list[tuple[int, int, str, str | None]], found)
            for seq, time, body, intent in rows:
                after = seq
                yield _line(seq, time, orjson.loads(body), orjson.loads(intent) if intent else {})
            if len(rows) < page:
                return
            left = None if left is None else left - len(rows)


def table_line(line: Line) -> str:
    """One line for people."""
    what = line["result"] or line["code"] or line["decision"] or line.get("act") or ""
    words = (
        line["time"], line["kind"], what, line["tenant"] or "-", line["caller"] or "-", line["operation"] or "-",
        line["model"] or "-", line["processor"] or "-", line["call"] or "-",
    )  # fmt: skip
    widths = (27, 8, 22, 16, 20, 18, 28, 18, 32)
    return " ".join(f"{word!s:{width}}" for word, width in zip(words, widths, strict=True)).rstrip()


def rfc3339(microseconds: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC, for instance 2026-11-25T16:00:00.000001Z."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def _conditions(filters: Filters) -> tuple[list[str], dict[str, str | int | bytes]]:
    conditions: list[str] = []
    bindings: dict[str, str | int | bytes] = {}
    for name, instant, comparison in (("start", filters.start, ">="), ("end", filters.end, "<")):
        if instant is not None:
            conditions.append(f"record.time {comparison} :{name}")
            bindings[name] = round(instant.timestamp() * 1_000_000)
    for name, value in (("caller", filters.caller), ("processor", filters.processor)):
        if value is not None:
            conditions.append(f"coalesce(intent.body, record.body) ->> '{name}' = :{name}")
            bindings[name] = value
    for name, value in (("tenant", filters.tenant), ("code", filters.code)):
        if value is not None:
            conditions.append(f"record.body ->> '{name}' = :{name}")
            bindings[name] = value
    kinds = _kinds(filters)
    if kinds is not None:
        conditions.append(f"record.kind IN ({', '.join(repr(letter) for letter in kinds)})")
    if filters.call is not None:
        conditions.append("record.call = :call")
        bindings["call"] = bytes.fromhex(filters.call)
    return conditions, bindings


def _kinds(filters: Filters) -> list[str] | None:
    """Letters of the kinds that both the kind and the decision filter let through."""
    if filters.kind is not None and filters.kind not in KIND_LETTERS:
        raise ValueError("kind is one of intent, outcome, refusal, operator")
    if filters.decision not in {None, "allow", "refuse"}:
        raise ValueError("decision is allow or refuse")
    if filters.kind is None and filters.decision is None:
        return None
    return [
        letter
        for kind, letter in KIND_LETTERS.items()
        if filters.kind in {None, kind} and filters.decision in {None, _DECISIONS.get(kind)}
    ]


def _line(seq: int, time: int, body: dict[str, Value], intent: dict[str, Value]) -> Line:
    kind = str(body["kind"])
    borrowed = {name: intent[name] for name in _BORROWED if name in intent}
    facts: Line = {**borrowed, **body, "time": rfc3339(time), "decision": _DECISIONS.get(kind)}
    rest = {name: value for name, value in facts.items() if name not in _CONTRACT}
    return {name: facts.get(name) for name in _CONTRACT} | rest | {"rseq": seq & (1 << RSEQ_BITS) - 1}
