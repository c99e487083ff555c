"""The list after a provider's breach: whom a processor served, complete for the period and nothing beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.audit import exposure
from gateway.audit.boot import row_line
from gateway.audit.exposure import in_force_at, served
from gateway.audit.language import Sha
from gateway.audit.record import Intent, Operator
from gateway.audit.store import SqliteStore, StoreFault
from gateway.audit.words import Act, Tenant
from tests.gateway.audit.samples import EPOCH, KEY, VOCABULARY, intent, outcome, refusal

AT = datetime.fromtimestamp(EPOCH // 1_000_000, UTC)
SECOND = 1_000_000


def of_tenant(name: str, seconds: int) -> Intent:
    return replace(intent(time=EPOCH + seconds * SECOND), tenant=VOCABULARY.word(Tenant, name))


@pytest.fixture
def journal(directory: Path) -> Path:
    """Five attempts of two tenants at seconds 0, 1, 2, 3 and 10; an outcome each, a refusal and a boot."""
    store = SqliteStore(directory, KEY)
    store.begin([row_line(Operator(time=EPOCH - 1, act=Act.BOOT))])
    intents = [of_tenant("tenant-eight" if second == 2 else "tenant-seven", second) for second in (0, 1, 2, 3, 10)]
    records = [record for each in intents for record in (each, outcome(each, time=each.time + 5))]
    store.commit([row_line(record) for record in [*records, refusal(time=EPOCH + 20 * SECOND)]], 1, 0)
    store.close()
    return directory


def counts(journal: Path, start: int, end: int, processor: str = "openai-eu") -> dict[str, int]:
    found = served(journal, KEY, processor, AT + timedelta(seconds=start), AT + timedelta(seconds=end))
    return {item.tenant: item.attempts for item in found}


@pytest.mark.parametrize("page", [1, 2, 3, 50_000])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(0, 11, {"tenant-seven": 4, "tenant-eight": 1}, id="everything"),
        pytest.param(0, 10, {"tenant-seven": 3, "tenant-eight": 1}, id="the end is not included"),
        pytest.param(1, 3, {"tenant-seven": 1, "tenant-eight": 1}, id="the start is"),
        pytest.param(4, 10, {}, id="a quiet time"),
        pytest.param(20, 30, {}, id="a refusal served nobody"),
        pytest.param(30, 40, {}, id="after the last record"),
    ],
)
def test_a_period_is_complete(
    journal: Path, monkeypatch: pytest.MonkeyPatch, page: int, start: int, end: int, expected: dict[str, int]
) -> None:
    """However the period is cut into pages, each attempt in it is counted once."""
    monkeypatch.setattr(exposure, "_PAGE", page)

    assert counts(journal, start, end) == expected


@pytest.mark.parametrize("page", [1, 2, 3])
def test_attempts_of_one_instant_are_counted_once(directory: Path, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """A page that ends among records of the same microsecond loses none of them and counts none twice."""
    store = SqliteStore(directory, KEY)
    store.begin([row_line(Operator(time=EPOCH - 1, act=Act.BOOT))])
    store.commit([row_line(of_tenant("tenant-seven", 0)) for _ in range(5)], 1, 0)
    store.close()
    monkeypatch.setattr(exposure, "_PAGE", page)

    assert counts(directory, 0, 1) == {"tenant-seven": 5}


def test_another_processor_served_nobody(journal: Path) -> None:
    """An id is compared as a whole: neither its beginning nor a quote in it matches."""
    for processor in ("openai", "openai-eu-2026-02", '"', "%", ""):
        assert counts(journal, 0, 60, processor) == {}


def test_what_is_told_of_a_tenant(journal: Path) -> None:
    """First and last attempt, countries, agreements and models; the calls themselves on request."""
    first, _second = served(journal, KEY, "openai-eu", AT, AT + timedelta(seconds=60), calls=True)

    assert (first.tenant, first.first, first.last) == ("tenant-seven", EPOCH, EPOCH + 10 * SECOND)
    assert (first.countries, first.agreements) == ({"IE", "FR"}, {"openai-eu-2026-02"})
    assert (first.models, len(set(first.calls))) == ({"gpt-5.2-2026-01-15"}, 4)


def test_a_wrong_key_is_a_fault(journal: Path) -> None:
    """No answer is given from what cannot be read."""
    with pytest.raises(StoreFault):
        served(journal, bytes(32), "openai-eu", AT, AT + timedelta(seconds=60))


def _under(digest: str, seconds: float) -> Intent:
    return replace(of_tenant("tenant-seven", 0), time=EPOCH + round(seconds * SECOND), configuration=Sha(digest * 32))


def _act(act: Act, digest: str, seconds: float) -> Operator:
    return Operator(time=EPOCH + round(seconds * SECOND), act=act, configuration=Sha(digest * 32))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(-1.0, None, id="before the first start"),
        pytest.param(0.0, "aa", id="the start"),
        pytest.param(9.0, "aa", id="after calls"),
        pytest.param(10.0, "bb", id="the reload"),
        pytest.param(11.5, "bb", id="a call that began before the reload is recorded after it"),
        pytest.param(12.5, "bb", id="a change that is only applied is not in force yet"),
        pytest.param(100_000.0, "bb", id="long after the reload, by its calls"),
        pytest.param(200_000.0, "cc", id="the next start"),
    ],
)
def test_what_was_in_force_at_an_instant(directory: Path, at: float, expected: str | None) -> None:
    """The last start or reload by then, whatever a slow call or an applied change says."""
    store = SqliteStore(directory, KEY)
    store.begin([row_line(_act(Act.BOOT, "aa", 0))])
    records = [
        _under("aa", 1), _act(Act.CONFIGURATION, "bb", 10), _under("aa", 11), _act(Act.CHANGE, "cc", 12),
        _under("bb", 99_990), _act(Act.BOOT, "cc", 150_000), Operator(time=EPOCH + 150_001 * SECOND, act=Act.HEARTBEAT),
    ]  # fmt: skip
    store.commit([row_line(record) for record in records], 1, 0)
    store.close()

    assert in_force_at(directory, KEY, AT + timedelta(seconds=at)) == (None if expected is None else expected * 32)
