"""The sub-processor registry: which entry takes a call, under which agreement, for whom, at this instant.

Pure: the instant is an argument, nothing is read. The entries themselves are in `entries`.
Narrowing goes model, residency, state, agreement, attestation, and the refusal bears the code of the
filter that left nothing. Among several entries that are left, the one with the fewest countries is
taken, then the first id in the alphabet: the same call always goes to the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from gateway.errors import Code, Refused
from gateway.exchange import Route
from gateway.policy.countries import ANYWHERE, ISO
from gateway.policy.entries import Agreement, Entry, Model, State
from gateway.policy.tenants import Tenant

_MEMORY = 20_000
"""Most answers of `_open_to` that are kept. They follow from configuration alone, so they never go stale."""

_NEVER = datetime.max.replace(tzinfo=UTC)

_REASONS = {
    Code.MODEL_NOT_ALLOWED: "no processor that is open to this caller has this model for this operation",
    Code.RESIDENCY_MISMATCH: "every processor that has this model works outside the tenant's countries",
    Code.PROCESSOR_NOT_ACTIVE: "the processor of this model takes no traffic now",
    Code.AGREEMENT_EXPIRED: "no zero-retention and no-training agreement is in force for this model now",
    Code.ATTESTATION_FAILED: "the processor's own retention setting could not be read back as agreed",
}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A zero-retention model under an entry, and the route to it but for the agreement."""

    entry: Entry
    operations: frozenset[str]
    route: Route


class Registry:
    """The entries of one configuration. Immutable; any number of concurrent readers.

    Routing costs the same whatever the number of entries, tenants and models.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries: Mapping[str, Entry] = {entry.id: entry for entry in sorted(entries, key=lambda item: item.id)}
        ordered = sorted(self.entries.values(), key=lambda item: (_breadth(item), item.id))
        index: dict[tuple[str, str], list[_Candidate]] = {}
        for entry in ordered:
            for model in entry.form.models:
                if model.retention_class == "zero":
                    candidate = _candidate(entry, model)
                    for name in (model.id, *model.aliases):
                        index.setdefault((entry.form.wire, name), []).append(candidate)
        self._index = index
        self._open: dict[tuple[object, ...], tuple[_Candidate, ...] | Code] = {}
        self._standing: dict[str, tuple[datetime, datetime, State, Agreement | None]] = {}
        self._routes: dict[tuple[int, str], Route] = {}

    @property
    def endpoints(self) -> Iterator[tuple[str, bool]]:
        """(base URL, unsafe_plaintext) of each entry that could ever take traffic: examples are left out."""
        return (
            (item.form.base_url, item.form.unsafe_plaintext) for item in self.entries.values() if not item.is_example
        )

    def route(
        self, *, wire: str, operation: str, model: str, tenant: Tenant, now: datetime, narrowed_to: str | None = None
    ) -> Route:
        """Where this call goes.

        Args:
            model: as the caller named it; `Route.model` is the exact id of the entry, which differs for an alias.
            now: aware.
            narrowed_to: the one processor that the caller wants, or None. It never widens.

        Raises:
            Refused: `model_not_allowed`, `residency_mismatch`, `processor_not_active`, `agreement_expired`
                or `attestation_failed`: the filter that left nothing.
        """
        found = self._open_to(wire, operation, model, tenant, narrowed_to)
        if isinstance(found, Code):
            raise _refused(found)
        passed = Code.PROCESSOR_NOT_ACTIVE
        for candidate in found:
            standing, agreement = self._at(candidate.entry, now)
            if standing is not State.ACTIVE:
                continue
            if agreement is None:
                passed = Code.AGREEMENT_EXPIRED if passed is Code.PROCESSOR_NOT_ACTIVE else passed
            elif not attested(candidate.entry, now):
                passed = Code.ATTESTATION_FAILED
            else:
                return self._routed(candidate, agreement)
        raise _refused(passed)

    def models(self, *, wire: str, tenant: Tenant, now: datetime) -> tuple[str, ...]:
        """The models that this tenant may use on this wire now, in alphabetical order."""
        return tuple(
            sorted(
                model
                for (owner, model), candidates in self._index.items()
                if owner == wire and any(_usable(item, tenant, now) for item in candidates)
            )
        )

    def served(self, wire: str) -> frozenset[str]:
        """Every model id of a wire that a record may have to name: asked for or served."""
        ids: set[str] = set()
        for entry in self.entries.values():
            if entry.form.wire == wire:
                for model in entry.form.models:
                    ids.update((model.id, *model.aliases, *model.served_models))
        return frozenset(ids)

    def _at(self, entry: Entry, now: datetime) -> tuple[State, Agreement | None]:
        """State and agreement at an instant; looked up again only when one of the entry's dates has passed."""
        known = self._standing.get(entry.id)
        if known is None or not known[0] <= now < known[1]:
            later = min((date for date in entry.dates if date > now), default=_NEVER)
            known = self._standing[entry.id] = (now, later, entry.standing(now), entry.agreement(now))
        return known[2], known[3]

    def _routed(self, candidate: _Candidate, agreement: Agreement) -> Route:
        key = (id(candidate), agreement.id)
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = replace(candidate.route, agreement=agreement.id)
        return route

    def _open_to(
        self, wire: str, operation: str, model: str, tenant: Tenant, narrowed_to: str | None
    ) -> tuple[_Candidate, ...] | Code:
        """What narrowing, model and residency leave: all that does not depend on the instant."""
        candidates = self._index.get((wire, model))
        if candidates is None or (narrowed_to is not None and narrowed_to not in self.entries):
            return Code.MODEL_NOT_ALLOWED  # not remembered: the words are a caller's
        key = (wire, operation, model, tenant.residency, tenant.processors, narrowed_to)
        known = self._open.get(key)
        if known is None:
            known = _narrowed(candidates, operation, tenant, narrowed_to)
            if len(self._open) >= _MEMORY:
                self._open.clear()
            self._open[key] = known
        return known


