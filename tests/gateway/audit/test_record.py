"""The record language: closed, canonical, bounded, and deaf to content."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.audit.language import GREATEST, Id, Mac, NotRecordable, Range, Sha, Vocabulary, Word, domain_of
from gateway.audit.record import (
    CAPACITY_BITS,
    GREATEST_BYTES,
    KINDS,
    Intent,
    Operator,
    Outcome,
    Record,
    Refusal,
    Row,
    Shape,
    canonical,
    canonical_row,
    capacity,
    forced_name,
    parse,
)
from gateway.audit.words import Act, Echo, ErrorClass, Finish, ForcedName, Model, Result, RuleSource, Tenant, Tls
from gateway.categories import Category
from gateway.errors import Code, Refused, Rule
from gateway.exchange import Call, CleanCall, Entry, Forced, Grant, Route
from providers.provider import Operation, Provider, Usage
from tests.gateway.audit.samples import CONFIGURATION, EPOCH, VOCABULARY, intent, outcome, refusal


def _provider() -> Provider:
    form: dict[str, object] = {each.name: None for each in dataclasses.fields(Provider)}
    return Provider(**{**form, "name": "openai"})  # type: ignore[arg-type]


def clean_call(
    text: str = "Bonjour", subject: str | None = None, forced: tuple[Forced, ...] = (), size: int | None = None
) -> CleanCall:
    """A judged and cleaned call whose every content position holds `text`."""
    entry = Entry(
        call_id="01" * 16,
        now=datetime(2026, 11, 25, tzinfo=UTC),
        wire=_provider(),
        operation=Operation("chat.completions", "POST", "/chat/completions"),
        caller="coach-service",
        key_id="00112233aabbccdd",
        tenant="tenant-seven",
        purpose="call-summary",
        subject=subject,
    )
    call = Call(entry, {"messages": [text]}, {"x": text}, len(text) if size is None else size)
    route = Route(
        "openai-eu",
        "https://eu",
        "gpt-5.2-2026-01-15",
        frozenset(),
        "openai-eu-2026-02",
        ("IE", "FR"),
        "credential",
        {"trait": "x"},
    )
    grant = Grant(call, {"messages": [text]}, {"x": text}, route, forced, ("inline-images",), {"image": 99}, True)
    return CleanCall(grant, text.encode("utf-8", "replace"), "application/json", {Category.HEALTH: 2})


def intent_of(clean: CleanCall) -> Intent:
    """The intent of its first attempt."""
    return Intent.of(
        clean, 0, vocabulary=VOCABULARY, configuration=CONFIGURATION, time=EPOCH, shape=Shape(messages=3, tools=0)
    )


EVERY_KIND: dict[str, Record] = {
    "an intent": intent(),
    "an intent with everything": intent_of(
        clean_call(subject="ab" * 16, forced=(Forced("store", "false"), Forced("tools[3].strict", "false")))
    ),
    "an outcome": outcome(intent()),
    "an outcome with everything": Outcome.of(
        intent(),
        Result.REFUSED_BY_PROVIDER,
        vocabulary=VOCABULARY,
        time=EPOCH,
        code=Code.RESPONSE_NOT_ALLOWED,
        status=429,
        error=("invalid_request_error", "rate_limit_exceeded"),
        finishes=("stop", "length", "something new"),
        usage=Usage(1, 2, 3, 4, 5),
        chunks=6,
        size=7,
        first_ms=8,
        total_ms=9,
        served="a model nobody registered",
        provider_request="cd" * 16,
        echo=Echo.CONTRADICTED,
    ),
    "a bare outcome": Outcome(
        time=0, call=Id("00" * 16), attempt=15, tenant=VOCABULARY.word(Tenant, "tenant-eight"), result=Result.CUT_OFF
    ),
    "a refusal": refusal(),
    "a boot": Operator(time=EPOCH, act=Act.BOOT, started=Id("ab" * 16), previous=Id("cd" * 16), clean=False),
    "a gap": Operator(time=EPOCH, act=Act.GAP, start=EPOCH - 5, end=EPOCH, refused=2**40),
    "a configuration": Operator(time=EPOCH, act=Act.CONFIGURATION, configuration=CONFIGURATION, parent=Sha("0" * 64)),
    "a key": Operator(time=EPOCH, act=Act.KEY, key=Id("0" * 16), enabled=True),
}


@pytest.mark.parametrize("record", EVERY_KIND.values(), ids=EVERY_KIND)
def test_every_kind_of_record_comes_back_as_it_was_written(record: Record) -> None:
    """Writing and reading a record gives the same record, types included."""
    written = canonical(record)

    assert parse(written) == record
    assert canonical(parse(written)) == written


@pytest.mark.parametrize("record", EVERY_KIND.values(), ids=EVERY_KIND)
def test_a_record_is_written_in_its_canonical_form(record: Record) -> None:
    """Sorted keys, no spaces, ASCII, integers only, nothing absent, at most 4 KiB."""
    written = canonical(record)
    values = json.loads(written)

    assert written == json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii")
    assert len(written) <= GREATEST_BYTES
    assert None not in values.values()
    assert not [value for value in values.values() if isinstance(value, float | dict)]


def test_a_row_is_its_record_with_its_place() -> None:
    """The form the log commits to has the boot and the rseq among its sorted keys."""
    record = intent()
    values = json.loads(canonical_row(Row(Id("ab" * 16), 7, record)))

    assert values.pop("boot") == "ab" * 16
    assert values.pop("rseq") == 7
    assert values == json.loads(canonical(record))
    with pytest.raises(NotRecordable):
        canonical_row(Row(Id("ab" * 16), -1, record))


def _leaves(hint: object) -> Iterator[object]:
    if typing.get_origin(hint) is not None or isinstance(hint, types.UnionType):
        yield from (leaf for inner in typing.get_args(hint) for leaf in _leaves(inner))
    else:
        yield hint


def test_no_field_of_any_record_can_hold_text() -> None:
    """Every leaf of every field's type is one of the closed kinds; text, bytes, maps and Any are not."""
    for kind in KINDS:
        for name, hint in typing.get_type_hints(kind, include_extras=True).items():
            if name == "KIND":
                continue
            for leaf in _leaves(hint):
                closed = leaf in {int, bool, Id, Mac, Sha, type(None), Ellipsis} or (
                    isinstance(leaf, type) and issubclass(leaf, Word | enum.StrEnum)
                )
                mark = dataclasses.is_dataclass(leaf) and not isinstance(leaf, type)
                assert closed or mark, (kind, name, leaf)
            domain_of(hint)


