"""The canary: a marked word in every place of every operation, and afterwards in nothing that the gateway keeps or says."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from gateway.cli import main
from gateway.simulator import Fault, Scenario, Simulator
from providers.document import Document, Value, serialise
from tests.configuration import ALL_GRANTS, CALLER, issue_key, write_configuration
from tests.houses import Served, client, records, serve, settings
from tests.marks import Marks, leaks, planted, sown

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA: Value = {"type": "object", "properties": {"customer": {"type": "string", "description": "whose call it is"}}}
TOOL: Value = {"name": "find_call", "description": "Looks a call up", "parameters": SCHEMA}
ARGUMENTS = '{"customer": "one of ours"}'

OPERATIONS: dict[str, tuple[str, Document]] = {
    "chat.completions": (
        "/v1/chat/completions",
        {
            "model": "gpt-simulated",
            "messages": [
                {"role": "system", "content": "You coach sales people", "name": "coach"},
                {"role": "user", "content": [{"type": "text", "text": "How did it go"}]},
                {
                    "role": "assistant",
                    "content": "Let me look",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "find_call", "arguments": ARGUMENTS},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "It went well"},
            ],
            "tools": [{"type": "function", "function": TOOL}],
            "stop": ["the end"],
            "user": "user-1",
            "metadata": {"team": "north"},
            "response_format": {"type": "json_schema", "json_schema": {"name": "score", "schema": SCHEMA}},
            "logit_bias": {"50256": -100},
        },
    ),
    "responses": (
        "/v1/responses",
        {
            "model": "gpt-simulated",
            "instructions": "Be brief and kind",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "How did it go"}]},
                {"type": "function_call", "call_id": "call_1", "name": "find_call", "arguments": ARGUMENTS},
                {"type": "function_call_output", "call_id": "call_1", "output": "It went well"},
            ],
            "tools": [{"type": "function", "strict": False, **TOOL}],
            "metadata": {"team": "north"},
            "prompt_cache_key": "key-1",
            "safety_identifier": "user-1",
            "previous_response_id": "resp_1",
        },
    ),
    "embeddings": (
        "/v1/embeddings",
        {"model": "text-embedding-simulated", "input": ["How did it go", "And then"], "user": "user-1"},
    ),
    "moderations": ("/v1/moderations", {"model": "omni-moderation-simulated", "input": ["How did it go"]}),
    "messages": (
        "/v1/messages",
        {
            "model": "claude-simulated",
            "max_tokens": 64,
            "system": [{"type": "text", "text": "You coach sales people", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": "How did it go"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": "toolu_1", "name": "find_call", "input": {"customer": "ours"}}
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "It went well"}],
                },
            ],
            "tools": [{"name": "find_call", "description": "Looks a call up", "input_schema": SCHEMA}],
            "stop_sequences": ["the end"],
            "metadata": {"user_id": "user-1"},
        },
    ),
    "messages.count_tokens": (
        "/v1/messages/count_tokens",
        {"model": "claude-simulated", "messages": [{"role": "user", "content": "How did it go"}], "system": "Be brief"},
    ),
}

PLAIN: dict[str, tuple[str, Document]] = {
    "chat.completions": (
        "/v1/chat/completions",
        {"model": "gpt-simulated", "messages": [{"role": "user", "content": "How did it go"}]},
    ),
    "responses": ("/v1/responses", {"model": "gpt-simulated", "input": "How did it go"}),
    "messages": (
        "/v1/messages",
        {"model": "claude-simulated", "max_tokens": 64, "messages": [{"role": "user", "content": "How did it go"}]},
    ),
}
"""Calls that pass, to meet what the provider does."""


@dataclass(slots=True)
class Flight:
    """One gateway process through everything that can happen to a call, and what it left behind.

    `own` holds every answer that the gateway itself made; `others` what others were told meanwhile.
    """

    served: Served
    provider: Simulator
    folder: Path
    marks: Marks
    keys: tuple[str, str]
    configuration: Path
    own: list[bytes] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    async def ask(
        self, session: aiohttp.ClientSession, path: str, body: bytes, *, headers: dict[str, str] | None = None
    ) -> int:
        """One call; its answer is kept if the gateway made it."""
        given = {"content-type": "application/json", **(headers or {})}
        try:
            async with session.post(self.served.url + path, data=body, headers=given) as answer:
                text = await answer.read()
                if "x-gateway-code" in answer.headers:
                    self.refused.add(answer.headers["x-gateway-code"])
                    self.own.append(text + repr(answer.raw_headers).encode())
                elif answer.status == 200:
                    self.passed.add(path)
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def every_place(self) -> None:
        """Every string and key of every operation, in calls plain and streamed, of two callers."""
        for key in self.keys:
            async with client(key) as session:
                for name, (path, document) in {
                    **OPERATIONS,
                    **{f"{n} plain": each for n, each in PLAIN.items()},
                }.items():
                    for index, tree in enumerate(sown(document, self.marks, name)):
                        tree |= {"stream": True} if index % 2 and "plain" in name else {}
                        await self.ask(session, path, serialise(tree))

    async def around_the_body(self) -> None:
        """Headers, queries, paths, keys, ids of models and tenants, and bodies that are no JSON."""
        mark = self.marks.mark
        path, document = PLAIN["chat.completions"]
        body = serialise(document)
        async with client(self.keys[0]) as session:
            for name in (
                "x-gateway-tenant", "x-gateway-purpose", "x-gateway-subject", "x-gateway-processor", "user-agent",
                "openai-organization", "openai-beta", "anthropic-beta", "cookie", "x-forwarded-for", "x-request-id",
                "content-encoding", "x-stainless-lang", "idempotency-key", "traceparent", "x-api-key", "accept",
            ):  # fmt: skip
                await self.ask(session, path, body, headers={name: mark(name)})
            await self.ask(session, path, body, headers={mark("header name"): mark("header")})
            await self.ask(session, path, body, headers={"content-type": f"text/{mark('content type')}"})
            await self.ask(session, f"{path}?{mark('query name')}={mark('query')}", body)
            await self.ask(session, f"/v1/{mark('path')}", body)
            await self.ask(session, f"{path}/{mark('sub path')}", body)
            for target in (f"/v1/models/{mark('model id')}", f"/v1/models?after_id={mark('after')}"):
                async with session.get(self.served.url + target) as answer:
                    self.own.append(await answer.read())
            for broken in (b'{"%s": ', b'{"a": "%s", "a": 1}', b'["%s"]', b'{"a": NaN, "b": "%s"}', b"\xff%s", b"%s"):
                await self.ask(session, path, broken % mark("broken body").encode())
        for key in (mark("key"), f"zrg_0011223344556677_{mark('secret')}", f"sk-{mark('provider key')}"):
            async with client(key) as session:
                await self.ask(session, path, body)

    async def answers(self) -> None:
        """Marks from the provider: texts, ids, models, headers, errors, events, broken at every point."""
        mark = self.marks.mark
        scripts = [
            Scenario(say=mark("say")),
            Scenario(merge={"id": mark("id"), "system_fingerprint": mark("fingerprint")}),
            Scenario(merge={mark("field"): mark("value")}),
            Scenario(served_model=mark("served model")),
            Scenario(headers={"x-request-id": mark("request id"), "request-id": mark("request id")}),
            Scenario(headers={"x-unheard-of": mark("header"), "openai-version": mark("version")}),
            Scenario(headers={"content-type": f"text/{mark('content type')}"}),
            Scenario(status=307, headers={"location": f"http://127.0.0.1:1/{mark('location')}"}),
            Scenario(items=({"type": mark("item"), "id": mark("item id")},)),
            Scenario(events=((mark("event"), {"type": mark("event type")}),)),
            Scenario(body=mark("body").encode()),
            Scenario(raw=b"HTTP/1.1 200 " + mark("reason").encode() + b"\r\n\r\n"),
            Scenario(raw=mark("no HTTP").encode() + b"\r\n\r\n"),
            Scenario(raw=b"HTTP/1.1 200 OK\r\n" + mark("bad header").encode() + b"\r\n\r\n"),
            Scenario(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + mark("chunk").encode()),
        ]
        scripts += [
            Scenario(
                status=status,
                error_type=mark("error type"),
                error_code=mark("error code"),
                error_param=mark("error param"),
                echo_prompt=True,
                headers={"retry-after": mark("retry-after")},
            )
            for status in (400, 401, 404, 429, 500, 529)
        ]
        faults = (
            Fault.DIE_BEFORE_HEAD, Fault.DIE_MID_HEAD, Fault.DIE_MID_BODY, Fault.DIE_MID_STREAM, Fault.STALL_MID_BODY,
            Fault.END_EARLY, Fault.MALFORMED, Fault.SWITCH_PROTOCOLS, Fault.STREAM_ERROR,
        )  # fmt: skip
        said = Scenario(say=f"it is {mark('broken')}", error_type=mark("stream error"), echo_prompt=True)
        scripts += [replace(said, fault=fault, reset=reset) for fault in faults for reset in (False, True)]
        # Last: an answer that shows retention stops its entry, until an operator lifts that.
        kept: Document = {"conversation": {"id": mark("conversation")}, "container": {"id": mark("container")}}
        scripts.append(Scenario(merge=kept))
        async with client(self.keys[0]) as session:
            for scenario in scripts:
                for name, (path, document) in PLAIN.items():
                    for stream in (False, True):
                        text = mark(f"prompt of {name}")
                        where: Document = {"input": text} if "input" in document else {}
                        turns: Document = {} if where else {"messages": [{"role": "user", "content": text}]}
                        self.provider.script(scenario)
                        await self.ask(session, path, serialise({**document, **where, **turns, "stream": stream}))
                        self.provider._next.clear()

    async def lifted(self) -> None:
        """The operator lets the entries take traffic again."""
        for entry in ("simulated-openai", "simulated-anthropic"):
            arguments = ["attest", "--lift", entry, "--config", str(self.configuration)]
            assert await asyncio.to_thread(main, arguments) == 0
        async with client(self.keys[0]) as session, asyncio.timeout(10):
            for path, document in PLAIN.values():
                while await self.ask(session, path, serialise(document)) != 200:
                    await asyncio.sleep(0.1)

    async def callers_that_leave(self) -> None:
        """Callers that are gone before the head, in the middle of a stream, and in the middle of their own body."""
        path, document = PLAIN["chat.completions"]
        for index, script in enumerate([Scenario(delay=5), Scenario(fault=Fault.ENDLESS, pace=0.01)] * 2):
            self.provider.script(replace(script, say=self.marks.mark("left")))
            turns: Value = [{"role": "user", "content": self.marks.mark("leaving")}]
            body = serialise({**document, "messages": turns, "stream": index % 2 == 1})
            before = len(self.provider.arrivals)
            writer = await self._raw(self._head(path, len(body)) + body)
            await self.provider.witness.until(lambda before=before: len(self.provider.arrivals) > before)  # type: ignore[misc]
            writer.transport.abort()
        writer = await self._raw(self._head(path, 4000) + self.marks.mark("half a body").encode())
        writer.transport.abort()
        await self.provider.witness.until(lambda: self.provider.witness.open == 0)

    async def malformed(self) -> None:
        """What is no HTTP, with marks where parsers like to quote."""
        shapes = (
            "{0} / HTTP/1.1\r\n\r\n", "GET /{0}\r\n\r\n", "GET / HTTP/9.{0}\r\n\r\n", "{0}\r\n\r\n",
            "POST /v1/messages HTTP/1.1\r\nhost: {0}\r\n\r\n", "POST / HTTP/1.1\r\n{0}\r\n\r\n",
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {0}\r\n\r\n",
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: {0}\r\n\r\n",
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n{0}\r\n",
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {0}\x00\r\n\r\n",
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {0}" + "y" * 9000 + "\r\n\r\n",
            "CONNECT {0}:443 HTTP/1.1\r\n\r\n", "GET http://{0}/ HTTP/1.1\r\nhost: {0}\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: {0}\r\nconnection: upgrade\r\n\r\n",
        )  # fmt: skip
        for port in (self.served.port, self.served.operations_port):
            for shape in shapes:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(shape.format(self.marks.mark("malformed")).encode())
                writer.write_eof()
                async with asyncio.timeout(10):
                    self.own.append(await reader.read(1 << 16))
                writer.close()

    async def journal_down(self) -> None:
        """The record's file is moved away under the process: nothing leaves, and nothing is said either."""
        journal = self.folder / "state" / "journal" / "journal.db"
        moved = journal.with_name("moved")
        journal.rename(moved)
        path, document = PLAIN["chat.completions"]
        async with client(self.keys[0]) as session, asyncio.timeout(10):
            while "audit_unavailable" not in self.refused:
                turns: Value = [{"role": "user", "content": self.marks.mark("journal down")}]
                await self.ask(session, path, serialise({**document, "messages": turns}))
            for tree in sown(document, self.marks, "journal down"):
                await self.ask(session, path, serialise(tree))
        await self.look()
        moved.rename(journal)

    async def look(self) -> None:
        """What others are told now: the operator's pages, and another caller whose call is refused."""
        async with client(self.keys[1]) as session:
            for page in ("/metrics", "/readyz", "/healthz", "/nothing"):
                async with session.get(self.served.operations_url + page) as answer:
                    self.others.append(await answer.read() + repr(answer.raw_headers).encode())
            async with session.post(f"{self.served.url}/v1/chat/completions", data=b"{") as answer:
                self.others.append(await answer.read() + repr(answer.raw_headers).encode())
            async with session.get(f"{self.served.url}/v1/models") as answer:
                self.others.append(await answer.read() + repr(answer.raw_headers).encode())

    def artefacts(self) -> dict[str, bytes]:
        """Everything that is left, by name."""
        found = {f"answer {index}": each for index, each in enumerate(self.own)}
        found |= {f"page {index}": each for index, each in enumerate(self.others)}
        for name in ("stdout", "stderr"):
            found[name] = (self.folder / name).read_bytes()
        for root in ("state", "temporary"):
            for path in (self.folder / root).rglob("*"):
                found[path.relative_to(self.folder).as_posix()] = path.name.encode() + (
                    path.read_bytes() if path.is_file() else b""
                )
        found["rows"] = json.dumps(records(self.folder / "state")).encode()
        return found

    def _head(self, path: str, size: int) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {self.keys[0]}\r\ncontent-length: {size}\r\n\r\n"
        ).encode()

    async def _raw(self, data: bytes) -> asyncio.StreamWriter:
        _reader, writer = await asyncio.open_connection("127.0.0.1", self.served.port)
        writer.write(data)
        await writer.drain()
        return writer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flight(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flight]:
    """A whole flight, ended by SIGTERM; the tests look at what it left."""
    folder, marks = tmp_path_factory.mktemp("canary"), Marks()
    credential = marks.mark("provider credential")
    chosen = settings(
        limits={"first_byte_seconds": 1.0, "idle_seconds": 0.3}, journal={"ballast_bytes": 4096, "check_seconds": 0.2}
    )
    async with Simulator(credential=credential) as provider:
        configuration = write_configuration(folder, provider.port, credential, settings=chosen)
        keys = issue_key(folder / "state", CALLER), issue_key(folder / "state", ALL_GRANTS)
        served = await serve(configuration, folder)
        try:
            made = Flight(served, provider, folder, marks, keys, configuration)
            await made.every_place()
            await made.around_the_body()
            await made.answers()
            await made.lifted()
            await made.callers_that_leave()
            await made.malformed()
            await made.look()
            await made.journal_down()
            served.signal(signal.SIGTERM)
            await served.ended(30)
        finally:
            await served.kill()
        yield made


