"""The way of rows from an outpost to the log's host, walked at random: whatever stops, is lost or comes twice, none is missing.

Real journals on both sides, a real sequencer, and a Redis in memory that may refuse a command, carry it out and lose the
reply, carry out only the first of several, drop or repeat what travels, be wiped, or come back as it was some time ago.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import cast

import pytest

from gateway.audit.gathering import Gatherer, Spool, name_of
from gateway.audit.journal import Journal, Settings
from gateway.audit.store import FILE_NAME, RSEQ_BITS, Carried, reading
from gateway.keys import Keyring
from gateway.replicas import carriage
from gateway.replicas.carriage import Carrier, Heads, Line, Receiver
from gateway.replicas.carrying import Home
from gateway.replicas.door import Away
from tests.gateway.audit.logs import House
from tests.gateway.audit.samples import KEY

Word = str | bytes | int


class Redis:
    """As much of Redis as carriage uses. `doubt`: how often a command fails, one way or another."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.doubt = 0.0
        self.values: dict[str, bytes] = {}
        self.hashes: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.stream: dict[bytes, dict[bytes, bytes]] = {}
        self.number = 0

    def key(self, name: str) -> str:
        return name

    async def run(self, *words: Word) -> object:
        return (await self.run_all(words))[0]

    async def run_all(self, *commands: Sequence[Word]) -> list[object]:
        failing = self.chance.random() < self.doubt
        carried_out = self.chance.randint(0, len(commands)) if failing else len(commands)
        await asyncio.sleep(0)
        replies = [self._answer(*command) for command in commands[:carried_out]]
        await asyncio.sleep(0)
        if failing:
            raise Away("ConnectionError")
        return replies

    def _answer(self, name: Word, key: Word, *rest: Word) -> object:
        if name == "EVAL" and key == carriage._LOOK:
            return self._look(*map(str, rest[1:7]), *rest[7:])  # type: ignore[arg-type]
        if name == "EVAL" and key == carriage._TAKE:
            return self._take([str(each) for each in rest[1:4]], rest[4:])
        return self._one(name, key, *rest)

    def _one(self, name: Word, key: Word, *rest: Word) -> object:
        place = str(key)
        match name:
            case "GET":
                return self.values.get(place)
            case "SET":
                if not (rest[1:] == ("NX",) and place in self.values):
                    self.values[place] = _bytes(rest[0])
            case "HGET":
                return self.hashes[place].get(str(rest[0]))
            case "HSET":
                self.hashes[place] |= {
                    str(field): _bytes(value) for field, value in zip(rest[::2], rest[1::2], strict=True)
                }
            case "XLEN":
                return len(self.stream)
            case "XADD":
                self.number += 1
                fields = [_bytes(each) for each in rest[1:]]
                self.stream[b"%d" % self.number] = dict(zip(fields[::2], fields[1::2], strict=True))
            case "XRANGE":
                found = [(number, list(chain(*fields.items()))) for number, fields in self.stream.items()]
                return found[: int(_bytes(rest[-1]))]
            case "XDEL":
                for number in rest:
                    self.stream.pop(_bytes(number), None)
            case "EXPIRE":
                pass
            case _:
                raise AssertionError(name)
        return None

    def _look(
        self, head: str, home: str, stream: str, taken: str, signed: str, name: str, entry: Word, most: Word
    ) -> object:
        """As the script of the same name."""
        makes, queued = self._one("GET", home), self._one("XLEN", stream)
        added = bool(makes and entry and cast("int", queued) < int(most))
        if added:
            self._one("XADD", stream, "*", "n", name, "d", entry)
        places = [self._one("HGET", each, name) for each in (taken, signed)]
        return [self._one("GET", head), makes, queued, int(added), *places]

    def _take(self, keys: Sequence[str], words: Sequence[Word]) -> object:
        """As the script of the same name."""
        most, says, *rest = words
        done = 3 * int(says)
        for place, name, word in zip(rest[0:done:3], rest[1:done:3], rest[2:done:3], strict=True):
            self._one("HSET", keys[int(place) - 1], name, word)
        self._one("XDEL", keys[0], *rest[done:])
        return self._one("XRANGE", keys[0], "-", "+", "COUNT", most)

    def forget(self, past: Redis | None) -> None:
        """Be wiped, or as some time ago."""
        self.values = {} if past is None else dict(past.values)
        self.hashes = defaultdict(dict) if past is None else copy.deepcopy(past.hashes)
        self.stream = {} if past is None else dict(past.stream)


