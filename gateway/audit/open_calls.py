"""The attempts whose intent was submitted and whose outcome is not durable yet. In the journal's loop only."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from msgspec import Struct

from gateway.audit.language import Id
from gateway.audit.words import Tenant

Key = tuple[Id, int]


class OpenCall(Struct, eq=False):
    """One attempt.

    `rseq` is None until the intent is durable, `closing` until an outcome is submitted; `also` are
    further waiters for that outcome.
    """

    tenant: Tenant
    rseq: int | None = None
    closing: bool = False
    also: list[asyncio.Future[int]] | None = None


class OpenCalls:
    """Open attempts, oldest first."""

    __slots__ = ("_calls", "settled")

    def __init__(self) -> None:
        """Starts empty; `settled` is set whenever it is."""
        self._calls: OrderedDict[Key, OpenCall] = OrderedDict()
        self.settled = asyncio.Event()
        self.settled.set()

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, key: Key | None) -> OpenCall | None:
        """The open attempt, if it is one."""
        return None if key is None else self._calls.get(key)

    def begin(self, key: Key, tenant: Tenant) -> None:
        """An intent was submitted.

        Raises:
            ValueError: this attempt is open already.
        """
        if key in self._calls:
            raise ValueError("this attempt has its intent already")
        self._calls[key] = OpenCall(tenant)
        self.settled.clear()

    def close(self, key: Key) -> None:
        """An outcome was submitted.

        Raises:
            ValueError: the attempt is not open, or has an outcome on its way.
        """
        held = self._calls.get(key)
        if held is None or held.closing:
            raise ValueError("this attempt has no open intent")
        held.closing = True

    def end(self, key: Key) -> OpenCall | None:
        """The attempt is closed for good, or never came to be; what was known of it."""
        held = self._calls.pop(key, None)
        if not self._calls:
            self.settled.set()
        return held

    def unclosed(self) -> list[tuple[Key, Tenant]]:
        """Those that nothing closes yet."""
        return [(key, held.tenant) for key, held in self._calls.items() if not held.closing]

    def any_of(self, tenant: str, before: int) -> bool:
        """Whether an attempt of the tenant is open whose intent is before this rseq, or not durable yet."""
        return any(held.tenant == tenant and (held.rseq is None or held.rseq < before) for held in self._calls.values())

    def places(self, boot: int) -> list[int]:
        """The keys of the durable intents that are open, of the boot whose first row has the key `boot`."""
        return [boot | held.rseq for held in self._calls.values() if held.rseq is not None]

    def floor(self, otherwise: int) -> int:
        """The lowest rseq of a durable intent that is open; `otherwise` if there is none."""
        oldest = next(iter(self._calls.values()), None)
        return otherwise if oldest is None or oldest.rseq is None else oldest.rseq
