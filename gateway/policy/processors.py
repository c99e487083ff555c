"""The sub-processor registry: which entry takes a call, under which agreement, for whom, at this instant.

Pure: the instant is an argument, nothing is read. The entries themselves are in `entries`, the words of a choice in
`choice`. Narrowing goes model, residency, state, agreement, attestation, and the refusal bears the code of the
filter that left nothing. Among several entries that are left, the one with the fewest countries is
taken, then the first id in the alphabet: the same call always goes to the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from msgspec.structs import replace

from gateway.errors import Code, Refused
from gateway.exchange import Route
from gateway.policy.countries import ANYWHERE, ISO
from gateway.policy.entries import Entry, Model, State
from gateway.policy.halts import Halts
from gateway.policy.tenants import Tenant

_MEMORY = 65_536
"""Most answers that are kept. Each says until when it holds, so none goes stale."""

_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)

_REASONS = {
    Code.MODEL_NOT_ALLOWED: "no processor that is open to this caller has this model for this operation",
    Code.RESIDENCY_MISMATCH: "every processor that has this model works outside the tenant's countries",
    Code.PROCESSOR_NOT_ACTIVE: "the processor of this model takes no traffic now",
    Code.AGREEMENT_EXPIRED: (
        "no zero-retention and no-training agreement, or no basis for the transfer, is in force for this model now"
    ),
    Code.ATTESTATION_FAILED: "the processor's own retention setting could not be read back as agreed",
}
_ORDER = tuple(_REASONS)
"""The filters in their order; the furthest that any entry came is the refusal."""

Key: TypeAlias = "tuple[str, str, str, object, str | None, str | None, frozenset[str]]"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A zero-retention model under an entry, and the route to it but for agreement and countries."""

    entry: Entry
    model: Model
    operations: frozenset[str]
    route: Route


@dataclass(frozen=True, slots=True)
class _Answer:
    """Where a call goes, or why nowhere, from `begin` until `end`: nothing about it changes in between."""

    begin: datetime
    end: datetime
    route: Route | None
    code: Code


