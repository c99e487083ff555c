"""The evidence pack: one zip for a period, which an auditor checks offline and reads with any tool.

Records and salts of the period, the log's entries, both checkpoints, the configurations that were in force,
the totals, and the verifier itself. The totals are counted here by SQL over the pack's own database; the verifier
counts them again from the records. A pack is a copy that outlives an erasure here, so it names its own end.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import IO, cast

import orjson

from gateway.audit import verify
from gateway.audit.evidence import Evidence, Row
from gateway.audit.merkle import HASH_BYTES
from gateway.audit.tlog import ED25519, TILE, Checkpoint, bundle, bundle_path, signature_line, tile_path, widths
from gateway.keys import Keyring

DAYS_KEPT = 35
"""A pack states that it must be deleted by then; its holder is told what was erased before."""

NOT_PROVED = (
    "That no call went around the gateway: egress policy and the providers' own usage reports show that, not the log.",
    "That a provider deleted what it was sent, or did not train on it: that rests on the agreement; "
    "the log shows that an agreement was in force.",
    "That an agreement says what its digest is of: compare the document with the digest in the configuration.",
    "That every special-category datum was recognised: the log holds how many were taken out, not what remained.",
    "That the clock was right between two time-stamp tokens; without any, and without a witness, times are the "
    "gateway's own. Whether an authority's certificate was revoked is for you to ask it.",
    "That the log was never replaced as a whole: without a witness, compare a checkpoint that you kept before.",
    "Where a tenant's data may be: the tenant's own rule is decided before the call and not in this log yet.",
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Period:
    """What was asked for: instants in microseconds since 1970, or None; for whom, and why."""

    since: int | None = None
    until: int | None = None
    recipient: str = "unnamed"
    purpose: str = "audit"


@dataclass(frozen=True, slots=True)
class Built:
    """What a pack says: its sentence, and the assertions that do not hold; and its manifest's digest."""

    sentence: str
    failed: tuple[str, ...]
    digest: str = ""


class _Pack:
    """A zip that remembers the digest of every member. Members are dated alike, so equal content is equal bytes."""

    def __init__(self, file: Path) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
        self.files: dict[str, str] = {}

    def put(self, name: str, content: bytes, *, stored: bool = False) -> None:
        with self.member(name, stored=stored) as write:
            write(content)

    @contextlib.contextmanager
    def member(self, name: str, *, stored: bool = False) -> Iterator[Callable[[bytes], object]]:
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        digest = hashlib.sha256()

        def write(block: bytes) -> None:
            digest.update(block)
            target.write(block)

        with self._zip.open(info, "w", force_zip64=True) as target:
            yield write
        self.files[name] = digest.hexdigest()

    def finish(self, manifest: dict[str, object], sign: Callable[[bytes], str]) -> str:
        written = orjson.dumps({**manifest, "files": self.files}, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
        self._zip.writestr(zipfile.ZipInfo("manifest.json", (1980, 1, 1, 0, 0, 0)), written)
        self._zip.writestr(zipfile.ZipInfo("manifest.note", (1980, 1, 1, 0, 0, 0)), sign(written))
        self._zip.close()
        return hashlib.sha256(written).hexdigest()


def build(
    evidence: Evidence, keyring: Keyring, out: Path, period: Period, now: int, progress: Progress | None = None
) -> Built:
    """Write the pack of `evidence` to `out`, which must not exist. A log that does not hold is handed out, and said so.

    Raises:
        StoreFault: the state cannot be read.
        NotVerified: the state cannot even be verified.
        OSError: `out` cannot be written.
    """
    policy = evidence.policy(keyring)
    run = verify.verify(evidence, verify.Policy(policy), progress)
    facts = run.facts()
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".pack-") as scratch:
        staged = Path(scratch) / "pack.zip"
        pack = _Pack(staged)
        pack.put("trust/policy", policy.encode())
        _put_log(pack, evidence)
        with contextlib.closing(sqlite3.connect(Path(scratch) / "evidence.sqlite")) as database:
            _put_records(pack, evidence, database)
            counted = _counted(database)
        totals, by = cast(dict[str, object], facts["totals"]), cast(dict[str, object], facts["by"])
        totals.update(cast(dict[str, object], counted["totals"]))
        by.update(cast(dict[str, object], counted["by"]))
        with pack.member("evidence.sqlite") as write, (Path(scratch) / "evidence.sqlite").open("rb") as file:
            while block := file.read(1 << 20):
                write(block)
        since, until = _when(run.first), _when(run.latest)
        report: dict[str, object] = {
            "facts": facts,
            "sentence": verify.sentence(facts, since, until),
            "assertions": [{"name": name, "held": not held.failed} for name, held in run.a.items()],
            "not_proved": NOT_PROVED,
        }
        pack.put("report.json", orjson.dumps(report, option=orjson.OPT_INDENT_2))
        pack.put("report.html", _page(report, run, evidence.origin, since, until, now).encode())
        source = Path(verify.__file__).read_bytes()
        pack.put("verify/zr_verify.py", source)
        digest = pack.finish(
            {
                "v": 1,
                "origin": evidence.origin,
                "start": evidence.start,
                "end": evidence.end,
                "asked": {"since": period.since, "until": period.until},
                "recipient": period.recipient,
                "purpose": period.purpose,
                "made": now,
                "delete_by": now + DAYS_KEPT * 86_400_000_000,
                "verifier_sha256": hashlib.sha256(source).hexdigest(),
            },
            lambda manifest: _sign(manifest, evidence.origin, keyring),
        )
        out.touch(mode=0o600, exist_ok=False)
        staged.replace(out)
    return Built(str(report["sentence"]), tuple(name for name, held in run.a.items() if held.failed), digest)


