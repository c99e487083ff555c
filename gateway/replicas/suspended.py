"""Suspensions by hand, told to every replica within a second, and kept by each in its own state.

Each replica tells what it knows and hears what the others do, again and again, so that nothing is lost when a message
is, and a wiped Redis is filled again. Who can write to that Redis can suspend: that a call does not leave is believed
of anybody. That one may leave again is believed only of who has the region's master key (hosts with `carriage`): others
resume each at its own host.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, cast

from gateway.keys import KeyFault, Keyring
from gateway.replicas.door import Door
from gateway.replicas.door import Word as Bit
from gateway.replicas.scripts import SUSPENDED
from gateway.suspensions import Mark, Suspensions, SuspensionsUnreadable, Word, newer

_KEPT_SECONDS: Final = 400 * 86_400
_AT_ONCE: Final = 500
_LATEST: Final = 2**53 - 1
"""A script of Redis counts in doubles."""


class Suspended:
    """The exchange. Belongs to one event loop.

    Args:
        door: Redis.
        suspensions: of this state.
        known: the entries that there are.
        keyring: seals what is told, where all hosts have its master key; else None.
    """

    def __init__(
        self, door: Door, suspensions: Suspensions, known: Callable[[], Collection[str]], keyring: Keyring | None
    ) -> None:
        self._door = door
        self._suspensions = suspensions
        self._known = known
        self._keyring = keyring
        self._mark: Mark = None
        self._ours: dict[str, Word] = {}
        self.foreign = 0

    async def exchange(self) -> None:
        """Tell and hear once.

        Raises:
            Away: nothing was heard.
        """
        ours = self._known_here()
        listed = sorted(ours.items())
        heard: dict[str, Word] = {}
        for at in range(0, max(1, len(listed)), _AT_ONCE):
            words: list[Bit] = [_KEPT_SECONDS]
            for name, word in listed[at : at + _AT_ONCE]:
                words += [name, min(word.at, _LATEST), int(word.suspended), self._sealed(name, word)]
            reply = await self._door.run(SUSPENDED, [self._door.key("suspended")], words)
            heard |= self._believed(cast("list[bytes]", reply))
        if newer(ours, heard):
            try:
                self._suspensions.hear(heard)
            except (SuspensionsUnreadable, OSError):
                return  # heard again in a moment

    def _known_here(self) -> dict[str, Word]:
        """The words of this state; none while they cannot be read: what others suspended is heard all the same."""
        mark = self._suspensions.mark()
        if mark != self._mark:
            try:
                self._ours, self._mark = self._suspensions.words(), mark
            except SuspensionsUnreadable:
                return {}  # it is said elsewhere
        return self._ours

    def _sealed(self, name: str, word: Word) -> str:
        if self._keyring is None:
            return "-"
        return self._keyring.seal(f"suspension/{name}", f"{word.at} {int(word.suspended)}".encode()).hex()

    def _believed(self, reply: list[bytes]) -> dict[str, Word]:
        known, heard = self._known(), dict[str, Word]()
        for at in range(0, len(reply) - 1, 2):
            name = reply[at].decode("ascii", "replace")
            when, _space, rest = reply[at + 1].partition(b" ")
            flag, _space, seal = rest.partition(b" ")
            if name not in known or not when.isdigit() or int(when) > _LATEST or flag not in {b"0", b"1"}:
                continue
            word = Word(int(when), flag == b"1")
            if word.suspended or self._is_ours(name, word, seal):
                heard[name] = word
        return heard

    def _is_ours(self, name: str, word: Word, seal: bytes) -> bool:
        if self._keyring is None:
            return False
        try:
            plain = self._keyring.unseal(f"suspension/{name}", bytes.fromhex(seal.decode("ascii", "replace")))
        except (KeyFault, ValueError):
            self.foreign += 1
            return False
        return plain == f"{word.at} {int(word.suspended)}".encode()
