"""A host's part in the region's one log: it carries its own journals there, or takes in what the others carry."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import orjson

from gateway.audit.configurations import keep_configuration, kept_configuration, kept_digests
from gateway.audit.gathering import LOST, Gatherer, OutOfTurn, Spool
from gateway.audit.store import KIND_LETTERS, RSEQ_BITS, Carried, StoreFault
from gateway.audit.tail import Tail
from gateway.errors import Unavailable
from gateway.keys import KeyFault, Keyring
from gateway.replicas.carriage import Carrier, Entry, Heads, Line, Receiver, publish, published
from gateway.replicas.door import Away, DoorOptions
from gateway.replicas.erasures import Answering, Asking

_Read = TypeVar("_Read")
_PUBLISH_SECONDS: Final = 2.0
_QUIET_SECONDS: Final = 30.0
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})").match
_WAITAOF_SINCE: Final = (7, 2)
_TAKE_OUT: Final = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
"""


class OnDisk:
    """A journal on this host, to be carried. See `carriage.Source`.

    Args:
        spool: the journal, for reading.
        forget: deletes its rows up to a key.
        tail: its last rows, where it is this process's own.
    """

    def __init__(self, spool: Spool, forget: Callable[[int], Awaitable[None]], tail: Tail | None = None) -> None:
        self._spool = spool
        self._tail = tail
        self._forget = forget
        self._turn = asyncio.Lock()
        self._writer: tuple[int, str | None] = -1, None
        self._reading: set[asyncio.Task[object]] = set()

    async def after(self, seq: int, most: int) -> list[Carried]:
        """See `Source`."""
        rows = None if self._tail is None else self._tail.after(seq, most)
        return await self._read(lambda: self._spool.after(seq, most)) if rows is None else rows

    async def writer(self, seq: int) -> str | None:
        """See `Source`."""
        boot = seq >> RSEQ_BITS
        if self._writer[0] != boot or self._writer[1] is None:
            self._writer = boot, await self._read(lambda: self._spool.started(boot))
        return self._writer[1]

    async def last(self) -> int:
        """See `Source`."""
        return await self._read(self._spool.last)

    async def forget(self, seq: int) -> None:
        """See `Source`."""
        try:
            await self._forget(seq)
        except Unavailable:
            return  # with the next checkpoint

    async def close(self) -> None:
        """Release the file, once nothing reads it any more."""
        await asyncio.gather(*self._reading, return_exceptions=True)
        self._spool.close()

    async def _read(self, read: Callable[[], _Read]) -> _Read:
        """Read in a thread, one reading at a time. Who waits may be cancelled; the thread goes on to its end."""
        task = asyncio.ensure_future(self._in_turn(read))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        try:
            return await asyncio.shield(task)
        except StoreFault as error:
            raise Away(type(error).__name__) from None

    async def _in_turn(self, read: Callable[[], _Read]) -> _Read:
        async with self._turn:
            return await asyncio.to_thread(read)


