"""What is found stays found however it is written: the positives of a corpus, rewritten in every manner."""

from __future__ import annotations

import base64
import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from urllib.parse import quote, quote_plus

import pytest

from gateway.redaction.engine import Engine
from gateway.redaction.findings import Finding
from gateway.redaction.inprocess import InProcess
from tests.evaluate import ROOT, read

KEPT = 0.97
KEPT_APART = 0.95
"""Of `letters apart`: where a word of one letter stands beside, nothing tells where the spelled word begins."""
"""Share of what is found in plain writing that must be found in every other."""
_CYRILLIC = str.maketrans(
    "aeopcxiAEOPCHTB", "\u0430\u0435\u043e\u0440\u0441\u0445\u0456\u0410\u0415\u041e\u0420\u0421\u041d\u0422\u0412"
)
_GREEK = str.maketrans("oOAEIKMNTXvu", "\u03bf\u039f\u0391\u0395\u0399\u039a\u039c\u039d\u03a4\u03a7\u03bd\u03c5")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_BOLD_LETTERS = {
    **{ord("A") + n: 0x1D400 + n for n in range(26)},
    **{ord("a") + n: 0x1D41A + n for n in range(26)},
}
_NUMBERS = dict(zip("0123456789", "zero one two three four five six seven eight nine".split(), strict=True))  # noqa: SIM905


def _words(text: str, change: Callable[[str], str]) -> str:
    return re.sub(r"(?<![\w-])[^\W\d_]{2,}(?![\w-])", lambda match: change(match.group()), text)


def _inside(text: str, before: str, after: str) -> str:
    """Marks inside every word of four letters and more."""
    return _words(text, lambda word: word if len(word) < 4 else f"{word[:2]}{before}{word[2:4]}{after}{word[4:]}")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPANS: dict[str, Callable[[str], str]] = {
    "compatibility forms": lambda text: text.translate(_WIDE),
    "mathematical letters": lambda text: text.translate(_BOLD_LETTERS),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "zero width": "\u200b".join,
    "joiners": "\u2060\u200d".join,
    "soft hyphens": "\u00ad".join,
    "tag characters": lambda text: text[:2] + "\U000e0041\U000e007f" + text[2:],
    "Cyrillic": lambda text: text.translate(_CYRILLIC),
    "Greek": lambda text: text.translate(_GREEK),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "three spaces": lambda text: text.replace(" ", "   "),
    "new lines": lambda text: text.replace(" ", "\n"),
    "letters apart": lambda text: _words(
        text.replace(" ", "  "), lambda word: " ".join(word) if len(word) > 2 else word
    ),
    "dots": lambda text: _words(text, lambda word: ".".join(word) if len(word) > 3 else word),
    "hyphens": lambda text: _words(text, lambda word: "-".join(word) if len(word) > 3 else word),
    "bold": lambda text: f"**{text}**",
    "bold words": lambda text: " ".join(f"**{word}**" for word in text.split()),
    "code": lambda text: f"`{text}`",
    "a link": lambda text: f"[{text}](https://example.com/a?b=c)",
    "bold inside words": lambda text: _inside(text, "**", "**"),
    "struck through": lambda text: f"~~{text}~~",
    "HTML": lambda text: f"<strong>{text}</strong>",
    "HTML with attributes": lambda text: f'<span class="x" style="a:b">{text}</span>',
    "HTML inside words": lambda text: _inside(text, "<b>", "</b>"),
    "HTML comments inside words": lambda text: _inside(text, "<!-- x -->", ""),
    "HTML spaces": lambda text: text.replace(" ", "&nbsp;"),
    "HTML entities": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "some HTML entities": lambda text: "".join(
        f"&#x{ord(character):x};" if index % 3 == 1 else character for index, character in enumerate(text)
    ),
    "URL": quote,
    "form": quote_plus,
    "every character of a URL": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "base64": _base64,
    "base64 of a URL": lambda text: _base64(quote(text)),
    "base64 for URLs, no padding": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "JSON escapes": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "quotes escaped": lambda text: f'\\"{text}\\"',
    "hyphenated at a line's end": lambda text: _inside(text, "-\n", ""),
    "numbers in words": lambda text: re.sub(
        r"(?<![\w-])\d+(?![\w-])", lambda match: " ".join(map(_NUMBERS.__getitem__, match.group())), text
    ),
}
WHOLE: dict[str, Callable[[str], str]] = {
    "base64 of all": _base64,
    "base64 in lines of 76": lambda text: base64.encodebytes(text.encode()).decode(),
    "UTF-16 in base64": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "URL of all": quote,
    "base64 of base64": lambda text: _base64(_base64(text)),
}


