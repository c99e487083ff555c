"""The simulated provider: what it can be told to do, and what it writes down."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import ssl
import sys
import typing
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import openai
import pytest
import trustme
import yarl
from openai.types.responses import ResponseStreamEvent

from gateway.simulator import CREDENTIAL, Fault, Scenario, Simulator
from gateway.simulator.question import MAX_PIECES, pieces, sample
from gateway.simulator.scenario import read_scenario
from providers import sse
from providers.document import Document
from tests.official_sdks import UNIQUE, strict

CHAT = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Say this back"}]}
MESSAGE = {"model": "claude-simulated", "max_tokens": 64, "messages": [{"role": "user", "content": "Say this back"}]}
BEARER = {"authorization": f"Bearer {CREDENTIAL}"}
ANTHROPIC = {"x-api-key": CREDENTIAL, "anthropic-version": "2026-10-21"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client that follows nothing and unpacks nothing."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session:
        yield session


async def _chat(http: aiohttp.ClientSession, simulator: Simulator, **more: object) -> tuple[int, bytes]:
    url = f"{simulator.url}/v1/chat/completions"
    async with http.post(url, json={**CHAT, **more}, headers=BEARER, allow_redirects=False) as answer:
        return answer.status, await answer.read()


HOSTED = {
    "response.audio.",
    "response.code_interpreter_call",
    "response.file_search_call",
    "response.image_generation_call",
    "response.mcp_",
    "response.shell_call_output_content",
}
"""Events of tools that run at the provider and of audio: a stateless call cannot have them."""

RESPONSES: dict[str, tuple[dict[str, Any], Scenario]] = {
    "text, queued first": ({}, Scenario(content="queued")),
    "annotations": ({}, Scenario(content="annotations")),
    "refusal": ({}, Scenario(content="refusal")),
    "reasoning": ({"reasoning": {"summary": "auto"}}, Scenario(content="reasoning_text")),
    "tools": (
        {
            "tools": [
                {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False},
                {"type": "custom", "name": "note"},
                {"type": "shell", "environment": {"type": "local"}},
                {"type": "apply_patch"},
                {"type": "tool_search", "execution": "client"},
                {"type": "web_search", "external_web_access": False},
            ]
        },
        Scenario(),
    ),
    "compaction": ({"context_management": [{"type": "compaction"}]}, Scenario()),
    "incomplete": ({"max_output_tokens": 1}, Scenario()),
    "failed": ({}, Scenario(content="failed")),
    "error": ({}, Scenario(fault=Fault.STREAM_ERROR)),
}


async def test_a_response_streams_every_event_that_a_stateless_call_can_have(simulator: Simulator) -> None:
    """Each event type that the client's types name is streamed by some request, hosted tools aside."""
    union = typing.get_args(typing.get_args(ResponseStreamEvent)[0])
    named = {typing.get_args(one.model_fields["type"].annotation)[0] for one in union}
    expected = {name for name in named if not name.startswith(tuple(HOSTED))}
    seen: set[str] = set()

    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key=CREDENTIAL) as client:
        for more, scenario in RESPONSES.values():
            simulator.script(scenario)
            stream = await client.responses.create(model="gpt-simulated", input="Go", stream=True, **more)
            seen |= {event.type for event in strict([event async for event in stream])}

    assert seen == expected


@pytest.mark.parametrize("kind", ["json", "verbose_json", "text", "srt", "vtt"])
async def test_a_recording_is_transcribed(kind: Any, simulator: Simulator) -> None:
    """Every format satisfies the client, and the text depends on the recording and on the prompt."""
    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key=CREDENTIAL) as client:
        shown: list[str] = []
        for recording in (b"RIFF\r\n--one", b"RIFF\r\n--two!"):
            result: Any = await client.audio.transcriptions.create(
                file=("call.wav", recording), model="whisper-simulated", prompt="Sales", response_format=kind
            )
            shown.append(result if isinstance(result, str) else strict(result).text)

    assert shown[0] != shown[1]
    assert "of 11 bytes. Sales" in shown[0]
    assert "of 12 bytes. Sales" in shown[1]


