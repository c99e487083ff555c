"""What this process may say: one line a call, a few events, and nothing that anyone else wrote.

Every line is one JSON object with fixed keys. Text that came from a caller or a provider has no
way in: our own lines hold closed words and numbers, and every record of another library is made
without its message, so that only logger, level and the exception's class are left, whichever
handler prints it. (Parsers and clients put what they read into `str(exc)` and into log arguments.)
"""

from __future__ import annotations

import asyncio
import collections
import functools
import logging
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import time_ns
from types import TracebackType
from typing import BinaryIO, TypeAlias

import orjson
from msgspec import Struct

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None

MAX_PENDING = 20_000
"""Lines held while the reader of our output stalls; beyond it lines are dropped and counted."""

WRITE_SECONDS = 0.05
"""How long a line may wait for others to be written with it."""

_WORD = re.compile(r"[A-Za-z0-9_.:/@+-]{0,128}")


class CallLine(Struct, frozen=True):
    """What is said of one call. Names are the configuration's or the wire table's, never a caller's text.

    `size` counts request bytes and is rounded up to whole KiB: an exact length would be a
    fingerprint of the content. `milliseconds` is the whole exchange.
    """

    call: str
    wire: str
    operation: str
    tenant: str | None
    caller: str | None
    processor: str | None
    model: str | None
    status: int
    code: str | None
    result: str | None
    milliseconds: float
    size: int
    redactions: int


class Log:
    """Writes lines to a stream from a thread of its own, so that a full pipe never stops the event loop.

    A line is written within `WRITE_SECONDS`; `close` writes what is left. A crash loses the lines of that
    moment, which is why the record of calls is the journal and not this.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: collections.deque[bytes] = collections.deque()
        self._pending = threading.Event()
        self._closing = threading.Event()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def call(self, line: CallLine) -> None:
        """Say that a call ended."""
        common = _common(
            line.wire,
            line.operation,
            line.tenant,
            line.caller,
            line.processor,
            line.model,
            line.status,
            line.code,
            line.result,
        )
        size = (line.size + 1023) // 1024 * 1024
        self._add(
            f'{{"time":"{_time(time_ns())}","event":"call","call":{_quoted(word(line.call))},{common},'
            f'"ms":{line.milliseconds:.1f},"bytes":{size},"redactions":{line.redactions}}}\n'.encode()
        )

    def event(self, name: str, **facts: str | int | float | bool | None) -> None:
        """Say that something happened to the process: `start`, `stop`, `reload` and their like."""
        closed = {key: word(value) if isinstance(value, str) else value for key, value in facts.items()}
        self._put({"time": _now(), "event": word(name), **closed})

    def close(self, timeout: float = 2.0) -> None:
        """Write what is pending, for at most `timeout` seconds, and end the thread."""
        self._closing.set()
        self._pending.set()
        self._thread.join(timeout)

    def _put(self, line: Mapping[str, object]) -> None:
        self._add(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def _add(self, line: bytes) -> None:
        if len(self._lines) >= MAX_PENDING:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._pending.is_set():
            self._pending.set()

    def _run(self) -> None:
        while True:
            self._pending.wait()
            closing = self._closing.wait(WRITE_SECONDS)
            self._pending.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                lines.append(orjson.dumps({"time": _now(), "event": "lines_dropped", "count": dropped}) + b"\n")
            try:
                self._stream.write(b"".join(lines))
                self._stream.flush()
            except (OSError, ValueError):
                return  # our output is gone; calls go on, since the journal is the record
            if closing and not self._lines:
                return


def word(value: str | None) -> str | None:
    """The value if it is a closed word, else `?`: nothing that could be a sentence is printed."""
    return value if value is None or _WORD.fullmatch(value) else "?"


@functools.lru_cache(maxsize=4096)
def _common(
    wire: str,
    operation: str,
    tenant: str | None,
    caller: str | None,
    processor: str | None,
    model: str | None,
    status: int,
    code: str | None,
    result: str | None,
) -> str:
    """What many calls have in common, as members of a JSON object."""
    words = {
        "wire": wire,
        "operation": operation,
        "tenant": tenant,
        "caller": caller,
        "processor": processor,
        "model": model,
        "status": status,
        "code": code,
        "result": result,
    }
    members = {name: word(value) if isinstance(value, str) else value for name, value in words.items()}
    return orjson.dumps(members)[1:-1].decode()


def _quoted(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'  # a closed word holds nothing that JSON escapes


def _time(nanoseconds: int) -> str:
    """RFC 3339 in UTC, as orjson writes a date."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}+00:00"


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _now() -> datetime:
    return datetime.now(UTC)  # orjson writes RFC 3339, at a fifth of isoformat's time


class ScrubbedRecord(logging.LogRecord):
    """A record of whichever logger, made without message, arguments, traceback or stack."""

    def __init__(  # the standard library's own form
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        _msg: object,
        _args: object,
        exc_info: ExcInfo,
        func: str | None = None,
        _sinfo: str | None = None,
        **_more: object,
    ) -> None:
        super().__init__(name, level, pathname, lineno, "", None, None, func, None)
        self.exception = exc_info[0].__name__ if exc_info and exc_info[0] is not None else None


class ForeignFormatter(logging.Formatter):
    """Logger, level and exception class; the message of a record is never read."""

    def format(self, record: logging.LogRecord) -> str:
        exception = record.exception if isinstance(record, ScrubbedRecord) else None
        line = {
            "time": _now(),
            "event": "library",
            "logger": word(record.name),
            "level": record.levelname,
            "exception": word(exception),
        }
        return orjson.dumps(line).decode()


def silence(handler: logging.Handler) -> None:
    """Make every logger of the process say only what `ForeignFormatter` prints, through this handler alone.

    Call it before and again after the libraries are imported: some bring handlers of their own, and those
    are taken away here. Records made afterwards hold no message, so even a later handler prints none.
    """
    handler.setFormatter(ForeignFormatter())
    logging.setLogRecordFactory(ScrubbedRecord)
    logging.raiseExceptions = False  # or a broken handler prints the record's arguments to stderr
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in list(logging.Logger.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    logging.getLogger("decision_process").setLevel(logging.CRITICAL + 1)  # Presidio's trace of tokens
    logging.captureWarnings(capture=True)
    warnings.simplefilter("ignore")  # a warning's text may quote an argument


def detached_logger(handler: logging.Handler) -> logging.Logger:
    """A logger for aiohttp's server that belongs to no hierarchy and prints no message."""
    logger = logging.Logger("http", logging.WARNING)
    logger.addHandler(handler)
    logger.addFilter(_without_text)
    return logger


def _without_text(record: logging.LogRecord) -> bool:
    # The factory already does this once `silence` ran; a listener must not depend on it.
    if not isinstance(record, ScrubbedRecord):
        record.exception = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        record.msg, record.args, record.exc_info, record.exc_text, record.stack_info = "", None, None, None, None
    return True


def loop_exception_handler(log: Log) -> Callable[[asyncio.AbstractEventLoop, dict[str, object]], None]:
    """For `loop.set_exception_handler`: asyncio's own handler prints messages and reprs of tasks."""

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        exception = context.get("exception")
        log.event("loop_fault", exception=type(exception).__name__ if isinstance(exception, BaseException) else None)

    return handle
