"""Bytes to server-sent events and back (WHATWG HTML, section 9.2), with nothing in between.

`Splitter` finds event boundaries in a byte stream without copying what it need not; `fields`
reads one event. Bounds are the caller's: an event longer than `limit` bytes is an error.
"""

from __future__ import annotations

from collections.abc import Iterator


class EventTooLong(ValueError):
    """No event boundary within the limit."""


class Splitter:
    """Cuts a byte stream into events.

    An event ends at an empty line; lines end in LF, CR LF or CR. `feed` returns the events that
    are complete, each with its terminating empty line, so that joining all of them and `rest`
    gives back the stream byte for byte.
    """

    __slots__ = ("_limit", "rest")

    def __init__(self, limit: int = 4 * 1024 * 1024) -> None:
        self.rest = b""
        self._limit = limit

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that this chunk completes.

        Raises:
            EventTooLong: what is held exceeds the limit.
        """
        data = self.rest + chunk if self.rest else chunk
        events: list[bytes] = []
        start = 0
        while (end := _boundary(data, start)) > 0:
            events.append(data[start:end])
            start = end
        self.rest = data[start:] if start else data
        if len(self.rest) > self._limit:
            raise EventTooLong
        return events


def _boundary(data: bytes, start: int) -> int:
    """Index just after the first empty line at or after `start`, or 0 when there is none yet."""
    if b"\r" not in data:
        found = data.find(b"\n\n", start)
        return found + 2 if found >= 0 else 0
    best = 0
    for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\r\r"):
        found = data.find(mark, start)
        if found >= 0 and (best == 0 or found + len(mark) < best):
            best = found + len(mark)
    return best


def fields(event: bytes) -> tuple[str, bytes]:
    """The event's name (`""` if it has none) and its data (lines joined by LF).

    A comment has neither. Unknown fields are ignored, as the standard asks.
    """
    name = b""
    data: list[bytes] = []
    for line in _lines(event):
        field, _colon, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return name.decode("utf-8", "replace"), data[0] if len(data) == 1 else b"\n".join(data)


def build(name: str, data: bytes) -> bytes:
    """One event as this gateway writes it."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"


def _lines(event: bytes) -> Iterator[bytes]:
    if b"\r" in event:
        event = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in event.split(b"\n"):
        if line:
            yield line
