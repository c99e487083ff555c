"""A file system that fails on demand, beneath SQLite's encryption.

Registered as `faulty`; a store opened with `vfs=VFS_NAME` goes through it. One switchboard
(`Faults`) belongs to each test and says what the disk does now.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import apsw

VFS_NAME = "multipleciphers-faulty"


@dataclass(slots=True)
class Faults:
    """What the disk does.

    Attributes:
        write: raised by every write, or None.
        sync: raised by every sync, or None.
        hold: cleared, every sync waits for it (at most 30 s).
        syncing: set once a sync has begun to wait.
        syncs: how many syncs there were.
    """

    write: type[apsw.Error] | None = None
    sync: type[apsw.Error] | None = None
    hold: threading.Event = field(default_factory=threading.Event)
    syncing: threading.Event = field(default_factory=threading.Event)
    syncs: int = 0

    def __post_init__(self) -> None:
        self.hold.set()


class _Disk(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("faulty", "unix")
        self.faults = Faults()

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: _Disk, name: object, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.faults.write is not None:
            raise self._disk.faults.write("simulated")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        faults = self._disk.faults
        faults.syncs += 1
        if faults.sync is not None:
            raise faults.sync("simulated")
        if not faults.hold.is_set():
            faults.syncing.set()
            faults.hold.wait(30)
        super().xSync(flags)


_DISK = _Disk()


def fresh_faults() -> Faults:
    """A sound disk under a new switchboard; the one before loses its hold."""
    _DISK.faults.hold.set()
    _DISK.faults = Faults()
    return _DISK.faults
