"""Run by the crash test: appends under load until it is killed, and prints each row it was promised.

A line on standard output is written only after the journal said that the row is durable.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from gateway.audit.journal import Journal, Settings, now
from gateway.audit.language import Id
from gateway.audit.ledger import Ledger
from gateway.keys import new_boot_id
from tests.gateway.audit.samples import CONFIGURATION, KEY, intent, outcome


def _say(word: str, call: str) -> None:
    os.write(1, f"{word} {call}\n".encode())


async def _caller(ledger: Ledger) -> None:
    while True:
        made = intent(new_boot_id(), time=now())
        admission = await ledger.admit(made)
        _say("intent", made.call)
        await asyncio.sleep(0)
        await ledger.conclude(admission, outcome(made, time=now()))
        _say("outcome", Id(admission.call_id))


async def main(directory: str) -> None:
    """Append until killed."""
    journal = await Journal.open(
        Path(directory), KEY, configuration=CONFIGURATION, settings=Settings(ballast=0, timeout=30)
    )
    _say("open", journal.boot)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(_caller(Ledger(journal)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
