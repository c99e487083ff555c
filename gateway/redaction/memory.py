"""What was found in texts already seen: offsets and categories under a keyed digest, never the text.

The key is made for the process and never leaves it, so a digest says nothing to anyone else.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from gateway.redaction.findings import Finding

_DIGEST = 16


class Memory:
    """The last `limit` texts' findings; the one unused for longest goes first."""

    __slots__ = ("_found", "_key", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._key = secrets.token_bytes(32)
        self._found: dict[bytes, tuple[Finding, ...]] = {}

    def name(self, text: str) -> bytes:
        """The keyed digest under which a text's findings are kept."""
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=_DIGEST).digest()

    def recall(self, name: bytes) -> tuple[Finding, ...] | None:
        """The findings kept under a name; None if there is nothing, which is not the same as no findings."""
        found = self._found.pop(name, None)
        if found is not None:
            self._found[name] = found
        return found

    def keep(self, name: bytes, findings: Sequence[Finding]) -> None:
        """Remember findings, and forget the oldest beyond the limit."""
        self._found[name] = tuple(findings)
        if len(self._found) > self._limit:
            del self._found[next(iter(self._found))]

    def __len__(self) -> int:
        return len(self._found)
