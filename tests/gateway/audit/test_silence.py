"""A journal that falls silent: a `gap` record says since when, and the verifier says what that means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.gathering import LONGEST_CALL, Gatherer
from gateway.audit.record import Operator
from gateway.audit.silence import SILENT, Heard, Said, Silences, heard_before
from gateway.audit.words import Act
from gateway.simulator import Simulator
from tests.gateway.audit.forgeries import Evidence, Leaf, failed
from tests.gateway.audit.logs import KEY, MINUTE, SECOND
from tests.gateway.audit.test_gathering import Gathered
from tests.houses import UNSCANNED, house, records, settings


@pytest.fixture
def gathered(tmp_path: Path) -> Iterator[Gathered]:
    made = Gathered(tmp_path)
    yield made
    made.close()


async def lost(gathered: Gathered, gatherer: Gatherer) -> str:
    """One worker with a call open whose disk goes, while the other goes on; which boot it was."""
    one, two = gathered.workers
    for worker in (one, two):
        worker.boot()
        worker.calls(3)
    one.write(one.intent())
    await gathered.take(gatherer)
    (writer,) = [name for name, each in gatherer.silences._heard.items() if each.rows == 8]
    one.write(Operator(time=one.tick(), act=Act.HEARTBEAT))  # which is never gathered
    one.end(cleanly=False)
    for _minute in range(12):
        two.time = gathered.tick() + MINUTE
        two.write(Operator(time=two.tick(), act=Act.HEARTBEAT))
        gathered.tick()
    return writer


async def take_second(gathered: Gathered, gatherer: Gatherer) -> None:
    """Gather what the worker that is left has."""
    spool, turn = gathered.spools["w1"], await gatherer.turn("w1")
    rows = spool.after(turn.seq)
    await gatherer.take("w1", rows, turn.seq, spool.started(rows[0].seq >> 40))


async def note(gathered: Gathered, gatherer: Gatherer) -> list[str]:
    """Record who is silent; who that is."""
    noted = []
    for writer, act in gatherer.silences.due(gathered.tick()):
        await gathered.journal.append(act)
        gatherer.silences.told(writer)
        noted.append(writer)
    return noted


async def test_a_journal_whose_disk_is_gone_is_a_gap_that_the_verifier_names(gathered: Gathered) -> None:
    """Once: with the last that is known of it, and how many of its attempts will never have an outcome."""
    async with gathered.open() as gatherer:
        writer = await lost(gathered, gatherer)
        await take_second(gathered, gatherer)
        assert await note(gathered, gatherer) == [writer]
        assert await note(gathered, gatherer) == []
    gathered.home.sequence()
    run = gathered.verified()

    assert {name: run.a[name].first for name in failed(run)} == {}
    (line,) = [line for line in run.losses if "fell silent" in line]
    assert line.startswith(f"writer {writer[:8]} fell silent at ")
    assert "(a record says so); what it wrote after its first 8 rows is not here" in line
    assert "1 of its attempts have no outcome" in line


async def test_without_a_record_the_verifier_says_that_too(gathered: Gathered) -> None:
    """As before there was one."""
    async with gathered.open() as gatherer:
        await lost(gathered, gatherer)
        await take_second(gathered, gatherer)
    gathered.home.sequence()

    assert any("(no record says so)" in line for line in gathered.verified().losses)


async def test_one_that_comes_back_has_lost_nothing(gathered: Gathered) -> None:
    """Its rows go on where they were, which the verifier counts; the silence is no loss any more, and can come again."""
    async with gathered.open() as gatherer:
        one = gathered.workers[0]
        writer = await lost(gathered, gatherer)
        await take_second(gathered, gatherer)
        await note(gathered, gatherer)
        gathered.tick()
        one.boot()
        one.calls(1)
        await gathered.take(gatherer)
        assert await note(gathered, gatherer) == []
        silent_again = gatherer.silences.due(gathered.tick() + SILENT + MINUTE)
    gathered.home.sequence()
    run = gathered.verified()

    assert {name: run.a[name].first for name in failed(run)} == {}
    assert not any("fell silent" in line for line in run.losses)
    assert any(f"writer {writer[:8]} was silent from" in line for line in run.a["A5"].notes)
    assert run.facts()["totals"]["open"] == 0
    assert writer not in {name for name, _act in silent_again}
    assert len(silent_again) == 2


async def test_a_record_that_counts_otherwise_is_found(gathered: Gathered) -> None:
    """That fewer rows had come than are here, or of a writer that is not here: A5."""
    async with gathered.open() as gatherer:
        await lost(gathered, gatherer)
        await take_second(gathered, gatherer)
        await note(gathered, gatherer)
    gathered.home.sequence()
    with gathered.evidence() as evidence:
        leaves = [Leaf(*leaf) for leaf in evidence.leaves()]
        genuine = Evidence(leaves, evidence.note_b, evidence.configurations)

    def forged(**changes: object) -> set[str]:
        rows = [
            row.saying(json.dumps({**row.record, **changes}, sort_keys=True, separators=(",", ":")))
            if row.clear and row.record.get("act") == "gap"
            else row
            for row in genuine.rows
        ]
        assert rows != genuine.rows
        return failed(replace(genuine, rows=rows).signed().verify())

    assert failed(genuine.verify()) == set()
    assert forged(count=7) == {"A5"}
    assert forged(count=9) == {"A5"}
    assert forged(previous="ab" * 16) == {"A5"}


async def test_what_was_heard_before_a_start_is_known_after_it(gathered: Gathered) -> None:
    """Who is told of is not told of again; who is not, is, but not before so much time has passed anew."""
    async with gathered.open() as gatherer:
        writer = await lost(gathered, gatherer)
        before = heard_before(gathered.home.directory / "journal", KEY, 0)
        await take_second(gathered, gatherer)
        await note(gathered, gatherer)
        after = heard_before(gathered.home.directory / "journal", KEY, 0)
    silences = Silences()
    now = gathered.home.time
    silences.begin({name: replace(each, at=now) for name, each in before.items()})

    assert before[writer].rows == after[writer].rows == 8
    assert [before[writer].told, after[writer].told] == [False, True]
    assert len(after) == 2
    assert silences.due(now + SILENT) == []
    assert {name for name, _act in silences.due(now + SILENT + 1)} == before.keys()


def test_who_ended_or_was_followed_is_never_silent() -> None:
    """A clean end, and a successor on the same disk, which closes what was left open."""
    silences = Silences()
    first, second, third = ("a" * 32, "b" * 32, "c" * 32)
    silences.hear([Said(first, 0, 0, "boot"), Said(first, 1, 0), Said(third, 0, 0, "boot")], 0)
    silences.hear([Said(second, 0, SECOND, "boot", first), Said(third, 1, SECOND, "shutdown")], SECOND)

    assert [name for name, _act in silences.due(SECOND + SILENT + 1)] == [second]


async def test_an_erasure_does_not_wait_for_what_a_lost_journal_left_open(gathered: Gathered) -> None:
    """After the longest that a call may take, its outcome never comes."""
    async with gathered.open() as gatherer:
        one = gathered.workers[0]
        one.boot()
        gathered.workers[1].boot()
        one.write(one.intent())
        await gathered.take(gatherer)

        assert gatherer.open_of("tenant-seven")
        gathered.home.tick(LONGEST_CALL)
        assert not gatherer.open_of("tenant-seven")


async def test_the_gateway_records_it(simulator: Simulator, tmp_path: Path) -> None:
    """Once a minute it is looked who is silent, and what the journal held before the start is known."""
    async with house(simulator, tmp_path, settings(**UNSCANNED)) as gateway:
        application = gateway.application
        application.gatherer.silences.begin({"ab" * 16: Heard(5, 0, 0)})
        for _ in range(2):
            await application._note_silences()
        gaps = [line for line in records(gateway.state) if line.get("act") == "gap"]

    assert [(line["previous"], line["count"], line["start"]) for line in gaps] == [("ab" * 16, 5, 0)]
