"""A gateway that is killed or told to end under load, held against what the provider itself saw."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import cast

import aiohttp
import pytest

from gateway.audit.evidence import open_evidence
from gateway.audit.log_store import LOG_FILE, LogReader
from gateway.audit.reader import Line
from gateway.audit.store import FILE_NAME, StoreFault, reading
from gateway.audit.verify import Policy, verify
from gateway.keys import Keyring
from gateway.simulator import CREDENTIAL, Fault, Scenario, Simulator
from tests.configuration import CALLER, TENANT, issue_key, write_configuration
from tests.houses import UNSCANNED, Served, client, records, serve, settings, unaccounted, unwitnessed

CALLERS = 12
STREAM_PACE = 0.01
DRAIN = 1.5
BOUND = DRAIN + 12
"""Seconds from SIGTERM to the end: the drain, two closings of listeners, and the journal's own bound."""


@dataclass(slots=True)
class Load:
    """Calls, plain and streamed on both wires, as fast as their callers can make them.

    `in_flight` counts calls that were begun and have not ended; `whole` holds the ids of answers that
    their caller saw complete.
    """

    url: str
    key: str
    in_flight: int = 0
    whole: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def run(self) -> None:
        """Call until the gateway is gone."""
        async with client(self.key) as session, asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(self._caller(session, number))

    async def _caller(self, session: aiohttp.ClientSession, number: int) -> None:
        while True:
            self.in_flight += 1
            try:
                await self.call(session, anthropic=number % 2 == 0, stream=number % 4 < 2)
            except (aiohttp.ClientError, ConnectionError):
                return
            self.in_flight -= 1  # a call that its caller saw broken was in flight at the kill

    async def call(self, session: aiohttp.ClientSession, *, anthropic: bool, stream: bool) -> None:
        """One call, read to its end."""
        document: dict[str, object] = {
            "model": "claude-simulated" if anthropic else "gpt-simulated",
            "messages": [{"role": "user", "content": "How did the call with the customer go, from start to end?"}],
            "stream": stream,
            **({"max_tokens": 64} if anthropic else {}),
        }
        path = "/v1/messages" if anthropic else "/v1/chat/completions"
        async with session.post(self.url + path, json=document) as answer:
            body = await answer.read()
            self.statuses.append(answer.status)
            end = (b"event: message_stop" if anthropic else b"data: [DONE]") if stream else b"}"
            if answer.status == 200 and end in body:
                self.whole.append(answer.headers["x-gateway-call-id"])


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A provider whose streams take a while, so that a kill finds some of them open."""
    async with Simulator(log=tmp_path / "witness.jsonl") as running:
        for model in ("gpt-simulated", "claude-simulated"):
            running.script(Scenario(pace=STREAM_PACE), model=model)
        yield running


def _configured(provider: Simulator, folder: Path) -> tuple[Path, str]:
    chosen = settings(limits={"drain_seconds": DRAIN}, **UNSCANNED)
    return write_configuration(folder, provider.port, CREDENTIAL, settings=chosen), issue_key(folder / "state", CALLER)


def _broken(provider: Simulator, state: Path, whole: list[str], in_flight: int) -> list[str]:
    """What does not hold in the record after a recovery."""
    lines = records(state)
    outcomes = {line["call"]: line for line in lines if line["kind"] == "outcome"}
    found = unaccounted(lines) + unwitnessed(provider, state, TENANT)
    found += [f"{call} was whole, and has no `completed`" for call in whole if _result(outcomes, call) != "completed"]
    guessed = sum(line["result"] == "indeterminate" for line in outcomes.values())
    if guessed > in_flight:
        found.append(f"{guessed} outcomes are indeterminate, but only {in_flight} calls were in flight")
    return found


class Log:
    """The signed log of a state, and the checkpoints that were seen of it: none of them may ever be denied."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._keyring = Keyring.open(state / "keys")
        self._seen: list[str] = []
        self.size = 0

    async def caught_up(self) -> None:
        """Wait until what the journal holds now, recovery and start included, is signed."""
        with contextlib.closing(reading(self._state / "journal" / FILE_NAME, self._keyring.journal_key())) as journal:
            (last,) = cast(tuple[int], journal.execute("SELECT max(seq) FROM record").fetchone())
        async with asyncio.timeout(60):
            while self._last_signed() < last:
                await asyncio.sleep(0.05)  # another process's file

    def faults(self) -> list[str]:
        """What `gateway verify` finds wrong, also against every checkpoint seen before. Before the first: nothing."""
        if self._last_signed() < 0:
            return []
        with open_evidence(self._state, self._keyring) as evidence:
            run = verify(evidence, Policy(evidence.policy(self._keyring)), seen=self._seen)
            self._seen.append(evidence.note_b)
            self.size = evidence.end
        return [f"{name}: {each.first}" for name, each in run.a.items() if each.failed]

    def _last_signed(self) -> int:
        if not (self._state / "log" / LOG_FILE).exists():
            return -1
        try:
            with LogReader.read(self._state / "log", self._keyring.log_key()) as log:
                return -1 if log.latest() is None else log.last_seq
        except StoreFault:
            if self.size:
                raise
            return -1  # the sequencer outlives a first gateway by a moment, in which it makes the file


