"""Other journals' rows, gathered into the one that the log is made of: a worker's on this host, or another host's.

Each of those journals is the commit point of its own calls: a row is durable there before anything leaves. Gathering
only brings it to the log. It takes a journal's rows in order and none twice, refuses the row after one that is
missing, and lets the journal forget a row once a signed checkpoint covers it. Whatever stops in between, either side
may be asked again.

A gathered record keeps the place it has in its own journal (`writer`, `wseq`), so the verifier can count there, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Container, Sequence
from pathlib import Path
from typing import Final, TypeAlias, cast

import msgspec
import orjson
from msgspec import Struct

from gateway.audit.journal import Journal
from gateway.audit.language import NotRecordable
from gateway.audit.lost import Left
from gateway.audit.record import glimpse
from gateway.audit.silence import Said, Silences
from gateway.audit.store import (
    FILE_NAME,
    KIND_LETTERS,
    LINE,
    RSEQ_BITS,
    Carried,
    Cipher,
    StoreFault,
    identity_of,
    reading,
    translated,
)

AT_ONCE: Final = 1024
"""Rows of one commit."""

LOST: Final = 1 << 62
"""How far a journal counts as gathered that was given up: beyond any row, so that none of it is taken any more, and its
host, should it come back, finds that what it has is older than what the log has."""

LONGEST_CALL: Final = 25 * 3_600_000_000
"""Microseconds: a day at most is what `limits.total_seconds` may say, and then some."""

Attempt: TypeAlias = "tuple[str, int]"
"""A call's id in hex digits, and the number of the attempt."""

_RSEQ: Final = (1 << RSEQ_BITS) - 1
_ROWS: Final = f"SELECT seq, {LINE} FROM record WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608  # of constants


class _Whose(Struct):
    tenant: str


_whose: Final = msgspec.json.Decoder(_Whose).decode


class OutOfTurn(StoreFault):
    """A journal's rows do not continue what was gathered of it. Names the journal and the place, never a value."""


