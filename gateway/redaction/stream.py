"""A text that comes in pieces: held back to where it is settled, and then cleaned piece by piece.

A `Channel` is one text of an answer. Its pieces go in as they come; what may be let go, and with which
edits, follows from the whole text alone, so it is the same however the text was cut. JSON in a text, and
JSON in its strings, is read string by string, so that an edit never breaks it. `Channels` looks at all
channels of one answer together.
"""

from __future__ import annotations

import hashlib
import re
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from gateway.categories import Category, Scope
from gateway.redaction.encoded import Marks, Reading, cut_before, raw_at
from gateway.redaction.findings import Ends, Finding, Settled, Window
from gateway.redaction.segments import REACH
from gateway.redaction.treatment import complete, sentences

Key: TypeAlias = "tuple[str | int, ...]"
"""Names a channel: pieces with the same key are one text."""

_HEARD = 1_024
OPENS_JSON = re.compile(r"[ \t\r\n]*(?:[{\[]|\Z)")
_MANY = 64
MOST = 8_192
"""Characters that one look settles at most: a long text takes several, between which others get their turn."""


class Settles(Protocol):
    """Who settles windows: the detector, or an engine in the same process."""

    async def settle(self, windows: Sequence[Window]) -> list[Settled]:
        """What is found in each, and up to where it is final; raises `Unavailable` if nobody can look."""
        ...


class Edit(NamedTuple):
    """text[start:end] of a channel gives way to a placeholder. In a key, a number keeps placeholders apart."""

    start: int
    end: int
    category: Category
    key: bool = False


class Stretch:
    """A stretch of prose in a channel: all of it, or one string of the JSON that it holds."""

    __slots__ = (
        "_context",
        "_ends",
        "_found",
        "_gone",
        "_hurry",
        "_kept",
        "_looked",
        "_marks",
        "_pending",
        "_sentences",
        "base",
        "fresh",
        "key",
        "size",
    )

    def __init__(self, key: bool, context: str = "", *, sentences: bool = False) -> None:
        self._sentences = sentences  # these go with a finding, so they stay until they are complete
        self._kept = ""  # settled, and not gone
        self._found: list[Finding] = []  # in what is kept
        self._gone = 0
        self._context = context
        self._pending = ""
        self._marks: Marks = []
        self._ends = Ends.OPEN
        self._hurry = Ends.OPEN
        self.fresh = False
        self._looked = 0
        self.key = key
        self.base = 0  # settled up to here
        self.size = 0  # fed so far

    @property
    def gone(self) -> int:
        """What may be let go."""
        return self._gone if self._sentences else self.base

    @property
    def closed(self) -> bool:
        """Nothing will come, and nothing is left to look at."""
        return self._ends is Ends.CLOSED and self.gone == self.size

    def feed(self, text: str, marks: Marks) -> None:
        """Take more text, and where it stood in the channel."""
        known = self._marks
        for offset, raw in marks:
            if not known or raw_at(known, self.size + offset) != raw:
                known.append((self.size + offset, raw))
        self._pending += text
        self.size += len(text)
        self.fresh = True

    def go_on(self, text: str) -> None:
        """Take more text, that stood right after the last."""
        self._pending += text
        self.size += len(text)
        self.fresh = True

    def close(self) -> None:
        """Nothing more will come."""
        self._ends = Ends.CLOSED
        self.fresh = bool(self._pending)

    def hurry(self) -> None:
        """Nobody may wait any more for what is held."""
        if self._ends is Ends.OPEN and self._pending:
            self._hurry, self.fresh = Ends.LATE, True

    def window(self) -> Window:
        """What is to be looked at now, where there is anything (`fresh`)."""
        pending = self._pending
        whole = len(pending) <= MOST
        self._looked = min(len(pending), MOST)
        self.fresh = not whole
        context = self._context
        ends = Ends.CLOSED if whole and self._ends is Ends.CLOSED else self._hurry
        return Window(context + pending[:MOST], len(context), ends)

    def take(self, settled: Settled, held: int) -> list[Finding]:
        """Take the answer to the last window; return its findings as spans of this stretch."""
        shift = self.base - len(self._context)
        found = [one._replace(start=one.start + shift, end=one.end + shift) for one in settled.findings]
        step = settled.end - len(self._context)
        if step:
            if self._sentences:
                self._kept += self._pending[:step]
                self._found += found
            self._context = (self._context + self._pending[:step])[-REACH:]
            self._pending = self._pending[step:]
            self.base += step
            if len(self._marks) > _MANY:
                self._marks = cut_before(self._marks, self.gone)
        if self._looked - step > held:  # rather decide it as it stands than hold more, or look for ever
            self._hurry = Ends.LATE if self._hurry is Ends.OPEN else Ends.CLOSED
            self.fresh = True
        else:
            self._hurry = Ends.OPEN
        return found

    def whole_sentences(self) -> list[Finding]:
        """The findings, each with its sentence, of those sentences that may go now."""
        if not self._kept:
            return []
        at = self._gone
        found = [one._replace(start=one.start - at, end=one.end - at) for one in self._found]
        over = self._ends is Ends.CLOSED and self.base == self.size
        end = len(self._kept) if over else complete(self._kept, found)
        wide = [one for one in sentences(self._kept, found) if one.start < end]
        self._found = [one for one in self._found if one.start >= at + end]
        self._kept = self._kept[end:]
        self._gone += end
        return [one._replace(start=one.start + at, end=one.end + at) for one in wide]

    def raw(self, offset: int) -> int:
        """Where in the channel a character of this stretch begins, or the last one ends."""
        return raw_at(self._marks, offset)


