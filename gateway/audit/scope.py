"""Whose records somebody may see, made so that SQLite itself refuses everything else.

A connection of a scope has views of its own, in which tenants and days are numbers written into the definition, and an
authoriser that lets no statement compile that reads a table of calls from outside of these views. So a query without
its tenant predicate is not a mistake for a review to find: it cannot be prepared. The views' names are random, since
SQLite tells the authoriser of a common table expression by its name as it tells of a view.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import apsw

from gateway.audit.periods import DAY, EVER, month_of, month_start

OPEN_ACTS = ("boot", "shutdown", "configuration", "gap", "recovery", "notice", "change", "prune", "anchor")
"""Facts about the gateway as a whole, which a tenant may see, too."""

NOBODY = 0
"""The tenant of a refusal that came before the tenant was known."""

_TABLES = frozenset({"call", "day_tally", "month_tally", "alike", "act", "tenant"})
_PREFIX = "seen_"
"""What statements write for a view; the random name takes its place."""

_BESIDE = frozenset({"mark", "carray"})
_HARMLESS = frozenset(
    {apsw.SQLITE_SELECT, apsw.SQLITE_FUNCTION, apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT, apsw.SQLITE_RECURSIVE}
)


Bindings: TypeAlias = "Mapping[str, object] | tuple[object, ...]"


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


class Confined:
    """A connection to the index that sees nothing but what a scope may see."""

    def __init__(self, connection: apsw.Connection, scope: Scope) -> None:
        """From now on, until the connection is confined anew."""
        self._connection, self._prefix = connection, f"seen{secrets.token_hex(8)}_"
        connection.authorizer = None
        for (name,) in cast("list[tuple[str]]", connection.execute("SELECT name FROM sqlite_temp_schema").fetchall()):
            connection.execute(f"DROP VIEW temp.{name}")
        bodies = _bodies(connection, scope)
        for name, body in bodies.items():
            connection.execute(f"CREATE TEMP VIEW {self._prefix}{name} AS {body}")
        connection.authorizer = _authoriser(frozenset(self._prefix + name for name in bodies))

    def all(self, sql: str, bindings: Bindings = ()) -> list[tuple[object, ...]]:
        """The rows of a statement that reads `seen_call`, `seen_day`, `seen_month`, `seen_act` or `mark`.

        Raises:
            apsw.AuthError: it reads something else, or writes.
        """
        rows = self._connection.execute(sql.replace(_PREFIX, self._prefix), bindings).fetchall()
        return cast("list[tuple[object, ...]]", rows)


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
        "call": ("call", f"{whose} AND {times}"),
        "day": ("day_tally", f"{whose} AND +period >= {first} AND +period < {end}"),
        "month": ("month_tally", f"{whose} AND +period >= {months[0]} AND +period < {months[1]}"),
        "act": ("act", f"{acts} AND {times}"),
    }
    return {name: f"SELECT * FROM main.{table} WHERE {where}" for name, (table, where) in tables.items()}  # noqa: S608


def _authoriser(views: frozenset[str]) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Says whether a step of a statement may be compiled: reading through these views, and nothing that writes."""
    open_to_all = views | _BESIDE

    def authorise(action: int, one: str | None, _two: str | None, _database: str | None, inner: str | None) -> int:
        if action == apsw.SQLITE_READ:
            may = inner in views if one in _TABLES else one in open_to_all
            return apsw.SQLITE_OK if may else apsw.SQLITE_DENY
        return apsw.SQLITE_OK if action in _HARMLESS else apsw.SQLITE_DENY

    return authorise
