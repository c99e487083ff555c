"""What an answer of the OpenAI wire says, whole or event by event: its texts, and which of them read on.

The fields are those of `openai` 3.57.0. A text that a stream repeats whole (`.done` events, parts and
items that are done, the response itself) is said again there, as a text of its own.
"""

from __future__ import annotations

from collections.abc import Container

from providers.document import Document, Value
from providers.provider import Operation
from providers.speech import WORD, Form, Key, Said, Speech, Vocabulary

_KEYS = Vocabulary(
    words=frozenset(
        {
            "id",
            "object",
            "model",
            "type",
            "role",
            "status",
            "finish_reason",
            "system_fingerprint",
            "service_tier",
            "call_id",
            "item_id",
            "approval_request_id",
            "response_id",
            "previous_response_id",
            "obfuscation",
            "name",
            "code",
            "reason",
            "effort",
            "truncation",
            "tool_choice",
            "verbosity",
            "phase",
            "mode",
            "ttl",
            "safety_identifier",
            "prompt_cache_key",
        }
    ),
    blobs=frozenset({"encrypted_content", "embedding", "b64_json", "data", "fingerprint"}),
    trees=frozenset({"arguments", "metadata", "parameters", "schema"}),
)
_PADDING = 64
_NAMES = frozenset({"role", "id", "type", "name", "object"})


def said(operation: Operation, document: Document, known: Container[str]) -> list[Said]:
    """All that a whole answer says, less the words that are known. The document is not changed."""
    into: list[Said] = []
    _KEYS.gather(document, into, known)
    if operation.dialect == "chat":
        for choice in _objects(document.get("choices")):
            message = choice.get("message")
            if type(message) is dict:
                _score(into, message, choice)
    elif operation.dialect == "responses":
        for item in _objects(document.get("output")):
            for part in _objects(item.get("content")):
                _score(into, part, part)
    elif operation.dialect == "transcription":
        _read_on(into, document)
    return into


def said_in_event(operation: Operation, data: Document, known: Container[str] = ()) -> Speech:
    """What one stream event says, less the known words that most events repeat."""
    if operation.dialect == "chat":
        return _chunk(data, known)
    kind = data.get("type")
    speech = Speech()
    if type(kind) is not str:
        _KEYS.gather(data, speech.said)
    elif kind.endswith(".delta"):
        _delta(kind, data, speech, known)
    else:
        speech.closes = _closes(kind, data)
        _KEYS.gather(data, speech.said)
        part = data.get("part")
        for holder in (data, part) if type(part) is dict else (data,):
            _score(speech.said, holder, holder)
        item, response = data.get("item"), data.get("response")
        items = [item] if type(item) is dict else _objects(response.get("output")) if type(response) is dict else []
        for item in items:
            for part in _objects(item.get("content")):
                _score(speech.said, part, part)
    return speech


# --- chat -----------------------------------------------------------------------------------------


def _chunk(data: Document, known: Container[str]) -> Speech:
    speech = Speech()
    for key, member in data.items():
        if type(member) is str:
            if member not in known:
                _word(data, key, speech)
        elif key == "choices":
            if type(member) is list:
                for choice in member:
                    if type(choice) is dict:
                        _choice(choice, speech)
        elif type(member) is dict and key != "usage":
            _KEYS.gather(member, speech.said)
    return speech


def _word(holder: Document, name: str, speech: Speech) -> None:
    """A string of an event beside what is said; padding of a random length is new in each, and one word."""
    member = holder[name]
    if name == "obfuscation" and isinstance(member, str) and len(member) <= _PADDING and member.isalnum():
        return
    _KEYS.string(holder, name, name, speech.said)


