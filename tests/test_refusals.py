"""Every refusal code of the contract, as the stock clients raise it and as raw HTTP shows it.

Each is asked for plainly and as a stream. What is refused reaches no provider, is recorded once for a known
caller and never for a stranger, is not tried again by the client, and quotes nothing of what was sent.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
import pytest_asyncio
import yaml

from gateway.app import Application
from gateway.audit.reader import Filters, Line, query
from gateway.audit.store import SqliteStore, StoreFault
from gateway.errors import Code
from gateway.keys import Keyring
from gateway.simulator import CREDENTIAL, Fault, Scenario, Simulator
from providers.document import Document, Value
from tests.configuration import CALLER, EUROPEAN, MANY, PURPOSE, TENANT, entry, issue_key, write_configuration
from tests.conftest import Gateway
from tests.detectors import shared
from tests.official_sdks import ANTHROPIC_MODEL, EMBEDDING_MODEL, OPENAI_MODEL
from tests.raw_http import Answer, Connection, ask, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "quoimarque7f3a"
LIMITED = "limited-service"
EXPIRED, SUSPENDED, UNREACHABLE, ABROAD = "expired-model", "suspended-model", "unreachable-model", "foreign-model"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {MARK: {"type": "string"}}, "required": [MARK], "additionalProperties": False}

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
}
TALK: list[Value] = [{"role": "user", "content": f"hello {MARK}"}]
BODIES: dict[str, Document] = {
    "chat": {"model": OPENAI_MODEL, "messages": [*TALK]},
    "responses": {"model": OPENAI_MODEL, "input": f"hello {MARK}"},
    "embeddings": {"model": EMBEDDING_MODEL, "input": f"hello {MARK}"},
    "messages": {"model": ANTHROPIC_MODEL, "max_tokens": 16, "messages": [*TALK]},
}
OPENAI_RAISES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
}


# --- the gateway under test, and the clients -------------------------------------------------------


def _amend(path: Path, **changes: object) -> None:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(tree), encoding="utf-8")


def _configure(folder: Path, port: int, closed_port: int) -> Path:
    """A configuration that can produce every refusal: tight bounds, and a registry with entries that may not serve."""
    limits: dict[str, object] = {
        "caller_per_minute": 1_000_000,
        "in_flight": 2,
        "body_bytes": 64 * 1024,
        "first_byte_seconds": 0.4,
        "idle_seconds": 0.4,
        "drain_seconds": 5.0,
    }
    directory = write_configuration(
        folder, port, CREDENTIAL, settings={"limits": limits, "redaction": {"remembered": 0}}
    )
    here, nobody = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{closed_port}"
    for wire in ("openai", "anthropic"):
        expired = entry(wire, here, [EXPIRED], name=f"expired-{wire}")
        agreements = expired["agreements"]
        assert isinstance(agreements, list)
        agreements[0]["valid_until"] = "2026-02-01"
        suspended = entry(wire, here, [SUSPENDED], name=f"suspended-{wire}")
        suspended["suspended"] = True
        made = [
            expired,
            suspended,
            entry(wire, nobody, [UNREACHABLE], name=f"unreachable-{wire}"),
            entry(wire, here, [ABROAD], name=f"abroad-{wire}", countries=["US"]),
        ]
        for each in made:
            (directory / "processors" / f"{each['id']}.yaml").write_text(json.dumps(each), encoding="utf-8")
    limited = {"tenants": [TENANT], "purposes": [PURPOSE], "limits": {"per_minute": 1}}
    _amend(directory / "callers.yaml", callers={LIMITED: limited})
    return directory


@dataclass(frozen=True, slots=True)
class Strict(Gateway):
    """Such a gateway. `granted_key` is of a caller with many tenants, `limited_key` of one with one call a minute."""

    limited_key: str


@asynccontextmanager
async def running(simulator: Simulator, folder: Path) -> AsyncIterator[Strict]:
    """The application with that configuration, and a port on which nobody listens."""
    closed = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    closed_port = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    directory, state = _configure(folder, simulator.port, closed_port), folder / "state"
    key, many, limited = (issue_key(state, caller) for caller in (CALLER, MANY, LIMITED))
    application = Application(directory, state, stream=io.BytesIO(), part=shared())
    await application.start()
    try:
        yield Strict(application, directory, state, key, many, limited)
    finally:
        await application.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(lasting_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Strict]:
    """One such gateway for this module."""
    async with running(lasting_simulator, tmp_path_factory.mktemp("strict")) as gateway:
        yield gateway


@dataclass(slots=True)
class Clients:
    """What both stock clients send by, counted. They retry as they come."""

    attempts: int = 0
    openai: httpx.AsyncClient = field(init=False)
    anthropic: httpx2.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.openai = httpx.AsyncClient(event_hooks={"request": [self._count]})
        self.anthropic = httpx2.AsyncClient(event_hooks={"request": [self._count]})

    async def _count(self, _request: object) -> None:
        self.attempts += 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients() -> AsyncIterator[Clients]:
    """The clients of this module."""
    made = Clients()
    async with made.openai, made.anthropic:
        yield made


# --- what is asked ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked, and what must come of it.

    `where` is the whole path (`?N` for an unnamed key). `ruled` says that a verdict of the surface decides, so that
    source and way out are told; `sourced` that only the source is. `key` is "caller", "many", or what is shown as a
    key. `path` replaces the operation's.
    """

    code: Code
    operation: str = "chat"
    fields: dict[str, object] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    where: str | None = None
    ruled: bool = False
    sourced: bool = False
    key: str = "caller"
    method: str = "POST"
    path: str = ""

    @property
    def wire(self) -> str:
        """Whose client asks."""
        return "anthropic" if self.operation == "messages" else "openai"

    @property
    def target(self) -> str:
        """The request target at the gateway."""
        return self.path or PATHS[self.operation]

    def body(self, *, stream: bool) -> Document:
        """The request's body."""
        asked: dict[str, Any] = {**BODIES[self.operation], **self.fields}
        return {**asked, "stream": True} if stream else asked

    def secret(self, gateway: Strict) -> str:
        """The key that it shows."""
        return {"caller": gateway.key, "many": gateway.granted_key}.get(self.key, self.key)


