"""A host that an operator declares lost: asked for by the verb, carried out by the running gateway that keeps the log.

It is one operator's act, as a suspension is: it grants nothing, deletes nothing, and cannot be hidden. What it cannot
be is early: a host of which something came within `QUIET_SECONDS` may live, and a living host that is given up serves
no more calls. What the verb asks is a file of the state; what came of it is another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import Final

import orjson
from msgspec import Struct

from gateway.audit.gathering import LOST, Gatherer
from gateway.audit.journal import Journal
from gateway.audit.lost import Left, NotKnown, left_by
from gateway.audit.store import StoreFault
from gateway.durable import write_durably
from gateway.errors import Unavailable
from gateway.keys import Keyring

ASKED: Final = "lost.asked"
ANSWERED: Final = "lost.json"
QUIET_SECONDS: Final = 150
"""A host has a record a minute: two were due."""
LOOK_SECONDS: Final = 0.5


class Asked(Struct, frozen=True):
    """What the verb asks: of which host, by which number the answer is known, and how sure it is."""

    number: int
    host: str
    boot: str = ""
    though_heard: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What came of one journal."""

    journal: str
    boot: str
    rows: int
    last: int
    closed: int


class Losing:
    """Sees to what is asked, in the process that gathers. Belongs to its event loop.

    Args:
        state: the state directory, with the journal that is gathered into in `journal/`.
        keyring: of the state.
        journal: that journal.
        gatherer: into it.
        ours: the journals of this host's own workers, which no other host can lose.
        lost: told the journals that were given up, so that their hosts hear of it.
        clock: microseconds since 1970.
    """

    def __init__(
        self,
        state: Path,
        keyring: Keyring,
        journal: Journal,
        gatherer: Gatherer,
        ours: Callable[[], Collection[str]],
        lost: Callable[[Collection[str]], None],
        clock: Callable[[], int] = lambda: time_ns() // 1000,
    ) -> None:
        self._state = state
        self._keyring = keyring
        self._journal = journal
        self._gatherer = gatherer
        self._ours = ours
        self._lost = lost
        self._clock = clock
        self._since = clock()
        self._answered = 0

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Carry out what is asked, once, and say what came of it."""
        asked = await asyncio.to_thread(_asked, self._state)
        if asked is None or asked.number == self._answered:
            return
        if answer(self._state, asked.number) is None:
            try:
                given = await self.declare(asked)
                tree: dict[str, object] = {"journals": [_shown(each) for each in given]}
            except NotKnown as why:
                tree = {"refused": str(why)}
            except (StoreFault, Unavailable):
                return  # it comes again
            await asyncio.to_thread(_answer, self._state, asked.number, tree)
        self._answered = asked.number

    async def declare(self, asked: Asked) -> list[Given]:
        """Give up every journal of a host.

        Raises:
            NotKnown: it may live, there is no such host, or its boot cannot be told from another's.
            StoreFault, Unavailable: it cannot be said now; do it again.
        """
        ours = await asyncio.to_thread(self._ours)
        gathered = await self._journal.gathered()
        names = [name for name in gathered if name.rpartition(".")[0] == asked.host and name not in ours]
        if not names:
            raise NotKnown("no journal of such a host was ever gathered here")
        given: list[Given] = []

        async def find(seq: int, others: Container[str]) -> Left:
            key = self._keyring.journal_key()
            left = await asyncio.to_thread(left_by, self._state / "journal", key, seq, others, asked.boot)
            heard = max(left.time, self._since, self._gatherer.silences.at(left.writer))
            if not asked.though_heard and not left.ended and self._clock() - heard < QUIET_SECONDS * 1_000_000:
                raise NotKnown(f"boot {left.writer[:8]} of it was heard less than {QUIET_SECONDS} seconds ago")
            return left

        for name in sorted(names):
            left = await self._gatherer.give_up(name, find)
            if left is not None:
                given.append(Given(name, left.writer, left.rows, left.time, len(left.opened)))
        self._lost(names)
        return given


def gone(gathered: Collection[tuple[str, int]]) -> list[str]:
    """Of (journal, how far it was gathered), those that were given up."""
    return [name for name, seq in gathered if seq == LOST]


def ask(state: Path, host: str, boot: str, *, though_heard: bool) -> int:
    """Ask the running gateway; the number that its answer will bear.

    Raises:
        OSError: it cannot be written.
    """
    number = time_ns()
    asked = {"number": number, "host": host, "boot": boot, "though_heard": though_heard}
    write_durably(state / ASKED, orjson.dumps(asked))
    return number


def answer(state: Path, number: int) -> dict[str, object] | None:
    """What came of what was asked by that number; None until it was seen to."""
    try:
        tree = orjson.loads((state / ANSWERED).read_bytes())
        return dict(tree) if tree["answers"] == number else None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _shown(given: Given) -> dict[str, object]:
    return {
        "journal": given.journal, "boot": given.boot, "rows": given.rows, "last": given.last, "closed": given.closed,
    }  # fmt: skip


def _asked(state: Path) -> Asked | None:
    try:
        tree = orjson.loads((state / ASKED).read_bytes())
        return Asked(int(tree["number"]), str(tree["host"]), str(tree["boot"]), tree["though_heard"] is True)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _answer(state: Path, number: int, tree: dict[str, object]) -> None:
    try:
        write_durably(state / ANSWERED, orjson.dumps({"answers": number, **tree}))
    except OSError:
        return  # whoever asked waits in vain, and is told so
