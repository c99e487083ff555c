"""Days, months and hours of the record: microseconds, days and months since 1970, all UTC."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime

HOUR = 3_600_000_000
DAY = 86_400_000_000
EVER = 253_402_214_400_000_000
"""Midnight before the last day that a calendar has: later than any record."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = [(datetime(1970 + at // 12, at % 12 + 1, 1, tzinfo=UTC) - _EPOCH).days for at in range(12 * 8030)]


def month_of(day: int) -> int:
    """The month that a day is in."""
    return bisect_right(_MONTHS, day) - 1


def month_start(month: int) -> int:
    """The first day of a month."""
    return _MONTHS[month]


Stretch = tuple[str, int, int]
"""(`hour`, `day` or `month`, first, end): in microseconds, days, months; `end` is not included."""


def stretches(since: int, until: int, *, months: bool = True) -> list[Stretch]:
    """A period (microseconds) in whole months (unless days are wanted), whole days, and what is left at both ends."""
    if since >= until:
        return []
    first, end = -(-since // DAY), until // DAY
    if first >= end:
        return [("hour", since, until)]
    start_month, end_month = month_of(first), month_of(end)
    if month_start(start_month) < first:
        start_month += 1
    found: list[Stretch] = [("hour", since, first * DAY), ("hour", end * DAY, until)]
    if months and start_month < end_month:
        found += [
            ("day", first, month_start(start_month)),
            ("month", start_month, end_month),
            ("day", month_start(end_month), end),
        ]
    else:
        found.append(("day", first, end))
    return [each for each in found if each[1] < each[2]]


def edges(since: int, until: int, most: int) -> list[int]:
    """Where the bars of a timeline begin and the last ends: hours of two days, days while `most` suffice, or months."""
    if until - since <= 48 * HOUR:
        return list(range(since // HOUR * HOUR, until + HOUR - 1, HOUR))[:50] or [since, until]
    if until - since <= most * DAY:
        return list(range(since // DAY * DAY, until + DAY - 1, DAY))
    first, last = month_of(since // DAY), month_of((until - 1) // DAY)
    return [month_start(month) * DAY for month in range(first, last + 2)]
