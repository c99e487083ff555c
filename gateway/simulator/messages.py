"""Anthropic messages, plain and streamed, and the counting of tokens."""

from __future__ import annotations

import base64
import hashlib
import json

from gateway.simulator.answer import Answer, Ask, BadRequest, encode, named
from gateway.simulator.question import (
    Question,
    Tool,
    count,
    mapping,
    mappings,
    pieces,
    prose,
    texts,
    whole,
    words_of,
)
from providers.document import Document, Value

THOUGHT = "The question is read, and the answer repeats what it says."
REFUSAL = "I will not answer that."


def complete(ask: Ask) -> Answer:
    """Answer `POST /v1/messages`.

    Raises:
        BadRequest: model, messages or max_tokens are missing.
    """
    if not ask.model:
        raise BadRequest("model", "model: Field required")
    if whole(ask.document.get("max_tokens")) is None:
        raise BadRequest("max_tokens", "max_tokens: Field required")
    message = _message(ask, _question(ask.document))
    if not ask.streamed:
        return Answer(body=encode(message))
    error: Document = {
        "type": "error",
        "error": {
            "type": ask.scenario.error_type or "overloaded_error",
            "message": "Overloaded",
            "details": {"error_code": ask.scenario.error_code} if ask.scenario.error_code else None,
        },
        "request_id": f"req_{ask.number:032x}",
    }
    return Answer(
        events=tuple(named(event) for event in _events(message)),
        content_type="text/event-stream; charset=utf-8",
        error_event=named(error),
    )


def count_tokens(ask: Ask) -> Answer:
    """Answer `POST /v1/messages/count_tokens`.

    Raises:
        BadRequest: model or messages are missing.
    """
    if not ask.model:
        raise BadRequest("model", "model: Field required")
    return Answer(body=encode({"input_tokens": _question(ask.document).input_tokens, **ask.scenario.merge}))


def _question(document: Document) -> Question:
    messages = mappings(document.get("messages"))
    if not messages:
        raise BadRequest("messages", "messages: Field required")
    turn = next((turn for turn in reversed(messages) if turn.get("role") == "user"), {})
    results = [part for part in mappings(turn.get("content")) if part.get("type") == "tool_result"]
    choice = mapping(document.get("tool_choice"))
    kind = {"any": "required", "none": "none"}.get(str(choice.get("type")), "auto")
    shape = mapping(mapping(document.get("output_config")).get("format"))
    tools = [tool for tool in mappings(document.get("tools")) if "input_schema" in tool]
    return Question(
        text=prose(results[-1].get("content")) if results else prose(turn.get("content")),
        answered=bool(results),
        tools=tuple(Tool(str(tool.get("name")), mapping(tool["input_schema"])) for tool in tools),
        chosen=str(choice["name"]) if isinstance(choice.get("name"), str) else kind,
        parallel=choice.get("disable_parallel_tool_use") is not True,
        schema=mapping(shape.get("schema")) if shape.get("type") == "json_schema" else None,
        limit=whole(document.get("max_tokens")),
        stops=words_of(document.get("stop_sequences")),
        input_tokens=sum(count(text) for text in texts([messages, document.get("system")])) + 8 * len(tools),
    )


def _message(ask: Ask, question: Question) -> Document:
    content: list[Value] = [dict(item) for item in ask.scenario.items]
    thought = _thought(ask)
    content.extend(thought)
    stop: str
    met: str | None = None
    details: Document | None = None
    if ask.scenario.content == "refusal":
        stop = "refusal"
        content.append({"type": "text", "text": REFUSAL, "citations": None})
        details = {"type": "refusal", "category": None, "explanation": None}
    elif calls := question.calls():
        stop = "tool_use"
        content.append({"type": "text", "text": "I will use a tool.", "citations": None})
        content.extend(
            {
                "type": "tool_use",
                "id": f"toolu_{call.key}",
                "name": call.tool.name,
                "input": json.loads(call.arguments),
                "caller": {"type": "direct"},
            }
            for call in calls
        )
    else:
        text, why, met = question.reply(ask.scenario.say)
        stop = {"end": "end_turn", "limit": "max_tokens", "stop_sequence": "stop_sequence"}[why]
        content.append({"type": "text", "text": text, "citations": _citations(ask.document)})
    message: Document = {
        "id": f"msg_{ask.number:024d}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": met,
        "stop_details": details,
        "container": None,
        "usage": _usage(ask.document, question, content, bool(thought)),
    }
    message.update(ask.scenario.merge)
    return message


