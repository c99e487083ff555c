"""The words of records: namespaces that configuration fills, and the closed enumerations.

A namespace's `LIMIT` is what the capacity bound of a record counts with, so it is enforced when
the configuration is read. An enumeration that names what a provider said has `other` for all else.
"""

from __future__ import annotations

import enum
import re
from typing import TypeVar

from gateway.audit.language import Vocabulary, Word


class Tenant(Word):
    """A tenant's opaque id."""

    __slots__ = ()
    LIMIT = 2**20


class Caller(Word):
    """A service that holds caller keys."""

    __slots__ = ()
    LIMIT = 2**10


class Purpose(Word):
    """A purpose that configuration allows."""

    __slots__ = ()
    LIMIT = 2**8


class Wire(Word):
    """A wire, by the name of its table."""

    __slots__ = ()
    LIMIT = 2**3


class OperationName(Word):
    """An operation of a wire."""

    __slots__ = ()
    LIMIT = 2**6


class Processor(Word):
    """A sub-processor's registry entry."""

    __slots__ = ()
    LIMIT = 2**8


class Agreement(Word):
    """An agreement of a registry entry."""

    __slots__ = ()
    LIMIT = 2**10


class Model(Word):
    """A model that a registry entry declares, asked for or served."""

    __slots__ = ()
    LIMIT = 2**12


OTHER_MODEL = Vocabulary({Model: ["other"]}).word(Model, "other")
"""What an outcome says where an answer names a model that nobody registered."""


class Country(Word):
    """ISO 3166-1 alpha-2."""

    __slots__ = ()
    LIMIT = 26**2
    GRAMMAR = re.compile(r"[A-Z]{2}")


class ForcedName(Word):
    """A parameter that a surface can force, without array indices."""

    __slots__ = ()
    LIMIT = 2**6


class Conditional(Word):
    """A conditional verdict of a surface, by the name it is granted under."""

    __slots__ = ()
    LIMIT = 2**5


class Unscanned(Word):
    """A kind of inline content that may pass without a scan: `image`, `audio`."""

    __slots__ = ()
    LIMIT = 2**3


class RuleSource(Word):
    """The key of the page or document that a rule cites."""

    __slots__ = ()
    LIMIT = 2**10


class Result(enum.StrEnum):
    """How an attempt ended (the contract's words)."""

    COMPLETED = "completed"
    REFUSED_BY_PROVIDER = "refused_by_provider"
    ABORTED_BY_CALLER = "aborted_by_caller"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    CUT_OFF = "cut_off"
    INDETERMINATE = "indeterminate"


class ErrorClass(enum.StrEnum):
    """What kind of error a provider reported, by its own type or code; anything else is `other`."""

    INVALID_REQUEST = "invalid_request_error"
    AUTHENTICATION = "authentication_error"
    INVALID_KEY = "invalid_api_key"
    PERMISSION = "permission_error"
    BILLING = "billing_error"
    QUOTA = "insufficient_quota"
    NOT_FOUND = "not_found_error"
    MODEL_NOT_FOUND = "model_not_found"
    TOO_LARGE = "request_too_large"
    CONTEXT_LENGTH = "context_length_exceeded"
    RATE_LIMIT = "rate_limit_error"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    CONTENT_FILTER = "content_filter"
    CONTENT_POLICY = "content_policy_violation"
    TIMEOUT = "timeout_error"
    API = "api_error"
    SERVER = "server_error"
    OVERLOADED = "overloaded_error"
    OTHER = "other"


