"""Who was served by a processor in a period, and which configuration was in force at an instant.

The first is the first question after a provider's breach.

The clock of the notification runs (GDPR Art. 33: 72 hours), so this reads each intent of the period once, by the index
on time, and parses only those that name the processor. An attempt counts from its intent, since from then on a byte may
have left; so the answer is never too short.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

import apsw
import orjson

from gateway.audit.store import FILE_NAME, Cipher, StoreFault, reading

_PAGE = 50_000
# A record's text is canonical and holds no free text, so this needle is its field and nothing else.
_SELECT = """
SELECT tenant, countries, agreement, model, count(*), min(time), max(time), {calls}
FROM (SELECT time, call, body ->> 'tenant' AS tenant, body ->> 'countries' AS countries,
  body ->> 'agreement' AS agreement, body ->> 'model' AS model FROM record
  WHERE (time, seq) > (:time, :seq) AND (time, seq) <= (:last, :last_seq) AND kind = 'i' AND instr(body, :needle))
GROUP BY tenant, countries, agreement, model
"""
_EDGE = """
SELECT time, seq FROM record WHERE (time, seq) > (:time, :seq) AND time < :end ORDER BY time, seq LIMIT 1 OFFSET :page
"""
_LAST = "SELECT time, seq FROM record WHERE time >= :start AND time < :end ORDER BY time DESC, seq DESC LIMIT 1"

_FORCE = """
SELECT time, kind, body ->> 'configuration' FROM record
WHERE time > :after AND time <= :at AND (kind IN {kinds} OR kind = 'p' AND instr(body, '"configuration":')
  AND body ->> 'act' IN ('boot', 'configuration'))
ORDER BY time DESC, seq DESC LIMIT 1
"""
_SLOWEST_SECONDS = 900
"""How long after a reload a call that began before it may be recorded, under the configuration that it began with."""


@dataclass(slots=True)
class Served:
    """What one processor was given of one tenant in the period. Times are microseconds since 1970, UTC."""

    tenant: str
    attempts: int = 0
    first: int = 0
    last: int = 0
    countries: set[str] = field(default_factory=set)
    agreements: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)


def served(
    directory: Path,
    key: bytes,
    processor: str,
    start: datetime,
    end: datetime,
    *,
    calls: bool = False,
    cipher: Cipher = Cipher.AEGIS,
) -> list[Served]:
    """The tenants that a processor served in [start, end), those with the most attempts first.

    Args:
        directory: of the journal.
        key: its key.
        processor: the id of the entry; it need not be in the registry any more.
        start: aware.
        end: aware.
        calls: whether to list the ids of the calls, too.
        cipher: of the journal.

    Raises:
        StoreFault: no journal there, a wrong key, or a page that is damaged.
    """
    found: dict[str, Served] = {}
    sql = _SELECT.format(calls="group_concat(lower(hex(call)))" if calls else "''")
    needle = f'"processor":{orjson.dumps(processor).decode()}'
    with contextlib.closing(reading(directory / FILE_NAME, key, cipher)) as connection:
        try:
            for low, high in _windows(connection, _microseconds(start), _microseconds(end)):
                bindings = {"time": low[0], "seq": low[1], "last": high[0], "last_seq": high[1], "needle": needle}
                for row in connection.execute(sql, bindings):
                    _add(found, cast("tuple[str, str, str, str, int, int, int, str]", row), calls=calls)
        except apsw.Error as error:
            raise StoreFault(f"{directory / FILE_NAME}: {type(error).__name__}") from None
    return sorted(found.values(), key=lambda item: (-item.attempts, item.tenant))


def in_force_at(directory: Path, key: bytes, at: datetime, *, cipher: Cipher = Cipher.AEGIS) -> str | None:
    """The digest of the configuration that was in force at an instant; None before the first start.

    The nearest record before that instant says it, so this reads few of any number of records. Where that is of a call,
    a start or reload shortly before it knows better: the call may have begun before.

    Raises:
        StoreFault: no journal there, a wrong key, or a page that is damaged.
    """
    with contextlib.closing(reading(directory / FILE_NAME, key, cipher)) as connection:
        try:
            nearest = _nearest(connection, -1, _microseconds(at), "('i', 'r')")
            if nearest is None or nearest[1] == "p":
                return None if nearest is None else nearest[2]
            told = _nearest(connection, nearest[0] - _SLOWEST_SECONDS * 1_000_000, _microseconds(at), "()")
        except apsw.Error as error:
            raise StoreFault(f"{directory / FILE_NAME}: {type(error).__name__}") from None
    return nearest[2] if told is None else told[2]


def _nearest(connection: apsw.Connection, after: int, at: int, kinds: str) -> tuple[int, str, str] | None:
    row = connection.execute(_FORCE.format(kinds=kinds), {"after": after, "at": at}).fetchone()
    return cast("tuple[int, str, str] | None", row)


def _windows(connection: apsw.Connection, start: int, end: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Stretches of the period, each read in a short transaction, so that no listing holds up the writer's log."""
    span = {"start": start, "end": end}
    last = cast("tuple[int, int] | None", connection.execute(_LAST, span).fetchone())
    low = (start, -1)
    while last is not None and low < last:
        bindings = {"time": low[0], "seq": low[1], "end": end, "page": _PAGE}
        edge = cast("tuple[int, int] | None", connection.execute(_EDGE, bindings).fetchone())
        high = last if edge is None else min(edge, last)
        yield low, high
        low = high


def _add(found: dict[str, Served], row: tuple[str, str, str, str, int, int, int, str], *, calls: bool) -> None:
    tenant, countries, agreement, model, count, first, last, ids = row
    item = found.setdefault(tenant, Served(tenant, first=first, last=last))
    item.attempts += count
    item.first, item.last = min(item.first, first), max(item.last, last)
    item.countries.update(orjson.loads(countries))
    item.agreements.add(agreement)
    item.models.add(model)
    if calls:
        item.calls.extend(ids.split(","))


def _microseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
