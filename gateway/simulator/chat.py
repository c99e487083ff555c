"""OpenAI chat completions, plain and streamed."""

from __future__ import annotations

from gateway.simulator.answer import CREATED, Answer, Ask, BadRequest, encode, unnamed
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
from providers import sse
from providers.document import Document, Value

REFUSAL = "I'm sorry, I cannot assist with that request."


def complete(ask: Ask) -> Answer:
    """Answer `POST /v1/chat/completions`.

    Raises:
        BadRequest: model or messages are missing.
    """
    if not ask.model:
        raise BadRequest("model", "you must provide a model parameter")
    question = _question(ask.document)
    document = _completion(ask, question)
    error: Document = {
        "error": {
            "message": "The server had an error while processing your request",
            "type": ask.scenario.error_type or "server_error",
            "param": ask.scenario.error_param,
            "code": ask.scenario.error_code,
        }
    }
    if not ask.streamed:
        return Answer(body=encode(document))
    asked = mapping(ask.document.get("stream_options")).get("include_usage") is True
    events = [unnamed(chunk) for chunk in _chunks(document, asked)]
    return Answer(
        events=(*events, sse.build("", b"[DONE]")),
        content_type="text/event-stream; charset=utf-8",
        error_event=unnamed(error),
    )


def _question(document: Document) -> Question:
    messages = mappings(document.get("messages"))
    if not messages:
        raise BadRequest("messages", "messages must be a non-empty array of objects")
    last = next((turn for turn in reversed(messages) if turn.get("role") in ("user", "tool", "function")), {})
    tools: list[Tool] = []
    for tool in mappings(document.get("tools")):
        if tool.get("type") == "custom":
            tools.append(Tool(str(mapping(tool.get("custom")).get("name")), None))
        else:
            function = mapping(tool.get("function"))
            tools.append(Tool(str(function.get("name")), mapping(function.get("parameters"))))
    for function in mappings(document.get("functions")):
        tools.append(Tool(str(function.get("name")), mapping(function.get("parameters"))))
    shape = mapping(document.get("response_format"))
    schema: Document | None = None
    if shape.get("type") == "json_schema":
        schema = mapping(mapping(shape.get("json_schema")).get("schema"))
    elif shape.get("type") == "json_object":
        schema = {"type": "object", "properties": {"echo": {"type": "string"}}}
    limit = whole(document.get("max_completion_tokens"))
    return Question(
        text=prose(last.get("content")),
        answered=messages[-1].get("role") in ("tool", "function"),
        tools=tuple(tools),
        chosen=_chosen(document.get("tool_choice", document.get("function_call"))),
        parallel=document.get("parallel_tool_calls") is not False and "functions" not in document,
        schema=schema,
        limit=whole(document.get("max_tokens")) if limit is None else limit,
        stops=words_of(document.get("stop")),
        input_tokens=sum(count(text) for turn in messages for text in texts(turn.get("content")))
        + 3 * len(messages)
        + 8 * len(tools),
    )


def _chosen(choice: Value) -> str:
    if isinstance(choice, str):
        return choice
    named = mapping(choice)
    for key in ("function", "custom"):
        if isinstance(name := mapping(named.get(key)).get("name"), str):
            return name
    name = named.get("name")
    return name if isinstance(name, str) else "auto"


def _completion(ask: Ask, question: Question) -> Document:
    choices: list[Value] = []
    spoken = 0
    for index in range(whole(ask.document.get("n")) or 1):
        message, finish = _message(ask, question, index)
        said = "".join(texts([message.get("content"), message.get("refusal"), message.get("tool_calls")]))
        spoken += count(said) or 1
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": _logprobs(ask.document, message),
                "finish_reason": finish,
            }
        )
    reasoning = 16 if ask.document.get("reasoning_effort") not in (None, "none") else 0
    document: Document = {
        "id": f"chatcmpl-{ask.number:024d}",
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": question.input_tokens,
            "completion_tokens": spoken + reasoning,
            "total_tokens": question.input_tokens + spoken + reasoning,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }
    document.update(ask.scenario.merge)
    return document


