"""One entry of the sub-processor registry: a bundle of facts, with their evidence and their dates.

Retention is a property of the legal entity, the account, the region, the model and the feature
together, so an entry is one (entity, account scope, door, country set). Its state is never typed: it follows
from dates and evidence at an instant. Windows are half open, [from, until), in UTC.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.policy.countries import ANYWHERE, ISO, expand
from gateway.policy.forms import (
    TO_BE_FILLED,
    Counted,
    CountryName,
    Evidenced,
    Form,
    Id,
    Instant,
    ModelId,
    OperationName,
    Path,
    Prose,
    Report,
    Sha256,
    Suspension,
    misfit,
    read,
    unfilled,
)
from gateway.policy.hosts import url_fault
from gateway.policy.surface import Surface
from providers.provider import Provider

RetentionClass = Literal["zero", "flagged", "retains", "unknown"]
"""What a provider keeps of a model's traffic under the agreement: only `zero` is ever granted.

`flagged`: what a classifier flags; `retains`: everything, for some time (a "covered" model).
"""
Kind = Literal["zero_retention", "no_training", "dpa", "transfer"]
NEEDED: tuple[Kind, ...] = ("zero_retention", "no_training")
"""The kinds of agreement without which nothing leaves."""

MAX_COUNTRIES = 40  # the most that a call's record names
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}").fullmatch


class State(enum.StrEnum):
    """Where an entry stands at an instant."""

    DRAFT = "draft"
    ANNOUNCED = "announced"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    RETIRED = "retired"


def _variable(value: str) -> str:
    if not _VARIABLE(value):
        raise misfit("write the name of an environment variable in capitals")
    return value


def _iso(value: str) -> str:
    if value not in ISO and value != TO_BE_FILLED:
        raise misfit(f"write one ISO 3166-1 country code, or {TO_BE_FILLED}")
    return value


class LegalEntity(Form):
    """Whom the contract is with (GDPR Art. 28; EDPB Opinion 22/2024: name, address and contact at hand)."""

    name: Prose
    address: Prose
    country: Annotated[str, AfterValidator(_iso)]
    contact: Prose


class Countries(Form):
    """Where it happens. `storage` is where anything that the carve-outs keep would lie."""

    processing: Annotated[tuple[CountryName, ...], Field(min_length=1)]
    storage: tuple[CountryName, ...] = ()


class Model(Form):
    """One exact model under this entry."""

    id: ModelId
    retention_class: RetentionClass
    served_models: tuple[ModelId, ...] = ()
    aliases: tuple[ModelId, ...] = ()
    operations: Annotated[tuple[OperationName, ...] | None, Field(min_length=1)] = None
    traits: Mapping[Id, Id] = {}


class Agreement(Form):
    """A document that somebody signed, and the window in which it holds."""

    id: Id
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    scope: Prose
    valid_from: Evidenced
    valid_until: Evidenced
    document_sha256: Sha256
    approvers: tuple[Prose, ...]

    def holds(self, now: datetime) -> bool:
        """Whether `now` lies in [valid_from, valid_until)."""
        return (
            self.valid_from is not None and self.valid_until is not None and self.valid_from <= now < self.valid_until
        )


class Notice(Form):
    """When customers were told, and from when it may take traffic."""

    announced: Evidenced
    days: Annotated[int, Field(ge=0, le=730)]
    effective: Evidenced


class Credential(Form):
    """Where the secret is, never the secret: a file that is read again when it changes, or a variable."""

    file: Prose | None = None
    environment: Annotated[str, AfterValidator(_variable)] | None = None

    @property
    def reference(self) -> str:
        """One word for it, as `exchange.Route.credential` carries it."""
        return f"file:{self.file}" if self.file is not None else f"environment:{self.environment}"


class EntryForm(Form):
    """The keys of `config/processors/ID.yaml`."""

    id: Id
    example: bool = False
    legal_entity: LegalEntity
    door: Id
    wire: Id
    base_url: str
    unsafe_plaintext: bool = False
    account_scope: Annotated[Mapping[Id, Prose], Field(min_length=1)]
    countries: Countries
    operations: Annotated[tuple[OperationName, ...], Field(min_length=1)]
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    agreements: Annotated[tuple[Agreement, ...], Field(min_length=1)]
    carve_outs: Annotated[tuple[Prose, ...], Field(min_length=1)]
    notice: Notice
    upstream_notice_days: Annotated[int, Field(ge=0, le=730)] | None = None
    review_by: Evidenced
    suspended: Suspension
    retired: Instant | None = None
    credential: Credential
    sources: tuple[Prose, ...] = ()


@dataclass(frozen=True)
class Entry:
    """An entry that was read without a fault.

    Attributes:
        form: what the file says.
        missing: the paths of evidence that is still to be filled.
        countries: the whole set that a tenant's residency must contain.
    """

    form: EntryForm
    missing: tuple[Path, ...]

    @property
    def id(self) -> str:
        """The id that records bear."""
        return self.form.id

    @property
    def is_example(self) -> bool:
        """Whether it is for reading only: marked so, or with evidence still to be filled."""
        return self.form.example or bool(self.missing)

    @cached_property
    def countries(self) -> frozenset[str]:
        """Processing and storage together. An entry that may be anywhere is `{ANYWHERE}`."""
        everything = expand((*self.form.countries.processing, *self.form.countries.storage))
        return frozenset({ANYWHERE}) if ANYWHERE in everything else everything

    @cached_property
    def dates(self) -> tuple[datetime, ...]:
        """Every instant at which its state or its agreement may change."""
        form = self.form
        windows = [date for item in form.agreements for date in (item.valid_from, item.valid_until)]
        single = (form.retired, form.suspended, form.review_by, form.notice.announced, form.notice.effective)
        return tuple(date for date in (*single, *windows) if date is not None)

    def standing(self, now: datetime) -> State:
        """Its state at `now`, agreements left aside."""
        form = self.form
        if form.retired is not None and form.retired <= now:
            return State.RETIRED
        if self.is_example or form.notice.announced is None or form.notice.effective is None or form.review_by is None:
            return State.DRAFT
        if form.suspended is not None and form.suspended <= now:
            return State.SUSPENDED
        if now < form.notice.announced:
            return State.DRAFT
        if form.review_by <= now:
            return State.EXPIRED
        return State.ANNOUNCED if now < form.notice.effective else State.ACTIVE

    def agreement(self, now: datetime) -> Agreement | None:
        """The zero-retention agreement in force, or None unless every needed kind is in force at `now`."""
        in_force = {kind: item for item in self.form.agreements if item.holds(now) for kind in item.kinds}
        return in_force.get("zero_retention") if all(kind in in_force for kind in NEEDED) else None

    def state(self, now: datetime) -> State:
        """Its state at `now`: what people are shown."""
        standing = self.standing(now)
        if standing is not State.ACTIVE or self.agreement(now) is not None:
            return standing
        ended = [item for item in self.form.agreements if item.valid_until is not None and item.valid_until <= now]
        return State.EXPIRED if ended else State.ANNOUNCED


def parse_entry(tree: object, stem: str, wires: Mapping[str, Provider], report: Report) -> Entry | None:
    """Read `config/processors/STEM.yaml`, or report every fault and give None."""
    fault = Counted(report)
    form = read(EntryForm, tree, fault)
    if form is None:
        return None
    if form.id != stem:
        fault(("id",), "the id must be the file's name without .yaml")
    reason = url_fault(form.base_url, unsafe_plaintext=form.unsafe_plaintext)
    if reason is not None:
        fault(("base_url",), reason)
    if (form.credential.file is None) == (form.credential.environment is None):
        fault(("credential",), "write either file: PATH or environment: NAME")
    _check_countries(form, fault)
    _check_wire(form, wires, fault)
    _check_models(form, fault)
    _check_agreements(form, fault)
    _check_dates(form, fault)
    return None if fault.faults else Entry(form, tuple(unfilled(tree)))


def check_against(entry: Entry, surface: Surface, report: Report) -> None:
    """Report where an entry and its wire's surface do not meet: operations, traits."""
    for index, name in enumerate(entry.form.operations):
        if name not in surface.operations:
            report(("operations", index), "the surface of this wire does not grant this operation")
    for index, model in enumerate(entry.form.models):
        for trait, value in model.traits.items():
            if value not in surface.traits.get(trait, frozenset()):
                report(("models", index, "traits", trait), "the surface of this wire has no such trait or value")
        if model.retention_class != "zero":
            continue
        for operation in model.operations or entry.form.operations:
            for trait in sorted(surface.traits_needed.get(operation, frozenset()) - set(model.traits)):
                report(("models", index), f"{operation} needs the trait {trait} of each model")


