"""Who is asking, for whom, and why: caller keys to a `Caller`, headers to tenant and purpose.

Every refusal of a key looks the same, but for the hint to who sent a provider's own key. No key, and no header's
value, enters an error, a record or a repr.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from msgspec import Struct
from pydantic import Field

from gateway.caller_keys import KeyFile, KeysUnreadable, Mark
from gateway.errors import Code, Refused
from gateway.keys import ShownKey, check_caller_key, shown_key
from gateway.limits import Allowance
from gateway.policy.forms import Digest, Form, Id, Instant, Report, read
from gateway.policy.tenants import Tenant
from gateway.quotas import UNBOUNDED, Quota

TENANT: Final = "x-gateway-tenant"
PURPOSE: Final = "x-gateway-purpose"
SUBJECT: Final = "x-gateway-subject"
PROCESSOR: Final = "x-gateway-processor"

_LONGEST_SUBJECT = 256
_LONGEST_KEY = 256
_LOOK_AGAIN_SECONDS = 0.1
_NO_KEY = "0" * 16
_PROVIDER_KEYS = ("sk-",)
_HINT = (
    "this is a provider's own key, and it has now been shown to the gateway; send the caller key that your operator "
    "issued (it begins with zrg_)"
)


class KeyForm(Form):
    """A key that the configuration lists: its public id, the SHA-256 of its whole text, and until when it is valid."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    sha256: Digest
    expires: Instant | None = None


class QuotaForm(Form):
    """What one caller, tenant or processor may use. What is absent is as elsewhere in gateway.yaml, or not bounded."""

    in_flight: Annotated[int, Field(ge=1, le=100_000)] | None = None
    streams: Annotated[int, Field(ge=1, le=100_000)] | None = None
    per_minute: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1, le=10_000_000_000)] | None = None
    tokens_per_day: Annotated[int, Field(ge=1, le=10_000_000_000_000)] | None = None

    def quota(self) -> Quota:
        """As the counters take it."""
        return Quota(self.per_minute, self.tokens_per_minute, self.in_flight, self.streams, self.tokens_per_day)


class CallerForm(Form):
    """The keys of one service in `config/callers.yaml`."""

    tenants: Annotated[tuple[Id, ...], Field(min_length=1)]
    purposes: Annotated[tuple[Id, ...], Field(min_length=1)]
    limits: QuotaForm = QuotaForm()
    keys: tuple[KeyForm, ...] = ()


class CallersForm(Form):
    """The keys of `config/callers.yaml`."""

    callers: Mapping[Id, CallerForm]


@dataclass(frozen=True, slots=True)
class Caller:
    """A service that showed a valid key. `tenants` and `purposes` are all that it may act for."""

    id: str
    key_id: str
    tenants: frozenset[str]
    purposes: frozenset[str]
    allowance: Allowance
    quota: Quota = UNBOUNDED


class Identity(Struct, frozen=True):
    """Whose data a call is, why, whom it is about (raw: hash it at once), and the one processor wanted."""

    tenant: Tenant
    purpose: str
    subject: str | None
    processor: str | None

    def __repr__(self) -> str:
        return "<Identity>"


@dataclass(frozen=True, slots=True)
class _Valid:
    caller: Caller
    expires: datetime | None


