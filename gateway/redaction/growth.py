"""How far a finding of the rules reaches: its neighbours go with it, where the model of `edges` says so.

A finding grows by whole words, up to one that says something, never over the end of a sentence or a line, never into
another finding, and within bounds of words and characters. How far depends on the text round it alone, so it is the
same however the text was cut. The model makes no finding: where the rules find nothing, nothing grows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np

from gateway.categories import Category
from gateway.redaction.edges import BITS, HARD, NOTHING, NUMBERS, STOP, TOKEN, Lexicon, Row, Weights, between, logits
from gateway.redaction.plain import Plain

GROWTH = "growth"
"""The stem of the file that holds the model."""

LEFT = 64
RIGHT = 96
"""Characters on either side within which a finding grows; `segments.REACH` must hold them too."""
_AHEAD = 2  # words beyond the one in question that are looked at
_GIVES_UP = 4.0  # log odds: so much against it, and what is farther out is not asked
_WORD = re.compile(rb"[a-z0-9_]")

Fault: TypeAlias = Callable[[str, str], None]
"""Told of a fault: the key, and the reason."""


class Found(NamedTuple):
    """A finding of the rules, in a folded text."""

    start: int
    end: int
    category: Category


class Grown(NamedTuple):
    """Where it begins and ends with what belongs to it; `final`: whatever may come after the text's end."""

    start: int
    end: int
    final: bool


class Side(NamedTuple):
    """What stands on one side of a finding, outward: words, how far each reaches from the finding, the gap before it.

    `bounded`: there is no more to it, however the text goes on.
    """

    words: list[bytes]
    reaches: list[int]
    gaps: list[int]
    bounded: bool

    def add(self, word: bytes, reach: int, gap: bytes) -> None:
        """The next word outward."""
        self.words.append(word)
        self.reaches.append(reach)
        self.gaps.append(between(gap))


class Growth:
    """The model with its bounds. Pure after construction, but for the words it has met; one thread at a time.

    Args:
        weights: of `edges`, 2**BITS of them.
        eagerness: log odds that are added for each word; the higher, the farther findings reach.
        left: words that a finding grows by before it, at most.
        right: the same, after it.
    """

    def __init__(self, weights: Weights, eagerness: float, left: int, right: int) -> None:
        self._weights = weights
        self._eagerness = eagerness
        self.left = left
        self.right = right
        self._lexicon = Lexicon()

    def grow(self, text: bytes, found: Sequence[Found], start: int = 0, *, closed: bool = True) -> list[Grown]:
        """Each finding with what belongs to it, in order and apart.

        Args:
            text: folded, in lower case.
            found: in order and apart.
            start: nothing grows beyond this place.
            closed: nothing comes after the text.
        """
        self._lexicon.ready()
        most = self.left, self.right
        places = [_place(text, one, closed) for one in found]
        # A text made of repetitions asks the same over and over.
        alike = {
            place: questions(self._lexicon, text, one, most, closed) for place, one in zip(places, found, strict=True)
        }
        rows = [row for about in alike.values() for row in (*about.left, *about.right)]
        odds = iter(logits(rows, self._lexicon, self._weights))
        reaches = {
            place: (
                self._reach(list(islice(odds, len(about.left))), about.before),
                self._reach(list(islice(odds, len(about.right))), about.after),
            )
            for place, about in alike.items()
        }
        grown: list[Grown] = []
        for index, (one, place) in enumerate(zip(found, places, strict=True)):
            (before, _final), (after, final) = reaches[place]
            floor = grown[-1].end if grown else start
            ceiling = found[index + 1].start if index + 1 < len(found) else len(text)
            first = one.start - max([reach for reach in before if reach <= one.start - floor], default=0)
            last = one.end + max([reach for reach in after if reach <= ceiling - one.end], default=0)
            grown.append(Grown(first, last, final))
        return grown

    def _reach(self, odds: Sequence[float], side: Side) -> tuple[list[int], bool]:
        """How many characters may belong to a finding, each more likely than those before; whether that is final."""
        reaches: list[int] = []
        best = total = 0.0
        for step, one in enumerate(odds):
            if not side.bounded and step + _AHEAD >= len(side.words):
                return reaches, False
            total += one + self._eagerness
            if total > best and side.words[step] not in STOP:
                best = total
                reaches.append(side.reaches[step])
            if total < best - _GIVES_UP:
                return reaches, True
        return reaches, side.bounded

    def settled(self, text: bytes, end: int, floor: int) -> int:
        """Up to where a text is settled whose rules are up to `end`: what begins later may still grow before it."""
        last = end
        while last < end + LEFT and _in_word(text, last):
            last += 1  # a word that this cuts may be grown over
        words = _before(text, last, self.left)
        count = _steps(words, self.left)
        begun = last == len(text) and _WORD.match(text, last - 1) is not None  # the nearest word may go on
        while count > begun and words.words[count - 1] in STOP:
            count -= 1
        return max(floor, min(end, last - words.reaches[count - 1])) if count else end


class Questions(NamedTuple):
    """What is asked about one finding: `left` and `right` are about the first words of `before` and `after`."""

    before: Side
    after: Side
    left: list[Row]
    right: list[Row]


