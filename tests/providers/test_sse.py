"""Server-sent events, against a slow reading of the standard."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.sse import EventTooLong, Splitter, build, fields

PIECES = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"data: a", b"data:b", b"data", b"event: e", b"event", b": c", b"id: 1", b" ", b":", b"x"]
)
STREAMS = st.lists(PIECES, max_size=30).map(b"".join)


def reference(stream: bytes) -> list[tuple[str, bytes]]:
    """The events of a stream, one byte after the other as the standard says (one end of file adds nothing)."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines: list[bytes] = []
    line = b""
    position = 0
    while position < len(stream):
        byte = stream[position : position + 1]
        position += 1
        if byte not in b"\r\n":
            line += byte
            continue
        if byte == b"\r" and stream[position : position + 1] == b"\n":
            position += 1
        elif byte == b"\r" and position == len(stream):
            break  # whether an LF follows is not known yet
        lines.append(line)
        line = b""
    events: list[tuple[str, bytes]] = []
    name, data = b"", b""
    for line in lines:
        if not line:
            if data:
                events.append((name.decode(), data[:-1]))
            name, data = b"", b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data += value + b"\n"
    return events


def has_data(event: bytes) -> bool:
    lines = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return any(line.partition(b":")[0] == b"data" for line in lines)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def split(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events, splitter.rest


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=20))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", list(range(24)))
@example(b"data: a\n\rdata: b\n\n", list(range(24)))
@example(b"data: a\r\r\ndata: b\r\r", list(range(24)))
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2, 3])
@example(b"\xef\xbb", [1])
def test_any_cut_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    """However the network cuts a stream, its events are those of the standard and no byte is lost."""
    events, rest = split(cut(stream, places))

    assert (events, rest) == split([stream])
    assert b"".join(events) + rest in {stream, stream.removeprefix(b"\xef\xbb\xbf")}
    assert [fields(event) for event in events if has_data(event)] == reference(stream)


def test_bytes_one_by_one_give_the_same_events() -> None:
    """The smallest pieces there are change nothing."""
    stream = b"event: a\r\ndata: 1\r\ndata: 2\r\n\r\n: ping\n\ndata: [DONE]\n\n"

    events, rest = split([bytes([byte]) for byte in stream])

    assert [fields(event) for event in events] == [("a", b"1\n2"), ("", b""), ("", b"[DONE]")]
    assert rest == b""


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_event_longer_than_the_limit_is_an_error(piece: int) -> None:
    """An event of the limit passes, whole or in pieces; a longer one does not."""
    fits = b"data: " + b"x" * 92 + b"\n\n"
    longer = b"data: " + b"x" * 95

    splitter = Splitter(limit=100)
    for start in range(0, len(fits), piece):
        events = splitter.feed(fits[start : start + piece])
    assert events == [fits]

    with pytest.raises(EventTooLong):
        for start in range(0, len(longer), piece):
            splitter.feed(longer[start : start + piece])


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (b"data: {}\n\n", ("", b"{}")),
        (b"data:{}\n\n", ("", b"{}")),
        (b"data:  {}\n\n", ("", b" {}")),
        (b"event: ping\ndata: {}\n\n", ("ping", b"{}")),
        (b"data: {}\nevent: ping\n\n", ("ping", b"{}")),
        (b"event: a\nevent: b\ndata: 1\ndata: 2\n\n", ("b", b"1\n2")),
        (b": comment\n\n", ("", b"")),
        (b"data\n\n", ("", b"")),
        (b"Data: x\n\n", ("", b"")),
        (b"data : x\n\n", ("", b"")),
        (b"event: \xff\n\n", ("\N{REPLACEMENT CHARACTER}", b"")),
    ],
)
def test_fields_of_an_event(event: bytes, wanted: tuple[str, bytes]) -> None:
    """Names and data are read as the standard reads them."""
    assert fields(event) == wanted


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n")).filter(lambda name: not name.startswith(" "))


@settings(deadline=None)
@given(NAMES, st.binary().filter(lambda data: b"\r" not in data))
def test_built_event_reads_back(name: str, data: bytes) -> None:
    """What is built is one event, and reads as what it was built from."""
    event = build(name, data)

    assert split([b"data: 0\n\n" + event]) == ([b"data: 0\n\n", event], b"")
    assert fields(event) == (name, data)


@pytest.mark.parametrize(("name", "data"), [("a\nb", b""), ("a\rb", b""), ("", b"a\rb")])
def test_line_end_cannot_be_smuggled_into_an_event(name: str, data: bytes) -> None:
    """A line end that would start a field of its own is refused."""
    with pytest.raises(ValueError, match="line end"):
        build(name, data)
