"""Reads every entry's settings back on its schedule, records what was read, and stops an entry that does not hold.

An entry that names a `read_back` takes traffic only while its last reading that could tell passed, and passed lately
enough. One whose answers show that something is kept is stopped at once, and until somebody lifts that: the setting may
well read as agreed while the provider does otherwise.

Of several workers on one state one reads and keeps; the others follow what it kept, and leave word of what their
answers showed, as `gateway attest` does. Where it ends, another goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import time_ns
from typing import Final

from gateway.attest.methods import Means, prepare, probe_storage, read_settings
from gateway.attest.standing import (
    FILE,
    Asked,
    Mark,
    Standing,
    StandingUnreadable,
    ask,
    asked_after,
    keep_standings,
    kept_mark,
    mark,
    read_standings,
)
from gateway.attest.verdicts import Reading
from gateway.audit.record import Operator
from gateway.audit.words import Act, Processor, Said, Setting, Verdict
from gateway.config import Bundle
from gateway.errors import Code, ConfigurationError, Fault, Unavailable
from gateway.passage import InForce
from gateway.policy.entries import Entry
from gateway.policy.halts import Halts

LOOK_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 60
"""A reading that could not tell is tried again so soon, however long its schedule."""

_SECOND: Final = 1_000_000
_AT_ONCE: Final = 8

Tell = Callable[[str, str, str], None]
"""Told of an event: its name, the entry, and a word."""


class Attester:
    """The readings of one gateway. Belongs to one event loop.

    Args:
        state: the state directory.
        in_force: the configuration in force.
        halts: where an entry is stopped.
        note: makes a record durable.
        tell: told what happened, for the operator's log.
        clock: microseconds since 1970.
        pause: how a probe waits.
        leads: whether this process reads and keeps, and no other on this state.
    """

    def __init__(
        self,
        state: Path,
        in_force: Callable[[], InForce],
        halts: Halts,
        note: Callable[[Operator], Awaitable[None]],
        tell: Tell,
        *,
        clock: Callable[[], int] = lambda: time_ns() // 1000,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._leads = leads
        self._led = False
        self._kept_mark: Mark = None
        self._left: dict[str, int] = {}
        self._state = state
        self._in_force = in_force
        self._halts = halts
        self._note = note
        self._tell = tell
        self._clock = clock
        self._pause = pause
        self._standings: dict[str, Standing] = {}
        self._marks: dict[str, tuple[Entry, str]] = {}
        self._taken = 0
        self._halted: frozenset[str] = frozenset()
        self._untold: list[tuple[str, Operator]] = []
        self._asked_mark: tuple[int, int] | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Take over what was known, and read once what is not: an entry that was never read takes no traffic.

        Raises:
            ConfigurationError: what was known cannot be read, and nothing is taken to be well then.
        """
        try:
            self._standings, self._taken = await asyncio.to_thread(read_standings, self._state)
        except StandingUnreadable:
            reason = "this is not what the gateway wrote of the read-backs; put it right, or move it away to begin anew"
            raise ConfigurationError([Fault(str(self._state / FILE), 0, "(file)", reason)]) from None
        tell, self._tell = self._tell, lambda _event, _name, _word: None  # until there was a chance to read
        if self._entries:
            await prepare(self._entries)
            await self.look()
        self._tell, self._halted = tell, frozenset()
        self.settle()

    async def run(self) -> None:
        """Read what is due, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Read what is due now, take over what was asked elsewhere, and stop or release entries by it."""
        async with self._lock:
            self.settle()
            if not self._led:
                await self._lead_or_follow()
            if not self._led:
                await self._record()
                return
            await self._take_over()
            now = self._clock()
            due = [entry for entry in self._entries.values() if self._is_due(entry, now)]
            for at in range(0, len(due), _AT_ONCE):
                await asyncio.gather(*(self._read(entry) for entry in due[at : at + _AT_ONCE]))
            probes = [entry for entry in self._entries.values() if self._is_due_to_probe(entry, now)]
            await asyncio.gather(*(self._probe(entry) for entry in probes))
            self.settle()
            await self._record()

    def contradicted(self, processor: str) -> None:
        """An answer of this entry showed that something is kept: stop it now, whatever its settings say."""
        standing = self._standing_of(processor)
        if standing is None or standing.contradicted_at:
            return
        self._standings[processor] = replace(standing, contradicted_at=self._clock())
        self.settle()
        said = {Setting.ANSWERS: Said.CONTRADICTED}
        reading = Reading(processor, self._clock(), said)
        self._write(Act.ATTESTATION, reading, Verdict.FAIL)
        if self._led:
            self._keep()
        else:
            self._leave(Asked("contradicted", standing.of, reading))

    @property
    def failing(self) -> list[str]:
        """Entries that are stopped, each with the reason in words, in order."""
        return [f"{name}: {why}" for name in sorted(self._halted) if (why := self._why(name))]

    @property
    def halted(self) -> frozenset[str]:
        """Entries that are stopped."""
        return self._halted

    def standings(self) -> Mapping[str, Standing]:
        """How each entry stands."""
        return dict(self._standings)

    # deciding

    def settle(self) -> None:
        """Stop and release entries as they stand at this instant, in the configuration in force."""
        now = self._clock()
        registry = self._bundle.registry.entries
        halted: set[str] = set()
        for name, entry in registry.items():
            if entry.is_example:  # it takes no traffic whatever is read, and nothing is read of it
                continue
            standing = self._standing_of(name) or Standing()
            wanted = entry.form.read_back
            holds = wanted is None or (not standing.failed and standing.is_fresh(now, wanted.stale_after_seconds))
            probed = wanted is None or wanted.probe is None or not standing.probe_failed
            for well, by in ((holds, "read_back"), (not standing.contradicted_at, "answer"), (probed, "probe")):
                if well:
                    self._halts.release(name, by)  # type: ignore[arg-type]  # each is one of `By`
                else:
                    self._halts.halt(name, Code.ATTESTATION_FAILED, by)  # type: ignore[arg-type]
                    halted.add(name)
        for name in sorted(halted - self._halted):
            self._tell("attestation_failed", name, self._why(name))
        for name in sorted((self._halted - halted) & registry.keys()):
            self._tell("attestation_passed", name, "")
        self._halted = frozenset(halted)

    def _why(self, name: str) -> str:
        entry, standing = self._bundle.registry.entries.get(name), self._standing_of(name)
        if entry is None or standing is None:
            return ""
        if standing.contradicted_at:
            return "its answers show that something is kept"
        if standing.probe_failed:
            return "what a probe left there was kept"
        if standing.failed:
            return "its own settings do not read as agreed"
        return "its own settings could not be read back lately"

    def _standing_of(self, name: str) -> Standing | None:
        entry = self._bundle.registry.entries.get(name)
        if entry is None:
            return None
        known, of = self._standings.get(name), self._mark(entry)
        if known is None or known.of != of:
            # Another account is another fact; but what an answer showed is forgotten by nobody's edit.
            known = Standing(of=of, contradicted_at=0 if known is None else known.contradicted_at)
            self._standings[name] = known
        return known

    def _mark(self, entry: Entry) -> str:
        """`mark`, once for each entry of a configuration: this is looked at twice a second."""
        known = self._marks.get(entry.id)
        if known is None or known[0] is not entry:
            known = self._marks[entry.id] = (entry, mark(entry))
        return known[1]

    def _is_due(self, entry: Entry, now: int) -> bool:
        asked, standing = entry.form.read_back, self._standing_of(entry.id)
        assert asked is not None and standing is not None  # noqa: S101  # of those that have one
        told = standing.read_at == standing.passed_at or standing.failed
        wait = asked.every_seconds if told else min(RETRY_SECONDS, asked.every_seconds)
        return not 0 <= now - standing.read_at < wait * _SECOND

    def _is_due_to_probe(self, entry: Entry, now: int) -> bool:
        asked, standing = entry.form.read_back, self._standing_of(entry.id)
        if asked is None or asked.probe is None or standing is None:
            return False
        return not 0 <= now - standing.probed_at < asked.probe.every_seconds * _SECOND

    # reading

    @property
    def _bundle(self) -> Bundle:
        return self._in_force().bundle

    @property
    def _entries(self) -> dict[str, Entry]:
        """Those whose settings are read back: of all that could ever take traffic."""
        entries = self._bundle.registry.entries
        return {name: item for name, item in entries.items() if item.form.read_back and not item.is_example}

    def _means(self) -> Means:
        bundle = self._bundle
        roots = bundle.settings.upstream.authorities
        return Means(bundle.secret, None if roots is None else bundle.path(roots), self._pause)

    async def _read(self, entry: Entry) -> None:
        self._took(Act.ATTESTATION, mark(entry), await read_settings(entry, self._means()))

    async def _probe(self, entry: Entry) -> None:
        self._took(Act.CANARY, mark(entry), await probe_storage(entry, self._means()))

    async def _take_over(self) -> None:
        """What `gateway attest` read or lifted, in this state."""
        try:
            status = await asyncio.to_thread(_status, self._state)
            if status == self._asked_mark:
                return
            asked = await asyncio.to_thread(asked_after, self._state, self._taken)
        except StandingUnreadable:
            self._tell("attestations_unreadable", "", "")
            return
        self._asked_mark = status
        for item in asked:
            self._taken += 1
            self._take(item)
        if asked:
            self._keep()

    def _take(self, item: Asked) -> None:
        name = item.reading.processor
        standing = self._standing_of(name)
        if standing is None:
            return
        if item.what == "contradicted":
            if not standing.contradicted_at:
                self._standings[name] = replace(standing, contradicted_at=item.reading.at)
        elif item.what == "lift":
            self._standings[name] = replace(standing, contradicted_at=0)
            self._write(Act.ATTESTATION, item.reading, Verdict.LIFTED)
        elif item.what in {"reading", "probe"}:
            self._took(Act.ATTESTATION if item.what == "reading" else Act.CANARY, item.of, item.reading)

    def _took(self, act: Act, of: str, reading: Reading) -> None:
        standing = self._standing_of(reading.processor)
        if standing is not None and standing.of == of:
            after = standing.after(reading) if act is Act.ATTESTATION else standing.after_probe(reading)
            self._standings[reading.processor] = after
            self._keep()
        self._write(act, reading, reading.verdict)

    # following

    async def _lead_or_follow(self) -> None:
        with contextlib.suppress(OSError):  # whoever cannot know does not lead
            self._led = self._leads()
        await self._follow()  # what the one before kept last, too

    async def _follow(self) -> None:
        """Take over what the process that leads has kept since; what an answer showed here stands until it has that."""
        status = await asyncio.to_thread(kept_mark, self._state)
        if status == self._kept_mark:
            return
        try:
            standings, self._taken = await asyncio.to_thread(read_standings, self._state)
        except StandingUnreadable:
            self._tell("attestations_unreadable", "", "")
            return
        self._kept_mark = status
        for name, at in tuple(self._left.items()):
            known = standings.get(name, Standing())
            if known.contradicted_at:
                del self._left[name]
            else:
                standings[name] = replace(known, contradicted_at=at)
        self._standings = standings
        self.settle()

    def _leave(self, asked: Asked) -> None:
        self._left[asked.reading.processor] = asked.reading.at
        try:
            ask(self._state, asked)
        except OSError:
            self._tell("attestations_unwritten", "", "")

    # keeping

    def _keep(self) -> None:
        try:
            keep_standings(self._state, self._standings, self._taken)
        except OSError:
            self._tell("attestations_unwritten", "", "")

    def _write(self, act: Act, reading: Reading, verdict: Verdict) -> None:
        """A record of a reading; it is durable after the next `_record`."""
        processor = self._in_force().vocabulary.known(Processor, reading.processor)
        record = Operator(
            time=self._clock(),
            act=act,
            processor=processor,
            verdict=verdict,
            start=reading.at,
            readings=tuple(sorted(reading.said.items())) or None,
        )
        self._untold.append((reading.processor, record))

    async def _record(self) -> None:
        while self._untold:
            try:
                await self._note(self._untold[0][1])
            except Unavailable:
                return  # it comes again
            self._untold.pop(0)


def _status(state: Path) -> tuple[int, int]:
    from gateway.attest.standing import ASKED  # noqa: PLC0415

    try:
        status = (state / ASKED).stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
