"""The log as files that any tlog client reads over HTTP (c2sp.org/tlog-tiles): tiles, bundles, checkpoint.

A copy, made after the transaction that it shows, and made again from any state: what is there and
whole stays, the checkpoint is replaced last, so a reader never sees one whose tiles are missing.
The files hold hashes, commitments and operator facts; no record about a call. Beside them, in `anchors/`, are the
time-stamp tokens, each with the checkpoint that it is over: whoever reads the log from here can check them, too, and
after the loss of a disk this is where they are had from.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.audit.log_store import LogReader
from gateway.audit.merkle import HASH_BYTES
from gateway.audit.stamps import FOLDER
from gateway.audit.tlog import TILE, bundle, bundle_path, tile_path, widths


class Tiles:
    """The directory that is served.

    Args:
        directory: made if absent. Another program serves it: any static web server will do.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._size = 0

    def publish(self, log: LogReader) -> int:
        """Bring the directory up to the log's last checkpoint; its size.

        Raises:
            StoreFault: the log cannot be read.
            OSError: a file cannot be written; what was there before still stands.
        """
        signed = log.latest()
        if signed is None:
            return 0
        for level in range(len(widths(signed.size))):
            self._publish_level(log, level, self._size >> 8 * level, signed.size >> 8 * level)
        self._publish_tokens(log.directory / FOLDER)
        _write(self._directory / "checkpoint", signed.note.encode())
        self._size = signed.size
        return signed.size

    def _publish_level(self, log: LogReader, level: int, start: int, end: int) -> None:
        """Files of a level whose nodes [start, end) are new."""
        for position in range(start // TILE, -(-end // TILE)):
            width = min(TILE, end - position * TILE)
            self._put(tile_path(level, position, width), width, partial(_hashes, log, level, position, width))
            if level == 0:
                self._put(bundle_path(position, width), width, partial(_entries, log, position, width))

    def _publish_tokens(self, kept: Path) -> None:
        """Before the checkpoint, so that what a record of the log names is there when the record is."""
        for token in sorted(kept.glob("*.tsr")):  # a checkpoint is kept before its token
            for each in (token.with_suffix(".note"), token):
                if not (target := self._directory / FOLDER / each.name).exists():
                    _write(target, each.read_bytes())

    def _put(self, path: str, width: int, content: Callable[[], bytes]) -> None:
        target = self._directory / path
        if not target.exists():
            _write(target, content())
        if width == TILE:  # it may replace its partial ones (tlog-tiles, "Partial Tiles")
            shutil.rmtree(target.with_name(f"{target.name}.p"), ignore_errors=True)


def _hashes(log: LogReader, level: int, position: int, width: int) -> bytes:
    return log.tile(level, position)[: width * HASH_BYTES]


def _entries(log: LogReader, position: int, width: int) -> bytes:
    return bundle(log.entries(position, width))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    staged.write_bytes(content)
    staged.replace(path)
