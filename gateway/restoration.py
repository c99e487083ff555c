"""The caller's own personal data, put back into an answer after it was cleaned: whole, or event by event.

Only texts that may change get values back: what a provider signed keeps its placeholders, since it comes
back to the provider as it is. Of a stream, an event waits only while a placeholder may have begun in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from gateway.redaction.personal import Restorer
from providers import sse
from providers.document import Document, serialise
from providers.provider import Operation, Provider
from providers.speech import Form, Key, Said

_OPEN = frozenset({Form.TEXT, Form.TREE})


def restore_document(wire: Provider, operation: Operation, document: Document, values: Mapping[str, str]) -> bool:
    """Restore a whole answer in place; whether anything changed."""
    restorer = Restorer(values)
    return sum([_exchanged(said, restorer.restore(said.text)) for said in wire.said(operation, document, ())]) > 0


def _exchanged(said: Said, text: str) -> bool:
    if said.form not in _OPEN or text == said.text:
        return False
    said.exchange(text)
    return True


class _Text:
    """A text that comes in pieces, as far as it is here: what is settled of it may go on."""

    __slots__ = ("closed", "held", "restorer", "start")

    def __init__(self, restorer: Restorer) -> None:
        self.restorer = restorer
        self.held = ""
        self.start = 0
        """Where in the text what is held begins."""
        self.closed = False

    @property
    def size(self) -> int:
        return self.start + len(self.held)

    @property
    def settled(self) -> int:
        return self.size if self.closed else self.start + self.restorer.settled(self.held)

    def take(self, end: int) -> str:
        """What the text says up to there, restored. A placeholder that runs on is said where it begins."""
        cut = end - self.start
        out = self.held[:cut]
        placed = self.restorer.places(self.held)
        said: list[str] = []
        done, past = 0, cut
        for first, last, value in placed:
            if first >= cut:
                break
            said += (self.held[done:first], value)
            done = last
            past = max(past, last)
        out = "".join([*said, self.held[done:cut]]) if said else out
        self.held = self.held[past:]
        self.start += past
        return out


class _Piece:
    """One string of a waiting event; `text` is None for what is not restored."""

    __slots__ = ("end", "said", "text")

    def __init__(self, said: Said, text: _Text, end: int) -> None:
        self.said = said
        self.text = text
        self.end = end


class _Event:
    __slots__ = ("data", "document", "name", "pieces", "since")

    def __init__(self, name: str, data: bytes, document: Document | None, pieces: list[_Piece], since: float) -> None:
        self.name = name
        self.data = data
        self.document = document
        self.pieces = pieces
        self.since = since


class Restoration:
    """The events of one stream, on their way to the caller.

    Args:
        values: placeholder -> value, of this request.
        held_seconds: no event waits longer for the rest of a placeholder.
        clock: seconds, never going back.
    """

    __slots__ = ("_clock", "_held_seconds", "_operation", "_queue", "_restorer", "_texts", "_wire")

    def __init__(
        self,
        wire: Provider,
        operation: Operation,
        values: Mapping[str, str],
        *,
        held_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._wire = wire
        self._operation = operation
        self._restorer = Restorer(values)
        self._held_seconds = held_seconds
        self._clock = clock
        self._texts: dict[Key, _Text] = {}
        self._queue: deque[_Event] = deque()

    def add(self, name: str, data: bytes, document: Document | None) -> None:
        """Take the next event; `document` is its data decoded, None if it is no JSON."""
        pieces: list[_Piece] = []
        if document is None:
            self._close()
        else:
            speech = self._wire.said_in_event(self._operation, document, set())
            for prefix in speech.closes:
                self._close(prefix)
            for said in speech.said:
                if said.form in _OPEN:
                    pieces.append(self._piece(said))
        self._queue.append(_Event(name, data, document, pieces, self._clock()))

    def _piece(self, said: Said) -> _Piece:
        if said.channel is None:
            text = _Text(self._restorer)
            text.closed = True
        else:
            text = self._texts.setdefault(said.channel, _Text(self._restorer))
        text.held += said.text
        return _Piece(said, text, text.size)

    def _close(self, prefix: Key = ()) -> None:
        for key in [key for key in self._texts if key[: len(prefix)] == prefix]:
            self._texts.pop(key).closed = True

    @property
    def patience(self) -> float | None:
        """How many seconds the oldest event may still wait; None if there is none."""
        return max(0.0, self._queue[0].since + self._held_seconds - self._clock()) if self._queue else None

    def release(self, *, end: bool = False) -> list[bytes]:
        """The events that may go on now; at the `end` all."""
        if end:
            self._close()
        out: list[bytes] = []
        while self._queue:
            event = self._queue[0]
            if not all(piece.text.settled >= piece.end for piece in event.pieces) and self.patience != 0:
                break
            out.append(_built(self._queue.popleft()))
        return out


def _built(event: _Event) -> bytes:
    changed = False
    for piece in event.pieces:
        # what a placeholder of an earlier piece ran over is used up already
        said = piece.text.take(piece.end) if piece.end > piece.text.start else ""
        changed = _exchanged(piece.said, said) or changed
    if changed and event.document is not None:
        return sse.build(event.name, serialise(event.document))
    return sse.build(event.name, event.data)
