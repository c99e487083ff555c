"""The OpenAI surface row by row: what each parameter, tool, part and item meets, and where."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, cast

import httpx2
import openai
import pydantic
import pytest

from gateway.errors import Code
from gateway.policy import rules
from gateway.policy.surface import Surface
from providers.document import Document, Encoded, Identifier, Opaque
from providers.openai import OPENAI
from tests import surfaces

RETAINS, UNKNOWN, UNSCANNABLE = Code.PARAMETER_RETAINS_DATA, Code.PARAMETER_UNKNOWN, Code.CONTENT_NOT_SCANNABLE
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(64))).decode()
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7" + bytes(range(64))).decode()
WAV = base64.b64encode(b"RIFF" + bytes(range(64))).decode()
BLOB = base64.urlsafe_b64encode(bytes(range(128, 256))).decode()
FAR = "https://third.party/picture.png"
SCHEMA: Document = {"type": "object", "properties": {"topic": {"type": "string"}}}
FUNCTION: Document = {"type": "function", "name": "find", "description": "Finds", "parameters": SCHEMA}
ALL = tuple(surfaces.written(OPENAI)["grants"])


@pytest.fixture(scope="module")
def surface() -> Surface:
    """The surface of this repository."""
    return surfaces.load(surfaces.written(OPENAI), OPENAI)


def request(operation: str, **fields: Any) -> Document:
    """A small request of an operation, with these fields."""
    base: dict[str, Document] = {
        "chat.completions": {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
        "responses": {"model": "m", "input": "hello"},
        "embeddings": {"model": "m", "input": "hello"},
        "moderations": {"model": "m", "input": "hello"},
        "audio.transcriptions": {
            "model": "m",
            "file": {"filename": "a.wav", "content_type": "audio/wav", "data": WAV},
        },
    }
    return base[operation] | fields


def met(surface: Surface, operation: str, document: Document, *granted: str) -> tuple[Code, str] | None:
    """Code and path that the request meets for a model with explicit caching, or None."""
    reading = surfaces.walk(*granted)
    return surfaces.refusal(surface.operations[operation], document, reading, prompt_cache="explicit")


def left(surface: Surface, operation: str, document: Document, *granted: str, **traits: str) -> Document:
    """What leaves."""
    traits = {"prompt_cache": "explicit"} | traits
    return surfaces.judged(surface.operations[operation], document, surfaces.walk(*granted), **traits)


def chat(*parts: Document) -> Document:
    """A chat request whose user message has these parts."""
    return request("chat.completions", messages=[{"role": "user", "content": list(parts)}])


def items(*entries: Document) -> Document:
    """A responses request with these input items."""
    return request("responses", input=list(entries))


def user(*parts: Document) -> Document:
    """A responses request whose user message has these parts."""
    return items({"role": "user", "content": list(parts)})


def tools(*entries: Document) -> Document:
    """A responses request with these tools."""
    return request("responses", tools=list(entries))


def call(kind: str, **fields: Any) -> Document:
    """An input item of a type."""
    return items({"type": kind, **fields})


C, R = "chat.completions", "responses"

# What is refused whatever was granted: (operation, request, code, path).
NEVER: dict[str, tuple[str, Document, Code, str]] = {
    # whole requests
    "unknown parameter": (R, request(R, surprise=1), UNKNOWN, "?2"),
    "no model": (R, {"input": "hello"}, Code.BODY_INVALID, "model"),
    "store, chat": (C, request(C, store=True), RETAINS, "store"),
    "store, responses": (R, request(R, store=True), RETAINS, "store"),
    "store as a number": (R, request(R, store=0), RETAINS, "store"),
    "background": (R, request(R, background=True), RETAINS, "background"),
    "background options": (
        R,
        request(R, background_options={"completion_window": "2h"}),
        RETAINS,
        "background_options",
    ),
    "previous response": (R, request(R, previous_response_id="resp_1"), RETAINS, "previous_response_id"),
    "conversation": (R, request(R, conversation={"id": "conv_1"}), RETAINS, "conversation"),
    "stored prompt": (R, request(R, prompt={"id": "pmpt_1"}), RETAINS, "prompt"),
    "access programs": (R, request(R, access_programs={"cyber": "standard"}), RETAINS, "access_programs"),
    "multi agent": (R, request(R, multi_agent={"enabled": True}), RETAINS, "multi_agent"),
    "spoken answer": (C, request(C, audio={"voice": "alloy", "format": "wav"}), RETAINS, "audio"),
    "modality audio": (C, request(C, modalities=["text", "audio"]), RETAINS, "modalities[1]"),
    "live search": (C, request(C, web_search_options={}), RETAINS, "web_search_options"),
    "include of a file search": (R, request(R, include=["file_search_call.results"]), RETAINS, "include[0]"),
    "include of hosted code": (R, request(R, include=["code_interpreter_call.outputs"]), RETAINS, "include[0]"),
    "include that is not named": (R, request(R, include=["everything"]), UNKNOWN, "include[0]"),
    "effort that is not named": (C, request(C, reasoning_effort="heroic"), UNKNOWN, "reasoning_effort"),
    "cache for 12 hours": (R, request(R, prompt_cache_options={"ttl": "12h"}), RETAINS, "prompt_cache_options.ttl"),
    "cache prewarmed": (R, request(R, prompt_cache_options={"prewarm": True}), RETAINS, "prompt_cache_options.prewarm"),
    "cache compared": (
        R,
        request(R, prompt_cache_options={"comparison_response_id": "resp_1"}),
        RETAINS,
        "prompt_cache_options.comparison_response_id",
    ),
    "cache kept for 24 hours": (C, request(C, prompt_cache_retention="24h"), RETAINS, "prompt_cache_retention"),
    "schema not approved, chat": (
        C,
        request(C, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}),
        Code.SCHEMA_NOT_APPROVED,
        "response_format.json_schema.schema",
    ),
    "schema not approved, responses": (
        R,
        request(R, text={"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}),
        Code.SCHEMA_NOT_APPROVED,
        "text.format.schema",
    ),
    "schema without strictness": (
        R,
        request(R, text={"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": False}}),
        Code.SCHEMA_NOT_APPROVED,
        "text.format.schema",
    ),
    # chat messages
    "stored audio": (
        C,
        request(C, messages=[{"role": "assistant", "audio": {"id": "audio_1"}}]),
        RETAINS,
        "messages[0].audio",
    ),
    "role that is not named": (
        C,
        request(C, messages=[{"role": "oracle", "content": ""}]),
        UNKNOWN,
        "messages[0].role",
    ),
    "part that is not named": (C, chat({"type": "smell"}), UNKNOWN, "messages[0].content[0].type"),
    "stored file, chat": (
        C,
        chat({"type": "file", "file": {"file_id": "file-1"}}),
        RETAINS,
        "messages[0].content[0].file.file_id",
    ),
    "distant image, chat": (
        C,
        chat({"type": "image_url", "image_url": {"url": FAR}}),
        RETAINS,
        "messages[0].content[0].image_url.url",
    ),
    "image that is none": (
        C,
        chat({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}),
        UNSCANNABLE,
        "messages[0].content[0].image_url.url",
    ),
    "strict function, chat": (
        C,
        request(C, tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}]),
        Code.SCHEMA_NOT_APPROVED,
        "tools[0].function.parameters",
    ),
    # parts of a responses message
    "stored image": (R, user({"type": "input_image", "file_id": "file-1"}), RETAINS, "input[0].content[0].file_id"),
    "distant image": (R, user({"type": "input_image", "image_url": FAR}), RETAINS, "input[0].content[0].image_url"),
    "stored file": (R, user({"type": "input_file", "file_id": "file-1"}), RETAINS, "input[0].content[0].file_id"),
    "distant file": (R, user({"type": "input_file", "file_url": FAR}), RETAINS, "input[0].content[0].file_url"),
    "stored image in a result": (
        R,
        call("function_call_output", call_id="c", output=[{"type": "input_image", "file_id": "file-1"}]),
        RETAINS,
        "input[0].output[0].file_id",
    ),
    "cited file": (
        R,
        items(
            {
                "role": "assistant",
                "content": [{"type": "output_text", "text": "", "annotations": [{"type": "file_citation"}]}],
            }
        ),
        RETAINS,
        "input[0].content[0].annotations[0]",
    ),
    # items of a responses input
    "item by reference": (R, call("item_reference", id="msg_1"), RETAINS, "input[0]"),
    "item by id alone": (R, items({"id": "msg_1"}), RETAINS, "input[0]"),
    "message by id": (R, call("message", role="assistant", id="msg_1"), RETAINS, "input[0].content"),
    "compaction by id": (R, call("compaction", id="cmp_1"), RETAINS, "input[0].encrypted_content"),
    "image by id": (R, call("image_generation_call", id="ig_1", status="completed"), RETAINS, "input[0].result"),
    "configuration update": (R, call("configuration_update", reasoning={"effort": "low"}), RETAINS, "input[0]"),
    "file search call": (R, call("file_search_call", id="fs_1", queries=[], status="completed"), RETAINS, "input[0]"),
    "hosted code call": (R, call("code_interpreter_call", id="ci_1", container_id="cntr_1"), RETAINS, "input[0]"),
    "shell in a container": (
        R,
        call("shell_call", call_id="c", environment={"type": "container_reference", "container_id": "x"}),
        RETAINS,
        "input[0].environment",
    ),
    "MCP list": (R, call("mcp_list_tools", id="l", server_label="s", tools=[]), RETAINS, "input[0]"),
    "MCP call": (R, call("mcp_call", id="l", server_label="s", name="n", arguments="{}"), RETAINS, "input[0]"),
    "MCP request": (R, call("mcp_approval_request", id="l", server_label="s"), RETAINS, "input[0]"),
    "MCP approval": (R, call("mcp_approval_response", approval_request_id="l", approve=True), RETAINS, "input[0]"),
    "blob that is text": (
        R,
        call("reasoning", id="rs_1", summary=[], encrypted_content=base64.b64encode(b"she is pregnant, " * 4).decode()),
        UNSCANNABLE,
        "input[0].encrypted_content",
    ),
    "item that is not named": (R, call("seance"), UNKNOWN, "input[0].type"),
    # tools of the responses wire
    "tool that is not named": (R, tools({"type": "oracle"}), UNKNOWN, "tools[0].type"),
    "hosted code": (R, tools({"type": "code_interpreter", "container": {"type": "auto"}}), RETAINS, "tools[0]"),
    "file search": (R, tools({"type": "file_search", "vector_store_ids": ["vs_1"]}), RETAINS, "tools[0]"),
    "MCP server": (R, tools({"type": "mcp", "server_label": "s", "server_url": FAR}), RETAINS, "tools[0]"),
    "search preview": (R, tools({"type": "web_search_preview"}), RETAINS, "tools[0]"),
    "dated search preview": (R, tools({"type": "web_search_preview_2025_03_11"}), RETAINS, "tools[0]"),
    "live web search": (
        R,
        tools({"type": "web_search", "external_web_access": True}),
        RETAINS,
        "tools[0].external_web_access",
    ),
    "shell without a place": (R, tools({"type": "shell"}), RETAINS, "tools[0].environment"),
    "hosted shell": (
        R,
        tools({"type": "shell", "environment": {"type": "container_auto"}}),
        RETAINS,
        "tools[0].environment",
    ),
    "image model left open": (R, tools({"type": "image_generation"}), RETAINS, "tools[0].model"),
    "stored mask": (
        R,
        tools({"type": "image_generation", "model": "i", "input_image_mask": {"file_id": "file-1"}}),
        RETAINS,
        "tools[0].input_image_mask.file_id",
    ),
    "strict function": (R, tools(FUNCTION | {"strict": True}), Code.SCHEMA_NOT_APPROVED, "tools[0].parameters"),
    "tool in a namespace": (
        R,
        tools({"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}),
        UNKNOWN,
        "tools[0].tools[0].type",
    ),
    "tool in the input": (R, call("additional_tools", tools=[{"type": "mcp"}]), RETAINS, "input[0].tools[0]"),
    "tool in a search result": (
        R,
        call("tool_search_output", execution="client", tools=[{"type": "file_search"}]),
        RETAINS,
        "input[0].tools[0]",
    ),
    "chosen MCP server": (R, request(R, tool_choice={"type": "mcp", "server_label": "s"}), RETAINS, "tool_choice"),
    "chosen among hosted tools": (
        R,
        request(R, tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "code_interpreter"}]}),
        RETAINS,
        "tool_choice.tools[0]",
    ),
    # other operations
    "tokens to embed": ("embeddings", request("embeddings", input=[1, 2]), UNSCANNABLE, "input[0]"),
    "lists of tokens to embed": ("embeddings", request("embeddings", input=[[1, 2]]), UNSCANNABLE, "input[0]"),
    "tokens to moderate": ("moderations", request("moderations", input=[1]), UNSCANNABLE, "input[0]"),
    "distant image to moderate": (
        "moderations",
        request("moderations", input=[{"type": "image_url", "image_url": {"url": FAR}}]),
        RETAINS,
        "input[0].image_url.url",
    ),
    "speakers by name": (
        "audio.transcriptions",
        request("audio.transcriptions", known_speaker_names=["Ann"]),
        RETAINS,
        "known_speaker_names",
    ),
    "speakers by voice": (
        "audio.transcriptions",
        request("audio.transcriptions", known_speaker_references=["data:"]),
        UNSCANNABLE,
        "known_speaker_references",
    ),
    "transcript that is no JSON": (
        "audio.transcriptions",
        request("audio.transcriptions", response_format="srt"),
        UNKNOWN,
        "response_format",
    ),
    "recording that is none": (
        "audio.transcriptions",
        request("audio.transcriptions", file={"filename": "a", "content_type": "audio/wav", "data": "aGVsbG8="}),
        UNSCANNABLE,
        "file.data",
    ),
}


@pytest.mark.parametrize(("operation", "document", "code", "path"), NEVER.values(), ids=NEVER)
def test_never_leaves(surface: Surface, operation: str, document: Document, code: Code, path: str) -> None:
    """What keeps data, points at kept data or cannot be read is refused even where all was granted."""
    assert met(surface, operation, document, *ALL) == (code, path)


# What one grant decides: (operation, request, grant, code without it, path without it).
GRANTED: dict[str, tuple[str, Document, str, Code, str]] = {
    "image, chat": (
        C,
        chat({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}),
        "inline_images",
        UNSCANNABLE,
        "messages[0].content[0].image_url.url",
    ),
    "file, chat": (
        C,
        chat({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}),
        "inline_files",
        UNSCANNABLE,
        "messages[0].content[0].file.file_data",
    ),
    "file without a media type": (
        C,
        chat({"type": "file", "file": {"file_data": PDF.partition(",")[2]}}),
        "inline_files",
        UNSCANNABLE,
        "messages[0].content[0].file.file_data",
    ),
    "audio, chat": (
        C,
        chat({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}),
        "inline_audio",
        UNSCANNABLE,
        "messages[0].content[0].input_audio.data",
    ),
    "image": (
        R,
        user({"type": "input_image", "image_url": PNG, "detail": "auto"}),
        "inline_images",
        UNSCANNABLE,
        "input[0].content[0].image_url",
    ),
    "file": (
        R,
        user({"type": "input_file", "file_data": PDF, "filename": "a.pdf"}),
        "inline_files",
        UNSCANNABLE,
        "input[0].content[0].file_data",
    ),
    "image to moderate": (
        "moderations",
        request("moderations", input=[{"type": "image_url", "image_url": {"url": PNG}}]),
        "inline_images",
        UNSCANNABLE,
        "input[0].image_url.url",
    ),
    "breakpoint, chat": (
        C,
        chat({"type": "text", "text": "", "prompt_cache_breakpoint": {"mode": "explicit"}}),
        "prompt_cache",
        RETAINS,
        "messages[0].content[0].prompt_cache_breakpoint",
    ),
    "breakpoint": (
        R,
        user({"type": "input_text", "text": "", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}),
        "prompt_cache",
        RETAINS,
        "input[0].content[0].prompt_cache_breakpoint",
    ),
    "cache options": (
        R,
        request(R, prompt_cache_options={"mode": "implicit", "ttl": "30m"}),
        "prompt_cache",
        RETAINS,
        "prompt_cache_options",
    ),
    "cached search": (
        R,
        tools({"type": "web_search", "external_web_access": False}),
        "web_search",
        RETAINS,
        "tools[0]",
    ),
    "include of a search": (R, request(R, include=["web_search_call.results"]), "web_search", RETAINS, "include[0]"),
    "drawn image": (R, tools({"type": "image_generation", "model": "i"}), "image_generation", RETAINS, "tools[0]"),
    "moderation, chat": (C, request(C, moderation={"model": "omni"}), "moderation_inline", RETAINS, "moderation"),
    "moderation": (
        R,
        request(R, moderation={"model": "omni", "policy": {"input": {"mode": "block"}}}),
        "moderation_inline",
        RETAINS,
        "moderation",
    ),
    "grammar, chat": (
        C,
        request(
            C,
            tools=[
                {
                    "type": "custom",
                    "custom": {
                        "name": "n",
                        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start:"}},
                    },
                }
            ],
        ),
        "custom_grammar",
        RETAINS,
        "tools[0].custom.format",
    ),
    "grammar": (
        R,
        tools({"type": "custom", "name": "n", "format": {"type": "grammar", "syntax": "lark", "definition": ""}}),
        "custom_grammar",
        RETAINS,
        "tools[0].format",
    ),
    "hosted search of tools": (R, tools({"type": "tool_search"}), "tool_search_hosted", RETAINS, "tools[0]"),
    "hosted search by name": (
        R,
        tools({"type": "tool_search", "execution": "server"}),
        "tool_search_hosted",
        RETAINS,
        "tools[0]",
    ),
    "replayed hosted search": (
        R,
        call("tool_search_call", arguments={}, execution="server"),
        "tool_search_hosted",
        RETAINS,
        "input[0]",
    ),
    "programs": (R, tools({"type": "programmatic_tool_calling"}), "programmatic_tools", RETAINS, "tools[0]"),
    "programs that call a function": (
        R,
        tools(FUNCTION | {"allowed_callers": ["programmatic"]}),
        "programmatic_tools",
        RETAINS,
        "tools[0].allowed_callers[0]",
    ),
    "computer": (R, tools({"type": "computer"}), "computer_use", RETAINS, "tools[0]"),
    "computer call": (
        R,
        call("computer_call", id="cu_1", call_id="c", actions=[{"type": "type", "text": "hi"}], status="completed"),
        "computer_use",
        RETAINS,
        "input[0]",
    ),
    "transcription": (
        "audio.transcriptions",
        request("audio.transcriptions", temperature="0.2", language="fr"),
        "audio_transcription",
        UNSCANNABLE,
        "",
    ),
}


@pytest.mark.parametrize("case", GRANTED.values(), ids=GRANTED)
def test_leaves_only_with_its_grant(surface: Surface, case: tuple[str, Document, str, Code, str]) -> None:
    """A conditional thing is refused without its grant, whatever else is granted, and leaves with it alone."""
    operation, document, grant, code, path = case
    others = [name for name in ALL if name != grant]

    assert met(surface, operation, document) == (code, path)
    assert met(surface, operation, document, *others) == (code, path)
    assert met(surface, operation, document, grant) is None


def test_screenshot_needs_both_grants(surface: Surface) -> None:
    """A screenshot is an image, so driving a computer needs the grant for images too."""
    output = {"type": "computer_screenshot", "image_url": PNG}
    document = call("computer_call_output", call_id="c", output=output)

    assert met(surface, R, document, "computer_use") == (UNSCANNABLE, "input[0].output.image_url")
    assert met(surface, R, document, "computer_use", "inline_images") is None


CHAT_TURNS: list[Document] = [
    {"role": "system", "content": "You coach."},
    {"role": "developer", "content": [{"type": "text", "text": "Briefly."}]},
    {"role": "user", "content": [{"type": "text", "text": "How was it?"}], "name": "Ann Lee"},
    {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "function_call": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "note", "input": "hm"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "noted"}]},
    {"role": "assistant", "function_call": {"name": "old", "arguments": "{}"}},
    {"role": "function", "name": "old", "content": "done"},
    {"role": "assistant", "content": [{"type": "text", "text": "Well"}, {"type": "refusal", "refusal": "No"}]},
]
ITEMS: list[Document] = [
    {"role": "user", "content": "hello"},
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}], "status": "completed"},
    {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "status": "completed",
        "phase": "final_answer",
        "content": [
            {
                "type": "output_text",
                "text": "see",
                "annotations": [
                    {"type": "url_citation", "url": FAR, "title": "t", "start_index": 0, "end_index": 3},
                ],
            },
            {"type": "refusal", "refusal": "no"},
        ],
    },
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "thought"}],
        "content": [{"type": "reasoning_text", "text": "hm"}],
        "encrypted_content": BLOB,
        "status": None,
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "find",
        "arguments": "{}",
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "found"},
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "found"}]},
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "note", "input": "hm"},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "noted"},
    {
        "type": "local_shell_call",
        "id": "lsh_1",
        "call_id": "call_3",
        "action": {"type": "exec", "command": ["ls"], "env": {"A": "b"}},
        "status": "completed",
    },
    {"type": "local_shell_call_output", "id": "lsh_1", "output": "a.txt"},
    {
        "type": "shell_call",
        "call_id": "call_4",
        "action": {"commands": ["ls"], "timeout_ms": 1},
        "environment": {"type": "local", "skills": [{"name": "s", "description": "d", "path": "/p"}]},
    },
    {
        "type": "shell_call_output",
        "call_id": "call_4",
        "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    {
        "type": "apply_patch_call",
        "call_id": "call_5",
        "status": "completed",
        "operation": {"type": "update_file", "path": "a", "diff": "+b"},
    },
    {"type": "apply_patch_call_output", "call_id": "call_5", "status": "completed", "output": "ok"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": BLOB},
    {"type": "compaction_trigger"},
    {"type": "tool_search_call", "execution": "client", "arguments": {"q": 1}, "call_id": "call_6"},
    {"type": "tool_search_output", "execution": "client", "tools": [FUNCTION | {"strict": False}], "call_id": "call_6"},
    {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "note"}]},
    {"type": "program", "id": "pg_1", "call_id": "call_7", "code": "1", "fingerprint": "f"},
    {"type": "program_output", "id": "po_1", "call_id": "call_7", "result": "1", "status": "completed"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
]
PASSING: dict[str, tuple[str, Document]] = {
    "chat turns": (C, request(C, messages=CHAT_TURNS)),
    "chat parameters": (
        C,
        request(
            C,
            n=2,
            seed=7,
            stop=["END"],
            temperature=0.2,
            top_p=1,
            frequency_penalty=0.5,
            presence_penalty=0,
            logit_bias={"50256": -100},
            logprobs=True,
            top_logprobs=2,
            max_tokens=5,
            max_completion_tokens=5,
            reasoning_effort="minimal",
            verbosity="low",
            parallel_tool_calls=False,
            modalities=["text"],
            response_format={"type": "json_object"},
            prediction={"type": "content", "content": "guess"},
            functions=[{"name": "old", "parameters": SCHEMA}],
            function_call={"name": "old"},
            tool_choice={"type": "function", "function": {"name": "find"}},
            tools=[
                {"type": "function", "function": {"name": "find", "parameters": SCHEMA, "strict": False}},
                {"type": "custom", "custom": {"name": "note", "format": {"type": "text"}}},
            ],
            stream=True,
            stream_options={"include_usage": False, "include_obfuscation": False},
        ),
    ),
    "nulls": (C, request(C, stop=None, tools=None, stream_options=None, logit_bias=None, response_format=None)),
    "items": (R, items(*ITEMS)),
    "responses parameters": (
        R,
        request(
            R,
            instructions="Coach.",
            include=["reasoning.encrypted_content", "message.output_text.logprobs"],
            reasoning={"effort": "high", "summary": "auto"},
            text={"format": {"type": "text"}, "verbosity": "low"},
            truncation="auto",
            context_management=[{"type": "compaction", "compact_threshold": 1000}],
            image={"context_compression": "auto"},
            max_output_tokens=9,
            max_tool_calls=1,
            parallel_tool_calls=True,
            temperature=1,
            top_p=0.5,
            top_logprobs=1,
            tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "find"}]},
            stream=True,
            stream_options={"include_obfuscation": True},
        ),
    ),
    "tools": (
        R,
        tools(
            FUNCTION | {"strict": False, "async": True, "defer_loading": True, "allowed_callers": ["direct"]},
            {"type": "custom", "name": "note", "format": {"type": "text"}},
            {"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION | {"strict": False}]},
            {"type": "apply_patch"},
            {"type": "local_shell"},
            {"type": "shell", "environment": {"type": "local"}},
            {"type": "tool_search", "execution": "client", "description": "d", "parameters": SCHEMA},
        ),
    ),
    "embeddings": ("embeddings", request("embeddings", input=["a", "b"], dimensions=8, encoding_format="base64")),
    "moderations": ("moderations", request("moderations", input=[{"type": "text", "text": "a"}])),
}


@pytest.mark.parametrize(("operation", "document"), PASSING.values(), ids=PASSING)
def test_ordinary_traffic_passes_unchanged(surface: Surface, operation: str, document: Document) -> None:
    """Stateless requests need no grant and leave as they came, but for what is forced."""
    kept = left(surface, operation, document)

    assert {key: value for key, value in kept.items() if key in document} == document


@pytest.mark.parametrize("operation", [C, R])
def test_safe_values_are_set_where_the_caller_sent_none(surface: Surface, operation: str) -> None:
    """Absent, `store` and the tier of service are set, and the header can say so."""
    reading = surfaces.walk()
    kept = surfaces.judged(surface.operations[operation], request(operation), reading, prompt_cache="explicit")

    assert kept["store"] is False
    assert kept["service_tier"] == "default"
    assert sorted(map(str, reading.forced)) == [
        "prompt_cache_options=mode:explicit",
        "service_tier=default",
        "store=false",
    ]


@pytest.mark.parametrize("value", [None, False])
def test_store_may_be_said_to_be_off(surface: Surface, value: bool | None) -> None:
    """Null counts as absence, and the safe value is no offence."""
    assert left(surface, R, request(R, store=value))["store"] is False
    assert "background" not in left(surface, R, request(R, background=value))


def test_identifiers_become_pseudonyms_and_metadata_stays_behind(surface: Surface) -> None:
    """What names a person leaves as a keyed hash, only where it was sent; metadata does not leave at all."""
    names = {"user": "ann", "safety_identifier": "ann", "prompt_cache_key": "ann"}
    kept = left(surface, C, request(C, metadata={"deal": "Acme"}, **names))
    bare = left(surface, C, request(C))

    assert {key: kept[key] for key in names} == dict.fromkeys(names, "pseudonym-3")
    assert "metadata" not in kept
    assert not set(bare) & {*names, "metadata"}


TIERS = ["auto", "flex", "scale", "priority", "fast"]


@pytest.mark.parametrize("tier", TIERS)
def test_other_tiers_are_replaced(surface: Surface, tier: str) -> None:
    """What other tiers keep is not stated, so the default is set in their place."""
    assert left(surface, C, request(C, service_tier=tier))["service_tier"] == "default"


CACHES = {
    "explicit": ({"mode": "explicit"}, None),
    "in_memory": (None, "in_memory"),
    "none": (None, None),
}


@pytest.mark.parametrize(("trait", "kept"), CACHES.items(), ids=CACHES)
@pytest.mark.parametrize("operation", [C, R])
def test_prompt_cache_is_kept_off_as_the_model_allows(
    surface: Surface, operation: str, trait: str, kept: tuple[Document | None, str | None]
) -> None:
    """Each kind of model gets the setting that keeps its prompts from being cached at rest."""
    document = left(surface, operation, request(operation), prompt_cache=trait)

    assert (document.get("prompt_cache_options"), document.get("prompt_cache_retention")) == kept


def test_model_without_a_safe_cache_setting_is_refused(surface: Surface) -> None:
    """A model that only keeps its cache for 24 hours has no trait on record, so nothing leaves for it."""
    assert surfaces.refusal(surface.operations[C], request(C), surfaces.walk()) == (RETAINS, "prompt_cache_options")
    assert surfaces.refusal(surface.operations[C], request(C), surfaces.walk("prompt_cache")) is None


def test_granted_cache_counts_as_used_where_the_caller_is_silent(surface: Surface) -> None:
    """With the grant the provider caches by itself, so its counters in the answer are no alarm."""
    reading = surfaces.walk("prompt_cache")
    kept = surfaces.judged(surface.operations[R], request(R), reading)

    assert list(reading.used) == ["prompt_cache"]
    assert not {"prompt_cache_options", "prompt_cache_retention"} & set(kept)


def test_contrary_cache_settings_are_refused(surface: Surface) -> None:
    """Without the grant a caller's own cache setting must be the safe one."""
    assert met(surface, R, request(R, prompt_cache_options={"mode": "explicit"})) is None
    assert met(surface, R, request(R, prompt_cache_options={"mode": "implicit"})) == (RETAINS, "prompt_cache_options")
    assert met(surface, R, request(R, prompt_cache_retention="in_memory")) == (RETAINS, "prompt_cache_retention")


