"""A connection that knows a head again: its requests are what they would be if each had been parsed."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from random import Random

import pytest
from aiohttp import web

from gateway.connection import Protocol
from gateway.errors import Refused
from gateway.heads import Known
from gateway.intake import Request, check_head, invite, read_body
from gateway.listener import ListenerOptions, Server
from gateway.logs import detached_logger

LIMIT = 60
TURNS = 30
"""Of the loop, after which nothing is left to do."""

BODIES = (b"", b"{}", b"a body", b"b" * LIMIT, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")
TOO_LARGE = b"c" * (LIMIT + 1)
HEADS = (
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX-Key: one\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX-Key: two\r\ncontent-length:%d\r\n\r\n",
    b"GET /v1/y HTTP/1.1\r\nHost: a\r\nX-Key: one\r\nContent-Length: %d\r\n\r\n",
    b"HEAD /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX-Key: one\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\nX-Key: one\r\n\r\n",
)
SELDOM = (
    b"POST /v1/x HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\nX-Key: one\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\nX-Key: one\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: %d\r\n\r\n",
    b"POST /v1/x HTTP/1.0\r\nHost: a\r\nContent-Length: %d\r\nX-Key: one\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nContent-Length: 2\r\nX-Key: one\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\nX-Key: one\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: -%d\r\nX-Key: one\r\n\r\n",
)


class Wire(asyncio.Transport):
    """What a connection writes, and whether it closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        return

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


async def echo(request: Request) -> web.StreamResponse:
    """Says all that it was given, but for the length, which is its body's. It learns every head that is in order."""
    try:
        check_head(request, frozenset({"a"}))
        await invite(request)
        body = await read_body(request, LIMIT, 5)
    except Refused as refusal:
        return web.Response(status=refusal.status, text=refusal.reason)
    if request.known is not None:
        request.known.said = True
    lines = [line for line in request._message.raw_headers if line[0].lower() != b"content-length"]
    await asyncio.sleep(0)
    return web.Response(text=f"{request.method} {request.raw_path} {lines} {body!r}")


async def heard(pieces: list[bytes], turns: list[int]) -> tuple[bytes, bool]:
    """What a connection answers to what comes in these pieces, each so many turns of the loop after the one before."""
    loop = asyncio.get_running_loop()
    logger = detached_logger(logging.StreamHandler(io.StringIO()))
    server = Server(echo, ListenerOptions(port=0), logger, lambda _status, _exception: None, None)
    protocol, wire = Protocol(server, loop, logger), Wire()
    protocol.connection_made(wire)
    for piece, count in zip(pieces, turns, strict=True):
        if not wire.closed:
            protocol.data_received(piece)
        for _ in range(count):
            await asyncio.sleep(0)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    return re.sub(rb"((?i:date|x-gateway-call-id): )[^\r]+", rb"\1", wire.written), wire.closed


def conversation(source: Random) -> tuple[list[bytes], list[int]]:
    """Requests of which many have the same head, some together, some in pieces, some with a length that is not true."""
    heads, stream = source.sample(HEADS, 2), list[bytes]()
    for _ in range(source.randint(2, 9)):
        head = source.choice(heads if source.random() < 0.97 else SELDOM)
        body = source.choice(BODIES) if source.random() < 0.97 else TOO_LARGE
        length = len(body) if source.random() < 0.98 else max(0, len(body) + source.choice((-2, -1, 1, 5)))
        stream.append(head % length + body)
    pieces = list[bytes]()
    for data in stream:
        how = source.random()
        if how < 0.08 and pieces:
            pieces[-1] += data
        elif how < 0.3:
            body = data.index(b"\r\n\r\n") + 4
            at = source.choice((body, source.randrange(body, len(data) + 1), source.randrange(len(data))))
            pieces += [piece for piece in (data[:at], data[at:]) if piece]
        else:
            pieces.append(data)
    return pieces, [source.choice((0, 3, TURNS, TURNS, TURNS)) for _ in pieces]


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The bodies that came past the parser; cleared, it is that nothing is known."""
    taken = list[bytes]()
    body = Known.body

    def spied(known: Known, data: bytes) -> bytes | None:
        if (found := body(known, data)) is not None:
            taken.append(found)
        return found

    monkeypatch.setattr(Known, "body", spied)
    yield taken


async def test_a_conversation_is_the_same_with_and_without(
    unparsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However requests follow each other, and in whatever pieces they come, what is answered is the same."""
    spoken = [conversation(Random(seed)) for seed in range(400)]
    known = [await heard(*each) for each in spoken]
    came = len(unparsed)
    monkeypatch.setattr(Known, "body", lambda _known, _data: None)

    parsed = [await heard(*each) for each in spoken]

    assert known == parsed
    assert came > 200


SAME = HEADS[0] % 2 + b"{}"
ONCE = {
    "after one that came whole": ([SAME, SAME], 1),
    "after one whose body came later": ([SAME[:-2], b"{", b"}", SAME], 1),
    "after another length": ([HEADS[0] % 6 + b"a body", SAME], 1),
    "after one that was known": ([SAME, SAME, SAME], 2),
    "after another head": ([SAME, HEADS[1] % 2 + b"{}", SAME], 0),
    "after one that is not answered yet": ([SAME, SAME, SAME], 0),
    "with another behind it": ([SAME, SAME + SAME], 0),
    "within a body": ([SAME, HEADS[0] % len(SAME), SAME], 0),
    "within a body in chunks": ([SAME, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", SAME], 0),
    "within a head": ([SAME, b"POST / HTTP/1.1\r\nHost: a\r\nX: ", SAME], 0),
    "after one whose head came in pieces": ([SAME[:20], SAME[20:], SAME, SAME], 0),
    "after one that was too large": ([HEADS[0] % len(TOO_LARGE) + TOO_LARGE, SAME], 0),
    "too large itself": ([SAME, HEADS[0] % len(TOO_LARGE) + TOO_LARGE, SAME], 1),
    "after one with the wrong host": ([SELDOM[0] % 2 + b"{}", SELDOM[0] % 2 + b"{}"], 0),
    "after one that asked to close": ([SELDOM[1] % 2 + b"{}", SELDOM[1] % 2 + b"{}"], 0),
}


@pytest.mark.parametrize("name", ONCE)
async def test_a_head_is_known_between_two_requests_alone(unparsed: list[bytes], name: str) -> None:
    """Where the parser holds nothing, the connection stays and nobody is being answered; within another it is part of it."""
    pieces, times = ONCE[name]

    await heard(pieces, [0 if "not answered" in name else TURNS] * len(pieces))

    assert len(unparsed) == times


async def test_what_one_connection_knows_another_does_not(unparsed: list[bytes]) -> None:
    """Nothing that was learnt under a head outlives its connection, or leaves it."""
    await heard([SAME, SAME], [TURNS] * 2)
    assert len(unparsed) == 1
    await heard([SAME], [TURNS])
    assert len(unparsed) == 1
