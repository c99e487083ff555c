"""A whole state without a gateway: keys, a journal that is open, and a sequencer that steps when it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import orjson
from msgspec.structs import replace

from gateway.audit.configurations import keep_configuration
from gateway.audit.evidence import Evidence, open_evidence, own_policy
from gateway.audit.guard import Guard
from gateway.audit.journal import Journal, Settings
from gateway.audit.language import Id, Mac, Sha
from gateway.audit.ledger import Ledger
from gateway.audit.log_store import LogReader, LogStore
from gateway.audit.record import Intent
from gateway.audit.retention.erasure import Erasing
from gateway.audit.sequencer import Sequencer
from gateway.audit.store import Cipher, keyed
from gateway.audit.verify import Policy, Verification, verify
from gateway.audit.words import Tenant
from gateway.keys import Keyring, new_call_id, sha256_hex
from tests.gateway.audit.logs import DAY, ORIGIN, PROCESSOR, SECOND
from tests.gateway.audit.logs import preimage as made_up
from tests.gateway.audit.samples import EPOCH, VOCABULARY, intent, outcome, refusal

_LASTING = orjson.loads(orjson.dumps(PROCESSOR).replace(b"2028-01-01", b"2036-01-01"))
SEVEN, EIGHT = "tenant-seven", "tenant-eight"


class State:
    """The state in `directory`; `time` moves a second a record."""

    def __init__(self, directory: Path, time: int = EPOCH) -> None:
        self.directory = directory
        self.time = time
        directory.mkdir(mode=0o700, exist_ok=True)
        self.keyring = Keyring.open(directory / "keys", create=True)
        preimage = made_up(_LASTING)
        self.configuration = Sha(sha256_hex(preimage))
        keep_configuration(directory / "log", self.configuration, preimage)
        self.guard = directory.parent / f"{directory.name}-guard" / "checkpoint"
        self.guard.parent.mkdir(exist_ok=True)

    @contextlib.asynccontextmanager
    async def open(self, patience: int = 40) -> AsyncIterator[None]:
        """The journal and the sequencer, open."""
        self.journal = await Journal.open(
            self.directory / "journal",
            self.keyring.journal_key(),
            configuration=self.configuration,
            clock=self.tick,
            settings=Settings(timeout=20, ballast=4096),
        )
        self.ledger = Ledger(self.journal, self.tick)
        try:
            with self.sequencer() as self.ordering:
                self.erasing = Erasing(self.directory, self.keyring, self.journal, self.tick, self.pump, patience)
                yield
                await self.journal.close()
                self.order()
        finally:
            await self.journal.close()

    @contextlib.contextmanager
    def sequencer(self) -> Iterator[Sequencer]:
        """The sequencer over this state."""
        log = LogStore(self.directory / "log", self.keyring.log_key(), ORIGIN)
        try:
            made = Sequencer(
                self.directory / "journal",
                self.keyring.journal_key(),
                log,
                self.keyring.log_signer(),
                Guard(self.guard),
                lambda: self.time,
            )
        except BaseException:
            log.close()
            raise
        with contextlib.closing(made):
            yield made

    @contextlib.contextmanager
    def log_read(self) -> Iterator[LogReader]:
        """The log, for reading."""
        with LogReader.read(self.directory / "log", self.keyring.log_key()) as log:
            yield log

    def tick(self) -> int:
        """Let a second pass; what time it is then."""
        self.time += SECOND
        return self.time

    async def pump(self) -> None:
        """Let the log move on."""
        self.order()
        await asyncio.sleep(0)

    def order(self) -> int:
        """Order all there is."""
        while self.ordering.step():
            pass
        return self.ordering.size

    async def call(self, tenant: str, subject: str | None = None) -> Intent:
        """A call from intent to outcome."""
        made = self.intent(tenant, subject)
        admission = await self.ledger.admit(made)
        await self.ledger.conclude(admission, replace(outcome(made, time=self.tick()), tenant=made.tenant))
        return made

    def intent(self, tenant: str, subject: str | None = None) -> Intent:
        """An intent of that tenant, now."""
        mac = None if subject is None else Mac(self.keyring.tenant_mac(tenant, "subject", subject))
        call = new_call_id(lambda: self.tick() * 1000)
        made = intent(call, time=self.time)
        return replace(
            made, configuration=self.configuration, tenant=VOCABULARY.word(Tenant, tenant), subject=mac, size=2048
        )

    async def live(self, rounds: int = 6) -> None:
        """Calls of two tenants and three people, and refusals."""
        for number in range(rounds):
            await self.call(SEVEN, "ana" if number % 2 else "ben")
            await self.call(EIGHT, "ana")
            made = refusal(time=self.tick())
            made = replace(made, configuration=self.configuration, call=Id(new_call_id(lambda: self.time * 1000)))
            await self.ledger.refuse(made)
        self.order()

    def days(self, count: int) -> None:
        """Let days pass."""
        self.time += count * DAY

    @contextlib.contextmanager
    def evidence(self, since: int | None = None, until: int | None = None) -> Iterator[Evidence]:
        """What there is of a period."""
        with open_evidence(self.directory, self.keyring, since, until) as evidence:
            yield evidence

    def policy(self) -> Policy:
        """The trust in this state's log."""
        return Policy(own_policy(ORIGIN, self.keyring))

    def verify(self) -> Verification:
        """The fourteen assertions over the whole state."""
        with self.evidence() as evidence:
            return verify(evidence, self.policy())

    def pages(self) -> dict[str, bytes]:
        """Every file of the state as it stands on the disk; of the databases also what their pages say, free ones too."""
        found = {
            str(path.relative_to(self.directory)): path.read_bytes()
            for path in sorted(self.directory.rglob("*"))
            if path.is_file()
        }
        keys = {"journal/journal.db": self.keyring.journal_key(), "log/log.db": self.keyring.log_key()}
        for name, key in keys.items():
            path = self.directory / name
            with contextlib.closing(keyed(path, apsw.SQLITE_OPEN_READONLY, key, Cipher.AEGIS, "")) as opened:
                found[f"{name} in clear"] = opened.serialize("main")
        return found

    def holding(self, *markers: bytes) -> set[str]:
        """The files that hold a marker, in any of the ways in which we might write it."""
        return {
            name
            for name, content in self.pages().items()
            for marker in markers
            if marker in content or marker.hex().encode() in content or bytes.fromhex(_hex(marker)) in content
        }


def _hex(marker: bytes) -> str:
    """A marker of hex digits as the bytes that they stand for; another marker as itself."""
    try:
        return bytes.fromhex(marker.decode()).hex()
    except ValueError:
        return marker.hex()
