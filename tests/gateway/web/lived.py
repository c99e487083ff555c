"""A state in which a gateway has lived: calls of several tenants over some weeks, refusals, configurations, a signed log."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from gateway.audit.boot import first_records, row_line
from gateway.audit.configurations import keep_configuration
from gateway.audit.language import Id, Mac, Sha, Vocabulary
from gateway.audit.record import Intent, Operator, Outcome, Record, Refusal
from gateway.audit.sequencer import Sequencer
from gateway.audit.sequencing import Plan, open_sequencer
from gateway.audit.store import SqliteStore
from gateway.audit.words import (
    Act,
    Agreement,
    Caller,
    Country,
    ForcedName,
    Model,
    OperationName,
    Processor,
    Purpose,
    Result,
    RuleSource,
    Said,
    Setting,
    Tenant,
    Tls,
    Verdict,
    Wire,
)
from gateway.config import load
from gateway.errors import Code
from gateway.keys import Keyring, new_boot_id
from providers import PROVIDERS
from providers.provider import Usage
from tests.configuration import EUROPEAN, TENANT, write_configuration

DAY = 86_400_000_000
NOW = 1_795_651_200_000_000 // DAY * DAY + 15 * 3_600_000_000
ROUTES = {
    TENANT: ("openai", "chat.completions", "gpt-simulated", "simulated-openai", ("CA",)),
    EUROPEAN: ("anthropic", "messages", "claude-simulated", "simulated-anthropic", ("FR", "IE")),
}
REASONS = (
    (Code.PARAMETER_RETAINS_DATA, "O1"), (Code.PARAMETER_RETAINS_DATA, "O4"), (Code.CONTENT_NOT_SCANNABLE, "O1"),
    (Code.RESIDENCY_MISMATCH, None), (Code.RATE_LIMITED, None),
)  # fmt: skip
WORDS = Vocabulary(
    {
        Tenant: ROUTES,
        Caller: ["coaching-service", "notes-service"],
        Purpose: ["call_summary", "coaching_feedback"],
        Wire: ["openai", "anthropic"],
        OperationName: ["chat.completions", "messages"],
        Processor: ["simulated-openai", "simulated-anthropic"],
        Agreement: ["simulated-openai-2026", "simulated-anthropic-2026"],
        Country: ["CA", "FR", "IE"],
        Model: ["gpt-simulated", "claude-simulated"],
        ForcedName: ["store"],
        RuleSource: ["O1", "O4"],
    }
)


@dataclass(slots=True)
class Lived:
    """The state, its configuration, and what was done in it. `refused` and `made` are calls by tenant."""

    configuration: Path
    state: Path
    keyring: Keyring
    made: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)

    def plan(self) -> Plan:
        """Where the sequencer finds everything."""
        state = self.state
        return Plan(
            journal=str(state / "journal"), log=str(state / "log"), guard=str(state / "keys" / "checkpoint"),
            keys=str(state / "keys"), origin="zero-retention-gateway.invalid/test",
        )  # fmt: skip


def lived(
    folder: Path,
    *,
    calls: int = 60,
    days: int = 5,
    seed: int = 1,
    web: dict[str, object] | None = None,
    edit: Callable[[dict[str, Any]], object] = lambda _entry: None,
) -> Lived:
    """Make the state under `folder`, ending now (`NOW`). `edit` changes the entry of the second processor."""
    chance = random.Random(seed)
    configuration = write_configuration(folder, 1, "x", settings={"web": {"port": 0, **(web or {})}})
    entry = configuration / "processors" / "simulated-anthropic.yaml"
    tree = json.loads(entry.read_text("utf-8"))
    tree["countries"] = {"processing": ["FR", "IE"]}
    tree["agreements"][0]["valid_until"] = "2027-01-20"
    edit(tree)
    entry.write_text(json.dumps(tree), "utf-8")
    bundle = load(configuration, {}, wires=PROVIDERS)
    state = folder / "state"
    made = Lived(configuration, state, Keyring.open(state / "keys", create=True))
    older = _older(bundle.preimage)
    for preimage in (older, bundle.preimage):
        made.digests.append(sha256(preimage).hexdigest())
        keep_configuration(state / "log", made.digests[-1], preimage)
    (state / "log").chmod(0o700)
    start = NOW - days * DAY
    store = SqliteStore(state / "journal", made.keyring.journal_key())
    rows = first_records(store.found, Id(new_boot_id()), Sha(made.digests[0]), start)
    store.begin([row_line(row) for row in rows])
    place = len(rows)
    batch: list[Record] = []
    for number in range(calls):
        at = start + (number + 1) * (days * DAY - 600_000_000) // calls
        if number == calls // 3:
            batch.append(
                Operator(
                    time=at, act=Act.CONFIGURATION, configuration=Sha(made.digests[1]), parent=Sha(made.digests[0])
                )
            )
        digest = Sha(made.digests[1 if number >= calls // 3 else 0])
        batch += _call(made, chance, at + chance.randrange(60_000_000), digest)
        if number % 25 == 24:
            batch.append(Operator(time=at + 90_000_000, act=Act.HEARTBEAT))
    batch.append(
        Operator(time=NOW - 300_000_000, act=Act.GAP, start=NOW - 400_000_000, end=NOW - 350_000_000, refused=3)
    )
    readings = ((Setting.PROJECT_RETENTION, Said.MODIFIED), (Setting.WEB_SEARCH, Said.DISABLED))
    about = WORDS.word(Processor, "simulated-openai")
    batch += [
        Operator(time=NOW - 200_000_000, act=Act.ATTESTATION, processor=about, verdict=Verdict.FAIL, readings=readings,
                 start=NOW - 201_000_000),
        Operator(time=NOW - 100_000_000, act=Act.CANARY, processor=about, verdict=Verdict.PASS, count=11,
                 start=NOW - 101_000_000, readings=((Setting.LEAKS, Said.ABSENT),)),
    ]  # fmt: skip
    batch.append(Operator(time=NOW - 60_000_000, act=Act.HEARTBEAT))
    store.commit([row_line(each) for each in batch], place, 0)
    store.close()
    sign(made)
    return made


def more(made: Lived, calls: int, now: int, seed: int = 2) -> None:
    """Another boot with some more calls, signed at `now`."""
    chance = random.Random(seed)
    store = SqliteStore(made.state / "journal", made.keyring.journal_key())
    rows = first_records(store.found, Id(new_boot_id()), Sha(made.digests[1]), now - 60_000_000)
    store.begin([row_line(row) for row in rows])
    batch = [each for _call_ in range(calls) for each in _call(made, chance, now - 30_000_000, Sha(made.digests[1]))]
    store.commit([row_line(each) for each in batch], len(rows), 0)
    store.close()
    sign(made, now)


def sign(made: Lived, now: int = NOW) -> None:
    """Bring the log up to the journal."""
    with contextlib.closing(_sequencer(made, now)) as sequencer:
        while sequencer.step() is not None:
            pass


def _sequencer(made: Lived, now: int) -> Sequencer:
    sequencer = open_sequencer(made.plan())
    sequencer._clock = lambda: now
    return sequencer


def _older(preimage: bytes) -> bytes:
    trees, schemas = orjson.loads(preimage)
    trees["gateway.yaml"]["notice_days"] = 14
    trees["processors/simulated-openai.yaml"]["models"] = trees["processors/simulated-openai.yaml"]["models"][:1]
    return orjson.dumps([trees, schemas], option=orjson.OPT_SORT_KEYS)


def _call(made: Lived, chance: random.Random, at: int, digest: Sha) -> list[Record]:
    word = WORDS.word
    tenant = chance.choice([TENANT, TENANT, EUROPEAN])
    wire, operation, model, processor, countries = ROUTES[tenant]
    call = Id(f"{at // 1000:012x}7{chance.getrandbits(12):03x}8{chance.getrandbits(60):015x}")
    caller = word(Caller, chance.choice(["coaching-service", "notes-service"]))
    purpose = word(Purpose, chance.choice(["call_summary", "call_summary", "coaching_feedback"]))
    key = Id("00112233aabbccdd")
    if chance.random() < 0.12:
        code, source = chance.choice(REASONS)
        made.refused.setdefault(tenant, []).append(call)
        refusal = Refusal(
            time=at, call=call, configuration=digest, code=code, caller=caller, key=key, tenant=word(Tenant, tenant),
            purpose=purpose, wire=word(Wire, wire), operation=word(OperationName, operation),
            source=None if source is None else word(RuleSource, source),
        )  # fmt: skip
        return [refusal]
    made.made.setdefault(tenant, []).append(call)
    intent = Intent(
        time=at, call=call, attempt=0, tenant=word(Tenant, tenant), configuration=digest, caller=caller, key=key,
        purpose=purpose, subject=Mac(f"{chance.getrandbits(128):032x}"), wire=word(Wire, wire),
        operation=word(OperationName, operation), processor=word(Processor, processor),
        agreement=word(Agreement, f"{processor}-2026"), countries=WORDS.words(Country, countries),
        model=word(Model, model), tls=Tls.TLS_1_3, stream=chance.random() < 0.5, size=256 * chance.randrange(2, 60),
        messages=chance.randrange(1, 9), redactions=chance.choice([0, 0, 0, 1, 2, 5]), forced=WORDS.words(ForcedName, ["store"]),
    )  # fmt: skip
    result = chance.choice([*[Result.COMPLETED] * 22, Result.ABORTED_BY_CALLER, Result.UPSTREAM_FAILED])
    outcome = Outcome.of(
        intent, result, vocabulary=WORDS, time=at + 2_400_000, status=200 if result is Result.COMPLETED else None,
        finishes=("stop",), usage=Usage(input=chance.randrange(300, 6000), output=chance.randrange(40, 900)), chunks=chance.randrange(5, 90), size=2048, first_ms=chance.randrange(200, 900),
        total_ms=chance.randrange(900, 5000),
    )  # fmt: skip
    return [intent, outcome]
