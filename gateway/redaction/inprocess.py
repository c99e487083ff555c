"""The redactor in this process, for verbs that have no event loop to keep free. The detector's results, exactly."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.redaction.engine import Engine
from gateway.redaction.findings import Finding, Settled, Window


class InProcess:
    """An engine where a detector is asked for. Where that cuts long texts changes nothing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def look(self, text: str) -> list[Finding]:
        """The findings of one text, in order and apart."""
        return self.engine.find([text])[0]

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text, as `redactor.Finds` asks for them."""
        return [self.look(text) for text in texts]

    async def settle(self, windows: Sequence[Window]) -> list[Settled]:
        """What is found in windows of texts that go on, as `stream.Settles` asks for it."""
        return self.engine.settle(windows)
