"""The one family of errors, and the stable codes that callers, operators and auditors see.

An error here says where and which rule, never a value: nothing that a caller or a provider
sent may enter `GatewayError`. Codes and statuses are those of the contract; a code is never
renamed, and a new one is added with its row in the README.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Code(enum.StrEnum):
    """Why the gateway said no. The value is what `x-gateway-code` carries."""

    UNAUTHENTICATED = "unauthenticated"
    OPERATION_NOT_ALLOWED = "operation_not_allowed"
    TENANT_MISSING = "tenant_missing"
    PURPOSE_MISSING = "purpose_missing"
    TENANT_UNKNOWN = "tenant_unknown"
    PURPOSE_NOT_ALLOWED = "purpose_not_allowed"
    BODY_INVALID = "body_invalid"
    BODY_TOO_LARGE = "body_too_large"
    PARAMETER_UNKNOWN = "parameter_unknown"
    PARAMETER_RETAINS_DATA = "parameter_retains_data"
    SCHEMA_NOT_APPROVED = "schema_not_approved"
    CONTENT_NOT_SCANNABLE = "content_not_scannable"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    RESIDENCY_MISMATCH = "residency_mismatch"
    PROCESSOR_NOT_ACTIVE = "processor_not_active"
    AGREEMENT_EXPIRED = "agreement_expired"
    ATTESTATION_FAILED = "attestation_failed"
    REDACTION_UNAVAILABLE = "redaction_unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    RESPONSE_NOT_ALLOWED = "response_not_allowed"

    @property
    def status(self) -> int:
        """The HTTP status that a refusal with this code bears."""
        return _STATUS[self]

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed when sent again, before any byte left."""
        return self in _RETRYABLE


_STATUS: dict[Code, int] = {
    Code.UNAUTHENTICATED: 401,
    Code.OPERATION_NOT_ALLOWED: 404,
    Code.TENANT_MISSING: 400,
    Code.PURPOSE_MISSING: 400,
    Code.TENANT_UNKNOWN: 403,
    Code.PURPOSE_NOT_ALLOWED: 403,
    Code.BODY_INVALID: 400,
    Code.BODY_TOO_LARGE: 413,
    Code.PARAMETER_UNKNOWN: 400,
    Code.PARAMETER_RETAINS_DATA: 403,
    Code.SCHEMA_NOT_APPROVED: 403,
    Code.CONTENT_NOT_SCANNABLE: 403,
    Code.MODEL_NOT_ALLOWED: 403,
    Code.RESIDENCY_MISMATCH: 403,
    Code.PROCESSOR_NOT_ACTIVE: 403,
    Code.AGREEMENT_EXPIRED: 403,
    Code.ATTESTATION_FAILED: 403,
    Code.REDACTION_UNAVAILABLE: 503,
    Code.AUDIT_UNAVAILABLE: 503,
    Code.RATE_LIMITED: 429,
    Code.OVERLOADED: 503,
    Code.UPSTREAM_FAILED: 502,
    Code.UPSTREAM_TIMEOUT: 504,
    Code.RESPONSE_NOT_ALLOWED: 502,
}
_RETRYABLE = frozenset({Code.REDACTION_UNAVAILABLE, Code.AUDIT_UNAVAILABLE, Code.RATE_LIMITED, Code.OVERLOADED})


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that decided, as an operator can look it up.

    `source` is the key of the page or document that forces it, with the date it was read,
    for instance `O1 2026-11-23`; `instead` says what a caller should do, or is None.
    """

    source: str
    instead: str | None = None


class GatewayError(Exception):
    """A refusal or a failure that a caller is told about.

    Args:
        code: the stable code; it decides status and retry.
        reason: one sentence written by us. It never quotes input.
        where: path of the offending field, made of names that the surface knows and
            array indices (an unnamed key is `?N`), or None.
        rule: the rule and its source, or None where no data decided.
        status: overrides the code's status (404 for `GET /models/{id}` only).
        retryable: overrides the code's own answer (`upstream_failed` before a byte left).
        retry_after: seconds, at most 60.
    """

    def __init__(
        self,
        code: Code,
        reason: str,
        *,
        where: str | None = None,
        rule: Rule | None = None,
        status: int | None = None,
        retryable: bool | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code.value)
        self.code = code
        self.reason = reason
        self.where = where
        self.rule = rule
        self.status = code.status if status is None else status
        self.retryable = code.retryable if retryable is None else retryable
        self.retry_after = (1 if self.retryable else None) if retry_after is None else retry_after


class Refused(GatewayError):
    """Policy, identity or form said no before anything left."""


class Unavailable(GatewayError):
    """A part of the gateway cannot do its duty (redactor, journal), so nothing leaves."""


class UpstreamError(GatewayError):
    """The provider could not be reached, took too long, or answered what may not pass."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault of the configuration, as `gateway check` prints it.

    `line` counts from 1; 0 means the file as a whole. `reason` is one sentence that says
    what is wrong and what to write; it never quotes a secret.
    """

    file: str
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.reason}"


class ConfigurationError(Exception):
    """The configuration cannot be served. `faults` holds every one that was found."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = sorted(faults)
