"""Characters one by one: what ASCII each is read as, and of what kind a byte of ASCII is.

Mostly a character becomes one character. (UAX 15 for the compatibility forms, UTS 39 for look-alikes.)
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np

from gateway.redaction.native import eight, native
from gateway.redaction.tables import Bytes, Counts

_UNKNOWN_LETTER = "_"  # a word character that occurs in no rule: it blocks a match, and cannot make one

# Letters of other scripts, and of Latin without a decomposition, that are drawn like an ASCII letter.
_LOOK_ALIKE = dict(
    zip(
        "аАвВеЕкКмМнНоОрРсСтТуУхХіІјЈѕЅԁԛԝһӏүґαΑβΒεΕΖηΗιΙκΚΜνΝοΟρΡτΤυΥχΧγωıłŁøØđĐðħĦŧŦɑɡɩɪʀʏᴀʙᴄᴅᴇɢʜᴊᴋʟᴍɴᴏᴘᴛᴜᴠᴡᴢŋɐƒƅ",
        "aAbBeEkKmMhHoOpPcCtTyYxXiIjJsSdqwhlyraAbBeEZnHiIkKMvNoOpPtTuYxXywilLoOdDdhHtTagiirYabcdeghjklmnoptuvwznafb",
        strict=True,
    )
)
_TABLED = 1 << 16
_SEVERAL, _UNSEEN = 0x80, 0xFF
_FOLDED = np.full(_TABLED + 1, _UNSEEN, np.uint8)
"""The byte that a character becomes, by its code below `_TABLED`; what was not met yet is unseen."""
_FOLDED[:128] = [*range(ord("_")), ord(" "), *range(ord("_") + 1, 128)]
_SHOWN = np.array([*range(128), ord("?")], np.uint8)
"""The same, where all that matters is whether it is ASCII."""
_BEYOND = np.uint64(0x8080808080808080)
"""The bits of eight letters that ASCII has not."""


def in_ascii(text: str) -> bytes:
    """A byte for each code point, so that offsets are the same: what is beyond ASCII is a question mark."""
    return text.encode() if text.isascii() else _narrowed(_codes(text), _SHOWN).tobytes()


def _narrowed(codes: Counts, table: Bytes) -> Bytes:
    letters = np.empty(len(codes), np.uint8)
    _narrow(codes, table, letters)
    return letters


def _codes(text: str) -> Counts:
    return np.array([text]).view(np.uint32)  # a fifth of the time that its UTF-32 takes


def folded(text: str) -> tuple[bytes, list[tuple[int, int, int]]]:
    """A text beyond ASCII as ASCII, and where its length is another: (start, end, new length) of each such piece."""
    codes = _codes(text)
    letters = _narrowed(codes, _FOLDED)
    shadow = letters.tobytes()
    if bytes([_UNSEEN]) in shadow:
        unseen = np.flatnonzero(letters == _UNSEEN)
        distinct, at = np.unique(codes[unseen], return_inverse=True)
        made = np.array([_letter(chr(code)) for code in distinct.tolist()], np.uint8)
        letters[unseen] = made[at]
        few = distinct < _TABLED
        _FOLDED[distinct[few]] = made[few]
        shadow = letters.tobytes()
    start = shadow.find(_SEVERAL)
    pieces: list[tuple[int, int, int]] = []
    parts: list[bytes] = []
    done = 0
    while start >= 0:
        several = fold_character(text[start]).encode()
        if start == done and pieces:
            pieces[-1] = (pieces[-1][0], start + 1, pieces[-1][2] + len(several))
        else:
            pieces.append((start, start + 1, len(several)))
            parts.append(shadow[done:start])
        parts.append(several)
        done = start + 1
        start = shadow.find(_SEVERAL, done)
    parts.append(shadow[done:])
    return b"".join(parts), pieces


@native
def _narrow(codes: Counts, table: Bytes, letters: Bytes) -> None:
    """The byte of each code, as a table has it by code, and its last for all beyond.

    Of ASCII but `_` it is asked for nothing, and eight letters are mostly ASCII.
    """
    size = len(codes)
    line = table[95]
    for at in range(size):
        code = codes[at]
        letters[at] = np.uint8(255) if code > 127 else line if code == 95 else np.uint8(code)
    last = np.uint32(len(table) - 1)
    for block in range(0, size, 8):
        end = min(size, block + 8)
        if end < block + 8 or eight(letters, block) & _BEYOND:
            for at in range(block, end):
                letters[at] = table[min(codes[at], last)]


def _letter(character: str) -> int:
    """The byte that a character beyond ASCII becomes; `_SEVERAL` if it is none, or several."""
    made = fold_character(character)
    return ord(made) if len(made) == 1 else _SEVERAL


@lru_cache(maxsize=65_536)
def fold_character(character: str) -> str:
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


@native
def is_small(character: int) -> bool:
    """Whether a byte is a small letter."""
    return (character >= 97) & (character <= 122)


@native
def is_capital(character: int) -> bool:
    """Whether a byte is a capital letter."""
    return (character >= 65) & (character <= 90)


@native
def is_letter(character: int) -> bool:
    """Whether a byte is a letter."""
    return is_small(character | 32)


@native
def is_digit(character: int) -> bool:
    """Whether a byte is a digit."""
    return (character >= 48) & (character <= 57)


@native
def is_of_word(character: int) -> bool:
    """Whether RE2's word boundaries take a byte for a part of a word."""
    return is_letter(character) | is_digit(character) | (character == 95)
