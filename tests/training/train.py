"""`python -m tests.training.train`: learns from labelled passages how far a finding reaches. See README.md beside it.

With `--folds N` it prints what that is worth on passages that were not learned from, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.redaction import lean

lean.install()

from gateway.redaction.edges import AHEAD, BITS, FEATURES, MOST, NUMBERS, TOKEN  # noqa: E402
from gateway.redaction.engine import Engine  # noqa: E402
from gateway.redaction.folding import fold  # noqa: E402
from gateway.redaction.growth import GROWTH, Found, Growth, written  # noqa: E402
from gateway.redaction.home import folder  # noqa: E402
from gateway.redaction.reach import Weights, asked, desk, given  # noqa: E402
from tests.evaluate import ROOT, rules  # noqa: E402
from tests.scores import Score, Span, score  # noqa: E402
from tests.training.passages import Passage, passages  # noqa: E402

LEFT, RIGHT = 3, 8
EAGERNESS = 1.5
_TARGET = ROOT / "config/recognizers/growth.yaml"

_PARTS = 6  # of each labelled span, as if the rules had found only them
_LONGEST = 4
_BEYOND = 3  # words outside a span that are learned from
_WHOLE, _PART, _REAL, _FALSE = 2.0, 1.0, 4.0, 1.0
_EPOCHS, _BATCH, _RATE, _DECAY = 6, 32, 0.12, 1e-5


@dataclass(frozen=True, slots=True)
class Lesson:
    """Questions and answers: a line of features each, whether the word belongs, how much it weighs, whose it is."""

    features: NDArray[np.intp]
    answers: NDArray[np.float64]
    weights: NDArray[np.float64]
    owners: NDArray[np.intp]


def lesson(learned: Sequence[Passage]) -> Lesson:
    """What passages teach. Each is asked about the words round its labelled spans, round parts of them, and round what
    the rules found: that reaches as far as the span, and what touches no span stays as it is."""
    room = desk()
    table = given(room)
    speaking, reaches = np.zeros((2 * (MOST + AHEAD), len(FEATURES)), np.int32), np.zeros(2 * (MOST + AHEAD), np.int32)
    dice = random.Random(1)
    rows: list[NDArray[np.int32]] = []
    answers: list[float] = []
    weights: list[float] = []
    owners: list[int] = []
    for owner, passage in enumerate(learned):
        for found, start, end, weight in _cases(passage, dice):
            finding = found.start, found.end, NUMBERS[found.category]
            text = np.frombuffer(passage.text, np.uint8)
            left, right = asked(text, finding, (LEFT, RIGHT), table, speaking, reaches)
            for first, last, reach in ((0, left, found.start - start), (left, left + right, end - found.end)):
                for row, answer in _answered(range(first, last), reaches, reach):
                    rows.append(speaking[row].copy())
                    answers.append(answer)
                    weights.append(weight)
                    owners.append(owner)
    return Lesson(np.stack(rows).astype(np.intp), np.array(answers), np.array(weights), np.array(owners))


def _answered(rows: range, reaches: NDArray[np.int32], reach: int) -> Iterator[tuple[int, float]]:
    outside = 0
    for row in rows:
        belongs = bool(reaches[row] <= reach)
        outside += not belongs
        if outside > _BEYOND + 1:
            return
        yield row, float(belongs)


def _cases(passage: Passage, dice: random.Random) -> Iterator[tuple[Found, int, int, float]]:
    """A finding, up to where it reaches on either side, and the weight."""
    for gold in passage.gold:
        words = [match.span() for match in TOKEN.finditer(passage.text, gold.start, gold.end)]
        if not words:
            continue
        yield gold, gold.start, gold.end, _WHOLE
        parts = set()
        for _ in range(_PARTS):
            first = dice.randrange(len(words))
            parts.add((first, dice.randint(first, min(len(words) - 1, first + _LONGEST - 1))))
        for first, last in sorted(parts - {(0, len(words) - 1)}):
            start, end = words[first][0], words[last][1]
            if any(len(passage.text[low:high]) > 3 for low, high in words[first : last + 1]):
                yield Found(start, end, gold.category), gold.start, gold.end, _PART
    for found in passage.found:
        touched = [gold for gold in passage.gold if gold.start < found.end and found.start < gold.end]
        if touched:
            yield found, min(found.start, touched[0].start), max(found.end, touched[-1].end), _REAL
        else:
            yield found, found.start, found.end, _FALSE


def learn(taught: Lesson, chosen: NDArray[np.intp]) -> Weights:
    """Logistic regression by AdaGrad (Duchi et al. 2011), averaged over the rounds."""
    dice = np.random.default_rng(1)
    weights = np.zeros(1 << BITS)
    squares = np.full(1 << BITS, 1e-2)
    total = np.zeros(1 << BITS)
    for _ in range(_EPOCHS):
        order = dice.permutation(chosen)
        for batch in np.array_split(order, max(1, len(order) // _BATCH)):
            features = taught.features[batch]
            odds = weights[features].sum(axis=1)
            slope = taught.weights[batch] * (1 / (1 + np.exp(-odds)) - taught.answers[batch])
            flat = features.ravel()
            step = np.repeat(slope, features.shape[1]) + _DECAY * weights[flat]
            np.add.at(squares, flat, step * step)
            np.add.at(weights, flat, -_RATE * step / np.sqrt(squares[flat]))
            weights[0] = 0
        total += weights
    return (total / _EPOCHS).astype(np.float32)


def grown(model: Growth, passage: Passage) -> list[Span]:
    """What is found in a passage, with what belongs to it, in code points."""
    folded = fold(str(passage.row["text"]))
    spans: list[Span] = []
    for found, one in zip(passage.found, model.grow(passage.text, passage.found), strict=True):
        spans.append(Span(*folded.original(one.start, one.end), found.category.value))
    assert all(one.end <= two.start for one, two in pairwise(spans))
    return spans


def _line(scored: Score) -> str:
    return f"recall {scored.recall:.3f}  leak {scored.leak:.3f}  category {scored.accuracy:.3f}  false {scored.false.total()}"


def validate(learned: Sequence[Passage], taught: Lesson, folds: int) -> None:
    """Print what models are worth that have not seen a passage, on those that no writer of rules has seen."""
    fold_of = np.random.default_rng(0).permutation(len(learned)) % folds
    fresh = [number for number, passage in enumerate(learned) if passage.fresh]
    rows = [learned[number].row for number in fresh]
    models = [learn(taught, np.flatnonzero(fold_of[taught.owners] != part)) for part in range(folds)]
    plain = [
        [Span(*_original(learned[number], one), one.category.value) for one in learned[number].found]
        for number in fresh
    ]
    print(f"{len(rows)} passages, {sum(len(learned[number].found) for number in fresh)} findings of the rules")
    print(f"rules alone        {_line(score(rows, plain))}")
    for eagerness in (0.0, 0.5, 1.0, EAGERNESS):
        made = [Growth(weights, eagerness, LEFT, RIGHT) for weights in models]
        spans = [grown(made[fold_of[number]], learned[number]) for number in fresh]
        extra = 0
        for number, found in zip(fresh, spans, strict=True):
            extra += _outside(learned[number], found) - _outside(learned[number], plain[fresh.index(number)])
        print(
            f"eagerness {eagerness:+.1f}     {_line(score(rows, spans))}  words too many per finding {extra / sum(map(len, spans)):.2f}"
        )


def _original(passage: Passage, one: Found) -> tuple[int, int]:
    return fold(str(passage.row["text"])).original(one.start, one.end)


def _outside(passage: Passage, spans: Sequence[Span]) -> int:
    """Words of findings that belong to no span."""
    text = str(passage.row["text"])
    gold = [_original(passage, one) for one in passage.gold]
    count = 0
    for span in spans:
        at = span.start
        for word in text[span.start : span.end].split(" "):
            count += bool(word) and not any(start < at + len(word) and at < end for start, end in gold)
            at += len(word) + 1
    return count


def document(model: dict[str, object]) -> str:
    """`growth.yaml`."""
    weights = str(model["weights"])
    lines = [weights[at : at + 112] for at in range(0, len(weights), 112)]
    head = "\n".join(f"{key}: {json.dumps(value)}" for key, value in model.items() if key != "weights")
    return f"{_HEAD}{head}\nweights: |\n" + "".join(f"  {line}\n" for line in lines)


_HEAD = """\
# How far a finding of the rules reaches: a small linear model, learned from the project's own labelled passages.
# Made by `python -m tests.training.train`; what it is made from and what it is worth is in tests/training/README.md.
# `eagerness` may be changed by hand: the higher, the farther findings reach (log odds; -10.0 keeps them as they are).
"""


def main(arguments: list[str]) -> int:
    """Learn, and write or validate."""
    parser = argparse.ArgumentParser(prog="python -m tests.training.train", description=__doc__)
    parser.add_argument("--folds", type=int, default=0, help="cross-validate with so many parts, and write nothing")
    parser.add_argument("--to", type=Path, default=_TARGET, help="the file to write")
    options = parser.parse_args(arguments)
    mappings = rules()
    mappings.pop(GROWTH, None)
    engine = Engine(mappings, lambda path, reason: print(*path, reason, sep=": "), folder())
    learned = passages(engine)
    taught = lesson(learned)
    print(f"{len(learned)} passages, {len(taught.answers)} questions, {taught.answers.mean():.2f} of them answered yes")
    if options.folds:
        validate(learned, taught, options.folds)
        return 0
    weights = learn(taught, np.arange(len(taught.answers)))
    options.to.write_text(document(dict(written(weights, EAGERNESS, LEFT, RIGHT))), encoding="utf-8")
    print(f"{np.count_nonzero(np.abs(weights) > 1e-2)} weights, {options.to.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
