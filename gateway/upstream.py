"""The only socket that carries content: one request to one listed endpoint, and its answer as bytes.

`send` takes what only the earlier steps can make, so nothing leaves unjudged, uncleaned or unrecorded. Used of
aiohttp are its connector (pool, name resolution, TLS) and its C response parser; its session, and with it
redirects, cookies, retries, environment proxies and automatic headers, is never created. What leaves is the
constant target, the wire's constant headers, the credential, the granted headers and the clean body.

No text of an exception leaves this module: the library's texts quote URLs and response bytes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EofStream, StreamReader
from multidict import CIMultiDictProxy

from gateway.addresses import Vet, is_loopback, is_public
from gateway.endpoints import Connector, Endpoint, Idle, Resolver, Target, failed, target, tls_context
from gateway.errors import Code, Unavailable, UpstreamError
from gateway.exchange import Admission, CleanCall
from gateway.intake import whole
from gateway.waits import Deadlines
from providers.credentials import SHOWN

MAX_INTERIM: Final = 16
"""Interim (1xx) answers read before the provider is given up. RFC 9110 section 15.2 lets it send any number."""

_ONE_WRITE: Final = 32 * 1024
"""Bodies up to this size are copied behind the head; larger ones go beside it, uncopied, in one call of the system."""


class Truncated(UpstreamError):
    """The answer broke off: what was received is not all of it, and must not look as if it were."""

    def __init__(self) -> None:
        super().__init__(Code.UPSTREAM_FAILED, "The provider's answer broke off.", retryable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """Bounds of the upstream side. Times in seconds, sizes in bytes.

    Attributes:
        max_in_flight: calls at once; more are refused at once, never queued.
        connect_seconds: name, connection and handshake together.
        head_seconds: from the request to the answer's head.
        idle_seconds: the longest silence within an answer's body.
        total_seconds: from the answer's head to its last byte.
        max_answer_bytes: larger answers are cut off.
        keepalive_seconds: how long a free connection is kept; below the provider's own.
        read_bufsize: what is held of an answer that its caller does not read, before the provider is slowed.
        ca_file: PEM bundle of trusted roots; None takes certifi's. Nothing of the environment is read.
    """

    max_in_flight: int = 2048
    connect_seconds: float = 5.0
    head_seconds: float = 600.0
    idle_seconds: float = 300.0
    total_seconds: float = 3600.0
    max_answer_bytes: int = 64 * 1024 * 1024
    keepalive_seconds: float = 15.0
    read_bufsize: int = 32 * 1024
    ca_file: Path | None = None


class Upstream:
    """The listed endpoints and the connections to them. Belongs to one event loop.

    Args:
        options: bounds.
        endpoints: where content may go at all; `replace` changes the list.
        vet: which addresses may be connected to over TLS.
        resolver: resolves the listed names.

    `vet` and `resolver` are arguments so that tests can put a provider on loopback.

    Raises:
        ValueError: an endpoint is not a plain base URL, or is http without `unsafe_plaintext`.
        OSError: the bundle of roots cannot be read.
    """

    def __init__(
        self,
        options: UpstreamOptions,
        endpoints: Iterable[Endpoint],
        *,
        vet: Vet = is_public,
        resolver: Resolver | None = None,
    ) -> None:
        self.options = options
        self.in_flight = 0
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver() if resolver is None else resolver
        context = tls_context(options.ca_file)
        self._verified = Connector(context, self._resolver, vet, options.keepalive_seconds)
        self._plain = Connector(context, self._resolver, is_loopback, options.keepalive_seconds)
        self._idle = Idle(options.keepalive_seconds)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=options.connect_seconds)
        self._heads: Deadlines[ResponseHandler] = Deadlines(options.head_seconds, _expire)
        self._bodies: Deadlines[StreamReader] = Deadlines(options.total_seconds, _expire)
        self._targets: Mapping[str, Target] = {}
        self.replace(endpoints)

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        """From now on content may go to these endpoints and no other; calls in flight go on.

        Raises:
            ValueError: as at construction; then nothing has changed.
        """
        targets = {endpoint.base_url: target(endpoint, self._verified, self._plain) for endpoint in endpoints}
        self._targets = targets
        self._resolver.names = frozenset(made.destination.host for made in targets.values())

    def send(self, clean: CleanCall, _admission: Admission, credential: str) -> Sending:
        """Send a clean, admitted call; use as `async with upstream.send(...) as reply:`.

        Leaving the block before the answer's end breaks the connection at once, so that the provider stops.
        Nothing is ever sent twice.

        Raises (on entering the block):
            Unavailable: `overloaded`: too many calls in flight; nothing was sent.
            UpstreamError: `upstream_failed` or `upstream_timeout`; retryable only if no byte can have been sent.
        """
        return Sending(self, clean, credential)

    async def close(self) -> None:
        """Close every connection. Calls in flight end as truncated."""
        self._idle.close()
        self._heads.close()
        self._bodies.close()
        await self._verified.close()
        await self._plain.close()

    def _find(self, base_url: str) -> Target:
        try:
            return self._targets[base_url]
        except KeyError:
            raise failed("The endpoint is not listed.", retryable=False) from None


class Sending:
    """One request on its way; entering it sends and waits for the answer's head."""

    __slots__ = ("_clean", "_connection", "_credential", "_payload", "_reply", "_upstream")

    def __init__(self, upstream: Upstream, clean: CleanCall, credential: str) -> None:
        self._upstream = upstream
        self._clean = clean
        self._credential = credential
        self._connection: Connection | None = None
        self._reply: Reply | None = None
        self._payload: StreamReader | None = None

    async def __aenter__(self) -> Reply:
        upstream = self._upstream
        if upstream.in_flight >= upstream.options.max_in_flight:
            raise Unavailable(Code.OVERLOADED, "Too many calls are on their way to providers.")
        upstream.in_flight += 1
        try:
            base_url = self._clean.grant.route.base_url
            where = upstream._find(base_url)
            head = self._head(where)
            connection = self._connection = upstream._idle.take(base_url)
            protocol = None if connection is None else connection.protocol
            if protocol is None:
                protocol = await self._connect(where)
            transport = self._write(protocol, head)
            message, payload = await _read_head(protocol)
            upstream._heads.end(protocol)
            if not payload.is_eof():  # a short answer is here already
                self._payload = payload
                upstream._bodies.begin(payload)
            limit = upstream.options.max_answer_bytes
            _check_head(message, limit)
            reply = self._reply = Reply(message, payload, transport, limit)
        except BaseException:
            self._end(reusable=False)
            raise
        return reply

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end(reusable=self._reply is not None and self._reply.whole)

    def _head(self, where: Target) -> bytes:
        """Request line and headers, as they leave."""
        clean, secret = self._clean, self._credential
        grant = clean.grant
        entry, scheme = grant.call.entry, grant.route.scheme
        if scheme == "aws_sigv4":
            head = where.signed_head(entry.wire, entry.operation, secret, clean, datetime.now(UTC))
        else:
            show = SHOWN.get(scheme, entry.wire.credential)
            head = where.head(entry.wire, entry.operation, secret, grant.headers, clean.content_type, show)
        return head + b"Content-Length: %d\r\n\r\n" % len(clean.body)

    def _write(self, protocol: ResponseHandler, head: bytes) -> asyncio.Transport:
        """Send all of it, and from now on await the answer."""
        upstream, options, body = self._upstream, self._upstream.options, self._clean.body
        transport = protocol.transport
        if transport is None:
            raise _closed()
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=options.idle_seconds,
            read_bufsize=options.read_bufsize,
        )
        upstream._heads.begin(protocol)
        # From here on bytes may have left.
        if len(body) <= _ONE_WRITE:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        return transport

    async def _connect(self, where: Target) -> ResponseHandler:
        upstream = self._upstream
        try:
            connection = await where.connector.connect(where.destination, [], upstream._timeout)
        except TimeoutError:
            raise UpstreamError(
                Code.UPSTREAM_TIMEOUT, "The provider could not be reached in time.", retryable=True
            ) from None
        except aiohttp.ClientSSLError:
            raise failed("The provider's TLS could not be verified.", retryable=True) from None
        except (aiohttp.ClientError, OSError):
            raise failed("The provider could not be reached.", retryable=True) from None
        self._connection = connection
        if connection.protocol is None:
            raise _closed()
        return connection.protocol

    def _end(self, *, reusable: bool) -> None:
        upstream = self._upstream
        upstream.in_flight -= 1
        if self._payload is not None:
            upstream._bodies.end(self._payload)
        connection = self._connection
        if connection is None:
            return
        self._connection = None
        protocol = connection.protocol
        transport = connection.transport
        if reusable and transport is not None and not transport.get_write_buffer_size():
            upstream._idle.give(self._clean.grant.route.base_url, connection)
            return
        if protocol is not None:
            upstream._heads.end(protocol)
            protocol.abort()  # `close` would first flush what is still to be sent
        connection.close()


