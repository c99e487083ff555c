"""Where in a text other forms of it may be, and of which kinds; what is said there is `forms`' to read.

Real talk holds hardly one, but is full of what looks like one: names like `PlayStation` are written as base64 is. So
`marks` see to it that RE2 is asked about little, and that of such names alone nothing is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gateway.redaction.automata import Expression
from gateway.redaction.letters import in_ascii
from gateway.redaction.marks import BLOCK, INLINE, KINDS, MAY_BE, SPOKEN, VAIN, marked

AROUND = 220
"""Characters on either side that are read along."""
DIGIT = "|".join(map(re.escape, SPOKEN))
HINTS = {
    "markup": rf"(?i:<(?:{INLINE}|{BLOCK})[ \t\n/>])|</[a-zA-Z]|<!--|&[a-zA-Z0-9]{{2,31}};|&#|%[0-9A-Fa-f]{{2}}"
    r"|\\[unrtx\"/_*]|`|~~|[\w?]\*+[\w?]|\]\(|[a-z?]-\r?\n *[a-z?]|[\w?]\+[\w?]",
    "spelt": r"\b[A-Za-z](?:(?:[ .-][A-Za-z?]){3}|(?:\. [A-Za-z?]){3})\b",
    "spoken": rf"(?i:\b(?:{DIGIT})[ ,-]+(?:{DIGIT})\b)",
    "base64": r"[a-z0-9][A-Z][A-Za-z0-9]|[a-z][0-9][A-Za-z]|[A-Z][A-Z0-9][a-z]|[A-Za-z0-9+/_-]{2}=",
}
"""Whether a form of a kind may be here. Speech recognition's `<inaudible>` and the like are none."""
_ANY = Expression("|".join(HINTS.values()))
_ASKED = {kind: Expression(HINTS[kind]) for kind in ("markup", "spelt")}
"""Where no hint is, not even what could be read as a form of these is read."""
_SIZE = 3
"""Letters of a hint of base64."""


class Seen(NamedTuple):
    """The kinds of the forms that may be in a text, and its marks: `MAY_BE` where one may begin."""

    kinds: frozenset[str]
    marks: bytes


def seen(text: bytes) -> Seen:
    """What forms there may be in a stretch."""
    marks, bits = marked(text)
    kinds = [kind for bit, kind in enumerate(KINDS) if bits >> bit & 1]
    return Seen(frozenset([kind for kind in kinds if kind not in _ASKED or _ASKED[kind].holds(text)]), marks)


def stretches(text: str) -> list[tuple[int, int]]:
    """Where forms may be, with room on either side."""
    data = in_ascii(text)
    marks, bits = marked(data)
    if not bits:
        return []
    found: list[tuple[int, int]] = []
    size = len(text)
    for begin, last in _hints(data, marks):
        start, end = max(0, begin - AROUND), min(size, last + AROUND)
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return [(start, end) for start, end in found if marks.find(MAY_BE, start, end) >= 0]


def _hints(text: bytes, marks: bytes) -> Iterator[tuple[int, int]]:
    """(where a hint begins, up to where whatever begins is read along, unsought), in order and apart.

    Those are among them of which nothing comes: how far a stretch reaches does not depend on what is in it.
    """
    vain, may_be = marks.find(VAIN), marks.find(MAY_BE)
    while vain >= 0 or may_be >= 0:
        if may_be < 0 or 0 <= vain < may_be:
            begin, last = vain, vain + _SIZE
        else:
            begin, last = _ANY.likely(text, may_be)
            if begin < 0:
                return
        last += AROUND
        yield begin, last
        if 0 <= vain < last:
            vain = marks.find(VAIN, last)
        if 0 <= may_be < last:
            may_be = marks.find(MAY_BE, last)
