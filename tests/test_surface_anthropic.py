"""The retention surface of the Anthropic wire, row by row: what may leave, what may not, and why.

The surface is the committed file; each row sends one thing and states the code and the path that the
caller reads, or the value that leaves. Which things exist at all is the drift alarm's business.
"""

from __future__ import annotations

import base64
import hashlib
import json
import typing
from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx2 as httpx
import pytest
import yaml
from anthropic import types as ga

from gateway.errors import Code, UpstreamError
from gateway.policy import rules
from gateway.policy.grammar import parse
from gateway.policy.rules import Misfit, Walk
from gateway.policy.surface import Surface
from providers.anthropic import ANTHROPIC, MESSAGES
from providers.document import Approved, Document, Identifier, Opaque, Sealed, Value

FILE = Path(__file__).parents[1] / "config" / "surfaces" / "anthropic.yaml"


def compiled() -> Surface:
    """The committed surface, without a fault."""
    faults: list[str] = []
    surface = parse(
        yaml.safe_load(FILE.read_text("utf-8")), ANTHROPIC, lambda path, why: faults.append(f"{path} {why}")
    )
    assert not faults, "\n".join(faults)
    return surface


SURFACE = compiled()
GRANTS = tuple(SURFACE.grants)
APPROVED: Document = {"type": "object", "properties": {"score": {"type": "integer"}}}
CIPHERTEXT = base64.b64encode(hashlib.sha512(b"signature").digest()).decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9)).decode()
PDF = base64.b64encode(b"%PDF-1.7 and so on").decode()
RETAINS, UNKNOWN, UNSCANNABLE, SCHEMA = (
    Code.PARAMETER_RETAINS_DATA,
    Code.PARAMETER_UNKNOWN,
    Code.CONTENT_NOT_SCANNABLE,
    Code.SCHEMA_NOT_APPROVED,
)


def walk(*granted: str) -> Walk:
    """A reader with these grants, one approved schema and a visible pseudonym."""
    return Walk(
        frozenset(granted),
        lambda schema: Approved(APPROVED) if schema == APPROVED else None,
        lambda identifier: f"hashed-{len(identifier)}",
    )


def read(document: Document, reader: Walk, operation: str = "messages") -> Document:
    """The request that leaves.

    Raises:
        Misfit: none does.
    """
    kept = SURFACE.operations[operation].read(document, reader)
    assert isinstance(kept, dict)
    return kept


