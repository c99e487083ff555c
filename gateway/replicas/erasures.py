"""What is erased at the log's host is erased at every host: the key of a tenant, and what a journal still holds.

The log's host says in Redis which key is gone, by the key's own mark (a keyed hash that nobody can make without it),
sealed under the master key that all hosts have. Each host destroys that key if it has it, remembers the mark, so that
no copy of the key comes back by way of Redis, and answers for each journal how far it goes by then. The log's host
waits until every journal that was ever gathered has answered and was gathered so far: only then it chooses what to
erase, and records it. Rows that are in the log leave a host's own disk once they are signed, as ever (see `carriage`).

The erasure of a person asks in the same way, with no key to destroy. A host that is away is waited for, but not for
ever: a journal of which nothing came for longer than a call can last is taken for lost (`audit.silence` has recorded
that). Should it come back, its copy of the key goes all the same; what it had not sent then comes to the log late.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Final

from gateway.audit.gathering import LONGEST_CALL
from gateway.keys import KeyFault, Keyring
from gateway.replicas.carriage import Line
from gateway.replicas.door import Away

_AGAIN_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5
LOST_SECONDS: Final = LONGEST_CALL / 1_000_000
_ASKED, _DONE = b"asked", b"done"


class Asking:
    """The log's host's side.

    Args:
        line: to Redis.
        keyring: of the state.
        gathered: how far each other host's journal was gathered, by its name.
        clock: seconds that never run backwards.

    Attributes:
        awaited: the journals that an erasure waits for.
    """

    def __init__(
        self,
        line: Line,
        keyring: Keyring,
        gathered: Callable[[], Awaitable[Mapping[str, int]]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._line = line
        self._keyring = keyring
        self._gathered = gathered
        self._done: set[str] = set()
        self._persons: dict[str, str] = {}
        self._clock = clock
        self._came: dict[str, tuple[int, float]] = {}
        self.awaited: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Say again and again which keys are gone: Redis may forget, and a host may have been away."""
        while True:
            with contextlib.suppress(Away, KeyFault):  # who needs it waits
                await self._say(await self._gone())
            await asyncio.sleep(_AGAIN_SECONDS)

    async def waits(self, tenant: str) -> bool:
        """Whether a host has not yet forgotten a tenant whose key is gone, or not sent yet what it has of one that has.

        Raises:
            Unavailable: how far the journals were gathered cannot be said now.
            KeyFault: the keys cannot be read.
        """
        field = self._keyring.tenant_field(tenant)
        if self._keyring.has_tenant(tenant):
            marks = {self._persons.setdefault(tenant, os.urandom(16).hex()): ""}
        else:
            marks = {mark: of for mark, of in (await self._gone()).items() if of == field and mark not in self._done}
        gathered, awaited = self._not_lost(await self._gathered()), set[str]()
        try:
            await self._ask(marks)
            for mark in marks:
                answers = await self._answers(mark)
                awaited |= {name for name, seq in gathered.items() if name not in answers or seq < answers[name]}
        except Away:
            return bool(gathered)
        self.awaited = frozenset(awaited)
        if awaited:
            return True
        await self._end(marks, tenant)
        return False

    def _not_lost(self, gathered: Mapping[str, int]) -> Mapping[str, int]:
        """The journals that are waited for: of each living one, a record comes every minute."""
        now = self._clock()
        for name, seq in gathered.items():
            if self._came.get(name, (None, 0.0))[0] != seq:
                self._came[name] = seq, now
        return {name: seq for name, seq in gathered.items() if now - self._came[name][1] <= LOST_SECONDS}

    async def _gone(self) -> Mapping[str, str]:
        return await asyncio.to_thread(self._keyring.gone)

    async def _say(self, gone: Mapping[str, str]) -> None:
        key = self._line.key("erased")
        said = await self._line.run("HKEYS", key)
        there = (
            {each.decode("ascii", "replace") for each in said if isinstance(each, bytes)}
            if isinstance(said, list)
            else set()
        )
        for mark, field in gone.items():
            if mark not in there:
                await self._line.run("HSET", key, mark, self._sealed(mark, field, _DONE))

    async def _ask(self, marks: Mapping[str, str]) -> None:
        for mark, field in marks.items():
            await self._line.run("HSET", self._line.key("erased"), mark, self._sealed(mark, field, _ASKED))

    async def _answers(self, mark: str) -> dict[str, int]:
        found = await self._line.run("HGETALL", self._line.key(f"answered:{mark}"))
        answers: dict[str, int] = {}
        for name, sealed in found.items() if isinstance(found, dict) else ():
            try:
                journal = name.decode("ascii", "replace")
                answers[journal] = int(self._keyring.unseal(f"answered/{mark}/{journal}", sealed))
            except (KeyFault, ValueError):
                continue  # nobody of ours said it
        return answers

    async def _end(self, marks: Mapping[str, str], tenant: str) -> None:
        """Ask no more. What is gone stays said, for who was restored from a copy."""
        self._persons.pop(tenant, None)
        self._done |= {mark for mark, field in marks.items() if field}
        try:
            for mark, field in marks.items():
                if field:
                    await self._line.run("HSET", self._line.key("erased"), mark, self._sealed(mark, field, _DONE))
                else:
                    await self._line.run("HDEL", self._line.key("erased"), mark)
                await self._line.run("DEL", self._line.key(f"answered:{mark}"))
        except Away:
            return  # they answer once more than need be

    def _sealed(self, mark: str, field: str, state: bytes) -> bytes:
        return self._keyring.seal(f"erased/{mark}", b"%s %s" % (state, field.encode()))


class Answering:
    """Another host's side.

    Args:
        line: to Redis.
        keyring: of the state.
        journals: given what a tenant's key is called, has every process of this host forget it; then how far each of
            the host's journals goes, by name. None: a process does not answer now.
    """

    def __init__(
        self, line: Line, keyring: Keyring, journals: Callable[[str], Awaitable[Mapping[str, int] | None]]
    ) -> None:
        self._line = line
        self._keyring = keyring
        self._journals = journals
        self._destroyed: set[str] = set()

    async def run(self) -> None:
        """Hear and answer, for ever."""
        while True:
            with contextlib.suppress(Away, KeyFault, OSError):  # again in a moment
                await self.step()
            await asyncio.sleep(_LOOK_SECONDS)

    async def step(self, *, answers: bool = True) -> None:
        """Destroy what is gone, and answer where somebody waits.

        Raises:
            Away: do it again.
            KeyFault, OSError: a key cannot be destroyed.
        """
        said = await self._line.run("HGETALL", self._line.key("erased"))
        for name, sealed in said.items() if isinstance(said, dict) else ():
            mark = name.decode("ascii", "replace")
            try:
                state, _space, field = self._keyring.unseal(f"erased/{mark}", sealed).decode().partition(" ")
            except (KeyFault, UnicodeDecodeError):
                continue  # nobody of ours said it
            if field and mark not in self._destroyed:
                await asyncio.to_thread(self._keyring.destroy_marked, mark, field)
                self._destroyed.add(mark)
            if answers and state.encode() == _ASKED:
                await self._answer(mark, field)

    async def _answer(self, mark: str, field: str) -> None:
        lasts = await self._journals(field)
        if not lasts:
            return
        words: list[str | bytes] = []
        for name, last in lasts.items():
            words += [name, self._keyring.seal(f"answered/{mark}/{name}", b"%d" % last)]
        await self._line.run("HSET", self._line.key(f"answered:{mark}"), *words)
