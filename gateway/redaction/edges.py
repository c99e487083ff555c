"""Whether the word beside a finding still belongs to it: a linear model over hashed words.

The rules find the word that reveals; what else goes with it ("malignant ... bracelet" round a condition) is learned
from the project's own labelled passages (`training/`). The model sees words only as numbers: the word, the two beyond
it, the two before it, the finding's own edge, their beginnings and endings, and what stands between. It keeps no text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.categories import Category

Numbers: TypeAlias = "NDArray[np.uint64]"
Rows: TypeAlias = "NDArray[np.int64]"
Weights: TypeAlias = "NDArray[np.float32]"

BITS = 18
"""The model has 2**BITS weights; the first stands for what is not there, and is zero."""
TOKEN = re.compile(rb"[a-z0-9_]+|[.?!:;()\n\x00]")
HARD = frozenset((b".", b"?", b"!", b"\n", b"\x00"))
"""Marks that no finding grows over, and beyond which nothing is looked at."""
NOTHING = b""
"""Where there is no word."""

_WORDS = 65_536
_FORMS = 7  # of a word: itself, two beginnings, three endings, its kind
_LONGEST = 5
_STEPS = 4
_BETWEEN = {code: number for number, code in enumerate(b" -,'(/\".", 1)}
STOP = frozenset(
    b"""
    a an the of in on at to for from by with and or but is are was were be been am i you he she it we they my your
    his her its our their me him them this that these those as so not no do does did has have had s m re ve ll d t
    un une le la les de du des l et ou au aux en dans sur pour par avec est sont etait son sa ses mon ma mes c qu j n
    il elle on je
    """.split()
)
"""Words that say nothing by themselves: no finding ends with one that it grew by."""


class Row(NamedTuple):
    """One question: does `word`, so many `steps` outward from the finding's `edge`, belong to it?

    `next` and `second` stand beyond the word, `last` and `before` on its inner side. `right` is the side, `between`
    what stands before the word on that side, `length` how many words were found, `category` the finding's number.
    """

    word: int
    next: int
    second: int
    last: int
    before: int
    edge: int
    between: int
    steps: int
    category: int
    length: int
    right: int


NUMBERS = {category: number for number, category in enumerate(sorted(Category), 1)}


def between(text: bytes) -> int:
    """What stands between two words, as a number: the first mark of it, a space, a line end, or nothing."""
    if b"\n" in text:
        return 10
    marks = text.strip()
    return _BETWEEN.get(marks[0], 11) if marks else 1 if text else 12


class Lexicon:
    """Words as rows of a table of numbers, made when first met. Grows to a bound, then begins anew."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self.table: Numbers = np.zeros((1_024, _FORMS), np.uint64)

    def ready(self) -> None:
        """Make room. Numbers given before are void."""
        if len(self._known) > _WORDS:
            self._known.clear()

    def number(self, word: bytes) -> int:
        """The row of a word."""
        known = self._known.get(word)
        if known is None:
            known = self._known[word] = len(self._known)
            if known == len(self.table):
                self.table = np.concatenate([self.table, np.zeros_like(self.table)])
            self.table[known] = _forms(word)
        return known


def _forms(word: bytes) -> list[int]:
    size = len(word)
    some, more = size >= 4, size >= 6
    kind = 1 + (word in STOP) + 2 * (word in HARD) + 4 * word.isdigit() + 8 * (not word)
    return [
        _hash(b"=" + word),
        _hash(b"<" + word[:3]) if some else 0,
        _hash(word[-3:] + b">") if some else 0,
        _hash(word[-2:] + b">") if some else 0,
        _hash(b"<" + word[:4]) if more else 0,
        _hash(word[-4:] + b">") if more else 0,
        kind,
    ]


def _hash(text: bytes) -> int:
    return zlib.crc32(text) | 1  # never 0, which is for what is not there


# Columns of what is known of a row, and the features: up to three columns together.
_W, _N1, _N2, _P, _P2, _EDGE = range(1, 7)
_BTW, _STEP, _FEW, _CAT, _LEN = range(7, 12)
_KIND, _KINDS, _JOINT = range(12, 15)
_W_FORMS, _N_FORMS, _P_FORMS = range(15, 20), range(20, 23), range(23, 26)
_COLUMNS = 26
_FEATURES: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    *((one, 0, 0) for one in (_CAT, _W, _BTW, _N1, _N2, _P, _P2, _STEP, _LEN, _EDGE, _KIND)),
    *((_W, other, 0) for other in (_CAT, _P, _N1, _BTW, _EDGE, _FEW)),
    *((_P, _N1, 0), (_BTW, _FEW, 0), (_CAT, _STEP, 0), (_KIND, _P, 0), (_KIND, _N1, 0), (_KINDS, _CAT, 0)),
    *((_KINDS, _JOINT, 0), (_W, _N1, _N2), (_P2, _P, _W)),
    *((one, 0, 0) for one in (*_W_FORMS, *_N_FORMS, *_P_FORMS)),
)
_A, _B, _C = (np.array(side) for side in zip(*_FEATURES, strict=True))
_MAY_LACK = np.isin(_A, (*_W_FORMS, *_N_FORMS, *_P_FORMS))
_SALTS: Numbers = np.arange(1, len(_FEATURES) + 1, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
_ODD = tuple(np.uint64(one) for one in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xBF58476D1CE4E5B9))


def buckets(rows: Rows, table: Numbers) -> NDArray[np.intp]:
    """The weights that speak in each question: an index for each feature, 0 for one that is not there.

    Args:
        rows: one `Row` a line.
        table: of the lexicon that numbered their words.
    """
    words = table[rows[:, :6]]
    one: Numbers = np.zeros((len(rows), _COLUMNS), np.uint64)
    one[:, _W : _EDGE + 1] = words[:, :, 0]
    one[:, _BTW] = rows[:, 6] + 1
    one[:, _STEP] = np.minimum(rows[:, 7], _STEPS) + 1
    one[:, _FEW] = np.minimum(rows[:, 7], 2) + 1
    one[:, _CAT] = rows[:, 8]
    one[:, _LEN] = np.minimum(rows[:, 9], _LONGEST)
    one[:, _KIND] = words[:, 0, 6]
    one[:, _KINDS] = words[:, 0, 6] * np.uint64(32) + words[:, 1, 6]
    one[:, _JOINT] = one[:, _BTW] * np.uint64(32) + words[:, 3, 6]
    one[:, _W_FORMS[0] : _W_FORMS[-1] + 1] = words[:, 0, 1:6]
    one[:, _N_FORMS[0] : _N_FORMS[-1] + 1] = words[:, 1, 1:4]
    one[:, _P_FORMS[0] : _P_FORMS[-1] + 1] = words[:, 3, 1:4]
    side = rows[:, 10].astype(np.uint64)[:, None] * _ODD[3]
    mixed = one[:, _A] * _ODD[0]
    mixed += one[:, _B] * _ODD[1]
    mixed += one[:, _C] * _ODD[2]
    mixed += _SALTS
    mixed += side
    mixed ^= mixed >> np.uint64(32)
    mixed *= _ODD[3]
    mixed >>= np.uint64(64 - BITS)
    mixed[:, _MAY_LACK] *= one[:, _A[_MAY_LACK]] != 0
    return mixed.astype(np.intp)


def logits(rows: Sequence[Row], lexicon: Lexicon, weights: Weights) -> list[float]:
    """How much speaks for each word, as log odds."""
    if not rows:
        return []
    found = weights[buckets(np.array(rows, np.int64), lexicon.table)]
    return [float(one) for one in found.sum(axis=1)]