def request(**change: Value) -> Document:
    """A small request with a change."""
    return {"model": "claude-opus-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}], **change}


def without_nulls(value: Value) -> Value:
    """The same document without its nulls, which say nothing on this wire."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def saying(*blocks: Value, role: str = "user") -> Document:
    """A request whose only message has these blocks."""
    return request(messages=[{"role": role, "content": list(blocks)}])


def verdict(document: Document, *granted: str, operation: str = "messages") -> tuple[Code, str] | None:
    """Code and path of the refusal, or None where the request may leave."""
    try:
        read(document, walk(*granted), operation)
    except Misfit as misfit:
        return misfit.code, misfit.where()
    return None


def advice(document: Document, *granted: str) -> str:
    """What the refusal tells the caller to do instead."""
    with pytest.raises(Misfit) as caught:
        read(document, walk(*granted))
    assert caught.value.rule.instead
    return caught.value.rule.instead


# --- parameters ---------------------------------------------------------------------------------

ALLOWED: dict[str, dict[str, Value]] = {
    "sampling of the older version": {"temperature": 0.2, "top_p": 0.9, "top_k": 5},
    "a system string": {"system": "Be kind."},
    "system blocks": {"system": [{"type": "text", "text": "Be kind."}]},
    "stop sequences and streaming": {"stop_sequences": ["END"], "stream": True},
    "thinking, enabled": {"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}},
    "thinking, adaptive": {
        "thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    },
    "thinking, off": {"thinking": {"type": "disabled"}},
    "thinking, between tools": {"thinking": {"type": "between_tools"}},
    "effort and budget": {"output_config": {"effort": "high", "task_budget": {"type": "tokens", "total": 9}}},
    "speed and tier": {"speed": "fast", "service_tier": "standard_only"},
    "tool choice by name": {"tool_choice": {"type": "tool", "name": "log_call", "disable_parallel_tool_use": True}},
    "tool choice none": {"tool_choice": {"type": "none"}},
    "clearing of tool uses": {
        "context_management": {
            "edits": [
                {
                    "type": "clear_tool_uses_20250919",
                    "trigger": {"type": "input_tokens", "value": 9},
                    "keep": {"type": "tool_uses", "value": 3},
                    "exclude_tools": ["log_call"],
                    "clear_tool_inputs": ["log_call"],
                }
            ]
        }
    },
    "clearing of thinking": {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    "compaction in place": {
        "context_management": {"edits": [{"type": "compact_20260112", "instructions": "Briefly.", "trigger": None}]}
    },
    "compaction": {"compaction": {"type": "summarize"}},
    "an approved schema": {"output_config": {"format": {"type": "json_schema", "schema": APPROVED}}},
    "an approved schema by its first name": {"output_format": {"type": "json_schema", "schema": APPROVED}},
    "nulls of every kind": {
        "thread": None,
        "container": None,
        "diagnostics": None,
        "fallbacks": None,
        "billing_policy": None,
        "cache_control": None,
        "inference_geo": None,
        "metadata": {"user_id": None},
        "fallback_credit_token": None,
    },
    "an empty list of MCP servers": {"mcp_servers": []},
}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_parameter_leaves_as_it_came(change: dict[str, Value]) -> None:
    """A parameter that keeps nothing leaves unchanged in meaning, without any grant."""
    document = request(**change)

    kept = read(document, walk())

    expected = {key: value for key, value in document.items() if value != []}
    assert without_nulls(kept) == without_nulls(expected)


FALLBACK: Value = [{"model": "claude-sonnet-5", "max_tokens": 5}]
REFUSED: dict[str, tuple[dict[str, Value], Code, str]] = {
    "a new thread": ({"thread": {"type": "create"}}, RETAINS, "thread"),
    "a thread that goes on": ({"thread": {"type": "continue", "previous_message_id": "msg_1"}}, RETAINS, "thread"),
    "a container by id": ({"container": "container_1"}, RETAINS, "container"),
    "a container with skills": ({"container": {"skills": []}}, RETAINS, "container"),
    "MCP servers": ({"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}, RETAINS, "mcp_servers"),
    "diagnostics": ({"diagnostics": {"previous_message_id": "msg_1"}}, RETAINS, "diagnostics"),
    "diagnostics without an id": ({"diagnostics": {"previous_message_id": None}}, RETAINS, "diagnostics"),
    "a billing policy": ({"billing_policy": {"type": "billing_policy"}}, RETAINS, "billing_policy"),
    "a user profile": ({"user_profile_id": "up_1"}, RETAINS, "user_profile_id"),
    "a workspace": ({"workspace_id": "wrkspc_1"}, RETAINS, "workspace_id"),
    "betas in the body": ({"betas": ["x"]}, UNKNOWN, "betas"),
    "the provider's own fallbacks": ({"fallbacks": "default"}, RETAINS, "fallbacks"),
    "an unknown parameter": ({"store": True}, UNKNOWN, "?3"),
    "an unknown thinking": ({"thinking": {"type": "remote"}}, UNKNOWN, "thinking.type"),
    "an unknown tier": ({"service_tier": "flex"}, UNKNOWN, "service_tier"),
    "an unapproved schema": (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        SCHEMA,
        "output_config.format.schema",
    ),
    "an unapproved schema by its first name": (
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
        SCHEMA,
        "output_format.schema",
    ),
    "an unknown edit": (
        {"context_management": {"edits": [{"type": "x"}]}},
        UNKNOWN,
        "context_management.edits[0].type",
    ),
}


@pytest.mark.parametrize(("change", "code", "path"), REFUSED.values(), ids=REFUSED)
def test_parameter_is_refused_whatever_is_granted(change: dict[str, Value], code: Code, path: str) -> None:
    """A parameter that keeps data, or that the surface does not name, is refused with its path."""
    assert verdict(request(**change)) == (code, path)
    assert verdict(request(**change), *GRANTS) == (code, path)


CONDITIONAL: dict[str, tuple[dict[str, Value], str, str]] = {
    "a cache of the whole": ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "prompt_cache", "cache_control"),
    "a cache of the system": (
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        "prompt_cache",
        "system[0].cache_control",
    ),
    "a cache of the tools": (
        {"tools": [{"name": "t", "input_schema": {}, "cache_control": {"type": "ephemeral"}}]},
        "prompt_cache",
        "tools[0].cache_control",
    ),
    "a list of fallbacks": ({"fallbacks": FALLBACK}, "server_fallback", "fallbacks"),
    "a credit": ({"fallback_credit_token": "t"}, "server_fallback", "fallback_credit_token"),
    "a credit with a mode": (
        {"fallback_credit_token": {"token": "t", "mode": "strict"}},
        "server_fallback",
        "fallback_credit_token",
    ),
}


@pytest.mark.parametrize(("change", "grant", "path"), CONDITIONAL.values(), ids=CONDITIONAL)
def test_parameter_needs_its_grant(change: dict[str, Value], grant: str, path: str) -> None:
    """A conditional parameter leaves under its own grant only, and the use is noted."""
    reader = walk(grant)

    kept = read(request(**change), reader)

    assert kept == request(**change)
    assert list(reader.used) == [grant]
    assert verdict(request(**change)) == (RETAINS, path)
    assert verdict(request(**change), *set(GRANTS) - {grant}) == (RETAINS, path)


def test_models_hidden_in_fallbacks_and_advisors_are_gathered() -> None:
    """Every model that may read the conversation is judged, wherever it is named."""
    reader = walk("server_fallback", "advisor")
    change = request(fallbacks=FALLBACK, tools=[{"type": "advisor_20260301", "name": "advisor", "model": "other"}])

    read(change, reader)

    assert sorted(reader.models) == ["claude-opus-5", "claude-sonnet-5", "other"]


def test_user_is_replaced_by_a_pseudonym() -> None:
    """The caller's identifier never leaves."""
    reader = walk()

    kept = read(request(metadata={"user_id": "jane@example.org"}), reader)

    assert kept["metadata"] == {"user_id": "hashed-16"}
    assert [str(forced) for forced in reader.forced] == ["metadata.user_id=pseudonym"]


REGIONS: dict[str, tuple[Value, str, Value]] = {
    "absent, in the United States": (None, "us", "us"),
    "absent, anywhere": (None, "global", "global"),
    "absent, on a model without a choice": (None, "unsupported", None),
    "the same": ("us", "us", "us"),
}


def settled(sent: Value, trait: str) -> Document:
    """A request after routing to a model with this trait."""
    reader = walk()
    kept = read(request() if sent is None else request(inference_geo=sent), reader)
    for force, value in reader.deferred:
        force.settle(value, {"inference_geo": trait}, kept, reader.forced)
    return kept


@pytest.mark.parametrize(("sent", "trait", "kept"), REGIONS.values(), ids=REGIONS)
def test_region_follows_from_the_model(sent: Value, trait: str, kept: Value) -> None:
    """Where inference runs is set from the registry's trait of the routed model."""
    assert settled(sent, trait).get("inference_geo") == kept


@pytest.mark.parametrize(("sent", "trait"), [("global", "us"), ("us", "global"), ("us", "unsupported")])
def test_contrary_region_is_refused(sent: str, trait: str) -> None:
    """A caller who asks for another region learns of it."""
    with pytest.raises(Misfit) as caught:
        settled(sent, trait)

    assert (caught.value.code, caught.value.where()) == (RETAINS, "inference_geo")
    assert caught.value.rule.instead


def test_count_of_tokens_has_the_same_rules() -> None:
    """The body of a count is judged like the call's own; it has no region to set."""
    body: Document = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "system": "x"}
    reader = walk()

    assert read(body, reader, "messages.count_tokens") == body
    assert not reader.deferred
    assert verdict({**body, "thread": {"type": "create"}}, operation="messages.count_tokens") == (RETAINS, "thread")
    assert verdict({**body, "max_tokens": 5}, operation="messages.count_tokens") == (UNKNOWN, "?3")


