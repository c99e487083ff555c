"""What is known of one request so far: for its headers, its refusal and its log line.

The relay fills it as the steps succeed; everything that is said about a request, to its caller or to the
operator, is said from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter

from msgspec import Struct, field

from gateway.attempt import Attempt
from gateway.audit.language import Sha, Vocabulary
from gateway.audit.record import Refusal
from gateway.callers import Caller
from gateway.categories import Category, Personal
from gateway.config import Bundle
from gateway.conversations import UNKNOWN, Conversation, Conversations
from gateway.errors import Code, GatewayError
from gateway.exchange import CleanCall, Forced, Grant
from gateway.keys import ShownKey
from gateway.quotas import NO_QUOTAS, Book, Held
from gateway.redaction.redactor import Redactor
from gateway.restoration import Restoration
from gateway.speech import Answer
from gateway.steps import Asked, Opened
from gateway.targets import Target, Targets
from providers.provider import Provider
from providers.provider import Refusal as WireRefusal

_INSTEAD = {
    Code.PARAMETER_UNKNOWN: "leave it out; if your service needs it, ask your operator to have the surface reviewed",
    Code.MODEL_NOT_ALLOWED: "choose one of the models that the model list of this gateway shows to your key",
}
"""What to do where no rule of the surface says it."""

GREATEST_RETRY_AFTER = 60
"""Seconds. A stock client obeys any value, days included, so no provider's larger one passes."""


@dataclass(frozen=True, slots=True)
class InForce:
    """One configuration in force, with what is derived from it. A call keeps the one it began with."""

    bundle: Bundle
    vocabulary: Vocabulary
    digest: Sha
    redactor: Redactor | None
    targets: Targets
    host_names: frozenset[str]
    conversations: Conversations = UNKNOWN
    book: Book = NO_QUOTAS


class Said(Struct, eq=False):
    """What a request's head says under one configuration. The key and what is asked are learnt when it comes to them.

    `fault` is what it is refused for. Nothing in here depends on the instant, so a known head says it again unread.
    """

    force: InForce
    target: Target
    traceparent: str | None
    fault: str | None
    key: ShownKey | None = None
    asked: Asked | None = None


