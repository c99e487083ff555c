"""The records: what is written about each call, and everything else that may ever be written.

Four kinds. An `Intent` is durable before a byte leaves; an `Outcome` closes it; a `Refusal` is
the whole story of a call that never left; an `Operator` record is about the gateway itself. Every
field is of the closed language, so a record has no place for content. The number of redactions is
kept without their categories: a category beside a person's hash would be special-category data.

Where a record stands in the journal (`boot`, `rseq`) is not part of it: the journal decides that
at commit, and a `Row` is the two together. A record that was gathered out of another journal
(a worker's, another host's) keeps its place there, too: `writer` is that journal's boot, `wseq`
its rseq. Nobody but the gatherer sets them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, cast

import orjson
from msgspec import Struct

from gateway.audit.language import Codec, Derived, Id, Instant, Mac, NotRecordable, Range, Sha, Subset, Vocabulary
from gateway.audit.words import (
    OTHER_MODEL,
    Act,
    Agreement,
    Caller,
    Conditional,
    Country,
    Echo,
    ErrorClass,
    Finish,
    ForcedName,
    Ground,
    Model,
    OperationName,
    Processor,
    Purpose,
    Result,
    Role,
    RuleSource,
    Said,
    Setting,
    Tenant,
    Tls,
    Unscanned,
    Verdict,
    Wire,
    named,
)
from gateway.categories import Category
from gateway.errors import Code, GatewayError
from gateway.exchange import CleanCall, Entry, Grant
from providers.provider import Usage

VERSION = 1
GREATEST_BYTES = 4096
"""A canonical record is never longer. The longest that configuration can cause must fit, and is refused if not."""


Attempt = Annotated[int, Range(0, 15), Derived()]
Count = Annotated[int, Range(0, 2**16 - 1)]
Tokens = Annotated[int, Range(0, 2**24 - 1)]
Size = Annotated[int, Range(0, 2**28, step=256)]
Milliseconds = Annotated[int, Range(0, 2**24 - 1)]
Status = Annotated[int, Range(100, 599)]
Total = Annotated[int, Range(0, 2**40), Derived()]
Boot = Annotated[Id, Derived()]

_COUNT = Range(0, 2**16 - 1)
_TOKENS = Range(0, 2**24 - 1)
_SIZE = Range(0, 2**28, step=256)
_MILLISECONDS = Range(0, 2**24 - 1)
_FEW = Range(0, 15)


class Shape(Struct, frozen=True):
    """How much of what a request holds, where the wire can tell: counts only."""

    messages: int | None = None
    tools: int | None = None
    images: int | None = None


class Intent(Struct, frozen=True):
    """One attempt is about to leave. Durable before its first byte."""

    KIND: ClassVar[str] = "intent"

    time: Instant
    call: Id
    attempt: Attempt
    tenant: Tenant
    configuration: Sha
    caller: Caller
    key: Id
    purpose: Purpose
    wire: Wire
    operation: OperationName
    processor: Processor
    agreement: Annotated[Agreement, Derived()]
    countries: Annotated[tuple[Country, ...], Subset(40), Derived()]
    model: Model
    tls: Annotated[Tls, Derived()]
    stream: bool
    size: Size
    redactions: Count
    subject: Mac | None = None
    messages: Count | None = None
    tools: Count | None = None
    images: Count | None = None
    forced: Annotated[tuple[ForcedName, ...], Subset(64)] | None = None
    conditionals: Annotated[tuple[Conditional, ...], Subset(32)] | None = None
    unscanned: Annotated[tuple[tuple[Unscanned, Annotated[int, Range(0, 15)]], ...], Subset(8)] | None = None
    writer: Boot | None = None
    wseq: Total | None = None

    @classmethod
    def of(
        cls,
        clean: CleanCall,
        attempt: int,
        *,
        vocabulary: Vocabulary,
        configuration: Sha,
        time: int,
        tls: Tls = Tls.TLS_1_3,
        shape: Shape | None = None,
    ) -> Intent:
        """The intent of sending `clean` for the `attempt`th time (from 0), at `time` in microseconds.

        Raises:
            NotRecordable: a name in it is not registered, so it must not leave.
        """
        grant = clean.grant
        entry = grant.call.entry
        common = _common(vocabulary, grant)
        return cls(  # by place, in the fields' own order: two dozen names cost as much as all else here
            time,
            Id(entry.call_id),
            attempt,
            common.tenant,
            configuration,
            common.caller,
            common.key,
            common.purpose,
            common.wire,
            common.operation,
            common.processor,
            common.agreement,
            common.countries,
            common.model,
            tls,
            grant.stream,
            _SIZE.cap(grant.call.size),
            _COUNT.cap(sum(clean.redactions.values())) if clean.redactions else 0,
            None if entry.subject is None else Mac(entry.subject),
            _capped(_COUNT, shape.messages) if shape else None,
            _capped(_COUNT, shape.tools) if shape else None,
            _capped(_COUNT, shape.images) if shape else None,
            common.forced,
            common.conditionals,
            _unscanned(vocabulary, grant.unscanned) if grant.unscanned else None,
        )


class _Common(Struct, frozen=True):
    """The words of an intent that many calls share."""

    tenant: Tenant
    caller: Caller
    key: Id
    purpose: Purpose
    wire: Wire
    operation: OperationName
    processor: Processor
    agreement: Agreement
    countries: tuple[Country, ...]
    model: Model
    forced: tuple[ForcedName, ...] | None
    conditionals: tuple[Conditional, ...] | None


def _common(vocabulary: Vocabulary, grant: Grant) -> _Common:
    entry, route = grant.call.entry, grant.route
    forced = tuple([each.where for each in grant.forced])

    def find() -> _Common:
        word = vocabulary.word
        return _Common(
            word(Tenant, entry.tenant),
            word(Caller, entry.caller),
            Id(entry.key_id),
            word(Purpose, entry.purpose),
            word(Wire, entry.wire.name),
            word(OperationName, entry.operation.name),
            word(Processor, route.processor),
            word(Agreement, route.agreement),
            vocabulary.words(Country, route.countries),
            word(Model, route.model),
            vocabulary.words(ForcedName, {forced_name(where) for where in forced}) or None,
            vocabulary.words(Conditional, grant.granted) or None,
        )

    key = (
        entry.tenant,
        entry.caller,
        entry.key_id,
        entry.purpose,
        entry.wire.name,
        entry.operation.name,
        route.processor,
        route.agreement,
        route.countries,
        route.model,
        forced,
        grant.granted,
    )
    return vocabulary.kept(key, find)


class Outcome(Struct, frozen=True):
    """How an attempt ended. Exactly one for each intent; durable before the caller's last byte.

    `code` is set where the gateway itself ended the attempt. `sent` is whether any byte of the
    request may have left; absent where recovery cannot know.
    """

    KIND: ClassVar[str] = "outcome"

    time: Instant
    call: Id
    attempt: Attempt
    tenant: Annotated[Tenant, Derived()]
    result: Result
    code: Code | None = None
    sent: bool | None = None
    status: Status | None = None
    error: ErrorClass | None = None
    finishes: Annotated[tuple[Finish, ...], Subset(4)] | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_read_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    chunks: Annotated[int, Range(0, 2**24 - 1)] | None = None
    size: Size | None = None
    first_ms: Milliseconds | None = None
    total_ms: Milliseconds | None = None
    served: Model | None = None
    provider_request: Mac | None = None
    echo: Echo | None = None
    redactions: Count | None = None
    scores_dropped: bool | None = None
    writer: Boot | None = None
    wseq: Total | None = None

    @classmethod
    def of(
        cls,
        intent: Intent,
        result: Result,
        *,
        vocabulary: Vocabulary,
        time: int,
        sent: bool | None = True,
        code: Code | None = None,
        status: int | None = None,
        error: tuple[str, str] | None = None,
        finishes: tuple[str, ...] = (),
        usage: Usage | None = None,
        chunks: int | None = None,
        size: int | None = None,
        first_ms: int | None = None,
        total_ms: int | None = None,
        served: str | None = None,
        provider_request: str | None = None,
        echo: Echo | None = None,
        redactions: int | None = None,
        scores_dropped: bool | None = None,
    ) -> Outcome:
        """The outcome of `intent`, from what the relay saw.

        Whatever a provider chose is brought into its domain here (numbers are capped, words that
        nobody registered become `other`), so an answer cannot make its own record fail.

        Args:
            error: the wire's (type, code), `("", "")` if the body had neither.
            finishes: as the wire spells them.
            served: the model that the answer names.
            provider_request: the tenant's keyed hash of the provider's request id.
            redactions: how many findings were taken out of the answer.
            scores_dropped: log-probabilities were dropped because a finding touched them.
        """
        usage = usage or _NO_USAGE
        return cls(  # by place, as an intent
            time,
            intent.call,
            intent.attempt,
            intent.tenant,
            result,
            code,
            sent,
            status if status is None or 100 <= status <= 599 else 599,
            None if error is None else _error_class(*error),
            _finishes(finishes),
            _capped(_TOKENS, usage.input),
            _capped(_TOKENS, usage.output),
            _capped(_TOKENS, usage.cache_read),
            _capped(_TOKENS, usage.cache_write),
            _capped(_TOKENS, usage.reasoning),
            _capped(_TOKENS, chunks),
            _capped(_SIZE, size),
            _capped(_MILLISECONDS, first_ms),
            _capped(_MILLISECONDS, total_ms),
            None if served is None else vocabulary.known(Model, served) or OTHER_MODEL,
            None if provider_request is None else Mac(provider_request),
            echo,
            _capped(_COUNT, redactions),
            scores_dropped or None,
        )


class Refusal(Struct, frozen=True, kw_only=True):
    """A known caller was refused and nothing left. What was not yet known when it failed is absent."""

    KIND: ClassVar[str] = "refusal"

    time: Instant
    call: Id
    configuration: Sha
    code: Code
    caller: Caller
    key: Id
    tenant: Tenant | None = None
    purpose: Purpose | None = None
    subject: Mac | None = None
    wire: Wire | None = None
    operation: OperationName | None = None
    processor: Processor | None = None
    model: Model | None = None
    size: Size | None = None
    source: RuleSource | None = None
    writer: Boot | None = None
    wseq: Total | None = None

    @classmethod
    def of(
        cls,
        entry: Entry,
        error: GatewayError,
        *,
        vocabulary: Vocabulary,
        configuration: Sha,
        time: int,
        grant: Grant | None = None,
    ) -> Refusal:
        """The refusal of a call that was opened; `grant` if it failed only after it was judged.

        Raises:
            NotRecordable: a name in it is not registered.
        """
        word = vocabulary.word
        return cls(
            time=time,
            call=Id(entry.call_id),
            configuration=configuration,
            code=error.code,
            caller=word(Caller, entry.caller),
            key=Id(entry.key_id),
            tenant=word(Tenant, entry.tenant),
            purpose=word(Purpose, entry.purpose),
            subject=None if entry.subject is None else Mac(entry.subject),
            wire=word(Wire, entry.wire.name),
            operation=word(OperationName, entry.operation.name),
            processor=None if grant is None else word(Processor, grant.route.processor),
            model=None if grant is None else word(Model, grant.route.model),
            size=None if grant is None else _SIZE.cap(grant.call.size),
            source=_source(vocabulary, error),
        )

    @classmethod
    def at_door(
        cls,
        call_id: str,
        caller: str,
        key_id: str,
        error: GatewayError,
        *,
        vocabulary: Vocabulary,
        configuration: Sha,
        time: int,
        wire: str | None = None,
        operation: str | None = None,
    ) -> Refusal:
        """The refusal of a known caller whose call could not be opened (no tenant, no such operation).

        Raises:
            NotRecordable: a name in it is not registered.
        """
        return cls(
            time=time,
            call=Id(call_id),
            configuration=configuration,
            code=error.code,
            caller=vocabulary.word(Caller, caller),
            key=Id(key_id),
            wire=None if wire is None else vocabulary.word(Wire, wire),
            operation=None if operation is None else vocabulary.word(OperationName, operation),
            source=_source(vocabulary, error),
        )


class Operator(Struct, frozen=True, kw_only=True):
    """Something about the gateway itself. Which fields an act bears:

    boot: `started`, this boot's id; `previous`, the one before, and whether it ended `clean`ly, absent at the
        very first; `configuration`; `release`.
    shutdown: `closed`, how many open calls were closed as indeterminate on the way out.
    configuration: `configuration` now in force, `parent` before it.
    key: the `key` of a caller that was made or revoked (`enabled`).
    gap: from `start` to `end` nothing could be written; `refused` calls were turned away. With a `document`: records
        of the `count` leaves that it lists were lost with a disk, and what was signed of them is all that is left. With
        `previous`: of that boot of a gathered journal `count` rows came, the last at `start`, and none since; with
        `closed`, too, none will: an operator gave it up, and so many of its calls were closed as indeterminate.
    recovery: `closed`, how many calls of the previous boot were closed as indeterminate.
    unauthenticated: `refused` strangers between `start` and `end`; and `count` calls that were turned away, since every
        place was taken, before anybody asked whose they were.
    suspension: somebody suspended the `processor` by hand, or let it serve again (`enabled`).
    notice: a notice of change was sent at `start`: its `document`'s digest, the `processor` that it is about (absent
        where it is about a purpose), and how many tenants were `told`.
    change: the bundle `configuration` was applied on `parent` (absent: the first under change control), by the
        `approvers` whose keys signed; `document` is the digest of the statement that they signed.
    tenant: a tenant came, changed or went, and is now served or not (`enabled`); `subject` is its keyed hash, absent
        where it is gone and so is its key.
    heartbeat: nothing; once a minute, so that a quiet minute and a lost one do not look alike.
    erase: the `count` leaves that the list of digest `document` names are to be forgotten, on this `ground`: asked for
        at `start`, out of every backup by `end`. `subject` is the tenant's keyed hash, whose key goes too where the
        whole tenant does; `receipt` commits to whose they are for whoever holds its salt; `approvers` where an operator
        asked for it.
    prune: likewise all that is older than `end`, by the rolling months.
    erased: that list was carried out: rows, salts and keys are gone from the files.
    export: a copy of `count` leaves was handed out; `document` is its manifest, to be deleted by `end`.
    anchor: a time-stamp token of digest `document` says that the checkpoint of `count` leaves, whose note has the
        digest `parent`, was there at `start`.
    reconciliation: the report of digest `document` compares `start` to `end` with what `processor` counted; `clean`
        where they agree within tolerance.
    totals: what was taken out on the day that began at `start`, by category, small numbers left out.
    attestation: the `processor`'s own settings were read back at `start`, as `readings` have it, and the `verdict` on
        them; `lifted` where the operator let an entry take traffic again after its answers contradicted them.
    canary: our controls were tried at `start` on the way to `processor`, or its retention was, with `count` calls.
    view, export: of the auditor's pages, at `start`: as which `role`, in which `session` (a random id; who it was is
        kept apart and can be erased), the digest of the `query`, and how many `rows` matched. They concern a person,
        and a query can be guessed: so the log commits to them under a salt, as to a call, and they go with their month.
    """

    KIND: ClassVar[str] = "operator"

    time: Instant
    act: Annotated[Act, Derived()]
    configuration: Sha | None = None
    parent: Sha | None = None
    release: Sha | None = None
    started: Id | None = None
    previous: Id | None = None
    clean: Annotated[bool, Derived()] | None = None
    key: Id | None = None
    enabled: Annotated[bool, Derived()] | None = None
    closed: Total | None = None
    refused: Total | None = None
    start: Instant | None = None
    end: Instant | None = None
    processor: Annotated[Processor, Derived()] | None = None
    document: Sha | None = None
    told: Total | None = None
    approvers: Annotated[tuple[Id, ...], Subset(16), Derived()] | None = None
    subject: Annotated[Mac, Derived()] | None = None
    ground: Annotated[Ground, Derived()] | None = None
    receipt: Sha | None = None
    count: Total | None = None
    totals: Annotated[tuple[tuple[Category, Total], ...], Subset(8), Derived()] | None = None
    role: Annotated[Role, Derived()] | None = None
    session: Id | None = None
    query: Sha | None = None
    rows: Total | None = None
    writer: Boot | None = None
    wseq: Total | None = None
    verdict: Annotated[Verdict, Derived()] | None = None
    readings: Annotated[tuple[tuple[Setting, Said], ...], Subset(16), Derived()] | None = None


Record = Intent | Outcome | Refusal | Operator
KINDS: tuple[type[Record], ...] = (Intent, Outcome, Refusal, Operator)

_CODECS: dict[type[Record], Codec] = {kind: Codec(kind, {"kind": kind.KIND, "v": VERSION}) for kind in KINDS}
_BY_NAME: dict[object, type[Record]] = {kind.KIND: kind for kind in KINDS}
_INDEX = re.compile(r"\[\d+\]")

CAPACITY_BITS = 559
"""All that a caller and a provider together can say through one attempt (intent and outcome), in bits.

