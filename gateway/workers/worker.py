"""One worker: a gateway that takes calls and writes its own journal, and leaves the rest to its parent.

`python -m gateway.workers.worker FD FD PLAN`, started by the parent: the channel to it, the way to the detectors, and a
`Plan` in JSON. It ends as on SIGTERM when its parent is gone.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic, time

import msgspec
import uvloop

from gateway.app import Application, fit, spare_the_collector
from gateway.audit.store import StoreFault
from gateway.config import environment
from gateway.errors import ConfigurationError, Unavailable
from gateway.keys import KeyFault
from gateway.listener import ListenerError
from gateway.part import WORKERS, Part
from gateway.quotas import Counters
from gateway.workers.channel import Channel, Message
from gateway.workers.quotas import AskedQuotas

FAULTS = (KeyFault, StoreFault, ListenerError, Unavailable, OSError)


class Plan(msgspec.Struct, frozen=True):
    """What a worker is told at its birth: the configuration, its name, among how many, and the port they share."""

    directory: str
    name: str
    workers: int
    port: int


class Worker:
    """The worker's side of the channel."""

    def __init__(self, plan: Plan, mother: socket.socket) -> None:
        self._plan = plan
        self._channel = Channel(self._hear)
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self._forgotten = -1
        self._forgetting = asyncio.Lock()
        self.application = Application(
            Path(plan.directory),
            environment=environment(),
            part=Part(
                keeps=False,
                operates=False,
                journal=f"{WORKERS}/{plan.name}",
                workers=plan.workers,
                port=plan.port,
                mother=mother,
                quotas=AskedQuotas(self._channel, Counters(monotonic, time), plan.workers),
            ),
        )

    async def run(self, link: socket.socket) -> int:
        """Serve until told to end; the exit code.

        Raises:
            ConfigurationError, KeyFault, StoreFault, OSError, Unavailable: a part cannot be used.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ended.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's: the parent handles it, and tells us
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self.application.reload()))
        await self._channel.open(link)
        await self.application.start()
        spare_the_collector()
        self._channel.send({"started": self._plan.name})
        closed = loop.create_task(self._channel.closed.wait())
        ended = loop.create_task(self._ended.wait())
        await asyncio.wait([closed, ended], return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        ended.cancel()
        await self.application.stop()
        await self._channel.close()
        return 0

    def _begin(self, job: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, message: Message) -> Message | None:
        if "tell" in message:
            told = self.application.tell(self._plan.name)
            return {"checks": told.checks, "warnings": told.warnings, "metrics": told.metrics.decode()}
        if isinstance(through := message.get("forget"), int):
            self._begin(self._forget(through))
        if "behind" in message:
            self.application.behind_log = True  # our journal, or a sister's, is older than the log: for good
        if isinstance(field := message.get("gone"), str):
            self.application.keyring.reread_field(field)
            return {}
        if isinstance(tenant := message.get("reread"), str):
            self.application.keyring.reread_tenant(tenant)
            return {"last": self.application.journal.last_seq}
        return None

    async def _forget(self, through: int) -> None:
        """Delete what a signed checkpoint covers; what cannot be now is with the next."""
        async with self._forgetting:
            if through <= self._forgotten:
                return
            try:
                await self.application.journal.trim(through)
                self._forgotten = through
            except Unavailable:
                return


def main(arguments: list[str]) -> int:
    """Run as the parent's child."""
    link, mother = (socket.socket(fileno=int(each)) for each in arguments[:2])
    plan = msgspec.json.decode(arguments[2], type=Plan)
    if not fit(environment()):
        return 2
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(Worker(plan, mother).run(link))
    except ConfigurationError as error:
        sys.stderr.write("".join(f"gateway: {plan.name}: {fault}\n" for fault in error.faults))
    except FAULTS as fault:
        sys.stderr.write(f"gateway: {plan.name}: {fault}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
