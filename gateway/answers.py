"""A whole answer as one write: head and body together, by the gateway's own short list of headers.

The library prepares an answer in eight steps that look for cookies, compression, chunks and ranges; a provider's
answer that is passed on has none of these, and half of the cost of answering was in looking.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import StreamWriter

from gateway.intake import SERVER_NAME, Request

_KEEP, _CLOSE = b"\r\n", b"connection: close\r\n\r\n"
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


class OneWrite(web.StreamResponse):
    """An answer to an HTTP/1.1 request whose bytes, head and body, are known at once and go out in one write."""

    def written(self, request: web.BaseRequest, ending: bytes) -> bytes:
        """All of it; `ending` is what stands between the headers and the body."""
        raise NotImplementedError

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write it, once. Called by the server.

        Raises:
            ConnectionError: the caller is gone.
        """
        if self._eof_sent:
            return None
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        if isinstance(request, Request) and request.closes:
            self.force_close()
        self._eof_sent = True
        writer = request.writer
        await writer.write(self.written(request, _KEEP if self._keep_alive else _CLOSE))
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""
        assert not data  # noqa: S101  # the body is complete


class WholeAnswer(OneWrite):
    """One that has a body and headers of its own.

    Args:
        status: never one that has no body (1xx, 204, 304).
        body: all of it.
        headers: lower-case names; a value that is not printable ASCII is left out.
    """

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status=status)
        self._whole = body
        self._lines = headers

    def written(self, _request: web.BaseRequest, ending: bytes) -> bytes:
        """See `OneWrite`."""
        values = "".join(self._lines.values())
        names = self._lines if _is_plain(values) else [name for name, value in self._lines.items() if _is_plain(value)]
        lines = "".join([f"{name}: {self._lines[name]}\r\n" for name in names])
        head = (
            f"HTTP/1.1 {self._status} {reason_of(self._status)}\r\n{lines}"
            f"date: {rfc822_formatted_time()}\r\nserver: {SERVER_NAME}\r\ncontent-length: {len(self._whole)}\r\n"
        )
        return b"".join((head.encode("ascii"), ending, self._whole))


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()
