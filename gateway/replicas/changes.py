"""Approved changes of the configuration, told to every replica: what was applied at one is in force at all at once.

Under change control each bundle has a link in a chain that its approvers signed (see `change.chain`). Redis carries the
links, never a bundle: a replica takes a link over where it proves against its own chain and its own files are what was
approved. Until then it is behind, and says so; past `replicas.stale_seconds` it grants nothing. Who can write to that
Redis can neither change what is in force nor keep a change from being heard for longer than he keeps writing.

Hosts with `carriage` differ in `gateway.yaml`, so each has a chain of its own and does not take part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final, cast

from gateway.replicas.door import Door, Word
from gateway.replicas.scripts import CHANGES

_KEPT_SECONDS: Final = 400 * 86_400
_AT_ONCE: Final = 256
_AGAIN_SECONDS: Final = 1.0
_LONGEST: Final = 64 * 1024

Adopt = Callable[[bytes], Awaitable[bool | None]]
"""Takes a link over: True if it is in force now, False if the files here are not yet what it is about, None if it does
not hold."""


class Changes:
    """The exchange. Belongs to one event loop.

    Args:
        door: Redis.
        links: those that are in force here, as they are kept.
        adopt: takes the next one over.
    """

    def __init__(self, door: Door, links: Callable[[], Sequence[bytes]], adopt: Adopt) -> None:
        self._door = door
        self._links = links
        self._adopt = adopt
        self._behind_since: float | None = None
        self._tried = -1e9
        self._seen: list[bytes] = []
        self._all = True

    @property
    def behind_seconds(self) -> float:
        """For how long a change that was applied elsewhere has not been in force here; 0: none is known."""
        return 0.0 if self._behind_since is None else monotonic() - self._behind_since

    async def exchange(self) -> None:
        """Tell and hear once.

        Raises:
            Away: nothing was heard.
        """
        ours = self._links()
        have = len(ours)
        begin = max(0, have - (_AT_ONCE if self._all else 1))
        words: list[Word] = [have, _KEPT_SECONDS]
        for number in range(begin, have):
            words += [number, ours[number]]
        reply = cast("list[int | bytes]", await self._door.run(CHANGES, [self._door.key("changes")], words))
        self._all = cast(int, reply[0]) < have  # wiped: tell more the next time
        following = [line for line in reply[1:] if isinstance(line, bytes) and len(line) <= _LONGEST]
        if not following:
            self._behind_since = None
        elif following != self._seen or monotonic() - self._tried >= _AGAIN_SECONDS:
            self._seen, self._tried = following, monotonic()
            await self._take_over(following)

    async def _take_over(self, following: Sequence[bytes]) -> None:
        for line in following:
            taken = await self._adopt(line)
            if taken is None:
                break  # nobody who may has signed it: it is as if it were not there
            if not taken:
                self._behind_since = self._behind_since or monotonic()
                return
        self._behind_since = None
