"""The operations port: health, readiness, metrics, and the desk where a tenant's erasure is asked for. No content."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import orjson
from aiohttp import web

from gateway.errors import Refused
from gateway.intake import check_head
from gateway.listener import Handler
from gateway.metrics import Metrics, merged
from gateway.part import Told

Warnings: TypeAlias = Callable[[], Sequence[str]]
"""What is well now and will not be, in words; it decides nothing."""

Check: TypeAlias = Callable[[], bool]
"""Says whether a part can do its duty now. It returns at once."""

Desk: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]
"""Answers a request whose path is its own, and gives None for any other. It looks at who asks by itself."""

_NOTHING = b'{"error":"not found"}'
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


Others: TypeAlias = Callable[[], Awaitable[Sequence[Told]]]
"""Asks the workers, where this process is their parent."""


def operations_handler(
    metrics: Metrics,
    checks: Mapping[str, Check],
    warnings: Warnings = list,
    desk: Desk | None = None,
    others: Others | None = None,
) -> Handler:
    """The handler of the port, for a `Listener` with `any_name`.

    `/healthz` says that the process answers. `/readyz` says each check by name, 503 when any is
    false or raises, and tells its warnings. `/metrics` is Prometheus' text. Everything else is 404.

    With `others`, a check holds if it holds in every worker that answers, and one must; their metrics bear their names.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            check_head(request, frozenset())
        except Refused as refusal:
            return _json(refusal.status, b'{"error":"bad request"}')
        target = request.raw_path if request.method == "GET" else ""
        if target == "/healthz":
            return _json(200, b'{"status":"ok"}')
        if target == "/readyz":
            told = None if others is None else await others()
            return _readiness(checks, warnings(), told)
        if target == "/metrics":
            texts = {} if others is None else {each.name: each.metrics for each in await others()}
            body = merged(metrics.render(), texts) if texts else metrics.render()
            return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})
        answered = None if desk is None else await desk(request)
        return _json(404, _NOTHING) if answered is None else answered

    return handle


def _readiness(checks: Mapping[str, Check], warnings: Sequence[str], others: Sequence[Told] | None) -> web.Response:
    results = {name: _holds(check) for name, check in checks.items()}
    if others is not None:
        results["workers"] = bool(others)
        for each in others:
            for name, holds in each.checks.items():
                results[name] = results.get(name, True) and holds
    said = list(dict.fromkeys([*warnings, *(line for each in others or () for line in each.warnings)]))
    told = {"warnings": said} if said else {}
    ready = bool(results) and all(results.values())  # nothing checked is not ready
    return _json(200 if ready else 503, orjson.dumps({"ready": ready, "checks": results} | told))


def _holds(check: Check) -> bool:
    try:
        return check() is True
    except Exception:  # noqa: BLE001  # a check that breaks says no, whatever it broke with
        return False


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(
        status=status, body=body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
