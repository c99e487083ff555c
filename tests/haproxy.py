"""A real HAProxy of the tests' own, in front of gateways, on free ports of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.redis_server import free_port

SHIPPED = Path(__file__).resolve().parent.parent / "deploy" / "haproxy.cfg"
_SERVER = re.compile(r"^  server (\w)(-unready)? .*?( no-check backup)?$", re.MULTILINE)
_CHANGED = (
    (r"bind :8443 ssl .*", "bind 127.0.0.1:{port}"),
    (r"check port 9090 inter 1s (.*) resolvers .*", r"check inter {inter}ms \1"),
)


def configuration(port: int, replicas: Sequence[tuple[int, int]], inter: int) -> str:
    """The shipped configuration, but for addresses, names and TLS, and looking more often. See `HaProxy`."""
    text = SHIPPED.read_text()
    for pattern, instead in _CHANGED:
        text, count = re.subn(pattern, instead.replace("{port}", str(port)).replace("{inter}", str(inter)), text)
        assert count == 1, pattern

    def server(match: re.Match[str]) -> str:
        name, unready, backup = match.groups(default="")
        callers, operations = replicas["abc".index(name)]
        return f"  server {name}{unready} 127.0.0.1:{callers} port {operations}{backup}"

    text, count = _SERVER.subn(server, text)
    assert count == 2 * len(replicas)
    return text


class HaProxy:
    """A balancer from `start` to `stop`.

    Args:
        folder: of its own.
        replicas: (port of the callers, port of the operator) of each of three gateways.
        inter: milliseconds between two looks.
    """

    def __init__(self, folder: Path, replicas: Sequence[tuple[int, int]], inter: int = 200) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir()
        (folder / "haproxy.cfg").write_text(configuration(self.port, replicas, inter))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where callers connect."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if program is None:
            pytest.fail("haproxy is not installed: `make test` installs it from the distribution as root")
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  # a fork and exec
                [program, "-db", "-f", str(self._folder / "haproxy.cfg")], stdout=log, stderr=log
            )
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None
