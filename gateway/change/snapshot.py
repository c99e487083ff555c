"""A bundle read back from its preimage: the bytes that its digest is of, as the state keeps them.

So both sides of a comparison come the same way, and neither needs the files that it was once written in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import orjson

from gateway.config.documents import Plain
from gateway.config.settings import ChangeControl, Settings, parse_settings
from gateway.keys import sha256_hex
from gateway.policy import grammar
from gateway.policy.consistency import parse_entry
from gateway.policy.entries import Entry
from gateway.policy.forms import Path, read
from gateway.policy.processors import Registry
from gateway.policy.purposes import Purpose, ready
from gateway.policy.surface import Surface
from providers.provider import Provider


class NotASnapshot(ValueError):
    """These bytes are no bundle that this release can read. The text is ours."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a bundle says of policy.

    Attributes:
        digest: of the bundle.
        trees: the files by name, as plain trees.
        schemas: digests of the approved schemas.
        settings: `gateway.yaml`.
        registry: its entries.
        surfaces: wire name -> surface.
        purposes: by id.
        grants: (caller, purpose) -> conditional verdicts.
    """

    digest: str
    trees: Mapping[str, Plain]
    schemas: frozenset[str]
    settings: Settings
    registry: Registry
    surfaces: Mapping[str, Surface]
    purposes: Mapping[str, Purpose]
    grants: Mapping[tuple[str, str], frozenset[str]]

    @property
    def entries(self) -> Mapping[str, Entry]:
        """By id."""
        return self.registry.entries

    @property
    def recognizers(self) -> dict[str, Plain]:
        """The files of the recognisers."""
        return {name: tree for name, tree in self.trees.items() if name.startswith("recognizers/")}


def snapshot(preimage: bytes, wires: Mapping[str, Provider], known: Snapshot | None = None) -> Snapshot:
    """Read a bundle back. A surface that stands in `known`, read by the same wires, word by word is not read again.

    Raises:
        NotASnapshot: it is of another release, or damaged.
    """
    trees, schemas = _parts(preimage)
    settings = parse_settings(trees.get("gateway.yaml"), _refuse)
    if settings is None:
        raise NotASnapshot(_OTHER)
    entries: list[Entry] = []
    surfaces: dict[str, Surface] = {}
    for name, tree in trees.items():
        folder, _slash, file = name.partition("/")
        stem = file.removesuffix(".yaml")
        if folder == "processors":
            entry = parse_entry(tree, stem, wires, _refuse, settings.notice_days)
            if entry is not None:
                entries.append(entry)
        elif folder == "surfaces":
            if stem not in wires:
                raise NotASnapshot(_OTHER)
            same = known is not None and stem in known.surfaces and known.trees[name] == tree
            surfaces[stem] = known.surfaces[stem] if known and same else grammar.parse(tree, wires[stem], _refuse)
    return Snapshot(
        digest=sha256_hex(preimage),
        trees=trees,
        schemas=schemas,
        settings=settings,
        registry=Registry(entries),
        surfaces=surfaces,
        purposes=ready(settings.purposes),
        grants=_grants(settings),
    )


def trees_of(preimage: bytes) -> Mapping[str, Plain]:
    """Its files by name, whatever release wrote them.

    Raises:
        NotASnapshot: it is damaged.
    """
    return _parts(preimage)[0]


def control_of(preimage: bytes) -> ChangeControl | None:
    """Its change control, or None where it has none; also of a bundle that this release cannot read otherwise.

    Raises:
        NotASnapshot: what stands there is none.
    """
    settings = _parts(preimage)[0].get("gateway.yaml")
    written = settings.get("change") if isinstance(settings, dict) else None
    return None if written is None else read(ChangeControl, written, _refuse)


_OTHER = "the bundle is damaged, or of a release that this one does not read"


def _parts(preimage: bytes) -> tuple[dict[str, Plain], frozenset[str]]:
    try:
        trees, schemas = orjson.loads(preimage)
    except (ValueError, TypeError):  # JSONDecodeError is a ValueError; so is what is not a pair
        raise NotASnapshot(_OTHER) from None
    if not isinstance(trees, dict) or not isinstance(schemas, list):
        raise NotASnapshot(_OTHER)
    return cast("dict[str, Plain]", trees), frozenset(map(str, schemas))


def _refuse(_path: Path, _reason: str) -> None:
    raise NotASnapshot(_OTHER)


def _grants(settings: Settings) -> dict[tuple[str, str], frozenset[str]]:
    granted: dict[tuple[str, str], frozenset[str]] = {}
    for item in settings.grants:
        for caller in item.callers:
            for purpose in item.purposes:
                granted[caller, purpose] = granted.get((caller, purpose), frozenset()) | {item.grant}
    return granted
