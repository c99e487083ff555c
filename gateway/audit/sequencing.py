"""The sequencer's own process: `python -m gateway.audit.sequencing`, started and ended by the gateway.

It reads one line of JSON from standard input (a `Plan`), says `SIZE` on a line of standard output
whenever it has looked, and ends once standard input does, after it has ordered what the journal
holds by then. `fault TEXT` is its last line if it must not go on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path
from time import time_ns
from typing import BinaryIO

import msgspec

from gateway.audit.guard import Guard
from gateway.audit.log_store import LOG_FILE, LogStore
from gateway.audit.sequencer import MOST, Sequencer
from gateway.audit.store import StoreFault
from gateway.audit.tiles import Tiles
from gateway.keys import KeyFault, Keyring

EVERY_SECONDS = 1.0
"""Between looks at the journal: a checkpoint a second while there is traffic."""


NICENESS = 10
"""A call that waits goes first; the log may be seconds behind."""


class Plan(msgspec.Struct, frozen=True):
    """Where everything is. Paths are absolute; `tiles` and `master` may be absent."""

    journal: str
    log: str
    guard: str
    keys: str
    origin: str
    master: str | None = None
    tiles: str | None = None


def open_sequencer(plan: Plan) -> Sequencer:
    """The sequencer of a plan.

    Raises:
        StoreFault, KeyFault: a file cannot be used, or another process is at it.
    """
    keyring = Keyring.open(Path(plan.keys), master=None if plan.master is None else Path(plan.master))
    guard, file = Guard(Path(plan.guard)), Path(plan.log) / LOG_FILE
    if not file.exists() and guard.seen() is not None:
        raise StoreFault(f"{file}: is gone; put it back, a new one is not begun in its place")
    log = LogStore(Path(plan.log), keyring.log_key(), plan.origin)
    try:
        return Sequencer(Path(plan.journal), keyring.journal_key(), log, keyring.log_signer(), guard, _now)
    except BaseException:
        log.close()
        raise


def _now() -> int:
    """Microseconds since 1970, UTC. The journal's own stands beside an event loop, which this process needs not."""
    return time_ns() // 1000


def run(plan: Plan, source: BinaryIO, out: BinaryIO) -> None:
    """Order until `source` ends, and then what is left.

    Raises:
        StoreFault, KeyFault: nothing more may be signed before somebody looked.
    """
    with contextlib.closing(open_sequencer(plan)) as sequencer:
        tiles = None if plan.tiles is None else Tiles(Path(plan.tiles))
        ending = False
        while True:
            before = sequencer.size
            _catch_up(sequencer, whole=ending)
            if tiles is not None and (sequencer.size != before or before == 0):
                try:
                    tiles.publish(sequencer.log)
                except OSError as error:
                    raise StoreFault(f"{plan.tiles}: errno {error.errno}") from None
            out.write(f"{sequencer.size}\n".encode())
            out.flush()
            if ending:
                return
            readable, _, _ = select.select([source], [], [], EVERY_SECONDS)
            ending = bool(readable) and not source.read1(1)  # type: ignore[attr-defined]


def _catch_up(sequencer: Sequencer, *, whole: bool) -> None:
    """Order what is there. Under traffic there is always more: the next checkpoint's, unless all is wanted."""
    added = MOST
    while added >= MOST or (whole and added):
        size = sequencer.size
        sequencer.step()
        added = sequencer.size - size


def main() -> int:
    """Run as the gateway's child."""
    os.nice(NICENESS)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the gateway's to handle; we end after it, with its pipe
    source, out = sys.stdin.buffer, sys.stdout.buffer
    try:
        run(msgspec.json.decode(source.readline(), type=Plan), source, out)
    except (StoreFault, KeyFault) as fault:
        out.write(f"fault {fault}\n".encode())
        return 1
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
