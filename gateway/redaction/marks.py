"""Which letters of a text another form may begin with: machine code looks at all of them, some letters at a time.

None of `hints.HINTS` is overlooked, but not all that is marked is one: RE2 has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from gateway.redaction.letters import is_capital, is_digit, is_letter, is_of_word, is_small
from gateway.redaction.native import eight, lowest, native, whole
from gateway.redaction.tables import Bytes, Numbers, Signs, numbers

INLINE = (
    "a|abbr|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var"
    "|wbr"
)
BLOCK = (
    "p|div|br|hr|h1|h2|h3|h4|h5|h6|li|ul|ol|dl|dt|dd|table|thead|tbody|tr|td|th|blockquote|pre|section|article|body"
    "|html"
)
DIGITS = {
    word: str(number % 10)
    for number, word in enumerate(
        re.findall(
            r"\S+",
            """zero one two three four five six seven eight nine
            z\u00e9ro un deux trois quatre cinq six sept huit neuf
            oh une two three four five six seven eight niner""",
        )
    )
}
SPOKEN = [word.replace("\u00e9", "?") for word in sorted(DIGITS, key=len, reverse=True)]
"""Looked for in ASCII, where a letter with an accent stands as a question mark."""
KINDS = ("markup", "spelt", "spoken", "base64")
_MARKUP, _SPELT, _SPOKEN, _BASE64, _ALIKE = (1 << bit for bit in range(len(KINDS) + 1))
"""The kinds as bits, and then what only looks like base64."""
VAIN, MAY_BE = 1, 2
"""Marks: something only looks like base64; there may be a form."""
SHORT = 8
"""Base64 that is shorter is read only if it says letters."""
PORTIONED = 64
"""Base64 that is so long may be read from its middle on."""
PRINTABLE = 0.95
"""How much of what base64 says is printable."""
_EDGE, _ROOM = b"\0", b"\0" * 80
"""Before a text, and behind it: its marks are made by 64, and from eight letters each."""
_SMALL = np.uint64(0x2020202020202020)
"""What makes eight letters small."""


def _spellings(words: Iterable[str]) -> tuple[Signs, Numbers]:
    """Small words: the eight first letters of each, all in one number, and how many it has."""
    several = [word.encode() for word in words]
    letters = np.array([int.from_bytes(word[:8], "little") for word in several], np.uint64)
    return letters, numbers([len(word) for word in several])


_DIGITS, _DIGIT_SIZES = _spellings(SPOKEN)
_TAGS, _TAG_SIZES = _spellings(f"{INLINE}|{BLOCK}".split("|"))


def marked(text: bytes) -> tuple[bytes, int]:
    """A mark for each letter, 0 where nothing begins, and some of these behind; and the bits of the kinds that begin.

    Of a text without any there are no marks.
    """
    marks = np.empty(len(text) + 63 & -64, np.uint8)
    kinds = _mark(np.frombuffer(b"".join((_EDGE, text, _ROOM)), np.uint8), marks)
    return marks.tobytes() if kinds else b"", kinds


@native
def _mark(text: Bytes, marks: Bytes) -> int:
    """See `marked`.

    Args:
        text: ASCII, between `_EDGE` and `_ROOM`.
        marks: room for those of each letter, and up to 64 more.
    """
    for at in range(len(marks)):
        marks[at] = (
            _looks_like_markup(text, at) * _MARKUP
            | _looks_spelt(text, at) * _SPELT
            | _looks_spoken(text, at) * _SPOKEN
            | _looks_like_base64(text, at) * _BASE64
        )
    kinds = digit = over = read = 0
    says = False
    for block in range(0, len(marks), 8):
        ahead = eight(marks, block)
        while ahead:
            byte = whole(lowest(ahead)) >> 3
            ahead &= ~(np.uint64(255) << np.uint64(8 * byte))
            at = block + byte
            looks = whole(marks[at])
            found = looks & _SPELT
            if looks & _MARKUP:
                found |= _is_markup(text, at + 1) * _MARKUP
            end = _known_end(text, at + 1, _DIGITS, _DIGIT_SIZES) if looks & _SPOKEN else 0
            if end:
                if over and _joined(text, over, at + 1):
                    marks[digit] = MAY_BE
                    kinds |= _SPOKEN
                digit, over = at, end
            if looks & _BASE64:
                if at >= read:
                    start, read = _run(text, at + 1)
                    says = _may_say(text, start, read)
                found |= _BASE64 if says else _ALIKE
            kinds |= found
            marks[at] = 0 if found == 0 else VAIN if found == _ALIKE else MAY_BE
    return kinds


@native
def _looks_like_markup(text: Bytes, at: int) -> bool:
    r"""Whether it is one of `%&<\]`~`, or what follows is one of `*+`, or a `-` at a line's end."""
    a, b, c = text[at + 1], text[at + 2], text[at + 3]
    alone = ((a >= 37) & (a <= 38)) | (a == 60) | ((a >= 92) & (a <= 93)) | (a == 96) | (a == 126)
    looks: bool = alone | ((b >= 42) & (b <= 43)) | ((b == 45) & ((c == 10) | (c == 13)))
    return looks


@native
def _is_markup(text: Bytes, at: int) -> bool:
    """Whether one that looks so may begin a hint of markup, by the three that follow."""
    a, b, c, d = text[at], text[at + 1], text[at + 2], text[at + 3]
    named = (is_letter(b) | is_digit(b)) & (is_letter(c) | is_digit(c))
    return bool(
        (a == 60 and _opens_tag(text, at + 1))  # <
        or (a == 38 and (named or b == 35))  # &
        or (a == 37 and named)
        or a in (92, 96)  # a backslash, `
        or (a == 93 and b == 40)  # ](
        or (a == 126 and b == 126)  # ~~
        or (
            (is_of_word(a) or a == 63)
            and (
                b == 42
                or (b == 43 and (is_of_word(c) or c == 63))
                or (b == 45 and (c == 13 or (c == 10 and (is_small(d) or d in (32, 63)))))
            )
        )
    )