# --- content blocks -----------------------------------------------------------------------------

CITATIONS: list[Value] = [
    {
        "type": "char_location",
        "cited_text": "x",
        "document_index": 0,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 1,
        "file_id": None,
    },
    {
        "type": "search_result_location",
        "cited_text": "x",
        "search_result_index": 0,
        "source": "s",
        "title": "t",
        "start_block_index": 0,
        "end_block_index": 1,
    },
]
IMAGE: Document = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
BLOCKS: dict[str, Document] = {
    "text": {"type": "text", "text": "Hi", "citations": None},
    "text with citations": {"type": "text", "text": "Hi", "citations": CITATIONS},
    "a text document": {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "x"},
        "title": "t",
        "context": "c",
        "citations": {"enabled": True},
    },
    "a document of blocks": {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
    },
    "a search result": {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "x"}],
    },
    "thinking": {"type": "thinking", "thinking": "Hm.", "signature": CIPHERTEXT},
    "thinking without its text": {"type": "thinking", "thinking": "", "signature": CIPHERTEXT},
    "redacted thinking": {"type": "redacted_thinking", "data": CIPHERTEXT},
    "a tool use": {"type": "tool_use", "id": "toolu_1", "name": "n", "input": {"a": [1]}, "caller": {"type": "direct"}},
    "a tool result": {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x", "is_error": False},
    "a tool result of blocks": {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "x"}, {"type": "tool_reference", "tool_name": "n"}],
    },
    "a compaction": {
        "type": "compaction",
        "content": "Summary.",
        "signature": CIPHERTEXT,
        "encrypted_content": CIPHERTEXT,
    },
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_block_leaves_as_it_came(block: Document) -> None:
    """A block that keeps nothing leaves unchanged, in a user's turn and in a replayed answer."""
    for role in ("user", "assistant"):
        assert without_nulls(read(saying(block, role=role), walk())) == without_nulls(saying(block, role=role))


