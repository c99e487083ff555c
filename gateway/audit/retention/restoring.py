"""A state that came back from a backup: what was deleted since goes again before it serves, and its log goes on.

`reapply` runs at every start. What was deleted is kept beside the guard (`log.guard` of gateway.yaml, on another volume
than the state), so a backup that is older than a deletion loses it again before the first call.

`adopt` is for people. The log must not be signed from an older size again, or there would be two pasts; so it is
brought up to the newest copy that was published (`log.tiles`).
The records between the backup and that copy are lost with their
disk: what stands of them in the log is listed, and a `gap` record says so for ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson

from gateway.audit import index
from gateway.audit.edge import Edge
from gateway.audit.guard import Guard
from gateway.audit.language import Sha
from gateway.audit.leaf import CLEAR, COMMITTED
from gateway.audit.log_store import LOG_FILE, Batch, Leaf, LogReader, LogStore, Signed
from gateway.audit.record import Operator
from gateway.audit.retention.register import Register
from gateway.audit.retention.selection import Rows
from gateway.audit.retention.spans import keep_spans, read_spans, spans_of, written_spans
from gateway.audit.stamps import take_back
from gateway.audit.store import FILE_NAME, RSEQ_BITS, SqliteStore, StoreFault, reading, translated
from gateway.audit.tlog import TILE, Checkpoint, NotACheckpoint, bundle_path, unbundle
from gateway.audit.words import Act
from gateway.durable import write_durably
from gateway.keys import Keyring

LOST = "lost.json"
"""In the log's folder: what `adopt` found lost, until the gateway has recorded it."""

_AT_ONCE = 256


class NotAdopted(Exception):
    """The copy of the log does not continue this one. The text is ours."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What is lost: the digest of the list of leaves, how many, and between which instants, in microseconds."""

    document: str
    count: int
    start: int
    end: int

    def act(self, time: int) -> Operator:
        """What the record says of it."""
        return Operator(
            time=time,
            act=Act.GAP,
            document=Sha(self.document),
            count=self.count,
            start=self.start,
            end=self.end,
            refused=0,
        )


def reapply(state: Path, keyring: Keyring, guard: Path, tenants: Iterable[str] = ()) -> int:
    """Delete again what was deleted before this state was restored; how many deletions there were.

    Nothing else may have the state open.

    Args:
        state: the state directory.
        keyring: of the state.
        guard: the file of the last checkpoint; what was deleted is beside it.
        tenants: ids to look among, beside those that the state knows, for whom a deletion was of.

    Raises:
        StoreFault, KeyFault: a file cannot be used; then nothing may be served.
    """
    journal_file = state / "journal" / FILE_NAME
    if (state / "log" / LOG_FILE).exists() and not _holds_anything(journal_file, keyring):
        raise StoreFault(
            f"{journal_file}: is gone and its log is here; put it back, or (`gateway restore --salvage`) have it "
            "recorded as lost: a new one is not begun in its place"
        )
    acts = Guard(guard).acts()
    if not acts or not (state / "log" / LOG_FILE).exists():
        return 0
    with LogReader.read(state / "log", keyring.log_key()) as log:
        done, origin = log.erasures(), log.origin
        known = {*tenants, *log.tenants()}
    missing = {document: act for document, act in acts.items() if not done.get(document)}
    if not missing:
        return 0
    register = Register(keyring)
    known |= {each.id for each in register.all()}
    with (
        contextlib.closing(LogStore(state / "log", keyring.log_key(), origin)) as log_store,
        contextlib.closing(SqliteStore(state / "journal", keyring.journal_key())) as journal,
    ):
        for document, (written, listed) in missing.items():
            act = orjson.loads(written)
            keep_spans(state / "log", listed.encode())
            for start, end in read_spans(listed.encode()):
                _forget_rows(journal, log_store.seqs(start, end))
            log_store.forget(read_spans(listed.encode()))
            if act.get("ground") in {"tenant", "cancelled"}:
                _destroy(keyring, register, known, str(act.get("subject")))
            if not journal.truncate() or not log_store.forgotten(document):
                raise StoreFault(f"{state}: somebody reads it; what was deleted cannot be deleted again yet")
    index.drop_packs(state)
    index.forget(state)
    return len(missing)


def _holds_anything(journal_file: Path, keyring: Keyring) -> bool:
    """Whether it is a journal with a row. One that is damaged is; whoever opens it will say so."""
    if not journal_file.exists() or journal_file.stat().st_size == 0:
        return False
    with contextlib.closing(reading(journal_file, keyring.journal_key())) as journal, translated(journal_file):
        return journal.execute("SELECT 1 FROM record LIMIT 1").fetchone() is not None


def _destroy(keyring: Keyring, register: Register, known: set[str], mark: str) -> None:
    """Destroy the key of the tenant whose keyed hash of itself this is, if the state has it."""
    for tenant in sorted(known):
        if keyring.has_tenant(tenant) and keyring.tenant_mac(tenant, "tenant", tenant) == mark:
            register.forget(tenant)
            keyring.destroy_tenant(tenant)


def _forget_rows(journal: SqliteStore, seqs: list[int]) -> None:
    for at in range(0, len(seqs), _AT_ONCE):
        journal.forget(seqs[at : at + _AT_ONCE])


