"""The simulated provider's server: arrivals, scripts, and the control path."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections import deque
from pathlib import Path

from aiohttp import web

from gateway.simulator.accounting import Accounting
from gateway.simulator.administration import Administration, admits, bearer
from gateway.simulator.answer import Answer, Received, encode, read_document
from gateway.simulator.delivery import cut, deliver
from gateway.simulator.operations import respond
from gateway.simulator.question import mapping
from gateway.simulator.scenario import Fault, Scenario, read_scenario
from gateway.simulator.witness import Arrival, Witness
from providers.document import Document, Value

CREDENTIAL = "simulated-provider-credential"
"""Accepted by default on both wires. It opens nothing else."""

MAX_BODY = 32 * 1024 * 1024
_WELL = Scenario()


class Simulator:
    """A provider on loopback. Use as an async context manager, or `start` and `stop`.

    Args:
        port: 0 for a free one; after `start`, `port` is the real one.
        credential: what a bearer or `x-api-key` must be.
        log: file to which the witness also appends, or None.
        tls: serve TLS with this context; None serves plain HTTP.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        credential: str = CREDENTIAL,
        log: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port = port
        self._tls = tls
        self.witness = Witness(log)
        self.accounting = Accounting()
        self.administration = Administration()
        self._credential = credential
        self._next: deque[Scenario] = deque()
        self._by_model: dict[str, tuple[Scenario, int | None]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def arrivals(self) -> list[Arrival]:
        """Every request so far, in order of arrival."""
        return self.witness.arrivals

    @property
    def url(self) -> str:
        """The root: the base URL of the Anthropic wire; `/v1` below it is OpenAI's."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def script(self, scenario: Scenario, *, model: str | None = None, count: int | None = None) -> None:
        """Answer so from now on: the next `count` requests (1 if not said), or those for a model (all if not said).

        `DIE_BEFORE_BODY` holds for the next requests only: the model is in the body.
        """
        if model is None:
            self._next.extend([scenario] * (1 if count is None else count))
        else:
            self._by_model[model] = (scenario, count)

    def reset(self) -> None:
        """Forget scripts and arrivals."""
        self._next.clear()
        self._by_model.clear()
        self.witness.clear()
        self.accounting = Accounting()
        self.administration = Administration()

    async def start(self) -> None:
        """Listen on loopback.

        Raises:
            OSError: the port is taken.
        """
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/simulator/{verb}", self._control)
        application.router.add_route("*", "/{path:.*}", self._handle)
        # Cancelled handlers are how a stalled or endless answer learns that its caller went.
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers)
        arrival = self.witness.arrived(request.method, request.raw_path, raw)
        try:
            if self._next and self._next[0].fault is Fault.DIE_BEFORE_BODY:
                cut(request, self._next.popleft(), self.witness, arrival)
                return web.Response()
            body = await request.read()
            self.witness.read(arrival, body)
            document = read_document(body)
            received = Received(request, document, body, self._scenario(document), arrival)
            return await deliver(received, self._answer(received), self.witness)
        except asyncio.CancelledError:
            self.witness.ended(arrival, "caller_gone")
            raise
        except ConnectionError:
            self.witness.ended(arrival, "caller_gone")
            return web.Response()
        finally:
            # The first note stands: this one remains only if answering failed here.
            self.witness.ended(arrival, "broken")

    def _answer(self, received: Received) -> Answer:
        """A report of usage, what the administration says, or what an operation says, which is counted."""
        told = self.accounting.answer(received) or self.administration.answer(received)
        if told is not None:
            return told
        known = bearer(received) if admits(received) else self._credential
        answer = respond(received, known)
        self.accounting.count(received, answer)
        self.administration.remember(received, answer)
        return answer

    def _scenario(self, document: Document) -> Scenario:
        model = document.get("model")
        if isinstance(model, str) and model in self._by_model:
            scenario, left = self._by_model[model]
            if left is not None:
                self._by_model[model] = (scenario, left - 1)
            if left is None or left > 0:
                return scenario
        return self._next.popleft() if self._next else _WELL

    async def _control(self, request: web.Request) -> web.Response:
        """`POST /simulator/script` `{"scenario", "model"?, "count"?}`; `POST reset`; `GET arrivals`; `GET ready`."""
        if request.remote not in ("127.0.0.1", "::1"):
            return web.Response(status=404)
        match request.method, request.match_info["verb"]:
            case "GET", "ready":
                return web.Response(text="ready")
            case "GET", "arrivals":
                shown: list[Value] = [_shown(one) for one in self.arrivals]
                return web.Response(body=encode({"arrivals": shown}), content_type="application/json")
            case "POST", "reset":
                self.reset()
                return web.Response(status=204)
            case "POST", "script":
                return self._scripted(read_document(await request.read()))
            case _:
                return web.Response(status=404)

    def _scripted(self, order: Document) -> web.Response:
        try:
            scenario = read_scenario(mapping(order.get("scenario")))
        except (ValueError, TypeError):
            return web.Response(status=400)
        model, count = order.get("model"), order.get("count")
        self.script(
            scenario,
            model=model if isinstance(model, str) else None,
            count=count if isinstance(count, int) else None,
        )
        return web.Response(status=204)


def _shown(arrival: Arrival) -> Value:
    shown = dataclasses.asdict(arrival)
    headers: list[Value] = [[name, value] for name, value in arrival.headers]
    return {**shown, "headers": headers, "body": None if arrival.body is None else arrival.body.decode("latin-1")}