class Channel:
    """One text of an answer, and the edits that clean it.

    `settled` characters of it may go, as of the last look; the edits that begin among them are known.
    """

    __slots__ = (
        "_digest",
        "_edits",
        "_held",
        "_plain",
        "_reading",
        "_sentences",
        "_stretches",
        "closed",
        "settled",
        "size",
    )

    def __init__(self, held: int, scope: Scope = Scope.SPAN) -> None:
        self._sentences = scope is not Scope.SPAN
        self._digest = _digest()
        self._held = held
        self._stretches: deque[Stretch] = deque()
        self._reading: Reading | None = None  # only of what may be JSON
        self._plain: Stretch | None = None  # all that comes from now on goes on in it
        self._edits: list[Edit] = []
        self.settled = 0
        self.closed = False
        self.size = 0

    def _stretch(self, key: bool, context: str) -> Stretch:
        made = Stretch(key, context, sentences=self._sentences)
        self._stretches.append(made)
        return made

    def feed(self, text: str) -> None:
        """Take the next piece."""
        if text:
            if self._plain is not None:
                self._plain.go_on(text)
            elif not self.size and OPENS_JSON.match(text) is None:
                self._plain = self._stretch(key=False, context="")
                self._plain.feed(text, [(0, 0)])
            else:
                self._read(text)
            self.size += len(text)
            self._digest.update(text.encode("utf-8", "surrogatepass"))

    def _read(self, text: str) -> None:
        """Take a piece of what may be JSON."""
        if self._reading is None:
            self._reading = Reading(self._stretch)
        self._reading.feed(text, [(0, self.size)])
        if self._reading.is_prose and self._stretches:
            self._plain = self._stretches[-1]

    def close(self) -> None:
        """Nothing more will come."""
        if not self.closed:
            self.closed = True
            if self._reading is not None:
                self._reading.close()
            elif self._plain is not None:
                self._plain.close()

    def hurry(self) -> None:
        """Nobody may wait any more for what is held."""
        for stretch in self._stretches:
            stretch.hurry()

    def reckon(self) -> None:
        """Say anew how much is settled, after a look."""
        held = None if self._plain is not None or self._reading is None else self._reading.held_from()
        self.settled = self.size if held is None else held
        if self._sentences:
            for stretch in self._stretches:
                self._edit(stretch, stretch.whole_sentences())
        while self._stretches and self._stretches[0].closed:
            self._stretches.popleft()
        for stretch in self._stretches:
            if stretch.gone < stretch.size:
                self.settled = min(self.settled, stretch.raw(stretch.gone))
                break

    def _edit(self, stretch: Stretch, found: list[Finding]) -> None:
        for start, end, category, _score in found:
            if isinstance(category, Category):  # nothing else is looked for in what comes back
                insort(self._edits, Edit(stretch.raw(start), stretch.raw(end), category, stretch.key))

    def windows(self) -> list[tuple[Stretch, Window]]:
        """What is to be looked at now."""
        return [(stretch, stretch.window()) for stretch in self._stretches if stretch.fresh]

    def take(self, stretch: Stretch, settled: Settled) -> list[Finding]:
        """Take the answer to a window of one of its stretches."""
        found = stretch.take(settled, self._held)
        if not self._sentences:
            self._edit(stretch, found)
        return found

    @property
    def name(self) -> bytes:
        """What equal texts have in common."""
        return self._digest.digest()

    @property
    def edited(self) -> bool:
        """Whether anything was found so far."""
        return bool(self._edits)

    def edits(self, start: int, end: int) -> list[Edit]:
        """The edits that touch a piece."""
        return [edit for edit in self._edits if edit.start < end and edit.end > start] if self._edits else []

    def cleaned(self, text: str, start: int, placeholder: Callable[[Category], str]) -> str:
        """The piece that begins at `start`: each placeholder stands where its edit begins."""
        parts: list[str] = []
        done = start
        for edit in self.edits(start, start + len(text)):
            parts.append(text[done - start : max(edit.start, start) - start])
            if edit.start >= start:
                parts.append(placeholder(edit.category))
                if edit.key:  # a number keeps changed keys apart
                    number = sum(one.key for one in self._edits if one.start <= edit.start)
                    parts.append(str(number) if number > 1 else "")
            done = edit.end
        parts.append(text[max(done - start, 0) :])
        return "".join(parts)


