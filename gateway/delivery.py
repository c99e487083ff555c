"""What an answer may show before a caller sees it: the pure half of step 7, deliver.

A whole answer is checked before its first byte is passed on; a stream is checked event by event, and
its terminal event is held until the outcome is durable. What cannot be read is not passed on.
"""

from __future__ import annotations

import orjson
from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import Code, UpstreamError
from gateway.exchange import Grant
from gateway.policy.surface import Surface
from providers import sse
from providers.document import Document
from providers.provider import Observation, Usage

_KEEP_ALIVE = b":\n\n"


_NO_USAGE = Usage()


class Tally(Struct, eq=False):
    """What an answer has shown so far: names and numbers for the record, never text."""

    model: str | None = None
    usage: Usage = _NO_USAGE
    finishes: tuple[str, ...] = ()
    response_id: str | None = None
    error: str | None = None
    events: int = 0

    def add(self, seen: Observation) -> None:
        """Take over what this observation adds."""
        self.events += 1
        if seen.model is not None:
            self.model = seen.model
        if seen.response_id is not None:
            self.response_id = seen.response_id
        if seen.finishes:
            self.finishes += seen.finishes
        if seen.error is not None:
            self.error = seen.error
        if seen.usage is not None and self.usage is _NO_USAGE:
            self.usage = seen.usage
        elif seen.usage is not None:
            known = {name: getattr(seen.usage, name) for name in _USAGE if getattr(seen.usage, name) is not None}
            self.usage = replace(self.usage, **known)


_USAGE = ("input", "output", "cache_read", "cache_write", "reasoning")


def read_answer(body: bytes) -> Document:
    """A provider's JSON answer.

    Raises:
        UpstreamError: it is not one JSON object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if type(document) is not dict:
        raise UpstreamError(Code.RESPONSE_NOT_ALLOWED, "the answer is not a JSON object")
    return document


def check_whole(grant: Grant, surface: Surface, content_type: str, body: bytes) -> Tally:
    """Check a whole answer. One that is not JSON (a transcript as plain text) has nothing to show but itself.

    Raises:
        UpstreamError: `response_not_allowed`.
    """
    entry = grant.call.entry
    if entry.operation.body == "multipart" and content_type.startswith("text/"):
        return Tally()
    seen = entry.wire.observe(entry.operation, read_answer(body))
    surface.check_answer(seen, frozenset(grant.granted), grant.route.served_models)
    tally = Tally()
    tally.add(seen)
    return tally


class StreamCheck:
    """Checks a stream of server-sent events.

    `feed` gives back the bytes that may go on; once `terminal` is set, it holds the event without which
    the stream is not complete, to be sent after the outcome is durable, and whatever follows is dropped. `failure`
    is the provider's own error event instead, which ends the stream too.
    """

    __slots__ = ("_grant", "_granted", "_operation", "_splitter", "_surface", "_wire", "failure", "tally", "terminal")

    def __init__(self, grant: Grant, surface: Surface) -> None:
        self._grant = grant
        self._granted = frozenset(grant.granted)
        self._surface = surface
        self._wire = grant.call.entry.wire
        self._operation = grant.call.entry.operation
        self._splitter = sse.Splitter()
        self.tally = Tally()
        self.terminal: bytes | None = None
        self.failure: tuple[str, Document] | None = None

    @property
    def ended(self) -> bool:
        """Nothing that may follow is passed on."""
        return self.terminal is not None or self.failure is not None

    def feed(self, chunk: bytes) -> bytes:
        """Check what this chunk completes.

        Raises:
            UpstreamError: `response_not_allowed`; nothing of the offending event is given back.
        """
        if self.ended:
            return b""
        try:
            events = self._splitter.feed(chunk)
        except sse.EventTooLong:
            raise UpstreamError(Code.RESPONSE_NOT_ALLOWED, "an event of the stream is too long") from None
        out: list[bytes] = []
        for event in events:
            name, data = sse.fields(event)
            if not data:
                out.append(_KEEP_ALIVE)
                continue
            document = None if data == self._wire.end_mark else read_answer(data)
            seen = self._wire.observe_event(self._operation, name, document)
            self._surface.check_answer(seen, self._granted, self._grant.route.served_models)
            self.tally.add(seen)
            if (
                self._grant.hide_usage_event
                and document is not None
                and self._wire.is_usage_event(self._operation, document)
            ):
                continue
            if seen.error is not None and not seen.terminal and document is not None:
                self.failure = name, document
                break
            if seen.terminal:
                self.terminal = sse.build(name, data)
                break
            out.append(sse.build(name, data))
        return b"".join(out)
