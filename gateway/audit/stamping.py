"""Time-stamp tokens over checkpoints (RFC 3161): what an authority is asked, what it says, what is kept of that.

The only door of `rfc3161_client`. A token is over the whole signed note, cosignatures included, so an authority learns
a digest and nothing else. Both are kept beside the log, and a record names the token's digest: what comes before the
checkpoint is no younger than the token, and what comes after the record no older.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from gateway.audit.language import Sha
from gateway.audit.record import Operator
from gateway.audit.retention.spans import write_durably
from gateway.audit.store import StoreFault
from gateway.audit.tlog import Checkpoint, NotACheckpoint
from gateway.audit.words import Act
from gateway.keys import Certificates

FOLDER = "anchors"
ROOTS = "tsa-roots.pem"
ASKED_AS = "application/timestamp-query"
ANSWERED_AS = "application/timestamp-reply"


class NotStamped(Exception):
    """What came is no time-stamp token over this checkpoint by a trusted authority. The text is ours."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token: the checkpoint that it is over, the authority's answer as it came, when by the authority's clock.

    `time` is in microseconds since 1970, `size` in leaves.
    """

    note: str
    answer: bytes
    time: int
    size: int

    @property
    def digest(self) -> str:
        """The name of the token in records: SHA-256 of the whole answer, in hex."""
        return sha256(self.answer).hexdigest()

    def act(self, now: int) -> Operator:
        """The record that says so."""
        return Operator(
            time=now,
            act=Act.ANCHOR,
            document=Sha(self.digest),
            parent=Sha(sha256(self.note.encode()).hexdigest()),
            count=self.size,
            start=self.time,
        )


class Question:
    """What an authority is asked about one note. The random number in it makes sure that the answer is to this."""

    def __init__(self, note: str) -> None:
        self._note = note
        builder = TimestampRequestBuilder().data(note.encode()).hash_algorithm(HashAlgorithm.SHA256)
        self._request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
        self.written = self._request.as_bytes()

    def answered(self, answer: bytes, roots: Certificates) -> Stamp:
        """The token of an answer, once it was checked: of this note, to this question, by a trusted authority.

        Raises:
            NotStamped: it is not.
        """
        try:
            response = decode_timestamp_response(answer)
            builder = VerifierBuilder.from_request(self._request)
            for root in roots:
                builder = builder.add_root_certificate(root)
            builder.build().verify_message(response, self._note.encode())
            time = response.tst_info.gen_time
        except VerificationError:
            raise NotStamped("its token does not hold") from None  # the library's texts quote what came
        except ValueError:
            raise NotStamped("it gave no token") from None
        return Stamp(self._note, answer, round(time.timestamp() * 1_000_000), Checkpoint.parse(self._note).size)


def keep_stamp(log: Path, stamp: Stamp) -> None:
    """Keep a token and its checkpoint beside the log, durably, before its record is written.

    Raises:
        StoreFault: it cannot be kept.
    """
    path = log / FOLDER / f"{stamp.size:020d}-{stamp.time}.tsr"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path.with_suffix(".note"), stamp.note.encode())
        write_durably(path, stamp.answer)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None


def kept_stamps(log: Path) -> list[Stamp]:
    """Every token that is kept, by size.

    Raises:
        StoreFault: one cannot be read.
    """
    found = []
    for path in sorted((log / FOLDER).glob("*.tsr")):
        try:
            note = path.with_suffix(".note").read_text(encoding="utf-8")
            found.append(Stamp(note, path.read_bytes(), int(path.stem[21:]), Checkpoint.parse(note).size))
        except (OSError, ValueError, NotACheckpoint):
            raise StoreFault(f"{path}: cannot be read") from None
    return found


def last_stamped(log: Path) -> int | None:
    """When the last token was made, in microseconds; None if there is none."""
    return max((int(path.stem[21:]) for path in (log / FOLDER).glob("*.tsr")), default=None)


def keep_roots(log: Path, pem: bytes | None) -> None:
    """Keep whom the operator trusts with time, for packs; nobody any more, if None.

    Raises:
        StoreFault: it cannot be written.
    """
    path = log / ROOTS
    try:
        if pem is None:
            path.unlink(missing_ok=True)
            return
        log.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, pem)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None


def kept_roots(log: Path) -> str:
    """What `keep_roots` kept (PEM); nothing where nothing is."""
    path = log / ROOTS
    return path.read_text(encoding="utf-8") if path.exists() else ""
