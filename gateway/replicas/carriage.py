"""Journals of several hosts, carried to the one that makes the region's log, over one stream in Redis.

Redis only carries. A row is durable on its own host before anything leaves, it is sent again until the log's host says
how far it has gathered, and it is forgotten only once a signed checkpoint covers it; so a Redis that is lost, wiped or
failed over costs nothing but time. Rows go in order, many to an entry, sealed under the master key that all hosts have:
Redis and its files hold nothing that can be read. They are not compressed: most of a row is keyed hashes, and to press
them took more than all else about carriage.

Keys, all under the region's tag: `carriage` the stream; `head`, what was claimed last (see `audit.sequencing`), and
`home`, by whom: whoever signs claims first, by compare and set, so of two sequencers with the same log one is refused.
What each host saw there it writes again if Redis forgot. `taken:HOME` and `signed:HOME`, how far HOME has gathered and
signed each journal, sealed, since by the one a host goes on and by the other it forgets: nobody but HOME can say it,
and what it said earlier is less. Only who holds the head takes anything from the stream. `configurations`, by digest:
what a host's records were decided by, which the log's host keeps before it takes them; `keys`, of tenants, which all
hosts share.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, Protocol, cast

import orjson
from redis.exceptions import RedisError

from gateway.audit.configurations import kept_configuration
from gateway.audit.gathering import AT_ONCE, LOST
from gateway.audit.store import Carried
from gateway.errors import Code, Unavailable
from gateway.keys import KeyFault, Keyring
from gateway.replicas.door import Away, Client, DoorOptions, connect, hang_up

WAIT_SECONDS: Final = 2.0
"""The longest that one command may take: nobody's call waits for it."""
ROWS: Final = 512
WINDOW: Final = 16 * ROWS
"""Most rows that are under way and not gathered yet."""
RESEND_SECONDS: Final = 2.0
QUEUED: Final = 64
"""Entries in the stream beyond which nobody adds one: Redis is no store, and what is not sent is not lost."""
LOOK_SECONDS: Final = 0.1
PACE_SECONDS: Final = 0.1
"""Between two entries of one journal that is not behind. What was not sent yet is lost with its disk, so not long."""
TAKE_SECONDS: Final = 0.2
"""Between two looks of the log's host: what came meanwhile is committed at once."""
GRACE_SECONDS: Final = 2.0
TOLD_SECONDS: Final = 1.0
"""Between two looks at what is signed, and tellings of what was told before: Redis may have been wiped."""
COPIED_SECONDS: Final = 3.0
"""Redis writes its file out once a second unless it is told `appendfsync always`."""
_WAITAOF_MILLISECONDS: Final = 1500
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0)
_ENTRIES: Final = 32
_LONGEST: Final = 16 * 2**20
_SAID: Final = {2: "taken", 3: "signed"}
"""What the log's host says of a journal, by the number of its key in `_TAKE`."""

_LOOK: Final = """
local queued = redis.call('XLEN', KEYS[3])
local home = redis.call('GET', KEYS[2])
local added = home and ARGV[2] ~= '' and queued < tonumber(ARGV[3])
if added then redis.call('XADD', KEYS[3], '*', 'n', ARGV[1], 'd', ARGV[2]) end
local reply = {redis.call('GET', KEYS[1]), home, queued, added and 1 or 0}
for place = 4, 5 do reply[place + 1] = redis.call('HGET', KEYS[place], ARGV[1]) end
return reply
"""
"""KEYS: `head`, `home`, the stream, and where the log's host says what it has taken and signed. ARGV: the journal, an
entry or nothing, and how many entries may be queued before it. The reply: what is claimed and by whom, the entries that
were queued, whether ours was added, and what is taken and signed of the journal."""

_TAKE: Final = """
local done = 3 + 3 * tonumber(ARGV[2])
for at = 3, done - 1, 3 do redis.call('HSET', KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]) end
for at = done, #ARGV do redis.call('XDEL', KEYS[1], ARGV[at]) end
redis.call('EXPIRE', KEYS[1], 3600) -- what nobody takes must not stay in Redis' files
return redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])
"""
"""KEYS: the stream, and where it is said what is taken and signed. ARGV: the most entries to give; of how many journals
something is said, and for each by which key, its name and the word; then the entries that are done with. The reply: the
next entries."""

