"""What the pages read: every count is that of the rows, every list is whole, and no scope is left by any way."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from gateway.audit.boot import row_line
from gateway.audit.index import Index
from gateway.audit.language import Vocabulary
from gateway.audit.pages import Filters, Line, Pages
from gateway.audit.periods import DAY, HOUR, edges, month_of, month_start, stretches
from gateway.audit.record import Operator, Record
from gateway.audit.scope import Scope
from gateway.audit.store import SqliteStore, StoreFault
from gateway.audit.tallies import DIMENSIONS
from gateway.audit.words import Act, Model, Purpose, Result, Tenant
from gateway.errors import Code
from tests.gateway.audit.samples import EPOCH, KEY, VOCABULARY, intent, outcome, refusal

INDEX_KEY = bytes(range(96, 128))
TENANTS = ("tenant-seven", "tenant-eight")
WORDS = Vocabulary({Purpose: ["call-summary", "notes"], Model: ["gpt-5.2-2026-01-15", "a-model-of-tests"]})
START = EPOCH - 120 * DAY


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """900 calls of two tenants over 120 days, and refusals of which some have no tenant."""
    folder = tmp_path_factory.mktemp("pages") / "state"
    chance = random.Random(5)
    records: list[Record] = []
    for number in range(900):
        at = START + number * (120 * DAY // 900) + chance.randrange(HOUR)
        tenant = VOCABULARY.word(Tenant, chance.choices(TENANTS, [3, 1])[0])
        if chance.random() < 0.15:
            code = chance.choice([Code.RATE_LIMITED, Code.RATE_LIMITED, Code.CONTENT_NOT_SCANNABLE])
            records.append(replace(refusal(at), code=code, tenant=tenant if chance.random() < 0.8 else None))
            continue
        begun = replace(
            intent(time=at),
            tenant=tenant,
            purpose=WORDS.word(Purpose, chance.choice(["call-summary", "notes"])),
            model=WORDS.word(Model, "a-model-of-tests" if number < 60 else "gpt-5.2-2026-01-15"),
            redactions=chance.randrange(4),
        )
        result = Result.CUT_OFF if chance.random() < 0.02 else Result.COMPLETED
        records += [begun, replace(outcome(begun, result, at + 1000), input_tokens=chance.randrange(900))]
    store = SqliteStore(folder / "journal", KEY)
    store.begin([row_line(Operator(time=START - 5, act=Act.BOOT))])
    store.commit([row_line(each) for each in records], 1, 0)
    store.commit(
        [row_line(Operator(time=EPOCH, act=act)) for act in (Act.GAP, Act.TENANT, Act.VIEW, Act.HEARTBEAT)],
        1 + len(records),
        0,
    )
    store.close()
    index = Index(folder, INDEX_KEY, KEY)
    while index.step(97):
        pass
    index.close()
    return folder


@pytest.fixture
def pages(state: Path) -> Iterator[Pages]:
    """What reads it."""
    made = Pages(state, INDEX_KEY, KEY)
    yield made
    made.close()


def every(pages: Pages, scope: Scope | None = None) -> list[Line]:
    """Every line of a scope, by the plainest way there is."""
    with pages.view(scope or Scope.everyone()) as view:
        return view.lines(Filters(), most=100_000)


QUESTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "everything": (),
    "a tenant": (("tenant", "tenant-eight"),),
    "refusals": (("decision", "refuse"),),
    "a rare outcome": (("end", "cut_off"),),
    "a model of long ago": (("model", "a-model-of-tests"),),
    "two at once": (("purpose", "notes"), ("tenant", "tenant-eight")),
    "nothing": (("purpose", "no-such"),),
    "injection": (("tenant", "' OR 1=1 --"),),
}
PERIODS = {
    "ever": (0, EPOCH + 9 * DAY),
    "whole days": (START // DAY * DAY + 10 * DAY, START // DAY * DAY + 40 * DAY),
    "parts of days": (START + 3 * DAY + 12345, START + 95 * DAY - 777),
    "parts of one day": (START + 50 * DAY + 3 * HOUR, START + 50 * DAY + 5 * HOUR),
    "two hours past midnight": (START // DAY * DAY + 60 * DAY - HOUR, START // DAY * DAY + 60 * DAY + HOUR),
    "before everything": (0, START - DAY),
    "after everything": (EPOCH + 10 * DAY, EPOCH + 20 * DAY),
}


def matches(line: Line, filters: Filters) -> bool:
    return filters.since <= line.time < filters.until and all(
        line.facts[name] == value for name, value in filters.values
    )


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("period", PERIODS)
def test_counts_and_bars_are_those_of_the_rows(pages: Pages, period: str, question: str) -> None:
    """Totals, every facet and the sum of the timeline equal what counting the rows one by one gives."""
    filters = Filters(*PERIODS[period], QUESTIONS[question])
    rows = [line for line in every(pages) if matches(line, filters)]

    with pages.view(Scope.everyone()) as view:
        counts = view.counts(filters)

    assert counts.total.rows == len(rows)
    assert counts.total.calls == sum(line.facts["decision"] == "allow" for line in rows)
    assert counts.total.redactions == sum(line.redactions for line in rows)
    assert counts.total.input_tokens == sum(line.input_tokens or 0 for line in rows)
    for name in DIMENSIONS:
        assert dict(counts.facet(name)) == Counter(line.facts[name] for line in rows if line.facts[name]), name
    assert sum(bar.allowed + bar.refused for bar in counts.bars) == len(rows)
    assert sum(bar.refused for bar in counts.bars) == sum(line.facts["decision"] == "refuse" for line in rows)
    for bar in counts.bars:
        assert bar.allowed + bar.refused == sum(bar.start <= line.time < bar.end for line in rows)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("most", [1, 7, 50])
def test_pages_of_a_list_are_the_list(pages: Pages, question: str, most: int) -> None:
    """Page after page gives every row once, newest first; and back again."""
    filters = Filters(*PERIODS["parts of days"], QUESTIONS[question])
    rows = [line.place for line in every(pages) if matches(line, filters)][: most * 9]

    down: list[tuple[int, int]] = []
    with pages.view(Scope.everyone()) as view:
        after = None
        while len(down) < len(rows) and (page := view.lines(filters, after=after, most=most)):
            down += [line.place for line in page]
            after = page[-1].place
        up = view.lines(filters, before=down[-1], most=most) if len(down) > 1 else []

    assert down[: len(rows)] == rows
    if len(down) > 1:
        assert [line.place for line in up] == rows[: len(down)][:-1][-most:]


def test_rows_come_by_time_as_by_kind(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way a list is read, it is the same list."""
    monkeypatch.setattr("gateway.audit.pages._alone", lambda *_: 10**12)
    by_time = {}
    for question, values in QUESTIONS.items():
        with pages.view(Scope.everyone()) as view:
            by_time[question] = [line.place for line in view.lines(Filters(values=values), most=20)]
    monkeypatch.setattr("gateway.audit.pages._alone", lambda *_: 0)

    for question, values in QUESTIONS.items():
        with pages.view(Scope.everyone()) as view:
            assert [line.place for line in view.lines(Filters(values=values), most=20)] == by_time[question]