@cache
def _positives() -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (str(row["text"]), span["start"], span["end"])
        for row in read(ROOT / "tests/data/sales_dev.jsonl")
        for span in row["spans"]  # type: ignore[union-attr]
        if not span["optional"]  # type: ignore[call-overload, index]
    )


@pytest.fixture(scope="module")
def plain(engine: Engine) -> tuple[tuple[str, int, int], ...]:
    """The positives that are found as they stand."""
    look = InProcess(engine).look
    found = {text: look(text) for text, _start, _end in _positives()}
    return tuple((text, start, end) for text, start, end in _positives() if _covered(text, found[text], start, end))


_MARKUP = re.compile(r"<[^>]*>|\]\([^)]*\)|[\[*`~\\]")


def _covered(text: str, findings: Sequence[Finding], start: int, end: int) -> bool:
    """Whether half of what is written there, markup apart, is covered."""
    markup = {at for match in _MARKUP.finditer(text, start, end) for at in range(*match.span())}
    written = set(range(start, end)) - markup
    covered = {at for one in findings for at in range(one.start, one.end)} & written
    return 2 * len(covered) >= len(written)


@pytest.mark.parametrize("manner", SPANS.values(), ids=SPANS.keys())
def test_a_rewritten_phrase_is_found(
    engine: Engine, plain: tuple[tuple[str, int, int], ...], manner: Callable[[str], str]
) -> None:
    """With the words round it as they were, at least `KEPT` of what is found plainly is found in this manner."""
    look = InProcess(engine).look
    kept, lost = 0, []
    for text, start, end in plain:
        near = text[max(0, start - 200) : start]
        written = manner(text[start:end])
        whole = near + written + text[end : end + 120]
        if _covered(whole, look(whole), len(near), len(near) + len(written)):
            kept += 1
        else:
            lost.append(text[start:end])

    floor = KEPT_APART if manner is SPANS["letters apart"] else KEPT
    assert kept >= floor * len(plain), lost


@pytest.mark.parametrize("manner", WHOLE.values(), ids=WHOLE.keys())
def test_a_rewritten_text_is_found(
    engine: Engine, plain: tuple[tuple[str, int, int], ...], manner: Callable[[str], str]
) -> None:
    """A passage that is encoded as a whole holds as many findings as the passage itself."""
    look = InProcess(engine).look
    texts = {text for text, _start, _end in plain}

    kept = sum(bool(look(manner(text))) for text in texts)

    assert kept >= KEPT * len(texts)


def test_letters_without_any_end_of_a_word(engine: Engine, plain: tuple[tuple[str, int, int], ...]) -> None:
    """`m y b r o t h e r i s ...`: words are told apart by what rules are written with, for most of it."""
    look = InProcess(engine).look
    kept = 0
    for text, start, end in plain:
        written = " ".join(text[start:end].replace(" ", ""))
        whole = f"{text[max(0, start - 200) : start]}{written}{text[end : end + 120]}"
        first = min(start, 200)
        kept += _covered(whole, look(whole), first, first + len(written))

    assert kept >= 0.8 * len(plain)


HOSTILE = {
    "base64 without end": "QUFB" * 12_500,
    "almost base64": "aB+/-_" * 8_300,
    "open tags": "<b " * 16_000,
    "open comments": "<!--" * 12_500,
    "open links": "[a](" * 12_500,
    "entities without end": "&#" * 25_000,
    "percent": "%41%" * 12_500,
    "letters apart": "a " * 25_000,
    "dots": "a." * 25_000,
    "numbers": "one two " * 6_250,
    "stars": "a*" * 25_000,
    "base64 of base64 of base64": _base64(_base64(_base64("my brother is diabetic and so on " * 600))),
    "every kind": "%41<b>&#97;QUFBQUFB a b c d e one two\\u0041`*[x](y) " * 900,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_form_takes_long_to_read(engine: Engine, text: str) -> None:
    """Fifty kilobytes of any form are read in bounded processor time, as the deadline of the detector asks."""
    look = InProcess(engine).look

    began = time.process_time()
    look(text)

    assert time.process_time() - began < 2.0
