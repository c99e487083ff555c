"""The parent of several workers: starts them, replaces those that end, and makes one record of what all of them wrote.

It takes no call itself. Its own journal is the one that the log is made of; each worker commits to its own, in
`STATE/workers/NAME`, and what is durable there is gathered from here (see `audit.gathering`). So a worker never waits
for the parent, and a dead one is replaced: its successor closes what it left open, and goes on in the same journal.

Signals go down: SIGTERM ends the workers first, each within its bound, then gathers what they wrote last; SIGHUP
reloads all. Parents on one state exclude each other by the journal's lock file: exactly one orders and signs.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Final, cast

import msgspec

from gateway.app import Application
from gateway.audit.gathering import AT_ONCE, OutOfTurn, Spool, name_of
from gateway.audit.journal import Journal
from gateway.audit.language import Sha
from gateway.audit.store import FILE_NAME, RSEQ_BITS, StoreFault
from gateway.errors import Unavailable
from gateway.part import WORKERS, Part, Told
from gateway.quotas import Counters
from gateway.redaction.nursery import COMMAND, Gone
from gateway.redaction.pool import commanded
from gateway.workers.channel import Channel, Lost, Message
from gateway.workers.quotas import Till
from gateway.workers.worker import Plan

if TYPE_CHECKING:
    from gateway.replicas.carrying import Outpost

_START_SECONDS: Final = 90.0
_GATHER_SECONDS: Final = 0.1
_FORGET_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 2.0
_QUICK_SECONDS: Final = 10.0
"""A worker that lived less is started again ever more slowly."""
_GREATEST_PAUSE: Final = 10.0
_OVER_SECONDS: Final = 20.0
"""How long a worker may take to end beyond the drain: two listeners and its journal, each with a bound of its own."""


class Hand:
    """One worker, its process replaced whenever it ends. Made and ended by the parent."""

    def __init__(self, name: str, counters: Counters) -> None:
        self.name = name
        self.till = Till(counters)
        self.channel = Channel(self._hear)
        self.process: asyncio.subprocess.Process | None = None
        self.started = asyncio.Event()
        self.starts = 0

    async def start(self, plan: Plan, mother: socket.socket) -> None:
        """Start a process. `mother` is its end of the way to the detectors."""
        self.started.clear()
        self.channel = Channel(self._hear)
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.workers.worker", str(theirs.fileno()), str(mother.fileno()),
                msgspec.json.encode(plan).decode(), pass_fds=[theirs.fileno(), mother.fileno()],
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.starts += 1
        await self.channel.open(ours)

    async def ask(self, message: Message) -> Message:
        """Ask it something.

        Raises:
            Lost: it does not answer in time, or has not started yet: it knows nothing of itself before that.
        """
        if not self.started.is_set():
            raise Lost
        return await self.channel.ask(message, _ANSWER_SECONDS)

    def send(self, message: Message) -> None:
        """Tell it something; nothing before it has started."""
        if self.started.is_set():
            self.channel.send(message)

    async def told(self) -> Told | None:
        """What it says of itself; None if it does not answer."""
        try:
            answer = await self.ask({"tell": True})
        except Lost:
            return None
        checks = cast("dict[str, bool]", answer["checks"])
        return Told(self.name, checks, cast("list[str]", answer["warnings"]), str(answer["metrics"]).encode())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def _hear(self, message: Message) -> Message | None:
        if "claim" in message:
            return self.till.claim(message)
        if "release" in message:
            self.till.release(message)
        if "leave" in message:
            self.till.leave(message)
        if "started" in message:
            self.started.set()
        return None


class Parent:
    """From `start` to `stop`.

    Args:
        directory: the configuration.
        environment: for credential references.
        workers: how many serve.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], workers: int) -> None:
        self._directory = directory
        self._count = workers
        self._counters = Counters(monotonic, time)
        self.hands = [Hand(f"w{number}", self._counters) for number in range(workers)]
        self._spools: dict[str, Spool] = {}
        self._names: dict[str, str] = {}
        self._carried: set[str] = set()
        self._forgotten: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering = asyncio.Lock()
        self._stopping = False
        self._in_turn = True
        self._pool: subprocess.Popen[bytes] | None = None
        self._mother: socket.socket | None = None
        self.application = Application(
            directory,
            environment=environment,
            part=Part(serves=False, workers=workers, others=self._told, under_way=self._under_way),
        )

    async def start(self) -> None:
        """Start the home, the detectors and every worker; returns once all take calls.

        Raises:
            ConfigurationError, KeyFault, StoreFault, OSError: a part cannot be used.
            Unavailable: a worker did not start; it has said why.
        """
        await self.application.start()
        if self.application.outpost is not None:
            self.application.outpost.reread = self._reread
        listen = self.application.bundle.settings.listen
        # Bound and never listening: it keeps the port, also between two lives of a worker.
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self._place = socket.socket(family)
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._place.bind((listen.host, listen.port))
        self.port = int(self._place.getsockname()[1])
        self._start_pool()
        await self._close_left([hand.name for hand in self.hands])
        self._begin(self._keep_gathering(), "gathering")
        for hand in self.hands:
            self._begin(self._keep(hand), hand.name)
        async with asyncio.timeout(_START_SECONDS):
            await asyncio.gather(*(hand.started.wait() for hand in self.hands))
        self.application.say_started(self.port)

    async def stop(self) -> None:
        """End the workers within their bound, gather what they wrote last, then end the home."""
        await self.application.hand_over()
        self._stopping = True
        for hand in self.hands:
            hand.signal(signal.SIGTERM)
        living = [hand.process for hand in self.hands if hand.process is not None and hand.process.returncode is None]
        bound = self.application.bundle.settings.limits.drain_seconds + _OVER_SECONDS
        try:
            async with asyncio.timeout(bound):
                await asyncio.gather(*(process.wait() for process in living))
        except TimeoutError:
            for hand in self.hands:
                hand.signal(signal.SIGKILL)
            await asyncio.gather(*(process.wait() for process in living))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreFault, Unavailable):
            await self._close_left(())
            while await self._gather():
                pass
        for hand in self.hands:
            await hand.channel.close()
        for name, spool in self._spools.items():
            if not any(self._names[place] == name for place in self._carried):
                spool.close()
        self._place.close()
        if self._mother is not None and self._pool is not None:
            self._mother.close()
            await asyncio.to_thread(self._pool.wait)
        await self.application.stop()

    async def reload(self) -> None:
        """Read the configuration anew, here and in every worker."""
        await self.application.reload()
        for hand in self.hands:
            hand.signal(signal.SIGHUP)

    # the workers

    def _begin(self, job: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(job, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, hand: Hand) -> None:
        """Have one worker, and another whenever it ends."""
        pause = 0.1
        plan = Plan(str(self._directory), hand.name, self._count, self.port)
        while not self._stopping:
            began = monotonic()
            ours, theirs = socket.socketpair()
            with theirs:
                await hand.start(plan, theirs)
            passing = asyncio.get_running_loop().create_task(self._pass_on(ours))
            try:
                if hand.process is not None:
                    await hand.process.wait()
            finally:
                passing.cancel()
                await asyncio.gather(passing, return_exceptions=True)
                await hand.channel.close()
                hand.till.empty()
            if self._stopping:
                return
            self.application.log.event("worker_ended", worker=hand.name)
            pause = 0.1 if monotonic() - began > _QUICK_SECONDS else min(pause * 2, _GREATEST_PAUSE)
            await asyncio.sleep(pause)

    async def _told(self) -> Sequence[Told]:
        told = await asyncio.gather(*(hand.told() for hand in self.hands))
        ours = Told("parent", {"gathering": self._in_turn}, (), b"")
        return [each for each in (*told, ours) if each is not None] if any(told) else []

    # the detectors

    def _start_pool(self) -> None:
        """A pool, with an empty environment as a nursery has."""
        redaction = self.application.bundle.settings.redaction
        ours, theirs = socket.socketpair()
        numbers = redaction.workers, redaction.patience_seconds, redaction.patience_seconds_per_mebibyte / 1024
        with theirs:
            self._pool = subprocess.Popen(  # noqa: S603  # our own interpreter and code
                [sys.executable, "-c", _POOL, str(_ROOT), str(theirs.fileno()), *map(str, numbers)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
            )
        self._mother = ours

    async def _pass_on(self, link: socket.socket) -> None:
        """Let a worker connect to the pool, whichever one there is then."""
        link.setblocking(False)
        with link, contextlib.suppress(Gone):
            while True:
                verb, number, came = await commanded(link)
                if came is None:
                    continue
                with came:
                    self._connect(verb, number, came)

    def _connect(self, verb: bytes, number: int, link: socket.socket) -> None:
        """Hand a worker's socket to the pool; a new pool if the last one is gone."""
        for _ in range(2):
            try:
                assert self._mother is not None  # noqa: S101  # since `start`
                socket.send_fds(self._mother, [COMMAND.pack(verb, number)], [link.fileno()])
            except OSError:
                assert self._mother is not None  # noqa: S101
                self._mother.close()
                if self._pool is not None:
                    self._pool.kill()
                    self._pool.wait()
                self._start_pool()
            else:
                return

    # the record

    async def _keep_gathering(self) -> None:
        """Bring what the workers wrote to the log, and let them forget what is signed."""
        forgot = 0.0
        while True:
            taken = 0
            try:
                taken = await self._gather()
                self._in_turn = True
            except OutOfTurn as fault:
                self._in_turn = False
                sys.stderr.write(f"gateway: {fault}; it is not in the log\n")
                await asyncio.sleep(_AGAIN_SECONDS)
            except (StoreFault, Unavailable):
                await asyncio.sleep(_AGAIN_SECONDS)
            if monotonic() - forgot > _FORGET_SECONDS:
                forgot = monotonic()
                await self._let_forget()
            if taken < AT_ONCE:
                await asyncio.sleep(_GATHER_SECONDS)

    async def _gather(self) -> int:
        """Take what each worker's journal has gained, at most one commit of each; how many rows."""
        taken = 0
        if self.application.outpost is not None:
            await self._carry(self.application.outpost)
            return 0
        async with self._gathering:
            for name, spool in (await asyncio.to_thread(self._opened)).items():
                turn = await self.application.gatherer.turn(name)
                after = turn.seq
                rows = await asyncio.to_thread(spool.after, after)
                if rows:
                    writer = turn.writer or await asyncio.to_thread(spool.started, rows[0].seq >> RSEQ_BITS)
                    taken += await self.application.gatherer.take(name, rows, after, writer)
        return taken

    async def _carry(self, outpost: Outpost) -> None:
        """Where another host makes the log: have each worker's journal carried there."""
        from gateway.replicas.carrying import OnDisk  # noqa: PLC0415  # `redis` is an optional package

        await asyncio.to_thread(self._opened)
        replicas = self.application.bundle.settings.replicas
        host = replicas.carriage.host if replicas is not None and replicas.carriage is not None else ""
        if outpost.older:
            for hand in self.hands:
                hand.send({"behind": True})
        for place, name in self._names.items():
            if place not in self._carried:
                self._carried.add(place)
                outpost.carry(f"{host}-{name}", OnDisk(self._spools[name], partial(self._forget_in, place)))

    async def _forget_in(self, place: str, through: int) -> None:
        for hand in self.hands:
            if hand.name == place:
                hand.send({"forget": through})

    def _opened(self) -> dict[str, Spool]:
        """Every worker's journal, also those that no worker writes any more."""
        for path in sorted((self.application.state / WORKERS).glob(f"*/{FILE_NAME}")):
            place = path.parent.name
            if place not in self._names:
                with contextlib.suppress(StoreFault):  # it is being made
                    spool = Spool(path.parent, self.application.keyring.journal_key())
                    self._names[place] = name_of(place, spool.identity)
                    self._spools[self._names[place]] = spool
        return dict(self._spools)

    async def _let_forget(self) -> None:
        """Tell each worker up to where a signed checkpoint covers what it wrote."""
        if self.application.outpost is not None:
            return  # its carrier does
        with contextlib.suppress(StoreFault):
            signed = self.application.gatherer.signed(await self.application.last_signed())
            for hand in self.hands:
                through = signed.get(self._names.get(hand.name, ""), -1)
                if through > self._forgotten.get(hand.name, -1) and hand.started.is_set():
                    self._forgotten[hand.name] = through
                    hand.send({"forget": through})

    async def _close_left(self, coming: Collection[str]) -> None:
        """End the journals of workers that are not coming again: what they left open is closed as indeterminate."""
        application = self.application
        for path in sorted((application.state / WORKERS).glob(f"*/{FILE_NAME}")):
            if path.parent.name not in coming and not await asyncio.to_thread(self._ended_cleanly, path.parent):
                key, digest = application.keyring.journal_key(), Sha(application.bundle.digest)
                journal = await Journal.open(path.parent, key, configuration=digest)
                await journal.close()

    def _ended_cleanly(self, directory: Path) -> bool:
        with contextlib.closing(Spool(directory, self.application.keyring.journal_key())) as spool:
            return spool.ended()

    async def _reread(self, field: str) -> bool:
        """Have every worker forget the key of a tenant that is gone from the disk; whether all have."""
        try:
            for hand in self.hands:
                if hand.started.is_set():  # who starts later does not find it
                    await hand.ask({"gone": field})
        except Lost:
            return False
        return True

    async def _under_way(self, tenant: str) -> bool:
        """Whether a call of a tenant is under way in a worker. Each forgets the tenant's key first, if it is gone."""
        for hand in self.hands:
            try:
                last = (await hand.ask({"reread": tenant}))["last"]
            except Lost:
                return True  # nobody can say, until it is replaced
            if (await self.application.gatherer.turn(self._names.get(hand.name, ""))).seq < cast(int, last):
                return True
        return self.application.gatherer.open_of(tenant)


_ROOT: Final = Path(__file__).parents[2]
_POOL: Final = (
    "import sys; sys.path[:0] = [sys.argv[1]]; from gateway.redaction.pool import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))"
)


async def serve_by_workers(directory: Path, environment: Mapping[str, str], workers: int) -> int:
    """Serve by workers until SIGTERM or SIGINT; SIGHUP reloads. The exit code.

    Raises:
        ConfigurationError, KeyFault, StoreFault, OSError: before anything listens.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()
    parent = Parent(directory, environment, workers)

    def reload() -> None:
        task = loop.create_task(parent.reload(), name="reload")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await parent.start()
    except TimeoutError:
        sys.stderr.write("gateway: a worker did not start\n")
        await parent.stop()
        return 1
    await ended.wait()
    await parent.stop()
    return 0
