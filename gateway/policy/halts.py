"""Entries that are halted while the gateway runs: by somebody's act, or because a read-back failed."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.errors import Code


class Halts:
    """Entry id -> why it takes no traffic. What is put here counts for the next call.

    Outlives a reload: it belongs to the process, not to a configuration. One event loop.
    """

    def __init__(self) -> None:
        self._codes: dict[str, Code] = {}
        self.version = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def code(self, entry: str) -> Code | None:
        """Why this entry is halted, or None."""
        return self._codes.get(entry)

    def halt(self, entry: str, code: Code = Code.PROCESSOR_NOT_ACTIVE) -> None:
        """Let nothing go to this entry from now on; `attestation_failed` where a read-back is the reason."""
        self._codes[entry] = code
        self.version += 1

    def release(self, entry: str) -> None:
        """Let this entry's own dates decide again."""
        if self._codes.pop(entry, None) is not None:
            self.version += 1
