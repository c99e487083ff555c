"""What a collector is told of calls: joined traces, no content, and nothing lost without being counted."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.simulator import Scenario, Simulator
from gateway.telemetry import telemetry
from tests.conftest import Gateway
from tests.houses import UNSCANNED, client, house, settings
from tests.loopback import served

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
MARK = "marked content 7f3a"
BODY = {"model": "gpt-simulated", "messages": [{"role": "user", "content": MARK}]}


@dataclass
class Collector:
    """An OpenTelemetry collector: what it took, as the protocol's own code reads it. `script` are its next statuses."""

    port: int = 0
    spans: list[Span] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    raw: list[str] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    script: deque[int] = field(default_factory=deque)
    posts: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """One request."""
        self.posts += 1
        status = self.script.popleft() if self.script else 200
        if status == 200:
            text = (await request.read()).decode()
            self.raw.append(text)
            self.heads.append(dict(request.headers))
            if request.path.endswith("/traces"):
                told = _parsed(json.loads(text), ExportTraceServiceRequest())
                self.spans += [one for each in told.resource_spans for scope in each.scope_spans for one in scope.spans]
            else:
                told = _parsed(json.loads(text), ExportMetricsServiceRequest())
                resources = told.resource_metrics
                self.metrics |= {
                    one.name for each in resources for scope in each.scope_metrics for one in scope.metrics
                }
        return web.json_response({}, status=status)

    async def until(self, holds: Callable[[Collector], bool]) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(10):
            while not holds(self):
                await asyncio.sleep(0.02)


def _parsed(document: object, message: Message) -> Message:
    """Ids are hex in this encoding, where protobuf's own JSON has base64."""

    def turned(tree: object) -> object:
        if isinstance(tree, list):
            return [turned(each) for each in tree]
        if isinstance(tree, dict):
            return {
                name: base64.b64encode(bytes.fromhex(value)).decode()
                if name.endswith(("raceId", "panId"))
                else turned(value)
                for name, value in tree.items()
            }
        return tree

    return ParseDict(turned(document), message)


