"""Reading a large configuration beside the event loop: quickly, and without holding the loop up."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.aside import GIVE_WAY_SECONDS, aside, polite
from gateway.config import Bundle, load
from gateway.config.shelf import Shelf
from gateway.simulator import CREDENTIAL
from providers import PROVIDERS
from tests.configuration import entry, write_configuration

ENTRIES, TENANTS = 200, 5000
HELD_SECONDS = 0.05
"""A generous bound of what a slow, shared machine may need for ten milliseconds' work."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of 200 entries and 5,000 tenants."""
    directory = write_configuration(tmp_path_factory.mktemp("large"), 1, CREDENTIAL)
    for number in range(ENTRIES):
        tree = entry(("openai", "anthropic")[number % 2], f"https://h{number}.example.com", [f"m{number}-{at}" for at in range(10)], name=f"e{number}")  # fmt: skip
        (directory / f"processors/e{number}.yaml").write_text(json.dumps(tree, indent=1), "utf-8")
    tenants = json.loads((directory / "tenants.yaml").read_text("utf-8"))["tenants"]
    sets = (["CA"], ["CA", "US"], ["EU27"], ["WORLD"])
    tenants |= {f"n-{number}": {"residency": sets[number % 4], "status": "active", "notice_days": number % 3 * 30} for number in range(TENANTS)}  # fmt: skip
    (directory / "tenants.yaml").write_text(json.dumps({"tenants": tenants}, indent=1), "utf-8")
    return directory


def test_while_it_lasts_threads_give_way_and_nothing_is_collected() -> None:
    """Both are as before afterwards, also when the work fails."""
    before = (sys.getswitchinterval(), gc.isenabled())

    with pytest.raises(KeyError), polite():
        during = (sys.getswitchinterval(), gc.isenabled())
        raise KeyError

    assert during == (pytest.approx(GIVE_WAY_SECONDS), False)
    assert (sys.getswitchinterval(), gc.isenabled()) == before


async def test_the_loop_goes_on_while_a_large_configuration_is_read(large: Path) -> None:
    """Between two turns of the loop the reading thread has had little of the processor, however long it all takes."""
    clock: list[int] = []
    done = asyncio.Event()

    def work() -> Bundle:
        clock.append(time.pthread_getcpuclockid(threading.get_ident()))
        bundle = load(large, {}, wires=PROVIDERS)
        asyncio.run_coroutine_threadsafe(_set(done), loop).result()  # the clock ends with the thread
        return bundle

    loop = asyncio.get_running_loop()
    reading = loop.create_task(aside(work))
    held, last, turns = 0.0, 0.0, 0
    while not done.is_set():
        await asyncio.sleep(0)
        if clock:
            used = time.clock_gettime(clock[0])
            held, last, turns = max(held, used - last), used, turns + 1
    bundle = await reading

    assert len(bundle.tenants) > TENANTS
    assert turns > 100
    assert held < HELD_SECONDS


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_what_did_not_change_is_not_read_again(large: Path) -> None:
    """A second reading gives the very same entries and tenants, at a fraction of the cost; a change gives new ones."""
    shelf = Shelf()
    began = time.process_time()
    first = load(large, {}, wires=PROVIDERS, shelf=shelf)
    whole = time.process_time() - began
    second = load(large, {}, wires=PROVIDERS, shelf=shelf)
    again = time.process_time() - began - whole
    path = large / "processors/e7.yaml"
    path.write_text(path.read_text("utf-8").replace('"suspended": false', '"suspended": true'), "utf-8")
    third = load(large, {}, wires=PROVIDERS, shelf=shelf)

    assert second.tenants is first.tenants
    assert again < whole / 2
    changed = [name for name, item in third.registry.entries.items() if item is not first.registry.entries[name]]
    assert changed == ["e7"]
    assert third.digest != second.digest == first.digest
