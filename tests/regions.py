"""Regions of several hosts for the tests: gateways as processes that make one log together through a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from gateway.audit.evidence import open_evidence
from gateway.audit.log_store import LogReader
from gateway.audit.reader import Filters, Line, query
from gateway.audit.store import StoreFault
from gateway.audit.verify import Policy, conclude, verify
from gateway.keys import Keyring
from gateway.simulator import CREDENTIAL, Simulator
from gateway.simulator.small import OPENAI_MODELS
from tests.configuration import CALLER, issue_key, write_configuration
from tests.houses import UNSCANNED, Served, client, serve, settings

BODY = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Hello"}]}


class Reachable(Protocol):
    """A Redis, or what stands before it."""

    @property
    def url(self) -> str:
        """Where it is."""
        ...


class Host:
    """A gateway process of the region, and its key; without `redis` one that stands alone."""

    def __init__(
        self,
        folder: Path,
        name: str,
        simulator: Simulator,
        redis: Reachable | None,
        *,
        keeps: bool,
        models: Iterable[str] = OPENAI_MODELS,
        **more: object,
    ) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        carriage = {"host": name, "keeps_log": keeps}
        shared = {} if redis is None else {
            "replicas": {"url": redis.url, "count": 3, "wait_seconds": 0.1, "carriage": carriage},
            "master_key": {"file": str(folder / "master.keys")},
        }  # fmt: skip
        chosen = settings(**{**UNSCANNED, **shared, **more})  # type: ignore[arg-type]
        self.configuration = write_configuration(
            self.folder, simulator.port, CREDENTIAL, openai_models=models, settings=chosen
        )
        self.state = self.folder / "state"
        self.key = issue_key(self.state, CALLER)
        self.served: Served | None = None

    @property
    def keyring(self) -> Keyring:
        """The keys of its state."""
        return Keyring.open(self.state / "keys", master=self.folder.parent / "master.keys")

    async def start(self, *more: str, skew: int = 0) -> None:
        """Start it, its clock set by so many seconds; it listens when this returns."""
        program = ("tests.skewed", str(skew)) if skew else ("gateway",)
        self.served = await serve(self.configuration, self.folder, *more, program=program)

    def lose_disk(self) -> None:
        """All of its state is gone but what is handed to it from elsewhere: the keys of callers, and the master key."""
        keys = self.state / "caller_keys.json"
        kept = keys.read_bytes()
        shutil.rmtree(self.state)
        self.state.mkdir(mode=0o700)
        keys.write_bytes(kept)
        keys.chmod(0o600)

    async def call(self) -> int:
        """One plain call; its status."""
        assert self.served is not None
        url = f"{self.served.url}/v1/chat/completions"
        async with client(self.key) as session, session.post(url, json=BODY) as answer:
            await answer.read()
            return answer.status

    async def ready(self) -> dict[str, Any]:
        """What it says of its readiness."""
        assert self.served is not None
        async with aiohttp.ClientSession() as session, session.get(f"{self.served.operations_url}/readyz") as answer:
            found: dict[str, Any] = json.loads(await answer.read())
            return found

    async def end(self) -> None:
        """SIGTERM, and wait for a clean end."""
        assert self.served is not None
        self.served.signal(signal.SIGTERM)
        assert await self.served.ended(90) == 0, (self.folder / "stderr").read_text()

    def size(self) -> int:
        """How many leaves its log has."""
        try:
            with LogReader.read(self.state / "log", self.keyring.log_key()) as log:
                return log.size
        except StoreFault:
            return 0

    def verified(self) -> dict[str, Any]:
        """The totals of its whole log, which must hold."""
        keyring = self.keyring
        with open_evidence(self.state, keyring) as evidence:
            run = verify(evidence, Policy(evidence.policy(keyring)))
        said: list[str] = []
        assert conclude(run, said.append) == 0, [line for line in said if "FAIL" in line]
        return dict(run.facts()["totals"])


def records_of(host: Host) -> list[Line]:
    """Every row of the host's own journal, which at the log's host is everybody's."""
    return list(query(host.state / "journal", host.keyring.journal_key(), Filters()))


@contextlib.asynccontextmanager
async def region(
    folder: Path, provider: Simulator, redis: Reachable, *outposts: str, **more: object
) -> AsyncIterator[list[Host]]:
    """The host that keeps the log, first, and others; `more` are keys of their `gateway.yaml`."""
    hosts = [Host(folder, "home", provider, redis, keeps=True, **more)]
    hosts += [Host(folder, name, provider, redis, keeps=False, **more) for name in outposts]
    try:
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(host.start())
        yield hosts
    finally:
        for host in hosts:
            if host.served is not None:
                await host.served.kill()


async def until(condition: object, seconds: float = 90) -> None:
    """Wait for what other processes do."""
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def intents(host: Host) -> int:
    """How many attempts its journal knows."""
    return sum(line["kind"] == "intent" for line in records_of(host))
