"""Our attempts held against what a provider says that it counted, by key and day: the only outside look at a bypass.

The report names every difference beyond tolerance, so that none is silent; its digest is an operator record, and an
auditor counts our side anew. What may explain a difference is counted beside it: attempts of which a provider may have
counted one or none, because it refused them or because they were broken off or are indeterminate, and attempts that
ended on another day than they began.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import cast

import orjson

from gateway.audit.language import Sha
from gateway.audit.record import Operator
from gateway.audit.store import StoreFault
from gateway.audit.words import Act, Processor
from gateway.durable import write_durably
from providers.usage import UsageReport, Used

FOLDER = "reconciliations"
BOOK = "reconciliations.book"
TOLERANCE_PERMILLE = 5
DAY = 86_400_000_000
COUNTS = ("input", "output", "cache_read", "cache_write")


@dataclass(slots=True)
class Counted:
    """One operation of a processor on one day, by our records.

    Attributes:
        attempts: how many began on that day.
        explained: of those, how many the provider may have counted or not: all that were not completed.
        late: of those, how many ended on a later day.
        early: how many ended on that day that had begun on an earlier one.
        tokens: by the names of `COUNTS`, as the answers told them.
        peaks: of the same, the most in one attempt.
    """

    attempts: int = 0
    explained: int = 0
    late: int = 0
    early: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    peaks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))


Ours = dict[tuple[int, str], Counted]
"""(day since 1970, operation) -> what was counted."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A report as it is kept, and what differs, in words."""

    written: bytes
    differences: tuple[str, ...]


def counted(records: Iterable[Mapping[str, object]], processor: str) -> Ours:
    """Our side: what was sent to a processor, from records of intents and outcomes in order."""
    begun: dict[tuple[object, object], tuple[int, str]] = {}
    found: Ours = {}
    for record in records:
        key = record.get("call"), record.get("attempt")
        if record["kind"] == "intent" and record["processor"] == processor:
            place = begun[key] = cast(int, record["time"]) // DAY, str(record["operation"])
            found.setdefault(place, Counted()).attempts += 1
        elif record["kind"] == "outcome" and key in begun:
            day, operation = begun.pop(key)
            here, ended = found[day, operation], cast(int, record["time"]) // DAY
            here.explained += record["result"] != "completed"
            if ended > day and record["result"] != "indeterminate":  # which says when it was found, not when it ended
                here.late += 1
                found.setdefault((ended, operation), Counted()).early += 1
            for name in COUNTS:
                tokens = cast(int, record.get(f"{name}_tokens", 0))
                here.tokens[name] += tokens
                here.peaks[name] = max(here.peaks[name], tokens)
    for place in begun.values():
        found[place].explained += 1
    return found


def reconcile(
    processor: str,
    ours: Ours,
    theirs: Sequence[Used],
    report: UsageReport,
    keys: Sequence[str],
    days: range,
    answers: Iterable[bytes],
) -> Reconciled:
    """Compare whole days.

    Args:
        processor: the entry.
        ours: what `counted` gave.
        theirs: what the provider says, in any order.
        report: what its report counts.
        keys: the public ids of the provider's keys that are the gateway's; use of any other is a difference.
        days: which days, since 1970.
        answers: the provider's answers as they came; their digests are in the report.
    """
    rows = [_row(day, ours, [each for each in theirs if each.day == day], report, keys) for day in days]
    tree = {
        "v": 2,
        "processor": processor,
        "operations": report.operations,
        "tokens_of": report.tokens_of,
        "input": report.input,
        "tolerance_permille": TOLERANCE_PERMILLE,
        "gateway_keys": sorted(keys),
        "days": rows,
        "answers": [sha256(answer).hexdigest() for answer in answers],
    }
    written = orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)
    return Reconciled(written, tuple(_said(row) for row in rows if row["why"]))


