"""The listening sockets: aiohttp's server without router, bounded, verified and made to say nothing of what it read.

aiohttp puts offending bytes into the error page and the log of a malformed request, drops every option
when one is misspelt, and answers half a request for an hour; each of these is closed here.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import TypeAlias, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.answers import WholeAnswer
from gateway.errors import Code
from gateway.intake import Request
from gateway.keys import new_call_id

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_MALFORMED = (
    b'{"type":"error","error":{"type":"invalid_request_error","message":"The request is not valid HTTP/1.1.",'
    b'"code":"body_invalid","param":null}}'
)
_BROKEN = (
    b'{"type":"error","error":{"type":"api_error","message":"The gateway could not answer this request.",'
    b'"code":null,"param":null}}'
)
_CANCELLED_SECONDS = 1.0
"""How long cancelled handlers are waited for."""

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


class ListenerError(Exception):
    """The listener may not start as configured. The message is ours and quotes no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerOptions:
    """How to listen. Times in seconds, sizes in bytes.

    Attributes:
        host: address to bind; anything that is not loopback needs TLS or `unsafe_plaintext`.
        port: 0 takes a free one.
        names: what `Host` may say, without port. Loopback names are added on a loopback address.
        any_name: accept every `Host`; only for ports that decide nothing by it.
        certificate, private_key: PEM files; both or neither.
        client_max_size: largest request body.
        head_seconds: a started request head must be whole by then; so must the first head and the handshake.
        keepalive_seconds: how long an idle connection stays; above a load balancer's own.
        write_seconds: how long a caller may leave our send buffer full.
        max_connections, max_connections_per_peer: more are closed at once.
        shared_port: several processes of this user listen there, and the kernel spreads connections (SO_REUSEPORT).
        shutdown_seconds: what `close` waits for answers in progress.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    names: frozenset[str] = frozenset()
    any_name: bool = False
    certificate: Path | None = None
    private_key: Path | None = None
    unsafe_plaintext: bool = False
    client_max_size: int = 4 * 1024 * 1024
    head_seconds: float = 10.0
    keepalive_seconds: float = 75.0
    lingering_seconds: float = 2.0
    write_seconds: float = 30.0
    max_connections: int = 8192
    max_connections_per_peer: int = 4096
    backlog: int = 1024
    shared_port: bool = False
    shutdown_seconds: float = 30.0
    max_line_size: int = 4096
    max_field_size: int = 8190
    max_headers: int = 64
    read_bufsize: int = 64 * 1024

    @property
    def loopback(self) -> bool:
        """Whether the address can be reached from this host only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def allowed_names(self) -> frozenset[str]:
        """Every name that `Host` may bear, lower case, without port."""
        names = frozenset(name.lower() for name in self.names)
        return names | _LOOPBACK_NAMES if self.loopback else names


