"""Counters for the operator. Labels come from closed sets only, so no caller can add a series or a word."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.audit.words import Result
from gateway.categories import Category, Personal
from gateway.errors import Code
from providers.provider import Usage

Decision = Literal["allow", "refuse"]

OTHER: Final = "other"
"""Stands for a label value that no table names."""

_CODES = frozenset(code.value for code in Code)
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_REDACTION_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_OPERATION_SECONDS = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(float(4**power) for power in range(14))
"""Both as the semantic conventions advise."""
_JOURNAL_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


class Histogram(Collector):
    """A histogram that costs one look at its bounds per observation; the library's own costs five.

    Belongs to one thread: it takes no lock.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        bounds: tuple[float, ...],
        registry: CollectorRegistry,
        labels: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._help = help_text
        self._bounds = bounds
        self._labels = labels
        self._series: dict[tuple[str, ...], _Series] = {} if labels else {(): _Series(len(bounds) + 1)}
        registry.register(self)

    def observe(self, value: float, *labels: str) -> None:
        """Count one value, under these values of the labels, all of which come from closed sets."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = _Series(len(self._bounds) + 1)
        series.counts[bisect_left(self._bounds, value)] += 1
        series.sum += value

    def collect(self) -> Iterable[Metric]:
        """What the registry asks for."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        names = [*map(str, self._bounds), "+Inf"]
        for values, series in self._series.items():
            buckets = [(name, float(total)) for name, total in zip(names, accumulate(series.counts), strict=True)]
            family.add_metric(values, buckets, series.sum)
        yield family


class _Series:
    __slots__ = ("counts", "sum")

    def __init__(self, size: int) -> None:
        self.counts = [0] * size
        self.sum = 0.0


