"""Placeholders of ordinary personal data, and the way back. Pure; nothing is stored.

A placeholder is made from the value with the tenant's key: the same value gives the same placeholder in
every turn and on every replica, another tenant's gives another, and none gives the value back. The way back
is the request itself, which holds the values that its answer may name. Special categories have no way back.

`[EMAIL_k3f9x2mq7a]`: letters, digits and underscores in square brackets survive JSON, markdown and XML. A
model may re-case it, bold it, escape its underscores or drop its brackets; ten letters of chance make sure
that nothing else is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.categories import Personal

Pseudonym: TypeAlias = Callable[[str, str], str]
"""(label, value) -> hexadecimal digits, 40 or more bits of them: the tenant's keyed hash."""

DIGITS = 10
"""Base-32 digits of a placeholder: 50 bits, so that two of a tenant's million values meet once in 2,000 tenants."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_NUMBERS = frozenset(Personal) - {Personal.EMAIL, Personal.IP, Personal.MAC, Personal.IBAN, Personal.UK_NINO}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_BREAKING = re.compile(r'["\\]')
_LONGEST = 64
"""Characters of a placeholder at most, as a model may dress it up."""


def placeholder(kind: Personal, value: str, pseudonym: Pseudonym) -> str:
    """What stands for a value of that kind."""
    number = int(pseudonym(f"personal {kind.value}", same(kind, value))[: DIGITS * 5 // 4 + 1], 16)
    digits = "".join(_ALPHABET[number >> 5 * place & 31] for place in range(DIGITS))
    return f"[{kind.value}_{digits}]"


def same(kind: Personal, value: str) -> str:
    """The value as two spellings of it have in common: digits alone, or letters in lower case without spaces."""
    if kind not in _NUMBERS:
        return re.sub(r"[\s\u200b-\u200d\ufeff]+", "", value).casefold()
    digits = "".join(character for character in value if character.isdigit() or character in "AaBb").upper()
    if kind is Personal.PHONE:
        digits = digits.removeprefix("00")
        if len(digits) == 11:
            digits = digits.removeprefix("1")  # the North American country code, written or not
    return digits


_NAMES = sorted((kind.value for kind in Personal), key=len, reverse=True)
_GAP = r"[_\s\\*-]{1,3}"
_NAME = "|".join(re.sub("_", lambda _match: _GAP, name) for name in _NAMES)
_DRESS = r"[*_`~\\\s]{0,4}"
_WHOLE = re.compile(
    rf"(?P<open>\\?\[{_DRESS})?(?<![A-Za-z0-9])(?P<name>{_NAME}){_GAP}(?P<digits>[a-z2-7]{{{DIGITS}}})(?![A-Za-z0-9])"
    rf"(?(open){_DRESS}\\?\])",
    re.IGNORECASE,
)


class Restorer:
    """Puts the values of one request back where its answer names their placeholders.

    Args:
        values: placeholder -> value, as `placeholder` made them.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        # Nothing in a value may break the JSON that it is put into, however deep that is in strings.
        self._values = {
            name: _CONTROLS.sub(" ", value) for name, value in values.items() if not _BREAKING.search(value)
        }

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"<Restorer of {len(self._values)}>"

    def restore(self, text: str) -> str:
        """The text with every placeholder of this request replaced by its value; others stay as they are."""
        out: list[str] = []
        done = 0
        for start, end, value in self.places(text):
            out += (text[done:start], value)
            done = end
        return "".join([*out, text[done:]]) if done else text

    def places(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, value) of each placeholder of this request in a text, in order."""
        if not self._values:
            return []
        found: list[tuple[int, int, str]] = []
        for match in _WHOLE.finditer(text):
            value = self._values.get(_proper(match["name"], match["digits"]))
            if value is not None:
                found.append((*match.span(), value))
        return found

    def settled(self, text: str) -> int:
        """How many characters of a text that goes on can be restored now: what follows may begin a placeholder."""
        return settled(text) if self._values else len(text)


def _proper(name: str, digits: str) -> str:
    return f"[{re.sub('[^a-z]+', '_', name.casefold()).upper()}_{digits.casefold()}]"


def settled(text: str) -> int:
    """Up to where no placeholder has begun that more text could end. Never holds more than the longest one."""
    low = max(0, len(text) - _LONGEST)
    for match in _START.finditer(text, low):
        at = match.start()
        if (at == 0 or not text[at - 1].isalnum() or text[at] in "[\\") and _BEGUN.fullmatch(text, at):
            return at
    return len(text)


def _atoms(name: str) -> list[str]:
    gap = r"[_\s\\*-]"
    letters = [rf"{gap}{{1,3}}" if letter == "_" else letter for letter in name]
    return [*letters, rf"{gap}{{1,3}}", *["[a-z2-7]"] * DIGITS]


def _nested(atoms: list[str], then: str = "") -> str:
    """A pattern for every beginning of these atoms in a row."""
    pattern = then
    for atom in reversed(atoms):
        pattern = f"(?:{atom}{pattern})?"
    return pattern


_NAMED = "|".join(_nested(_atoms(name)) for name in _NAMES)
_CLOSED = "|".join(_nested(_atoms(name), rf"{_DRESS}\\?") for name in _NAMES)
_START = re.compile(r"[\[\\" + "".join(sorted({name[0] for name in _NAMES})) + "]", re.IGNORECASE)
_BEGUN = re.compile(rf"\\?(?:\[{_DRESS}(?:{_CLOSED}))?|(?:{_NAMED})", re.IGNORECASE)
