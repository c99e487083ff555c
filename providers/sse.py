"""Bytes to server-sent events and back (WHATWG HTML, section 9.2), with nothing in between.

`Splitter` finds where events end in a byte stream, however the network cut it; `fields` reads one event.
Time is linear in the stream's length, whatever the size of its pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BOM = b"\xef\xbb\xbf"
# Two line ends in a row. The groups are atomic, or a CR LF would count as two.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class EventTooLong(ValueError):
    """No event boundary within the limit."""


class Splitter:
    """Cuts a byte stream into events.

    An event ends at an empty line; lines end in LF, CR LF or CR. `feed` returns the events that
    are complete, each with its terminating empty line, so that joining all of them and `rest`
    gives back the stream byte for byte (without the byte order mark it may begin with). The events
    depend on the stream alone, not on how it was cut; so an event that ends in CR is complete
    only when the next byte shows that no LF belongs to it.
    """

    __slots__ = ("_carriage", "_held", "_limit", "_marked")

    def __init__(self, limit: int = 4 * 1024 * 1024) -> None:
        self._limit = limit
        self._held = bytearray()
        self._carriage = False  # what is held has a CR
        self._marked = False  # the place where a byte order mark may stand is passed

    @property
    def between(self) -> bool:
        """Whether the last event was complete, so that what comes begins the next."""
        return self._marked and not self._held

    @property
    def rest(self) -> bytes:
        """What is held of an event that is not complete."""
        return bytes(self._held)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that this chunk completes.

        Raises:
            EventTooLong: what is held exceeds the limit.
        """
        held = self._held
        carriage = self._carriage or b"\r" in chunk
        if not held and self._marked:
            data, search = chunk, 0
        else:
            search = max(0, len(held) - 3)  # a boundary is at most four bytes long
            held += chunk
            if not self._marked and not self._unmark():
                return []
            if not _has_boundary(held, search, carriage=carriage):
                self._carriage = carriage
                self._check()
                return []
            data = bytes(held)
            held.clear()
        events, start = _split_at_any(data, search) if carriage else _split_at_lf(data, search)
        self._carriage = False
        if start < len(data):
            held += data[start:]
            self._carriage = carriage and b"\r" in held
            self._check()
        return events

    def _unmark(self) -> bool:
        """Drop a byte order mark; False while the stream is too short to tell."""
        if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
            return False
        if self._held.startswith(_BOM):
            del self._held[: len(_BOM)]
        self._marked = True
        return True

    def _check(self) -> None:
        if len(self._held) > self._limit:
            raise EventTooLong


def _has_boundary(data: bytearray, search: int, *, carriage: bool) -> bool:
    return _BLANK_LINE.search(data, search) is not None if carriage else data.find(b"\n\n", search) >= 0


def _split_at_lf(data: bytes, search: int) -> tuple[list[bytes], int]:
    """Events of a stream without CR, and where the rest begins. Nothing before `search` ends an event."""
    end = data.find(b"\n\n", search) + 2
    if end == len(data) > 1:
        return [data], end  # the usual case: one chunk, one event
    events: list[bytes] = []
    start = 0
    while end > 1:
        events.append(data[start:end])
        start = end
        end = data.find(b"\n\n", start) + 2
    return events, start


def _split_at_any(data: bytes, search: int) -> tuple[list[bytes], int]:
    events: list[bytes] = []
    start = 0
    for found in _BLANK_LINE.finditer(data, search):
        end = found.end()
        if end == len(data) and data.endswith(b"\r"):
            break
        events.append(data[start:end])
        start = end
    return events, start


def fields(event: bytes) -> tuple[str, bytes]:
    """The event's name (`""` if it has none) and its data (lines joined by LF).

    A comment has neither. Unknown fields are ignored, as the standard asks.
    """
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return "", event[6:-2]  # the usual case: one line of data
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
    """One event as this gateway writes it. Data of several lines keeps them.

    Raises:
        ValueError: the name or the data holds a line end that would not come back as it is.
    """
    if "\n" in name or "\r" in name or b"\r" in data:
        raise ValueError("a line end cannot be carried")
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data


def _lines(event: bytes) -> Iterator[bytes]:
    if b"\r" in event:
        event = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in event.split(b"\n"):
        if line:
            yield line
