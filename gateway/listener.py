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
from typing import TypeAlias

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.answers import Answer, Door
from gateway.connection import Protocol
from gateway.intake import Request

Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]

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


class Server(web.Server):
    """Makes a `Protocol` a connection, counts them, and has no fallback for a wrong option."""

    def __init__(
        self,
        handler: Handler,
        options: ListenerOptions,
        logger: logging.Logger,
        on_error: Callable[[int, str | None], None],
        door: Door | None,
    ) -> None:
        super().__init__(handler, handler_cancellation=True)  # type: ignore[arg-type]  # `Protocol` calls it itself
        self.handler = handler
        self.door = door
        self.options = options
        self.on_error = on_error
        self.turned_away = 0
        self._logger = logger
        self._peers: Counter[str] = Counter()
        self._open = 0

    def __call__(self) -> Protocol:
        return Protocol(self, self._loop, self._logger)

    def request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> Request:
        """What is made of a head and the reader of its body."""
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

    async def start(self, handler: Handler, door: Door | None = None) -> None:
        """Bind and serve; `door` is asked first of each request that came whole to an idle connection.

        Raises:
            ListenerError: the options are unsafe or not taken as given by the library, or the address cannot be bound.
            OSError: a TLS file cannot be read.
        """
        context = self._context = _tls(self.options)
        server = Server(handler, self.options, self._logger, self._on_error, door)
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
        "logger": (protocol.logger.parent, None),
    }
    wrong = sorted(name for name, (actual, wanted) in seen.items() if actual != wanted)
    if wrong:
        raise ListenerError(f"the server did not take these options: {', '.join(wrong)}")