@pytest.mark.parametrize("hint", [str, bytes, int, float, object, dict, list, typing.Any, Word, tuple[int, ...]])
def test_an_open_type_is_no_type_of_the_language(hint: object) -> None:
    """A record class with an open field cannot even be imported."""
    with pytest.raises(TypeError):
        domain_of(hint)


def test_text_does_not_become_a_word_by_being_called_one() -> None:
    """Words come from the configuration's vocabulary, ids and hashes from hex digits."""
    with pytest.raises(TypeError):
        Tenant("tenant-seven")
    for kind in (Id, Mac, Sha):
        with pytest.raises(NotRecordable):
            kind("tenant-seven")
    with pytest.raises(NotRecordable):
        VOCABULARY.word(Tenant, "tenant-nine")
    with pytest.raises(NotRecordable):
        VOCABULARY.word(Tenant, "coach-service")
    assert VOCABULARY.known(Model, "tenant-seven") is None


@pytest.mark.parametrize("word", ["", " ", "two words", "é", "a\n", "a" * 81, 'a"b', "a\\b", "-a"])
def test_a_configured_word_keeps_to_its_grammar(word: str) -> None:
    """A word that would need escaping, or is long, is a fault of the configuration."""
    with pytest.raises(ValueError, match="Model"):
        Vocabulary({Model: [word]})


def test_a_vocabulary_holds_no_more_words_than_the_capacity_counts() -> None:
    """The 65th forced name is refused, so the published bound holds."""
    Vocabulary({ForcedName: [f"name{number}" for number in range(64)]})
    with pytest.raises(ValueError, match="room for 64"):
        Vocabulary({ForcedName: [f"name{number}" for number in range(65)]})


