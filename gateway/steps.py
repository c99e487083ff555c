"""The steps of the path that need no socket: open (which begins with what a head asks), read, clean.

`relay` runs them on a request from the network, `trial` on one from a file; both run the same code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

from msgspec import Struct
from multidict import MultiMapping

from gateway.callers import Caller, Identity
from gateway.categories import Scope
from gateway.config import Bundle
from gateway.conversations import Conversation
from gateway.errors import Code, Refused
from gateway.exchange import Call, CleanCall, Entry, Grant
from gateway.keys import Keyring
from gateway.policy.judge import Policy, permit
from gateway.policy.purposes import Purpose
from gateway.policy.tenants import Tenant
from gateway.redaction.redactor import Cleaned, Redactor
from gateway.redaction.treatment import USUAL, Treatment
from gateway.targets import Target
from providers import growing, multipart
from providers.document import NotStrict, parse, serialise
from providers.provider import Operation, Provider

_BY_SCOPE = {scope: Treatment(scope) for scope in Scope} | {USUAL.scope: USUAL}
"""What tenants ask for whose ordinary personal data is left alone."""

_JSON = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")


class Asked(Struct, frozen=True):
    """What a known caller's head asks for, and what will judge it: the same for each call under the same head.

    `media` is the type of the body; `forwarded` are the headers that the wire forwards. `scope` is a digest of all
    that decides how a conversation is judged and cleaned, where one may be known again (`conversations`).
    """

    wire: Provider
    operation: Operation
    caller: Caller
    identity: Identity
    purpose: Purpose
    policy: Policy
    treatment: Treatment
    media: str
    forwarded: Mapping[str, str]
    scope: bytes | None


class Opened(Struct, frozen=True):
    """A known caller's call, which may be made at its instant, with what will judge it."""

    entry: Entry
    asked: Asked


def ask(bundle: Bundle, keyring: Keyring, target: Target, caller: Caller, headers: MultiMapping[str]) -> Asked:
    """Step 1, open, as far as the head alone decides: the operation, tenant and purpose.

    Raises:
        Refused: `operation_not_allowed`, `tenant_*`, `purpose_*`.
    """
    surface, operation = bundle.surfaces[target.wire.name], target.operation
    if operation is None:
        rule = surface.refusal_of(target.method, target.path)
        raise Refused(Code.OPERATION_NOT_ALLOWED, "no operation of this gateway has this path and method", rule=rule)
    identity = bundle.identify(caller, headers)
    tenant, treatment = identity.tenant, _treatment(bundle, keyring, identity.tenant)
    policy = Policy(
        surface=surface,
        registry=bundle.registry,
        tenant=tenant,
        granted=bundle.granted(caller.id, identity.purpose, tenant),
        approved=bundle.schemas.approved,
        pseudonym=lambda value: keyring.tenant_mac(tenant.id, "pseudonym", value),
    )
    return Asked(
        wire=target.wire,
        operation=operation,
        caller=caller,
        identity=identity,
        purpose=bundle.purposes[identity.purpose],
        policy=policy,
        treatment=treatment,
        media=headers.get("content-type", ""),
        # A list may stand in several lines (RFC 9110 section 5.3): all of them are judged as one.
        forwarded={
            name: ",".join(headers.getall(name)) for name in target.wire.forwarded_request_headers if name in headers
        },
        scope=_scope(target.wire, operation, policy, treatment),
    )


def _scope(wire: Provider, operation: Operation, policy: Policy, treatment: Treatment) -> bytes | None:
    """None where no conversation is known again: what stands for ordinary personal data is made from its text."""
    if not operation.growing or treatment.pseudonym is not None:
        return None
    words = (wire.name, operation.name, policy.tenant.id, treatment.scope, *sorted(policy.granted))
    return blake2b("\0".join(words).encode(), digest_size=16).digest()


def open_call(asked: Asked, keyring: Keyring, *, call_id: str, now: datetime, latest: datetime | None = None) -> Opened:
    """Step 1, open, at an instant: the operation's and the purpose's own verdicts. `latest`: see `exchange.Entry`.

    Raises:
        Refused: `operation_not_allowed`, `purpose_*`.
    """
    caller, identity = asked.caller, asked.identity
    tenant, subject = identity.tenant, identity.subject
    entry = Entry(
        call_id=call_id,
        now=now,
        wire=asked.wire,
        operation=asked.operation,
        caller=caller.id,
        key_id=caller.key_id,
        tenant=tenant.id,
        purpose=identity.purpose,
        subject=None if subject is None else keyring.tenant_mac(tenant.id, "subject", subject),
        narrowed_to=identity.processor,
        latest=latest,
    )
    if not asked.operation.answered_here:
        asked.purpose.permit(now, tenant.terms.notice_days)
        permit(entry, asked.policy)
    return Opened(entry, asked)


def _treatment(bundle: Bundle, keyring: Keyring, tenant: Tenant) -> Treatment:
    """What the tenant, and the operator for all, ask of the redactor."""
    personal = bundle.settings.personal_data
    if not personal.kinds:
        return _BY_SCOPE[tenant.redaction]
    tenant_id = tenant.id
    return Treatment(
        tenant.redaction, lambda label, value: keyring.tenant_mac(tenant_id, label, value), personal.restore
    )


def read_call(opened: Opened, body: bytes, conversation: Conversation | None = None) -> Call:
    """Step 2, read: strict bytes to a tree; of a conversation that is known, what is new.

    Raises:
        Refused: `body_invalid`.
    """
    entry, media, forwarded = opened.entry, opened.asked.media, opened.asked.forwarded
    is_json = entry.operation.body == "json"
    if is_json and media.lower() not in _JSON:
        raise Refused(Code.BODY_INVALID, "the content type is not application/json in UTF-8")
    try:
        if conversation is not None:
            document, known = conversation.read(entry.operation.growing)
        else:
            document, known = parse(body) if is_json else multipart.parse(media, body), None
    except NotStrict as fault:
        raise Refused(Code.BODY_INVALID, str(fault)) from None
    return Call(entry, document, forwarded, len(body), known)


async def clean_call(grant: Grant, redactor: Redactor | None, conversation: Conversation | None = None) -> CleanCall:
    """Step 4, clean: take out what was found, and serialise the tree ourselves; what was known of it stands before.

    Without a redactor (`unsafe_redaction_off`, for benchmarks) nothing is looked for.

    Raises:
        Refused: `content_not_scannable`.
        Unavailable: `redaction_unavailable`.
    """
    call, known = grant.call, grant.call.beginning
    part = None if known is None else known.part
    cleaned = Cleaned(grant.document, {})
    if redactor is not None:
        try:
            passed = None if known is None or part is None else ((known.member, 0, part.key), part.characters)
            cleaned = await redactor.clean(grant.document, passed)
        except Refused as refused:
            refused.where = call.place(refused.where)
            raise
    values = dict(cleaned.values) if redactor is not None and redactor.restores else {}
    if call.entry.operation.body == "multipart":
        content_type, body = multipart.build(cleaned.document)
        return CleanCall(grant, body, content_type, dict(cleaned.redactions), values)
    redactions = Counter(cleaned.redactions)
    if known is None:
        body = serialise(cleaned.document)
    else:
        body = growing.serialise_after(known.clean, cleaned.document, known.member, part.octets if part else 0)
        redactions.update(known.redactions)
    if conversation is not None and redactor is not None:
        conversation.keep(grant, cleaned, reads_on=redactor.reads_on)
    return CleanCall(grant, body, "application/json", redactions, values)
