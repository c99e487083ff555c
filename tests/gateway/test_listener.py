"""The listening sockets, driven byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.http import RawRequestMessage

from gateway import listener as module
from gateway.answers import CLOSE as CLOSED
from gateway.answers import KEEP, OneWrite
from gateway.connection import Protocol, stalled
from gateway.errors import Refused
from gateway.intake import check_head, invite, read_body
from gateway.listener import Handler, Listener, ListenerError, ListenerOptions
from gateway.logs import detached_logger

from .conftest import Run

SECRET = b"sk-marked-5e1f"
CONTENT = b"marked-content-77aa"
OPTIONS = ListenerOptions(port=0, head_seconds=5, lingering_seconds=0.2, shutdown_seconds=1)


async def strict(request: web.BaseRequest) -> web.StreamResponse:
    """A handler as the relay's: look at the head, read the body, answer."""
    try:
        check_head(request, frozenset({"localhost", "127.0.0.1"}))
        await invite(request)
        body = await read_body(request, 1000, 0.5)
    except Refused as refusal:
        return web.Response(status=refusal.status, text=refusal.code.value)
    return web.Response(text=f"{request.raw_path} {len(body)}")


@contextlib.asynccontextmanager
async def listening(
    handler: Handler = strict, options: ListenerOptions = OPTIONS, log: io.StringIO | None = None
) -> AsyncIterator[Listener]:
    stream = logging.StreamHandler(io.StringIO() if log is None else log)
    listener = Listener(options, detached_logger(stream))
    await listener.start(handler)
    try:
        yield listener
    finally:
        await listener.close(0.1)


