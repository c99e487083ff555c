"""Sends spans and metrics to the collector that gateway.yaml names, by the batch, from a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from time import perf_counter, time_ns
from typing import Final

import orjson

from gateway.collectors import AGAIN, Endpoint, NotTaken
from gateway.config import Bundle
from gateway.config.settings import Telemetry as Named
from gateway.metrics import Metrics
from gateway.otlp import SERVICE, attributes
from gateway.passage import Passage
from gateway.telemetry.measures import measures
from gateway.telemetry.spans import Span, spans

MOST_SPANS: Final = 8192
"""Spans held while the collector is away; beyond it, those of the calls that end are dropped and counted."""

_VERSION = "v1"
_BATCH = 512
_EVERY_SECONDS = 1.0
_LAST_WORDS_SECONDS = 2.0


class Telemetry:
    """One collector. Belongs to one event loop.

    Args:
        bundle: the configuration.
        named: how the collector is reached, and what it is told.
        instance: tells this process from others of its service.
        metrics: those of this process.

    Raises:
        OSError: a certificate or a file of roots cannot be read.
    """

    def __init__(self, bundle: Bundle, named: Named, instance: str, metrics: Metrics) -> None:
        self._named, self._metrics = named, metrics
        self._endpoint = Endpoint(bundle, named)
        self._spans: deque[Span] = deque()
        self._began = time_ns()
        self._resource = {
            "attributes": attributes(
                {
                    "service.name": SERVICE,
                    "service.instance.id": instance,
                    "gateway.region": bundle.settings.region,
                }
            )
        }

    def call(self, passage: Passage) -> None:
        """A call has ended."""
        if not self._named.traces:
            return
        made = spans(passage, time_ns(), perf_counter(), os.urandom)
        if len(self._spans) + len(made) > MOST_SPANS:
            self._metrics.spans_dropped(len(made))
        else:
            self._spans.extend(made)

    async def run(self) -> None:
        """Send until cancelled."""
        told = perf_counter()
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self._tell_spans()
            if self._named.metrics_seconds and perf_counter() - told >= self._named.metrics_seconds:
                told = perf_counter()
                await self._tell_measures()

    async def stop(self) -> None:
        """Send what is left, for a moment, and close."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._tell_spans()
                if self._named.metrics_seconds:
                    await self._tell_measures()
        await self._endpoint.close()

    async def _tell_spans(self) -> None:
        """Batch after batch, until all are taken or the collector wants to be left alone."""
        while self._spans:
            batch = [self._spans[at] for at in range(min(len(self._spans), _BATCH))]
            scope = {"scope": {"name": "gateway"}, "spans": batch}
            taken = await self._post("traces", {"resourceSpans": [{"resource": self._resource, "scopeSpans": [scope]}]})
            if taken is None:
                return
            for _span in batch:
                self._spans.popleft()
            if not taken:
                self._metrics.spans_dropped(len(batch))

    async def _tell_measures(self) -> None:
        """As they stand now; what is not taken is in the next ones, which count from the start, too."""
        scope = {
            "scope": {"name": "gateway"},
            "metrics": measures(self._metrics.registry.collect(), self._began, time_ns()),
        }
        await self._post("metrics", {"resourceMetrics": [{"resource": self._resource, "scopeMetrics": [scope]}]})

    async def _post(self, signal: str, document: dict[str, object]) -> bool | None:
        """Whether the collector took it; None if it may be sent again."""
        try:
            answer = await self._endpoint.post(f"{self._named.url}/{_VERSION}/{signal}", orjson.dumps(document))
        except NotTaken:
            return None
        return None if answer.status in AGAIN else 200 <= answer.status < 300
