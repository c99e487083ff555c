"""Keeps the sequencer's process running beside the gateway, and knows whether the log keeps up.

The process reads the journal by itself; nothing of a call passes through here. If it dies or
refuses, it is started again, ever more slowly, while readiness says that the checkpoint is stale.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeAlias

import msgspec

from gateway.audit.sequencing import Plan

STALE_SECONDS = 30.0
"""Without a word from the sequencer for so long, the log counts as standing still."""

Claim: TypeAlias = Callable[[str, str], Awaitable[str | None]]
"""Claims `SIZE ROOT` after another such; None if it is ours, else what was claimed last. Waits as long as it takes."""

_GREATEST_PAUSE = 30.0
_LAST_WORDS_SECONDS = 10.0


class Sequencing:
    """The process, from `start` to `stop`.

    Args:
        plan: where everything is. The journal must exist already.
        tell: told (event, reason) when the process refused or ended; for the operator's log.
        claim: of a fenced plan: asked before each checkpoint; None if it is granted, else what was claimed last.

    Attributes:
        size: leaves under the last signed checkpoint.
        waiting: for whoever grants claims; what stands still meanwhile is not the log's own fault.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], None], claim: Claim | None = None) -> None:
        self._plan = plan
        self._claim = claim
        self.waiting = False
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard = monotonic()
        self._stopping = False
        self._ending = asyncio.Event()
        self._forbidden = False
        self.size = 0

    @property
    def healthy(self) -> bool:
        """Whether the log was brought up to the journal lately."""
        return not self._forbidden and (self.waiting or monotonic() - self._heard < STALE_SECONDS)

    def forbid(self) -> None:
        """Let nothing be signed any more, before the start or after it, until the gateway starts anew."""
        self._forbidden = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def start(self) -> None:
        """Start the process."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="sequencing")

    async def stop(self) -> None:
        """Let it order what is left in the journal, which nobody writes any more, and end it."""
        self._stopping = True
        self._ending.set()
        if self._task is None:
            return
        if self._process is not None:
            self._end(self._process)
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await asyncio.shield(self._task)
        except TimeoutError:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _end(self, process: asyncio.subprocess.Process) -> None:
        """Have it order what is left, and end."""
        if process.stdin is None:
            return
        if self._claim is None:
            process.stdin.close()
        else:
            process.stdin.write(b"end\n")

    async def _keep(self) -> None:
        pause = 0.5
        while not self._forbidden:
            began, last, size = monotonic(), self._stopping, self.size
            ended_well = await self._run()
            if last or (self._stopping and ended_well):
                return
            if not self._stopping:
                # Whoever was killed after it had signed is no worse for it; whoever refuses does so again.
                useful = self.size > size or monotonic() - began > STALE_SECONDS
                pause = 0.5 if useful else min(pause * 2, _GREATEST_PAUSE)
                with contextlib.suppress(TimeoutError):  # told to end meanwhile, it has one life more for what is left
                    async with asyncio.timeout(pause):
                        await self._ending.wait()

    async def _run(self) -> bool:
        """One life of the process; whether it ended because it was told to, with all ordered."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.audit.sequencing", stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        self._process = process
        try:
            if process.stdin is not None and process.stdout is not None:
                with contextlib.suppress(ConnectionError):
                    process.stdin.write(msgspec.json.encode(self._plan) + b"\n")
                    await process.stdin.drain()
                    if self._stopping:
                        self._end(process)
                async for line in process.stdout:
                    if line.startswith(b"claim ") and self._claim is not None:
                        answer = await self._granted(line, self._claim)
                        with contextlib.suppress(RuntimeError):  # uvloop's, where the process was killed meanwhile
                            process.stdin.write(answer)
                    else:
                        self._hear(line)
            well = await process.wait() == 0
            if not well and not self._stopping:
                self._tell("sequencer_ended")
            return well
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _granted(self, line: bytes, claim: Claim) -> bytes:
        """The answer to a claim, however long whoever grants it is away."""
        size, root, old_size, old_root = line.decode().split()[1:]
        self.waiting = True
        try:
            last = await claim(f"{old_size} {old_root}", f"{size} {root}")
        finally:
            self.waiting = False
            self._heard = monotonic()
        return b"granted\n" if last is None else f"last {last}\n".encode()

    def _hear(self, line: bytes) -> None:
        if line.startswith(b"fault "):
            self._tell(line[6:].decode("utf-8", "replace").strip())
        else:
            self.size = int(line)
            self._heard = monotonic()