def _choice(choice: Document, speech: Speech) -> None:
    index = choice.get("index")
    at = index if type(index) is int else 0
    delta = choice.get("delta")
    if type(delta) is dict:
        for key, member in delta.items():
            if type(member) is str:
                if key in _NAMES and WORD(member):
                    if key != "role":
                        speech.said.append(Said(delta, key, form=Form.WORD))
                elif member:
                    speech.said.append(Said(delta, key, (at, "text", key), scores=_scores(choice, key)))
            elif member is not None:
                _structured(delta, key, at, speech)
    if choice.get("finish_reason") is not None:
        speech.closes += ((at,),)


def _structured(delta: Document, key: str, at: int, speech: Speech) -> None:
    """What a delta holds that is no string: calls of tools, above all."""
    member = delta[key]
    if key in {"tool_calls", "function_call"}:
        speech.closes += ((at, "text"),)
    if key == "tool_calls":
        for place, call in enumerate(_objects(member)):
            number = call.get("index")
            _call(call, (at, "call", number if type(number) is int else place), speech)
    elif key == "function_call" and type(member) is dict:
        _call({key: member}, (at, "call", ""), speech)
    else:
        _KEYS.gather(member, speech.said)


def _call(holder: Document, key: Key, speech: Speech) -> None:
    """A piece of a tool call: what stands in the object of its kind goes on, all but the name."""
    for kind, member in holder.items():
        if type(member) is not dict:
            if type(member) is str and kind in {"id", "type"}:
                _KEYS.string(holder, kind, kind, speech.said)
            continue
        for name, value in member.items():
            if type(value) is not str:
                continue
            if name == "name":
                _KEYS.string(member, name, name, speech.said)
            elif value:
                speech.said.append(Said(member, name, (*key, kind, name)))


# --- responses ------------------------------------------------------------------------------------


def _delta(kind: str, data: Document, speech: Speech, known: Container[str]) -> None:
    for name, member in data.items():
        if type(member) is str:
            if name == "delta":
                if member:
                    key = _place(kind.removesuffix(".delta"), data)
                    speech.said.append(Said(data, name, key, scores=_listed(data, "logprobs")))
            elif member not in known:
                _word(data, name, speech)
        elif type(member) is dict or (type(member) is list and name != "logprobs"):
            _KEYS.gather(member, speech.said)


def _place(stem: str, data: Document) -> Key:
    output = data.get("output_index")
    inner = data.get("content_index", data.get("summary_index", data.get("command_index")))
    return output if type(output) is int else 0, stem, inner if type(inner) is int else 0


def _closes(kind: str, data: Document) -> tuple[Key, ...]:
    if kind.endswith("_part.done") or kind == "response.output_item.done":
        return (_place(kind, data)[:1],)
    if kind.endswith(".done"):
        return (_place(kind.removesuffix(".done"), data),)
    response = data.get("response")
    return ((),) if type(response) is dict and response.get("status") not in {"queued", "in_progress"} else ()


# --- transcriptions -------------------------------------------------------------------------------


def _read_on(into: list[Said], document: Document) -> None:
    """The segments of a transcript read on, and so do its words."""
    for name, field, glue in (("segments", "text", ""), ("words", "word", " ")):
        holders = {id(one) for one in _objects(document.get(name))}
        for one in into:
            if one.name == field and id(one.holder) in holders:
                one.channel, one.glue = (name,), glue


# --- log-probabilities ----------------------------------------------------------------------------


def _score(into: list[Said], holder: Document, scored: Document) -> None:
    """Let the log-probabilities go with the text that they are of."""
    for one in into:
        if one.holder is holder and type(one.name) is str and one.form is Form.TEXT:
            one.scores = one.scores or _scores(scored, one.name)


def _scores(holder: Document, name: str) -> tuple[tuple[Document, str], ...]:
    found = holder.get("logprobs")
    if type(found) is dict:
        return _listed(found, name)
    return _listed(holder, "logprobs") if name in {"text", "delta"} else ()


def _listed(holder: Document, name: str) -> tuple[tuple[Document, str], ...]:
    return ((holder, name),) if holder.get(name) else ()


def _objects(value: Value) -> list[Document]:
    return [item for item in value if type(item) is dict] if type(value) is list else []
