"""What a start writes first: that it began, how the one before ended, and an end for every call that had none."""

from __future__ import annotations

from gateway.audit.language import Id, NotRecordable, Sha
from gateway.audit.record import Intent, Operator, Outcome, Record, Refusal, canonical, parse
from gateway.audit.store import Found, StoreFault, line
from gateway.audit.words import Act, Result, Tenant


def first_records(found: Found, boot: Id, configuration: Sha, time: int) -> list[Record]:
    """What a boot writes first, given what the file held: `boot`, and for each open call its outcome.

    Raises:
        StoreFault: the file holds what this release cannot read.
    """
    if found.first is None or found.last is None:
        return [Operator(time=time, act=Act.BOOT, started=boot, configuration=configuration)]
    try:
        first, last = parse(found.first), parse(found.last)
        left = [parse(each) for each in found.open_intents]
    except NotRecordable:
        raise StoreFault("the journal holds records that this release cannot read") from None
    clean = isinstance(last, Operator) and last.act is Act.SHUTDOWN and last.writer is None
    previous = first.started if isinstance(first, Operator) else None
    records: list[Record] = [
        Operator(time=time, act=Act.BOOT, started=boot, previous=previous, configuration=configuration, clean=clean)
    ]
    for intent in left:
        if isinstance(intent, Intent):
            records.append(indeterminate(time, intent.call, intent.attempt, intent.tenant))
    if not clean:
        records.append(Operator(time=time, act=Act.RECOVERY, closed=len(left)))
    return records


def row_line(record: Record) -> str:
    """A record as the store's `commit` takes it.

    Raises:
        NotRecordable: a value is outside its domain.
    """
    body = canonical(record).decode("ascii")
    if isinstance(record, Operator):
        return line(record.time, "operator", None, 0, body)
    attempt = 0 if isinstance(record, Refusal) else record.attempt
    return line(record.time, record.KIND, record.call, attempt, body)


def indeterminate(time: int, call: Id, attempt: int, tenant: Tenant) -> Outcome:
    """The outcome of an attempt whose end nobody saw."""
    return Outcome(time=time, call=call, attempt=attempt, tenant=tenant, result=Result.INDETERMINATE)