AT = "messages[0].content[0]"
URL: Value = {"type": "url", "url": "https://x"}
STORED: Value = {"type": "file", "file_id": "file_1"}
TOOL_CHANGE: Value = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"type": "x"}}}
REFUSED_BLOCKS: dict[str, tuple[Document, Code, str]] = {
    "an image by address": ({"type": "image", "source": URL}, RETAINS, f"{AT}.source"),
    "an image by file": ({"type": "image", "source": STORED}, RETAINS, f"{AT}.source"),
    "a document by address": ({"type": "document", "source": URL}, RETAINS, f"{AT}.source"),
    "a document by file": ({"type": "document", "source": STORED}, RETAINS, f"{AT}.source"),
    "a stored file in a tool result": (
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": STORED}]},
        RETAINS,
        f"{AT}.content[0].source",
    ),
    "a stored file in a document's blocks": (
        {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": STORED}]}},
        RETAINS,
        f"{AT}.source.content[0].source",
    ),
    "a citation of a stored file": (
        {"type": "text", "text": "x", "citations": [{"type": "page_location", "file_id": "file_1"}]},
        RETAINS,
        f"{AT}.citations[0].file_id",
    ),
    "an upload": ({"type": "container_upload", "file_id": "file_1"}, RETAINS, AT),
    **{
        f"a {kind}": ({"type": kind}, RETAINS, AT)
        for kind in (
            "code_execution_tool_result",
            "bash_code_execution_tool_result",
            "text_editor_code_execution_tool_result",
            "encrypted_code_execution_result",
            "mcp_tool_use",
            "mcp_tool_result",
            "mcp_tool_listing",
            "tool_removal",
        )
    },
    **{
        f"a use of {name}": ({"type": "server_tool_use", "name": name, "id": "s", "input": {}}, RETAINS, AT)
        for name in ("code_execution", "bash_code_execution", "text_editor_code_execution")
    },
    "a tool defined in the conversation": (typing.cast("Document", TOOL_CHANGE), RETAINS, AT),
    "tools changed by a compaction": (
        {"type": "compaction", "content": "x", "tool_changes": [TOOL_CHANGE]},
        RETAINS,
        f"{AT}.tool_changes",
    ),
    "a use by hosted code": (
        {"type": "tool_use", "id": "t", "name": "n", "input": {}, "caller": {"type": "code_execution_20260120"}},
        RETAINS,
        f"{AT}.caller",
    ),
    "a signature that is text": (
        {"type": "thinking", "thinking": "x", "signature": base64.b64encode(b"Jane has cancer").decode()},
        UNSCANNABLE,
        f"{AT}.signature",
    ),
    "redacted thinking that is no base64": ({"type": "redacted_thinking", "data": "Jane!"}, UNSCANNABLE, f"{AT}.data"),
    "a word that happens to be base64": ({"type": "redacted_thinking", "data": "diabetes"}, UNSCANNABLE, f"{AT}.data"),
    "an id that is a sentence": (
        {"type": "tool_use", "id": "Jane has cancer", "name": "n", "input": {}},
        UNKNOWN,
        f"{AT}.id",
    ),
    "an unknown block": ({"type": "hologram"}, UNKNOWN, f"{AT}.type"),
    "an unknown hosted tool": ({"type": "server_tool_use", "name": "x"}, UNKNOWN, f"{AT}.name"),
    "a block without a type": ({"text": "x"}, UNKNOWN, f"{AT}.type"),
    "an unknown key": ({"type": "text", "text": "x", "extra": 1}, UNKNOWN, f"{AT}.?2"),
}


@pytest.mark.parametrize(("block", "code", "path"), REFUSED_BLOCKS.values(), ids=REFUSED_BLOCKS)
def test_block_is_refused_whatever_is_granted(block: Document, code: Code, path: str) -> None:
    """A block that points at kept state, runs hosted, or is unknown is refused with its path."""
    for role in ("user", "assistant"):
        assert verdict(saying(block, role=role)) == (code, path)
        assert verdict(saying(block, role=role), *GRANTS) == (code, path)


SEARCHED: Document = {
    "type": "web_search_result",
    "title": "t",
    "url": "https://x",
    "page_age": None,
    "encrypted_content": CIPHERTEXT,
}
CONDITIONAL_BLOCKS: dict[str, tuple[Document, str, Code, str]] = {
    "an inline image": (IMAGE, "inline_images", UNSCANNABLE, f"{AT}.source"),
    "an inline image in a tool result": (
        {"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]},
        "inline_images",
        UNSCANNABLE,
        f"{AT}.content[0].source",
    ),
    "an inline file": (
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        "inline_files",
        UNSCANNABLE,
        f"{AT}.source",
    ),
    "a cache mark": (
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        "prompt_cache",
        RETAINS,
        f"{AT}.cache_control",
    ),
    "a hosted search": (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        "web_search",
        RETAINS,
        AT,
    ),
    "what a search found": (
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [SEARCHED]},
        "web_search",
        RETAINS,
        AT,
    ),
    "a search that failed": (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
        },
        "web_search",
        RETAINS,
        AT,
    ),
    "what was fetched": (
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "s",
            "content": {
                "type": "web_fetch_result",
                "url": "https://x",
                "retrieved_at": None,
                "content": BLOCKS["a text document"],
            },
        },
        "web_search",
        RETAINS,
        AT,
    ),
    "a citation from the web": (
        {
            "type": "text",
            "text": "x",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "cited_text": "x",
                    "url": "u",
                    "title": None,
                    "encrypted_index": CIPHERTEXT,
                }
            ],
        },
        "web_search",
        RETAINS,
        f"{AT}.citations[0]",
    ),
    "an advice": (
        {"type": "advisor_tool_result", "tool_use_id": "s", "content": {"type": "advisor_result", "text": "x"}},
        "advisor",
        RETAINS,
        AT,
    ),
    "tools that were found": (
        {
            "type": "tool_search_tool_result",
            "tool_use_id": "s",
            "content": {
                "type": "tool_search_tool_search_result",
                "tool_references": [{"type": "tool_reference", "tool_name": "n"}],
            },
        },
        "tool_search_hosted",
        RETAINS,
        AT,
    ),
    "a fallback": (
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}, "trigger": {"type": "refusal"}},
        "server_fallback",
        RETAINS,
        AT,
    ),
    "the state of a browser": (
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "browser_state", "tabs": [{"tab_id": "1", "title": "t", "url": "u"}]}],
        },
        "computer_use",
        RETAINS,
        f"{AT}.content[0]",
    ),
}


