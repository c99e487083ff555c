"""The raw request: what is looked at before anything is believed, and how its body is read.

Decisions are taken on the raw target (`request.raw_path`), never on `request.path`, which is decoded, nor on
`request.url` and `request.host`, which the caller writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from functools import lru_cache
from typing import Final

from aiohttp import web
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDictProxy

from gateway.errors import Code, Refused
from gateway.heads import Came, Known

SERVER_NAME: Final = "gateway"


class Request(web.BaseRequest):
    """A request whose answer never names our software, and closes the connection where it must."""

    ATTRS = web.BaseRequest.ATTRS | frozenset({"closes", "known"})

    closes = False
    """The rest of this connection cannot be trusted or is not worth reading: close it after the answer."""
    known: Known | None = None
    """Its head, if this connection may know it again."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers["Server"] = SERVER_NAME
        if self.closes:
            response.force_close()
            response.headers["Connection"] = "close"


_SINGLE = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"expect",
        b"anthropic-version",
    }
)
_FORBIDDEN = frozenset({b"content-encoding", b"upgrade", b"trailer", b"http2-settings"})
_PORT = re.compile(r":[0-9]{1,5}\Z")


def check_head(request: web.BaseRequest, names: frozenset[str]) -> None:
    """Refuse a head that another parser might read differently, or that is not addressed to us.

    Accepted is HTTP/1.1 with a target that begins with `/`, one of the names as Host, no encoding of the body
    but the chunked transfer, and one line of each header that decides something (RFC 9112 sections 3.2, 6 and 11.2).
    The connection ends with the answer.

    Args:
        request: the raw request.
        names: allowed hosts, lower case, without port; empty allows every one (`any_name`).

    Raises:
        Refused: `body_invalid`.
    """
    reason = head_fault(request._message, names)
    if reason is not None:
        raise misread(request, reason)


def misread(request: web.BaseRequest, reason: str) -> Refused:
    """The refusal of a request for a fault of its head, with whose answer its connection ends."""
    _close_after(request)
    return Refused(Code.BODY_INVALID, reason)


def head_fault(head: RawRequestMessage, names: frozenset[str]) -> str | None:
    """What `check_head` refuses a head for, or None."""
    if head.version != HttpVersion11:
        return "Only HTTP/1.1 is spoken here."
    if not head.path.startswith("/"):
        return "The request target must begin with a slash."
    lines = [name.lower() for name, _value in head.raw_headers]
    unique = set(lines)
    if not unique.isdisjoint(_FORBIDDEN):
        return "Content-Encoding, Upgrade and Trailer are not accepted."
    if len(unique) != len(lines) and _has_double(lines):
        return "A header that may appear once appears twice."
    return _values_fault(head.headers, names)


def _values_fault(headers: CIMultiDictProxy[str], names: frozenset[str]) -> str | None:
    coding = headers.get("Transfer-Encoding")
    if coding is not None and (coding != "chunked" or "Content-Length" in headers):
        return "The only Transfer-Encoding accepted is chunked, without Content-Length."
    if headers.get("Expect", "100-continue").lower() != "100-continue":
        return "The only expectation accepted is 100-continue."
    if names and _without_port(headers.get("Host", "")) not in names:
        return "The Host header names no host that is served here."
    return None


@lru_cache(maxsize=64)
def _without_port(host: str) -> str:
    return _PORT.sub("", host.lower())


def _has_double(lines: list[bytes]) -> bool:
    seen: set[bytes] = set()
    for name in lines:
        if name in seen and (name in _SINGLE or name.startswith(b"x-gateway-")):
            return True
        seen.add(name)
    return False


async def invite(request: web.BaseRequest) -> None:
    """Tell a caller who waits for it to send the body; call this once the caller is known.

    The server itself never does, so a stranger is not asked to upload.
    """
    if not request.content.is_eof() and "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # an answer can still replace it


async def read_body(request: web.BaseRequest, limit: int, seconds: float) -> bytes:
    """The whole body as it came.

    A refused upload is answered without being read to its end, and the connection closes after it.

    Args:
        request: the raw request.
        limit: largest size in bytes.
        seconds: by when the last byte must be here.

    Raises:
        Refused: `body_too_large`, or `body_invalid` if it is malformed, cut short or late.
    """
    content = request.content
    length = len(content.body) if isinstance(content, Came) else request.content_length
    if length is not None and length > limit:
        _close_after(request)
        raise Refused(Code.BODY_TOO_LARGE, f"The body is larger than {limit} bytes.")
    try:
        if content.is_eof():  # the usual case: the body came with the head
            body = whole(content)
        else:
            body = await _gather(content, limit, seconds)
    except TimeoutError:
        _close_after(request)
        raise Refused(Code.BODY_INVALID, f"The body was not complete after {seconds:g} seconds.") from None
    except (web.RequestPayloadError, ConnectionError, ValueError):
        _close_after(request)
        raise Refused(Code.BODY_INVALID, "The body is not framed as HTTP/1.1 asks.") from None
    if len(body) > limit:
        _close_after(request)
        raise Refused(Code.BODY_TOO_LARGE, f"The body is larger than {limit} bytes.")
    return body


def whole(content: StreamReader) -> bytes:
    """What came of a body that is here to its end, so that nothing waits for room.

    Raises:
        Exception: what is wrong with it.
    """
    if isinstance(content, Came):
        return content.body
    if content is EMPTY_PAYLOAD:
        return b""
    if (fault := content.exception()) is not None:
        raise fault
    body = b"".join(content._buffer)
    content._buffer.clear()
    return body


async def _gather(content: StreamReader, limit: int, seconds: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    async with asyncio.timeout(seconds):
        while size <= limit and (part := await content.readany()):
            parts.append(part)
            size += len(part)
    return b"".join(parts)


def _close_after(request: web.BaseRequest) -> None:
    if isinstance(request, Request):
        request.closes = True


def abort(request: web.BaseRequest) -> None:
    """Break the connection now, so that a begun answer cannot look complete."""
    with contextlib.suppress(AttributeError):
        request.transport.abort()  # type: ignore[union-attr]  # None once it is closed
