"""What was made of the rules, kept in a file: it takes seconds to make, and a fraction of one to read.

A file is named by all that it follows from, the rules in their order and the code that reads them, so an old one is
never used for new rules. It is only for speed: without a folder to keep it in, or where a file is not whole, it is made
anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import sys
from collections.abc import Mapping
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from pathlib import Path

import orjson

from gateway.redaction.home import code
from gateway.redaction.plain import Plain
from gateway.redaction.tables import Graph, packed, unpacked

_LARGE = 2**20
_MOST_LARGE = 4
_MOST_SMALL = 8
_DIGEST = 32


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
                mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
            data = memoryview(mapped)
            if data[:_DIGEST] != _digest(data[_DIGEST:]):
                return None
            mapped.madvise(MADV_DONTNEED)  # most of it is seldom walked: it need not stay in memory
            graph = unpacked(data[_DIGEST:])
        except (OSError, ValueError, struct.error):
            return None
        with contextlib.suppress(OSError):
            os.utime(self._path)  # it is used: others go before it
        return graph

    def write(self, graph: Graph) -> None:
        """Keep it, and no more than a few others: those that were used last."""
        if self._path is None:
            return
        data = packed(graph)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            fresh.write_bytes(_digest(data) + data)
            fresh.replace(self._path)
            _tidy(self._path.parent)
        except OSError:
            fresh.unlink(missing_ok=True)


def _tidy(where: Path) -> None:
    """Remove what was not used for longest. What takes seconds to make is never pushed out by what takes none."""
    known = [(path.stat(), path) for path in where.glob("*.graph")]
    known.sort(key=lambda each: each[0].st_mtime_ns)
    large = [path for status, path in known if status.st_size >= _LARGE]
    small = [path for status, path in known if status.st_size < _LARGE]
    for old in (*large[:-_MOST_LARGE], *small[:-_MOST_SMALL]):
        old.unlink(missing_ok=True)


def _name(mappings: Mapping[str, Plain]) -> str:
    name = hashlib.blake2b(orjson.dumps(mappings), digest_size=_DIGEST)  # as they stand: phrases are numbered in order
    name.update(f"{sys.version} {sys.byteorder} {struct.calcsize('I')} {code()}".encode())
    return name.hexdigest()


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()
