"""Everything that this replica shares, assembled: the door, the quotas and their tasks, from `start` to `stop`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from gateway.callers import Callers
from gateway.config import Bundle
from gateway.config.settings import Replicas
from gateway.errors import ConfigurationError, Fault
from gateway.keys import new_boot_id
from gateway.quotas import Counters
from gateway.replicas.changes import Changes
from gateway.replicas.door import Away, Door, DoorOptions
from gateway.replicas.news import EVERY_SECONDS, News
from gateway.replicas.quotas import SharedQuotas
from gateway.replicas.suspended import Suspended

_LAST_WORDS_SECONDS = 0.5


class Shared:
    """What replicas share through Redis.

    Args:
        options: how to reach it.
        settings: how long a replica may be deaf.
        sharing: how many processes share a limit.
        counters: of this process.
        callers: those of the configuration in force.
        rest: what else replicas exchange, made for a door.
        learned: called after each exchange, so that what was heard counts at once.
    """

    def __init__(
        self,
        options: DoorOptions,
        settings: Replicas,
        sharing: int,
        counters: Counters,
        callers: Callable[[], Callers],
        rest: Callable[[Door], tuple[Suspended, Changes | None]],
        learned: Callable[[], None],
    ) -> None:
        self.door = Door(options, self._changed)
        self.quotas = SharedQuotas(self.door, counters, new_boot_id(), sharing)
        self.news = News(self.door, lambda: callers().revoked, lambda ids: callers().revoke(ids))
        self._suspended, self._changes = rest(self.door)
        self._learned = learned
        self._stale_seconds = settings.stale_seconds
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def up(self) -> bool:
        """Whether Redis is there."""
        return self.door.up

    @property
    def current(self) -> bool:
        """Whether what was decided elsewhere was heard of lately enough, and is in force here, to go on granting."""
        stale = self._stale_seconds
        return stale is None or (self.news.silent_seconds < stale and self.behind_seconds < stale)

    @property
    def behind_seconds(self) -> float:
        """For how long a change that was applied elsewhere has not been in force here."""
        return 0.0 if self._changes is None else self._changes.behind_seconds

    async def start(self) -> None:
        """Connect, without insisting: a gateway starts without Redis, too."""
        await self.door.start()
        make = asyncio.get_running_loop().create_task
        self._tasks = [
            make(self.quotas.keep_telling(), name="telling"),
            make(self._keep_listening(), name="listening"),
        ]
        if self._changes is not None:
            self._tasks.append(make(self._keep_following(self._changes), name="changes"))

    async def _keep_listening(self) -> None:
        """Exchange revocations and suspensions, in one round trip: it costs more than what it carries."""
        while True:
            await asyncio.gather(self._hear_revoked(), self._hear_suspended())
            await asyncio.sleep(EVERY_SECONDS)

    async def _hear_revoked(self) -> None:
        with contextlib.suppress(Away):  # the next look says more
            await self.news.exchange()

    async def _hear_suspended(self) -> None:
        with contextlib.suppress(Away):
            await self._suspended.exchange()
            self._learned()

    async def _keep_following(self, changes: Changes) -> None:
        """Exchange changes, as often; one that is taken over takes its time."""
        while True:
            with contextlib.suppress(Away):
                await changes.exchange()
            await asyncio.sleep(EVERY_SECONDS)

    async def stop(self) -> None:
        """Tell what is left to tell, for a moment, and close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.quotas.end()
        with contextlib.suppress(Away, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                while self.quotas.untold:
                    await self.quotas.tell()
        await self.door.stop()

    def _changed(self, up: bool) -> None:
        if up:
            self.quotas.came_back()


def door_options(bundle: Bundle) -> DoorOptions:
    """How the configuration says that Redis is reached.

    Raises:
        ConfigurationError: the file of its password cannot be read.
    """
    settings = bundle.settings.replicas
    assert settings is not None  # noqa: S101  # whoever asks has looked
    scheme, _separator, rest = settings.url.partition("://")
    _tls, _plus, kind = scheme.partition("+")
    password = None
    if settings.password is not None:
        try:
            password = bundle.path(settings.password.file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            where = str(bundle.directory / "gateway.yaml")
            raise ConfigurationError([Fault(where, 0, "replicas.password", "the file cannot be read")]) from None
    return DoorOptions(
        hosts=settings.hosts,
        kind=kind or "single",
        service=rest.partition("/")[2],
        tag=f"zrg:{bundle.settings.region}",
        user=settings.user,
        password=password,
        tls=settings.encrypted,
        authorities=None if settings.authorities is None else bundle.path(settings.authorities),
        wait_seconds=settings.wait_seconds,
    )
