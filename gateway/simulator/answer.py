"""The values between the wires and the connection: what was asked, and what will be said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aiohttp import web

from gateway.simulator.scenario import Scenario
from gateway.simulator.witness import Arrival
from providers import sse
from providers.document import Document, serialise

CREATED = 1_790_000_000
"""The one instant at which everything here was made: answers are the same on every run."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request with its whole body, and how it is to be answered. `document` is empty if the body is no object."""

    request: web.Request
    document: Document
    body: bytes
    scenario: Scenario
    arrival: Arrival

    @property
    def path(self) -> str:
        """The raw target without its query, and without the folder in which a cloud's door has this wire."""
        path = self.request.raw_path.partition("?")[0]
        return path.removeprefix("/anthropic") if path.startswith("/anthropic/") else path


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to one operation. `number` is its arrival number and makes object ids unique."""

    document: Document
    number: int
    scenario: Scenario

    @property
    def model(self) -> str:
        """The model that the answer names."""
        asked = self.document.get("model")
        return self.scenario.served_model or (asked if isinstance(asked, str) else "")

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return self.document.get("stream") is True


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send: a body, or the events of a stream. `error_event` is the wire's own."""

    body: bytes = b""
    events: tuple[bytes, ...] = ()
    status: int = 200
    content_type: str = "application/json"
    error_event: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def bearing(self, headers: Mapping[str, str]) -> Answer:
        """The same answer with these headers."""
        return replace(self, headers=headers)


class BadRequest(ValueError):
    """The provider's own 400: `where` is the field, the message is ours."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where
        self.message = message


def encode(document: Document) -> bytes:
    """JSON as the simulated provider writes it."""
    return serialise(document)


def named(document: Document) -> bytes:
    """A stream event named by its own `type`."""
    return sse.build(str(document["type"]), encode(document))


def unnamed(document: Document) -> bytes:
    """A stream event without a name."""
    return sse.build("", encode(document))


def read_document(body: bytes) -> Document:
    """The body as an object; empty where it is none."""
    try:
        tree = json.loads(body)
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}
