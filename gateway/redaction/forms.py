"""Other forms in which a text says the same: markup round or inside words, escapes, base64, hyphens at line ends.

A form that decodes to text is read as that text, in its place among the words round it, so that what counts
there counts as if it had been written out. A finding in what was decoded takes the whole token: half of a
base64 string is worth nothing to anybody. Forms inside forms are undone a few levels deep.

Only stretches round a form are read again. What holds none costs one scan of RE2.
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

from gateway.redaction.automata import NOWHERE, Expression
from gateway.redaction.folding import fold
from gateway.redaction.plain import Plain

DEPTH = 3
"""Forms inside forms: base64 of percent-encoded HTML is read; deeper nesting than this is not."""
AROUND = 220
"""Characters on either side that are read along; `BEFORE` and `AFTER` of them may decide a candidate."""
BEFORE, AFTER = 128, 80

_INLINE = (
    "a|abbr|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var"
    "|wbr"
)
_BLOCK = "p|div|br|hr|h[1-6]|li|ul|ol|dl|dt|dd|table|thead|tbody|tr|td|th|blockquote|pre|section|article|body|html"
_DIGITS = {
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
# Looked for in ASCII, where a letter with an accent stands as a question mark.
_DIGIT = "|".join(word.replace("\u00e9", r"\?") for word in sorted(_DIGITS, key=len, reverse=True))
_HINTS = {
    "markup": rf"(?i:<(?:{_INLINE}|{_BLOCK})[ \t\n/>])|</[a-zA-Z]|<!--|&[a-zA-Z0-9]{{2,31}};|&#|%[0-9A-Fa-f]{{2}}"
    r"|\\[unrtx\"/_*]|`|~~|[\w?]\*+[\w?]|\]\(|[a-z?]-\r?\n *[a-z?]|[\w?]\+[\w?]",
    "spelt": r"\b[A-Za-z](?:(?:[ .-][A-Za-z?]){3}|(?:\. [A-Za-z?]){3})\b",
    "spoken": rf"(?i:\b(?:{_DIGIT})[ ,-]+(?:{_DIGIT})\b)",
    "base64": r"[a-z0-9][A-Z][A-Za-z0-9]|[a-z][0-9][A-Za-z]|[A-Z][A-Z0-9][a-z]|[A-Za-z0-9+/_-]{2}=",
}
"""Whether a form of a kind may be here. Speech recognition's `<inaudible>` and the like are none."""
_GATES = {kind: Expression(hint) for kind, hint in _HINTS.items()}
_GATE = Expression("|".join(_HINTS.values()))
_MARKUP = (
    r"(?=[<&%\\`~*\[\]+-])(?:"
    r"(?P<comment><!--[^<>]{0,300}-->)"
    rf"|(?P<inline></?(?:{_INLINE})(?:\s[^<>]{{0,300}})?/?>)"
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
_SPOKEN = Expression(rf"(?i)\b(?:{_DIGIT})(?:[ ,-]{{1,3}}(?:{_DIGIT})\b)+")
_BASE64 = Expression(rf"[A-Za-z0-9+/_-]*(?:{_HINTS['base64']})[A-Za-z0-9+/_-]*(?:\r?\n[A-Za-z0-9+/_-]{{4,}})*={{0,2}}")
_FLAGS = re.DOTALL | re.IGNORECASE
_FORMS = {
    frozenset({"markup"}): re.compile(_MARKUP, _FLAGS),
    frozenset({"spelt"}): re.compile(_SPELT, _FLAGS),
    frozenset({"markup", "spelt"}): re.compile(f"{_MARKUP}|{_SPELT}", _FLAGS),
}
"""A pattern that looks for fewer kinds is faster."""
_URL_SAFE = str.maketrans("-_", "+/")
_WRITTEN = frozenset({"markup", "spelt"})
_PRINTABLE = 0.95
_WHOLE = 1_024
_SHORT = 8
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
        for start, end in _stretches(text):
            stretch = text[start:end]
            levels: list[_Undone] = []
            while len(levels) < DEPTH and (kinds := _kinds(stretch)):
                undone = self._undo(stretch, kinds)
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

    def _undo(self, text: str, kinds: frozenset[str]) -> tuple[str, _Undone] | None:
        """The text with one level of forms undone; None if it has none."""
        parts: list[_Part] = []
        out: list[str] = []
        done = size = 0
        for begin, end, read in self._said(text, kinds):
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

    def _said(self, text: str, kinds: frozenset[str]) -> list[tuple[int, int, str | list[tuple[int, str]]]]:
        """(where a form begins, where it ends, what it says), in order; of two in one place the longer comes first."""
        said: list[tuple[int, int, str | list[tuple[int, str]]]] = []
        form = _FORMS.get(kinds & _WRITTEN)
        if form is not None:
            for match in form.finditer(text):
                read = self._readers[match.lastgroup or ""](match.group())
                if read is not None:
                    said.append((*match.span(), read))
        data = text.encode("ascii", "replace")
        if "spoken" in kinds:
            said += ((start, end, _spoken(text[start:end])) for start, end in _SPOKEN.all(data))
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


def _stretches(text: str) -> list[tuple[int, int]]:
    """Where forms may be, with room on either side."""
    data = text.encode("ascii", "replace")  # a byte a code point: offsets are the same
    stretches: list[tuple[int, int]] = []
    size = len(text)
    begin, last = _GATE.find(data)
    while begin >= 0:
        last += AROUND  # whatever begins up to here is read along, unsought
        start, end = max(0, begin - AROUND), min(size, last + AROUND)
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = stretches[-1][0], end
        else:
            stretches.append((start, end))
        begin, last = _GATE.find(data, last) if last < size else NOWHERE
    return stretches


def _kinds(text: str) -> frozenset[str]:
    """The kinds of forms that may be in a stretch."""
    data = text.encode("ascii", "replace")
    return frozenset([kind for kind, gate in _GATES.items() if gate.holds(data)])


def _spoken(token: str) -> str:
    return "".join(_DIGITS.get(word, word) for word in re.split(r"[ ,-]+", token.lower()))


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
    if len(data) < _SHORT:
        text = _as_text(_bytes(data))
        return text if text is not None and text.isalpha() else None
    for skip in range(4) if len(data) >= 64 else (0,):
        raw = _bytes(data[skip:])
        text = _as_text(raw) or (_as_text(raw, cut=True) if len(data) >= 64 else None)
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
        if text and sum(map(_printable, text)) >= _PRINTABLE * len(text) and any(map(str.isalpha, text)):
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
