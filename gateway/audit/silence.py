"""Journals that are gathered and fell silent: which, since when, and the `gap` record that says so.

Every journal has a record a minute, so one that says nothing for long has lost its process, its way here, or its disk,
and with a disk what it had not sent. Who makes the log cannot tell which, so it records that something may be lost. If
the journal goes on later, its own numbers show that nothing is; and if never, the record says what is the last of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from gateway.audit.language import Id
from gateway.audit.record import Operator
from gateway.audit.store import FILE_NAME, Cipher, reading, translated
from gateway.audit.words import Act

SILENT: Final = 600_000_000
"""Microseconds without a record after which a journal counts as silent: ten that were due."""

_SPOKEN: Final = """
SELECT seq, time, body ->> 'writer', body ->> 'act', body ->> 'previous', body ->> 'closed' FROM record
WHERE kind = 'p' AND (body ->> 'writer' IS NOT NULL OR body ->> 'act' = 'gap') ORDER BY seq
"""
_ROWS: Final = """
SELECT time, body ->> 'wseq' FROM record WHERE seq >= ? AND body ->> 'writer' = ? ORDER BY seq DESC LIMIT 1
"""


@dataclass(slots=True)
class Heard:
    """What was heard of one boot of a gathered journal.

    Attributes:
        rows: how many rows of it there are.
        time: of the last of them, microseconds since 1970.
        at: when it came, by our clock, or when we began to listen.
        told: whether a record says that it is silent since.
    """

    rows: int
    time: int
    at: int
    told: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A row that came: the boot that wrote it, its number there, its time; of an operator's, the act and `previous`."""

    writer: str
    wseq: int
    time: int
    act: str | None = None
    previous: str | None = None


class Silences:
    """Who may still write, and when each was last heard. For the journal's loop."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}

    def begin(self, known: dict[str, Heard]) -> None:
        """What was heard before this start, as `heard_before` has it; what was heard since stands."""
        self._heard = {**known, **self._heard}

    def hear(self, rows: Iterable[Said], at: int) -> None:
        """Rows came, of each journal in order; `at`: now, microseconds since 1970."""
        for each in rows:
            self._heard[each.writer] = Heard(each.wseq + 1, each.time, at)
            if each.act == Act.SHUTDOWN.value:
                del self._heard[each.writer]
            elif each.act == Act.BOOT.value and each.previous is not None:
                self._heard.pop(each.previous, None)  # its successor has closed what it left open

    def due(self, now: int) -> list[tuple[str, Operator]]:
        """The record of each that has fallen silent, of which none says so yet; call `told` when it is durable."""
        return [
            (
                writer,
                Operator(
                    time=now, act=Act.GAP, previous=Id(writer), count=each.rows, start=each.time, end=now, refused=0
                ),
            )
            for writer, each in self._heard.items()
            if not each.told and now - max(each.time, each.at) > SILENT
        ]

    def at(self, writer: str) -> int:
        """When a row of it came last, by our clock; 0: it is not known."""
        return self._heard[writer].at if writer in self._heard else 0

    def forget(self, writer: str) -> None:
        """It was given up: nothing is expected of it."""
        self._heard.pop(writer, None)

    def told(self, writer: str) -> None:
        """The record is durable."""
        if writer in self._heard:
            self._heard[writer].told = True


def heard_before(directory: Path, key: bytes, at: int, cipher: Cipher = Cipher.AEGIS) -> dict[str, Heard]:
    """What this journal holds of gathered ones that have not ended. Goes through all of it, once: for a thread.

    Args:
        directory: of the journal.
        at: now, from when on silence is counted.

    Raises:
        StoreFault: it cannot be read.
    """
    found: dict[str, Heard] = {}
    last: dict[str, int] = {}
    path = directory / FILE_NAME
    with contextlib.closing(reading(path, key, cipher)) as connection, translated(path):
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gathered'").fetchall():
            return {}
        for row in connection.execute(_SPOKEN):
            seq, time, writer, act, previous, closed = cast(
                "tuple[int, int, str | None, str, str | None, int | None]", row
            )
            if writer is None:
                if closed is not None:  # it was given up
                    found.pop(str(previous), None)
                elif previous in found:
                    found[previous].told = True
            elif act == Act.SHUTDOWN.value:
                found.pop(writer, None)
            else:
                if act == Act.BOOT.value and previous is not None:
                    found.pop(previous, None)
                found[writer], last[writer] = Heard(0, time, at), seq
        for writer, each in found.items():
            rows = connection.execute(_ROWS, (last[writer], writer)).fetchall()
            for time, wseq in cast("list[tuple[int, int]]", rows):
                each.time, each.rows = time, wseq + 1
    return found