@pytest.mark.parametrize(("block", "grant", "code", "path"), CONDITIONAL_BLOCKS.values(), ids=CONDITIONAL_BLOCKS)
def test_block_needs_its_grant(block: Document, grant: str, code: Code, path: str) -> None:
    """A conditional block leaves under its own grant only, and the use is noted."""
    reader = walk(grant)

    assert read(saying(block), reader) == saying(block)
    assert list(reader.used) == [grant]
    assert verdict(saying(block)) == (code, path)
    assert verdict(saying(block), *set(GRANTS) - {grant}) == (code, path)


def test_inline_bytes_are_counted_and_must_be_what_they_say() -> None:
    """What passes unscanned is counted; bytes of another type do not pass."""
    reader = walk("inline_images", "inline_files")
    disguised: Document = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PDF}}

    read(saying(IMAGE, IMAGE), reader)

    assert reader.unscanned == {"image": 2}
    assert verdict(saying(disguised), *GRANTS) == (UNSCANNABLE, f"{AT}.source.data")


def test_signed_text_is_sealed_and_signatures_are_opaque() -> None:
    """The redactor sees signed text as such, and no signature at all."""
    kept = read(
        saying(BLOCKS["thinking"], BLOCKS["a compaction"], BLOCKS["redacted thinking"], role="assistant"), walk()
    )

    thinking, compaction, redacted = typing.cast("typing.Any", kept)["messages"][0]["content"]
    assert (type(thinking["thinking"]), type(thinking["signature"])) == (Sealed, Opaque)
    assert (type(compaction["content"]), type(compaction["encrypted_content"])) == (Sealed, Opaque)
    assert type(redacted["data"]) is Opaque


PLAIN = "Jane"


def plain_strings(value: Value) -> Iterator[str]:
    """Every string that the redactor will scan as content."""
    if type(value) is str:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from plain_strings(item)
    elif isinstance(value, dict) and not isinstance(value, Approved):
        for item in value.values():
            yield from plain_strings(item)


SCANNED: dict[str, tuple[Document, int]] = {
    "system and stop sequences": (request(system=PLAIN, stop_sequences=[PLAIN]), 2),
    "a message": (request(messages=[{"role": "system", "content": PLAIN}]), 1),
    "a document": (
        saying({"type": "document", "title": PLAIN, "context": PLAIN, "source": {"type": "text", "data": PLAIN}}),
        3,
    ),
    "a search result": (
        saying(
            {
                "type": "search_result",
                "source": PLAIN,
                "title": PLAIN,
                "content": [{"type": "text", "text": PLAIN}],
            }
        ),
        3,
    ),
    "a citation": (
        saying(
            {
                "type": "text",
                "text": PLAIN,
                "citations": [{"type": "char_location", "cited_text": PLAIN, "document_title": PLAIN}],
            }
        ),
        3,
    ),
    "the input of a tool": (
        saying({"type": "tool_use", "id": "t", "name": "n", "input": {"a": [PLAIN, {"b": PLAIN}]}}),
        2,
    ),
    "a tool's definition": (
        request(
            tools=[
                {
                    "name": "n",
                    "description": PLAIN,
                    "input_schema": {"properties": {"a": {"description": PLAIN}}},
                    "input_examples": [{"a": PLAIN}],
                }
            ]
        ),
        3,
    ),
    "instructions of a compaction": (request(compaction={"type": "summarize", "instructions": PLAIN}), 1),
}


@pytest.mark.parametrize(("document", "places"), SCANNED.values(), ids=SCANNED)
def test_content_stays_plain_so_that_it_is_scanned(document: Document, places: int) -> None:
    """Every place that holds a caller's words reaches the redactor as content."""
    kept = read(document, walk())

    assert [text for text in plain_strings(kept) if text == PLAIN] == [PLAIN] * places


# --- tools --------------------------------------------------------------------------------------