@native
def _opens_tag(text: Bytes, at: int) -> bool:
    """Whether what follows a `<` makes it a comment, or a tag that a hint names."""
    if text[at] == 47:  # /
        return is_letter(text[at + 1])
    if text[at] == 33:  # !
        return bool(text[at + 1] == 45)
    end = _known_end(text, at, _TAGS, _TAG_SIZES)
    return end > 0 and text[end] in (9, 10, 32, 47, 62)


@native
def _looks_spelt(text: Bytes, at: int) -> bool:
    """Whether a letter stands there alone, and so do the three that follow."""
    b, c, d, f, g = text[at + 2], text[at + 3], text[at + 4], text[at + 6], text[at + 7]
    over = (is_letter(g) & (not is_of_word(text[at + 8]))) | (g == 63)
    alike = _is_between(b) & (is_letter(c) | (c == 63)) & _is_between(d) & _is_between(f) & over
    stopped = (b == 46) & (c == 32) & (text[at + 5] == 46) & (f == 32)
    looks: bool = is_letter(text[at + 1]) & (not is_of_word(text[at])) & (alike | stopped)
    return looks


@native
def _is_between(character: int) -> bool:
    """Whether it may stand between two letters that are spelt."""
    return (character == 32) | (character == 46) | (character == 45)


@native
def _looks_spoken(text: Bytes, at: int) -> bool:
    """Whether a word begins as a spoken digit does, by its three first letters, or all two of them."""
    a, b, c = text[at + 1] | 32, text[at + 2] | 32, text[at + 3] | 32
    over = not is_letter(c)
    looks: bool = (not is_of_word(text[at])) & (
        ((a == 122) & ((b == 101) | (b == 63)) & (c == 114))  # zer z?r
        | ((a == 111) & (((b == 110) & (c == 101)) | ((b == 104) & over)))  # one oh
        | ((a == 116) & (b == 119) & (c == 111))  # two
        | ((a == 116) & (((b == 104) & (c == 114)) | ((b == 114) & (c == 111))))  # thr tro
        | ((a == 102) & (((b == 111) & (c == 117)) | ((b == 105) & (c == 118))))  # fou fiv
        | ((a == 115) & (((b == 105) & (c == 120)) | ((b == 101) & ((c == 118) | (c == 112)))))  # six sev sep
        | ((a == 101) & (b == 105) & (c == 103))  # eig
        | ((a == 110) & (((b == 105) & (c == 110)) | ((b == 101) & (c == 117))))  # nin neu
        | ((a == 117) & (b == 110) & ((c == 101) | over))  # une un
        | ((a == 100) & (b == 101) & (c == 117))  # deu
        | ((a == 113) & (b == 117) & (c == 97))  # qua
        | ((a == 99) & (b == 105) & (c == 110))  # cin
        | ((a == 104) & (b == 117) & (c == 105))  # hui
    )
    return looks


