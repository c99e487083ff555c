"""What stands in the log for a record: a salted commitment, or an operator's fact in clear.

A record about a call is committed to under 32 random bytes that are kept only beside the record.
Once both are deleted, what remains in the log cannot be tested against a guess, so a record can
be erased while every proof still holds. Facts about the gateway itself are in the log in clear:
history outlives every deletion.

The committed form is the record with its place (`boot`, `rseq`) and, where it is about a tenant,
its number among that tenant's records (`tseq`, from 1 without gaps).
"""

from __future__ import annotations

from hashlib import sha256

import orjson
from msgspec import Struct

from gateway.audit.language import Codec, Id, Instant
from gateway.audit.record import VERSION, Total
from gateway.audit.words import Tenant

COMMITTED = b"\x01"
CLEAR = b"\x02"
SALT_BYTES = 32
_DOMAIN = b"zr-audit/v1\0"


class TenantHead(Struct, frozen=True, kw_only=True):
    """Once a day for each tenant that had records: how many it has by now.

    Made by the sequencer, so it has no place in a boot. A tenant that is shown only its own
    records can tell from it that none is missing. `day` is days since 1970, UTC.
    """

    time: Instant
    tenant: Tenant
    tseq: Total
    day: Total


_HEAD = Codec(TenantHead, {"kind": "tenant_head", "v": VERSION})


def commitment(salt: bytes, canonical: bytes) -> bytes:
    """The entry that stands for a record about a call."""
    return COMMITTED + sha256(_DOMAIN + salt + canonical).digest()


def clear(canonical: bytes) -> bytes:
    """The entry that is an operator record."""
    return CLEAR + canonical


def placed(body: str, boot: str, rseq: int, tseq: int | None) -> bytes:
    """The committed form of a journal row, whose body is a record in its one form (`record.parse`).

    Raises:
        NotRecordable: the boot is no id.
    """
    return spelled(orjson.loads(body), Id(boot), rseq, tseq)


def spelled(values: dict[str, object], boot: str, rseq: int, tseq: int | None) -> bytes:
    """The committed form of a record's JSON values, to which its place is added; `boot` is an id."""
    values["boot"], values["rseq"] = boot, rseq
    if tseq is not None:
        values["tseq"] = tseq
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


def head(record: TenantHead) -> bytes:
    """The committed form of a tenant's daily count.

    Raises:
        NotRecordable: a value is outside its domain.
    """
    return orjson.dumps(_HEAD.encode(record))
