"""A journal and its log without a gateway: boots, calls, and the sequencer, all in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import orjson
from msgspec.structs import replace

from gateway.audit.boot import first_records, row_line
from gateway.audit.configurations import keep_configuration
from gateway.audit.guard import Guard
from gateway.audit.language import Id, Sha
from gateway.audit.log_store import LogReader, LogStore
from gateway.audit.record import Intent, Operator, Outcome, Record, Refusal
from gateway.audit.sequencer import Sequencer
from gateway.audit.store import SqliteStore
from gateway.audit.words import Act
from gateway.keys import Signer, new_boot_id, new_call_id, sha256_hex
from tests.gateway.audit.samples import EPOCH, KEY, intent, outcome, refusal

ORIGIN = "log.example.invalid/eu"
LOG_KEY = bytes(range(32, 64))
SIGNER = Signer(bytes(range(64, 96)))
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND

PROCESSOR = {
    "id": "openai-eu",
    "countries": {"processing": ["FR", "IE"]},
    "models": [{"id": "gpt-5.2-2026-01-15"}],
    "agreements": [
        {
            "id": "openai-eu-2026-02",
            "kinds": ["zero_retention", "no_training", "dpa"],
            "document_sha256": "ab" * 32,
            "valid_from": "2026-02-01",
            "valid_until": "2028-01-01",
        }
    ],
    "notice": {"announced": "2026-01-01", "days": 30, "effective": "2026-02-01"},
}


def preimage(processor: dict[str, object] = PROCESSOR) -> bytes:
    """A configuration as the gateway keeps it."""
    trees = {"gateway.yaml": {"purposes": ["call-summary"], "region": "eu"}, "processors/openai-eu.yaml": processor}
    return orjson.dumps([trees, []], option=orjson.OPT_SORT_KEYS)


class House:
    """The state of a made-up gateway in `directory`. `time` moves on by itself, a second a record."""

    def __init__(self, directory: Path, *, time: int = EPOCH, configuration: bytes | None = None) -> None:
        self.directory = directory
        self.time = time
        self.document = preimage() if configuration is None else configuration
        self.configuration = Sha(sha256_hex(self.document))
        directory.mkdir(mode=0o700, exist_ok=True)
        (directory / "log").mkdir(mode=0o700, exist_ok=True)
        keep_configuration(directory / "log", self.configuration, self.document)
        self._store: SqliteStore | None = None
        self._next = 0

    def boot(self) -> None:
        """Start the journal, as the gateway does."""
        self._store = SqliteStore(self.directory / "journal", KEY)
        rows = first_records(self._store.found, Id(new_boot_id()), self.configuration, self.tick())
        self._store.begin([row_line(row) for row in rows])
        self._next = len(rows)

    def write(self, *records: Record) -> None:
        """Commit records."""
        assert self._store is not None
        self._store.commit([row_line(each) for each in records], self._next, 0)
        self._next += len(records)

    def tick(self, by: int = SECOND) -> int:
        """Let time pass; what it is then."""
        self.time += by
        return self.time

    def calls(self, count: int) -> list[Record]:
        """Calls of every kind, a few open at once, all closed."""
        written: list[Record] = []
        open_calls: list[Intent] = []
        for number in range(count):
            made = self.intent()
            open_calls.append(made)
            written.append(made)
            if number % 5 == 4:
                written.append(self.refusal())
            if len(open_calls) > 2:
                written.append(self.outcome(open_calls.pop(0)))
        written += [self.outcome(each) for each in open_calls]
        self.write(*written)
        return written

    def intent(self) -> Intent:
        """An intent, now, under this house's configuration."""
        call = new_call_id(lambda: self.tick() * 1000)
        return replace(intent(call, time=self.time), configuration=self.configuration)

    def outcome(self, of: Intent) -> Outcome:
        """Its outcome, now."""
        return outcome(of, time=self.tick())

    def refusal(self) -> Refusal:
        """A refusal, now."""
        return replace(refusal(time=self.tick()), call=Id(new_boot_id()), configuration=self.configuration)

    def end(self, *, cleanly: bool = True) -> None:
        """Stop the gateway."""
        assert self._store is not None
        if cleanly:
            self.write(Operator(time=self.tick(), act=Act.SHUTDOWN, closed=0))
        self._store.close()
        self._store = None

    @contextlib.contextmanager
    def sequencer(self, signer: Signer = SIGNER, vfs: str = "") -> Iterator[Sequencer]:
        """The sequencer over this state."""
        log = LogStore(self.directory / "log", LOG_KEY, ORIGIN, vfs=vfs)
        try:
            made = Sequencer(
                self.directory / "journal", KEY, log, signer, Guard(self.directory / "guard"), lambda: self.time
            )
        except BaseException:
            log.close()
            raise
        with contextlib.closing(made):
            yield made

    def sequence(self) -> int:
        """Order everything there is; the size of the log."""
        with self.sequencer() as sequencer:
            while sequencer.step():
                pass
            return sequencer.size

    @contextlib.contextmanager
    def log(self) -> Iterator[LogReader]:
        """The log, for reading."""
        with LogReader.read(self.directory / "log", LOG_KEY) as reader:
            yield reader


def lived_in(directory: Path, calls: int = 40) -> House:
    """A house with three boots, one of them killed, over two days."""
    house = House(directory)
    house.boot()
    house.calls(calls // 2)
    house.sequence()
    house.end()
    house.tick(DAY)
    house.boot()
    house.calls(calls // 4)
    open_call = house.intent()
    house.write(open_call)
    house.end(cleanly=False)
    house.sequence()
    house.tick(MINUTE)
    house.boot()
    house.calls(calls // 4)
    house.end()
    house.tick(DAY)
    house.sequence()
    return house
