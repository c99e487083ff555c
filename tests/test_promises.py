"""The promises of the design, each by a check that reports what breaks it, on the product and on a product broken on purpose.

A check returns its violations. Every one is run twice: as it is nothing may be found, and with one part
replaced so that the promise breaks, something must be.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
import pytest_asyncio
from msgspec.structs import replace

import gateway.conversations
import gateway.relay
from gateway.attempt import Attempt
from gateway.audit.ledger import Ledger
from gateway.audit.store import StoreFault
from gateway.audit.words import Result
from gateway.conversations import Conversation
from gateway.endpoints import Endpoint
from gateway.errors import Code, GatewayError, Unavailable
from gateway.exchange import Admission, Call, CleanCall, Grant
from gateway.limits import Limits
from gateway.passage import Passage
from gateway.policy.judge import Policy
from gateway.redaction.detector import Detector
from gateway.redaction.redactor import Redactor
from gateway.relay import Relay
from gateway.simulator import Fault, Scenario, Simulator
from providers.document import Document, serialise
from tests.conftest import Gateway
from tests.houses import UNSCANNED, client, house, records, settings, unaccounted

pytestmark = pytest.mark.asyncio(loop_scope="module")

Break = Callable[[pytest.MonkeyPatch], None]

GONE_SECONDS = 1.0
"""How long after its caller left a provider may still be held."""
QUICK: dict[str, object] = {"first_byte_seconds": 0.6, "idle_seconds": 0.6, "write_seconds": 0.6}
SENSITIVE = "My rep was diagnosed with multiple sclerosis last week."


@dataclass(frozen=True, slots=True)
class World:
    """A gateway and its provider, shared by the tests of this module."""

    gateway: Gateway
    provider: Simulator

    async def call(self, document: Document, path: str = "/v1/chat/completions") -> tuple[int, bytes]:
        """One call, read to its end; status 0 where it was broken off."""
        async with client(self.gateway.key) as session:
            try:
                async with session.post(self.gateway.url + path, data=serialise(document), headers=JSON) as answer:
                    return answer.status, await answer.read()
            except aiohttp.ClientError:
                return 0, b""


JSON = {"content-type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(lasting_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway for this module, with short patience and the redactor on."""
    chosen = settings(limits=QUICK, journal={"ballast_bytes": 4096, "timeout_seconds": 5.0})
    async with house(lasting_simulator, tmp_path_factory.mktemp("promises"), chosen) as running:
        yield World(running, lasting_simulator)


@pytest.fixture
def world(made: World) -> World:
    """The same, its provider well-behaved and without memory."""
    made.provider.reset()
    return made


def _chat(stream: bool = False, text: str = "How did the call go?") -> Document:
    return {"model": "gpt-simulated", "stream": stream, "messages": [{"role": "user", "content": text}]}


def _message(stream: bool = False) -> Document:
    turns: list[Any] = [{"role": "user", "content": "How did the call go, from its start to its end?"}]
    return {"model": "claude-simulated", "stream": stream, "max_tokens": 64, "messages": turns}


# P1: no byte leaves before its intent is durable


async def _left_early(world: World, monkeypatch: pytest.MonkeyPatch, fails: bool) -> list[str]:
    store = world.gateway.application._journal._store
    commit, held, waiting = store.commit, threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(lines: Any, first: int, floor: int) -> None:
        loop.call_soon_threadsafe(waiting.set)
        held.wait(10)
        if fails:
            raise StoreFault("simulated")
        commit(lines, first, floor)

    monkeypatch.setattr(store, "commit", slow)
    found = []
    calling = loop.create_task(world.call(_chat()))
    try:
        await asyncio.wait_for(waiting.wait(), 5)
        try:
            await world.provider.witness.until(lambda: bool(world.provider.arrivals), 0.3)
            found.append("it arrived while its intent was being written")
        except TimeoutError:
            pass
    finally:
        held.set()
    status, body = await calling
    arrived = len(world.provider.arrivals)
    if fails and (status, arrived) != (503, 0):
        found.append(f"status {status} and {arrived} arrivals though the intent could not be written")
    if fails and b"audit_unavailable" not in body:
        found.append("the refusal does not say audit_unavailable")
    if not fails and (status, arrived) != (200, 1):
        found.append(f"status {status} and {arrived} arrivals once the intent was written")
    monkeypatch.undo()
    await world.gateway.application._journal.recover()
    return found


