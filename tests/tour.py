"""The screenshots of the README, taken by a real Chromium of the auditor's pages over a made-up state: `make tour`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from gateway.audit.words import Role
from gateway.web.links import make
from tests.browser import Tab, browser
from tests.gateway.web.serving import Served, serving

OUT = Path(__file__).resolve().parent.parent / "docs" / "tour"
VIEWS: tuple[tuple[str, str, int, str, str], ...] = (
    ("overview", "/", 1010, "light", ""),
    ("calls", "/calls", 1010, "light", ""),
    ("denial", "/denials?source=O4", 900, "dark", ""),
    ("proof", "CALL", 900, "light", "document.querySelector('.check button').click(); "
     "new Promise((done) => setTimeout(done, 500)).then(() => document.querySelector('.proof').scrollIntoView())"),
    ("agreements", "/agreements", 900, "light", ""),
    ("endpoints", "/endpoints", 760, "light", ""),
)  # fmt: skip


async def take(served: Served, tab: Tab) -> None:
    """Every view, in order."""
    await tab.open(f"{served.base}/enter/{make(served.lived.state, Role.SECURITY, (), time.time())}")
    await tab.follow("document.querySelector('main button').click()")
    call = next(iter(served.lived.made.values()))[-1]
    for name, path, height, scheme, script in VIEWS:
        await tab.look(width=1180, height=height, scheme=scheme)
        await tab.open(served.base + path.replace("CALL", f"/calls/{call}"))
        if script:
            await tab.run(script)
        await tab.picture(OUT / f"{name}.webp")
        sys.stdout.write(f"docs/tour/{name}.webp\n")


async def main() -> None:
    """Make a state, serve it, look at it."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), calls=3000, days=60) as served, browser() as tab:
            await take(served, tab)


if __name__ == "__main__":
    asyncio.run(main())
