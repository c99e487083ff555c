"""The facts of one entry of the sub-processor registry, as `config/processors/ID.yaml` holds them.

Retention is a property of the legal entity, the account, the region, the model and the feature together, so an
entry is one (entity, account scope, door, country set). No state is among its keys: it follows from these.
Sources: GDPR Art. 28(2)-(4); EDPB Opinion 22/2024 (identity of every processor at hand).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.policy.countries import ISO
from gateway.policy.forms import (
    TO_BE_FILLED,
    CountryName,
    Days,
    Evidenced,
    Form,
    Id,
    Instant,
    ModelId,
    OperationName,
    Prose,
    Sha256,
    Suspension,
    Window,
    misfit,
)
from gateway.policy.notices import Addition, Exemption, Notice
from gateway.policy.transfers import Transfer
from providers.credentials import Scheme

RetentionClass = Literal["zero", "flagged", "retains", "unknown"]
"""What a provider keeps of a model's traffic under the agreement: only `zero` is ever granted.

`flagged`: what a classifier flags; `retains`: everything, for some time (a "covered" model).
"""
Kind = Literal["zero_retention", "no_training", "dpa", "transfer"]
NEEDED: Final[tuple[Kind, ...]] = ("zero_retention", "no_training")
"""The kinds of agreement without which nothing leaves."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}").fullmatch
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}").fullmatch


def _variable(value: str) -> str:
    if not _VARIABLE(value):
        raise misfit("write the name of an environment variable in capitals")
    return value


def _word(value: str) -> str:
    if not _WORD(value):
        raise misfit("write the kind of deployment in one word, as the door spells it")
    return value


def _iso(value: str) -> str:
    if value not in ISO and value != TO_BE_FILLED:
        raise misfit(f"write one ISO 3166-1 country code, or {TO_BE_FILLED}")
    return value


_IsoOrUnfilled = Annotated[
    str, AfterValidator(_iso), WithJsonSchema({"type": "string", "enum": [TO_BE_FILLED, *sorted(ISO)]})
]


HeaderName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
HeaderValue = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
"""What every answer must say of its own retention, where a provider says it (`x-zero-data-retention: true`)."""


class LegalEntity(Form):
    """Whom the contract is with: name, address and contact, since customers must have all three at hand."""

    name: Prose
    address: Prose
    country: _IsoOrUnfilled
    contact: Prose


class Countries(Form):
    """Where it happens. `storage` is where anything that the carve-outs keep would lie.

    `added` are those that came later, each with a notice of its own.
    """

    processing: Annotated[tuple[CountryName, ...], Field(min_length=1)]
    storage: tuple[CountryName, ...] = ()
    added: tuple[Addition, ...] = ()


class Deployment(Form):
    """What is deployed at a door whose host names no region: its kind and region decide where it computes."""

    kind: Annotated[str, AfterValidator(_word), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9]*$"})]
    region: Id


class Model(Form):
    """One exact model under this entry. `operations` narrows the entry's own, `traits` is what the surface asks."""

    id: ModelId
    retention_class: RetentionClass
    served_models: tuple[ModelId, ...] = ()
    aliases: tuple[ModelId, ...] = ()
    operations: Annotated[tuple[OperationName, ...] | None, Field(min_length=1)] = None
    traits: Mapping[Id, Id] = {}
    deployment: Deployment | None = None


class Agreement(Window):
    """A document that somebody signed, and the window in which it holds."""

    id: Id
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    scope: Prose
    document_sha256: Sha256
    approvers: tuple[Prose, ...]


class Credential(Form):
    """Where the secret is, never the secret: a file that is read again when it changes, or a variable.

    `scheme` is how it is shown: as the wire's own clients do, as a bearer, or as the signature of an AWS key pair,
    which is written ACCESS_KEY_ID:SECRET or ACCESS_KEY_ID:SECRET:SESSION_TOKEN.
    """

    file: Prose | None = None
    environment: Annotated[str, AfterValidator(_variable)] | None = None
    scheme: Scheme = "wire"

    @property
    def reference(self) -> str:
        """One word for it, as `exchange.Route.credential` carries it."""
        return f"file:{self.file}" if self.file is not None else f"environment:{self.environment}"


class RetentionProbe(Form):
    """A constant text is sent so that it would be kept if it could, and asked for again: it must not be found.

    `control` is the credential of a project that does keep things, of which nobody's data is: there the same text must
    be found. Without it a text that is not found proves nothing.
    """

    model: ModelId
    every_seconds: Annotated[int, Field(ge=300, le=604_800)] = 86_400
    control: Credential | None = None


class ReadBack(Form):
    """How a machine reads the processor's own retention setting, how often, and how old an answer may be.

    It asks at `base_url` (the entry's own, if not said) with `credential`, a key that may read settings and that no
    call is made with. `model` is a covered model, where the method asks for one.
    """

    method: Id
    every_seconds: Annotated[int, Field(ge=60, le=86_400)] = 3600
    stale_after_seconds: Annotated[int, Field(ge=60, le=604_800)] = 14_400
    base_url: str | None = None
    credential: Credential | None = None
    model: ModelId | None = None
    probe: RetentionProbe | None = None


class French(Form):
    """What the public page says in French: as many carve-outs as the entry itself has."""

    service: Prose
    carve_outs: Annotated[tuple[Prose, ...], Field(min_length=1)]


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
    service: Prose | None = None
    data_categories: tuple[Prose, ...] = ()
    data_subjects: tuple[Prose, ...] = ()
    countries: Countries
    operations: Annotated[tuple[OperationName, ...], Field(min_length=1)]
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    agreements: Annotated[tuple[Agreement, ...], Field(min_length=1)]
    transfers: tuple[Transfer, ...] = ()
    carve_outs: Annotated[tuple[Prose, ...], Field(min_length=1)]
    french: French | None = None
    notice: Notice
    exemptions: tuple[Exemption, ...] = ()
    upstream_notice_days: Days | None = None
    upstream_subprocessors: Prose | None = None
    read_back: ReadBack | None = None
    answer_headers: Mapping[HeaderName, HeaderValue] = {}
    review_by: Evidenced
    suspended: Suspension
    retired: Instant | None = None
    credential: Credential
    sources: tuple[Prose, ...] = ()