def _admit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def admit(ledger: Ledger, intent: Any) -> Admission:
        ledger._journal.submit(intent)
        return Admission(intent.call, intent.attempt)

    monkeypatch.setattr(Ledger, "admit", admit)


@pytest.mark.parametrize("fails", [False, True], ids=["slow", "failing"])
@pytest.mark.parametrize("broken", [None, _admit_at_once], ids=["sound", "admitted-at-once"])
async def test_p1_no_byte_leaves_before_its_intent_is_durable(
    world: World, monkeypatch: pytest.MonkeyPatch, broken: Break | None, fails: bool
) -> None:
    """While the disk is slow nothing arrives; when it fails nothing ever does."""
    if broken:
        broken(monkeypatch)
    assert bool(await _left_early(world, monkeypatch, fails)) is (broken is not None)


# P2: one intent, one outcome, on every exit


@dataclass(frozen=True, slots=True)
class Exit:
    """One way a call ends. `leave` is what its caller does: read, or go at some moment, or stop reading."""

    name: str
    result: str
    script: Scenario = Scenario()
    leave: str = ""
    streams: tuple[bool, ...] = (False, True)


EXITS = (
    Exit("completed", "completed"),
    Exit("refused by provider", "refused_by_provider", Scenario(status=429, error_type="rate_limit_error")),
    Exit("provider fails", "upstream_failed", Scenario(status=500, error_type="server_error")),
    Exit("provider dies before head", "upstream_failed", Scenario(fault=Fault.DIE_BEFORE_HEAD)),
    Exit("provider is reset", "upstream_failed", Scenario(fault=Fault.DIE_BEFORE_HEAD, reset=True)),
    Exit("truncated", "upstream_truncated", Scenario(fault=Fault.DIE_MID_BODY)),
    Exit("ends early", "upstream_truncated", Scenario(fault=Fault.END_EARLY), streams=(True,)),
    Exit("no head in time", "upstream_timeout", Scenario(fault=Fault.STALL_BEFORE_HEAD)),
    Exit("stalls", "upstream_timeout", Scenario(fault=Fault.STALL_MID_BODY)),
    Exit("unknown event", "cut_off", Scenario(events=(("", {"object": "unheard.of"}),)), streams=(True,)),
    Exit("other model", "cut_off", Scenario(served_model="gpt-other")),
    Exit("caller gone before head", "aborted_by_caller", Scenario(delay=30), leave="head"),
    Exit("caller gone before token", "aborted_by_caller", Scenario(pace=0.2), leave="token", streams=(True,)),
    Exit("caller gone mid-stream", "aborted_by_caller", Scenario(fault=Fault.ENDLESS, pace=0.02), "stream", (True,)),
    Exit("caller stops reading", "cut_off", Scenario(fault=Fault.ENDLESS, say="word " * 4000), "stall", (True,)),
)