# --- scope --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mine", TENANTS)
def test_a_scope_sees_its_own_and_nothing_else(pages: Pages, mine: str) -> None:
    """Lists, counts, facets, calls by id, bars, and operator records: all of one tenant, and all of it."""
    whole = every(pages)
    scope = Scope.of([mine])

    with pages.view(scope) as view:
        counts = view.counts(Filters())
        lines = list(view.walk(Filters()))
        others = [view.call(line.call) for line in whole if line.facts["tenant"] != mine]
        acts = {act.act for act in view.acts([each.value for each in Act])}
        asked = view.counts(Filters(values=(("tenant", next(each for each in TENANTS if each != mine)),)))

    assert [line.place for line in lines] == [line.place for line in whole if line.facts["tenant"] == mine]
    assert counts.facet("tenant") == [(mine, len(lines))]
    assert counts.total.rows == counts.in_period == len(lines)
    assert others
    assert others == [[]] * len(others)
    assert acts == {"boot", "gap"}
    assert (asked.total.rows, asked.bars, asked.facet("purpose")) == (0, [], [])


@pytest.mark.parametrize(
    "scope", [Scope.of([]), Scope.of(["no-such-tenant"]), Scope.of([""])], ids=["none", "unknown", "blank"]
)
def test_nobody_sees_nothing(pages: Pages, scope: Scope) -> None:
    """A scope of no tenant, of an unknown one or of the blank one has no row, also none of those without a tenant."""
    with pages.view(scope) as view:
        assert view.counts(Filters()).total.rows == 0
        assert view.lines(Filters()) == []


def test_a_scope_of_days_sees_those_days_alone(pages: Pages) -> None:
    """An auditor of a quarter sees the quarter, whatever period is asked for; counts agree with rows."""
    first = START // DAY + 20
    scope = Scope.everyone(first, first + 45)
    rows = [line for line in every(pages) if first * DAY <= line.time < (first + 45) * DAY]

    with pages.view(scope) as view:
        lines = list(view.walk(Filters()))
        counts = view.counts(Filters())
        found = [view.call(line.call) for line in every(pages) if line not in rows]

    assert [line.place for line in lines] == [line.place for line in rows]
    assert counts.total.rows == len(rows)
    assert not any(found)


