"""The last checkpoint, kept a second time and elsewhere: who restores an old log must not sign a second past.

The guard belongs on another volume than the state (`log.guard` in `gateway.yaml`). A log that is
behind it, or does not contain it, was restored or replaced; signing then would give two different
histories the same name, which is the one thing that a log must never do (c2sp.org/tlog-checkpoint).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gateway.audit.merkle import EMPTY, Subtree, root
from gateway.audit.store import StoreFault
from gateway.audit.tlog import Checkpoint, NotACheckpoint


class Guard:
    """The file of the last checkpoint."""

    def __init__(self, path: Path) -> None:
        """`path` is made at the first checkpoint; its directory must be there."""
        self._path = path

    def keep(self, note: str) -> None:
        """Remember this checkpoint, durably.

        Raises:
            StoreFault: it cannot be written; stop signing, or a restored backup would go unnoticed.
        """
        staged = self._path.with_name(f"{self._path.name}.new")
        try:
            with staged.open("wb") as file:
                file.write(note.encode())
                file.flush()
                os.fsync(file.fileno())
            staged.replace(self._path)
        except OSError as error:
            raise StoreFault(f"{self._path}: errno {error.errno}") from None

    def refuse_older(self, origin: str, size: int, subtree: Subtree) -> None:
        """Compare a log with what was signed before.

        Raises:
            StoreFault: the log lacks what the guard saw, or the guard cannot be read.
        """
        seen = None
        with contextlib.suppress(FileNotFoundError):
            try:
                seen = Checkpoint.parse(self._path.read_text(encoding="utf-8"))
            except (NotACheckpoint, UnicodeDecodeError):
                raise StoreFault(f"{self._path}: not a checkpoint; nothing is signed") from None
        if seen is None:
            return
        if seen.origin != origin:
            raise StoreFault(f"{self._path}: guards another log; nothing is signed")
        if seen.size > size:
            raise StoreFault(f"{self._path}: the log was rolled back from {seen.size} leaves to {size}: not signed")
        if (root(0, seen.size, subtree) if seen.size else EMPTY) != seen.root:
            raise StoreFault(f"{self._path}: the log is not the one that was signed before; nothing is signed")
