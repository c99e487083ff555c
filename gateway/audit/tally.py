"""How many calls of a period were alike in all that decides about them: what a change of policy is held against.

Counts first attempts, so a call is counted once. Read a day at a time, each in its own short transaction.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias, cast

import apsw
import orjson

from gateway.audit.store import FILE_NAME, Cipher, StoreFault, reading

_CALLS = """
SELECT body ->> 'tenant', body ->> 'caller', body ->> 'purpose', body ->> 'wire', body ->> 'operation',
  body ->> 'model', body ->> 'processor', coalesce(body ->> 'conditionals', '[]'), count(*)
FROM record WHERE time >= ?1 AND time < ?2 AND kind = 'i' AND attempt = 0 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
_REFUSALS = "SELECT body ->> 'code', count(*) FROM record WHERE time >= ?1 AND time < ?2 AND kind = 'r' GROUP BY 1"
_DAY = timedelta(days=1)
_Row: TypeAlias = "tuple[str, str, str, str, str, str, str, str, int]"


@dataclass(frozen=True, slots=True)
class Alike:
    """What the records of a call say that policy looks at. `conditionals` are the grants that it used."""

    tenant: str
    caller: str
    purpose: str
    wire: str
    operation: str
    model: str
    processor: str
    conditionals: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tally:
    """The calls of a period: those that were made by what they have in common, and refusals by code."""

    calls: Counter[Alike]
    refusals: Counter[str]


def tally(directory: Path, key: bytes, start: datetime, end: datetime, *, cipher: Cipher = Cipher.AEGIS) -> Tally:
    """Count the calls in [start, end), both aware.

    Args:
        directory: of the journal.
        key: its key.
        start: included.
        end: not included.
        cipher: of the journal.

    Raises:
        StoreFault: no journal there, a wrong key, or a page that is damaged.
    """
    calls: Counter[Alike] = Counter()
    refusals: Counter[str] = Counter()
    with contextlib.closing(reading(directory / FILE_NAME, key, cipher)) as connection:
        try:
            for span in _days(start, end):
                for row in connection.execute(_CALLS, span):
                    tenant, caller, purpose, wire, operation, model, processor, conditionals, count = cast("_Row", row)
                    used = frozenset(orjson.loads(conditionals))
                    calls[Alike(tenant, caller, purpose, wire, operation, model, processor, used)] += count
                for code, count in cast("Iterator[tuple[str, int]]", connection.execute(_REFUSALS, span)):
                    refusals[code] += count
        except apsw.Error as error:
            raise StoreFault(f"{directory / FILE_NAME}: {type(error).__name__}") from None
    return Tally(calls, refusals)


def _days(start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    while start < end:
        until = min(start + _DAY, end)
        yield round(start.timestamp() * 1_000_000), round(until.timestamp() * 1_000_000)
        start = until
