"""A journal's last rows, as they were committed, for who carries them: to read them back costs far more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from gateway.audit.store import Carried

MOST: Final = 2048
"""Rows; who is further behind, or asks for some again, reads the file."""


class Tail:
    """Filled by `Journal.committed`, from the rows after `seq` on. For the journal's loop."""

    def __init__(self, seq: int = -1) -> None:
        self._rows: deque[Carried] = deque(maxlen=MOST)
        self._last = seq

    def add(self, first: int, lines: Sequence[str]) -> None:
        """Rows that are durable now, from the key `first` on."""
        if first != self._last + 1:
            self._rows.clear()
        self._rows.extend(map(Carried, range(first, first + len(lines)), lines))
        self._last = first + len(lines) - 1

    def forget(self, seq: int) -> None:
        """A boot has begun, whose first rows, up to this key, the file has."""
        self._rows.clear()
        self._last = seq

    def after(self, seq: int, most: int) -> list[Carried] | None:
        """The rows after a key, in order, at most so many; None where only the file can say.

        Those up to the key are let go: memory that is used again at once is memory that the processor has at hand.
        """
        if seq == self._last >= 0:
            self._rows.clear()
            return []
        skipped = seq + 1 - self._rows[0].seq if self._rows else -1
        if not 0 <= skipped < len(self._rows):
            return None
        for _ in range(skipped):
            self._rows.popleft()
        return list(islice(self._rows, most))
