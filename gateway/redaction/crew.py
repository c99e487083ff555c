"""The gateway's end of the nursery: it is started, forks workers and ends them on command, and may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import Code, Unavailable
from gateway.redaction.home import folder
from gateway.redaction.nursery import COMMAND, LENGTH, READY

_ROOT = Path(__file__).parents[2]
_BOOT = (
    "import sys; sys.path[:0] = [sys.argv[2]]; "
    "from gateway.redaction.nursery import main; main(int(sys.argv[1]), sys.argv[3])"
)
_START = 120.0


class Crew:
    """One nursery. `gone` is set once it is lost.

    Made by `raised`; `end` must be called.
    """

    _names = itertools.count(1)

    def __init__(self, control: socket.socket, process: subprocess.Popen[bytes] | None) -> None:
        self._control = control
        self.process = process
        self._numbers = 0
        self.name = next(self._names)
        self.gone = asyncio.Event()

    @classmethod
    async def raised(cls, rules: bytes, mother: socket.socket | None = None) -> Crew:
        """Start a nursery, or join a pool, and wait until it has found its known phrases.

        Args:
            rules: what it is to find.
            mother: leads to a pool, which then takes the nursery's place.

        Raises:
            Unavailable: the rules are not valid, do not find what they must, or nothing answers.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        process = None
        with theirs:
            if mother is None:
                process = _nursery(theirs)
            else:
                with contextlib.suppress(OSError):  # then nothing answers
                    socket.send_fds(mother, [COMMAND.pack(b"N", 0)], [theirs.fileno()])
        crew = cls(ours, process)
        word = b""
        try:
            async with asyncio.timeout(_START):
                await loop.sock_sendall(ours, LENGTH.pack(len(rules)) + rules)
                word = await loop.sock_recv(ours, 1)
        except (OSError, TimeoutError):
            word = b""
        finally:
            if word != READY:  # cancelled too
                await crew.end()
        if word != READY:
            raise Unavailable(Code.REDACTION_UNAVAILABLE, "The redactor did not start.")
        loop.add_reader(ours, crew.gone.set)  # it says nothing more: readable means closed
        return crew

    def fork(self) -> tuple[int, socket.socket] | None:
        """One more worker: its number, and our end of its socket. None if the nursery is gone."""
        self._numbers += 1
        ours, theirs = socket.socketpair()
        with theirs:
            if not self._command(b"F", self._numbers, [theirs]):
                ours.close()
                return None
        ours.setblocking(False)
        return self._numbers, ours

    def kill(self, number: int) -> None:
        """End a worker, whatever it is doing."""
        self._command(b"K", number)

    def _command(self, verb: bytes, number: int, sockets: Sequence[socket.socket] = ()) -> bool:
        if self.gone.is_set():
            return False
        try:
            socket.send_fds(self._control, [COMMAND.pack(verb, number)], [one.fileno() for one in sockets])
        except OSError:
            self.gone.set()
            return False
        return True

    async def end(self) -> None:
        """End the nursery. Its workers end when their sockets close. Twice is fine."""
        if self._control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self.gone.set()
        if self.process is not None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)


def _nursery(control: socket.socket) -> subprocess.Popen[bytes]:
    # An empty environment: the gateway's own holds credentials.
    return subprocess.Popen(  # noqa: S603  # our own interpreter and code; a fork and exec
        [sys.executable, "-c", _BOOT, str(control.fileno()), str(_ROOT), str(folder() or "")],
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
    )
