"""Processors that an operator suspended by hand: at once, without a change of the configuration, until resumed.

A file in the state, written by the verbs and followed by the running gateway; and, where replicas share a Redis, told
to all of them (see `replicas.suspended`). It only ever narrows: an entry that the configuration does not let serve does
not serve because it was resumed here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import orjson
from msgspec import Struct

from gateway.durable import locked, write_durably
from gateway.policy.forms import is_id
from gateway.policy.halts import Halts

FILE: Final = "suspended.json"
_MOST: Final = 10_000
_LATEST: Final = 2**62

Mark: TypeAlias = "tuple[int, int, int] | None"


class Word(Struct, frozen=True, order=True):
    """What was last said of an entry: when (microseconds), and whether it is suspended.

    Of two words the later one holds, and of two of the same instant the one that suspends.
    """

    at: int
    suspended: bool


class SuspensionsUnreadable(Exception):
    """The file is damaged. The text names it and never quotes it."""


class Suspensions:
    """The words of one state. Any number of processes may read; writes are under a lock."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE

    def mark(self) -> Mark:
        """What changes whenever a word is added. One `stat`."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def words(self) -> dict[str, Word]:
        """What was last said, by entry.

        Raises:
            SuspensionsUnreadable: it cannot be read, so nobody knows who is suspended.
        """
        try:
            tree = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, orjson.JSONDecodeError):
            raise SuspensionsUnreadable(f"{self._path}: cannot be read") from None
        found = {name: word for name, said in tree.items() if (word := _word(said))} if isinstance(tree, dict) else None
        if found is None or len(found) != len(tree) or not all(map(is_id, found)):
            raise SuspensionsUnreadable(f"{self._path}: is damaged")
        return found

    def say(self, entry: str, *, suspended: bool, now: int) -> Word:
        """Suspend or resume an entry; what was said: later than all that was heard of it, whatever the clock says.

        Raises:
            SuspensionsUnreadable, OSError: it cannot be kept.
        """
        with locked(self._path.with_suffix(".lock")):
            words = self.words()
            before = words.get(entry)
            word = Word(now if before is None else max(now, before.at + 1), suspended)
            self._write({**words, entry: word})
            return word

    def hear(self, heard: Mapping[str, Word]) -> bool:
        """Take over what was said elsewhere, where it is later; whether anything was.

        Raises:
            SuspensionsUnreadable, OSError: it cannot be kept.
        """
        known = self.words()
        if not newer(known, heard):
            return False
        with locked(self._path.with_suffix(".lock")):
            known = self.words()
            self._write({**known, **newer(known, heard)})
            return True

    def _write(self, words: Mapping[str, Word]) -> None:
        if len(words) > _MOST:
            raise SuspensionsUnreadable(f"{self._path}: would be too long")
        write_durably(
            self._path, orjson.dumps({name: [word.at, word.suspended] for name, word in sorted(words.items())})
        )


class Suspending:
    """Has the words count in this process: what is suspended is halted, and what is resumed is not.

    Args:
        state: whose words.
        halts: of this process.

    Attributes:
        moved: (entry, whether it is suspended now) of each change; who records one takes it off.
        sure: whether they could be read; while they cannot, nobody knows who is suspended.
    """

    def __init__(self, state: Path, halts: Halts) -> None:
        self.suspensions = Suspensions(state)
        self._halts = halts
        self._mark: Mark = None
        self._held: dict[str, bool] = {}
        self.moved: deque[tuple[str, bool]] = deque()
        self._fault: str | None = None
        self.look()

    @property
    def sure(self) -> bool:
        """See above."""
        return self._fault is None

    def look(self) -> None:
        """Take over what was said since the last look. One `stat` where nothing was."""
        mark = self.suspensions.mark()
        if mark == self._mark and self._fault is None:
            return
        try:
            words = self.suspensions.words()
        except SuspensionsUnreadable as fault:
            self._fault = str(fault)
            return
        self._mark, self._fault = mark, None
        for name, word in words.items():
            if self._held.get(name, False) is not word.suspended:
                self.moved.append((name, word.suspended))
                if word.suspended:
                    self._halts.halt(name)
                else:
                    self._halts.release(name)
            self._held[name] = word.suspended

    def warnings(self) -> list[str]:
        """What readiness tells."""
        if self._fault is not None:
            return [f"{self._fault}: nothing is granted until it is whole"]
        return [f"{name} is suspended by hand" for name, suspended in sorted(self._held.items()) if suspended]


def newer(known: Mapping[str, Word], heard: Mapping[str, Word]) -> dict[str, Word]:
    """Of what was heard, that which holds instead of what is known."""
    return {name: word for name, word in heard.items() if name not in known or known[name] < word}


def _word(said: object) -> Word | None:
    match said:
        case [int(at), bool(suspended)] if 0 <= at <= _LATEST and not isinstance(at, bool):
            return Word(at, suspended)
    return None
