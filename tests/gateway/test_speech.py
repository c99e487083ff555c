"""One answer cleaned, without sockets: order, waiting, and what ends it."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import random
from collections.abc import Sequence

import pytest

from gateway import speech
from gateway.categories import Scope
from gateway.errors import Code, Unavailable, UpstreamError
from gateway.redaction.findings import Settled, Window
from gateway.redaction.redactor import Redactor
from gateway.redaction.treatment import Treatment
from gateway.speech import Answer
from providers.anthropic import ANTHROPIC, MESSAGES
from providers.document import Document, Value
from providers.openai import CHAT, OPENAI
from tests.gateway.redaction.conftest import InProcess
from tests.gateway.redaction.test_stream import ENGINE, EXAMPLES, REST, SECRET


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(scope: Scope = Scope.SPAN, clock: Clock | None = None) -> Answer:
    """A chat answer about to be cleaned."""
    redactor = Redactor(InProcess(ENGINE), treatment=Treatment(scope))
    return Answer(OPENAI, CHAT, redactor, held_characters=512, held_seconds=2.0, clock=clock or Clock())


def chunk(text: str, index: int = 0) -> Document:
    """A chunk of a chat."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": index, "delta": {"content": text}, "finish_reason": None}],
    }


def add(one: Answer, document: Document) -> bytes:
    """Give it an event; the bytes it would have as it is."""
    data = json.dumps(document).encode()
    one.add("", data, document)
    return b"data: " + data + b"\n\n"


def test_what_says_nothing_new_goes_on_byte_for_byte() -> None:
    """An event in which nothing is found keeps its bytes, spaces and all."""

    async def flow() -> tuple[list[bytes], bytes]:
        one = answer()
        sent = add(one, chunk("Everything went well, thanks. "))
        return [*await one.release(), *await one.finish()], sent

    out, sent = asyncio.run(flow())

    assert out == [sent]


def test_events_keep_their_order_over_channels() -> None:
    """What waits in one choice keeps later events of another back."""

    async def flow() -> tuple[int, list[str]]:
        one = answer()
        add(one, chunk("My brother has canc"))
        add(one, chunk("Fine. ", 1))
        before = len(await one.release())
        add(one, chunk("er. "))
        out = await one.release() + await one.finish()
        said = [json.loads(event[6:])["choices"][0]["delta"]["content"] for event in out]
        return before, said

    before, said = asyncio.run(flow())

    assert before == 0
    assert said == ["My brother has [REDACTED]", "Fine. ", ". "]


