"""One connection of a caller: its requests one after the other, each bounded, answered and never quoted.

As aiohttp's, whose C parser reads the requests. The loop over them is ours: the library's makes a task of each
request and looks, with each, for what a gateway never has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import time_ns
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import ERROR, _ErrInfo

from gateway.answers import Answer, OneWrite, WholeAnswer
from gateway.errors import Code
from gateway.heads import Came, Known, split
from gateway.intake import Request
from gateway.keys import new_call_id

if TYPE_CHECKING:
    from gateway.listener import Server

_MALFORMED: Final = (
    b'{"type":"error","error":{"type":"invalid_request_error","message":"The request is not valid HTTP/1.1.",'
    b'"code":"body_invalid","param":null}}'
)
_BROKEN: Final = (
    b'{"type":"error","error":{"type":"api_error","message":"The gateway could not answer this request.",'
    b'"code":null,"param":null}}'
)


class Protocol(web.RequestHandler):
    """One connection: as aiohttp's, with deadlines for the head and for a stalled reader, and fixed error bodies.

    A request is handled in the connection's own task, which is cancelled when the caller is gone.
    """

    __slots__ = ("_body", "_head_timer", "_known", "_options", "_owed", "_peer", "_server", "_write_timer", "stalled")

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, logger: logging.Logger) -> None:
        options = server.options
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=options.keepalive_seconds,
            tcp_keepalive=True,
            logger=logger,
            access_log=None,  # type: ignore[arg-type]  # None switches it off, as the code says and the type does not
            debug=False,
            max_line_size=options.max_line_size,
            max_field_size=options.max_field_size,
            max_headers=options.max_headers,
            lingering_time=options.lingering_seconds,
            read_bufsize=options.read_bufsize,
            auto_decompress=False,
        )
        self._server = server
        self._options = options
        self._peer: str | None = None
        self._owed: int | None = 0  # 0: between two requests; None: nobody can say
        self._body = EMPTY_PAYLOAD
        self._known: Known | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self.stalled = False
        """The caller left our send buffer full for `write_seconds`, and we closed the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        if not self._server.welcome(self._peer):
            self._peer = None
            self._manager = None  # so that connection_lost finds nothing to undo
            self._force_close = True
            cast("asyncio.Transport", transport).abort()  # uvloop's is one in all but its class
            return
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._options.head_seconds, self._head_is_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._peer is not None:
            self._server.farewell(self._peer)
            self._peer = None
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._write_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        stands = self._owed == 0 and not (self._busy or self._messages or self._close or self._force_close)
        if stands and self._met_again(data):
            return
        if (stands and self._came_again(data)) or self._parsed(data):
            self._head_came()
            self._meet(data)
        elif self._head_timer is None and not (self._request_in_progress or self._messages or self._force_close):
            self._head_timer = self._loop.call_later(self._options.head_seconds, self._head_is_late)

    def _parsed(self, data: bytes) -> int:
        """Let the parser read it; how many heads came."""
        before = self._request_count
        super().data_received(data)
        came = self._request_count - before
        if self._owed is not None and not self._counts(data, came):
            self._owed = self._known = None
        return came

    def _counts(self, data: bytes, came: int) -> bool:
        """Count what is owed of a body, so that it is known where the next request begins; whether it still is.

        Once it is not, it never is again. The parser, which has read the same, must find the body's end there, too.
        """
        if self._owed:
            self._owed -= len(data)
            if came or self._owed < 0:
                return False
        else:
            parts = split(data) if came == 1 else None
            if parts is None:
                return False
            message, self._body = self._messages[-1]
            if isinstance(message, _ErrInfo):
                return False
            self._known, self._owed = Known.of(parts, message, self._known), parts.missing
        return self._body.is_eof() == (self._owed == 0)

    def _came_again(self, data: bytes) -> bool:
        """Take a request whose head is known, past the parser, which holds nothing; whether it is one."""
        known = self._known
        if known is None or (body := known.body(data)) is None:
            return False
        self._messages.append((known.message, Came(body)))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        return True

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    @property
    def _busy(self) -> bool:
        return self._request_in_progress or self._upgraded or self._paused

    def _met_again(self, data: bytes) -> bool:
        """Let the door answer what it knows, past the parser, which holds nothing; whether it did."""
        door = self._server.door
        answer = None if door is None else door.meet_again(data)
        if answer is None or self.transport is None or self.transport.is_closing():
            return False
        self._head_came()
        self.transport.write(answer)
        self._stays()
        return True

    def _meet(self, data: bytes) -> None:
        """Let the door answer what came whole to an idle connection whose caller reads: nothing is made of it."""
        door = self._server.door
        if door is None or self._busy or len(self._messages) != 1:
            return
        message, payload = self._messages[0]
        if isinstance(message, _ErrInfo) or not payload.is_eof() or (answer := door.meet(message)) is None:
            return
        self._take()
        if not self._write(answer, message.method, keeps=not message.should_close):
            self.force_close()
        elif self._owed == 0:
            door.remember(data, message)
        self._stays()

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:  # else nothing waits in the parser or the socket; asked whenever a piece is taken
            super().resume_reading(resume_parser)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._request_in_progress:
            self.force_close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self._loop.call_later(self._options.write_seconds, self._reader_stalled)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _reader_stalled(self) -> None:
        self._write_timer = None
        self.stalled = True
        if self.transport is not None:
            self.transport.abort()

    async def start(self) -> None:
        """Answer requests until the connection ends; the library makes a task of this."""
        transport = self.transport
        try:
            while not self._force_close:
                if not self._messages:
                    if self._close:
                        break
                    self._waiter = self._loop.create_future()
                    try:
                        await self._waiter
                    finally:
                        self._waiter = None
                elif await self._serve(*self._take()) and not self._close:
                    self._stays()
                else:
                    break
        except ConnectionError:
            pass  # the caller is gone
        except Exception as exc:  # noqa: BLE001  # the outermost: it is counted, and its text is not told
            self._server.on_error(500, type(exc).__name__)
        finally:
            self._force_close = True
            if transport is not None:
                transport.close()  # an idle connection that was told to end has not done it
                # This waits for the buffer to be read; a caller that never reads would hold it for ever.
                if transport.get_write_buffer_size():
                    self._loop.call_later(self._options.write_seconds, transport.abort)

    def _take(self) -> tuple[RawRequestMessage | _ErrInfo, StreamReader]:
        """The next request; the parser goes on with those that wait behind it."""
        taken = self._messages.popleft()
        if self._parser is not None and not isinstance(taken[1], Came):
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return taken

    async def _serve(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> bool:
        """Handle one request and give its answer; whether another may follow.

        Raises:
            ConnectionError: the caller is gone, or an answer that had begun cannot be ended.
        """
        assert self._task_handler is not None  # noqa: S101  # this runs in it
        head = ERROR if isinstance(message, _ErrInfo) else message
        request = self._server.request(head, payload, self, StreamWriter(self, self._loop), self._task_handler)
        request.closes = self._upgraded  # what follows is of another protocol
        known = self._known
        request.known = known if known is not None and known.message is message else None
        self._request_in_progress = True
        try:
            if isinstance(message, _ErrInfo):
                answer: Answer = self._failed(request, message.status, message.exc)
            else:
                answer = await self._handled(request)
            if not isinstance(answer, OneWrite):
                await answer.prepare(request)
                await answer.write_eof()
                keeps = bool(answer.keep_alive)
            else:
                keeps = self._write(answer, request.method, keeps=request.keep_alive and not request.closes)
                if self._paused:
                    await self._drain_helper()
            return (payload.is_eof() or await self._linger(payload)) and keeps
        finally:
            self._request_in_progress = False

    async def _handled(self, request: Request) -> Answer:
        self._current_request = request  # whose body ends when the connection does
        try:
            return await self._server.handler(request)
        except Exception as exc:  # noqa: BLE001  # the outermost: an answer that is always the same
            return self._failed(request, 500, exc)
        finally:
            self._current_request = None

    def _write(self, answer: OneWrite, method: str, *, keeps: bool) -> bool:
        """Give an answer that is one write; whether the connection stays.

        Raises:
            ConnectionError: the caller is gone.
        """
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError
        keeps = keeps and not answer.closes
        self.transport.write(answer.written(method, keeps=keeps))
        return keeps

    async def _linger(self, payload: StreamReader) -> bool:
        """Read for a while what nobody wanted of a body, so that its sender comes to the answer; whether it ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof():
                    await payload.readany()
        return payload.is_eof()

    def _stays(self) -> None:
        """Give the next request its time to come."""
        until = self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(until, self._process_keepalive)

    def _failed(self, request: Request, status: int, exc: BaseException) -> WholeAnswer:
        """Answer a malformed request, or one whose handler failed, with bytes that are always the same.

        Raises:
            ConnectionError: an answer has begun; it is aborted and never continued as if it were whole.
        """
        self._server.on_error(status, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError
        malformed = 400 <= status < 500
        headers = {
            "content-type": "application/json; charset=utf-8",
            "x-should-retry": "false",
            "x-gateway-call-id": new_call_id(time_ns),
        }
        if malformed:
            headers["x-gateway-code"] = Code.BODY_INVALID.value
        return WholeAnswer(status, _MALFORMED if malformed else _BROKEN, headers, closes=True)


def stalled(request: web.BaseRequest) -> bool:
    """Whether we closed this caller's connection because it had stopped reading."""
    protocol = request.protocol
    return isinstance(protocol, Protocol) and protocol.stalled
