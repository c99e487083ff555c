"""What an answer of the Anthropic wire says, whole or event by event: its texts, and which of them read on.

The fields are those of `anthropic` 2.14.0. Neighbouring text blocks are one text: where a passage is
cited, the model's sentence runs on through several blocks.
"""

from __future__ import annotations

from collections.abc import Container

from providers.document import Document, Value
from providers.provider import Operation
from providers.speech import Form, Key, Said, Speech, Vocabulary

_KEYS = Vocabulary(
    words=frozenset(
        {
            "id",
            "type",
            "role",
            "model",
            "stop_reason",
            "service_tier",
            "inference_geo",
            "tool_use_id",
            "tool_id",
            "file_id",
            "name",
            "category",
            "media_type",
            "speed",
        }
    ),
    blobs=frozenset({"signature", "data", "encrypted_content", "encrypted_index", "encrypted_stdout"}),
    trees=frozenset({"input"}),
)
_SEALING = ("signature", "encrypted_content")
"""What a block bears that was signed as a whole: its texts pass as they are or not at all."""
_DELTAS = {
    "text_delta": ("text", Form.TEXT),
    "input_json_delta": ("partial_json", Form.TEXT),
    # A block of thinking is signed at its end, and one of compaction comes encrypted beside its text.
    "thinking_delta": ("thinking", Form.SEALED),
    "compaction_delta": ("content", Form.SEALED),
}


def said(operation: Operation, document: Document, known: Container[str]) -> list[Said]:
    """All that a whole answer says, less the words that are known. The document is not changed."""
    into: list[Said] = []
    for key, member in document.items():
        if key == "content" and type(member) is list:
            run = 0
            for block in member:
                run += type(block) is not dict or block.get("type") != "text"
                _block(block, ("text", run), into, known=known)
        elif type(member) is str:
            _KEYS.string(document, key, key, into, known)
        else:
            _KEYS.gather(member, into, known)
    return into


def said_in_event(operation: Operation, data: Document, known: Container[str] = ()) -> Speech:
    """What one stream event says, less the known words that most events repeat."""
    speech = Speech()
    kind = data.get("type")
    if kind == "content_block_delta":
        _delta(data, speech)
    elif kind == "content_block_start":
        block = data.get("content_block")
        if type(block) is not dict or block.get("type") != "text":
            speech.closes = (("text",),)
        _block(block, ("text",), speech.said, _place(data))
    elif kind == "content_block_stop":
        speech.closes = (_place(data),)
    else:
        if kind in {"message_delta", "message_stop"}:
            speech.closes = ((),)
        _KEYS.gather(data, speech.said)
    return speech


def _delta(data: Document, speech: Speech) -> None:
    delta = data.get("delta")
    if type(delta) is not dict:
        _KEYS.gather(data, speech.said)
        return
    field, form = _DELTAS.get(str(delta.get("type")), ("", Form.TEXT))
    for name, member in delta.items():
        if name == field and type(member) is str:
            if member:
                key: Key = ("text",) if name == "text" else (*_place(data), name)
                speech.said.append(Said(delta, name, key, form))
        elif name != "type" and type(member) is str:
            _KEYS.string(delta, name, name, speech.said)
        elif type(member) is dict or type(member) is list:
            _KEYS.gather(member, speech.said)


def _block(block: Value, run: Key, into: list[Said], place: Key | None = None, *, known: Container[str] = ()) -> None:
    """A content block, whole or as it begins. Text in one that begins goes on in its deltas."""
    if type(block) is not dict:
        return
    kind = block.get("type")
    sealed = any(block.get(name) for name in _SEALING) or (place is not None and kind in {"thinking", "compaction"})
    before = len(into)
    _KEYS.gather(block, into, known)
    for one in into[before:]:
        if one.form is not Form.TEXT:
            continue
        if sealed:
            one.form = Form.SEALED
        if one.holder is block and kind == "text" and one.name == "text":
            one.channel = run
        elif one.holder is block and place is not None and one.name in {"thinking", "content"}:
            one.channel = (*place, str(one.name))


def _place(data: Document) -> Key:
    index = data.get("index")
    return "block", index if type(index) is int else 0
