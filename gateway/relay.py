"""THE PATH OF ONE REQUEST: open, read, judge, clean, admit, send, deliver, close.

Nothing here is a plug-in, because the order is the security: each step takes a value that only the
step before it can make. Every error leaves by one door, `_refuse`, shaped as the wire's own; every
attempt that may have sent a byte is closed by exactly one outcome, under cancellation too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter, time_ns

from aiohttp import web

from gateway.audit.language import Sha, Vocabulary
from gateway.audit.ledger import Ledger
from gateway.audit.record import Echo, Intent, Outcome, Refusal, Result, Tls
from gateway.callers import Caller
from gateway.config import Bundle
from gateway.delivery import StreamCheck, Tally, check_whole, read_answer
from gateway.errors import Code, GatewayError, Refused, Unavailable, UpstreamError
from gateway.exchange import Admission, CleanCall, Grant
from gateway.intake import Opened, clean_call, open_call, read_call
from gateway.keys import Keyring, new_call_id
from gateway.limits import Limits
from gateway.listener import check_head, read_body
from gateway.metrics import Metrics
from gateway.policy.judge import judge
from gateway.redaction.redactor import Redactor
from gateway.targets import Target, Targets, read_query
from gateway.upstream import Reply, Upstream
from providers.provider import Refusal as WireRefusal


@dataclass(frozen=True, slots=True)
class InForce:
    """One configuration in force, with what is derived from it. A call keeps the one it began with."""

    bundle: Bundle
    vocabulary: Vocabulary
    digest: Sha
    redactor: Redactor | None
    targets: Targets


@dataclass(slots=True)
class Passage:
    """What is known of one request so far, for its log line, its headers and its refusal."""

    call_id: str
    started: float
    force: InForce
    target: Target
    caller: Caller | None = None
    opened: Opened | None = None
    grant: Grant | None = None
    clean: CleanCall | None = None
    overhead: float | None = None
    status: int = 0
    code: Code | None = None
    result: Result | None = None
    stream: web.StreamResponse | None = None
    headers: dict[str, str] = field(default_factory=dict)