_CLAIM: Final = """
local head = redis.call('GET', KEYS[1])
if head == ARGV[1] or head == ARGV[2] or (not head and ARGV[3] == '1') then
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('SET', KEYS[2], ARGV[4])
  return false
end
return head or ''
"""


class Line:
    """A connection to Redis for what may wait: bounded, never retried by the library, its errors translated."""

    def __init__(self, options: DoorOptions) -> None:
        self._tag = options.tag
        self._client: Client = connect(options, WAIT_SECONDS)

    def key(self, name: str) -> str:
        """A key under the region's hash tag."""
        return f"{{{self._tag}}}:{name}"

    async def run(self, *words: str | bytes | int) -> object:
        """One command.

        Raises:
            Away: whether it was carried out is unknown.
        """
        return await self._bounded(self._client.execute_command(*words))

    async def run_all(self, *commands: Sequence[str | bytes | int]) -> list[object]:
        """Commands in one round trip.

        Raises:
            Away: whether they were carried out is unknown.
        """
        if len(commands) == 1:  # a pipeline costs several times as much
            return [await self.run(*commands[0])]
        pipe = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        return cast("list[object]", await self._bounded(pipe.execute()))

    async def _bounded(self, command: Awaitable[object]) -> object:
        """Wait for a command, in a task of its own: the library may take a cancellation for a time-out of its own."""
        task = asyncio.ensure_future(command)
        try:
            done, _late = await asyncio.wait([task], timeout=WAIT_SECONDS)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_seen)
        if not done or task.cancelled():  # the library may end a command so, too; nobody asked us to end
            raise Away("TimeoutError")
        try:
            return task.result()
        except (RedisError, OSError, TimeoutError) as error:
            raise Away(type(error).__name__) from None

    async def close(self) -> None:
        """Hang up."""
        await hang_up(self._client)


class Source(Protocol):
    """A journal to be carried."""

    async def after(self, seq: int, most: int) -> list[Carried]:
        """Its rows after a key."""
        ...

    async def writer(self, seq: int) -> str | None:
        """The boot that a row is of."""
        ...

    async def last(self) -> int:
        """The key of its last row."""
        ...

    async def forget(self, seq: int) -> None:
        """Rows up to this key are under a signed checkpoint."""
        ...


