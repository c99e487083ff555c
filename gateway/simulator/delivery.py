"""How an answer reaches the wire, or fails to, as its scenario says."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.simulator.answer import Answer, Received, encode
from gateway.simulator.scenario import Fault, Scenario
from gateway.simulator.witness import Arrival, Witness
from providers import sse


async def deliver(received: Received, answer: Answer, witness: Witness) -> web.StreamResponse:
    """Send the answer, and note how it ended.

    A caller that goes away cancels this, which `Simulator` notes.
    """
    request, scenario, arrival = received.request, received.scenario, received.arrival
    if scenario.delay:
        await asyncio.sleep(scenario.delay)
    if scenario.raw is not None or scenario.fault in _HEADLESS:
        return await _without_head(received, witness)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    arrival.status = answer.status
    chunks = _stream(answer, scenario) if answer.events else _body(answer, scenario)
    if scenario.gzip:
        chunks = _packed(chunks)
        response.headers["content-encoding"] = "gzip"
    elif not answer.events:
        response.content_length = len(answer.body if scenario.body is None else scenario.body)
    await response.prepare(request)
    async for chunk in _paced(chunks, scenario.byte_delay):
        await response.write(chunk)
        arrival.sent += len(chunk)
        witness.progress()
    if scenario.fault is Fault.STALL_MID_BODY:
        await asyncio.Event().wait()
    if scenario.fault in _DEATHS:
        cut(request, scenario, witness, arrival)
        return response
    await response.write_eof()
    witness.ended(arrival, "cut_by_script" if scenario.fault else "completed")
    return response


def cut(request: web.Request, scenario: Scenario, witness: Witness, arrival: Arrival) -> None:
    """Close the connection under the request: in order, or with a reset."""
    witness.ended(arrival, "cut_by_script")
    transport = request.transport
    if transport is None:
        return
    if scenario.reset:
        held = transport.get_extra_info("socket")
        # Linger of zero seconds: the kernel sends RST and drops what is unsent (socket(7)).
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


_DEATHS = {Fault.DIE_MID_BODY, Fault.DIE_MID_STREAM}
_HEADLESS = {Fault.DIE_BEFORE_HEAD, Fault.DIE_MID_HEAD, Fault.STALL_BEFORE_HEAD, Fault.SWITCH_PROTOCOLS}


async def _without_head(received: Received, witness: Witness) -> web.StreamResponse:
    request, scenario, arrival = received.request, received.scenario, received.arrival
    if scenario.fault is Fault.STALL_BEFORE_HEAD:
        await asyncio.Event().wait()
    sent = scenario.raw or b""
    if scenario.fault is Fault.DIE_MID_HEAD:
        sent = b"HTTP/1.1 200 OK\r\ncontent-type: applica"
    if scenario.fault is Fault.SWITCH_PROTOCOLS:
        sent = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    if sent and request.transport is not None:
        request.transport.write(sent)
        arrival.sent += len(sent)
        await asyncio.sleep(0)
    cut(request, scenario, witness, arrival)
    return web.Response()


async def _paced(chunks: AsyncIterator[bytes], delay: float) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if not delay:
            yield chunk
            continue
        for byte in chunk:
            await asyncio.sleep(delay)
            yield bytes([byte])


async def _packed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=31)  # 31: a gzip header and trailer (zlib manual, deflateInit2)
    async for chunk in chunks:
        yield packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


async def _body(answer: Answer, scenario: Scenario) -> AsyncIterator[bytes]:
    body = answer.body if scenario.body is None else scenario.body
    half = len(body) // 2 if scenario.after is None else scenario.after
    if scenario.fault in _DEATHS or scenario.fault is Fault.STALL_MID_BODY:
        yield body[:half]
    elif scenario.fault is Fault.MALFORMED:
        # The announced length holds, so that only a parser can tell.
        yield body[:half] + b" " * (len(body) - half)
    else:
        yield body


async def _stream(answer: Answer, scenario: Scenario) -> AsyncIterator[bytes]:
    events = list(answer.events)
    half = len(events) // 2 if scenario.after is None else min(scenario.after, len(events))
    events[half:half] = [sse.build(name, encode(data)) for name, data in scenario.events]
    fails_at = half + len(scenario.events)
    for index, event in enumerate(events):
        if index == fails_at and scenario.fault is not None:
            async for last in _failing(answer, scenario, event):
                yield last
            return
        yield event
        await asyncio.sleep(scenario.pace)


async def _failing(answer: Answer, scenario: Scenario, event: bytes) -> AsyncIterator[bytes]:
    match scenario.fault:
        case Fault.DIE_MID_BODY:
            yield event[: len(event) // 2]
        case Fault.MALFORMED:
            yield event.partition(b"data:")[0] + b'data: {"half": \n\n'
        case Fault.STREAM_ERROR:
            yield answer.error_event
        case Fault.ENDLESS:
            while True:
                yield event
                await asyncio.sleep(scenario.pace)
        case _:
            return
