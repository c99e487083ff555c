"""What Redis acknowledged lately, to be said again to a primary that may not have it.

Replication is asynchronous: whoever is promoted lacks what the primary before it acknowledged last, and nobody knows
how much of it. So all of it is said again, in order; each script knows by its number what was heard already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from gateway.replicas.door import Reply

KEPT_SECONDS: Final = 2.0
"""How far a replica of Redis may lag: what was acknowledged earlier is taken to be there."""
MOST: Final = 1024
"""Kept at once; where more is said in that time, the earliest are taken to be there."""

Say: TypeAlias = "Callable[[], asyncio.Future[Reply]]"


class Lately:
    """Scripts by their numbers, for one event loop.

    Args:
        clock: seconds that never run backwards.
        longest: seconds for which Redis knows a number; what is older is not said again.
    """

    def __init__(self, clock: Callable[[], float], longest: float) -> None:
        self._clock = clock
        self._longest = longest
        self._said: dict[int, tuple[float, Say]] = {}

    def heard(self, turn: int, say: Say) -> None:
        """The script of this number was acknowledged just now; `say` asks for it again."""
        now = self._clock()
        self._said.pop(turn, None)
        self._said[turn] = now, say
        while len(self._said) > MOST or next(iter(self._said.values()))[0] < now - KEPT_SECONDS:
            del self._said[next(iter(self._said))]

    def again(self) -> None:
        """Say all of it again, the lowest number first; what is acknowledged then may be lost anew, and is kept."""
        now = self._clock()
        for turn, (since, say) in sorted(self._said.items()):
            if now - since < self._longest:
                say().add_done_callback(partial(self._heard_again, turn, say))

    def _heard_again(self, turn: int, say: Say, said: asyncio.Future[Reply]) -> None:
        if not said.cancelled() and said.exception() is None:
            self.heard(turn, say)
