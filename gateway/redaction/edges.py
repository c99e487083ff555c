"""Whether the word beside a finding still belongs to it: what a linear model over hashed words looks at.

The rules find the word that reveals; what else goes with it ("malignant ... bracelet" round a condition) is learned
from the project's own labelled passages (`training/`). The model sees words only as numbers: the word, the two beyond
it, the two before it, the finding's own edge, their beginnings and endings, and what stands between. It keeps no text.
`reach` makes these numbers.
"""

from __future__ import annotations

import re

from gateway.categories import Category

BITS = 18
"""The model has 2**BITS weights; the first stands for what is not there, and is zero."""
WORD = b"abcdefghijklmnopqrstuvwxyz0123456789_"
MARKS = b".?!:;()\n\x00"
"""Marks that are words of their own."""
HARD = b".?!\n\x00"
"""Marks that no finding grows over, and beyond which nothing is looked at."""
TOKEN = re.compile(b"[%b]+|[%b]" % (WORD, MARKS))
"""A word."""
GAPS = {code: number for number, code in enumerate(b" -,'(/\".", 1)}
"""Marks that tell what stands between two words."""
LEFT = 64
RIGHT = 96
"""Characters on either side within which a finding grows; `segments.REACH` must hold them too."""
MOST = 16
"""Words that a finding may grow by on a side, at most."""
AHEAD = 2
"""Words beyond the one in question that are looked at."""
GIVES_UP = 4.0
"""Log odds: so much against it, and what is farther out is not asked."""
STOP = tuple(
    sorted(
        set(
            b"""
            a an the of in on at to for from by with and or but is are was were be been am i you he she it we they my
            your his her its our their me him them this that these those as so not no do does did has have had s m re
            ve ll d t un une le la les de du des l et ou au aux en dans sur pour par avec est sont etait son sa ses mon
            ma mes c qu j n il elle on je
            """.split()
        )
    )
)
"""Words that say nothing by themselves: no finding ends with one that it grew by."""

NUMBERS = {category: number for number, category in enumerate(sorted(Category), 1)}
"""Of a category, in a question."""

# What is known of a question, by number: the word, those beyond it, those on its inner side and the finding's own edge;
# what stands between, how far out it is, the category, the finding's length; kinds of words; beginnings and endings.
_W, _N1, _N2, _P, _P2, _EDGE = range(1, 7)
_BTW, _STEP, _FEW, _CAT, _LEN = range(7, 12)
_KIND, _KINDS, _JOINT = range(12, 15)
_W_FORMS, _N_FORMS, _P_FORMS = range(15, 20), range(20, 23), range(23, 26)
FEATURES: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    *((one, 0, 0) for one in (_CAT, _W, _BTW, _N1, _N2, _P, _P2, _STEP, _LEN, _EDGE, _KIND)),
    *((_W, other, 0) for other in (_CAT, _P, _N1, _BTW, _EDGE, _FEW)),
    *((_P, _N1, 0), (_BTW, _FEW, 0), (_CAT, _STEP, 0), (_KIND, _P, 0), (_KIND, _N1, 0), (_KINDS, _CAT, 0)),
    *((_KINDS, _JOINT, 0), (_W, _N1, _N2), (_P2, _P, _W)),
    *((one, 0, 0) for one in (*_W_FORMS, *_N_FORMS, *_P_FORMS)),
)
"""What speaks in a question: up to three of these together."""
MAY_LACK = tuple(first in (*_W_FORMS, *_N_FORMS, *_P_FORMS) for first, _second, _third in FEATURES)
"""Those that a short word does not have."""