class Carrier:
    """Sends one journal. Runs from `run` until cancelled.

    Args:
        line: to Redis.
        name: of the journal, and of no other ever.
        source: the journal.
        keyring: whose master key all hosts have.
        copies: how many replicas of Redis must have each row in their own files, beside Redis itself (`WAITAOF`),
            before `copied` says so; None: nobody asks.

    Attributes:
        taken, signed: how far it was gathered, and signed; -1 while nobody said.
        older: this host's journal is older than what was gathered of it, so nothing more may be written to it.
        looked: set once it was looked how far the log is, whatever came of it.
    """

    def __init__(self, line: Line, name: str, source: Source, keyring: Keyring, copies: int | None = None) -> None:
        self._copies = copies
        self._safe = -1
        self._stirred = asyncio.Event()
        self._progress = asyncio.Event()
        self._line = line
        self._name = name
        self._source = source
        self._keyring = keyring
        self._sent = -1
        self._moved = monotonic()
        self._head: bytes | None = None
        self._home = ""
        self._places: dict[str, tuple[tuple[str, bytes], int | None]] = {}
        self._may_send = False
        self._full = False
        self.heard = -1e9
        self.looked = asyncio.Event()
        self.taken = -1
        self.signed = -1
        self.older = False

    async def run(self) -> None:
        """Send, hear, and let the journal forget; whatever fails is tried again."""
        tries = 0
        while True:
            try:
                busy = await self.step()
                tries = 0
            except Away:
                self.looked.set()
                # Spread out, or all hosts would come back in the same instant.
                await asyncio.sleep(_PAUSES[0] * random.uniform(0.5, 1.5))  # noqa: S311
                await self._rest(_PAUSES[min(tries, len(_PAUSES) - 1)] - _PAUSES[0])
                tries += 1
                continue
            self.looked.set()
            if not self._full:  # rows gather meanwhile: to send one costs as much as to send hundreds
                await self._rest(PACE_SECONDS if busy else LOOK_SECONDS)

    async def _rest(self, seconds: float) -> None:
        """Until a call waits for its row to be copied, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds) * random.uniform(0.5, 1.5)):  # noqa: S311
                await self._stirred.wait()
        self._stirred.clear()

    async def copied(self, seq: int) -> None:
        """Wait until the row of this key, and all before it, is in the files of Redis and of so many of its replicas.

        Raises:
            Unavailable: `audit_unavailable`: that is not known in time; who lost its disk now would lose the row.
        """
        try:
            async with asyncio.timeout(COPIED_SECONDS):
                while max(self._safe, self.taken) < seq:
                    self._stirred.set()
                    await self._progress.wait()
        except TimeoutError:
            reason = "The audit record is not known to be copied to another host, so nothing was sent."
            raise Unavailable(Code.AUDIT_UNAVAILABLE, reason) from None

    def _moved_on(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    async def step(self) -> bool:
        """Send what comes next, and hear how far the log is; whether anything was sent.

        Raises:
            Away: nothing is lost; do it again.
        """
        self._full = False
        if not self._may_send:
            await self._look()
        if self.older or not self._may_send:
            return False
        begin = max(self._sent, self.taken)
        if begin > self.taken and monotonic() - self._moved > RESEND_SECONDS:
            begin = self.taken  # lost on the way, or out of turn: from where the log is
        rows = await self._source.after(begin, ROWS)
        if not rows or self._far_ahead(rows):
            await self._look()
            return False
        writer = await self._source.writer(rows[0].seq)
        # What was signed may be gone from here, so whoever has less than that must not take this for all there was.
        entry = sealed(self._keyring, self._name, max(begin, self.signed), writer, rows)
        waits = begin > self.taken and self._sent > self.taken
        taken = self.taken
        # An entry that is sent twice is taken once. It stays until it was gathered, and no entry stays for ever.
        if not await self._look(entry, rows[-1].seq):
            return False
        if not waits:
            self._moved = monotonic()
        if self.taken >= taken:  # else another host makes the log now, and has less
            self._sent = rows[-1].seq
        self._full = len(rows) == ROWS
        return True

    async def _look(self, entry: bytes = b"", last: int = -1) -> bool:
        """Hear how far the log is, and send an entry whose last row is of the key `last`; whether it was added.

        Raises:
            Away: it may be there or not; sent again it is taken once.
        """
        key, whose = self._line.key, self._home
        keys = key("head"), key("home"), key("carriage"), key(f"taken:{whose}"), key(f"signed:{whose}")
        looking = ("EVAL", _LOOK, len(keys), *keys, self._name, entry, QUEUED)
        copying = self._copies is not None and entry
        # By the same connection: `WAITAOF` is about what its connection wrote.
        after = (("WAITAOF", 1, self._copies, _WAITAOF_MILLISECONDS),) if copying else ()
        reply, *held = await self._line.run_all(looking, *after)
        head, home, queued, added, *places = cast("list[object]", reply)
        self._may_send = isinstance(home, bytes) and isinstance(queued, int) and queued < QUEUED
        await self._hear(head, home, places)
        if copying and added:
            self._copied(held, last)
        return added == 1

    def _copied(self, held: Sequence[object], last: int) -> None:
        match held:
            case [[int(own), int(others)]] if own >= 1 and others >= (self._copies or 0):
                self._safe = last
                self._moved_on()
            case _:
                raise Away("NotCopied")

    def _far_ahead(self, rows: Sequence[Carried]) -> bool:
        """Whether enough is under way: Redis is no store, and a slow log must not fill it."""
        return rows[0].seq - self.taken > WINDOW and self.taken >> 40 == rows[0].seq >> 40

    async def _hear(self, head: object, home: object, places: Sequence[object]) -> None:
        if isinstance(head, bytes):
            self._head = head
        elif self._head is not None:
            await self._line.run("SET", self._line.key("head"), self._head, "NX")
        if not isinstance(home, bytes):
            return
        whose = home.decode("ascii", "replace")
        if self._home != whose:
            self._home = whose
            places = await self._line.run_all(
                *(("HGET", self._line.key(f"{what}:{whose}"), self._name) for what in ("taken", "signed"))
            )
        taken, signed = places
        self.heard = monotonic()
        moved = self._place("taken", whose, taken)
        if moved is not None and moved != self.taken:  # -1, too: another host may make the log now, and have nothing
            self._sent = moved if moved < self.taken else self._sent
            self.taken, self._moved = moved, monotonic()
            self.older = moved > self._sent and moved > await self._source.last()
            self._moved_on()
        through = self._place("signed", whose, signed)
        if through is not None and through > self.signed and not self.older:
            self.signed = through
            await self._source.forget(through)

    def _place(self, what: str, whose: str, value: object) -> int | None:
        """What the log's host said; None if it said nothing, or somebody else did."""
        if not isinstance(value, bytes):
            return None
        known, place = self._places.get(what, (None, None))
        if (whose, value) != known:
            try:
                place = int(self._keyring.unseal(_purpose(what, whose, self._name), value))
            except (KeyFault, ValueError):
                place = None
            self._places[what] = (whose, value), place
        return place


