"""Made-up configuration words and records for the audit tests and benchmarks."""

from __future__ import annotations

import itertools

from gateway.audit.language import Id, Sha, Vocabulary
from gateway.audit.record import Intent, Outcome, Refusal
from gateway.audit.words import (
    Agreement,
    Caller,
    Conditional,
    Country,
    ForcedName,
    Model,
    OperationName,
    Processor,
    Purpose,
    Result,
    RuleSource,
    Tenant,
    Tls,
    Unscanned,
    Wire,
)
from gateway.errors import Code

VOCABULARY = Vocabulary(
    {
        Tenant: ["tenant-seven", "tenant-eight"],
        Caller: ["coach-service", "notes-service"],
        Purpose: ["call-summary"],
        Wire: ["openai", "anthropic"],
        OperationName: ["chat.completions", "messages"],
        Processor: ["openai-eu"],
        Agreement: ["openai-eu-2026-02"],
        Country: ["FR", "DE", "IE"],
        Model: ["gpt-5.2-2026-01-15", "a-model-of-tests"],
        ForcedName: ["store", "tools.strict", "stream_options.include_usage"],
        Conditional: ["inline-images"],
        Unscanned: ["image", "audio"],
        RuleSource: ["O1"],
    }
)
CONFIGURATION = Sha("c0" * 32)
EPOCH = 1_795_000_000_000_000
KEY = bytes(range(32))

_calls = itertools.count(1)


def call_id() -> Id:
    """A fresh call id, in order as UUIDv7 ids are."""
    return Id(f"{next(_calls):032x}")


def intent(call: str | None = None, attempt: int = 0, time: int = EPOCH, caller: str = "coach-service") -> Intent:
    """An ordinary intent of a fresh call."""
    word = VOCABULARY.word
    return Intent(
        time=time,
        call=call_id() if call is None else Id(call),
        attempt=attempt,
        tenant=word(Tenant, "tenant-seven"),
        configuration=CONFIGURATION,
        caller=word(Caller, caller),
        key=Id("00112233aabbccdd"),
        purpose=word(Purpose, "call-summary"),
        subject=None,
        wire=word(Wire, "openai"),
        operation=word(OperationName, "chat.completions"),
        processor=word(Processor, "openai-eu"),
        agreement=word(Agreement, "openai-eu-2026-02"),
        countries=VOCABULARY.words(Country, ("IE", "FR")),
        model=word(Model, "gpt-5.2-2026-01-15"),
        tls=Tls.TLS_1_3,
        stream=True,
        size=1024,
        redactions=2,
        forced=VOCABULARY.words(ForcedName, ("store",)),
    )


def outcome(of: Intent, result: Result = Result.COMPLETED, time: int = EPOCH + 1) -> Outcome:
    """An ordinary outcome of that intent."""
    return Outcome.of(
        of,
        result,
        vocabulary=VOCABULARY,
        time=time,
        status=200,
        finishes=("stop",),
        chunks=61,
        size=2000,
        total_ms=3810,
    )


def refusal(time: int = EPOCH) -> Refusal:
    """A refusal of a known caller."""
    return Refusal(
        time=time,
        call=call_id(),
        configuration=CONFIGURATION,
        code=Code.PARAMETER_RETAINS_DATA,
        caller=VOCABULARY.word(Caller, "coach-service"),
        key=Id("00112233aabbccdd"),
        tenant=VOCABULARY.word(Tenant, "tenant-seven"),
    )
