"""Small judgements over values that several rules share."""

from __future__ import annotations

import base64
import binascii

from gateway.errors import Code, Rule
from gateway.policy.rules.walk import DROPPED, Dropped, Misfit
from providers.document import Approved, Opaque, Value

_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\n\r"
_STANDARD = bytes.maketrans(b"-_", b"+/")


def decode_base64(text: str, rule: Rule) -> bytes:
    """The bytes of strict base64 in either alphabet (RFC 4648 sections 4 and 5).

    Raises:
        Misfit: it is not that.
    """
    try:
        return base64.b64decode(text.encode("ascii").translate(_STANDARD), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Misfit(Code.CONTENT_NOT_SCANNABLE, "strict base64 is expected here", rule) from None


def looks_like_text(data: bytes) -> bool:
    """Whether decoded bytes read as text in UTF-8, UTF-16 or a one-byte alphabet.

    Ciphertext and signatures have some 37 % printable bytes and almost never two NULs in ten; text
    has far more of one or the other.
    """
    if not data:
        return False
    printable = len(data) - len(data.translate(None, _PRINTABLE))
    if printable > 0.75 * len(data) or data.count(0) > 0.25 * len(data):
        return True
    try:
        return len(data) >= 8 and data.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def same(value: Value, constant: Value | Dropped) -> bool:
    """Equality that does not take 1 for true, nor 0 for false."""
    return value == constant and isinstance(value, bool) is isinstance(constant, bool)


def spell(value: Value | Dropped) -> str:
    """A value of ours as the header spells it: `false`, `absent`, `explicit`."""
    if value is DROPPED:
        return "absent"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return " ".join(f"{key}:{spell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(spell(item) for item in value)
    return str(value)


def freeze(value: Value) -> Value:
    """A constant of the surface as it goes into a document: its strings need no scan."""
    if isinstance(value, str):
        return Opaque(value)
    if isinstance(value, list):
        return [freeze(item) for item in value]
    if isinstance(value, dict):
        return Approved({key: freeze(item) for key, item in value.items()})
    return value
