"""The right edge of the tree: all that appending needs, whatever the size of the log.

At each level the hashes of the tile that is not full yet; beside them the entries of the last
bundle. A full tile's root goes one level up (c2sp.org/tlog-tiles: a partial tile never does).
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.audit.log_store import Batch, LogReader
from gateway.audit.merkle import HASH_BYTES, fold, leaf_hash, perfect_root
from gateway.audit.tlog import TILE, bundle, widths


class Edge:
    """The edge of a log of `size` leaves."""

    def __init__(self) -> None:
        """Of an empty log; `Edge.of` reads that of another."""
        self.size = 0
        self._levels: list[list[bytes]] = []
        self._entries: list[bytes] = []

    @classmethod
    def of(cls, log: LogReader) -> Edge:
        """The edge as the log's tiles hold it.

        Raises:
            ValueError: a tile or the last bundle is not as wide as the log's size says.
        """
        edge = cls()
        edge.size = log.size
        for level, width in enumerate(widths(edge.size)):
            tile = log.tile(level, edge.size >> 8 * (level + 1)) if width else b""
            if len(tile) != width * HASH_BYTES:
                raise ValueError("a tile at the edge is missing")
            edge._levels.append([tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)])
        if edge.size % TILE:
            edge._entries = log.entries(edge.size // TILE)
        if len(edge._entries) != edge.size % TILE:
            raise ValueError("the last bundle is missing")
        return edge

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        found: list[bytes] = []
        for hashes in reversed(self._levels):
            start = 0
            while start < len(hashes):
                width = 1 << (len(hashes) - start).bit_length() - 1
                found.append(perfect_root(hashes[start : start + width]))
                start += width
        return fold(found)

    def append(self, entries: Iterable[bytes], into: Batch) -> None:
        """Add entries; the tiles and bundles that changed go into the batch."""
        for entry in entries:
            self._entries.append(entry)
            self._push(0, leaf_hash(entry), into)
            self.size += 1
            if self.size % TILE == 0:
                into.bundles[self.size // TILE - 1] = bundle(self._entries)
                self._entries.clear()
        if self._entries:
            into.bundles[self.size // TILE] = bundle(self._entries)
        for level, hashes in enumerate(self._levels):
            if hashes:
                into.tiles[level, self.size >> 8 * (level + 1)] = b"".join(hashes)

    def _push(self, level: int, added: bytes, into: Batch) -> None:
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes.append(added)
        if len(hashes) == TILE:
            # `size` counts the leaves before this one, so the full tile is the last but for it.
            into.tiles[level, self.size >> 8 * (level + 1)] = b"".join(hashes)
            above = perfect_root(hashes)
            hashes.clear()
            self._push(level + 1, above, into)