def test_absent_audio_of_a_replayed_answer_is_no_offence(surface: Surface) -> None:
    """An answer that is sent back with a null where audio would be leaves without that key."""
    kept = left(surface, C, request(C, messages=[{"role": "assistant", "content": "hm", "audio": None}]))

    assert kept["messages"] == [{"role": "assistant", "content": "hm"}]


def test_strictness_of_functions_follows_each_dialect(surface: Surface) -> None:
    """Responses try strict where the flag is absent, so false is set; chat does not, so nothing is."""
    reading = surfaces.walk()
    kept = surfaces.judged(surface.operations[R], tools(FUNCTION), reading, prompt_cache="none")
    plain = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}

    assert cast("Any", kept["tools"])[0]["strict"] is False
    assert "tools.strict=false" in map(str, reading.forced)
    assert left(surface, C, request(C, tools=[plain]))["tools"] == [plain]


def test_approved_schemas_pass_strictly(surface: Surface) -> None:
    """With its digest approved, a schema leaves as the approved document, strict or absent."""
    for document in (
        tools(FUNCTION | {"strict": True}),
        tools(FUNCTION),
        request(R, text={"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}}),
    ):
        reading = surfaces.walk(schemas=(SCHEMA,))
        kept = surfaces.judged(surface.operations[R], document, reading, prompt_cache="none")

        assert {key: kept[key] for key in document} == document
        assert not [forced for forced in reading.forced if "strict" in str(forced)]


def test_web_search_is_kept_from_the_live_web(surface: Surface) -> None:
    """Granted and silent about live access, a search is told to use the index only."""
    kept = left(surface, R, tools({"type": "web_search"}), "web_search")

    assert kept["tools"] == [{"type": "web_search", "external_web_access": False}]


def test_every_hidden_model_is_gathered(surface: Surface) -> None:
    """Models inside tools and moderation are as much asked for as the call's own."""
    document = request(
        R,
        moderation={"model": "second"},
        tools=[{"type": "image_generation", "model": "third", "svg": {"model": "fourth"}}],
    )
    reading = surfaces.walk("moderation_inline", "image_generation")
    surfaces.judged(surface.operations[R], document, reading, prompt_cache="none")

    assert reading.models == ["m", "second", "third", "fourth"]


def test_log_probabilities_of_an_answer_stay_behind(surface: Surface) -> None:
    """Tokens and their bytes repeat the text in pieces that no scan can read, so they do not leave."""
    part = {"type": "output_text", "text": "no", "annotations": [], "logprobs": [{"token": "no", "bytes": [110, 111]}]}
    kept = left(surface, R, items({"type": "message", "role": "assistant", "id": "msg_1", "content": [part]}))

    assert cast("Any", kept["input"])[0]["content"][0] == {"type": "output_text", "text": "no", "annotations": []}


def asked(run: Callable[[openai.OpenAI], object]) -> list[Document]:
    """The bodies that the official client sends; the provider answers each with a structured answer and a call."""
    bodies: list[Document] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.read()))
        return httpx2.Response(200, json=CHAT_ANSWER if request.url.path.endswith("completions") else ANSWER)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    with openai.OpenAI(api_key="key", base_url="http://provider.test/v1", http_client=transport) as client:
        run(client)
    return bodies