TOOLS: dict[str, Document] = {
    "custom": {"type": "custom", "name": "n", "input_schema": {"type": "object"}},
    "without a type": {"name": "n", "description": "d", "input_schema": {"type": "object"}},
    "with a null type": {"type": None, "name": "n", "input_schema": {"type": "object"}},
    "loose on purpose": {"name": "n", "input_schema": {"type": "object"}, "strict": False},
    "strict and approved": {"name": "n", "input_schema": APPROVED, "strict": True},
    "called directly": {"name": "n", "input_schema": {}, "allowed_callers": ["direct"]},
    "bash_20241022": {"type": "bash_20241022", "name": "bash"},
    "bash_20250124": {"type": "bash_20250124", "name": "bash", "strict": True},
    "text_editor_20241022": {"type": "text_editor_20241022", "name": "str_replace_editor"},
    "text_editor_20250124": {"type": "text_editor_20250124", "name": "str_replace_editor"},
    "text_editor_20250429": {"type": "text_editor_20250429", "name": "str_replace_based_edit_tool"},
    "text_editor_20250728": {
        "type": "text_editor_20250728",
        "name": "str_replace_based_edit_tool",
        "max_characters": 9,
    },
    "memory_20250818": {"type": "memory_20250818", "name": "memory"},
}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_tool_of_the_caller_leaves_as_it_came(tool: Document) -> None:
    """A tool that runs at the caller leaves unchanged, without any grant."""
    reader = walk()

    assert read(request(tools=[tool]), reader) == request(tools=[tool])
    assert not reader.forced


SCREEN: Document = {"name": "computer", "display_width_px": 9, "display_height_px": 9}
CONDITIONAL_TOOLS: dict[str, tuple[Document, str, bool]] = {
    **{
        kind: ({"type": kind, **SCREEN}, "computer_use", False)
        for kind in ("computer_20241022", "computer_20250124", "computer_20251124")
    },
    "computer_toolset_20260801": (
        {"type": "computer_toolset_20260801", "configs": {"zoom": {"enabled": False}}},
        "computer_use",
        False,
    ),
    "browser_toolset_20260801": ({"type": "browser_toolset_20260801"}, "computer_use", False),
    **{
        f"tool_search_tool_{way}{version}": (
            {"type": f"tool_search_tool_{way}{version}", "name": f"tool_search_tool_{way}"},
            "tool_search_hosted",
            False,
        )
        for way in ("bm25", "regex")
        for version in ("", "_20251119")
    },
    "web_search_20250305": ({"type": "web_search_20250305", "name": "web_search", "max_uses": 1}, "web_search", False),
    "web_search_20260209": ({"type": "web_search_20260209", "name": "web_search"}, "web_search", True),
    "web_search_20260318": ({"type": "web_search_20260318", "name": "web_search"}, "web_search", True),
    "web_fetch_20250910": ({"type": "web_fetch_20250910", "name": "web_fetch"}, "web_search", False),
    "web_fetch_20260209": ({"type": "web_fetch_20260209", "name": "web_fetch"}, "web_search", True),
    "web_fetch_20260309": ({"type": "web_fetch_20260309", "name": "web_fetch", "use_cache": True}, "web_search", True),
    "web_fetch_20260318": ({"type": "web_fetch_20260318", "name": "web_fetch"}, "web_search", True),
    "advisor_20260301": ({"type": "advisor_20260301", "name": "advisor", "model": "m"}, "advisor", False),
}


@pytest.mark.parametrize(("tool", "grant", "forced"), CONDITIONAL_TOOLS.values(), ids=CONDITIONAL_TOOLS)
def test_tool_needs_its_grant(tool: Document, grant: str, forced: bool) -> None:
    """A hosted tool, or one with a screen, leaves under its grant only; the newer web tools without hosted code."""
    reader = walk(grant)

    kept = read(request(tools=[tool]), reader)

    assert kept["tools"] == [{**tool, "allowed_callers": ["direct"]} if forced else tool]
    assert [str(setting) for setting in reader.forced] == (["tools.allowed_callers=direct"] if forced else [])
    assert list(reader.used) == [grant]
    assert verdict(request(tools=[tool])) == (RETAINS, "tools[0]")
    assert verdict(request(tools=[tool]), *set(GRANTS) - {grant}) == (RETAINS, "tools[0]")


CODE_CALLER: Value = ["direct", "code_execution_20260120"]
REFUSED_TOOLS: dict[str, tuple[Document, Code, str]] = {
    **{
        kind: ({"type": kind, "name": "code_execution"}, RETAINS, "tools[0]")
        for kind in (
            "code_execution_20250522",
            "code_execution_20250825",
            "code_execution_20260120",
            "code_execution_20260521",
        )
    },
    "mcp_toolset": ({"type": "mcp_toolset", "mcp_server_name": "x"}, RETAINS, "tools[0]"),
    "called by hosted code": (
        {"name": "n", "input_schema": {}, "allowed_callers": CODE_CALLER},
        RETAINS,
        "tools[0].allowed_callers",
    ),
    "a search by hosted code": (
        {"type": "web_search_20260209", "name": "web_search", "allowed_callers": CODE_CALLER},
        RETAINS,
        "tools[0].allowed_callers",
    ),
    "strict and not approved": (
        {"name": "n", "input_schema": {"type": "object"}, "strict": True},
        SCHEMA,
        "tools[0].input_schema",
    ),
    "strict without a schema": ({"name": "n", "strict": True}, SCHEMA, "tools[0].input_schema"),
    "unknown": ({"type": "web_search_20990101", "name": "web_search"}, UNKNOWN, "tools[0].type"),
    "under a false name": ({"type": "bash_20250124", "name": "Jane has cancer"}, UNKNOWN, "tools[0].name"),
}


