"""Fetches time-stamp tokens over the log's checkpoints, every so many hours; each is kept and then recorded.

Nothing waits for an authority: without one, or when it fails, calls are served and the log grows, and readiness warns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time_ns

from gateway.audit.cosigning import cosigned
from gateway.audit.log_store import LOG_FILE, LogReader
from gateway.audit.record import Operator
from gateway.audit.stamping import (
    ANSWERED_AS,
    ASKED_AS,
    NotStamped,
    Question,
)
from gateway.audit.stamps import Stamp, keep_stamp, last_stamped
from gateway.audit.store import StoreFault
from gateway.config.settings import TimeStamps
from gateway.errors import Unavailable
from gateway.keys import Certificates
from gateway.outside import Outside, Unreached

LOOK_SECONDS = 60.0
"""Between two looks at whether a token is due; one that failed is asked for again at the next."""

_HOUR = 3_600_000_000
_DOUBT = 60_000_000
"""A token that differs so much from our clock is told: one of the two is wrong."""


class Anchoring:
    """The tokens of one log.

    Args:
        log: the log's folder.
        key: of the log's file.
        settings: where to ask, and how often.
        roots: whom to believe.
        outside: the client, whose hosts include the authority's.
        note: records an act, durably.
        tell: told what went wrong, for the operator.
        clock: microseconds since 1970.
    """

    def __init__(
        self,
        log: Path,
        key: bytes,
        settings: TimeStamps,
        roots: Certificates,
        outside: Outside,
        note: Callable[[Operator], Awaitable[None]],
        tell: Callable[[str], None],
        clock: Callable[[], int] = lambda: time_ns() // 1000,
    ) -> None:
        self._log, self._key = log, key
        self._url, self._every = settings.url, settings.every_hours * _HOUR
        self._roots, self._outside = roots, outside
        self._note, self._tell, self._clock = note, tell, clock
        self._began = clock()
        self._unnoted: list[Stamp] = []

    @property
    def late(self) -> bool:
        """Whether the last token is so old that two more were due since."""
        return self._clock() - max(last_stamped(self._log) or 0, self._began) > 2 * self._every

    async def look(self) -> Stamp | None:
        """Fetch a token if one is due and there is a log; keep it, then record it.

        Raises:
            NotStamped, Unreached, StoreFault: there is none this time.
            Unavailable: it is kept, and not recorded yet.
        """
        stamp = None
        last = await asyncio.to_thread(last_stamped, self._log)
        if last is None or self._clock() - last >= self._every:
            stamp = await self._fetch()
        await self.record()
        return stamp

    async def record(self) -> None:
        """Record what was kept.

        Raises:
            Unavailable: it is not recorded yet.
        """
        while self._unnoted:
            await self._note(self._unnoted[0].act(self._clock()))
            self._unnoted.pop(0)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.look()
            except (NotStamped, Unreached) as fault:
                self._tell(f"time stamps: {fault}")
            except StoreFault:
                self._tell("time stamps: the log cannot be read, or the token not kept")
            except Unavailable:
                pass  # it is recorded later
            await asyncio.sleep(LOOK_SECONDS)

    async def _fetch(self) -> Stamp | None:
        note = await asyncio.to_thread(self._latest)
        if note is None:
            return None
        question = Question(note)
        headers = {"Content-Type": ASKED_AS}
        answer = await self._outside.ask("POST", self._url, body=question.written, headers=headers)
        if answer.status != 200 or answer.content_type != ANSWERED_AS:
            raise NotStamped(f"it answered with status {answer.status}, and no token")
        stamp = await asyncio.to_thread(question.answered, answer.body, self._roots)
        keeping = asyncio.get_running_loop().create_task(asyncio.to_thread(keep_stamp, self._log, stamp))
        try:
            await asyncio.shield(keeping)
        finally:  # ended meanwhile, too: what is kept is recorded
            await keeping
            self._unnoted.append(stamp)
        if abs(stamp.time - self._clock()) > _DOUBT:
            self._tell("time stamps: the authority's clock and ours differ by more than a minute")
        return stamp

    def _latest(self) -> str | None:
        """The last checkpoint, with its cosignatures where witnesses gave some; None where nothing was signed yet."""
        if not (self._log / LOG_FILE).exists():
            return None
        with LogReader.read(self._log, self._key) as log:
            signed, size = log.latest(), log.size
        found = cosigned(self._log, 0, None)
        if found is not None and found[0] <= size:
            return found[1]
        return None if signed is None else signed.note