class Reply:
    """An answer: its head, and its body as chunks in the order and size that the network gives them.

    Attributes:
        status: HTTP status; never 1xx or 3xx.
        headers: all of them; what passes on is the caller's list.
        received: body bytes so far.
    """

    __slots__ = ("_content", "_limit", "_transport", "headers", "received", "status")

    def __init__(
        self, message: RawResponseMessage, content: StreamReader, transport: asyncio.Transport, limit: int
    ) -> None:
        self.status: int = message.code
        self.headers: CIMultiDictProxy[str] = message.headers
        self.received = 0
        self._content = content
        self._limit = limit
        self._transport = transport

    @property
    def whole(self) -> bool:
        """All was received and taken, as the framing says; a body that ends with its connection looks whole too."""
        return self._content.at_eof() and self._content.exception() is None

    @property
    def tls_version(self) -> str | None:
        """`TLSv1.3`, or None over an endpoint marked unsafe."""
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return tls.version() if tls is not None else None

    async def next(self) -> bytes:
        """The next bytes of the body, or b"" at its end.

        Raises:
            Truncated: it broke off.
            UpstreamError: `upstream_timeout` after silence or in all; `upstream_failed` if it is too large.
        """
        try:
            chunk = await self._content.readany()
        except TimeoutError:
            raise UpstreamError(
                Code.UPSTREAM_TIMEOUT, "The provider's answer took too long.", retryable=False
            ) from None
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError):
            raise Truncated from None
        self.received += len(chunk)
        if self.received > self._limit:
            raise failed("The provider's answer is too large.", retryable=False)
        return chunk

    async def read(self) -> bytes:
        """The whole body; at most the configured size.

        Raises:
            UpstreamError: as `next`.
        """
        content = self._content
        if content.is_eof() and content.exception() is None:  # the usual case: it is here already
            body = whole(content)
            self.received += len(body)
            if self.received > self._limit:
                raise failed("The provider's answer is too large.", retryable=False)
            return body
        body = await self.next()
        chunks = [body]
        while chunk := await self.next():
            chunks.append(chunk)
        return b"".join(chunks)

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> bytes:
        if chunk := await self.next():
            return chunk
        raise StopAsyncIteration