def _result(outcomes: dict[object, Line], call: str) -> object:
    return outcomes[call]["result"] if call in outcomes else None


async def _kills(provider: Simulator, folder: Path, kills: int, seed: int) -> str:
    """Kill it so often, and look at the record and the log after each kill and each start; what there was, in words."""
    chance = random.Random(seed)
    configuration, key = _configured(provider, folder)
    state = folder / "state"
    in_flight, whole, arrived = 0, [], 0
    served = await serve(configuration, folder)
    log = Log(state)
    try:
        for _ in range(kills):
            load = Load(served.url, key)
            running = asyncio.get_running_loop().create_task(load.run())
            at = arrived + chance.randint(1, 60)
            await provider.witness.until(lambda at=at: len(provider.arrivals) >= at, 15)  # type: ignore[misc]
            await asyncio.sleep(chance.random() * STREAM_PACE)  # a moment between two events of the load
            await served.kill()
            await asyncio.wait_for(running, 15)
            in_flight += load.in_flight
            whole += load.whole
            await provider.witness.until(lambda: provider.witness.open == 0)
            arrived = len(provider.arrivals)
            killed = log.faults()

            served = await serve(configuration, folder)
            await log.caught_up()

            assert _broken(provider, state, whole, in_flight) == []
            assert (killed, log.faults()) == ([], [])
        assert set(load.statuses) <= {200}
        assert whole, "the load completed nothing, so nothing was held"
        guessed = sum(line["result"] == "indeterminate" for line in records(state))
        assert guessed, "no kill met an open call"
        return f"{kills} kills: {len(whole)} answers whole, {guessed} indeterminate, {log.size} leaves, all verified"
    finally:
        await served.kill()


async def test_kill_9_under_load_leaves_no_call_unrecorded(provider: Simulator, tmp_path: Path) -> None:
    """After each kill and start, every arrival has its intent, every intent exactly one outcome, and the log holds."""
    await _kills(provider, tmp_path, kills=6, seed=7)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8))
async def test_kill_9_under_load_many_times(provider: Simulator, tmp_path: Path, seed: int) -> None:
    """The same, 25 kills for each seed."""
    print(await _kills(provider, tmp_path, kills=25, seed=1000 + seed), flush=True)


async def test_a_start_that_is_killed_too_loses_nothing(provider: Simulator, tmp_path: Path) -> None:
    """A kill while the record is being recovered changes nothing of what the next start finds."""
    configuration, key = _configured(provider, tmp_path)
    served = await serve(configuration, tmp_path)
    load = Load(served.url, key)
    running = asyncio.get_running_loop().create_task(load.run())
    await provider.witness.until(lambda: len(provider.arrivals) >= 20, 15)
    await served.kill()
    await asyncio.wait_for(running, 15)
    in_flight = load.in_flight
    await provider.witness.until(lambda: provider.witness.open == 0)

    for delay in (0.1, 0.4, 0.7):
        starting = asyncio.get_running_loop().create_task(serve(configuration, tmp_path))
        _done, late = await asyncio.wait({starting}, timeout=delay)
        if late:
            starting.cancel()
            await asyncio.wait({starting})
        else:
            await (await starting).kill()
    served = await serve(configuration, tmp_path)

    try:
        assert _broken(provider, tmp_path / "state", load.whole, in_flight) == []
    finally:
        await served.kill()