def _asks() -> dict[str, Ask]:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    asks: dict[str, Ask] = {}
    for name in ("chat", "responses", "messages"):
        asks |= {f"{what}, {name}": each for what, each in _everywhere(name).items()}
    asks |= {
        "key of a provider, openai": Ask(Code.UNAUTHENTICATED, key=f"sk-proj-{MARK}"),
        "key of a provider, anthropic": Ask(Code.UNAUTHENTICATED, "messages", key=f"sk-ant-{MARK}"),
        "embeddings as tokens": Ask(
            Code.CONTENT_NOT_SCANNABLE, "embeddings", {"input": [1, 2, 3]}, where="input[0]", ruled=True
        ),
        "store of chat": Ask(Code.PARAMETER_RETAINS_DATA, "chat", {"store": True}, where="store", ruled=True),
        "search of chat": Ask(
            Code.PARAMETER_RETAINS_DATA,
            "chat",
            {"web_search_options": {"user_location": MARK}},
            where="web_search_options",
            ruled=True,
        ),
        "previous response": Ask(
            Code.PARAMETER_RETAINS_DATA,
            "responses",
            {"previous_response_id": MARK},
            where="previous_response_id",
            ruled=True,
        ),
        "container": Ask(Code.PARAMETER_RETAINS_DATA, "messages", {"container": MARK}, where="container", ruled=True),
        "schema of chat": Ask(
            Code.SCHEMA_NOT_APPROVED,
            "chat",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": SCHEMA, "strict": True},
                }
            },
            where="response_format.json_schema.schema",
            ruled=True,
        ),
        "schema of responses": Ask(
            Code.SCHEMA_NOT_APPROVED,
            "responses",
            {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}}},
            where="text.format.schema",
            ruled=True,
        ),
        "schema of messages": Ask(
            Code.SCHEMA_NOT_APPROVED,
            "messages",
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            where="output_config.format.schema",
            ruled=True,
        ),
        "image of chat": Ask(
            Code.CONTENT_NOT_SCANNABLE,
            "chat",
            {"messages": [{"role": "user", "content": [image]}]},
            where="messages[0].content[0].image_url.url",
            ruled=True,
        ),
        "image of messages": Ask(
            Code.CONTENT_NOT_SCANNABLE,
            "messages",
            {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]},
            where="messages[0].content[0].source",
            ruled=True,
        ),
        "beta of messages": Ask(
            Code.PARAMETER_RETAINS_DATA,
            "messages",
            headers={"anthropic-beta": "files-api-2025-04-14"},
            where="anthropic-beta",
            ruled=True,
        ),
    }
    return asks


