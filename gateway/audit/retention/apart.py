"""Erasures and pruning without a gateway: a journal and a sequencer for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from gateway.audit.configurations import keep_configuration
from gateway.audit.guard import Guard
from gateway.audit.journal import Journal, now
from gateway.audit.language import Sha
from gateway.audit.log_store import LogStore
from gateway.audit.retention.erasure import Erasing, NotYet
from gateway.audit.retention.restoring import reapply
from gateway.audit.sequencer import Sequencer
from gateway.audit.store import StoreFault
from gateway.errors import Unavailable
from gateway.keys import Keyring


async def carried_out(
    state: Path, keyring: Keyring, guard: Path, origin: str, digest: str, preimage: bytes
) -> tuple[int, int]:
    """Carry out what was asked, and prune; how many erasures there were, and how many records were too old.

    Args:
        state: the state directory, which no gateway has open.
        keyring: of the state.
        guard: the file of the last checkpoint.
        origin: the log's name.
        digest: of the configuration.
        preimage: what that is the digest of.

    Raises:
        StoreFault: a file cannot be used, or something stood in the way; what was asked is kept.
    """
    await asyncio.to_thread(reapply, state, keyring, guard)
    keep_configuration(state / "log", digest, preimage)
    journal = await Journal.open(state / "journal", keyring.journal_key(), configuration=Sha(digest))
    try:
        log = LogStore(state / "log", keyring.log_key(), origin)
        with contextlib.closing(log):
            order = Sequencer(state / "journal", keyring.journal_key(), log, keyring.log_signer(), Guard(guard), now)
            with contextlib.closing(order):

                async def step() -> None:
                    order.step()
                    await asyncio.sleep(0)

                erasing = Erasing(state, keyring, journal, now, step)
                done = await erasing.due(), await erasing.prune()
                await journal.close()
                while order.step():
                    pass
                return done
    except (NotYet, Unavailable) as fault:
        raise StoreFault(f"{state}: {fault}") from None
    finally:
        await journal.close()