class Finish(enum.StrEnum):
    """Why a provider stopped; anything else is `other`."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    FUNCTION_CALL = "function_call"
    CONTENT_FILTER = "content_filter"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MAX_OUTPUT_TOKENS = "max_output_tokens"
    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    PAUSE_TURN = "pause_turn"
    REFUSAL = "refusal"
    CONTEXT_WINDOW = "model_context_window_exceeded"
    OTHER = "other"


class Tls(enum.StrEnum):
    """How the leg to the provider was protected. `none` only on a marked loopback endpoint."""

    NONE = "none"
    TLS_1_3 = "TLSv1.3"


class Echo(enum.StrEnum):
    """What the answer said about retention. `contradicted` raised an alarm and ended the call."""

    CONFIRMED = "confirmed"
    ABSENT = "absent"
    CONTRADICTED = "contradicted"


class Act(enum.StrEnum):
    """What an operator record is about."""

    BOOT = "boot"
    SHUTDOWN = "shutdown"
    CONFIGURATION = "configuration"
    KEY = "key"
    GAP = "gap"
    RECOVERY = "recovery"
    UNAUTHENTICATED = "unauthenticated"
    SUSPENSION = "suspension"
    NOTICE = "notice"
    CHANGE = "change"
    TENANT = "tenant"
    HEARTBEAT = "heartbeat"
    ERASE = "erase"
    ERASED = "erased"
    PRUNE = "prune"
    EXPORT = "export"
    VIEW = "view"
    ANCHOR = "anchor"
    RECONCILIATION = "reconciliation"
    TOTALS = "totals"
    ATTESTATION = "attestation"
    CANARY = "canary"


class Verdict(enum.StrEnum):
    """What a reading of a processor's settings, or a trial of our controls, comes to. Only `pass` lets traffic go."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    LIFTED = "lifted"


class Setting(enum.StrEnum):
    """What of a processor was read, or tried."""

    PROJECT_RETENTION = "project_retention"
    ORGANIZATION_RETENTION = "organization_retention"
    CODE_INTERPRETER = "code_interpreter"
    FILE_SEARCH = "file_search"
    IMAGE_GENERATION = "image_generation"
    MCP = "mcp"
    WEB_SEARCH = "web_search"
    EXTERNAL_STORAGE = "external_storage"
    COVERED_MODEL = "covered_model"
    ACCOUNT_RETENTION = "account_retention"
    INVOCATION_LOGGING = "invocation_logging"
    POLICY = "policy"
    CONTENT_LOGGING = "content_logging"
    CACHE = "cache"
    STORED_BY_DEFAULT = "stored_by_default"
    STORED_IF_ASKED = "stored_if_asked"
    CONTROL = "control"
    ANSWERS = "answers"
    LEAKS = "leaks"
    UNRECORDED = "unrecorded"
    REFUSALS = "refusals"


class Said(enum.StrEnum):
    """How a setting reads, in the providers' own words where they have one; anything else is `other`."""

    ZERO = "zero_data_retention"
    ENHANCED_ZERO = "enhanced_zero_data_retention"
    MODIFIED = "modified_abuse_monitoring"
    ENHANCED_MODIFIED = "enhanced_modified_abuse_monitoring"
    ORGANIZATION_DEFAULT = "organization_default"
    NONE = "none"
    DEFAULT = "default"
    INHERIT = "inherit"
    AWS_REVIEW = "aws_review"
    PROVIDER_DATA_SHARE = "provider_data_share"
    ENABLED = "enabled"
    DISABLED = "disabled"
    PRESENT = "present"
    ABSENT = "absent"
    REFUSED = "refused"
    SERVED = "served"
    CONTRADICTED = "contradicted"
    DENIED = "denied"
    UNREACHABLE = "unreachable"
    OTHER = "other"


class Ground(enum.StrEnum):
    """Why records were erased: a tenant's word, one about a single person, or the end of a cancelled one's grace."""

    TENANT = "tenant"
    SUBJECT = "subject"
    CANCELLED = "cancelled"


class Role(enum.StrEnum):
    """As whom somebody looked at the auditor's pages."""

    SECURITY = "security"
    PRIVACY_OFFICER = "privacy_officer"
    TENANT_ADMIN = "tenant_admin"
    TENANT_AUDITOR = "tenant_auditor"
    EXTERNAL_AUDITOR = "external_auditor"


E = TypeVar("E", ErrorClass, Finish, Said)


def named(kind: type[E], word: str) -> E:
    """The member a provider's word names, else `other`. The word itself goes no further."""
    try:
        return kind(word)
    except ValueError:
        return kind("other")
