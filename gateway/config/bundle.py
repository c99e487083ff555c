"""One configuration, whole and frozen: what every part of the gateway is given."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.callers import Caller, Callers, Identity, identify
from gateway.config.documents import Plain
from gateway.config.secrets import Secrets
from gateway.config.settings import Settings
from gateway.failover import Trouble
from gateway.policy.processors import Registry
from gateway.policy.purposes import Purpose
from gateway.policy.schemas import Schemas
from gateway.policy.surface import Surface
from gateway.policy.tenants import Tenant


@dataclass(frozen=True, slots=True)
class Bundle:
    """A configuration without a fault.

    Attributes:
        directory: where it was read from; relative paths begin there.
        settings: `gateway.yaml`.
        callers: who may ask; the only part that lives on, since keys come and go without a reload.
        tenants: by id.
        registry: the sub-processors.
        purposes: by id: the closed list of reasons for a call.
        surfaces: wire name -> what may be asked on it.
        schemas: the approved structured-output schemas.
        recognizers: the files of `recognizers/` as plain mappings, by stem; under `PERSONAL_DATA`, which no file
            is called, the kinds of ordinary personal data that are taken out.
        grants: (caller, purpose) -> the conditional verdicts that were switched on for them.
        failover: (purpose, tenant or None for all) -> what leads to another entry.
        secrets: provider credentials, by reference.
        digest: SHA-256 (64 hex) over processors, surfaces, settings, recognisers and schemas, in canonical form.
            Tenants and callers change by the hour and are recorded one by one, so they are not in it.
        packed: `preimage`, compressed (RFC 1950): it is megabytes, and seldom asked for.
    """

    directory: Path
    settings: Settings
    callers: Callers
    tenants: Mapping[str, Tenant]
    registry: Registry
    purposes: Mapping[str, Purpose]
    surfaces: Mapping[str, Surface]
    schemas: Schemas
    recognizers: Mapping[str, Plain]
    grants: Mapping[tuple[str, str], frozenset[str]]
    failover: Mapping[tuple[str, str | None], frozenset[Trouble]]
    secrets: Secrets = field(repr=False)
    digest: str
    packed: bytes = field(repr=False)

    @property
    def preimage(self) -> bytes:
        """What `digest` is the digest of: JSON, for the evidence pack. Holds no secret, only references."""
        return zlib.decompress(self.packed)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.path(self.settings.state)

    @property
    def origin(self) -> str:
        """The log's name: as the settings say, or made of the region's."""
        return self.settings.log.origin or f"zero-retention-gateway.invalid/{self.settings.region}"

    def guard(self, state: Path | None = None) -> Path:
        """The file where the log's last checkpoint is kept a second time; in the keys of the state if not elsewhere."""
        kept = self.settings.log.guard
        return (state or self.state) / "keys" / "checkpoint" if kept is None else self.path(kept)

    @property
    def master_key(self) -> Path | None:
        """The file of the master key, or None where it is kept in the state."""
        return None if self.settings.master_key is None else self.path(self.settings.master_key.file)

    def path(self, written: str) -> Path:
        """A path as the configuration writes it, made absolute."""
        return (self.directory / written).resolve()

    def identify(self, caller: Caller, headers: Mapping[str, str]) -> Identity:
        """Whose data a call is, and why. See `callers.identify`.

        Raises:
            Refused: `tenant_*`, `purpose_*` and what else `callers.identify` names.
        """
        return identify(caller, headers, self.tenants, self.registry.entries)

    def granted(self, caller: str, purpose: str, tenant: Tenant) -> frozenset[str]:
        """The conditional verdicts for this caller and purpose, less what the tenant forbids."""
        granted = self.grants.get((caller, purpose), _NOTHING)
        return granted - tenant.forbidden_grants if granted else granted

    def elsewhere(self, purpose: str, tenant: str) -> frozenset[Trouble]:
        """What leads a call for this purpose of this tenant to another entry; mostly nothing does."""
        found = self.failover
        if not found:
            return _NO_TROUBLE
        return found.get((purpose, None), _NO_TROUBLE) | found.get((purpose, tenant), _NO_TROUBLE)

    def secret(self, reference: str) -> str:
        """A provider credential, by `Route.credential`.

        Raises:
            UpstreamError: it cannot be read; nothing was sent.
        """
        return self.secrets.read(reference)


_NOTHING: frozenset[str] = frozenset()
_NO_TROUBLE: frozenset[Trouble] = frozenset()