class Outpost:
    """Carries this host's journals to where the log is made.

    Args:
        options: how Redis is reached.
        keyring: of the state; its master key is that of every host.
        log: where this host keeps the configurations that its records name.
    """

    def __init__(self, options: DoorOptions, keyring: Keyring, log: Path) -> None:
        self._line = Line(options)
        self._keyring = keyring
        self._log = log
        self._carriers: dict[str, Carrier] = {}
        self._sources: list[OnDisk] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._since = monotonic()
        self._answering = Answering(self._line, keyring, self._lasts)
        self.reread: Callable[[str], Awaitable[bool]] | None = None
        """Has the other processes of this host forget a tenant's key that is gone; whether all have."""

    @property
    def older(self) -> bool:
        """Whether a journal here is older than what the log has of it: nothing more may be written."""
        return any(carrier.older for carrier in self._carriers.values())

    @property
    def lost(self) -> bool:
        """Whether this host was declared lost."""
        return any(carrier.taken == LOST for carrier in self._carriers.values())

    @property
    def behind(self) -> bool:
        """Whether nobody said lately how far the log is."""
        heard = min((carrier.heard for carrier in self._carriers.values()), default=self._since)
        return monotonic() - max(heard, self._since) > _QUIET_SECONDS

    async def meet(self, tenants: Iterable[str]) -> None:
        """Have the same keys of tenants as every other host.

        Raises:
            KeyFault: the region has another key of one, or Redis is needed to know and is away.
        """
        with contextlib.suppress(Away):  # what is not heard now is heard later; what is not known is asked for below
            await self._answering.step(answers=False)
        await meet(self._line, self._keyring, tenants)

    def start(self) -> None:
        """Have the log's host know what this host's records were decided by, and forget whom it forgets."""
        make = asyncio.get_running_loop().create_task
        self._tasks += [
            make(self._publish(), name="configurations"),
            make(self._answering.run(), name="erasures"),
        ]

    async def _lasts(self, field: str) -> Mapping[str, int] | None:
        if self.reread is not None and not await self.reread(field):
            return None
        names = tuple(self._carriers)
        return {name: await source.last() for name, source in zip(names, self._sources, strict=True)}

    async def _publish(self) -> None:
        while True:
            try:
                for digest in await asyncio.to_thread(kept_digests, self._log):
                    await publish(self._line, self._keyring, self._log, digest)
            except Away:
                pass  # the log waits for it
            await asyncio.sleep(_PUBLISH_SECONDS)

    async def unfit(self) -> str | None:
        """Why this Redis cannot say that rows are copied (`WAITAOF`); None if it can."""
        try:
            said = await self._line.run("INFO")
        except Away:
            return "Redis is away, so nobody can say whether it keeps copies"
        facts = said if isinstance(said, dict) else {}
        version = _VERSION(str(facts.get("redis_version", "")))
        if version is None or tuple(map(int, version.groups())) < _WAITAOF_SINCE:
            shown = "of an unknown version" if version is None else f"{version[0]}"
            return f"this Redis is {shown}; WAITAOF needs 7.2 (that of Debian 12 is 7.0)"
        if facts.get("aof_enabled") != 1:
            return "this Redis writes no file of what it is told: set appendonly yes there"
        return None

    def carry(self, name: str, source: OnDisk, copies: int | None = None) -> Carrier:
        """Carry one more journal, until `stop`; `copies`: see `Carrier`."""
        carrier = self._carriers[name] = Carrier(self._line, name, source, self._keyring, copies)
        self._sources.append(source)
        self._tasks.append(asyncio.get_running_loop().create_task(carrier.run(), name=f"carrier-{name}"))
        return carrier

    async def look(self, seconds: float) -> None:
        """Wait until it was looked how far the log is, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for carrier in self._carriers.values():
                    await carrier.looked.wait()

    async def last_words(self, seconds: float) -> None:
        """Wait until all that was written is gathered, at most so long; what is not stays here, and is sent later."""
        try:
            async with asyncio.timeout(seconds):
                for carrier, source in zip(self._carriers.values(), self._sources, strict=True):
                    while carrier.taken < await source.last():  # noqa: ASYNC110  # another host's doing: no event
                        await asyncio.sleep(0.05)
        except (TimeoutError, Away):
            return

    async def stop(self) -> None:
        """Carry no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for source in self._sources:
            await source.close()
        await self._line.close()