async def _leaves(world: World, document: Document, leave: str) -> None:
    body, port = serialise(document), world.gateway.application.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {world.gateway.key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    arrivals = world.provider.arrivals
    await world.provider.witness.until(lambda: bool(arrivals) and arrivals[0].body is not None)
    if leave == "token":
        await reader.readuntil(b"\r\n\r\n")
    elif leave == "stream":
        await reader.readuntil(b"data: ")
        await reader.readuntil(b"data: ")
    elif leave == "stall":
        await world.provider.witness.until(lambda: arrivals[0].end != "open", 20)
    writer.transport.abort()


async def _ends_badly(world: World, way: Exit, stream: bool) -> list[str]:
    state, journal = world.gateway.state, world.gateway.application._journal
    before = len(records(state))
    world.provider.script(way.script)
    document = _chat(stream)
    if way.leave:
        await _leaves(world, document, way.leave)
    else:
        await world.call(document)
    found = []
    try:
        await world.provider.witness.settled(1, GONE_SECONDS)
    except TimeoutError:
        found.append("the provider is still held")
    try:
        await asyncio.wait_for(journal.settled(), 1)
    except TimeoutError:
        found.append("the attempt is still open")
    lines = records(state)[before:]
    results = [line["result"] for line in lines if line["kind"] == "outcome"]
    if results != [way.result]:
        found.append(f"the results are {results}")
    if way.leave and world.provider.arrivals[0].end != "caller_gone":
        found.append(f"the provider saw {world.provider.arrivals[0].end}")
    return found + unaccounted(lines)


@pytest.mark.parametrize(("way", "stream"), [(way, s) for way in EXITS for s in way.streams], ids=lambda v: getattr(v, "name", str(v)))  # fmt: skip
async def test_p2_every_exit_has_exactly_one_outcome(world: World, way: Exit, stream: bool) -> None:
    """However a call ends, its record says so once, and no provider is held for a caller who left."""
    assert await _ends_badly(world, way, stream) == []


@pytest.mark.parametrize("way", [EXITS[0], EXITS[5], EXITS[13]], ids=lambda way: way.name)
async def test_p2_a_forgotten_outcome_is_found(world: World, monkeypatch: pytest.MonkeyPatch, way: Exit) -> None:
    """If nothing concluded an attempt, the check of P2 would say so."""
    forgotten: list[Attempt] = []

    async def conclude(attempt: Attempt, *_args: object, **_named: object) -> None:
        forgotten.append(attempt)

    with monkeypatch.context() as patched:
        patched.setattr(Attempt, "conclude", conclude)
        patched.setattr(Attempt, "abandon", lambda attempt, _result: forgotten.append(attempt))
        found = await _ends_badly(world, way, stream=True)
    for attempt in forgotten:
        attempt.abandon(Result.CUT_OFF)
    await world.gateway.application._journal.settled()

    assert "the attempt is still open" in found


async def test_p2_a_stop_cuts_a_live_stream_off(tmp_path: Path) -> None:
    """A stream that outlives the drain has the outcome `cut_off`, and its answer does not look complete."""
    async with Simulator() as provider:
        provider.script(Scenario(fault=Fault.ENDLESS, pace=0.02))
        chosen = settings(limits={"drain_seconds": 0.2}, **UNSCANNED)
        async with house(provider, tmp_path, chosen) as running:
            calling = asyncio.get_running_loop().create_task(World(running, provider).call(_chat(stream=True)))
            await provider.witness.until(lambda: bool(provider.arrivals) and provider.arrivals[0].sent > 0)
        status, body = await calling

        lines = records(running.state)
        assert unaccounted(lines) == []
        assert [line["result"] for line in lines if line["kind"] == "outcome"] == ["cut_off"]
        assert status == 0 or b"[DONE]" not in body


# P3: what left is what was judged and cleaned


async def _left_otherwise(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    cleaned: list[CleanCall] = []
    clean_call = gateway.relay.clean_call

    async def noted(grant: Grant, redactor: Redactor | None, known: Conversation | None = None) -> CleanCall:
        cleaned.append(await clean_call(grant, redactor, known))
        return cleaned[-1]

    monkeypatch.setattr(gateway.relay, "clean_call", noted)
    await world.call(_chat(text=SENSITIVE))
    (arrival,) = world.provider.arrivals
    tree, found = arrival.document, []
    if arrival.body != cleaned[0].body or tree != json.loads(cleaned[0].body):
        found.append("other bytes arrived than were cleaned")
    if b"sclerosis" in (arrival.body or b"") or b"[REDACTED]" not in (arrival.body or b""):
        found.append("what was found was not taken out")
    found += [f"{each.where} was not forced" for each in cleaned[0].grant.forced if each.where not in tree]
    if not cleaned[0].grant.forced or tree.get("store") is not False:
        found.append("nothing was forced")
    return found


def _clean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def clean(grant: Grant, _redactor: object, _known: object) -> CleanCall:
        return CleanCall(grant, serialise(grant.document), "application/json", {})

    monkeypatch.setattr(gateway.relay, "clean_call", clean)


def _force_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = gateway.relay.judge
    monkeypatch.setattr(gateway.relay, "judge", lambda call, policy: _unforced(judge(call, policy)))


def _unforced(grant: Grant) -> Grant:
    return replace(grant, document={key: value for key, value in grant.document.items() if key != "store"})


def _send_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    send = gateway.relay.Upstream.send

    def other(upstream: Any, clean: CleanCall, admission: Admission, credential: str) -> Any:
        return send(upstream, replace(clean, body=clean.body.replace(b'"user"', b'"system"')), admission, credential)

    monkeypatch.setattr(gateway.relay.Upstream, "send", other)


@pytest.mark.parametrize("broken", [None, _clean_nothing, _force_nothing, _send_something_else])
async def test_p3_what_left_is_what_was_judged_and_cleaned(
    world: World, monkeypatch: pytest.MonkeyPatch, broken: Break | None
) -> None:
    """The provider got the very bytes of the clean call: forced values in it, findings out of it."""
    if broken:
        broken(monkeypatch)
    assert bool(await _left_otherwise(world, monkeypatch)) is (broken is not None)


def _turn(text: str) -> Document:
    return {"role": "user", "content": text}


async def _known_left_otherwise(world: World) -> list[str]:
    """A conversation is sent, sent again with one more turn, and sent with another turn of the same length in it."""
    talk = [_turn("We went through the renewal and who owns it. " * 60), _turn("And then?")]
    other = "Nobody was ill, and so we went on".ljust(len(SENSITIVE), ".")
    for turns in ([_turn(SENSITIVE)], [_turn(SENSITIVE), _turn("Now?")], [_turn(other), _turn("Now?")]):
        await world.call({"model": "gpt-simulated", "messages": [*talk, *turns]})
    first, second, third = (arrival.document for arrival in world.provider.arrivals)
    found = [] if second["store"] is third["store"] is False else ["nothing was forced"]
    if "sclerosis" in str(second) or second["messages"] != [*first["messages"], _turn("Now?")]:
        found.append("what was found before was not taken out, or more was")
    if third["messages"] != [*talk, _turn(other), _turn("Now?")]:
        found.append("what was done to one text was done to another")
    return found


def _remember_no_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    edits = gateway.conversations.edits
    monkeypatch.setattr(gateway.conversations, "edits", lambda *told: (passed := edits(*told)) and ((), passed[1]))


def _ask_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conversation, "_digest", lambda _conversation, _end: bytes(32))


@pytest.mark.parametrize("broken", [None, _remember_no_edits, _ask_no_digest])
async def test_p3_holds_for_conversations_that_are_known(
    world: World, monkeypatch: pytest.MonkeyPatch, broken: Break | None
) -> None:
    """What of a conversation is not read again leaves as it would if it were."""
    if broken:
        broken(monkeypatch)
    assert bool(await _known_left_otherwise(world)) is (broken is not None)


# P4: an error refuses


def _failing(where: Any, name: str, error: type[Exception] | Exception) -> Break:
    def fail(*_args: object, **_named: object) -> Any:
        raise error

    return lambda monkeypatch: monkeypatch.setattr(where, name, fail)


UNABLE = Unavailable(Code.REDACTION_UNAVAILABLE, "simulated")
ERRORS: dict[str, Break] = {
    "detector unavailable": _failing(Redactor, "clean", UNABLE),
    "detector breaks": _failing(Redactor, "clean", RuntimeError),
    "judge breaks": _failing(gateway.relay, "judge", KeyError),
    "registry breaks": _failing(gateway.relay, "open_call", LookupError),
    "record cannot be made": _failing(gateway.relay.Intent, "of", ValueError),
    "journal breaks": _failing(Ledger, "admit", OSError),
    "limits break": _failing(Limits, "admit", ZeroDivisionError),
}


async def _let_through(world: World) -> list[str]:
    status, _body = await world.call(_chat(text=SENSITIVE))
    found = [] if status >= 400 else [f"the caller saw {status}"]
    return found + ["it arrived"] * len(world.provider.arrivals)


@pytest.mark.parametrize("error", ERRORS)
async def test_p4_any_error_refuses(world: World, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    """Whatever part fails, and however, nothing leaves and the caller is told."""
    ERRORS[error](monkeypatch)
    assert await _let_through(world) == []


async def test_p4_going_on_without_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that swallowed the detector's error would be seen."""
    clean_call = gateway.relay.clean_call

    async def lenient(grant: Grant, redactor: Redactor | None, _known: object) -> CleanCall:
        try:
            return await clean_call(grant, redactor)
        except GatewayError:
            return await clean_call(grant, None)

    ERRORS["detector unavailable"](monkeypatch)
    monkeypatch.setattr(gateway.relay, "clean_call", lenient)
    assert await _let_through(world) != []


async def _heard(world: World, *, stream: bool) -> list[str]:
    """What of a finding in an answer reached the caller."""
    world.provider.script(Scenario(say=f"{SENSITIVE} {SENSITIVE}", piece=400))
    _status, body = await world.call(_chat(stream=stream))
    return ["the caller heard it"] * body.count(b"sclerosis")


def _hold_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that lets go whatever came, settled or not."""
    monkeypatch.setattr(Passage, "answer", lambda _passage: None)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_p4_an_answer_is_heard_clean_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """What comes back is cleaned, and where nobody can look it does not pass."""
    assert await _heard(world, stream=stream) == []
    monkeypatch.setattr(Detector, "settle", _unable)
    assert await _heard(world, stream=stream) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_p4_an_answer_let_through_is_found(world: World, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """Without the cleaning, the caller would hear it."""
    _hold_nothing(monkeypatch)
    assert await _heard(world, stream=stream) != []


async def _unable(*_args: object) -> Any:
    raise UNABLE


# P5 is held by tests/test_canary.py


# P6: listed names only, no redirect


async def _went_elsewhere(world: World, collector: Simulator, status: int) -> list[str]:
    world.provider.script(Scenario(status=status, headers={"location": f"{collector.url}/v1/chat/completions"}))
    seen, _body = await world.call(_chat())
    found = [] if seen == 502 else [f"the caller saw {seen}"]
    return found + ["the place it was redirected to was asked"] * len(collector.arrivals)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("follows", [False, True], ids=["sound", "following"])
async def test_p6_no_redirect_is_followed(
    world: World, monkeypatch: pytest.MonkeyPatch, status: int, follows: bool
) -> None:
    """A provider that points elsewhere has failed, and elsewhere hears nothing."""
    async with Simulator() as collector:
        if follows:
            refuse = Relay._refuse

            async def follow(relay: Relay, passage: Any, error: GatewayError) -> Any:
                async with aiohttp.ClientSession() as session:
                    await session.post(f"{collector.url}/v1/chat/completions", data=passage.clean.body)
                return await refuse(relay, passage, error)

            monkeypatch.setattr(Relay, "_refuse", follow)
        assert bool(await _went_elsewhere(world, collector, status)) is follows


@pytest.mark.parametrize("listed", [False, True], ids=["sound", "listed"])
async def test_p6_an_unlisted_host_is_never_contacted(
    world: World, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """Even a grant that names it does not make the sender connect; a listed one would be asked."""
    judge = gateway.relay.judge
    async with Simulator() as collector:

        def astray(call: Call, policy: Policy) -> Grant:
            grant = judge(call, policy)
            return replace(grant, route=replace(grant.route, base_url=collector.url))

        monkeypatch.setattr(gateway.relay, "judge", astray)
        upstream = world.gateway.application._upstream
        if listed:
            upstream.replace([Endpoint(world.provider.url, True), Endpoint(collector.url, True)])
        status, _body = await world.call(_chat())
        upstream.replace([Endpoint(world.provider.url, True)])

        assert (len(collector.arrivals), status) == ((1, 200) if listed else (0, 502))


# P7: a truncated answer never looks complete

TRUNCATIONS = (Fault.END_EARLY, Fault.DIE_MID_BODY, Fault.DIE_MID_STREAM, Fault.STALL_MID_BODY)
TERMINAL = (b"[DONE]", b"message_stop", b"response.completed")


async def _looks_complete(world: World, fault: Fault, wire: str) -> list[str]:
    for _ in range(2):
        world.provider.script(Scenario(fault=fault))
    path = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}[wire]
    documents = {
        "chat": _chat(stream=True),
        "messages": _message(stream=True),
        "responses": {"model": "gpt-simulated", "input": "How did it go?", "stream": True},
    }
    _status, body = await world.call(documents[wire], path)
    found = [f"{end.decode()} was delivered" for end in TERMINAL if end in body]
    base, key = world.gateway.url, world.gateway.key
    try:
        if wire == "messages":
            async with anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0) as messages:
                async for _event in await messages.messages.create(**documents[wire]):  # type: ignore[arg-type]
                    pass
        else:
            async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0) as sdk:
                api: Any = sdk.chat.completions if wire == "chat" else sdk.responses
                async for _event in await api.create(**documents[wire]):
                    pass
        found.append("the client raised nothing")
    except (openai.OpenAIError, anthropic.AnthropicError):
        pass
    return found


def _end_well(monkeypatch: pytest.MonkeyPatch) -> None:
    break_off = Relay._break_off

    async def well(*args: Any) -> bytes:
        await break_off(*args)
        return b'event: message_stop\ndata: {"type": "message_stop"}\n\ndata: [DONE]\n\n'

    monkeypatch.setattr(Relay, "_break_off", well)


@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
@pytest.mark.parametrize("fault", TRUNCATIONS)
async def test_p7_a_truncated_stream_never_looks_complete(world: World, fault: Fault, wire: str) -> None:
    """Its terminal event is never delivered, and the stock client raises."""
    assert await _looks_complete(world, fault, wire) == []


@pytest.mark.parametrize("wire", ["chat", "messages"])
async def test_p7_a_made_up_end_is_found(world: World, monkeypatch: pytest.MonkeyPatch, wire: str) -> None:
    """If the gateway ended a broken stream well, both signs would say so."""
    _end_well(monkeypatch)
    found = await _looks_complete(world, Fault.END_EARLY, wire)
    assert len(found) >= 2
    assert "the client raised nothing" in found


# P8: bounded


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "unbounded"])
async def test_p8_a_full_gateway_answers_at_once(world: World, monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    """With every place taken the next call is refused at once, and never reaches the provider."""
    limits = world.gateway.application._relay._limits
    monkeypatch.setattr(limits, "_total", 2)
    if broken:
        monkeypatch.setattr(Limits, "admit", lambda *_args: nullcontext())
    world.provider.script(Scenario(delay=0.5), count=2)
    loop = asyncio.get_running_loop()
    held = [loop.create_task(world.call(_chat())) for _ in range(2)]
    await world.provider.witness.until(lambda: len(world.provider.arrivals) == 2)

    status, body = await world.call(_chat())
    at_once = not any(each.done() for each in held)
    await asyncio.gather(*held)

    assert (status, b"overloaded" in body, len(world.provider.arrivals)) == (
        (200, False, 3) if broken else (503, True, 2)
    )
    assert at_once
    assert limits.in_flight == 0


# P10: ordinary traffic passes unchanged in meaning


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "changing"])
async def test_p10_ordinary_traffic_arrives_as_it_was_written(
    world: World, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """But for what the answer says was forced, the provider reads the caller's own tree."""
    if broken:
        _send_something_else(monkeypatch)
    document = {**_chat(), "temperature": 0.5, "max_completion_tokens": 64, "stop": ["END"], "seed": 7}
    status, _body = await world.call(document)
    arrived = {key: value for key, value in world.provider.arrivals[0].document.items() if key in document}
    assert status == 200
    assert (arrived == document) is not broken


async def test_p10_is_held_by_the_official_clients() -> None:
    """Each wire has its module of stock-client tests."""
    for wire in ("openai", "anthropic"):
        assert "async def " in (Path(__file__).parent / f"test_official_sdks_{wire}.py").read_text(encoding="utf-8")