async def publish(line: Line, keyring: Keyring, log: Path, digest: str) -> None:
    """Have a configuration that is kept here where the log's host finds it.

    Raises:
        Away: it is perhaps not there.
    """
    if not await line.run("HEXISTS", line.key("configurations"), digest):
        packed = await asyncio.to_thread(_packed, log, digest)
        await line.run("HSET", line.key("configurations"), digest, keyring.seal(f"configuration/{digest}", packed))


def _packed(log: Path, digest: str) -> bytes:
    return zlib.compress(kept_configuration(log, digest) or b"", 6)


async def published(line: Line, keyring: Keyring, digest: str) -> bytes:
    """A configuration that a host published.

    Raises:
        Away: it is not there, or not ours; its host publishes it again.
    """
    found = await line.run("HGET", line.key("configurations"), digest)
    try:
        if isinstance(found, bytes):
            return zlib.decompressobj().decompress(keyring.unseal(f"configuration/{digest}", found), _LONGEST)
    except (KeyFault, zlib.error):
        pass
    raise Away("NoConfiguration")


@dataclass(frozen=True, slots=True)
class Entry:
    """What travels at once.

    Attributes:
        after: the key that the rows were read after: the journal had none between it and the last of them but these.
        writer: the boot of the first row; None where that row says so itself.
        rows: in order.
    """

    after: int
    writer: str | None
    rows: list[Carried]

    def joined(self, following: Entry) -> Entry | None:
        """This with what follows it: a commit costs the same for few rows and for many. None: it does not follow."""
        if self.rows[-1].seq != following.after or len(self.rows) + len(following.rows) > AT_ONCE:
            return None
        return Entry(self.after, self.writer, [*self.rows, *following.rows])


Take = Callable[[str, Entry], Awaitable[int]]
"""Gathers rows of the journal of a name. Gives the key up to which it has them now."""


class Receiver:
    """Takes what other hosts sent, and says how far. Runs from `run` until cancelled; one in a region.

    Args:
        line: to Redis.
        keyring: whose master key all hosts have.
        take: gathers.
        signed: how far each journal is signed.
        heads: whether this host's sequencer is the one that signs.
    """

    def __init__(
        self,
        line: Line,
        keyring: Keyring,
        take: Take,
        signed: Callable[[], Awaitable[Mapping[str, int]]],
        heads: Heads,
    ) -> None:
        self._line = line
        self._heads = heads
        self._keyring = keyring
        self._take = take
        self._signed = signed
        self._taken: dict[str, int] = {}
        self._signs: Mapping[str, int] = {}
        self._known: dict[tuple[int, str], int] = {}
        self._done: list[bytes] = []
        self._told = -1e9
        self.foreign = 0

    def give_up(self, names: Iterable[str]) -> None:
        """Say of these journals, from the next telling on, that nothing of them is taken any more."""
        self._taken |= dict.fromkeys(names, LOST)

    async def run(self) -> None:
        """Take and tell; whatever fails is tried again."""
        tries = 0
        while True:
            try:
                if await self.step() < _ENTRIES:  # entries gather meanwhile
                    await asyncio.sleep(TAKE_SECONDS)
                tries = 0
            except Away:
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)] * random.uniform(0.5, 1.5))  # noqa: S311
                tries += 1

    async def step(self) -> int:
        """Tell how far what was taken brings each journal, and take what is there by now; how many entries that was.

        Raises:
            Away: what was taken and not told is told the next time.
        """
        if not self._heads.held:
            return 0
        if monotonic() - self._told > TOLD_SECONDS:
            self._signs = await self._signed()
            self._known.clear()  # Redis may have been wiped
            self._told = monotonic()
        home, key = self._heads.name, self._line.key
        news = {
            (place, name): seq
            for place, places in ((2, self._taken), (3, self._signs))
            for name, seq in places.items()
            if self._known.get((place, name)) != seq
        }
        words: list[str | bytes | int] = [_ENTRIES, len(news)]
        for (place, journal), seq in news.items():
            words += [place, journal, self._keyring.seal(_purpose(_SAID[place], home, journal), b"%d" % seq)]
        keys = key("carriage"), key(f"taken:{home}"), key(f"signed:{home}")
        reply = await self._line.run("EVAL", _TAKE, len(keys), *keys, *words, *self._done)
        self._known |= news
        self._done.clear()
        entries = _entries(reply)
        together: dict[str, tuple[Entry, list[bytes]]] = {}
        for number, name, entry in entries:
            opened = None if name is None else unsealed(self._keyring, name, entry)
            if opened is None or name is None:
                self.foreign += 1
                self._done.append(number)
                continue
            before, numbers = together.pop(name, (None, []))
            if before is not None and (joined := before.joined(opened)) is not None:
                opened = joined
            elif before is not None:
                await self._take_in(name, before, numbers)
                numbers = []
            together[name] = opened, [*numbers, number]
        for name, (opened, numbers) in together.items():
            await self._take_in(name, opened, numbers)
        return len(entries)

    async def _take_in(self, name: str, entry: Entry, numbers: Sequence[bytes]) -> None:
        self._taken[name] = await self._take(name, entry)
        self._done += numbers


