"""What the trials say: constant sentences about nobody, each with one that must not leave, and how a leak is seen."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Final

FINDINGS: Final = (
    ("Their champion was diagnosed with multiple sclerosis.", "sclerosis"),
    ("The buyer is a devout Muslim.", "muslim"),
    ("Their CFO is bisexual.", "bisexual"),
    ("The manager is HIV positive.", "hiv"),
)
"""A sentence, and the word of it that betrays it."""

ANSWER: Final = f"It went well. {FINDINGS[0][0]}"
"""What the witness says back."""


def texts() -> Iterator[str]:
    """One text for each place, for ever: it says its number, and then what must go."""
    for number, (sentence, _word) in zip(itertools.count(1), itertools.cycle(FINDINGS), strict=False):
        yield f"Place {number} is quiet. {sentence} So much for that."


def leaks(data: bytes | str) -> list[str]:
    """The telling words that are in there, whatever their case and however JSON escaped them."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    lower = text.lower()
    plain = _unescaped(text).lower()
    return [word for _sentence, word in FINDINGS if word in lower or word in plain]


def missing(data: bytes, placed: Iterable[str]) -> list[str]:
    """The texts of which nothing came: then nothing was proved about their places."""
    text = data.decode("utf-8", "replace")
    return [each for each in placed if each.partition(" is quiet")[0] not in text]


def _unescaped(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text
