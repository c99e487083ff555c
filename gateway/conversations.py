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

from gateway.categories import Category, Personal
from gateway.exchange import Beginning, Call, Grant
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
            new.digest,
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
        """Remember the conversation if it will be judged and cleaned alike again: with its last item, and without.

        Args:
            grant: under which it leaves.
            cleaned: its document, as it leaves.
        """
        member = grant.call.entry.operation.growing
        items, read = cleaned.document.get(member), grant.call.document.get(member)
        if not grant.plain or not isinstance(items, list) or not isinstance(read, list) or not read:
            return
        if not all(map(stands_alone, read)):
            return
        new = growing.written(items)
        old = growing.written(read) if cleaned.taken else new
        start = self._stands(grant.call, old)
        if start is None:
            return
        last_new = last_old = len(new) - len(growing.written(items[-1:]))
        if cleaned.taken:
            last_old = len(old) - len(growing.written(read[-1:]))
        before, last = range(len(read) - 1), range(len(read) - 1, len(read))
        known, until = self._known, self._of.until
        for part, at, was, leaves in (
            (before, start, old[: last_old - 1], new[: last_new - 1]),
            (last, start + last_old, old[last_old:], new[last_new:]),
        ):
            if not part:
                continue
            edits = _edits(was, leaves, at) if cleaned.taken else ()
            if edits is None:
                return
            end = at + len(was)
            digest = self._digest(end) if end >= _STEP else b""
            this = _Kept(digest, at, end, len(part), self._values, edits, cleaned.within(member, part), until)
            known = this if known is None else known.followed_by(this)
            if digest:
                self._of.keep(self._states[end // _STEP - 1].digest(), known)

    def _stands(self, call: Call, items: bytes) -> int | None:
        """Where the items of the document's list stand in the body, as we write them."""
        known = self._known
        if known is None:
            return growing.find(self._body, call.document, call.entry.operation.growing, items)
        return known.end + 1 if growing.follow(self._body, known.end, items) else None

    def _digest(self, end: int) -> bytes:
        """Of the body up to there, which is at least a step."""
        passed = end // _STEP
        state = self._states[passed - 1].copy()
        state.update(memoryview(self._body)[passed * _STEP : end])
        return state.digest()


def _edits(old: bytes, new: bytes, first: int) -> tuple[_Edit, ...] | None:
    """How one text becomes the other by placeholders alone, in offsets from `first` on; None if it does not.

    Where several ways lead there, any will do: what comes out is the same.
    """
    if old == new:
        return ()
    opening, *others = _MARK.split(new)
    marks, pieces = others[::2], others[1::2]
    if not pieces or len(pieces) > _MOST_EDITS or not old.startswith(opening):
        return None
    edits: list[_Edit] = []
    done, last = len(opening), len(old) - len(pieces[-1])
    for mark, piece in zip(marks, pieces, strict=True):
        at = _find(old, piece, done) if len(edits) + 1 < len(pieces) else last
        if at < done:
            return None
        edits.append(_Edit(first + done, first + at, _MARKS[mark]))
        done = at + len(piece)
    return tuple(edits) if old.endswith(pieces[-1]) else None


def _find(text: bytes, piece: bytes, start: int) -> int:
    """`text.find(piece, start)`, in less time where what begins like a long piece mostly is one."""
    opening = piece[:_OPENING]
    for _ in range(_TRIES):
        start = text.find(opening, start)
        if start < 0 or text.startswith(piece, start):
            return start
        start += 1
    return text.find(piece, start)