class Callers:
    """The services of one configuration, with the keys issued since.

    Args:
        services: by id, as `parse_callers` read them.
        allowance: what a service may do where it says nothing itself.
        issued: the keys of the state, looked at again at most once a second.
        clock: aware instants, for expiry.
        monotonic: seconds that never run backwards.
        quota: what a service may use beside its allowance where it says nothing itself.
        shared: its allowance is counted over all replicas too, not only in each.

    Belongs to one event loop. While the key file cannot be read, no key is good, since it may have been revoked;
    `fault` then says so, for readiness.
    """

    def __init__(
        self,
        services: Mapping[str, CallerForm],
        allowance: Allowance,
        issued: KeyFile,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        quota: Quota = UNBOUNDED,
        shared: bool = False,
    ) -> None:
        self.services = services
        self._quota = quota
        self._shared = shared
        self._allowance = allowance
        self._issued = issued
        self._clock = clock
        self._monotonic = monotonic
        self._looked = -_LOOK_AGAIN_SECONDS
        self._mark: Mark | None = None
        self._revoked: frozenset[str] = frozenset()
        self._valid: dict[str, _Valid] = {}
        self._digests: dict[str, str] = {}
        self.fault: str | None = None
        self._take_over()

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """The caller of a request. See `key_shown` and `recognise`."""
        return self.recognise(key_shown(headers))

    def recognise(self, key: ShownKey) -> Caller:
        """Whose key it is, if it is good now.

        Raises:
            Refused: `unauthenticated`.
        """
        if self._monotonic() - self._looked >= _LOOK_AGAIN_SECONDS:
            self._look()
        key_id = check_caller_key(key, self._digests)
        if key_id is None:
            raise _unauthenticated()
        found = self._valid[key_id]
        if found.expires is not None and found.expires <= self._clock():
            raise _unauthenticated()
        return found.caller

    def named(self, name: str) -> Caller:
        """A service as if it had shown a key, for dry runs. Its key id is all zeros, which no key has.

        Raises:
            Refused: `unauthenticated`; there is no such service.
        """
        if name not in self.services:
            raise _unauthenticated("callers.yaml has no service of this name")
        return self._caller(name, _NO_KEY)

    def expiries(self) -> Iterator[tuple[str, datetime]]:
        """(`CALLER/KEY ID`, until when) of each key that is good now and ends some day."""
        for key_id, found in self._valid.items():
            if found.expires is not None:
                yield f"{found.caller.id}/{key_id}", found.expires

    def key_ids(self) -> frozenset[str]:
        """The public ids of the keys that are good now, as far as the files say."""
        if self._monotonic() - self._looked >= _LOOK_AGAIN_SECONDS:
            self._look()
        return frozenset(self._valid)

    @property
    def revoked(self) -> frozenset[str]:
        """Every revocation that was ever seen here, or heard of; looked for again, since others wait to be told."""
        if self._monotonic() - self._looked >= _LOOK_AGAIN_SECONDS:
            self._look()
        return self._revoked

    def revoke(self, key_ids: Iterable[str]) -> None:
        """Refuse these keys from now on: another replica saw them revoked."""
        fresh = frozenset(key_ids) - self._revoked
        self._revoked |= fresh
        for key_id in fresh:
            self._valid.pop(key_id, None)
            self._digests.pop(key_id, None)

    def share(self) -> None:
        """From now on each caller's allowance is counted over several processes, too."""
        if not self._shared:
            self._shared = True
            self._take_over()

    def _look(self) -> None:
        self._looked = self._monotonic()
        if self._issued.mark() != self._mark or self.fault is not None:
            self._take_over()

    def _take_over(self) -> None:
        """Take the keys over anew. A revocation once seen is never forgotten, whatever becomes of the file."""
        self._looked = self._monotonic()
        self._mark = self._issued.mark()
        self._valid, self._digests, self.fault = {}, {}, None
        try:
            held = self._issued.read()
        except KeysUnreadable as fault:
            self.fault = str(fault)
            return
        valid: dict[str, _Valid] = {}
        digests: dict[str, str] = {}
        self._revoked |= held.revocations.keys()
        for name, service in self.services.items():
            for key in service.keys:
                valid[key.id] = _Valid(self._caller(name, key.id), key.expires)
                digests[key.id] = key.sha256
        for issued in held.keys:
            if issued.caller in self.services and issued.id not in valid:
                valid[issued.id] = _Valid(self._caller(issued.caller, issued.id), issued.expires)
                digests[issued.id] = issued.sha256
        for key_id in self._revoked:
            valid.pop(key_id, None)
            digests.pop(key_id, None)
        self._valid, self._digests = valid, digests

    def _caller(self, name: str, key_id: str) -> Caller:
        service = self.services[name]
        limits, usual = service.limits, self._allowance
        allowance = Allowance(limits.in_flight or usual.in_flight, limits.per_minute or usual.per_minute)
        return Caller(
            name,
            key_id,
            frozenset(service.tenants),
            frozenset(service.purposes),
            allowance,
            Quota(
                per_minute=allowance.per_minute if self._shared else None,
                tokens_per_minute=limits.tokens_per_minute or self._quota.tokens_per_minute,
                in_flight=allowance.in_flight if self._shared else None,
                streams=limits.streams or self._quota.streams,
                tokens_per_day=limits.tokens_per_day or self._quota.tokens_per_day,
            ),
        )


