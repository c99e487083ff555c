"""How terms and patterns of the rules are written, and what they become.

Patterns are in RE2's language over lower-case ASCII (see `grammar`); a space stands for any gap between two
words, `{a,b}` in a term for either spelling. Everything is folded like the texts are (`folding`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.redaction.folding import fold, fold_rule

GAP_CHARACTERS = " \t\n\",.'*/-"
GAP = r"""[ \t\n",.'*/-]+"""
"""What may stand between two words of a term."""

_PLAIN = bytes(code if chr(code).isascii() and (chr(code).isalnum() or code == 0x5F) else 0x20 for code in range(256))
_GAPS = re.compile(GAP.encode())
_BRACES = re.compile(r"\{([^{}]*)\}")
_TOKEN = re.compile(r"\[[^\]]*\]|(?:\\ | )+|\\.")
_FOLDED = re.compile(r"[a-z0-9]{2,}(?: (?!(?:uhm?|um|erm|euh|heu)\b)[a-z0-9]{2,})*")
"""Words that folding leaves as they are: most terms are no more than that."""
_PATTERN_SIGNS = re.compile(r"[\\\[\]()|?*+.<]")


def plainly(text: bytes) -> bytes:
    """The text with a space for every character that belongs to no word."""
    return text.translate(_PLAIN)


def canonical(piece: bytes) -> bytes:
    """The match with every gap as one space, as the tables spell it."""
    return _GAPS.sub(b" ", piece)


def literals(term: str) -> Iterator[bytes]:
    """The spellings of a term: `{a,b}` are alternatives; folded, lower case, one space a gap."""
    for spelling in _alternatives(term):
        if _FOLDED.fullmatch(spelling):
            yield spelling.encode("ascii")
            continue
        yield canonical(fold(spelling).shadow.lower().strip().encode("ascii", "replace"))


def _alternatives(term: str) -> Iterator[str]:
    match = _BRACES.search(term)
    if match is None:
        yield term
        return
    for choice in match.group(1).split(","):
        yield from _alternatives(term[: match.start()] + choice + term[match.end() :])


def gapped(pattern: str) -> str:
    """The pattern with each space, unless it stands in a class, as a gap."""
    return _TOKEN.sub(lambda match: f"(?:{GAP})" if match.group().strip("\\ ") == "" else match.group(), pattern)


def readied(pattern: str) -> str:
    """A pattern as written, folded and with its gaps; macros stay."""
    return gapped(fold_rule(pattern))


def is_pattern(idiom: str) -> bool:
    """Whether an idiom is written as a pattern, not as a term."""
    return _PATTERN_SIGNS.search(idiom) is not None