The sum of log2 of the domain sizes of every field they influence, rounded up; keyed hashes are
outside it, because nobody without the tenant's key can steer them. A new field changes this
number, and a test holds it.
"""


class Row(Struct, frozen=True):
    """A record at its place: the `rseq`th of a boot, counted from 0 without gaps."""

    boot: Id
    rseq: int
    record: Record


def capacity() -> float:
    """What `CAPACITY_BITS` publishes, computed from the types."""
    return _CODECS[Intent].bits + _CODECS[Outcome].bits


def canonical(record: Record) -> bytes:
    """The one form of a record: JSON, keys sorted, no spaces, ASCII, integers only, absent keys omitted.

    Everything about it is checked here, on the way to the disk.

    Raises:
        NotRecordable: a value is outside its domain, or the record is too long.
    """
    return _written(_CODECS[type(record)].encode(record))


def canonical_row(row: Row) -> bytes:
    """The canonical form of a record with its place: what the log commits to.

    Raises:
        NotRecordable: as `canonical`.
    """
    if type(row.boot) is not Id or type(row.rseq) is not int or row.rseq < 0:
        raise NotRecordable("rseq")
    values = _CODECS[type(row.record)].encode(row.record) | {"boot": row.boot, "rseq": row.rseq}
    return _written(dict(sorted(values.items())))


def parse(written: bytes) -> Record:
    """The record that `canonical` wrote.

    Raises:
        NotRecordable: it is not the canonical form of any record.
    """
    values = _read(written)
    kind = _BY_NAME.get(values.pop("kind", None))
    if kind is None or values.pop("v", None) != VERSION:
        raise NotRecordable("kind")
    record = _CODECS[kind].decode(values)
    if not isinstance(record, KINDS) or canonical(record) != written:
        raise NotRecordable("form")
    return record


class Glimpse(Struct, frozen=True):
    """What the order of records depends on: whose it is, the boot that it begins, the list that it deletes by.

    `operator` says that it is a fact about the gateway itself and stands in the log in clear, as every operator record
    does but those of who looked. `values` is all of it, as JSON has it.
    """

    operator: bool
    tenant: Tenant | None
    started: Id | None
    forgets: Sha | None
    values: dict[str, object]


def glimpse(written: bytes) -> Glimpse:
    """Look at a record without reading its values: a tenth of the time of `parse`, for who orders thousands a second.

    What is committed to is spelled anew from `values`, so how this one is spelled does not matter.

    Raises:
        NotRecordable: it is not JSON with the keys of a record.
    """
    values = _read(written)
    kind = _BY_NAME.get(values.get("kind"))
    if kind is None or values.get("v") != VERSION:
        raise NotRecordable("form")
    codec = _CODECS[kind]
    if not codec.required_in_json <= values.keys() <= codec.known_in_json:
        raise NotRecordable("form")
    try:
        if kind is not Operator:
            name = values.get("tenant")
            tenant = _SEEN.get(name) if type(name) is str else None  # a few thousand names make up all records
            if tenant is None and name is not None:
                tenant = _seen(cast(Tenant, codec.domains["tenant"].decode(name)))
            return Glimpse(False, tenant, None, None, values)
        act = values.get("act")
        started = codec.domains["started"].decode(values["started"]) if act == "boot" and "started" in values else None
        forgets = codec.domains["document"].decode(values.get("document")) if act in _FORGETTING else None
    except ValueError:
        raise NotRecordable("form") from None
    return Glimpse("session" not in values, None, cast(Id | None, started), cast(Sha | None, forgets), values)


_SEEN: dict[str, Tenant] = {}
_MOST_SEEN = 10_000


def _seen(tenant: Tenant) -> Tenant:
    if len(_SEEN) >= _MOST_SEEN:
        _SEEN.clear()
    _SEEN[tenant] = tenant
    return tenant


_FORGETTING = frozenset({Act.ERASE.value, Act.PRUNE.value})


def forced_name(where: str) -> str:
    """A forced parameter's name without array indices: a position in the request is not a name."""
    return _INDEX.sub("", where)