@native
def _known_end(text: Bytes, start: int, words: Signs, sizes: Numbers) -> int:
    """Where a word ends that begins there and is one of some, see `_spellings`; 0 if it is none."""
    letters = eight(text, start) | _SMALL
    for word in range(len(words)):
        end = start + whole(sizes[word])
        unlike = letters ^ words[word]
        if unlike << np.uint64(64 - 8 * min(sizes[word], 8)) == 0 and not is_of_word(text[end]):
            return end
    return 0


@native
def _joined(text: Bytes, start: int, end: int) -> bool:
    """Whether the spoken digits between which text[start:end] stands are of one number."""
    for at in range(start, end):
        if text[at] not in (32, 44, 45):
            return False
    return start < end


@native
def _looks_like_base64(text: Bytes, at: int) -> bool:
    """Whether a hint of it begins there; each has three letters."""
    a, b, c = text[at + 1], text[at + 2], text[at + 3]
    return (
        ((is_small(a) | is_digit(a)) & is_capital(b) & (is_letter(c) | is_digit(c)))
        | (is_small(a) & is_digit(b) & is_letter(c))
        | (is_capital(a) & (is_capital(b) | is_digit(b)) & is_small(c))
        | (_is_base64(a) & _is_base64(b) & bool(c == 61))
    )


@native
def _is_base64(character: int) -> bool:
    """Whether it is of one of the two alphabets."""
    return is_of_word(character) | (character == 43) | (character == 45) | (character == 47)


@native
def _run(text: Bytes, at: int) -> tuple[int, int]:
    """Where the base64 begins that a letter is of, and where it ends."""
    start = end = at
    while _is_base64(text[start - 1]):
        start -= 1
    while _is_base64(text[end]):
        end += 1
    return start, end


@native
def _may_say(text: Bytes, start: int, end: int) -> bool:
    """Whether text[start:end], all there is of base64, may be UTF-16, or UTF-8 of which nearly all is printable.

    What goes on in another line, or is long, always may.
    """
    size = end - start
    if size >= PORTIONED or text[end] in (10, 13, 61):
        return True
    if _six(text[start + 1]) & 15 == 0 and _six(text[start + 2]) < 4:
        return True  # the second byte is 0
    bits = due = characters = odd = 0
    for at in range(size):
        bits = (bits << 6 | _six(text[start + at])) & 0xFFF
        if at & 3 == 0:
            continue
        byte = bits >> 6 - 2 * (at & 3) & 0xFF
        if due:
            if byte >> 6 != 2:
                return False
            due -= 1
            continue
        characters += 1
        due = _followers(byte)
        if due < 0 or (size < SHORT and due == 0 and not is_letter(byte)):
            return False
        odd += (byte < 32 and byte not in (9, 10, 13)) or byte == 127
    return due == 0 and odd <= (1 - PRINTABLE) * characters


@native
def _followers(byte: int) -> int:
    """How many bytes more a character has in UTF-8 that begins with one; -1 if none does."""
    if byte < 0x80:
        return 0
    if not 0xC2 <= byte < 0xF5:
        return -1
    return 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3


@native
def _six(character: int) -> int:
    """The bits that a letter of base64 stands for."""
    if is_digit(character):
        return character + 4
    if is_letter(character):
        return character - 65 if character < 97 else character - 71
    return 62 if character in (43, 45) else 63
