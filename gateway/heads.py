"""A request as bytes: its head, the digits of its length, its body; and a head that is known when it comes again.

A caller's client sends the same head with each request, but for the length. Where a request comes whole between two
others, and its head is byte for byte one that the parser read before on this connection, the parser would make of it
what it made then. Only its body is new.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aiohttp.http import RawRequestMessage
from aiohttp.streams import EmptyStreamReader
from msgspec import Struct

_MOST_DIGITS: Final = 9
_LONGEST: Final = 4096
"""Bytes of a head that is kept. A client's own has some hundreds."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?([0-9]{1,%d})\r\n" % _MOST_DIGITS, re.IGNORECASE).search


class Parts(NamedTuple):
    """A head before and behind the digits of its length (the second empty: none told), and how much body is missing."""

    before: bytes
    behind: bytes
    missing: int


def split(data: bytes) -> Parts | None:
    """The parts of a request; None if `data` has not all of its head, or more than all of it.

    A body that is sent in chunks is not seen: whoever has read the head knows of it.
    """
    end = data.find(b"\r\n\r\n")
    length = _LENGTH(data, 0, end + 2)
    if length is None:
        return Parts(data, b"", 0) if 0 < end == len(data) - 4 else None
    missing = end + 4 + int(length[1]) - len(data)
    return Parts(data[: length.start(1)], data[length.end(1) : end + 4], missing) if missing >= 0 else None


class Known(Struct, eq=False):
    """A head that a connection was asked under, and what was learnt of it.

    Attributes:
        before, behind: as `split` gives them, the second not empty. They hold a key.
        message: what the parser made of it. Its length is that of the first body.
        said: what the handler learnt of it, which is true of whatever comes with the same bytes; None until it says
            so, and then the parser reads each.
    """

    before: bytes
    behind: bytes
    message: RawRequestMessage
    said: object = None

    def __repr__(self) -> str:
        return "<Known>"

    @classmethod
    def of(cls, parts: Parts, message: RawRequestMessage, last: Known | None) -> Known | None:
        """What was just read, with what was learnt of the `last` one if it is the same.

        None if it tells no length, or is longer than what is worth keeping on every connection.
        """
        before, behind, _missing = parts
        if not behind or len(before) + len(behind) > _LONGEST:
            return None
        same = last is not None and last.before == before and last.behind == behind
        return cls(before, behind, message, last.said if last is not None and same else None)

    def body(self, data: bytes) -> bytes | None:
        """The body of a whole request that has this head but for its length; else None, or if nothing is said."""
        if self.said is None:
            return None
        start = len(self.before)
        end = data.find(b"\r", start, start + _MOST_DIGITS + 1)
        if not (data.startswith(self.before) and data.startswith(self.behind, end) and data[start:end].isdigit()):
            return None
        body = data[end + len(self.behind) :]
        return body if len(body) == int(data[start:end]) else None


class Came(EmptyStreamReader):
    """The body of a request under a known head, here to its end."""

    __slots__ = ("body",)

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body

    def at_eof(self) -> bool:
        return not self.body

    async def readany(self) -> bytes:
        taken, self.body = self.body, b""
        return taken
