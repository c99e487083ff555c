"""Text as the scanner sees it: one plain ASCII shadow, and the way back to the original's code points.

The shadow has accents and look-alike letters folded, invisible characters gone, odd spaces and
dashes made plain, fillers (`uh`, `euh`) blanked out, and spelled-out words (`H.I.V.`, `d i a b e t e s`)
closed up. What cannot be folded stays as a mark that matches nothing. Mostly a character becomes one
character, so that an offset is the same in both; where it does not, an `_Edits` knows. (UAX 15 for the compatibility
forms, UTS 39 for look-alikes.)
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gateway.redaction.automata import Expression
from gateway.redaction.native import native
from gateway.redaction.tables import Bytes

_UNKNOWN_LETTER = "_"  # a word character that occurs in no rule: it blocks a match, and cannot make one

# Letters of other scripts, and of Latin without a decomposition, that are drawn like an ASCII letter.
_LOOK_ALIKE = dict(
    zip(
        "аАвВеЕкКмМнНоОрРсСтТуУхХіІјЈѕЅԁԛԝһӏүґαΑβΒεΕΖηΗιΙκΚΜνΝοΟρΡτΤυΥχΧγωıłŁøØđĐðħĦŧŦɑɡɩɪʀʏᴀʙᴄᴅᴇɢʜᴊᴋʟᴍɴᴏᴘᴛᴜᴠᴡᴢŋɐƒƅ",
        "aAbBeEkKmMhHoOpPcCtTyYxXiIjJsSdqwhlyraAbBeEZnHiIkKMvNoOpPtTuYxXywilLoOdDdhHtTagiirYabcdeghjklmnoptuvwznafb",
        strict=True,
    )
)
_ODD = Expression(
    r"[\x00-\x08\x0b-\x1f\x7f]"
    r"|\b[A-Za-z](?:(?: [A-Za-z]){2,}|(?:\.[A-Za-z]){2,}\.?|(?:-[A-Za-z]){2,}|(?: \. ?[A-Za-z]){2,}"
    r"|(?:_[A-Za-z]){2,}|(?:\. [A-Za-z]){2,}\.?)\b"
)
"""A control character, or a word that is spelled out."""
_APART = 3
"""Characters between the letters of a word that is spelled out, at most."""
_TAKEN = 0xFF
"""Stands for a character of a filler that is to be taken out; no text holds it that is ASCII."""
_OUT = re.compile(rb"[ ,]*\xff+")
_BETWEEN = re.compile(r"[^A-Za-z]+")
_TABLED = 1 << 16
_SEVERAL, _UNSEEN = 0x80, 0xFF
_TABLE = np.full(_TABLED + 1, _UNSEEN, np.uint8)
"""The byte that a character becomes, by its code below `_TABLED`; what was not met yet is unseen."""
_TABLE[:128] = [*range(ord("_")), ord(" "), *range(ord("_") + 1, 128)]


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
    data = np.frombuffer((text if plain else _to_ascii(text, edits)).encode("ascii"), np.uint8).copy()
    odd = _blank(data, _TAKEN if fillers else ord(" "))
    pieces = _odd(data.tobytes(), odd) if odd >= 0 else []
    if fillers:
        pieces = sorted(pieces + [found.span() for found in _OUT.finditer(data.tobytes())])
    shadow = data.tobytes().decode("ascii", "replace")
    if pieces:
        shadow = _close_up(shadow, pieces, edits)
    return Folded(shadow.replace("_", " ") if plain else shadow, tuple(edits))


@native
def _blank(data: Bytes, blank: int) -> int:
    """Write a byte over all fillers, with the space or comma before each and the comma behind it.

    Returns:
        Where the first that is `_ODD` may begin; -1 if there is none.
    """
    size = len(data)
    odd = -1
    first = last = spelled = at = 0
    while at < size:
        start = at
        while at < size and _is_letter(data[at]):
            at += 1
        if start == at:
            if (data[at] < 32 and data[at] != 9 and data[at] != 10) or data[at] == 127:
                odd = at if odd < 0 else odd
            at += 1
        elif at - start == 1:
            if spelled == 0 or start - last > _APART:
                spelled = 0
                first = start
            spelled += 1
            last = at
            if spelled == 3 and odd < 0:
                odd = first
        else:
            spelled = 0
            if start and (data[start - 1] in (32, 44, blank)) and _is_filler(data, start, at):
                end = at + 1 if at < size and data[at] == 44 else at
                for one in range(start - 1, end):
                    data[one] = blank
                at = end - 1 if end > at else at
    return odd


@native
def _is_letter(character: int) -> bool:
    return 97 <= character | 32 <= 122


@native
def _is_filler(data: Bytes, start: int, end: int) -> bool:
    """Whether a word is `uh`, `uhm`, `um`, `erm`, `euh` or `heu`, and nothing else."""
    a, b = data[start] | 32, data[start + 1]
    if end - start == 2:
        said = a == 117 and b in (104, 109)
    elif end - start == 3:
        c = data[start + 2]
        said = (
            (a == 117 and b == 104 and c == 109)
            or (a == 101 and ((b == 114 and c == 109) or (b == 117 and c == 104)))
            or (a == 104 and b == 101 and c == 117)
        )
    else:
        return False
    return said and (end == len(data) or not (48 <= data[end] <= 57 or data[end] == 39 or data[end] == 45))


def _odd(data: bytes, start: int) -> list[tuple[int, int]]:
    """What is to be closed up, from a place on: spelled words and controls."""
    pieces: list[tuple[int, int]] = []
    start, end = _ODD.find(data, start)
    while start >= 0:
        if data[max(0, start - 1) : start] == b"'" and data[start] in b"mstdMSTD":
            end = start + 1  # what ends `I'm` begins no spelled word
        else:
            pieces.append(_spelled(data, start, end))
        start, end = _ODD.find(data, end)
    return pieces


def fold_rule(pattern: str) -> str:
    """The same folding for the words of a rule, so that `é` in YAML meets `é` and `e` in a text."""
    if pattern.isascii():
        return pattern
    return "".join(_fold_character(character) if character > "\x7f" else character for character in pattern)


def _to_ascii(text: str, edits: list[_Edits]) -> str:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    letters = _TABLE[np.minimum(codes, _TABLED)]
    shadow: bytes = letters.tobytes()
    if bytes([_UNSEEN]) in shadow:
        unseen = np.flatnonzero(letters == _UNSEEN)
        distinct, at = np.unique(codes[unseen], return_inverse=True)
        folded = np.array([_letter(chr(code)) for code in distinct.tolist()], np.uint8)
        letters[unseen] = folded[at]
        few = distinct < _TABLED
        _TABLE[distinct[few]] = folded[few]
        shadow = letters.tobytes()
    start = shadow.find(_SEVERAL)
    if start < 0:
        return shadow.decode("ascii")
    pieces: list[tuple[int, int, int]] = []
    parts: list[bytes] = []
    done = 0
    while start >= 0:
        made = _fold_character(text[start]).encode()
        if start == done and pieces:
            pieces[-1] = (pieces[-1][0], start + 1, pieces[-1][2] + len(made))
        else:
            pieces.append((start, start + 1, len(made)))
            parts.append(shadow[done:start])
        parts.append(made)
        done = start + 1
        start = shadow.find(_SEVERAL, done)
    parts.append(shadow[done:])
    edits.append(_Edits(pieces, invisible=True))
    return b"".join(parts).decode("ascii")


def _letter(character: str) -> int:
    """The byte that a character beyond ASCII becomes; `_SEVERAL` if it is none, or several."""
    folded = _fold_character(character)
    return ord(folded) if len(folded) == 1 else _SEVERAL


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


@lru_cache(maxsize=65_536)
def _fold_character(character: str) -> str:
    """One character beyond ASCII as ASCII: mostly one character, none if invisible, two for a ligature."""
    known = _KNOWN.get(character)
    if known is not None:
        return known
    kind = unicodedata.category(character)
    if kind in {"Cf", "Mn", "Me"} or 0xFDD0 <= ord(character) <= 0xFDEF or ord(character) & 0xFFFE == 0xFFFE:
        return ""
    if kind == "Lo" and _ideographic(ord(character)):
        return " "
    simple = _SIMPLE.get(kind)
    return _decomposed(character, kind) if simple is None else simple


def _decomposed(character: str, kind: str) -> str:
    """A letter, digit or symbol by its compatibility decomposition without marks."""
    if kind == "Nd":
        return str(unicodedata.digit(character))
    parts = [part for part in unicodedata.normalize("NFKD", character) if unicodedata.category(part) != "Mn"]
    folded = "".join(_LOOK_ALIKE.get(part, part) for part in parts)
    if kind[0] == "L" or 0x1F100 <= ord(character) <= 0x1F1FF or 0x2460 <= ord(character) <= 0x24FF:
        letters = "".join(part for part in folded if part.isascii() and part.isalnum())
        return letters if letters and folded.isascii() else _UNKNOWN_LETTER
    first = folded[:1]
    return first if first and first.isascii() and first.isprintable() and not first.isalpha() else " "


def _ideographic(code: int) -> bool:
    """Scripts written without spaces: a Latin word may stand right beside their letters."""
    return 0x2E80 <= code <= 0xA4CF or 0xAC00 <= code <= 0xD7A3 or 0x17000 <= code <= 0x1AFFF or code >= 0x20000


_SIMPLE = {
    "Zs": " ",
    "Zl": "\n",
    "Zp": "\n",
    "Pd": "-",
    "Pi": '"',
    "Pf": '"',
    "Cc": " ",
    "Cs": " ",
    "Co": " ",
    "Cn": " ",
}
_KNOWN = {
    **_LOOK_ALIKE,
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc", "'"),
    "œ": "oe",
    "Œ": "OE",
    "æ": "ae",
    "Æ": "AE",
    "ß": "ss",
}


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
    match = _MAY_CHANGE.search(text if text.isascii() else _to_ascii(text, edits))
    if match is None:
        return len(text)
    start = match.start()
    for edit in reversed(edits):
        start, _end = edit.back(start, start)
    return start
