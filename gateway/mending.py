"""Brings a journal that was given up back into use once its disk works again; until then every call is refused.

A journal is given up when nobody can know what landed: an error of a write or a sync, a file system that became
read-only, a file that is no longer the one of its name. It is read back as after a crash, so nothing that was promised
is lost, and what was open is closed as `indeterminate`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.audit.journal import Journal
from gateway.audit.store import StoreFault

LOOK_SECONDS = 0.5
_GREATEST_PAUSE = 30.0


class Mending:
    """The keeper of one journal.

    Args:
        journal: the journal.
        tell: told (event, reason) when it was given up, and when it is back.
        look: seconds between two looks; each attempt that fails doubles the pause to the next.
    """

    def __init__(self, journal: Journal, tell: Callable[[str, str], None], look: float = LOOK_SECONDS) -> None:
        self._journal = journal
        self._tell = tell
        self._look = look

    async def run(self) -> None:
        """Keep it for ever."""
        while True:
            await asyncio.sleep(self._look)
            if self._journal.fault is not None:
                await self._mend(self._journal.fault)

    async def _mend(self, fault: str) -> None:
        self._tell("journal_given_up", f"no call is taken: {fault}")
        pause, said = self._look, fault
        while self._journal.fault is not None:
            try:
                await self._journal.recover()
            except StoreFault as still:
                if str(still) != said:
                    said = str(still)
                    self._tell("journal_given_up", f"no call is taken: {said}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _GREATEST_PAUSE)
            else:
                self._tell("journal_recovered", "calls are taken again")
                return
