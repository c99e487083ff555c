"""The state as the verifier takes it: entries of the log, with the records of the journal behind them.

Also what a pack is written from. Reads in pages, in transactions of one moment each, while the
gateway and the sequencer go on writing; nothing that is in the log changes any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import apsw
import orjson
from msgspec import Struct

from gateway.audit.configurations import kept_configuration, kept_digests
from gateway.audit.cosigning import cosigned, cosigned_before, trust
from gateway.audit.leaf import spelled
from gateway.audit.log_store import Leaf, LogReader, Signed
from gateway.audit.merkle import HASH_BYTES, consistency, inclusion, leaf_hash, peaks
from gateway.audit.reconciliation import kept_reports
from gateway.audit.retention.spans import FOLDER, kept_spans
from gateway.audit.stamps import kept_roots, kept_stamps
from gateway.audit.store import FILE_NAME, RSEQ_BITS, Cipher, StoreFault, legible, reading, translated
from gateway.audit.tlog import TILE, verifier_key
from gateway.audit.verify import Assertion, Policy
from gateway.keys import Keyring

_LIVING = """
WITH act AS MATERIALIZED (
  SELECT seq, body ->> 'act' AS act, body ->> 'writer' AS writer, body ->> 'previous' AS previous FROM record
  WHERE seq <= ? AND kind = 'p' AND (body ->> 'act' IN ('boot', 'configuration', 'shutdown')
    OR body ->> 'act' = 'gap' AND body ->> 'closed' IS NOT NULL))
SELECT seq FROM act WHERE writer IS NOT NULL AND act IN ('boot', 'configuration')
AND NOT EXISTS (SELECT 1 FROM act AS other WHERE other.writer = act.writer AND other.act = 'shutdown')
AND NOT EXISTS (SELECT 1 FROM act AS other WHERE other.previous = act.writer AND other.act IN ('boot', 'gap'))
"""
_NAMED = "SELECT body ->> 'configuration' FROM record WHERE seq = ?"
_COUNTS = """
SELECT coalesce(sum(kind = 'i'), 0), coalesce(sum(kind = 'i' AND attempt = 0), 0), coalesce(sum(kind = 'r'), 0),
  coalesce(sum(kind = 'p'), 0) FROM record WHERE seq > ? AND seq <= ?
