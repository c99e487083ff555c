"""Metrics in OpenTelemetry's form."""

from __future__ import annotations

import json

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from gateway.metrics import Metrics
from gateway.telemetry.measures import measures
from providers.provider import Usage


def measured(metrics: Metrics) -> dict[str, Metric]:
    """By name, as the protocol's own code reads them."""
    found = [ParseDict(json.loads(json.dumps(one)), Metric()) for one in measures(metrics.registry.collect(), 5, 9)]
    return {one.name: one for one in found}


def test_counters_gauges_and_histograms_say_what_they_count() -> None:
    """Each has the numbers that `/metrics` has; a histogram's buckets are apart, not one within the other."""
    metrics = Metrics([("openai", "chat")], ["openai-eu"])
    metrics.request("openai", "chat", "refuse", "rate_limited")
    metrics.streams_open.set(3)
    for seconds in (0.0004, 0.003, 0.004, 99.0):
        metrics.overhead_seconds.observe(seconds)

    found = measured(metrics)

    (refused,) = found["gateway_requests"].sum.data_points
    assert {each.key: each.value.string_value for each in refused.attributes} == {
        "wire": "openai", "operation": "chat", "decision": "refuse", "code": "rate_limited",
    }  # fmt: skip
    assert (refused.as_double, refused.start_time_unix_nano, refused.time_unix_nano) == (1, 5, 9)
    assert found["gateway_requests"].sum.is_monotonic
    assert [point.as_double for point in found["gateway_streams_open"].gauge.data_points] == [3]
    (seconds,) = found["gateway_overhead_seconds"].histogram.data_points
    assert (seconds.count, seconds.sum) == (4, 0.0004 + 0.003 + 0.004 + 99.0)
    assert len(seconds.bucket_counts) == len(seconds.explicit_bounds) + 1
    counted = dict(zip([*seconds.explicit_bounds, None], seconds.bucket_counts, strict=True))
    assert {bound: count for bound, count in counted.items() if count} == {0.0005: 1, 0.005: 2, None: 1}


def test_what_the_conventions_name_has_their_names() -> None:
    """Durations and tokens of attempts; one that did not fail has no `error.type`."""
    metrics = Metrics([("openai", "chat")])
    metrics.attempted("chat", "openai", "gpt-x", 0.3, "", Usage(input=20, output=7))
    metrics.attempted("chat", "openai", "gpt-x", 1.0, "upstream_timeout", None)

    found = measured(metrics)

    names = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-x"}
    seconds = found["gen_ai.client.operation.duration"]
    said = [{each.key: each.value.string_value for each in point.attributes} for point in seconds.histogram.data_points]
    assert seconds.unit == "s"
    assert said == [names, {**names, "error.type": "upstream_timeout"}]
    tokens = found["gen_ai.client.token.usage"].histogram.data_points
    assert [point.sum for point in tokens] == [20, 7]
    assert [each.value.string_value for point in tokens for each in point.attributes if "type" in each.key] == [
        "input", "output",
    ]  # fmt: skip
