"""Time-stamp tokens over checkpoints (RFC 3161): what an authority is asked, and what it says.

The only door of `rfc3161_client`. A token is over the whole signed note, cosignatures included, so an authority learns
a digest and nothing else. Both are kept beside the log (`stamps`), and a record names the token's digest: what comes
before the checkpoint is no younger than the token, and what comes after the record no older.
"""

from __future__ import annotations

from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from gateway.audit.stamps import Stamp
from gateway.audit.tlog import Checkpoint
from gateway.keys import Certificates

ASKED_AS = "application/timestamp-query"
ANSWERED_AS = "application/timestamp-reply"


class NotStamped(Exception):
    """What came is no time-stamp token over this checkpoint by a trusted authority. The text is ours."""


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