async def speak(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, each by itself, and return everything that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof() if not pieces else None
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def status(answer: bytes) -> int:
    """The status of the first answer. (What is not HTTP/1.1 is answered as 1.0.)"""
    version, code = answer.split(b" ", 2)[:2]
    assert version in {b"HTTP/1.1", b"HTTP/1.0"}
    return int(code)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own bound ends it otherwise."""
    while not holds():  # a state of the socket layer, which tells no event
        await asyncio.sleep(0.005)


def post(*headers: bytes, body: bytes = b"", target: bytes = b"/v1/x", version: bytes = b"HTTP/1.1") -> bytes:
    lines = [b"POST " + target + b" " + version, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


HOST = b"Host: localhost"
CLOSE = b"Connection: close"

REFUSED = {
    "version 1.0": post(HOST, b"Content-Length: 0", version=b"HTTP/1.0"),
    "version 1.0 chunked": post(HOST, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.0"),
    "version 2.0": post(HOST, b"Content-Length: 0", version=b"HTTP/2.0"),
    "version 0.9": post(HOST, b"Content-Length: 0", version=b"HTTP/0.9"),
    "gzip then chunked": post(HOST, b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked twice": post(HOST, b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked in capitals": post(HOST, b"Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
    "two transfer encodings": post(
        HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "length and chunked": post(HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "two lengths": post(HOST, b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "list of lengths": post(HOST, b"Content-Length: 2, 2", body=b"{}"),
    "signed length": post(HOST, b"Content-Length: +2", body=b"{}"),
    "underscored length": post(HOST, b"Content-Length: 1_0", body=b"{}"),
    "two authorizations": post(HOST, b"Authorization: Bearer a", b"Authorization: Bearer b", b"Content-Length: 0"),
    "two api keys": post(HOST, b"x-api-key: a", b"X-API-KEY: b", b"Content-Length: 0"),
    "two content types": post(HOST, b"Content-Type: a/b", b"Content-Type: c/d", b"Content-Length: 0"),
    "two tenants": post(HOST, b"x-gateway-tenant: a", b"X-Gateway-Tenant: b", b"Content-Length: 0"),
    "two hosts": post(HOST, HOST, b"Content-Length: 0"),
    "no host": post(b"Content-Length: 0"),
    "empty host": post(b"Host:", b"Content-Length: 0"),
    "foreign host": post(b"Host: example.org", b"Content-Length: 0"),
    "host with a path": post(b"Host: localhost/x", b"Content-Length: 0"),
    "host with user": post(b"Host: a@localhost", b"Content-Length: 0"),
    "host with fragment": post(b"Host: localhost#x", b"Content-Length: 0"),
    "host with odd port": post(b"Host: localhost:80x", b"Content-Length: 0"),
    "gzip body": post(HOST, b"Content-Encoding: gzip", b"Content-Length: 2", body=b"{}"),
    "identity body": post(HOST, b"Content-Encoding: identity", b"Content-Length: 2", body=b"{}"),
    "upgrade": post(HOST, b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 0"),
    "upgrade to h2c": post(HOST, b"Upgrade: h2c", b"HTTP2-Settings: AA", b"Connection: Upgrade", b"Content-Length: 0"),
    "trailer announced": post(HOST, b"Trailer: x", b"Transfer-Encoding: chunked", body=b"0\r\nx: y\r\n\r\n"),
    "absolute target": post(HOST, b"Content-Length: 0", target=b"http://localhost/v1/x"),
    "asterisk target": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "connect": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "odd expectation": post(HOST, b"Expect: 200-ok", b"Content-Length: 2", body=b"{}"),
    "folded header": post(HOST, b"x-a: b\r\n c", b"Content-Length: 0"),
    "bare line feed": b"POST /v1/x HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n",
    "NUL in a value": post(HOST, b"x-a: b\0c", b"Content-Length: 0"),
    "long line": post(HOST, b"Content-Length: 0", target=b"/" + b"a" * 5000),
    "long field": post(HOST, b"x-a: " + b"a" * 9000, b"Content-Length: 0"),
    "many headers": post(HOST, *[b"x-%d: 1" % n for n in range(80)], b"Content-Length: 0"),
    "bad chunk size": post(HOST, b"Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "negative chunk size": post(HOST, b"Transfer-Encoding: chunked", body=b"-2\r\n{}\r\n0\r\n\r\n"),
    "second preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_request_is_refused_and_its_connection_closed(run: Run[None], name: str) -> None:
    """A head or framing that two parsers could read differently gets 400, and nothing after it is answered."""

    async def scenario() -> None:
        async with listening() as listener:
            answer = await speak(listener.port, REFUSED[name] + post(HOST, b"Content-Length: 0", CLOSE))

        assert status(answer) == 400
        assert answer.count(b"HTTP/1.1 ") + answer.count(b"HTTP/1.0 ") == 1

    run(scenario())


ACCEPTED = {
    "length": (post(HOST, b"Content-Length: 2", CLOSE, body=b"{}"), b"/v1/x 2"),
    "chunked": (post(HOST, b"Transfer-Encoding: chunked", CLOSE, body=b"2\r\n{}\r\n0\r\n\r\n"), b"/v1/x 2"),
    "no body": (b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"/v1/models 0"),
    "host with port": (post(b"Host: LOCALHOST:8080", b"Content-Length: 0", CLOSE), b"/v1/x 0"),
    "encoded target stays raw": (
        post(HOST, b"Content-Length: 0", CLOSE, target=b"/v1%2fmessages"),
        b"/v1%2fmessages 0",
    ),
    "dots stay raw": (post(HOST, b"Content-Length: 0", CLOSE, target=b"/a/%2e%2e/b/../c"), b"/a/%2e%2e/b/../c 0"),
    "beta twice": (post(HOST, b"anthropic-beta: a", b"anthropic-beta: b", b"Content-Length: 0", CLOSE), b"/v1/x 0"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_plain_request_is_answered(run: Run[None], name: str) -> None:
    """Ordinary requests pass, and the handler sees the target as it was sent."""
    request, wanted = ACCEPTED[name]

    async def scenario() -> None:
        async with listening() as listener:
            answer = await speak(listener.port, request)

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(wanted)
        assert b"\r\nServer: gateway\r\n" in answer
        assert b"aiohttp" not in answer.lower()

    run(scenario())


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_request_split_anywhere_is_the_same_request(run: Run[None], name: str) -> None:
    """Wherever the network cuts a request in two, the answer is the same."""
    request, wanted = ACCEPTED[name]

    async def scenario() -> None:
        async with listening() as listener:
            for cut in range(1, len(request), 3):
                assert (await speak(listener.port, request[:cut], request[cut:])).endswith(wanted)

    run(scenario())


LEAKS = {
    "body longer than its length": post(HOST, b"Content-Length: 4", body=CONTENT * 3),
    "bad chunk size": post(HOST, b"Transfer-Encoding: chunked", body=CONTENT + b"\r\n"),
    "control byte in authorization": post(HOST, b"Authorization: Bearer " + SECRET + b"\x01", b"Content-Length: 0"),
    "control byte in a header": post(HOST, b"x-a: " + CONTENT + b"\0", b"Content-Length: 0"),
    "content as request line": CONTENT + b"\r\n\r\n",
    "invalid header line": post(HOST, SECRET, b"Content-Length: 0"),
    "chunk without its end": post(HOST, b"Transfer-Encoding: chunked", body=b"2\r\n{}" + CONTENT + b"\r\n"),
    "target too long": post(HOST, target=b"/" + CONTENT * 400),
    "bad method": CONTENT.upper() + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", LEAKS)
def test_malformed_request_is_not_quoted(run: Run[None], capfd: pytest.CaptureFixture[str], name: str) -> None:
    """No byte of a malformed request is in the answer, in a log or on the process's streams."""
    log = io.StringIO()

    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        raise ValueError(CONTENT.decode())

    async def scenario() -> bytes:
        async with listening(broken, log=log) as listener:
            return await speak(listener.port, LEAKS[name])

    answer = run(scenario())
    streams = "".join(capfd.readouterr())
    for text in (answer.decode("latin-1"), log.getvalue(), streams):
        assert SECRET.decode() not in text
        assert CONTENT.decode().lower() not in text.lower()
    assert b"Traceback" not in answer
    assert status(answer) in {400, 500}
    assert b'"type":"error"' in answer


def test_detached_logger_drops_what_aiohttp_would_print() -> None:
    """The positive control: a record full of content becomes an empty one, whoever formats it."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    try:
        int(CONTENT)
    except ValueError:
        detached_logger(handler).exception("Error handling %s", CONTENT)

    assert log.getvalue().strip() == "ERROR"


def test_options_are_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the library did not take an option as given, the listener does not start."""

    class Deaf(Protocol):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            self.max_field_size = 1 << 20

    monkeypatch.setattr(module, "Protocol", Deaf)

    async def scenario() -> None:
        with pytest.raises(ListenerError, match="max_field_size"):
            async with listening():
                pass

    asyncio.run(scenario())


def test_pure_python_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow parser reads requests differently, so serving with it does not start."""

    class Other:
        pass

    monkeypatch.setattr(module, "HttpRequestParser", Other)

    async def scenario() -> None:
        with pytest.raises(ListenerError, match="parser"):
            async with listening():
                pass

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (replace(OPTIONS, host="0.0.0.0", names=frozenset({"gateway"})), "needs TLS"),  # noqa: S104
        (replace(OPTIONS, host="gateway.internal", names=frozenset({"gateway"})), "needs TLS"),
        (replace(OPTIONS, host="0.0.0.0", unsafe_plaintext=True), "needs the names"),  # noqa: S104
        (replace(OPTIONS, certificate=Path("x.pem")), "both"),
    ],
)
async def test_unsafe_address_does_not_start(options: ListenerOptions, reason: str) -> None:
    """An address others can reach needs TLS (or the word unsafe) and names."""
    with pytest.raises(ListenerError, match=reason):
        async with listening(options=options):
            pass


def test_late_head_closes_the_connection(run: Run[None]) -> None:
    """A connection that sends no head, half a head, or half a second head is closed in time."""
    options = replace(OPTIONS, head_seconds=0.15)
    whole = post(HOST, b"Content-Length: 0")

    async def scenario() -> None:
        async with listening(options=options) as listener:
            silent, half, second = await asyncio.gather(
                hold(listener.port), hold(listener.port, whole[:20]), hold(listener.port, whole, whole[:20])
            )

        assert silent == half == b""
        assert second.count(b"HTTP/1.1 200 ") == 1

    async def hold(port: int, first: bytes = b"", second: bytes = b"") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        received = await reader.readuntil(b"/v1/x 0") if second else b""
        writer.write(second)
        received += await reader.read()
        writer.close()
        return received

    run(scenario())


def test_idle_connection_is_closed(run: Run[None]) -> None:
    """A connection kept after an answer is closed once it was idle too long."""
    options = replace(OPTIONS, keepalive_seconds=0.15, head_seconds=0.1)

    async def scenario() -> None:
        async with listening(options=options) as listener:
            answer = await speak(listener.port, post(HOST, b"Content-Length: 0"))

        assert b" 200 " in answer

    run(scenario())


def test_late_body_is_refused(run: Run[None]) -> None:
    """A body that does not arrive in time is refused, and the connection closed."""

    async def scenario() -> None:
        async with listening() as listener:
            answer = await speak(listener.port, post(HOST, b"Content-Length: 10", body=b"{"))

        assert answer.startswith(b"HTTP/1.1 400 ")

    run(scenario())


@pytest.mark.parametrize(
    ("size", "code"), [(999, 200), (1000, 200), (1001, 413)], ids=["below", "at the limit", "above"]
)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_body_limit(run: Run[None], size: int, code: int, framing: str) -> None:
    """A body of the limit passes; one more byte is too large, however it is framed."""
    body = b"x" * size
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    request = (
        post(HOST, b"Content-Length: %d" % size, CLOSE, body=body)
        if framing == "length"
        else post(HOST, b"Transfer-Encoding: chunked", CLOSE, body=chunked)
    )

    async def scenario() -> None:
        async with listening() as listener:
            assert status(await speak(listener.port, request)) == code

    run(scenario())


def test_too_large_upload_is_answered_unread(run: Run[None]) -> None:
    """An announced gigabyte is refused at once and never waited for."""

    async def scenario() -> None:
        async with listening() as listener:
            answer = await speak(listener.port, post(HOST, b"Content-Length: 1073741824", body=b"x"))

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer.lower()

    run(scenario())


def test_stranger_is_not_invited_to_upload(run: Run[None]) -> None:
    """`100 Continue` comes only when the handler invites; a refusal comes without it."""
    request = post(HOST, b"Expect: 100-continue", b"Content-Length: 2")

    async def refuse(_request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(status=401)
        response.force_close()
        return response

    async def scenario() -> None:
        async with listening(refuse) as listener:
            refused = await speak(listener.port, request)
        async with listening() as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(request)
            invited = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"{}")
            answer = await reader.readuntil(b"/v1/x 2")
            writer.close()

        assert refused.startswith(b"HTTP/1.1 401 ")
        assert invited == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert answer.startswith(b"HTTP/1.1 200 ")

    run(scenario())


def test_connections_are_bounded(run: Run[None]) -> None:
    """One connection more than allowed, in total or for a peer, is closed at once; a freed place is usable."""
    request = post(HOST, b"Content-Length: 0", CLOSE)

    async def scenario(options: ListenerOptions) -> None:
        async with listening(options=options) as listener:
            held = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
            await until(lambda: listener.connections == 2)
            extra = await speak(listener.port, request)
            held[0][1].close()
            await until(lambda: listener.connections == 1)
            freed = await speak(listener.port, request)
            held[1][1].close()

            assert extra == b""
            assert listener.turned_away == 1
            assert b" 200 " in freed

    for options in (replace(OPTIONS, max_connections=2), replace(OPTIONS, max_connections_per_peer=2)):
        run(scenario(options))


def test_caller_who_leaves_cancels_the_handler(run: Run[None]) -> None:
    """A handler that waits is cancelled as soon as its caller is gone."""

    async def scenario() -> None:
        began, cancelled = asyncio.Event(), asyncio.Event()

        async def wait(_request: web.BaseRequest) -> web.StreamResponse:
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
            raise AssertionError

        async with listening(wait) as listener:
            _reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(post(HOST, b"Content-Length: 0"))
            await began.wait()
            writer.close()
            async with asyncio.timeout(1):
                await cancelled.wait()

    run(scenario())


@pytest.mark.parametrize("kind", ["stream", "plain"])
def test_stalled_reader_is_cut_off(run: Run[None], kind: str) -> None:
    """A caller who stops reading loses the connection, in a stream and in a plain answer alike."""
    options = replace(OPTIONS, write_seconds=0.2)

    async def scenario() -> None:
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def flood(request: web.BaseRequest) -> web.StreamResponse:
            try:
                if kind == "plain":
                    response: web.StreamResponse = web.Response(body=b"x" * (64 << 20))
                    await response.prepare(request)
                    await response.write_eof()
                    return response
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b"x" * 65536)
            finally:
                ended.set_result(stalled(request))

        async with listening(flood, options) as listener:
            _reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
            writer.write(post(HOST, b"Content-Length: 0"))
            assert await ended
            writer.close()

    run(scenario())


def test_begun_answer_is_never_completed_by_an_error(run: Run[None]) -> None:
    """A handler that fails within a stream breaks the connection without the final chunk."""

    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        raise ValueError(CONTENT.decode())

    async def scenario() -> None:
        async with listening(fail) as listener:
            answer = await speak(listener.port, post(HOST, b"Content-Length: 0"))

        assert b"begun" in answer
        assert not answer.endswith(b"0\r\n\r\n")
        assert CONTENT not in answer

    run(scenario())


def test_close_lets_answers_end_and_takes_no_new_ones(run: Run[None]) -> None:
    """While it drains, the port refuses new connections and the answer in progress is delivered whole."""

    async def scenario() -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_request: web.BaseRequest) -> web.StreamResponse:
            began.set()
            await go_on.wait()
            return web.Response(text="whole")

        async with listening(slow) as listener:
            port = listener.port
            answer = asyncio.ensure_future(speak(port, post(HOST, b"Content-Length: 0")))
            await began.wait()
            await listener.stop_accepting()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            go_on.set()

            assert (await answer).endswith(b"whole")

    run(scenario())


def test_idle_connection_ends_with_the_port(run: Run[None]) -> None:
    """A kept connection is closed when the port stops accepting, so that its caller goes elsewhere."""

    async def scenario() -> None:
        async with listening() as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(post(HOST, b"Content-Length: 0"))
            await reader.readuntil(b"/v1/x 0")
            await listener.stop_accepting()

            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_close_cancels_what_does_not_end(run: Run[None]) -> None:
    """A handler that outlives the drain is cancelled once, may finish its own clean-up, and its caller sees a break."""

    async def scenario() -> None:
        began = asyncio.Event()
        cleaned: list[str] = []

        async def endless(_request: web.BaseRequest) -> web.StreamResponse:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.05)
                cleaned.append("whole")
            raise AssertionError

        async with listening(endless) as listener:
            answer = asyncio.ensure_future(speak(listener.port, post(HOST, b"Content-Length: 0")))
            await began.wait()
            async with asyncio.timeout(1):
                await listener.close(0.1)

            assert await answer == b""
            assert cleaned == ["whole"]

    run(scenario())


async def tls_answer(port: int, context: ssl.SSLContext) -> tuple[bytes, str | None, str | None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(post(HOST, b"Content-Length: 0", CLOSE))
    answer = await reader.read()
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    seen = (answer, tls.version(), tls.selected_alpn_protocol())
    writer.close()
    return seen


def test_tls_is_1_3_at_least(run: Run[None], tmp_path: Path) -> None:
    """TLS 1.3 with ALPN http/1.1 is served; 1.2 is refused."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    options = replace(OPTIONS, certificate=chain, private_key=key)

    def client(maximum: ssl.TLSVersion) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        context.maximum_version = maximum
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    async def scenario() -> None:
        async with listening(options=options) as listener:
            answer, version, protocol = await tls_answer(listener.port, client(ssl.TLSVersion.TLSv1_3))
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await tls_answer(listener.port, client(ssl.TLSVersion.TLSv1_2))

        assert b" 200 " in answer
        assert (version, protocol) == ("TLSv1.3", "http/1.1")

    run(scenario())


def test_a_renewed_certificate_serves_the_next_connection(run: Run[None], tmp_path: Path) -> None:
    """After `renew` new connections see the new certificate; a pair that does not fit leaves the old one in use."""
    old, new = trustme.CA(), trustme.CA()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def write(authority: trustme.CA) -> None:
        certificate = authority.issue_cert("localhost")
        certificate.cert_chain_pems[0].write_to_path(chain)
        certificate.private_key_pem.write_to_path(key)

    def client(authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def scenario() -> None:
        write(old)
        async with listening(options=replace(OPTIONS, certificate=chain, private_key=key)) as listener:
            await tls_answer(listener.port, client(old))
            write(new)
            listener.renew()
            answer, _version, _protocol = await tls_answer(listener.port, client(new))
            with pytest.raises(ssl.SSLError):
                await tls_answer(listener.port, client(old))
            assert b" 200 " in answer

            old.issue_cert("localhost").private_key_pem.write_to_path(key)
            with pytest.raises(ssl.SSLError):
                listener.renew()
            answer, _version, _protocol = await tls_answer(listener.port, client(new))
            assert b" 200 " in answer

    run(scenario())


async def test_a_port_that_is_taken_is_named() -> None:
    """Whoever starts a second gateway is told which port it was, and that somebody listens there."""
    logger = detached_logger(io.BytesIO())
    first = Listener(OPTIONS, logger)
    await first.start(strict)
    try:
        with pytest.raises(ListenerError, match=rf"127\.0\.0\.1:{first.port} .* another program listens there"):
            await Listener(replace(OPTIONS, port=first.port), logger).start(strict)
    finally:
        await first.close()


class Full(OneWrite):
    """An answer of the door: the method that was asked with."""

    def written(self, method: str, *, keeps: bool) -> bytes:
        """See `OneWrite`."""
        body = b"" if method == "HEAD" else b"full"
        return b"HTTP/1.1 503 Full\r\ncontent-length: 4\r\n" + (KEEP if keeps else CLOSED) + body


class At:
    """A door at which each gets the same answer, and whose requests come again as they are in `known`."""

    def __init__(self, answer: OneWrite) -> None:
        self.answer = answer
        self.known = set[bytes]()

    def meet(self, _head: RawRequestMessage) -> OneWrite | None:
        """See `answers.Door`."""
        return self.answer

    def remember(self, data: bytes, _head: RawRequestMessage) -> None:
        """See `answers.Door`."""
        self.known.add(data)

    def meet_again(self, data: bytes) -> bytes | None:
        """See `answers.Door`."""
        return b"HTTP/1.1 503 Known\r\ncontent-length: 5\r\n\r\nknown" if data in self.known else None


WHOLE = post(HOST, b"Content-Length: 2", body=b"{}")
LAST = post(HOST, b"Content-Length: 2", CLOSE, body=b"{}")
AT_THE_DOOR = {
    "one": ((LAST,), b"door"),
    "one after another": ((post(HOST, b"Content-Length: 1", body=b"1"), LAST), b"door door"),
    "chunked": ((post(HOST, b"Transfer-Encoding: chunked", CLOSE, body=b"2\r\n{}\r\n0\r\n\r\n"),), b"door"),
    "without its body": ((LAST[:-1], LAST[-1:]), b"handler"),
    "in pieces": ((LAST[:20], LAST[20:]), b"door"),
    "two at once": ((WHOLE + LAST,), b"handler handler"),
    "malformed behind it": ((WHOLE + b"{}",), b""),
    "of another protocol": (
        (post(HOST, b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 0"),),
        b"handler",
    ),
}


@pytest.mark.parametrize("name", AT_THE_DOOR)
def test_the_door_answers_what_comes_whole(run: Run[None], name: str) -> None:
    """What came whole to an idle connection is answered by the door; what else is well formed goes to the handler."""
    pieces, wanted = AT_THE_DOOR[name]
    asked = list[bytes]()

    class Asked(At):
        def meet(self, head: RawRequestMessage) -> OneWrite | None:
            assert head.path == "/v1/x"
            asked.append(b"door")
            return super().meet(head)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(b"handler")
        return await strict(request)

    async def scenario() -> None:
        listener = Listener(OPTIONS, detached_logger(logging.StreamHandler(io.StringIO())))
        await listener.start(handle, Asked(Full()))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        received = b""
        for number, piece in enumerate(pieces):
            writer.write(piece)
            if wanted.startswith(b"door door") and number == 0:
                received = await reader.readuntil(b"full")
            else:
                await asyncio.sleep(0.02)  # so that the next piece is one of its own
        received += await reader.read()
        writer.close()
        await listener.close(0.1)

        assert b" ".join(asked) == wanted
        assert received.count(b" 503 ") == wanted.count(b"door")
        assert received.endswith(b"full") == wanted.endswith(b"door")

    run(scenario())


def test_the_door_keeps_no_answers_for_who_does_not_read(run: Run[None]) -> None:
    """A caller who asks on and on without reading is not asked in again until it has read."""
    large = b"x" * (32 << 20)  # more than the system buffers
    answered = 0

    class Large(Full):
        def written(self, method: str, *, keeps: bool) -> bytes:
            return b"HTTP/1.1 503 Full\r\ncontent-length: %d\r\n" % len(large) + KEEP + large

    class Asked(At):
        def meet(self, head: RawRequestMessage) -> OneWrite | None:
            nonlocal answered
            answered += 1
            return super().meet(head)

    async def scenario() -> None:
        listener = Listener(replace(OPTIONS, write_seconds=0.3), detached_logger(logging.StreamHandler(io.StringIO())))
        await listener.start(strict, Asked(Large()))
        _reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                writer.write(WHOLE)
                await asyncio.sleep(0.01)  # so that each is one of its own
            await until(lambda: not listener.connections)
        writer.close()
        await listener.close(0.1)

        assert answered == 1

    run(scenario())


ENDLESS = post(HOST, b"Transfer-Encoding: chunked", body=b"")
KNOWN = {
    "at once": ((WHOLE,), b"known"),
    "after another": ((post(HOST, b"Content-Length: 1", body=b"1"), WHOLE), b"full known"),
    "with another behind it": ((WHOLE + WHOLE,), b"read read"),
    "within a body": ((post(HOST, b"Content-Length: %d" % len(WHOLE), body=b""), WHOLE), b"read"),
    "within a body in chunks": ((ENDLESS, b"%x\r\n" % len(WHOLE), WHOLE, b"\r\n0\r\n\r\n"), b"read"),
    "within a head": ((b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX: ", WHOLE), b""),
    "after what came in pieces": ((WHOLE[:20], WHOLE[20:], WHOLE), b"full full"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_is_answered_unread_between_two_requests_alone(run: Run[None], name: str) -> None:
    """The same bytes within another request are part of it, and whatever the parser has begun, it ends."""
    pieces, wanted = KNOWN[name]

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(text="read")

    async def scenario() -> None:
        listener = Listener(OPTIONS, detached_logger(logging.StreamHandler(io.StringIO())))
        door = At(Full())
        door.known.add(WHOLE)
        await listener.start(handle, door)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)  # so that the next piece is one of its own
        writer.write_eof()
        received = await reader.read()
        writer.close()
        await listener.close(0.1)

        assert b" ".join(re.findall(rb"(?:\r\n\r\n)(known|full|read)", received)) == wanted

    run(scenario())


def test_a_known_connection_stays_and_is_not_taken_for_a_late_head(run: Run[None]) -> None:
    """Its first request was answered, so the bound for its first head is over."""

    async def scenario() -> None:
        listener = Listener(replace(OPTIONS, head_seconds=0.1), detached_logger(logging.StreamHandler(io.StringIO())))
        door = At(Full())
        door.known.add(WHOLE)
        await listener.start(strict, door)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        for _ in range(3):
            writer.write(WHOLE)
            await reader.readuntil(b"known")
            await asyncio.sleep(0.1)
        writer.close()
        await listener.close(0.1)

    run(scenario())