class Spool:
    """Another process's journal on this host, for reading. For one thread at a time.

    Raises:
        StoreFault: no such file, or a wrong key.
    """

    def __init__(self, directory: Path, key: bytes, cipher: Cipher = Cipher.AEGIS) -> None:
        self._path = directory / FILE_NAME
        self._connection = reading(self._path, key, cipher)
        self.identity = identity_of(self._connection)

    def after(self, seq: int, most: int = AT_ONCE) -> list[Carried]:
        """The rows after a key, in order, at most so many.

        Raises:
            StoreFault: it cannot be read.
        """
        with translated(self._path):
            rows = self._connection.execute(_ROWS, (seq, most)).fetchall()
        return [Carried(*row) for row in cast("list[tuple[int, str]]", rows)]

    def started(self, number: int) -> str | None:
        """The id of a boot, if its first row is still there.

        Raises:
            StoreFault: it cannot be read.
        """
        with translated(self._path):
            found = self._connection.execute("SELECT body FROM record WHERE seq = ?", (number << RSEQ_BITS,)).fetchone()
        return None if found is None else started_by(str(found[0]))

    def last(self) -> int:
        """The key of its last row.

        Raises:
            StoreFault: it cannot be read.
        """
        with translated(self._path):
            found = self._connection.execute("SELECT max(seq) FROM record").fetchone()
        return -1 if found is None or found[0] is None else int(found[0])

    def ended(self) -> bool:
        """Whether its last boot ended cleanly.

        Raises:
            StoreFault: it cannot be read.
        """
        with translated(self._path):
            found = self._connection.execute("SELECT body ->> 'act' FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        return found is not None and found[0] == "shutdown"

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


def started_by(body: str) -> str | None:
    """The boot that a record begins, if it does."""
    try:
        return glimpse(body.encode()).started
    except NotRecordable:
        return None


def begun(call: str) -> int:
    """When a call began, microseconds since 1970: its id, a UUIDv7 in hex digits, says so (RFC 9562 section 5.7)."""
    return int(call[:12], 16) * 1000


class Turn:
    """How far one journal was gathered, and whose the next row must be.

    Args:
        name: of the journal.
        seq: the key of its last row that was gathered; -1: none yet.
        writer: the id of the boot of that row, if it is known.
    """

    def __init__(self, name: str, seq: int = -1, writer: str | None = None) -> None:
        self.name = name
        self.seq = seq
        self.writer = writer

    def take(self, rows: Sequence[Carried], after: int, opened: dict[Attempt, str], said: list[Said]) -> list[str]:
        """The rows that were not gathered yet, as the gathering journal's store takes them. Moves on.

        Args:
            rows: in order.
            after: the key that they were read after: between it and the last of them, the journal had no others.
                Without it the end of a boot could be missing unnoticed, since a boot's first row does not say how
                many rows the one before had.
            opened: the attempts that are open, and whose they are; kept up.
            said: who said what; added to.

        Raises:
            OutOfTurn: a row is missing, or a boot does not begin with its boot record. Nothing was taken.
        """
        seq, writer = self.seq, self.writer
        if rows and after > seq:
            raise OutOfTurn(
                f"journal {self.name}: what is before row {after & _RSEQ} of boot {after >> RSEQ_BITS} is missing"
            )
        lines: list[str] = []
        for row in rows:
            if row.seq <= seq:
                if writer is None and row.seq == seq >> RSEQ_BITS << RSEQ_BITS:
                    writer = started_by(row.body)
                continue  # it came twice
            number, rseq = row.seq >> RSEQ_BITS, row.seq & _RSEQ
            if row.seq != seq + 1 or seq < 0:
                if rseq or number != (seq >> RSEQ_BITS) + 1 if seq >= 0 else row.seq != 1 << RSEQ_BITS:
                    raise OutOfTurn(f"journal {self.name}: the rows before row {rseq} of boot {number} are missing")
                writer = started_by(row.body)
            if writer is None:
                raise OutOfTurn(f"journal {self.name}: boot {number} does not begin with its boot record")
            seq = row.seq
            lines.append(_placed(row.line, writer, rseq))
            if row.kind == KIND_LETTERS["operator"]:
                values = orjson.loads(row.body)
                said.append(Said(writer, rseq, row.time, values.get("act"), values.get("previous")))
            elif row.kind == KIND_LETTERS["intent"]:
                opened[row.attempt] = _whose(row.body).tenant
            elif row.kind == KIND_LETTERS["outcome"]:
                opened.pop(row.attempt, None)
        if lines and writer is not None and rows[-1].kind != KIND_LETTERS["operator"]:
            said.append(Said(writer, seq & _RSEQ, rows[-1].time))
        self.seq, self.writer = seq, writer
        return lines


def _placed(line: str, writer: str, wseq: int) -> str:
    """A row's line with the place that it has in its own journal, the last keys of a record's canonical form."""
    record, _taken_before, _place = line.partition(',"writer":"')
    return f'{record.removesuffix("}")},"writer":"{writer}","wseq":{wseq}}}'


Find: TypeAlias = "Callable[[int, Container[str]], Awaitable[Left]]"


class Gatherer:
    """Puts what other journals hold into this one, and knows what they may forget. For the journal's loop.

    Args:
        journal: of this process, which the log is made of.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._turns: dict[str, Turn] = {}
        self._unsigned: deque[tuple[int, str, int]] = deque()
        self._signed: dict[str, int] = {}
        self._doubtful = True
        self._open: dict[Attempt, str] = {}
        self._one = asyncio.Lock()
        self.silences = Silences()
        """Which of the journals still write, and when each was last heard."""

    def open_of(self, tenant: str) -> bool:
        """Whether an attempt of the tenant was gathered and its outcome was not, which may still come."""
        since = self._journal.now() - LONGEST_CALL  # of a journal that is lost it never comes
        return any(whose == tenant and begun(call) > since for (call, _attempt), whose in self._open.items())

    async def turn(self, name: str) -> Turn:
        """How far a journal was gathered; read anew from this journal where that is in doubt.

        Raises:
            Unavailable: it cannot be said now.
        """
        async with self._one:
            return await self._turn(name)

    async def _turn(self, name: str) -> Turn:
        if self._doubtful:
            found = await self._journal.gathered()
            since = self._journal.now() - LONGEST_CALL
            opened = await self._journal.open_gathered(since)
            self._open = {(call, attempt): tenant for call, attempt, tenant in opened}
            self._turns = {known: Turn(known, seq) for known, seq in found.items()}
            self._unsigned.extend((self._journal.last_seq, known, seq) for known, seq in found.items() if seq != LOST)
            self._doubtful = False
        return self._turns.setdefault(name, Turn(name))

    async def take(self, name: str, rows: Sequence[Carried], after: int, writer: str | None = None) -> int:
        """Gather rows of a journal; how many were new.

        Args:
            name: of the journal.
            rows: in order.
            after: the key that they were read after. See `Turn.take`.
            writer: the boot that the first of them is of; needed only where it is not the boot's first row.

        Raises:
            OutOfTurn: a row before them is missing; nothing was gathered.
            Unavailable: whether they were gathered is unknown, until the journal is asked how far it is.
        """
        async with self._one:
            return await self._take(name, rows, after, writer)

    async def _take(self, name: str, rows: Sequence[Carried], after: int, writer: str | None) -> int:
        turn = await self._turn(name)
        if turn.writer is None and rows and rows[0].seq >> RSEQ_BITS == turn.seq >> RSEQ_BITS:
            turn.writer = writer
        said: list[Said] = []
        lines = turn.take(rows, after, self._open, said)
        if not lines:
            return 0
        self._doubtful = True
        await self._journal.gather(lines, name, turn.seq)
        self._doubtful = False
        self.silences.hear(said, self._journal.now())
        self._unsigned.append((self._journal.last_seq, name, turn.seq))
        return len(lines)

    async def give_up(self, name: str, find: Find) -> Left | None:
        """Take nothing of a journal any more: its host is lost, and its name does not come back.

        Its open calls are closed as `indeterminate`, and a `gap` says so, in one commit.

        Args:
            name: of the journal.
            find: says what is left of it, given the key of the last row that was gathered, and the boots of others.

        Returns: what was left; None if nothing of it was ever gathered, or it was given up before.

        Raises:
            NotKnown, StoreFault: as `find`.
            Unavailable: whether it was given up is unknown; do it again.
        """
        async with self._one:
            turn = await self._turn(name)
            if turn.seq in {-1, LOST}:
                return None
            others = {each.writer for each in self._turns.values() if each is not turn and each.writer is not None}
            left = await find(turn.seq, others)
            self._doubtful = True
            await self._journal.gather(left.lines(self._journal.now()), name, LOST)
            self.silences.forget(left.writer)
            return left

    def signed(self, last_seq: int) -> dict[str, int]:
        """What each journal may forget, now that a signed checkpoint covers this journal up to the key `last_seq`."""
        while self._unsigned and self._unsigned[0][0] <= last_seq:
            _ours, name, seq = self._unsigned.popleft()
            self._signed[name] = max(seq, self._signed.get(name, -1))
        return dict(self._signed)


def name_of(place: str, identity: int) -> str:
    """A journal's name where it is gathered: where it is, and which file, so that a new one in its place is another."""
    return f"{place}.{identity:08x}"
