"""Files as they were read the last time, so that a reload reads anew only what changed.

What is kept is a function of the file's bytes and of the words that other files give; nothing with a fault is kept. The
loader belongs to one thread at a time, and so does this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar, cast

from gateway.config.documents import Complain, Document, parse_document, read_bytes

T = TypeVar("T")


class Shelf:
    """What one configuration directory was when it was last read."""

    def __init__(self) -> None:
        self._documents: dict[Path, tuple[bytes, Document]] = {}
        self._made: dict[tuple[str, str], tuple[Document, Hashable, object]] = {}

    def document(self, path: Path, name: str, complain: Complain) -> Document | None:
        """The file as a document: the very same object while its bytes are the same."""
        data = read_bytes(path, complain)
        if data is None:
            return None
        digest = hashlib.sha256(data).digest()
        known = self._documents.get(path)
        if known is not None and known[0] == digest:
            return known[1]
        document = parse_document(data, name, complain)
        if document is not None:
            self._documents[path] = (digest, document)
        return document

    def made(self, kind: str, document: Document, beside: Hashable, make: Callable[[], T | None]) -> T | None:
        """What `make` gives for this document and these words from beside it; made again only if either changed.

        `make` gives None where there is a fault, which is not kept.
        """
        key = (kind, document.name)
        known = self._made.get(key)
        if known is not None and known[0] is document and known[1] == beside:
            return cast("T", known[2])
        value = make()
        if value is not None:
            self._made[key] = (document, beside, value)
        return value

    def keep_only(self, paths: set[Path]) -> None:
        """Forget files that are there no more."""
        for path in [path for path in self._documents if path not in paths]:
            name = self._documents.pop(path)[1].name
            for key in [key for key in self._made if key[1] == name]:
                del self._made[key]
