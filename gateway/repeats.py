"""Refusals for limits that repeat: each key's first of a minute is a record, the others are counted into one.

Or a caller far beyond its limits would make the gateway write, order and sign a record for each of its refusals, which
costs others more than serving it would, and fills the disk at its own pace. What a record says of such a refusal (who,
and that limits turned it away) the count says, too.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import Code

LIMITS: Final = frozenset({Code.RATE_LIMITED, Code.OVERLOADED})


class Repeats:
    """The counts of this minute. For one event loop; as many rows as there are caller keys that were refused."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def again(self, key: str, code: Code) -> bool:
        """Whether this refusal is counted here, so that no record of its own is made."""
        if code not in LIMITS:
            return False
        count = self._seen.get(key)
        self._seen[key] = 0 if count is None else count + 1
        return count is not None

    def taken(self) -> list[tuple[str, int]]:
        """(key, refusals) since the last time, of each key that has any; the next minute begins."""
        seen, self._seen = self._seen, {}
        return sorted((key, count) for key, count in seen.items() if count)