def attested(entry: Entry, now: datetime) -> bool:
    """Whether the processor's own setting was read back as agreed. No entry has a read-back method yet."""
    del entry, now
    return True


def _narrowed(
    candidates: Iterable[_Candidate], operation: str, tenant: Tenant, narrowed_to: str | None
) -> tuple[_Candidate, ...] | Code:
    able = [
        item
        for item in candidates
        if operation in item.operations
        and (tenant.processors is None or item.entry.id in tenant.processors)
        and (narrowed_to is None or item.entry.id == narrowed_to)
    ]
    if not able:
        return Code.MODEL_NOT_ALLOWED
    return tuple(item for item in able if item.entry.countries <= tenant.residency) or Code.RESIDENCY_MISMATCH


def _usable(candidate: _Candidate, tenant: Tenant, now: datetime) -> bool:
    entry = candidate.entry
    return (
        (tenant.processors is None or entry.id in tenant.processors)
        and entry.countries <= tenant.residency
        and entry.standing(now) is State.ACTIVE
        and entry.agreement(now) is not None
        and attested(entry, now)
    )


def _candidate(entry: Entry, model: Model) -> _Candidate:
    form = entry.form
    route = Route(
        processor=entry.id,
        base_url=form.base_url,
        model=model.id,
        served_models=frozenset(model.served_models or (model.id,)),
        agreement="",
        countries=tuple(sorted(entry.countries)),
        credential=form.credential.reference,
        traits=dict(model.traits),
    )
    return _Candidate(entry, frozenset(model.operations or form.operations), route)


def _breadth(entry: Entry) -> int:
    return len(ISO) if ANYWHERE in entry.countries else len(entry.countries)


def _refused(code: Code) -> Refused:
    return Refused(code, _REASONS[code], where="model" if code is Code.MODEL_NOT_ALLOWED else None)
