"""Caller keys that were revoked, told to every replica within a second, and whether this one still hears.

Each replica adds what it knows to one set in Redis and takes over what others added, again and again: nothing is lost
when a message is, and a wiped Redis is filled again by whoever remembers. Without Redis each host has its own key file,
which is looked at once a second anyway. Ids are the public halves of keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, cast

from gateway.replicas.door import Door, Word
from gateway.replicas.scripts import NEWS

EVERY_SECONDS: Final = 0.15
_KEPT_SECONDS: Final = 400 * 86_400
_AT_ONCE: Final = 1000
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}").fullmatch


class News:
    """The exchange. Belongs to one event loop.

    Args:
        known: the revocations that this replica knows.
        learn: takes over what others know.

    Attributes:
        learned: all that was ever heard, for a configuration that is loaded later.
    """

    def __init__(self, door: Door, known: Callable[[], Iterable[str]], learn: Callable[[Iterable[str]], None]) -> None:
        self._door = door
        self._known = known
        self._learn = learn
        self._heard = monotonic()
        self.learned: frozenset[str] = frozenset()

    @property
    def silent_seconds(self) -> float:
        """How long ago this replica last heard what the others know."""
        return monotonic() - self._heard

    async def exchange(self) -> None:
        """Tell and hear once.

        Raises:
            Away: nothing was heard.
        """
        began = monotonic()
        ours = sorted(self._known())
        heard: set[str] = set()
        for at in range(0, max(1, len(ours)), _AT_ONCE):
            words: list[Word] = [_KEPT_SECONDS, *ours[at : at + _AT_ONCE]]
            reply = cast("list[bytes]", await self._door.run(NEWS, [self._door.key("revoked")], words))
            heard.update(item.decode("ascii", "replace") for item in reply)
        self.learned |= {item for item in heard if _KEY_ID(item)}
        self._learn(self.learned)
        self._heard = began
