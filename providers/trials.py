"""Requests that carry a text in every place where a caller's words may stand, and requests that must never leave.

For trying the controls in front of a wire. Pure tables: nothing here is anybody's data, and nothing is judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Final

from msgspec import Struct

from providers.document import Document, Value

MODEL: Final = "\0model"
PLACE: Final = "\0place"
PLACE_IN_JSON: Final = "\0place in JSON"
"""Stands for the model, for a text, and for JSON in a string that holds a text."""


class Trial(Struct, frozen=True):
    """One request to an operation. `forced` is what must arrive whatever is asked; `streams`: also as a stream."""

    operation: str
    document: Mapping[str, Value]
    streams: bool = False
    forced: Mapping[str, Value] = {}


def filled(trial: Trial, model: str, texts: Iterator[str]) -> tuple[Document, list[str]]:
    """The request for a model with the next text in each of its places; and those texts, in order."""
    placed: list[str] = []

    def fill(value: Value) -> Value:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        if value == MODEL:
            return model
        if value in (PLACE, PLACE_IN_JSON):
            placed.append(next(texts))
            return placed[-1] if value == PLACE else json.dumps({"note": placed[-1]})
        return value

    document = fill(deepcopy(dict(trial.document)))
    assert isinstance(document, dict)  # noqa: S101  # it was one
    return document, placed


_SCHEMA: Final[Value] = {"type": "object", "properties": {"note": {"type": "string", "description": PLACE}}}
_FUNCTION: Final[Document] = {"name": "keep_note", "description": PLACE, "parameters": _SCHEMA}
_OPENAI_CALL: Final[Document] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "keep_note", "arguments": PLACE_IN_JSON},
}

TRIALS: Final[Mapping[str, tuple[Trial, ...]]] = {
    "openai": (
        Trial(
            "chat.completions",
            {
                "model": MODEL,
                "messages": [
                    {"role": "system", "content": PLACE},
                    {"role": "user", "content": PLACE},
                    {"role": "user", "content": [{"type": "text", "text": PLACE}]},
                    {"role": "assistant", "content": PLACE, "tool_calls": [_OPENAI_CALL]},
                    {"role": "tool", "tool_call_id": "call_1", "content": PLACE},
                    {"role": "user", "content": "And now?"},
                ],
                "tools": [{"type": "function", "function": _FUNCTION}],
            },
            streams=True,
            forced={"store": False},
        ),
        Trial(
            "responses",
            {
                "model": MODEL,
                "instructions": PLACE,
                "input": [
                    {"role": "user", "content": PLACE},
                    {"role": "user", "content": [{"type": "input_text", "text": PLACE}]},
                    {"type": "function_call", "call_id": "call_1", "name": "keep_note", "arguments": PLACE_IN_JSON},
                    {"type": "function_call_output", "call_id": "call_1", "output": PLACE},
                    {"role": "user", "content": "And now?"},
                ],
                "tools": [{"type": "function", "strict": False, **_FUNCTION}],
            },
            streams=True,
            forced={"store": False},
        ),
        Trial("responses", {"model": MODEL, "input": PLACE}, forced={"store": False}),
        Trial("embeddings", {"model": MODEL, "input": [PLACE, PLACE]}),
        Trial("moderations", {"model": MODEL, "input": [PLACE, PLACE]}),
    ),
    "anthropic": (
        Trial(
            "messages",
            {
                "model": MODEL,
                "max_tokens": 64,
                "system": [{"type": "text", "text": PLACE}],
                "messages": [
                    {"role": "user", "content": PLACE},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "text", "text": PLACE},
                            {"type": "tool_use", "id": "toolu_1", "name": "keep_note", "input": {"note": PLACE}},
                        ],
                    },
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "toolu_1",
                                "content": [{"type": "text", "text": PLACE}],
                            },
                            {"type": "text", "text": "And now?"},
                        ],
                    },
                ],
                "tools": [{"name": "keep_note", "description": PLACE, "input_schema": _SCHEMA}],
            },
            streams=True,
        ),
        Trial(
            "messages.count_tokens",
            {"model": MODEL, "system": PLACE, "messages": [{"role": "user", "content": PLACE}]},
        ),
    ),
}
"""Wire -> requests that must pass, their texts cleaned. Operations without an answer to clean among them."""

HEADERS: Final[Mapping[str, Mapping[str, str]]] = {"openai": {}, "anthropic": {"anthropic-version": "2023-06-01"}}
"""Wire -> the headers without which its provider answers nobody."""

REFUSED: Final[Mapping[str, tuple[Trial, ...]]] = {
    "openai": (
        Trial("responses", {"model": MODEL, "input": PLACE, "background": True}),
        Trial("responses", {"model": MODEL, "input": PLACE, "previous_response_id": "resp_1"}),
        Trial("responses", {"model": MODEL, "input": PLACE, "tools": [{"type": "file_search"}]}),
        Trial("chat.completions", {"model": MODEL, "messages": [{"role": "user", "content": PLACE}], "unheard_of": 1}),
    ),
    "anthropic": (
        Trial(
            "messages",
            {
                "model": MODEL,
                "max_tokens": 9,
                "messages": [{"role": "user", "content": PLACE}],
                "container": "container_1",
            },
        ),
        Trial(
            "messages",
            {
                "model": MODEL,
                "max_tokens": 9,
                "messages": [{"role": "user", "content": PLACE}],
                "mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}],
            },
        ),
    ),
}
"""Wire -> requests whose use would leave something behind, or elsewhere: none may leave."""
