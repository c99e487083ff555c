"""OpenAI responses, plain and streamed: the items of the stateless surface."""

from __future__ import annotations

import base64
import hashlib

from gateway.simulator.answer import CREATED, Answer, Ask, BadRequest, encode, named
from gateway.simulator.question import (
    Question,
    Tool,
    count,
    mapping,
    mappings,
    prose,
    texts,
    whole,
    words_of,
)
from gateway.simulator.response_events import events
from providers.document import Document, Value

REFUSAL = "I'm sorry, I cannot assist with that request."
SUMMARY = "**Reading** The question is read and repeated."
REASONING = "The question is read, and the answer repeats what it says."


def create(ask: Ask) -> Answer:
    """Answer `POST /v1/responses`.

    Raises:
        BadRequest: model or input is missing.
    """
    if not ask.model:
        raise BadRequest("model", "Missing required parameter: 'model'.")
    response = _response(ask, _question(ask.document))
    if not ask.streamed:
        return Answer(body=encode(response))
    error: Document = {
        "type": "error",
        "code": ask.scenario.error_code or "server_error",
        "message": "The server had an error while processing your request",
        "param": ask.scenario.error_param,
        "sequence_number": 0,
    }
    return Answer(
        events=tuple(named(event) for event in events(response, queued=ask.scenario.content == "queued")),
        content_type="text/event-stream; charset=utf-8",
        error_event=named(error),
    )


def _question(document: Document) -> Question:
    given = document.get("input")
    if not given:
        raise BadRequest("input", "Missing required parameter: 'input'.")
    items = mappings(given)
    last = items[-1] if items else {}
    outputs = {"function_call_output", "custom_tool_call_output", "shell_call_output", "apply_patch_call_output"}
    answered = last.get("type") in outputs
    turn = next((item for item in reversed(items) if item.get("role") == "user"), {})
    text = given if isinstance(given, str) else prose(last.get("output") if answered else turn.get("content"))
    tools: list[Tool] = []
    for tool in mappings(document.get("tools")):
        if tool.get("type") == "function":
            tools.append(Tool(str(tool.get("name")), mapping(tool.get("parameters"))))
        elif tool.get("type") == "custom":
            tools.append(Tool(str(tool.get("name")), None))
    choice = document.get("tool_choice")
    name = mapping(choice).get("name")
    shape = mapping(mapping(document.get("text")).get("format"))
    schema: Document | None = None
    if shape.get("type") == "json_schema":
        schema = mapping(shape.get("schema"))
    elif shape.get("type") == "json_object":
        schema = {"type": "object", "properties": {"echo": {"type": "string"}}}
    return Question(
        text=text,
        answered=answered,
        tools=tuple(tools),
        chosen=name if isinstance(name, str) else choice if isinstance(choice, str) else "auto",
        parallel=document.get("parallel_tool_calls") is not False,
        schema=schema,
        limit=whole(document.get("max_output_tokens")),
        stops=words_of(document.get("stop")),
        input_tokens=sum(count(part) for part in texts([given, document.get("instructions")])) + 8 * len(tools),
    )


def _response(ask: Ask, question: Question) -> Document:
    document = ask.document
    output: list[Value] = [dict(item) for item in ask.scenario.items]
    reasoning = _reasoning(ask)
    output.extend(reasoning)
    output.extend(_client_calls(document, question))
    spoken, cut = _spoken(ask, question)
    output.extend(spoken)
    failed = ask.scenario.content == "failed"
    filtered = ask.scenario.content == "content_filter"
    reason = "content_filter" if filtered else "max_output_tokens"
    status = "failed" if failed else "incomplete" if cut or filtered else "completed"
    thought = 16 if reasoning else 0
    tokens = sum(count(text) for text in texts(spoken)) + thought
    response: Document = {
        "id": f"resp_{ask.number:048d}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "completed_at": CREATED + 1 if status == "completed" else None,
        "background": False,
        "error": {"code": "server_error", "message": "The server had an error."} if failed else None,
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        "instructions": document.get("instructions"),
        "max_output_tokens": document.get("max_output_tokens"),
        "max_tool_calls": document.get("max_tool_calls"),
        "model": ask.model,
        "output": [] if failed else output,
        "parallel_tool_calls": document.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **mapping(document.get("reasoning"))},
        "service_tier": "default",
        "temperature": document.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **mapping(document.get("text"))},
        "tool_choice": document.get("tool_choice", "auto"),
        "tools": document.get("tools", []),
        "top_logprobs": document.get("top_logprobs", 0),
        "top_p": document.get("top_p", 1.0),
        "truncation": document.get("truncation", "disabled"),
        "user": None,
        "metadata": {},
        "usage": {
            "input_tokens": question.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": question.input_tokens + tokens,
        },
    }
    response.update(ask.scenario.merge)
    return response


