"""What an answer may show, and say, before a caller sees it: step 7, deliver, without the sockets.

A whole answer is checked and cleaned before its first byte is passed on; a stream is checked event by event, and
its terminal event is held until the outcome is durable. What cannot be read is not passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson
from msgspec import Struct, field
from msgspec.structs import replace
from multidict import CIMultiDictProxy

from gateway.categories import Category
from gateway.errors import Code, UpstreamError
from gateway.exchange import Grant
from gateway.likeness import Likeness
from gateway.policy.surface import Surface
from gateway.redaction.personal import Restorer
from gateway.restoration import Restoration, restore_document
from gateway.speech import Answer
from providers import sse
from providers.document import Document, serialise
from providers.provider import Observation, Usage


class Event(NamedTuple):
    """One event of a stream: its name, its data, and that decoded (None if it is no JSON).

    `raw` is the whole event where it came as we would write it, and was not read because one like it was: then
    there is no document yet.
    """

    name: str
    data: bytes
    document: Document | None
    raw: bytes = b""


KEEP_ALIVE = Event("", b"", None)
"""A comment: it says nothing."""
_NO_VALUES: Mapping[str, str] = {}
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
    redactions: Mapping[Category, int] = field(default_factory=dict)
    scores_dropped: bool = False

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


ECHOES = frozenset({"echo", "header"})
"""Where an answer shows that something is kept, or does not say that nothing is: its processor takes no more calls."""


def check_headers(grant: Grant, headers: CIMultiDictProxy[str]) -> None:
    """Hold what an answer's head says of its own retention against the entry.

    Raises:
        UpstreamError: `response_not_allowed`: a header is missing, or says something else.
    """
    for name, value in grant.route.answer_headers.items():
        if [*map(str.lower, headers.getall(name, []))] != [value]:
            reason = "the answer does not say of its own retention what the entry says that it must"
            raise UpstreamError(Code.RESPONSE_NOT_ALLOWED, reason, where="header")


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


async def check_whole(
    grant: Grant,
    surface: Surface,
    content_type: str,
    body: bytes,
    answer: Answer | None,
    values: Mapping[str, str] = _NO_VALUES,
) -> tuple[Tally, bytes]:
    """Check a whole answer, clean it, and put the caller's own `values` back; what was seen, and what goes on.

    One that is not JSON (a transcript as plain text) has nothing to show but itself.

    Raises:
        UpstreamError: `response_not_allowed`.
        Unavailable: nobody could look.
    """
    entry = grant.call.entry
    if entry.operation.body == "multipart" and content_type.startswith("text/"):
        if answer is not None:
            body = await _clean_text(body, answer)
        if values:
            body = Restorer(values).restore(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return _tallied(Tally(), answer), body
    document = read_answer(body)
    seen = entry.wire.observe(entry.operation, document)
    surface.check_answer(seen, frozenset(grant.granted), grant.route.served_models)
    tally = Tally(seen.model, seen.usage or _NO_USAGE, seen.finishes, seen.response_id, seen.error, events=1)
    if answer is not None:
        if await answer.clean(document):
            body = serialise(document)
        tally = _tallied(tally, answer)
    if values and restore_document(entry.wire, entry.operation, document, values):
        body = serialise(document)
    return tally, body


async def _clean_text(body: bytes, answer: Answer) -> bytes:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise UpstreamError(Code.RESPONSE_NOT_ALLOWED, "the answer is not text in UTF-8") from None
    return (await answer.clean_text(text)).encode("utf-8")


def _tallied(tally: Tally, answer: Answer | None) -> Tally:
    if answer is not None:
        tally.redactions = answer.redactions
        tally.scores_dropped = answer.scores_dropped > 0
    return tally


class StreamCheck:
    """Checks a stream of server-sent events.

    `feed` gives back the events that may go on; once `last` is set, it is the event that ends the stream, and
    whatever follows is dropped: the terminal event, without which the stream is not complete, or (if `failed`)
    the provider's own error.
    """

    __slots__ = (
        "_grant",
        "_granted",
        "_like",
        "_operation",
        "_splitter",
        "_surface",
        "_tries",
        "_wire",
        "failed",
        "last",
        "tally",
    )

    def __init__(self, grant: Grant, surface: Surface) -> None:
        self._grant = grant
        self._granted = frozenset(grant.granted)
        self._surface = surface
        self._wire = grant.call.entry.wire
        self._operation = grant.call.entry.operation
        self._splitter = sse.Splitter()
        self._like: Likeness | None = None
        self._tries = _TRIES
        self.tally = Tally()
        self.last: Event | None = None
        self.failed = False

    def knows(self, chunk: bytes) -> bool:
        """Whether this chunk is one whole event like one that was checked: then it is counted, and goes on as it is.

        What is like an event has its end and, before that, no line end where another might begin.
        """
        if self._like is None or self.last is not None or not self._splitter.between or not self._like.has(chunk):
            return False
        self.tally.events += 1
        return True

    def feed(self, chunk: bytes) -> list[Event]:
        """Check what this chunk completes.

        Raises:
            UpstreamError: `response_not_allowed`; nothing of the offending event is given back.
        """
        if self.last is not None:
            return []
        try:
            events = self._splitter.feed(chunk)
        except sse.EventTooLong:
            raise UpstreamError(Code.RESPONSE_NOT_ALLOWED, "an event of the stream is too long") from None
        out: list[Event] = []
        for event in events:
            if self._like is not None and self._like.has(event):
                self.tally.events += 1
                out.append(Event(self._like.name, event[self._like.lead : -2], None, event))
                continue
            name, data = sse.fields(event)
            if not data:
                out.append(KEEP_ALIVE)
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
            passed = Event(name, data, document)
            if seen.terminal or (seen.error is not None and document is not None):
                self.last, self.failed = passed, not seen.terminal
                break
            out.append(passed)
            if self._tries and document is not None and _is_plain(seen):
                self._tries -= 1
                self._like = Likeness.of(self._wire, self._operation, event, name, document) or self._like
        return out


_TRIES = 16
"""How many events of a stream are looked at for what others have in common with them."""


def _is_plain(seen: Observation) -> bool:
    """Whether an event shows nothing but its kind, the model and the answer's id: one like it shows the same."""
    return not (seen.echoes or seen.finishes or seen.usage or seen.terminal or seen.error is not None)


