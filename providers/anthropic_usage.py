"""Anthropic's usage report: `GET /v1/organizations/usage_report/messages`, a bucket a day, tokens and no requests.

Read at platform.claude.com on 2026-11-26. The official client (2.14) has no call for it, so its base client asks.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from providers.document import Document
from providers.usage import NotUsage, Page, UsageReport, Used, count, following, key_of, objects

_DAY: Final = 86_400


def _read(_part: str, document: Document) -> Page:
    used = []
    for bucket in objects(document, "data"):
        day = _day(bucket.get("starting_at"))
        for each in objects(bucket, "results"):
            created = each.get("cache_creation")
            if created is not None and not isinstance(created, dict):
                raise NotUsage("a count of the report is none")
            written = sum(count(created or {}, f"ephemeral_{term}_input_tokens") for term in ("1h", "5m"))
            read = count(each, "uncached_input_tokens") + count(each, "cache_read_input_tokens")
            used.append(Used(day, key_of(each, "api_key_id"), None, read + written, count(each, "output_tokens")))
    return Page(tuple(used), following(document))


def _day(text: object) -> int:
    try:
        at = datetime.fromisoformat(str(text).replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        raise NotUsage("a bucket of the report is no day") from None
    if at.timestamp() % _DAY:
        raise NotUsage("a bucket of the report is no day")
    return int(at.timestamp()) // _DAY


ANTHROPIC_USAGE = UsageReport(
    parts=("messages",),
    operations=("messages",),
    tokens_of=("messages",),
    input=("input", "cache_read", "cache_write"),
    requests=False,
    read=_read,
    path="/v1/organizations/usage_report/messages",
)
