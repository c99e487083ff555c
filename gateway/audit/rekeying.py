"""The keys of the databases themselves, made anew: the journal and the log written once more under another key.

For when a data key may be known, or a policy asks for it; the master key rotates without this (`Keyring.reseal`). A
copy is written under the new key and put in the place of the file, then the new key in the place of the old. Stopped
anywhere, it goes on when it is run again: whichever key opens the file says how far it came.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import apsw

from gateway.audit.log_store import LOG_FILE
from gateway.audit.store import FILE_NAME, Cipher, StoreFault, keyed, translated
from gateway.keys import Keyring

FILES = {"journal": f"journal/{FILE_NAME}", "log": f"log/{LOG_FILE}"}
"""Whose key -> which file of the state."""


def rekey(state: Path, keyring: Keyring) -> int:
    """Write every database of a state under a new key; how many. Nothing else may have the state open.

    Raises:
        StoreFault: neither key opens a file, or the disk has no room for the copy.
        KeyFault: a key cannot be kept.
    """
    done = 0
    for purpose, name in FILES.items():
        path = state / name
        if not path.exists():
            continue
        old, new = keyring.data_keys(purpose)
        if not _opens(path, new):
            _rewrite(path, old, new)
        keyring.promote(purpose)
        done += 1
    return done


def _opens(path: Path, key: bytes) -> bool:
    try:
        with translated(path):
            keyed(path, apsw.SQLITE_OPEN_READWRITE, key, Cipher.AEGIS, "").close()
    except StoreFault:
        return False
    return True


def _rewrite(path: Path, old: bytes, new: bytes) -> None:
    copy = path.with_name(f"{path.name}.rekeyed")
    try:
        with translated(path):
            with contextlib.closing(keyed(path, apsw.SQLITE_OPEN_READWRITE, old, Cipher.AEGIS, "")) as opened:
                opened.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            with contextlib.closing(keyed(copy, apsw.SQLITE_OPEN_READWRITE, old, Cipher.AEGIS, "")) as opened:
                opened.pragma("journal_mode", "delete")
                opened.execute(f"PRAGMA rekey = 'raw:{new.hex()}'").fetchall()
                if opened.pragma("integrity_check") != "ok":
                    raise StoreFault(f"{path}: the copy under a new key is not sound")
        descriptor = os.open(copy, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        copy.replace(path)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    finally:
        copy.unlink(missing_ok=True)
