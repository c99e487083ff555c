"""Copies and packs that left: written down here by a verb, recorded by the gateway, and told of when an erasure comes.

A copy in somebody's hands outlives an erasure in the state, so each has an end, at most 35 days off.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.audit.retention.requests import BACKUP_DAYS, DAY
from gateway.audit.store import StoreFault

FILE = "handouts.jsonl"


@dataclass(frozen=True, slots=True)
class Handout:
    """A copy that left: its manifest's digest, how many leaves it holds, when it was made and by when it must go."""

    document: str
    count: int
    made: int
    delete_by: int


def hand_out(state: Path, document: str, count: int, now: int) -> Handout:
    """Write down that a copy leaves, durably, before it does.

    Raises:
        OSError: it cannot be written; hand out nothing.
    """
    made = Handout(document, count, now, now + BACKUP_DAYS * DAY)
    descriptor = os.open(state / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        file.write(orjson.dumps(made) + b"\n")
        file.flush()
        os.fsync(descriptor)
    return made


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
