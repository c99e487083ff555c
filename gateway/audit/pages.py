"""What the auditor's pages read of the calls, always through a `Scope`: a `View` cannot be had without one.

Counts come from tallies: whole months, then whole days, then the rows of the days at both ends. Lists go by keyset,
newest first, either along time or along the few kinds of calls that a filter leaves, whichever reads less.
"""

from __future__ import annotations

import contextlib
import threading
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

import apsw
import orjson

from gateway.audit.index import APPLICATION_ID, INDEX_FILE, INDEX_FOLDER
from gateway.audit.periods import DAY, EVER, HOUR, Stretch, edges, month_of, month_start, stretches
from gateway.audit.scope import Confined, Scope
from gateway.audit.store import FILE_NAME, Cipher, StoreFault, keyed, reading, translated
from gateway.audit.tallies import DIMENSIONS, Kinds, Sums, Tally

Value: TypeAlias = "str | int | bool | list[object] | None"

_LINE = "time, seq, alike, lower(hex(call)), attempt, outcome, redactions, input_tokens, output_tokens, status, ms"
_LIST = """
SELECT {line} FROM seen_call WHERE {where} (time, seq) {sign} (:time, :seq) AND time >= :since AND time < :until
ORDER BY time {way}, seq {way} LIMIT :most
"""
_ACTS = """
SELECT time, seq, act, body FROM seen_act WHERE act = ? {more} ORDER BY time DESC, seq DESC LIMIT ?
"""
_RAW = """
SELECT time / 3600000000, alike, count(*), sum(attempt = 0), sum(redactions), sum(coalesce(input_tokens, 0)),
  sum(coalesce(output_tokens, 0)) FROM seen_call WHERE time >= ? AND time < ? GROUP BY 1, 2
"""
_TALLIES = {
    "day": "SELECT period, kinds FROM seen_day WHERE period >= ? AND period < ?",
    "month": "SELECT period, kinds FROM seen_month WHERE period >= ? AND period < ?",
}
_BARS = 62
_REMEMBERED = 4
_WALK = 512


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look at: instants in microseconds since 1970, `until` not included; a word for some of `DIMENSIONS`."""

    since: int = 0
    until: int = EVER
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One attempt or refusal in a list, with its facts by dimension. Only a `View` makes one."""

    time: int
    seq: int
    call: str
    attempt: int
    outcome: int | None
    redactions: int
    input_tokens: int | None
    output_tokens: int | None
    status: int | None
    ms: int | None
    facts: Mapping[str, str]

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in every list."""
        return self.time, self.seq


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a timeline: from `start` to `end` (microseconds), how many attempts, refusals and redactions."""

    start: int
    end: int
    allowed: int
    refused: int
    redactions: int


@dataclass(frozen=True, slots=True)
class Act:
    """An operator record: its key in the journal, when, what it says."""

    seq: int
    time: int
    act: str
    body: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Texts:
    """The records of a line as the journal has them: of the intent or refusal, and of the outcome. None: erased."""

    begin: str | None
    end: str | None


class Counts:
    """What filters leave in a period.

    Attributes:
        total: over everything that is left.
        in_period: rows of the period without any filter but the period itself.
        bars: the timeline; without those before the first and after the last that has anything.
    """

    def __init__(self, tally: Tally, kinds: Kinds, filters: Filters, span: tuple[int, int]) -> None:
        """Use `View.counts`."""
        self._kinds = kinds
        self._sums = tally.by_kind(len(kinds.facts)).copy()
        self.in_period = int(self._sums[:, 0].sum())
        self._wanted = kinds.matching(filters.values)
        self._sums[~self._wanted] = 0
        self.total = Sums(*map(int, self._sums.sum(axis=0)))
        self.bars = _bars(tally, kinds, filters, span)

    def facet(self, name: str) -> list[tuple[str, int]]:
        """The words of a dimension, with how many rows have each; the most first."""
        return self._kinds.facet(name, self._sums[:, 0])

    def grouped(self, *names: str) -> list[tuple[tuple[str, ...], Sums]]:
        """The sums of each combination of words of these dimensions that occurs."""
        return self._kinds.grouped(names, self._sums)

    @property
    def wanted(self) -> list[int]:
        """The numbers of the kinds that are left and occur."""
        return self._sums[:, 0].nonzero()[0].tolist()