class Protocol(web.RequestHandler):
    """One connection: as aiohttp's, with deadlines for the head and for a stalled reader, and fixed error bodies."""

    __slots__ = ("_head_timer", "_options", "_peer", "_server", "_write_timer", "stalled")

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, logger: logging.Logger) -> None:
        options = server.options
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=options.keepalive_seconds,
            tcp_keepalive=True,
            logger=logger,
            access_log=None,  # type: ignore[arg-type]  # None switches it off, as the code says and the type does not
            debug=False,
            max_line_size=options.max_line_size,
            max_field_size=options.max_field_size,
            max_headers=options.max_headers,
            lingering_time=options.lingering_seconds,
            read_bufsize=options.read_bufsize,
            auto_decompress=False,
        )
        self._server = server
        self._options = options
        self._peer: str | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self.stalled = False
        """The caller left our send buffer full for `write_seconds`, and we closed the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        if not self._server.welcome(self._peer):
            self._peer = None
            self._manager = None  # so that connection_lost finds nothing to undo
            self._force_close = True
            cast("asyncio.Transport", transport).abort()  # uvloop's is one in all but its class
            return
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._options.head_seconds, self._head_is_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._peer is not None:
            self._server.farewell(self._peer)
            self._peer = None
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._write_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:  # a whole head
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._head_timer is None and not (self._request_in_progress or self._messages or self._force_close):
            self._head_timer = self._loop.call_later(self._options.head_seconds, self._head_is_late)

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:  # else nothing waits in the parser or the socket; asked whenever a piece is taken
            super().resume_reading(resume_parser)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._request_in_progress:
            self.force_close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self._loop.call_later(self._options.write_seconds, self._reader_stalled)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _reader_stalled(self) -> None:
        self._write_timer = None
        self.stalled = True
        if self.transport is not None:
            self.transport.abort()

    async def start(self) -> None:
        transport = self.transport
        try:
            await super().start()
        finally:
            if transport is not None:
                transport.close()  # an idle connection that was told to end has not done it
                # This waits for the buffer to be read; a caller that never reads would hold it for ever.
                if transport.get_write_buffer_size():
                    self._loop.call_later(self._options.write_seconds, transport.abort)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a malformed request, or one whose handler failed, with bytes that are always the same.

        Raises:
            ConnectionError: an answer has begun; it is aborted and never continued as if it were whole.
        """
        del message  # quotes the request
        self._server.on_error(status, type(exc).__name__ if exc is not None else None)
        if request.writer.output_size > 0:
            raise ConnectionError
        malformed = 400 <= status < 500
        headers = {
            "content-type": "application/json; charset=utf-8",
            "x-should-retry": "false",
            "x-gateway-call-id": new_call_id(time_ns),
        }
        if malformed:
            headers["x-gateway-code"] = Code.BODY_INVALID.value
        response = WholeAnswer(status, _MALFORMED if malformed else _BROKEN, headers)
        response.force_close()
        return response

    def log_exception(self, *args: object, **kw: object) -> None:
        """Say that it happened: the library's own text quotes the request."""
        exc = kw.get("exc_info")
        self._server.on_error(500, type(exc).__name__ if isinstance(exc, BaseException) else None)


class Server(web.Server):
    """Makes a `Protocol` a connection, counts them, and has no fallback for a wrong option."""

    def __init__(
        self,
        handler: Handler,
        options: ListenerOptions,
        logger: logging.Logger,
        on_error: Callable[[int, str | None], None],
    ) -> None:
        super().__init__(handler, request_factory=self._request, handler_cancellation=True)
        self.options = options
        self.on_error = on_error
        self.turned_away = 0
        self._logger = logger
        self._peers: Counter[str] = Counter()
        self._open = 0

    def __call__(self) -> Protocol:
        return Protocol(self, self._loop, self._logger)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> Request:
        size = self.options.client_max_size
        return Request(message, payload, protocol, writer, task, self._loop, client_max_size=size)

    async def drain(self, seconds: float) -> None:
        """Let every answer in progress end, at most `seconds`; then cancel its handler and break its connection.

        The library's own `shutdown` takes its time-out twice and does not wait for what it cancels.
        """
        self.pre_shutdown()
        tasks = [task for connection in self.connections if (task := connection._task_handler) is not None]
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CANCELLED_SECONDS)
        for connection in self.connections:
            connection.force_close()

    def welcome(self, peer: str) -> bool:
        """Count a connection in, unless there are too many."""
        options = self.options
        if self._open >= options.max_connections or self._peers[peer] >= options.max_connections_per_peer:
            self.turned_away += 1
            return False
        self._open += 1
        self._peers[peer] += 1
        return True

    def farewell(self, peer: str) -> None:
        """Count it out."""
        self._open -= 1
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]


