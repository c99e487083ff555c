"""Sends the log's checkpoints to its witnesses and keeps what they sign; stops the log where one has seen a later past.

A witness that knows more leaves than we have shows that this state was restored from a backup, or copied: from then on
nothing is signed. One that cannot be reached costs its cosignature and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from time import time

from gateway.audit.cosigning import Cosigner, NotCosigned, cosignature, keep_cosigned, submission
from gateway.audit.log_store import LogReader
from gateway.audit.store import StoreFault
from gateway.config.settings import Witness
from gateway.outside import Outside, Unreached

EVERY_SECONDS = 60.0
"""A witness keeps one checkpoint a log, so more often shows no more."""


class RolledBack(Exception):
    """A witness has cosigned a larger log than this one. Names the witness and the sizes."""


class Witnessing:
    """The witnesses of one log.

    Args:
        state: the state directory.
        log_key: of the log's file.
        witnesses: as gateway.yaml lists them.
        quorum: how many of them an auditor asks for.
        outside: the client, whose hosts include theirs.
        tell: told what went wrong, for the operator's log.
    """

    def __init__(
        self,
        state: Path,
        log_key: bytes,
        witnesses: tuple[Witness, ...],
        quorum: int,
        outside: Outside,
        tell: Callable[[str], None],
    ) -> None:
        self._log = state / "log"
        self._key = log_key
        self._witnesses = [(Cosigner.of(each.key), each.url) for each in witnesses]
        self._quorum = quorum
        self._outside = outside
        self._tell = tell
        self._known: dict[str, int] = {}
        self.met_at = 0.0
        """When the quorum was last met, seconds since 1970."""

    async def look(self) -> int:
        """Send the last checkpoint to every witness; keep it with their lines if the quorum is met. How many signed.

        Raises:
            RolledBack: a witness has a later past than we: sign nothing more.
            StoreFault: the log cannot be read.
        """
        note = await asyncio.to_thread(self._latest)
        if note is None:
            return 0
        signed = await asyncio.gather(
            *(self._ask(cosigner, url, note) for cosigner, url in self._witnesses), return_exceptions=True
        )
        rolled = next((each for each in signed if isinstance(each, RolledBack)), None)
        if rolled is not None:
            raise rolled
        lines = [each for each in signed if isinstance(each, str)]
        for each, (cosigner, _url) in zip(signed, self._witnesses, strict=True):
            if isinstance(each, BaseException):
                self._tell(
                    f"witness {cosigner.name}: {each if isinstance(each, NotCosigned | Unreached) else 'failed'}"
                )
        if lines and len(lines) >= self._quorum:
            await asyncio.to_thread(keep_cosigned, self._log, note + "".join(lines), int(time()))
            self.met_at = time()
        return len(lines)

    async def run(self, stop_signing: Callable[[str], None]) -> None:
        """Look for ever. `stop_signing` is told once why nothing may be signed any more, and then this ends."""
        while True:
            try:
                await self.look()
            except RolledBack as fault:
                stop_signing(str(fault))
                return
            except StoreFault:
                self._tell("the log cannot be read")
            await asyncio.sleep(EVERY_SECONDS)

    def _latest(self) -> str | None:
        with contextlib.suppress(StoreFault), LogReader.read(self._log, self._key) as log:
            signed = log.latest()
            return None if signed is None else signed.note
        return None

    async def _ask(self, cosigner: Cosigner, url: str, note: str) -> str:
        """A witness's line; a conflict is answered once by the size that it names."""
        for _ in range(2):
            body = await asyncio.to_thread(self._submission, self._known.get(cosigner.name, 0), note)
            answer = await self._outside.ask("POST", f"{url}/add-checkpoint", body=body)
            if answer.status == 200:
                self._known[cosigner.name] = int(note.split("\n", 2)[1])
                return cosignature(answer.body, cosigner, note)
            if answer.status != 409 or answer.content_type != "text/x.tlog.size":
                break
            theirs = int(answer.body) if answer.body.strip().isdigit() and len(answer.body) < 20 else 0
            ours = int(note.split("\n", 2)[1])
            if theirs > ours:
                raise RolledBack(f"witness {cosigner.name} has seen {theirs} leaves, this log has {ours}")
            self._known[cosigner.name] = theirs
        raise NotCosigned(f"{cosigner.name} refused (status {answer.status})")

    def _submission(self, old: int, note: str) -> bytes:
        with LogReader.read(self._log, self._key) as log:
            return submission(log, old, note)