class Delivery:
    """A stream on its way to the caller: checked, then cleaned, then with the caller's own values in it again.

    Args:
        answer: cleans it; None where what comes back is not cleaned.
        restoration: puts values back; None where there are none.
    """

    __slots__ = ("_answer", "_restoration", "check", "holds")

    def __init__(self, check: StreamCheck, answer: Answer | None, restoration: Restoration | None = None) -> None:
        self.check = check
        self._answer = answer
        self._restoration = restoration
        self.holds = answer is not None or restoration is not None
        """Whether anything may have to wait; else `pass_on` does what `feed` does."""

    @property
    def tally(self) -> Tally:
        """What it has shown, and what was taken out of it."""
        return _tallied(self.check.tally, self._answer)

    @property
    def patience(self) -> float | None:
        """How many seconds what is held back may still wait for more; None if nothing is."""
        wait = None if self._answer is None else self._answer.patience
        other = None if self._restoration is None else self._restoration.patience
        return other if wait is None else wait if other is None else min(wait, other)

    def pass_on(self, chunk: bytes) -> bytes:
        """`feed` of a stream in which nothing waits.

        Raises:
            UpstreamError: as `feed`.
        """
        if self.check.knows(chunk):  # mostly a network brings events one by one
            return chunk
        return b"".join([one.raw or _built(one) for one in self.check.feed(chunk)])

    async def feed(self, chunk: bytes) -> bytes:
        """Take bytes of the provider's; give back what may go on. Without any, what is held may be due.

        Raises:
            UpstreamError: `response_not_allowed`; nothing of the offending event is given back.
            Unavailable: nobody could look.
        """
        events = self.check.feed(chunk) if chunk else []
        out: list[bytes] = []
        if self._answer is None:
            out = [event.raw or _built(event) for event in events]
            return b"".join(self._restored(out))
        for name, data, document, raw in events:
            if raw:
                self._answer.add(name, data, read_answer(data), raw)
            elif data:
                self._answer.add(name, data, document)
            else:
                out.append(_KEEP_ALIVE)
        out += await self._answer.release()
        return b"".join(self._restored(out))

    async def finish(self) -> tuple[bytes, bytes]:
        """What still waits, and apart from it the terminal event (empty if the stream failed).

        Raises:
            UpstreamError, Unavailable: as `feed`.
        """
        last = None if self.check.failed else self.check.last
        if self._answer is None:
            return self._ended([] if last is None else [sse.build(last.name, last.data)], terminal=last is not None)
        if last is not None:
            self._answer.add(last.name, last.data, last.document)
        events = await self._answer.finish()
        return self._ended(events, terminal=last is not None)

    def _ended(self, events: list[bytes], *, terminal: bool) -> tuple[bytes, bytes]:
        events = self._restored(events, end=True)
        return (b"".join(events[:-1]), events[-1]) if terminal else (b"".join(events), b"")

    def _restored(self, events: list[bytes], *, end: bool = False) -> list[bytes]:
        """The events with values in them, and those that waited for them; keep-alives do not wait."""
        if self._restoration is None:
            return events
        out: list[bytes] = []
        for event in events:
            name, data = sse.fields(event)
            if data:
                self._restoration.add(name, data, read_answer(data) if data[:1] == b"{" else None)
            else:
                out.append(event)
        return out + self._restoration.release(end=end)


def _built(event: Event) -> bytes:
    return sse.build(event.name, event.data) if event.data else _KEEP_ALIVE
