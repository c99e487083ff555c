"""The listed endpoints, made ready: where they are, how their connections are made, and what never varies.

Each connection goes to a listed name, at an address that is looked at when its socket is made, over
TLS 1.3 with verified chain and name (a loopback endpoint marked `unsafe_plaintext` excepted). Nothing of the
environment is read: no proxy, no key log, no bundle of roots.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.addresses import Vet
from gateway.errors import Code, UpstreamError
from gateway.exchange import CleanCall
from providers.credentials import NotAKeyPair, Signed, signature
from providers.provider import Operation, Provider

_FRAMING = frozenset({"connection", "content-encoding", "content-length", "cookie", "expect", "host", "keep-alive"}) | {
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Names that a table or a grant may not set: they say where a message ends or who is spoken to."""

_VALUE = re.compile(r"[\x20-\x7e]*")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_BASE_URL = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


_MOST_HEADS = 256


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a registry entry lets content go. `unsafe_plaintext` allows http, and then only to loopback."""

    base_url: str
    unsafe_plaintext: bool = False


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.3 with verified chain and name. Made by hand, since the library's default obeys `SSLKEYLOGFILE`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cafile=ca_file if ca_file is not None else certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class Resolver(AbstractResolver):
    """The system's resolver, for the listed names only."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of a listed name.

        Raises:
            OSError: unlisted, or unknown to the system.
        """
        if host not in self.names:
            raise OSError(None, "not a listed name")
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=proto, flags=_NUMERIC
            )
            for kind, _type, proto, _name, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class _Answers(ResponseHandler):
    """One connection to a provider. As the library's, but a malformed body wakes its reader, and watching costs less.

    aiohttp 3.14.5 keeps a parser's error within a body to itself, and the reader waits until it is idle too long; it
    makes a timer anew for each piece that comes, and asks the parser for more whenever a piece is taken.
    """

    _heard = 0.0
    _watching = False

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        super().set_exception(exc)  # without the cause, which quotes the bytes
        if isinstance(exc, HttpProcessingError) and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError())

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:  # else nothing waits in the parser or the socket
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def close(self) -> None:
        self._unwatch()
        super().close()

    def abort(self) -> None:
        self._unwatch()
        super().abort()

    # One timer a connection: it looks when something was last heard, and sleeps on.

    def _reschedule_timeout(self) -> None:
        self._heard = self._loop.time()
        self._watching = bool(self._read_timeout)
        if self._watching and self._read_timeout_handle is None:
            self._read_timeout_handle = self._loop.call_later(self._read_timeout or 0.0, self._watch)

    def _drop_timeout(self) -> None:
        self._watching = False

    def _watch(self) -> None:
        self._read_timeout_handle = None
        if not self._watching:
            return
        left = self._heard + (self._read_timeout or 0.0) - self._loop.time()
        if left > 0:
            self._read_timeout_handle = self._loop.call_later(left, self._watch)
        else:
            self._on_read_timeout()

    def _unwatch(self) -> None:
        self._watching = False
        if self._read_timeout_handle is not None:
            self._read_timeout_handle.cancel()
            self._read_timeout_handle = None


class Connector(aiohttp.TCPConnector):
    """The library's pool of our connections, each to an address that was looked at when its socket was made."""

    def __init__(self, context: ssl.SSLContext, resolver: AbstractResolver, vet: Vet, keepalive_seconds: float) -> None:
        def vetted(info: AddrInfoType) -> socket.socket:
            family, kind, proto, _name, address = info
            if not vet(str(address[0])):
                raise OSError(None, "not a permitted address")
            return socket.socket(family, kind, proto)

        super().__init__(
            ssl=context,
            limit=0,  # the pool would queue; `send` refuses instead
            keepalive_timeout=keepalive_seconds,
            resolver=resolver,
            socket_factory=vetted,
        )
        self.context = context
        self._factory = functools.partial(_Answers, loop=self._loop)  # type: ignore[assignment]  # of a subclass