async def test_no_mark_is_in_anything_the_gateway_keeps_or_says(flight: Flight) -> None:
    """Output, state, decrypted rows, pages, temporary files and the gateway's own answers hold no mark in any form."""
    found = {name: hits[:2] for name, artefact in flight.artefacts().items() if (hits := leaks(artefact))}
    assert found == {}


async def test_no_caller_key_is_in_anything_either(flight: Flight) -> None:
    """Nor the secret part of a key that was used throughout."""
    secrets = [key.rpartition("_")[2].encode() for key in flight.keys]
    found = [name for name, artefact in flight.artefacts().items() if any(secret in artefact for secret in secrets)]
    assert found == []


async def test_the_flight_met_what_it_was_to_meet(flight: Flight) -> None:
    """Calls passed on every operation, refusals of many kinds came, every artefact is there: nothing was searched in vain."""
    artefacts = flight.artefacts()

    assert flight.passed >= {path for path, _document in OPERATIONS.values()}
    assert flight.refused >= {
        "unauthenticated", "operation_not_allowed", "body_invalid", "parameter_unknown", "parameter_retains_data",
        "model_not_allowed", "purpose_not_allowed", "tenant_unknown", "upstream_failed", "upstream_timeout",
        "response_not_allowed", "audit_unavailable",
    }  # fmt: skip
    results = {str(line["result"]) for line in records(flight.folder / "state") if line["kind"] == "outcome"}
    assert results >= {"completed", "refused_by_provider", "upstream_failed", "upstream_truncated", "aborted_by_caller"}
    assert all(artefacts[name] for name in ("stdout", "rows", "state/journal/journal.db"))
    assert len(flight.marks.places) > 400
    assert any(leaks(arrival.body or b"") for arrival in flight.provider.arrivals), "no mark reached the provider"


@pytest.mark.parametrize("form", planted())
async def test_a_planted_mark_is_found_in_every_form(form: str) -> None:
    """The same search finds a leak however it was written down."""
    assert leaks(planted()[form]) != []


async def test_a_planted_mark_is_found_in_every_artefact(flight: Flight) -> None:
    """And in each kind of artefact, put into its middle."""
    for name, artefact in flight.artefacts().items():
        half = len(artefact) // 2
        assert leaks(artefact[:half] + planted()["raw"] + artefact[half:]) != [], name
