"""What was made of the rules, kept in a file: it takes seconds to make, and a fraction of one to read.

A file is named by all that it follows from, the rules and the code that reads them, so an old one is never used for
new rules. It is only for speed: without a folder to keep it in, or where a file is not whole, it is made anew.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from collections.abc import Mapping
from importlib import resources
from mmap import ACCESS_READ, mmap
from pathlib import Path

import orjson

from gateway.redaction.plain import Plain
from gateway.redaction.tables import Graph, packed, unpacked

_MOST = 8
_DIGEST = 32


def folder() -> Path | None:
    """Where to keep it: a folder of this user's alone, in the home; None if there is none, or none that is safe."""
    try:
        found = Path.home() / ".cache" / "llm-gateway" / "recognizers"
        found.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = found.stat()
    except (OSError, RuntimeError):
        return None
    return found if status.st_uid == os.getuid() and not status.st_mode & 0o022 else None


class Kept:
    """What is kept of some rules.

    Args:
        where: the folder; None keeps nothing.
        mappings: the rules.
    """

    def __init__(self, where: Path | None, mappings: Mapping[str, Plain]) -> None:
        self._path = None if where is None else where / f"{_name(mappings)}.graph"

    def read(self) -> Graph | None:
        """What was kept, if it is whole."""
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                data = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))
            if data[:_DIGEST] != _digest(data[_DIGEST:]):
                return None
            return unpacked(data[_DIGEST:])
        except (OSError, ValueError, struct.error):
            return None

    def write(self, graph: Graph) -> None:
        """Keep it, and no more than a few others."""
        if self._path is None:
            return
        data = packed(graph)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            fresh.write_bytes(_digest(data) + data)
            fresh.replace(self._path)
            others = sorted(self._path.parent.glob("*.graph"), key=lambda path: path.stat().st_mtime)
            for old in others[:-_MOST]:
                old.unlink(missing_ok=True)
        except OSError:
            fresh.unlink(missing_ok=True)


def _name(mappings: Mapping[str, Plain]) -> str:
    name = hashlib.blake2b(orjson.dumps(mappings, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST)
    name.update(f"{sys.version} {sys.byteorder} {struct.calcsize('I')}".encode())
    for part in sorted(resources.files("gateway.redaction").iterdir(), key=lambda part: part.name):
        if part.is_file():
            name.update(part.read_bytes())
    return name.hexdigest()


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()
