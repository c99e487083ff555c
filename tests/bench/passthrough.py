"""The bare pass-through that the gateway is measured against: aiohttp's server, aiohttp's client, nothing else."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

import aiohttp
import uvloop
from aiohttp import web

_FORWARDED = ("content-type", "authorization")
_RETURNED = ("content-type", "x-request-id")


class _Passthrough:
    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self._session = session

    async def relay(self, request: web.Request) -> web.StreamResponse:
        """Send the same bytes on, and the answer back as it comes."""
        body = await request.read()
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        url = self._upstream + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
            if answer.headers.get("content-type") != "text/event-stream":
                return web.Response(status=answer.status, body=await answer.read(), headers=returned)
            response = web.StreamResponse(status=answer.status, headers=returned)
            await response.prepare(request)
            # A caller that is gone ends the upstream request with this block, and is no error.
            with contextlib.suppress(ConnectionResetError):
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response


async def _serve(port: int, upstream: str) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    jar = aiohttp.DummyCookieJar()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=jar, timeout=timeout, auto_decompress=False
    ) as session:
        application = web.Application(client_max_size=8 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", _Passthrough(upstream, session).relay)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="tests.bench.passthrough")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="root URL of the provider")
    options = parser.parse_args()
    try:
        uvloop.run(_serve(options.port, options.upstream))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
