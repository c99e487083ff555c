"""A journal whose host was declared lost: its calls have an end, the log says what is missing, and it never goes on."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path

import pytest

from gateway.audit.gathering import LOST, Gatherer
from gateway.audit.lost import Left, NotKnown, left_by
from gateway.audit.record import Operator
from gateway.audit.silence import heard_before
from gateway.audit.words import Act
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.logs import KEY
from tests.gateway.audit.test_gathering import Gathered


@pytest.fixture
def gathered(tmp_path: Path) -> Iterator[Gathered]:
    made = Gathered(tmp_path)
    yield made
    made.close()


async def give_up(gathered: Gathered, gatherer: Gatherer, name: str, writer: str = "") -> Left | None:
    async def find(seq: int, others: Container[str]) -> Left:
        return left_by(gathered.home.directory / "journal", KEY, seq, others, writer)

    return await gatherer.give_up(name, find)


async def both_with_one_call_open(gathered: Gathered, gatherer: Gatherer) -> None:
    """Two boots of the first worker, the second of which has two calls open; the other ended well."""
    one, two = gathered.workers
    one.boot()
    one.calls(2)
    one.end(cleanly=False)
    gathered.tick()
    one.boot()
    two.boot()
    one.calls(3)
    one.write(one.intent())
    one.write(one.intent())
    two.calls(1)
    two.end()
    await gathered.take(gatherer)


async def test_open_calls_of_a_lost_host_are_closed_and_a_gap_says_so(gathered: Gathered) -> None:
    """The verifier finds no call open, tells what is missing, and since when; a later period does, too."""
    async with gathered.open() as gatherer:
        await both_with_one_call_open(gathered, gatherer)
        left = await give_up(gathered, gatherer, "w0")
        assert left is not None
        assert await give_up(gathered, gatherer, "w0") is None
        assert gatherer.silences.due(gathered.tick() + 10**12) == []
        assert heard_before(gathered.home.directory / "journal", KEY, 0) == {}
    gathered.home.sequence()
    run = gathered.verified()

    assert {name: run.a[name].first for name in failed(run)} == {}
    assert (left.rows, len(left.opened), left.ended) == (10, 2, False)
    (loss,) = [line for line in run.losses if "given up" in line]
    assert loss.startswith(
        f"writer {left.writer[:8]} was given up as lost: what it wrote after its first 10 rows, since "
    )
    assert "2 of its attempts were closed as indeterminate" in loss
    totals = run.facts()["totals"]
    assert (totals["open"], totals["indeterminate"], totals["calls"]) == (0, 2, 8)


async def test_what_a_lost_host_sends_later_is_not_taken(gathered: Gathered) -> None:
    """Neither the rows that it had not sent, nor those of its next boot, also after a start of the log's host."""
    async with gathered.open() as gatherer:
        await both_with_one_call_open(gathered, gatherer)
        gathered.workers[0].write(Operator(time=gathered.tick(), act=Act.HEARTBEAT))
        assert await give_up(gathered, gatherer, "w0") is not None
        spool = gathered.spools["w0"]
        assert await gatherer.take("w0", spool.after(-1), -1, spool.started(1)) == 0
    async with gathered.open() as gatherer:
        gathered.workers[0].end(cleanly=False)
        gathered.tick()
        gathered.workers[0].boot()
        assert (await gatherer.turn("w0")).seq == LOST
        assert await gatherer.take("w0", spool.after(-1), -1, spool.started(1)) == 0
        assert "w0" not in gatherer.signed(1 << 61)
        assert not gatherer.open_of("tenant")
    gathered.home.sequence()

    assert failed(gathered.verified()) == set()


async def test_a_record_after_it_was_given_up_is_found(gathered: Gathered) -> None:
    """A log that goes on with a writer that it gave up does not hold."""
    async with gathered.open() as gatherer:
        await both_with_one_call_open(gathered, gatherer)
        spool = gathered.spools["w0"]
        known = (await gatherer.turn("w0")).seq
        await give_up(gathered, gatherer, "w0")
        gathered.workers[0].write(Operator(time=gathered.tick(), act=Act.HEARTBEAT))
        gatherer._turns["w0"].seq = known
        gatherer._doubtful = False
        await gatherer.take("w0", spool.after(known), known, spool.started(known >> 40))
    gathered.home.sequence()

    assert failed(gathered.verified()) == {"A5"}


async def test_two_that_look_alike_are_told_apart_by_their_boot(gathered: Gathered) -> None:
    """As many rows of as many boots, and neither was heard since: it is refused, naming both, until one is named."""
    async with gathered.open() as gatherer:
        one, two = gathered.workers
        for worker in (one, two):
            worker.boot()
            worker.calls(1)
        await gathered.take(gatherer)
    async with gathered.open() as gatherer:
        with pytest.raises(NotKnown) as caught:
            await give_up(gathered, gatherer, "w0")
        boots = str(caught.value).split(": ")[1].split(", ")
        assert len(boots) == 2
        with pytest.raises(NotKnown, match="none that is in the record"):
            await give_up(gathered, gatherer, "w0", "xx")
        left = await give_up(gathered, gatherer, "w0", boots[0])

    assert left is not None
    assert left.writer.startswith(boots[0])
