"""Reports: evidence packs, built on demand beside the pages, and how to verify one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway.audit.index import INDEX_FOLDER
from gateway.audit.report import DAYS_KEPT
from gateway.web.asking import Answer, Ask, NotHere, Shown, Taken

FOLDER = "packs"
_BLOCK = 1 << 18


def packs(state: Path) -> Path:
    """Where packs lie until they are to be deleted."""
    return state / INDEX_FOLDER / FOLDER


def answer(ask: Ask) -> Answer:
    """The page, or `/reports/NAME.zip`."""
    folder = packs(ask.house.state)
    if ask.parts:
        path = folder / ask.parts[0]
        if path.suffix != ".zip" or path.name not in {each.name for each in folder.glob("*.zip")}:
            raise NotHere
        return Taken(path.name, "application/zip", f"the evidence pack {path.name}", 1, _read(path))
    found = sorted(folder.glob("*.zip"), key=lambda each: each.stat().st_mtime, reverse=True)
    rows = [
        {
            "name": each.name,
            "size": each.stat().st_size,
            "made": round(each.stat().st_mtime) * 1_000_000,
            "days": DAYS_KEPT - (ask.now - datetime.fromtimestamp(each.stat().st_mtime, UTC)).days,
        }
        for each in found
    ]
    facts: dict[str, object] = {
        "packs": rows,
        "running": (folder / "running").exists(),
        "failed": (folder / "failed").exists(),
        "verifier_key": ask.house.verifier_key,
        "given": ask.settled,
        "form_token": ask.viewer.form_token,
    }
    return Shown("reports.html", "Reports", "evidence packs that were built here", len(rows), facts)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
