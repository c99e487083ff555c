"""Listener and upstream together, with the smallest handler that joins them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web

from gateway.intake import abort, check_head, read_body
from gateway.listener import Handler
from gateway.upstream import Truncated, Upstream

from .conftest import Run
from .exchanges import ADMISSION, clean_call
from .test_listener import HOST, listening, post, speak, until
from .test_listener import OPTIONS as LISTENER_OPTIONS
from .test_upstream import CHUNKED, OPTIONS, Peer, provider, says


def passing(upstream: Upstream, url: str) -> Handler:
    """Passes the body on and the answer back, chunk by chunk."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        check_head(request, frozenset())
        body = await read_body(request, 1 << 20, 5)
        response = web.StreamResponse()
        async with upstream.send(clean_call(url, body), ADMISSION, "key") as reply:
            await response.prepare(request)
            try:
                async for chunk in reply:
                    await response.write(chunk)
            except Truncated:
                abort(request)
                return response
        await response.write_eof()
        return response

    return handle


REQUEST = post(HOST, b"Content-Length: 2", body=b"{}")


def test_answer_passes_whole(run: Run[None]) -> None:
    """The positive control: what the provider says arrives, with its end."""

    async def scenario() -> None:
        async with provider(says(CHUNKED + b"0\r\n\r\n")) as (_fake, upstream, url):
            async with listening(passing(upstream, url)) as listener:
                reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
                writer.write(REQUEST)
                answer = await reader.readuntil(b"0\r\n\r\n")
                writer.close()

            assert b"\r\n5\r\nfirst\r\n" in answer

    run(scenario())


def test_truncated_answer_has_no_end(run: Run[None]) -> None:
    """An answer that broke off upstream breaks off downstream too."""

    async def scenario() -> None:
        async with provider(says(CHUNKED)) as (_fake, upstream, url):
            async with listening(passing(upstream, url)) as listener:
                answer = await speak(listener.port, REQUEST)

            assert not answer.endswith(b"0\r\n\r\n")

    run(scenario())


def test_vanished_callers_free_every_upstream_stream(run: Run[None]) -> None:
    """When many callers vanish within their streams, every provider connection is closed within a second."""
    callers = 150

    async def scenario() -> None:
        options = replace(OPTIONS, idle_seconds=60, total_seconds=60, head_seconds=60)
        async with (
            provider(says(CHUNKED, then="hold"), options) as (fake, upstream, url),
            listening(passing(upstream, url)) as listener,
        ):
            held = [await open_stream(listener.port) for _ in range(callers)]
            assert upstream.in_flight == callers
            for writer in held:
                writer.close()
            async with asyncio.timeout(1):
                await until(lambda: upstream.in_flight == 0)
                await asyncio.gather(*(peer.gone.wait() for peer in fake.peers))

    async def open_stream(port: int) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await reader.readuntil(b"first\r\n")
        return writer

    run(scenario())


def test_stalled_reader_slows_and_then_frees_the_provider(run: Run[None]) -> None:
    """A caller who stops reading stops the provider, and is cut off in time."""

    async def scenario() -> None:
        sent = 0

        async def flood(peer: Peer) -> None:
            nonlocal sent
            await peer.request()
            peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n")
            while True:
                peer.writer.write(b"x" * 65536)
                await peer.writer.drain()
                sent += 65536

        upstream_options = replace(OPTIONS, max_answer_bytes=1_000_000_000)
        async with provider(flood, upstream_options) as (fake, upstream, url):
            options = replace(LISTENER_OPTIONS, write_seconds=0.3)
            async with listening(passing(upstream, url), options) as listener:
                _reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
                writer.write(REQUEST)
                await until(lambda: bool(fake.peers) and bool(fake.peers[0].body))
                await until(lambda: upstream.in_flight == 0)
                await fake.peers[0].gone.wait()
                writer.close()

            assert sent < 64 << 20

    run(scenario())
