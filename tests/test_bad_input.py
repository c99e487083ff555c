"""Bad input over a raw socket: what must be refused, with which code, and what must not.

Whatever is refused here reaches no provider, quotes nothing that was sent, and leaves a connection that is kept
open in step: the request that follows on it gets its own answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from gateway.simulator import CREDENTIAL, Simulator
from providers.document import Document, Value
from tests.conftest import Gateway
from tests.official_sdks import ANTHROPIC_MODEL, OPENAI_MODEL
from tests.raw_http import Answer, Connection, Header, ask, head, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "quoimarque7f3a"
CHAT, RESPONSES, MESSAGES, COUNT = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
)
JSON: Header = ("Content-Type", "application/json")
VERSION: Header = ("anthropic-version", "2023-06-01")
TALK: list[Value] = [{"role": "user", "content": f"hello {MARK}"}]
BODIES: dict[str, Document] = {
    CHAT: {"model": OPENAI_MODEL, "messages": [*TALK]},
    RESPONSES: {"model": OPENAI_MODEL, "input": f"hello {MARK}"},
    MESSAGES: {"model": ANTHROPIC_MODEL, "max_tokens": 16, "messages": [*TALK]},
    COUNT: {"model": ANTHROPIC_MODEL, "messages": [*TALK]},
}
REFUSED = {
    "body_invalid": 400,
    "body_too_large": 413,
    "parameter_unknown": 400,
    "parameter_retains_data": 403,
    "operation_not_allowed": 404,
    "unauthenticated": 401,
    "model_not_allowed": 403,
    "tenant_unknown": 403,
}


def written(path: str = CHAT, **fields: object) -> bytes:
    """A good body of that operation, with these fields."""
    return json.dumps({**BODIES[path], **fields}, ensure_ascii=False).encode()


def usual(gateway: Gateway, path: str = CHAT) -> list[Header]:
    """The headers of a good request."""
    version = [VERSION] if path in {MESSAGES, COUNT} else []
    return [("Authorization", f"Bearer {gateway.key}"), JSON, *version]


async def refused(simulator: Simulator, gateway: Gateway, data: bytes, code: str) -> Answer:
    """Send it, and hold the answer against all that every refusal promises."""
    simulator.reset()
    async with Connection(gateway.application.port) as connection:
        answer = await connection.ask(data)

        assert (answer.code, answer.status) == (code, REFUSED[code])
        assert answer.header("x-should-retry") == "false"
        assert MARK.encode() not in answer.everything
        assert gateway.key.encode() not in answer.everything
        assert simulator.arrivals == []
        if answer.closes:
            assert await connection.ended()
        else:
            following = await connection.ask(request("GET", "/v1/models", usual(gateway)))
            assert following.status == 200
            assert following.document["object"] == "list"
    return answer


async def passed(simulator: Simulator, gateway: Gateway, data: bytes) -> Answer:
    """Send what is good, and see it arrive."""
    simulator.reset()
    answer = await ask(gateway.application.port, data)

    assert (answer.status, answer.code) == (200, None)
    assert len(simulator.arrivals) == 1
    return answer


# --- A: target, host, method -------------------------------------------------------------------

TARGETS = {
    "encoded slash": "/v1%2Fchat/completions",
    "encoded slash in lower case": "/v1/chat%2fcompletions",
    "encoded twice": "/v1/chat%252fcompletions",
    "encoded letter": "/v1/chat/%63ompletions",
    "dot segment": "/v1/./chat/completions",
    "two dots": "/v1/files/../chat/completions",
    "encoded dots": "/v1/files/%2e%2e/chat/completions",
    "dots before a granted path": "/x/../v1/messages",
    "two slashes": "/v1//chat/completions",
    "two slashes at the start": "//v1/chat/completions",
    "slash at the end": "/v1/chat/completions/",
    "capital": "/v1/Chat/completions",
    "capital version": "/V1/messages",
    "path parameters": "/v1/chat/completions;v=1",
    "path parameters in the middle": "/v1;a=b/chat/completions",
    "encoded NUL": "/v1/chat/completions%00",
    "encoded NUL and an ending": "/v1/messages%00.json",
    "backslash": "/v1\\chat\\completions",
    "encoded backslash": "/v1/chat%5ccompletions",
    "encoded space": "/v1/chat/completions%20",
    "encoded line end": "/v1/chat/completions%0d%0aX-A:%20b",
    "ending": "/v1/chat/completions.json",
    "more behind it": "/v1/chat/completions/x",
    "less": "/v1/chat",
    "root": "/",
    "nothing known": f"/{MARK}",
    "encoded question mark": "/v1/chat/completions%3fx",
    "legacy completions": "/v1/completions",
    "files": "/v1/files",
    "batches": "/v1/messages/batches",
    "compaction beside responses": "/v1/responses/compact",
    "conversations": "/v1/conversations",
    "wire under the other alias": "/openai/v1/messages",
    "other wire under the alias": "/anthropic/v1/chat/completions",
    "alias twice": "/openai/openai/v1/chat/completions",
    "alias with a capital": "/OpenAI/v1/chat/completions",
    "alias without slash": "/openaiv1/chat/completions",
    "alias encoded": "/%6fpenai/v1/chat/completions",
    "operations port's paths": "/metrics",
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
async def test_only_the_literal_targets_name_an_operation(
    lasting_simulator: Simulator, lasting_gateway: Gateway, target: str
) -> None:
    """A target that another server might take for a granted one names nothing here."""
    data = request("POST", target, usual(lasting_gateway), written())

    await refused(lasting_simulator, lasting_gateway, data, "operation_not_allowed")


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, COUNT])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "POSTX"])
async def test_an_operation_has_one_method(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str, method: str
) -> None:
    """Any other method on a granted path is refused, whatever headers ask for an override."""
    override = [("X-HTTP-Method-Override", "POST"), ("X-Original-URL", path)]
    data = request(method, path, [*usual(lasting_gateway, path), *override], written(path))
    simulator, port = lasting_simulator, lasting_gateway.application.port
    simulator.reset()

    answer = await ask(port, data)

    # A method that is no token known to the parser is malformed HTTP; any other is just not granted.
    assert (answer.code, answer.status) in {("operation_not_allowed", 404), ("body_invalid", 400)}
    assert method in {"post", "POSTX"} or answer.code == "operation_not_allowed"
    assert simulator.arrivals == []
    assert MARK.encode() not in answer.everything


QUERIES = {
    "empty": (CHAT, "?"),
    "unknown": (CHAT, f"?{MARK}={MARK}"),
    "beta": (MESSAGES, "?beta=true"),
    "store": (RESPONSES, "?store=true"),
    "stream": (RESPONSES, "?stream=true"),
    "of the models list": (MESSAGES, "?limit=1"),
    "workspace": (MESSAGES, f"?workspace_id={MARK}"),
    "encoded": (CHAT, "?%6cimit=1"),
    "second question mark": (CHAT, "?a=b?c=d"),
}


@pytest.mark.parametrize(("path", "query"), QUERIES.values(), ids=QUERIES)
async def test_a_query_is_refused(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str, query: str
) -> None:
    """No operation that leaves has a query."""
    data = request("POST", path + query, usual(lasting_gateway, path), written(path))

    await refused(lasting_simulator, lasting_gateway, data, "parameter_unknown")


LINES = {
    "absolute form": "http://127.0.0.1/v1/chat/completions",
    "absolute form elsewhere": "http://api.example/v1/chat/completions",
    "asterisk": "*",
    "no slash": "v1/chat/completions",
    "fragment": "/v1/chat/completions#x",
}


@pytest.mark.parametrize("target", LINES.values(), ids=LINES)
async def test_a_target_begins_with_a_slash(
    lasting_simulator: Simulator, lasting_gateway: Gateway, target: str
) -> None:
    """Absolute and asterisk forms are refused, and the connection is not trusted any further."""
    lasting_simulator.reset()

    answer = await ask(lasting_gateway.application.port, request("POST", target, usual(lasting_gateway), written()))

    assert answer.status in {400, 404}
    assert answer.code in {"body_invalid", "operation_not_allowed"}
    assert lasting_simulator.arrivals == []
    assert MARK.encode() not in answer.everything


async def test_connect_opens_no_tunnel(lasting_simulator: Simulator, lasting_gateway: Gateway) -> None:
    """CONNECT is refused and what follows it is not read as anything else."""
    lasting_simulator.reset()

    async with Connection(lasting_gateway.application.port) as connection:
        answer = await connection.ask(head("CONNECT", "api.example:443", [("Host", "api.example:443")]))

        assert (answer.status, answer.code) == (400, "body_invalid")
        assert await connection.ended()
    assert lasting_simulator.arrivals == []


HOSTS = {
    "empty": "",
    "foreign": "api.example",
    "path": "127.0.0.1/v1",
    "user": "127.0.0.1@api.example",
    "fragment": "127.0.0.1#x",
    "port that is none": "127.0.0.1:port",
    "two ports": "127.0.0.1:80:90",
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_a_host_is_one_of_our_names(lasting_simulator: Simulator, lasting_gateway: Gateway, host: str) -> None:
    """A request that is addressed to somebody else is refused."""
    data = request("POST", CHAT, usual(lasting_gateway), written(), host=host)

    answer = await refused(lasting_simulator, lasting_gateway, data, "body_invalid")

    assert answer.closes


# --- B: framing ------------------------------------------------------------------------------

FRAMES: dict[str, list[Header]] = {
    "two encodings": [("Transfer-Encoding", "gzip, chunked")],
    "chunked and a length": [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
    "two lengths": [("Content-Length", "5"), ("Content-Length", "6")],
    "equal lengths twice": [("Content-Length", "5"), ("Content-Length", "5")],
    "length with a sign": [("Content-Length", "+5")],
    "length that is none": [("Content-Length", "five")],
    "chunked twice": [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
    "chunked in capitals with more": [("Transfer-Encoding", "xchunked")],
    "upgrade": [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Content-Length", "0")],
    "trailer announced": [("Trailer", "Authorization"), ("Content-Length", "0")],
    "encoded body": [("Content-Encoding", "gzip"), ("Content-Length", "0")],
    "expectation": [("Expect", "miracles"), ("Content-Length", "0")],
    "space before the colon": [("Content-Length ", "5")],
    "NUL in a value": [("X-A", "a\0b"), ("Content-Length", "0")],
}


@pytest.mark.parametrize("lines", FRAMES.values(), ids=FRAMES)
async def test_doubtful_framing_ends_the_connection(
    lasting_simulator: Simulator, lasting_gateway: Gateway, lines: list[Header]
) -> None:
    """What two parsers might cut differently is refused, and nothing behind it is read as a request."""
    lasting_simulator.reset()
    smuggled = request("POST", CHAT, usual(lasting_gateway), written())
    framed = head("POST", CHAT, [("Host", "127.0.0.1"), *usual(lasting_gateway), *lines])

    async with Connection(lasting_gateway.application.port) as connection:
        answer = await connection.ask(framed + b"0\r\n\r\n" + smuggled)

        assert (answer.status, answer.code) == (400, "body_invalid")
        assert await connection.ended()
    assert lasting_simulator.arrivals == []
    assert MARK.encode() not in answer.everything


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3"])
async def test_only_http_1_1_is_spoken(lasting_simulator: Simulator, lasting_gateway: Gateway, version: str) -> None:
    """Any other version is refused and the connection ends."""
    lasting_simulator.reset()
    data = request("POST", CHAT, usual(lasting_gateway), written()).replace(b"HTTP/1.1", version.encode(), 1)

    async with Connection(lasting_gateway.application.port) as connection:
        answer = await connection.ask(data)

        assert (answer.status, answer.code) == (400, "body_invalid")
        assert await connection.ended()
    assert lasting_simulator.arrivals == []


async def test_chunks_are_a_body_as_any_other(lasting_simulator: Simulator, lasting_gateway: Gateway) -> None:
    """A chunked body is taken whole, and leaves with a length of ours."""
    lasting_simulator.reset()
    framed = head("POST", CHAT, [("Host", "127.0.0.1"), *usual(lasting_gateway), ("Transfer-Encoding", "chunked")])
    body = written()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"

    answer = await ask(lasting_gateway.application.port, framed + chunks)

    assert answer.status == 200
    (arrival,) = lasting_simulator.arrivals
    assert arrival.header("transfer-encoding") is None
    assert arrival.header("content-length") == str(len(arrival.body or b""))


# --- C: headers ------------------------------------------------------------------------------

DOUBLES: dict[str, list[Header]] = {
    "authorization": [("Authorization", "Bearer x")],
    "content type": [("content-type", "application/json")],
    "version": [VERSION],
    "tenant": [("x-gateway-tenant", "t-4f2a"), ("X-Gateway-Tenant", "t-eu01")],
    "purpose": [("x-gateway-purpose", "call_summary"), ("x-gateway-purpose", "call_summary")],
    "subject": [("x-gateway-subject", MARK), ("x-gateway-subject", MARK)],
    "processor": [("x-gateway-processor", "simulated-anthropic"), ("x-gateway-processor", "simulated-anthropic")],
    "other key twice": [("x-api-key", "a"), ("x-api-key", "b")],
    "host": [("Host", "127.0.0.1")],
}


@pytest.mark.parametrize("lines", DOUBLES.values(), ids=DOUBLES)
async def test_a_header_that_decides_stands_once(
    lasting_simulator: Simulator, lasting_gateway: Gateway, lines: list[Header]
) -> None:
    """A second line of a header that decides something is refused, even if it says the same."""
    data = request("POST", MESSAGES, [*usual(lasting_gateway, MESSAGES), *lines], written(MESSAGES))

    await refused(lasting_simulator, lasting_gateway, data, "body_invalid")


KEYS: dict[str, list[Header]] = {
    "none": [],
    "a provider's in place of ours": [("Authorization", "Bearer sk-proj-quoimarque7f3a")],
    "a provider's in the other header": [("x-api-key", "sk-ant-quoimarque7f3a")],
    "ours and a provider's": [("Authorization", "Bearer KEY"), ("x-api-key", "sk-ant-quoimarque7f3a")],
    "ours and another": [("Authorization", "Bearer KEY"), ("x-api-key", "OTHER")],
    "another scheme": [("Authorization", "Basic KEY")],
    "no scheme": [("Authorization", "KEY")],
    "the scheme alone": [("Authorization", "Bearer ")],
    "two spaces": [("Authorization", "Bearer  KEY")],
    "cut short": [("Authorization", "Bearer zrg_")],
    "beyond ASCII": [("x-api-key", "zrg_\xe9")],
    "very long": [("x-api-key", "zrg_" + "a" * 4000)],
    "in a cookie": [("Cookie", "authorization=KEY")],
}


@pytest.mark.parametrize("lines", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("path", [CHAT, MESSAGES, "/nothing"])
async def test_a_stranger_learns_nothing(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str, lines: list[Header]
) -> None:
    """Without the one right key the answer is 401, whatever was asked for, and before 404."""
    gateway = lasting_gateway
    spoken = [(name, value.replace("KEY", gateway.key).replace("OTHER", gateway.granted_key)) for name, value in lines]
    data = request("POST", path, [JSON, VERSION, *spoken], written(MESSAGES))

    answer = await refused(lasting_simulator, gateway, data, "unauthenticated")

    assert gateway.granted_key.encode() not in answer.everything
    hinted = b"caller key that your operator issued" in answer.body
    assert hinted is (len(spoken) == 1 and "sk-" in spoken[0][1])


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_the_same_key_twice_over_is_one_key(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str
) -> None:
    """Both headers may bear the same key: some clients send it so."""
    headers = [*usual(lasting_gateway, path), ("x-api-key", lasting_gateway.key)]

    await passed(lasting_simulator, lasting_gateway, request("POST", path, headers, written(path)))


STRAY: list[Header] = [
    ("User-Agent", MARK),
    ("X-Stainless-Lang", MARK),
    ("X-Stainless-Retry-Count", "1"),
    ("Baggage", f"customer={MARK}"),
    ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("Tracestate", MARK),
    ("Cookie", f"session={MARK}"),
    ("Idempotency-Key", MARK),
    ("OpenAI-Organization", MARK),
    ("OpenAI-Project", MARK),
    ("Anthropic-Workspace-Id", MARK),
    ("X-Workspace-Id", MARK),
    ("X-Client-Request-Id", MARK),
    ("X-Request-Id", MARK),
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Host", "api.example"),
    ("Forwarded", f"for={MARK}"),
    ("Referer", f"https://{MARK}.example/"),
    ("Origin", f"https://{MARK}.example"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("Accept-Language", "fr"),
    ("Accept-Encoding", "gzip, br"),
    ("Proxy-Authorization", f"Basic {MARK}"),
    ("Connection", "keep-alive, Authorization"),
    ("Keep-Alive", "timeout=5"),
    ("TE", "trailers"),
    ("X-Gateway-Subject", f"rep {MARK}"),
    ("X-Gateway-Unheard-Of", MARK),
]
LEAVING = {
    CHAT: {"host", "authorization", "content-type", "content-length", "accept", "accept-encoding"},
    MESSAGES: {"host", "x-api-key", "content-type", "content-length", "accept", "accept-encoding", "anthropic-version"},
}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_only_a_fixed_list_of_headers_leaves(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str
) -> None:
    """Selectors of accounts, telemetry, cookies and ids of the caller are dropped; the credential is the gateway's."""
    data = request("POST", path, [*usual(lasting_gateway, path), *STRAY], written(path))

    await passed(lasting_simulator, lasting_gateway, data)

    (arrival,) = lasting_simulator.arrivals
    names = [name.lower() for name, _value in arrival.headers]
    assert set(names) - {"user-agent"} <= LEAVING[path]
    assert len(names) == len(set(names))
    assert MARK not in str(arrival.headers)
    assert lasting_gateway.key not in str(arrival.headers)
    assert CREDENTIAL in str(arrival.headers)
    assert arrival.target == path


