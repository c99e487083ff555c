"""Our attempts held against what a provider says that it counted, by key and day: the only outside look at a bypass.

The report names every difference beyond tolerance, so that none is silent; its digest is an operator record, and an
auditor counts our side anew. `explained` are attempts of which a provider may have counted one or none: those that are
indeterminate, and those that were broken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

import orjson

from gateway.audit.language import Sha, Vocabulary
from gateway.audit.record import Operator
from gateway.audit.retention.spans import write_durably
from gateway.audit.store import StoreFault
from gateway.audit.words import Act, Processor

FOLDER = "reconciliations"
TOLERANCE_PERMILLE = 5
DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Counted:
    """One processor's day by our records: attempts that were sent, and how many of them a provider may not count."""

    attempts: int
    explained: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A report, and the record that says so."""

    written: bytes
    act: Operator
    differences: tuple[str, ...]


def counted(records: Iterable[Mapping[str, object]], processor: str) -> dict[int, Counted]:
    """Our side: day (since 1970) -> what was sent to a processor, from records of intents and outcomes in order."""
    days: dict[tuple[object, object], int] = {}
    attempts: dict[int, int] = {}
    explained: dict[int, int] = {}
    for record in records:
        key = record.get("call"), record.get("attempt")
        if record["kind"] == "intent" and record["processor"] == processor:
            day = days[key] = cast(int, record["time"]) // DAY
            attempts[day] = attempts.get(day, 0) + 1
        elif record["kind"] == "outcome" and key in days:
            day = days.pop(key)
            if record["result"] not in {"completed", "refused_by_provider"}:
                explained[day] = explained.get(day, 0) + 1
    return {day: Counted(count, explained.get(day, 0)) for day, count in attempts.items()}


def reconcile(
    processor: str,
    ours: Mapping[int, Counted],
    theirs: Mapping[int, Mapping[str, int]],
    days: range,
    answers: Iterable[bytes],
    vocabulary: Vocabulary,
    now: int,
) -> Reconciled:
    """Compare whole days.

    Args:
        processor: the entry.
        ours: what `counted` gave.
        theirs: day -> the public id of a provider's key -> requests that it counted.
        days: which days, since 1970.
        answers: the provider's answers as they came; their digests are in the report.
        vocabulary: of the configuration in force.
        now: microseconds since 1970.

    Raises:
        NotRecordable: there is no such processor.
    """
    rows, differences = [], []
    for day in days:
        mine, keys = ours.get(day, Counted(0, 0)), theirs.get(day, {})
        requests = sum(keys.values())
        room = max(1, mine.attempts * TOLERANCE_PERMILLE // 1000)
        within = -mine.explained - room <= requests - mine.attempts <= room
        row = {"day": day, "attempts": mine.attempts, "explained": mine.explained, "requests": requests,
               "keys": dict(sorted(keys.items())), "within": within}  # fmt: skip
        rows.append(row)
        if not within:
            differences.append(f"day {day}: {mine.attempts} attempts of ours, {requests} requests of theirs")
    tree = {
        "v": 1,
        "processor": processor,
        "tolerance_permille": TOLERANCE_PERMILLE,
        "days": rows,
        "answers": [sha256(answer).hexdigest() for answer in answers],
    }
    written = orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)
    act = Operator(
        time=now,
        act=Act.RECONCILIATION,
        processor=vocabulary.word(Processor, processor),
        document=Sha(sha256(written).hexdigest()),
        start=days.start * DAY,
        end=days.stop * DAY,
        clean=not differences,
    )
    return Reconciled(written, act, tuple(differences))


def keep_report(log: Path, written: bytes) -> None:
    """Keep a report beside the log, durably, before its record is written.

    Raises:
        StoreFault: it cannot be kept.
    """
    path = log / FOLDER / f"{sha256(written).hexdigest()}.json"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, written)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None


def kept_reports(log: Path) -> dict[str, bytes]:
    """Every report, by digest."""
    return {path.stem: path.read_bytes() for path in sorted((log / FOLDER).glob("*.json"))}
