"""One round of trials: every route, every place, plain and streamed, through the gateway's own path to a witness.

A private listener and a witness stand on loopback while the round lasts. Each request goes through the relay as any
caller's would: judged, cleaned, recorded. Then three things are looked at: what arrived, what came back, and what is
in the record.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import Final

import aiohttp
import orjson

from gateway.audit.ledger import Ledger
from gateway.audit.reader import Filters, query
from gateway.audit.store import StoreFault
from gateway.audit.words import Said, Setting, Verdict
from gateway.canary.mirror import mirror, mirrored
from gateway.canary.texts import ANSWER, FINDINGS, leaks, missing, texts
from gateway.clock import Clock
from gateway.endpoints import Endpoint
from gateway.keys import Keyring, mint_caller_key
from gateway.limits import Limits
from gateway.listener import Listener, ListenerOptions
from gateway.passage import InForce, Passage
from gateway.policy.entries import Entry, Model
from gateway.policy.rules import Conditional
from gateway.quotas import Counters
from gateway.relay import Relay
from gateway.routes import Routes
from gateway.simulator import Scenario, Simulator
from gateway.upstream import Upstream, UpstreamOptions
from providers import PROVIDERS
from providers.document import Document, serialise
from providers.trials import HEADERS, REFUSED, TRIALS, Trial, filled

SECONDS: Final = 60.0
"""How long one call may take."""

_AT_ONCE: Final = 16
_LARGEST: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Result:
    """What the trials of one entry came to. Each list holds sentences of ours: operation, mode, and what was wrong."""

    processor: str
    calls: int = 0
    leaked: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    let_through: list[str] = field(default_factory=list)
    unproved: list[str] = field(default_factory=list)
    looked: bool = True
    """Whether the redactor was asked at all."""

    @property
    def verdict(self) -> Verdict:
        """A leak, a call without record and a request that should never leave are failures; what was not seen, none."""
        if self.leaked or self.unrecorded or self.let_through:
            return Verdict.FAIL
        return Verdict.PASS if self.calls and self.looked and not self.unproved else Verdict.INCONCLUSIVE

    @property
    def readings(self) -> dict[Setting, Said]:
        """For the record."""
        leaks_said = Said.PRESENT if self.leaked else Said.ABSENT if self.looked else Said.DISABLED
        return {
            Setting.LEAKS: leaks_said,
            Setting.REFUSALS: Said.SERVED if self.let_through else Said.REFUSED,
            Setting.UNRECORDED: Said.PRESENT if self.unrecorded else Said.ABSENT,
        }

    @property
    def faults(self) -> list[str]:
        """Everything that was wrong or not proved, in words."""
        return [*self.leaked, *self.unrecorded, *self.let_through, *self.unproved]


@dataclass(frozen=True, slots=True)
class Parts:
    """What of the running gateway a round goes through: the very objects that serve."""

    force: InForce
    keyring: Keyring
    ledger: Ledger
    state: Path
    clock: Clock
    logger: logging.Logger


async def play(parts: Parts, chosen: Iterable[Entry]) -> list[Result]:
    """Try these entries, one call after the other, and give what each came to.

    Raises:
        OSError, ListenerError: nothing can listen on loopback.
    """
    entries = [entry for entry in chosen if entry.form.wire in TRIALS]
    credential = secrets.token_hex(16)
    async with Simulator(credential=credential) as witness:
        key = mint_caller_key()
        force = mirror(
            parts.force, entries, url=witness.url, credential=credential, key=key, nowhere=parts.state / "canary"
        )
        async with _listening(parts, force, witness.url) as port, aiohttp.ClientSession() as session:
            stage = Stage(parts, force, witness, session, f"http://127.0.0.1:{port}", key.text, credential)
            seeing = await stage.sees()
            results = []
            for entry in entries:
                result = Result(entry.id, looked=force.redactor is not None)
                if not seeing:
                    result.unproved.append("the witness does not see what it is shown")
                else:
                    await stage.act(entry, result)
                results.append(result)
                witness.reset()
            return results


@asynccontextmanager
async def _listening(parts: Parts, force: InForce, url: str) -> AsyncIterator[int]:
    upstream = Upstream(UpstreamOptions(connect_seconds=5.0, head_seconds=SECONDS), [Endpoint(url, True)])
    relay = Relay(
        in_force=lambda: force,
        keyring=parts.keyring,
        ledger=parts.ledger,
        upstream=upstream,
        limits=Limits(_AT_ONCE, monotonic),
        quotas=Counters(monotonic, time),
        routes=Routes(monotonic, failures=1_000_000),
        current=lambda: True,
        report=_silent,
        full=_unasked,
        clock=parts.clock,
    )
    listener = Listener(ListenerOptions(port=0, client_max_size=_LARGEST), parts.logger, _unheard)
    await listener.start(relay.handle)
    try:
        yield listener.port
    finally:
        relay.stopping = True
        await listener.close(1.0)
        await upstream.close()


def _silent(_passage: Passage) -> None:
    """Trials are counted in the record, not in the metrics of the calls."""


def _unasked() -> None:
    """Trials come one after the other, so they never find every place taken."""


def _unheard(_status: int, _exception: str | None) -> None:
    """Nobody but us connects; what a stranger sends is not of this round."""


class Stage:
    """Where the calls of a round are made."""

    def __init__(
        self,
        parts: Parts,
        force: InForce,
        witness: Simulator,
        session: aiohttp.ClientSession,
        url: str,
        key: str,
        credential: str,
    ) -> None:
        self._parts = parts
        self._force = force
        self._witness = witness
        self._session = session
        self._url = url
        self._key = key
        self._credential = credential

    async def sees(self) -> bool:
        """The positive control: each finding, sent straight to the witness, is seen to have arrived."""
        body = serialise({"model": "control", "input": [sentence for sentence, _word in FINDINGS]})
        try:
            async with self._session.post(self._witness.url, data=body, timeout=_timeout()):
                pass
        except (aiohttp.ClientError, TimeoutError):
            return False
        arrived = [arrival.body or b"" for arrival in self._witness.arrivals]
        self._witness.reset()
        return len(arrived) == 1 and len(leaks(arrived[0])) == len(FINDINGS)

    async def act(self, entry: Entry, result: Result) -> None:
        """Every trial of one entry."""
        for trial in TRIALS[entry.form.wire]:
            if self._has(entry, trial):
                for model in _models(entry, trial.operation):
                    for stream in (False, True) if trial.streams else (False,):
                        await self._pass(entry, trial, model, result, stream=stream)
        for trial in REFUSED[entry.form.wire]:
            for model in _models(entry, trial.operation)[:1]:
                await self._refused(entry, trial, model, result)

    def _has(self, entry: Entry, trial: Trial) -> bool:
        """Whether callers have this operation without a grant."""
        verdict = self._force.bundle.surfaces[entry.form.wire].operations.get(trial.operation)
        return verdict is not None and not isinstance(verdict, Conditional)

    async def _pass(self, entry: Entry, trial: Trial, model: str, result: Result, *, stream: bool) -> None:
        what = f"{trial.operation}, {model}, {'streamed' if stream else 'whole'}"
        document, placed = filled(trial, model, texts())
        if stream:
            document["stream"] = True
        self._witness.script(Scenario(say=ANSWER, piece=3), count=1)
        status, headers, body = await self._call(entry, trial.operation, document)
        arrived = [arrival.body or b"" for arrival in self._witness.arrivals]
        self._witness.reset()
        result.calls += 1
        await self._look_up(what, headers, len(arrived), result)
        for each in arrived if result.looked else ():
            if found := leaks(each):
                result.leaked.append(f"{what}: {len(found)} findings arrived at the witness")
            if lost := missing(each, placed):
                result.unproved.append(
                    f"{what}: {len(lost)} of {len(placed)} places did not arrive, so nothing is shown"
                )
            result.let_through += [f"{what}: {name} arrived otherwise than forced" for name in _unforced(each, trial)]
        if result.looked and self._force.bundle.settings.redaction.answers and leaks(body):
            result.leaked.append(f"{what}: the answer came back with a finding in it")
        if not arrived and not (self._refuses and headers.get("x-gateway-code")):
            result.unproved.append(f"{what}: it was not let through ({headers.get('x-gateway-code') or status})")
        elif arrived and status != 200:
            result.unproved.append(f"{what}: its answer did not come back ({headers.get('x-gateway-code') or status})")

    @property
    def _refuses(self) -> bool:
        return self._force.bundle.settings.redaction.scope == "refuse"

    async def _refused(self, entry: Entry, trial: Trial, model: str, result: Result) -> None:
        names = ", ".join(sorted(trial.document.keys() - {"model", "input", "messages", "max_tokens"}))
        what = f"{trial.operation} with {names}"
        document, _placed = filled(trial, model, texts())
        _status, headers, _body = await self._call(entry, trial.operation, document)
        arrived = len(self._witness.arrivals)
        self._witness.reset()
        result.calls += 1
        await self._look_up(what, headers, arrived, result)
        if arrived or "x-gateway-code" not in headers:
            result.let_through.append(f"{what}: it was let through")

    async def _call(self, entry: Entry, operation: str, document: Document) -> tuple[int, dict[str, str], bytes]:
        wire = PROVIDERS[entry.form.wire]
        headers = {
            "authorization": f"Bearer {self._key}",
            "content-type": "application/json",
            "x-gateway-processor": mirrored(entry.id),
            **HEADERS[wire.name],
        }
        address = self._url + wire.alias + wire.operation(operation).path
        try:
            async with self._session.post(
                address, data=serialise(document), headers=headers, timeout=_timeout()
            ) as answer:
                body = await answer.read()
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body
        except (aiohttp.ClientError, TimeoutError):
            return 0, {}, b""

    async def _look_up(self, what: str, headers: dict[str, str], arrived: int, result: Result) -> None:
        """Whether the record has exactly what happened: an intent and an outcome for what left, or one refusal."""
        call = headers.get("x-gateway-call-id", "")
        kinds = await asyncio.to_thread(self._kinds, call) if len(call) == 32 else None
        if kinds is None:
            result.unrecorded.append(f"{what}: no record of it can be read")
        elif kinds["intent"] != arrived or kinds["outcome"] != arrived or (not arrived and kinds["refusal"] != 1):
            result.unrecorded.append(f"{what}: what is in the record is not what happened")

    def _kinds(self, call: str) -> Counter[str] | None:
        try:
            key = self._parts.keyring.journal_key()
            return Counter(str(line["kind"]) for line in query(self._parts.state / "journal", key, Filters(call=call)))
        except StoreFault:
            return None


def _models(entry: Entry, operation: str) -> list[str]:
    """One zero-retention model for each set of traits: what a surface forces depends on them and on nothing else."""
    found: dict[tuple[tuple[str, str], ...], Model] = {}
    if operation in entry.form.operations:
        for model in entry.form.models:
            if model.retention_class == "zero" and operation in (model.operations or entry.form.operations):
                found.setdefault(tuple(sorted(model.traits.items())), model)
    return [model.id for model in found.values()]


def _unforced(body: bytes, trial: Trial) -> Iterator[str]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = {}
    for name, value in trial.forced.items():
        if document.get(name) != value:
            yield name


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=SECONDS)
