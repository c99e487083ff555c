"""`python -m tests.bench`: the benchmarks, side by side in one run.

The gateway and the bare pass-through run on the first core, the provider and the load on the
last. A machine's speed swings between minutes, so read the ratios, not the absolute figures.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench.measures import FULL, MEASURES, QUICK, Bench, Figures
from tests.bench.subjects import LOAD_CORE, PROXY_CORE, DidNotStart, Subject, bare, direct, gateway, provider
from tests.bench.table import missed, render


def _spin(core: int) -> None:
    """Keep a core from halting, at the lowest priority there is: waking one costs more than a hop."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


async def _run(options: argparse.Namespace) -> dict[str, Figures]:
    upstream = provider()
    subjects: list[Subject] = [direct(upstream.target.port), bare(upstream.target.port)]
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        if importlib.util.find_spec("gateway.cli") is None:
            sys.stdout.write("There is no gateway to run yet: direct and bare only.\n")
        else:
            subjects += [gateway(upstream.target.port, Path(scratch), redaction=on) for on in (False, True)]
        started = [upstream, *subjects]
        try:
            await upstream.start(LOAD_CORE)
            for subject in subjects:
                await subject.start(PROXY_CORE)
            bench = Bench(upstream.target.port, subjects, QUICK if options.quick else FULL, random.Random(options.seed))
            results: dict[str, Figures] = {}
            for name in options.only or MEASURES:
                begin = time.monotonic()
                results[name] = await MEASURES[name](bench)
                if sys.stderr.isatty():
                    sys.stderr.write(f"{name}: {time.monotonic() - begin:.0f} s\n")
        finally:
            for subject in reversed(started):
                await subject.stop()
    sys.stdout.write(render(results, [subject.name for subject in subjects]))
    return results


def main() -> int:
    """Run what was asked for; 1 if the gateway missed a bar or a subject failed."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="under a minute, and less steady")
    parser.add_argument("--only", action="append", choices=MEASURES, help="one measure; may be given again")
    parser.add_argument("--seed", type=int, default=1, help="of the texts")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    spinners = [multiprocessing.Process(target=_spin, args=(core,), daemon=True) for core in {PROXY_CORE, LOAD_CORE}]
    for spinner in spinners:
        spinner.start()
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        results = uvloop.run(_run(options))
    except DidNotStart as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    finally:
        for spinner in spinners:
            spinner.terminate()
    if options.json is not None:
        figures = {name: {"rows": one.rows, "failures": one.failures} for name, one in results.items()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    # In a process of its own, so that its memory is its own.
    of_log = 0 if options.only else subprocess.run([sys.executable, "-m", "tests.bench.log"], check=False).returncode
    return 1 if missed(results) or of_log else 0


if __name__ == "__main__":
    sys.exit(main())
