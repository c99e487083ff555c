"""The words that one configuration lets a record say: ids of its registries, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.audit.language import Vocabulary
from gateway.audit.words import (
    Agreement,
    Caller,
    Conditional,
    Country,
    ForcedName,
    Model,
    OperationName,
    Processor,
    Purpose,
    RuleSource,
    Tenant,
    Unscanned,
    Wire,
)
from gateway.policy.processors import Registry
from gateway.policy.surface import Surface
from providers.provider import Provider


def vocabulary_of(
    *,
    wires: Iterable[Provider],
    surfaces: Iterable[Surface],
    registry: Registry,
    tenants: Iterable[str],
    callers: Iterable[str],
    purposes: Iterable[str],
) -> Vocabulary:
    """Every word that a record of a call under this configuration may hold.

    Raises:
        ValueError: a word is outside the record's grammar, or there are more than it has room for.
    """
    wires, surfaces = tuple(wires), tuple(surfaces)
    entries = tuple(registry.entries.values())
    return Vocabulary(
        {
            Tenant: tenants,
            Caller: callers,
            Purpose: purposes,
            Wire: (wire.name for wire in wires),
            OperationName: {operation.name for wire in wires for operation in wire.operations},
            Processor: registry.entries,
            Agreement: {agreement.id for entry in entries for agreement in entry.form.agreements},
            Country: {country for entry in entries for country in entry.countries},
            Model: {"other"}.union(*(registry.served(wire.name) for wire in wires)),
            ForcedName: {name for surface in surfaces for name in surface.forced},
            Conditional: {name for surface in surfaces for name in surface.grants},
            Unscanned: {kind for surface in surfaces for kind in surface.unscanned},
            RuleSource: {"surface"}.union(*(surface.sources for surface in surfaces)),
        }
    )