async def test_a_transcription_streams(simulator: Simulator) -> None:
    """The pieces of a streamed transcription add up to its final text."""
    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key=CREDENTIAL) as client:
        stream = await client.audio.transcriptions.create(file=("a.wav", b"x"), model="gpt-simulated", stream=True)
        events: list[Any] = [event async for event in stream]

    assert "".join(event.delta for event in events[:-1]) == events[-1].text


WRONG = {
    "OpenAI, no key": ("/v1/chat/completions", {}, 401, ("error", "code"), "invalid_api_key"),
    "OpenAI, another key": (
        "/v1/chat/completions",
        {"authorization": "Bearer other"},
        401,
        ("error", "code"),
        "invalid_api_key",
    ),
    "OpenAI, unknown path": ("/v1/assistants", BEARER, 404, ("error", "type"), "invalid_request_error"),
    "Anthropic, no key": ("/v1/messages", {}, 401, ("error", "type"), "authentication_error"),
    "Anthropic, unknown path": ("/v1/complete", ANTHROPIC, 404, ("error", "type"), "not_found_error"),
    "Anthropic, no version": (
        "/v1/messages",
        {"x-api-key": CREDENTIAL},
        400,
        ("error", "type"),
        "invalid_request_error",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_request_gets_the_wires_own_error(
    case: str, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """Credentials, paths and versions are checked, and the error is shaped as the wire's own."""
    path, headers, status, (outer, inner), word = WRONG[case]
    async with http.post(simulator.url + path, json=MESSAGE, headers=headers) as answer:
        body = await answer.json()

        assert answer.status == status
    assert body[outer][inner] == word


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_a_field_that_is_missing_is_named(
    missing: str, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """A request without what it needs is a 400 that names the field."""
    status, body = await _chat(http, simulator, **{missing: None})

    assert status == 400
    assert json.loads(body)["error"]["param"] == missing


async def test_an_answer_is_the_same_again(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """Equal requests get equal answers, unique ids aside, and every answer its own request id."""
    first = await _chat(http, simulator)
    second = await _chat(http, simulator)

    assert first != second
    assert UNIQUE.sub("", first[1].decode()) == UNIQUE.sub("", second[1].decode())
    assert len({arrival.request_id for arrival in simulator.arrivals}) == 2


@pytest.mark.parametrize(
    "fault",
    [Fault.DIE_BEFORE_BODY, Fault.DIE_BEFORE_HEAD, Fault.DIE_MID_HEAD, Fault.DIE_MID_BODY, Fault.DIE_MID_STREAM],
)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_a_death_breaks_the_answer(
    fault: Fault, reset: bool, stream: bool, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """The caller sees a broken exchange, and the witness says that the script cut it."""
    simulator.script(Scenario(fault=fault, reset=reset))

    with pytest.raises(aiohttp.ClientError):
        await _chat(http, simulator, stream=stream)

    await simulator.witness.settled(1)
    assert simulator.arrivals[0].end == "cut_by_script"


@pytest.mark.parametrize("fault", [Fault.STALL_BEFORE_HEAD, Fault.STALL_MID_BODY, Fault.ENDLESS])
async def test_a_stall_lasts_until_the_caller_goes(
    fault: Fault, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """A stalled or endless answer is already written down, and ends when the caller leaves."""
    simulator.script(Scenario(fault=fault, pace=0.01))
    waiting = asyncio.ensure_future(_chat(http, simulator, stream=True))
    await simulator.witness.until(lambda: bool(simulator.arrivals) and simulator.arrivals[0].body is not None)
    if fault is Fault.ENDLESS:
        await simulator.witness.until(lambda: simulator.arrivals[0].sent > 10_000)

    assert simulator.witness.open == 1
    waiting.cancel()
    await simulator.witness.settled(1)
    assert simulator.arrivals[0].end == "caller_gone"


async def test_a_stream_can_end_without_its_terminal_event(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """The body ends as HTTP says it should, and only the wire's reader can tell that it is cut."""
    _status, well = await _chat(http, simulator, stream=True)
    simulator.script(Scenario(fault=Fault.END_EARLY, after=2))
    _status, cut = await _chat(http, simulator, stream=True)

    assert well.endswith(b"data: [DONE]\n\n")
    assert len(sse.Splitter().feed(cut)) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_malformed_data_has_a_well_formed_body(
    stream: bool, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """HTTP holds, and the JSON does not."""
    simulator.script(Scenario(fault=Fault.MALFORMED))
    _status, body = await _chat(http, simulator, stream=stream)
    last = sse.fields(sse.Splitter().feed(body)[-1])[1] if stream else body

    with pytest.raises(json.JSONDecodeError):
        json.loads(last)


async def test_protocols_are_switched(simulator: Simulator) -> None:
    """A scripted 101 is a bare head, then the end."""
    simulator.script(Scenario(fault=Fault.SWITCH_PROTOCOLS))
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")

    seen = await reader.read()

    writer.close()
    assert seen.startswith(b"HTTP/1.1 101 ")


async def test_a_raw_answer_is_sent_as_it_is(simulator: Simulator) -> None:
    """`raw` replaces head and body, so any malformed head can be scripted."""
    simulator.script(Scenario(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"))
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")

    seen = await reader.read()

    writer.close()
    assert seen.endswith(b"content-length: 2\r\n\r\nab")


async def test_a_redirect_names_another_place(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A 3xx with a location is a matter of status and headers."""
    simulator.script(Scenario(status=307, headers={"Location": "http://127.0.0.1:9/"}))
    url = f"{simulator.url}/v1/chat/completions"
    async with http.post(url, json=CHAT, headers=BEARER, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (307, "http://127.0.0.1:9/")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_an_answer_can_be_compressed(stream: bool, simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A gzip answer that nobody asked for unpacks to the same bytes."""
    _status, plain = await _chat(http, simulator, stream=stream)
    simulator.reset()
    simulator.script(Scenario(gzip=True))
    _status, packed = await _chat(http, simulator, stream=stream)

    assert gzip.decompress(packed) == plain


async def test_an_answer_can_trickle(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A slow answer comes byte by byte and is whole in the end."""
    _status, plain = await _chat(http, simulator)
    simulator.reset()
    simulator.script(Scenario(byte_delay=0.0001))

    assert await _chat(http, simulator) == (200, plain)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_an_answer_can_show_retained_state(
    stream: bool, simulator: Simulator, http: aiohttp.ClientSession
) -> None:
    """Scripted fields, items, models and events appear in plain answers and in streams."""
    items: tuple[Document, ...] = ({"type": "file_search_call", "id": "fs_1", "queries": [], "status": "completed"},)
    events: tuple[tuple[str, Document], ...] = (("response.novel", {"type": "response.novel"}),)
    merge: Document = {"store": True, "conversation": {"id": "conv_1"}}
    simulator.script(Scenario(served_model="another", merge=merge, items=items, events=events))
    body = {"model": "gpt-simulated", "input": "Go", "stream": stream}
    async with http.post(f"{simulator.url}/v1/responses", json=body, headers=BEARER) as answer:
        seen = await answer.text()

    assert '"store":true' in seen
    assert "conv_1" in seen
    assert "file_search_call" in seen
    assert '"model":"another"' in seen
    assert ("response.novel" in seen) is stream


async def test_an_error_can_quote_the_prompt(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A scripted error holds what was sent only if it is told to."""
    simulator.script(Scenario(status=400))
    simulator.script(Scenario(status=400, echo_prompt=True, error_code="odd", headers={"retry-after": "3"}))
    _status, silent = await _chat(http, simulator)
    status, quoting = await _chat(http, simulator)

    assert b"Say this back" not in silent
    assert b"Say this back" in quoting
    assert (status, json.loads(quoting)["error"]["code"]) == (400, "odd")


async def test_scripts_hold_for_a_model_or_for_the_next(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A model's script comes before those for the next requests, and lasts for its count."""
    simulator.script(Scenario(status=500), count=1)
    simulator.script(Scenario(status=429), model="gpt-simulated", count=2)

    statuses = [(await _chat(http, simulator))[0] for _ in range(4)]

    assert statuses == [429, 429, 500, 200]


async def test_the_witness_writes_what_arrived(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Head, body and end are appended to the file; headers and target are as they were sent."""
    log = tmp_path / "arrivals.jsonl"
    async with Simulator(log=log) as simulator:
        url = yarl.URL(f"{simulator.url}/v1/responses?a=%2F", encoded=True)
        async with http.post(url, json={"model": "m", "input": "Go"}, headers=BEARER):
            pass
        await simulator.witness.settled(1)
        arrival = simulator.arrivals[0]

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["head", "body", "end"]
    assert lines[0]["target"] == arrival.target == "/v1/responses?a=%2F"
    assert arrival.header("Authorization") == BEARER["authorization"]
    assert arrival.document == {"model": "m", "input": "Go"}
    assert (lines[2]["end"], lines[2]["sent"]) == ("completed", arrival.sent)


async def test_it_runs_as_a_process_of_its_own(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """The command prints its URL, takes scripts from a file and over loopback, and ends on SIGTERM."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"gpt-broken": {"status": 503}}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.simulator", "--script", str(script), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        order = {"scenario": {"fault": "end_early", "after": 1}, "count": 1}
        async with http.post(f"{url}/simulator/script", json=order) as answer:
            assert answer.status == 204
        async with http.post(
            f"{url}/v1/chat/completions", json={**CHAT, "model": "gpt-broken"}, headers=BEARER
        ) as answer:
            assert answer.status == 503
        async with http.post(f"{url}/v1/chat/completions", json={**CHAT, "stream": True}, headers=BEARER) as answer:
            assert len(sse.Splitter().feed(await answer.read())) == 1
        async with http.get(f"{url}/simulator/arrivals") as answer:
            assert [one["status"] for one in (await answer.json())["arrivals"]] == [503, 200]
    finally:
        process.send_signal(signal.SIGTERM)
        code = await process.wait()

    assert code == 0


async def test_it_speaks_tls_too(http: aiohttp.ClientSession) -> None:
    """Given a certificate, it serves the same over TLS."""
    authority = trustme.CA()
    server, client = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with Simulator(tls=server) as simulator:
        async with http.post(f"{simulator.url}/v1/chat/completions", json=CHAT, headers=BEARER, ssl=client) as answer:
            assert answer.status == 200

        assert simulator.url.startswith("https://")


async def test_a_script_that_cannot_be_played_is_told(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """Where the simulated provider itself fails, the witness does not take it for the caller's doing."""
    simulator.script(Scenario(items=({"type": "message", "content": [{"type": "novel"}]},)))
    body = {"model": "gpt-simulated", "input": "Go", "stream": True}
    async with http.post(f"{simulator.url}/v1/responses", json=body, headers=BEARER) as answer:
        assert answer.status == 500

    assert simulator.arrivals[0].end == "broken"


async def test_a_script_with_an_unknown_word_is_refused(simulator: Simulator, http: aiohttp.ClientSession) -> None:
    """A misspelt scenario is told at once, in process and over the control path."""
    with pytest.raises(ValueError, match="attributes of Scenario"):
        read_scenario({"faultt": "endless"})

    async with http.post(f"{simulator.url}/simulator/script", json={"scenario": {"fault": "nap"}}) as answer:
        assert answer.status == 400


SCHEMAS: dict[str, dict[str, Any]] = {
    "nested objects and arrays": {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}, "minItems": 2}},
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {"b": {"type": "object", "properties": {"c": {"enum": ["x", "y"]}}, "required": ["c"]}},
    },
    "several types": {"type": ["string", "null"]},
    "any of": {"anyOf": [{"type": "integer", "minimum": 7}, {"type": "null"}]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "lengths": {"type": "string", "minLength": 70, "maxLength": 80},
    "a short text": {"type": "string", "maxLength": 3},
    "a number below one": {"type": "number", "maximum": 0.5},
    "nothing": {"type": "null"},
    "a date": {"type": "string", "format": "date"},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_sample_satisfies_its_schema(name: str) -> None:
    """What the model fills in is valid under the schema that it was shown."""
    schema = SCHEMAS[name]

    jsonschema.validate(sample(schema, "the text that was sent"), schema)


@pytest.mark.parametrize("words", [0, 1, MAX_PIECES - 1, MAX_PIECES, MAX_PIECES + 1, 5 * MAX_PIECES])
def test_pieces_add_up(words: int) -> None:
    """The pieces of a streamed text give it back, and there are never too many."""
    text = "".join(f" w{number}\n" for number in range(words))

    assert "".join(pieces(text)) == text
    assert len(pieces(text)) <= MAX_PIECES
