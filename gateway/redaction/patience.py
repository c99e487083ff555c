"""How long looking at a text may take before whoever looks counts as stuck."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one frame may take: a floor for a busy machine, and a rate for text whose words are all new."""

    floor: float = 2.0
    per_kilobyte: float = 0.008

    def seconds(self, size: int) -> float:
        """For that many characters."""
        return self.floor + self.per_kilobyte * size / 1024

    def shared(self, by: int) -> Patience:
        """Where so many may wait for the same workers: a frame also waits for those before it."""
        return Patience(self.floor * by, self.per_kilobyte * by)


USUAL = Patience()
