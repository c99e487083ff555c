"""The steps of the path that need no socket: open, read, clean.

`relay` runs them on a request from the network, `trial` on one from a file; both run the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from multidict import MultiMapping

from gateway.callers import Caller
from gateway.categories import Category, Personal, Scope
from gateway.config import Bundle
from gateway.errors import Code, Refused
from gateway.exchange import Call, CleanCall, Entry, Grant
from gateway.keys import Keyring
from gateway.policy.judge import Policy, permit
from gateway.policy.tenants import Tenant
from gateway.redaction.redactor import Redactor
from gateway.redaction.treatment import USUAL, Treatment
from gateway.targets import Target
from providers import multipart
from providers.document import NotStrict, parse, serialise

_BY_SCOPE = {scope: Treatment(scope) for scope in Scope} | {USUAL.scope: USUAL}
"""What tenants ask for whose ordinary personal data is left alone."""

_JSON = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")


class Opened(Struct, frozen=True):
    """A known caller's request, with what will judge it."""

    entry: Entry
    policy: Policy
    treatment: Treatment = USUAL


def open_call(
    bundle: Bundle,
    keyring: Keyring,
    *,
    target: Target,
    caller: Caller,
    headers: Mapping[str, str],
    call_id: str,
    now: datetime,
    latest: datetime | None = None,
) -> Opened:
    """Step 1, open: caller, tenant, purpose, and the operation's own verdict. `latest`: see `exchange.Entry`.

    Raises:
        Refused: `operation_not_allowed`, `tenant_*`, `purpose_*`.
    """
    surface = bundle.surfaces[target.wire.name]
    if target.operation is None:
        rule = surface.refusal_of(target.method, target.path)
        raise Refused(Code.OPERATION_NOT_ALLOWED, "no operation of this gateway has this path and method", rule=rule)
    identity = bundle.identify(caller, headers)
    tenant, purpose = identity.tenant, identity.purpose
    entry = Entry(
        call_id=call_id,
        now=now,
        wire=target.wire,
        operation=target.operation,
        caller=caller.id,
        key_id=caller.key_id,
        tenant=tenant.id,
        purpose=purpose,
        subject=None if identity.subject is None else keyring.tenant_mac(tenant.id, "subject", identity.subject),
        narrowed_to=identity.processor,
        latest=latest,
    )
    policy = Policy(
        surface=surface,
        registry=bundle.registry,
        tenant=tenant,
        granted=bundle.granted(caller.id, purpose, tenant),
        approved=bundle.schemas.approved,
        pseudonym=lambda value: keyring.tenant_mac(tenant.id, "pseudonym", value),
    )
    if not target.operation.answered_here:
        bundle.purposes[purpose].permit(now, tenant.terms.notice_days)
        permit(entry, policy)
    return Opened(entry, policy, _treatment(bundle, keyring, tenant))


def _treatment(bundle: Bundle, keyring: Keyring, tenant: Tenant) -> Treatment:
    """What the tenant, and the operator for all, ask of the redactor."""
    personal = bundle.settings.personal_data
    if not personal.kinds:
        return _BY_SCOPE[tenant.redaction]
    tenant_id = tenant.id
    return Treatment(
        tenant.redaction, lambda label, value: keyring.tenant_mac(tenant_id, label, value), personal.restore
    )


def read_call(entry: Entry, headers: MultiMapping[str], body: bytes) -> Call:
    """Step 2, read: strict bytes to a tree.

    Raises:
        Refused: `body_invalid`.
    """
    media = headers.get("content-type", "")
    is_json = entry.operation.body == "json"
    if is_json and media.lower() not in _JSON:
        raise Refused(Code.BODY_INVALID, "the content type is not application/json in UTF-8")
    try:
        document = parse(body) if is_json else multipart.parse(media, body)
    except NotStrict as fault:
        raise Refused(Code.BODY_INVALID, str(fault)) from None
    # A list may stand in several lines (RFC 9110 section 5.3): all of them are judged as one.
    forwarded = {
        name: ",".join(headers.getall(name)) for name in entry.wire.forwarded_request_headers if name in headers
    }
    return Call(entry, document, forwarded, len(body))


async def clean_call(grant: Grant, redactor: Redactor | None) -> CleanCall:
    """Step 4, clean: take out what was found, and serialise the tree ourselves.

    Without a redactor (`unsafe_redaction_off`, for benchmarks) nothing is looked for.

    Raises:
        Refused: `content_not_scannable`.
        Unavailable: `redaction_unavailable`.
    """
    document = grant.document
    redactions: dict[Category | Personal, int] = {}
    values: dict[str, str] = {}
    if redactor is not None:
        cleaned = await redactor.clean(grant.document)
        document, redactions = cleaned.document, dict(cleaned.redactions)
        values = dict(cleaned.values) if redactor.restores else values
    if grant.call.entry.operation.body == "multipart":
        content_type, body = multipart.build(document)
        return CleanCall(grant, body, content_type, redactions, values)
    return CleanCall(grant, serialise(document), "application/json", redactions, values)
