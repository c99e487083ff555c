"""Power loss, simulated: what was written since the last sync of a file may be there, missing, or torn, in any mix.

`at_each_sync` is told just before each sync: the moments at which the most is at risk.

A disk beneath SQLite's encryption remembers what each unsynced write replaced. `lose` copies the files as a machine that
lost its power might find them: each such write kept, dropped, or cut at a sector of 512 bytes.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

VFS_NAME = "multipleciphers-losing"
_SECTOR = 512


class _Losing(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("losing", "unix")
        self.unsynced: dict[str, list[tuple[int, bytes, int]]] = {}
        """Path -> (offset, what was there, length of what was written), oldest first."""
        self.told: Callable[[], None] | None = None

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: _Losing, name: object, flags: list[int]) -> None:
        self._path = str(name.filename()) if isinstance(name, apsw.URIFilename) else str(name)
        self._disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        size = self.xFileSize()
        before = self.xRead(min(len(data), max(0, size - offset)), offset) if size > offset else b""
        self._disk.unsynced.setdefault(self._path, []).append((offset, bytes(before), len(data)))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.told is not None:
            self._disk.told()
        super().xSync(flags)
        self._disk.unsynced.pop(self._path, None)


_DISK = _Losing()


def fresh_disk() -> None:
    """Everything so far is synced."""
    _DISK.unsynced.clear()
    _DISK.told = None


@contextlib.contextmanager
def at_each_sync(told: Callable[[], None]) -> Iterator[None]:
    """Call `told` before each sync meanwhile."""
    _DISK.told = told
    try:
        yield
    finally:
        _DISK.told = None


def unsynced() -> int:
    """How many writes could be lost now."""
    return sum(map(len, _DISK.unsynced.values()))


def lose(directory: Path, to: Path, chance: random.Random) -> None:
    """Copy `directory` as it might be found after the power went at this moment."""
    shutil.copytree(directory, to)
    for shared in to.glob("*-shm"):
        shared.unlink()  # memory, not disk
    for path, writes in list(_DISK.unsynced.items()):
        copy = to / Path(path).name
        if Path(path).parent != directory or not copy.exists():
            continue
        with copy.open("r+b") as file:
            for offset, before, length in reversed(writes):
                fate = chance.choice(("kept", "dropped", "torn"))
                if fate == "kept":
                    continue
                start = 0 if fate == "dropped" else chance.randrange(0, length + 1, _SECTOR)
                file.seek(offset + start)
                file.write(before[start:].ljust(max(0, length - start), b"\0"))
            file.flush()
            os.fsync(file.fileno())