def _bars(tally: Tally, kinds: Kinds, filters: Filters, span: tuple[int, int]) -> list[Bar]:
    if span[0] >= span[1]:
        return []
    at = edges(*span, _BARS)
    bars = [
        Bar(start, end, *counted)
        for start, end, counted in zip(at, at[1:], tally.bars(kinds, filters.values, at), strict=False)
    ]
    filled = [place for place, bar in enumerate(bars) if bar.allowed or bar.refused]
    return bars[filled[0] : filled[-1] + 1] if filled else []


@dataclass(slots=True)
class _Memory:
    """What stays true between two pages: what the kinds are, and the tally of a period that nothing was added to."""

    kinds: Kinds = field(default_factory=Kinds)
    sweeps: int = 0
    tallies: dict[tuple[object, ...], Tally] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)


class Pages:
    """The index and the journal, for reading, through a scope.

    Args:
        state: the state directory.
        key: of the index.
        journal_key: of the journal.
        cipher: of both.
    """

    def __init__(self, state: Path, key: bytes, journal_key: bytes, cipher: Cipher = Cipher.AEGIS) -> None:
        self._path = state / INDEX_FOLDER / INDEX_FILE
        self._journal_path = state / "journal" / FILE_NAME
        self._key, self._journal_key, self._cipher = key, journal_key, cipher
        self._memory = _Memory()
        self._free: list[tuple[apsw.Connection, apsw.Connection]] = []
        self._guard = threading.Lock()

    @contextlib.contextmanager
    def view(self, scope: Scope) -> Iterator[View]:
        """What this scope may see, at one moment. For one thread, and for as long as a page takes.

        Raises:
            StoreFault: a file cannot be read.
        """
        with self._guard:
            held = self._free.pop() if self._free else None
        index, journal = held or self._connect()
        try:
            with translated(self._path):
                index.authorizer = None
                self._learn(index)
                confined = Confined(index, scope)
                with index:
                    yield View(confined, journal, scope, self._memory, self._path)
        except BaseException:
            index.close()
            journal.close()
            raise
        with self._guard:
            self._free.append((index, journal))

    def forget(self) -> None:
        """Forget what was counted; for who measures."""
        self._memory.tallies.clear()

    def close(self) -> None:
        """Release the files."""
        with self._guard:
            for pair in self._free:
                for connection in pair:
                    connection.close()
            self._free.clear()

    def _learn(self, index: apsw.Connection) -> None:
        """Read the kinds that came since the last page; all of them anew after something was erased."""
        memory = self._memory
        with memory.guard:
            found = index.execute("SELECT value FROM mark WHERE name = 'sweeps'").fetchone()
            sweeps = cast(int, found[0]) if found else 0
            if sweeps != memory.sweeps:
                memory.kinds, memory.sweeps = Kinds(), sweeps
                memory.tallies.clear()
            more = index.execute(
                "SELECT id, facts FROM main.alike WHERE id > ? ORDER BY id", (memory.kinds.highest,)
            ).fetchall()
            memory.kinds.learn(cast("list[tuple[int, str]]", more))

    def _connect(self) -> tuple[apsw.Connection, apsw.Connection]:
        with translated(self._path):
            index = keyed(self._path, apsw.SQLITE_OPEN_READONLY, self._key, self._cipher, "")
        try:
            with translated(self._path):
                index.execute("PRAGMA cache_size = -65536").fetchall()
                if index.pragma("application_id") != APPLICATION_ID:
                    raise StoreFault(f"{self._path}: not an index")  # noqa: TRY301
            return index, reading(self._journal_path, self._journal_key, self._cipher)
        except BaseException:
            index.close()
            raise


