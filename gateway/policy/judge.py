"""May this call leave, and in what form? One pure step: judge(call, policy) -> Grant, or Refused.

The order is fixed: the wire's own headers, the body against the surface, where it may go
(model, residency, state, agreement, attestation), models hidden inside it, and what the routed
model forces. The first that says no decides.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import Code, Refused
from gateway.exchange import Call, Entry, Forced, Grant, Route
from gateway.policy.processors import Registry
from gateway.policy.rules import Conditional, Misfit, Verdict, Walk
from gateway.policy.surface import Surface
from gateway.policy.tenants import Tenant
from providers.document import Document, Opaque, Value


class Policy(Struct, frozen=True):
    """All that decides one call, taken from one configuration in force.

    Attributes:
        surface: of the call's wire.
        registry: the sub-processors.
        tenant: whose data it is.
        granted: conditional verdicts for this caller and purpose, less what the tenant forbids.
        approved: a schema -> its approved document, or None.
        pseudonym: an identifier that the caller sent -> a keyed hash under the tenant's key.
    """

    surface: Surface
    registry: Registry
    tenant: Tenant
    granted: frozenset[str]
    approved: Callable[[Value], Value]
    pseudonym: Callable[[str], str]


def permit(entry: Entry, policy: Policy) -> Verdict:
    """The verdict over the operation itself, before its body is read.

    Raises:
        Refused: `operation_not_allowed`; what the surface refuses or does not name.
    """
    verdict = policy.surface.operations.get(entry.operation.name)
    if verdict is None:
        raise Refused(Code.OPERATION_NOT_ALLOWED, "this operation is not granted")
    if isinstance(verdict, Conditional) and verdict.grant not in policy.granted:
        reason = f"this operation needs the grant {verdict.grant}, which is not given here"
        raise Refused(Code.OPERATION_NOT_ALLOWED, reason, rule=verdict.rule)
    return verdict


def judge(call: Call, policy: Policy) -> Grant:
    """Judge one call at the instant of its entry.

    Raises:
        Refused: with the code, the path and the rule that decided.
    """
    entry = call.entry
    walk = Walk(policy.granted, policy.approved, policy.pseudonym)
    if entry.operation.growing:
        walk.watched = call.document.get(entry.operation.growing)
    try:
        headers = policy.surface.read_headers(call.headers, walk)
        document = permit(entry, policy).read(call.document, walk)
        assert isinstance(document, dict)  # noqa: S101  # an operation's shape is an object; the loader checks
        stream, hide_usage = _stream(entry, document, walk)
        route = _route(entry, policy, document.get("model"), walk.models)
        if route.model != document.get("model"):
            document["model"] = Opaque(route.model)  # an alias is ours: a provider must not resolve it its own way
        for force, value in walk.deferred:
            force.settle(value, route.traits, document, walk.forced)
    except Misfit as misfit:
        raise Refused(misfit.code, misfit.reason, where=call.place(misfit.where() or None), rule=misfit.rule) from None
    return Grant(
        call=call,
        document=document,
        headers=headers,
        route=route,
        forced=tuple(walk.forced),
        granted=tuple(walk.used),
        unscanned=walk.unscanned,
        stream=stream,
        hide_usage_event=hide_usage,
        plain=walk.plain,
    )


def _stream(entry: Entry, document: Document, walk: Walk) -> tuple[bool, bool]:
    """Whether the answer is a stream, and whether a usage event that nobody asked for must be hidden."""
    if not entry.wire.asks_stream(document):
        return False, False
    if not entry.wire.ask_usage(entry.operation, document):
        return True, False
    walk.forced.append(Forced(entry.wire.usage_parameter, "true"))
    return True, True


def _route(entry: Entry, policy: Policy, model: Value, named: list[str]) -> Route:
    """Where the call goes by its own model; every other model named in it must be open at the same entry."""
    if not isinstance(model, str):
        raise Refused(Code.BODY_INVALID, "the model is missing", where="model")
    route = _find(entry, policy, model, entry.narrowed_to)
    if len(named) == 1:
        return route
    hidden = [_find(entry, policy, name, route.processor) for name in dict.fromkeys(named) if name != model]
    if any(other.model not in named for other in hidden):
        raise Refused(Code.MODEL_NOT_ALLOWED, "only the call's own model may be named by an alias", where="model")
    served = route.served_models.union(*(other.served_models for other in hidden))
    return replace(route, served_models=served)


def _find(entry: Entry, policy: Policy, model: str, narrowed_to: str | None) -> Route:
    return policy.registry.route(
        wire=entry.wire.name,
        operation=entry.operation.name,
        model=model,
        tenant=policy.tenant,
        now=entry.now,
        latest=entry.latest,
        narrowed_to=narrowed_to,
        tried=entry.tried,
    )
