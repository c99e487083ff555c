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

from gateway.intake import SERVER_NAME, Request

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class WholeAnswer(web.StreamResponse):
    """An answer to an HTTP/1.1 request whose body is complete.

    Args:
        status: never one that has no body (1xx, 204, 304).
        body: all of it.
        headers: lower-case names; a value that is not printable ASCII is left out.
    """

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status=status)
        self._whole = body
        self._lines = headers

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
        lines = [f"HTTP/1.1 {self._status} {_REASONS.get(self._status, '')}"]
        lines += [f"{name}: {value}" for name, value in self._lines.items() if value.isascii() and value.isprintable()]
        lines.append(f"date: {rfc822_formatted_time()}\r\nserver: {SERVER_NAME}\r\ncontent-length: {len(self._whole)}")
        if not self._keep_alive:
            lines.append("connection: close")
        lines.append("\r\n")
        self._eof_sent = True
        writer = request.writer
        await writer.write("\r\n".join(lines).encode("ascii") + self._whole)
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""
        assert not data  # noqa: S101  # the body is complete
