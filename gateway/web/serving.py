"""The process of the auditor's pages: `gateway web`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import uvloop
from aiohttp import web

from gateway.errors import ConfigurationError, Fault
from gateway.listener import Listener
from gateway.logs import detached_logger, silence
from gateway.options import pages_options
from gateway.process import close_core_dumps, concerns
from gateway.web.house import House
from gateway.web.sign_in import OpenId
from gateway.web.site import Site

DONE = "/sign-in/done"


class Pages:
    """The pages, listening.

    Args:
        directory: the configuration.
        state: the state; None takes what the configuration says.
        environment: for credential references; nothing else is read from it.
    """

    def __init__(self, directory: Path, state: Path | None, environment: Mapping[str, str]) -> None:
        self.house = House(directory, environment, state)
        settings = self.house.bundle.settings.web
        handler = logging.StreamHandler(sys.stderr)
        silence(handler)
        options = pages_options(self.house.bundle)
        self._listener = Listener(options, detached_logger(handler))
        self._names = options.allowed_names
        self._settings = settings
        self._following: asyncio.Task[None] | None = None
        self.site: Site | None = None

    @property
    def port(self) -> int:
        """Where browsers connect."""
        return self._listener.port

    @property
    def address(self) -> str:
        """What a browser shows, without a slash at the end."""
        settings = self._settings
        scheme = "http" if settings.tls is None else "https"
        name = settings.names[0] if settings.names else settings.host
        return settings.address or f"{scheme}://{name}:{self.port}"

    async def start(self) -> None:
        """Bring the index up to the journal in the background, and listen.

        Raises:
            ListenerError, OSError: it cannot listen as configured.
        """
        await self._listener.start(self._handle)
        self.site = Site(self.house, self._names, self.address, self._open_id())
        self._following = asyncio.get_running_loop().create_task(self.site.follow(), name="follow")

    async def stop(self) -> None:
        """Let pages in progress end, and release every file."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        if self.site is not None:
            await self.site.reporting.stop()
        await self._listener.close(2.0)
        self.house.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.site is None:  # within the first millisecond, before the port is known
            return web.Response(status=503, headers={"Retry-After": "1"})
        return await self.site.handle(request)

    def _open_id(self) -> OpenId | None:
        settings = self._settings.sign_in
        if settings is None:
            return None
        bundle = self.house.bundle
        secret = None
        if settings.client_secret_file is not None:
            try:
                secret = bundle.path(settings.client_secret_file).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                raise ConfigurationError(
                    [Fault("gateway.yaml", 0, "web.sign_in.client_secret_file", "the file cannot be read")]
                ) from None
        return OpenId(
            settings,
            secret,
            None if settings.authorities is None else bundle.path(settings.authorities),
            f"{self.address}{DONE}",
            bundle.settings.region,
            monotonic,
            lambda: datetime.now(UTC),
        )


def serve(directory: Path, environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        ConfigurationError, KeyFault, NotYet, StoreFault, ListenerError, OSError: before anything listens.
    """
    refused = [concern for concern in (*concerns(environment), *close_core_dumps()) if concern.refuses]
    for concern in refused:
        sys.stderr.write(f"gateway web: {concern.name}: {concern.reason}\n")
    if refused:
        return 2
    pages = Pages(directory, None, environment)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(pages))


async def _serve(pages: Pages) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        await pages.start()
        sys.stdout.write(f"The auditor's pages are at {pages.address}\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await pages.stop()
    return 0
