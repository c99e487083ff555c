"""What an answer of the OpenAI wire shows, whole or event by event: names and numbers, never text.

Everything here that could betray kept state, or a hosted tool at work, becomes a kind or an echo for
the surface to judge. The fields are those of `openai` 3.57.0 and of `store`, which the API answers
though the client's types do not list it.
"""

from __future__ import annotations

import functools

from msgspec import Struct

from providers import openai_errors
from providers.document import Document, Value
from providers.provider import Observation, Operation, Usage

_FINISHES = frozenset(
    {
        "stop",
        "length",
        "tool_calls",
        "function_call",
        "content_filter",
        "completed",
        "incomplete",
        "failed",
        "cancelled",
        "max_output_tokens",
    }
)
# An event without which a stream is not complete.
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "transcript.text.done"})
# Fields that betray kept state by being there at all, and those that do so only by a value other than false or {}.
_SET = ("conversation", "previous_response_id", "prompt", "access_programs", "prompt_cache_diagnostics", "moderation")
_TRUE = ("store", "background", "metadata")
_UNFINISHED = ("queued", "in_progress")
_ENDED = ("completed", "incomplete", "failed", "cancelled")
_UNNAMED = Observation("unnamed")
_END = Observation(terminal=True)


class _Sight(Struct, eq=False):
    """What is seen of one answer or event while it is read."""

    kinds: list[tuple[str, str]] = []
    echoes: list[str] = []
    finishes: list[str] = []
    usage: Usage | None = None
    error: str | None = None

    def observation(self, event: str, holder: Document, *, terminal: bool = False) -> Observation:
        model, identifier = holder.get("model"), holder.get("id")
        return Observation(
            event,
            tuple(self.kinds),
            tuple(self.echoes),
            model if isinstance(model, str) else None,
            self.usage,
            tuple(self.finishes),
            identifier if isinstance(identifier, str) else None,
            terminal,
            self.error,
        )

    def finish(self, reason: Value) -> None:
        if reason is not None:
            self.finishes.append(reason if isinstance(reason, str) and reason in _FINISHES else "other")

    # chat

    def choice(self, choice: Value, key: str) -> None:
        """A choice, whose message or delta stands under `key`."""
        if type(choice) is not dict:
            self.echoes.append("form")
            return
        self.finish(choice.get("finish_reason"))
        message = choice.get(key)
        if type(message) is dict:
            self.message(message, whole=key == "message")
        elif message is not None:
            self.echoes.append("form")

    def message(self, message: Document, *, whole: bool) -> None:
        """A chat message, or a delta of one, which names the type of a tool call only in its first piece."""
        for call in _list(message.get("tool_calls")):
            if (kind := _type(call)) or whole:
                self.kinds.append(("item", _CALLS.get(kind, kind)))
        if message.get("function_call") is not None:
            self.kinds.append(("item", "function_call"))
        if message.get("audio") is not None:
            self.echoes.append("audio")
        if message.get("annotations"):
            self.echoes.append("web_search_usage")  # a chat shows no other sign of a hosted search
            self.annotations(message["annotations"])
        for part in _list(message.get("content")):
            self.part(part)

    # responses

    def response(self, response: Document) -> None:
        """A response object: the fields that only kept state fills, then everything typed in it."""
        self.state(response)
        self._tool_usage(response.get("tool_usage"))
        for tool in _list(response.get("tools")):
            self.tool(tool)
        for item in _list(response.get("output")):
            self.item(item)
        self.counters(response.get("usage"), "input_tokens", "output_tokens")
        if type(error := response.get("error")) is dict:
            self.error = openai_errors.error_code({"error": error})[1] or "unknown"
        if response.get("status") in _ENDED:
            details = response.get("incomplete_details")
            self.finish(details.get("reason") if type(details) is dict else response["status"])

    def state(self, response: Document) -> None:
        """Fields of a response that only kept state fills, each by its own name."""
        self.echoes.extend(name for name in _SET if response.get(name) is not None)
        self.echoes.extend(name for name in _TRUE if response.get(name))
        if response.get("prompt_cache_retention") == "24h":
            self.echoes.append("prompt_cache_retention_24h")
        options = response.get("prompt_cache_options")
        if type(options) is dict and options.get("ttl") == "12h":
            self.echoes.append("prompt_cache_ttl_12h")

    def item(self, item: Value) -> None:
        """An output item. What has no type is an item without a name, which no surface allows."""
        kind = _type(item)
        if type(item) is not dict:
            self.kinds.append(("item", kind))
            return
        if kind in ("tool_search_call", "tool_search_output"):
            kind = f"{kind}:{_variant(item.get('execution'), 'server')}"
        self.kinds.append(("item", kind))
        for part in _list(item.get("content")):
            self.part(part)
        for part in _list(item.get("summary")):
            self.part(part)
        for tool in _list(item.get("tools")):
            self.tool(tool)
        if item.get("container_id") is not None or _type(item.get("environment")) not in ("", "local"):
            self.echoes.append("container")
        output = item.get("output")
        if kind.endswith("_output") and type(output) is list:
            for part in output:
                if type(part) is dict and part.get("file_id") is not None:
                    self.echoes.append("file_id")

    def part(self, part: Value) -> None:
        """A content part."""
        self.kinds.append(("part", _CHAT_PARTS.get(kind := _type(part), kind)))
        if type(part) is dict:
            if part.get("annotations"):
                self.annotations(part["annotations"])
            if part.get("file_id") is not None:
                self.echoes.append("file_id")

    def annotations(self, annotations: Value) -> None:
        """Annotations, each of which may point at a stored file or show a search."""
        for annotation in annotations if type(annotations) is list else [annotations]:
            self.kinds.append(("annotation", _type(annotation)))

    def tool(self, tool: Value) -> None:
        """A tool that the response repeats; where a variant decides what is kept, it is part of the name."""
        kind = _type(tool)
        if type(tool) is not dict:
            self.kinds.append(("tool", kind))
            return
        if kind == "shell":
            kind = f"shell:{_type(tool.get('environment')) or 'container_auto'}"
        elif kind == "tool_search":
            kind = f"tool_search:{_variant(tool.get('execution'), 'server')}"
        elif kind.startswith("web_search") and tool.get("external_web_access") is not False:
            self.echoes.append("live_web_access")
        self.kinds.append(("tool", kind))
        for member in _list(tool.get("tools")):
            self.tool(member)

    # usage

    def counters(self, usage: Value, asked: str, answered: str) -> None:
        """Token counts, and a cache that was written though none may be."""
        if type(usage) is not dict:
            return
        before, after = usage.get(f"{asked}_details"), usage.get(f"{answered}_details")
        read = write = reasoning = None
        if type(before) is dict:
            read, write = _count(before.get("cached_tokens")), _count(before.get("cache_write_tokens"))
            if write or _positive(before.get("cache_write_tokens_details")):
                self.echoes.append("cache_write")
        if type(after) is dict:
            reasoning = _count(after.get("reasoning_tokens"))
        self.usage = Usage(_count(usage.get(asked)), _count(usage.get(answered)), read, write, reasoning)

    def _tool_usage(self, usage: Value) -> None:
        if type(usage) is dict:
            if _positive(usage.get("web_search")):
                self.echoes.append("web_search_usage")
            if _positive(usage.get("image_gen")):
                self.echoes.append("image_generation_usage")


