"""A real redis-server of the tests' own, on a free port of loopback."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A server from `start` to `stop`. Keeps nothing on the disk unless asked to."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail("redis-server is not installed: `make test` installs it from the distribution as root")
        self.folder.mkdir(exist_ok=True)
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._process = subprocess.Popen(
            [program, *arguments, "--logfile", str(self.folder / "log"), *self.options], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.ask("PING").startswith(b"+PONG"):
                    return
            time.sleep(0.01)
        pytest.fail("redis-server does not answer")

    def ask(self, *words: str) -> bytes:
        """Send one command by hand; what comes back, raw."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(encoded(words))
            return link.recv(65536)

    def cpu(self) -> float:
        """Seconds of processor that it has taken."""
        said = dict(line.split(":", 1) for line in self.ask("INFO", "cpu").decode().splitlines() if ":" in line)
        return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP makes it a black hole, SIGCONT ends that."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def encoded(words: Sequence[str]) -> bytes:
    """A command in the protocol of Redis."""
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()
