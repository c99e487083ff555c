"""The operations port and the metrics it shows."""

from __future__ import annotations

import json
import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.audit.words import Result
from gateway.categories import Category
from gateway.listener import ListenerOptions
from gateway.metrics import Metrics, merged
from gateway.operations import Check, operations_handler

from .conftest import Run
from .test_listener import CLOSE, listening, speak, status

OPTIONS = ListenerOptions(port=0, any_name=True)
MARK = "marked content 1b2c"


def metrics() -> Metrics:
    return Metrics([("openai", "chat"), ("anthropic", "messages")], ["openai-eu"])


def fails() -> bool:
    raise RuntimeError(MARK)


def answer(run: Run[bytes], target: bytes, checks: dict[str, Check], shown: Metrics, method: bytes = b"GET") -> bytes:
    async def scenario() -> bytes:
        async with listening(operations_handler(shown, checks), OPTIONS) as listener:
            request = method + b" " + target + b" HTTP/1.1\r\nHost: 10.1.2.3:9090\r\n" + CLOSE + b"\r\n\r\n"
            return await speak(listener.port, request)

    return run(scenario())


def body(response: bytes) -> bytes:
    return response.split(b"\r\n\r\n", 1)[1]


def test_health_says_that_the_process_answers(run: Run[bytes]) -> None:
    """`/healthz` depends on nothing, and any Host may ask."""
    response = answer(run, b"/healthz", {"journal": fails}, metrics())

    assert status(response) == 200
    assert json.loads(body(response)) == {"status": "ok"}


@pytest.mark.parametrize(
    ("checks", "code", "shown"),
    [
        ({"journal": lambda: True, "redactor": lambda: True}, 200, {"journal": True, "redactor": True}),
        ({"journal": lambda: True, "redactor": lambda: False}, 503, {"journal": True, "redactor": False}),
        ({"journal": fails, "redactor": lambda: True}, 503, {"journal": False, "redactor": True}),
        ({"journal": lambda: 1}, 503, {"journal": False}),
        ({}, 503, {}),
    ],
    ids=["all hold", "one does not", "one breaks", "one says something else", "none"],
)
def test_readiness_names_each_check(
    run: Run[bytes], checks: dict[str, Check], code: int, shown: dict[str, bool]
) -> None:
    """`/readyz` is 200 only if every check says yes; one that breaks says no, and why it broke stays inside."""
    response = answer(run, b"/readyz", checks, metrics())

    assert status(response) == code
    assert json.loads(body(response)) == {"ready": code == 200, "checks": shown}
    assert MARK.encode() not in response


@pytest.mark.parametrize(
    ("method", "target"),
    [(b"GET", b"/"), (b"GET", b"/metrics/"), (b"GET", b"/metrics?x"), (b"GET", b"/%6detrics"), (b"POST", b"/metrics")],
)
def test_everything_else_is_404(run: Run[bytes], method: bytes, target: bytes) -> None:
    """Targets are compared byte for byte."""
    assert status(answer(run, target, {}, metrics(), method)) == 404


def samples(text: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_metrics_are_shown_with_closed_labels(run: Run[bytes]) -> None:
    """Known words are labels; whatever no table names is counted as other, once, and never shown."""
    shown = metrics()
    shown.request("openai", "chat", "allow", None)
    shown.request("openai", "chat", "refuse", "model_not_allowed")
    for number in range(50):
        shown.request(f"{MARK}{number}", "chat", "refuse", MARK)
        shown.upstream(f"{MARK}{number}", Result.COMPLETED)
    shown.upstream("openai-eu", Result.UPSTREAM_TRUNCATED)
    shown.redacted(Category.HEALTH, 3)
    shown.unauthenticated()
    shown.malformed()
    shown.overhead_seconds.observe(0.003)
    shown.set_processors({"openai-eu": 12.5})

    response = answer(run, b"/metrics", {}, shown)

    assert MARK.encode() not in response
    seen = samples(body(response))
    assert seen["gateway_requests_total||allow|chat|openai"] == 1
    assert seen["gateway_requests_total|model_not_allowed|refuse|chat|openai"] == 1
    assert seen["gateway_requests_total|other|refuse|other|other"] == 50
    assert seen["gateway_upstream_results_total|openai-eu|upstream_truncated"] == 1
    assert seen["gateway_upstream_results_total|other|completed"] == 50
    assert seen["gateway_redactions_total|HEALTH"] == 3
    assert seen["gateway_unauthenticated_total"] == seen["gateway_malformed_requests_total"] == 1
    assert seen["gateway_overhead_seconds_bucket|0.005"] == 1
    assert seen["gateway_agreement_days_left|openai-eu"] == 12.5


def test_metrics_forget_processors_that_are_gone() -> None:
    """A reload without an entry ends its series of days left, and later outcomes of it are other."""
    shown = metrics()
    shown.upstream("openai-eu", Result.COMPLETED)
    shown.set_processors({"anthropic": 1})
    shown.upstream("openai-eu", Result.COMPLETED)

    seen = samples(shown.render())
    assert "gateway_agreement_days_left|openai-eu" not in seen
    assert seen["gateway_upstream_results_total|other|completed"] == 1


def test_two_registries_do_not_meet() -> None:
    """Each `Metrics` is its own, so tests and processes do not share counts."""
    metrics().unauthenticated()

    assert samples(metrics().render())["gateway_unauthenticated_total"] == 0
    assert logging.getLogger("prometheus_client").handlers == []


def test_metrics_of_several_processes_are_one_text() -> None:
    """Each sample of a worker bears its name, and a family stands together under one head."""
    own = b"# HELP a_total Calls\n# TYPE a_total counter\na_total 1.0\n# HELP b B\n# TYPE b gauge\nb 2.0\n"
    worker = (
        b'# HELP a_total Calls\n# TYPE a_total counter\na_total{code="x y"} 3.0\n# HELP b B\n# TYPE b gauge\nb 4.0\n'
    )

    assert merged(own, {"w0": worker}).decode() == (
        "# HELP a_total Calls\n# TYPE a_total counter\n"
        'a_total 1.0\na_total{worker="w0",code="x y"} 3.0\n'
        '# HELP b B\n# TYPE b gauge\nb 2.0\nb{worker="w0"} 4.0\n'
    )