async def test_our_headers_may_be_dropped_too(lasting_simulator: Simulator, lasting_gateway: Gateway) -> None:
    """Positive control: the provider sees a header that the surface names."""
    headers = [*usual(lasting_gateway, MESSAGES), ("anthropic-beta", "context-1m-2025-08-07")]

    await passed(lasting_simulator, lasting_gateway, request("POST", MESSAGES, headers, written(MESSAGES)))

    assert lasting_simulator.arrivals[0].header("anthropic-beta") == "context-1m-2025-08-07"


BETAS: dict[str, tuple[str, list[str], str]] = {
    "unknown": (MESSAGES, [MARK], "parameter_unknown"),
    "capital": (MESSAGES, ["Context-1m-2025-08-07"], "parameter_unknown"),
    "files": (MESSAGES, ["files-api-2025-04-14"], "parameter_retains_data"),
    "allowed, then files": (MESSAGES, ["context-1m-2025-08-07,files-api-2025-04-14"], "parameter_retains_data"),
    "files on a second line": (MESSAGES, ["context-1m-2025-08-07", "files-api-2025-04-14"], "parameter_retains_data"),
    "unknown on a second line": (MESSAGES, ["context-1m-2025-08-07", MARK], "parameter_unknown"),
    "caching not granted": (MESSAGES, ["prompt-caching-2024-07-31"], "parameter_retains_data"),
    "agents": (RESPONSES, ["responses_multi_agent=v1"], "parameter_retains_data"),
    "unknown of the other wire": (CHAT, [MARK], "parameter_unknown"),
    "agents on a second line": (RESPONSES, ["", "responses_multi_agent=v1"], "parameter_retains_data"),
}