def _thought(ask: Ask) -> list[Document]:
    if ask.scenario.content == "redacted_thinking":
        return [{"type": "redacted_thinking", "data": _sealed("redacted", ask)}]
    thinking = mapping(ask.document.get("thinking"))
    if thinking.get("type") not in ("enabled", "adaptive"):
        return []
    text = "" if thinking.get("display") == "omitted" else ask.scenario.think or THOUGHT
    return [{"type": "thinking", "thinking": text, "signature": _sealed("thinking", ask)}]


def _sealed(what: str, ask: Ask) -> str:
    return base64.b64encode(hashlib.shake_256(f"{what}\0{ask.model}".encode()).digest(180)).decode()


def _citations(document: Document) -> list[Value] | None:
    """One citation of each document of the request that asks for them."""
    found: list[Value] = []
    index = 0
    for turn in mappings(document.get("messages")):
        for part in mappings(turn.get("content")):
            if part.get("type") != "document":
                continue
            if mapping(part.get("citations")).get("enabled") is True:
                source = str(mapping(part.get("source")).get("data", ""))
                found.append(
                    {
                        "type": "char_location",
                        "cited_text": source[:40],
                        "document_index": index,
                        "document_title": part.get("title"),
                        "start_char_index": 0,
                        "end_char_index": len(source[:40]),
                        "file_id": None,
                    }
                )
            index += 1
    return found or None


def _usage(document: Document, question: Question, content: list[Value], thought: bool) -> Document:
    cached = question.input_tokens // 2 if _cache_control(document) else 0
    spoken = sum(count(text) for text in texts(content)) or 1
    return {
        "input_tokens": question.input_tokens - cached,
        "output_tokens": spoken,
        "cache_creation_input_tokens": cached,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": cached, "ephemeral_1h_input_tokens": 0},
        "output_tokens_details": {"thinking_tokens": count(THOUGHT) if thought else 0},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _cache_control(value: Value) -> bool:
    if isinstance(value, dict):
        return value.get("cache_control") is not None or any(_cache_control(item) for item in value.values())
    return isinstance(value, list) and any(_cache_control(item) for item in value)


def _events(message: Document) -> list[Document]:
    """The events that add up to a message."""
    usage = mapping(message["usage"])
    begun: Document = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**usage, "output_tokens": 1, "output_tokens_details": None},
    }
    events: list[Document] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(mappings(message["content"])):
        start, deltas = _block(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        if index == 0:
            events.append({"type": "ping"})
        events.extend({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    end: Document = {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details", "container")}
    kept = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    total: Document = {key: usage[key] for key in (*kept, "output_tokens_details", "server_tool_use")}
    events.append({"type": "message_delta", "delta": end, "usage": total})
    events.append({"type": "message_stop"})
    return events


def _block(block: Document) -> tuple[Document, list[Document]]:
    """A block as it starts, and the deltas that fill it."""
    match block["type"]:
        case "text":
            cited = mappings(block.get("citations"))
            quotes: list[Document] = [{"type": "citations_delta", "citation": citation} for citation in cited]
            spoken: list[Document] = [{"type": "text_delta", "text": piece} for piece in pieces(str(block["text"]))]
            return {**block, "text": "", "citations": [] if cited else None}, quotes + spoken
        case "thinking":
            thought: list[Document] = [
                {"type": "thinking_delta", "thinking": piece} for piece in pieces(str(block["thinking"]))
            ]
            signature: Document = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thought, signature]
        case "tool_use":
            parts = ["", *pieces(json.dumps(block["input"], ensure_ascii=False))]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case _:
            return block, []