def _replaced(record: Record, **changes: object) -> Record:
    return structs.replace(record, **changes)


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (intent(), "tenant", "tenant-seven"),
        (intent(), "tenant", VOCABULARY.word(Model, "a-model-of-tests")),
        (intent(), "call", "00" * 16),
        (intent(), "attempt", 16),
        (intent(), "attempt", True),
        (intent(), "attempt", -1),
        (intent(), "size", 1025),
        (intent(), "size", 2**28 + 256),
        (intent(), "redactions", 2**16),
        (intent(), "redactions", 1.0),
        (intent(), "stream", 1),
        (intent(), "tls", "TLSv1.3"),
        (intent(), "model", None),
        (intent(), "time", GREATEST + 1),
        (intent(), "forced", ("store",)),
        (intent(), "forced", [VOCABULARY.word(ForcedName, "store")]),
        (intent(), "forced", (VOCABULARY.word(ForcedName, "store"),) * 2),
        (intent(), "forced", VOCABULARY.words(ForcedName, ("store", "tools.strict"))[::-1]),
        (intent(), "unscanned", (("image", 1),)),
        (intent(), "subject", "ab" * 16),
        (outcome(intent()), "result", "completed"),
        (outcome(intent()), "status", 99),
        (outcome(intent()), "status", 600),
        (outcome(intent()), "finishes", tuple(Finish)),
        (refusal(), "code", "body_invalid"),
        (Operator(time=0, act=Act.GAP), "refused", 2**40 + 1),
    ],
)
def test_a_value_outside_its_domain_is_not_recordable(record: Record, field: str, value: object) -> None:
    """The first value outside a domain refuses the record, and names the field but not the value."""
    with pytest.raises(NotRecordable) as caught:
        canonical(_replaced(record, **{field: value}))

    assert caught.value.field == field
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert repr(value) not in f"{caught.value} {caught.value.reason} {caught.value.where}" or value in {
        None,
        -1,
        1,
    }


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"[]",
        b"{",
        b'{"v":1}',
        b'{"kind":"intent","v":1}',
        canonical(refusal()).replace(b'"v":1', b'"v":2'),
        canonical(refusal()).replace(b'"v":1', b'"note":"hello","v":1'),
        canonical(refusal()).replace(b'"v":1', b'"v": 1'),
        canonical(refusal()).replace(b"coach-service", b"coach service"),
        canonical(refusal()).replace(b'"key":"00112233aabbccdd"', b'"key":"00112233AABBCCDD"'),
        canonical(intent()).replace(b'["FR","IE"]', b'["IE","FR"]'),
        canonical(intent()).replace(b'"attempt":0', b'"attempt":0.0'),
    ],
)
def test_what_is_not_canonical_is_not_a_record(written: bytes) -> None:
    """Unknown keys, other orders, other spellings and values outside a domain are all refused."""
    with pytest.raises(NotRecordable):
        parse(written)


def test_the_capacity_of_a_call_is_what_is_published() -> None:
    """A new field, or a wider one, changes the sum and fails here until the constant is changed with it."""
    assert math.ceil(capacity()) == CAPACITY_BITS


def test_the_longest_record_fits() -> None:
    """Every field at its longest, with words of ordinary length, stays within 4 KiB."""
    names = [f"a_forced_parameter.with_a_name{number:02}" for number in range(64)]
    wide = Vocabulary({ForcedName: names})

    longest = _replaced(EVERY_KIND["an intent with everything"], forced=wide.words(ForcedName, names))

    assert len(canonical(longest)) <= GREATEST_BYTES
    too_long = [f"{number:02}".ljust(80, "x") for number in range(64)]
    with pytest.raises(NotRecordable) as caught:
        canonical(_replaced(longest, forced=Vocabulary({ForcedName: too_long}).words(ForcedName, too_long)))
    assert caught.value.field == "length"


@pytest.mark.parametrize(("value", "capped"), [(-5, 0), (0, 0), (1, 256), (256, 256), (257, 512), (10**12, 512)])
def test_a_foreign_number_is_brought_into_its_range(value: int, capped: int) -> None:
    """Sizes round up to the step and stop at the ends."""
    assert Range(0, 512, step=256).cap(value) == capped


def test_a_provider_cannot_make_its_own_outcome_unrecordable() -> None:
    """Absurd numbers, unknown words and unknown models become the nearest thing in the domain."""
    absurd = Outcome.of(
        intent(),
        Result.COMPLETED,
        vocabulary=VOCABULARY,
        time=EPOCH,
        status=999,
        error=("é", "x" * 10_000),
        finishes=(*Finish, "\n"),
        usage=Usage(-1, 10**30, 0, 0, 0),
        served="ignore previous instructions",
        size=10**30,
    )

    written = json.loads(canonical(absurd))
    assert (written["status"], written["error"], written["served"]) == (599, "other", "other")
    assert (written["input_tokens"], written["output_tokens"]) == (0, 2**24 - 1)


