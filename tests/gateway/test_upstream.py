"""The socket that carries content, against a provider that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from aiohttp.abc import ResolveResult

from gateway.addresses import is_public
from gateway.endpoints import Endpoint, Resolver, tls_context
from gateway.errors import Code, GatewayError, Unavailable, UpstreamError
from gateway.upstream import Reply, Truncated, Upstream, UpstreamOptions

from .conftest import Run
from .exchanges import ADMISSION, clean_call

MARK = b"marked-answer-91c3"
KEY = "sk-marked-4d4d"
OPTIONS = UpstreamOptions(connect_seconds=1, head_seconds=1, idle_seconds=1, total_seconds=5, max_answer_bytes=100_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection at the provider: what it received, and what its script does with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.gone = asyncio.Event()
        self.head = self.body = b""

    async def request(self) -> None:
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(self.head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self.body = await self.reader.readexactly(length)

    async def until_gone(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.gone.set()


class FakeProvider:
    """Runs a script a connection; `peers` are the connections in order."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.peers: list[Peer] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            await self.script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            peer.gone.set()
        finally:
            writer.close()


def says(*pieces: bytes, then: str = "close") -> Script:
    """A script that reads one request, says the pieces, and then closes, resets or holds the connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            peer.writer.write(piece)
            await peer.writer.drain()
            await asyncio.sleep(0.01)  # each piece a packet of its own
        if then == "hold":
            await peer.until_gone()
        if then == "reset":
            await asyncio.sleep(0.05)  # let the pieces arrive as such: a reset overtakes them
            peer.writer.transport.abort()
        if then == "linger":
            peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.writer.transport.abort()

    return script


@contextlib.asynccontextmanager
async def provider(
    script: Script, options: UpstreamOptions = OPTIONS
) -> AsyncIterator[tuple[FakeProvider, Upstream, str]]:
    fake = FakeProvider(script)
    server = await asyncio.start_server(fake, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    upstream = Upstream(options, [Endpoint(url, unsafe_plaintext=True)])
    try:
        yield fake, upstream, url
    finally:
        await upstream.close()
        server.close()


async def exchange(upstream: Upstream, url: str, body: bytes = b'{"a":1}') -> bytes:
    async with upstream.send(clean_call(url, body), ADMISSION, KEY) as reply:
        return await reply.read()


def assert_silent(error: GatewayError) -> None:
    """Neither the error nor what it was raised from shows a URL, a key or a byte of the answer."""
    shown = f"{error} {error!r} {error.reason} {error.__cause__!r} {error.__suppress_context__}"
    for secret in (MARK.decode(), KEY, "127.0.0.1", "http://"):
        assert secret not in shown
    assert error.__context__ is None or error.__suppress_context__


def test_what_leaves_is_constants_credential_and_body(run: Run[None]) -> None:
    """The request on the wire is exactly these bytes, and nothing of the library's own is added."""

    async def scenario() -> None:
        async with provider(says(OK)) as (fake, upstream, url):
            call = clean_call(url, b'{"b":2}', {"anthropic-beta": "x"})
            async with upstream.send(call, ADMISSION, KEY) as reply:
                assert (reply.status, await reply.read(), reply.tls_version) == (200, b"{}", None)
            host = url.removeprefix("http://").removesuffix("/v1").encode()

            assert fake.peers[0].head == (
                b"POST /v1/chat HTTP/1.1\r\nHost: " + host + b"\r\nAccept-Encoding: identity\r\nx-constant: 1\r\n"
                b"Authorization: Bearer " + KEY.encode() + b"\r\nanthropic-beta: x\r\n"
                b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n"
            )
            assert fake.peers[0].body == b'{"b":2}'

    run(scenario())