def test_nothing_waits_longer_than_it_may() -> None:
    """After its time, what a rule could still clear is decided as it stands, and rather taken out."""

    async def flow() -> tuple[list[bytes], float | None, list[bytes]]:
        clock = Clock()
        one = answer(clock=clock)
        add(one, chunk("My brother has cancer, "))
        first = await one.release()
        patience = one.patience
        clock.now = 2.0
        return first, patience, await one.release()

    first, patience, late = asyncio.run(flow())

    assert first == []
    assert patience == 2.0
    assert b"[REDACTED]" in late[0]
    assert b"cancer" not in late[0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tenant_that_refuses_gets_no_answer_with_a_finding(stream: bool) -> None:
    """Where the treatment is to refuse, a finding ends the answer."""

    async def flow() -> None:
        one = answer(Scope.REFUSE)
        if stream:
            add(one, chunk(SECRET))
            await one.finish()
        else:
            await one.clean({"choices": [{"message": {"content": SECRET}}]})

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(flow())

    assert caught.value.code is Code.RESPONSE_NOT_ALLOWED


def test_a_tenant_that_drops_sentences_gets_none_of_them() -> None:
    """The whole sentence goes, its neighbours stay."""

    async def flow() -> str:
        one = answer(Scope.SENTENCE)
        for text in ("All well. My bro", "ther is HIV posi", "tive. Bye now."):
            add(one, chunk(text))
        out = await one.finish()
        return "".join(json.loads(event[6:])["choices"][0]["delta"]["content"] for event in out)

    assert asyncio.run(flow()) == "All well. [REDACTED] Bye now."


def test_a_redactor_that_fails_says_not_to_ask_again() -> None:
    """The provider was asked already, so the same request must not be sent once more."""

    class Broken(InProcess):
        async def settle(self, windows: Sequence[Window]) -> list[Settled]:
            raise Unavailable(Code.REDACTION_UNAVAILABLE, "Nobody looks.")

    one = Answer(OPENAI, CHAT, Redactor(Broken(ENGINE)), held_characters=512, held_seconds=2.0, clock=Clock())

    with pytest.raises(Unavailable) as caught:
        asyncio.run(one.clean({"choices": [{"message": {"content": "Hello there"}}]}))

    assert not caught.value.retryable


def test_blobs_that_are_text_are_read() -> None:
    """A signature passes; base64 that is text in disguise does not."""
    import base64  # noqa: PLC0415  # for this case only

    def message(signature: str) -> Document:
        return {"type": "message", "content": [{"type": "thinking", "thinking": "", "signature": signature}]}

    async def flow(signature: str) -> bool:
        redactor = Redactor(InProcess(ENGINE))
        one = Answer(ANTHROPIC, MESSAGES, redactor, held_characters=512, held_seconds=2.0, clock=Clock())
        return await one.clean(message(signature))

    assert asyncio.run(flow(base64.b64encode(bytes(range(256))).decode())) is False
    with pytest.raises(UpstreamError):
        asyncio.run(flow(base64.b64encode(SECRET.encode()).decode()))


def test_a_whole_answer_is_cleaned_in_place() -> None:
    """Texts, refusals and anything else that is said; ids and words stay."""
    document: Document = {
        "id": "chatcmpl-1",
        "choices": [{"message": {"role": "assistant", "content": SECRET, "refusal": None}, "finish_reason": "stop"}],
    }

    assert asyncio.run(answer().clean(document)) is True
    assert document["choices"] == [
        {"message": {"role": "assistant", "content": REST, "refusal": None}, "finish_reason": "stop"}
    ]


def test_the_short_way_of_a_whole_answer_is_the_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an answer holds, and whatever a tenant asks for: it becomes the same, text by text or all in one look."""
    source = random.Random(11)
    redactor = {scope: Redactor(InProcess(ENGINE), treatment=Treatment(scope)) for scope in Scope}

    def cleaned(document: Document, scope: Scope) -> tuple[object, ...]:
        wire, operation = (OPENAI, CHAT) if "choices" in document else (ANTHROPIC, MESSAGES)
        one = Answer(wire, operation, redactor[scope], held_characters=64, held_seconds=2.0, clock=Clock())
        try:
            changed = asyncio.run(one.clean(document))
        except UpstreamError as error:
            return (error.code,)
        return changed, document, dict(one.redactions), one.scores_dropped

    made = [(source.choice((chat, message))(source), source.choice(list(Scope))) for _ in range(300)]
    short = [cleaned(copy.deepcopy(document), scope) for document, scope in made]
    monkeypatch.setattr(speech, "_plain", lambda _listed: None)
    long = [cleaned(document, scope) for document, scope in made]

    assert short == long
    assert {type(one[0]) for one in short} == {bool, Code}


def text(source: random.Random) -> str:
    """One that is plain or not, and may hold a finding."""
    plain = source.choice((SECRET, REST, "Fine.", "", EXAMPLES[source.randrange(len(EXAMPLES))]))
    return source.choice((plain, plain, json.dumps({"his husband": plain}), "x " * 5_000 + plain))


def word(source: random.Random) -> str:
    """One of a closed grammar, or nearly."""
    return source.choice(("m-1", "my_husband_has_cancer", "stop", "no word", f"id-{source.random()}"))


def chat(source: random.Random) -> Document:
    """A chat answer."""
    said = text(source)
    score: Document = {"content": [{"token": said, "logprob": -1.0, "top_logprobs": []}]}
    function: Document = {"id": word(source), "function": {"name": word(source), "arguments": text(source)}}
    return {
        "id": word(source),
        "model": word(source),
        "choices": [
            {
                "message": {"content": said, "refusal": source.choice((None, said, text(source)))},
                "logprobs": source.choice((None, None, score)),
            },
            {"message": {"tool_calls": [function] * source.choice((0, 0, 1))}},
        ],
    }


def message(source: random.Random) -> Document:
    """A message with blocks that read on, and some that are sealed."""
    blocks: list[Value] = [
        {"type": "text", "text": text(source)},
        {"type": "text", "text": text(source)},
        {"type": "tool_use", "id": word(source), "input": {"a": text(source)}},
        {"type": "thinking", "thinking": text(source), "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": source.choice(("AAEC", base64.b64encode(SECRET.encode()).decode()))},
    ]
    return {"id": word(source), "content": source.sample(blocks, source.randrange(1, 4))}


async def test_words_that_answers_repeat_are_looked_at_once() -> None:
    """Kinds and models are looked at in the first answer that has them, ids in each; one with a finding in every one."""

    class Noting(InProcess):
        """Notes what it is asked."""

        def __init__(self) -> None:
            super().__init__(ENGINE)
            self.windows: list[str] = []

        async def settle(self, windows: Sequence[Window]) -> list[Settled]:
            self.windows.extend(window.text for window in windows)
            return await super().settle(windows)

    noting = Noting()
    redactor = Redactor(noting)

    async def asked(number: int, model: str = "m-1") -> list[str]:
        document: Document = {
            "id": f"chatcmpl-{number}",
            "model": model,
            "choices": [{"message": {"role": "assistant", "content": f"Fine {number}"}}],
        }
        noting.windows.clear()
        one = Answer(
            OPENAI, CHAT, redactor.under(Treatment(Scope.SENTENCE)), held_characters=9, held_seconds=2.0, clock=Clock()
        )
        await one.clean(document)
        return noting.windows

    assert await asked(1) == ["chatcmpl 1", "m 1", "assistant", "Fine 1"]
    assert await asked(2) == ["chatcmpl 2", "Fine 2"]
    for _ in range(2):
        with pytest.raises(UpstreamError):
            await asked(2, "my-brother-is-HIV-positive")
