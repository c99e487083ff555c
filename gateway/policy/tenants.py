"""Tenants by opaque id: where their data may be processed, and what they narrow.

Names of customers stand nowhere in here. A tenant only ever narrows: a signed agreement wins over
what the registry would allow. What is absent in a narrowing narrows nothing; residency may not be absent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Literal

import orjson
from pydantic import Field

from gateway.categories import Scope
from gateway.policy.countries import expand
from gateway.policy.forms import Counted, CountryName, Days, Form, Id, Instant, Prose, Report, is_id, read
from gateway.policy.transfers import Law, Laws

Status = Literal["active", "suspended", "cancelled"]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What a tenant's agreement says of processors, shared by all tenants whose agreements say the same.

    There is one object for each set of terms, so that identity is equality and a key of it costs nothing.

    Attributes:
        residency: see `Tenant`; likewise `processors`, `laws` and `notice_days` (0: no longer than usual).
        objections: entries to which it objected.
    """

    residency: frozenset[str]
    processors: frozenset[str] | None
    objections: frozenset[str]
    laws: frozenset[Law]
    notice_days: int


@lru_cache(maxsize=65_536)
def _terms(
    residency: frozenset[str],
    processors: frozenset[str] | None,
    objections: frozenset[str],
    laws: frozenset[Law],
    notice_days: int,
) -> Terms:
    return Terms(residency, processors, objections, laws, notice_days)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose data it is.

    Attributes:
        id: opaque.
        residency: the countries that may see it; an entry's whole set must lie inside.
        processors: the only processors, or None for every one that fits.
        purposes: the only purposes, or None for all that are configured.
        forbidden_grants: conditional verdicts that nobody may use on this tenant's data.
        status: calls are made for `active` tenants only.
        notice_days: a longer notice than the registry's own, or None.
        objections: entries to which it objected in time; it is not served by them.
        laws: by whose law its people are protected; an entry must have a basis for a transfer under each. Empty
            where nobody said: then residency alone decides, and `check` says so.
        terms: what of all this decides about processors.
        redaction: how much goes with a finding: never less than the operator's own setting.
    """

    id: str
    residency: frozenset[str]
    processors: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    forbidden_grants: frozenset[str] = frozenset()
    status: Status = "active"
    notice_days: int | None = None
    redaction: Scope = Scope.SPAN
    objections: frozenset[str] = frozenset()
    laws: frozenset[Law] = frozenset()
    terms: Terms = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the terms that it shares."""
        terms = _terms(self.residency, self.processors, self.objections, self.laws, self.notice_days or 0)
        object.__setattr__(self, "terms", terms)


class Objection(Form):
    """A tenant said no to an entry: to which, when, and what was agreed."""

    processor: Id
    date: Instant
    resolution: Prose | None = None


class TenantForm(Form):
    """The keys of one tenant in `config/tenants.yaml`."""

    residency: Annotated[tuple[CountryName, ...], Field(min_length=1)]
    processors: Annotated[tuple[Id, ...] | None, Field(min_length=1)] = None
    purposes: Annotated[tuple[Id, ...] | None, Field(min_length=1)] = None
    forbidden_grants: tuple[Id, ...] = ()
    status: Status
    notice_days: Days | None = None
    objections: tuple[Objection, ...] = ()
    laws: Laws | None = None
    redaction: Literal["span", "sentence", "refuse"] | None = None


class TenantsForm(Form):
    """The keys of `config/tenants.yaml`. Each tenant is read by itself, so that thousands are not one long step."""

    tenants: Mapping[Id, object]


@dataclass(frozen=True, slots=True)
class Known:
    """What other files give, for those that point at it; None where that file has a fault of its own.

    `redaction` is the operator's own setting, which a tenant may tighten and not loosen.
    """

    processors: Collection[str] | None
    purposes: Collection[str] | None
    grants: Collection[str] | None
    redaction: Scope = Scope.SPAN


def parse_tenants(tree: object, known: Known, report: Report) -> dict[str, Tenant] | None:
    """Read `config/tenants.yaml`, or report every fault and give None. A name that no other file gives is one."""
    fault = Counted(report)
    # The form of the whole first, without its tenants: thousands of them would be one long step.
    shape: object = tree
    if isinstance(tree, dict):
        shape = {key: {} if isinstance(value, dict) else value for key, value in tree.items()}
    if read(TenantsForm, shape, fault) is None or not isinstance(tree, dict):
        return None
    alike: dict[bytes, TenantForm] = {}
    tenants: dict[str, Tenant] = {}
    for name, facts in tree["tenants"].items():
        if not is_id(name):
            read(TenantsForm, {"tenants": {name: None}}, fault)
            continue
        written = orjson.dumps(facts)
        item = alike.get(written)
        if item is None:
            item = read(TenantForm, facts, lambda path, reason, at=("tenants", name): fault((*at, *path), reason))  # type: ignore[misc]
            if item is None:
                continue
            alike[written] = item
        tenants[name] = _tenant(name, item, known, fault)
    return None if fault.faults else tenants


def _tenant(name: str, item: TenantForm, known: Known, report: Report) -> Tenant:
    for key, named, there in (
        ("processors", item.processors, known.processors),
        ("purposes", item.purposes, known.purposes),
        ("forbidden_grants", item.forbidden_grants, known.grants),
    ):
        for index, word in enumerate(named or ()):
            if there is not None and word not in there:
                report(("tenants", name, key, index), "no other file gives this name; a misspelt one narrows wrongly")
    for index, objection in enumerate(item.objections):
        if known.processors is not None and objection.processor not in known.processors:
            report(("tenants", name, "objections", index, "processor"), "no entry has this id; write the entry's")
    redaction = known.redaction if item.redaction is None else Scope(item.redaction)
    if redaction is not known.redaction and redaction.rank < known.redaction.rank:
        report(
            ("tenants", name, "redaction"),
            f"gateway.yaml says redaction.scope: {known.redaction}, and a tenant can only be stricter",
        )
    return Tenant(
        id=name,
        residency=_expanded(item.residency),
        processors=None if item.processors is None else frozenset(item.processors),
        purposes=None if item.purposes is None else frozenset(item.purposes),
        forbidden_grants=frozenset(item.forbidden_grants),
        status=item.status,
        notice_days=item.notice_days,
        objections=frozenset(objection.processor for objection in item.objections),
        laws=frozenset(item.laws or ()),
        redaction=redaction,
    )


@lru_cache(maxsize=1024)
def _expanded(names: tuple[str, ...]) -> frozenset[str]:
    """One set for all tenants with the same words, so that 5,000 tenants hold a handful."""
    return expand(names)
