"""`python -m tests.evaluate CORPUS...`: recall, category accuracy, strict leaks, false alarms, speed.

The scores are those of the redaction guidelines, at the one setting that ships, by category, language and
style, beside stock Presidio on the same text in the same run. Corpora are JSON lines of
`{"id", "lang", "style", "text", "spans": [{"start", "end", "category", "optional"}]}`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from gateway.redaction import lean

lean.install()

from gateway.redaction.engine import Engine  # noqa: E402
from gateway.redaction.home import folder  # noqa: E402
from gateway.redaction.inprocess import InProcess  # noqa: E402
from tests.configuration import rules  # noqa: E402
from tests.scores import Row, Score, Span, score  # noqa: E402
from tests.stock import Stock  # noqa: E402

ROOT = Path(__file__).parents[1]
_PROMPT = 50_000
_PROMPTS = 40
_ERRORS_HELP = (
    "write every miss, leak, wrong category and false alarm to FILE, as JSON lines that QUOTE THE TEXT: only for corpora "
    "that belong to the project; never make such a list from customers' text"
)


def read(path: Path) -> list[Row]:
    """The rows of a corpus."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured in processor time of this one thread: bytes a second, and seconds of a 50 KB prompt."""

    rate: float
    median: float
    p99: float


def report(path: Path, engine: Engine, stock: Stock | None = None, errors: TextIO | None = None) -> Score:
    """Score one corpus and print it; with `stock`, beside it."""
    rows = read(path)
    look = InProcess(engine).look

    def find(text: str) -> list[Span]:
        return [Span(one.start, one.end, one.category.value) for one in look(text)]

    found, speed = _measured(find, rows)
    total = score(rows, found)
    size = sum(len(str(row["text"]).encode()) for row in rows)
    print(f"\n{path.name}: {len(rows)} rows, {total.words} words, {size / 1e6:.2f} MB, {datetime.now(UTC):%Y-%m-%d}")
    print(f"  {'':24} {'spans':>6} {'recall':>7} {'category':>9} {'leak':>6} {'alarms/10k':>11}")
    for name, part in _parts(rows, found, total):
        print(f"  {name:24} {_line(part)}")
    print(f"  {_pace(speed)}")
    if stock is not None:
        theirs, their_speed = _measured(stock.find, rows)
        print(f"  {'stock Presidio, no model':24} {_line(score(rows, theirs))}")
        print(f"  {_pace(their_speed)}; ours is {speed.rate / their_speed.rate:.0f} times as fast")
    if errors is not None:
        for entry in (*total.missed, *total.alarms):
            errors.write(json.dumps({"corpus": path.name, **entry}, ensure_ascii=False) + "\n")
    return total


def _parts(rows: Sequence[Row], found: Sequence[Sequence[Span]], total: Score) -> Iterator[tuple[str, Score]]:
    yield "all", total
    for category in sorted({*total.gold, *total.false}):
        yield category, total.of(category)
    for key in ("lang", "style"):
        groups: dict[str, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            groups[str(row.get(key))].append(index)
        for value, indices in sorted(groups.items()):
            yield f"{key} {value}", score([rows[at] for at in indices], [found[at] for at in indices])


def _line(part: Score) -> str:
    alarms = f"{part.alarms_per_10k:7.2f} {f'({part.false.total()})':>4}"
    if not part.gold.total():
        return f"{'-':>6} {'-':>7} {'-':>9} {'-':>6} {alarms}"
    return f"{part.gold.total():6} {part.recall:7.3f} {part.accuracy:9.3f} {part.leak:6.3f} {alarms}"


def _pace(speed: Speed) -> str:
    return (
        f"{speed.rate / 1e6:.2f} MB/s on one core; a 50 KB prompt p50 {speed.median * 1e3:.2f} ms, "
        f"p99 {speed.p99 * 1e3:.2f} ms"
    )


def _measured(find: Callable[[str], list[Span]], rows: Sequence[Row]) -> tuple[list[list[Span]], Speed]:
    texts = [str(row["text"]) for row in rows]
    for text in texts[:3]:
        find(text)
    began = time.process_time()
    found = [find(text) for text in texts]
    seconds = time.process_time() - began
    size = sum(len(text.encode()) for text in texts)
    whole = "\n".join(texts)
    prompts = [whole[at : at + _PROMPT] for at in range(0, len(whole), _PROMPT)][:_PROMPTS]
    times: list[float] = []
    # a slow engine is asked less often: its figure needs no third digit
    for prompt in prompts * (1 if seconds > 5 else 1 + _PROMPTS // len(prompts)):
        began = time.process_time()
        find(prompt)
        times.append(time.process_time() - began)
    times.sort()
    return found, Speed(size / seconds, statistics.median(times), times[int(len(times) * 0.99)])


def main(arguments: list[str]) -> int:
    """Run on the corpora named, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.evaluate", description=__doc__)
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--errors", type=Path, metavar="FILE", help=_ERRORS_HELP)
    parser.add_argument("--alone", action="store_true", help="without stock Presidio, which takes a minute for 3 MB")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    engine = Engine(rules(), lambda path, reason: print(*path, reason, sep=": "), folder())
    engine.test()
    engine.warm()
    print(f"engine ready in {time.perf_counter() - began:.2f} s")
    stock = None if options.alone else Stock()
    if options.errors is None:
        for path in options.corpus:
            report(path, engine, stock)
        return 0
    with options.errors.open("w", encoding="utf-8") as errors:
        for path in options.corpus:
            report(path, engine, stock, errors)
    print(f"\nerrors in {options.errors}: they quote the corpora; keep them with the corpora")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
