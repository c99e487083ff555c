"""A whole answer as one write: head and body together, by the gateway's own short list of headers.

The library prepares an answer in eight steps that look for cookies, compression, chunks and ranges; a provider's
answer that is passed on has none of these, and half of the cost of answering was in looking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol, TypeAlias

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import RawRequestMessage, StreamWriter

from gateway.intake import SERVER_NAME

KEEP: Final = b"\r\n"
CLOSE: Final = b"connection: close\r\n\r\n"
"""How the head of an answer ends: what becomes of the connection, and an empty line."""

_PLAIN = re.compile(r"[\x20-\x7e]*").fullmatch
_REASONS = {status.value: status.phrase for status in HTTPStatus}


def reason_of(status: int) -> str:
    """The phrase that stands beside a status."""
    return _REASONS.get(status, "")


class StreamedAnswer(web.StreamResponse):
    """An answer to an HTTP/1.1 request that comes in pieces, each one write: a chunk (RFC 9112 section 7.1).

    The library looks at each piece for compression, a length and a listener first; there are none.
    """

    _begun = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a piece that is not empty; waits while the caller leaves our buffer full.

        Raises:
            ConnectionError: the caller is gone.
        """
        writer = self._payload_writer
        if not self._begun or not isinstance(writer, StreamWriter) or not writer.chunked:
            self._begun = True
            await super().write(data)  # with the head
            return
        transport = writer.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        chunk = b"".join((b"%x\r\n" % len(data), data, b"\r\n"))
        writer.output_size += len(chunk)
        transport.write(chunk)
        if writer.protocol.writing_paused:
            await writer.drain()


class OneWrite:
    """An answer to an HTTP/1.1 request whose bytes, head and body, are known at once and go out in one write.

    `closes` ends the connection with it, whatever the caller asked.
    """

    __slots__ = ("closes",)

    def __init__(self, *, closes: bool = False) -> None:
        self.closes = closes

    def written(self, method: str, *, keeps: bool) -> bytes:
        """All of it, for a request of that method; `keeps` says that the connection stays."""
        raise NotImplementedError


class WholeAnswer(OneWrite):
    """One that has a body and headers of its own.

    Args:
        status: never one that has no body (1xx, 204, 304).
        body: all of it.
        headers: lower-case names; a value that is not printable ASCII is left out.
        closes: see `OneWrite`.
    """

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str], *, closes: bool = False) -> None:
        super().__init__(closes=closes)
        self._status = status
        self._body = body
        self._headers = headers

    def written(self, method: str, *, keeps: bool) -> bytes:
        """See `OneWrite`."""
        headers = self._headers
        if not _is_plain("".join(headers.values())):
            headers = {name: value for name, value in headers.items() if _is_plain(value)}
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = (
            f"HTTP/1.1 {self._status} {reason_of(self._status)}\r\n{lines}"
            f"date: {rfc822_formatted_time()}\r\nserver: {SERVER_NAME}\r\ncontent-length: {len(self._body)}\r\n"
        )
        return b"".join((head.encode("ascii"), KEEP if keeps else CLOSE, b"" if method == "HEAD" else self._body))


class Door(Protocol):
    """Answers a request at once, before anything is made of it; None where it is to be handled. See `turning.Door`."""

    def meet(self, head: RawRequestMessage) -> OneWrite | None:
        """By its head."""
        ...

    def remember(self, data: bytes, head: RawRequestMessage) -> None:
        """That `meet` answered it, and its connection stayed."""
        ...

    def meet_again(self, data: bytes) -> bytes | None:
        """By its bytes, all of them."""
        ...


Answer: TypeAlias = "web.StreamResponse | OneWrite"
"""What a handler gives."""


def _is_plain(value: str) -> bool:
    return _PLAIN(value) is not None
