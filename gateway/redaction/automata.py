"""RE2, whose time is linear in the text whatever the text is: what we ask of it, and how much memory it may take.

`re2`'s own methods make a match object from several layers of Python for each question. A scan asks
thousands, so questions go to the layer below, which answers with spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

import re2

_MEMORY = 64 << 20  # too little makes RE2 fall back, or fail, with no more than a log line

Span: TypeAlias = "tuple[int, int]"
_Match: TypeAlias = "Callable[[re2._re2.RE2.Anchor, bytes, int, int], list[Span]]"
NOWHERE = -1, -1


def linear_options() -> re2.Options:
    """Options for every expression here."""
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    return options


class Expression:
    """A compiled RE2 source over bytes; spans are (start, end), and `NOWHERE` if there are none.

    Args:
        longest: the longest of the matches that begin first, not the first alternative's; no groups then.

    Raises:
        re2.error, UnicodeEncodeError: it is no such source.
    """

    __slots__ = ("_anchors", "_match", "groups", "source")

    def __init__(self, source: str, longest: bool = False) -> None:
        options = linear_options()
        if longest:
            options.longest_match = True
            options.never_capture = True
        self.source = source
        compiled = re2.compile(source.encode("ascii"), options)
        self.groups = 0 if longest else compiled.groups
        self._match = cast("_Match", compiled._regexp.Match)
        self._anchors = re2._re2.RE2.Anchor

    def find(self, text: bytes, start: int = 0, end: int | None = None) -> Span:
        """The first match from `start` on."""
        return self._match(self._anchors.UNANCHORED, text, start, len(text) if end is None else end)[0]

    def all(self, text: bytes) -> Iterator[Span]:
        """Every match, in order and apart. It must match no empty text."""
        start, end = self.find(text)
        while start >= 0:
            yield start, end
            start, end = self.find(text, end)

    def at(self, text: bytes, start: int, end: int) -> Span:
        """The match that begins at `start`, in the text up to `end`."""
        return self._match(self._anchors.ANCHOR_START, text, start, end)[0]

    def likely(self, text: bytes, start: int) -> Span:
        """The same as `find`, in less time if it begins right there."""
        found = self.at(text, start, len(text))
        return self.find(text, start) if found == NOWHERE else found

    def whole(self, text: bytes) -> list[Span]:
        """The spans of a match of the whole text and of its groups; the first is `NOWHERE` if it does not match."""
        return self._match(self._anchors.ANCHOR_BOTH, text, 0, len(text))

    def is_whole(self, text: bytes) -> bool:
        """Whether it matches the whole text."""
        return self.whole(text)[0][0] >= 0

    def holds(self, text: bytes) -> bool:
        """Whether it matches anywhere."""
        return self._match(self._anchors.UNANCHORED, text, 0, len(text))[0][0] >= 0
