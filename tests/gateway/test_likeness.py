"""Events like one that was checked: recognised only where reading them would show the same."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from gateway.delivery import Delivery, StreamCheck
from gateway.likeness import Likeness
from providers import sse
from providers.anthropic import ANTHROPIC, MESSAGES
from providers.document import Document
from providers.openai import CHAT, OPENAI
from providers.provider import Operation, Provider

if TYPE_CHECKING:
    from gateway.exchange import Grant
    from gateway.policy.surface import Surface


def chunk(text: str, **more: object) -> Document:
    """A chunk of a chat."""
    choice: Document = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}  # type: ignore[dict-item]


def delta(text: str) -> Document:
    """A delta of a message."""
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def written(document: Document, name: str = "", *, spaced: bool = False, ascii_only: bool = False) -> bytes:
    """An event with this data."""
    separators = (", ", ": ") if spaced else (",", ":")
    return sse.build(name, json.dumps(document, separators=separators, ensure_ascii=ascii_only).encode())


def likeness(wire: Provider, operation: Operation, event: bytes) -> Likeness | None:
    """What an event has in common with others."""
    name, data = sse.fields(event)
    return Likeness.of(wire, operation, event, name, json.loads(data))


PLAIN = written(chunk("Hello "))
WIRES = {
    "chat": (OPENAI, CHAT, lambda text: written(chunk(text))),
    "chat, spaced": (OPENAI, CHAT, lambda text: written(chunk(text), spaced=True)),
    "chat, padded": (OPENAI, CHAT, lambda text: written(chunk(text, obfuscation="x" * (1 + len(text) % 60)))),
    "messages": (ANTHROPIC, MESSAGES, lambda text: written(delta(text), "content_block_delta")),
}


@pytest.mark.parametrize("name", WIRES)
@given(said=st.text(min_size=1, max_size=40), more=st.text(min_size=1, max_size=40))
def test_what_is_recognised_is_what_would_be_read(name: str, said: str, more: str) -> None:
    """An event with another text is recognised, unless the text is written with escapes; its data parts the same."""
    wire, operation, build = WIRES[name]
    like = likeness(wire, operation, build(f"\u00a7 {said}"))  # no key, no id
    event = build(more)

    assert like is not None
    assert like.has(event) == ("\\" not in event.decode())
    assert (like.name, event[like.lead : -2]) == sse.fields(event)


SURFACE = cast("Surface", SimpleNamespace(check_answer=lambda _seen, _granted, _served: None))


def delivery(wire: Provider = OPENAI, operation: Operation = CHAT) -> Delivery:
    """A stream on its way, nothing of which is cleaned."""
    entry = SimpleNamespace(wire=wire, operation=operation)
    route = SimpleNamespace(served_models=frozenset({"m"}))
    grant = SimpleNamespace(granted=(), call=SimpleNamespace(entry=entry), route=route, hide_usage_event=False)
    return Delivery(StreamCheck(cast("Grant", grant), SURFACE), None)


@given(st.lists(st.one_of(st.text(max_size=8), st.sampled_from(["stop", "usage", "x"])), max_size=20))
def test_a_stream_shows_what_its_events_show_alone(said: list[str]) -> None:
    """Bytes, counts and what was seen are those of a stream in which nothing was recognised."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    events = [
        written(chunk(text, **({"usage": usage} if text == "usage" else {"obfuscation": "ab"} if text == "x" else {})))  # type: ignore[arg-type]
        for text in said
    ]
    whole, apart = delivery(), delivery()
    out = [whole.pass_on(event) for event in events]
    expected = []
    for event in events:
        apart.check._like = None
        expected.append(apart.pass_on(event))

    assert out == expected == events
    assert to_builtins(whole.tally) == to_builtins(apart.tally)


