"""How the pages write what they show: escaped, in people's words, and a dash where there is nothing."""

from __future__ import annotations

import pytest

from gateway.web.frame import ago, count, day, short, size, told, utc

NOON = 1_795_694_400_000_000


@pytest.mark.parametrize("write", [utc, day, count])
def test_what_is_not_there_is_a_dash(write: object) -> None:
    """An instant or number that there is not is one dash, and no other text."""
    assert callable(write)
    assert str(write(None)) == "\N{EN DASH}"


def test_an_instant_is_a_time_in_utc() -> None:
    """The element bears the instant for the script; where the head of a column says UTC, the cell does not again."""
    assert str(utc(NOON)) == '<time datetime="2026-11-26T12:00:00Z">2026-11-26 12:00:00 UTC</time>'
    assert str(utc(NOON, True)) == '<time datetime="2026-11-26T12:00:00Z">2026-11-26 12:00:00</time>'
    assert str(day(NOON)) == '<time datetime="2026-11-26">2026-11-26</time>'


def test_numbers_are_for_people() -> None:
    """Thousands apart, bytes in units, ages in their greatest unit, digests by their beginning."""
    assert (count(1_234_567), size(1_500), size(2_500_000)) == ("1,234,567", "2 kB", "2.5 MB")
    assert [ago(each) for each in (None, -3, 119, 120, 7_200, 172_800)] == [
        "never", "0 seconds ago", "119 seconds ago", "2 minutes ago", "2 hours ago", "2 days ago",
    ]  # fmt: skip
    readings = [["web_search", "disabled"], ["leaks", "absent"]]
    assert told(["one@example.com", "ab" * 32, 5]) == "one@example.com; abababababababab…; 5"
    assert (told(readings), told("simulated-anthropic"), told(None)) == (
        "web_search: disabled; leaks: absent", "simulated-anthropic", "null",
    )  # fmt: skip
    assert (short("ab" * 8), short("ab" * 9)) == ("ab" * 8, "ab" * 8 + "…")