def _written(values: Mapping[str, object]) -> bytes:
    """JSON of members that are in canonical order."""
    written = orjson.dumps(values)
    if len(written) > GREATEST_BYTES:
        raise NotRecordable("length")
    return written


def _read(written: bytes) -> dict[str, object]:
    try:
        values = orjson.loads(written)
    except orjson.JSONDecodeError:
        raise NotRecordable("form") from None
    if not isinstance(values, dict):
        raise NotRecordable("form")
    return values


@functools.lru_cache(maxsize=256)
def _finishes(words: tuple[str, ...]) -> tuple[Finish, ...] | None:
    return tuple(sorted({named(Finish, word) for word in words})[:4]) or None


def _capped(span: Range, value: int | None) -> int | None:
    return None if value is None else span.cap(value)


def _error_class(kind: str, code: str) -> ErrorClass:
    # The code says more than the type where both are known.
    specific = named(ErrorClass, code)
    return named(ErrorClass, kind) if specific is ErrorClass.OTHER else specific


def _unscanned(vocabulary: Vocabulary, counts: Mapping[str, int]) -> tuple[tuple[Unscanned, int], ...] | None:
    pairs = sorted((vocabulary.word(Unscanned, kind), _FEW.cap(count)) for kind, count in counts.items())
    return tuple(pairs) or None


def _source(vocabulary: Vocabulary, error: GatewayError) -> RuleSource | None:
    # `Rule.source` is a key and the date it was read; the configuration digest already fixes the date.
    return None if error.rule is None else vocabulary.word(RuleSource, error.rule.source.partition(" ")[0])


_NO_USAGE = Usage()