_CALLS = {"function": "function_call", "custom": "custom_tool_call"}
_CHAT_PARTS = {"text": "output_text"}


# --- whole answers --------------------------------------------------------------------------------


def observe(operation: Operation, document: Document) -> Observation:
    """What a whole answer shows."""
    sight = _Sight()
    if operation.dialect == "chat":
        _chat(sight, document, "message")
    elif operation.dialect == "responses":
        if document.get("object") != "response" or type(document.get("output")) is not list:
            sight.echoes.append("form")
        if document.get("status") in _UNFINISHED:  # to be fetched later, so it is kept until then
            sight.echoes.append("queued")
        sight.response(document)
    elif operation.dialect == "transcription":
        sight.counters(document.get("usage"), "input_tokens", "output_tokens")
    else:
        sight.counters(document.get("usage"), "prompt_tokens", "completion_tokens")
    return sight.observation("", document)


def _chat(sight: _Sight, document: Document, key: str) -> None:
    choices = document.get("choices")
    if type(choices) is not list:
        sight.echoes.append("form")
    else:
        for choice in choices:
            sight.choice(choice, key)
    if document.get("metadata"):
        sight.echoes.append("metadata")
    if document.get("store"):
        sight.echoes.append("store")
    if document.get("moderation") is not None:
        sight.echoes.append("moderation")
    sight.counters(document.get("usage"), "prompt_tokens", "completion_tokens")


