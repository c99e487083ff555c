"""What the simulated provider counts of what it served, by day and key, and the two vendors' reports of it.

It counts every request that it answered with 200, whoever sent it: the independent side of a reconciliation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time
from urllib.parse import parse_qs, urlsplit

from gateway.simulator.answer import Answer, Received, encode, read_document
from providers import sse
from providers.document import Document, Value

AUDITOR = "simulated-usage-credential"
"""Reads the reports, and opens nothing else."""

KEY = "key_simulated"
"""The public id of the key that makes calls."""

_DAY = 86_400
_PROJECT = "proj_simulated"
_PARTS = {
    "/v1/chat/completions": "completions",
    "/v1/responses": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/moderations": "moderations",
    "/v1/audio/transcriptions": "audio_transcriptions",
    "/v1/messages": "messages",
}
_BY_PART = "/v1/organization/usage/"
_OF_MESSAGES = "/v1/organizations/usage_report/messages"


@dataclass(slots=True)
class _Counted:
    requests: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(slots=True)
class Accounting:
    """The counts. A test may set all but `counts`.

    Attributes:
        counts: (part of a report, day, key) -> what was counted.
        clock: seconds since 1970.
        key: the public id under which calls are counted from now on.
        status: answer every report with this status.
        raw: answer with this body instead.
        per_page: days of a page, or None for as many as were asked for.
    """

    clock: Callable[[], float] = time
    key: str = KEY
    status: int = 200
    raw: bytes | None = None
    per_page: int | None = None
    counts: dict[tuple[str, int, str], _Counted] = field(default_factory=dict)

    def count(self, received: Received, answer: Answer) -> None:
        """Count what was served."""
        part = _PARTS.get(received.path)
        if part is None or answer.status != 200:
            return
        held = self.counts.setdefault((part, int(self.clock()) // _DAY, self.key), _Counted())
        held.requests += 1
        used = _used(answer)
        held.input += used.get("input_tokens", 0) + used.get("prompt_tokens", 0)
        held.output += used.get("output_tokens", 0) + used.get("completion_tokens", 0)
        held.cache_read += used.get("cache_read_input_tokens", 0)
        held.cache_write += used.get("cache_creation_input_tokens", 0)

    def answer(self, received: Received) -> Answer | None:
        """A page of a report; None where something else was asked for."""
        path = received.path
        if received.request.method != "GET" or not (path.startswith(_BY_PART) or path == _OF_MESSAGES):
            return None
        query = {
            name.removesuffix("[]"): said for name, said in parse_qs(urlsplit(received.arrival.target).query).items()
        }
        headers = received.request.headers
        if AUDITOR not in (headers.get("authorization", "").removeprefix("Bearer "), headers.get("x-api-key")):
            return Answer(body=encode({"error": {"message": "no", "type": "invalid_request_error"}}), status=401)
        if self.status != 200 or self.raw is not None:
            return Answer(body=self.raw or b"{}", status=self.status)
        asked_well = query.get("group_by") == ["api_key_id"] and query.get("bucket_width") == ["1d"]
        if not asked_well or (path == _OF_MESSAGES and "anthropic-version" not in headers):
            return Answer(body=encode({"error": {"message": "not simulated"}}), status=400)
        return self._report(path, query)

    def _report(self, path: str, query: dict[str, list[str]]) -> Answer:
        if path == _OF_MESSAGES:
            first, end = (_day(query[name][0]) for name in ("starting_at", "ending_at"))
            named = query.get("workspace_ids", [_PROJECT])
            return self._pages(query, first, end, lambda day: self._message_bucket(day, named))
        part = path.removeprefix(_BY_PART)
        named = query.get("project_ids", [_PROJECT])
        first, end = (int(query[name][0]) // _DAY for name in ("start_time", "end_time"))
        return self._pages(query, first, end, lambda day: self._part_bucket(part, day, named))

    def _pages(self, query: dict[str, list[str]], first: int, end: int, bucket: Callable[[int], Document]) -> Answer:
        start = int(query.get("page", [str(first)])[0])
        stop = min(end, start + min(int(query["limit"][0]), self.per_page or end))
        data: list[Value] = [bucket(day) for day in range(start, stop)]
        more = stop < end
        return Answer(
            body=encode({"object": "page", "data": data, "has_more": more, "next_page": str(stop) if more else None})
        )

    def _of(self, part: str, day: int, named: list[str]) -> list[tuple[str, _Counted]]:
        if _PROJECT not in named:
            return []
        return [(key, held) for (of, on, key), held in sorted(self.counts.items()) if (of, on) == (part, day)]

    def _part_bucket(self, part: str, day: int, named: list[str]) -> Document:
        results: list[Value] = [
            {
                "object": f"organization.usage.{part}.result",
                "api_key_id": key,
                "project_id": None,
                "num_model_requests": held.requests,
                "input_tokens": held.input,
                "output_tokens": held.output,
                "input_cached_tokens": 0,
            }
            for key, held in self._of(part, day, named)
        ]
        return {"object": "bucket", "start_time": day * _DAY, "end_time": (day + 1) * _DAY, "results": results}

    def _message_bucket(self, day: int, named: list[str]) -> Document:
        results: list[Value] = [
            {
                "api_key_id": key,
                "workspace_id": None,
                "uncached_input_tokens": held.input,
                "cache_read_input_tokens": held.cache_read,
                "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": held.cache_write},
                "output_tokens": held.output,
                "server_tool_use": {"web_search_requests": 0},
            }
            for key, held in self._of("messages", day, named)
        ]
        return {"starting_at": _instant(day), "ending_at": _instant(day + 1), "results": results}


def _used(answer: Answer) -> dict[str, int]:
    """The counts of an answer, or the last ones of a stream."""
    if not answer.events:
        return _counts(read_document(answer.body))
    used: dict[str, int] = {}
    for event in answer.events:
        used |= _counts(read_document(sse.fields(event)[1]))
    return used


def _counts(document: Document) -> dict[str, int]:
    held = document
    for name in ("message", "response"):
        inner = document.get(name)
        if isinstance(inner, dict):
            held = inner
    usage = held.get("usage")
    return {name: each for name, each in usage.items() if type(each) is int} if isinstance(usage, dict) else {}


def _day(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) // _DAY


def _instant(day: int) -> str:
    return f"{datetime.fromtimestamp(day * _DAY, UTC):%Y-%m-%dT%H:%M:%SZ}"
