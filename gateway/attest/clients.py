"""What is read back by the providers' official clients: an organization's settings, a covered model, what was stored.

Importing this takes seconds, so it is imported when an entry needs it, and away from the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import openai
import orjson

from gateway.clients import Through, anthropic_client, openai_client
from gateway.outside import Outside
from providers.document import Document
from providers.read_back import TRIAL_TEXT

Fetched = tuple[int, Document]
"""Status, and the answer's JSON object (empty where it is none)."""


class Organization:
    """The official administration client of an organization's settings.

    Args:
        outside: whose hosts include that of `base_url`.
        key: an administration key.
    """

    def __init__(self, outside: Outside, base_url: str, key: str) -> None:
        self._through = Through(outside)
        self._client = openai_client(self._through, base_url, admin=key)

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
        return await _heard(self._through, calls[question]())


class Messages:
    """The official client of a workspace, for one constant request to a covered model."""

    def __init__(self, outside: Outside, base_url: str, key: str) -> None:
        self._through = Through(outside)
        self._client = anthropic_client(self._through, base_url, key)

    async def try_model(self, model: str) -> Fetched:
        """One token from `model`; status 0 where there was no answer."""
        create = self._client.messages.create
        asked = create(model=model, max_tokens=1, messages=[{"role": "user", "content": TRIAL_TEXT}])
        return await _heard(self._through, asked)


class Stored:
    """The official client of a project, to leave something there and look for it. What it finds, it deletes."""

    def __init__(self, outside: Outside, base_url: str, key: str) -> None:
        self._through = Through(outside)
        self._client = openai_client(self._through, base_url, key=key)

    async def leave(self, model: str, *, store: bool | None) -> tuple[int, str]:
        """Send the constant text, `store` said or left out; the status, and the answer's id (empty if it has none)."""
        create = self._client.responses.create
        wanted = openai.omit if store is None else store
        status, document = await _heard(self._through, create(model=model, input=TRIAL_TEXT, store=wanted))
        found = document.get("id")
        return status, found if isinstance(found, str) and _is_id(found) else ""

    async def find(self, response_id: str) -> int:
        """The status of asking for it: 404 where it is not kept. What is there is deleted."""
        responses = self._client.responses
        status, _ = await _heard(self._through, responses.retrieve(response_id))
        if status == 200:
            await _heard(self._through, responses.delete(response_id))
        return status


async def _heard(through: Through, asked: Awaitable[object]) -> Fetched:
    """What came over the wire. A good answer that is no JSON object is no answer of a provider's."""
    status, body = await through.hear(asked)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        return status, document
    return (0 if status == 200 else status), {}


def _is_id(text: str) -> bool:
    return len(text) <= 128 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()
