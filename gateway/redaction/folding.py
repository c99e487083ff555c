"""Text as the scanner sees it: one plain ASCII shadow, and the way back to the original's code points.

The shadow has accents and look-alike letters folded, invisible characters gone, odd spaces and
dashes made plain, fillers (`uh`, `euh`) blanked out, and spelled-out words (`H.I.V.`, `d i a b e t e s`)
closed up. What cannot be folded stays as a mark that matches nothing. Mostly a character becomes one
character, so that an offset is the same in both; where it does not, an `_Edits` knows.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from gateway.redaction.automata import Expression
from gateway.redaction.letters import fold_character, folded, is_digit, is_letter, is_of_word
from gateway.redaction.native import eight, lowest, native, whole
from gateway.redaction.tables import Bytes

_ODD = Expression(
    r"[\x00-\x08\x0b-\x1f\x7f]+"
    r"|\b[A-Za-z](?:(?: [A-Za-z]){2,}|(?:\.[A-Za-z]){2,}\.?|(?:-[A-Za-z]){2,}|(?: \. ?[A-Za-z]){2,}"
    r"|(?:_[A-Za-z]){2,}|(?:\. [A-Za-z]){2,}\.?)\b"
)
"""Control characters, or a word that is spelled out."""
_EDGE, _ROOM = b"\n", b"\n" * 80
"""Before a text, and behind it: its marks are made by 64, and from more than one letter each."""
_FILLER, _MAY_BE_ODD = 1, 2
"""Marks."""
_TAKEN = 0xFF
"""Stands for a character of a filler that is to be taken out; no text holds it that is ASCII."""
_OUT = re.compile(rb"[ ,]*\xff+")
_BETWEEN = re.compile(r"[^A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Folded:
    """`shadow` is ASCII; `original` maps its spans back."""

    shadow: str
    edits: tuple[_Edits, ...]

    def shadowed(self, offset: int) -> int:
        """Where in the shadow the original's text from `offset` on begins."""
        for edits in self.edits:
            offset = edits.forth(offset)
        return offset

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The code points of the original text that the shadow's [start, end) came from."""
        for edits in reversed(self.edits):
            start, end = edits.back(start, end)
        return start, end


class _Edits:
    """Where a rewriting changed lengths: pieces [a, b) of the text before became [c, d) of the text after."""

    __slots__ = ("_after_ends", "_after_starts", "_before_ends", "_before_starts", "_invisible", "_pieces")

    def __init__(self, pieces: list[tuple[int, int, int]], invisible: bool) -> None:
        """`pieces` are (start, end, new length), in order and apart; `invisible` if single characters were meant."""
        self._pieces = pieces
        self._invisible = invisible
        self._before_starts: list[int] = []
        self._before_ends: list[int] = []
        self._after_starts: list[int] = []
        self._after_ends: list[int] = []

    def _prepare(self) -> None:
        """Reckon the two scales. Most texts have no finding, and never ask."""
        shift = 0
        for start, end, length in self._pieces:
            self._before_starts.append(start)
            self._before_ends.append(end)
            self._after_starts.append(start + shift)
            self._after_ends.append(start + shift + length)
            shift += length - (end - start)

    def forth(self, offset: int) -> int:
        """The offset after, for one before; within a piece, the piece's end."""
        if not self._before_starts:
            self._prepare()
        at = bisect_left(self._before_starts, offset) - 1
        return offset if at < 0 else self._after_ends[at] + max(0, offset - self._before_ends[at])

    def back(self, start: int, end: int) -> tuple[int, int]:
        if not self._before_starts:
            self._prepare()
        at = bisect_right(self._after_starts, start) - 1
        if at >= 0:
            inside = start < self._after_ends[at]
            start = self._before_starts[at] if inside else self._before_ends[at] + start - self._after_ends[at]
        # What was deleted right before a start stays outside; right after an end it belongs, if it was invisible.
        at = (bisect_right if self._invisible else bisect_left)(self._after_starts, end) - 1
        if at >= 0:
            past = self._after_ends[at]
            if self._after_starts[at] == end and past > end:  # the span ends just before this piece
                end = self._before_starts[at]
            else:
                end = self._before_ends[at] + max(0, end - past)
        return start, end


def fold(text: str, fillers: bool = False) -> Folded:
    """Make the shadow of a text. Linear in its length, whatever it holds.

    With `fillers` these are taken out, with the commas round them, and not blanked out.
    """
    edits: list[_Edits] = []
    plain = text.isascii()
    letters = text.encode() if plain else _ascii(text, edits)
    size = len(letters)
    held = bytearray(b"".join((_EDGE, letters, _ROOM)))
    marks = np.empty(size + 63 & -64, np.uint8)
    odd = _blank(np.frombuffer(held, np.uint8), marks, _TAKEN if fillers else ord(" "))
    data = bytes(held[1 : size + 1])
    pieces = _odd(data, marks.tobytes()) if odd else []
    if fillers:
        pieces = sorted(pieces + [found.span() for found in _OUT.finditer(data)])
    shadow = data.decode("ascii", "replace")
    if pieces:
        shadow = _close_up(shadow, pieces, edits)
    return Folded(shadow.replace("_", " ") if plain else shadow, tuple(edits))


