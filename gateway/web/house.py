"""What the pages are made from: configuration, index, log and book of access, opened once for the process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import time_ns

from gateway.audit.access import AccessBook
from gateway.audit.index import STEP, Index
from gateway.audit.log_store import LogReader, Signed
from gateway.audit.pages import Pages
from gateway.audit.scope import Scope
from gateway.audit.store import FILE_NAME, StoreFault
from gateway.audit.tlog import Checkpoint, NotACheckpoint, verifier_key
from gateway.config import Bundle, load
from gateway.config.shelf import Shelf
from gateway.errors import ConfigurationError
from gateway.keys import Keyring
from providers import PROVIDERS


class NotYet(Exception):
    """There is no journal yet. The message is ours and says what to do."""


@dataclass(frozen=True, slots=True)
class LogState:
    """What the log says of itself now; `size` 0 and no note before the first checkpoint."""

    origin: str
    size: int
    root: str
    time: int | None
    note: str | None


class House:
    """Everything that a page reads. Nothing here writes into journal or log.

    Raises:
        ConfigurationError, KeyFault: the configuration or a key is not usable.
        NotYet: the gateway has not run on this state.
        StoreFault: a file cannot be used, or another process serves these pages.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        state: Path | None = None,
        clock: Callable[[], int] = lambda: time_ns() // 1000,
    ) -> None:
        self._directory, self._environment, self._given, self._shelf = directory, environment, state, Shelf()
        self.clock = clock
        self.bundle = self._load()
        self.state = state or self.bundle.state
        if not (self.state / "journal" / FILE_NAME).exists():
            raise NotYet(f"{self.state}: there is no journal yet; start `gateway serve` on it first")
        self.keyring = Keyring.open(self.state / "keys", master=self.bundle.master_key)
        index_key, journal_key = self.keyring.index_key(), self.keyring.journal_key()
        self._log_key = self.keyring.log_key()
        self.signer_key = self.keyring.log_signer().public
        self.index = Index(self.state, index_key, journal_key)
        self._following = Lock()
        try:
            self.book = AccessBook(self.state, index_key)
            self.pages = Pages(self.state, index_key, journal_key)
            with self.pages.view(Scope.of([])):  # what the kinds of calls are is read once, and not by the first page
                pass
        except BaseException:
            self.index.close()
            raise

    def now(self) -> datetime:
        """The clock as an aware instant."""
        return datetime.fromtimestamp(self.clock() / 1_000_000, UTC)

    def follow(self, most: int = STEP) -> int:
        """Take in what the journal has gained; how many rows.

        Raises:
            StoreFault: a file cannot be read or written.
        """
        with self._following:
            return self.index.step(most)

    def reload(self) -> None:
        """Read the configuration again; the last good one stays where it has faults."""
        with contextlib.suppress(ConfigurationError):
            self.bundle = self._load()

    @contextlib.contextmanager
    def log(self) -> Iterator[LogReader | None]:
        """The log at one moment; None before there is one.

        Raises:
            StoreFault: it cannot be read.
        """
        if not (self.state / "log" / "log.db").exists():
            yield None
            return
        with LogReader.read(self.state / "log", self._log_key) as log:
            yield log

    def log_state(self) -> LogState:
        """What the log says of itself."""
        with self.log() as log:
            signed = None if log is None else log.latest()
        return state_of(self.bundle.origin, signed)

    @property
    def verifier_key(self) -> str:
        """The log's key as auditors configure it."""
        return verifier_key(self.bundle.origin, self.signer_key)

    def close(self) -> None:
        """Release every file. A step of `follow` that a thread has begun is waited for."""
        with self._following:
            self.pages.close()
            self.book.close()
            self.index.close()

    def _load(self) -> Bundle:
        return load(self._directory, self._environment, wires=PROVIDERS, state=self._given, shelf=self._shelf)


def state_of(origin: str, signed: Signed | None) -> LogState:
    """A checkpoint as a page tells of it.

    Raises:
        StoreFault: it is no checkpoint.
    """
    if signed is None:
        return LogState(origin, 0, "", None, None)
    try:
        checkpoint = Checkpoint.parse(signed.note)
    except NotACheckpoint as fault:
        raise StoreFault(f"the log's last checkpoint: {fault}") from None
    return LogState(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), signed.time, signed.note)
