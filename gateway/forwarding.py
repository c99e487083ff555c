"""Sends the log to a collector, from where it was, and knows how far it came: each leaf at least once, and in order.

For a verb. One batch is in memory, whatever the collector does; it is sent until it was taken, and only then is the
next index written down. No file of the state is held open meanwhile, so a collector that hangs holds up no erasure.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from gateway.audit.export import Record, batch
from gateway.audit.journal import now
from gateway.audit.reader import rfc3339
from gateway.audit.retention.handouts import hand_out_daily
from gateway.audit.store import StoreFault
from gateway.collectors import Collector, NotTaken, collector
from gateway.config import Bundle
from gateway.config.settings import Collector as Named
from gateway.durable import locked, write_durably
from gateway.keys import Keyring

FOLDER: Final = "collectors"
"""In the state: of each collector, the index that comes next for it."""

LOOK_SECONDS: Final = 1.0
"""How often it is looked for more: as often as there are checkpoints."""

TRIES: Final = 6
"""How often a batch is sent that nobody took, where the log is not followed: over half a minute or so."""

_LONGEST_PAUSE: Final = 60.0

Wait = Callable[[float], Awaitable[None]]


async def forward(
    bundle: Bundle, named: Named, *, follow: bool, after: int | None, tell: Callable[[str], None]
) -> None:
    """Send the log to a collector of gateway.yaml, from where it was.

    Args:
        bundle: the configuration.
        named: the collector.
        follow: whether to go on as the log grows.
        after: the index to go on after; None: where it was.
        tell: told what the operator should know.

    Raises:
        BlockingIOError: somebody sends there already.
        NotTaken, StoreFault, OSError: see `Forwarding.run`; or the collector's files cannot be read.
        KeyFault: the state's keys cannot be used.
    """
    place = Place(bundle.state, named.name)
    with locked(place.lock, wait=False):
        if after is not None:
            place.keep(after + 1)
        keyring = Keyring.open(bundle.state / "keys", master=bundle.master_key)
        there = collector(bundle, named)
        try:
            way = Forwarding(bundle.state, keyring, there, place, tell)
            await way.run(follow=follow)
            tell(f"{way.sent} leaves were taken, up to index {place.next() - 1}")
        finally:
            await there.close()


class Place:
    """How far one collector is, on the disk."""

    def __init__(self, state: Path, name: str) -> None:
        self.name = name
        self._path = state / FOLDER / name
        self._path.parent.mkdir(mode=0o700, exist_ok=True)

    @property
    def lock(self) -> Path:
        """The file that is locked while somebody sends there."""
        return self._path.with_name(f"{self._path.name}.lock")

    def next(self) -> int:
        """The index that comes next; 0 if nothing was sent yet.

        Raises:
            StoreFault: the file is damaged.
        """
        try:
            return int(self._path.read_bytes()) if self._path.exists() else 0
        except (OSError, ValueError):
            raise StoreFault(f"{self._path}: is damaged; --after says where to go on") from None

    def keep(self, index: int) -> None:
        """What is before this index was taken.

        Raises:
            OSError: it cannot be written.
        """
        write_durably(self._path, b"%d" % index)


class Forwarding:
    """The way from a state to a collector.

    Args:
        state: the state directory.
        keyring: of the state.
        collector: where to; closed by whoever made it.
        place: how far it is.
        tell: told what the operator should know: that the collector is away, and that it is back.
        wait: sleeps so many seconds.
        clock: microseconds since 1970.
    """

    def __init__(
        self,
        state: Path,
        keyring: Keyring,
        collector: Collector,
        place: Place,
        tell: Callable[[str], None],
        wait: Wait = asyncio.sleep,
        clock: Callable[[], int] = now,
    ) -> None:
        self._state, self._keyring = state, keyring
        self._collector, self._place = collector, place
        self._tell, self._wait, self._clock = tell, wait, clock
        self.sent = 0
        """Leaves that were taken by now, in this run."""

    async def run(self, *, follow: bool) -> None:
        """Send what there is; with `follow`, go on as the log grows, and wait for a collector that is away for ever.

        Raises:
            NotTaken: a batch was not, and sending it again would change nothing, or was tried often enough.
            StoreFault: the log cannot be read, or is shorter than what was sent of it.
            OSError: how far it is cannot be written down.
        """
        following = self._place.next()
        while True:
            found = await asyncio.to_thread(self._read, following)
            if not found:
                if not follow:
                    return
                await self._wait(LOOK_SECONDS)
                continue
            self._hand_out(following)
            await self._send(found, following, patient=follow)
            following += len(found)
            self._place.keep(following)
            self.sent += len(found)

    async def _send(self, found: list[Record], first: int, *, patient: bool) -> None:
        tries, pause = 0, 1.0
        while True:
            try:
                await self._collector.send(found)
            except NotTaken as fault:
                tries += 1
                if fault.after is None or (tries >= TRIES and not patient):
                    raise NotTaken(f"from index {first} on: {fault}", None) from None
                if tries == 1:
                    self._tell(f"from index {first} on: {fault}; it is sent again")
                await self._wait(max(fault.after, pause * random.uniform(0.5, 1.0)))  # noqa: S311  # nothing secret
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                if tries:
                    self._tell(f"from index {first} on: taken, at the {tries + 1}th time")
                return

    def _hand_out(self, following: int) -> None:
        """A collector has a copy, as whoever has a pack: it is recorded, told of at an erasure, and has its end."""
        made = hand_out_daily(self._state, following, self._clock(), self._place.name)
        if made is not None:
            self._tell(
                f"what is sent there today is a copy of the record; delete it there by {rfc3339(made.delete_by)[:10]}"
            )

    def _read(self, following: int) -> list[Record]:
        found, end = batch(self._state, self._keyring, following, self._collector.most)
        if following > end:
            raise StoreFault(
                f"the log has {end} leaves, and {following} were sent: it came back from an older backup; "
                "`gateway restore` first"
            )
        return found
