"""Which tenants came, changed or went since the last look: they need no approval, and each is recorded.

The roll is a file of the state, `tenants.roll` (0600): tenant id -> digest of what `tenants.yaml` says of it. A tenant
that went is off the roll at the next look, so nothing of it stays here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.durable import write_durably
from gateway.keys import sha256_hex
from gateway.policy.tenants import Tenant

FILE = "tenants.roll"


class RollUnreadable(Exception):
    """The file is there but is not what this program writes. The text is ours."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A tenant that came, changed or went; whether it is there, and whether calls are made for it."""

    tenant: str
    there: bool
    served: bool


class Roll:
    """The roll of one state directory, kept by the gateway that runs on it."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE

    def moved(self, tenants: Mapping[str, Tenant]) -> list[Moved] | None:
        """What differs from the roll, by tenant; None where there is no roll yet: the first look begins it.

        Raises:
            RollUnreadable: damaged, or not ours to read.
        """
        known = self._read()
        if known is None:
            return None
        now = _digests(tenants)
        differing = sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name))
        return [
            Moved(name, name in tenants, name in tenants and tenants[name].status == "active") for name in differing
        ]

    def keep(self, tenants: Mapping[str, Tenant]) -> None:
        """Make this the roll.

        Raises:
            RollUnreadable: it cannot be written.
        """
        try:
            write_durably(self._path, orjson.dumps(_digests(tenants), option=orjson.OPT_SORT_KEYS))
        except OSError:
            raise RollUnreadable(f"{self._path}: cannot be written") from None

    def _read(self) -> dict[str, str] | None:
        try:
            tree = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError):
            raise RollUnreadable(f"{self._path}: is damaged; remove it") from None
        if not isinstance(tree, dict) or not all(isinstance(value, str) for value in tree.values()):
            raise RollUnreadable(f"{self._path}: is damaged; remove it")
        return tree


def _digests(tenants: Mapping[str, Tenant]) -> dict[str, str]:
    return {name: _digest(tenant) for name, tenant in tenants.items()}


def _digest(tenant: Tenant) -> str:
    terms = (
        sorted(tenant.residency),
        None if tenant.processors is None else sorted(tenant.processors),
        None if tenant.purposes is None else sorted(tenant.purposes),
        sorted(tenant.forbidden_grants),
        tenant.status,
        tenant.notice_days,
        tenant.redaction.value,
        sorted(tenant.objections),
        sorted(tenant.laws),
    )
    return sha256_hex(orjson.dumps(terms))
