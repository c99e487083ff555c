"""Providers' usage reports, by their official clients: what each key used on each day. For a verb; none serves by it.

The clients shape the questions, and what they send goes by way of `Outside`: hosts of gateway.yaml, TLS 1.3, no
redirect, no proxy of the environment. What is read is the answer as it came, not what a client made of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import openai
import orjson

from gateway.clients import Through, anthropic_client, openai_client
from gateway.outside import Outside
from providers import USAGE
from providers.document import Document
from providers.usage import NotUsage, Used

_DAY: Final = 86_400
_AT_ONCE: Final = 31
"""Days of one question: the most that a report of days has on a page."""
_MOST_PAGES: Final = 1000


class NotFetched(Exception):
    """A report could not be had, or could not be read. The text is ours."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider reported, and its answers as they came."""

    used: tuple[Used, ...]
    answers: tuple[bytes, ...]


Ask = Callable[[str, int, int, str | None], Awaitable[object]]
"""Asks for a part of a report from one day to another, on a page."""


async def fetch(wire: str, outside: Outside, base_url: str, key: str, scope: Sequence[str], days: range) -> Usage:
    """A provider's report of whole days.

    Args:
        wire: the name of the wire.
        outside: whose hosts include that of `base_url`.
        base_url: as an entry of the registry has it.
        key: may read usage reports.
        scope: public ids of projects or workspaces; all, if there are none.
        days: since 1970.

    Raises:
        NotFetched: there is no answer, or none that can be read.
    """
    report, through = USAGE[wire], Through(outside)
    ask = _ASKED[wire](through, base_url + report.prefix, key, scope)
    used: list[Used] = []
    answers: list[bytes] = []
    for part in report.parts:
        for first in range(days.start, days.stop, _AT_ONCE):
            page, pages = None, 0
            while True:
                body = await _answer(through, ask(part, first, min(first + _AT_ONCE, days.stop), page))
                answers.append(body)
                try:
                    read = report.read(part, _document(body))
                except NotUsage as fault:
                    raise NotFetched(f"{part}: {fault}") from None
                used += read.used
                page, pages = read.following, pages + 1
                if page is None:
                    break
                if pages >= _MOST_PAGES:
                    raise NotFetched(f"{part}: the report has no end")
    return Usage(tuple(used), tuple(answers))


async def _answer(through: Through, asked: Awaitable[object]) -> bytes:
    """The answer of a client's question."""
    status, body = await through.hear(asked)
    if status != 200:
        raise NotFetched(f"it answered with status {status}" if status else "there was no answer")
    return body


def _document(body: bytes) -> Document:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise NotUsage("the answer is no report")
    return document


def _by_project(through: Through, base_url: str, key: str, scope: Sequence[str]) -> Ask:
    client = openai_client(through, base_url, admin=key)
    usage = client.admin.organization.usage
    parts: dict[str, Callable[..., Awaitable[object]]] = {
        "completions": usage.completions,
        "embeddings": usage.embeddings,
        "moderations": usage.moderations,
        "audio_transcriptions": usage.audio_transcriptions,
    }

    def ask(part: str, first: int, end: int, page: str | None) -> Awaitable[object]:
        return parts[part](
            start_time=first * _DAY,
            end_time=end * _DAY,
            bucket_width="1d",
            group_by=["api_key_id"],
            limit=end - first,
            project_ids=list(scope) or openai.omit,
            page=page or openai.omit,
        )

    return ask


def _by_workspace(through: Through, base_url: str, key: str, scope: Sequence[str]) -> Ask:
    client = anthropic_client(through, base_url, key)

    def ask(_part: str, first: int, end: int, page: str | None) -> Awaitable[object]:
        query: dict[str, object] = {
            "starting_at": _instant(first),
            "ending_at": _instant(end),
            "bucket_width": "1d",
            "group_by": ["api_key_id"],
            "limit": end - first,
        }
        if scope:
            query["workspace_ids"] = list(scope)
        if page is not None:
            query["page"] = page
        return client.get(USAGE[_WORKSPACES].path, cast_to=object, options={"params": query})

    return ask


def _instant(day: int) -> str:
    return f"{datetime.fromtimestamp(day * _DAY, UTC):%Y-%m-%dT%H:%M:%SZ}"


_PROJECTS, _WORKSPACES = USAGE
_ASKED: dict[str, Callable[[Through, str, str, Sequence[str]], Ask]] = {
    _PROJECTS: _by_project,
    _WORKSPACES: _by_workspace,
}
