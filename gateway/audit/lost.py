"""What a journal that will not go on left in the one that it was gathered into: which boot, how far, and what is open.

A journal is known by its name, and its rows by the boot that wrote them. Which boot wrote its last row follows from the
record: a boot names the one before it, so how many came before it is its number in its journal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from gateway.audit.boot import indeterminate, row_line
from gateway.audit.language import Id, Vocabulary
from gateway.audit.record import Operator, Record
from gateway.audit.store import FILE_NAME, RSEQ_BITS, Cipher, reading, translated
from gateway.audit.words import Act, Tenant

_BOOTS: Final = """
SELECT body ->> 'writer', body ->> 'previous', body ->> 'act', body ->> 'count' FROM record
WHERE kind = 'p' AND (body ->> 'writer' IS NOT NULL AND body ->> 'act' IN ('boot', 'shutdown')
  OR body ->> 'writer' IS NULL AND body ->> 'act' = 'gap' AND body ->> 'previous' IS NOT NULL) ORDER BY seq
"""
_LAST: Final = "SELECT time, body ->> 'wseq' FROM record WHERE body ->> 'writer' = ? ORDER BY seq DESC LIMIT 1"
_OPEN: Final = """
SELECT lower(hex(intent.call)), intent.attempt, intent.body ->> 'tenant' FROM record AS intent
WHERE intent.kind = 'i' AND intent.body ->> 'writer' = ? AND NOT EXISTS (
  SELECT 1 FROM record AS outcome
  WHERE outcome.call = intent.call AND outcome.attempt = intent.attempt AND outcome.kind = 'o') ORDER BY intent.seq
"""


class NotKnown(Exception):
    """Which boot wrote a journal's last row cannot be told. Names boots, which are random, and nothing else."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is known of a journal.

    Attributes:
        writer: the boot of its last row that was gathered.
        rows: how many of that boot were.
        time: of the last, microseconds since 1970.
        ended: whether that boot ended cleanly, so that nothing of it can be missing.
        opened: (call, attempt, tenant) of each attempt that has no outcome.
    """

    writer: str
    rows: int
    time: int
    ended: bool
    opened: tuple[tuple[str, int, str], ...]

    def lines(self, now: int) -> list[str]:
        """The rows that give it up: an end for each open attempt, and the gap, last."""
        names = Vocabulary({Tenant: sorted({tenant for _call, _attempt, tenant in self.opened})})
        ends: list[Record] = [
            indeterminate(now, Id(call), attempt, names.word(Tenant, tenant)) for call, attempt, tenant in self.opened
        ]
        gap = Operator(
            time=now, act=Act.GAP, previous=Id(self.writer), count=self.rows, start=self.time, end=now, refused=0,
            closed=len(ends),
        )  # fmt: skip
        return [row_line(record) for record in (*ends, gap)]


def left_by(
    directory: Path,
    key: bytes,
    seq: int,
    others: Container[str] = (),
    writer: str = "",
    cipher: Cipher = Cipher.AEGIS,
) -> Left:
    """What is left of the journal whose row `seq` was gathered last. Goes through all boots: for a thread.

    Args:
        directory: of the journal that it was gathered into.
        key: of that.
        seq: the key of the row in its own journal.
        others: boots that are known to be of other journals.
        writer: the first digits of the boot that is meant, where the record does not say.

    Raises:
        NotKnown: two boots may have written it, or none.
        StoreFault: the journal cannot be read.
    """
    number, rows = seq >> RSEQ_BITS, (seq & (1 << RSEQ_BITS) - 1) + 1
    depth, counted, ended, followed = dict[str, int](), dict[str, int](), set[str](), set[str]()
    path = directory / FILE_NAME
    with contextlib.closing(reading(path, key, cipher)) as connection, translated(path):
        found = connection.execute(_BOOTS).fetchall()
        for boot, previous, act, count in cast("list[tuple[str | None, str | None, str, int | None]]", found):
            if boot is None:
                counted[str(previous)] = count or 0
            elif act == Act.SHUTDOWN.value:
                ended.add(boot)
            else:
                depth[boot] = 1 + (0 if previous is None else depth.get(previous, 0))
                followed |= {previous} if previous else set()
        last_ones = [boot for boot in depth if boot not in followed and boot not in others]
        boots = [boot for boot in last_ones if (boot.startswith(writer) if writer else depth[boot] == number)]
        lasts: dict[str, tuple[int, int]] = {}
        for boot in boots:
            last = cast("list[tuple[int, int]]", connection.execute(_LAST, (boot,)).fetchall())
            lasts[boot] = (last[0][0], max(last[0][1] + 1, counted.get(boot, 0)))
        fitting = [boot for boot in boots if lasts[boot][1] == rows] or (boots if writer else [])
        if len(fitting) != 1:
            known = ", ".join(boot[:8] for boot in fitting) or "none that is in the record"
            raise NotKnown(f"the boot that wrote its last row is one of: {known}")
        (boot,) = fitting
        opened = cast("list[tuple[str, int, str]]", connection.execute(_OPEN, (boot,)).fetchall())
    return Left(boot, rows, lasts[boot][0], boot in ended, tuple(opened))
