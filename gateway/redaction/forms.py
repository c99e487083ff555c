"""Other forms in which a text says the same: markup round or inside words, escapes, base64, hyphens at line ends.

A form that decodes to text is read as that text, in its place among the words round it, so that what counts
there counts as if it had been written out. A finding in what was decoded takes the whole token: half of a
base64 string is worth nothing to anybody. Forms inside forms are undone a few levels deep.

Only stretches round a form are read again; `hints` knows where one may be.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from gateway.redaction.automata import Expression
from gateway.redaction.folding import fold
from gateway.redaction.hints import DIGIT, HINTS, seen, stretches
from gateway.redaction.letters import in_ascii
from gateway.redaction.marks import DIGITS, INLINE, MAY_BE, PORTIONED, PRINTABLE, SHORT
from gateway.redaction.plain import Plain

DEPTH = 3
"""Forms inside forms: base64 of percent-encoded HTML is read; deeper nesting than this is not."""
BEFORE, AFTER = 128, 80
"""Characters on either side that may decide a candidate; `hints.AROUND` are read along."""

_MARKUP = (
    r"(?=[<&%\\`~*\[\]+-])(?:"
    r"(?P<comment><!--[^<>]{0,300}-->)"
    rf"|(?P<inline></?(?:{INLINE})(?:\s[^<>]{{0,300}})?/?>)"
    r"|(?P<tag></?[a-zA-Z][A-Za-z0-9:_-]{0,40}(?:\s[^<>]{0,300})?/?>)"
    r"|(?P<entity>(?:&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});)+)"
    r"|(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<escape>(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2})+)"
    r"|(?P<control>\\[nrt])"
    r"|(?P<backslash>\\(?=[\"/_*\[\]]))"
    r"|(?P<mark>`{1,3}|~~|(?<=\w)\*{1,3}(?=\w)|\[(?=[^\[\]\n]{1,100}\]\()|\]\([^()\s]{0,300}\))"
    r"|(?P<plus>(?<=\w)\+(?=\w))"
    r"|(?P<hyphen>(?<=[^\W\d_])-\r?\n[ \t]*(?=[^\W\d_])))"
)
_LETTER = r"[^\W_]"
_SPELT = (
    rf"(?P<spelt>(?<![\w'\u2019]){_LETTER}(?:(?: {_LETTER}(?!\w)){{3,}}|(?:\.{_LETTER}(?!\w)){{3,}}"
    rf"|(?:-{_LETTER}(?!\w)){{3,}}|(?:\. {_LETTER}(?!\w)){{3,}}))"
)
_SPOKEN = Expression(rf"(?i)\b(?:{DIGIT})(?:[ ,-]{{1,3}}(?:{DIGIT})\b)+")
_BASE64 = Expression(rf"[A-Za-z0-9+/_-]*(?:{HINTS['base64']})[A-Za-z0-9+/_-]*(?:\r?\n[A-Za-z0-9+/_-]{{4,}})*={{0,2}}")
_FLAGS = re.DOTALL | re.IGNORECASE
_FORMS = {
    frozenset({"markup"}): re.compile(_MARKUP, _FLAGS),
    frozenset({"spelt"}): re.compile(_SPELT, _FLAGS),
    frozenset({"markup", "spelt"}): re.compile(f"{_MARKUP}|{_SPELT}", _FLAGS),
}
"""A pattern that looks for fewer kinds is faster."""
_URL_SAFE = str.maketrans("-_", "+/")
_WRITTEN = frozenset({"markup", "spelt"})
_WHOLE = 1_024
_LONG = 14
_LETTERS = 4_096
_NO_WAY = 1 << 30
_ONE = (1,)
_Said: TypeAlias = "str | list[tuple[int, str]] | None"
"""What a form says; None if nothing else than it is; for a long one (length, text) by portions."""


class _Part(NamedTuple):
    """text[start:end] before became [first, last) after."""

    start: int
    end: int
    first: int
    last: int


class _Undone:
    """One level of forms undone."""

    __slots__ = ("_firsts", "_lasts", "_parts")

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self._firsts = [part.first for part in parts]
        self._lasts = [part.last for part in parts]

    def back(self, start: int, end: int) -> tuple[int, int]:
        """A span of the text after, in the text before. What touches a decoded token is all of it."""
        at = bisect_right(self._lasts, start)
        inside = self._parts[at] if at < len(self._parts) else None
        touches = inside is not None and inside.first <= start < inside.last
        begin = inside.start if inside is not None and touches else start + self._shift(at)
        at = bisect_left(self._lasts, end)
        inside = self._parts[at] if at < len(self._parts) else None
        if inside is not None and inside.first < end <= inside.last:
            return begin, inside.end
        return begin, end + self._shift(at)

    def _shift(self, at: int) -> int:
        return self._parts[at - 1].end - self._parts[at - 1].last if at else 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A stretch of a text with its forms undone.

    `start` is where it begins in the text; findings that begin before `low` or end after `high` of `text`
    lack what could decide them.
    """

    text: str
    start: int
    low: int
    high: int
    levels: tuple[_Undone, ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """A span of `text` in the whole text's own code points."""
        for level in reversed(self.levels):
            start, end = level.back(start, end)
        return self.start + start, self.start + end


def words_of(rules: Plain) -> frozenset[str]:
    """Every word that rules are written with, folded: by them the words are told that are written letter by letter."""
    found: set[str] = set()
    waiting = [rules]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.update(re.findall(r"[a-z]+", fold(item).shadow.lower()))
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return frozenset(word for word in found if len(word) > 1 or word in "aiy")


class Forms:
    """Reads texts through the forms that they are written in.

    Args:
        words: the words by which a text is told apart that is written letter by letter.
    """

    def __init__(self, words: frozenset[str]) -> None:
        self._words = words
        lengths: dict[str, set[int]] = {}
        for word in words:
            lengths.setdefault(word[:2], {1}).add(len(word))
        self._lengths = {beginning: tuple(sorted(of_it)) for beginning, of_it in lengths.items()}
        self._readers: dict[str, Callable[[str], _Said]] = {**_READERS, "spelt": self._spelt}

    def readings(self, text: str) -> Iterator[Reading]:
        """The stretches of a text that hold forms, with the forms undone."""
        for start, end in stretches(text):
            stretch = text[start:end]
            levels: list[_Undone] = []
            while len(levels) < DEPTH:
                undone = self._undo(stretch)
                if undone is None:
                    break
                stretch, level = undone
                levels.append(level)
            if levels:
                yield Reading(
                    stretch,
                    start,
                    BEFORE if start else 0,
                    len(stretch) - (AFTER if end < len(text) else 0),
                    tuple(levels),
                )

    def _undo(self, text: str) -> tuple[str, _Undone] | None:
        """The text with one level of forms undone; None if it has none."""
        parts: list[_Part] = []
        out: list[str] = []
        done = size = 0
        for begin, end, read in self._said(text):
            if begin < done:
                continue
            out.append(text[done:begin])
            size += begin - done
            done = begin
            for length, said in read if isinstance(read, list) else [(end - begin, read)]:
                out.append(said)
                parts.append(_Part(done, done + length, size, size + len(said)))
                size += len(said)
                done += length
        if not parts:
            return None
        out.append(text[done:])
        return "".join(out), _Undone(parts)

    def _said(self, text: str) -> list[tuple[int, int, str | list[tuple[int, str]]]]:
        """(where a form begins, where it ends, what it says), in order; of two in one place the longer comes first."""
        said: list[tuple[int, int, str | list[tuple[int, str]]]] = []
        data = in_ascii(text)
        kinds, marks = seen(data)
        form = _FORMS.get(kinds & _WRITTEN)
        if form is not None:
            for match in form.finditer(text):
                read = self._readers[match.lastgroup or ""](match.group())
                if read is not None:
                    said.append((*match.span(), read))
        if "spoken" in kinds:
            said += ((start, end, _spoken(text[start:end])) for start, end in _digits(data, marks))
        if "base64" in kinds:
            for start, last in _BASE64.all(data):
                end = last
                read = _base64(text[start:end])
                if read is None and (first := text.find("\n", start, end)) >= 0:
                    end = first
                    read = _base64(text[start:end])
                if read is not None:
                    said.append((start, end, read))
        said.sort(key=lambda one: (one[0], -one[1]))
        return said

    def _spelt(self, token: str) -> _Said:
        """Letters one by one, as the fewest words that they can be; each word with the letters that it is made of."""
        at = [index for index, character in enumerate(token) if character.isalnum()]
        if any(token[index].isdigit() for index in at):
            return "".join(token[index] for index in at)
        letters = fold("".join(token[index] for index in at)).shadow.lower()
        cuts = self._cuts(letters[:_LETTERS]) if len(letters) == len(at) else None
        if cuts is None or (len(cuts) < 2 and token[0] != "I"):
            return None  # one word: folding closes it up
        ends = [at[cut] for cut in cuts[1:]] + [len(token)]
        starts = [0, *ends[:-1]]
        return [
            (end - start, "".join(filter(str.isalpha, token[start:end])) + " ")
            for start, end in zip(starts, ends, strict=True)
        ]

    def _cuts(self, letters: str) -> list[int] | None:
        """Where the words begin, in the division into the fewest; None if there is none.

        A letter may be a word (`a`, `I`, `y`) before others; the rest of an unknown word is none.
        """
        size = len(letters)
        words: list[int] = [0, *[_NO_WAY] * size]
        begins = [0] * (size + 1)
        for start in range(size):
            count = words[start] + 1
            if count > _NO_WAY:
                continue
            for length in self._lengths.get(letters[start : start + 2], _ONE):
                end = start + length
                if length == 1 and start and size <= _LONG:
                    continue
                if end <= size and count < words[end] and letters[start:end] in self._words:
                    words[end], begins[end] = count, start
        if words[size] == _NO_WAY:
            return None
        cuts, end = [], size
        while end:
            end = begins[end]
            cuts.append(end)
        return cuts[::-1]


def _digits(data: bytes, marks: bytes) -> Iterator[tuple[int, int]]:
    """Where two or more spoken digits stand side by side; the first of each two is marked."""
    at = marks.find(MAY_BE)
    while at >= 0:
        start, end = _SPOKEN.at(data, at, len(data))
        if start >= 0:
            yield start, end
        at = marks.find(MAY_BE, max(at + 1, end))


def _spoken(token: str) -> str:
    return "".join(DIGITS.get(word, word) for word in re.split(r"[ ,-]+", token.lower()))


def _percent(token: str) -> str | None:
    return _strictly(unquote_to_bytes(token), "utf-8") or None


def _escape(token: str) -> str:
    units = [int(unit, 16) for unit in re.findall(r"\\[ux]([0-9a-fA-F]+)", token)]
    return b"".join(unit.to_bytes(2) for unit in units).decode("utf-16-be", "replace")


def _base64(token: str) -> _Said:
    """Base64 of either alphabet (RFC 4648 sections 4 and 5), padded or not, or a piece out of the middle of some.

    A long one in portions: what is found in it takes the portions that it stands in.
    """
    if token.isalpha() and token[1:].islower():
        return None  # a word
    data = re.sub(r"\s+", "", token).rstrip("=").translate(_URL_SAFE)
    if data.islower() or data.isupper() or (data.isalpha() and data[1:].islower()) or data.isdigit():
        return None  # a word or a number
    if len(data) < SHORT:
        text = _as_text(_bytes(data))
        return text if text is not None and text.isalpha() else None
    for skip in range(4) if len(data) >= PORTIONED else (0,):
        raw = _bytes(data[skip:])
        text = _as_text(raw) or (_as_text(raw, cut=True) if len(data) >= PORTIONED else None)
        if text is not None:
            return text if len(token) <= _WHOLE or not text.isascii() else _portions(token, skip, raw)
    return None


def _bytes(data: str) -> bytes:
    whole = data[: len(data) // 4 * 4] if len(data) % 4 == 1 else data + "=" * (-len(data) % 4)
    try:
        return base64.b64decode(whole, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _portions(token: str, skip: int, raw: bytes) -> list[tuple[int, str]]:
    """(length of a portion, what it says), 48 bytes each; before the first, what belongs to no group of four."""
    at = [index for index, character in enumerate(token) if not character.isspace() and character != "="]
    cuts = [at[index] for index in range(skip, len(at), 64)] + [len(token)]
    said = [raw[index : index + 48].decode("utf-8", "replace") for index in range(0, len(raw), 48)]
    spans = [(end - start, text) for (start, end), text in zip(pairwise(cuts), said, strict=False)]
    return [(cuts[0], ""), *spans] if cuts[0] else spans


def _as_text(raw: bytes, *, cut: bool = False) -> str | None:
    """The bytes as text, if they are: UTF-8 (with `cut`, but for its ends) or UTF-16, nearly all of it printable."""
    for encoding in ("utf-8", "utf-16-le") if len(raw) % 2 == 0 and raw[1:2] == b"\0" else ("utf-8",):
        data = raw
        if cut:
            data = raw.lstrip(bytes(range(0x80, 0xC0)))
        text = data.decode(encoding, "ignore" if cut else "strict") if cut else _strictly(data, encoding)
        if text and sum(map(_printable, text)) >= PRINTABLE * len(text) and any(map(str.isalpha, text)):
            return text if not cut or len(text.encode()) > len(data) - 8 else None
    return None


def _strictly(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return ""


def _printable(character: str) -> bool:
    return character.isprintable() or character in "\n\r\t"


_READERS: dict[str, Callable[[str], _Said]] = {
    "comment": lambda _token: "",
    "inline": lambda _token: "",
    "tag": lambda _token: " ",
    "entity": html.unescape,
    "percent": _percent,
    "escape": _escape,
    "control": lambda _token: " ",
    "backslash": lambda _token: "",
    "plus": lambda _token: " ",
    "mark": lambda _token: "",
    "hyphen": lambda _token: "",
    "base64": _base64,
}