def _everywhere(operation: str) -> dict[str, Ask]:
    """What meets the same refusal on every operation."""
    unknown = f"?{len(BODIES[operation])}"
    tenant, purpose = {"x-gateway-tenant": TENANT}, {"x-gateway-purpose": PURPOSE}
    other = f"/anthropic/v1/{MARK}" if operation == "messages" else f"/openai/v1/{MARK}"
    return {
        "no such key": Ask(Code.UNAUTHENTICATED, operation, key=f"zrg_{MARK}"),
        "path": Ask(Code.OPERATION_NOT_ALLOWED, operation, path=other),
        "tenant missing": Ask(Code.TENANT_MISSING, operation, headers=purpose, key="many", where="x-gateway-tenant"),
        "tenant unknown": Ask(
            Code.TENANT_UNKNOWN, operation, headers={"x-gateway-tenant": MARK}, where="x-gateway-tenant"
        ),
        "tenant of another caller": Ask(
            Code.TENANT_UNKNOWN, operation, headers={"x-gateway-tenant": EUROPEAN}, where="x-gateway-tenant"
        ),
        "tenant cancelled": Ask(
            Code.TENANT_UNKNOWN,
            operation,
            headers={**purpose, "x-gateway-tenant": "t-gone"},
            key="many",
            where="x-gateway-tenant",
        ),
        "purpose missing": Ask(Code.PURPOSE_MISSING, operation, headers=tenant, key="many", where="x-gateway-purpose"),
        "purpose of another caller": Ask(
            Code.PURPOSE_NOT_ALLOWED,
            operation,
            headers={"x-gateway-purpose": "coaching_feedback"},
            where="x-gateway-purpose",
        ),
        "content type": Ask(Code.BODY_INVALID, operation, headers={"content-type": "text/plain"}),
        "body too large": Ask(Code.BODY_TOO_LARGE, operation, {"metadata": {"x": MARK * 5000}}),
        "unknown key": Ask(Code.PARAMETER_UNKNOWN, operation, {MARK: MARK}, where=unknown, sourced=True),
        "model": Ask(Code.MODEL_NOT_ALLOWED, operation, {"model": MARK}, where="model"),
        "processor unheard of": Ask(
            Code.MODEL_NOT_ALLOWED, operation, headers={"x-gateway-processor": MARK}, where="x-gateway-processor"
        ),
        "residency of a tenant": Ask(
            Code.RESIDENCY_MISMATCH, operation, headers={**purpose, "x-gateway-tenant": EUROPEAN}, key="many"
        ),
        "residency of a processor": Ask(Code.RESIDENCY_MISMATCH, operation, {"model": ABROAD}),
        "suspended": Ask(Code.PROCESSOR_NOT_ACTIVE, operation, {"model": SUSPENDED}),
        "expired": Ask(Code.AGREEMENT_EXPIRED, operation, {"model": EXPIRED}),
    }


ASKS = _asks()
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


# --- how it is asked --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer, however it was asked for: status, headers, the wire's error object, and all of it as text."""

    status: int
    headers: dict[str, str]
    error: Document
    everything: str


