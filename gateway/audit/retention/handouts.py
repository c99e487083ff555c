"""Copies and packs that left: written down here by a verb, recorded by the gateway, and told of when an erasure comes.

A copy in somebody's hands outlives an erasure in the state, so each has an end, at most 35 days off.
"""

from __future__ import annotations

import fcntl
import os
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.audit.retention.requests import BACKUP_DAYS, DAY
from gateway.audit.store import StoreFault
from gateway.keys import sha256_hex

FILE = "handouts.jsonl"


@dataclass(frozen=True, slots=True)
class Handout:
    """A copy that left.

    Attributes:
        document: its manifest's digest.
        count: how many leaves it holds.
        made: when, microseconds since 1970.
        delete_by: by when it must go.
        start, end: its leaves are of [start, end); 0 and 0 where that was not written down.
        whose: of which tenant alone it holds leaves, by the tenant's keyed hash of itself; None for a pack of all.
        recipient: whom it was for, in the operator's words.
    """

    document: str
    count: int
    made: int
    delete_by: int
    start: int = 0
    end: int = 0
    whose: str | None = None
    recipient: str = ""

    def may_hold(self, mark: str, indices: Sequence[int]) -> bool:
        """Whether leaves of the tenant of this keyed hash, at these indices, in rising order, may be in it."""
        if self.whose not in (None, mark):
            return False
        return self.end == 0 or bisect_left(indices, self.start) < bisect_left(indices, self.end)


def hand_out(
    state: Path,
    document: str,
    count: int,
    now: int,
    span: tuple[int, int],
    *,
    whose: str | None = None,
    recipient: str = "",
) -> Handout:
    """Write down that a copy leaves, durably, before it does. Arguments as the attributes of a `Handout`.

    Raises:
        OSError: it cannot be written; hand out nothing.
    """
    made = Handout(document, count, now, now + BACKUP_DAYS * DAY, *span, whose, recipient)
    descriptor = os.open(state / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        file.write(orjson.dumps(made) + b"\n")
        file.flush()
        os.fsync(descriptor)
    return made


def hand_out_daily(state: Path, start: int, now: int, recipient: str) -> Handout | None:
    """Write down, once a day, that leaves from `start` on go to somebody as they come; None if it is written today.

    How many they will be nobody knows yet: its `count` and `end` are 0, so any leaf may be in it. Its document is what
    is written here itself.

    Raises:
        OSError: it cannot be written; hand out nothing.
        StoreFault: the file is damaged.
    """
    if any(each.recipient == recipient and each.made // DAY == now // DAY for each in handouts(state)):
        return None
    said = orjson.dumps({"recipient": recipient, "start": start, "made": now}, option=orjson.OPT_SORT_KEYS)
    return hand_out(state, sha256_hex(said), 0, now, (start, 0), recipient=recipient)


def handouts(state: Path) -> list[Handout]:
    """Every copy that left, oldest first.

    Raises:
        StoreFault: the file is damaged.
    """
    path = state / FILE
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [Handout(**orjson.loads(line)) for line in lines]
    except (OSError, TypeError, orjson.JSONDecodeError):
        raise StoreFault(f"{path}: is damaged") from None
