"""Conversations that are sent again with each turn: of one that passed before, only what is new is read.

A service sends the whole conversation with every turn. What was judged and cleaned of it a minute ago would be judged
and cleaned alike now, under the same configuration, tenant, operation and grants; so where a body begins, byte for
byte, like one that passed, the items of its list that stand there are not read again. What leaves is the same.

A beginning ends with an item, or within the last one's text if that is long, since a service may as well send one text
that grows: what decides a finding before that place stood there already, and what decides one behind it is read again.

Kept of a beginning is a keyed digest of the body up to its end, where its items stand, and what was done to them. They
leave as the caller's own bytes of now, in which the same places are replaced. Only those are known again that the
caller wrote as we write them ourselves, as its SDK does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Final, cast

from msgspec.structs import replace

from gateway.beginnings import Known, Within, counted, edits, longest_text, up_to
from gateway.exchange import Beginning, Grant
from gateway.redaction.memory import SECONDS, Recent, new_key
from gateway.redaction.redactor import Cleaned
from providers import growing
from providers.document import MAX_NODES, Document, parse_counting
from providers.text import stands_alone

_STEP: Final = 2047
"""Bytes from one digest to the next, by which a beginning is found: `hashlib` keeps the interpreter for so many."""
_FORKS: Final = 4
"""Conversations that part from one another within a step are kept, so many of them."""
_DIGEST: Final = 32


class Conversations:
    """The conversations seen last under one configuration; the one unused for longest goes first.

    Args:
        limit: how many of them, and placeholders in them, are kept; 0 for none.
        seconds: for how long, at most.
        clock: seconds, of any origin.
    """

    __slots__ = ("_clock", "_keyed", "_known", "_limit", "_seconds")

    def __init__(self, limit: int, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._keyed = new_key(_DIGEST)
        self._known = Recent[tuple[Known, ...]](limit)

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
            if name in self._known and self._recall(name, met):
                break
        return met

    def _recall(self, name: bytes, met: Conversation) -> bool:
        """Whether a body begins like one of those that are kept under a name; the longest counts."""
        forks = self._known.recall(name) or ()
        now = self._clock()
        for known in sorted(forks, key=attrgetter("end"), reverse=True):
            if now < known.until and met.goes_on_from(known):
                self._put(name, known, forks)
                return True
        return False

    def keep(self, name: bytes, new: Known) -> None:
        """Remember a beginning, and forget the oldest beyond the limit."""
        self._put(name, new, self._known.recall(name) or ())

    def _put(self, name: bytes, first: Known, others: Sequence[Known]) -> None:
        forks = (first, *[one for one in others if one.digest != first.digest])[:_FORKS]
        self._known.keep(name, forks, sum([one.weight for one in forks]))

    @property
    def until(self) -> float:
        """When what is learnt now is forgotten."""
        return self._clock() + self._seconds

    def __len__(self) -> int:
        return sum(len(forks) for _weight, forks in self._known.values())


UNKNOWN: Final = Conversations(0)
"""Where nothing is known again."""


class Conversation:
    """One body of a conversation on its way."""

    __slots__ = ("_body", "_known", "_of", "_states", "_values")

    def __init__(self, of: Conversations, body: bytes, states: list[blake2b]) -> None:
        self._of = of
        self._body = body
        self._states = states
        self._known: Known | None = None
        self._values = 0

    def __repr__(self) -> str:
        return "<Conversation>"

    def goes_on_from(self, known: Known) -> bool:
        """Take this for known, if the body begins with all that it is a digest of, and the rest can be read alone."""
        if not known.may_end(self._body) or self._digest(known.end) != known.digest:
            return False
        self._known = known
        return True

    def read(self, member: str) -> tuple[Document, Beginning | None]:
        """The body's document; what is known of this member is apart.

        Raises:
            NotStrict: it is not one, whatever is known of it.
        """
        if (known := self._known) is not None:
            document, values = parse_counting(known.rest(self._body))
            self._values = known.values + values
            if self._values <= MAX_NODES:
                clean = known.cleaned(self._body)
                return document, Beginning(member, known.count, clean, known.redactions, known.part)
            self._known = None  # that many at most, so they must be counted
        document, self._values = parse_counting(self._body)
        return document, None

    def keep(self, grant: Grant, cleaned: Cleaned, *, reads_on: bool) -> None:
        """Remember what of the conversation will be judged and cleaned alike again.

        That is all but the last item, that item's text but its end if it is long, and all of it.

        Args:
            grant: under which it leaves.
            cleaned: its document, as it leaves.
            reads_on: whether what is taken out of a text is decided by what stands near.
        """
        member, plain, document = grant.call.entry.operation.growing, grant.plain, grant.call.document
        items, read = cleaned.document.get(member), document.get(member)
        if not isinstance(items, list) or not isinstance(read, list) or not all(map(stands_alone, read[:plain])):
            return
        body, known = self._body, self._known
        start = growing.opening(body, member) if known is None else known.start
        if start is None:
            return
        at, skipped = (start, 0) if known is None else (known.goes_on, known.part.octets if known.part else 0)
        before = range(min(plain, len(read) - 1))
        for part in (before, range(len(before), plain)):
            if not part:
                continue
            passed = edits(body, at, growing.written(items[part.start : part.stop])[skipped:])
            if passed is None:
                return
            made, end = passed
            others = read[part.stop :]
            redactions = counted(one for _where, findings in cleaned.of_items(member, part) for one in findings)
            new = Known(b"", at, end, len(part), self._values, made, redactions, self._of.until)
            if end >= _STEP and not growing.stand(body, start, end, document, member, others):
                return
            if reads_on and not others:
                self._keep_within(known, new, grant, cleaned)
            known = self._kept(known, new)
            at, skipped = end + 1, 0

    def _kept(self, known: Known | None, new: Known) -> Known:
        """What was known, and what stands right behind it; it is remembered."""
        known = new if known is None else known.followed_by(new)
        if known.end >= _STEP:
            known = replace(known, digest=self._digest(known.end))
            self._of.keep(self._states[known.end // _STEP - 1].digest(), known)
        return known

    def _keep_within(self, known: Known | None, last: Known, grant: Grant, cleaned: Cleaned) -> None:
        """Remember the text of the last item but its end, which more text may decide otherwise.

        Args:
            known: what is known up to where the last item begins, or goes on.
            last: what stands there.
            grant, cleaned: see `keep`.
        """
        member, document = grant.call.entry.operation.growing, grant.call.document
        *others, item = cast("list[Document]", document[member])
        key = longest_text(cast("list[Document]", grant.document[member])[-1])
        taken = cleaned.of_items(member, range(len(others), len(others) + 1))
        if any(path != (member, len(others), key) for path, _findings in taken):
            return
        text, before = item.get(key), None if known is None else known.within
        if not isinstance(text, str) or (found := Within.found(self._body, last, key, text, before)) is None:
            return
        within, end, place = found
        findings = taken[0][1] if taken else ()
        made = up_to(end, last.edits)
        if made is None or any(one.start < place < one.end for one in findings):
            return
        redactions = counted([one for one in findings if one.start < place])
        start = last.start if known is None else known.start
        rest = growing.inside(self._body, start, within.item, within.text, within.context)
        if growing.reads_as(rest, {**document, member: [{**item, key: text[place - within.characters :]}]}):
            self._kept(known, replace(last, end=end, count=0, edits=made, redactions=redactions, within=within))

    def _digest(self, end: int) -> bytes:
        """Of the body up to there, which is at least a step."""
        passed = end // _STEP
        state = self._states[passed - 1].copy()
        state.update(memoryview(self._body)[passed * _STEP : end])
        return state.digest()
