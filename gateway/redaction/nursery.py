"""The detector's own processes: one nursery that has loaded everything, and workers forked from it.

The nursery imports Presidio and compiles the rules once; workers share that memory copy-on-write,
and a lost one is replaced in milliseconds. It is single-threaded and holds no text. A worker answers
frames on its socket until the other end closes, and outlives the nursery: what it can still answer need
not be refused. The nursery dies with the gateway, whose end of the control socket closes.

Frames are a length (4 bytes, big endian) and JSON. To the nursery: first the rules, then
commands of 5 bytes: `F` and a number, with the worker's socket attached, or `K` and a number.
From it: `R` once it is ready. To a worker: a list of texts. From it: for each text its findings
as [start, end, category's index, score]. A window of a text that goes on stands among them as [text,
start, how it ends], and is answered by [where it is settled, findings].
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import orjson

from gateway.categories import PERSONAL_DATA, Category, Personal
from gateway.redaction import lean
from gateway.redaction.findings import Answer, Ends, Finding, Item, Settled, Window
from gateway.resident import large_apart, let_go

if TYPE_CHECKING:
    from gateway.redaction.engine import Engine

LENGTH = struct.Struct(">I")
COMMAND = struct.Struct(">cI")
READY = b"R"
_NUMBER = {category: index for index, category in enumerate((*Category, *Personal))}
_LONGEST = 60.0  # seconds
_TICK = 5.0


class Gone(EOFError):
    """The other end closed."""


def main(descriptor: int, kept: str) -> NoReturn:
    """Run the nursery on the control socket with that descriptor, until the gateway closes it.

    What is made of the rules is kept in the folder `kept`, if one is named.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's ^C is the gateway's to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold texts
    control = socket.socket(fileno=descriptor)
    try:
        rules = orjson.loads(receive(control))
        lean.install(predefined=bool(rules.get(PERSONAL_DATA)))
        from gateway.redaction.engine import Engine  # noqa: PLC0415  # only after `lean.install`

        with large_apart():
            engine = Engine(rules, where=Path(kept) if kept else None)
            engine.test()
            engine.warm()
        control.sendall(READY)
        del rules
        gc.collect()
        gc.freeze()
        let_go()
        _tend(control, engine)
    except (Gone, ConnectionError):
        os._exit(0)


def _tend(control: socket.socket, engine: Engine) -> NoReturn:
    workers: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control], [], [], _TICK)
        _reap(workers)
        if not ready:
            continue
        data, descriptors, _flags, _address = socket.recv_fds(control, COMMAND.size, 1)
        if not data:
            raise Gone
        while len(data) < COMMAND.size:
            more = control.recv(COMMAND.size - len(data))
            if not more:
                raise Gone
            data += more
        verb, number = COMMAND.unpack(data)
        if verb == b"F":
            pid = os.fork()
            if pid == 0:
                control.close()
                serve(socket.socket(fileno=descriptors[0]), engine)
            workers[number] = pid
        elif number in workers:
            pid = workers.pop(number)
            os.kill(pid, signal.SIGKILL)  # still ours: not reaped, so the number is not another's
            os.waitpid(pid, 0)
        for descriptor in descriptors:
            os.close(descriptor)


def _reap(workers: dict[int, int]) -> None:
    for number, pid in list(workers.items()):
        if os.waitpid(pid, os.WNOHANG)[0]:
            del workers[number]


def serve(connection: socket.socket, engine: Engine) -> NoReturn:
    """Answer frames until the other end closes. Runs in a forked worker and never returns."""
    gc.disable()  # a finding leaves no cycles, and to look through all that is remembered takes a tenth of a second
    status = 1
    try:
        while True:
            items = [_item(one) for one in orjson.loads(receive(connection))]
            signal.setitimer(signal.ITIMER_REAL, _LONGEST)  # whoever could end it may be gone: the kernel would
            answer = orjson.dumps([_answer(one) for one in engine.look(items)])
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            connection.sendall(LENGTH.pack(len(answer)) + answer)
    except (Gone, ConnectionError):
        status = 0
    finally:
        os._exit(status)  # whatever went wrong, no traceback: it could quote a text


def _item(told: str | tuple[str, int, int]) -> Item:
    return told if isinstance(told, str) else Window(told[0], told[1], Ends(told[2]))


def _answer(found: Answer) -> object:
    return (found.end, _numbers(found.findings)) if isinstance(found, Settled) else _numbers(found)


def _numbers(findings: list[Finding]) -> list[tuple[int, int, int, float]]:
    return [(start, end, _NUMBER[category], score) for start, end, category, score in findings]


def receive(connection: socket.socket) -> bytes:
    """One frame.

    Raises:
        Gone: the other end closed first.
    """
    (size,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    at = 0
    while at < size:
        got = connection.recv_into(view[at:])
        if not got:
            raise Gone
        at += got
    return bytes(data)