class Tally(Collector):
    """A counter by labels that costs one addition per event. Belongs to one thread: it takes no lock."""

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...], registry: CollectorRegistry) -> None:
        self._name = name
        self._help = help_text
        self._labels = labels
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def add(self, *values: str, count: int = 1) -> None:
        """Count an event under these values of the labels, all of which come from closed sets."""
        self._counts[values] = self._counts.get(values, 0) + count

    def collect(self) -> Iterable[Metric]:
        """What the registry asks for."""
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class Metrics:
    """Every metric of the process, in a registry of its own.

    Args:
        operations: (wire, operation name) of every operation there is.
        processors: ids of the registry's entries; `set_processors` changes them.
    """

    def __init__(self, operations: Iterable[tuple[str, str]], processors: Iterable[str] = ()) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=False)
        self._operations = frozenset(operations)
        self._processors = frozenset(processors)
        self._requests = Tally(
            "gateway_requests",
            "Calls of known callers by decision and code",
            ("wire", "operation", "decision", "code"),
            registry,
        )
        self._unauthenticated = Counter(
            "gateway_unauthenticated", "Refusals of callers who are not known", registry=registry
        )
        self._turned_away = Counter(
            "gateway_turned_away", "Calls that found every place taken, whoever they were of", registry=registry
        )
        self._malformed = Counter(
            "gateway_malformed_requests", "Requests that were not valid HTTP/1.1", registry=registry
        )
        self._upstream = Tally("gateway_upstream_results", "Outcomes of attempts", ("processor", "result"), registry)
        redactions = Counter("gateway_redactions", "Findings taken out", ("category",), registry=registry)
        self._redactions = {category: redactions.labels(category.value) for category in (*Category, *Personal)}
        self.redaction_seconds = Histogram(
            "gateway_redaction_seconds", "Time to clean one document", _REDACTION_SECONDS, registry
        )
        self.overhead_seconds = Histogram(
            "gateway_overhead_seconds",
            "Time in the gateway before the first byte left for the provider",
            _OVERHEAD_SECONDS,
            registry,
        )
        self.journal_wait_seconds = Histogram(
            "gateway_journal_wait_seconds", "Wait until a record was durable", _JOURNAL_SECONDS, registry
        )
        self._operation_seconds = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "Time that a provider took over an attempt, by how it failed",
            _OPERATION_SECONDS,
            registry,
            ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"),
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of an attempt, as the provider counts them",
            _TOKENS,
            registry,
            ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"),
        )
        self._spans_dropped = Counter(
            "gateway_spans_dropped", "Spans that the collector did not take", registry=registry
        )
        self.journal_failures = Counter("gateway_journal_failures", "Records not written", registry=registry)
        self.orphan_intents = Counter(
            "gateway_orphan_intents", "Intents without outcome, closed as indeterminate at start", registry=registry
        )
        self.forced_parameters = Tally("gateway_forced_parameters", "Parameters that the gateway set", (), registry)
        self.calls_in_flight = Gauge("gateway_calls_in_flight", "Calls being served", registry=registry)
        self.streams_open = Gauge("gateway_streams_open", "Streams being delivered", registry=registry)
        self.journal_healthy = Gauge("gateway_journal_healthy", "1 if the journal can be written", registry=registry)
        self.reload_ok = Gauge("gateway_last_reload_ok", "1 if the last reload was taken", registry=registry)
        self._expiry = Gauge(
            "gateway_agreement_days_left",
            "Days until the entry takes no more traffic unless somebody acts; 0 where it takes none",
            ("processor",),
            registry=registry,
        )
        self._attested = Gauge(
            "gateway_attested",
            "1 while nothing that was read of the processor speaks against it; 0 stops its traffic",
            ("processor",),
            registry=registry,
        )
        self.clock_doubt = Gauge(
            "gateway_clock_step_seconds", "By how much the clock was set since the start; 0 is well", registry=registry
        )

    def request(self, wire: str, operation: str, decision: Decision, code: str | None) -> None:
        """One call of a known caller was decided."""
        if (wire, operation) not in self._operations:
            wire = operation = OTHER
        named = "" if code is None else code if code in _CODES else OTHER
        self._requests.add(wire, operation, "allow" if decision == "allow" else "refuse", named)

    def unauthenticated(self) -> None:
        """A caller who is not known was refused."""
        self._unauthenticated.inc()

    def turned_away(self) -> None:
        """A call found every place taken."""
        self._turned_away.inc()

    def malformed(self) -> None:
        """A request was not valid HTTP/1.1."""
        self._malformed.inc()

    def upstream(self, processor: str, result: Result) -> None:
        """One attempt has its outcome."""
        self._upstream.add(processor if processor in self._processors else OTHER, result)

    def attempted(
        self, operation: str, wire: str, model: str, seconds: float, failed: str, usage: Usage | None
    ) -> None:
        """One attempt took so long and so many tokens; `failed` is how, or nothing. All are words of the record."""
        self._operation_seconds.observe(seconds, operation, wire, model, failed)
        if usage is None:
            return
        for kind, count in (("input", usage.input), ("output", usage.output)):
            if count is not None:
                self._tokens.observe(count, operation, wire, model, kind)

    def spans_dropped(self, count: int) -> None:
        """So many spans did not reach the collector."""
        self._spans_dropped.inc(count)

    def redacted(self, category: Category | Personal, count: int) -> None:
        """Findings of a category were taken out."""
        self._redactions[category].inc(count)

    def set_processors(self, days_left: dict[str, float]) -> None:
        """The registry's entries, each with the days until it takes no more traffic."""
        self._processors = frozenset(days_left)
        self._expiry.clear()
        for processor, days in days_left.items():
            self._expiry.labels(processor).set(days)

    def set_attested(self, stands: dict[str, bool]) -> None:
        """The registry's entries, each with whether its read-backs and answers let it take traffic."""
        self._attested.clear()
        for processor, well in stands.items():
            self._attested.labels(processor).set(1 if well else 0)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)


def merged(own: bytes, others: Mapping[str, bytes]) -> bytes:
    """Prometheus' text of several processes as one: each of the others' samples is labelled with its `worker`.

    A family's samples stand together, under one `HELP` and `TYPE`, as the format wants it.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for name, text in (("", own), *others.items()):
        family = ""
        for line in text.decode().splitlines():
            if line.startswith("#"):
                word = line.split(" ", 3)[2]
                if word != family:
                    family = word
                head = heads.setdefault(family, [])
                if line not in head:
                    head.append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, name) if name else line)
    lines = [line for family in heads for line in (*heads[family], *samples.get(family, ()))]
    return "".join(f"{line}\n" for line in lines).encode()


def _labelled(sample: str, worker: str) -> str:
    """A sample with one more label; no label's value here holds a brace or a blank."""
    series, _blank, value = sample.rpartition(" ")
    bare, brace, labels = series.partition("{")
    more = f'worker="{worker}"'
    return f"{bare}{{{more},{labels} {value}" if brace else f"{bare}{{{more}}} {value}"
