"""Loads on gateways that are measured: closed, each connection asking again, and open, by a schedule."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.load import Connection, Target
from tests.bench.provider import PLAIN
from tests.bench.texts import transcript


@dataclass
class Measured:
    """What a load came to: how long each call took that was served, and that was not, and when each ended."""

    seconds: float
    answers: Counter[int] = field(default_factory=Counter)
    served: list[float] = field(default_factory=list)
    turned: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Calls a second that were served."""
        return self.answers[200] / self.seconds

    def percentile(self, part: float, *, of: str = "served") -> float:
        """Milliseconds."""
        found = sorted(self.served if of == "served" else self.turned)
        return found[min(len(found) - 1, int(part * len(found)))] * 1000 if found else 0.0


class Load:
    """Connections to one target, and what comes of what is asked on them."""

    def __init__(self, target: Target, requests: Requests, *, again: bool) -> None:
        self._target = target
        self._requests = requests
        self._again = again
        self._every: list[Connection] = []
        self._since: dict[int, float] = {}
        self._running = True
        self.idle: list[Connection] = []
        self.measured = Measured(0.0)
        self._begin = 0.0

    def begin(self) -> float:
        """From now on it is measured."""
        self._begin = time.monotonic()
        return self._begin

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        _transport, made = await loop.create_connection(lambda: Connection(self._done), "127.0.0.1", self._target.port)
        self._every.append(made)
        self.idle.append(made)

    def ask(self, at: float) -> None:
        """One more request, which was due then."""
        connection = self.idle.pop()
        self._since[id(connection)] = at
        connection.ask(self._requests())

    def _done(self, connection: Connection, status: int) -> None:
        now = time.monotonic()
        began = self._since.pop(id(connection), now)
        if self._running:
            self.measured.answers[status] += 1
            self.measured.ended.append(now)
            (self.measured.served if status == 200 else self.measured.turned).append(now - began)
        if status:
            self.idle.append(connection)
            if self._again and self._running:
                self.ask(now)

    def end(self) -> Measured:
        self._running = False
        self.measured.seconds = time.monotonic() - self._begin
        for connection in self._every:
            connection.abort()
        return self.measured


async def closed(target: Target, requests: Requests, connections: int, seconds: float) -> Measured:
    """Each connection asks again as soon as it is answered."""
    requests.prepare(int(600 * seconds))
    load = Load(target, requests, again=True)
    for _ in range(connections):
        await load.connect()
    load.begin()
    while load.idle:
        load.ask(time.monotonic())
    await asyncio.sleep(seconds)
    return load.end()


async def opened(target: Target, requests: Requests, rate: float, seconds: float) -> Measured:
    """A request at each instant of a schedule; one that finds no idle connection opens another."""
    requests.prepare(int(rate * seconds))
    load, source = Load(target, requests, again=False), random.Random(11)
    for _ in range(16 + int(rate / 8)):  # as many as are busy at once, or nearly: who connects is late for what is due
        await load.connect()
    begin = load.begin()
    for number in range(int(rate * seconds)):
        due = begin + (number + source.random()) / rate  # or two loads would meet each time
        if due > time.monotonic() + 0.002:
            await asyncio.sleep(due - time.monotonic())
        if not load.idle:
            await load.connect()
        load.ask(due)
    return load.end()


class Requests:
    """New texts of a kilobyte each, so that the redactor remembers none of them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._source = random.Random(7)
        self._made: list[bytes] = []

    def prepare(self, count: int) -> None:
        """Have so many ready, so that the load is not late for want of them."""
        while len(self._made) < count:
            message = {"role": "user", "content": transcript(1024, self._source)}
            self._made.append(self._target.request(json.dumps({"model": PLAIN, "messages": [message]}).encode()))

    def __call__(self) -> bytes:
        self.prepare(1)
        return self._made.pop()


def together(measured: Sequence[Measured]) -> Measured:
    """Several times as one."""
    return Measured(sum(each.seconds for each in measured), served=[took for each in measured for took in each.served])
