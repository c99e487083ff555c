"""A real headless Chromium, driven over the DevTools protocol: no driver, no library beyond the one we have."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--disable-features=BackForwardCache", "--force-color-profile=srgb", "--font-render-hinting=none",
)  # fmt: skip
STARTS_SECONDS = 60


def executable() -> str:
    """The browser.

    Raises:
        AssertionError: there is none; `make test` installs one.
    """
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found, "no Chromium is installed: `make browser` installs one"
    return found


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._task = asyncio.ensure_future(self._listen())

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command of the protocol; its result."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(30):
            answer = await future
        assert "error" not in answer, answer["error"]
        return cast("dict[str, Any]", answer["result"])

    async def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(30):
            await self._loaded.wait()

    async def follow(self, script: str) -> None:
        """Run a script that leads to another page, and wait until that is loaded."""
        self._loaded.clear()
        await self.run(script)
        async with asyncio.timeout(30):
            await self._loaded.wait()

    async def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light", media: str = "") -> None:
        """How the page is looked at: size of the window, light or dark, on paper or not."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self.call("Emulation.setEmulatedMedia", media=media, features=features)

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, as the ending says: .png or .webp."""
        form = {"format": path.suffix[1:], **({"quality": 80} if path.suffix == ".webp" else {})}
        taken = await self.call("Page.captureScreenshot", captureBeyondViewport=whole, **form)
        path.write_bytes(base64.b64decode(taken["data"]))

    async def close(self) -> None:
        """End it."""
        await self._socket.close()
        await self._task

    async def _listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            elif told["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif told["method"] == "Network.requestWillBeSent":
                self.requests.append(told["params"]["request"]["url"])
            elif told["method"] == "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])
            elif told["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(told["params"]["exceptionDetails"].get("exception", {}).get("description")))


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A browser with one empty tab, its profile in a directory that goes with it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            executable(), *FLAGS, f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = await answer.json()
                where = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
                async with session.ws_connect(where, max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "Network", "Log"):
                        await tab.call(f"{domain}.enable")
                    yield tab
                    await tab.close()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)  # the group that we started, and nothing else
            await process.wait()


async def _port(path: Path, process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(STARTS_SECONDS):
        while not path.exists() or not path.read_text():
            assert process.returncode is None, "the browser ended at once"
            await asyncio.sleep(0.05)
    return int(path.read_text().splitlines()[0])
