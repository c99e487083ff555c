"""How far a finding of the rules reaches: its neighbours go with it, where the model of `edges` says so.

A finding grows by whole words, up to one that says something, never over the end of a sentence or a line, never into
another finding, and within bounds of words and characters. How far depends on the text round it alone, so it is the
same however the text was cut. The model makes no finding: where the rules find nothing, nothing grows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from gateway.categories import Category
from gateway.redaction.edges import BITS, LEFT, MOST, NUMBERS, RIGHT
from gateway.redaction.plain import Plain
from gateway.redaction.reach import Weights, desk, given, grow, settled
from gateway.redaction.tables import Numbers

__all__ = ["GROWTH", "LEFT", "RIGHT", "Found", "Grown", "Growth", "read_growth", "written"]

GROWTH = "growth"
"""The stem of the file that holds the model."""

Fault: TypeAlias = Callable[[str, str], None]
"""Told of a fault: the key, and the reason."""


class Found(NamedTuple):
    """A finding of the rules, in a folded text."""

    start: int
    end: int
    category: Category


class Grown(NamedTuple):
    """Where it begins and ends with what belongs to it; `final`: whatever may come after the text's end."""

    start: int
    end: int
    final: bool


class Growth:
    """The model with its bounds. Pure after construction; one thread at a time.

    Args:
        weights: of `edges`, 2**BITS of them.
        eagerness: log odds that are added for each word; the higher, the farther findings reach.
        left: words that a finding grows by before it, at most.
        right: the same, after it.
    """

    def __init__(self, weights: Weights, eagerness: float, left: int, right: int) -> None:
        self._weights = weights
        self._eagerness = eagerness
        self.most = left, right
        self._desk = desk()
        self._given = given(self._desk)

    def grow(self, text: bytes, found: Sequence[Found], start: int = 0, *, closed: bool = True) -> list[Grown]:
        """Each finding with what belongs to it, in order and apart.

        Args:
            text: folded, in lower case.
            found: in order and apart.
            start: nothing grows beyond this place.
            closed: nothing comes after the text.
        """
        if not found:
            return []
        asked = np.array([(first, last, NUMBERS[category]) for first, last, category in found], np.int32)
        grown = self.rows(text, asked, start, closed=closed)
        return [Grown(first, last, bool(final)) for first, last, final in grown.tolist()]

    def rows(self, text: bytes, asked: Numbers, start: int = 0, *, closed: bool = True) -> Numbers:
        """The same, a row each: where one begins and ends and the number of its category; then as in `Grown`."""
        grown = np.empty_like(asked)
        data = np.frombuffer(text, np.uint8)
        grow(data, asked, start, closed, self.most, self._eagerness, self._weights, self._given, grown)
        return grown

    def settled(self, text: bytes, end: int, floor: int) -> int:
        """Up to where a text is settled whose rules are up to `end`: what begins later may still grow before it."""
        return settled(np.frombuffer(text, np.uint8), end, floor, self.most[0], self._given)


# --- the file ---

_KEYS = frozenset({"eagerness", "left", "right", "scale", "sha256", "weights"})


def read_growth(mapping: Plain, fault: Fault) -> Growth | None:
    """The model that `growth.yaml` holds; None if it has a fault, which is told.

    `weights` are 2**BITS signed bytes, compressed (RFC 1950) and in base64 (RFC 4648); times `scale` they are log odds.
    `sha256` is the digest of those bytes.
    """
    if not isinstance(mapping, dict) or mapping.keys() != _KEYS:
        fault("", f"write exactly {', '.join(sorted(_KEYS))}")
        return None
    eagerness, scale = mapping["eagerness"], mapping["scale"]
    left, right = mapping["left"], mapping["right"]
    if not isinstance(eagerness, float) or not -10 <= eagerness <= 10:
        fault("eagerness", "write a number from -10.0 to 10.0")
    elif not isinstance(scale, float) or not 0 < scale <= 1:
        fault("scale", "write a number above 0 and at most 1.0")
    elif not isinstance(left, int) or not isinstance(right, int) or not 0 <= left <= MOST or not 0 <= right <= MOST:
        fault("left", f"write whole numbers from 0 to {MOST}, for `right` too")
    else:
        weights = _weights(mapping["weights"], mapping["sha256"], fault)
        if weights is not None:
            return Growth(weights * np.float32(scale), eagerness, left, right)
    return None


def _weights(text: Plain, digest: Plain, fault: Fault) -> Weights | None:
    try:
        packed = base64.b64decode("".join(str(text).split()), validate=True)
        data = zlib.decompressobj().decompress(packed, (1 << BITS) + 1)
    except (binascii.Error, zlib.error):
        fault("weights", "this is not compressed bytes in base64")
        return None
    if len(data) != 1 << BITS or hashlib.sha256(data).hexdigest() != digest:
        fault("weights", "these are not the weights that `sha256` names")
        return None
    weights = np.frombuffer(data, np.int8).astype(np.float32)
    weights[0] = 0
    return weights


def written(weights: Weights, eagerness: float, left: int, right: int) -> dict[str, Plain]:
    """A model as `growth.yaml` holds it. Weights are rounded to 127 steps on either side."""
    scale = round(float(np.abs(weights).max()) / 127, 6)
    data = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8).tobytes()
    return {
        "eagerness": eagerness,
        "left": left,
        "right": right,
        "scale": scale,
        "sha256": hashlib.sha256(data).hexdigest(),
        "weights": base64.b64encode(zlib.compress(data, 9)).decode(),
    }
