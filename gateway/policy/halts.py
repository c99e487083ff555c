"""Entries that are halted while the gateway runs: by somebody's act, because a read-back failed, or a trial did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from gateway.errors import Code

By: TypeAlias = Literal["operator", "read_back", "answer", "probe", "canary"]
"""Who halted it. Each takes back its own halt and nobody else's."""


class Halts:
    """Entry id -> why it takes no traffic. What is put here counts for the next call.

    Outlives a reload: it belongs to the process, not to a configuration. One event loop.
    """

    def __init__(self) -> None:
        self._codes: dict[str, dict[By, Code]] = {}
        self.version = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def code(self, entry: str) -> Code | None:
        """Why this entry is halted, or None; the first who halted it says."""
        return next(iter(self._codes.get(entry, {}).values()), None)

    def halt(self, entry: str, code: Code = Code.PROCESSOR_NOT_ACTIVE, by: By = "operator") -> None:
        """Let nothing go to this entry from now on; `attestation_failed` where a read-back is the reason."""
        reasons = self._codes.setdefault(entry, {})
        if reasons.get(by) is not code:
            reasons[by] = code
            self.version += 1

    def release(self, entry: str, by: By = "operator") -> None:
        """Take back this one's halt; if nobody else halts it, its own dates decide again."""
        reasons = self._codes.get(entry, {})
        if reasons.pop(by, None) is not None:
            self.version += 1
        if not reasons:
            self._codes.pop(entry, None)
