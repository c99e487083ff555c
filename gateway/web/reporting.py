"""Evidence packs, built one at a time in a process of their own, and deleted when their time is over."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.audit.report import DAYS_KEPT
from gateway.web.house import House
from gateway.web.pages.reports import packs
from gateway.web.viewer import Viewer

_MOST_SECONDS = 3600.0


class Reporting:
    """Builds packs as `gateway report` does."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._task: asyncio.Task[None] | None = None

    def begin(self, viewer: Viewer, given: Mapping[str, str]) -> None:
        """Begin a pack of a period, unless one is being built."""
        if self._task is None or self._task.done():
            folder = packs(self._house.state)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "running").touch(mode=0o600)
            self._task = asyncio.get_running_loop().create_task(self._build(viewer, given), name="report")

    async def settled(self) -> None:
        """Wait for the pack that is being built, if one is."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def stop(self) -> None:
        """Give up what is being built."""
        if self._task is not None:
            self._task.cancel()
            await self.settled()

    async def _build(self, viewer: Viewer, given: Mapping[str, str]) -> None:
        folder = packs(self._house.state)
        (folder / "failed").unlink(missing_ok=True)
        self._sweep()
        name = f"evidence-{self._house.now():%Y%m%dT%H%M%SZ}.zip"
        period = [word for key in ("from", "to") if key in given for word in (f"--{key}", given[key])]
        arguments = [
            "-m", "gateway", "report", "--config", str(self._house.bundle.directory), *period,
            "--recipient", viewer.role.value, str(folder / name),
        ]  # fmt: skip
        null = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=null, stdout=null, stderr=null)
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            if not (folder / name).exists():
                (folder / "failed").touch(mode=0o600)
            (folder / "running").unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Delete packs that are older than a pack may be."""
        for path in packs(self._house.state).glob("*.zip"):
            if (self._house.now() - datetime.fromtimestamp(path.stat().st_mtime, UTC)).days >= DAYS_KEPT:
                path.unlink(missing_ok=True)