def test_the_reconciliation_can_fail(tmp_path: Path) -> None:
    """A missing intent, a missing outcome and a doubled one are each found."""
    intent: Line = {"kind": "intent", "call": "a", "attempt": 0, "model": "m"}
    outcome: Line = {**intent, "kind": "outcome", "result": "completed", "provider_request": None}

    assert unaccounted([intent, outcome]) == []
    assert unaccounted([intent]) != []
    assert unaccounted([outcome]) != []
    assert unaccounted([intent, outcome, outcome]) != []


async def test_an_arrival_past_the_gateway_is_found(provider: Simulator, tmp_path: Path) -> None:
    """The same check speaks up when a call reaches the provider without the record knowing."""
    configuration, key = _configured(provider, tmp_path)
    served = await serve(configuration, tmp_path)
    try:
        async with client(key) as session:
            await Load(served.url, key).call(session, anthropic=False, stream=False)
        sound = _broken(provider, tmp_path / "state", [], 0)
        await provider.witness.settled(1)
        async with client(CREDENTIAL) as session:
            document = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Hello"}]}
            async with session.post(f"{provider.url}/v1/chat/completions", json=document) as answer:
                assert answer.status == 200

        assert sound == []
        assert _broken(provider, tmp_path / "state", ["never-made"], 0) == [
            "1 arrivals have no intent (gpt-simulated)",
            "never-made was whole, and has no `completed`",
        ]
    finally:
        await served.kill()


async def _under_sigterm(provider: Simulator, served: Served, key: str, state: Path, *, twice: bool) -> list[str]:
    """End a gateway that holds a slow plain call and an endless stream; what does not hold."""
    provider.script(Scenario(delay=0.5), model="gpt-simulated")
    provider.script(Scenario(fault=Fault.ENDLESS, pace=0.02), model="claude-simulated")
    load = Load(served.url, key)
    async with client(key) as session:
        loop = asyncio.get_running_loop()
        plain = loop.create_task(load.call(session, anthropic=False, stream=False))
        stream = loop.create_task(load.call(session, anthropic=True, stream=True))
        await provider.witness.until(lambda: sum(arrival.body is not None for arrival in provider.arrivals) == 2, 10)
        await provider.witness.until(lambda: any(arrival.sent for arrival in provider.arrivals), 10)
        before = monotonic()
        served.signal(signal.SIGTERM)
        if twice:
            await asyncio.wait({plain})
            served.signal(signal.SIGTERM)
        code = await served.ended(BOUND + 5)
        took = monotonic() - before
        await asyncio.wait({plain, stream}, timeout=5)
    found = unaccounted(records(state))
    found += [] if code == 0 else [f"the exit code is {code}"]
    found += [] if took <= BOUND else [f"it took {took:.1f} s"]
    found += [] if plain.done() and plain.exception() is None else ["the plain call did not complete"]
    found += [] if len(load.whole) == 1 else ["not exactly the plain call is whole"]
    results = sorted(str(line["result"]) for line in records(state) if line["kind"] == "outcome")
    found += [] if results == ["completed", "cut_off"] else [f"the results are {results}"]
    if stream.done():
        stream.exception()
    return found


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
async def test_sigterm_under_load_ends_in_time_with_nothing_open(
    provider: Simulator, tmp_path: Path, twice: bool
) -> None:
    """Calls in progress complete, an endless stream is cut off, the process ends within its bound."""
    configuration, key = _configured(provider, tmp_path)
    served = await serve(configuration, tmp_path)
    try:
        assert await _under_sigterm(provider, served, key, tmp_path / "state", twice=twice) == []
    finally:
        await served.kill()


async def test_sigterm_under_full_load_leaves_nothing_open(provider: Simulator, tmp_path: Path) -> None:
    """Ended at a moment of full load, the record is whole without a recovery, and nothing in it is a guess."""
    configuration, key = _configured(provider, tmp_path)
    served = await serve(configuration, tmp_path)
    try:
        load = Load(served.url, key)
        running = asyncio.get_running_loop().create_task(load.run())
        await provider.witness.until(lambda: len(provider.arrivals) >= 40, 15)
        served.signal(signal.SIGTERM)
        code = await served.ended(BOUND + 5)
        await asyncio.wait_for(running, 15)

        assert code == 0
        assert _broken(provider, tmp_path / "state", load.whole, 0) == []
    finally:
        await served.kill()
