"""A request as bytes, and a head that is known when it comes again."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.heads import Came, Known, split
from gateway.intake import whole

HEAD = b"POST /v1/x HTTP/1.1\r\nhost: a\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEAD + b"content-length: 2\r\n\r\n{}", (HEAD + b"content-length: ", b"\r\n\r\n", 0)),
        (
            HEAD + b"Content-Length:12\r\nx: y\r\n\r\n" + b"." * 12,
            (HEAD + b"Content-Length:", b"\r\nx: y\r\n\r\n", 0),
        ),
        (HEAD + b"content-length: 2\r\n\r\n{", (HEAD + b"content-length: ", b"\r\n\r\n", 1)),
        (HEAD + b"content-length: 2\r\n\r\n{}P", None),
        (HEAD + b"content-length: 2\r\n", None),
        (HEAD + b"\r\n", (HEAD + b"\r\n", b"", 0)),
        (HEAD + b"\r\n{}", None),
        (HEAD + b"content-length: \r\n\r\n", (HEAD + b"content-length: \r\n\r\n", b"", 0)),
        (HEAD + b"\r\ncontent-length: 2\r\n\r\n{}", None),
        (b"", None),
        (b"\r\n\r\n", None),
    ],
    ids=[
        "with its body",
        "a length that is not last",
        "cut short",
        "with the next behind it",
        "no end of the head",
        "no body",
        "a body of no length",
        "an empty length",
        "a length in the body",
        "nothing",
        "no line",
    ],
)
def test_a_head_is_split_at_its_length(data: bytes, expected: tuple[bytes, bytes, int] | None) -> None:
    """Only of bytes that are a request and no more; an empty length is not the same as any."""
    assert split(data) == expected


def known(data: bytes) -> Known:
    """What a connection keeps of a request."""
    parts, read = split(data), parsed(data)
    assert parts is not None
    assert read is not None
    made = Known.of(parts, read[0], None)
    assert made is not None
    made.said = True
    return made


def parsed(data: bytes) -> tuple[RawRequestMessage, bytes] | None:
    """What the parser makes of bytes that are one whole request and no more; else None."""
    protocol = BaseProtocol(asyncio.new_event_loop())
    parser = HttpRequestParser(protocol, protocol._loop, 1 << 16, max_field_size=8190, auto_decompress=False)
    try:
        messages, upgraded, rest = parser.feed_data(data)
        more, _upgraded, _rest = parser.feed_data(b"")
    except HttpProcessingError:
        return None
    finally:
        protocol._loop.close()
    if upgraded or rest or more or len(messages) != 1 or not messages[0][1].is_eof():
        return None
    return messages[0][0], whole(messages[0][1])


FIRST = HEAD + b"Content-Length: 4\r\nauthorization: Bearer a-key\r\n\r\nbody"
PIECES = (
    *(
        b"",
        b"0",
        b"9",
        b"04",
        b"12",
        b"+4",
        b" ",
        b"\r\n",
        b"\n",
        b"\0",
        b"-",
        b"\xd9\xa4",
        FIRST,
        b"x: y\r\n",
        b"\r\n\r\n",
    ),
    *(b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n"),
)
edits = st.tuples(st.integers(0, len(FIRST)), st.integers(0, 8), st.sampled_from(PIECES))


@settings(max_examples=400, deadline=None)
@given(st.lists(edits, max_size=3))
def test_what_a_known_head_takes_the_parser_reads_alike(changes: list[tuple[int, int, bytes]]) -> None:
    """Of any bytes it either takes nothing, or what the parser finds: the same head, and the same body to its end."""
    data = FIRST
    for at, gone, put in changes:
        data = data[:at] + put + data[at + gone :]

    body = known(FIRST).body(data)

    if body is not None:
        read = parsed(data)
        assert read is not None
        assert read[1] == body
        assert _but_for_length(read[0]) == _but_for_length(known(FIRST).message)


def _but_for_length(message: RawRequestMessage) -> tuple[object, ...]:
    lines = [line for line in message.raw_headers if line[0] != b"Content-Length"]
    return message.method, message.path, message.version, message.should_close, message.chunked, lines


@pytest.mark.parametrize(
    ("length", "body", "expected"),
    [
        (b"4", b"text", b"text"),
        (b"0", b"", b""),
        (b"12", b"twelve bytes", b"twelve bytes"),
        (b"004", b"text", b"text"),
        (b"3", b"text", None),
        (b"5", b"text", None),
        (b"", b"", None),
        (b"-1", b"", None),
        (b"+4", b"text", None),
        (b"4 ", b"text", None),
        (b"0x4", b"text", None),
        (b"\xd9\xa4", b"text", None),
        (b"0000000004", b"text", None),
        (b"4, 4", b"text", None),
        (b"4\r\nContent-Length: 4", b"text", None),
        (b"4\r\nTransfer-Encoding: chunked", b"4\r\ntext\r\n0\r\n\r\n", None),
    ],
)
def test_only_the_length_may_differ_and_must_be_true(length: bytes, body: bytes, expected: bytes | None) -> None:
    """A few digits that say how many bytes follow; whatever else stands there is for the parser to read."""
    assert known(FIRST).body(FIRST.replace(b": 4", b": " + length)[:-4] + body) == expected


def test_what_is_known_is_not_shown() -> None:
    """A head holds a key."""
    assert "a-key" not in repr(known(FIRST))
    assert "a-key" not in str([known(FIRST)])


def test_the_parser_reads_until_something_is_learnt() -> None:
    """Who does not say that it knows a head is given each request as it was read; of the same head it is not lost."""
    first, other = known(FIRST), known(FIRST.replace(b"a-key", b"other"))
    parts = split(FIRST)
    assert parts is not None

    again = Known.of(parts, first.message, first)
    anew = Known.of(parts, first.message, other)

    assert again is not None
    assert anew is not None
    assert (again.body(FIRST), anew.body(FIRST)) == (b"body", None)


@pytest.mark.parametrize(("length", "kept"), [(4096, True), (4097, False)])
def test_a_long_head_is_not_kept(length: int, kept: bool) -> None:
    """It would be held by each connection that stands idle."""
    data = FIRST[:-8] + b"\r\nx: " + b"y" * (length - len(FIRST) + 4 - 4) + b"\r\n\r\nbody"
    parts, read = split(data), parsed(data)
    assert parts is not None
    assert read is not None

    assert len(parts.before) + len(parts.behind) == length
    assert (Known.of(parts, read[0], None) is not None) == kept


async def test_a_body_that_came_can_be_read_as_any_other() -> None:
    """Once, by whoever reads it piece by piece."""
    body = Came(b"text")

    assert (body.is_eof(), body.at_eof()) == (True, False)
    assert [await body.readany(), await body.readany()] == [b"text", b""]
    assert body.at_eof()