# --- stream events --------------------------------------------------------------------------------


def observe_event(operation: Operation, name: str, data: Document | None) -> Observation:
    """What one stream event shows.

    A client acts on the type in an event's data and may act on its name, so where the two differ no
    judgement of one would hold for the other: it is then an event that no surface names.
    """
    if operation.dialect == "chat":
        return _chunk(name, data)
    if data is None:
        return _UNNAMED
    kind = data.get("type")
    if data.get("error") is not None or kind == "error":  # whatever its name, the client raises it
        return _failure(data)
    if type(kind) is not str or name not in ("", kind):
        return _UNNAMED
    return _PLAIN.get(kind) or _typed(kind, data)


def _typed(kind: str, data: Document) -> Observation:
    sight = _Sight()
    if "response" in data:
        response = data["response"]
        if type(response) is not dict:
            return _UNNAMED
        sight.response(response)
        return sight.observation(kind, response, terminal=kind in _TERMINAL)
    if "item" in data:
        sight.item(data["item"])
    if "part" in data:
        sight.part(data["part"])
    if "annotation" in data:
        sight.annotations(data["annotation"])
    sight.counters(data.get("usage"), "input_tokens", "output_tokens")
    return sight.observation(kind, {}, terminal=kind in _TERMINAL)


# Events that hold nothing but a piece of text and where it goes: most of a stream, so each is one look-up.
_PLAIN = {
    kind: Observation(kind)
    for kind in (
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.refusal.delta",
        "transcript.text.delta",
    )
}


def _chunk(name: str, data: Document | None) -> Observation:
    if data is None:
        return _END
    if data.get("error") is not None:
        return _failure(data)
    if name or data.get("object") != "chat.completion.chunk":
        return _UNNAMED
    model, identifier, choices = data.get("model"), data.get("id"), data.get("choices")
    if (
        data.keys() <= _PLAIN_CHUNK
        and data.get("usage") is None
        and type(choices) is list
        and all(map(_is_plain_choice, choices))
        and type(model) is str
        and type(identifier) is str
    ):
        return _plain_chunk(model, identifier)
    sight = _Sight()
    _chat(sight, data, "delta")
    return sight.observation(_CHUNK, data)


# Most chunks of a stream hold a piece of text and what every chunk of it repeats.
_CHUNK = "chat.completion.chunk"
_PLAIN_CHUNK = {
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "service_tier",
    "system_fingerprint",
    "obfuscation",
}
_PLAIN_DELTA = {"role", "content", "refusal"}


def _is_plain_choice(choice: Value) -> bool:
    if type(choice) is not dict or choice.get("finish_reason") is not None:
        return False
    delta = choice.get("delta")
    return type(delta) is dict and delta.keys() <= _PLAIN_DELTA and type(delta.get("content")) is not list


@functools.lru_cache(maxsize=1024)
def _plain_chunk(model: str, identifier: str) -> Observation:
    return Observation(_CHUNK, model=model, response_id=identifier)


def _failure(data: Document) -> Observation:
    kind, code = openai_errors.error_code(data)
    return Observation("error", error=code or kind or "unknown")


# --- small things ---------------------------------------------------------------------------------


def _type(value: Value) -> str:
    kind = value.get("type") if type(value) is dict else None
    return kind if isinstance(kind, str) else ""


def _variant(value: Value, otherwise: str) -> str:
    return otherwise if value is None else value if isinstance(value, str) else ""


def _list(value: Value) -> list[Value]:
    return value if type(value) is list else []


def _count(value: Value) -> int | None:
    return value if type(value) is int else None


def _positive(counters: Value) -> bool:
    return type(counters) is dict and any(type(count) is int and count > 0 for count in counters.values())
