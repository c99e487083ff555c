"""Run by the crash test of the log: calls, or the sequencer, until it is killed. Prints what the journal promised."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from gateway.audit.journal import Journal, Settings
from gateway.audit.ledger import Ledger
from tests.gateway.audit.logs import House
from tests.gateway.audit.samples import EPOCH, KEY


async def calls(house: House) -> None:
    """Make calls."""
    journal = await Journal.open(
        house.directory / "journal",
        KEY,
        configuration=house.configuration,
        clock=house.tick,
        settings=Settings(ballast=0, timeout=30),
    )
    ledger = Ledger(journal)

    async def caller() -> None:
        while True:
            made = house.intent()
            admission = await ledger.admit(made)
            os.write(1, f"{made.call} i\n".encode())
            await ledger.conclude(admission, house.outcome(made))
            os.write(1, f"{made.call} o\n".encode())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(caller())


def main(what: str, directory: str, start: str) -> None:
    """Work until killed."""
    house = House(Path(directory), time=EPOCH + int(start))
    if what == "calls":
        asyncio.run(calls(house))
    while True:
        with house.sequencer() as sequencer:
            for _ in range(20):
                sequencer.step()
                house.tick()
                time.sleep(0.002)


if __name__ == "__main__":
    main(*sys.argv[1:4])
