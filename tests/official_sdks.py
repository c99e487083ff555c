"""Playing one case through an official client, sync or async, and writing down all that the client showed.

A case is written once: `settle` and `listed` make the same lines serve both kinds of client.
The only things that two plays of one case may differ in are those of `UNIQUE`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anthropic
import openai
import pydantic

from gateway.simulator import Arrival, Scenario, Simulator
from providers.document import Document

OPENAI_MODEL = "gpt-simulated"
EMBEDDING_MODEL = "text-embedding-simulated"
MODERATION_MODEL = "omni-moderation-simulated"
ANTHROPIC_MODEL = "claude-simulated"

UNIQUE = re.compile(r"\b(chatcmpl-|resp_|msg_|modr-|rs_|req_)[0-9a-f]{20,}\b")
"""Ids that the simulated provider makes unique per call. Nothing else is left out of a comparison."""

HEADERS = (
    "content-type",
    "openai-processing-ms",
    "openai-version",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-tokens-remaining",
    "retry-after",
)
"""Response headers that callers act on."""

Client = TypeVar("Client")
KINDS = ("sync", "async")


@dataclass(frozen=True, slots=True)
class Case(Generic[Client]):
    """One use of a client. `run` returns what the client showed and asserts what must be in it.

    `scripts` are the provider's answers in order (well-behaved after the last); `attempts` is how
    many requests the client makes.
    """

    name: str
    run: Callable[[Any], Awaitable[object]]
    scripts: tuple[Scenario, ...] = ()
    attempts: int = 1

    def __str__(self) -> str:
        return self.name


async def play(case: Case[Any], client: Any, simulator: Simulator) -> object:
    """Run a case and return what it showed, less what is unique. Checks the number of attempts."""
    simulator.reset()
    for scenario in case.scripts:
        simulator.script(scenario)

    shown = await _in_its_own_world(case.run, client)

    assert len(simulator.arrivals) == case.attempts
    return plain(shown)


async def _in_its_own_world(run: Callable[[Any], Awaitable[object]], client: Any) -> object:
    if isinstance(client, (openai.AsyncOpenAI, anthropic.AsyncAnthropic)):
        async with client:
            return await run(client)

    def alone() -> object:
        # A sync client blocks its thread, and the simulated provider runs on this one's loop.
        async def once() -> object:
            return await run(client)

        with client:
            return asyncio.run(once())

    return await asyncio.to_thread(alone)


async def settle(value: Any) -> Any:
    """The result of a call, whichever kind of client made it."""
    return await value if inspect.isawaitable(value) else value


async def listed(stream: Any) -> list[Any]:
    """All that a stream or a page yields, whichever kind it is."""
    stream = await settle(stream)
    if isinstance(stream, AsyncIterator) or hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


async def entered(manager: Any, use: Callable[[Any], Awaitable[object]]) -> object:
    """Use a `.stream()` or `with_streaming_response` helper, whichever kind it is."""
    if hasattr(manager, "__aenter__"):
        async with manager as opened:
            return await use(opened)
    with manager as opened:
        return await use(opened)


async def raised(call: Callable[[], Any]) -> dict[str, object]:
    """What the client raises, by class and the attributes that callers look at."""
    try:
        await settle(call())
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        attributes = ("status_code", "code", "param", "type", "message")
        found: dict[str, object] = {name: getattr(error, name, None) for name in attributes}
        found["class"] = type(error).__name__
        found["request id"] = bool(getattr(error, "request_id", None))
        return found
    raise AssertionError("the client raised nothing")


async def with_headers(raw: Any) -> dict[str, object]:
    """A raw response: the headers that matter, whether it has a request id, and the parsed result."""
    response = await settle(raw)
    parsed = await settle(response.parse())
    return {
        "headers": {name: response.headers.get(name) for name in HEADERS},
        "request id": bool(response.request_id),
        "result": strict(parsed),
    }


def strict(value: Any) -> Any:
    """The same value; fails if the client's types do not know a field of it, or lack one.

    The clients build their models without validation, so that is done here.
    """
    for model in value if isinstance(value, list) else [value]:
        assert isinstance(model, pydantic.BaseModel)
        _known_fields(model)
        type(model).model_validate(model.model_dump(by_alias=True, exclude_unset=True, warnings="error"))
    return value


def _known_fields(value: object) -> None:
    if isinstance(value, pydantic.BaseModel):
        aliases = {field.alias for field in type(value).model_fields.values()}
        unknown = set(value.model_extra or {}) - aliases
        assert not unknown, f"{type(value).__name__} does not know {sorted(unknown)}"
        for name in type(value).model_fields:
            _known_fields(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            _known_fields(item)
    elif isinstance(value, dict):
        for item in value.values():
            _known_fields(item)


def plain(value: Any) -> Any:
    """Models as data, request ids as present or not, unique ids as their prefix."""
    if isinstance(value, pydantic.BaseModel):
        shown = {"type": type(value).__name__, "data": plain(value.model_dump(mode="json", warnings="none"))}
        if hasattr(value, "_request_id"):
            shown["request id"] = bool(value._request_id)
        return shown
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return UNIQUE.sub(r"\1", value)
    return value


def schemas(arrivals: Iterable[Arrival]) -> list[Document]:
    """The structured-output schemas, strict functions included, in what the provider was sent."""
    found: list[Document] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            if value.get("type") == "json_schema":
                inner = value.get("json_schema", value)
                found.append(inner["schema"])
            elif value.get("strict") is True:
                found.append(value["parameters"] if "parameters" in value else value["input_schema"])
            else:
                for item in value.values():
                    look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    for arrival in arrivals:
        body = arrival.body or b"{}"
        look(json.loads(body) if body.startswith(b"{") else {})  # a form has none
    return found
