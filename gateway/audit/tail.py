"""A journal's last rows, as they were committed, for who carries them: to read them back costs far more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from gateway.audit.store import Carried

MOST: Final = 2048
"""Rows; who is further behind reads the file."""


class Tail:
    """Filled by `Journal.committed`. For the journal's loop."""

    def __init__(self) -> None:
        self._rows: deque[Carried] = deque(maxlen=MOST)
        self._last = -1

    def add(self, first: int, lines: Sequence[str]) -> None:
        """Rows that are durable now, from the key `first` on."""
        if first != self._last + 1:
            self._rows.clear()
        self._rows.extend(map(Carried, range(first, first + len(lines)), lines))
        self._last = first + len(lines) - 1

    def forget(self) -> None:
        """A boot has begun, whose first rows the file has."""
        self._rows.clear()
        self._last = -1

    def after(self, seq: int, most: int) -> list[Carried] | None:
        """The rows after a key, in order, at most so many; None where only the file can say."""
        if seq == self._last >= 0:
            return []
        skipped = seq + 1 - self._rows[0].seq if self._rows else -1
        if not 0 <= skipped < len(self._rows):
            return None
        return list(islice(self._rows, skipped, skipped + most))