def adopt(state: Path, keyring: Keyring, guard: Path, tiles: Path, now: int) -> Lost | None:
    """Bring a restored log up to its newest copy; what was lost, or None where nothing was. Run `reapply` before.

    Args:
        state: the restored state, which nothing else has open.
        keyring: of the state.
        guard: the file of the last checkpoint.
        tiles: the copy that was published.
        now: microseconds since 1970.

    Raises:
        NotAdopted: the copy is older than the guard, is not signed by this log's key, or does not extend this log.
        StoreFault: a file cannot be used.
    """
    signer = keyring.log_signer()
    with LogReader.read(state / "log", keyring.log_key()) as reading:
        origin = reading.origin
    try:
        note = (tiles / "checkpoint").read_text(encoding="utf-8")
        copy = Checkpoint.parse(note)
    except (OSError, UnicodeDecodeError, NotACheckpoint):
        raise NotAdopted(f"{tiles}: holds no checkpoint") from None
    seen = Guard(guard).seen()
    if copy.origin != origin or not note.startswith(copy.sign(signer)):
        raise NotAdopted("the copy is not signed by this log's key under its name")
    if seen is not None and seen.size > copy.size:
        raise NotAdopted(f"the copy has {copy.size} leaves; the guard saw {seen.size}: there must be a newer one")
    with (
        contextlib.closing(LogStore(state / "log", keyring.log_key(), origin)) as log,
        contextlib.closing(SqliteStore(state / "journal", keyring.journal_key())) as journal,
    ):
        if copy.size <= log.size:
            return None
        return _adopt(log, journal, keyring, state, tiles, copy, note, now)


def _adopt(
    log: LogStore,
    journal: SqliteStore,
    keyring: Keyring,
    state: Path,
    tiles: Path,
    copy: Checkpoint,
    note: str,
    now: int,
) -> Lost:
    size = log.size
    entries = _entries(tiles, size, copy.size)
    edge, batch = Edge.of(log), Batch()
    edge.append(entries, batch)
    if edge.root != copy.root:
        raise NotAdopted("the copy does not extend this log")
    facts = [orjson.loads(entry[1:]) for entry in entries if entry[:1] == CLEAR]
    erasures = log.erasures()
    for fact in facts:
        if fact.get("act") in {"erase", "prune"} and fact.get("document") not in erasures:
            raise NotAdopted("the copy tells of a deletion whose list is not beside the guard; bring it first")
    started = {str(fact.get("started")) for fact in facts if fact.get("act") == "boot"}
    with contextlib.closing(Rows(state / "journal", keyring.journal_key())) as rows:
        behind = _lagging(log, rows, started, batch)
    for seqs in behind.values():
        _forget_rows(journal, seqs)  # they are in the log, under salts that are lost
    journal.truncate()
    last = max((seq for seqs in behind.values() for seq in seqs), default=None)
    indices = [size + at for at, entry in enumerate(entries) if entry[:1] == COMMITTED]
    # The journal's rows are ordered up to `last`; which leaf bears it does not matter, if its record is lost.
    bearer = indices[-1] if indices else copy.size - 1
    batch.leaves += [Leaf(at, last if at == bearer else None, None, None, None) for at in range(size, copy.size)]
    before = log.latest()
    log.add(batch, Signed(copy.size, max(now, 0 if before is None else before.time), note))
    anchored = [(str(each.get("document")), str(each.get("parent"))) for each in facts if each.get("act") == "anchor"]
    take_back(log.directory, tiles, anchored)
    document = keep_spans(log.directory, written_spans(spans_of(indices)))
    lost = Lost(document, len(indices), 0 if before is None else before.time, now)
    write_durably(log.directory / LOST, orjson.dumps(lost))
    return lost


def _lagging(log: LogStore, rows: Rows, started: set[str], batch: Batch) -> dict[int, list[int]]:
    """The journal's rows that the lost part of the log had ordered already, by boot; their boots count as ordered."""
    known = log.boots()
    found: dict[int, list[int]] = {}
    for seq, boot in rows.after(log.last_seq):
        number = seq >> RSEQ_BITS
        if number in known or boot in started:
            found.setdefault(number, []).append(seq)
            name = known[number][0] if number in known else boot
            batch.boots[number] = name, (seq & (1 << RSEQ_BITS) - 1) + 1
    return found


def _entries(tiles: Path, start: int, end: int) -> list[bytes]:
    found: list[bytes] = []
    for position in range(start // TILE, -(-end // TILE)):
        width = min(TILE, end - position * TILE)
        try:
            entries = unbundle((tiles / bundle_path(position, width)).read_bytes())
        except (OSError, ValueError):
            raise NotAdopted(f"{tiles / bundle_path(position, width)}: is missing, or damaged") from None
        found += entries[max(0, start - position * TILE) :]
    if len(found) != end - start:
        raise NotAdopted("the copy holds fewer entries than its checkpoint says")
    return found


def lost_before(state: Path) -> Lost | None:
    """What `adopt` found lost and nobody has recorded yet."""
    path = state / "log" / LOST
    return Lost(**cast(dict[str, int], orjson.loads(path.read_bytes()))) if path.exists() else None  # type: ignore[arg-type]


def recorded(state: Path) -> None:
    """It is in the record now."""
    (state / "log" / LOST).unlink(missing_ok=True)