def _message(ask: Ask, question: Question, index: int) -> tuple[Document, str]:
    message: Document = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    if ask.scenario.content == "refusal":
        message["refusal"] = REFUSAL
        return message, "stop"
    if calls := question.calls():
        if "functions" in ask.document:
            message["function_call"] = {"name": calls[0].tool.name, "arguments": calls[0].arguments}
            return message, "function_call"
        message["tool_calls"] = [
            {
                "id": f"call_{call.key}",
                "type": "custom",
                "custom": {"name": call.tool.name, "input": call.arguments},
            }
            if call.tool.schema is None
            else {
                "id": f"call_{call.key}",
                "type": "function",
                "function": {"name": call.tool.name, "arguments": call.arguments},
            }
            for call in calls
        ]
        return message, "tool_calls"
    text, stop, _met = question.reply(ask.scenario.say, index)
    message["content"] = text
    if ask.scenario.content == "annotations":
        citation: Document = {
            "url": "https://example.com/source",
            "title": "A source",
            "start_index": 0,
            "end_index": len(text),
        }
        message["annotations"] = [{"type": "url_citation", "url_citation": citation}]
    if ask.scenario.content == "content_filter":
        return message, "content_filter"
    return message, "length" if stop == "limit" else "stop"


def _logprobs(document: Document, message: Document) -> Document | None:
    if document.get("logprobs") is not True:
        return None
    top = whole(document.get("top_logprobs")) or 0

    def one(piece: str) -> Document:
        likely: Document = {"token": piece, "bytes": list(piece.encode()), "logprob": -0.125}
        return {**likely, "top_logprobs": [likely] * top}

    content = message.get("content")
    return {"content": [one(piece) for piece in pieces(content)] if isinstance(content, str) else None, "refusal": None}


def _chunks(document: Document, usage_asked: bool) -> list[Document]:
    """The chunks that add up to a completion: each choice in turn, then usage if it was asked for."""
    shared = {key: value for key, value in document.items() if key not in ("choices", "usage", "object")}

    def chunk(choices: list[Value], usage: Value = None) -> Document:
        whole_chunk: Document = {**shared, "object": "chat.completion.chunk", "choices": choices}
        if usage_asked:
            whole_chunk["usage"] = usage
        return whole_chunk

    chunks: list[Document] = []
    for choice in mappings(document["choices"]):
        probabilities = mappings(mapping(choice.get("logprobs")).get("content"))
        for place, delta in enumerate(_deltas(mapping(choice["message"]))):
            part: Document = {"index": choice["index"], "delta": delta, "logprobs": None, "finish_reason": None}
            if probabilities and 0 < place <= len(probabilities):
                part["logprobs"] = {"content": [probabilities[place - 1]], "refusal": None}
            chunks.append(chunk([part]))
        chunks.append(
            chunk([{"index": choice["index"], "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}])
        )
    if usage_asked:
        chunks.append(chunk([], document["usage"]))
    return chunks


def _deltas(message: Document) -> list[Document]:
    deltas: list[Document] = []
    first: Document = {"role": "assistant", "refusal": None}
    if isinstance(content := message.get("content"), str):
        deltas.append({**first, "content": ""})
        deltas.extend({"content": piece} for piece in pieces(content))
        return deltas
    if isinstance(refusal := message.get("refusal"), str):
        deltas.append({"role": "assistant", "content": None, "refusal": ""})
        deltas.extend({"refusal": piece} for piece in pieces(refusal))
        return deltas
    deltas.append({**first, "content": None})
    if call := mapping(message.get("function_call")):
        deltas.append({"function_call": {"name": call["name"], "arguments": ""}})
        deltas.extend({"function_call": {"arguments": piece}} for piece in pieces(str(call["arguments"])))
    for index, call in enumerate(mappings(message.get("tool_calls"))):
        kind, field = ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
        body = mapping(call[kind])
        deltas.append(
            {"tool_calls": [{"index": index, "id": call["id"], "type": kind, kind: {"name": body["name"], field: ""}}]}
        )
        deltas.extend({"tool_calls": [{"index": index, kind: {field: piece}}]} for piece in pieces(str(body[field])))
    return deltas
