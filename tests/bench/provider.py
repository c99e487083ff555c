"""A raw provider for benchmarks: one asyncio Protocol on uvloop, answers prebuilt, the model's name says which.

`bench-plain` answers 1.2 KB of JSON. `bench-flat` streams as fast as the connection takes it,
`bench-paced` 50 chunks a second, `bench-hold` one a second; none of them ends by itself. Each
delta carries this machine's monotonic clock in nanoseconds, as `@0123456789012345678@`, and the next word of
a text, as a model's do.
`GET /open` tells how many streams are open; every other GET answers `ready`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import cast

import uvloop

PLAIN = "bench-plain"
FLAT = "bench-flat"
PACED = "bench-paced"
HOLD = "bench-hold"
PACE = {FLAT: 0.0, PACED: 0.02, HOLD: 1.0}
CLOCK_DIGITS = 19
_BATCH = 8
"""Events that a flat-out stream writes before it lets the others write."""

_HEADERS = b"openai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\nx-request-id: req_%032x\r\n"


def _plain(model: str) -> bytes:
    said = ("The call went well: the customer asked for an offer by Friday. " * 14)[:800]
    usage = {"prompt_tokens": 200, "completion_tokens": 160, "total_tokens": 360}
    message: dict[str, object] = {"role": "assistant", "content": said, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    document = {
        "id": "chatcmpl-00000000000000000000000000",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    }
    return json.dumps(document).encode()


_TEXT = """
The call opened well: you let the customer explain why the rollout slipped, and you named the price before she had to ask.
Her main worry is support over the holidays; the other vendor, she said, left them waiting for two days in May. Offer the
named engineer, and send the revised quote by Friday. My advice for the next call: ask who signs, what the board has seen,
and whether the pilot in Lyon still counts. The pipeline looks healthy, but a conservative forecast would leave this one out.
"""


def _delta(model: str, word: str) -> tuple[bytes, bytes]:
    """A stream event as an HTTP chunk, up to and from the clock."""
    document = {
        "id": "chatcmpl-00000000000000000000000000",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
        "choices": [{"index": 0, "delta": {"content": f"@CLOCK@ {word} "}, "logprobs": None, "finish_reason": None}],
    }
    before, after = f"data: {json.dumps(document)}\n\n".encode().split(b"CLOCK")
    size = len(before) + CLOCK_DIGITS + len(after)
    return f"{size:x}\r\n".encode() + before, after + b"\r\n"


_BODY = _plain(PLAIN)
_DELTAS = {model: [_delta(model, word) for word in _TEXT.split()] for model in PACE}


class _Counters:
    requests = 0
    streams = 0


class _Connection(asyncio.Protocol):
    """One connection: reads whole requests, and answers one after the other."""

    __slots__ = ("_held", "_loop", "_model", "_said", "_transport", "_waiting", "_writable")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held = b""
        self._model = ""
        self._said = 0
        self._writable = True
        self._waiting = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exception: Exception | None) -> None:
        self._transport = None
        if self._model:
            self._model = ""
            _Counters.streams -= 1

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._waiting:
            self._waiting = False
            self._stream()

    def data_received(self, data: bytes) -> None:
        data = self._held + data if self._held else data
        while data:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                break
            whole = end + _content_length(data[:end])
            if len(data) < whole:
                break
            self._answer(data, end)
            data = data[whole:]
        self._held = data

    def _answer(self, data: bytes, start: int) -> None:
        assert self._transport is not None
        if data.startswith(b"GET "):
            body = str(_Counters.streams).encode() if data.startswith(b"GET /open") else b"ready"
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return
        _Counters.requests += 1
        headers = _HEADERS % _Counters.requests
        at = data.find(b'"bench-', start) + 1
        model = data[at : data.find(b'"', at)].decode()
        if model in PACE:
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n%b\r\n" % headers
            )
            self._model = model
            _Counters.streams += 1
            self._stream()
        else:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
            self._transport.write(head % (len(_BODY), headers) + _BODY)

    def _stream(self) -> None:
        if self._transport is None or not self._model:
            return
        deltas = _DELTAS[self._model]
        pace = PACE[self._model]
        for _ in range(1 if pace else _BATCH):
            before, after = deltas[self._said % len(deltas)]
            self._said += 1
            self._transport.write(before + b"%019d" % time.monotonic_ns() + after)
        if not self._writable:
            self._waiting = True
        elif pace:
            self._loop.call_later(pace, self._stream)
        else:
            self._loop.call_soon(self._stream)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 : head.find(b"\r\n", at)]) if at >= 0 else 0


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(loop), "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="tests.bench.provider")
    parser.add_argument("--port", type=int, required=True)
    try:
        uvloop.run(_serve(parser.parse_args().port))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
