"""What comes back is cleaned: in every channel and copy, plain and streamed, on both wires, through the official clients."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from gateway.errors import Code, Unavailable
from gateway.redaction.detector import Detector
from gateway.redaction.findings import Settled, Window
from gateway.simulator import Fault, Scenario, Simulator
from providers.document import Document
from tests.conftest import Gateway
from tests.houses import records
from tests.official_sdks import ANTHROPIC_MODEL, KINDS, OPENAI_MODEL, entered, listed, play, settle
from tests.official_sdks import Case as Play

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID = "The demo went well. My brother is HIV positive, and his husband has multiple sclerosis. The pipeline looks healthy."
HEARD = "The demo went well. My brother is [REDACTED], and [REDACTED] has [REDACTED]. The pipeline looks healthy."
TELLTALE = ("HIV", "husband", "sclerosis")
ASK = [{"role": "user", "content": "How did it go?"}]
FUNCTION: Any = {
    "type": "function",
    "function": {"name": "note", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}},
}
TOOL: Any = {"name": "note", "input_schema": FUNCTION["function"]["parameters"]}
ARGUMENTS = json.dumps({"text": SAID, "n": [1, 2.5, None], "his husband": True})
CLEAN_ARGUMENTS = {"text": HEARD, "n": [1, 2.5, None], "[REDACTED]": True}
PIECES = (0, 1, 3, 7, 10_000)


def shown(value: Any) -> str:
    """All that a client's object holds, as text."""
    return json.dumps(value.model_dump(mode="json", warnings="none"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Way:
    """One channel of one wire: how the provider says it, and how a client hears it whole and streamed."""

    name: str
    scenario: Mapping[str, Any]
    whole: Callable[[Any], Awaitable[object]]
    streamed: Callable[[Any], Awaitable[object]]
    heard: object
    wire: str = "openai"


async def chat(client: Any, **more: Any) -> Any:
    answer = await settle(client.chat.completions.create(model=OPENAI_MODEL, messages=ASK, **more))
    assert not any(word in shown(answer) for word in TELLTALE)
    return answer.choices[0].message


async def chat_stream(client: Any, **more: Any) -> Any:
    async def use(stream: Any) -> Any:
        events = await listed(stream)
        assert not any(word in shown(event) for event in events for word in TELLTALE)
        return (await settle(stream.get_final_completion())).choices[0].message

    return await entered(client.chat.completions.stream(model=OPENAI_MODEL, messages=ASK, **more), use)


async def responses(client: Any, **more: Any) -> Any:
    answer = await settle(client.responses.create(model=OPENAI_MODEL, input="How did it go?", **more))
    assert not any(word in shown(answer) for word in TELLTALE)
    return answer


async def responses_stream(client: Any, **more: Any) -> Any:
    async def use(stream: Any) -> Any:
        events = await listed(stream)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert not any(word in shown(event) for event in events for word in TELLTALE)
        return await settle(stream.get_final_response())

    return await entered(client.responses.stream(model=OPENAI_MODEL, input="How did it go?", **more), use)


async def messages(client: Any, **more: Any) -> Any:
    answer = await settle(client.messages.create(model=ANTHROPIC_MODEL, max_tokens=500, messages=ASK, **more))
    assert not any(word in shown(answer) for word in TELLTALE)
    return answer.content


async def messages_stream(client: Any, **more: Any) -> Any:
    async def use(stream: Any) -> Any:
        events = await listed(stream)
        assert not any(word in shown(event) for event in events for word in TELLTALE)
        return (await settle(stream.get_final_message())).content

    return await entered(client.messages.stream(model=ANTHROPIC_MODEL, max_tokens=500, messages=ASK, **more), use)


def way(
    name: str,
    call: Callable[..., Awaitable[Any]],
    stream: Callable[..., Awaitable[Any]],
    pick: Callable[[Any], object],
    heard: object,
    wire: str = "openai",
    **scenario: Any,
) -> Way:
    """A way whose request has the arguments under `ask`."""
    ask = scenario.pop("ask", {})

    async def whole(client: Any) -> object:
        return pick(await call(client, **ask))

    async def streamed(client: Any) -> object:
        return pick(await stream(client, **ask))

    return Way(name, scenario, whole, streamed, heard, wire)


def spoken(document: object) -> str:
    return json.dumps(document)


WAYS = [
    way("chat", chat, chat_stream, lambda message: message.content, HEARD, say=SAID),
    way(
        "chat, JSON",
        chat,
        chat_stream,
        lambda message: json.loads(message.content),
        CLEAN_ARGUMENTS,
        say=ARGUMENTS,
    ),
    way(
        "chat, tool call",
        chat,
        chat_stream,
        lambda message: json.loads(message.tool_calls[0].function.arguments),
        CLEAN_ARGUMENTS,
        arguments=ARGUMENTS,
        ask={"tools": [FUNCTION]},
    ),
    way(
        "responses",
        responses,
        responses_stream,
        lambda answer: [answer.output_text, *(part.text for part in answer.output[-1].content)],
        [HEARD, HEARD],
        say=SAID,
    ),
    way(
        "responses, tool call",
        responses,
        responses_stream,
        lambda answer: json.loads(answer.output[-1].arguments),
        CLEAN_ARGUMENTS,
        arguments=ARGUMENTS,
        ask={"tools": [{"type": "function", "strict": False, **FUNCTION["function"]}]},
    ),
    way(
        "responses, reasoning",
        responses,
        responses_stream,
        lambda answer: [answer.output[0].content[0].text, answer.output[0].summary[0].text],
        [HEARD, HEARD],
        think=SAID,
        content="reasoning_text",
        ask={"reasoning": {"summary": "auto"}},
    ),
    way(
        "messages",
        messages,
        messages_stream,
        lambda content: [block.text for block in content],
        [HEARD],
        "anthropic",
        say=SAID,
    ),
    way(
        "messages, a sentence over two blocks",
        messages,
        messages_stream,
        lambda content: [block.text for block in content],
        ["My brother is [REDACTED]", ", as he said."],
        "anthropic",
        items=({"type": "text", "text": "My brother is HIV", "citations": None},),
        say=" positive, as he said.",
    ),
    way(
        "messages, tool use",
        messages,
        messages_stream,
        lambda content: content[-1].input,
        CLEAN_ARGUMENTS,
        "anthropic",
        arguments=ARGUMENTS,
        ask={"tools": [TOOL]},
    ),
]


def client(way_: Way, gateway: Gateway, kind: str) -> Any:
    """The official client of a way's wire."""
    if way_.wire == "anthropic":
        make: Any = anthropic.Anthropic if kind == "sync" else anthropic.AsyncAnthropic
        return make(base_url=gateway.url, api_key=gateway.granted_key, max_retries=0)
    make = openai.OpenAI if kind == "sync" else openai.AsyncOpenAI
    return make(base_url=f"{gateway.url}/v1", api_key=gateway.granted_key, max_retries=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way_", WAYS, ids=lambda one: one.name)
async def test_what_is_heard_is_clean_whole_and_streamed(
    lasting_gateway: Gateway, lasting_simulator: Simulator, way_: Way, kind: str
) -> None:
    """The client's whole answer is clean, and its accumulated stream is the same, whatever the pieces."""
    case = Play(way_.name, way_.whole, (Scenario(**way_.scenario),))
    assert await play(case, client(way_, lasting_gateway, kind), lasting_simulator) == way_.heard

    for piece in PIECES:
        case = Play(way_.name, way_.streamed, (Scenario(**way_.scenario, piece=piece),))
        assert await play(case, client(way_, lasting_gateway, kind), lasting_simulator) == way_.heard, piece


# --- by raw HTTP ----------------------------------------------------------------------------------

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


async def post(gateway: Gateway, path: str, body: Document) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and body of one call."""
    headers = {"authorization": f"Bearer {gateway.granted_key}", "anthropic-version": "2023-06-01"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(gateway.url + path, json=body, headers=headers) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


def asked(path: str, **more: Any) -> Document:
    """A request of that path."""
    if path == "/v1/responses":
        return {"model": OPENAI_MODEL, "input": "How did it go?", **more}
    if path == MESSAGES:
        return {"model": ANTHROPIC_MODEL, "max_tokens": 100, "messages": ASK, **more}  # type: ignore[dict-item]
    return {"model": OPENAI_MODEL, "messages": ASK, **more}  # type: ignore[dict-item]


def texts(body: str) -> str:
    """All text deltas of a stream, joined."""
    found: list[str] = []
    for line in body.splitlines():
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            for choice in event.get("choices", ()):
                found.append(choice["delta"].get("content") or "")
            delta = event.get("delta")
            found.append(delta if isinstance(delta, str) else (delta or {}).get("text", ""))
    return "".join(found)


async def test_a_whole_answer_says_what_was_taken_out(lasting_gateway: Gateway, lasting_simulator: Simulator) -> None:
    """Counts by category stand in the headers, of the whole call and of the answer alone."""
    lasting_simulator.reset()
    lasting_simulator.script(Scenario(say=SAID))

    status, headers, _body = await post(
        lasting_gateway, CHAT, asked(CHAT, messages=[{"role": "user", "content": "My sister is HIV positive."}])
    )

    assert status == 200
    assert headers["x-gateway-answer-redactions"] == "HEALTH=2, SEX_LIFE_ORIENTATION=1"
    assert headers["x-gateway-redactions"] == "HEALTH=3, SEX_LIFE_ORIENTATION=1"
    assert "x-gateway-dropped" not in headers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_log_probabilities_go_with_what_they_are_of(
    lasting_gateway: Gateway, lasting_simulator: Simulator, stream: bool
) -> None:
    """Of tokens in a finding, neither they nor what might have been said instead is told; the others stay."""
    lasting_simulator.reset()
    lasting_simulator.script(Scenario(say=SAID))

    _status, headers, body = await post(
        lasting_gateway, CHAT, asked(CHAT, logprobs=True, top_logprobs=2, stream=stream)
    )

    assert not any(word in body for word in TELLTALE)
    documents = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")] or [json.loads(body)]
    tokens = [
        entry["token"]
        for document in documents
        for choice in document["choices"]
        if choice.get("logprobs")
        for entry in choice["logprobs"]["content"]
    ]
    assert "".join(tokens) == "The demo went well. My brother is and has The pipeline looks healthy."
    if not stream:
        assert headers["x-gateway-dropped"] == "logprobs"


async def test_a_told_alternative_is_dropped(lasting_gateway: Gateway, lasting_simulator: Simulator) -> None:
    """A token that might have been said, and tells by itself, is not told either."""
    lasting_simulator.reset()
    told = {"token": "his husband", "bytes": list(b"his husband"), "logprob": -1.0}
    entry = {"token": "Fine", "bytes": list(b"Fine"), "logprob": -0.1, "top_logprobs": [told]}
    message = {"role": "assistant", "content": "Fine", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": {"content": [entry]}, "finish_reason": "stop"}
    lasting_simulator.script(Scenario(merge={"choices": [choice]}))  # type: ignore[dict-item]

    _status, headers, body = await post(lasting_gateway, CHAT, asked(CHAT, logprobs=True, top_logprobs=1))

    assert "husband" not in body
    assert json.loads(body)["choices"][0]["logprobs"]["content"] == [{**entry, "top_logprobs": []}]
    assert headers["x-gateway-dropped"] == "logprobs"


SIGNED = Scenario(think=SAID)
THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_finding_in_a_signed_block_ends_the_answer(
    lasting_gateway: Gateway, lasting_simulator: Simulator, stream: bool
) -> None:
    """Thinking is signed: it cannot be edited, so it does not pass."""
    lasting_simulator.reset()
    lasting_simulator.script(SIGNED)

    status, headers, body = await post(
        lasting_gateway, MESSAGES, asked(MESSAGES, max_tokens=2000, thinking=THINKING, stream=stream)
    )

    assert not any(word in body for word in TELLTALE)
    assert "response_not_allowed" in body
    if stream:
        assert status == 200
        assert body.rstrip().splitlines()[-2] == "event: error"
        assert "message_stop" not in body
    else:
        assert (status, headers["x-gateway-code"]) == (502, "response_not_allowed")


@pytest.mark.parametrize(
    "planted",
    [
        {"id": "his-husband"},
        {"system_fingerprint": "his husband"},
        {"extra": {"deep": [SAID]}},
    ],
    ids=["an id", "a word that is none", "a field that nobody named"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_no_field_carries_it(
    lasting_gateway: Gateway, lasting_simulator: Simulator, planted: Document, stream: bool
) -> None:
    """What is planted in any other field of an answer is cleaned there, or ends the answer."""
    lasting_simulator.reset()
    lasting_simulator.script(Scenario(merge=planted))

    _status, _headers, body = await post(lasting_gateway, CHAT, asked(CHAT, stream=stream))

    assert not any(word in body for word in TELLTALE)


ENDS = [(CHAT, "[DONE]"), ("/v1/responses", "event: response.completed"), (MESSAGES, "event: message_stop")]


@pytest.mark.parametrize(("path", "last"), ENDS)
@pytest.mark.parametrize("fault", [Fault.DIE_MID_STREAM, Fault.END_EARLY, Fault.STREAM_ERROR, Fault.MALFORMED])
async def test_what_is_held_when_a_stream_breaks_is_not_let_go(
    lasting_gateway: Gateway, lasting_simulator: Simulator, path: str, last: str, fault: Fault
) -> None:
    """Cut in the middle of a finding, a stream ends with an error, and its held end stays here."""
    said = "The demo went well. My brother is HIV positive"
    for after in range(8, 26):
        lasting_simulator.reset()
        lasting_simulator.script(Scenario(say=said, piece=2, fault=fault, after=after))

        _status, _headers, body = await post(lasting_gateway, path, asked(path, stream=True))

        assert "error" in body
        assert last not in body
        heard = texts(body)
        assert "HIV" not in heard
        if fault is not Fault.STREAM_ERROR:  # the provider ended it: what was said till then is cleaned as it stands
            assert "The demo went well. My brother is [REDACTED]".startswith(heard)


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", MESSAGES])
async def test_an_answer_that_nobody_can_look_at_does_not_pass(
    lasting_gateway: Gateway, lasting_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """When the redactor fails, a whole answer is refused and a stream ends; neither may be sent again unasked."""
    looks = allowed = 0
    settle_ = Detector.settle

    async def failing(self: Detector, windows: list[Window]) -> list[Settled]:
        nonlocal looks
        looks += 1
        if looks > allowed:
            raise Unavailable(Code.REDACTION_UNAVAILABLE, "Nobody can look.")
        return await settle_(self, windows)

    monkeypatch.setattr(Detector, "settle", failing)
    lasting_simulator.reset()
    lasting_simulator.script(Scenario(say=SAID, piece=3, pace=0.001), count=3)
    status, headers, body = await post(lasting_gateway, path, asked(path))
    assert (status, headers["x-gateway-code"]) == (503, "redaction_unavailable")
    assert headers["x-should-retry"] == "false"
    assert "demo" not in body

    for wanted in (0, 6):
        looks, allowed = 0, wanted
        status, _headers, body = await post(lasting_gateway, path, asked(path, stream=True))
        assert status == 200
        assert "redaction_unavailable" in body
        assert "healthy" not in body
        assert not any(end in body for end in ("[DONE]", "response.completed", "message_stop"))


async def test_the_record_counts_and_the_terminal_event_waits_for_it(
    lasting_gateway: Gateway, lasting_simulator: Simulator
) -> None:
    """A stream cannot say it in a header: its outcome holds how many were taken out, copies counted once."""
    lasting_simulator.reset()
    lasting_simulator.script(Scenario(say=SAID, piece=4))

    _status, _headers, body = await post(lasting_gateway, "/v1/responses", asked("/v1/responses", stream=True))

    assert body.count("[REDACTED]") >= 3
    last = next(record for record in reversed(records(lasting_gateway.state)) if record["kind"] == "outcome")
    assert last["redactions"] == 3
    assert last["result"] == "completed"
