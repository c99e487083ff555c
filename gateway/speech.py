"""What an answer says, cleaned before a caller hears it: the other half of step 7, deliver.

A whole answer is cleaned in its tree. Of a stream, events wait in their order until all that they say
is settled; each then goes on with its own text cleaned, so that ids, numbers and order stay as they are. Where
what must pass as it is holds a finding, the answer ends.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from gateway.categories import Category
from gateway.errors import Code, Unavailable, UpstreamError
from gateway.policy.rules import looks_like_text
from gateway.redaction.redactor import Redactor
from gateway.redaction.stream import MOST, OPENS_JSON, Channel, Edit
from providers import sse
from providers.document import Document, Value, serialise
from providers.provider import Operation, Provider
from providers.speech import IDS, Form, Key, Said

_READ_AS_SPACES = str.maketrans("_-.:", "    ")
_KNOWN = 4_096
_T = TypeVar("_T")
_URL_SAFE = str.maketrans("-_", "+/")


_NONE: Mapping[str, Channel] = {}


class _Piece:
    """One string of an answer, and its place in the text that it belongs to."""

    __slots__ = ("channel", "end", "said", "start", "tokens")

    def __init__(self, said: Said, channel: Channel, start: int, end: int, tokens: Mapping[str, Channel]) -> None:
        self.said = said
        self.channel = channel
        self.start = start
        self.end = end
        self.tokens = tokens  # of its log-probabilities, each a text of its own

    @property
    def settled(self) -> bool:
        """It may go on."""
        return self.channel.settled >= self.end


class _Event:
    """A stream event that waits for its turn."""

    __slots__ = ("data", "document", "name", "pieces", "raw", "since")

    def __init__(
        self, name: str, data: bytes, document: Document | None, pieces: list[_Piece], since: float, raw: bytes
    ) -> None:
        self.raw = raw
        self.name = name
        self.data = data
        self.document = document
        self.pieces = pieces
        self.since = since


class Answer:
    """One answer, cleaned.

    Args:
        held_characters: of one text, this many may wait to be settled at most.
        held_seconds: no event waits longer; what is not settled then is decided as it stands.
        clock: seconds, never going back.

    Attributes:
        redactions: what was taken out so far, by category; copies of a text count once.
        scores_dropped: texts whose log-probabilities were dropped, all or some, because a finding touched them.
    """

    __slots__ = (
        "_channels",
        "_clock",
        "_held_seconds",
        "_known",
        "_new",
        "_operation",
        "_placeholder",
        "_queue",
        "_refuses",
        "_wire",
        "_words",
        "scores_dropped",
    )

    def __init__(
        self,
        wire: Provider,
        operation: Operation,
        redactor: Redactor,
        *,
        held_characters: int,
        held_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._wire = wire
        self._operation = operation
        self._channels = redactor.channels(held_characters)
        self._held_seconds = held_seconds
        self._clock = clock
        self._placeholder = redactor.placeholder
        self._refuses = redactor.refuses
        self._queue: deque[_Event] = deque()
        self._known: set[str] = set()  # words looked at: most events repeat them
        self._words = redactor.words
        self._new: list[str] = []
        self.scores_dropped = 0

    @property
    def redactions(self) -> Mapping[Category, int]:
        """See the class."""
        return self._channels.redactions

    async def clean(self, document: Document) -> bool:
        """Clean a whole answer in place; whether anything changed.

        Raises:
            UpstreamError: `response_not_allowed`: a finding in what must pass as it is.
            Unavailable: nobody could look.
        """
        listed = self._wire.said(self._operation, document, self._words)
        plain = _plain(listed)
        if plain is not None and not await _seen(self._channels.any_in(plain)):  # nearly always
            self._words.add([one.text for one in listed if one.form is Form.WORD and one.name not in IDS])
            return False
        pieces = [piece for said in listed for piece in self._enter(said)]
        self._channels.close()
        await self._look()
        # All are asked, because all must be checked.
        return sum([self._exchange(piece) for piece in pieces]) > 0

    async def clean_text(self, text: str) -> str:
        """Clean an answer that is nothing but text.

        Raises:
            Unavailable: nobody could look.
        """
        channel = self._channels.text(text)
        await self._look()
        return channel.cleaned(text, 0, self._placeholder)

    # a stream

    def add(self, name: str, data: bytes, document: Document | None, raw: bytes = b"") -> None:
        """Take the next event: its data decoded (None if it is no JSON), and how it goes on if it does not change."""
        pieces: list[_Piece] = []
        if document is not None:
            speech = self._wire.said_in_event(self._operation, document, self._known)
            for prefix in speech.closes:
                self._channels.close(prefix)
            for said in speech.said:
                if said.channel is not None and not said.glue and not said.scores:  # nearly always
                    pieces.append(self._continue(said, said.channel))
                else:
                    pieces.extend(self._enter(said))
        else:
            self._channels.close()
        self._queue.append(_Event(name, data, document, pieces, self._clock(), raw))

    async def release(self) -> list[bytes]:
        """The events that may go on now.

        Raises:
            UpstreamError: `response_not_allowed`: a finding in what must pass as it is.
            Unavailable: nobody could look.
        """
        if self.patience == 0:
            self._channels.hurry()
        await self._look()
        out: list[bytes] = []
        queue = self._queue
        while queue and all(piece.settled for piece in queue[0].pieces):
            out.append(self._built(queue.popleft()))
        return out

    async def finish(self) -> list[bytes]:
        """All that still waits: nothing more will be said.

        Raises:
            UpstreamError, Unavailable: as `release`.
        """
        self._channels.close()
        return await self.release()

    @property
    def patience(self) -> float | None:
        """How many seconds the oldest event that is held back may still wait; None if there is none."""
        if not self._queue:
            return None
        return max(0.0, self._queue[0].since + self._held_seconds - self._clock())

    def _built(self, event: _Event) -> bytes:
        changed = False
        for piece in event.pieces:
            changed = self._exchange(piece) or changed
        if changed and event.document is not None:
            return sse.build(event.name, serialise(event.document))
        return event.raw or sse.build(event.name, event.data)

    async def _look(self) -> None:
        await _seen(self._channels.look())
        if self._channels.fixed:
            raise _unchangeable()
        if self._new:
            self._words.add(self._new)
            self._new.clear()
        if self._refuses and self._channels.redactions:
            raise UpstreamError(
                Code.RESPONSE_NOT_ALLOWED,
                "the answer holds special-category data, and this tenant refuses such answers",
            )

    # its strings

    def _enter(self, said: Said) -> Iterable[_Piece]:
        text = said.text
        if said.form is Form.WORD:
            self._word(text)
            return ()
        if said.form is Form.BLOB:
            return self._blob(said, text)
        tokens = {} if not said.scores else self._tokens(said)
        if said.channel is None:
            return [_Piece(said, self._channels.text(text), 0, len(text), tokens)]
        if said.glue and (channel := self._channels.channel(said.channel)).size:
            channel.feed(said.glue)
        return [self._continue(said, said.channel, tokens)]

    def _continue(self, said: Said, key: Key, tokens: Mapping[str, Channel] = _NONE) -> _Piece:
        channel = self._channels.channel(key)
        start = channel.size
        channel.feed(said.text)
        return _Piece(said, channel, start, channel.size, tokens)

    def _word(self, word: str) -> None:
        """A word of a closed grammar: it is looked at once, and passes as it is or ends the answer."""
        if word not in self._known:
            if len(self._known) < _KNOWN:
                self._known.add(word)
            if word not in self._words:
                self._new.append(word)
                self._channels.word(word.translate(_READ_AS_SPACES))

    def _blob(self, said: Said, text: str) -> Iterable[_Piece]:
        try:
            data = base64.b64decode(text.rstrip("=").translate(_URL_SAFE) + "=" * (-len(text.rstrip("=")) % 4))
        except (binascii.Error, ValueError):
            return [_Piece(said, self._channels.text(text), 0, len(text), {})]
        if not looks_like_text(data):
            return []
        read = data.decode("utf-8", "replace")
        return [_Piece(said, self._channels.text(read), 0, len(read), {})]

    def _exchange(self, piece: _Piece) -> bool:
        """Put the cleaned string in its place; whether that changed it."""
        said, channel = piece.said, piece.channel
        if not channel.edited and not piece.tokens:
            return False
        edits = channel.edits(piece.start, piece.end)
        changed = False
        if edits and said.form in _SEALED:
            raise _unchangeable()
        if said.scores and (edits or any(token.edited for token in piece.tokens.values())):
            self._drop(piece, edits)
            changed = True
        if edits:
            said.exchange(channel.cleaned(said.text, piece.start, self._placeholder))
            changed = True
        return changed

    # log-probabilities

    def _tokens(self, said: Said) -> dict[str, Channel]:
        """What the model said or might have said, token by token."""
        words: set[str] = set()
        for holder, name in said.scores:
            for entry in _entries(holder[name]):
                words.update(_token(one) for one in (entry, *_entries(entry.get("top_logprobs"))))
        return {word: self._channels.text(word) for word in sorted(words) if word}

    def _drop(self, piece: _Piece, edits: list[Edit]) -> None:
        """Drop the log-probabilities that a finding touches; all, if it cannot be told which those are."""
        self.scores_dropped += 1
        told = {word for word, channel in piece.tokens.items() if channel.edited}
        for holder, name in piece.said.scores:
            entries = _entries(holder[name])
            aligned = not edits or "".join(map(_token, entries)) == piece.said.text
            kept: list[Value] = []
            at = piece.start
            for entry in entries:
                end = at + len(_token(entry))
                if aligned and _token(entry) not in told and not any(one.start < end and one.end > at for one in edits):
                    others = _entries(entry.get("top_logprobs"))
                    likely: list[Value] = [one for one in others if _token(one) not in told]
                    kept.append({**entry, "top_logprobs": likely} if len(likely) < len(others) else entry)
                at = end
            holder[name] = kept


def _plain(listed: Sequence[Said]) -> list[str] | None:
    """The texts of a whole answer, each as it is read; None if one look at each by itself would not settle all."""
    texts: list[str] = []
    keys: set[Key] = set()
    for said in listed:
        if said.form is Form.WORD:
            texts.append(said.text.translate(_READ_AS_SPACES))
            continue
        if said.form is Form.BLOB or said.form is Form.TREE or said.scores or said.channel in keys:
            return None
        text = said.text
        if len(text) > MOST or OPENS_JSON.match(text):
            return None
        if said.channel is not None:
            keys.add(said.channel)
        texts.append(text)
    return texts


async def _seen(look: Awaitable[_T]) -> _T:
    try:
        return await look
    except Unavailable as unseen:
        # The provider was asked: a client must not send the same request again.
        reason = "The redactor could not look at the answer."
        raise Unavailable(unseen.code, reason, retryable=False) from None


_SEALED = frozenset({Form.SEALED, Form.BLOB})


def _unchangeable() -> UpstreamError:
    return UpstreamError(
        Code.RESPONSE_NOT_ALLOWED, "the answer holds special-category data in a part that must pass unchanged"
    )


def _entries(value: Value) -> list[Document]:
    return [entry for entry in value if type(entry) is dict] if type(value) is list else []


def _token(entry: Document) -> str:
    token = entry.get("token")
    return token if isinstance(token, str) else ""
