"""The agreements that the configurations of this log ever named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import cast

from gateway.audit.configurations import kept_configuration
from gateway.change.snapshot import NotASnapshot, trees_of
from gateway.policy.facts import NEEDED


@dataclass(frozen=True, slots=True)
class Agreement:
    """One agreement of one processor. Instants in microseconds since 1970; None where it is not filled in."""

    processor: str
    id: str
    kinds: tuple[str, ...]
    scope: str
    document: str
    since: int | None
    until: int | None
    carve_outs: tuple[str, ...]
    countries: tuple[str, ...]

    @property
    def covers(self) -> bool:
        """Whether zero retention is in it: then calls may name it."""
        return NEEDED[0] in self.kinds


def agreements(state: Path) -> list[Agreement]:
    """Every agreement of every configuration that was kept; the one that is told last where they differ."""
    log = state / "log"
    found: dict[tuple[str, str], Agreement] = {}
    paths = sorted((log / "configurations").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in paths:
        for each in _of(str(log), path.stem):
            found[each.processor, each.id] = each
    return sorted(found.values(), key=lambda each: (each.processor, each.since or 0, each.id))


@lru_cache(maxsize=512)
def _of(log: str, digest: str) -> tuple[Agreement, ...]:
    """Of one kept configuration; a digest names it for good."""
    preimage = kept_configuration(Path(log), digest)
    if preimage is None:
        return ()
    try:
        trees = trees_of(preimage)
    except NotASnapshot:
        return ()
    return tuple(each for name, tree in trees.items() if name.startswith("processors/") for each in _read(tree))


def _read(tree: object) -> Iterator[Agreement]:
    if not isinstance(tree, Mapping):
        return
    countries = tree.get("countries")
    processing = countries.get("processing") if isinstance(countries, Mapping) else ()
    for item in _list(tree.get("agreements")):
        if isinstance(item, Mapping):
            yield Agreement(
                processor=str(tree.get("id")),
                id=str(item.get("id")),
                kinds=tuple(map(str, _list(item.get("kinds")))),
                scope=str(item.get("scope") or ""),
                document=str(item.get("document_sha256") or ""),
                since=_instant(item.get("valid_from")),
                until=_instant(item.get("valid_until")),
                carve_outs=tuple(map(str, _list(tree.get("carve_outs")))),
                countries=tuple(map(str, _list(processing))),
            )


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _instant(value: object) -> int | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1_000_000