@pytest.mark.parametrize(("path", "values", "code"), BETAS.values(), ids=BETAS)
async def test_a_beta_that_the_surface_does_not_allow_is_refused(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str, values: list[str], code: str
) -> None:
    """Betas are one list over all their lines, and each must be allowed."""
    name = "anthropic-beta" if path == MESSAGES else "openai-beta"
    lines = [(name, value) for value in values]
    data = request("POST", path, [*usual(lasting_gateway, path), *lines], written(path))

    answer = await refused(lasting_simulator, lasting_gateway, data, code)

    assert name.encode() in answer.body


async def test_a_version_that_is_not_named_is_refused(lasting_simulator: Simulator, lasting_gateway: Gateway) -> None:
    """A future version may mean other defaults."""
    headers = [*usual(lasting_gateway), ("anthropic-version", "2027-01-01")]

    data = request("POST", MESSAGES, headers, written(MESSAGES))

    await refused(lasting_simulator, lasting_gateway, data, "parameter_unknown")


# --- D: body and parser ------------------------------------------------------------------------


def _nested(depth: int) -> bytes:
    """A good request whose deepest container is at that depth, the body itself being the first."""
    inside = depth - 5  # body, tools, tool, function, parameters
    schema = "{" + '"a":{' * inside + "}" * inside + "}"
    tool = f'[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]'
    return written()[:-1] + f',"tools":{tool}}}'.encode()