FAULTS: dict[str, tuple[Script, Code]] = {
    "dies before the head": (says(), Code.UPSTREAM_FAILED),
    "resets before the head": (says(then="linger"), Code.UPSTREAM_FAILED),
    "dies within the head": (says(b"HTTP/1.1 200 OK\r\nx-a: " + MARK), Code.UPSTREAM_FAILED),
    "is not HTTP": (says(MARK + b"\r\n\r\n"), Code.UPSTREAM_FAILED),
    "bad header": (says(b"HTTP/1.1 200 OK\r\nx-a: " + MARK + b"\0\r\n\r\n"), Code.UPSTREAM_FAILED),
    "never answers": (says(then="hold"), Code.UPSTREAM_TIMEOUT),
    "redirects": (
        says(b"HTTP/1.1 307 T\r\nLocation: http://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n"),
        Code.UPSTREAM_FAILED,
    ),
    "redirects for good": (says(b"HTTP/1.1 301 T\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"), Code.UPSTREAM_FAILED),
    "says not modified": (says(b"HTTP/1.1 304 N\r\n\r\n"), Code.UPSTREAM_FAILED),
    "switches protocols": (
        says(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + MARK, then="hold"),
        Code.UPSTREAM_FAILED,
    ),
    "floods interim answers": (says(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, then="hold"), Code.UPSTREAM_FAILED),
    "drips interim answers": (says(b"HTTP/1.1 102 P\r\n\r\n", then="hold"), Code.UPSTREAM_TIMEOUT),
    "floods headers": (says(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 5000 + b"\r\n"), Code.UPSTREAM_FAILED),
    "sends a huge header": (says(b"HTTP/1.1 200 OK\r\nx-a: " + b"b" * 100_000 + b"\r\n\r\n"), Code.UPSTREAM_FAILED),
    "answers gzip": (
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
        Code.UPSTREAM_FAILED,
    ),
    "announces too much": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"), Code.UPSTREAM_FAILED),
    "announces far too much": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 18 + b"\r\n\r\n"),
        Code.UPSTREAM_FAILED,
    ),
    "length and chunked": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Code.UPSTREAM_FAILED,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_provider_fault_is_an_upstream_error(run: Run[None], name: str) -> None:
    """Whatever the provider does wrong before its answer's body is one content-free error, never retried."""
    script, code = FAULTS[name]

    async def scenario() -> None:
        async with provider(script, replace(OPTIONS, head_seconds=0.3)) as (fake, upstream, url):
            with pytest.raises(UpstreamError) as caught:
                await exchange(upstream, url)

            assert (caught.value.code, caught.value.retryable) == (code, False)
            assert_silent(caught.value)
            assert len(fake.peers) == 1
            assert upstream.in_flight == 0

    run(scenario())


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
BROKEN: dict[str, tuple[Script, type[GatewayError], Code]] = {
    "dies within a length": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst"),
        Truncated,
        Code.UPSTREAM_FAILED,
    ),
    "dies between chunks": (says(CHUNKED), Truncated, Code.UPSTREAM_FAILED),
    "dies within a chunk": (says(CHUNKED + b"9\r\nabc"), Truncated, Code.UPSTREAM_FAILED),
    "resets between chunks": (says(CHUNKED, then="reset"), Truncated, Code.UPSTREAM_FAILED),
    "sends a malformed chunk": (says(CHUNKED, MARK + b"\r\n", then="hold"), Truncated, Code.UPSTREAM_FAILED),
    "falls silent": (says(CHUNKED, then="hold"), UpstreamError, Code.UPSTREAM_TIMEOUT),
    "sends too much": (
        says(CHUNKED, *([b"8000\r\n" + b"x" * 0x8000 + b"\r\n"] * 4), b"0\r\n\r\n", then="hold"),
        UpstreamError,
        Code.UPSTREAM_FAILED,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_answer_never_looks_whole(run: Run[None], name: str) -> None:
    """An answer that breaks off gives what came and then an error, never an end."""
    script, kind, code = BROKEN[name]

    async def scenario() -> None:
        async with provider(script, replace(OPTIONS, idle_seconds=0.3)) as (_fake, upstream, url):
            received: list[bytes] = []
            with pytest.raises(kind) as caught:
                async with upstream.send(clean_call(url), ADMISSION, KEY) as reply:
                    async for chunk in reply:
                        received.append(chunk)
                        assert not reply.whole

            assert b"".join(received).startswith(b"first")
            assert (type(caught.value), caught.value.code) == (kind, code)
            assert caught.value.retryable is False
            assert_silent(caught.value)
            assert upstream.in_flight == 0

    run(scenario())


def test_endless_answer_is_cut_at_the_total_deadline(run: Run[None]) -> None:
    """A stream that never falls silent and never ends is cut off in time."""

    async def drip(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(CHUNKED)
        while True:
            peer.writer.write(b"1\r\nx\r\n")
            await peer.writer.drain()
            await asyncio.sleep(0.02)

    async def scenario() -> None:
        async with provider(drip, replace(OPTIONS, total_seconds=0.3)) as (_fake, upstream, url):
            with pytest.raises(UpstreamError) as caught:
                await exchange(upstream, url)

            assert caught.value.code is Code.UPSTREAM_TIMEOUT

    run(scenario())


def test_refused_connection_may_be_retried(run: Run[None]) -> None:
    """Where no byte can have been sent, and only there, the error says retryable."""

    async def scenario() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
            upstream = Upstream(OPTIONS, [Endpoint(url, unsafe_plaintext=True)])
            with pytest.raises(UpstreamError) as caught:
                await exchange(upstream, url)
            await upstream.close()

        assert (caught.value.code, caught.value.retryable) == (Code.UPSTREAM_FAILED, True)
        assert_silent(caught.value)

    run(scenario())


def test_black_hole_times_out_before_any_byte(run: Run[None]) -> None:
    """A handshake that gets no answer ends at the connect deadline, retryable."""

    async def mute(peer: Peer) -> None:
        await peer.until_gone()

    async def scenario() -> None:
        fake = FakeProvider(mute)
        server = await asyncio.start_server(fake, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        upstream = Upstream(replace(OPTIONS, connect_seconds=0.3), [Endpoint(url)], vet=lambda _address: True)
        with pytest.raises(UpstreamError) as caught:
            await exchange(upstream, url)
        await upstream.close()
        server.close()

        assert (caught.value.code, caught.value.retryable) == (Code.UPSTREAM_TIMEOUT, True)
        assert_silent(caught.value)

    run(scenario())


@pytest.mark.parametrize("moment", ["before the head", "within the body"])
def test_leaving_early_closes_the_provider_at_once(run: Run[None], moment: str) -> None:
    """A cancelled call breaks its upstream connection within a second, and frees its place."""
    script = says(then="hold") if moment == "before the head" else says(CHUNKED, then="hold")

    async def scenario() -> None:
        async with provider(script) as (fake, upstream, url):
            began = asyncio.Event()

            async def call() -> None:
                if moment == "before the head":
                    began.set()
                async with upstream.send(clean_call(url), ADMISSION, KEY) as reply:
                    await reply.next()
                    began.set()
                    await reply.next()

            task = asyncio.ensure_future(call())
            await began.wait()
            while not fake.peers or not fake.peers[0].body:  # the provider's progress
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(1):
                await fake.peers[0].gone.wait()

            assert upstream.in_flight == 0

    run(scenario())


def test_leaving_early_stops_the_upload(run: Run[None]) -> None:
    """What of the body had not left when the call was cancelled does not leave afterwards."""

    async def scenario() -> None:
        begun, cancelled = asyncio.Event(), asyncio.Event()
        received: list[int] = []

        async def slow(peer: Peer) -> None:
            await peer.reader.readuntil(b"\r\n\r\n")
            begun.set()
            await cancelled.wait()
            received.append(len(await peer.reader.read(-1)))

        size = 64 << 20
        async with provider(slow, replace(OPTIONS, head_seconds=20)) as (fake, upstream, url):
            task = asyncio.ensure_future(exchange(upstream, url, b"x" * size))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled.set()
            while not received and not fake.peers[0].gone.is_set():  # the provider's progress
                await asyncio.sleep(0.01)

            assert sum(received) < size

    run(scenario())


def test_unread_answer_is_not_reused(run: Run[None]) -> None:
    """Leaving before the end closes the connection; the next call gets its own answer on a new one."""

    async def numbered(peer: Peer) -> None:
        number = len(fakes[0].peers)
        while True:
            await peer.request()
            peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60001\r\n\r\n" + b"%d" % number + b"x" * 60000)

    fakes: list[FakeProvider] = []

    async def scenario() -> None:
        async with provider(numbered) as (fake, upstream, url):
            fakes[:] = [fake]
            async with upstream.send(clean_call(url), ADMISSION, KEY) as reply:
                assert reply.status == 200
            assert (await exchange(upstream, url))[:1] == b"2"
            assert (await exchange(upstream, url))[:1] == b"2"  # read to its end: kept and reused

    run(scenario())


def test_unasked_answer_is_never_taken_for_the_next_call(run: Run[None]) -> None:
    """Bytes that arrive on an idle connection close it, so no caller sees another's answer."""

    async def poison(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(OK)
        await asyncio.sleep(0.05)  # the first call is over and its connection idle
        peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + MARK)
        await peer.until_gone()

    async def scenario() -> None:
        async with provider(poison) as (fake, upstream, url):
            assert await exchange(upstream, url) == b"{}"
            await asyncio.sleep(0.15)
            assert await exchange(upstream, url) == b"{}"
            assert len(fake.peers) == 2

    run(scenario())


def test_extra_answer_is_never_taken_for_the_next_call(run: Run[None]) -> None:
    """Two answers to one request: the second is thrown away with its connection."""

    async def scenario() -> None:
        extra = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + MARK
        async with provider(says(OK + extra, then="hold")) as (fake, upstream, url):
            assert await exchange(upstream, url) == b"{}"
            assert await exchange(upstream, url) == b"{}"
            assert len(fake.peers) == 2

    run(scenario())


def test_early_answer_does_not_leave_half_a_request_behind(run: Run[None]) -> None:
    """A provider that answers before it read the body gets no further request on that connection."""

    async def early(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.write(OK)
        await peer.until_gone()

    async def scenario() -> None:
        async with provider(early) as (fake, upstream, url):
            assert await exchange(upstream, url, b"x" * (32 << 20)) == b"{}"
            assert await exchange(upstream, url) == b"{}"
            assert len(fake.peers) == 2

    async def bounded() -> None:
        await scenario()

    run(bounded())


def test_full_house_refuses_at_once(run: Run[None]) -> None:
    """One call more than the bound is refused without waiting, and the place is free again afterwards."""

    async def scenario() -> None:
        async with provider(says(CHUNKED, then="hold"), replace(OPTIONS, max_in_flight=1)) as (_fake, upstream, url):
            async with upstream.send(clean_call(url), ADMISSION, KEY):
                with pytest.raises(Unavailable) as caught:
                    await exchange(upstream, url)
            async with upstream.send(clean_call(url), ADMISSION, KEY) as reply:
                assert await reply.next() == b"first"

            assert caught.value.code is Code.OVERLOADED
            assert caught.value.retryable

    run(scenario())


def test_slow_caller_slows_the_provider(run: Run[None]) -> None:
    """What is held of an unread answer stays near the buffer's size, however much the provider has."""

    async def scenario() -> None:
        sent = 0

        async def flood(peer: Peer) -> None:
            nonlocal sent
            await peer.request()
            peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n")
            while True:
                peer.writer.write(b"x" * 65536)
                await peer.writer.drain()
                sent += 65536

        options = replace(OPTIONS, max_answer_bytes=1_000_000_000, read_bufsize=16 * 1024)
        async with (
            provider(flood, options) as (_fake, upstream, url),
            upstream.send(clean_call(url), ADMISSION, KEY) as reply,
        ):
            await asyncio.sleep(0.3)
            held = sent
            await asyncio.sleep(0.3)

            assert sent == held < 32 << 20
            assert len(await reply.next()) < 1 << 20

    run(scenario())


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-beta": "a\r\nx: y"},
        {"anthropic-beta": "a\nb"},
        {"anthropic-beta": "\0"},
        {"anthropic-beta": "é"},
        {"a b": "c"},
        {"Authorization": "Bearer other"},
        {"authorization": "Bearer other"},
        {"Host": "example.org"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"X-Constant": "2"},
        {"accept-encoding": "gzip"},
        {"a": "1", "A": "2"},
    ],
    ids=str,
)
async def test_header_that_could_end_its_line_or_another_is_not_sent(headers: dict[str, str]) -> None:
    """Granted headers cannot break the framing or replace what the gateway says itself."""
    async with provider(says(OK)) as (fake, upstream, url):
        if set(headers) == {"Authorization"}:
            headers = {"AUTHORIZATION": "Bearer other"}
        with pytest.raises(UpstreamError):
            async with upstream.send(clean_call(url, headers=headers), ADMISSION, KEY):
                pass

        assert fake.peers == []


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("http://127.0.0.1:1"),
        Endpoint("http://api.example.com"),
        Endpoint("https://api.example.com/"),
        Endpoint("https://user:pass@api.example.com"),
        Endpoint("https://api.example.com/v1?x=y"),
        Endpoint("https://api.example.com/../v1", unsafe_plaintext=True),
        Endpoint("https://API.example.com"),
        Endpoint("ftp://api.example.com", unsafe_plaintext=True),
        Endpoint(""),
    ],
    ids=lambda endpoint: endpoint.base_url,
)
async def test_odd_endpoint_is_not_listed(endpoint: Endpoint) -> None:
    """Only plain https base URLs are listed, and http only where it is called unsafe."""
    with pytest.raises(ValueError, match=r"base URL|unsafe_plaintext"):
        Upstream(OPTIONS, [endpoint])