class Idle:
    """Connections that wait for their next call. As the library's pool, for whoever looks into it with each call.

    Args:
        keepalive_seconds: how long one waits at most.
    """

    def __init__(self, keepalive_seconds: float) -> None:
        self._keepalive = keepalive_seconds
        self._loop = asyncio.get_running_loop()
        self._held: dict[str, list[tuple[Connection, float]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.closed = False

    def take(self, base_url: str) -> Connection | None:
        """The connection that was used last, if one is sound."""
        held = self._held.get(base_url)
        while held:
            connection, until = held.pop()
            protocol = connection.protocol
            if (
                protocol is not None
                and protocol.is_connected()
                # Something arrived on an idle connection: it would be read as the answer to this call.
                and not protocol.should_close
                and until > self._loop.time()
            ):
                return connection
            connection.close()
        return None

    def give(self, base_url: str, connection: Connection) -> None:
        """Keep one whose answer was read to its end."""
        protocol = connection.protocol
        if self.closed or protocol is None or protocol.should_close:
            connection.close()
            return
        self._held.setdefault(base_url, []).append((connection, self._loop.time() + self._keepalive))
        if self._timer is None:
            self._timer = self._loop.call_later(self._keepalive, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        for base_url, held in list(self._held.items()):
            for connection, until in held:
                if until <= now:
                    connection.close()
            self._held[base_url] = left = [each for each in held if each[1] > now]
            if not left:
                del self._held[base_url]
        self._timer = self._loop.call_later(self._keepalive, self._sweep) if self._held else None

    def close(self) -> None:
        """Close all, and keep none that is given from now on."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for held in self._held.values():
            for connection, _until in held:
                connection.close()
        self._held.clear()


class Destination(ClientRequest):
    """What the connector needs to know of an endpoint. It is never sent: it has no body and no credential."""


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint made ready: everything of a request that does not change."""

    destination: Destination
    connector: Connector
    host: str
    prefix: str
    heads: dict[tuple[object, ...], bytes] = field(repr=False)

    def signed_head(self, wire: Provider, operation: Operation, secret: str, clean: CleanCall, at: datetime) -> bytes:
        """As `head`, signed over the very bytes that leave, so for one call and one instant.

        Raises:
            UpstreamError: the secret is no key pair, or a header cannot be sent.
        """
        path, grant = f"{self.prefix}{operation.path}", clean.grant
        shown = {**wire.constant_headers, **grant.headers, "Content-Type": clean.content_type}
        request = Signed(operation.method, self.host, path, clean.body, grant.route.region, headers=shown)
        try:
            proof = signature(request, secret, at)
        except NotAKeyPair:
            raise failed("The credential of this processor is not a key pair.", retryable=True) from None
        line = f"{operation.method} {path} HTTP/1.1\r\nHost: {self.host}\r\n"
        headers = {"Accept-Encoding": "identity", **shown, **proof}
        return line.encode("ascii") + header_lines(headers, _FRAMING)

    def head(
        self,
        wire: Provider,
        operation: Operation,
        credential: str,
        granted: Mapping[str, str],
        content_type: str,
        show: Callable[[str], Mapping[str, str]],
    ) -> bytes:
        """Request line and every header but the length. A few of them serve all calls, so they are kept.

        Args:
            show: how the credential is shown.

        Raises:
            UpstreamError: a header cannot be sent; see `header_lines`.
        """
        key = (wire.name, operation.name, show, credential, content_type, *granted.items())
        if (made := self.heads.get(key)) is None:
            line = f"{operation.method} {self.prefix}{operation.path} HTTP/1.1\r\nHost: {self.host}\r\n"
            constant = {"Accept-Encoding": "identity", **wire.constant_headers}
            varying = {**show(credential), **granted, "Content-Type": content_type}
            taken = _FRAMING.union(map(str.lower, constant))
            made = line.encode("ascii") + header_lines(constant, _FRAMING) + header_lines(varying, taken)
            if len(self.heads) >= _MOST_HEADS:
                self.heads.clear()
            self.heads[key] = made
        return made


def target(endpoint: Endpoint, verified: Connector, plain: Connector) -> Target:
    """Make an endpoint ready.

    Args:
        endpoint: as the registry lists it.
        verified: the connector for https.
        plain: the connector for http, which reaches loopback only.

    Raises:
        ValueError: not a plain base URL, or http without `unsafe_plaintext`.
    """
    if not _BASE_URL.fullmatch(endpoint.base_url):
        raise ValueError("a base URL is https://host[:port][/path], without a slash at its end")
    url = URL(endpoint.base_url, encoded=True)
    if url.scheme == "http" and not endpoint.unsafe_plaintext:
        raise ValueError("http needs unsafe_plaintext")
    host = url.host_port_subcomponent
    if host is None:
        raise ValueError("a base URL names a host")
    connector = plain if url.scheme == "http" else verified
    destination = Destination("POST", url, loop=asyncio.get_running_loop(), ssl=connector.context)
    prefix = url.raw_path.rstrip("/")
    return Target(destination, connector, host, prefix, {})


def failed(reason: str, *, retryable: bool) -> UpstreamError:
    """The error of a call that the provider failed. `reason` is ours."""
    return UpstreamError(Code.UPSTREAM_FAILED, reason, retryable=retryable)


def header_lines(headers: Mapping[str, str], taken: frozenset[str]) -> bytes:
    """Header lines.

    Raises:
        UpstreamError: a name is taken or comes twice, or a name or value could end its line; nothing was sent.
    """
    names = {name.lower() for name in headers}
    if len(names) != len(headers) or not names.isdisjoint(taken):
        raise failed("A header of the call would be sent twice.", retryable=False)
    for name, value in headers.items():
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise failed("A header of the call cannot be sent.", retryable=False)
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("ascii")
