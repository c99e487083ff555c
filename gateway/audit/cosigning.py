"""Witnesses of the log (c2sp.org/tlog-witness v1.0.0, tlog-cosignature v1.0.1): what they are sent and what they say.

A witness signs a checkpoint only if it extends the last one that it signed. So whoever trusts a quorum of them knows
that this log has one past, whatever its own key signs. Cosigned checkpoints are kept beside the log, one file a size.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.log_store import LogReader
from gateway.audit.merkle import consistency
from gateway.audit.store import StoreFault
from gateway.audit.tlog import Checkpoint, NotACheckpoint, key_id
from gateway.durable import write_durably
from gateway.keys import signature_holds

COSIGNATURE = 0x04
FOLDER = "cosigned"
TRUST = "witnesses"
_HOUR = 3600
_LINE = re.compile("— ([^ +]+) ([A-Za-z0-9+/=]+)")


class NotCosigned(Exception):
    """What a witness said is no cosignature of this checkpoint. The text is ours."""


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness: its name, its public key, and the key as a policy writes it."""

    name: str
    public: bytes
    key: str

    @classmethod
    def of(cls, key: str) -> Cosigner:
        """The witness of a verifier key.

        Raises:
            ValueError: it is not an Ed25519 cosignature key, or its id is not its own.
        """
        name, written, encoded = key.split("+", 2)
        try:
            raw = b64decode(encoded, validate=True)
        except NotBase64:
            raise ValueError("not a cosigner's key") from None
        kind, public = raw[:1], raw[1:]
        if kind != bytes([COSIGNATURE]) or len(public) != 32 or key_id(name, COSIGNATURE, public).hex() != written:
            raise ValueError("not a cosigner's key")
        return cls(name, public, key)


def submission(log: LogReader, old: int, note: str) -> bytes:
    """What is posted to `add-checkpoint`: the size that the witness has, the proof from there, the checkpoint."""
    new = Checkpoint.parse(note).size
    path = [b64encode(each).decode("ascii") for each in consistency(old, new, log.subtrees())]
    return "".join([f"old {old}\n", *(f"{each}\n" for each in path), "\n", note]).encode()


def cosignature(said: bytes, cosigner: Cosigner, note: str) -> str:
    """The line of an answer that is this witness's, once it was checked.

    Raises:
        NotCosigned: there is none, or it is wrong.
    """
    text = note.rpartition("\n\n")[0] + "\n"
    for line in said.decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[1] != cosigner.name:
            continue
        try:
            raw = b64decode(match[2], validate=True)
        except NotBase64:
            continue
        time, signature = int.from_bytes(raw[4:12]), raw[12:]
        message = f"cosignature/v1\ntime {time}\n{text}".encode()
        if raw[:4] == key_id(cosigner.name, COSIGNATURE, cosigner.public) and signature_holds(
            cosigner.public, message, signature
        ):
            return f"{line}\n"
    raise NotCosigned(f"{cosigner.name} gave no signature of its own")


def keep_cosigned(log: Path, note: str, now: int) -> None:
    """Keep a cosigned checkpoint; of those before, the last of each hour.

    Args:
        log: the log's folder.
        note: with its cosignatures.
        now: seconds since 1970.

    Raises:
        StoreFault: it cannot be written.
    """
    folder = log / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{Checkpoint.parse(note).size:020d}-{now}.note"
        before = sorted(folder.glob("*.note"))
        write_durably(path, note.encode())
        if before and _made(before[-1]) // _HOUR == now // _HOUR:
            before[-1].unlink(missing_ok=True)
    except OSError as error:
        raise StoreFault(f"{folder}: errno {error.errno}") from None


def cosigned(log: Path, start: int, until: int | None) -> tuple[int, str] | None:
    """(size, note) of the first cosigned checkpoint made at or after `until`, else the last; None if there is none.

    Args:
        log: the log's folder.
        start: it has more leaves than this.
        until: microseconds since 1970, or None for the last.
    """
    found = [path for path in sorted((log / FOLDER).glob("*.note")) if int(path.name[:20]) > start]
    after = [path for path in found if until is not None and _made(path) * 1_000_000 >= until]
    chosen = after[0] if after else found[-1] if found else None
    if chosen is None:
        return None
    note = chosen.read_text(encoding="utf-8")
    try:
        return Checkpoint.parse(note).size, note
    except NotACheckpoint:
        return None


def cosigned_before(log: Path, since: int) -> tuple[int, str] | None:
    """(size, note) of the last cosigned checkpoint made at or before `since` (microseconds); None if there is none."""
    found = [path for path in sorted((log / FOLDER).glob("*.note")) if _made(path) * 1_000_000 <= since]
    return (int(found[-1].name[:20]), found[-1].read_text(encoding="utf-8")) if found else None


def keep_trust(log: Path, cosigners: Sequence[str], quorum: int) -> None:
    """Keep what a policy says of the witnesses, for packs: lines of c2sp.org/tlog-policy.

    Raises:
        StoreFault: it cannot be written.
    """
    names = [f"w{number}" for number in range(1, len(cosigners) + 1)]
    lines = [f"witness {name} {key}\n" for name, key in zip(names, cosigners, strict=True)]
    if quorum:
        lines += [f"group witnesses {quorum} {' '.join(names)}\n", "quorum witnesses\n"]
    else:
        lines.append("quorum none\n")
    try:
        log.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(log / TRUST, "".join(lines).encode())
    except OSError as error:
        raise StoreFault(f"{log / TRUST}: errno {error.errno}") from None


def trust(log: Path) -> str:
    """What `keep_trust` kept; that no witness is asked for, where nothing was."""
    path = log / TRUST
    return path.read_text(encoding="utf-8") if path.exists() else "quorum none\n"


def _made(path: Path) -> int:
    return int(path.stem[21:])