async def test_unlisted_endpoint_gets_nothing() -> None:
    """A route whose endpoint is not listed, or no longer, fails before any connection."""
    async with provider(says(OK)) as (fake, upstream, url):
        upstream.replace([])
        with pytest.raises(UpstreamError) as caught:
            await exchange(upstream, url)

        assert caught.value.retryable is False
        assert fake.peers == []


class Pretending(Resolver):
    """Answers every listed name with one address, and counts."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        if not self.addresses:
            raise OSError(None, "no such name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1"], ["10.0.0.1", "169.254.169.254"]], ids=str)
def test_name_that_leads_inside_is_not_connected(run: Run[None], addresses: list[str]) -> None:
    """A listed name that resolves to nothing, or to a private address, gets no connection."""

    async def scenario() -> None:
        fake = FakeProvider(says(OK))
        server = await asyncio.start_server(fake, "127.0.0.1", 0)
        url = f"https://api.example.com:{server.sockets[0].getsockname()[1]}"
        resolver = Pretending(*addresses)
        upstream = Upstream(OPTIONS, [Endpoint(url)], vet=is_public, resolver=resolver)
        with pytest.raises(UpstreamError) as caught:
            await exchange(upstream, url)
        await upstream.close()
        server.close()

        assert resolver.asked
        assert (caught.value.code, caught.value.retryable) == (Code.UPSTREAM_FAILED, True)
        assert_silent(caught.value)
        assert fake.peers == []

    run(scenario())


async def test_plaintext_goes_to_loopback_only() -> None:
    """An entry marked unsafe still reaches nothing but this host."""
    url = "http://api.example.com"
    upstream = Upstream(OPTIONS, [Endpoint(url, unsafe_plaintext=True)], resolver=Pretending("8.8.8.8"))
    with pytest.raises(UpstreamError) as caught:
        await exchange(upstream, url)
    await upstream.close()

    assert caught.value.code is Code.UPSTREAM_FAILED


async def test_resolver_knows_only_listed_names() -> None:
    """A name that no endpoint bears is not even asked for."""
    with pytest.raises(OSError, match="not a listed name"):
        await Resolver().resolve("localhost", 443)


@contextlib.asynccontextmanager
async def tls_provider(
    tmp_path: Path, name: str, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, *, trusted: bool = True
) -> AsyncIterator[tuple[FakeProvider, Upstream, str]]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    context.maximum_version = maximum
    context.set_alpn_protocols(["http/1.1"])
    roots = tmp_path / "roots.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(roots)
    fake = FakeProvider(says(OK))
    server = await asyncio.start_server(fake, "127.0.0.1", 0, ssl=context)
    url = f"https://api.example.com:{server.sockets[0].getsockname()[1]}"
    options = replace(OPTIONS, ca_file=roots)
    upstream = Upstream(options, [Endpoint(url)], vet=lambda _address: True, resolver=Pretending("127.0.0.1"))
    try:
        yield fake, upstream, url
    finally:
        await upstream.close()
        server.close()


def test_tls_1_3_with_a_verified_name_carries_the_call(run: Run[None], tmp_path: Path) -> None:
    """The positive control: right name, trusted root, TLS 1.3."""

    async def scenario() -> None:
        async with (
            tls_provider(tmp_path, "api.example.com") as (_fake, upstream, url),
            upstream.send(clean_call(url), ADMISSION, KEY) as reply,
        ):
            assert reply.tls_version == "TLSv1.3"
            assert await reply.read() == b"{}"

    run(scenario())


@pytest.mark.parametrize(
    ("name", "maximum", "trusted"),
    [
        ("other.example.com", ssl.TLSVersion.TLSv1_3, True),
        ("api.example.com", ssl.TLSVersion.TLSv1_2, True),
        ("api.example.com", ssl.TLSVersion.TLSv1_3, False),
    ],
    ids=["another name", "TLS 1.2", "an unknown root"],
)
def test_unverified_tls_gets_no_byte(
    run: Run[None], tmp_path: Path, name: str, maximum: ssl.TLSVersion, trusted: bool
) -> None:
    """A wrong name, an old version or an unknown root ends the call before anything is sent."""

    async def scenario() -> None:
        async with tls_provider(tmp_path, name, maximum, trusted=trusted) as (fake, upstream, url):
            with pytest.raises(UpstreamError) as caught:
                await exchange(upstream, url)

            assert (caught.value.code, caught.value.retryable) == (Code.UPSTREAM_FAILED, True)
            assert_silent(caught.value)
            assert all(not peer.head for peer in fake.peers)

    run(scenario())


def test_tls_context_obeys_no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Session secrets are not written where `SSLKEYLOGFILE` says, and roots come from one file."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    context = tls_context(None)

    assert context.keylog_filename is None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.get_ca_certs()


def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, run: Run[None]) -> None:
    """A proxy variable changes nothing: the call goes straight to its endpoint."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def scenario() -> None:
        async with provider(says(OK)) as (_fake, upstream, url):
            assert await exchange(upstream, url) == b"{}"

    run(scenario())


def test_reply_shows_nothing() -> None:
    """A reply's repr holds nothing of the answer."""
    assert "__repr__" not in vars(Reply)