class Passage(Struct, eq=False):
    """One request on its way."""

    call_id: str
    started: float
    force: InForce
    target: Target
    caller: Caller | None = None
    opened: Opened | None = None
    conversation: Conversation | None = None
    grant: Grant | None = None
    clean: CleanCall | None = None
    attempts: list[Attempt] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    overhead: float | None = None
    redaction_seconds: float | None = None
    journal_seconds: float | None = None
    size: int = 0
    status: int = 0
    code: Code | None = None
    where: str | None = None
    traceparent: str | None = None
    answer_redactions: Mapping[Category, int] = field(default_factory=dict)
    scores_dropped: bool = False

    @property
    def attempt(self) -> Attempt | None:
        """The last one: mostly there is one, and none where the call never left."""
        return self.attempts[-1] if self.attempts else None

    @property
    def milliseconds(self) -> float:
        """How long it has been on its way."""
        return (perf_counter() - self.started) * 1000

    @property
    def redactions(self) -> Mapping[Category | Personal, int]:
        """What was taken out of request and answer, by category."""
        asked = {} if self.clean is None else self.clean.redactions
        if not self.answer_redactions:
            return asked
        both: Counter[Category | Personal] = Counter(asked)
        both.update(self.answer_redactions)
        return both

    def answer(self) -> Answer | None:
        """What cleans the answer; None where the configuration leaves answers as they are."""
        redactor, redaction, operation = self.redactor, self.force.bundle.settings.redaction, self.target.operation
        if redactor is None or not redaction.answers or operation is None:
            return None
        return Answer(
            self.target.wire,
            operation,
            redactor,
            held_characters=redaction.held_characters,
            held_seconds=redaction.held_seconds,
            clock=perf_counter,
        )

    def restoration(self) -> Restoration | None:
        """What puts the caller's own values back into a stream; None where there are none to put back."""
        if self.clean is None or not self.clean.values or self.target.operation is None:
            return None
        return Restoration(
            self.target.wire,
            self.target.operation,
            self.clean.values,
            held_seconds=self.force.bundle.settings.redaction.held_seconds,
            clock=perf_counter,
        )

    def answered(self, redactions: Mapping[Category, int], *, scores_dropped: bool) -> None:
        """What was taken out of the answer, or of as much of it as came."""
        self.answer_redactions = dict(redactions)
        self.scores_dropped = scores_dropped

    @property
    def redactor(self) -> Redactor | None:
        """Who cleans for this call's tenant; None where nobody does."""
        redactor = self.force.redactor
        return redactor if redactor is None or self.opened is None else redactor.under(self.opened.asked.treatment)

    def own_headers(self) -> dict[str, str]:
        """The headers of an answer that no provider gave."""
        return {**self._headers(), self.target.wire.request_id_header: self.call_id}

    def answer_headers(self, received: Mapping[str, str]) -> dict[str, str]:
        """The headers of a provider's answer: the wire's list of its own, and ours."""
        headers = {**passed_on(self.target.wire, received), **self._headers()}
        if self.held and self.held[0].rates:  # ours bind this caller; the provider's, all of us together
            headers.update(self.target.wire.show_rates(self.held[0].rates, datetime.now(UTC)))
        return headers

    def _headers(self) -> dict[str, str]:
        headers = {"x-gateway-call-id": self.call_id, "x-gateway-policy": self.force.digest[:16]}
        if self.grant is not None:
            headers["x-gateway-processor"] = self.grant.route.processor
            if self.grant.forced:
                headers["x-gateway-forced"] = _spelled(self.grant.forced)
        if redactions := self.redactions:
            headers["x-gateway-redactions"] = _counted(redactions)
        if self.answer_redactions:
            headers["x-gateway-answer-redactions"] = _counted(self.answer_redactions)
        if self.scores_dropped:
            headers["x-gateway-dropped"] = "logprobs"
        if self.overhead is not None:
            headers["x-gateway-overhead-ms"] = f"{self.overhead * 1000:.1f}"
        return headers

    def wire_refusal(self, error: GatewayError, status: int | None = None) -> WireRefusal:
        """An error as a wire shapes it."""
        return WireRefusal(
            status=error.status if status is None else status,
            code=error.code.value,
            message=error.reason,
            where=error.where,
            call_id=self.call_id,
            source=None if error.rule is None else error.rule.source,
            instead=(error.rule and error.rule.instead) or _INSTEAD.get(error.code),
        )

    def refusal(self, error: GatewayError, caller: Caller, time: int) -> Refusal:
        """The record of a known caller's refusal, at `time` in microseconds.

        Raises:
            Unavailable: it cannot be recorded.
        """
        vocabulary, digest = self.force.vocabulary, self.force.digest
        if self.opened is not None:
            entry = self.opened.entry
            return Refusal.of(entry, error, vocabulary=vocabulary, configuration=digest, time=time, grant=self.grant)
        return Refusal.at_door(
            self.call_id,
            caller.id,
            caller.key_id,
            error,
            vocabulary=vocabulary,
            configuration=digest,
            time=time,
            wire=self.target.wire.name,
            operation=None if self.target.operation is None else self.target.operation.name,
        )


def _counted(redactions: Mapping[Category, int] | Mapping[Category | Personal, int]) -> str:
    return ", ".join(f"{category}={count}" for category, count in sorted(redactions.items()))


@lru_cache(maxsize=1024)
def _spelled(forced: tuple[Forced, ...]) -> str:
    return ", ".join(dict.fromkeys(map(str, forced)))


def passed_on(wire: Provider, received: Mapping[str, str]) -> dict[str, str]:
    """Of a provider's headers, those that the wire passes on; a `retry-after` in seconds is capped."""
    names = wire.forwarded_response_headers
    out: dict[str, str] = {}
    for name, value in received.items():
        lower = _passing(names, name)
        if lower is None:
            continue
        if lower.startswith("retry-after"):
            most = GREATEST_RETRY_AFTER * (1000 if lower.endswith("-ms") else 1)
            out[lower] = str(min(float(value), most)).removesuffix(".0") if _is_number(value) else str(most)
        else:
            out[lower] = value
    return out


@lru_cache(maxsize=1024)
def _passing(names: tuple[str, ...], name: str) -> str | None:
    """The lower-case name of a header that a wire passes on, or None."""
    lower = name.lower()
    exact, stems = _lists(names)
    return lower if lower in exact or lower.startswith(stems) else None


@lru_cache(maxsize=16)
def _lists(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    return frozenset(names), tuple(name for name in names if name.endswith("-"))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