@asynccontextmanager
async def observed(simulator: Simulator, folder: Path, **named: object) -> AsyncIterator[tuple[Gateway, Collector]]:
    """A gateway, and the collector that it tells."""
    collector = Collector()
    application = web.Application(client_max_size=8 * 2**20)
    application.router.add_post("/otel/v1/traces", collector.take)
    application.router.add_post("/otel/v1/metrics", collector.take)
    async with served(application) as port:
        tool = {"url": f"http://127.0.0.1:{port}/otel", **named}
        async with house(simulator, folder, settings(telemetry=tool, **UNSCANNED)) as running:
            yield running, collector


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Spans are sent within a twentieth of a second."""
    monkeypatch.setattr(telemetry, "_EVERY_SECONDS", 0.05)
    return iter(())


async def ask(gateway: Gateway, body: dict[str, object] = BODY, **headers: str) -> tuple[int, str]:
    """One call; its status, and the call's id."""
    url = f"{gateway.url}/v1/chat/completions"
    async with client(gateway.key) as session, session.post(url, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status, answer.headers["x-gateway-call-id"]


def said(span: Span) -> dict[str, object]:
    """A span's attributes."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


async def test_a_call_is_a_span_in_its_callers_trace(simulator: Simulator, tmp_path: Path) -> None:
    """One of ours below the caller's, and one for the attempt below it; nothing of what was said is in either."""
    async with observed(simulator, tmp_path) as (gateway, collector):
        _status, call = await ask(gateway, **SAMPLED)
        await collector.until(lambda one: len(one.spans) == 2)

    server, attempt = collector.spans
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)
    assert (attempt.trace_id.hex(), attempt.parent_span_id) == (TRACE, server.span_id)
    assert (server.name, attempt.name) == ("POST /v1/chat/completions", "chat gpt-simulated")
    assert (server.kind, attempt.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert server.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.start_time_unix_nano < attempt.end_time_unix_nano <= server.end_time_unix_nano
    assert said(server)["gateway.call"] == call
    of_attempt = said(attempt)
    assert of_attempt["gen_ai.operation.name"] == "chat"
    assert of_attempt["gen_ai.response.model"] == "gpt-simulated"
    assert isinstance(of_attempt["gen_ai.usage.input_tokens"], int)
    assert "error.type" not in of_attempt
    assert MARK not in "".join(collector.raw)
    content = {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
    }
    assert content.isdisjoint({*said(server), *of_attempt})


async def test_a_call_without_a_trace_begins_one_and_one_that_is_not_sampled_has_no_span(
    simulator: Simulator, tmp_path: Path
) -> None:
    """A trace of our own bears the call's id, so that the answer's header finds it."""
    async with observed(simulator, tmp_path) as (gateway, collector):
        await ask(gateway, traceparent=f"00-{TRACE}-{PARENT}-00")
        _status, call = await ask(gateway, traceparent=f"00-{MARK}-01")
        await collector.until(lambda one: len(one.spans) == 2)

    assert {span.trace_id.hex() for span in collector.spans} == {call}
    assert collector.spans[0].parent_span_id == b""
    assert MARK not in "".join(collector.raw)


async def test_what_failed_says_how(simulator: Simulator, tmp_path: Path) -> None:
    """A refusal has its code and no attempt; an attempt that failed has the record's word, and is an error."""
    async with observed(simulator, tmp_path) as (gateway, collector):
        assert (await ask(gateway, {**BODY, "model": "another"}))[0] == 403
        simulator.script(Scenario(status=503))
        assert (await ask(gateway))[0] == 503
        await collector.until(lambda one: len(one.spans) == 3)

    refused, server, attempt = collector.spans
    assert said(refused)["error.type"] == "model_not_allowed"
    assert refused.status.code == 0
    assert said(attempt)["error.type"] == "upstream_failed"
    assert server.status.code == attempt.status.code == 2


async def test_a_collector_that_is_away_is_tried_again_and_one_that_refuses_is_not(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Calls are served all the same. What is refused for good is dropped, and counted."""
    async with observed(simulator, tmp_path, metrics_seconds=0) as (gateway, collector):
        collector.script += [503, 429]
        assert (await ask(gateway))[0] == 200
        await collector.until(lambda one: len(one.spans) == 2)
        assert collector.posts == 3

        collector.script.append(400)
        assert (await ask(gateway))[0] == 200
        await collector.until(lambda one: one.posts == 4)
        assert (await ask(gateway))[0] == 200
        await collector.until(lambda one: len(one.spans) == 4)
        shown = gateway.application.tell("one").metrics.decode()
    assert "gateway_spans_dropped_total 2.0" in shown


async def test_spans_are_held_up_to_a_bound(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody takes them, those of later calls are dropped, and counted."""
    monkeypatch.setattr(telemetry, "MOST_SPANS", 5)
    async with observed(simulator, tmp_path, metrics_seconds=0) as (gateway, collector):
        collector.script += [503] * 10_000
        for _ in range(4):
            await ask(gateway)
        shown = gateway.application.tell("one").metrics.decode()
        collector.script.clear()
        await collector.until(lambda one: len(one.spans) == 4)
    assert "gateway_spans_dropped_total 4.0" in shown


async def test_metrics_are_told_with_the_secret_headers(simulator: Simulator, tmp_path: Path) -> None:
    """At the end at the latest; the secret is read from its file, and shown as a bearer."""
    secret = tmp_path / "otel-token"
    secret.write_text("otel-secret")
    secret.chmod(0o600)
    headers = {"authorization": {"file": str(secret)}}
    async with observed(simulator, tmp_path, headers=headers, traces=False) as (gateway, collector):
        await ask(gateway)

    assert collector.spans == []
    assert {"gateway_requests", "gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= collector.metrics
    assert collector.heads[-1]["Authorization"] == "Bearer otel-secret"
