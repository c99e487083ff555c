"""Whole gateways for the tests that hold the promises: in this process with settings of one's own, or as a process.

With them, the record as an operator reads it, and what it must never show: `unaccounted`.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.app import Application
from gateway.audit.reader import Filters, Line, query
from gateway.keys import Keyring
from gateway.simulator import CREDENTIAL, Simulator
from tests.configuration import ALL_GRANTS, CALLER, ROOT, issue_key, write_configuration
from tests.conftest import Gateway
from tests.detectors import detecting

LIMITS: dict[str, object] = {
    "caller_per_minute": 1_000_000,
    "caller_in_flight": 10_000,
    "in_flight": 10_000,
    "drain_seconds": 2.0,
}
UNSCANNED: dict[str, object] = {"redaction": {"unsafe_redaction_off": True}}
"""For tests of what is recorded, not of what is cleaned: such a gateway starts at once."""

READY_SECONDS = 110.0  # longer than a parent waits for its workers, so that it says which did not start


def settings(*, limits: Mapping[str, object] | None = None, **more: object) -> dict[str, object]:
    """Keys of `gateway.yaml`, for `write_configuration`."""
    return {"limits": {**LIMITS, **(limits or {})}, **more}


@asynccontextmanager
async def house(
    simulator: Simulator, folder: Path, chosen: dict[str, object], *, credential: str = CREDENTIAL
) -> AsyncIterator[Gateway]:
    """The application in this process, with these settings. Its log is in `application._stream`."""
    configuration = write_configuration(folder, simulator.port, credential, settings=chosen)
    state = folder / "state"
    key, granted_key = issue_key(state, CALLER), issue_key(state, ALL_GRANTS)
    application = Application(configuration, state, stream=io.BytesIO(), part=detecting(chosen))
    await application.start()
    try:
        yield Gateway(application, configuration, state, key, granted_key)
    finally:
        await application.stop()


@dataclass(slots=True)
class Served:
    """A gateway as a process of its own: `python -m gateway serve`. Both outputs go to files under `folder`."""

    process: asyncio.subprocess.Process
    port: int
    operations_port: int

    @property
    def url(self) -> str:
        """Where callers connect."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def operations_url(self) -> str:
        """Where the operator connects."""
        return f"http://127.0.0.1:{self.operations_port}"

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs any more when this returns."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and go on."""
        self.process.send_signal(number)

    async def ended(self, seconds: float) -> int:
        """The exit code, once it ended.

        Raises:
            TimeoutError: not within that time.
        """
        return await asyncio.wait_for(self.process.wait(), seconds)


async def serve(configuration: Path, folder: Path, *more: str, program: Sequence[str] = ("gateway",)) -> Served:
    """Start a gateway, with more arguments; returns once it listens. `program`: the module, and what comes before the verb.

    Raises:
        RuntimeError: it ended, or did not listen in time; with what it wrote to standard error.
    """
    out, errors = folder / "stdout", folder / "stderr"
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    seen, said_before = (path.stat().st_size if path.exists() else 0 for path in (out, errors))
    with out.open("ab") as out_file, errors.open("ab") as error_file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *program, "serve", "--config", str(configuration), *more,
            stdout=out_file, stderr=error_file, cwd=ROOT, env={"PATH": os.defpath, "TMPDIR": str(temporary)},
        )  # fmt: skip
    try:
        async with asyncio.timeout(READY_SECONDS):
            while process.returncode is None:
                for line in out.read_bytes()[seen:].splitlines():
                    with suppress(ValueError):
                        said = json.loads(line)
                        if said["event"] == "start":
                            return Served(process, said["port"], said["operations"])
                await asyncio.sleep(0.02)  # another process's file: there is no event to wait for
        how = f"ended with {process.returncode}"
    except (TimeoutError, asyncio.CancelledError) as why:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(why, asyncio.CancelledError):
            raise
        how = f"does not serve after {READY_SECONDS:.0f} s"
    raise RuntimeError(f"the gateway {how}: {errors.read_bytes()[said_before:].decode()[-2000:]}")


def records(state: Path) -> list[Line]:
    """Every row of the journal, as `gateway audit --jsonl` shows it; also while it is written."""
    return list(query(state / "journal", Keyring.open(state / "keys").journal_key(), Filters()))


def unaccounted(lines: Iterable[Line]) -> list[str]:
    """What breaks "one intent, one outcome" (P2) in a record that should be whole."""
    attempts: dict[tuple[Any, Any], Counter[str]] = {}
    for line in lines:
        if line["kind"] in {"intent", "outcome"}:
            attempts.setdefault((line["call"], line["attempt"]), Counter())[str(line["kind"])] += 1
    return [
        f"an attempt has {kinds['intent']} intents and {kinds['outcome']} outcomes"
        for kinds in attempts.values()
        if (kinds["intent"], kinds["outcome"]) != (1, 1)
    ]


def unwitnessed(simulator: Simulator, state: Path, tenant: str) -> list[str]:
    """What breaks "nothing left unrecorded" (P1): arrivals at the provider that no intent accounts for.

    An arrival is matched to the outcome that bears the keyed hash of its request id; those left over must
    find as many attempts, of the same model, whose outcome knows no request id.
    """
    lines, keyring = records(state), Keyring.open(state / "keys")
    concluded = {(line["call"], line["attempt"]) for line in lines if line["kind"] == "outcome"}
    named: Counter[object] = Counter()
    nameless: Counter[object] = Counter()
    for line in lines:
        if line["kind"] == "outcome" and line["provider_request"] is not None:
            named[line["provider_request"]] += 1
        elif line["kind"] == "outcome" or (
            line["kind"] == "intent" and (line["call"], line["attempt"]) not in concluded
        ):
            nameless[line["model"]] += 1
    found = ["two outcomes name one provider request" for count in named.values() if count > 1]
    headless = 0
    for arrival in simulator.arrivals:
        if keyring.tenant_mac(tenant, "provider_request", arrival.request_id) in named:
            continue
        if arrival.body is None:
            headless += 1  # which model it was for, only the body would have said
        else:
            nameless[arrival.document["model"]] -= 1
    found += [f"{-count} arrivals have no intent ({model})" for model, count in nameless.items() if count < 0]
    if headless > sum(count for count in nameless.values() if count > 0):
        found.append("an arrival without a body has no intent")
    return found


def client(key: str) -> aiohttp.ClientSession:
    """A client that follows nothing, retries nothing, and takes either wire's key."""
    return aiohttp.ClientSession(headers={"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"})