def _reasoning(ask: Ask) -> list[Document]:
    asked = mapping(ask.document.get("reasoning"))
    if not asked and ask.scenario.content != "reasoning_text":
        return []
    wanted = asked.get("summary") is not None
    summary: list[Value] = [{"type": "summary_text", "text": ask.scenario.think or SUMMARY}] if wanted else []
    item: Document = {"id": f"rs_{ask.number:048d}", "type": "reasoning", "summary": summary}
    if ask.scenario.content == "reasoning_text":
        item["content"] = [{"type": "reasoning_text", "text": ask.scenario.think or REASONING}]
    if "reasoning.encrypted_content" in words_of(ask.document.get("include")):
        item["encrypted_content"] = sealed(f"reasoning\0{ask.model}")
    return [item]


def sealed(what: str) -> str:
    """A blob as opaque as the provider's own: base64 of bytes that are not text."""
    return base64.b64encode(hashlib.shake_256(what.encode()).digest(180)).decode()


def _client_calls(document: Document, question: Question) -> list[Document]:
    """Calls of the typed tools that run at the caller, and what a granted hosted search would show."""
    items: list[Document] = []
    kinds = {str(tool.get("type")) for tool in mappings(document.get("tools"))}
    if question.answered:
        return items
    if "shell" in kinds:
        action: Document = {"commands": ["ls -l", "date"], "timeout_ms": 1000, "max_output_length": 4096}
        items.append({**_client("sh", "shell_call"), "action": action, "environment": {"type": "local"}})
    if "apply_patch" in kinds:
        operation: Document = {"type": "create_file", "path": "notes.txt", "diff": "+" + question.text}
        items.append({**_client("apc", "apply_patch_call"), "operation": operation})
    if "tool_search" in kinds:
        items.append(
            {**_client("tsc", "tool_search_call"), "execution": "client", "arguments": {"query": question.text}}
        )
    if kinds & {"web_search", "web_search_2025_08_26"}:
        search: Document = {"type": "search", "query": question.text}
        items.append({"id": f"ws_{'0' * 24}", "type": "web_search_call", "status": "completed", "action": search})
    if document.get("context_management"):
        items.append({"id": f"cmp_{'0' * 24}", "type": "compaction", "encrypted_content": sealed("compaction")})
    return items


def _client(prefix: str, kind: str) -> Document:
    return {"id": f"{prefix}_{'0' * 24}", "type": kind, "call_id": f"call_{prefix}", "status": "completed"}


def _spoken(ask: Ask, question: Question) -> tuple[list[Document], bool]:
    """What the model says or calls, and whether the limit cut it."""
    if calls := question.calls():
        return [
            {
                "id": f"ctc_{call.key}",
                "type": "custom_tool_call",
                "call_id": f"call_{call.key}",
                "name": call.tool.name,
                "input": call.arguments,
            }
            if call.tool.schema is None
            else {
                "id": f"fc_{call.key}",
                "type": "function_call",
                "call_id": f"call_{call.key}",
                "name": call.tool.name,
                "arguments": call.arguments,
                "status": "completed",
            }
            for call in calls
        ], False
    message: Document = {"id": f"msg_{ask.number:048d}", "type": "message", "role": "assistant"}
    if ask.scenario.content == "refusal":
        return [{**message, "status": "completed", "content": [{"type": "refusal", "refusal": REFUSAL}]}], False
    text, stop, _met = question.reply(ask.scenario.say)
    annotations: list[Value] = []
    if ask.scenario.content == "annotations":
        annotations.append(
            {
                "type": "url_citation",
                "url": "https://example.com/source",
                "title": "A source",
                "start_index": 0,
                "end_index": len(text),
            }
        )
    part: Document = {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}
    cut = stop == "limit"
    return [{**message, "status": "incomplete" if cut else "completed", "content": [part]}], cut