class Registry:
    """The entries of one configuration. Immutable but for what is halted; any number of concurrent readers.

    Routing costs the same whatever the number of entries, tenants and models: an answer is found once and kept
    until one of the dates that it depends on has passed.

    Args:
        entries: of one configuration.
        halts: what is halted at this moment, whatever the files say.
    """

    def __init__(self, entries: Iterable[Entry], halts: Halts | None = None) -> None:
        self.entries: Mapping[str, Entry] = {entry.id: entry for entry in sorted(entries, key=lambda item: item.id)}
        self.halts = Halts() if halts is None else halts
        index: dict[tuple[str, str], list[Candidate]] = {}
        for entry in in_order(self.entries.values()):
            for model in entry.form.models:
                if model.retention_class == "zero":
                    candidate = _candidate(entry, model)
                    for name in (model.id, *model.aliases):
                        index.setdefault((entry.form.wire, name), []).append(candidate)
        self._index = index
        self._exempted = frozenset(item.tenant for entry in self.entries.values() for item in entry.form.exemptions)
        self._answers: dict[Key, _Answer] = {}
        self._version = self.halts.version

    @property
    def endpoints(self) -> Iterator[tuple[str, bool]]:
        """(base URL, unsafe_plaintext) of each entry that could ever take traffic: examples are left out."""
        return (
            (item.form.base_url, item.form.unsafe_plaintext) for item in self.entries.values() if not item.is_example
        )

    @property
    def schemes(self) -> frozenset[str]:
        """How the credentials of those entries are shown, that of a read-back among them."""
        forms = [item.form for item in self.entries.values() if not item.is_example]
        shown = [form.credential for form in forms]
        shown += [form.read_back.credential for form in forms if form.read_back and form.read_back.credential]
        return frozenset(credential.scheme for credential in shown)

    def route(
        self,
        *,
        wire: str,
        operation: str,
        model: str,
        tenant: Tenant,
        now: datetime,
        narrowed_to: str | None = None,
        latest: datetime | None = None,
        tried: frozenset[str] = frozenset(),
    ) -> Route:
        """Where this call goes.

        Args:
            wire: the name of its wire.
            operation: its operation.
            model: as the caller named it; `Route.model` is the exact id of the entry, which differs for an alias.
            tenant: whose data it is.
            now: aware; the earliest that it may be.
            narrowed_to: the one processor that the caller wants, or None. It never widens.
            latest: the latest that it may be, where the clock is in doubt. The call goes only where it would go at
                both, so a clock that jumps neither activates an entry early nor keeps one that has ended.
            tried: processors that are left out, as if they had no such model.

        Raises:
            Refused: `model_not_allowed`, `residency_mismatch`, `processor_not_active`, `agreement_expired`
                or `attestation_failed`: the filter that left nothing.
        """
        if self._version != self.halts.version:
            self._answers.clear()
            self._version = self.halts.version
        exempted = tenant.id if self._exempted and tenant.id in self._exempted else None
        key = (wire, operation, model, tenant.terms, exempted, narrowed_to, tried)
        answer = self._answers.get(key)
        if answer is None or not answer.begin <= now < answer.end:
            answer = self._find(key, tenant, now)
        if latest is not None and not latest < answer.end:
            at_latest = self._find(key, tenant, latest)
            if at_latest.route is None:
                answer = at_latest
            elif at_latest.route != answer.route:
                answer = _Answer(now, latest, None, Code.PROCESSOR_NOT_ACTIVE)
        if answer.route is None:
            raise Refused(answer.code, _REASONS[answer.code], where=_WHERE.get(answer.code))
        return answer.route

    def candidates(self, wire: str, model: str) -> tuple[Candidate, ...]:
        """The entries that have this model under zero retention, in the order of choice."""
        return tuple(self._index.get((wire, model), ()))

    def at_several(self) -> list[str]:
        """`wire/model` of each that more than one entry has, examples left out."""
        found = {
            f"{wire}/{model}": {item.entry.id for item in candidates if not item.entry.is_example}
            for (wire, model), candidates in self._index.items()
        }
        return sorted(name for name, entries in found.items() if len(entries) > 1)

    def models(self, *, wire: str, tenant: Tenant, now: datetime) -> tuple[str, ...]:
        """The models that this tenant may use on this wire now, in alphabetical order."""
        return tuple(
            sorted(
                model
                for (owner, model), candidates in self._index.items()
                if owner == wire and any(self.hurdle(item.entry, tenant, now) is None for item in candidates)
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

    def hurdle(self, entry: Entry, tenant: Tenant, now: datetime) -> Code | None:
        """The first filter that keeps this tenant from this entry at `now`, operation and model left aside."""
        terms = tenant.terms
        if (terms.processors is not None and entry.id not in terms.processors) or entry.id in terms.objections:
            return Code.MODEL_NOT_ALLOWED
        if not entry.countries_at(now) <= terms.residency:
            return Code.RESIDENCY_MISMATCH
        if entry.standing(now, terms.notice_days, tenant.id) is not State.ACTIVE:
            return Code.PROCESSOR_NOT_ACTIVE
        if entry.agreement(now) is None or (terms.laws and entry.uncovered(terms.laws, now)):
            return Code.AGREEMENT_EXPIRED
        return self.halts.code(entry.id)

    def _find(self, key: Key, tenant: Tenant, now: datetime) -> _Answer:
        wire, operation, model, _terms, _exempted, narrowed_to, tried = key
        candidates = self._index.get((wire, model))
        if candidates is None or (narrowed_to is not None and narrowed_to not in self.entries):
            return _UNKNOWN  # not remembered: the words are a caller's
        left = [candidate for candidate in candidates if candidate.entry.id not in tried] if tried else candidates
        answer = self._decide(left, operation, tenant, now, narrowed_to)
        if len(self._answers) >= _MEMORY:
            self._answers.clear()
        self._answers[key] = answer
        return answer

    def _decide(
        self, candidates: Iterable[Candidate], operation: str, tenant: Tenant, now: datetime, narrowed_to: str | None
    ) -> _Answer:
        days = tenant.terms.notice_days
        begin, end, furthest = _EVER, _NEVER, 0
        for candidate in candidates:
            entry = candidate.entry
            if operation not in candidate.operations or (narrowed_to is not None and narrowed_to != entry.id):
                continue
            for date in entry.dates(days):
                if date <= now:
                    begin = max(begin, date)
                else:
                    end = min(end, date)
            code = self.hurdle(entry, tenant, now)
            if code is None:
                return _Answer(begin, end, _routed(candidate, now), Code.MODEL_NOT_ALLOWED)
            furthest = max(furthest, _ORDER.index(code))
        return _Answer(begin, end, None, _ORDER[furthest])


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Entries in the order of choice: fewest countries first, then the id."""
    return sorted(entries, key=lambda item: (_breadth(item), item.id))


def _routed(candidate: Candidate, now: datetime) -> Route:
    agreement = candidate.entry.agreement(now)
    assert agreement is not None  # noqa: S101  # no entry without one passes the filters
    countries = tuple(sorted(candidate.entry.countries_at(now)))
    return replace(candidate.route, agreement=agreement.id, countries=countries)


def _candidate(entry: Entry, model: Model) -> Candidate:
    form = entry.form
    route = Route(
        processor=entry.id,
        base_url=form.base_url,
        model=model.id,
        served_models=frozenset(model.served_models or (model.id,)),
        agreement="",
        countries=(),
        credential=form.credential.reference,
        traits=dict(model.traits),
        answer_headers=dict(form.answer_headers),
        scheme=form.credential.scheme,
        region=form.account_scope.get("region", ""),
    )
    return Candidate(entry, model, frozenset(model.operations or form.operations), route)


def _breadth(entry: Entry) -> int:
    return len(ISO) if ANYWHERE in entry.countries else len(entry.countries)


_UNKNOWN = _Answer(_EVER, _NEVER, None, Code.MODEL_NOT_ALLOWED)
_WHERE = {Code.MODEL_NOT_ALLOWED: "model"}