@native
def _blank(text: Bytes, marks: Bytes, blank: int) -> bool:
    """Write a byte over all fillers, with the space or comma before each and the comma behind it.

    Args:
        text: ASCII, between `_EDGE` and `_ROOM`.
        marks: room for a mark of each letter, and up to 64 more.
        blank: the byte.

    Returns:
        Whether there may be one that is `_ODD`.
    """
    for at in range(len(marks)):
        marks[at] = _begins_filler(text, at) * _FILLER | _begins_odd(text, at) * _MAY_BE_ODD
    odd = False
    for block in range(0, len(marks), 8):
        ahead = eight(marks, block)
        while ahead:
            start = block + (whole(lowest(ahead)) >> 3)
            ahead &= ahead - np.uint64(1)
            if marks[start] == _MAY_BE_ODD:
                odd = True
                continue
            end = start + 3
            while is_letter(text[end]):
                end += 1
            for at in range(start, end + (text[end] == 44)):
                text[at] = blank
    return odd


@native
def _begins_filler(text: Bytes, at: int) -> bool:
    """Whether `uh`, `uhm`, `um`, `erm`, `euh` or `heu` begins there, as a word behind a space or comma."""
    before, a, b, c, d = text[at], text[at + 1] | 32, text[at + 2], text[at + 3], text[at + 4]
    two = (a == 117) & ((b == 104) | (b == 109)) & _ends_filler(c)
    three = (
        ((a == 117) & (b == 104) & (c == 109))
        | ((a == 101) & (((b == 114) & (c == 109)) | ((b == 117) & (c == 104))))
        | ((a == 104) & (b == 101) & (c == 117))
    ) & _ends_filler(d)
    filler: bool = ((before == 32) | (before == 44)) & (two | three)
    return filler


@native
def _ends_filler(character: int) -> bool:
    """Whether a filler may be over where this follows."""
    return not (is_letter(character) | is_digit(character) | (character == 39) | (character == 45))


@native
def _begins_odd(text: Bytes, at: int) -> bool:
    """Whether the letter may begin what is `_ODD`: whether it is a control, or two more follow it one by one."""
    a, b, c, d, e, f = text[at + 1], text[at + 2], text[at + 3], text[at + 4], text[at + 5], text[at + 6]
    alike = ((b == 32) | (b == 46) | (b == 45) | (b == 95)) & (b == d) & is_letter(c) & is_letter(e)
    spelled = (
        (alike & ((f == 95) | (not is_of_word(f))))
        | ((b == 32) & (c == 46))
        | ((b == 46) & (c == 32) & is_letter(d) & (e == 46))
    )
    begins = is_letter(a) & (not is_of_word(text[at])) & spelled
    odd: bool = begins | ((a < 32) & (a != 9) & (a != 10)) | (a == 127)
    return odd


def _odd(data: bytes, marks: bytes) -> list[tuple[int, int]]:
    """What is to be closed up: spelled words and controls."""
    pieces: list[tuple[int, int]] = []
    at = marks.find(_MAY_BE_ODD)
    while at >= 0:
        start, end = _ODD.likely(data, at)
        if start < 0:
            break
        if data[max(0, start - 1) : start] == b"'" and data[start] in b"mstdMSTD":
            end = start + 1  # what ends `I'm` begins no spelled word
        else:
            pieces.append(_spelled(data, start, end))
        at = marks.find(_MAY_BE_ODD, end)
    return pieces


def fold_rule(pattern: str) -> str:
    """The same folding for the words of a rule, so that `é` in YAML meets `é` and `e` in a text."""
    if pattern.isascii():
        return pattern
    return "".join(fold_character(character) if character > "\x7f" else character for character in pattern)


def _ascii(text: str, edits: list[_Edits]) -> bytes:
    letters, pieces = folded(text)
    if pieces:
        edits.append(_Edits(pieces, invisible=True))
    return letters


def _spelled(data: bytes, start: int, end: int) -> tuple[int, int]:
    """A spelled-out word without a pronoun before it: `I v o t e d`; not so `I.n.n.u`."""
    pronoun = data[start : start + 2] == b"I " and data[start + 2 : start + 3].islower()
    return start + 2 if pronoun else start, end


def _close_up(shadow: str, spans: list[tuple[int, int]], edits: list[_Edits]) -> str:
    pieces: list[tuple[int, int, int]] = []
    parts: list[str] = []
    done = 0
    for start, end in spans:
        first = shadow[start]
        closed = "" if first in " ," else _BETWEEN.sub("", shadow[start:end])  # fillers and controls become nothing
        pieces.append((start, end, len(closed)))
        parts.append(shadow[done:start])
        parts.append(closed)
        done = end
    parts.append(shadow[done:])
    edits.append(_Edits(pieces, invisible=False))
    return "".join(parts)


_SEPARATOR = r"(?: \. ?| |\. ?|[-_])"
_MAY_CHANGE = re.compile(
    rf"(?:\b[A-Za-z](?:{_SEPARATOR}[A-Za-z])*{_SEPARATOR}?"
    r"|(?<=[ ,])(?:[uU]|[uU]h,?|uhm,?|[uU]m,?|[eE]|er|erm,?|[eE]u|[eE]uh,?|h|he|heu,?)"
    r")\Z"
)
_TAIL = 64


def unsettled(text: str) -> int:
    """From where on what a text folds to may still change when the text goes on; its length, if nowhere.

    A word that is being spelled out may get one more letter, and what looks like the beginning of a word
    may become a filler.
    """
    tail = max(0, len(text) - _TAIL)
    start = _loose(text[tail:])
    return _loose(text) if start == 0 < tail else tail + start


def _loose(text: str) -> int:
    edits: list[_Edits] = []
    match = _MAY_CHANGE.search(text if text.isascii() else _ascii(text, edits).decode())
    if match is None:
        return len(text)
    start = match.start()
    for edit in reversed(edits):
        start, _end = edit.back(start, start)
    return start