@pytest.mark.parametrize(("tool", "code", "path"), REFUSED_TOOLS.values(), ids=REFUSED_TOOLS)
def test_tool_is_refused_whatever_is_granted(tool: Document, code: Code, path: str) -> None:
    """A tool that runs hosted code, keeps a schema that nobody approved, or is unknown is refused."""
    assert verdict(request(tools=[tool]), *GRANTS) == (code, path)


def test_cache_of_an_advisor_needs_the_cache_grant_too() -> None:
    """An advisor's own cache is a cache."""
    tool: Document = {
        "type": "advisor_20260301",
        "name": "advisor",
        "model": "m",
        "caching": {"type": "ephemeral", "ttl": "5m"},
    }

    assert verdict(request(tools=[tool]), "advisor") == (RETAINS, "tools[0].caching")
    assert verdict(request(tools=[tool]), "advisor", "prompt_cache") is None


# --- headers, paths, answers ----------------------------------------------------------------------

HEADERS: dict[str, tuple[str, str, str | None]] = {
    "the older version": ("anthropic-version", "2023-06-01", None),
    "the newer version": ("anthropic-version", "2026-10-21", None),
    "a beta that stores nothing": ("anthropic-beta", "context-1m-2025-08-07", None),
    "a cache beta": ("anthropic-beta", "prompt-caching-2024-07-31", "prompt_cache"),
    "an advisor beta": ("anthropic-beta", "advisor-tool-2026-03-01", "advisor"),
    "a fallback beta": ("anthropic-beta", "server-side-fallback-2026-07-01", "server_fallback"),
    "a screen beta": ("anthropic-beta", "computer-use-2025-11-24", "computer_use"),
    "a PDF beta": ("anthropic-beta", "pdfs-2024-09-25", "inline_files"),
}


@pytest.mark.parametrize(("name", "value", "grant"), HEADERS.values(), ids=HEADERS)
def test_header_value_leaves(name: str, value: str, grant: str | None) -> None:
    """A named value leaves, a conditional one under its grant only."""
    assert SURFACE.read_headers({name: value}, walk(*filter(None, [grant]))) == {name: value}
    if grant is not None:
        with pytest.raises(Misfit) as caught:
            SURFACE.read_headers({name: value}, walk())
        assert (caught.value.code, caught.value.where()) == (RETAINS, name)


REFUSED_HEADERS: dict[str, tuple[str, str, Code]] = {
    **{
        beta: ("anthropic-beta", f"context-1m-2025-08-07, {beta}", RETAINS)
        for beta in (
            "message-threads-2026-08-12",
            "mcp-client-2025-11-20",
            "code-execution-2025-05-22",
            "files-api-2025-04-14",
            "skills-2025-10-02",
            "cache-diagnosis-2026-04-07",
            "inline-tools-2026-09-15",
            "efs-2026-10-01",
            "google-managed-data-controls-2026-09-01",
            "user-profiles-billing-2026-10-01",
            "telemetry-destinations-2026-08-11",
        )
    },
    "an unknown beta": ("anthropic-beta", "ce-unheard-of-2027-01-01", UNKNOWN),
    "an unknown version": ("anthropic-version", "2023-01-01", UNKNOWN),
}


@pytest.mark.parametrize(("name", "value", "code"), REFUSED_HEADERS.values(), ids=REFUSED_HEADERS)
def test_header_value_is_refused_whatever_is_granted(name: str, value: str, code: Code) -> None:
    """A beta that stores data, or that nobody has read about, is refused even beside a good one."""
    with pytest.raises(Misfit) as caught:
        SURFACE.read_headers({name: value}, walk(*GRANTS))

    assert (caught.value.code, caught.value.where()) == (code, name)


@pytest.mark.parametrize(
    "path",
    [
        "POST /v1/messages/batches",
        "GET /v1/messages/batches/{message_batch_id}/results",
        "POST /v1/files",
        "GET /v1/files/{file_id}/content",
        "POST /v1/skills",
        "POST /v1/complete",
        "POST /v1/chat/completions",
        "POST /v1/sessions",
        "POST /v1/agents",
        "POST /v1/oauth/token",
    ],
)
def test_path_is_refused_with_advice(path: str) -> None:
    """A path that keeps data is refused by name, with its source and what to do instead."""
    rule = SURFACE.refused_paths[path]

    assert rule.source.split()[0] in SURFACE.sources
    assert rule.instead


