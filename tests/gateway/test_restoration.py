"""Personal data put back into a stream: the same text however it was cut, and nothing waits for long."""

from __future__ import annotations

import json

import pytest

from gateway.restoration import Restoration
from providers import PROVIDERS, sse
from providers.document import Document, serialise

STANDS = "[EMAIL_abcdefghij]"
JANE = "jane@example.com"
TEXTS = {
    "one": (f"Write to {STANDS}, now", f"Write to {JANE}, now"),
    "two": (f"{STANDS}{STANDS}", JANE * 2),
    "bold": (f"to **{STANDS.upper()}**.", f"to **{JANE}**."),
    "arguments": ('{"to":"' + STANDS + '","n":[1]}', '{"to":"' + JANE + '","n":[1]}'),
    "no placeholder": ("a [note] and [EMAIL_aaaaaaaaaa] e", "a [note] and [EMAIL_aaaaaaaaaa] e"),
}
WIRE = PROVIDERS["openai"]
(OPERATION,) = (one for one in WIRE.operations if one.name == "chat.completions")


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def restoration(clock: Clock) -> Restoration:
    """Of a request that held one address."""
    return Restoration(WIRE, OPERATION, {STANDS: JANE}, held_seconds=2.0, clock=clock)


def event(text: str) -> Document:
    """A chunk of a chat."""
    return {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


def heard(events: list[bytes]) -> str:
    """The text of these events."""
    documents = [serialise_back(data) for data in (sse.fields(one)[1] for one in events)]
    return "".join(document["choices"][0]["delta"]["content"] for document in documents)  # type: ignore[index, call-overload, misc]


def serialise_back(data: bytes) -> Document:
    """An event's document."""
    tree: Document = json.loads(data)
    return tree


@pytest.mark.parametrize(("said", "expected"), TEXTS.values(), ids=TEXTS.keys())
def test_every_cut_gives_the_same_text(said: str, expected: str) -> None:
    """In three pieces at every pair of places, and letter by letter; each event goes on, in its order."""
    cuts = [[said[:a], said[a:b], said[b:]] for a in range(len(said) + 1) for b in range(a, len(said) + 1)]
    for pieces in [*cuts, list(said)]:
        flow = restoration(Clock())
        out: list[bytes] = []
        for piece in pieces:
            document = event(piece)
            flow.add("", serialise(document), document)
            out += flow.release()
        out += flow.release(end=True)

        assert heard(out) == expected
        assert len(out) == len(pieces)


def test_talk_goes_on_at_once_and_a_beginning_waits_its_time() -> None:
    """What may be a placeholder is held, for no longer than was configured."""
    clock = Clock()
    flow = restoration(clock)
    for text in ("fine ", "so ["):
        document = event(text)
        flow.add("", serialise(document), document)

    assert heard(flow.release()) == "fine "
    assert flow.patience == 2.0
    clock.now = 2.0
    assert heard(flow.release()) == "so ["
    assert flow.patience is None
