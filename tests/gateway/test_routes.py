"""The circuit breaker, and a provider's own patience, per route."""

from __future__ import annotations

import io
from pathlib import Path

import openai
import pytest

from gateway.app import Application
from gateway.errors import Code, GatewayError
from gateway.exchange import Route
from gateway.routes import Routes
from gateway.simulator import CREDENTIAL, Simulator
from gateway.simulator.scenario import Scenario
from tests.configuration import issue_key, write_configuration
from tests.redis_server import free_port


class Clock:
    """Seconds that go on when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def route(model: str = "m") -> Route:
    return Route("p", "https://p.example", model, frozenset({model}), "a", ("CA",), "file:x", {})


def told(routes: Routes, way: Route) -> tuple[Code, int | None] | None:
    """What a call that would go there is told; None if it may."""
    try:
        routes.check(way)
    except GatewayError as error:
        return error.code, error.retry_after
    return None


def test_failures_in_a_row_open_the_breaker_and_one_trial_closes_it() -> None:
    """The last permitted failure leaves it closed, one more opens it; after the pause one call tries, and success frees."""
    clock = Clock()
    routes = Routes(clock, failures=3, seconds=5)
    for _ in range(2):
        routes.failed(route())
    assert told(routes, route()) is None
    routes.answered(route(), 503, None)
    assert told(routes, route()) == (Code.UPSTREAM_FAILED, 5)
    assert told(routes, route("other")) is None
    clock.now += 5
    assert told(routes, route()) is None
    assert told(routes, route()) == (Code.UPSTREAM_FAILED, 1)
    routes.answered(route(), 200, None)

    assert [told(routes, route()) for _ in range(3)] == [None] * 3


def test_a_failed_trial_opens_it_again_and_a_lost_one_does_not_keep_it_shut() -> None:
    """Each trial that fails costs another pause; a trial nobody heard of again ends by itself."""
    clock = Clock()
    routes = Routes(clock, failures=1, seconds=5, trial_seconds=30)
    routes.failed(route())
    clock.now += 5
    routes.check(route())
    routes.failed(route())
    assert told(routes, route()) == (Code.UPSTREAM_FAILED, 5)
    clock.now += 5
    routes.check(route())
    clock.now += 30

    assert told(routes, route()) is None


@pytest.mark.parametrize(
    ("value", "wait"), [("7", 7), ("0.5", 1), ("86400", 60), ("Thu, 01 Jan 2032", None), (None, None)]
)
def test_a_providers_patience_is_everybodys(value: str | None, wait: int | None) -> None:
    """A 429 with seconds stops all calls of its route for so long, at most a minute; one without stops nobody else."""
    clock = Clock()
    routes = Routes(clock, failures=3)
    routes.answered(route(), 429, value)

    assert told(routes, route()) == (None if wait is None else (Code.RATE_LIMITED, wait))
    assert told(routes, route("other")) is None
    clock.now += wait or 0
    assert told(routes, route()) is None


async def test_a_provider_that_is_down_is_left_alone(tmp_path: Path) -> None:
    """After the configured failures a call is refused at once, retryable, and without an attempt of its own."""
    settings: dict[str, object] = {
        "upstream": {"failures": 2, "pause_seconds": 60},
        "redaction": {"unsafe_redaction_off": True},
    }
    configuration = write_configuration(tmp_path, free_port(), CREDENTIAL, settings=settings)
    application = Application(configuration, tmp_path / "state", stream=io.BytesIO())
    key = issue_key(tmp_path / "state")
    await application.start()
    heads = []
    try:
        url = f"http://127.0.0.1:{application.port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
            for _ in range(3):
                with pytest.raises(openai.InternalServerError) as caught:
                    await client.embeddings.create(model="text-embedding-simulated", input="hello")
                heads.append(caught.value.response.headers)
    finally:
        await application.stop()

    assert [head["x-gateway-code"] for head in heads] == ["upstream_failed"] * 3
    assert ["x-gateway-overhead-ms" in head for head in heads] == [True, True, False]
    assert 55 <= int(heads[2]["retry-after"]) <= 60


async def test_a_providers_429_is_heeded_for_the_next_caller(simulator: Simulator, tmp_path: Path) -> None:
    """The provider's own 429 passes on; the next call of the same model is refused by the gateway and never reaches it."""
    settings: dict[str, object] = {
        "upstream": {"heed_retry_after": True},
        "redaction": {"unsafe_redaction_off": True},
    }
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings)
    application = Application(configuration, tmp_path / "state", stream=io.BytesIO())
    key = issue_key(tmp_path / "state")
    await application.start()
    simulator.script(Scenario(status=429, headers={"retry-after": "40"}))
    heads = []
    try:
        url = f"http://127.0.0.1:{application.port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
            for _ in range(2):
                with pytest.raises(openai.RateLimitError) as caught:
                    await client.embeddings.create(model="text-embedding-simulated", input="hello")
                heads.append(caught.value.response.headers)
    finally:
        await application.stop()

    assert [head.get("x-gateway-code") for head in heads] == [None, "rate_limited"]
    assert 30 <= int(heads[1]["retry-after"]) <= 40
    assert len(simulator.arrivals) == 1