def identify(
    caller: Caller, headers: Mapping[str, str], tenants: Mapping[str, Tenant], processors: Collection[str]
) -> Identity:
    """Whose data it is, why, and where the caller narrows the call to.

    Raises:
        Refused: `tenant_missing`, `tenant_unknown`, `purpose_missing`, `purpose_not_allowed`; `parameter_unknown`
            for a header that stands twice or a subject that is too long; `model_not_allowed` for a processor
            that the registry does not have.
    """
    whose, why, subject, processor = map(headers.get, (TENANT, PURPOSE, SUBJECT, PROCESSOR))
    if whose is not None or why is not None or subject is not None or processor is not None:
        _check_single(headers)
    tenant = _tenant(caller, whose, tenants)
    purpose = _purpose(caller, why, tenant)
    if subject is not None and not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise Refused(Code.PARAMETER_UNKNOWN, f"a subject is 1 to {_LONGEST_SUBJECT} characters", where=SUBJECT)
    if processor is not None and processor not in processors:
        raise Refused(Code.MODEL_NOT_ALLOWED, "the registry has no processor of this name", where=PROCESSOR)
    return Identity(tenant, purpose, subject, processor)


def parse_callers(
    tree: object, tenants: Collection[str] | None, purposes: Collection[str] | None, report: Report
) -> dict[str, CallerForm] | None:
    """Read `config/callers.yaml`, or report every fault of its form and give None.

    A name that is not among `tenants` or `purposes` is reported, too (None: their file has a fault of its own); what
    has any fault must not serve.
    """
    form = read(CallersForm, tree, report)
    if form is None:
        return None
    seen: set[str] = set()
    for name, service in form.callers.items():
        for key, named, there in (("tenants", service.tenants, tenants), ("purposes", service.purposes, purposes)):
            for index, word in enumerate(named):
                if there is not None and word not in there:
                    report(
                        ("callers", name, key, index), f"no other file lists it; add it there, or take it out of {key}"
                    )
        for index, listed in enumerate(service.keys):
            if listed.id in seen:
                report(("callers", name, "keys", index, "id"), "this key is listed twice")
            seen.add(listed.id)
    return dict(form.callers)


def key_shown(headers: Mapping[str, str]) -> ShownKey:
    """What a request shows, by `Authorization: Bearer KEY` or `x-api-key: KEY`: the same for the same headers.

    Args:
        headers: looked up by lower-case names; each at most once, which the listener has checked.

    Raises:
        Refused: `unauthenticated`: none that anybody could have.
    """
    key = _key_of(headers)
    if key.startswith(_PROVIDER_KEYS):
        raise _unauthenticated(_HINT)
    return shown_key(key)


def _key_of(headers: Mapping[str, str]) -> str:
    """The one key of a request, or "" where there is none that could be valid."""
    key = headers.get("x-api-key")
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _space, bearer = authorization.partition(" ")
        if scheme.lower() != "bearer" or (key is not None and key != bearer):
            raise _unauthenticated()
        key = bearer
    if key is None or len(key) > _LONGEST_KEY or not key.isascii():
        return ""
    return key


def _unauthenticated(hint: str = "send a caller key as Authorization: Bearer KEY or x-api-key: KEY") -> Refused:
    return Refused(Code.UNAUTHENTICATED, hint)


def _check_single(headers: Mapping[str, str]) -> None:
    # Two lines of one header would let a proxy before us and ourselves read different ones. Of a multidict, `items`
    # gives every line and `len` counts them, while its keys may come once.
    if len(set(map(str.lower, headers))) == len(headers):
        return
    names = [name.lower() for name, _value in headers.items() if name[:10].lower() == "x-gateway-"]
    if len(names) != len(set(names)):
        raise Refused(Code.PARAMETER_UNKNOWN, "a gateway header may stand once", where=TENANT)


def _tenant(caller: Caller, named: str | None, tenants: Mapping[str, Tenant]) -> Tenant:
    if named is None:
        if len(caller.tenants) != 1:
            raise Refused(Code.TENANT_MISSING, f"say whose data this is in {TENANT}", where=TENANT)
        (named,) = caller.tenants
    tenant = tenants.get(named) if named in caller.tenants else None
    if tenant is None or tenant.status != "active":
        raise Refused(Code.TENANT_UNKNOWN, "no active tenant of this caller has this id", where=TENANT)
    return tenant


def _purpose(caller: Caller, named: str | None, tenant: Tenant) -> str:
    if named is None:
        if len(caller.purposes) != 1:
            raise Refused(Code.PURPOSE_MISSING, f"say why this call is made in {PURPOSE}", where=PURPOSE)
        (named,) = caller.purposes
    if named not in caller.purposes or (tenant.purposes is not None and named not in tenant.purposes):
        raise Refused(Code.PURPOSE_NOT_ALLOWED, "this caller may not call for this purpose and tenant", where=PURPOSE)
    return named
