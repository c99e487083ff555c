"""What is measured: a command, where it listens, and the processes that it became."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.load import Target, get
from tests.configuration import issue_key, write_configuration

MODELS = ("bench-plain", "bench-flat", "bench-paced", "bench-hold")

PROXY_CORE = min(os.sched_getaffinity(0))
LOAD_CORE = max(os.sched_getaffinity(0))


class DidNotStart(RuntimeError):
    """A command was not ready in time, or ended."""


@dataclass(slots=True)
class Subject:
    """One thing to measure.

    Attributes:
        name: as the table shows it.
        argv: the command, or empty for the provider itself.
        target: where the load goes.
        ready: port and path that answer 200 once it serves.
        fresh: each text must be new, since it may remember what it has seen.
        process: set while it runs.
        started_in: seconds from start to ready.
    """

    name: str
    argv: tuple[str, ...]
    target: Target
    ready: tuple[int, str]
    fresh: bool = False
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    started_in: float = 0.0

    async def start(self, core: int, seconds: float = 20.0) -> None:
        """Start the command on one core and wait until it is ready.

        Raises:
            DidNotStart: it was not ready in time, or ended.
        """
        if not self.argv:
            return
        begin = time.monotonic()
        with _pinned(core):
            nothing = asyncio.subprocess.DEVNULL  # a subject's log lines are part of its work, not of the table
            self.process = await asyncio.create_subprocess_exec(
                *self.argv, stdin=nothing, stdout=nothing, env=_environment()
            )
        while await get(*self.ready) is None:
            if self.process.returncode is not None or time.monotonic() - begin > seconds:
                await self.stop()
                raise DidNotStart(f"{self.name} was not ready after {time.monotonic() - begin:.1f} s")
            await asyncio.sleep(0.01)
        self.started_in = time.monotonic() - begin

    async def stop(self) -> None:
        """End the command: politely, then not."""
        process, self.process = self.process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def memory(self) -> float:
        """KiB of the process tree, each shared page divided among its users (PSS)."""
        return sum(_pss(pid) for pid in _tree(self.process.pid)) if self.process else 0.0

    def cpu(self) -> float:
        """Seconds that the process tree has spent on a processor: steadier than the clock on a busy machine."""
        return sum(_cpu(pid) for pid in _tree(self.process.pid)) if self.process else 0.0


def _environment() -> dict[str, str]:
    """Ours, but that compiled code is kept, as where it is installed: compiling costs each start a second and 10 MB."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextlib.contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Children started inside inherit this core from their first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(parents.get(pid, []))
    return found


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime, stime
    return 0.0


def _pss(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1])
    return 0.0


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def provider() -> Subject:
    """The raw provider: the load's other half, on the load's core."""
    port = free_port()
    argv = (sys.executable, "-m", "tests.bench.provider", "--port", str(port))
    return Subject("provider", argv, Target(port), (port, "/ready"))


def direct(upstream: int) -> Subject:
    """The load sent straight to the provider: the ceiling."""
    return Subject("direct", (), Target(upstream), (upstream, "/ready"))


def bare(upstream: int) -> Subject:
    """The bare aiohttp pass-through."""
    port = free_port()
    url = f"http://127.0.0.1:{upstream}"
    argv = (sys.executable, "-m", "tests.bench.passthrough", "--port", str(port), "--upstream", url)
    return Subject("bare", argv, Target(port), (port, "/ready"))


def gateway(upstream: int, scratch: Path, *, redaction: bool) -> Subject:
    """The gateway: everything on, or with the one thing off that a benchmark may switch off."""
    port, operations = free_port(), free_port()
    name = "gateway" if redaction else "gateway, redaction off"
    configuration, key = benchmark_configuration(
        Path(tempfile.mkdtemp(dir=scratch)), upstream, port, operations, redaction=redaction
    )
    argv = (sys.executable, "-m", "gateway", "serve", "--config", str(configuration))
    headers = (("authorization", f"Bearer {key}"),)
    return Subject(name, argv, Target(port, headers), (operations, "/readyz"), fresh=redaction)


def benchmark_configuration(
    scratch: Path, upstream: int, port: int, operations: int, *, redaction: bool
) -> tuple[Path, str]:
    """Write the gateway's configuration for a benchmark.

    The one processor is the raw provider with the models of `tests.bench.provider`; limits are out
    of the way; without redaction, gateway.yaml says `unsafe_redaction_off: true`.

    Returns:
        The directory, and a caller key bound to one tenant and one purpose.
    """
    settings: dict[str, object] = {
        "listen": {"port": port},
        "operations": {"port": operations},
        "redaction": {"unsafe_redaction_off": not redaction},
    }
    directory = write_configuration(scratch, upstream, "bench-credential", openai_models=MODELS, settings=settings)
    return directory, issue_key(scratch / "state")
