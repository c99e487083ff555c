"""The door of the providers' official clients: what they ask goes through `Outside`, and what they log goes nowhere.

The clients shape and type the requests; their own sockets, retries, redirects and environment are not used. Only
constant headers, the credential and what the client writes of its wire leave. Importing them takes seconds, so this
module is imported when an entry needs it, and away from the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anthropic
import httpx2
import openai
import orjson

from gateway.outside import Outside, Unreached
from providers.document import Document
from providers.read_back import SENT, TRIAL_TEXT

_SECONDS: Final = 10.0

Fetched = tuple[int, Document]
"""Status, and the answer's JSON object (empty where it is none)."""


class _Transport(httpx2.AsyncBaseTransport):
    """Carries a client's request by way of `Outside`: listed hosts, TLS 1.3, no redirect, no proxy.

    Keeps the last answer: a typed client drops what it does not know, and that is what must be seen.
    """

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.last: Fetched = (0, {})

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        headers = {name: request.headers[name] for name in SENT if name in request.headers}
        try:
            answer = await self._outside.ask(request.method, str(request.url), body=body or None, headers=headers)
        except Unreached:
            raise httpx2.ConnectError("no answer", request=request) from None
        document = _document(answer.body)
        if document is None and answer.status == 200:  # no answer of a provider's; the clients take it for anything
            raise httpx2.ConnectError("no answer", request=request)
        self.last = (answer.status, document or {})
        kind = answer.content_type or "application/json"
        return httpx2.Response(answer.status, headers={"content-type": kind}, content=answer.body, request=request)


class Organization:
    """The official administration client of an organization's settings.

    Args:
        outside: whose hosts include that of `base_url`.
        key: an administration key.
    """

    def __init__(self, outside: Outside, base_url: str, key: str) -> None:
        self._transport = _Transport(outside)
        self._client = _client(self._transport, base_url, admin=key, key="")

    async def ask(self, question: str, scope: Mapping[str, str]) -> Fetched:
        """One question of the method's; status 0 where there was no answer."""
        organization = self._client.admin.organization
        project = scope["project"]
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "project_retention": lambda: organization.projects.data_retention.retrieve(project),
            "organization_retention": organization.data_retention.retrieve,
            "hosted_tools": lambda: organization.projects.hosted_tool_permissions.retrieve(project),
            "external_storage": lambda: organization.external_storage.list(project_id=project),
        }
        return await _heard(self._transport, calls[question], openai.OpenAIError)


class Messages:
    """The official client of a workspace, for one constant request to a covered model."""

    def __init__(self, outside: Outside, base_url: str, key: str) -> None:
        self._transport = _Transport(outside)
        http_client = anthropic.DefaultAsyncHttpxClient(
            transport=self._transport, follow_redirects=False, trust_env=False
        )
        self._client = anthropic.AsyncAnthropic(
            api_key=key, base_url=base_url, max_retries=0, timeout=_SECONDS, http_client=http_client
        )

    async def try_model(self, model: str) -> Fetched:
        """One token from `model`; status 0 where there was no answer."""
        create = self._client.messages.create
        return await _heard(
            self._transport,
            lambda: create(model=model, max_tokens=1, messages=[{"role": "user", "content": TRIAL_TEXT}]),
            anthropic.AnthropicError,
        )


class Stored:
    """The official client of a project, to leave something there and look for it. What it finds, it deletes."""

    def __init__(self, outside: Outside, base_url: str, key: str) -> None:
        self._transport = _Transport(outside)
        self._client = _client(self._transport, base_url, admin=None, key=key)

    async def leave(self, model: str, *, store: bool | None) -> tuple[int, str]:
        """Send the constant text, `store` said or left out; the status, and the answer's id (empty if it has none)."""
        create = self._client.responses.create
        wanted = openai.omit if store is None else store
        status, document = await _heard(
            self._transport, lambda: create(model=model, input=TRIAL_TEXT, store=wanted), openai.OpenAIError
        )
        found = document.get("id")
        return status, found if isinstance(found, str) and _is_id(found) else ""

    async def find(self, response_id: str) -> int:
        """The status of asking for it: 404 where it is not kept. What is there is deleted."""
        responses = self._client.responses
        status, _ = await _heard(self._transport, lambda: responses.retrieve(response_id), openai.OpenAIError)
        if status == 200:
            await _heard(self._transport, lambda: responses.delete(response_id), openai.OpenAIError)
        return status


def _client(transport: _Transport, base_url: str, *, admin: str | None, key: str) -> openai.AsyncOpenAI:
    http_client = openai.DefaultAsyncHttpxClient(transport=transport, follow_redirects=False, trust_env=False)
    return openai.AsyncOpenAI(
        api_key=key,
        admin_api_key=admin or "",
        base_url=base_url,
        max_retries=0,
        timeout=_SECONDS,
        http_client=http_client,
    )


async def _heard(transport: _Transport, call: Callable[[], Awaitable[object]], family: type[Exception]) -> Fetched:
    """Make a client's call; what came over the wire, whatever the client made of it."""
    transport.last = (0, {})
    try:
        await call()
    except (family, ValueError, TypeError, AttributeError):  # its words quote what came
        return transport.last
    return transport.last


def _document(body: bytes) -> Document | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _is_id(text: str) -> bool:
    return len(text) <= 128 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()