class Channels:
    """The channels of one answer, by key; looked at together.

    Args:
        detector: who settles.
        held: characters of one text that may wait to be settled at most; beyond, it is decided as it stands.
        scope: what goes with a finding; anything but the span is its sentence.

    Attributes:
        redactions: what was found so far, by category.
        fixed: something was found in what must pass as it is.
    """

    __slots__ = ("_closed", "_detector", "_fixed", "_heard", "_held", "_open", "_scope", "fixed", "redactions")

    def __init__(self, detector: Settles, held: int, scope: Scope = Scope.SPAN) -> None:
        self._detector = detector
        self._scope = scope
        self._held = held
        self._open: dict[Key, Channel] = {}
        self._closed: list[Channel] = []  # not looked at to the end yet
        self._heard: dict[bytes, Channel] = {}
        self._fixed: list[Window] = []  # not looked at yet
        self.fixed = False
        self.redactions: dict[Category, int] = {}

    def channel(self, key: Key) -> Channel:
        """The open channel with this key; a new one if there is none."""
        channel = self._open.get(key)
        if channel is None:
            channel = self._open[key] = Channel(self._held, self._scope)
        return channel

    def text(self, text: str) -> Channel:
        """A text that is whole: a new channel, or the one that said the same before, in pieces or whole."""
        channel = Channel(self._held, self._scope)
        channel.feed(text)
        channel.close()
        heard = self._heard.get(channel.name)
        if heard is not None:
            return heard
        self._end(channel)
        return channel

    def word(self, text: str) -> None:
        """A short text that must pass as it is: the next look says whether it may."""
        self._fixed.append(_whole(text))

    def close(self, prefix: Key = ()) -> None:
        """Close all channels whose key begins so."""
        size = len(prefix)
        for key in [key for key in self._open if key[:size] == prefix]:
            channel = self._open.pop(key)
            channel.close()
            self._end(channel)

    def _end(self, channel: Channel) -> None:
        if len(self._heard) < _HEARD:
            self._heard.setdefault(channel.name, channel)
        self._closed.append(channel)

    def hurry(self) -> None:
        """Nobody may wait any more for what is held."""
        for channel in self._open.values():
            channel.hurry()

    async def any_in(self, texts: Iterable[str]) -> bool:
        """Whether anything is found in texts that are whole; nothing is kept of them.

        Raises:
            Unavailable: nobody could look.
        """
        windows = [_whole(text) for text in texts]
        return bool(windows) and any(settled.findings for settled in await self._detector.settle(windows))

    async def look(self) -> None:
        """Settle all that can be settled.

        Raises:
            Unavailable: nobody could look.
        """
        channels = [*self._closed, *self._open.values()]
        fixed, self._fixed = self._fixed, []
        asked = _asked(channels)
        while asked or fixed:
            answers = await self._detector.settle([*fixed, *[window for _channel, _stretch, window in asked]])
            for settled in answers[: len(fixed)]:
                if settled.findings:
                    self.fixed = self._count(settled.findings) or self.fixed
            more = False
            for (channel, stretch, _window), settled in zip(asked, answers[len(fixed) :], strict=True):
                if found := channel.take(stretch, settled):
                    self._count(found)
                more = more or stretch.fresh
            fixed = []
            asked = _asked(channels) if more else []
        for channel in channels:
            channel.reckon()
        self._closed.clear()

    def _count(self, findings: Sequence[Finding]) -> bool:
        """Count those of special categories; whether there is one."""
        special = [one.category for one in findings if isinstance(one.category, Category)]
        for category in special:
            self.redactions[category] = self.redactions.get(category, 0) + 1
        return bool(special)


def _asked(channels: Sequence[Channel]) -> list[tuple[Channel, Stretch, Window]]:
    """What is to be looked at now in some channels."""
    return [(channel, *one) for channel in channels for one in channel.windows()]


def _whole(text: str) -> Window:
    return Window(text, 0, Ends.CLOSED)


_digest = partial(hashlib.blake2b, digest_size=16)
"""Of what was fed to a channel, to know it again; it never leaves the process."""