@given(
    said=st.lists(st.text('ab\u00e9\n"', max_size=6), min_size=2, max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    broken=st.binary(max_size=3),
)
def test_how_the_network_cuts_a_stream_shows_nowhere(said: list[str], cuts: list[int], broken: bytes) -> None:
    """Events that come one a piece, in pieces or together, or behind bytes of no event, go on and count alike."""
    events = [PLAIN, broken, *(written(chunk(text)) for text in said), b":\n\n"]
    stream = b"".join(events)
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    whole, cut, by_event = delivery(), delivery(), delivery()

    at_once = whole.pass_on(stream)

    assert b"".join(cut.pass_on(stream[one:two]) for one, two in itertools.pairwise(places)) == at_once
    assert b"".join(map(by_event.pass_on, filter(None, events))) == at_once
    assert to_builtins(cut.tally) == to_builtins(by_event.tally) == to_builtins(whole.tally)


def test_deltas_of_a_message_are_recognised() -> None:
    """On the wire whose events have names and kinds, too."""
    stream = delivery(ANTHROPIC, MESSAGES)
    first, second = (written(delta(text), "content_block_delta") for text in ("Hello ", "there"))

    assert stream.pass_on(first) == first
    assert stream.check._like is not None
    assert stream.check._like.has(second)
    assert stream.pass_on(second) == second
    assert stream.tally.events == 2


LIKE_NONE = {
    "another model": written({**chunk("Hi"), "model": "n"}),
    "another answer": written({**chunk("Hi"), "id": "chatcmpl-2"}),
    "one more key": written(chunk("Hi", store=True)),
    "an end": PLAIN.replace(b"null", b'"stop"'),
    "a second text": written(chunk("Hi")).replace(b'"Hi"', b'"Hi","refusal":"No"'),
    "a quote that ends the text": PLAIN.replace(b"Hello ", b'Hi"},"finish_reason":"stop","x":{"y":"'),
    "an escape": PLAIN.replace(b"Hello ", b"Hi\\u0020"),
    "a line end": PLAIN.replace(b"Hello ", b"Hi\nthere"),
    "a control character": PLAIN.replace(b"Hello ", b"Hi\x01"),
    "bytes that are no text": PLAIN.replace(b"Hello ", b"Hi\xff"),
    "half a character": PLAIN.replace(b"Hello ", "é".encode()[:1]),
    "less than itself": PLAIN.replace(b'"Hello "', b'"'),
    "an event's name": b"event: x\n" + PLAIN,
    "another line end": PLAIN.replace(b"\n\n", b"\r\n\r\n"),
    "padding where none was": written(chunk("Hi", obfuscation="abc")),
}


@pytest.mark.parametrize("name", LIKE_NONE)
def test_what_differs_in_anything_else_is_read(name: str) -> None:
    """Anything but another plain text is not recognised."""
    like = likeness(OPENAI, CHAT, PLAIN)

    assert like is not None
    assert not like.has(LIKE_NONE[name])


PADDED = written(chunk("Hello ", obfuscation="abc"))
PADDED_NONE = {
    "none": PADDED.replace(b'"abc"', b'""'),
    "too long": PADDED.replace(b"abc", b"a" * 65),
    "words": PADDED.replace(b"abc", b"he has it"),
    "an escape": PADDED.replace(b"abc", b"\\u0061"),
    "missing": PLAIN,
}


@pytest.mark.parametrize("name", PADDED_NONE)
def test_padding_is_of_its_form(name: str) -> None:
    """What stands in the place of padding, and is none, is read."""
    like = likeness(OPENAI, CHAT, PADDED)

    assert like is not None
    assert not like.has(PADDED_NONE[name])


NO_LIKENESS = {
    "nothing said": written(chunk("")),
    "an end": PLAIN.replace(b"null", b'"stop"'),
    "two choices": written({**chunk("Hi"), "choices": chunk("Hi")["choices"] + chunk("there")["choices"]}),  # type: ignore[operator]
    "scores": PLAIN.replace(b'"finish_reason"', b'"logprobs":{"content":[{"token":"Hello "}]},"finish_reason"'),
    "a text that stands in another place first": written({**chunk("m"), "model": "m"}),
    "a text that is written with escapes": written(chunk("é"), ascii_only=True),
    "padding of another form": written(chunk("Hi", obfuscation="a b")),
}


@pytest.mark.parametrize("name", NO_LIKENESS)
def test_what_cannot_be_told_surely_has_no_likeness(name: str) -> None:
    """Where it is not certain which bytes are the text, every event is read."""
    assert likeness(OPENAI, CHAT, NO_LIKENESS[name]) is None
