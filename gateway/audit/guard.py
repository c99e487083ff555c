"""The last checkpoint, kept a second time and elsewhere: who restores an old log must not sign a second past.

The guard belongs on another volume than the state (`log.guard` in `gateway.yaml`). A log that is
behind it, or does not contain it, was restored or replaced; signing then would give two different
histories the same name, which is the one thing that a log must never do (c2sp.org/tlog-checkpoint).
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from gateway.audit.merkle import EMPTY, Subtree, root
from gateway.audit.store import StoreFault
from gateway.audit.tlog import Checkpoint, NotACheckpoint
from gateway.durable import write_durably


class Guard:
    """The file of the last checkpoint; beside it, what was deleted, so that a restored backup cannot bring it back."""

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

    def seen(self) -> Checkpoint | None:
        """The last checkpoint, if there was one.

        Raises:
            StoreFault: the file is not a checkpoint.
        """
        try:
            return Checkpoint.parse(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (NotACheckpoint, UnicodeDecodeError):
            raise StoreFault(f"{self._path}: not a checkpoint; nothing is signed") from None

    def keep_act(self, document: str, act: str, listed: str) -> None:
        """Remember what must stay deleted, durably: the record that says so, and the list that it names.

        Raises:
            StoreFault: it cannot be written; nothing may be deleted then that a restored backup would bring back.
        """
        path = self._acts / f"{document}.json"
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not path.exists():
                write_durably(path, orjson.dumps({"act": act, "list": listed}))
        except OSError as error:
            raise StoreFault(f"{path}: errno {error.errno}") from None

    def acts(self) -> dict[str, tuple[str, str]]:
        """Everything that must stay deleted: digest of the list -> (record, list).

        Raises:
            StoreFault: one cannot be read.
        """
        found = {}
        for path in sorted(self._acts.glob("*.json")):
            try:
                tree = orjson.loads(path.read_bytes())
                found[path.stem] = str(tree["act"]), str(tree["list"])
            except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
                raise StoreFault(f"{path}: cannot be read") from None
        return found

    @property
    def _acts(self) -> Path:
        return self._path.with_name(f"{self._path.name}.deletions")

    def refuse_older(self, origin: str, size: int, subtree: Subtree) -> None:
        """Compare a log with what was signed before.

        Raises:
            StoreFault: the log lacks what the guard saw, or the guard cannot be read.
        """
        seen = self.seen()
        if seen is None:
            return
        if seen.origin != origin:
            raise StoreFault(f"{self._path}: guards another log; nothing is signed")
        if seen.size > size:
            raise StoreFault(f"{self._path}: the log was rolled back from {seen.size} leaves to {size}: not signed")
        if (root(0, seen.size, subtree) if seen.size else EMPTY) != seen.root:
            raise StoreFault(f"{self._path}: the log is not the one that was signed before; nothing is signed")