def _check_countries(form: EntryForm, fault: Report) -> None:
    countries = expand((*form.countries.processing, *form.countries.storage))
    if len(countries) > MAX_COUNTRIES and ANYWHERE not in countries:
        fault(("countries",), f"name at most {MAX_COUNTRIES} countries, or WORLD")


def _check_wire(form: EntryForm, wires: Mapping[str, Provider], fault: Report) -> None:
    wire = wires.get(form.wire)
    if wire is None:
        fault(("wire",), f"no wire has this name; there are {', '.join(sorted(wires))}")
        return
    leaving = {operation.name for operation in wire.operations if not operation.answered_here}
    for index, name in enumerate(form.operations):
        if name not in leaving:
            fault(("operations", index), f"the wire has {', '.join(sorted(leaving))}")
        if name in form.operations[:index]:
            fault(("operations", index), "this operation is named twice")


def _check_models(form: EntryForm, fault: Report) -> None:
    seen: set[str] = set()
    for index, model in enumerate(form.models):
        for key, names in (("id", (model.id,)), ("aliases", model.aliases)):
            for name in names:
                if name in seen:
                    fault(("models", index, key), "this model id stands in the entry twice")
                seen.add(name)
        for at, name in enumerate(model.operations or ()):
            if name not in form.operations:
                fault(("models", index, "operations", at), "the entry itself does not have this operation")


