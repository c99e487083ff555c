"""What was taken out of all calls of a day, by category and for the whole gateway: never of a tenant or a person.

A small number beside a day could point at somebody, so a category with fewer than `LEAST` findings is left out.
"""

from __future__ import annotations

from collections import Counter

from gateway.audit.record import Operator
from gateway.audit.words import Act
from gateway.categories import Category

LEAST = 10
DAY = 86_400_000_000


class Taken:
    """The findings of the day so far. Belongs to one event loop."""

    def __init__(self) -> None:
        self._counts: Counter[Category] = Counter()
        self._day: int | None = None

    def add(self, category: object, count: int) -> None:
        """Findings were taken out; what is no special category is not counted."""
        if isinstance(category, Category):
            self._counts[category] += count

    def due(self, now: int, *, ending: bool = False) -> Operator | None:
        """The record of the day that is over, or so far where the gateway ends; None where there is none to write.

        Args:
            now: microseconds since 1970.
            ending: nobody will ask again.
        """
        today = now // DAY
        if self._day is None:
            self._day = today
        if self._day == today and not ending:
            return None
        day, self._day = self._day, today
        counts, self._counts = self._counts, Counter()
        totals = tuple(sorted((category, count) for category, count in counts.items() if count >= LEAST))
        return Operator(time=now, act=Act.TOTALS, start=day * DAY, totals=totals) if totals or not ending else None
