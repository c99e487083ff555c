"""Whom to tell what by when, and that it was sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config import Bundle
from gateway.disclosure.notices import FILE, Due, Sent, SentUnreadable, due, read_sent, record_sent
from tests.gateway.config.small import NOW, read, write
from tests.gateway.disclosure.changing import CHANGING, DIGEST


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write(tmp_path, **CHANGING))


def of(bundle: Bundle, notice: str, now: datetime = NOW) -> Due:
    return next(item for item in due(bundle, now) if item.id == notice)


def test_every_change_to_come_is_due(bundle: Bundle) -> None:
    """A new processor, a new country and one that is only to be announced are listed, the most urgent first."""
    assert [item.id for item in due(bundle, NOW)] == [
        "processor/toy-us",
        "countries/toy-eu/2026-12-20",
    ]


def test_whom_it_concerns_and_from_when(bundle: Bundle) -> None:
    """Only active tenants that might be served, each from when its own notice has run."""
    found = of(bundle, "processor/toy-us")

    assert found.by == datetime(2026, 11, 10, tzinfo=UTC)
    assert found.effective == {"t-ca": datetime(2027, 1, 9, tzinfo=UTC)}  # it was promised 60 days
    assert of(bundle, "countries/toy-eu/2026-12-20").effective == {"t-eu": datetime(2026, 12, 20, tzinfo=UTC)}


def test_who_would_lose_an_entry_by_a_country_is_told(tmp_path: Path) -> None:
    """A tenant that does not accept the new country must hear of it: its calls will be refused."""
    tenants = CHANGING["tenants.yaml"].replace("residency: [EEA_CH]", "residency: [EU27]")

    found = of(read(write(tmp_path, **{**CHANGING, "tenants.yaml": tenants})), "countries/toy-eu/2026-12-20")

    assert list(found.effective) == ["t-eu"]


def test_who_objected_is_not_told(bundle: Bundle) -> None:
    """An objecting tenant is excluded from the entry, so its notice is none of it."""
    assert not [item for item in due(bundle, NOW) if item.id == "processor/toy-soon"]


def test_it_is_over_when_everybody_had_it(bundle: Bundle) -> None:
    """A change leaves the list at the instant at which it counts for the last tenant."""
    last = datetime(2027, 1, 9, tzinfo=UTC)

    assert of(bundle, "processor/toy-us", last.replace(day=8)).id
    assert [item.id for item in due(bundle, last)] == []


@pytest.mark.parametrize(
    ("by", "now", "late"),
    [
        ("2026-11-26T00:00", "2026-11-26T23:59", False),
        ("2026-11-26T00:00", "2026-11-27T00:00", True),
        ("2026-11-26T09:30", "2026-11-26T09:29", False),
        ("2026-11-26T09:30", "2026-11-26T09:30", True),
    ],
)
def test_a_notice_has_the_day_of_its_announcement(by: str, now: str, late: bool) -> None:
    """It is late when that day is over; one that is announced at an instant is late at that instant."""
    at = datetime.fromisoformat(f"{by}+00:00")
    item = Due("processor/x", "", at, {}, None, None)

    assert item.is_late(datetime.fromisoformat(f"{now}+00:00")) is late
    assert not replace(item, sent=at).is_late(NOW + timedelta(days=900))


def test_what_was_sent_is_kept(bundle: Bundle) -> None:
    """A recorded notice bears its instant, and comes after those that are still to be sent."""
    record_sent(bundle.state, Sent("processor/toy-us", "toy-us", DIGEST, 1, NOW))

    first, second = due(bundle, NOW)

    assert (first.id, first.sent) == ("countries/toy-eu/2026-12-20", None)
    assert (second.id, second.sent) == ("processor/toy-us", NOW)
    assert read_sent(bundle.state) == [Sent("processor/toy-us", "toy-us", DIGEST, 1, NOW)]
    assert (bundle.state / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "line", [b"not json\n", b"{}\n", b'{"notice": "x", "processor": null, "document": "zz", "told": 1, "at": "2026-01-01"}\n']
)  # fmt: skip
def test_a_file_that_is_not_ours(bundle: Bundle, line: bytes) -> None:
    """Whatever else stands in the file is an error that quotes nothing, never an empty list."""
    bundle.state.mkdir(parents=True, exist_ok=True)
    (bundle.state / FILE).write_bytes(line)

    with pytest.raises(SentUnreadable, match=r"notices.jsonl:1: this line is not of this program$"):
        due(bundle, NOW)