class Home:
    """Takes in what other hosts carry, and claims what this host signs.

    Args:
        options: how Redis is reached.
        keyring: of the state.
        gatherer: into this host's journal.
        name: of this host's log, and of no other.
        log: where the configurations are kept that records name.
        last_signed: the key of the last row of the journal that a signed checkpoint covers.
        gathered: how far each other host's journal was gathered.
    """

    def __init__(
        self,
        options: DoorOptions,
        keyring: Keyring,
        gatherer: Gatherer,
        name: str,
        log: Path,
        last_signed: Callable[[], Awaitable[int]],
        gathered: Callable[[], Awaitable[Mapping[str, int]]],
    ) -> None:
        self._log = log
        self._line = Line(options)
        self._claims = Line(options)
        self._keyring = keyring
        self._gatherer = gatherer
        self._last_signed = last_signed
        self._missing: set[str] = set()
        self.heads = Heads(self._claims, name)
        self._receiver = Receiver(self._line, keyring, self._take, self._signed, self.heads)
        self.erasures = Asking(self._line, keyring, gathered)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def missing(self) -> frozenset[str]:
        """The journals of which a row did not come in its turn, and has not come since."""
        return frozenset(self._missing)

    @property
    def foreign(self) -> int:
        """How many entries were not sealed under this region's master key."""
        return self._receiver.foreign

    async def meet(self, tenants: Iterable[str]) -> None:
        """See `Outpost.meet`."""
        await meet(self._line, self._keyring, tenants)

    def give_up(self, names: Iterable[str]) -> None:
        """Have the hosts of these journals, should they come back, know that nothing of them is taken any more."""
        self._receiver.give_up(names)

    def start(self) -> None:
        """Take in from now on."""
        make = asyncio.get_running_loop().create_task
        self._tasks += [make(self._receiver.run(), name="receiver"), make(self.erasures.run(), name="erasures")]

    async def stop(self) -> None:
        """Take in no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._line.close()

    async def close(self) -> None:
        """Claim no more; after the sequencer's end."""
        await self._claims.close()

    async def _take(self, name: str, entry: Entry) -> int:
        try:
            await self._keep_configurations(entry.rows)
            try:
                await self._gatherer.take(name, entry.rows, entry.after, entry.writer)
                self._missing.discard(name)
            except OutOfTurn:
                self._missing.add(name)  # its host sends again from where we are
            return (await self._gatherer.turn(name)).seq
        except (Unavailable, StoreFault) as error:
            raise Away(type(error).__name__) from None

    async def _keep_configurations(self, rows: Sequence[Carried]) -> None:
        """Keep what the rows were decided by before they are in the log."""
        for row in rows:
            if row.kind != KIND_LETTERS["operator"]:
                continue
            digest = orjson.loads(row.body).get("configuration")
            if isinstance(digest, str) and await asyncio.to_thread(kept_configuration, self._log, digest) is None:
                preimage = await published(self._line, self._keyring, digest)
                await asyncio.to_thread(keep_configuration, self._log, digest, preimage)

    async def _signed(self) -> Mapping[str, int]:
        return self._gatherer.signed(await self._last_signed())


async def meet(line: Line, keyring: Keyring, tenants: Iterable[str]) -> None:
    """Have each tenant's key from whoever made it first; Redis holds it sealed under the master key that all have.

    Raises:
        KeyFault: the region has another key of a tenant, or Redis is needed to know and is away.
    """
    for tenant in tenants:
        known = keyring.has_tenant(tenant)
        try:
            field = keyring.tenant_field(tenant)
            found = await line.run("HGET", line.key("keys"), field)
            if isinstance(found, bytes) and keyring.is_gone(tenant, found):
                await line.run("EVAL", _TAKE_OUT, 1, line.key("keys"), field, found)
                found = None
            if not isinstance(found, bytes):
                await line.run("HSETNX", line.key("keys"), field, keyring.tenant_sealed(tenant))
                found = await line.run("HGET", line.key("keys"), field)
        except Away:
            if known:
                continue
            raise KeyFault("Redis is away, and a tenant's key may be another host's to make: start it first") from None
        if not isinstance(found, bytes) or not keyring.adopt_tenant(tenant, found):
            raise KeyFault("this host has another key of a tenant than the region: its state is of another region")
