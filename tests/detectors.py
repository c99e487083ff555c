"""One pool of detectors for all gateways that the tests of one process start.

To start a detector of one's own for the shipped rules costs ten seconds of a processor, most of them to look once at
every phrase that the rules know. A gateway with several workers shares a pool (`gateway.redaction.pool`), and so do
the gateways here: the shipped rules are raised once, for whoever comes first, and stay. What a gateway finds, refuses and
remembers is as with a nursery of its own, which other tests start.
"""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
from collections.abc import Mapping

import orjson

from gateway.part import ALONE, Part
from gateway.redaction.nursery import COMMAND, LENGTH
from tests.configuration import ROOT, rules

_BOUNDS = ("1", "20.0", "0.05")
"""One detector looks at a time; seconds that it may take for a text, and for each kibibyte of it."""


def detecting(chosen: Mapping[str, object]) -> Part:
    """The part of a gateway with these keys of `gateway.yaml`: by the pool where it looks by the shipped rules alone."""
    redaction = chosen.get("redaction")
    off = isinstance(redaction, Mapping) and redaction.get("unsafe_redaction_off")
    return ALONE if off or "personal_data" in chosen else shared()


@functools.cache
def shared() -> Part:
    """The part of a gateway that does everything itself, but has its texts looked at in this process's pool."""
    ours, theirs = socket.socketpair()
    with theirs:
        pool = subprocess.Popen(
            [sys.executable, "-m", "gateway.redaction.pool", str(theirs.fileno()), *_BOUNDS],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={},
        )
    _until_the_end.extend((pool, _user(ours)))
    return Part(mother=ours)


_until_the_end: list[object] = []


def _user(mother: socket.socket) -> socket.socket:
    """Somebody who uses the shipped rules, so that the pool does not drop them between two gateways."""
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(mother, [COMMAND.pack(b"N", 0)], [theirs.fileno()])
    shipped = orjson.dumps(rules())
    ours.sendall(LENGTH.pack(len(shipped)) + shipped)
    return ours
