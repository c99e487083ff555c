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

from gateway.redaction.automata import Expression

_ASCII = bytes(range(128))
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
    r"|[ ,](?:[Uu]hm?|[Uu]m|[Ee]rm|[Ee]uh|[Hh]eu)(?:$|,|[^0-9A-Za-z'-])"
)
"""A control character, a word that is spelled out, or a filler; only the last begins with a space or a comma."""
_BETWEEN = re.compile(r"[^A-Za-z]+")
_MANY = 48


@dataclass(frozen=True, slots=True)
class Folded:
    """`shadow` is ASCII; `original` maps its spans back."""

    shadow: str
    edits: tuple[_Edits, ...]

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


def fold(text: str) -> Folded:
    """Make the shadow of a text. Linear in its length, whatever it holds."""
    edits: list[_Edits] = []
    plain = text.isascii()
    shadow = text if plain else _to_ascii(text, edits)
    data = shadow.encode("ascii")
    if _ODD.find(data)[0] >= 0:
        shadow = _without_odd(data, edits)
    return Folded(shadow.replace("_", " ") if plain else shadow, tuple(edits))


def _without_odd(data: bytes, edits: list[_Edits]) -> str:
    """Spelled words closed up, controls gone, and blanks, which are a gap, where fillers were."""
    pieces: list[tuple[int, int]] = []
    blanked: bytearray | None = None
    start, end = _ODD.find(data)
    while start >= 0:
        if data[start] in b" ,":
            if data[end - 1 : end] != b"," and not data[end - 1 : end].isalpha():
                end -= 1  # what follows stays, and may begin the next filler
            blanked = bytearray(data) if blanked is None else blanked
            blanked[start:end] = b" " * (end - start)
        else:
            pieces.append(_spelled(data, start, end))
        start, end = _ODD.find(data, end)
    shadow = (data if blanked is None else blanked).decode("ascii")
    return _close_up(shadow, pieces, edits) if pieces else shadow


def fold_rule(pattern: str) -> str:
    """The same folding for the words of a rule, so that `é` in YAML meets `é` and `e` in a text."""
    return "".join(_fold_character(character) if character > "\x7f" else character for character in pattern)


def _to_ascii(text: str, edits: list[_Edits]) -> str:
    present = set(text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass"))
    shadow = text.replace("_", " ")
    odd: dict[str, str] = {}
    plain: dict[int, str] = {}
    for character in present:
        folded = _fold_character(character)
        if len(folded) == 1:
            plain[ord(character)] = folded
        else:
            odd[character] = folded
    if len(plain) > _MANY:
        shadow = shadow.translate(plain)
    else:
        for code, folded in plain.items():
            shadow = shadow.replace(chr(code), folded)
    if not odd:
        return shadow
    pieces: list[tuple[int, int, int]] = []
    parts: list[str] = []
    done = 0
    for match in re.finditer("[" + "".join(map(re.escape, odd)) + "]+", shadow):
        start, end = match.span()
        folded = "".join(map(odd.__getitem__, match.group()))
        pieces.append((start, end, len(folded)))
        parts.append(shadow[done:start])
        parts.append(folded)
        done = end
    parts.append(shadow[done:])
    edits.append(_Edits(pieces, invisible=True))
    return "".join(parts)


def _spelled(data: bytes, start: int, end: int) -> tuple[int, int]:
    """A spelled-out word without a pronoun before it: `I v o t e d`."""
    pronoun = data[start : start + 1] == b"I" and data[start + 1 : start + 3].strip().islower()
    return start + 2 if pronoun else start, end


def _close_up(shadow: str, spans: list[tuple[int, int]], edits: list[_Edits]) -> str:
    pieces: list[tuple[int, int, int]] = []
    parts: list[str] = []
    done = 0
    for start, end in spans:
        closed = _BETWEEN.sub("", shadow[start:end])  # controls become nothing
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
