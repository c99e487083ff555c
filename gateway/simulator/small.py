"""The operations without a conversation: embeddings, moderations, transcriptions, lists of models."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator, Mapping

from gateway.simulator.answer import CREATED, Answer, Ask, BadRequest, encode, named
from gateway.simulator.question import count, mappings, pieces, texts, whole
from providers.document import Document, Value

OPENAI_MODELS = ("gpt-simulated", "gpt-simulated-mini", "text-embedding-simulated", "omni-moderation-simulated")
ANTHROPIC_MODELS = ("claude-simulated", "claude-simulated-small")


def embeddings(ask: Ask) -> Answer:
    """Answer `POST /v1/embeddings`: vectors derived from the text, exact in 32 bits.

    Raises:
        BadRequest: model or input is missing.
    """
    if not ask.model:
        raise BadRequest("model", "you must provide a model parameter")
    given = ask.document.get("input")
    inputs: list[Value] = given if isinstance(given, list) and not _tokens(given) else [given]
    if not given:
        raise BadRequest("input", "'$.input' is invalid.")
    size = whole(ask.document.get("dimensions")) or 1536
    packed = ask.document.get("encoding_format") == "base64"
    data: list[Value] = []
    for index, one in enumerate(inputs):
        vector = [(byte - 128) / 128 for byte in hashlib.shake_256(repr(one).encode()).digest(size)]
        shown: Value = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if packed else [*vector]
        data.append({"object": "embedding", "index": index, "embedding": shown})
    tokens = sum(count(text) for text in texts(given)) or len(inputs)
    usage: Document = {"prompt_tokens": tokens, "total_tokens": tokens}
    document: Document = {"object": "list", "data": data, "model": ask.model, "usage": usage}
    return Answer(body=encode({**document, **ask.scenario.merge}))


def _tokens(given: list[Value]) -> bool:
    return bool(given) and all(isinstance(one, int) for one in given)


_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "harassment": ("text",),
    "harassment/threatening": ("text",),
    "hate": ("text",),
    "hate/threatening": ("text",),
    "illicit": ("text",),
    "illicit/violent": ("text",),
    "self-harm": ("text", "image"),
    "self-harm/instructions": ("text", "image"),
    "self-harm/intent": ("text", "image"),
    "sexual": ("text", "image"),
    "sexual/minors": ("text",),
    "violence": ("text", "image"),
    "violence/graphic": ("text", "image"),
}


def moderations(ask: Ask) -> Answer:
    """Answer `POST /v1/moderations`: a text that says "kill" is flagged as violence.

    Raises:
        BadRequest: input is missing.
    """
    given = ask.document.get("input")
    if not given:
        raise BadRequest("input", "'input' is required")
    groups: list[Value] = given if isinstance(given, list) and not mappings(given) else [given]
    results: list[Value] = []
    for group in groups:
        flagged = "kill" in " ".join(texts(group)).lower()
        hits = {name: flagged and name == "violence" for name in _CATEGORIES}
        scores: Document = {name: 0.9375 if hit else 0.0625 for name, hit in hits.items()}
        applied: Document = {name: ["text"] for name in _CATEGORIES}
        results.append(
            {
                "flagged": flagged,
                "categories": dict[str, Value](hits),
                "category_scores": scores,
                "category_applied_input_types": applied,
            }
        )
    model = ask.model or "omni-moderation-simulated"
    document: Document = {"id": f"modr-{ask.number:024d}", "model": model, "results": results}
    return Answer(body=encode({**document, **ask.scenario.merge}))


def transcriptions(ask: Ask, body: bytes, content_type: str) -> Answer:
    """Answer `POST /v1/audio/transcriptions`. `ask.document` is not used: the body is a form.

    Raises:
        BadRequest: the body is no form, or has no file or model.
    """
    form = dict(_form(body, content_type))
    if "model" not in form or "file" not in form:
        raise BadRequest("file" if "model" in form else "model", "a required field is missing")
    digest = hashlib.sha256(form["file"]).hexdigest()[:8]
    prompt = form.get("prompt", b"").decode("utf-8", "replace")
    text = f"Recording {digest} of {len(form['file'])} bytes. {prompt}".strip()
    text = text if ask.scenario.say is None else ask.scenario.say
    kind = form.get("response_format", b"json").decode("utf-8", "replace")
    tokens = count(text)
    usage: Document = {
        "type": "tokens",
        "input_tokens": 32,
        "output_tokens": tokens,
        "total_tokens": tokens + 32,
        "input_token_details": {"audio_tokens": 32, "text_tokens": 0},
    }
    if form.get("stream") == b"true":
        events: list[Document] = [{"type": "transcript.text.delta", "delta": piece} for piece in pieces(text)]
        events.append({"type": "transcript.text.done", "text": text, "usage": usage})
        return Answer(events=tuple(map(named, events)), content_type="text/event-stream; charset=utf-8")
    plain = "text/plain; charset=utf-8"
    match kind:
        case "text":
            return Answer(body=f"{text}\n".encode(), content_type=plain)
        case "srt":
            return Answer(body=f"1\n00:00:00,000 --> 00:00:02,000\n{text}\n\n".encode(), content_type=plain)
        case "vtt":
            return Answer(body=f"WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n{text}\n\n".encode(), content_type=plain)
        case "verbose_json":
            long: Document = {"language": "english", "duration": 2.0, "text": text}
            segments: list[Value] = []
            spent: Document = {"type": "duration", "seconds": 2}
            return Answer(body=encode({**long, "segments": segments, "usage": spent, **ask.scenario.merge}))
        case _:
            return Answer(body=encode({"text": text, "usage": usage, **ask.scenario.merge}))


def _form(body: bytes, content_type: str) -> Iterator[tuple[str, bytes]]:
    """The fields of a multipart form (RFC 7578), names as sent."""
    boundary = content_type.partition("boundary=")[2].strip('"')
    if not boundary:
        raise BadRequest("body", "the body is not a multipart form")
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, _empty, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = head.partition(b' name="')[2].partition(b'"')[0]
        yield name.decode("utf-8", "replace"), content.removesuffix(b"\r\n")


def openai_models(name: str | None) -> Answer | None:
    """The list of models, or one of them; None if there is no such model."""
    shown: list[Value] = [
        {"id": model, "object": "model", "created": CREATED, "owned_by": "simulated"} for model in OPENAI_MODELS
    ]
    if name is None:
        return Answer(body=encode({"object": "list", "data": shown}))
    return next((Answer(body=encode(model)) for model in mappings(shown) if model["id"] == name), None)


def anthropic_models(name: str | None) -> Answer | None:
    """The list of models, or one of them; None if there is no such model."""
    shown: list[Value] = [
        {
            "type": "model",
            "id": model,
            "display_name": model.replace("-", " ").title(),
            "created_at": "2026-09-21T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": 200_000,
            "max_tokens": 64_000,
        }
        for model in ANTHROPIC_MODELS
    ]
    if name is None:
        ends: Document = {"has_more": False, "first_id": ANTHROPIC_MODELS[0], "last_id": ANTHROPIC_MODELS[-1]}
        return Answer(body=encode({"data": shown, **ends}))
    return next((Answer(body=encode(model)) for model in mappings(shown) if model["id"] == name), None)
