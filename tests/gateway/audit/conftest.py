"""A journal's directory, and ways to open it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from gateway.audit.journal import Journal, Settings
from gateway.audit.reader import Filters, Line, query
from gateway.audit.store import SqliteStore, Store
from tests.gateway.audit.faults import VFS_NAME, Faults, fresh_faults
from tests.gateway.audit.samples import CONFIGURATION, EPOCH, KEY

Opener = Callable[..., Awaitable[Journal]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def faults() -> Faults:
    return fresh_faults()


@pytest.fixture
async def open_journal(directory: Path) -> AsyncIterator[Opener]:
    """Opens the journal of this test, and closes whatever was opened."""
    opened: list[Journal] = []

    async def opens(
        settings: Settings | None = None, faulty: bool = False, store: type[SqliteStore] = SqliteStore
    ) -> Journal:
        settings = settings or Settings(timeout=10, ballast=4096)
        make: Callable[[], Store] = partial(
            store, directory, KEY, ballast=settings.ballast, vfs=VFS_NAME if faulty else ""
        )
        journal = await Journal.open(
            directory, KEY, configuration=CONFIGURATION, clock=lambda: EPOCH, settings=settings, opener=make
        )
        opened.append(journal)
        return journal

    yield opens
    fresh_faults()
    for journal in opened:
        await journal.close(within=1)


@pytest.fixture
def lines(directory: Path) -> Callable[[], list[Line]]:
    """All records of the journal."""
    return lambda: list(query(directory, KEY, Filters()))
