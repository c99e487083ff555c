"""The metrics of a process, as `/metrics` shows them, in OpenTelemetry's form: sums, gauges and histograms.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ says how the one becomes the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from gateway.otlp import attributes

_CUMULATIVE = 2
_DOTTED: Final = {
    "gen_ai_client_operation_duration_seconds": ("gen_ai.client.operation.duration", "s"),
    "gen_ai_client_token_usage": ("gen_ai.client.token.usage", "{token}"),
}
"""What the semantic conventions name; Prometheus has no dots."""
_LABELS: Final = {
    "gen_ai_operation_name": "gen_ai.operation.name",
    "gen_ai_provider_name": "gen_ai.provider.name",
    "gen_ai_request_model": "gen_ai.request.model",
    "gen_ai_token_type": "gen_ai.token.type",
    "error_type": "error.type",
}


def measures(families: Iterable[Metric], since: int, now: int) -> list[dict[str, object]]:
    """The `Metric`s of the protocol, in JSON; a family without samples is left out.

    Args:
        families: what a registry collects.
        since: from when counters count, in nanoseconds since 1970.
        now: the same, of the present.
    """
    times = {"startTimeUnixNano": str(since), "timeUnixNano": str(now)}
    found: list[dict[str, object]] = []
    for family in families:
        name, unit = _DOTTED.get(family.name, (family.name, ""))
        made: dict[str, object] = {"name": name, "description": family.documentation, "unit": unit}
        match family.type:
            case "counter":
                points = [_number(sample, times) for sample in family.samples if sample.name.endswith("_total")]
                made["sum"] = {"aggregationTemporality": _CUMULATIVE, "isMonotonic": True, "dataPoints": points}
            case "histogram":
                points = list(_distributions(family.samples, times))
                made["histogram"] = {"aggregationTemporality": _CUMULATIVE, "dataPoints": points}
            case _:
                points = [_number(sample, times) for sample in family.samples]
                made["gauge"] = {"dataPoints": points}
        if points:
            found.append(made)
    return found


def _number(sample: Sample, times: Mapping[str, str]) -> dict[str, object]:
    return {"attributes": _labels(sample.labels), **times, "asDouble": float(sample.value)}


def _distributions(samples: Iterable[Sample], times: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """A `HistogramDataPoint` for each set of labels. Prometheus' buckets hold all below them, these do not."""
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            series.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    for labels, below in series.items():
        below.sort()
        counts = [
            int(upto - before) for (_bound, upto), (_last, before) in zip(below, [(0.0, 0.0), *below], strict=False)
        ]
        yield {
            "attributes": _labels(dict(labels)),
            **times,
            "count": str(sum(counts)),
            "sum": float(sums[labels]),
            "bucketCounts": [str(count) for count in counts],
            "explicitBounds": [bound for bound, _upto in below if not math.isinf(bound)],
        }


def _labels(labels: Mapping[str, str]) -> list[dict[str, object]]:
    return attributes({_LABELS.get(name, name): value for name, value in labels.items() if value})
