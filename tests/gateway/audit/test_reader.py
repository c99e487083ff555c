"""The listing: every filter, the contract's keys, while the gateway writes."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.audit.boot import row_line
from gateway.audit.reader import Filters, Line, query, rfc3339, table_line
from gateway.audit.record import Operator
from gateway.audit.store import SqliteStore, StoreFault
from gateway.audit.words import Act, Result
from tests.gateway.audit.conftest import Opener
from tests.gateway.audit.samples import EPOCH, KEY, intent, outcome, refusal

AT = datetime.fromtimestamp(EPOCH // 1_000_000, UTC)
CONTRACT = [
    "kind", "call", "attempt", "time", "tenant", "caller", "processor", "operation", "model", "decision", "code",
    "result", "provider_request",
]  # fmt: skip
COACH, NOTES = intent(), intent(caller="notes-service", time=EPOCH + 10_000_000)
REFUSED = refusal(time=EPOCH + 20_000_000)


@pytest.fixture
def journal(directory: Path) -> Path:
    """One call by each of two services, a refusal and a boot."""
    store = SqliteStore(directory, KEY)
    store.begin([row_line(Operator(time=EPOCH - 1, act=Act.BOOT))])
    records = (COACH, outcome(COACH), NOTES, outcome(NOTES, Result.INDETERMINATE, EPOCH + 11_000_000), REFUSED)
    store.commit([row_line(record) for record in records], 1, 0)
    store.close()
    return directory


def _kinds(found: list[Line]) -> list[object]:
    return [line["kind"] for line in found]


def test_every_line_has_the_keys_of_the_contract(journal: Path) -> None:
    """The contract's keys come first on every line, null where they do not apply."""
    for line in query(journal, KEY, Filters()):
        assert list(line)[: len(CONTRACT)] == CONTRACT


def test_an_outcome_shows_its_call(journal: Path) -> None:
    """An outcome bears caller, processor, operation and model of its intent, and its own result."""
    (line,) = query(journal, KEY, Filters(kind="outcome", caller="notes-service"))

    assert line["call"] == NOTES.call
    assert (line["processor"], line["model"], line["operation"]) == (NOTES.processor, NOTES.model, NOTES.operation)
    assert (line["result"], line["decision"], line["tenant"]) == ("indeterminate", "allow", "tenant-seven")


@pytest.mark.parametrize(
    ("filters", "kinds"),
    [
        (Filters(), ["operator", "intent", "outcome", "intent", "outcome", "refusal"]),
        (Filters(limit=2), ["operator", "intent"]),
        (Filters(limit=0), []),
        (Filters(start=AT), ["intent", "outcome", "intent", "outcome", "refusal"]),
        (Filters(end=AT), ["operator"]),
        (Filters(start=AT + timedelta(seconds=10), end=AT + timedelta(seconds=11)), ["intent"]),
        (Filters(tenant="tenant-seven"), ["intent", "outcome", "intent", "outcome", "refusal"]),
        (Filters(tenant="tenant-eight"), []),
        (Filters(caller="coach-service"), ["intent", "outcome", "refusal"]),
        (Filters(processor="openai-eu"), ["intent", "outcome", "intent", "outcome"]),
        (Filters(decision="refuse"), ["refusal"]),
        (Filters(decision="allow"), ["intent", "outcome", "intent", "outcome"]),
        (Filters(decision="allow", kind="refusal"), []),
        (Filters(code="parameter_retains_data"), ["refusal"]),
        (Filters(kind="operator"), ["operator"]),
        (Filters(call=COACH.call), ["intent", "outcome"]),
        (Filters(caller="' OR 1=1 --"), []),
    ],
)
def test_filters_narrow_and_combine(journal: Path, filters: Filters, kinds: list[str]) -> None:
    """Each filter keeps exactly the records it names."""
    assert _kinds(list(query(journal, KEY, filters))) == kinds


@pytest.mark.parametrize("filters", [Filters(kind="other"), Filters(decision="maybe"), Filters(call="not hex")])
def test_a_filter_that_nothing_can_match_is_an_error(journal: Path, filters: Filters) -> None:
    """A misspelt filter is not an empty answer."""
    with pytest.raises(ValueError):
        list(query(journal, KEY, filters))


def test_times_are_rfc_3339_in_utc(journal: Path) -> None:
    """Microseconds, UTC, with a Z."""
    (line,) = query(journal, KEY, Filters(kind="refusal"))

    assert line["time"] == "2026-11-18T11:07:00.000000Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_795_000_000_000_001).endswith(".000001Z")


def test_a_line_for_people_names_what_happened(journal: Path) -> None:
    """The table shows result, code or act, and who called which model."""
    shown = [table_line(line) for line in query(journal, KEY, Filters())]

    assert "boot" in shown[0]
    assert "completed" in shown[2] and "coach-service" in shown[2] and "gpt-5.2-2026-01-15" in shown[2]
    assert "parameter_retains_data" in shown[5]


def test_no_journal_is_an_error(tmp_path: Path) -> None:
    """Reading where there is nothing says so and makes no file."""
    with pytest.raises(StoreFault):
        list(query(tmp_path, KEY, Filters()))

    assert not list(tmp_path.iterdir())


async def test_reading_while_writing_sees_what_is_durable(open_journal: Opener, directory: Path) -> None:
    """A listing begun before an append does not block it, and a later one sees it."""
    journal = await open_journal()
    for _ in range(300):
        journal.submit(intent())
    await journal.append(intent())
    listing = query(directory, KEY, Filters(kind="intent"))
    next(listing)

    await journal.append(intent())

    assert len(list(listing)) == 301
    assert len(list(query(directory, KEY, Filters(kind="intent")))) == 302


def test_memory_stays_flat(directory: Path) -> None:
    """Twenty thousand rows are read in pages: the peak is that of a page, not of the journal."""
    store = SqliteStore(directory, KEY)
    for batch in range(20):
        store.commit([row_line(refusal()) for _ in range(1000)], batch * 1000, 0)
    store.close()
    tracemalloc.start()

    count = sum(1 for _ in query(directory, KEY, Filters()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 20_000
    assert peak < 3_000_000