class Topic(pydantic.BaseModel):
    """What a call was about."""

    topic: str


CHAT_ANSWER: Document = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {
                "role": "assistant",
                "content": '{"topic":"x"}',
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "Topic", "arguments": '{"topic":"x"}'}}
                ],
            },
        }
    ],
}
ANSWER: Document = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": BLOB},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": '{"topic":"x"}', "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "Topic", "arguments": '{"topic":"x"}'},
    ],
}
FIRST: Any = {"role": "user", "content": "What was it about?"}
HELPED: Any = [openai.pydantic_function_tool(Topic)]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's own, of its own parsed message
def test_parsed_chat_answer_can_be_sent_back(surface: Surface) -> None:
    """A message of the parse helper, appended as it is or dumped, leaves without the client's own reading of it."""

    def run(client: openai.OpenAI) -> None:
        first = client.chat.completions.parse(model="m", messages=[FIRST], response_format=Topic, tools=HELPED)
        message: Any = first.choices[0].message
        assert message.parsed == Topic(topic="x")
        client.chat.completions.create(model="m", messages=[FIRST, message])
        client.chat.completions.create(model="m", messages=[FIRST, message.model_dump(warnings=False)])

    _parse, *replays = asked(run)
    kept = [cast("Any", left(surface, C, body))["messages"][1] for body in replays]

    assert [message["content"] for message in kept] == ['{"topic":"x"}'] * 2
    assert "parsed" in json.dumps(replays)
    assert "parsed" not in json.dumps(kept)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_parsed_response_can_be_sent_back(surface: Surface) -> None:
    """Output items of the parse helper, appended as they are or dumped, leave as stateless items."""

    def run(client: openai.OpenAI) -> None:
        tool: Any = {"type": "function", "name": "Topic", "strict": True, "parameters": SCHEMA}
        first = client.responses.parse(model="m", input=[FIRST], text_format=Topic, tools=[tool])
        items: list[Any] = list(first.output)
        client.responses.create(model="m", input=[FIRST, *items])
        client.responses.create(model="m", input=[FIRST, *[item.model_dump(warnings=False) for item in items]])

    _parse, *replays = asked(run)
    kept = [cast("Any", left(surface, R, body))["input"] for body in replays]

    assert [[item.get("type") for item in items] for items in kept] == [
        [None, "reasoning", "message", "function_call"]
    ] * 2
    assert "parsed" not in json.dumps(kept)


