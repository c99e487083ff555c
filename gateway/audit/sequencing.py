"""The sequencer's own process: `python -m gateway.audit.sequencing`, started and ended by the gateway.

It reads one line of JSON from standard input (a `Plan`), says `SIZE` on a line of standard output
whenever it has looked, and ends once standard input does, or says `end`, after it has ordered what
the journal holds by then. `fault TEXT` is its last line if it must not go on. For claims see
`AskedFence`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import time_ns
from typing import BinaryIO

import msgspec

from gateway.audit.guard import Guard
from gateway.audit.log_store import LOG_FILE, LogStore
from gateway.audit.merkle import EMPTY
from gateway.audit.sequencer import MOST, Fence, Sequencer
from gateway.audit.store import StoreFault
from gateway.audit.tiles import Tiles
from gateway.keys import KeyFault, Keyring
from gateway.resident import let_go

EVERY_SECONDS = 1.0
"""Between looks at the journal: a checkpoint a second while there is traffic."""


NICENESS = 10
"""A call that waits goes first; the log may be seconds behind."""


_ENDINGS = (b"", b"end\n")


class Plan(msgspec.Struct, frozen=True):
    """Where everything is. Paths are absolute; `tiles` and `master` may be absent."""

    journal: str
    log: str
    guard: str
    keys: str
    origin: str
    master: str | None = None
    tiles: str | None = None
    fenced: bool = False


class AskedFence:
    """Claims through the gateway, which asks whoever all hosts ask. See `sequencer.Fence`.

    A line `claim SIZE ROOT OLD_SIZE OLD_ROOT` goes out, the old ones being what is thought to be claimed last; the
    answer is `granted`, or `last SIZE ROOT`, what really was. `end` may come in between: it is remembered.
    """

    def __init__(self, source: BinaryIO, out: BinaryIO) -> None:
        self._source, self._out = source, out
        self._last = (0, EMPTY)
        self.ending = False

    def claim(self, size: int, root: bytes, holds: Callable[[int, bytes], bool]) -> None:
        """See `Fence`."""
        while True:
            old_size, old_root = self._last
            self._out.write(f"claim {size} {root.hex()} {old_size} {old_root.hex()}\n".encode())
            self._out.flush()
            words = self._words()
            if words == ["granted"]:
                self._last = size, root
                return
            if len(words) != 3 or words[0] != "last":
                raise StoreFault("ended before the next checkpoint was claimed; it is signed at the next start")
            self._last = int(words[1]), bytes.fromhex(words[2])
            if not holds(*self._last):
                raise StoreFault(
                    f"another sequencer has claimed {words[1]} leaves that this log does not hold: nothing is signed"
                )

    def _words(self) -> list[str]:
        while (line := self._source.readline()) == b"end\n":
            self.ending = True
        return line.decode("ascii", "replace").split()


def open_sequencer(plan: Plan, fence: Fence | None = None) -> Sequencer:
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
        journal = Path(plan.journal)
        return Sequencer(journal, keyring.journal_key(), log, keyring.log_signer(), guard, _now, fence=fence)
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
    fence = AskedFence(source, out) if plan.fenced else None
    with contextlib.closing(open_sequencer(plan, fence)) as sequencer:
        tiles = None if plan.tiles is None else Tiles(Path(plan.tiles))
        let_go()
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
            if fence is not None and fence.ending:
                ending = True
                continue
            readable, _, _ = select.select([source], [], [], EVERY_SECONDS)
            ending = bool(readable) and source.readline() in _ENDINGS


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