async def by_socket(gateway: Strict, asked: Ask, *, stream: bool) -> Seen:
    """Ask by raw HTTP."""
    headers = {
        "authorization": f"Bearer {asked.secret(gateway)}",
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        **asked.headers,
    }
    if asked.wire == "openai":
        del headers["anthropic-version"]
    body = json.dumps(asked.body(stream=stream)).encode()
    answer: Answer = await ask(gateway.application.port, request(asked.method, asked.target, headers.items(), body))
    error = answer.document["error"]
    assert isinstance(error, dict)
    return Seen(answer.status, dict(answer.headers), error, answer.everything.decode())


async def by_client(
    clients: Clients, gateway: Strict, asked: Ask, *, stream: bool, retries: int = 2
) -> tuple[Exception, Seen]:
    """Ask by the wire's stock client; what it raised, and what that shows."""
    body: Any = asked.body(stream=stream)
    options: Any = {"headers": asked.headers}
    kind: Any = openai.AsyncStream[Any] if asked.wire == "openai" else anthropic.AsyncStream[Any]
    root = gateway.url + (asked.target.partition("/v1/")[0] if asked.path else "")
    common: Any = {
        "api_key": asked.secret(gateway),
        "http_client": getattr(clients, asked.wire),
        "max_retries": retries,
    }
    client: Any
    if asked.wire == "openai":
        client = openai.AsyncOpenAI(base_url=f"{root}/v1", **common)
    else:
        client = anthropic.AsyncAnthropic(base_url=root, **common)
    target = (
        "/" + asked.target.partition("/v1/")[2]
        if asked.wire == "openai"
        else "/v1/" + asked.target.partition("/v1/")[2]
    )
    clients.attempts = 0
    try:
        found = await client.post(
            target, body=body, options=options, cast_to=object, stream=stream, stream_cls=kind if stream else None
        )
        if stream:
            [item async for item in found]
    except (openai.APIError, anthropic.APIError) as error:
        response = getattr(error, "response", None)
        headers = dict(response.headers) if response is not None else {}
        whole = error.body if isinstance(error.body, dict) else {}
        inner = whole.get("error", whole)
        return error, Seen(
            getattr(error, "status_code", 0), headers, inner, f"{error!r}{error}{headers}{json.dumps(whole)}"
        )
    raise AssertionError("the client raised nothing")


# --- what must be seen ------------------------------------------------------------------------------


def check(gateway: Strict, simulator: Simulator, asked: Ask, seen: Seen, *, retryable: bool = False) -> None:
    """Hold an answer against the contract."""
    code = asked.code
    assert (seen.status, seen.headers.get("x-gateway-code")) == (code.status, code.value)
    assert seen.headers["x-should-retry"] == ("true" if retryable else "false")
    assert ("retry-after" in seen.headers) is retryable
    call = seen.headers["x-gateway-call-id"]
    assert seen.headers["request-id" if asked.wire == "anthropic" else "x-request-id"] == call
    advised = asked.ruled or code in {Code.PARAMETER_UNKNOWN, Code.MODEL_NOT_ALLOWED}
    if asked.wire == "anthropic":
        details = seen.error["details"]
        assert isinstance(details, dict)
        assert (details["error_code"], details["path"]) == (code.value, asked.where)
        assert ("source" in details, "instead" in details) == (asked.ruled or asked.sourced, advised)
    else:
        assert (seen.error["code"], seen.error["param"]) == (code.value, asked.where)
    message = seen.error["message"]
    assert isinstance(message, str)
    assert ("Source: " in message, "Instead: " in message) == (asked.ruled or asked.sourced, advised)
    assert MARK not in seen.everything
    assert asked.secret(gateway) not in seen.everything
    assert simulator.arrivals == []
    records = recorded(gateway, call)
    if code is Code.UNAUTHENTICATED:
        assert records == []
    else:
        (record,) = records
        assert (record["kind"], record["decision"], record["code"]) == ("refusal", "refuse", code.value)
        assert record["caller"] == (MANY if asked.key == "many" else CALLER)
        assert MARK not in json.dumps(record)


def recorded(gateway: Strict, call: str) -> list[Line]:
    """What the journal holds of a call."""
    key = Keyring.open(gateway.state / "keys").journal_key()
    return list(query(gateway.state / "journal", key, Filters(call=call)))


