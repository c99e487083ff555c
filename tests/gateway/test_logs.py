"""What the process says, and that nothing anyone else wrote can be in it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading

import pytest
from msgspec.structs import replace

from gateway import logs
from gateway.logs import CallLine, Log, ScrubbedRecord, loop_exception_handler, word

MARK = "marked content 3f7a"
LINE = CallLine(
    call="call_1",
    wire="openai",
    operation="chat",
    tenant="t-1",
    caller="coach",
    processor="openai-eu",
    model="gpt-5.5",
    status=200,
    code=None,
    result="completed",
    milliseconds=12.345,
    size=1025,
    redactions=2,
)


def written(stream: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_line_a_call() -> None:
    """A call is one JSON object of fixed keys, its size rounded up to whole KiB."""
    stream = io.BytesIO()
    log = Log(stream)

    log.call(LINE)
    log.close()

    (line,) = written(stream)
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "event": "call",
        "call": "call_1",
        "wire": "openai",
        "operation": "chat",
        "tenant": "t-1",
        "caller": "coach",
        "processor": "openai-eu",
        "model": "gpt-5.5",
        "status": 200,
        "code": None,
        "result": "completed",
        "ms": 12.3,
        "bytes": 2048,
        "redactions": 2,
    }


@pytest.mark.parametrize("value", [MARK, "a\nb", "a\u2028b", "x" * 129, "é", '"', "{}"])
def test_no_sentence_is_printed(value: str) -> None:
    """Whatever is not a closed word becomes a question mark, in every field."""
    stream = io.BytesIO()
    log = Log(stream)

    log.call(replace(LINE, call=value, tenant=value, model=value, code=value))
    log.event("start", version=value, port=8080, ready=True)
    log.close()

    call, event = written(stream)
    assert [call["call"], call["tenant"], call["model"], call["code"]] == ["?"] * 4
    assert (event["version"], event["port"], event["ready"]) == ("?", 8080, True)


def test_stalled_output_drops_lines_and_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stalls costs lines, never time or memory, and the loss is told."""
    monkeypatch.setattr(logs, "MAX_PENDING", 3)
    go_on = threading.Event()

    class Stalled(io.BytesIO):
        def write(self, data: object) -> int:
            go_on.wait(5)
            return super().write(data)  # type: ignore[arg-type]

    stream = Stalled()
    log = Log(stream)
    for _ in range(10):
        log.call(LINE)
    go_on.set()
    log.close()

    lines = written(stream)
    assert sum(line["event"] == "call" for line in lines) + sum(int(str(line.get("count", 0))) for line in lines) == 10
    assert any(line["event"] == "lines_dropped" for line in lines)


def test_closed_output_does_not_stop_the_process() -> None:
    """When nobody reads any more, calls go on."""
    stream = io.BytesIO()
    log = Log(stream)
    stream.close()

    log.call(LINE)
    log.close()


SILENCED = f"""
import asyncio, logging, sys, warnings
from gateway.logs import Log, detached_logger, loop_exception_handler, silence

MARK = {MARK!r}
early = logging.getLogger("decision_process")
early.addHandler(logging.StreamHandler())
early.setLevel(logging.DEBUG)
log = Log(sys.stdout.buffer)
silence(logging.StreamHandler(sys.stderr))
late = logging.getLogger("presidio-analyzer")
late.addHandler(logging.StreamHandler())
late.propagate = True
for name in ("aiohttp.server", "asyncio", "decision_process", "presidio-analyzer", "openai", "x y " + MARK):
    logger = logging.getLogger(name)
    try:
        raise ValueError(MARK)
    except ValueError as error:
        logger.exception("failed on %s", MARK, stack_info=True)
        logger.error(error)
        logger.error(MARK, extra={{"body": MARK}})
        logger.warning("%d", MARK)
        logger.critical("%(a)s", {{"a": MARK}})
warnings.warn(MARK)
class Broken(logging.Handler):
    def emit(self, record):
        try:
            raise RuntimeError(MARK)
        except RuntimeError:
            self.handleError(record)
logging.getLogger("openai").addHandler(Broken())
logging.getLogger("openai").error(MARK)

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_exception_handler(log))
    async def fail():
        raise KeyError(MARK)
    task = loop.create_task(fail(), name=MARK)
    await asyncio.sleep(0.01)
    del task
    import gc; gc.collect()
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
asyncio.run(main())
log.event("stop")
log.close()
"""


def test_no_library_can_print_a_message() -> None:
    """Loggers made before and after, exceptions, warnings, broken handlers, lost tasks: only names and classes."""
    done = subprocess.run([sys.executable, "-c", SILENCED], capture_output=True, text=True, timeout=30, check=True)

    assert MARK not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    library = [json.loads(line) for line in done.stderr.splitlines() if line]
    assert {"asyncio", "openai", "presidio-analyzer", "?"} <= {line["logger"] for line in library}
    assert "ValueError" in {line["exception"] for line in library}
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event.get("exception") for event in events if event["event"] == "loop_fault"] == [
        "KeyError",
        "ZeroDivisionError",
    ]
    assert events[-1]["event"] == "stop"


def test_scrubbed_record_holds_no_text() -> None:
    """The record itself has nothing that a handler could print."""
    try:
        int(MARK)
    except ValueError:
        record = ScrubbedRecord("a", logging.ERROR, "p", 1, MARK, (MARK,), sys.exc_info(), sinfo=MARK)  # type: ignore[arg-type]

    assert MARK not in repr(vars(record))
    assert record.exception == "ValueError"


def test_loop_fault_without_exception_is_told() -> None:
    """A fault that asyncio reports without an exception is an event too."""
    stream = io.BytesIO()
    log = Log(stream)

    loop_exception_handler(log)(None, {"message": MARK})  # type: ignore[arg-type]  # the loop is not used
    log.close()

    assert written(stream)[0]["event"] == "loop_fault"
    assert MARK.encode() not in stream.getvalue()


@pytest.mark.parametrize("value", ["gpt-5.5", "openai_eu", "a/b:c", "", None])
def test_word_passes_closed_words(value: str | None) -> None:
    """Names as configuration spells them pass unchanged."""
    assert word(value) == value