ANSWERS: dict[str, tuple[Document, str | None]] = {
    "text": ({"content": [{"type": "text", "text": "x"}]}, ""),
    "region": ({"usage": {"inference_geo": "not_available"}}, ""),
    "a cache": ({"usage": {"cache_read_input_tokens": 1}}, "prompt_cache"),
    "a search": ({"content": [{"type": "server_tool_use", "name": "web_search"}]}, "web_search"),
    "an advice": ({"content": [{"type": "advisor_tool_result"}]}, "advisor"),
    "a fallback": ({"content": [{"type": "fallback"}]}, "server_fallback"),
    "hosted code": ({"content": [{"type": "server_tool_use", "name": "code_execution"}]}, None),
    "a container": ({"container": {"id": "c"}}, None),
    "another region": ({"usage": {"inference_geo": "eu"}}, None),
    "another model": ({"model": "claude-mythos-5"}, None),
    "an unknown block": ({"content": [{"type": "hologram"}]}, None),
}


@pytest.mark.parametrize(("change", "grant"), ANSWERS.values(), ids=ANSWERS)
def test_answer_is_held_against_the_surface(change: Document, grant: str | None) -> None:
    """An answer passes with nothing to hide, under the grant that explains it, or not at all."""
    body: Document = {"type": "message", "model": "claude-opus-5", "content": [], **change}
    seen = ANTHROPIC.observe(MESSAGES, body)
    served = frozenset({"claude-opus-5"})
    refusing = [] if grant == "" else [frozenset(GRANTS) - {grant}]
    passing = [] if grant is None else [frozenset(filter(None, [grant]))]

    for granted in passing:
        SURFACE.check_answer(seen, granted, served)
    for granted in refusing:
        with pytest.raises(UpstreamError) as caught:
            SURFACE.check_answer(seen, granted, served)
        assert caught.value.code is Code.RESPONSE_NOT_ALLOWED


# --- the file as a whole --------------------------------------------------------------------------


def refusals(shape: object, seen: set[int]) -> Iterator[rules.Refuse | rules.Conditional]:
    """Every verdict below a shape that can say no."""
    if id(shape) in seen:
        return
    seen.add(id(shape))
    if isinstance(shape, rules.Refuse | rules.Conditional):
        yield shape
    for name in ("shape", "item"):
        if hasattr(shape, name):
            yield from refusals(getattr(shape, name), seen)
    for name in ("fields", "cases", "values"):
        inner = getattr(shape, name, None)
        if isinstance(inner, dict):
            for verdict in inner.values():
                yield from refusals(verdict, seen)


def test_every_refusal_has_a_source_and_a_sentence_of_advice() -> None:
    """Whoever is refused learns which page forces it and what to do, in a sentence."""
    seen: set[int] = set()
    found = [
        verdict
        for root in (*SURFACE.operations.values(), *SURFACE.headers.values())
        for verdict in refusals(root, seen)
    ]

    assert len(found) > 100
    for verdict in found:
        assert verdict.rule.source.split()[0] in SURFACE.sources
        assert verdict.rule.instead
        assert verdict.rule.instead[0].isupper()
        assert verdict.rule.instead.endswith(".")


def test_refusals_of_a_schema_say_how_to_have_it_approved() -> None:
    """A schema that nobody approved is refused with the way to approval, both as a format and as a tool."""
    tool: Document = {"name": "n", "input_schema": {}, "strict": True}

    assert "approved" in advice(request(output_config={"format": {"type": "json_schema", "schema": {}}}))
    assert "approved" in advice(request(tools=[tool]))


# --- the stock client -----------------------------------------------------------------------------


def test_client_replays_a_parsed_answer_of_its_own() -> None:
    """What the stock client sends back of an answer it parsed passes, to the last null."""
    sent: list[Document] = []
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "container": None,
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": CIPHERTEXT},
            {"type": "redacted_thinking", "data": CIPHERTEXT},
            {"type": "text", "text": '{"score": 1}', "citations": None},
            {"type": "text", "text": "x", "citations": [CITATIONS[0]]},
            {"type": "tool_use", "id": "toolu_1", "name": "n", "input": {"a": 1}, "caller": None, "toolset_name": None},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }

    def reply(asked: httpx.Request) -> httpx.Response:
        sent.append(json.loads(asked.content))
        return httpx.Response(200, json=answer)

    client = anthropic.Anthropic(
        api_key="k", base_url="http://gateway", http_client=httpx.Client(transport=httpx.MockTransport(reply))
    )
    first = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    result: ga.ToolResultBlockParam = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
    client.messages.create(
        model="m",
        max_tokens=9,
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ],
    )
    third = client.beta.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    client.beta.messages.create(model="m", max_tokens=9, messages=[{"role": "assistant", "content": third.content}])

    for document in sent:
        kept = read(document, walk())
        assert without_nulls(kept) == without_nulls(document)
    assert isinstance(typing.cast("typing.Any", kept)["messages"][0]["content"][4]["id"], Identifier)