def questions(lexicon: Lexicon, text: bytes, one: Found, most: tuple[int, int], closed: bool) -> Questions:
    """What there is to ask about a finding.

    Args:
        lexicon: numbers the words.
        text: folded, in lower case.
        one: the finding.
        most: words on the left, and on the right.
        closed: nothing comes after the text.
    """
    inside = TOKEN.findall(text, one.start, one.end) or [NOTHING]
    left, right = most
    before, after = _before(text, one.start, left + _AHEAD), _after(text, one.end, right + _AHEAD, closed)
    rows: list[list[Row]] = []
    category, length = NUMBERS[one.category], len(inside)
    for at, (side, other, own) in enumerate(((before, after, inside), (after, before, inside[::-1]))):
        beyond = own[1] if length > 1 else other.words[0] if other.words else NOTHING
        line = [*map(lexicon.number, (beyond, own[0], *side.words, NOTHING, NOTHING))]
        edge = line[1]
        rows.append(
            [
                Row(word, further, second, last, before_it, edge, gap, step, category, length, at)
                for step, (before_it, last, word, further, second, gap) in enumerate(
                    zip(line, line[1:], line[2:], line[3:], line[4:], side.gaps[: _steps(side, most[at])], strict=False)
                )
            ]
        )
    return Questions(before, after, *rows)


def _steps(side: Side, most: int) -> int:
    """How many words a finding may grow by on a side."""
    count = min(len(side.words), most)
    return count - 1 if count and side.words[count - 1] in HARD else count


def _before(text: bytes, start: int, most: int) -> Side:
    """What stands before a finding, up to the mark that ends it, or to so many words."""
    side = Side([], [], [], bounded=True)
    low = max(0, start - LEFT)
    last = start
    if not _in_word(text, start):
        for match in reversed(list(TOKEN.finditer(text, low, start))):
            if match.start() == low and _in_word(text, low):
                break  # the window cuts this word
            side.add(match.group(), start - match.start(), text[match.end() : last])
            last = match.start()
            if side.words[-1] in HARD or len(side.words) == most:
                break
    return side


def _after(text: bytes, end: int, most: int, closed: bool) -> Side:
    """What stands after a finding, up to the mark that ends it, or to so many words."""
    high = end + RIGHT
    side = Side([], [], [], bounded=closed or high < len(text))
    if _in_word(text, end):
        return side._replace(bounded=True)
    last = end
    for match in TOKEN.finditer(text, end, high):
        if match.end() == high and _in_word(text, high):
            break
        if not side.bounded and match.end() == len(text) and match.group() not in HARD:
            break  # more of it may come
        side.add(match.group(), match.end() - end, text[last : match.start()])
        last = match.end()
        if side.words[-1] in HARD or len(side.words) == most:
            return side._replace(bounded=True)
    return side


def _in_word(text: bytes, at: int) -> bool:
    """Whether a word goes on over this place."""
    return at > 0 and _WORD.match(text, at - 1) is not None and _WORD.match(text, at) is not None


def _place(text: bytes, one: Found, closed: bool) -> tuple[int, int, Category, bool, bytes]:
    """All that decides how far a finding grows: what is equal here grows alike."""
    low, high = max(0, one.start - LEFT - 1), one.end + RIGHT + 1
    return one.start - low, one.end - low, one.category, closed or high <= len(text), text[low:high]


# --- the file ---

_KEYS = frozenset({"eagerness", "left", "right", "scale", "sha256", "weights"})
_MOST = 16


def read_growth(mapping: Plain, fault: Fault) -> Growth | None:
    """The model that `growth.yaml` holds; None if it has a fault, which is told.

    `weights` are 2**BITS signed bytes, compressed (RFC 1950) and in base64 (RFC 4648); times `scale` they are log odds.
    `sha256` is the digest of those bytes.
    """
    if not isinstance(mapping, dict) or mapping.keys() != _KEYS:
        fault("", f"write exactly {', '.join(sorted(_KEYS))}")
        return None
    eagerness, scale = mapping["eagerness"], mapping["scale"]
    left, right = mapping["left"], mapping["right"]
    if not isinstance(eagerness, float) or not -10 <= eagerness <= 10:
        fault("eagerness", "write a number from -10.0 to 10.0")
    elif not isinstance(scale, float) or not 0 < scale <= 1:
        fault("scale", "write a number above 0 and at most 1.0")
    elif not isinstance(left, int) or not isinstance(right, int) or not 0 <= left <= _MOST or not 0 <= right <= _MOST:
        fault("left", f"write whole numbers from 0 to {_MOST}, for `right` too")
    else:
        weights = _weights(mapping["weights"], mapping["sha256"], fault)
        if weights is not None:
            return Growth(weights * np.float32(scale), eagerness, left, right)
    return None


def _weights(text: Plain, digest: Plain, fault: Fault) -> Weights | None:
    try:
        packed = base64.b64decode("".join(str(text).split()), validate=True)
        data = zlib.decompressobj().decompress(packed, (1 << BITS) + 1)
    except (binascii.Error, zlib.error):
        fault("weights", "this is not compressed bytes in base64")
        return None
    if len(data) != 1 << BITS or hashlib.sha256(data).hexdigest() != digest:
        fault("weights", "these are not the weights that `sha256` names")
        return None
    weights = np.frombuffer(data, np.int8).astype(np.float32)
    weights[0] = 0
    return weights


def written(weights: Weights, eagerness: float, left: int, right: int) -> dict[str, Plain]:
    """A model as `growth.yaml` holds it. Weights are rounded to 127 steps on either side."""
    scale = round(float(np.abs(weights).max()) / 127, 6)
    data = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8).tobytes()
    return {
        "eagerness": eagerness,
        "left": left,
        "right": right,
        "scale": scale,
        "sha256": hashlib.sha256(data).hexdigest(),
        "weights": base64.b64encode(zlib.compress(data, 9)).decode(),
    }