def expected(wire: str, status: int) -> type[Exception]:
    """What the stock client raises for that status."""
    name = OPENAI_RAISES[status].__name__
    if wire == "anthropic":
        special = {413: "RequestTooLargeError", 503: "ServiceUnavailableError", 504: "DeadlineExceededError"}
        kind: type[Exception] = getattr(anthropic, special.get(status, name), getattr(anthropic, name))
        return kind
    return OPENAI_RAISES[status]


@STREAM
@pytest.mark.parametrize("asked", ASKS.values(), ids=ASKS)
async def test_raw_http_shows_the_refusal(
    lasting_simulator: Simulator, strict: Strict, asked: Ask, stream: bool
) -> None:
    """The answer bears the code, the path and the way out, and nothing of what was sent."""
    lasting_simulator.reset()

    seen = await by_socket(strict, asked, stream=stream)

    check(strict, lasting_simulator, asked, seen)


@STREAM
@pytest.mark.parametrize("asked", ASKS.values(), ids=ASKS)
async def test_the_stock_client_raises_the_refusal(
    lasting_simulator: Simulator, strict: Strict, clients: Clients, asked: Ask, stream: bool
) -> None:
    """The client raises its usual exception, once, and shows the code where its users look."""
    lasting_simulator.reset()

    error, seen = await by_client(clients, strict, asked, stream=stream)

    assert type(error) is expected(asked.wire, asked.code.status)
    assert clients.attempts == 1
    if isinstance(error, openai.APIError):
        assert (error.code, error.param) == (asked.code.value, asked.where)
    assert getattr(error, "request_id", None) == seen.headers["x-gateway-call-id"]
    check(strict, lasting_simulator, asked, seen)


# --- retryable, and after the call was let through -------------------------------------------------


PLAIN = {name: Ask(Code.OVERLOADED, name) for name in ("chat", "responses", "messages")}
NAMED = pytest.mark.parametrize("operation", PLAIN)


async def _both(clients: Clients, gateway: Strict, asked: Ask, *, stream: bool) -> AsyncIterator[Seen]:
    """Ask by socket and by client, which is not to try again."""
    seen = await by_socket(gateway, asked, stream=stream)
    yield seen
    error, shown = await by_client(clients, gateway, asked, stream=stream, retries=0)
    assert type(error) is expected(asked.wire, asked.code.status)
    yield shown


def _retryable(asked: Ask, seen: Seen) -> None:
    assert (seen.status, seen.headers["x-gateway-code"]) == (asked.code.status, asked.code.value)
    assert seen.headers["x-should-retry"] == "true"
    assert 1 <= int(seen.headers["retry-after"]) <= 60
    assert MARK not in seen.everything


@STREAM
async def test_a_caller_beyond_its_rate_is_told_when_to_come_back(
    lasting_simulator: Simulator, strict: Strict, clients: Clients, stream: bool
) -> None:
    """The second call of the minute is refused on every operation, and takes nothing from the next minute."""
    limited = strict.limited_key
    await ask(
        strict.application.port,
        request(
            "POST",
            PATHS["chat"],
            [("authorization", f"Bearer {limited}"), ("content-type", "application/json")],
            json.dumps(BODIES["chat"]).encode(),
        ),
    )
    lasting_simulator.reset()

    for operation in PLAIN:
        asked = Ask(Code.RATE_LIMITED, operation, key=limited)
        async for seen in _both(clients, strict, asked, stream=stream):
            _retryable(asked, seen)
            (record,) = recorded(strict, seen.headers["x-gateway-call-id"])
            assert (record["kind"], record["code"], record["caller"]) == ("refusal", "rate_limited", LIMITED)

    assert lasting_simulator.arrivals == []


