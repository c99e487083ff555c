"""Judging a route and reading the configuration, by the number of entries and tenants: `python -m tests.bench.registry`.

Processor time of this process, the best of several rounds. Printed as ratios to the smallest, which a busy machine
changes less than it changes the figures themselves.
"""

from __future__ import annotations

import gc
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Bundle, load
from gateway.config.shelf import Shelf
from gateway.simulator import CREDENTIAL
from providers import PROVIDERS
from tests.configuration import entry, write_configuration

SIZES = ((2, 5), (20, 500), (200, 5000))
ROUNDS, CALLS = 7, 20_000


def configuration(folder: Path, entries: int, tenants: int) -> Path:
    """A configuration of this size; every entry has the models that the calls ask for."""
    directory = write_configuration(folder, 1, CREDENTIAL)
    for number in range(entries):
        wire = ("openai", "anthropic")[number % 2]
        tree = entry(wire, f"https://h{number}.example.com", [f"m-{at}" for at in range(10)], name=f"e{number}")
        (directory / f"processors/e{number}.yaml").write_text(json.dumps(tree, indent=1), "utf-8")
    sets = (["CA"], ["CA", "US"], ["EEA_CH", "CA"], ["WORLD"])
    held = {
        f"n-{number}": {"residency": sets[number % 4], "status": "active", "notice_days": number % 3 * 30}
        for number in range(tenants)
    }
    (directory / "tenants.yaml").write_text(
        json.dumps(
            {"tenants": json.loads((directory / "tenants.yaml").read_text("utf-8"))["tenants"] | held}, indent=1
        ),
        "utf-8",
    )
    return directory


def measured(work: Callable[[], object]) -> float:
    """Seconds of processor time, the best of the rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def routed(bundle: Bundle) -> float:
    """Seconds that one route takes, over all tenants and models in turn."""
    now = datetime.now(UTC)
    tenants = [item for item in bundle.tenants.values() if item.status == "active" and "CA" in item.residency]
    asked = [(tenants[at % len(tenants)], f"m-{at % 10}") for at in range(CALLS)]

    def work() -> None:
        for tenant, model in asked:
            bundle.registry.route(
                wire="openai", operation="chat.completions", model=model, tenant=tenant, now=now
            )  # fmt: skip

    def nothing() -> None:
        for tenant, _model in asked:
            tenant.terms.residency  # noqa: B018  # what any call touches: thousands of tenants lie far apart in memory

    return (measured(work) - measured(nothing)) / CALLS


def main() -> None:
    """Print the curve."""
    print("entries  tenants  route us  ratio  read s  read again s")
    smallest = 0.0
    for entries, tenants in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            directory, shelf = configuration(Path(folder), entries, tenants), Shelf()
            gc.disable()  # as `aside` does
            began = time.process_time()
            bundle = load(directory, {}, wires=PROVIDERS, shelf=shelf)
            read = time.process_time() - began
            began = time.process_time()
            load(directory, {}, wires=PROVIDERS, shelf=shelf)
            again = time.process_time() - began
            gc.freeze()
            gc.enable()
            route = routed(bundle)
            smallest = smallest or route
            print(f"{entries:7}  {tenants:7}  {route * 1e6:8.2f}  {route / smallest:5.2f}  {read:6.2f}  {again:12.2f}")


if __name__ == "__main__":
    main()
