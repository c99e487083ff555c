"""`python -m tests.evaluate CORPUS...`: recall, strict leaks, category accuracy, false alarms, speed.

The scores are those of the redaction guidelines, at the one setting that ships. Corpora are JSON lines of
`{"id", "lang", "style", "text", "spans": [{"start", "end", "category", "optional"}]}`.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gateway.redaction import lean

lean.install()

from gateway.redaction.engine import Engine  # noqa: E402
from gateway.redaction.findings import Finding  # noqa: E402
from gateway.redaction.plain import Plain  # noqa: E402

ROOT = Path(__file__).parents[1]
_WORD = re.compile(r"\w+(?:['’-]\w+)*")  # noqa: RUF001
_STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "by",
        "with",
        "and",
        "or",
        "but",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "am",
        "i",
        "you",
        "he",
        "she",
        "it",
        "we",
        "they",
        "my",
        "your",
        "his",
        "her",
        "its",
        "our",
        "their",
        "me",
        "him",
        "them",
        "this",
        "that",
        "these",
        "those",
        "as",
        "so",
        "not",
        "no",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "'s",
        "'m",
        "'re",
        "un",
        "une",
        "le",
        "la",
        "les",
        "de",
        "du",
        "des",
        "d",
        "l",
        "et",
        "ou",
        "à",
        "au",
        "aux",
        "en",
        "dans",
        "sur",
        "pour",
        "par",
        "avec",
        "est",
        "sont",
        "était",
        "son",
        "sa",
        "ses",
        "mon",
        "ma",
        "mes",
        "uh",
        "um",
        "erm",
        "euh",
        "ben",
        "like",
        "you",
        "know",
    ]
)


@dataclass
class Score:
    """What one corpus, or one part of it, came to."""

    gold: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    right: int = 0
    leaked: int = 0
    false: int = 0
    words: int = 0
    missed: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of scored gold spans that are covered by half or more; 1 if there are none."""
        return self.hit.total() / self.gold.total() if self.gold else 1.0

    @property
    def leak(self) -> float:
        """Share of scored gold spans of which a content word stays."""
        return self.leaked / self.gold.total() if self.gold else 0.0

    @property
    def accuracy(self) -> float:
        """Share of covered spans whose category is right."""
        return self.right / self.hit.total() if self.hit else 1.0

    @property
    def alarms_per_10k(self) -> float:
        """False positives per 10,000 words."""
        return 10_000 * self.false / max(1, self.words)


def rules() -> dict[str, Plain]:
    """The shipped recognisers, as the configuration reader hands them over."""
    return {
        path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "config/recognizers").glob("*.yaml"))
    }


def read(path: Path) -> list[dict[str, Plain]]:
    """The rows of a corpus."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def score(rows: Iterable[dict[str, Plain]], found: Iterable[list[Finding]]) -> Score:
    """Compare findings with gold spans."""
    total = Score()
    for row, findings in zip(rows, found, strict=True):
        text = str(row["text"])
        total.words += len(text.split())
        for span in row["spans"]:
            if not span.get("optional"):
                _score_span(total, text, span, findings)
        for one in findings:
            if not any(one.start < span["end"] and span["start"] < one.end for span in row["spans"]):
                total.false += 1
                around = (
                    text[max(0, one.start - 50) : one.start]
                    + "⟦"
                    + text[one.start : one.end]
                    + "⟧"
                    + text[one.end : one.end + 30]
                )
                total.alarms.append(f"{row['id']} {one.category} {around!r}")
    return total


def _score_span(total: Score, text: str, span: dict[str, Plain], findings: list[Finding]) -> None:
    start, end, category = span["start"], span["end"], span["category"]
    covered = [one for one in findings if one.start < end and start < one.end]
    characters = {at for one in covered for at in range(max(start, one.start), min(end, one.end))}
    total.gold[category] += 1
    if any(
        match.group().casefold() not in _STOP
        and not characters >= set(range(start + match.start(), start + match.end()))
        for match in _WORD.finditer(text[start:end])
    ):
        total.leaked += 1
    if 2 * len(characters) >= end - start:
        total.hit[category] += 1
        total.right += any(one.category == category for one in covered)
        if not any(one.category == category for one in covered):
            total.missed.append(f"(category {covered[0].category}) {category} {text[start:end]!r}")
    else:
        total.missed.append(f"{category} ⟪{text[max(0, start - 50) : start]}⟦{text[start:end]}⟧{text[end : end + 20]}⟫")


def report(path: Path, engine: Engine, verbose: bool) -> Score:
    """Score one corpus and print it."""
    rows = read(path)
    texts = [str(row["text"]) for row in rows]
    engine.find(texts[:3])
    began = time.perf_counter()
    found = [engine.find([text])[0] for text in texts]
    seconds = time.perf_counter() - began
    size = sum(len(text.encode()) for text in texts)
    total = score(rows, found)
    print(f"{path.name}: {len(rows)} rows, {total.words} words, {size / 1e6:.2f} MB")
    print(
        f"  recall {total.recall:.3f}  strict leak {total.leak:.3f}  category accuracy {total.accuracy:.3f}  false alarms per 10k words {total.alarms_per_10k:.2f} ({total.false})"
    )
    for category, gold in sorted(total.gold.items()):
        print(f"    {category:24} {total.hit[category] / gold:.3f} of {gold}")
    for name in ("lang", "style"):
        parts: dict[str, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            parts[str(row.get(name))].append(index)
        for value, indices in sorted(parts.items()):
            part = score([rows[i] for i in indices], [found[i] for i in indices])
            print(
                f"    {name}={value:8} recall {part.recall:.3f}  false alarms per 10k words {part.alarms_per_10k:.2f}"
            )
    print(f"  {size / seconds / 1e6:.1f} MB/s on one core; 50 KB: {_latency(engine, texts)}")
    if verbose:
        for line in (*total.missed, *total.alarms):
            print("   ", line)
    return total


def _latency(engine: Engine, texts: list[str]) -> str:
    whole = "\n".join(texts)
    samples = [whole[at : at + 50_000] for at in range(0, min(len(whole), 1_000_000), 50_000)]
    times = []
    for sample in samples * (1 + 40 // len(samples)):
        began = time.perf_counter()
        engine.find([sample])
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return f"p50 {statistics.median(times):.2f} ms, p99 {times[int(len(times) * 0.99)]:.2f} ms"


def main(arguments: list[str]) -> int:
    """Run on the corpora named, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.evaluate", description=__doc__)
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--errors", action="store_true", help="list every miss and false alarm")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    engine = Engine(rules(), lambda path, reason: print(*path, reason, sep=": "))
    engine.test()
    engine.warm()
    print(f"engine ready in {time.perf_counter() - began:.2f} s")
    for path in options.corpus:
        report(path, engine, options.errors)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
