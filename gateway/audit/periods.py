"""Days, months and hours of the record: microseconds, days and months since 1970, all UTC."""

from __future__ import annotations

from calendar import isleap
from itertools import accumulate

HOUR = 3_600_000_000
DAY = 86_400_000_000
EVER = 253_402_214_400_000_000
"""Midnight before the last day that a calendar has: later than any record."""

_BEFORE = (0, *accumulate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30)))
"""Days of a common year before each of its months."""


def month_of(day: int) -> int:
    """The month that a day is in."""
    month = day * 4800 // 146_097  # the calendar repeats after 400 years, which is at most one month off in between
    while month_start(month) > day:
        month -= 1
    while month_start(month + 1) <= day:
        month += 1
    return month


def month_start(month: int) -> int:
    """The first day of a month."""
    year, number = 1970 + month // 12, month % 12
    whole = year - 1
    days = whole * 365 + whole // 4 - whole // 100 + whole // 400 - 719_162  # those from year 1 to 1970
    return days + _BEFORE[number] + (number > 1 and isleap(year))


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