@STREAM
async def test_a_full_gateway_says_so(
    lasting_simulator: Simulator, strict: Strict, clients: Clients, stream: bool
) -> None:
    """With as many calls in flight as it takes, the next is turned away at once, before it is known whose it is."""
    lasting_simulator.reset()
    lasting_simulator.script(Scenario(fault=Fault.ENDLESS, pace=0.05), count=2)
    headers = [("authorization", f"Bearer {strict.key}"), ("content-type", "application/json")]
    endless = request("POST", PATHS["chat"], headers, json.dumps(PLAIN["chat"].body(stream=True)).encode())
    async with Connection(strict.application.port) as one, Connection(strict.application.port) as other:
        await one.send(endless)
        await other.send(endless)
        await lasting_simulator.witness.until(lambda: len(lasting_simulator.arrivals) == 2)

        async for seen in _both(clients, strict, Ask(Code.OVERLOADED), stream=stream):
            _retryable(PLAIN["chat"], seen)
            assert list(recorded(strict, seen.headers["x-gateway-call-id"])) == []  # it is counted: see test_overload

        assert len(lasting_simulator.arrivals) == 2
    await lasting_simulator.witness.settled(2)
    assert (await _good(strict)).status == 200


async def _good(gateway: Strict) -> Answer:
    headers = [("authorization", f"Bearer {gateway.key}"), ("content-type", "application/json")]
    data = request("POST", PATHS["chat"], headers, json.dumps(BODIES["chat"]).encode())
    return await ask(gateway.application.port, data)


@STREAM
@NAMED
async def test_nothing_leaves_while_nobody_can_look(
    lasting_simulator: Simulator, strict: Strict, clients: Clients, operation: str, stream: bool
) -> None:
    """Without its detector the gateway refuses; with it again, it serves again."""
    lasting_simulator.reset()
    detector = strict.application._detector
    assert detector is not None
    asked = Ask(Code.REDACTION_UNAVAILABLE, operation)
    await detector.stop()
    try:
        async for seen in _both(clients, strict, asked, stream=stream):
            _retryable(asked, seen)
            (record,) = recorded(strict, seen.headers["x-gateway-call-id"])
            assert (record["kind"], record["code"]) == ("refusal", "redaction_unavailable")
        assert lasting_simulator.arrivals == []
    finally:
        await detector.start()

    assert (await _good(strict)).status == 200


@STREAM
@NAMED
async def test_nothing_leaves_unrecorded(
    lasting_simulator: Simulator,
    strict: Strict,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    stream: bool,
) -> None:
    """While the disk fails every call is refused, a bad one too; once it is read back, calls are served."""

    def broken(_store: SqliteStore, _lines: object, _first: int, _floor: object) -> None:
        raise StoreFault("simulated")

    lasting_simulator.reset()
    asked = Ask(Code.AUDIT_UNAVAILABLE, operation)
    with monkeypatch.context() as disk:
        disk.setattr(SqliteStore, "commit", broken)
        async for seen in _both(clients, strict, asked, stream=stream):
            _retryable(asked, seen)
        bad = Ask(Code.AUDIT_UNAVAILABLE, operation, {MARK: MARK})
        _retryable(bad, await by_socket(strict, bad, stream=stream))
    assert lasting_simulator.arrivals == []
    assert not strict.application._journal.healthy

    await strict.application._journal.recover()

    assert (await _good(strict)).status == 200


FAILURES: dict[str, tuple[Code, Scenario]] = {
    "dies": (Code.UPSTREAM_FAILED, Scenario(fault=Fault.DIE_BEFORE_HEAD)),
    "never answers": (Code.UPSTREAM_TIMEOUT, Scenario(fault=Fault.STALL_BEFORE_HEAD)),
    "another model": (Code.RESPONSE_NOT_ALLOWED, Scenario(served_model=MARK)),
}


