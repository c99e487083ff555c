"""The redactor in this process, for verbs that have no event loop to keep free. The detector's results, exactly."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.redaction.engine import Engine
from gateway.redaction.findings import Finding
from gateway.redaction.segments import join, pieces


class InProcess:
    """An engine where a detector is asked for: long texts are cut and joined as the detector does."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def look(self, text: str) -> list[Finding]:
        """The findings of one text, in order and apart."""
        parts = pieces(text)
        return join(parts, self.engine.find([text[part.start : part.end] for part in parts]))

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text, as `redactor.Finds` asks for them."""
        return [self.look(text) for text in texts]