def _bytes(word: Word) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


class Source:
    """A journal of this process's, to be carried. See `carriage.Source`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.spool = Spool(house.directory / "journal", KEY)

    async def after(self, seq: int, most: int) -> list[Carried]:
        await asyncio.sleep(0)
        return self.spool.after(seq, most)

    async def writer(self, seq: int) -> str | None:
        return self.spool.started(seq >> RSEQ_BITS)

    async def last(self) -> int:
        return self.spool.last()

    async def forget(self, seq: int) -> None:
        store = self._house._store
        assert store is not None
        while store.trim(seq, [store.boot << RSEQ_BITS | self._house._next - 1]):
            pass


class Region:
    """Outposts, a home and Redis, and everything that can happen to them.

    Attributes:
        written: boot -> how many rows its writer made durable.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(exist_ok=True)
        self.chance = random.Random(seed)
        self.redis = Redis(self.chance)
        self.line = cast("Line", self.redis)
        self.keyring = Keyring.open(folder / "keys", create=True)
        self.house = House(folder / "home")
        self.outposts = [House(folder / f"outpost{number}") for number in range(2)]
        self.carriers: list[Carrier] = []
        self.sources: list[Source] = []
        self.written: dict[str, int] = {}
        self.now = 0.0
        self.past: Redis | None = None
        for house in self.outposts:
            house.boot()
            self.sources.append(Source(house))
            self.carriers.append(self._carrier(house, self.sources[-1]))

    def _carrier(self, house: House, source: Source) -> Carrier:
        name = name_of(house.directory.name, source.spool.identity)
        return Carrier(self.line, name, source, self.keyring)

    async def start_home(self) -> None:
        self.journal = await Journal.open(
            self.house.directory / "journal",
            KEY,
            configuration=self.house.configuration,
            clock=self.tick,
            settings=Settings(timeout=20, ballast=0),
        )
        heads = Heads(self.line, "home")
        heads.held = True
        self.redis.values["home"] = b"home"
        self.home = Home.__new__(Home)
        self.home._gatherer, self.home._missing = Gatherer(self.journal), set()
        self.home._log, self.home._last_signed = self.house.directory / "log", self.last_signed
        self.receiver = Receiver(self.line, self.keyring, self.home._take, self.home._signed, heads)

    def tick(self) -> int:
        self.house.time = max(house.time for house in (self.house, *self.outposts))
        return self.house.tick()

    async def last_signed(self) -> int:
        if not (self.house.directory / "log" / "log.db").exists():
            return -1
        with self.house.log() as log:
            return log.last_seq

    async def end_home(self, *, cleanly: bool) -> None:
        if cleanly:
            await self.journal.close()
        else:
            self.journal._closing = True
            await self.journal._stop()

    async def some(self, job: Awaitable[object], turns: int) -> None:
        """Do some of it, and give it up."""
        task = asyncio.ensure_future(job)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def happen(self) -> None:
        """One thing."""
        which = self.chance.randrange(len(self.outposts))
        house, carrier = self.outposts[which], self.carriers[which]
        self.now += self.chance.choice((0.0, 0.1, 0.5, 2.5))
        match self.chance.choices(range(9), (12, 24, 24, 6, 6, 3, 4, 3, 10))[0]:
            case 0:
                house.calls(self.chance.randint(1, 2))
            case 1:
                with contextlib.suppress(Away):
                    await carrier.step()
            case 2:
                with contextlib.suppress(Away):
                    await self.receiver.step()
            case 3:
                await self.some(carrier.step(), self.chance.randint(1, 12))
            case 4:
                await self.some(self.receiver.step(), self.chance.randint(1, 12))
            case 5:
                self._restart(which, cleanly=self.chance.random() < 0.6)
            case 6:
                self.house.sequence()
            case 7:
                await self.some(self.receiver.step(), self.chance.choice((0, self.chance.randint(1, 12))))
                await self.end_home(cleanly=self.chance.random() < 0.5)
                await self.start_home()
            case _:
                self._trouble()

    def _trouble(self) -> None:
        """Something happens to Redis."""
        redis, stream = self.redis, self.redis.stream
        match self.chance.choices(range(4), (3, 3, 2, 2))[0]:
            case 0 if stream:
                del stream[self.chance.choice(list(stream))]
            case 1 if stream:
                redis.number += 1
                stream[b"%d" % redis.number] = stream[self.chance.choice(list(stream))]
            case 2:
                redis.forget(self.past if self.chance.random() < 0.5 else None)
                redis.values["home"] = b"home"  # which the next claim says
            case 3:
                self.past = Redis(self.chance)
                self.past.forget(redis)
            case _:
                pass

    def _restart(self, which: int, *, cleanly: bool) -> None:
        house = self.outposts[which]
        self.count(which)
        house.end(cleanly=cleanly)
        started = self.sources[which].spool.started(self.sources[which].spool.last() >> RSEQ_BITS)
        self.written[str(started)] += cleanly
        house.tick()
        house.boot()
        self.sources[which].spool.close()
        self.sources[which] = Source(house)
        self.carriers[which] = self._carrier(house, self.sources[which])

    def count(self, which: int) -> None:
        """Note what the writer that lives now has made durable."""
        house, spool = self.outposts[which], self.sources[which].spool
        assert house._store is not None
        self.written[str(spool.started(house._store.boot))] = house._next

    async def settle(self) -> None:
        """With no more faults, until all was gathered and forgotten."""
        self.redis.doubt = 0.0
        for _ in range(120):
            self.now += 1.1
            for carrier in self.carriers:
                await carrier.step()
            await self.receiver.step()
            self.house.sequence()
            left = [
                source.spool.last() - carrier.signed
                for carrier, source in zip(self.carriers, self.sources, strict=True)
            ]
            if not any(left):
                return
        raise AssertionError(left)

    def close(self) -> None:
        """Release every file."""
        for house, source in zip(self.outposts, self.sources, strict=True):
            house.end(cleanly=False)
            source.spool.close()

    def gathered(self) -> Mapping[str, list[int]]:
        """Writer -> the numbers of its rows, as they stand at home."""
        found: dict[str, list[int]] = defaultdict(list)
        with contextlib.closing(reading(self.house.directory / "journal" / FILE_NAME, KEY)) as journal:
            for writer, number in journal.execute(
                "SELECT body ->> 'writer', body ->> 'wseq' FROM record WHERE body ->> 'writer' IS NOT NULL ORDER BY seq"
            ):
                found[str(writer)].append(int(cast("int", number)))
        return found


