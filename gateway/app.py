"""The serving application: one function lists its parts in order; the rest starts, watches and ends them.

A call keeps the configuration it began with. A reload is validated whole and swapped at once; one
that fails leaves the last good configuration serving, and says so in the log, the metric and readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time, time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import uvloop

from gateway.aside import aside
from gateway.attempt import Attempt
from gateway.attest.attester import Attester
from gateway.audit.access import access_mark
from gateway.audit.configurations import keep_configuration
from gateway.audit.gathering import LOST, Gatherer, Spool, name_of
from gateway.audit.journal import Journal
from gateway.audit.language import Id, Sha
from gateway.audit.ledger import Ledger
from gateway.audit.log_store import LogReader
from gateway.audit.record import Operator
from gateway.audit.retention.erasure import Erasing
from gateway.audit.retention.restoring import reapply
from gateway.audit.silence import heard_before
from gateway.audit.store import FILE_NAME, StoreFault
from gateway.audit.tail import Tail
from gateway.audit.totals import Taken
from gateway.audit.words import Act, Processor
from gateway.canary.canary import Canary
from gateway.canary.round import Parts
from gateway.change.chain import Chain, ChainBroken, NotApplied
from gateway.change.control import require_approval
from gateway.change.control import warnings as change_warnings
from gateway.change.statement import NotAProposal, parse
from gateway.clock import Clock
from gateway.config import Bundle, load, schemas_mark
from gateway.config.outlook import expiry_warnings
from gateway.config.shelf import Shelf
from gateway.delivery import ECHOES
from gateway.durable import Election
from gateway.erasing import Desk
from gateway.errors import Code, ConfigurationError, Fault, Unavailable
from gateway.force import in_force, patience_of
from gateway.keys import KeyFault, Keyring, new_boot_id
from gateway.limits import Limits
from gateway.listener import Listener
from gateway.logs import CallLine, Log, detached_logger, loop_exception_handler, silence
from gateway.losing import Losing, gone
from gateway.mending import Mending
from gateway.metrics import Metrics
from gateway.noting import Noting
from gateway.operations import Check, operations_handler
from gateway.options import (
    endpoints,
    journal_settings,
    listener_options,
    log_plan,
    operations_options,
    part_in_region,
    upstream_options,
)
from gateway.part import ALONE, WORKERS, Part, Told
from gateway.passage import Passage
from gateway.policy.entries import Entry
from gateway.policy.halts import Halts
from gateway.process import close_core_dumps, concerns
from gateway.quotas import Counters, Quotas
from gateway.redaction.detector import Detector
from gateway.relay import Relay
from gateway.resident import let_go
from gateway.routes import Routes
from gateway.sequencing import Claim, Sequencing
from gateway.suspensions import Suspending
from gateway.telemetry.spans import error_type, operation_name
from gateway.telemetry.telemetry import Telemetry
from gateway.upstream import Upstream
from gateway.vouching import Vouching
from providers import PROVIDERS
from providers.credentials import prepare

if TYPE_CHECKING:
    from gateway.config.settings import Carriage
    from gateway.replicas.carrying import Home, Outpost
    from gateway.replicas.changes import Changes
    from gateway.replicas.door import Door
    from gateway.replicas.shared import Shared
    from gateway.replicas.suspended import Suspended

_LAST_WORDS_SECONDS = 5.0
"""How long a host that ends waits for the log to have all that it wrote; what is not there by then is sent later."""

_LOOK_SECONDS = 2.0
"""How long a host that starts waits to hear how far the log is: one that was declared lost must grant nothing."""

WATCH_SECONDS = 0.3
"""How long an approved schema, or a caller key, may take to be in force."""

PUMP_SECONDS = 0.5
"""Between two looks of an erasure at how far the log is."""

RETIRE_SECONDS = 60.0
"""How long a detector lives on after a reload replaced it, for the calls that began with it."""

_Mark: TypeAlias = "tuple[tuple[tuple[str, int, int], ...], tuple[int, int, int] | None]"

_MOST_FAULTS = 20
"""Faults of a refused reload that are told one by one; `gateway check` tells them all."""

STRANGERS_SECONDS = 60
"""Refusals of strangers are counted and recorded by the minute, or anyone could fill the log."""


class Application:
    """The gateway, from one configuration directory.

    Args:
        directory: the configuration.
        state: where the journal and keys live; None takes what the configuration says.
        environment: for credential references; nothing else is read from it.
        stream: where log lines go.
        part: which part of a gateway this process is.
    """

    def __init__(
        self,
        directory: Path,
        state: Path | None = None,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        stream: BinaryIO | None = None,
        part: Part = ALONE,
    ) -> None:
        self._directory = directory
        self._state = state
        self._part = part
        self._environment = environment
        self._stream = stream or sys.stdout.buffer
        self._tasks: list[asyncio.Task[None]] = []
        self._strangers = self._turned_away = 0
        self._links: tuple[object, list[bytes]] = (None, [])
        self._clock = Clock()
        self._halts = Halts()
        self._refused: str | None = None
        self._shared: Shared | None = None
        self._shelf = Shelf()
        self._reloading = asyncio.Lock()
        self._read_at: _Mark | None = None
        self._taken = Taken()
        self._vouching: Vouching | None = None
        self._telemetry: Telemetry | None = None
        self._ending = False
        self._passages: list[Passage] = []
        self.behind_log = False
        self._joined: Home | Outpost | None = None
        self.home: Home | None = None
        self.outpost: Outpost | None = None
        self._checks: dict[str, Check] = {}

    @property
    def port(self) -> int:
        """Where callers connect."""
        return self._listener.port

    @property
    def operations_port(self) -> int:
        """Where the operator connects."""
        return self._operations.port

    @property
    def log_keeps_up(self) -> bool:
        """Whether the signed log was brought up to the journal lately."""
        return self._sequencing.healthy

    @property
    def bundle(self) -> Bundle:
        """The configuration in force."""
        return self._force.bundle

    @property
    def state(self) -> Path:
        """Where the state is."""
        return self._state or self._force.bundle.state

    @property
    def journal(self) -> Journal:
        """This process's own journal."""
        return self._journal

    @property
    def keyring(self) -> Keyring:
        """The state's keys."""
        return self._keyring

    @property
    def log(self) -> Log:
        """Where log lines go."""
        return self._log

    def tell(self, worker: str) -> Told:
        """What this process says of itself, to its parent."""
        checks = {name: holds() for name, holds in self._checks.items()}
        return Told(worker, checks, self._warnings(), self._metrics.render())

    async def start(self) -> None:
        """Start all that this part of a gateway has, the listener last.

        Raises:
            ConfigurationError: the configuration has faults.
            KeyFault, StoreFault, ListenerError, OSError: a part cannot be used; nothing listens then.
        """
        bundle = self._load()
        settings = bundle.settings
        part = self._part = part_in_region(self._part, bundle)
        loop = asyncio.get_running_loop()
        self._log = Log(self._stream)
        loop.set_exception_handler(loop_exception_handler(self._log))
        handler = logging.StreamHandler(sys.stderr)
        silence(handler)
        logger = detached_logger(handler)
        state = self._state = self._state or bundle.state
        keyring = self._keyring = Keyring.open(state / "keys", master=bundle.master_key, create=True)
        if part.keeps:
            await asyncio.to_thread(reapply, state, keyring, bundle.guard(state), bundle.tenants)
        self._suspending = Suspending(state, self._halts)
        self._detector, self._journal = await asyncio.gather(
            self._detect(bundle),
            Journal.open(
                state / part.journal,
                keyring.journal_key(),
                configuration=Sha(bundle.digest),
                settings=journal_settings(bundle),
            ),
        )
        self._ledger = Ledger(self._journal)
        self._noting = Noting(state, keyring, self._ledger.note, lambda: self._force.vocabulary, self._log.event, _now)
        self.gatherer, self._heard_before = Gatherer(self._journal), False
        claim = await self._join_region(bundle, state)
        self._sequencing = Sequencing(log_plan(bundle, state), self._log_stands_still, claim)
        keep_configuration(state / "log", bundle.digest, bundle.preimage)
        self._measure(bundle)
        self._force = in_force(bundle, self._detector)
        self._upstream = Upstream(upstream_options(bundle), endpoints(bundle))
        limits = Limits(-(-settings.limits.in_flight // part.workers), monotonic)
        self._quotas = await self._count_quotas(bundle)
        self._relay = Relay(
            in_force=lambda: self._force,
            keyring=keyring,
            ledger=self._ledger,
            upstream=self._upstream,
            limits=limits,
            quotas=self._quotas,
            current=lambda: self._current,
            routes=Routes(
                monotonic,
                failures=settings.upstream.failures,
                seconds=settings.upstream.pause_seconds,
                heeds=settings.upstream.heed_retry_after,
            ),
            report=self._gather,
            full=self._full,
            clock=self._clock,
        )
        self._election = Election(state / "attest.lock")
        self._attester = Attester(
            state,
            lambda: self._force,
            self._halts,
            self._ledger.note,
            self._attested,
            leads=self._leads,
        )
        self._canary = Canary(
            lambda: Parts(self._force, keyring, self._ledger, state, self._clock, logger),
            self._halts,
            self._ledger.note,
            self._tried,
            leads=self._leads,
        )
        self._listener = Listener(listener_options(bundle, part), logger, self._malformed)
        self._operations = Listener(operations_options(bundle), logger)
        self._checks = {
            "journal": lambda: self._journal.healthy,
            "redactor": lambda: self._detector is None or self._detector.healthy,
            "checkpoint": lambda: self._sequencing.healthy or not part.keeps,
            "accepting": lambda: not (self._ending or self._relay.stopping),
            "current": lambda: self._current,
            "canary": lambda: self._canary.well,
        }
        self._metrics.calls_in_flight.set_function(lambda: limits.in_flight)
        self._metrics.streams_open.set_function(lambda: self._relay.streams)
        self._publish(reload_ok=True)
        if part.keeps:
            await self._noting.everything(self._force.bundle.tenants)
        if part.serves:
            await self._attester.start()
            await self._listener.start(self._relay.handle, self._relay.door)
        if part.operates:
            await self._operate(state)
        if part.keeps:
            await self._keep(bundle, state)
        self._begin(part)
        if part.serves and part.operates:
            self.say_started(self.port)

    def _measure(self, bundle: Bundle) -> None:
        """Make the metrics, and what tells them to a collector."""
        self._metrics = Metrics(
            ((wire.name, operation.name) for wire in PROVIDERS.values() for operation in wire.operations),
            bundle.registry.entries,
        )
        self._metrics.orphan_intents.inc(self._journal.orphans)
        if bundle.settings.telemetry is not None:
            self._telemetry = Telemetry(bundle, bundle.settings.telemetry, new_boot_id(), self._metrics)

    def _leads(self) -> bool:
        """Whether this process does what one of several workers does for all."""
        return self._part.workers == 1 or self._election.won()

    def _begin(self, part: Part) -> None:
        """Begin what goes on until the end."""
        make = asyncio.get_running_loop().create_task
        self._tasks += [
            make(self._watch(), name="watch"),
            make(self._count(), name="strangers"),
            make(Mending(self._journal, self._mended).run(), name="mending"),
        ]
        if self._telemetry is not None:
            self._tasks.append(make(self._telemetry.run(), name="telemetry"))
        if part.serves:  # what they halt is halted in this process alone
            self._tasks += [make(self._attester.run(), name="attester"), make(self._canary.run(), name="canary")]

    async def _count_quotas(self, bundle: Bundle) -> Quotas:
        """Whoever counts quotas: Redis for all replicas, the parent for its workers, or this process."""
        counters, part, replicas = Counters(monotonic, time), self._part, bundle.settings.replicas
        if replicas is None or not part.serves:
            return part.quotas or counters
        from gateway.replicas.shared import Shared, door_options  # noqa: PLC0415  # `redis` is an optional package

        sharing = replicas.count * part.workers
        shared = self._shared = Shared(
            door_options(bundle),
            replicas,
            sharing,
            counters,
            lambda: self._force.bundle.callers,
            self._exchanges,
            self._suspending.look,
        )
        await shared.start()
        return shared.quotas

    def _exchanges(self, door: Door) -> tuple[Suspended, Changes | None]:
        """What replicas tell each other beside keys and quotas; hosts with carriage differ in their bundles."""
        from gateway.replicas.changes import Changes  # noqa: PLC0415  # `redis` is an optional package
        from gateway.replicas.suspended import Suspended  # noqa: PLC0415

        keyring = self._keyring if self._keyring.shared else None
        suspended = Suspended(door, self._suspending.suspensions, self._entries, keyring)
        changes = None if self._keyring.shared else Changes(door, self._applied, self._adopt)
        return suspended, changes

    def _entries(self) -> frozenset[str]:
        return frozenset(self._force.bundle.registry.entries)

    def _applied(self) -> list[bytes]:
        """The changes that are in force here, each in one line; none where they do not hold."""
        chain = Chain(self.state, PROVIDERS)
        mark = chain.mark()
        if mark != self._links[0]:
            try:
                self._links = mark, [link.written for link in chain.links()]
            except ChainBroken:
                self._links = mark, []  # the reload says so
        return self._links[1]

    async def _adopt(self, written: bytes) -> bool | None:
        """See `replicas.changes.Adopt`."""
        chain = Chain(self.state, PROVIDERS)
        try:
            link = parse(written)
            # The first link of all is signed by whom its own bundle names, so nobody is behind for want of that.
            first = not self._applied()
            if not first and not await asyncio.to_thread(chain.follows, link):
                return None
            async with self._reloading:
                schemas = schemas_mark(self._directory)
                bundle = await aside(self._read)
                if bundle.digest != link.statement.digest:
                    return None if first else False
                await asyncio.to_thread(chain.adopt, link, bundle.preimage)
                mark = schemas, chain.mark()
                taken = await self._reload(lambda: self._approved(bundle))
                self._read_at = mark if taken else None
                return taken
        except (NotAProposal, NotApplied, ChainBroken):
            return None
        except (ConfigurationError, StoreFault, OSError):
            return False  # files that are being replaced, perhaps

    async def _operate(self, state: Path) -> None:
        """Answer the operator; a tenant's wishes are carried out where the record is made."""
        desk = self._desk(state) if self._part.keeps else None
        answer = None if desk is None else desk.handle
        answers = operations_handler(self._metrics, self._checks, self._warnings, answer, self._part.others)
        await self._operations.start(answers)
        if desk is not None:
            self._tasks.append(asyncio.get_running_loop().create_task(desk.run(), name="desk"))

    @property
    def _current(self) -> bool:
        """Whether this process knows enough of what others decided, and wrote, to go on granting."""
        behind = self.behind_log or (self.outpost is not None and self.outpost.older)
        return not behind and self._suspending.sure and (self._shared is None or self._shared.current)

    async def _join_region(self, bundle: Bundle, state: Path) -> Claim | None:
        """Where several hosts make one log: carry ours there, or take theirs in; who grants what we sign."""
        replicas = bundle.settings.replicas
        if replicas is None or replicas.carriage is None:
            return None
        self._keyring.shared = True
        if not self._part.operates:
            return None
        from gateway.replicas.carrying import Home, OnDisk, Outpost  # noqa: PLC0415  # `redis` is an optional package
        from gateway.replicas.shared import door_options  # noqa: PLC0415

        options, log = door_options(bundle), state / "log"
        name = name_of(replicas.carriage.host, self._journal.identity)
        joined: Home | Outpost = (
            Home(options, self._keyring, self.gatherer, name, log, self.last_signed, self._carried)
            if self._part.keeps
            else Outpost(options, self._keyring, log)
        )
        self._joined = joined
        await joined.meet(bundle.tenants)
        if isinstance(joined, Home):
            self.home = joined
            joined.give_up(gone((await self._journal.gathered()).items()))
            joined.start()
            losing = Losing(
                state, self._keyring, self._journal, self.gatherer, self._own_journals, joined.give_up, _now
            )
            self._tasks.append(asyncio.get_running_loop().create_task(losing.run(), name="losing"))
            return joined.heads.claim
        self.outpost = joined
        copies = await self._copies(joined, replicas.carriage)
        joined.start()
        spool = Spool(state / self._part.journal, self._keyring.journal_key())
        tail = self._journal.tail = Tail()
        carrier = joined.carry(name, OnDisk(spool, self._forget_signed, tail), copies)
        if copies is not None:
            self._ledger.copied = carrier.copied
        await joined.look(_LOOK_SECONDS)
        return None

    async def _copies(self, outpost: Outpost, carriage: Carriage) -> int | None:
        """How many replicas of Redis have a row before its call leaves; None where this disk is enough.

        Raises:
            ConfigurationError: Redis cannot say so.
        """
        if carriage.durability == "local":
            return None
        why = await outpost.unfit()
        if self._part.workers > 1:
            why = "several workers do not wait for each other's rows: serve with --workers 1"
        if why is not None:
            await outpost.stop()
            where = str(self._directory / "gateway.yaml")
            raise ConfigurationError([Fault(where, 0, "replicas.carriage.durability", why)])
        return carriage.copies

    async def _forget_signed(self, through: int) -> None:
        await self._journal.trim(through)

    async def last_signed(self) -> int:
        """The key of the last row of the journal that a signed checkpoint covers; -1: none."""
        state, key = self.state, self._keyring.log_key()

        def read() -> int:
            with LogReader.read(state / "log", key) as log:
                return log.last_seq

        try:
            return await asyncio.to_thread(read)
        except StoreFault:
            return -1  # nothing was signed yet

    async def _gathered_under_way(self, tenant: str) -> bool:
        if self._part.under_way is not None and await self._part.under_way(tenant):
            return True
        if self.home is not None and await self.home.erasures.waits(tenant):
            return True
        return self.gatherer.open_of(tenant)

    async def _carried(self) -> Mapping[str, int]:
        """How far each journal of another host was gathered that is not lost; our own workers are asked otherwise."""
        gathered = await self._journal.gathered()
        ours = await asyncio.to_thread(self._own_journals)
        return {name: seq for name, seq in gathered.items() if name not in ours and seq != LOST}

    def _own_journals(self) -> set[str]:
        names = set()
        for path in (self.state / WORKERS).glob(f"*/{FILE_NAME}"):
            with contextlib.closing(Spool(path.parent, self._keyring.journal_key())) as spool:
                names.add(name_of(path.parent.name, spool.identity))
        return names

    async def _keep(self, bundle: Bundle, state: Path) -> None:
        """Have the log made, and vouched for."""
        loop, note = asyncio.get_running_loop(), self._ledger.note
        self._vouching = Vouching(bundle, state, self._keyring, note, self._unvouched, self._sign_no_more)
        await self._vouching.look()
        self._sequencing.start()
        self._tasks += [loop.create_task(each, name="vouching") for each in self._vouching.runs()]

    def say_started(self, port: int) -> None:
        """Tell the operator that calls are taken, and where."""
        policy = self._force.bundle.digest[:16]
        self._log.event("start", port=port, operations=self.operations_port, policy=policy)

    async def stop(self) -> None:
        """Take no more calls, let those in progress end within their bound, close what is left, and end every part."""
        await self.hand_over()
        with contextlib.suppress(TimeoutError):  # a configuration that is in force is in the record, too
            async with asyncio.timeout(_LAST_WORDS_SECONDS), self._reloading:
                pass
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.stop_accepting()
        await self._ledger.drain(self._force.bundle.settings.limits.drain_seconds)
        self._relay.stopping = True
        await self._listener.close(1.0)
        await self._operations.close(1.0)
        await self._ledger.drain(5.0)
        await self._record_strangers()
        await self._note_suspensions()
        await self._note_totals(ending=True)
        await self._upstream.close()
        if self._telemetry is not None:
            await self._telemetry.stop()
        self._election.close()
        if self._vouching is not None:
            await self._vouching.close()
        if self._shared is not None:
            await self._shared.stop()
        if self._detector is not None:
            await self._detector.stop()
        if self.home is not None:
            await self.home.stop()
        await self._journal.close()
        await self._sequencing.stop()
        if self.home is not None:
            await self.home.close()
        if self.outpost is not None:
            await self.outpost.last_words(_LAST_WORDS_SECONDS)
            await self.outpost.stop()
        self._log.event("stop" if self._part.operates else "worker_stop")
        self._log.close()

    async def hand_over(self) -> None:
        """Say that this gateway is not ready, and go on for as long as a balancer needs to hear of it. Once."""
        seconds = self._force.bundle.settings.limits.handover_seconds
        if not self._ending and self._part.operates and seconds:
            self._ending = True
            await asyncio.sleep(seconds)
        self._ending = True

    async def reload(self) -> bool:
        """Read the configuration anew, one reading at a time; whether it is in force now.

        Certificates are read again, too. Addresses, bounds of the listeners and the state's place need a restart.
        """
        async with self._reloading:
            self._read_at = self._mark()  # one that fails is not tried again until something differs, or SIGHUP says so
            return await self._reload(self._load)

    async def _reload(self, read: Callable[[], Bundle]) -> bool:
        former, detector = self._force.bundle, self._detector
        try:
            bundle = await aside(read)
            if (bundle.recognizers, bundle.settings.redaction) != (former.recognizers, former.settings.redaction):
                detector = await self._detect(bundle)
            if self._joined is not None:
                await self._joined.meet(bundle.tenants)
            force = await aside(lambda: in_force(bundle, detector))
            for listener in (self._listener, self._operations):
                listener.renew()  # one that this part has not started has nothing to renew
            keep_configuration((self._state or bundle.state) / "log", bundle.digest, bundle.preimage)
            if self._part.keeps:
                await self._noting.changes()  # before the first call is made under it
            self._upstream.replace(endpoints(bundle))
        except (ConfigurationError, StoreFault, KeyFault, Unavailable, ValueError, OSError) as fault:
            if detector is not None and detector is not self._detector:
                await detector.stop()
            self._metrics.reload_ok.set(0)
            count = len(fault.faults) if isinstance(fault, ConfigurationError) else 1
            self._log.event("reload_failed", faults=count)
            self._tell_refusal(fault)
            return False
        if self._shared is not None:
            bundle.callers.revoke(self._shared.news.learned)
        parent, self._force, self._refused = self._force.digest, force, None
        self._attester.settle()
        retired, self._detector = self._detector, detector
        if retired is not None and retired is not detector:
            self._tasks.append(asyncio.get_running_loop().create_task(_retire(retired), name="retire"))
        if self._part.keeps:
            await self._noting.tenants(bundle.tenants)
        if parent != force.digest:
            with contextlib.suppress(Unavailable):
                await self._ledger.note(
                    Operator(time=_now(), act=Act.CONFIGURATION, configuration=force.digest, parent=parent)
                )
        self._publish(reload_ok=True)
        self._log.event("reload", policy=bundle.digest[:16])
        return True

    # parts

    def _read(self) -> Bundle:
        return load(
            self._directory, self._environment, wires=PROVIDERS, state=self._state, halts=self._halts, shelf=self._shelf
        )

    def _load(self) -> Bundle:
        return self._approved(self._read())

    def _approved(self, bundle: Bundle) -> Bundle:
        """A bundle as it may serve here.

        Raises:
            ConfigurationError: it was not approved, or a credential cannot be used.
        """
        require_approval(bundle, self._state or bundle.state, PROVIDERS)
        prepare(bundle.registry.schemes)
        if self._part.workers > 1:
            bundle.callers.share()
        return bundle

    def _sign_no_more(self, reason: str) -> None:
        self._sequencing.forbid()
        self._log_stands_still(reason)

    def _unvouched(self, reason: str) -> None:
        self._log.event("not_vouched")
        sys.stderr.write(f"gateway: {reason}\n")

    def _desk(self, state: Path) -> Desk:
        async def pause() -> None:
            await asyncio.sleep(PUMP_SECONDS)

        erasing = Erasing(state, self._keyring, self._journal, _now, pause, elsewhere=self._gathered_under_way)
        return Desk(state, self._keyring, self._ledger, erasing, lambda: self._force.bundle, _now, self._log.event)

    async def _detect(self, bundle: Bundle) -> Detector | None:
        if not self._part.serves:
            return None
        if bundle.settings.redaction.unsafe_redaction_off:
            self._log.event("unsafe_redaction_off")
            return None
        redaction = bundle.settings.redaction
        patience = patience_of(bundle)
        mother, workers = self._part.mother, self._part.workers
        patience = patience if mother is None else patience.shared(workers)
        detector = Detector(bundle.recognizers, redaction.workers, patience, redaction.remembered, mother)
        await detector.start()
        return detector

    # what it says of itself

    def _publish(self, *, reload_ok: bool) -> None:
        self._publish_dates()
        self._metrics.reload_ok.set(1 if reload_ok else 0)
        self._metrics.journal_healthy.set(1 if self._journal.healthy else 0)

    def _publish_dates(self) -> None:
        now = datetime.now(UTC)
        left = {entry.id: _days_left(entry, now) for entry in self._force.bundle.registry.entries.values()}
        self._metrics.set_processors(left)
        self._metrics.set_attested({name: name not in self._attester.halted for name in left})
        self._metrics.clock_doubt.set(self._clock.doubt)

    def _warnings(self) -> list[str]:
        """What readiness tells beside its checks: entries that end soon, and a clock in doubt."""
        now, latest = self._clock.read()
        doubt = [] if latest is None else [f"the clock was set by {self._clock.doubt:+.0f} s since the start"]
        refused = [] if self._refused is None else [self._refused]
        away = self._shared is not None and not self._shared.up
        alone = ["Redis is away: limits are granted by this replica's share"] if away else []
        alone += self._carriage_warnings()
        alone += self._suspending.warnings()
        if self._shared is not None and self._shared.behind_seconds:
            alone.append(
                "a change that was applied at another replica is not in force here: its files are not here yet"
            )
        return [
            *doubt,
            *refused,
            *alone,
            *(() if self._vouching is None else self._vouching.warnings()),
            *self._attester.failing,
            *self._canary.failing,
            *change_warnings(self._force.bundle),
            *expiry_warnings(self._force.bundle, now),
        ]

    def _carriage_warnings(self) -> list[str]:
        said = []
        if self.outpost is not None and self.outpost.lost:
            said.append("this host was declared lost: nothing is granted until it begins anew, with another state")
        elif self.outpost is not None and self.outpost.older:
            said.append("this host's journal is older than what the log has of it: nothing is granted")
        elif self.outpost is not None and self.outpost.behind:
            said.append("nobody takes this host's journal to the log: it is kept here, and sent when somebody does")
        if self.home is not None:
            said += [f"rows of journal {name} did not come in turn" for name in sorted(self.home.missing)]
            if self.home.foreign:
                said.append(f"{self.home.foreign} carried entries were not sealed under this master key: dropped")
            said += [f"an erasure waits for journal {name}" for name in sorted(self.home.erasures.awaited)]
            said += ["Redis is away: no checkpoint is claimed"] if self._sequencing.waiting else []
        return said

    def _tell_refusal(self, fault: Exception) -> None:
        """Say where people look that what is on disk does not serve, and why."""
        self._refused = f"the configuration on disk was refused; {self._force.digest[:16]} serves on"
        faults = fault.faults if isinstance(fault, ConfigurationError) else []
        for item in faults[:_MOST_FAULTS]:
            sys.stderr.write(f"gateway: reload refused: {item}\n")

    def _log_stands_still(self, reason: str) -> None:
        self._log.event("sequencer_ended")
        sys.stderr.write(f"gateway: the log stands still: {reason}\n")

    def _mended(self, event: str, reason: str) -> None:
        self._log.event(event)
        self._metrics.orphan_intents.inc(self._journal.orphans if event == "journal_recovered" else 0)
        sys.stderr.write(f"gateway: {reason}\n")

    def _attested(self, event: str, processor: str, reason: str) -> None:
        self._log.event(event, processor=processor)
        self._publish_dates()
        if reason:
            sys.stderr.write(f"gateway: {processor} takes no traffic: {reason}\n")

    def _tried(self, event: str, processor: str, reason: str) -> None:
        self._log.event(event, processor=processor)
        if reason:
            sys.stderr.write(f"gateway: {processor} takes no traffic: {reason}\n")

    def _malformed(self, _status: int, _exception: str | None) -> None:
        self._metrics.malformed()

    def _full(self) -> None:
        self._turned_away += 1
        self._metrics.turned_away()

    def _gather(self, passage: Passage) -> None:
        """Count it and say it when this turn of the loop ends, with the others of it, which together cost less."""
        grant = passage.grant
        if passage.code is Code.RESPONSE_NOT_ALLOWED and passage.where in ECHOES and grant is not None:
            self._attester.contradicted(grant.route.processor)  # at once: another call may be about to go there
        if not self._passages:
            asyncio.get_running_loop().call_soon(self._report_all)
        self._passages.append(passage)

    def _report_all(self) -> None:
        passages, self._passages = self._passages, []
        for passage in passages:
            self._report(passage)

    def _report(self, passage: Passage) -> None:
        metrics, grant, attempt = self._metrics, passage.grant, passage.attempt
        wire = passage.target.wire.name
        operation = passage.target.operation.name if passage.target.operation is not None else "other"
        if passage.caller is None:
            if passage.code is Code.UNAUTHENTICATED:
                self._strangers += 1
                metrics.unauthenticated()
            return
        code = None if passage.code is None else passage.code.value
        metrics.request(wire, operation, "refuse" if attempt is None and code else "allow", code)
        if grant is not None and grant.forced:
            metrics.forced_parameters.add(count=len(grant.forced))
        redactions = 0
        for category, count in passage.redactions.items():
            redactions += count
            self._taken.add(category, count)
            metrics.redacted(category, count)
        if passage.redaction_seconds is not None:
            metrics.redaction_seconds.observe(passage.redaction_seconds)
        if passage.journal_seconds is not None:
            metrics.journal_wait_seconds.observe(passage.journal_seconds)
        if passage.overhead is not None:
            metrics.overhead_seconds.observe(passage.overhead)
        if passage.code is Code.AUDIT_UNAVAILABLE:
            metrics.journal_failures.inc()
        for each in passage.attempts:
            self._report_attempt(each, operation_name(passage))
        if self._telemetry is not None:
            self._telemetry.call(passage)
        result = None if attempt is None else attempt.result
        entry = None if passage.opened is None else passage.opened.entry
        self._log.call(
            CallLine(
                call=passage.call_id,
                wire=wire,
                operation=operation,
                tenant=None if entry is None else entry.tenant,
                caller=passage.caller.id,
                processor=None if grant is None else grant.route.processor,
                model=None if grant is None else grant.route.model,
                status=passage.status,
                code=code,
                result=result,
                milliseconds=passage.milliseconds,
                size=passage.size,
                redactions=redactions,
            )
        )

    def _report_attempt(self, attempt: Attempt, operation: str) -> None:
        intent, result = attempt.intent, attempt.result
        if result is None:
            return
        self._metrics.upstream(intent.processor, result)
        failed = error_type(result) or ""
        self._metrics.attempted(operation, intent.wire, intent.model, attempt.seconds, failed, attempt.usage)

    # what it watches

    async def _watch(self) -> None:
        """Reload when a schema or a change was approved or withdrawn; record each caller key that came or went."""
        self._read_at = self._mark()
        keys = self._force.bundle.callers.key_ids()
        looked = None
        keeps = self._part.keeps
        while True:
            await self._note_suspensions()
            await asyncio.sleep(WATCH_SECONDS)
            if keeps and looked != (mark := access_mark(self._state or self._force.bundle.state)):
                looked = mark
                await self._noting.looks()
            self._metrics.journal_healthy.set(1 if self._journal.healthy else 0)
            known, keys = keys, self._force.bundle.callers.key_ids()
            for key in sorted(known ^ keys) if keeps else ():
                with contextlib.suppress(Unavailable):
                    await self._ledger.note(Operator(time=_now(), act=Act.KEY, key=Id(key), enabled=key in keys))
            if self._mark() != self._read_at and not self._reloading.locked():
                await self.reload()

    def _mark(self) -> _Mark:
        """What changes whenever a schema comes or goes, or a change is applied."""
        return schemas_mark(self._directory), Chain(self.state, PROVIDERS).mark()

    async def _note_suspensions(self) -> None:
        """Those by hand since the last time."""
        self._suspending.look()
        while self._suspending.moved:
            name, suspended = self._suspending.moved[0]
            self._log.event("suspended" if suspended else "resumed", processor=name)
            if self._part.keeps:
                word = self._force.vocabulary.word(Processor, name)
                act = Operator(time=_now(), act=Act.SUSPENSION, processor=word, enabled=not suspended)
                with contextlib.suppress(Unavailable):
                    await self._ledger.note(act)
            self._suspending.moved.popleft()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(STRANGERS_SECONDS)
            await self._record_strangers()
            if self._part.keeps:
                await self._noting.changes()
                await self._noting.all()
                await self._note_silences()
            await self._note_totals()
            self._publish_dates()
            with contextlib.suppress(Unavailable):
                # Once a minute, so that a quiet minute and a lost one do not look alike.
                await self._ledger.note(Operator(time=_now(), act=Act.HEARTBEAT))

    async def _note_silences(self) -> None:
        """Record which of the journals that are gathered here fell silent."""
        silences = self.gatherer.silences
        with contextlib.suppress(StoreFault, Unavailable):  # it comes again
            if not self._heard_before:
                journal, key = self.state / self._part.journal, self._keyring.journal_key()
                silences.begin(await asyncio.to_thread(heard_before, journal, key, _now()))
                self._heard_before = True
            for writer, act in silences.due(_now()):
                await self._ledger.note(act)
                silences.told(writer)
                self._log.event("silent", writer=writer)

    async def _note_totals(self, *, ending: bool = False) -> None:
        """Record what was taken out, by category, once its day is over or we end."""
        act = self._taken.due(_now(), ending=ending)
        if act is not None:
            with contextlib.suppress(Unavailable):
                await self._ledger.note(act)

    async def _record_strangers(self) -> None:
        """Those who were refused before it was known who they are, by the minute."""
        refused, away = self._strangers, self._turned_away
        self._strangers = self._turned_away = 0
        if refused or away:
            end = _now()
            start = end - STRANGERS_SECONDS * 1_000_000
            act = Operator(time=end, act=Act.UNAUTHENTICATED, refused=refused, count=away or None, start=start, end=end)
            with contextlib.suppress(Unavailable):
                await self._ledger.note(act)


def serve(directory: Path, environment: Mapping[str, str], workers: int = 1) -> int:
    """Serve until SIGTERM or SIGINT, by so many processes; SIGHUP reloads. The exit code.

    Raises:
        ConfigurationError: before anything listens.
    """
    if not fit(environment):
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if workers > 1:
            from gateway.workers.parent import serve_by_workers  # noqa: PLC0415  # the usual gateway is one process

            return runner.run(serve_by_workers(directory, environment, workers))
        return runner.run(_serve(Application(directory, environment=environment)))


def fit(environment: Mapping[str, str]) -> bool:
    """Close what would let content out of this process; whether it may serve. Says why not on standard error."""
    refused = [concern for concern in (*concerns(environment), *close_core_dumps()) if concern.refuses]
    for concern in refused:
        sys.stderr.write(f"gateway: {concern.name}: {concern.reason}\n")
    return not refused


async def _serve(application: Application) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = loop.create_task(application.reload(), name="reload")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    await application.start()
    spare_the_collector()
    await ended.wait()
    await application.stop()
    return 0


def spare_the_collector() -> None:
    """A request's objects go by reference count; what is there after the start is bound to stay, and the rest goes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    let_go()


async def _retire(detector: Detector) -> None:
    """Stop a detector that no new call uses, once those that began with it have had their time."""
    try:
        await asyncio.sleep(RETIRE_SECONDS)
    finally:
        await detector.stop()


def _now() -> int:
    return time_ns() // 1000


def _days_left(entry: Entry, now: datetime) -> float:
    """Days until the entry takes no more traffic unless somebody acts; 0 where it takes none."""
    ends = entry.ends(now)
    return 0.0 if ends is None else (ends - now).total_seconds() / 86_400
