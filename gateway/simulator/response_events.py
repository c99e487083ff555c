"""The stream events that add up to a response."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.simulator.question import mapping, mappings, pieces
from providers.document import Document, Value


def events(response: Document, *, queued: bool) -> list[Document]:
    """The events of a response in order, each with its sequence number."""
    begun: Document = {
        **response,
        "status": "in_progress",
        "output": [],
        "usage": None,
        "error": None,
        "completed_at": None,
        "incomplete_details": None,
    }
    listed: list[Document] = [{"type": "response.created", "response": begun}]
    if queued:
        listed.append({"type": "response.queued", "response": {**begun, "status": "queued"}})
    listed.append({"type": "response.in_progress", "response": begun})
    for index, item in enumerate(mappings(response["output"])):
        listed.extend({**event, "output_index": index} for event in _item(item))
    listed.append({"type": f"response.{response['status']}", "response": response})
    return [{**event, "sequence_number": number} for number, event in enumerate(listed)]


def _item(item: Document) -> Iterator[Document]:
    begun: Document = dict(item)
    if "status" in item:
        begun["status"] = "in_progress"
    for field, empty in _EMPTY.get(str(item["type"]), {}).items():
        if field in item:
            begun[field] = empty
    yield {"type": "response.output_item.added", "item": begun}
    yield from _summaries(item)
    yield from _inside(item)
    yield {"type": "response.output_item.done", "item": item}


def _inside(item: Document) -> Iterator[Document]:
    match item["type"]:
        case "message" | "reasoning":
            yield from _parts(item)
        case "function_call":
            yield from _deltas(item, "response.function_call_arguments", "arguments", str(item["arguments"]))
        case "custom_tool_call":
            yield from _deltas(item, "response.custom_tool_call_input", "input", str(item["input"]))
        case "shell_call":
            yield from _commands(item)
        case "web_search_call":
            for step in ("in_progress", "searching", "completed"):
                yield {"type": f"response.web_search_call.{step}", "item_id": item["id"]}
        case "compaction":
            yield {"type": "response.compaction.compacting", "item_id": item["id"]}
        case _:
            return


_EMPTY: dict[str, dict[str, Value]] = {
    "message": {"content": []},
    "reasoning": {"summary": [], "content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "shell_call": {"action": {"commands": [], "timeout_ms": None, "max_output_length": None}},
}


def _deltas(item: Document, prefix: str, field: str, text: str) -> Iterator[Document]:
    for piece in pieces(text):
        yield {"type": f"{prefix}.delta", "item_id": item["id"], "delta": piece}
    yield {"type": f"{prefix}.done", "item_id": item["id"], field: text}


_PART: dict[str, tuple[str, str]] = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
}


def _parts(item: Document) -> Iterator[Document]:
    for index, part in enumerate(mappings(item.get("content"))):
        prefix, field = _PART[str(part["type"])]
        place: Document = {"item_id": item["id"], "content_index": index}
        more: Document = {"logprobs": []} if part["type"] == "output_text" else {}
        begun: Document = {**part, field: ""}
        if "annotations" in part:
            begun["annotations"] = []
        yield {"type": "response.content_part.added", **place, "part": begun}
        for piece in pieces(str(part[field])):
            yield {"type": f"{prefix}.delta", **place, "delta": piece, **more}
        for number, annotation in enumerate(mappings(part.get("annotations"))):
            yield {
                "type": "response.output_text.annotation.added",
                **place,
                "annotation_index": number,
                "annotation": annotation,
            }
        yield {"type": f"{prefix}.done", **place, field: part[field], **more}
        yield {"type": "response.content_part.done", **place, "part": part}


def _summaries(item: Document) -> Iterator[Document]:
    for index, part in enumerate(mappings(item.get("summary"))):
        place: Document = {"item_id": item["id"], "summary_index": index}
        begun: Document = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": begun}
        for piece in pieces(str(part["text"])):
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}


def _commands(item: Document) -> Iterator[Document]:
    commands = mapping(item["action"]).get("commands")
    for index, command in enumerate(commands if isinstance(commands, list) else []):
        prefix = "response.shell_call_command"
        yield {"type": f"{prefix}.added", "command_index": index, "command": ""}
        for piece in pieces(str(command)):
            yield {"type": f"{prefix}.delta", "command_index": index, "delta": piece}
        yield {"type": f"{prefix}.done", "command_index": index, "command": command}