async def _read_head(protocol: ResponseHandler) -> tuple[RawResponseMessage, StreamReader]:
    try:
        for _ in range(MAX_INTERIM):
            message, payload = await protocol.read()
            if message.code >= 200 or message.code == 101:
                return message, payload
    except TimeoutError:
        raise UpstreamError(Code.UPSTREAM_TIMEOUT, "The provider did not answer in time.", retryable=False) from None
    except (aiohttp.ClientError, HttpProcessingError, EofStream, OSError, ValueError):
        raise failed("The provider broke the connection before it answered.", retryable=False) from None
    raise failed("The provider sent only interim answers.", retryable=False)


def _check_head(message: RawResponseMessage, limit: int) -> None:
    if message.code == 101 or 300 <= message.code <= 399 or message.upgrade:
        raise failed("The provider sent the call elsewhere.", retryable=False)
    if message.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise failed("The provider's answer is encoded.", retryable=False)
    length = message.headers.get("Content-Length", "0")
    if len(length) > 15 or int(length) > limit:
        raise failed("The provider's answer is too large.", retryable=False)


def _closed() -> UpstreamError:
    return failed("The provider closed the connection.", retryable=True)


def _expire(waiting: ResponseHandler | StreamReader) -> None:
    """A deadline passed: whoever waits for the answer is woken with the error."""
    waiting.set_exception(aiohttp.SocketTimeoutError())