class Listener:
    """One bound address and its connections.

    Args:
        options: how to listen.
        logger: receives nothing but logger, level and exception class (`logs.detached_logger`).
        on_error: told of each answer that the server itself gave: (status, exception class or None).
    """

    def __init__(
        self,
        options: ListenerOptions,
        logger: logging.Logger,
        on_error: Callable[[int, str | None], None] = lambda _status, _exception: None,
    ) -> None:
        self.options = options
        self._logger = logger
        self._on_error = on_error
        self._server: Server | None = None
        self._socket: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """The bound port.

        Raises:
            ListenerError: not started.
        """
        if self._socket is None or not self._socket.sockets:
            raise ListenerError("the listener is not started")
        return int(self._socket.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._server.connections) if self._server is not None else 0

    @property
    def turned_away(self) -> int:
        """Connections closed at once because there were too many."""
        return self._server.turned_away if self._server is not None else 0

    async def start(self, handler: Handler) -> None:
        """Bind and serve.

        Raises:
            ListenerError: the options are unsafe or not taken as given by the library, or the address cannot be bound.
            OSError: a TLS file cannot be read.
        """
        context = self._context = _tls(self.options)
        server = Server(handler, self.options, self._logger, self._on_error)
        _read_back(server(), self.options)
        loop = asyncio.get_running_loop()
        self._server = server
        try:
            self._socket = await loop.create_server(
                server,
                self.options.host,
                self.options.port,
                ssl=context,
                backlog=self.options.backlog,
                reuse_port=self.options.shared_port or None,
                ssl_handshake_timeout=self.options.head_seconds if context else None,
                ssl_shutdown_timeout=2.0 if context else None,
            )
        except OSError as fault:
            taken = fault.errno == errno.EADDRINUSE
            why = "another program listens there" if taken else f"errno {fault.errno}"
            raise ListenerError(f"{self.options.host}:{self.options.port} cannot be listened on: {why}") from None

    def renew(self) -> None:
        """Read the certificate and its key again; connections made from now on use them.

        Raises:
            OSError, ssl.SSLError: they cannot be read, or do not belong together; the old ones stay in use.
        """
        if self._context is not None and self.options.certificate is not None:
            # First into a context of its own, or a bad pair would spoil the one in use.
            _tls(self.options)
            self._context.load_cert_chain(self.options.certificate, self.options.private_key)

    async def stop_accepting(self) -> None:
        """Take no new connection and close idle ones; answers in progress go on."""
        if self._socket is not None:
            self._socket.close()
        if self._server is not None:
            self._server.pre_shutdown()
        await asyncio.sleep(0)

    async def close(self, seconds: float | None = None) -> None:
        """Wait for answers in progress, at most `seconds` (default: the option), then cancel them."""
        await self.stop_accepting()
        if self._server is not None:
            await self._server.drain(self.options.shutdown_seconds if seconds is None else seconds)


def _tls(options: ListenerOptions) -> ssl.SSLContext | None:
    if options.certificate is None or options.private_key is None:
        if options.certificate is not None or options.private_key is not None:
            raise ListenerError("TLS needs both a certificate and a private key")
        if not (options.loopback or options.unsafe_plaintext):
            raise ListenerError("an address that is not loopback needs TLS, or unsafe_plaintext")
    if not options.allowed_names and not options.any_name:
        raise ListenerError("an address that is not loopback needs the names that callers use for it")
    if options.certificate is None or options.private_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # reads no environment, so SSLKEYLOGFILE has no hold here
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(options.certificate, options.private_key)
    return context


def _read_back(protocol: Protocol, options: ListenerOptions) -> None:
    """Compare what a connection of this server really has with what was asked for."""
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise ListenerError("aiohttp's C parser is not in use; its pure-Python parser reads requests differently")
    seen = {
        "keepalive_timeout": (protocol.keepalive_timeout, options.keepalive_seconds),
        "lingering_time": (protocol._lingering_time, options.lingering_seconds),
        "max_line_size": (protocol.max_line_size, options.max_line_size),
        "max_field_size": (protocol.max_field_size, options.max_field_size),
        "max_headers": (protocol.max_headers, options.max_headers),
        "read_bufsize": (protocol._read_bufsize, options.read_bufsize),
        "access_log": (protocol.access_log, None),
        "debug": (protocol.debug, False),
        "handler_cancellation": (protocol._server.handler_cancellation, True),
        "handle_error": (type(protocol).handle_error is Protocol.handle_error, True),
        "logger": (protocol.logger.parent, None),
    }
    wrong = sorted(name for name, (actual, wanted) in seen.items() if actual != wanted)
    if wrong:
        raise ListenerError(f"the server did not take these options: {', '.join(wrong)}")


def stalled(request: web.BaseRequest) -> bool:
    """Whether we closed this caller's connection because it had stopped reading."""
    protocol = request.protocol
    return isinstance(protocol, Protocol) and protocol.stalled
