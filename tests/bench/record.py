"""What stands beside a made-up index: the journal, the log, configurations, acts and looks of the same many calls.

As many rows, leaves, tiles and checkpoints as there would be, so that every look-up is as deep and every file as
large. Only what a page reads says something: the newest calls and some of all times have whole records, other rows of
the journal have an empty body, and hashes are chance, since no page checks them (browsers and the verifier do).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import apsw
import orjson

from gateway.audit.access import AccessBook
from gateway.audit.boot import row_line
from gateway.audit.configurations import keep_configuration
from gateway.audit.index import Index, _Batch
from gateway.audit.language import Sha, Vocabulary
from gateway.audit.leaf import COMMITTED, SALT_BYTES
from gateway.audit.log_store import Batch, LogStore, Signed
from gateway.audit.merkle import HASH_BYTES
from gateway.audit.pages import Filters, Line, Pages
from gateway.audit.periods import DAY, EVER, HOUR
from gateway.audit.record import Operator
from gateway.audit.scope import Scope
from gateway.audit.store import FILE_NAME, RSEQ_BITS, Cipher, keyed
from gateway.audit.tlog import TILE, Checkpoint
from gateway.audit.words import Act, Processor, Said, Setting, Verdict
from gateway.config import Bundle

ORIGIN = "zero-retention-gateway.invalid/bench"
_BOOT = "ab" * 16
_NEWEST = 12_000
_SPREAD = 400
_ACTS_FROM = 1 << 39
"""Acts stand behind all calls, in the journal as elsewhere: what a page asks of them is their time."""

_ROWS = """
WITH RECURSIVE number(at) AS (SELECT ?1 UNION ALL SELECT at + 1 FROM number WHERE at + 1 < ?2)
INSERT OR IGNORE INTO record SELECT ?3 + at, ?4 + at * ?5, 'i', NULL, 0, 0, '{}' FROM number
"""
_LEAVES = """
WITH RECURSIVE number(at) AS (SELECT ?1 UNION ALL SELECT at + 1 FROM number WHERE at + 1 < ?2)
INSERT INTO leaf SELECT at, ?3 + at, at % 200 + 1, at / 200 + 1, randomblob(?4) FROM number
"""
_AT_ONCE = 200_000


def settle(state: Path, key: bytes, rows: int, since: int, until: int, bundle: Bundle) -> None:
    """Put beside the index of `state` what `rows` rows of its journal, written from `since` to `until`, leave."""
    if (state / "log" / "configurations").exists():
        return
    _acts(state, key, rows, since, until, bundle)
    _log(state / "log", key, rows, since, until)
    _journal(state, key, rows, since, until)
    book = AccessBook(state, key)
    book.enter("5e" * 16, "security", "who", "everyone", since)
    for number in range(5_000):
        book.note("5e" * 16, "view", "/calls?decision=refuse", f"{number:064x}", 50, since + number * DAY // 20)
    book.close()


def _numbers(rows: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + _AT_ONCE, rows)) for first in range(0, rows, _AT_ONCE))


def _journal(state: Path, key: bytes, rows: int, since: int, until: int) -> None:
    """A row for each, and whole records of some calls."""
    connection = keyed(state / "journal" / FILE_NAME, apsw.SQLITE_OPEN_READWRITE, key, Cipher.AEGIS, "")
    connection.execute("PRAGMA synchronous = OFF").fetchall()
    boot = 1 << RSEQ_BITS
    for first, end in _numbers(rows):
        with connection:
            connection.execute(_ROWS, (first, end, boot, since, (until - since) // rows))
    with connection:
        for line in _told(state, key, since, until):
            for seq, kind, body in _records(line):
                connection.execute(
                    "REPLACE INTO record VALUES(?,?,?,?,?,0,?)",
                    (seq, line.time, kind, bytes.fromhex(line.call), line.attempt, body),
                )
    connection.wal_checkpoint()
    connection.close()


def _told(state: Path, key: bytes, since: int, until: int) -> Iterator[Line]:
    """The calls that have whole records: the newest, and one now and then of all times."""
    pages = Pages(state, key, key)
    with pages.view(Scope.everyone()) as view:
        yield from view.lines(Filters(until=EVER), most=_NEWEST)
        for number in range(_SPREAD):
            yield from view.lines(Filters(until=since + (number + 1) * (until - since) // _SPREAD), most=2)
        for code in ("parameter_retains_data", "cut_off"):
            yield from view.lines(Filters(until=EVER, values=(("end", code),)), most=200)
    pages.close()


def spread(state: Path, key: bytes, since: int, until: int, most: int = 20) -> list[str]:
    """Ids of calls of all times that have whole records."""
    pages = Pages(state, key, key)
    with pages.view(Scope.everyone()) as view:
        ends = [since + number * (until - since) // _SPREAD for number in range(1, _SPREAD + 1, _SPREAD // most)]
        found = [line.call for end in ends for line in view.lines(Filters(until=end), most=1)]
    pages.close()
    return found


def _records(line: Line) -> Iterable[tuple[int, str, str]]:
    """Records of the size and form that such a call has."""
    facts = line.facts
    shared: dict[str, object] = {"call": line.call, "tenant": facts["tenant"], "v": 1}
    asked = {
        "caller": facts["caller"], "purpose": facts["purpose"], "wire": facts.get("wire", "openai"), "key": "00112233aabbccdd",
        "operation": facts["operation"], "configuration": "c0" * 32, "subject": "ab" * 16, "time": line.time,
    }  # fmt: skip
    if facts["decision"] == "refuse":
        yield line.seq, "r", _text({**shared, **asked, "kind": "refusal", "code": facts["end"], "source": "O4"})
        return
    yield line.seq, "i", _text(
        {**shared, **asked, "kind": "intent", "attempt": 0, "processor": facts["processor"], "model": facts["model"],
         "agreement": facts["agreement"], "countries": facts["countries"].split(), "tls": "TLSv1.3", "stream": True,
         "size": 1024, "messages": 4, "redactions": line.redactions, "forced": ["store"]}
    )  # fmt: skip
    if line.outcome is not None:
        yield line.outcome, "o", _text(
            {**shared, "kind": "outcome", "time": line.time + 900_000, "attempt": 0, "result": facts["end"],
             "status": 200, "finishes": ["stop"], "input_tokens": line.input_tokens, "chunks": 40, "first_ms": 400,
             "output_tokens": line.output_tokens, "size": 2048, "total_ms": 900}
        )  # fmt: skip


def _text(record: dict[str, object]) -> str:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()


def _log(directory: Path, key: bytes, rows: int, since: int, until: int) -> None:
    """Leaves, tiles of every level, bundles, and a checkpoint an hour."""
    store = LogStore(directory, key, ORIGIN)
    connection = store._connection
    connection.execute("PRAGMA synchronous = OFF; PRAGMA secure_delete = OFF").fetchall()
    for first, end in _numbers(rows):
        with connection:
            connection.execute(_LEAVES, (first, end, 1 << RSEQ_BITS, SALT_BYTES))
    head = (len(COMMITTED) + HASH_BYTES).to_bytes(2) + COMMITTED
    with connection:
        for position in range(-(-rows // TILE)):
            width = min(TILE, rows - position * TILE)
            chance = os.urandom(width * HASH_BYTES)
            entries = b"".join(head + chance[at : at + HASH_BYTES] for at in range(0, len(chance), HASH_BYTES))
            connection.execute("INSERT INTO bundle VALUES(?,?)", (position, entries))
        level, hashes = 0, rows
        while hashes:
            for position in range(-(-hashes // TILE)):
                width = min(TILE, hashes - position * TILE)
                connection.execute("INSERT INTO tile VALUES(?,?,?)", (level, position, os.urandom(width * HASH_BYTES)))
            level, hashes = level + 1, hashes // TILE
        hours = (until - since) // HOUR
        for hour in range(1, hours):
            _sign(connection, rows * hour // hours, since + hour * HOUR)
        connection.execute("INSERT INTO boot VALUES(1,?,?)", (_BOOT, rows))
        for number in range(2, 60):
            connection.execute("INSERT INTO boot VALUES(?,?,?)", (number, os.urandom(16).hex(), 1))
    store.add(Batch(), _signed(rows, until))
    connection.wal_checkpoint()
    store.close()


def _sign(connection: apsw.Connection, size: int, time: int) -> None:
    signed = _signed(size, time)
    connection.execute("INSERT OR IGNORE INTO checkpoint VALUES(?,?,?)", (signed.size, signed.time, signed.note))


def _signed(size: int, time: int) -> Signed:
    checkpoint = Checkpoint(ORIGIN, size, os.urandom(HASH_BYTES))
    return Signed(size, time, f"{checkpoint.text()}\n\u2014 {ORIGIN} {'A' * 92}\n")


def _acts(state: Path, key: bytes, rows: int, since: int, until: int, bundle: Bundle) -> None:
    """A configuration a month, kept; readings of every processor and trials an hour; a boot a week; totals a day."""
    digests = []
    for month in range(14):
        trees, schemas = orjson.loads(bundle.preimage)
        trees["gateway.yaml"]["notice_days"] = 30 + month
        preimage = orjson.dumps([trees, schemas], option=orjson.OPT_SORT_KEYS)
        digests.append(Sha(sha256(preimage).hexdigest()))
        keep_configuration(state / "log", digests[-1], preimage)
    (state / "log").chmod(0o700)
    names = list(bundle.registry.entries)
    words = Vocabulary({Processor: names})
    chance = random.Random(3)
    found: list[Operator] = []
    for hour in range((until - since) // HOUR):
        at = since + hour * HOUR
        for name in names:
            found.append(
                Operator(
                    time=at, act=Act.ATTESTATION, processor=words.word(Processor, name), verdict=Verdict.PASS,
                    readings=((Setting.PROJECT_RETENTION, Said.MODIFIED), (Setting.WEB_SEARCH, Said.DISABLED)), start=at,
                )
            )  # fmt: skip
        found.append(
            Operator(
                time=at, act=Act.CANARY, processor=words.word(Processor, chance.choice(names)), verdict=Verdict.PASS,
                count=11, readings=((Setting.LEAKS, Said.ABSENT),), start=at,
            )
        )  # fmt: skip
        if hour % 168 == 0:
            digest = digests[hour // 720 % len(digests)]
            found.append(Operator(time=at, act=Act.BOOT, configuration=digest, clean=True))
        if hour % 720 == 0 and hour:
            month = hour // 720 % len(digests)
            act = Operator(time=at, act=Act.CONFIGURATION, configuration=digests[month], parent=digests[month - 1])
            found.append(act)
        if hour % 24 == 0:
            found.append(Operator(time=at, act=Act.TOTALS, start=at))
    index = Index(state, key, key)
    boot = index._last_mark("boot")
    batch = _Batch()
    for number, each in enumerate(found):
        index._take(batch, 1 << RSEQ_BITS | _ACTS_FROM + number, each.time, "p", row_line(each)[50:])
    with index._connection:
        index._write(batch)
        index._mark("last", 1 << RSEQ_BITS | rows - 1)
        index._mark("boot", boot)  # of a row that the journal has, or the index would be made anew when next opened
    index.close()
