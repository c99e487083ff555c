"""The gateway's end of one worker: a frame goes out, an answer or a failure comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

import orjson

from gateway.categories import Category, Personal
from gateway.redaction.findings import Answer, Finding, Item, Settled, well_formed
from gateway.redaction.nursery import LENGTH
from gateway.redaction.waiting import Job

_CATEGORIES = (*Category, *Personal)


class Overseer(Protocol):
    """Who is told what became of a frame."""

    def answered(self, worker: Worker, answer: list[Answer]) -> None:
        """The findings of all items of the worker's jobs."""
        ...

    def failed(self, worker: Worker) -> None:
        """It is late, gone, or not to be believed."""
        ...


class Worker(asyncio.Protocol):
    """At most one frame under way. `number` is what the nursery calls it, `nursery` which nursery forked it."""

    def __init__(self, overseer: Overseer, nursery: int, number: int) -> None:
        self._overseer = overseer
        self._held = bytearray()
        self._loop = asyncio.get_running_loop()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None  # one for all frames: it looks whether the last is late
        self.nursery = nursery
        self.number = number
        self.jobs: list[Job] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # a stream socket's; uvloop's is no subclass

    def ask(self, jobs: list[Job], seconds: float) -> None:
        """Send one frame; the answer, or a failure, goes to the overseer."""
        assert self.transport is not None  # noqa: S101  # only connected workers are idle
        self.jobs = jobs
        payload = frame(jobs)
        due = self._due = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            self._watch(due)
        self.transport.write(LENGTH.pack(len(payload)) + payload)

    def _watch(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._watch(self._due)
        else:
            self._overseer.failed(self)

    def data_received(self, data: bytes) -> None:
        if self._held or not _is_whole(data):
            self._held += data
            if not _is_whole(self._held):
                return
            data = bytes(self._held)
            self._held.clear()
        answer = decoded(data[LENGTH.size :], self.jobs)
        if answer is None:
            self._overseer.failed(self)
        else:
            self._due = None
            self._overseer.answered(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._overseer.failed(self)

    def settle(self) -> None:
        """No deadline runs any more."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_whole(data: bytes | bytearray) -> bool:
    """Whether all of a frame is there. One that is followed by more was not asked for, and is no answer."""
    if len(data) < LENGTH.size:
        return False
    (size,) = LENGTH.unpack_from(data)
    return len(data) >= LENGTH.size + int(size)


def frame(jobs: Sequence[Job]) -> bytes:
    """The items of all jobs as one JSON list, spliced from the lists that their blocks already are."""
    return b"[%b]" % b",".join([block[1:-1] for job in jobs for block in job.blocks])


def decoded(payload: bytes, jobs: Sequence[Job]) -> list[Answer] | None:
    """A worker's answer, item by item, or None if it cannot be one."""
    try:
        answer = orjson.loads(payload)
        if type(answer) is not list or len(answer) != sum(job.count for job in jobs):
            return None
        if answer.count([]) == len(answer):
            return answer
        items = [item for job in jobs for item in job.items]
        return [_read(one, item) for one, item in zip(answer, items, strict=True)]
    except (ValueError, TypeError, IndexError, KeyError):
        return None


def _read(answer: object, item: Item) -> Answer:
    """What a worker says of one item.

    Raises:
        ValueError, TypeError, IndexError: it cannot be true.
    """
    if isinstance(item, str):
        return _findings(answer, 0, len(item))
    if not isinstance(answer, list):
        raise TypeError("not what is said of a window")
    end, listed = answer
    if type(end) is not int or not item.start <= end <= len(item.text):
        raise ValueError("not an end")
    return Settled(_findings(listed, item.start, end), end)


def _findings(listed: object, low: int, high: int) -> list[Finding]:
    if type(listed) is not list:
        raise TypeError("not a list")
    found: list[Finding] = []
    for start, end, index, score in listed:
        if type(start) is not int or type(end) is not int or type(index) is not int or type(score) is not float:
            raise TypeError("not a finding")
        if index < 0:
            raise IndexError("not a category")
        found.append(Finding(start, end, _CATEGORIES[index], score))
    if found and not (well_formed(found, high) and found[0].start >= low):
        raise ValueError("not findings of this text")
    return found