"""
_RSEQ = (1 << RSEQ_BITS) - 1


class Row(Struct, frozen=True):
    """One leaf with what stands behind it; `salt` and `text` are None for an erased record."""

    index: int
    entry: bytes
    salt: bytes | None
    text: str | None


class Written:
    """Leaves [start, end) of a log, with the records behind them: all that an export needs."""

    def __init__(self, log: LogReader, journal: apsw.Connection, directory: Path, start: Signed | None, end: Signed):
        """Use `open_written`."""
        self._log, self._journal, self._directory = log, journal, directory
        self._boots = {number: name for number, (name, _rows) in log.boots().items()}
        self.damaged = False
        self.start = 0 if start is None else start.size
        self.end = end.size

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._log.origin

    def rows(self, since: int = 0) -> Iterator[Row]:
        """Every leaf in order, from index `since` on.

        Raises:
            StoreFault: a file cannot be read.
        """
        start = max(since, self.start)
        for position in range(start // TILE, -(-self.end // TILE)):
            first, last = max(start, position * TILE), min(self.end, (position + 1) * TILE)
            entries = self._log.entries(position)[first - position * TILE : last - position * TILE]
            leaves = self._log.leaves(first, last)
            if len(entries) != last - first or [leaf.index for leaf in leaves] != list(range(first, last)):
                raise StoreFault(f"{self._directory}: leaves or entries between {first} and {last} are missing")
            bodies = self._bodies([leaf.seq for leaf in leaves if leaf.seq is not None])
            for entry, leaf in zip(entries, leaves, strict=True):
                yield Row(leaf.index, entry, leaf.salt, self._text(leaf, bodies))

    def deleted(self, index: int) -> bool:
        """Whether a deletion that the log tells of is of this leaf, carried out or under way.

        Raises:
            StoreFault: a list is not kept.
        """
        spans = (span for document in self._log.erasures() for span in kept_spans(self._directory, document))
        return any(start <= index < end for start, end in spans)

    def _text(self, leaf: Leaf, bodies: dict[int, str]) -> str | None:
        if leaf.note is not None:
            return leaf.note
        body = None if leaf.seq is None else bodies.get(leaf.seq)
        if leaf.seq is None or body is None:
            return None
        boot = self._boots.get(leaf.seq >> RSEQ_BITS, "")
        try:
            return spelled(orjson.loads(body), boot, leaf.seq & _RSEQ, leaf.tseq).decode("ascii", "replace")
        except (orjson.JSONDecodeError, TypeError):
            return "not a record"

    def _bodies(self, seqs: list[int]) -> dict[int, str]:
        if not seqs:
            return {}
        span = min(seqs), max(seqs)
        try:
            found = self._journal.execute("SELECT seq, body FROM record WHERE seq BETWEEN ? AND ?", span).fetchall()
        except apsw.CorruptError:  # a record that cannot be read any more is one that is not there
            self.damaged = True
            return {row[0]: row[-1] for row in legible(self._journal, sorted(seqs))}
        except apsw.Error as error:
            raise StoreFault(f"{self._directory}: {type(error).__name__}") from None
        return dict(cast(list[tuple[int, str]], found))


class Evidence(Written):
    """Likewise, with all that `verify.verify` reads."""

    def __init__(self, log: LogReader, journal: apsw.Connection, directory: Path, start: Signed | None, end: Signed):
        """Use `open_evidence`."""
        super().__init__(log, journal, directory, start, end)
        self.note_a = None if start is None else start.note
        self.note_b = end.note
        self.report: dict[str, object] | None = None
        self.peaks = [(height, log.subtrees()(height, position)) for height, position in peaks(0, self.start)]
        self.prior = list(self._prior())
        self.configurations = self._configurations()
        self.lists = {path.stem: path.read_bytes() for path in sorted((directory / FOLDER).glob("*.json"))}
        self.reports = kept_reports(directory)
        self.later = self._later()
        self.stamps = self._stamps()
        self.roots = kept_roots(directory)

    @property
    def log(self) -> LogReader:
        """The log itself."""
        return self._log

    def leaves(self) -> Iterator[tuple[bytes, bytes | None, str | None]]:
        """Every leaf, as the verifier takes it."""
        for row in self.rows():
            yield row.entry, row.salt, row.text

    def policy(self, keyring: Keyring) -> str:
        """The trust in this log: its own key, and the witnesses that gateway.yaml names."""
        return own_policy(self.origin, keyring).replace("quorum none\n", trust(self._directory))

    def counted(self) -> dict[str, int]:
        """Attempts, calls, refusals and operator records of the period, by columns of the journal alone."""
        span = self._log.last_seq_before(self.start), self._log.last_seq_before(self.end)
        if self.damaged:
            return {}  # what cannot be read cannot be counted; A4 names it
        with translated(self._directory):
            found = cast(tuple[int, ...], self._journal.execute(_COUNTS, span).fetchone())
        return dict(zip(("attempts", "calls", "refused", "operator"), found, strict=True))

    def check_files(self, a1: Assertion, _policy: Policy) -> None:
        """A1 for a state: the tiles that are served hold the hashes of the entries."""
        for position in range(self.start // TILE, -(-self.end // TILE)):
            tile = self._log.tile(0, position)
            a1.checked += 1
            hashes = b"".join([leaf_hash(entry) for entry in self._log.entries(position)])
            width = min(TILE, self.end - position * TILE) * HASH_BYTES
            if len(hashes) < width or tile[:width] != hashes[:width]:
                a1.fail(f"tile 0/{position}", "it does not hold the hashes of the entries")

    def _prior(self) -> Iterator[tuple[int, bytes, list[bytes]]]:
        """The boot record in force at A, the configurations announced since, the last anchor; each with its proof."""
        if not self.start:
            return
        last = self._log.last_seq_before(self.start)
        first = last >> RSEQ_BITS << RSEQ_BITS
        with translated(self._directory):
            found = self._journal.execute(
                "SELECT seq FROM record WHERE seq BETWEEN ? AND ? AND kind = 'p' "
                "AND body ->> 'act' IN ('boot', 'configuration') AND body ->> 'writer' IS NULL",
                (first, last),
            ).fetchall()
        anchored = self._anchored(0, last)
        force = sorted({*cast(list[tuple[int]], found), *self._living(last)})
        for seq in [*(seq for (seq,) in force), *(seq for seq, _document in anchored[-1:])]:
            yield self._proved(seq, self.end)

    def _living(self, last: int) -> list[tuple[int]]:
        """Likewise of each journal that was gathered and had not ended by A."""
        with translated(self._directory):
            if not self._journal.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gathered'").fetchall():
                return []
            return cast(list[tuple[int]], self._journal.execute(_LIVING, (last,)).fetchall())

    def _anchored(self, first: int, last: int) -> list[tuple[int, str]]:
        """(row, digest of the token) of each anchor between two rows."""
        with translated(self._directory):
            found = self._journal.execute(
                "SELECT seq, body ->> 'document' FROM record WHERE seq BETWEEN ? AND ? AND kind = 'p' "
                "AND body ->> 'act' = 'anchor' ORDER BY seq",
                (first, last),
            ).fetchall()
        return cast(list[tuple[int, str]], found)

    def _stamps(self) -> list[tuple[str, bytes, list[bytes] | None]]:
        """The tokens of the period, those its records name, the last one before it, and the first over B or more.

        A token's record may have been lost with a disk, while the log still says that it was there. Each comes with its
        checkpoint and, where that is not within the period, the proof between it and B.
        """
        kept = [each for each in kept_stamps(self._directory) if each.size <= self._log.size]
        if not kept:
            return []
        before = self._anchored(0, self._log.last_seq_before(self.start))[-1:] if self.start else []
        within = self._anchored(self._log.last_seq_before(self.start) + 1, self._log.last_seq_before(self.end))
        named = {document for _seq, document in (*before, *within)}
        over = next((each.size for each in kept if each.size >= self.end), None)
        last = max((each.size for each in kept if each.size < self.start), default=None)
        chosen = [
            each
            for each in kept
            if self.start <= each.size <= self.end or each.size in {last, over} or each.digest in named
        ]
        return [(each.note, each.answer, self._between(each.size)) for each in chosen]

    def _between(self, size: int) -> list[bytes] | None:
        """The proof between B and a checkpoint of `size` leaves; None for one within the period."""
        if self.start <= size <= self.end:
            return None
        return consistency(min(size, self.end), max(size, self.end), self._log.subtrees())

    def _later(self) -> tuple[str, list[bytes], list[tuple[int, bytes, list[bytes]]]] | None:
        """Deletions logged after B, which may be of records before it; proved under the last checkpoint."""
        latest = self._log.latest()
        if latest is None or latest.size <= self.end:
            return None
        with translated(self._directory):
            found = self._journal.execute(
                "SELECT seq FROM record WHERE seq > ? AND seq <= ? AND kind = 'p' AND (body ->> 'act' IN ('erase', "
                "'prune', 'erased') OR (body ->> 'act' = 'gap' AND body ->> 'document' IS NOT NULL)) ORDER BY seq",
                (self._log.last_seq_before(self.end), self._log.last_seq_before(latest.size)),
            ).fetchall()
        if not found:
            return None
        acts = [self._proved(seq, latest.size) for (seq,) in cast(list[tuple[int]], found)]
        return latest.note, consistency(self.end, latest.size, self._log.subtrees()), acts

    def _proved(self, seq: int, size: int) -> tuple[int, bytes, list[bytes]]:
        index = self._log.index_of(seq)
        entry = self._log.entry(index)
        return index, entry, inclusion(index, size, self._log.subtrees())

    def _configurations(self) -> dict[str, bytes]:
        """Those that operator records of the period, or before it, name."""
        last = self._log.last_seq_before(self.end)
        first = self._log.last_seq_before(self.start) >> RSEQ_BITS << RSEQ_BITS if self.start else 0
        try:
            found = self._journal.execute(
                "SELECT DISTINCT body ->> 'configuration' FROM record WHERE seq BETWEEN ? AND ? AND kind = 'p' "
                "AND body ->> 'configuration' IS NOT NULL",
                (first, last),
            ).fetchall()
        except apsw.CorruptError:
            found = [(digest,) for digest in kept_digests(self._directory)]
        except apsw.Error as error:
            raise StoreFault(f"{self._directory}: {type(error).__name__}") from None
        if first:
            for row in self._living(self._log.last_seq_before(self.start)):
                with translated(self._directory):
                    found += self._journal.execute(_NAMED, row).fetchall()
        kept = {digest: kept_configuration(self._directory, digest) for (digest,) in cast(list[tuple[str]], found)}
        return {digest: preimage for digest, preimage in kept.items() if preimage is not None}


@contextlib.contextmanager
def open_written(state: Path, keyring: Keyring, cipher: Cipher = Cipher.AEGIS) -> Iterator[Written | None]:
    """Every leaf that was signed by now, or None where nothing was. A few milliseconds, however long the log is.

    Raises:
        StoreFault: a file cannot be used.
    """
    with (
        LogReader.read(state / "log", keyring.log_key(), cipher) as log,
        contextlib.closing(reading(state / "journal" / FILE_NAME, keyring.journal_key(), cipher)) as journal,
    ):
        end = log.latest()
        yield None if end is None else Written(log, journal, state / "log", None, end)


@contextlib.contextmanager
def open_evidence(
    state: Path, keyring: Keyring, since: int | None = None, until: int | None = None, cipher: Cipher = Cipher.AEGIS
) -> Iterator[Evidence]:
    """The evidence of a period in `state`: from the last checkpoint at or before `since` to the first from `until` on.

    Instants in microseconds since 1970; None is the log's beginning, and its end.

    Raises:
        StoreFault: a file cannot be used, or nothing was signed yet.
    """
    with (
        LogReader.read(state / "log", keyring.log_key(), cipher) as log,
        contextlib.closing(reading(state / "journal" / FILE_NAME, keyring.journal_key(), cipher)) as journal,
    ):
        start = None if since is None else _cosigned_before(log, since) or log.signed_before(since)
        end = _cosigned(log, until) or (None if until is None else log.signed_after(until)) or log.latest()
        if end is None:
            raise StoreFault(f"{state}: nothing was signed yet")
        yield Evidence(log, journal, state / "log", start if start is None or start.size < end.size else None, end)


def _cosigned(log: LogReader, until: int | None) -> Signed | None:
    found = cosigned(log.directory, 0, until)
    return None if found is None or found[0] > log.size else Signed(found[0], 0, found[1])


def _cosigned_before(log: LogReader, since: int) -> Signed | None:
    found = cosigned_before(log.directory, since)
    return None if found is None or found[0] > log.size else Signed(found[0], 0, found[1])


def own_policy(origin: str, keyring: Keyring) -> str:
    """The trust in this log's own key, as a policy file has it. Give it to auditors by another way than the pack."""
    return f"log {verifier_key(origin, keyring.log_signer().public)}\nquorum none\n"
