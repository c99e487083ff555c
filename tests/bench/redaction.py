"""`python -m tests.bench.redaction`: the redactor alone, in CPU time of one core, beside stock Presidio if asked.

Real talk is the corpus beside the repository where there is one, and otherwise the benchmarks' own transcripts. All
texts are new to the engine when they are first timed; processor time is counted, since a machine's clock swings.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.redaction import lean

lean.install()

from gateway.redaction.detector import Detector  # noqa: E402  # after `lean.install`
from gateway.redaction.engine import Engine  # noqa: E402
from gateway.redaction.home import folder  # noqa: E402
from tests.bench.texts import transcript  # noqa: E402
from tests.evaluate import ROOT, read, rules  # noqa: E402

SIZE = 50_000
_TURN = 350
_TALK = ROOT.parent / "shared/redaction/business_dev.jsonl"
_DENSE = ROOT / "tests/data/sales_dev.jsonl"
_ROUNDS = 200


def figures(source: random.Random, calls: int = 40) -> dict[str, float]:
    """The redactor's figures by name; times are milliseconds of processor time, the trip's of this process's and its worker's."""
    engine = Engine(rules(), where=folder(), terms=True)
    engine.warm()
    gc.collect()
    gc.freeze()  # as the nursery does before it forks workers
    talk, dense = _calls(_TALK, source, calls), _calls(_DENSE, source, 2)
    made: dict[str, float] = {"machine: hashing MB/s": _hashing()}
    first = [_milliseconds(lambda call=call: _find(engine, call)) for call in talk]
    made["real talk MB/s"] = sum(len(call.encode()) for call in talk) / sum(first) / 1000
    made["50 KB p50 ms"] = statistics.median(first)
    made["50 KB p99 ms"] = sorted(first)[int(len(first) * 0.99)]
    seldom = [_milliseconds(lambda call=call: _find(engine, call)) for call in dense]
    made["dense 50 KB, first, ms"] = max(seldom)
    made["dense MB/s"] = (
        SIZE / statistics.median(_milliseconds(lambda: _find(engine, dense[0])) for _ in range(9)) / 1000
    )
    made["hostile 50 KB ms"] = max(
        _milliseconds(lambda text=text: _find(engine, text)) for text in hostile(engine, source)
    )
    made.update(asyncio.run(_trips(talk)))
    return made


def hostile(engine: Engine, source: random.Random) -> list[str]:
    """Texts made to be slow: every word a trigger, every rule half matched, long runs."""
    terms = sorted(engine.compiled.terms)
    people = ("he is", "my wife has", "on", "Maria was diagnosed with", "voted for the", "steward for")
    made = [_filled(lambda: source.choice(terms)), _filled(lambda: f"{source.choice(people)} {source.choice(terms)}")]
    made += [_filled(lambda: source.choice(terms).split()[0]), _filled(lambda: source.choice(terms).split()[-1])]
    units = ("hiv ", "my wife is a ", "voted for the ", "his ", "1 ", "a.", "www.", "(", "\n", "a", " uh,", "H I V ")
    return [*made, *((unit * SIZE)[:SIZE] for unit in units), "e" + "\u0301" * SIZE, "type" + " " * SIZE + "2 diabetes"]


def _hashing() -> float:
    """What the machine gives at the moment: on an idle one of 2026 it is some 750 MB/s."""
    data = bytes(SIZE * 20)
    return len(data) / statistics.median(_milliseconds(lambda: hashlib.blake2b(data)) for _ in range(9)) / 1000


def _filled(word: Callable[[], str]) -> str:
    words: list[str] = []
    size = 0
    while size < SIZE:
        words.append(word())
        size += len(words[-1]) + 1
    return " ".join(words)[:SIZE]


def _calls(path: Path, source: random.Random, count: int) -> list[str]:
    """So many texts of `SIZE` characters, from a corpus or made."""
    if not path.exists():
        return [transcript(SIZE, source) for _ in range(count)]
    whole = "\n".join(str(row["text"]) for row in read(path))
    return [whole[at : at + SIZE] for at in range(0, len(whole) - SIZE, SIZE)][:count]


def _find(engine: Engine, text: str) -> None:
    engine.find([text])


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


async def _trips(talk: Sequence[str]) -> dict[str, float]:
    """A conversation sent again with one new turn: this process, the trip to the worker, the worker."""
    detector = Detector(rules())
    began = time.perf_counter()
    await detector.start()
    started = time.perf_counter() - began
    try:
        conversations = [[call[at : at + _TURN] for at in range(0, SIZE, _TURN)] for call in talk]
        for conversation in conversations:
            await detector.find(conversation)
        samples: list[float] = []
        mine = time.process_time()
        for number in range(_ROUNDS):
            conversation = conversations[number % len(conversations)]
            conversation.append(f"and turn {number}, " + talk[-1 - number % len(talk)][:_TURN])
            began = time.perf_counter()
            await detector.find(conversation)
            samples.append((time.perf_counter() - began) * 1000)
        mine = time.process_time() - mine
        tiny = [talk[0][at : at + 3] for at in range(19_000)]
        began_tiny = time.process_time()
        await detector.find(tiny)
        scraps = (time.process_time() - began_tiny) * 1000
    finally:
        await detector.stop()
    return {
        "again + a turn, wall ms": statistics.median(samples),
        "again + a turn, loop ms": mine * 1000 / _ROUNDS,
        "19k scraps, loop ms": scraps,
        "start s": started,
    }


def stock(text: str) -> float:
    """Stock Presidio's MB/s on a text, without a model."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.stock"], cwd=ROOT, input=text.encode(), capture_output=True, check=True
    )
    return float(done.stdout)


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.redaction", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="fewer texts, and no stock Presidio")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the figures as one JSON object")
    options = parser.parse_args(arguments)
    source = random.Random(options.seed)
    made = figures(source, 10 if options.quick else 40)
    if not options.quick:
        made["stock Presidio MB/s"] = stock(_calls(_TALK, source, 1)[0])
    if options.json:
        print(json.dumps(made))
    else:
        for name, figure in made.items():
            print(f"{name:24} {figure:10.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