def _row(day: int, ours: Ours, theirs: list[Used], report: UsageReport, keys: Sequence[str]) -> dict[str, object]:
    here = [each for (on, operation), each in ours.items() if on == day and operation in report.operations]
    with_tokens = [each for (on, operation), each in ours.items() if on == day and operation in report.tokens_of]
    by_key: dict[str, list[int]] = {}
    for each in theirs:
        held = by_key.setdefault(each.key, [0, 0, 0])
        held[0] += each.requests or 0
        held[1] += each.input
        held[2] += each.output
    attempts, explained, late, early = (
        sum(getattr(each, name) for each in here) for name in ("attempts", "explained", "late", "early")
    )
    peaks = [
        sum(max((each.peaks[name] for each in with_tokens), default=0) for name in names) for names in _kinds(report)
    ]
    tokens = [sum(each.tokens[name] for each in with_tokens for name in names) for names in _kinds(report)]
    said = [sum(held[at] for held in by_key.values()) for at in range(3)]
    why = []
    if report.requests:
        room = max(1, attempts * TOLERANCE_PERMILLE // 1000)
        why += _outside("requests", said[0], attempts - explained - late - room, attempts + early + room)
    unsure = explained + early
    for name, total, peak, told in zip(("input", "output"), tokens, peaks, said[1:], strict=True):
        room = max(peak, total * TOLERANCE_PERMILLE // 1000)
        why += _outside(name, told, total - (explained + late) * peak - room, total + unsure * peak + room)
    if any(key not in keys and any(held) for key, held in by_key.items()):
        why.append("foreign_key")
    return {
        "day": day,
        "attempts": attempts,
        "explained": explained,
        "late": late,
        "early": early,
        "not_counted": sum(
            each.attempts for (on, operation), each in ours.items() if on == day and operation not in report.operations
        ),
        "tokens": tokens,
        "peaks": peaks,
        "keys": dict(sorted(by_key.items())),
        "requests": said[0] if report.requests else None,
        "said": said[1:],
        "why": why,
    }


def _kinds(report: UsageReport) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return report.input, ("output",)


def _outside(name: str, said: int, least: int, most: int) -> list[str]:
    return [f"fewer_{name}"] if said < least else [f"more_{name}"] if said > most else []


_MEANS = {
    "more": "more than we sent: a call went round the gateway, or what was asked for holds others' use",
    "fewer": "fewer than we sent: what was asked for does not hold all of the gateway's keys",
    "foreign": "a key that is not the gateway's was used",
}


def _said(row: Mapping[str, object]) -> str:
    why = cast(list[str], row["why"])
    kinds = dict.fromkeys(each.partition("_")[0] for each in why)
    return (
        f"day {row['day']}: {row['attempts']} attempts of ours, {row['requests']} requests of theirs; tokens "
        f"{row['tokens']} and {row['said']} ({', '.join(why)}): {'; '.join(_MEANS[kind] for kind in kinds)}"
    )


def act_of(written: bytes, known: Processor, now: int) -> Operator:
    """The record that a report was made.

    Args:
        written: the report.
        known: the word for its processor.
        now: microseconds since 1970.
    """
    tree = orjson.loads(written)
    days = [row["day"] for row in tree["days"]]
    return Operator(
        time=now,
        act=Act.RECONCILIATION,
        processor=known,
        document=Sha(sha256(written).hexdigest()),
        start=min(days) * DAY,
        end=(max(days) + 1) * DAY,
        clean=not any(row["why"] for row in tree["days"]),
    )


def keep_report(log: Path, written: bytes) -> str:
    """Keep a report beside the log, durably, before its record is written; its digest.

    Raises:
        StoreFault: it cannot be kept.
    """
    digest = sha256(written).hexdigest()
    path = log / FOLDER / f"{digest}.json"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, written)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None
    return digest


def note_report(state: Path, digest: str) -> None:
    """Write down in a book that a report was made, durably; the gateway records it.

    Raises:
        StoreFault: it cannot be written.
    """
    path = state / BOOK
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            file.write(f"{digest}\n".encode())
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None


def noted_reports(state: Path) -> list[bytes]:
    """The reports of the book, oldest first.

    Raises:
        StoreFault: one is not there.
    """
    path = state / BOOK
    try:
        digests = path.read_text(encoding="ascii").split() if path.exists() else []
        return [(state / "log" / FOLDER / f"{digest}.json").read_bytes() for digest in digests]
    except (OSError, UnicodeDecodeError):
        raise StoreFault(f"{path}: is damaged, or a report is not there") from None


def processor_of(written: bytes) -> str:
    """The processor that a report is about."""
    return str(orjson.loads(written)["processor"])


def kept_reports(log: Path) -> dict[str, bytes]:
    """Every report, by digest."""
    return {path.stem: path.read_bytes() for path in sorted((log / FOLDER).glob("*.json"))}
