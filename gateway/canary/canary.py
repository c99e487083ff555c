"""Plays rounds of trials: soon after the start, on a schedule, after a change of configuration, and when somebody asks.

A round that finds a leak or a call without record turns readiness red and stops the route; the next that finds none
ends both. One that could not look proves nothing and changes nothing.

Of several workers on one state, which share configuration and detectors, one plays, and the others stop and release
routes as it does, by the file in which it keeps what fails. Where it ends, another plays.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import Final

import orjson

from gateway.audit.record import Operator
from gateway.audit.words import Act, Processor, Verdict
from gateway.canary.round import Parts, Result, play
from gateway.errors import Unavailable
from gateway.listener import ListenerError
from gateway.passage import InForce
from gateway.policy.entries import Entry, State
from gateway.policy.halts import Halts

ASKED: Final = "canary.asked"
ANSWERED: Final = "canary.json"
"""Of the state: what `gateway canary` asks for, and what the last round came to."""

LOOK_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 60
_LONGEST_SECONDS: Final = 600.0

Tell = Callable[[str, str, str], None]
"""Told of an event: its name, the entry, and a word."""


class Canary:
    """The rounds of one gateway. Belongs to one event loop.

    Args:
        parts: what of the running gateway a round goes through, now.
        halts: where a route is stopped.
        note: makes a record durable.
        tell: told what happened, for the operator's log.
        clock: microseconds since 1970.
        player: plays a round.
        leads: whether this process plays, and no other on this state.
    """

    def __init__(
        self,
        parts: Callable[[], Parts],
        halts: Halts,
        note: Callable[[Operator], Awaitable[None]],
        tell: Tell,
        *,
        clock: Callable[[], int] = lambda: time_ns() // 1000,
        player: Callable[[Parts, Iterable[Entry]], Awaitable[list[Result]]] = play,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._parts = parts
        self._halts = halts
        self._note = note
        self._tell = tell
        self._clock = clock
        self._player = player
        self._failing: dict[str, list[str]] = {}
        self._leads = leads
        self._led = False
        self._followed: tuple[int, int] | None = None
        self._played_at = 0
        self._proved_at = 0
        self._played: str | None = None
        self._answered = 0

    @property
    def well(self) -> bool:
        """Whether no trial that could look found a leak, a call without record, or what should never leave."""
        return not self._failing

    @property
    def failing(self) -> list[str]:
        """What is wrong, in words."""
        return [f"{name}: {fault}" for name, faults in sorted(self._failing.items()) for fault in faults[:3]]

    async def run(self) -> None:
        """Play what is due, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Play a round if one is due, or asked for; or follow who plays."""
        parts = self._parts()
        if not self._led:
            with contextlib.suppress(OSError):  # whoever cannot know does not lead
                self._led = self._leads()
            await self._follow(parts)
        if not self._led:
            return
        asked = await asyncio.to_thread(_asked, parts.state)
        if asked is not None and asked[0] != self._answered:
            number, names = asked
            entries = parts.force.bundle.registry.entries
            await self.play([entries[name] for name in names if name in entries] if names else None, answers=number)
        elif self._is_due(parts.force):
            await self.play()

    async def play(self, chosen: Iterable[Entry] | None = None, *, answers: int = 0) -> list[Result]:
        """Play a round now, over these entries or over all that are in use, and act on what it came to."""
        parts = self._parts()
        whole = chosen is None
        entries = in_use(parts.force) if chosen is None else list(chosen)
        began = self._clock()
        results: list[Result] = []
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                results = await self._player(parts, entries)
        except (OSError, ListenerError, TimeoutError):
            self._tell("canary_not_played", "", "")
        if whole:
            self._played_at, self._played = began, parts.force.digest
            if results and all(result.verdict is Verdict.PASS for result in results):
                self._proved_at = began
        for result in results:
            await self._act_on(parts.force, result, began)
        self._forget(parts.force)
        if answers:
            self._answered = answers
        await asyncio.to_thread(_answer, parts.state, results, began, self._answered, self._failing)
        return results

    async def _act_on(self, force: InForce, result: Result, began: int) -> None:
        verdict = result.verdict
        if verdict is Verdict.FAIL:
            self._failing[result.processor] = result.faults
            self._halts.halt(result.processor, by="canary")
            self._tell("canary_failed", result.processor, "; ".join(result.faults[:3]))
        elif verdict is Verdict.PASS and self._failing.pop(result.processor, None) is not None:
            self._halts.release(result.processor, "canary")
            self._tell("canary_passed", result.processor, "")
        elif verdict is Verdict.INCONCLUSIVE:
            self._tell("canary_inconclusive", result.processor, "")
        record = Operator(
            time=self._clock(),
            act=Act.CANARY,
            processor=force.vocabulary.known(Processor, result.processor),
            verdict=verdict,
            start=began,
            count=result.calls,
            readings=tuple(sorted(result.readings.items())),
        )
        try:
            await self._note(record)
        except Unavailable:
            self._tell("canary_unrecorded", result.processor, "")

    async def _follow(self, parts: Parts) -> None:
        """Stop and release routes as the process that plays, or the one before us, did last."""
        mark = await asyncio.to_thread(_mark, parts.state)
        if mark is None or mark == self._followed:
            return
        failing = await asyncio.to_thread(_kept_failing, parts.state)
        if failing is None:
            return
        self._followed = mark
        for name in failing.keys() - self._failing.keys():
            self._halts.halt(name, by="canary")
        for name in self._failing.keys() - failing.keys():
            self._halts.release(name, "canary")
        self._failing = failing
        self._forget(parts.force)

    def _forget(self, force: InForce) -> None:
        """An entry that is gone cannot be tried again, and serves nobody."""
        for name in self._failing.keys() - force.bundle.registry.entries.keys():
            del self._failing[name]
            self._halts.release(name, "canary")

    def _is_due(self, force: InForce) -> bool:
        every = force.bundle.settings.canary.every_seconds
        if not every:
            return False
        if self._failing or (self._played_at and self._proved_at < self._played_at):
            every = min(every, RETRY_SECONDS)
        return self._played != force.digest or not 0 <= self._clock() - self._played_at < every * 1_000_000


def in_use(force: InForce) -> list[Entry]:
    """What takes traffic, or soon will: neither examples nor what is retired."""
    now = datetime.now(UTC)
    entries = force.bundle.registry.entries.values()
    return [entry for entry in entries if not entry.is_example and entry.state(now) is not State.RETIRED]


# --- asked for by the verb ----------------------------------------------------------------------------


def ask(state: Path, names: list[str]) -> int:
    """Ask the running gateway for a round over these entries (none: all in use); the number that its answer will bear.

    Raises:
        OSError: it cannot be written.
    """
    number = time_ns()
    state.mkdir(parents=True, exist_ok=True)
    _write(state / ASKED, orjson.dumps({"number": number, "processors": names}))
    return number


def answer(state: Path, number: int) -> list[dict[str, object]] | None:
    """What the round of that number came to, an entry each; None until it was played."""
    try:
        tree = orjson.loads((state / ANSWERED).read_bytes())
        return list(tree["results"]) if tree["answers"] == number else None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def shown(result: Result) -> dict[str, object]:
    """A result as the verb shows it."""
    verdict = result.verdict.value
    return {"processor": result.processor, "verdict": verdict, "calls": result.calls, "faults": result.faults}


def _asked(state: Path) -> tuple[int, list[str]] | None:
    try:
        tree = orjson.loads((state / ASKED).read_bytes())
        return int(tree["number"]), [str(name) for name in tree["processors"]]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _mark(state: Path) -> tuple[int, int] | None:
    try:
        status = (state / ANSWERED).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _kept_failing(state: Path) -> dict[str, list[str]] | None:
    try:
        tree = orjson.loads((state / ANSWERED).read_bytes())
        return {str(name): [str(fault) for fault in faults] for name, faults in tree["failing"].items()}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None


def _answer(state: Path, results: Iterable[Result], began: int, number: int, failing: Mapping[str, list[str]]) -> None:
    rows = [shown(result) for result in results]
    try:
        _write(
            state / ANSWERED, orjson.dumps({"answers": number, "at": began, "results": rows, "failing": dict(failing)})
        )
    except OSError:
        return  # whoever asked waits in vain, and is told so


def _write(path: Path, data: bytes) -> None:
    staged = path.with_name(f"{path.name}.new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    staged.replace(path)
