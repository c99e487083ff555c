"""A request as bytes, and a head that is known when it comes again."""

from __future__ import annotations

import pytest

from gateway.heads import split

HEAD = b"POST /v1/x HTTP/1.1\r\nhost: a\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEAD + b"content-length: 2\r\n\r\n{}", (HEAD + b"content-length: ", b"\r\n\r\n")),
        (
            HEAD + b"Content-Length:12\r\nx: y\r\n\r\n" + b"." * 12,
            (HEAD + b"Content-Length:", b"\r\nx: y\r\n\r\n"),
        ),
        (HEAD + b"content-length: 2\r\n\r\n{", None),
        (HEAD + b"content-length: 2\r\n\r\n{}P", None),
        (HEAD + b"content-length: 2\r\n", None),
        (HEAD + b"\r\n", (HEAD + b"\r\n", b"")),
        (HEAD + b"\r\n{}", None),
        (HEAD + b"content-length: \r\n\r\n", (HEAD + b"content-length: \r\n\r\n", b"")),
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
def test_a_head_is_split_at_its_length(data: bytes, expected: tuple[bytes, bytes] | None) -> None:
    """Only of bytes that are a request and no more; an empty length is not the same as any."""
    assert split(data) == expected
