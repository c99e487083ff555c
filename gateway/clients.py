"""The providers' official clients, for what an operator asks: their requests go by way of `Outside`, and nowhere else.

A client shapes and types the requests. Its own sockets, retries, redirects and environment are not used, and of its
headers only those of the wire leave. What counts is the answer as it came: a typed client drops what it does not know.
Importing the clients takes seconds, so whoever serves imports this module away from the event loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import Final

import anthropic
import httpx2
import openai

from gateway.outside import Outside, Unreached
from providers.read_back import SENT

SECONDS: Final = 10.0

Heard = tuple[int, bytes]
"""Status (0: there was no answer), and the body as it came."""


class Through(httpx2.AsyncBaseTransport):
    """Carries a client's requests to listed hosts: TLS 1.3, no redirect, no proxy. Keeps the last answer."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._last: Heard = 0, b""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        headers = {name: request.headers[name] for name in SENT if name in request.headers}
        try:
            answer = await self._outside.ask(request.method, str(request.url), body=body or None, headers=headers)
        except Unreached:
            raise httpx2.ConnectError("no answer", request=request) from None
        self._last = answer.status, answer.body
        kind = {"content-type": "application/json"}  # or a client would make a text of it
        return httpx2.Response(answer.status, headers=kind, content=answer.body, request=request)

    async def hear(self, asked: Awaitable[object]) -> Heard:
        """Wait for a client's question; what came over the wire, whatever the client made of it."""
        self._last = 0, b""
        # The clients' words quote what came, and a body that they cannot type can still be read.
        with contextlib.suppress(openai.OpenAIError, anthropic.AnthropicError, ValueError, TypeError, AttributeError):
            await asked
        return self._last


def openai_client(through: Through, base_url: str, *, key: str = "", admin: str = "") -> openai.AsyncOpenAI:
    """The official client of a project (`key`) or of an organization (`admin`)."""
    return openai.AsyncOpenAI(
        api_key=key,
        admin_api_key=admin,
        base_url=base_url,
        max_retries=0,
        timeout=SECONDS,
        http_client=openai.DefaultAsyncHttpxClient(transport=through, follow_redirects=False, trust_env=False),
    )


def anthropic_client(through: Through, base_url: str, key: str) -> anthropic.AsyncAnthropic:
    """The official client of a workspace, or with an administration key of an organization."""
    return anthropic.AsyncAnthropic(
        api_key=key,
        base_url=base_url,
        max_retries=0,
        timeout=SECONDS,
        http_client=anthropic.DefaultAsyncHttpxClient(transport=through, follow_redirects=False, trust_env=False),
    )