@STREAM
@NAMED
@pytest.mark.parametrize(("code", "scenario"), FAILURES.values(), ids=FAILURES)
async def test_a_failed_provider_is_a_plain_error(
    lasting_simulator: Simulator,
    strict: Strict,
    clients: Clients,
    code: Code,
    scenario: Scenario,
    operation: str,
    stream: bool,
) -> None:
    """The client raises, tries nothing twice that may have been sent, and the call has one intent and one outcome."""
    asked = Ask(code, operation)
    lasting_simulator.reset()
    lasting_simulator.script(scenario)

    error, seen = await by_client(clients, strict, asked, stream=stream)

    assert isinstance(error, (openai.APIError, anthropic.APIStatusError))
    assert clients.attempts == 1
    assert len(lasting_simulator.arrivals) == 1
    assert MARK not in seen.everything
    if asked.wire == "anthropic":
        assert seen.error["details"]["error_code"] == code.value  # type: ignore[index, call-overload]
    else:
        assert isinstance(error, openai.APIError)
        assert error.code == code.value
    if not stream or code is not Code.RESPONSE_NOT_ALLOWED:
        assert type(error) is expected(asked.wire, code.status)
        assert (seen.headers["x-gateway-code"], seen.headers["x-should-retry"]) == (code.value, "false")
        kinds = [line["kind"] for line in recorded(strict, seen.headers["x-gateway-call-id"])]
        assert kinds == ["intent", "outcome"]


@STREAM
@NAMED
async def test_a_provider_that_nobody_reached_may_be_tried_again(
    lasting_simulator: Simulator, strict: Strict, clients: Clients, operation: str, stream: bool
) -> None:
    """No byte was sent, so the same call may be made once more."""
    lasting_simulator.reset()
    asked = Ask(Code.UPSTREAM_FAILED, operation, {"model": UNREACHABLE})

    async for seen in _both(clients, strict, asked, stream=stream):
        _retryable(asked, seen)

    assert lasting_simulator.arrivals == []


BREAKS: dict[str, tuple[Code, Scenario]] = {
    "dies between events": (Code.UPSTREAM_FAILED, Scenario(fault=Fault.DIE_MID_STREAM)),
    "dies within an event": (Code.UPSTREAM_FAILED, Scenario(fault=Fault.DIE_MID_BODY)),
    "ends early": (Code.UPSTREAM_FAILED, Scenario(fault=Fault.END_EARLY)),
    "falls silent": (Code.UPSTREAM_TIMEOUT, Scenario(fault=Fault.STALL_MID_BODY)),
    "breaks its form": (Code.RESPONSE_NOT_ALLOWED, Scenario(fault=Fault.MALFORMED)),
    "shows what is not named": (Code.RESPONSE_NOT_ALLOWED, Scenario(events=((MARK, {"type": MARK}),))),
}


@NAMED
@pytest.mark.parametrize(("code", "scenario"), BREAKS.values(), ids=BREAKS)
async def test_a_broken_stream_ends_in_the_wires_own_error(
    lasting_simulator: Simulator, strict: Strict, clients: Clients, code: Code, scenario: Scenario, operation: str
) -> None:
    """The client raises in the middle of the stream, and no terminal event makes it look whole."""
    asked = Ask(code, operation)
    lasting_simulator.reset()
    lasting_simulator.script(scenario, count=2)

    error, seen = await by_client(clients, strict, asked, stream=True)
    headers = [("authorization", f"Bearer {strict.key}"), ("content-type", "application/json")]
    if operation == "messages":
        headers.append(("anthropic-version", "2023-06-01"))
    body = json.dumps(asked.body(stream=True)).encode()
    answer = await ask(strict.application.port, request("POST", asked.target, headers, body))

    assert isinstance(error, (openai.APIError, anthropic.APIStatusError))
    assert clients.attempts == 1
    assert len(lasting_simulator.arrivals) == 2
    assert seen.error.get("code", seen.error.get("details", {}).get("error_code")) == code.value  # type: ignore[union-attr]
    assert answer.status == 200
    assert code.value.encode() in answer.body.rstrip().rpartition(b"\n\n")[2]
    assert not any(end in answer.body for end in (b"[DONE]", b"message_stop", b"response.completed"))
    call = answer.header("x-gateway-call-id")
    assert call is not None
    records = recorded(strict, call)
    assert [line["kind"] for line in records] == ["intent", "outcome"]
    assert records[1]["result"] != "completed"
    assert MARK not in json.dumps(records)
