"""What others wrote down in books beside the state, recorded by the gateway, which alone writes the record.

A verb or the pages write a line in a book of their own, durably, before what it tells of happens; the gateway follows
each book from where it was, and keeps how far it came in a file beside it. A line whose record is not known to be
durable comes again, so it can be recorded twice and never not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.aside import aside
from gateway.audit.access import Looked, looks_after
from gateway.audit.language import Id, Mac, Sha, Vocabulary
from gateway.audit.reconciliation import BOOK, act_of, noted_reports, processor_of
from gateway.audit.record import Operator
from gateway.audit.retention.handouts import FILE as HANDOUTS
from gateway.audit.retention.handouts import Handout, handouts
from gateway.audit.retention.restoring import lost_before, recorded
from gateway.audit.store import StoreFault
from gateway.audit.words import Act, Processor, Role
from gateway.change.chain import Chain, ChainBroken
from gateway.change.roll import Moved, Roll, RollUnreadable
from gateway.change.statement import Proposal
from gateway.disclosure.notices import Sent, SentUnreadable, read_sent
from gateway.errors import Unavailable
from gateway.keys import KeyFault, Keyring
from gateway.policy.tenants import Tenant
from providers import PROVIDERS

Line = tuple[int, Operator | None]
"""Where the book goes on after this line, and its record; None for a line that makes none."""

T = TypeVar("T")

_MOST_LOOKS = 256
_LOOKS = frozenset({Act.VIEW.value, Act.EXPORT.value})
_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Book:
    """A book: the name that its troubles go by, the file of how far it was followed, and what comes after a place.

    `after` gives the next lines, all or some of them, and nothing at the end. It runs in a thread.
    """

    name: str
    noted: str
    after: Callable[[int], list[Line]]


class Noting:
    """The books of one state.

    Args:
        state: the state directory.
        keyring: of the state.
        note: records an act, durably.
        vocabulary: the words of the configuration in force.
        tell: told the event when a book cannot be read.
        clock: microseconds since 1970.
    """

    def __init__(
        self,
        state: Path,
        keyring: Keyring,
        note: Callable[[Operator], Awaitable[None]],
        vocabulary: Callable[[], Vocabulary],
        tell: Callable[[str], None],
        clock: Callable[[], int],
    ) -> None:
        self._state, self._keyring = state, keyring
        self._note, self._vocabulary, self._tell, self._clock = note, vocabulary, tell, clock
        self._one = asyncio.Lock()
        self._one_change = asyncio.Lock()
        self._books = (
            Book("notices", "notices.noted", self._notices),
            Book("handouts", f"{HANDOUTS}.noted", self._handouts),
            Book("reconciliations", f"{BOOK}.noted", self._reconciliations),
        )
        self._looks = Book("looks", "looks.noted", self._looked)

    async def everything(self, tenants: Mapping[str, Tenant]) -> None:
        """Record what happened while nobody served; `tenants` are those of the configuration in force."""
        await self.changes()
        await self.tenants(tenants)
        await self.all()
        await self.lost()

    async def changes(self) -> None:
        """Record each change that was applied since the last time it was looked, once."""
        chain = Chain(self._state, PROVIDERS)
        async with self._one_change:
            try:
                for link in await asyncio.to_thread(chain.unrecorded):
                    await self._note(self._change(link))
                    chain.recorded_one()
            except (ChainBroken, OSError):
                self._tell("changes_unreadable")
            except Unavailable:
                return  # what was not recorded comes again

    async def tenants(self, tenants: Mapping[str, Tenant]) -> None:
        """Record each tenant that came, changed or went since the last time it was looked, also while none ran."""
        roll = Roll(self._state)
        try:
            moved = await aside(lambda: roll.moved(tenants))
            for item in moved or ():
                await self._note(self._moved(item))
            if moved is None or moved:
                await aside(lambda: roll.keep(tenants))
        except (RollUnreadable, KeyFault):
            self._tell("tenants_unreadable")
        except Unavailable:
            return  # what was not recorded comes again

    async def lost(self) -> None:
        """Record what a lost disk took, after a restore."""
        lost = await asyncio.to_thread(lost_before, self._state)
        if lost is not None:
            await self._note(lost.act(self._clock()))
            await asyncio.to_thread(recorded, self._state)

    async def all(self) -> None:
        """Record what every book has gained."""
        for book in (*self._books, self._looks):
            await self._follow(book)

    async def looks(self) -> None:
        """Record who looked at the pages."""
        await self._follow(self._looks)

    async def _follow(self, book: Book) -> None:
        noted = self._state / book.noted
        async with self._one:
            try:
                at = int(noted.read_bytes()) if noted.exists() else 0
                while lines := await asyncio.to_thread(book.after, at):
                    for place, act in lines:
                        if act is not None:
                            await self._note(act)
                        noted.write_text(str(place), encoding="ascii")
                        at = place
            except (StoreFault, SentUnreadable, OSError, ValueError):
                self._tell(f"{book.name}_unreadable")
            except Unavailable:
                return  # what was not recorded comes again

    def _notices(self, at: int) -> list[Line]:
        return [(number, self._notice(each)) for number, each in _from(read_sent(self._state), at)]

    def _handouts(self, at: int) -> list[Line]:
        return [(number, self._handout(each)) for number, each in _from(handouts(self._state), at)]

    def _reconciliations(self, at: int) -> list[Line]:
        return [(number, self._reconciled(each)) for number, each in _from(noted_reports(self._state), at)]

    def _looked(self, at: int) -> list[Line]:
        looks = looks_after(self._state, self._keyring.index_key(), at, _MOST_LOOKS)
        return [(each.id, self._look(each)) for each in looks]

    def _change(self, link: Proposal) -> Operator:
        statement = link.statement
        return Operator(
            time=self._clock(),
            act=Act.CHANGE,
            configuration=Sha(statement.digest),
            parent=None if statement.parent is None else Sha(statement.parent),
            document=Sha(statement.id),
            approvers=tuple(sorted({Id(item.key) for item in link.approvals})),
        )

    def _moved(self, item: Moved) -> Operator:
        known = item.there or self._keyring.has_tenant(item.tenant)  # or a key that was destroyed would come back
        subject = Mac(self._keyring.tenant_mac(item.tenant, "tenant", item.tenant)) if known else None
        return Operator(time=self._clock(), act=Act.TENANT, subject=subject, enabled=item.served)

    def _notice(self, item: Sent) -> Operator:
        about = None if item.processor is None else self._vocabulary().known(Processor, item.processor)
        at = round(item.at.timestamp() * 1_000_000)
        return Operator(
            time=self._clock(), act=Act.NOTICE, processor=about, document=Sha(item.document), told=item.told, start=at
        )

    def _handout(self, item: Handout) -> Operator:
        return Operator(
            time=self._clock(),
            act=Act.EXPORT,
            document=Sha(item.document),
            count=item.count,
            start=item.made,
            end=item.delete_by,
        )

    def _look(self, item: Looked) -> Operator | None:
        if item.act not in _LOOKS or item.role not in _ROLES:
            return None
        return Operator(
            time=self._clock(),
            act=Act(item.act),
            role=Role(item.role),
            session=Id(item.session),
            query=Sha(item.digest),
            rows=item.rows,
            start=item.time,
        )

    def _reconciled(self, written: bytes) -> Operator:
        known = self._vocabulary().known(Processor, processor_of(written))
        if known is None:
            raise StoreFault("a report is of a processor that there is no more")
        return act_of(written, known, self._clock())


def _from(items: Sequence[T], at: int) -> Iterator[tuple[int, T]]:
    """What comes after the first `at` items, each with the number of items up to it."""
    return enumerate(items[at:], at + 1)
