"""A round without a gateway: the parts that would serve a configuration, made for this round alone.

Journal and keys are under a folder that goes with it, so nothing is recorded, stopped or touched of a state: this tries
what is proposed before it is in force, or before there is a gateway at all.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway.audit.journal import Journal
from gateway.audit.journal import Settings as JournalSettings
from gateway.audit.language import Sha
from gateway.audit.ledger import Ledger
from gateway.canary.canary import in_use
from gateway.canary.round import Parts, Result, play
from gateway.clock import Clock
from gateway.config import Bundle
from gateway.force import in_force, patience_of
from gateway.keys import Keyring
from gateway.logs import detached_logger, silence
from gateway.policy.entries import Entry
from gateway.redaction.detector import Detector

_JOURNAL: Final = JournalSettings(timeout=20.0, closing_timeout=40.0, ballast=4096)
"""It waits for a slow disk, since no caller does."""


async def play_apart(bundle: Bundle, chosen: Iterable[Entry] | None = None) -> list[Result]:
    """Try these entries, drafts too, or all that are in use.

    Raises:
        OSError, StoreFault, KeyFault, ListenerError: no journal can be kept there, or nothing can listen on loopback.
    """
    handler = logging.StreamHandler(sys.stderr)
    silence(handler)
    redaction = bundle.settings.redaction
    with tempfile.TemporaryDirectory(prefix="canary-") as scratch:
        state = Path(scratch)
        keyring = Keyring.open(state / "keys", create=True)
        detector = None
        if not redaction.unsafe_redaction_off:
            detector = Detector(bundle.recognizers, 1, patience_of(bundle), redaction.remembered)
            await detector.start()
        try:
            journal = await Journal.open(
                state / "journal", keyring.journal_key(), configuration=Sha(bundle.digest), settings=_JOURNAL
            )
            try:
                force = in_force(bundle, detector)
                parts = Parts(force, keyring, Ledger(journal), state, Clock(), detached_logger(handler))
                return await play(parts, in_use(force) if chosen is None else chosen)
            finally:
                await journal.close()
        finally:
            if detector is not None:
                await detector.stop()
