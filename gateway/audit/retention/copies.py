"""A copy of what is recorded of a tenant, or of one person there, with a proof for each record: GDPR Art. 15 and 20.

A zip for whom it is about: `records.ndjson` (record, salt, index and inclusion path a line), the checkpoint that they
are proved against, the daily counts that show that none is missing, and the verifier. It outlives an erasure here, so
it names its own end.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import orjson

from gateway.audit import verify
from gateway.audit.evidence import Evidence, Row
from gateway.audit.leaf import COMMITTED
from gateway.audit.merkle import inclusion
from gateway.audit.retention import selection
from gateway.audit.retention.requests import BACKUP_DAYS, DAY
from gateway.audit.retention.spans import spans_of
from gateway.audit.tlog import verifier_key
from gateway.keys import Keyring

_EPOCH = (1980, 1, 1, 0, 0, 0)
README = """Every record that the gateway named in copy.json keeps about you is in records.ndjson, one a line.
Each has an index, a salt and a path that prove that this record, and no other, stands in the gateway's log.
Check it, offline, with Python 3.9 or later:

    python3 -I zr_verify.py COPY.zip --policy policy.txt

Take policy.txt (the log's key) from your contract partner by another way than this file. A record holds no text of any
conversation. Delete this file by the day that copy.json names.
"""


def copy(
    evidence: Evidence, keyring: Keyring, state: Path, out: Path, tenant: str, subject: str | None, now: int
) -> tuple[str, int]:
    """Write the copy to `out`, which must not exist.

    Args:
        evidence: of the whole log.
        keyring: of the state.
        state: where it is.
        out: the zip.
        tenant: whose.
        subject: the person's keyed hash, or None for the whole tenant.
        now: microseconds since 1970.

    Returns:
        The digest of what the copy says of itself, and how many records it holds.

    Raises:
        StoreFault: the state cannot be read.
        OSError: `out` cannot be written.
    """
    with selection.opened(state, keyring) as (log, rows):
        through = log.last_seq_before(evidence.end)
        chosen = [index for index in selection.of_tenant(log, rows, tenant, subject, through) if index < evidence.end]
    head = orjson.dumps(
        {
            "v": 1,
            "origin": evidence.origin,
            "key": verifier_key(evidence.origin, keyring.log_signer().public),
            "tenant": tenant,
            "subject": subject,
            "records": len(chosen),
            "made": now,
            "delete_by": now + BACKUP_DAYS * DAY,
        },
        option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2,
    )
    descriptor = out.open("xb")
    with descriptor, zipfile.ZipFile(descriptor, "w", zipfile.ZIP_DEFLATED) as pack:
        out.chmod(0o600)
        pack.writestr(zipfile.ZipInfo("copy.json", _EPOCH), head)
        pack.writestr(zipfile.ZipInfo("checkpoint", _EPOCH), evidence.note_b)
        pack.writestr(zipfile.ZipInfo("README.txt", _EPOCH), README)
        pack.writestr(zipfile.ZipInfo("zr_verify.py", _EPOCH), Path(verify.__file__).read_bytes())
        info = zipfile.ZipInfo("records.ndjson", _EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        with pack.open(info, "w", force_zip64=True) as lines:
            for row in _rows(evidence, chosen):
                lines.write(_line(evidence, row))
    return sha256(head).hexdigest(), len(chosen)


def _rows(evidence: Evidence, chosen: list[int]) -> Iterator[Row]:
    for start, end in spans_of(chosen):
        for row in evidence.rows(start):
            if row.index >= end:
                break
            if row.entry[:1] == COMMITTED and row.text is not None:
                yield row


def _line(evidence: Evidence, row: Row) -> bytes:
    path = [each.hex() for each in inclusion(row.index, evidence.end, evidence.log.subtrees())]
    salt = "" if row.salt is None else row.salt.hex()
    return orjson.dumps({"index": row.index, "salt": salt, "record": row.text, "path": path}) + b"\n"