def _many(values: int) -> bytes:
    """A good request of that many values: members and elements, at whatever depth."""
    plain = 5  # model, messages, one message, role, content
    return written(logit_bias={str(token): 1 for token in range(values - plain - 1)})


GOOD = written()
TREES: dict[str, bytes] = {
    "duplicate key": GOOD[:-1] + b',"model":"x"}',
    "duplicate key, the good one last": b'{"model":"x",' + GOOD[1:],
    "duplicate key, escaped": GOOD[:-1] + b',"\\u006dodel":"x"}',
    "duplicate key, nested": b'{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}',
    "duplicate key, nested, escaped": b'{"model":"m","messages":[{"role":"user","content":"a","conten\\u0074":"b"}]}',
    "duplicate retention switch": GOOD[:-1] + b',"store":false,"store":true}',
    "equal duplicates": GOOD[:-1] + b',"store":false,"store":false}',
    "NaN": GOOD[:-1] + b',"temperature":NaN}',
    "Infinity": GOOD[:-1] + b',"temperature":-Infinity}',
    "number beyond every float": GOOD[:-1] + b',"temperature":1e999}',
    "integer beyond 2**53": GOOD[:-1] + b',"seed":9007199254740993}',
    "huge integer": GOOD[:-1] + b',"seed":1' + b"0" * 5000 + b"}",
    "lone high surrogate": GOOD.replace(b"hello", b"\\ud83d"),
    "lone low surrogate": GOOD.replace(b"hello", b"\\ude00"),
    "surrogates the wrong way round": GOOD.replace(b"hello", b"\\ude00\\ud83d"),
    "lone surrogate in a key": GOOD[:-1] + b',"\\ud83d":1}',
    "encoded surrogate": GOOD.replace(b"hello", b"\xed\xa0\xbd"),
    "overlong encoding": GOOD.replace(b"hello", b"\xc0\xaf"),
    "Latin-1": GOOD.replace(b"hello", b"\xe9"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-16 without mark": GOOD.decode().encode("utf-16-le"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "more behind it": GOOD + b"{}",
    "a letter behind it": GOOD + b"x",
    "NUL behind it": GOOD + b"\0",
    "lines of JSON": GOOD + b"\n" + GOOD,
    "cut short": GOOD[:-1],
    "empty": b"",
    "white space": b"  ",
    "list": b"[" + GOOD + b"]",
    "string": b'"' + MARK.encode() + b'"',
    "number": b"1",
    "null": b"null",
    "true": b"true",
    "comment": GOOD[:-1] + b"/* x */}",
    "comma at the end": GOOD[:-1] + b",}",
    "single quotes": GOOD.replace(b'"', b"'"),
    "control character": GOOD.replace(b"hello", b"a\x01b"),
    "form": b"model=x&store=true",
    "NUL in a key": GOOD[:-1] + b',"sto\\u0000re":true}',
    "one level too deep": _nested(65),
    "very deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "one value too many": _many(20_001),
    "model missing": b'{"messages":[]}',
    "model null": written(model=None),
}


@pytest.mark.parametrize("body", TREES.values(), ids=TREES)
async def test_a_body_is_strict_json(lasting_simulator: Simulator, lasting_gateway: Gateway, body: bytes) -> None:
    """What two parsers might read differently is refused."""
    data = request("POST", CHAT, usual(lasting_gateway), body)

    await refused(lasting_simulator, lasting_gateway, data, "body_invalid")


MEDIA: dict[str, list[Header]] = {
    "none": [],
    "empty": [("Content-Type", "")],
    "text": [("Content-Type", "text/plain")],
    "form": [("Content-Type", "application/x-www-form-urlencoded")],
    "multipart": [("Content-Type", "multipart/form-data; boundary=x")],
    "lines": [("Content-Type", "application/x-ndjson")],
    "suffix": [("Content-Type", "application/vnd.api+json")],
    "other charset": [("Content-Type", "application/json; charset=utf-16")],
    "Latin-1": [("Content-Type", "application/json; charset=iso-8859-1")],
    "two charsets": [("Content-Type", "application/json; charset=utf-8; charset=utf-7")],
    "boundary": [("Content-Type", "application/json; boundary=x")],
    "list": [("Content-Type", "application/json, text/plain")],
    "gzip": [JSON, ("Content-Encoding", "gzip")],
    "identity": [JSON, ("Content-Encoding", "identity")],
    "deflate": [JSON, ("content-encoding", "x-deflate")],
}


@pytest.mark.parametrize("lines", MEDIA.values(), ids=MEDIA)
async def test_a_body_says_that_it_is_json(
    lasting_simulator: Simulator, lasting_gateway: Gateway, lines: list[Header]
) -> None:
    """Another content type, another charset or any encoding is refused, even if the bytes are good."""
    headers = [("Authorization", f"Bearer {lasting_gateway.key}"), *lines]

    await refused(lasting_simulator, lasting_gateway, request("POST", CHAT, headers, written()), "body_invalid")


# --- E: retention switches -----------------------------------------------------------------------

RETAINING: dict[str, dict[str, tuple[object, ...]]] = {
    CHAT: {
        "store": (True, "false", "true", 0, 1, "", [], {}),
        "audio": ({"voice": "alloy", "format": "wav"}, False),
        "modalities": (["text", "audio"],),
        "web_search_options": ({}, {"search_context_size": "low"}),
        "moderation": ({"model": "omni-moderation-simulated"},),
        "prompt_cache_options": ({"mode": "implicit"}, {"mode": "explicit", "ttl": "24h"}),
        "prompt_cache_retention": ("24h",),
    },
    RESPONSES: {
        "store": (True, "false", "true", 0, 1, "", [], {}),
        "background": (True, "false", 0, 1, "true", {}),
        "background_options": ({},),
        "previous_response_id": (f"resp_{MARK}", "", 0, False, []),
        "conversation": (f"conv_{MARK}", {"id": MARK}, ""),
        "prompt": ({"id": MARK},),
        "access_programs": (["x"],),
        "multi_agent": (True, {}),
        "moderation": ({"model": "omni-moderation-simulated"},),
        "prompt_cache_options": ({"mode": "implicit"},),
        "prompt_cache_retention": ("24h",),
    },
    MESSAGES: {
        "mcp_servers": ([{"type": "url", "url": f"https://{MARK}.example", "name": "x"}], {}, "", False),
        "billing_policy": ("x",),
        "thread": ({"id": MARK}, ""),
        "container": (MARK, {"id": MARK}, "", 0),
        "diagnostics": ({}, True),
        "user_profile_id": (MARK,),
        "workspace_id": (MARK,),
        "fallbacks": ("default", [{"model": ANTHROPIC_MODEL}]),
        "fallback_credit_token": (MARK,),
        "cache_control": ({"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}),
        "inference_geo": ("us", "eu"),
    },
    COUNT: {
        "mcp_servers": ([{"type": "url"}],),
        "container": (MARK,),
        "thread": ({"id": MARK},),
        "cache_control": ({"type": "ephemeral"},),
    },
}
SWITCHES = [
    pytest.param(path, name, value, id=f"{path} {name} {json.dumps(value)[:24]}")
    for path, named in RETAINING.items()
    for name, values in named.items()
    for value in values
]


@pytest.mark.parametrize(("path", "name", "value"), SWITCHES)
async def test_a_retention_switch_cannot_be_set(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str, name: str, value: object
) -> None:
    """Every value but the harmless one is refused, of whatever type, with the parameter's name."""
    data = request("POST", path, usual(lasting_gateway, path), written(path, **{name: value}))

    answer = await refused(lasting_simulator, lasting_gateway, data, "parameter_retains_data")

    where = _where(answer)
    assert where.partition("[")[0].partition(".")[0] == name
    assert "Source:" in answer.body.decode()
    assert "Instead:" in answer.body.decode()


def _where(answer: Answer) -> str:
    error = answer.document["error"]
    assert isinstance(error, dict)
    details = error.get("details")
    where = details.get("path") if isinstance(details, dict) else error.get("param")
    assert isinstance(where, str)
    return where


DISGUISES = {
    "capital": "Store",
    "capitals": "STORE",
    "zero-width space": "sto\u200bre",
    "zero-width space at the end": "store\u200b",
    "Cyrillic letter": "st\u043ere",
    "full width": "\uff53\uff54\uff4f\uff52\uff45",
    "space": "store ",
    "tab": "\tstore",
    "soft hyphen": "st\u00adore",
    "camel": "previousResponseId",
    "hyphen": "previous-response-id",
    "dotted": "options.store",
    "extra body": "extra_body",
    "prototype": "__proto__",
    "empty": "",
    "the marker": MARK,
}


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, COUNT])
@pytest.mark.parametrize("key", DISGUISES.values(), ids=DISGUISES)
async def test_a_disguised_key_is_unknown(
    lasting_simulator: Simulator, lasting_gateway: Gateway, path: str, key: str
) -> None:
    """A key is known byte for byte or not at all, whatever its value; the answer gives its position only."""
    for value in (True, False, None, {"store": True}):
        data = request("POST", path, usual(lasting_gateway, path), written(path, **{key: value}))

        answer = await refused(lasting_simulator, lasting_gateway, data, "parameter_unknown")

        assert _where(answer) == f"?{len(BODIES[path])}"


MODELS = ("GPT-SIMULATED", "gpt-simulated ", "gpt-simulated\0", "ft:gpt-simulated:acme", "gpt-simulated-2026", "", MARK)


@pytest.mark.parametrize("model", MODELS)
async def test_a_model_is_known_letter_by_letter(
    lasting_simulator: Simulator, lasting_gateway: Gateway, model: str
) -> None:
    """Case variants, fine-tunes and previews are no listed model."""
    data = request("POST", CHAT, usual(lasting_gateway), written(model=model))

    await refused(lasting_simulator, lasting_gateway, data, "model_not_allowed")


# --- what must not be refused -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fine:
    """A request that is unusual and good: these fields, and what of them must arrive."""

    path: str
    fields: dict[str, object]


FINE = {
    "null for optional fields of chat": Fine(
        CHAT, dict.fromkeys(("temperature", "stop", "seed", "user", "tools", "store", "metadata", "audio"), None)
    ),
    "null for optional fields of responses": Fine(
        RESPONSES, dict.fromkeys(("instructions", "store", "background", "previous_response_id", "prompt"), None)
    ),
    "null for optional fields of messages": Fine(
        MESSAGES, dict.fromkeys(("system", "tools", "container", "metadata", "temperature", "mcp_servers"), None)
    ),
    "harmless switches of responses": Fine(RESPONSES, {"store": False, "background": False}),
    "harmless switch of chat": Fine(CHAT, {"store": False}),
    "no servers": Fine(MESSAGES, {"mcp_servers": []}),
}


@pytest.mark.parametrize("fine", FINE.values(), ids=FINE)
async def test_what_asks_for_nothing_passes(lasting_simulator: Simulator, lasting_gateway: Gateway, fine: Fine) -> None:
    """A client that fills every optional field with null, or says no itself, is served."""
    path = fine.path

    await passed(
        lasting_simulator,
        lasting_gateway,
        request("POST", path, usual(lasting_gateway, path), written(path, **fine.fields)),
    )

    if path != MESSAGES:
        assert lasting_simulator.arrivals[0].document["store"] is False


def _content(simulator: Simulator) -> Value:
    """The text of the one message that arrived."""
    messages = simulator.arrivals[0].document["messages"]
    assert isinstance(messages, list)
    (message,) = messages
    assert isinstance(message, dict)
    return message["content"]


TEXTS = {
    "emoji as escapes": '"\\ud83d\\ude00 done"',
    "emoji as bytes": '"\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467"',
    "right to left": '"\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd"',
    "combining marks": '"e\u0301te\u0301 Zalgo\u0301\u0302\u0303"',
    "NUL in a value": '"a\\u0000b"',
    "line ends": '"a\\r\\n\\tb\\u2028c"',
    "quotes and backslashes": '"say \\"yes\\" \\\\ \\/ \\\\\\" end"',
    "byte order mark inside": '"a\ufeffb"',
    "noncharacter": '"a\uffffb"',
    "looks like JSON": '"{\\"store\\": true, \\"store\\": false}"',
    "empty": '""',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_any_text_passes_unchanged(lasting_simulator: Simulator, lasting_gateway: Gateway, text: str) -> None:
    """Whatever Unicode a caller writes arrives as it was."""
    body = f'{{"model":"{OPENAI_MODEL}","messages":[{{"role":"user","content":{text}}}]}}'.encode()

    await passed(lasting_simulator, lasting_gateway, request("POST", CHAT, usual(lasting_gateway), body))

    assert _content(lasting_simulator) == json.loads(text)


TYPES = ("application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8")


@pytest.mark.parametrize("media", TYPES)
async def test_the_usual_content_types_pass(lasting_simulator: Simulator, lasting_gateway: Gateway, media: str) -> None:
    """JSON in UTF-8, however it is spelt."""
    headers = [("Authorization", f"Bearer {lasting_gateway.key}"), ("Content-Type", media)]

    await passed(lasting_simulator, lasting_gateway, request("POST", CHAT, headers, written()))


BOUNDS = {"depth": _nested(64), "values": _many(20_000), "integer": GOOD[:-1] + b',"seed":9007199254740992}'}


@pytest.mark.parametrize("body", BOUNDS.values(), ids=BOUNDS)
async def test_what_is_just_within_bounds_passes(
    lasting_simulator: Simulator, lasting_gateway: Gateway, body: bytes
) -> None:
    """64 levels, 20,000 values and 2**53 are allowed."""
    await passed(lasting_simulator, lasting_gateway, request("POST", CHAT, usual(lasting_gateway), body))


TURNS = (
    "Bonjour, merci d'avoir pris le temps de me rencontrer aujourd'hui. ",
    "Notre équipe commerciale cherche un outil simple à déployer avant la fin du trimestre. ",
    "Combien de licences faudrait-il prévoir pour la région de Québec\u00a0? ",
    "Le budget sera validé par la direction financière dès la semaine prochaine. ",
)


def _transcript(size: int) -> str:
    """A sales call in French, every turn numbered, of at least that many bytes."""
    turns, written_bytes, number = [], 0, 0
    while written_bytes < size:
        turn = f"[{number // 60:02}:{number % 60:02}] {TURNS[number % len(TURNS)]}Point {number}.\n"
        turns.append(turn)
        written_bytes += len(turn.encode())
        number += 1
    return "".join(turns)


async def test_a_two_hour_transcript_passes(lasting_simulator: Simulator, lasting_gateway: Gateway) -> None:
    """Some 300 KB of French are looked at within the deadline, and arrive whole."""
    text = _transcript(300_000)
    body = written(messages=[{"role": "user", "content": text}])

    await passed(lasting_simulator, lasting_gateway, request("POST", CHAT, usual(lasting_gateway), body))

    assert _content(lasting_simulator) == text


LIMIT = 4 * 1024 * 1024


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
async def test_a_body_up_to_the_limit_passes(lasting_simulator: Simulator, lasting_gateway: Gateway, size: int) -> None:
    """4 MiB of text are read, looked at and sent."""
    empty = len(written(messages=[{"role": "user", "content": ""}]))
    content = ("All went well on this call. " * (size // 28 + 1))[: size - empty]
    body = written(messages=[{"role": "user", "content": content}])
    assert len(body) == size

    await passed(lasting_simulator, lasting_gateway, request("POST", CHAT, usual(lasting_gateway), body))


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_a_body_above_the_limit_is_refused(
    lasting_simulator: Simulator, lasting_gateway: Gateway, chunked: bool
) -> None:
    """One byte above 4 MiB is too much, announced or not."""
    body = written()[:-1] + b" " * (LIMIT + 1 - len(written())) + b"}"
    data = request("POST", CHAT, usual(lasting_gateway), body)
    if chunked:
        lines = [("Host", "127.0.0.1"), *usual(lasting_gateway), ("Transfer-Encoding", "chunked")]
        data = head("POST", CHAT, lines) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    answer = await refused(lasting_simulator, lasting_gateway, data, "body_too_large")

    assert answer.closes