class Heads:
    """The claims of this host's sequencer. See `sequencing.Claim`.

    Args:
        line: to Redis.
        name: of this host's log, and of no other.

    Attributes:
        held: whether the last claim was granted.
    """

    def __init__(self, line: Line, name: str) -> None:
        self._line = line
        self.name = name
        self.held = False

    async def claim(self, old: str, new: str) -> str | None:
        """Claim `new` after `old`, each `SIZE ROOT`; None if it is ours, else what was claimed last."""
        tries, waited = 0, 0.0
        while True:
            # Where Redis forgot what was claimed, other hosts write it again within a moment. Whoever has claimed in
            # this life goes on at once; whoever starts anew gives them that moment.
            may = int(self.held or waited >= GRACE_SECONDS)
            keys = self._line.key("head"), self._line.key("home")
            try:
                reply = await self._line.run("EVAL", _CLAIM, 2, *keys, old, new, may, self.name)
            except Away:
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1
                continue
            if reply is None:
                self.held = True
                return None
            if reply != b"":
                self.held = False
                return bytes(cast(bytes, reply)).decode("ascii", "replace")
            await asyncio.sleep(LOOK_SECONDS * 2)
            waited += LOOK_SECONDS * 2


def sealed(keyring: Keyring, name: str, after: int, writer: str | None, rows: Sequence[Carried]) -> bytes:
    """An `Entry` as it travels. Only who has the master key can read it, or make one.

    A line of JSON with what the rows follow, whose the first is, and runs of them, each by its first key and how many
    follow each other; then the rows, a line each.
    """
    runs: list[list[int]] = []
    for row in rows:
        if runs and row.seq == sum(runs[-1]):
            runs[-1][1] += 1
        else:
            runs.append([row.seq, 1])
    head = orjson.dumps([after, writer, runs]).decode()
    plain = "\n".join([head, *(row.line for row in rows)]).encode()
    return keyring.seal(f"carriage/{name}", plain)


def unsealed(keyring: Keyring, name: str, entry: bytes) -> Entry | None:
    """What travelled; None if nobody of ours made it."""
    try:
        head, *lines = keyring.unseal(f"carriage/{name}", entry).decode().split("\n")
        after, writer, runs = orjson.loads(head)
        seqs = itertools.chain.from_iterable(range(first, first + count) for first, count in runs)
        return Entry(int(after), writer, [Carried(*row) for row in zip(seqs, lines, strict=True)])
    except (KeyFault, ValueError, TypeError):
        return None


def _entries(reply: object) -> list[tuple[bytes, str | None, bytes]]:
    """Each entry's id, the journal's name, and the payload."""
    found: list[tuple[bytes, str | None, bytes]] = []
    for number, fields in cast("list[tuple[bytes, list[bytes]]]", reply):
        pairs = dict(zip(fields[::2], fields[1::2], strict=False))
        name = pairs.get(b"n")
        found.append((number, name.decode("ascii", "replace") if name else None, pairs.get(b"d", b"")))
    return found


def _seen(task: asyncio.Future[object]) -> None:
    """Whatever became of what nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _purpose(what: str, home: str, name: str) -> str:
    return f"{what}/{home}/{name}"