def _check_agreements(form: EntryForm, fault: Report) -> None:
    held: list[tuple[str, datetime, datetime]] = []
    names: set[str] = set()
    for index, item in enumerate(form.agreements):
        if item.id in names:
            fault(("agreements", index, "id"), "another agreement of this entry has this id")
        names.add(item.id)
        approvers = {name.casefold() for name in item.approvers}
        if TO_BE_FILLED not in item.approvers and len(approvers) < 2:
            fault(("agreements", index, "approvers"), "two different people must approve")
        if item.valid_from is None or item.valid_until is None:
            continue
        if item.valid_until <= item.valid_from:
            fault(("agreements", index, "valid_until"), "it must end after it begins")
            continue
        for kind in sorted(set(item.kinds)):
            if any(kind == other and item.valid_from < end and begin < item.valid_until for other, begin, end in held):
                fault(("agreements", index), f"two agreements on {kind} overlap; end the first where the second begins")
            held.append((kind, item.valid_from, item.valid_until))
    for kind in NEEDED:
        if not any(kind in item.kinds for item in form.agreements):
            fault(("agreements",), f"no agreement is on {kind}")


def _check_dates(form: EntryForm, fault: Report) -> None:
    announced, effective = form.notice.announced, form.notice.effective
    if announced is not None and effective is not None and effective < announced + timedelta(days=form.notice.days):
        fault(("notice", "effective"), "it is sooner than the announcement and its days of notice allow")
    if announced is not None and form.review_by is not None and form.review_by <= announced:
        fault(("review_by",), "the review is due before the entry was announced")
    if announced is not None and form.retired is not None and form.retired < announced:
        fault(("retired",), "it was retired before it was announced")