def _sign(manifest: bytes, origin: str, keyring: Keyring) -> str:
    signer = keyring.log_signer()
    text = f"zr-evidence/v1\n{hashlib.sha256(manifest).hexdigest()}\n"
    return f"{text}\n{signature_line(origin, ED25519, signer.public, signer.sign(text.encode()))}"


def _put_log(pack: _Pack, evidence: Evidence) -> None:
    log = evidence.log
    if evidence.note_a is not None:
        pack.put("log/checkpoint.A", evidence.note_a.encode())
    pack.put("log/checkpoint.B", evidence.note_b.encode())
    for level, width in enumerate(widths(evidence.start)):
        if width:
            position = evidence.start >> 8 * (level + 1)
            content = log.tile(level, position)[: width * HASH_BYTES]
            pack.put(f"log/{tile_path(level, position, width)}", content, stored=True)
    for position in range(evidence.start // TILE, -(-evidence.end // TILE)):
        width = min(TILE, evidence.end - position * TILE)
        pack.put(f"log/{bundle_path(position, width)}", bundle(log.entries(position, width)), stored=True)
    pack.put("operator/prior.json", orjson.dumps(_proved(evidence.prior)))
    if evidence.later is not None:
        note, path, acts = evidence.later
        later = {"checkpoint": note, "path": [each.hex() for each in path], "acts": _proved(acts)}
        pack.put("operator/later.json", orjson.dumps(later))
    for digest, written in evidence.lists.items():
        pack.put(f"operator/erasures/{digest}.json", written)
    for digest, written in evidence.reports.items():
        pack.put(f"reconcile/{digest}.json", written)
    _put_stamps(pack, evidence)
    for digest, preimage in sorted(evidence.configurations.items()):
        pack.put(f"operator/configurations/{digest}.json", preimage)


def _put_stamps(pack: _Pack, evidence: Evidence) -> None:
    """Time-stamp tokens, each as its authority answered, beside the checkpoint that it is over."""
    if evidence.roots:
        pack.put("trust/tsa-roots.pem", evidence.roots.encode())
    listed = []
    for note, answer, path in evidence.stamps:
        size = Checkpoint.parse(note).size
        pack.put(f"log/anchors/{size}.note", note.encode())
        pack.put(f"log/anchors/{size}.tsr", answer)
        listed.append({"size": size, "path": None if path is None else [each.hex() for each in path]})
    if listed:
        pack.put("log/anchors.json", orjson.dumps(listed))


def _proved(records: list[tuple[int, bytes, list[bytes]]]) -> list[dict[str, object]]:
    return [
        {"index": index, "entry": entry.hex(), "path": [each.hex() for each in path]} for index, entry, path in records
    ]


_COLUMNS = (
    "kind", "time", "call", "attempt", "tenant", "caller", "purpose", "operation", "processor", "agreement", "model",
    "code", "result", "status", "redactions", "input_tokens", "output_tokens", "total_ms", "act",
)  # fmt: skip


def _put_records(pack: _Pack, evidence: Evidence, database: sqlite3.Connection) -> None:
    """The records by day, and the same as a database for SQL and Datasette."""
    columns = ", ".join(_COLUMNS)
    database.execute(f"CREATE TABLE record(idx INTEGER PRIMARY KEY, {columns}, body TEXT NOT NULL)")
    insert = f"INSERT INTO record VALUES({','.join('?' * (len(_COLUMNS) + 2))})"  # ours
    day, rows = 0, iter(evidence.rows())
    row = next(rows, None)
    with database:
        while row is not None:
            day = max(day, _day(row))
            name = f"records/{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}.ndjson.gz"
            with pack.member(name, stored=True) as write:
                row = _put_day(write, row, rows, day, lambda values: database.execute(insert, values))
    for name in ("call", "tenant", "time", "kind"):
        database.execute(f"CREATE INDEX record_{name} ON record({name})")


def _put_day(
    write: Callable[[bytes], object],
    row: Row,
    rows: Iterator[Row],
    day: int,
    insert: Callable[[list[object]], object],
) -> Row | None:
    """Rows from `row` on until a later day begins; that day's first row."""
    following: Row | None = row
    with gzip.GzipFile(fileobj=cast(IO[bytes], _Sink(write)), mode="wb", mtime=0, compresslevel=6) as lines:
        while following is not None and _day(following) <= day:
            if following.text is not None:
                body = orjson.loads(following.text)
                insert([following.index, *[body.get(name) for name in _COLUMNS], following.text])
            if following.text is not None and following.entry[:1] == b"\1":
                salt = b"" if following.salt is None else following.salt.hex().encode()
                text = following.text.encode()
                lines.write(b'{"index":%d,"salt":"%s","record":%s}\n' % (following.index, salt, text))
            following = next(rows, None)
    return following


class _Sink:
    """What gzip writes to."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def write(self, block: bytes) -> int:
        self._write(bytes(block))
        return len(block)

    def flush(self) -> None:
        """Nothing to do."""


def _day(row: Row) -> int:
    if row.text is None:
        return -1
    at = row.text.rfind('"time":') + 7
    return int(row.text[at : at + 16].rstrip(',}"abcdefghijklmnopqrstuvwxyz:_')) // 86_400_000_000


def _counted(database: sqlite3.Connection) -> dict[str, object]:
    """The totals, by SQL."""

    def one(sql: str) -> int:
        return int(database.execute(sql).fetchone()[0] or 0)

    def by(column: str, kind: str) -> dict[str, int]:
        sql = f"SELECT {column}, count(*) FROM record WHERE kind = ? GROUP BY 1 ORDER BY 1"  # noqa: S608  # ours
        return {str(value): int(count) for value, count in database.execute(sql, (kind,))}

    return {
        "totals": {
            "calls": one("SELECT count(*) FROM record WHERE kind = 'intent' AND attempt = 0"),
            "attempts": one("SELECT count(*) FROM record WHERE kind = 'intent'"),
            "refused": one("SELECT count(*) FROM record WHERE kind = 'refusal'"),
            "redactions": one("SELECT sum(redactions) FROM record WHERE kind = 'intent'"),
            "indeterminate": one("SELECT count(*) FROM record WHERE result = 'indeterminate'"),
            "operator": one("SELECT count(*) FROM record WHERE kind = 'operator'"),
        },
        "by": {
            "reason": by("code", "refusal"),
            "processor": by("processor", "intent"),
            "model": by("model", "intent"),
            "result": by("result", "outcome"),
            "day": by("strftime('%Y-%m-%d', time / 1000000, 'unixepoch')", "intent"),
        },
    }


def _when(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


_STYLE = (
    "body{font:16px/1.5 system-ui;margin:2rem auto;max-width:56rem;padding:0 1rem}table{border-collapse:collapse}"
    "th,td{border:1px solid #767676;padding:.3rem .6rem;text-align:left}caption{text-align:left;font-weight:bold}"
)


def _page(report: dict[str, object], run: verify.Verification, origin: str, since: str, until: str, now: int) -> str:
    """The report for people: no script, nothing fetched, readable in print."""
    facts = cast(dict[str, dict[str, dict[str, int]]], report["facts"])
    tables = "".join(_table(f"By {name}", (name, "number"), counts.items()) for name, counts in facts["by"].items())
    held = [
        (name, "FAIL" if each.failed else "PASS", each.checked, verify.TITLES[name], each.first or "")
        for name, each in run.a.items()
    ]
    words = "".join(f"<li>{escape(line)}</li>" for line in NOT_PROVED)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Evidence of {escape(origin)}</title>'
        f"<style>{_STYLE}</style><h1>Evidence of {escape(origin)}</h1><p>{escape(since)} to {escape(until)}, UTC.</p>"
        f"<p>{escape(str(report['sentence']))}</p>"
        f"<p>Made on {_when(now)[:10]}. This pack holds records that may be erased at their source; whoever holds it "
        f"deletes it by {_when(now + DAYS_KEPT * 86_400_000_000)[:10]}, {DAYS_KEPT} days after.</p>"
        + _table("Assertions", ("", "result", "checked", "what", "first failure"), held)
        + _table("Totals", ("what", "number"), facts["totals"].items())
        + tables
        + f"<h2>What this does not prove</h2><ul>{words}</ul><h2>Verify it yourself</h2>"
        "<p><code>python3 -I verify/zr_verify.py PACK.zip --policy policy.txt --tsa-roots roots.pem</code>, offline; "
        "take the policy and the roots from elsewhere than this pack. A second opinion on a token in "
        "<code>log/anchors</code>: <code>openssl ts -verify -in N.tsr -data N.note -CAfile roots.pem</code>. "
        "<code>evidence.sqlite</code> opens in Datasette.</p></html>\n"
    )


def _table(caption: str, heads: tuple[str, ...], rows: object) -> str:
    first = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>"
        for row in cast(list[tuple[object, ...]], rows)
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{first}</tr>{lines}</table>"
