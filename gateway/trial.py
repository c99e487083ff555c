"""`gateway try`: one request judged and cleaned as `serve` would, with nothing sent and nothing recorded.

The same steps as the relay, run on a request from a file. What it prints is the caller's own request, so it
goes to the terminal that asked and nowhere else.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns

import orjson
from multidict import CIMultiDict

from gateway.config import Bundle
from gateway.errors import GatewayError
from gateway.exchange import CleanCall, Grant
from gateway.keys import Keyring, new_call_id
from gateway.policy.choice import considered
from gateway.policy.judge import judge
from gateway.redaction.engine import Engine
from gateway.redaction.explain import Explainer
from gateway.redaction.fields import FIELDS, Fields
from gateway.redaction.home import folder
from gateway.redaction.inprocess import InProcess
from gateway.redaction.redactor import Redactor, typed, untyped
from gateway.steps import Opened, ask, clean_call, open_call, read_call
from gateway.targets import Targets, read_query
from providers import PROVIDERS
from providers.document import Value


class NotARequest(ValueError):
    """The file is not a request as `try` takes it. The message is ours."""


def try_requests(bundle: Bundle, requests: Iterable[Value]) -> Iterator[dict[str, Value]]:
    """What would become of each request: `{method, path, headers, body, caller}` in, a verdict out.

    Raises:
        NotARequest: one of them is not of that form.
    """
    engine = Engine(bundle.recognizers, where=folder())
    known_keys = frozenset[str]().union(*(surface.vocabulary for surface in bundle.surfaces.values()))
    placeholder = typed if bundle.settings.redaction.typed_placeholder else untyped
    redactor = Redactor(InProcess(engine), known_keys, placeholder, fields=Fields(bundle.recognizers.get(FIELDS)))
    explainer = Explainer(engine.compiled)
    with tempfile.TemporaryDirectory() as scratch:
        keyring = Keyring.open(Path(scratch) / "keys", create=True)
        for request in requests:
            yield asyncio.run(_try(bundle, keyring, redactor, explainer, request))


async def _try(
    bundle: Bundle, keyring: Keyring, redactor: Redactor, explainer: Explainer, request: Value
) -> dict[str, Value]:
    method, path, headers, body, caller_id = _parts(request)
    target = Targets(PROVIDERS).find(method, path, headers)
    out: dict[str, Value] = {
        "wire": target.wire.name,
        "operation": None if target.operation is None else target.operation.name,
    }
    try:
        caller = bundle.callers.named(caller_id)
        asked = ask(bundle, keyring, target, caller, headers)
        opened = open_call(asked, keyring, call_id=new_call_id(time_ns), now=datetime.now(UTC))
        read_query(target, asked.policy.surface)
        if opened.entry.operation.answered_here:
            return {**out, "decision": "allow", "answered_by": "gateway"}
        call = read_call(opened, body)
        out["considered"] = _considered(opened, call.document.get("model"))
        redactor = redactor.under(asked.treatment)
        grant = judge(call, asked.policy)
        out["findings"] = await _findings(grant, redactor, explainer)
        clean = await clean_call(grant, redactor)
    except GatewayError as error:
        return {
            **out,
            "decision": "refuse",
            "code": error.code.value,
            "status": error.status,
            "where": error.where,
            "reason": error.reason,
            "source": None if error.rule is None else error.rule.source,
            "instead": None if error.rule is None else error.rule.instead,
        }
    return {**out, "decision": "allow", **_shown(clean)}


async def _findings(grant: Grant, redactor: Redactor, explainer: Explainer) -> list[Value]:
    """Each finding with its place and why it is one: shown here, and kept nowhere."""
    shown: list[Value] = []
    for place in await redactor.places(grant.document):
        where: dict[str, Value] = {"where": place.where}
        if place.nested:
            where["nested"] = place.nested  # offsets are in a string of the JSON inside the string
        shown += [{**where, **one.shown()} for one in explainer.explain(place.text, place.findings)]
    return shown


def _shown(clean: CleanCall) -> dict[str, Value]:
    grant = clean.grant
    route = grant.route
    return {
        "processor": route.processor,
        "url": route.base_url + grant.call.entry.operation.path,
        "model": route.model,
        "agreement": route.agreement,
        "countries": list(route.countries),
        "forced": [str(force) for force in grant.forced],
        "granted": list(grant.granted),
        "unscanned": dict(grant.unscanned),
        "redactions": {category.value: count for category, count in clean.redactions.items()},
        "stream": grant.stream,
        "headers": dict(grant.headers),
        "body": clean.body.decode("utf-8", "backslashreplace"),
    }


def _considered(opened: Opened, model: Value) -> list[Value]:
    """Every processor that has the model, in the order of choice, and what keeps this call from it."""
    entry, policy = opened.entry, opened.asked.policy
    if not isinstance(model, str):
        return []
    found = considered(
        policy.registry,
        wire=entry.wire.name,
        operation=entry.operation.name,
        model=model,
        tenant=policy.tenant,
        now=entry.now,
        narrowed_to=entry.narrowed_to,
    )
    return [
        {
            "processor": item.processor,
            "code": None if item.code is None else item.code.value,
            "reason": item.reason,
            "chosen": item.chosen,
        }
        for item in found
    ]


def _parts(request: Value) -> tuple[str, str, CIMultiDict[str], bytes, str]:
    if not isinstance(request, dict):
        raise NotARequest("a request is an object: {method, path, headers, body, caller}")
    unknown = request.keys() - {"method", "path", "headers", "body", "caller"}
    if unknown:
        raise NotARequest("known keys of a request are method, path, headers, body and caller")
    method, path, caller = (request.get(key, default) for key, default in _DEFAULTS.items())
    headers, body = request.get("headers") or {}, request.get("body")
    if not all(isinstance(word, str) for word in (method, path, caller)) or not isinstance(headers, dict):
        raise NotARequest("method, path and caller are text, headers an object; path and caller are needed")
    fields = CIMultiDict({name: str(value) for name, value in headers.items()})
    fields.setdefault("content-type", "application/json")
    data = body.encode() if isinstance(body, str) else b"" if body is None else orjson.dumps(body)
    return str(method), str(path), fields, data, str(caller)


_DEFAULTS: dict[str, Value] = {"method": "POST", "path": None, "caller": None}