class View:
    """What a scope may see. Made by `Pages.view`."""

    def __init__(self, index: Confined, journal: apsw.Connection, scope: Scope, memory: _Memory, path: Path) -> None:
        """Use `Pages.view`."""
        self._all, self._journal, self._path, self.scope = index.all, journal, path, scope
        self._memory, self._kinds = memory, memory.kinds

    @property
    def marks(self) -> Mapping[str, int]:
        """`last`: the key of the last row of the journal that is in the index; `heartbeat`: when the last one was."""
        return dict(cast("list[tuple[str, int]]", self._all("SELECT name, value FROM mark")))

    def behind(self) -> bool:
        """Whether the journal has rows that the index has not."""
        with translated(self._path):
            last = self.marks.get("last", -1)
            return self._journal.execute("SELECT 1 FROM record WHERE seq > ? LIMIT 1", (last,)).fetchone() is not None

    def counts(self, filters: Filters) -> Counts:
        """What the filters leave, by every dimension and over time."""
        span = self._clip(filters)
        return Counts(self._tally(*span), self._kinds, filters, span)

    def lines(
        self,
        filters: Filters,
        *,
        after: tuple[int, int] | None = None,
        before: tuple[int, int] | None = None,
        most: int = 50,
    ) -> list[Line]:
        """At most `most` lines, newest first: those older than `after`, or the nearest that are newer than `before`."""
        since, until = self._clip(filters)
        if since >= until:
            return []
        up = before is not None
        edge = before or after or (until, -1)
        bindings: dict[str, object] = {
            "time": edge[0], "seq": edge[1], "since": since, "until": until, "most": most,
        }  # fmt: skip
        sign, way = (">", "ASC") if up else ("<", "DESC")
        if not filters.values:
            found = self._all(_LIST.format(line=_LINE, where="", sign=sign, way=way), bindings)
        else:
            found = self._filtered(filters, (since, until), bindings, sign, way)
        rows = sorted(cast("list[_LineRow]", found), key=lambda row: row[:2], reverse=not up)[:most]
        return [self._line(row) for row in (reversed(rows) if up else rows)]

    def walk(self, filters: Filters) -> Iterator[Line]:
        """Every line, newest first, read in pages: for exports."""
        after = None
        while page := self.lines(filters, after=after, most=_WALK):
            yield from page
            after = page[-1].place

    def call(self, call: str) -> list[Line]:
        """The attempts of a call in order, or its refusal; nothing where it is another's. `call` is 32 hex digits."""
        sql = f"SELECT {_LINE} FROM seen_call WHERE call = ? ORDER BY attempt, time"  # noqa: S608  # ours
        return [self._line(row) for row in cast("list[_LineRow]", self._all(sql, (bytes.fromhex(call),)))]

    def texts(self, line: Line) -> Texts:
        """The records of a line."""
        with translated(self._path):
            found = self._journal.execute(
                "SELECT seq, body FROM record WHERE seq IN (?, ?)", (line.seq, line.outcome)
            ).fetchall()
        bodies = dict(cast("list[tuple[int, str]]", found))
        return Texts(bodies.get(line.seq), None if line.outcome is None else bodies.get(line.outcome))

    def acts(self, acts: Sequence[str], *, most: int = 200) -> list[Act]:
        """Operator records of these acts, newest first."""
        # One question an act, each along its own index: together they would be sorted, and there are many of some.
        found = [row for act in acts for row in self._all(_ACTS.format(more=""), (act, most))]
        rows = sorted(cast("list[_ActRow]", found), reverse=True)[:most]
        return [Act(seq, time, act, orjson.loads(body)) for time, seq, act, body in rows]

    def last_of(self, act: str, processor: str) -> Act | None:
        """The last operator record of that act about a processor."""
        found = self._all(_ACTS.format(more="AND body ->> 'processor' = ?"), (act, processor, 1))
        for time, seq, _act, body in cast("list[_ActRow]", found):
            return Act(seq, time, act, orjson.loads(body))
        return None

    # beneath

    def _filtered(
        self, filters: Filters, span: tuple[int, int], bindings: dict[str, object], sign: str, way: str
    ) -> list[tuple[object, ...]]:
        """Lines of some kinds: kind by kind where these are few or rare, along time where they are common."""
        counts = Counts(self._tally(*span), self._kinds, filters, (0, 0))
        wanted, matched = counts.wanted, counts.total.rows
        if not wanted:
            return []
        most = cast(int, bindings["most"])
        if most * counts.in_period // matched > _alone(len(wanted), matched, most):
            sql = _LIST.format(line=_LINE, where="alike = :alike AND", sign=sign, way=way)
            return [row for alike in wanted for row in self._all(sql, {**bindings, "alike": alike})]
        nearest = self._nearest(set(wanted), cast(int, bindings["time"]), span, up=way == "ASC")
        if nearest is None:
            return []
        name, edge = nearest
        sql = _LIST.format(line=_LINE, where="alike IN (SELECT value FROM carray(:wanted)) AND", sign=sign, way=way)
        return self._all(sql, {**bindings, name: edge, "wanted": _numbers(wanted)})

    def _nearest(self, wanted: set[int], time: int, span: tuple[int, int], *, up: bool) -> tuple[str, int] | None:
        """The bound beyond which lines may be: `since` or `until`, and the edge of the nearest day that has any."""
        tally = self._tally(*span)
        there = tally.with_any(wanted)
        months = sorted({month_of(start // DAY) for start in there}, reverse=not up)
        for month in months:
            low, high = month_start(month) * DAY, month_start(month + 1) * DAY
            if (high <= time) if up else (low > time):
                continue
            days = Tally(self._parts("day", month_start(month), month_start(month + 1))).with_any(wanted)
            near = [day for day in days if (day + DAY > time if up else day <= time)]
            if near:
                return ("since", max(span[0], min(near))) if up else ("until", min(span[1], max(near) + DAY))
        return None

    def _tally(self, since: int, until: int) -> Tally:
        """The period's tally: once for all that is asked of it, and for the next page of it."""
        key = (self.scope, since, until, self.marks.get("last"), self._memory.sweeps)
        held = self._memory.tallies.get(key)
        if held is None:
            parts: list[tuple[int, bytes]] = []
            for grain, low, high in _grains(since, until):
                parts += self._raw(low, high) if grain == "hour" else self._parts(grain, low, high)
            held = Tally(parts)
            if len(self._memory.tallies) >= _REMEMBERED:
                self._memory.tallies.clear()
            self._memory.tallies[key] = held
        return held

    def _parts(self, grain: str, low: int, high: int) -> list[tuple[int, bytes]]:
        rows = cast("list[tuple[int, bytes]]", self._all(_TALLIES[grain], (low, high)))
        return [((period if grain == "day" else month_start(period)) * DAY, kinds) for period, kinds in rows]

    def _raw(self, low: int, high: int) -> list[tuple[int, bytes]]:
        """Rows that no tally has apart, as tallies by the hour."""
        hours: dict[int, array[int]] = {}
        facts = self._kinds.facts
        for hour, alike, rows, first, *rest in cast("list[tuple[int, ...]]", self._all(_RAW, (low, high))):
            calls = first if facts[alike][1] == "allow" else 0
            hours.setdefault(hour, array("q")).extend((alike, rows, calls, *rest))
        return [(hour * HOUR, held.tobytes()) for hour, held in hours.items()]

    def _clip(self, filters: Filters) -> tuple[int, int]:
        """The period as far as the scope and the records go."""
        since = max(filters.since, self.scope.first_day * DAY)
        until = min(filters.until, self.scope.end_day * DAY)
        first = self._all("SELECT period FROM seen_day ORDER BY period LIMIT 1")
        last = self._all("SELECT period FROM seen_day ORDER BY period DESC LIMIT 1")
        if not first:
            return 0, 0
        return max(since, cast(int, first[0][0]) * DAY), min(until, (cast(int, last[0][0]) + 1) * DAY)

    def _line(self, row: _LineRow) -> Line:
        time, seq, alike, call, attempt, outcome, redactions, given, taken, status, ms = row
        facts = dict(zip(DIMENSIONS, self._kinds.facts[alike], strict=True))
        return Line(time, seq, call, attempt, outcome, redactions, given, taken, status, ms, facts)


_ActRow: TypeAlias = "tuple[int, int, str, str]"
_LineRow: TypeAlias = "tuple[int, int, int, str, int, int | None, int, int | None, int | None, int | None, int | None]"


def _alone(kinds: int, matched: int, most: int) -> int:
    """What it costs to read a page kind by kind, against one for each row that is read along time."""
    return kinds * 30 + min(kinds * most, matched) * 5


def _grains(since: int, until: int) -> list[Stretch]:
    """A period in stretches as fine as the bars of its timeline."""
    if until - since <= 48 * HOUR:
        return [("hour", since, until)]
    return stretches(since, until, months=until - since > _BARS * DAY)


def _numbers(values: Iterable[int]) -> object:
    """Numbers as one binding. SQLite takes no empty one, and no kind has the number -1."""
    return apsw.carray(array("q", values) or array("q", [-1]))
