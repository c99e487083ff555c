"""What a request asks of the model, in words that both wires share, and what the model says to it.

The model of the simulated provider echoes the last text it was given, calls the tools it was
offered, and fills in the schema it was shown: every answer depends on what was sent and on
nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from gateway.simulator.scenario import Scenario
from providers.document import Document, Value

MAX_PIECES = 200
Stop = Literal["end", "limit", "stop_sequence"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call; a custom tool has no schema and takes text."""

    name: str
    schema: Document | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. `key` is derived from the call, so equal calls have equal ids."""

    tool: Tool
    arguments: str
    key: str


@dataclass(frozen=True, slots=True)
class Question:
    """A request, wire aside.

    Attributes:
        text: the last text given: the user's, or a tool's result if that came last.
        answered: a tool's result came last, so no tool is called again.
        tools: those offered, in order.
        chosen: `auto`, `none`, `required`, or the name of the one tool that must be called.
        parallel: whether several tools may be called at once.
        schema: what the answer must satisfy; `{}` for any object; None for prose.
        limit: most tokens of the answer, or None.
        stops: texts at which the answer ends.
        input_tokens: of all content of the request.
    """

    text: str
    answered: bool = False
    tools: tuple[Tool, ...] = ()
    chosen: str = "auto"
    parallel: bool = True
    schema: Document | None = None
    limit: int | None = None
    stops: tuple[str, ...] = ()
    input_tokens: int = 0

    def calls(self) -> tuple[ToolCall, ...]:
        """The tools the model calls: each one offered, or the one it must, or none."""
        if self.chosen == "none" or self.answered:
            return ()
        named = [tool for tool in self.tools if tool.name == self.chosen]
        tools = named or list(self.tools)
        return tuple(self._call(tool) for tool in (tools if self.parallel else tools[:1]))

    def reply(self, say: str | None, variant: int = 0) -> tuple[str, Stop, str | None]:
        """The text of the answer, why it ended, and the stop sequence if one was met.

        Args:
            say: what to say instead of the echo.
            variant: the index among several choices; each says something else.
        """
        if say is not None:
            text = say
        elif self.schema is not None:
            text = json.dumps(sample(self.schema, self.text), ensure_ascii=False)
        else:
            text = f"{'The tool said' if self.answered else 'You said'}: {self.text}"
        if variant:
            text = f"({variant + 1}) {text}" if self.schema is None else text
        for stop in self.stops:
            if stop and stop in text:
                return text.partition(stop)[0], "stop_sequence", stop
        if self.limit is not None and count(text) > self.limit:
            return "".join(_words(text)[: self.limit]), "limit", None
        return text, "end", None

    def _call(self, tool: Tool) -> ToolCall:
        arguments = answering.get().arguments
        if arguments is None:
            sampled = "" if tool.schema is None else json.dumps(sample(tool.schema, self.text), ensure_ascii=False)
            arguments = self.text if tool.schema is None else sampled
        digest = hashlib.sha256(f"{tool.name}\0{arguments}".encode()).hexdigest()[:24]
        return ToolCall(tool, arguments, digest)


def count(text: str) -> int:
    """Tokens of a text, as this model counts: words."""
    return len(_words(text))


answering: ContextVar[Scenario] = ContextVar("answering", default=Scenario())  # noqa: B039  # it is frozen
"""The scenario of the answer that is being made."""


def pieces(text: str) -> list[str]:
    """A text in the pieces in which it is streamed; joined they give it back. Of words, at most `MAX_PIECES`."""
    if size := answering.get().piece:
        return [text[at : at + size] for at in range(0, len(text), size)]
    words = _words(text)
    step = -(-len(words) // MAX_PIECES) or 1
    return ["".join(words[index : index + step]) for index in range(0, len(words), step)]


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def mapping(value: Value) -> Document:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: Value) -> list[Document]:
    """The objects of a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """Every string of a JSON value, in document order, keys aside."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return []


def prose(content: Value) -> str:
    """The text of a message's content: a string, or the `text` of its parts joined by spaces."""
    if isinstance(content, str):
        return content
    return " ".join(str(part["text"]) for part in mappings(content) if isinstance(part.get("text"), str))


def words_of(value: Value) -> tuple[str, ...]:
    """A string or a list of strings, as a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def whole(value: Value) -> int | None:
    """The value if it is an integer, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def sample(schema: Document, echo: str) -> Value:
    """A value that satisfies a JSON schema of the subset that structured outputs allow.

    Free strings hold the echo, so that what was sent can be seen in what comes back.
    """
    return _sample(schema, schema, echo)


_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def _sample(schema: Document, root: Document, echo: str) -> Value:
    if isinstance(reference := schema.get("$ref"), str):
        target: Value = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = mapping(target).get(step) if step else target
        return _sample(mapping(target), root, echo)
    if "const" in schema:
        return schema["const"]
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    for keyword in ("anyOf", "oneOf"):
        if branches := mappings(schema.get(keyword)):
            return _sample(branches[0], root, echo)
    if branches := mappings(schema.get("allOf")):
        merged: Document = {}
        for branch in branches:
            merged.update(mapping(_sample(branch, root, echo)))
        return merged
    kind = schema.get("type")
    return _plain(str(kind[0] if isinstance(kind, list) and kind else kind or "object"), schema, root, echo)


def _plain(kind: str, schema: Document, root: Document, echo: str) -> Value:
    if kind == "object":
        return {key: _sample(mapping(value), root, echo) for key, value in mapping(schema.get("properties")).items()}
    if kind == "array":
        item = _sample(mapping(schema.get("items")), root, echo)
        return [item] * max(whole(schema.get("minItems")) or 1, 1)
    if kind == "string":
        known = _FORMATS.get(str(schema.get("format")))
        text = known or echo[: whole(schema.get("maxLength")) or 60]
        return text.ljust(whole(schema.get("minLength")) or 0, ".")
    if kind in ("integer", "number"):
        low, high = schema.get("minimum"), schema.get("maximum")
        if isinstance(low, (int, float)):
            return low
        return high if isinstance(high, (int, float)) and high < 1 else 1
    return {"boolean": True, "null": None}.get(kind)