def test_strings_have_the_type_that_says_how_they_are_scanned(surface: Surface) -> None:
    """Content stays plain text; ids, arguments, blobs and our own constants are told apart from it."""
    kept = cast("Any", left(surface, R, items(*ITEMS))["input"])
    by_type = {item.get("type"): item for item in kept}

    assert type(kept[0]["content"]) is str
    assert type(by_type["function_call"]["arguments"]) is Encoded
    assert type(by_type["function_call"]["call_id"]) is Identifier
    assert type(by_type["reasoning"]["encrypted_content"]) is Opaque
    assert type(by_type["function_call"]["type"]) is Opaque
    assert type(by_type["local_shell_call"]["action"]["env"]["A"]) is str


@pytest.mark.parametrize(("length", "passes"), [(63, True), (64, True), (65, False)])
def test_ids_have_the_length_that_the_provider_allows(surface: Surface, length: int, passes: bool) -> None:
    """An id of an item is at most 64 characters long."""
    document = call("function_call_output", call_id="c" * length, output="")

    assert (met(surface, R, document) is None) is passes


def test_beta_headers_are_refused_by_name(surface: Surface) -> None:
    """No beta of this wire is eligible; one that the surface does not name is unknown."""
    codes = {}
    for value in ("responses_multi_agent=v1", "tomorrow=v1"):
        with pytest.raises(rules.Misfit) as refusal:
            surface.read_headers({"openai-beta": value}, surfaces.walk(*ALL))
        codes[value] = (refusal.value.code, refusal.value.where())

    assert codes == {
        "responses_multi_agent=v1": (RETAINS, "openai-beta"),
        "tomorrow=v1": (UNKNOWN, "openai-beta"),
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1/responses/input_tokens"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/files"),
        ("POST", "/v1/batches"),
        ("POST", "/v1/audio/speech"),
        ("GET", "/v1/realtime"),
        ("POST", "/v1/threads/thread_1/runs/run_1/submit_tool_outputs"),
        ("DELETE", "/v1/models/m"),
    ],
)
def test_other_paths_are_refused_with_advice(surface: Surface, method: str, path: str) -> None:
    """A path that is not granted has a rule that says what to do instead."""
    rule = surface.refusal_of(method, path)

    assert rule is not None
    assert rule.instead


def test_every_refusal_gives_advice_and_a_source(surface: Surface) -> None:
    """Wherever the surface says no, it says what to do instead, as a sentence, and where that is written."""
    silent = []
    for name, shape in surface.shapes.items():
        named = getattr(shape, "fields", None) or getattr(shape, "cases", None) or getattr(shape, "values", None) or {}
        for key, verdict in named.items():
            if isinstance(verdict, rules.Refuse | rules.Conditional):
                sentence = verdict.rule.instead or ""
                if verdict.rule.source == "surface" or not sentence[:1].isupper() or not sentence.endswith("."):
                    silent.append(f"{name}.{key}")

    assert not silent
