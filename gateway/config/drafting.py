"""A draft of an entry: every key with what to write there, and the evidence that is still to be had.

A draft is read without a fault and takes no traffic: it is an example until its evidence is filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from gateway.policy.entries import Entry
from gateway.policy.forms import TO_BE_FILLED, gathered
from gateway.policy.forms import Path as Keys

_DRAFT = """\
# yaml-language-server: $schema=../processor.schema.json
# DRAFT. Nothing goes here until you remove `example` and fill every {gap}.
# `gateway processors new` says what each piece of evidence is; `gateway check` says what is still missing.
example: true
id: {id}
legal_entity:                     # whom the contract is with, exactly
  name: {gap}
  address: {gap}
  country: {gap}
  contact: {gap}
door: {gap_id}                # the same models have another processor at each cloud
wire: {wire}
base_url: https://{host}   # one exact host
account_scope:                    # what the agreement covers, and what the credential belongs to
  account: {gap}
service: {gap}
data_categories: [{gap}]
data_subjects: [{gap}]
countries:
  processing: [WORLD]             # the countries, or EU27, EEA, EEA_CH, CA; WORLD where no place is promised
  storage: []                     # where anything that the carve-outs keep would lie
operations: [{operations}]
models:                           # exact ids; only class zero is used, unknown is refused{traits}
  - {{id: {gap_id}, retention_class: unknown}}
agreements:
  - id: {id}-zero-retention
    kinds: [zero_retention, no_training, dpa]
    scope: {gap}
    valid_from: {gap}
    valid_until: {gap}
    document_sha256: {gap}
    approvers: [{gap}]      # two different people
transfers:                        # one for each law whose people's data goes abroad; delete those that do not apply
  - {{law: EEA, mechanism: scc, reference: {gap}, document_sha256: {gap}, valid_from: {gap}, valid_until: {gap}}}
  - {{law: UK, mechanism: uk_addendum, reference: {gap}, document_sha256: {gap}, valid_from: {gap}, valid_until: {gap}}}
  - {{law: CH, mechanism: swiss_scc, reference: {gap}, document_sha256: {gap}, valid_from: {gap}, valid_until: {gap}}}
  - {{law: QC, mechanism: assessment, reference: {gap}, document_sha256: {gap}, valid_from: {gap}, valid_until: {gap}}}
carve_outs:                       # what is kept all the same, in words that customers can read
  - {gap}
notice:
  announced: {gap}
  days: {days}
  effective: {gap}
  document_sha256: {gap}
upstream_subprocessors: {gap}
review_by: {gap}
suspended: false
credential: {{environment: {variable}}}   # or {{file: PATH}}
sources: [{gap}]
"""

_EVIDENCE: tuple[tuple[str, str], ...] = (
    ("legal_entity", "from the signed contract: the contracting entity, its address, country and privacy contact"),
    ("account_scope", "from the provider's console: the account or project that the agreement covers"),
    ("service", "what it does for customers, in a line for the public list"),
    ("data_", "what and whose data it sees, for the public list (GDPR Art. 28(3))"),
    ("agreements", "the signed agreement: its scope and dates, `sha256sum` of the document, two people who approved"),
    ("transfers", "the basis of the transfer: reference, dates, `sha256sum` of the clauses, addendum or assessment"),
    ("carve_outs", "what the provider keeps in spite of the agreement, from its own terms"),
    ("notice", "the notice that customers were sent: when, from when it counts, `sha256sum` of it"),
    ("upstream", "where the provider lists its own sub-processors"),
    ("review_by", "the day by which somebody will have looked at all of this again"),
    ("sources", "the pages and documents that were read, each with its date"),
)
_PLACEHOLDER_HOST = "to-be-filled.invalid"  # RFC 2606: no such host will ever be


class NotDrafted(ValueError):
    """No draft was written. The message is ours."""


def draft(
    directory: Path,
    entry_id: str,
    wire: str,
    operations: Iterable[str],
    notice_days: int,
    traits: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> Path:
    """Write `processors/ID.yaml` as a draft; the file.

    Args:
        traits: what the surface must know of a model that is asked these operations, and the values it may have.

    Raises:
        NotDrafted: there is such an entry, or the folder cannot be written.
    """
    target = directory / "processors" / f"{entry_id}.yaml"
    needed = [f"{name}: {' or '.join(sorted(values))}" for name, values in sorted(traits.items())]
    text = _DRAFT.format(
        traits=f"\n                                  # class zero needs traits: {{{', '.join(needed)}}}"
        if needed
        else "",
        gap=TO_BE_FILLED,
        gap_id="to-be-filled",
        host=_PLACEHOLDER_HOST,
        id=entry_id,
        wire=wire,
        operations=", ".join(operations),
        days=notice_days,
        variable=f"{entry_id.upper().replace('-', '_')}_API_KEY".lstrip("_0123456789"),
    )
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise NotDrafted(f"{target}: there is such an entry; give another --id") from None
    except OSError:
        raise NotDrafted(f"{target}: cannot be written") from None
    return target


def evidence(entry: Entry) -> Iterator[str]:
    """What is still to be had for an entry, a line for each kind of evidence: what it is, and the keys it fills."""
    missing = [*entry.missing, *_placeholders(entry)]
    for start, words in _EVIDENCE:
        keys = [path for path in missing if str(path[0]).startswith(start)]
        if keys:
            yield f"{words}: {gathered(keys)}"
    rest = [path for path in missing if not any(str(path[0]).startswith(start) for start, _words in _EVIDENCE)]
    if rest:
        yield f"from the provider's documentation: {gathered(rest)}"


def _placeholders(entry: Entry) -> Iterable[Keys]:
    """Where a draft had to write something that reads as a fact and is none."""
    form = entry.form
    if form.base_url.endswith(_PLACEHOLDER_HOST):
        yield ("base_url",)
    if form.door == "to-be-filled":
        yield ("door",)
    for index, model in enumerate(form.models):
        if model.id == "to-be-filled":
            yield ("models", index, "id")
