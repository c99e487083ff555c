"""Conversations that are sent again with each turn: of one that passed before, only what is new is read.

A service sends the whole conversation with every turn. What was judged and cleaned of it a minute ago would be judged
and cleaned alike now, under the same configuration, tenant, operation and grants; so where a body begins, byte for
byte, like one that passed, the items of its list that stand there are not read again. What leaves is the same.

Kept of a conversation is a keyed digest of its body up to the last item, where the items stand in it, and what was
done to them: offsets and placeholders, never text. They leave as the caller's own bytes of now, in which the same
places are replaced. Only those are known again that the caller wrote as we write them ourselves, as its SDK does.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from gateway.categories import Category, Personal
from gateway.exchange import Beginning, Grant
from gateway.redaction.redactor import Cleaned, typed, untyped
from providers import growing
from providers.document import MAX_NODES, Document, parse_counting
from providers.text import stands_alone

_STEP: Final = 2047
"""Bytes from one digest to the next, by which a beginning is found: `hashlib` keeps the interpreter for so many."""
_FORKS: Final = 4
"""Conversations that part from one another within a step are kept, so many of them."""
_MOST_EDITS: Final = 512
_SECONDS: Final = 6 * 3600.0
_DIGEST: Final = 32
_OPENING: Final = 64
_TRIES: Final = 8

_MARKS: Final = {made(each).encode(): made(each).encode() for each in Category for made in (untyped, typed)}
_MARK: Final = re.compile(b"(" + b"|".join(map(re.escape, _MARKS)) + b")")


class _Edit(NamedTuple):
    """body[start:end] leaves as this placeholder."""

    start: int
    end: int
    mark: bytes


class _Kept(Struct, frozen=True):
    """A beginning that passed: body[start:end] are the `count` first items of its list.

    `digest` is of the whole body up to `end`; the items hold at most so many `values`; `until` is a time.
    """

    digest: bytes
    start: int
    end: int
    count: int
    values: int
    edits: tuple[_Edit, ...]
    redactions: Mapping[Category | Personal, int]
    until: float

    @property
    def weight(self) -> int:
        return 1 + len(self.edits)

    def followed_by(self, new: _Kept) -> _Kept:
        """This and the items right after it. It is forgotten when this is: nothing is believed for longer."""
        return _Kept(
            b"",
            self.start,
            new.end,
            self.count + new.count,
            new.values,
            self.edits + new.edits,
            dict(Counter(self.redactions) + Counter(new.redactions)) if new.redactions else self.redactions,
            self.until,
        )


_Forks: TypeAlias = tuple[_Kept, ...]


class Conversations:
    """The conversations seen last under one configuration; the one unused for longest goes first.

    Args:
        limit: how many of them, and placeholders in them, are kept; 0 for none.
        seconds: for how long, at most.
        clock: seconds, of any origin.
    """

    __slots__ = ("_clock", "_kept", "_keyed", "_limit", "_seconds", "_weight")

    def __init__(self, limit: int, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._keyed = blake2b(key=secrets.token_bytes(32), digest_size=_DIGEST)
        self._kept: dict[bytes, _Forks] = {}
        self._weight = 0

    def meet(self, scope: bytes | None, body: bytes) -> Conversation | None:
        """A body on its way, with what is known of it; None for one that is sooner read than remembered.

        `scope` is a digest of all, but the configuration, that decides how a body is judged and cleaned; None if more
        decides than can be said so.
        """
        if scope is None or len(body) < _STEP or not self._limit:
            return None
        state = self._keyed.copy()
        state.update(scope)
        view = memoryview(body)
        states: list[blake2b] = []
        for end in range(_STEP, len(body) + 1, _STEP):
            state.update(view[end - _STEP : end])
            states.append(state.copy())
        met = Conversation(self, body, states)
        for state in reversed(states):
            name = state.digest()
            if name in self._kept and self._recall(name, met):
                break
        return met

    def _recall(self, name: bytes, met: Conversation) -> bool:
        """Whether a body begins like one of those that are kept under a name."""
        forks = self._kept.pop(name)
        now = self._clock()
        for kept in forks:
            if now < kept.until and met.begins_like(kept):
                self._kept[name] = (kept, *[one for one in forks if one is not kept])
                return True
        self._kept[name] = forks
        return False

    def keep(self, name: bytes, new: _Kept) -> None:
        """Remember a beginning, and forget the oldest beyond the limit."""
        forks = self._kept.pop(name, ())
        self._weight -= sum([one.weight for one in forks])
        forks = (new, *[one for one in forks if one.digest != new.digest])[:_FORKS]
        self._weight += sum([one.weight for one in forks])
        self._kept[name] = forks
        while self._weight > self._limit:
            oldest = next(iter(self._kept))
            self._weight -= sum([one.weight for one in self._kept.pop(oldest)])

    @property
    def until(self) -> float:
        """When what is learnt now is forgotten."""
        return self._clock() + self._seconds

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))


class Conversation:
    """One body of a conversation on its way."""

    __slots__ = ("_body", "_known", "_of", "_states", "_values")

    def __init__(self, of: Conversations, body: bytes, states: list[blake2b]) -> None:
        self._of = of
        self._body = body
        self._states = states
        self._known: _Kept | None = None
        self._values = 0

    def __repr__(self) -> str:
        return "<Conversation>"

    def begins_like(self, kept: _Kept) -> bool:
        """Whether the body begins with all that this is a digest of, and what follows can be read alone."""
        if not growing.parts(self._body, kept.end) or self._digest(kept.end) != kept.digest:
            return False
        self._known = kept
        return True

    def read(self, member: str) -> tuple[Document, Beginning | None]:
        """The body's document; the items of this member that are known are apart.

        Raises:
            NotStrict: it is not one, whatever is known of it.
        """
        if (known := self._known) is not None:
            document, values = parse_counting(growing.without(self._body, known.start, known.end))
            self._values = known.values + values
            if self._values <= MAX_NODES:
                return document, Beginning(member, known.count, self._cleaned(known), known.redactions)
            self._known = None  # that many at most, so they must be counted
        document, self._values = parse_counting(self._body)
        return document, None

    def _cleaned(self, known: _Kept) -> bytes:
        body, done = self._body, known.start
        if not known.edits:
            return body[done : known.end]
        parts: list[bytes] = []
        for start, end, mark in known.edits:
            parts.append(body[done:start])
            parts.append(mark)
            done = end
        parts.append(body[done : known.end])
        return b"".join(parts)

    def keep(self, grant: Grant, cleaned: Cleaned) -> None:
        """Remember what of the conversation will be judged and cleaned alike again: with its last item, and without.

        Args:
            grant: under which it leaves.
            cleaned: its document, as it leaves.
        """
        member, plain, document = grant.call.entry.operation.growing, grant.plain, grant.call.document
        items, read = cleaned.document.get(member), document.get(member)
        if not isinstance(items, list) or not isinstance(read, list) or not all(map(stands_alone, read[:plain])):
            return
        known, body, until = self._known, self._body, self._of.until
        first = growing.opening(body, member) if known is None else known.start
        if first is None:
            return
        at = first if known is None else known.end + 1
        before = range(min(plain, len(read) - 1))
        for part in (before, range(len(before), plain)):
            if not part:
                continue
            passed = _edits(body, at, growing.written(items[part.start : part.stop]))
            if passed is None:
                return
            edits, end = passed
            this = _Kept(b"", at, end, len(part), self._values, edits, cleaned.within(member, part), until)
            known = this if known is None else known.followed_by(this)
            if end >= _STEP:
                if not growing.stand(body, first, end, document, member, read[part.stop :]):
                    return
                known = replace(known, digest=self._digest(end))
                self._of.keep(self._states[end // _STEP - 1].digest(), known)
            at = end + 1

    def _digest(self, end: int) -> bytes:
        """Of the body up to there, which is at least a step."""
        passed = end // _STEP
        state = self._states[passed - 1].copy()
        state.update(memoryview(self._body)[passed * _STEP : end])
        return state.digest()


def _edits(body: bytes, start: int, leaves: bytes) -> tuple[tuple[_Edit, ...], int] | None:
    """How what stands in the body from there on becomes that by placeholders alone, and where it ends.

    None if it does not. Where several ways lead there, any will do: what comes out is the same.
    """
    opening, *others = _MARK.split(leaves)
    if len(others) > 2 * _MOST_EDITS or not body.startswith(opening, start):
        return None
    edits: list[_Edit] = []
    done = start + len(opening)
    for mark, piece in zip(others[::2], others[1::2], strict=True):
        at = _find(body, piece, done)
        if at < 0:
            return None
        if body[done:at] != mark:  # it may have come with one
            edits.append(_Edit(done, at, _MARKS[mark]))
        done = at + len(piece)
    return tuple(edits), done


def _find(text: bytes, piece: bytes, start: int) -> int:
    """`text.find(piece, start)`, in less time where what begins like a long piece mostly is one."""
    opening = piece[:_OPENING]
    for _ in range(_TRIES):
        start = text.find(opening, start)
        if start < 0 or text.startswith(piece, start):
            return start
        start += 1
    return text.find(piece, start)
