"""The security team's tools, to which records are sent: OTLP over HTTP, or a syslog server that takes CEF.

Each takes one batch at a time and says whether it has all of it. Over HTTP an answer says so. Syslog has no answer, so
a batch is a connection of its own: it counts once the server has acknowledged and read all of it to our end, and closed
the connection in its turn. Whatever else happens means that the batch comes again, so nothing is lost and some may
come twice. TLS 1.3 with verified name, but for loopback.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import orjson
from yarl import URL

from gateway.audit.cef import syslog
from gateway.audit.export import Record
from gateway.audit.otlp import request
from gateway.config import Bundle
from gateway.config.settings import Collector as Named
from gateway.config.settings import Reached
from gateway.endpoints import tls_context
from gateway.errors import UpstreamError
from gateway.outside import Answer, Outside, Unreached

SECONDS: Final = 10.0
"""The longest that a server may take over one step of a batch."""

AGAIN: Final = frozenset({429, 502, 503, 504})
"""Answers of an OTLP endpoint after which the same may be sent again."""

_LONGEST_PAUSE: Final = 60.0
_MOST_SAID: Final = 64 * 1024


class NotTaken(Exception):
    """A batch that may not have been taken, all or in part. The text is ours.

    Args:
        why: for the operator.
        after: seconds after which it may be sent again, at the earliest; None: sending it again would change nothing.
    """

    def __init__(self, why: str, after: float | None = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Collector(Protocol):
    """Where records go. `most` is how many it is given at once."""

    most: int

    async def send(self, records: Sequence[Record]) -> None:
        """Send a batch, at least one record; it was taken when this returns.

        Raises:
            NotTaken: nobody can say that all of it was.
        """
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


def collector(bundle: Bundle, named: Named) -> Collector:
    """The collector that gateway.yaml describes so.

    Raises:
        OSError: a certificate or a file of roots cannot be read.
    """
    if named.url.startswith("http"):
        return Otlp(bundle, named)
    url = URL(named.url)
    context = None if url.scheme == "tcp" else _context(_roots(bundle, named), _shown(bundle, named))
    return Syslog(url.host or "", url.port or 0, context)


class Endpoint:
    """An OTLP endpoint over HTTP.

    Args:
        bundle: holds the secrets.
        named: how it is reached.

    Raises:
        OSError: a certificate or a file of roots cannot be read.
    """

    def __init__(self, bundle: Bundle, named: Reached) -> None:
        self._bundle, self._named = bundle, named
        self._outside = Outside([named.url], _roots(bundle, named), vet=_anywhere, shown=_shown(bundle, named))

    async def post(self, url: str, body: bytes) -> Answer:
        """Post JSON, and give the answer.

        Raises:
            NotTaken: it was not reached, or a secret cannot be read.
        """
        try:
            return await self._outside.ask("POST", url, body=body, headers={**self._secrets(), **_JSON})
        except Unreached as fault:
            raise NotTaken(str(fault)) from None
        except UpstreamError:
            raise NotTaken("a secret of its `headers` cannot be read") from None

    async def close(self) -> None:
        """End every connection."""
        await self._outside.close()

    def _secrets(self) -> dict[str, str]:
        """Read for each batch, so that they rotate by themselves."""
        read = {name: self._bundle.secret(f"file:{item.file}") for name, item in self._named.headers.items()}
        return {name: f"Bearer {secret}" if name == "authorization" else secret for name, secret in read.items()}


def _roots(bundle: Bundle, named: Reached) -> Path | None:
    return None if named.authorities is None else bundle.path(named.authorities)


def _shown(bundle: Bundle, named: Reached) -> tuple[Path, Path] | None:
    return None if named.tls is None else (bundle.path(named.tls.certificate), bundle.path(named.tls.private_key))


class Otlp:
    """OTLP over HTTP. Use `collector`."""

    most = 512

    def __init__(self, bundle: Bundle, named: Named) -> None:
        self._url, self._endpoint = named.url, Endpoint(bundle, named)

    async def send(self, records: Sequence[Record]) -> None:
        """See `Collector`."""
        _refuse_what_was_not_taken(await self._endpoint.post(self._url, request(records)))

    async def close(self) -> None:
        """See `Collector`."""
        await self._endpoint.close()


_JSON: Final[Mapping[str, str]] = {"content-type": "application/json"}


def _anywhere(_address: str) -> bool:
    """A collector is mostly in the operator's own network; that it is the right one is what TLS says."""
    return True


def _refuse_what_was_not_taken(answer: Answer) -> None:
    """As the specification has it: which answers may be tried again, and that a part may have been refused for good."""
    if answer.status in AGAIN:
        seconds = int(answer.retry_after) if answer.retry_after.isascii() and answer.retry_after.isdigit() else 0
        raise NotTaken(f"it answered {answer.status}", min(float(seconds), _LONGEST_PAUSE))
    if not 200 <= answer.status < 300:
        raise NotTaken(f"it answered {answer.status}, which asking again does not change", None)
    try:
        partly = orjson.loads(answer.body or b"{}").get("partialSuccess") or {}
        refused = int(partly.get("rejectedLogRecords") or 0)
    except (ValueError, TypeError, AttributeError):
        refused = 0  # it answered 200, whatever it said
    if refused:
        raise NotTaken(f"it refused {refused} of the records for good", None)


class Syslog:
    """A server of RFC 5425 (or of RFC 6587 on loopback, in plain text), which is sent CEF with octet counts.

    Args:
        host, port: of the server.
        context: for TLS; None for plain text.
    """

    most = 1024

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._address = host, port
        self._context = context

    async def send(self, records: Sequence[Record]) -> None:
        """See `Collector`."""
        messages = [syslog(record).encode("ascii") for record in records]
        payload = b"".join([b"%d %b" % (len(message), message) for message in messages])
        try:
            await asyncio.to_thread(self._deliver, payload)
        except (OSError, ValueError):  # ssl's errors are of these; their texts quote what came
            raise NotTaken("it did not take the batch to its end") from None

    async def close(self) -> None:
        """See `Collector`."""

    def _deliver(self, payload: bytes) -> None:
        with socket.create_connection(self._address, SECONDS) as connection:
            if self._context is None:
                connection.sendall(payload)
                connection.shutdown(socket.SHUT_WR)
                _end(connection)
                return
            with self._context.wrap_socket(connection, server_hostname=self._address[0]) as encrypted:
                encrypted.sendall(payload)
                plain = encrypted.unwrap()  # a server must answer our close_notify by its own (RFC 5425 section 4.4)
                with plain:
                    _end(plain)


def _end(connection: socket.socket) -> None:
    """Wait until the server closes, too.

    Its end alone says nothing: a server that goes away early closes as well. But then its system never acknowledges
    what we sent after that, and where it had acknowledged what it did not read, it resets the connection.

    Raises:
        OSError: something was not read.
    """
    said = 0
    while more := len(connection.recv(4096)):
        said += more
        if said > _MOST_SAID:
            raise OSError("it talks, and a syslog server has nothing to say")
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or _unacknowledged(connection):
        raise OSError("it closed before it had everything")


def _unacknowledged(connection: socket.socket) -> int:
    """How many bytes the server's system has not acknowledged (tcp(7), SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0])


def _context(roots: Path | None, shown: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = tls_context(roots)
    context.set_alpn_protocols([])  # syslog has no name there
    if shown is not None:
        context.load_cert_chain(*shown)
    return context
