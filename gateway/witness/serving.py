"""The process of a witness: `gateway witness`. Two paths, and nothing else: add a checkpoint, look at the last."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from time import time

import uvloop
from aiohttp import web

from gateway.listener import Listener, ListenerOptions
from gateway.logs import detached_logger, silence
from gateway.witness.witness import LARGEST, Said, Witness


class Serving:
    """A witness, listening.

    Args:
        witness: what it remembers and signs.
        options: where to listen.
    """

    def __init__(self, witness: Witness, options: ListenerOptions) -> None:
        self._witness = witness
        handler = logging.StreamHandler(sys.stderr)
        silence(handler)
        self.listener = Listener(options, detached_logger(handler))
        self._one = asyncio.Lock()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        try:
            said = await self._said(request)
        except OSError:
            sys.stderr.write("gateway witness: the last checkpoint cannot be read or kept, so nothing is signed\n")
            said = Said(500)
        return web.Response(status=said.status, text=said.body, content_type=said.kind)

    async def _said(self, request: web.BaseRequest) -> Said:
        steps = request.path.strip("/").split("/")
        if request.method == "POST" and steps == ["add-checkpoint"]:
            body = await request.read()
            async with self._one:
                return await asyncio.to_thread(self._witness.add, body)
        if request.method == "GET" and len(steps) == 2 and steps[1] == "checkpoint":
            return await asyncio.to_thread(self._witness.seen, steps[0])
        return Said(404)


def options(host: str, port: int, certificate: Path | None, private_key: Path | None) -> ListenerOptions:
    """Where a witness listens. It decides nothing by the name that it is called."""
    return ListenerOptions(
        host=host, port=port, any_name=True, certificate=certificate, private_key=private_key, client_max_size=LARGEST
    )


def serve(folder: Path, name: str, logs: list[str], listening: ListenerOptions) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        NotAWitness, ListenerError, OSError: before anything listens.
    """
    witness = Witness(folder, name, logs, lambda: int(time()))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(witness, listening))
    finally:
        witness.close()


async def _serve(witness: Witness, listening: ListenerOptions) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    serving = Serving(witness, listening)
    await serving.listener.start(serving.handle)
    try:
        scheme = "http" if listening.certificate is None else "https"
        sys.stdout.write(f"{witness.key}\n{scheme}://{listening.host}:{serving.listener.port}\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await serving.listener.close(2.0)
    return 0
