"""Which part of a gateway a process is: all of it, the home of several workers, or one of those workers."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.quotas import Quotas

JOURNAL = "journal"
WORKERS = "workers"
"""The folder of the state that holds each worker's own journal, by its name."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker says of itself when the operator asks."""

    name: str
    checks: Mapping[str, bool]
    warnings: Sequence[str]
    metrics: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A process's part.

    Attributes:
        serves: it takes calls.
        keeps: it makes the record of them all: orders, signs, notes what operators do.
        operates: it answers the operator.
        journal: the folder, below the state, of its own journal.
        workers: how many processes serve.
        port: where they listen, if that was settled before.
        mother: leads to the pool of detectors that they share.
        quotas: who counts for all of them.
        others: asks each worker what it says of itself.
        under_way: whether a call of a tenant is, whose intent came from elsewhere.
    """

    serves: bool = True
    keeps: bool = True
    operates: bool = True
    journal: str = JOURNAL
    workers: int = 1
    port: int | None = None
    mother: socket.socket | None = None
    quotas: Quotas | None = None
    others: Callable[[], Awaitable[Sequence[Told]]] | None = None
    under_way: Callable[[str], Awaitable[bool]] | None = None


ALONE = Part()
