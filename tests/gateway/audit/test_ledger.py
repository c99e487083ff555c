"""One intent, one outcome: whatever happens to the tasks in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import apsw
import pytest
from msgspec import structs

from gateway.audit.journal import Settings
from gateway.audit.language import NotRecordable
from gateway.audit.ledger import Ledger
from gateway.audit.reader import Line
from gateway.audit.record import Operator
from gateway.audit.words import Act, Result
from gateway.errors import Unavailable
from tests.gateway.audit.conftest import Opener
from tests.gateway.audit.faults import Faults
from tests.gateway.audit.samples import EPOCH, intent, outcome, refusal
from tests.gateway.audit.test_journal import QUICK, until

Lines = Callable[[], list[Line]]


def _ends(lines: list[Line]) -> list[tuple[object, object, object]]:
    return [(line["result"], line["code"], line.get("sent")) for line in lines if line["kind"] == "outcome"]


async def test_an_attempt_is_admitted_and_concluded(open_journal: Opener, lines: Lines) -> None:
    """The intent is durable after `admit`, the outcome after `conclude`."""
    ledger = Ledger(await open_journal())
    made = intent()

    admission = await ledger.admit(made)
    assert (admission.call_id, admission.attempt) == (made.call, 0)
    assert [line["kind"] for line in lines()] == ["operator", "intent"]
    assert ledger.open_calls == 1
    await ledger.conclude(admission, outcome(made))

    assert _ends(lines()) == [("completed", None, True)]
    assert ledger.open_calls == 0


async def test_the_first_outcome_wins(open_journal: Opener, lines: Lines) -> None:
    """Concluding again, while the first is on its way or long after, changes nothing and does not fail."""
    ledger = Ledger(await open_journal())
    made = intent()
    admission = await ledger.admit(made)

    first = ledger.conclude(admission, outcome(made))
    second = ledger.conclude(admission, outcome(made, Result.ABORTED_BY_CALLER))
    assert await second == await first
    await ledger.conclude(admission, outcome(made, Result.CUT_OFF))

    assert _ends(lines()) == [("completed", None, True)]


async def test_cancelling_the_deliverer_loses_no_outcome(open_journal: Opener, lines: Lines, faults: Faults) -> None:
    """A handler cancelled while it waits for its outcome leaves it to land; a later end joins the first."""
    ledger = Ledger(await open_journal(faulty=True))
    made = intent()
    admission = await ledger.admit(made)
    faults.hold.clear()

    async def deliver() -> None:
        await ledger.conclude(admission, outcome(made))

    task = asyncio.ensure_future(deliver())
    await until(faults.syncing.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    joined = ledger.conclude(admission, outcome(made, Result.ABORTED_BY_CALLER))
    assert not joined.done()
    faults.hold.set()

    await joined

    assert _ends(lines()) == [("completed", None, True)]


async def test_concluding_needs_nobody_to_wait(open_journal: Opener, lines: Lines) -> None:
    """A handler on its way out may conclude without awaiting."""
    ledger = Ledger(await open_journal())
    made = intent()
    admission = await ledger.admit(made)

    ledger.conclude(admission, outcome(made, Result.ABORTED_BY_CALLER))

    assert await ledger.drain(5) == 0
    assert _ends(lines()) == [("aborted_by_caller", None, True)]


async def test_an_intent_cancelled_on_its_way_is_closed_by_itself(
    open_journal: Opener, lines: Lines, faults: Faults
) -> None:
    """A caller that leaves before admission is durable leaves an intent that says nothing was sent."""
    ledger = Ledger(await open_journal(faulty=True))
    faults.hold.clear()
    task = asyncio.ensure_future(ledger.admit(intent()))
    await until(faults.syncing.is_set)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    faults.hold.set()

    assert await ledger.drain(5) == 0
    assert _ends(lines()) == [("aborted_by_caller", None, False)]


async def test_an_intent_that_lands_after_its_refusal_is_closed_by_itself(
    open_journal: Opener, lines: Lines, faults: Faults
) -> None:
    """When the disk hangs past the timeout the call is refused, and its late intent is cut off as unsent."""
    ledger = Ledger(await open_journal(QUICK, faulty=True))
    faults.hold.clear()

    with pytest.raises(Unavailable):
        await ledger.admit(intent())
    faults.hold.set()

    assert await ledger.drain(5) == 0
    assert _ends(lines()) == [("cut_off", "audit_unavailable", False)]


async def test_an_outcome_that_cannot_be_recorded_still_closes_its_attempt(open_journal: Opener, lines: Lines) -> None:
    """A bad outcome raises, and the record says `indeterminate` instead of nothing."""
    ledger = Ledger(await open_journal())
    made = intent()
    admission = await ledger.admit(made)

    with pytest.raises(NotRecordable):
        ledger.conclude(admission, structs.replace(outcome(made), status=7))

    assert await ledger.drain(5) == 0
    assert _ends(lines()) == [("indeterminate", None, None)]
    with pytest.raises(NotRecordable):
        ledger.conclude(admission, outcome(intent()))


async def test_a_poisoned_journal_refuses_the_outcome(open_journal: Opener, faults: Faults, lines: Lines) -> None:
    """When the outcome cannot become durable the deliverer is told, and recovery closes the attempt."""
    journal = await open_journal(faulty=True)
    ledger = Ledger(journal)
    made = intent()
    admission = await ledger.admit(made)
    faults.sync = apsw.IOError

    with pytest.raises(Unavailable):
        await ledger.conclude(admission, outcome(made))
    with pytest.raises(Unavailable):
        ledger.conclude(admission, outcome(made))
    faults.sync = None
    await journal.recover()

    await ledger.conclude(admission, outcome(made))
    assert len(_ends(lines())) == 1
    assert ledger.healthy


async def test_draining_is_bounded_and_says_what_is_left(open_journal: Opener) -> None:
    """A call that never ends does not hold the shutdown."""
    ledger = Ledger(await open_journal())
    await ledger.admit(intent())

    assert await ledger.drain(0.01) == 1


async def test_refusals_and_notes_are_durable_when_they_return(open_journal: Opener, lines: Lines) -> None:
    """A refusal and an operator's act are on the disk after their await."""
    ledger = Ledger(await open_journal(Settings(timeout=10, ballast=0)))

    await ledger.refuse(refusal())
    await ledger.note(Operator(time=EPOCH, act=Act.UNAUTHENTICATED, start=EPOCH, end=EPOCH, refused=7))

    assert [line["kind"] for line in lines()] == ["operator", "refusal", "operator"]