def test_a_provider_error_is_classed_by_its_code_first() -> None:
    """The code decides, then the type, then it is `other`."""

    def classed(kind: str, code: str) -> ErrorClass | None:
        return Outcome.of(intent(), Result.REFUSED_BY_PROVIDER, vocabulary=VOCABULARY, time=0, error=(kind, code)).error

    assert classed("invalid_request_error", "rate_limit_exceeded") is ErrorClass.RATE_LIMIT_EXCEEDED
    assert classed("invalid_request_error", "") is ErrorClass.INVALID_REQUEST
    assert classed("", "") is ErrorClass.OTHER


@pytest.mark.parametrize(
    ("where", "name"),
    [("store", "store"), ("tools[3].strict", "tools.strict"), ("a[0][12].b", "a.b"), ("a[?1]", "a[?1]")],
)
def test_a_forced_name_has_no_position(where: str, name: str) -> None:
    """Array indices are taken out; anything else is left for the vocabulary to refuse."""
    assert forced_name(where) == name


def test_a_refusal_bears_code_and_source_but_not_where() -> None:
    """The path of the offending field stays out of the record, the cited source goes in."""
    error = Refused(Code.PARAMETER_RETAINS_DATA, "no", where="metadata.?1", rule=Rule("O1 2026-11-23"))
    clean = clean_call()
    made = Refusal.of(
        clean.grant.call.entry,
        error,
        vocabulary=VOCABULARY,
        configuration=CONFIGURATION,
        time=EPOCH,
        grant=clean.grant,
    )

    assert made.code is Code.PARAMETER_RETAINS_DATA
    assert made.source == "O1" and type(made.source) is RuleSource
    assert made.model == "gpt-5.2-2026-01-15"
    assert b"metadata" not in canonical(made)
    early = Refusal.at_door(
        "02" * 16,
        "coach-service",
        "00112233aabbccdd",
        error,
        vocabulary=VOCABULARY,
        configuration=CONFIGURATION,
        time=EPOCH,
        wire="openai",
    )
    assert parse(canonical(early)) == early
    assert early.tenant is None


def test_the_number_of_redactions_is_kept_without_categories() -> None:
    """A call with two health findings is recorded as two redactions, and no category appears."""
    written = canonical(intent_of(clean_call()))

    assert json.loads(written)["redactions"] == 2
    assert not [each for each in Category if each.value.encode() in written]


@given(st.text(min_size=8, max_size=8), st.text(min_size=8, max_size=8))
def test_a_record_does_not_depend_on_content(one: str, other: str) -> None:
    """Two calls that differ only in content, lengths and counts being equal, have the same intent."""
    first, second = intent_of(clean_call(one, size=512)), intent_of(clean_call(other, size=512))

    assert canonical(first) == canonical(second)


@given(st.text(), st.text(), st.text())
def test_whatever_a_provider_says_only_registered_words_are_written(served: str, code: str, finish: str) -> None:
    """Model, error and finish words of an answer enter the record only if they are in their closed list."""
    made = Outcome.of(
        intent("03" * 16),
        Result.COMPLETED,
        vocabulary=VOCABULARY,
        time=EPOCH,
        served=served,
        error=("", code),
        finishes=(finish,),
    )

    assert made.served in {"other", "gpt-5.2-2026-01-15", "a-model-of-tests"}
    assert made.error in set(ErrorClass)
    assert set(made.finishes or ()) <= set(Finish)
    assert parse(canonical(made)) == made


def test_an_intent_of_an_unregistered_name_is_not_recordable() -> None:
    """A forced parameter that no surface registered stops the call instead of entering the record."""
    with pytest.raises(NotRecordable):
        intent_of(clean_call(forced=(Forced("not_in_any_surface", "x"),)))


def test_the_plain_text_leg_is_recorded_as_such() -> None:
    """Only a marked loopback endpoint has no TLS, and the record says so."""
    assert json.loads(canonical(_replaced(intent(), tls=Tls.NONE)))["tls"] == "none"