async def _walk(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> int:
    """So many things happen, and then no more; how many rows there are in the end."""
    folder.mkdir()
    region = Region(folder, seed)
    monkeypatch.setattr(carriage, "monotonic", lambda: region.now)
    monkeypatch.setattr(carriage, "ROWS", 3)  # so that an entry often ends where a boot does
    await region.start_home()
    region.redis.doubt = 0.15
    for _ in range(steps):
        await region.happen()
    await region.settle()
    for which in range(len(region.outposts)):
        region.count(which)
    await region.end_home(cleanly=True)
    region.close()

    assert region.gathered() == {writer: list(range(rows)) for writer, rows in region.written.items()}, seed
    return sum(region.written.values())


@pytest.mark.parametrize("seed", [4, 45, 7, 11])
async def test_no_row_is_lost_or_there_twice(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts of both, lost replies, lost and repeated entries, a wiped Redis and one restored from the past."""
    assert await _walk(seed, tmp_path / "region", monkeypatch, steps=250) > 50


@pytest.mark.parametrize("which", ["the log's host", "the host that sends"])
async def test_a_stop_at_any_step_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    """Of two rounds of sending and taking, whichever turn of the loop is the last of one of the two."""
    steps = 0
    for turns in range(0, 45, 3):
        region = Region(tmp_path / str(turns), 1)
        monkeypatch.setattr(carriage, "monotonic", lambda region=region: region.now)
        monkeypatch.setattr(carriage, "ROWS", 3)
        await region.start_home()
        for _ in range(2):
            region.outposts[0].calls(1)
            await region.carriers[0].step()
            if which == "the log's host":
                await region.some(region.receiver.step(), turns)
                await region.end_home(cleanly=False)
                region.house.sequence()
                await region.start_home()
            else:
                await region.receiver.step()
                region.house.sequence()
                await region.some(region.carriers[0].step(), turns)
                region._restart(0, cleanly=False)
            steps += 1
        await region.settle()
        for number in range(len(region.outposts)):
            region.count(number)
        await region.end_home(cleanly=True)
        region.close()
        assert region.gathered() == {writer: list(range(rows)) for writer, rows in region.written.items()}, turns

    assert steps == 30


async def test_nobody_but_the_logs_host_says_what_may_be_forgotten(tmp_path: Path) -> None:
    """A number that somebody wrote into Redis, or that was said of another journal or by another host, moves nothing."""
    region = Region(tmp_path, 1)
    await region.start_home()
    region.outposts[0].calls(5)
    last = region.sources[0].spool.last()
    names = [
        name_of(house.directory.name, source.spool.identity)
        for house, source in zip(region.outposts, region.sources, strict=True)
    ]
    said = [
        b"%d" % last,
        *(
            region.keyring.seal(purpose, b"%d" % last)
            for purpose in (f"signed/home/{names[1]}", f"signed/twin/{names[0]}", f"taken/home/{names[0]}x")
        ),
    ]
    for value in said:
        for what in ("taken", "signed"):
            region.redis.hashes[f"{what}:home"][names[0]] = value
        await region.carriers[0].step()
        assert (region.carriers[0].taken, region.carriers[0].signed) == (-1, -1)
    held = [row.seq for row in region.sources[0].spool.after(-1)]
    await region.receiver.step()
    await region.end_home(cleanly=True)
    region.close()

    assert held == list(range(1 << RSEQ_BITS, last + 1))


async def test_a_log_made_elsewhere_is_sent_all_there_is(tmp_path: Path) -> None:
    """Another host makes the log from now on and has nothing of this journal yet: the host that knew better begins anew."""
    region = Region(tmp_path, 1)
    await region.start_home()
    region.outposts[0].calls(5)
    for _ in range(3):
        await region.carriers[0].step()
        await region.receiver.step()
    assert region.carriers[0].taken == region.sources[0].spool.last()
    await region.end_home(cleanly=True)
    region.house = House(tmp_path / "another")
    await region.start_home()
    region.redis.hashes.clear()
    region.redis.values["home"] = b"another"
    region.receiver._heads.name = "another"
    await region.carriers[0].step()
    region.outposts[0].calls(1)
    for _ in range(6):
        await region.carriers[0].step()
        await region.receiver.step()
    region.count(0)
    rows = region.gathered()
    await region.end_home(cleanly=True)
    region.close()

    assert list(rows.values()) == [list(range(region.outposts[0]._next))]


@pytest.mark.parametrize("lost", [None, 0, 1], ids=["all came", "the first is lost", "one between is lost"])
async def test_entries_that_came_together_are_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int | None
) -> None:
    """Of each journal as many as follow each other; none is taken across one that is missing."""
    monkeypatch.setattr(carriage, "ROWS", 3)
    region = Region(tmp_path, 1)
    await region.start_home()
    region.outposts[0].calls(5)
    region.outposts[1].calls(5)
    for _ in range(3):
        for carrier in region.carriers:
            await carrier.step()
    ours = [number for number, fields in region.redis.stream.items() if fields[b"n"].startswith(b"outpost0")]
    if lost is not None:
        del region.redis.stream[ours[lost]]
    commits: list[int] = []
    gather = region.journal.gather

    async def counted(lines: Sequence[str], name: str, seq: int) -> int:
        commits.append(len(lines))
        return await gather(lines, name, seq)

    monkeypatch.setattr(region.journal, "gather", counted)
    assert await region.receiver.step() == 6 - (lost is not None)
    await region.end_home(cleanly=True)
    region.close()

    assert sorted(commits) == ([9, 9] if lost is None else [9] if lost == 0 else [3, 9])


@pytest.mark.soak
async def test_no_row_is_lost_in_many_walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, a hundred and twenty times."""
    rows = [await _walk(seed, tmp_path / str(seed), monkeypatch, steps=250) for seed in range(120)]
    print(f"\n{len(rows)} walks of 250 steps, {sum(rows)} rows: each there once")
