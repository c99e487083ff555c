"""Errors of the OpenAI wire: shaped for its client, read from its provider, emptied of text.

Sources: the error page of the provider's reference (read 2026-11-23) and `openai` 3.57.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from providers import sse
from providers.document import Document, Value
from providers.provider import Operation, Refusal

# The error page names types for few statuses; these are what the API answers in practice.
_TYPE_BY_STATUS = {429: "rate_limit_error", 503: "service_unavailable_error"}
_ERROR_TYPES = frozenset(
    {
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "rate_limit_error",
        "insufficient_quota",
        "requests",
        "tokens",
        "server_error",
        "api_error",
        "service_unavailable_error",
        "image_generation_user_error",
    }
)
# Codes of the error page, and `openai.types.responses.ResponseError.code`; any other is reported as "".
_ERROR_CODES = frozenset(
    {
        "invalid_api_key",
        "account_deactivated",
        "incorrect_hostname",
        "customer_storage_not_ready",
        "data_residency_mismatch",
        "misalignment_policy_violation",
        "model_not_found",
        "unsupported_parameter",
        "unsupported_value",
        "unknown_parameter",
        "missing_required_parameter",
        "invalid_value",
        "invalid_type",
        "invalid_encrypted_content",
        "invalid_function_parameters",
        "context_length_exceeded",
        "string_above_max_length",
        "previous_response_not_found",
        "content_filter",
        "rate_limit_exceeded",
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "slow_down",
        "server_is_overloaded",
        "server_error",
        "invalid_prompt",
        "bio_policy",
        "vector_store_timeout",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
    }
)
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_KEPT = frozenset({"type", "code", "event_id"})


def _error(refusal: Refusal) -> Document:
    sentences = [refusal.message if refusal.message.endswith(".") else f"{refusal.message}."]
    if refusal.where:
        sentences.insert(0, f"{refusal.where}:")
    if refusal.source:
        sentences.append(f"Source: {refusal.source}.")
    if refusal.instead:
        sentences.append(f"Instead: {refusal.instead}")
    kind = _TYPE_BY_STATUS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "server_error")
    return {"message": " ".join(sentences), "type": kind, "param": refusal.where, "code": refusal.code}


def shape_error(refusal: Refusal) -> bytes:
    """The body of an error as the stock client reads it: `error.code`, `error.param`, `error.type`."""
    return orjson.dumps({"error": _error(refusal)})


def shape_stream_error(operation: Operation, refusal: Refusal) -> bytes:
    """The event that makes the stock client raise `APIError` in the middle of a stream.

    The Responses client raises only where the event holds an `error` object; the flat form that its
    types document is handed to the caller as one more event.
    """
    if operation.dialect == "chat":
        return sse.build("", shape_error(refusal))
    return sse.build("error", orjson.dumps({"type": "error", "error": _error(refusal)}))


def error_code(body: Document) -> tuple[str, str]:
    """Type and code of a provider's error, each a word of the closed lists above or empty."""
    error = body.get("error")
    if type(error) is not dict:
        error = body
    return _word(error.get("type"), _ERROR_TYPES), _word(error.get("code"), _ERROR_CODES)


def scrub_error(body: Document, replace: Callable[[str], str]) -> Document:
    """The same error with every text replaced.

    Types and codes stay where they have the form of one. Any other string may quote the input, `param`
    too, since it may hold a key that the caller chose; a key that is no plain word is dropped.
    """
    return {key: _scrubbed(key, value, replace) for key, value in body.items() if _WORD(key)}


def _scrubbed(key: str, value: Value, replace: Callable[[str], str]) -> Value:
    if isinstance(value, str):
        return value if key in _KEPT and _WORD(value) else replace(value)
    if isinstance(value, list):
        return [_scrubbed("", item, replace) for item in value]
    if isinstance(value, dict):
        return scrub_error(value, replace)
    return value


def _word(value: Value, words: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in words else ""
