"""Where a conversation may be known again, and what was done to it up to there: offsets and marks, never text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.categories import Category, Personal
from gateway.exchange import Part
from gateway.redaction.findings import Finding
from gateway.redaction.redactor import typed, untyped
from gateway.redaction.segments import REACH, SIZE
from providers import growing
from providers.document import Value
from providers.text import may_hold_json

_MOST_EDITS: Final = 512
_OPENING: Final = 64
_TRIES: Final = 8
_GAIN: Final = 512
"""Characters of a text that must be new for another place in it to be kept, once it is longer than a piece."""
_NOTHING: Final[Mapping[Category | Personal, int]] = {}
_MARKS: Final = {made(each).encode(): made(each).encode() for each in Category for made in (untyped, typed)}
_MARK: Final = re.compile(b"(" + b"|".join(map(re.escape, _MARKS)) + b")")


class Edit(NamedTuple):
    """body[start:end] leaves as this placeholder."""

    start: int
    end: int
    mark: bytes


class Within(Struct, frozen=True):
    """The string of an item within which a beginning ends.

    The item begins at `item` in the body and the string's own text at `text`. The last `characters` that are known of
    it begin at `context`: they are read again with what follows, as they may decide what is found there.
    """

    key: str
    item: int
    text: int
    context: int
    characters: int

    @classmethod
    def found(
        cls, body: bytes, last: Known, key: str, text: str, before: Within | None
    ) -> tuple[Within, int, int] | None:
        """A place in a text up to which nothing that follows decides what is found, but the next may go on.

        Args:
            last: the item, or what stands of it behind `before`.
            key, text: its string.
            before: where the item's beginning ended that was known; the text begins with its context.

        Returns:
            It, where that is in the body, and in the text. None if there is none, or it is not worth it.
        """
        settled = len(text) - REACH
        place = max(text.rfind(end, max(0, settled - REACH), max(0, settled)) for end in "\n ") + 1
        context = place - REACH
        if place < (before.characters + _GAIN if before else SIZE):
            return None
        if may_hold_json(text) or may_hold_json(text[context:]):
            return None
        opening = growing.written([key]) + b':"'
        begins = before.text if before else body.find(opening, last.start) + len(opening)
        at = body.rfind(growing.written([text[context:]])[1:], begins, last.end)
        end = at + len(growing.written([text[context:place]])) - 2
        return None if at < 0 else (cls(key, before.item if before else last.start, begins, at, REACH), end, place)


class Known(Struct, frozen=True):
    """A beginning that passed: body[start:end] are the `count` first items of its list, and what is `within` the next.

    `digest` is of the whole body up to `end`; all of it has at most so many `values`; `until` is a time.
    """

    digest: bytes
    start: int
    end: int
    count: int
    values: int
    edits: tuple[Edit, ...]
    redactions: Mapping[Category | Personal, int]
    until: float
    within: Within | None = None

    @property
    def weight(self) -> int:
        """How much of the memory it takes, in placeholders."""
        return 1 + len(self.edits)

    @property
    def goes_on(self) -> int:
        """Where what follows on it begins, if something does."""
        return self.end if self.within else self.end + 1

    @property
    def part(self) -> Part | None:
        """What of the next item is known, and stands in the rest again."""
        if (within := self.within) is None:
            return None
        return Part(within.key, within.characters, within.text - within.item + self.end - within.context)

    def may_end(self, body: bytes) -> bool:
        """Whether what follows in this body can be read apart from it."""
        return self.within is not None or growing.parts(body, self.end)

    def rest(self, body: bytes) -> bytes:
        """The body without it."""
        if (within := self.within) is None:
            return growing.without(body, self.start, self.end)
        return growing.inside(body, self.start, within.item, within.text, within.context)

    def cleaned(self, body: bytes) -> bytes:
        """What it leaves as, from a body that begins with it."""
        if not self.edits:
            return body[self.start : self.end]
        parts: list[bytes] = []
        done = self.start
        for start, end, mark in self.edits:
            parts.append(body[done:start])
            parts.append(mark)
            done = end
        parts.append(body[done : self.end])
        return b"".join(parts)

    def followed_by(self, new: Known) -> Known:
        """This and what stands right behind it. It is forgotten when this is: nothing is believed for longer."""
        return Known(
            new.digest,
            self.start,
            new.end,
            self.count + new.count,
            new.values,
            self.edits + new.edits,
            dict(Counter(self.redactions) + Counter(new.redactions)) if new.redactions else self.redactions,
            self.until,
            new.within,
        )


def edits(body: bytes, start: int, leaves: bytes) -> tuple[tuple[Edit, ...], int] | None:
    """How what stands in a body from there on becomes what leaves by placeholders alone, and where it ends.

    None if it does not. Where several ways lead there, any will do: what comes out is the same.
    """
    opening, *others = _MARK.split(leaves)
    if len(others) > 2 * _MOST_EDITS or not body.startswith(opening, start):
        return None
    found: list[Edit] = []
    done = start + len(opening)
    for mark, piece in zip(others[::2], others[1::2], strict=True):
        at = _find(body, piece, done)
        if at < 0:
            return None
        if body[done:at] != mark:  # it may have come with one
            found.append(Edit(done, at, _MARKS[mark]))
        done = at + len(piece)
    return tuple(found), done


def counted(findings: Iterable[Finding]) -> Mapping[Category | Personal, int]:
    """How many there are, by category."""
    return dict(Counter([one.category for one in findings])) or _NOTHING


def longest_text(item: Value) -> str:
    """The key of an item's longest string that is content, or nothing."""
    texts = {key: len(value) for key, value in item.items() if type(value) is str} if isinstance(item, dict) else {}
    return max(texts, key=texts.__getitem__, default="")


def up_to(end: int, made: Iterable[Edit]) -> tuple[Edit, ...] | None:
    """The edits before a place; None if one of them runs over it."""
    before = tuple(edit for edit in made if edit.start < end)
    return None if before and before[-1].end > end else before


def _find(text: bytes, piece: bytes, start: int) -> int:
    """`text.find(piece, start)`, in less time where what begins like a long piece mostly is one."""
    opening = piece[:_OPENING]
    for _ in range(_TRIES):
        start = text.find(opening, start)
        if start < 0 or text.startswith(piece, start):
            return start
        start += 1
    return text.find(piece, start)
