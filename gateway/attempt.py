"""Step 8, close: one attempt at a provider, and the one outcome that it comes to.

The relay says what it saw; the first conclusion wins, and the ledger carries it to the disk whatever
happens to the task that drew it.
"""

from __future__ import annotations

from time import perf_counter, time_ns

from gateway.audit.language import Vocabulary
from gateway.audit.ledger import Ledger
from gateway.audit.record import Intent, Outcome
from gateway.audit.words import Echo, Result
from gateway.delivery import Tally
from gateway.errors import Code, GatewayError, Unavailable
from gateway.exchange import Admission
from gateway.keys import Keyring
from gateway.upstream import Truncated
from providers.provider import Usage


class Attempt:
    """An admitted attempt, open until `conclude`."""

    __slots__ = (
        "_chunks",
        "_first",
        "_keyring",
        "_ledger",
        "_provider_request",
        "_received",
        "_vocabulary",
        "admission",
        "intent",
        "result",
        "seconds",
        "sent",
        "served",
        "started",
        "status",
        "usage",
    )

    def __init__(
        self, ledger: Ledger, keyring: Keyring, vocabulary: Vocabulary, intent: Intent, admission: Admission
    ) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._vocabulary = vocabulary
        self.intent = intent
        self.admission = admission
        self.result: Result | None = None
        self.sent = True
        """False once it is known that no byte of the request left."""
        self.usage: Usage | None = None
        self.started = perf_counter()
        self.seconds = 0.0
        """From then to its end."""
        self.status: int | None = None
        """What the provider answered."""
        self.served: str | None = None
        """The model that the answer names, by a word of the record."""
        self._first: float | None = None
        self._provider_request: str | None = None
        self._received = 0
        self._chunks = 0

    def answered(self, status: int, request_id: str | None) -> None:
        """The provider's head is here. Its request id is kept as a keyed hash only."""
        self.status = status
        if request_id:
            self._provider_request = self._keyring.tenant_mac(self.intent.tenant, "provider_request", request_id)

    def received(self, size: int) -> None:
        """Bytes of the provider's body are here."""
        if self._first is None:
            self._first = perf_counter()
        self._received += size
        self._chunks += 1

    async def conclude(
        self,
        result: Result,
        tally: Tally | None = None,
        *,
        error: tuple[str, str] | None = None,
        code: Code | None = None,
        sent: bool = True,
    ) -> None:
        """Close it; returns once the outcome is durable.

        Raises:
            Unavailable: it is not known to be durable, so the answer must not look complete.
        """
        if self.result is not None:
            return
        self.result, self.sent = result, sent
        if tally is not None:
            self.usage = tally.usage
        try:
            await self._ledger.conclude(self.admission, self._outcome(result, tally, error, code, sent=sent))
        except Unavailable as unwritten:
            # The provider was asked: the same request must not be sent again by a client that retries.
            reason = "The provider answered, but the audit record of it cannot be written, so the answer is withheld."
            raise Unavailable(unwritten.code, reason, retryable=False) from None

    @property
    def tokens(self) -> int | None:
        """Tokens that the provider counted; None if it was asked and did not say."""
        if not self.sent:
            return 0
        if self.usage is None or (self.usage.input is None and self.usage.output is None):
            return None
        return (self.usage.input or 0) + (self.usage.output or 0)

    async def conclude_error(self, error: GatewayError, tally: Tally | None = None) -> None:
        """Close it with what an error upstream, or a part of the gateway that failed, makes of it."""
        await self.conclude(_result(error), tally, code=error.code, sent=not error.retryable)

    def abandon(self, result: Result) -> None:
        """Close it if nothing has: whoever waited is gone, and nobody waits for the disk."""
        if self.result is None:
            self.result = result
            self._ledger.conclude(self.admission, self._outcome(result, None, None, None, sent=True))

    def _outcome(
        self,
        result: Result,
        tally: Tally | None,
        error: tuple[str, str] | None,
        code: Code | None,
        *,
        sent: bool,
    ) -> Outcome:
        seen = tally or Tally()
        self.seconds = perf_counter() - self.started
        made = Outcome.of(
            self.intent,
            result,
            vocabulary=self._vocabulary,
            time=time_ns() // 1000,
            sent=sent,
            code=code,
            status=self.status,
            error=error if error is not None else ("", seen.error) if seen.error is not None else None,
            finishes=seen.finishes,
            usage=seen.usage,
            chunks=self._chunks if self.intent.stream else None,
            size=self._received,
            first_ms=None if self._first is None else int((self._first - self.started) * 1000),
            total_ms=int(self.seconds * 1000),
            served=seen.model,
            provider_request=self._provider_request,
            redactions=sum(seen.redactions.values()) or None,
            scores_dropped=seen.scores_dropped,
            echo=Echo.CONTRADICTED if code is Code.RESPONSE_NOT_ALLOWED else Echo.ABSENT,
        )
        self.served = made.served
        return made


def _result(error: GatewayError) -> Result:
    if isinstance(error, Truncated):
        return Result.UPSTREAM_TRUNCATED
    return {Code.UPSTREAM_FAILED: Result.UPSTREAM_FAILED, Code.UPSTREAM_TIMEOUT: Result.UPSTREAM_TIMEOUT}.get(
        error.code, Result.CUT_OFF
    )
