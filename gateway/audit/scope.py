"""Whose records somebody may see, made so that SQLite itself refuses everything else.

A connection of a scope has views of its own, in which tenants and days are numbers written into the definition, and an
authoriser that lets no statement compile that reads a table of calls from outside of these views. So a query without
its tenant predicate is not a mistake for a review to find: it cannot be prepared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import apsw

from gateway.audit.periods import DAY, EVER, month_of, month_start

OPEN_ACTS = ("boot", "shutdown", "configuration", "gap", "recovery", "notice", "change", "prune", "anchor")
"""Facts about the gateway as a whole, which a tenant may see, too."""

NOBODY = 0
"""The tenant of a refusal that came before the tenant was known."""

_TABLES = frozenset({"call", "day_tally", "month_tally", "alike", "act", "tenant"})
_VIEWS = frozenset({"seen_call", "seen_day", "seen_month", "seen_act"})
_BESIDE = frozenset({"mark", "carray"})
_HARMLESS = frozenset(
    {apsw.SQLITE_SELECT, apsw.SQLITE_FUNCTION, apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT, apsw.SQLITE_RECURSIVE}
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose records, and of which days. Made by `everyone` or `of` only, so that nothing is everybody's by omission.

    Attributes:
        whole: every tenant's, and what concerns no tenant.
        tenants: those named, where not `whole`.
        first_day, end_day: days since 1970, UTC; the second is not included.
    """

    whole: bool
    tenants: frozenset[str]
    first_day: int
    end_day: int

    @classmethod
    def everyone(cls, first_day: int = 0, end_day: int = EVER // DAY) -> Scope:
        """Every tenant's records of these days."""
        return cls(True, frozenset(), first_day, end_day)

    @classmethod
    def of(cls, tenants: Iterable[str], first_day: int = 0, end_day: int = EVER // DAY) -> Scope:
        """These tenants' records of these days; of none, nobody's."""
        return cls(False, frozenset(tenants), first_day, end_day)

    def admits(self, tenant: str) -> bool:
        """Whether this tenant's records may be seen."""
        return self.whole or tenant in self.tenants


def confine(connection: apsw.Connection, scope: Scope) -> None:
    """Let a connection to the index see nothing but what the scope may see, from now on."""
    connection.authorizer = None
    for name, body in _bodies(connection, scope).items():
        connection.execute(f"DROP VIEW IF EXISTS temp.{name}")
        connection.execute(f"CREATE TEMP VIEW {name} AS {body}")
    connection.authorizer = _authorise


def _bodies(connection: apsw.Connection, scope: Scope) -> dict[str, str]:
    """The definition of each view. Every value in them is a number, or a word of ours."""
    first, end = max(scope.first_day, 0), min(scope.end_day, EVER // DAY)
    months = month_of(first) + (month_start(month_of(first)) < first), month_of(end)
    whose = acts = "1"
    if not scope.whole:
        found = connection.execute("SELECT id, name FROM main.tenant").fetchall()
        numbers = [number for number, name in cast("list[tuple[int, str]]", found) if name in scope.tenants]
        whose = f"tenant IN ({','.join(map(str, numbers))}) AND tenant <> {NOBODY}"
        acts = f"act IN ({','.join(map(repr, OPEN_ACTS))})"
    # The plus keeps SQLite from choosing these bounds, which are wide, over the narrower ones that a query brings.
    times = f"+time >= {first * DAY} AND +time < {end * DAY}"
    tables = {
        "seen_call": ("call", f"{whose} AND {times}"),
        "seen_day": ("day_tally", f"{whose} AND +period >= {first} AND +period < {end}"),
        "seen_month": ("month_tally", f"{whose} AND +period >= {months[0]} AND +period < {months[1]}"),
        "seen_act": ("act", f"{acts} AND {times}"),
    }
    return {name: f"SELECT * FROM main.{table} WHERE {where}" for name, (table, where) in tables.items()}  # noqa: S608


def _authorise(action: int, one: str | None, _two: str | None, _database: str | None, inner: str | None) -> int:
    """Whether a step of a statement may be compiled: reading through the views, and nothing that writes or attaches."""
    if action == apsw.SQLITE_READ:
        if one in _TABLES:
            return apsw.SQLITE_OK if inner in _VIEWS else apsw.SQLITE_DENY
        return apsw.SQLITE_OK if one in _VIEWS | _BESIDE else apsw.SQLITE_DENY
    return apsw.SQLITE_OK if action in _HARMLESS else apsw.SQLITE_DENY
