"""The configuration in force with every processor replaced by a witness on loopback, and one caller of our own.

Surfaces, models, operations, redaction and record are those that serve; what differs is where a call goes, under
whose agreement, and whose it is. So a trial proves the path and not the endpoint. Entries are there whatever their
state: a trial is the test by which a new one is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final

from gateway.caller_keys import KeyFile
from gateway.callers import CallerForm, Callers, KeyForm
from gateway.config import Bundle
from gateway.config.secrets import Secrets
from gateway.keys import CallerKey
from gateway.limits import Allowance
from gateway.passage import InForce
from gateway.policy.countries import NAMED
from gateway.policy.entries import Agreement, Entry, EntryForm
from gateway.policy.facts import Countries, Credential
from gateway.policy.notices import Announced, Notice
from gateway.policy.processors import Registry
from gateway.policy.purposes import PurposeForm, ready
from gateway.policy.tenants import Tenant
from gateway.quotas import NO_QUOTAS
from gateway.vocabulary import vocabulary_of
from providers import PROVIDERS

NAME: Final = "gateway:canary"
"""The caller, tenant and purpose of every trial. No id of a configuration has a colon."""

_VARIABLE: Final = "CANARY"
_AT_ONCE: Final = 16
_LONG_AGO: Final = timedelta(days=400)


def mirrored(entry: str) -> str:
    """How an entry is called where the witness stands for it: a record must not say that a call went to it."""
    return f"canary:{entry}"


def mirror(
    force: InForce, chosen: Iterable[Entry], *, url: str, credential: str, key: CallerKey, nowhere: Path
) -> InForce:
    """The configuration of a round.

    Args:
        force: what serves.
        chosen: the entries to be tried.
        url: where the witness listens.
        credential: what it accepts.
        key: of our caller.
        nowhere: a folder without a file of issued keys, so that only this caller is known.
    """
    bundle, now = force.bundle, datetime.now(UTC)
    registry = Registry([Entry(_form(entry.form, url, now), ()) for entry in chosen])
    service = CallerForm.model_construct(
        tenants=(NAME,), purposes=(NAME,), keys=(KeyForm(id=key.key_id, sha256=key.digest),)
    )
    callers = Callers(
        {NAME: service},
        Allowance(_AT_ONCE, 1_000_000),
        KeyFile(nowhere),
        clock=lambda: datetime.now(UTC),
        monotonic=monotonic,
    )
    tenants = {NAME: Tenant(NAME, NAMED["WORLD"])}
    purposes = ready({NAME: _purpose(now)})
    changed: Bundle = replace(
        bundle,
        callers=callers,
        tenants=tenants,
        registry=registry,
        purposes=purposes,
        grants={},
        secrets=Secrets(bundle.directory, {_VARIABLE: credential}),
    )
    vocabulary = vocabulary_of(
        wires=PROVIDERS.values(),
        surfaces=bundle.surfaces.values(),
        registry=registry,
        tenants=tenants,
        callers=[NAME],
        purposes=purposes,
    )
    return replace(force, bundle=changed, vocabulary=vocabulary, host_names=frozenset({"127.0.0.1"}), book=NO_QUOTAS)


def _form(form: EntryForm, url: str, now: datetime) -> EntryForm:
    began, ends = now - _LONG_AGO, now + _LONG_AGO
    agreement = Agreement.model_construct(
        id=NAME, kinds=("zero_retention", "no_training"), scope=NAME, document_sha256="0" * 64, approvers=(),
        valid_from=began, valid_until=ends,
    )  # fmt: skip
    notice = Notice.model_construct(announced=began, effective=began, document_sha256="0" * 64, days=0)
    return form.model_copy(
        update={
            "id": mirrored(form.id),
            "example": False,
            "base_url": url,
            "unsafe_plaintext": True,
            "countries": Countries(processing=("WORLD",)),
            "models": tuple(model.model_copy(update={"served_models": ()}) for model in form.models),
            "agreements": (agreement,),
            "transfers": (),
            "exemptions": (),
            "notice": notice,
            "read_back": None,
            "answer_headers": {},
            "review_by": ends,
            "suspended": None,
            "retired": None,
            "credential": Credential(environment=_VARIABLE),  # shown as the wire does, to whoever serves
        }
    )


def _purpose(now: datetime) -> PurposeForm:
    notice = Announced.model_construct(announced=now - _LONG_AGO, effective=now - _LONG_AGO, document_sha256="0" * 64)
    return PurposeForm.model_construct(
        policy="security", lawful_basis="legitimate_interests", data="synthetic", notice=notice
    )
