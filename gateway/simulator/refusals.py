"""The providers' own errors, as each wire shapes them."""

from __future__ import annotations

from gateway.simulator.answer import encode
from gateway.simulator.scenario import Scenario
from providers.document import Document

_OPENAI_TYPES = {
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    429: "requests",
    500: "server_error",
    503: "service_unavailable_error",
}
_OPENAI_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def openai_error(status: int, message: str, scenario: Scenario, where: str | None = None) -> bytes:
    """`{"error": {message, type, param, code}}`, each always present."""
    error: Document = {
        "message": message,
        "type": scenario.error_type or _OPENAI_TYPES.get(status, "invalid_request_error"),
        "param": scenario.error_param or where,
        "code": scenario.error_code or _OPENAI_CODES.get(status),
    }
    return encode({"error": error})


def anthropic_error(status: int, message: str, scenario: Scenario, request_id: str) -> bytes:
    """`{"type": "error", "error": {type, message, details?}, "request_id"}`."""
    error: Document = {
        "type": scenario.error_type or _ANTHROPIC_TYPES.get(status, "invalid_request_error"),
        "message": message,
    }
    if scenario.error_code is not None:
        error["details"] = {"error_code": scenario.error_code}
    return encode({"type": "error", "error": error, "request_id": request_id})
