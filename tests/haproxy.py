"""A real HAProxy of the tests' own, in front of gateways, on free ports of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.redis_server import free_port

# What an operator would write: a replica that says it is not ready gets nothing new, and a call is tried elsewhere only
# where no connection came about, so that none is made twice.
_CONFIGURATION = """
global
  maxconn 512
defaults
  mode http
  option redispatch 1
  retries 3
  retry-on conn-failure
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 30s
frontend callers
  bind 127.0.0.1:{port}
  default_backend gateways
backend gateways
  balance leastconn
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  http-check expect status 200
  default-server check inter 200ms fall 1 rise 1
{servers}
"""


class HaProxy:
    """A balancer from `start` to `stop`.

    Args:
        folder: of its own.
        replicas: (port of the callers, port of the operator) of each gateway.
    """

    def __init__(self, folder: Path, replicas: Sequence[tuple[int, int]]) -> None:
        self.port = free_port()
        self._folder = folder
        servers = [
            f"  server gateway{number} 127.0.0.1:{port} port {operations}"
            for number, (port, operations) in enumerate(replicas)
        ]
        folder.mkdir()
        (folder / "haproxy.cfg").write_text(_CONFIGURATION.format(port=self.port, servers="\n".join(servers)))
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