STATEMENTS = {
    "the calls": "SELECT * FROM call",
    "the calls by their schema": "SELECT * FROM main.call WHERE tenant = 1",
    "a tally": "SELECT * FROM day_tally",
    "the months": "SELECT kinds FROM main.month_tally",
    "the tenants": "SELECT name FROM tenant",
    "the kinds": "SELECT facts FROM alike",
    "the acts": "SELECT body FROM main.act",
    "beneath a view": "SELECT * FROM seen_call JOIN main.call USING(seq)",
    "within an expression": "SELECT (SELECT max(time) FROM call) FROM seen_call",
    "beside a view": "SELECT time FROM seen_call UNION ALL SELECT time FROM call",
    "a common table expression": "WITH mine AS (SELECT * FROM main.call) SELECT * FROM mine",
    "a subquery": "SELECT * FROM (SELECT * FROM main.call) AS seen_call",
    "the schema": "SELECT sql FROM sqlite_schema",
    "another view": "CREATE TEMP VIEW mine AS SELECT * FROM main.call",
    "a wider view of that name": "CREATE TEMP VIEW seen_call AS SELECT * FROM main.call",
    "away with a view": "DROP VIEW temp.seen_call",
    "another file": "ATTACH ':memory:' AS other",
    "a pragma": "PRAGMA writable_schema = ON",
    "a deletion": "DELETE FROM call",
    "an update": "UPDATE call SET tenant = 1",
    "a trigger": "CREATE TEMP TRIGGER t AFTER INSERT ON main.act BEGIN SELECT 1; END",
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_that_leaves_the_scope_does_not_compile(pages: Pages, statement: str) -> None:
    """SQLite itself refuses to prepare what reads beside the scope's views, or changes them, or writes."""
    with pages.view(Scope.of([TENANTS[0]])) as view, pytest.raises(apsw.AuthError):
        view._all(STATEMENTS[statement])


def test_the_name_of_a_view_cannot_be_borrowed(pages: Pages) -> None:
    """SQLite names a common table expression as it names a view; it would have to be called what nobody can know."""
    names = set()
    for _each in range(2):
        with pages.view(Scope.of([TENANTS[0]])) as view, pytest.raises(apsw.AuthError):
            confined = view._all.__self__  # type: ignore[attr-defined]
            names.add(confined._prefix)
            confined._connection.execute("WITH seen_call AS (SELECT * FROM main.call) SELECT * FROM seen_call")

    assert len(names) == 2


def test_the_next_view_of_a_connection_is_the_next_viewers(pages: Pages) -> None:
    """Connections are used again; what one viewer may see does not stay for the next."""
    seen = []
    for scope in (Scope.everyone(), Scope.of([TENANTS[1]]), Scope.of([]), Scope.of([TENANTS[0]]), Scope.everyone()):
        with pages.view(scope) as view:
            seen.append(len(view.counts(Filters()).facet("tenant")))

    assert seen == [2, 1, 0, 1, 2]


def test_a_missing_index_is_said(tmp_path: Path) -> None:
    """Without an index nothing is shown."""
    pages = Pages(tmp_path, INDEX_KEY, KEY)

    with pytest.raises(StoreFault), pages.view(Scope.everyone()):
        pass


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("months", [True, False])
def test_stretches_cover_a_period_once(months: bool) -> None:
    """Whatever the period, its stretches meet end to end, and whole months and days are taken as such."""
    chance = random.Random(3)
    for _each in range(300):
        since = chance.randrange(40 * 366 * DAY)
        until = since + chance.randrange(1, 800 * DAY)
        found = sorted(_microseconds(*each) for each in stretches(since, until, months=months))

        assert found[0][0] == since
        assert found[-1][1] == until
        assert all(one[1] == two[0] for one, two in itertools.pairwise(found))


def _microseconds(grain: str, low: int, high: int) -> tuple[int, int]:
    if grain == "hour":
        return low, high
    if grain == "day":
        return low * DAY, high * DAY
    return month_start(low) * DAY, month_start(high) * DAY


def test_bars_cover_a_period() -> None:
    """The first bar begins no later and the last ends no earlier, and there are never more than fit."""
    chance = random.Random(4)
    for _each in range(300):
        since = chance.randrange(40 * 366 * DAY)
        until = since + chance.randrange(1, 800 * DAY)
        found = edges(since, until, 100)

        assert found[0] <= since
        assert found[-1] >= until
        assert len(found) <= 102


def test_months_are_the_calendars() -> None:
    """January 1970 is month 0; a month begins on its first day."""
    assert [month_of(day) for day in (0, 30, 31, 58, 59, 365)] == [0, 0, 1, 1, 2, 12]
    assert month_start(1) == 31
    for month in range(12 * 440):
        first = (date(1970 + month // 12, month % 12 + 1, 1) - date(1970, 1, 1)).days
        assert month_start(month) == first
        assert (month_of(first - 1), month_of(first)) == (month - 1, month)
