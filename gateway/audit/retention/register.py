"""Who a tenant is: the only place that joins an opaque id to a customer, and since when it is cancelled.

One sealed file a tenant below the key directory; what it says is encrypted under that tenant's own key, and the whole
under the master key. Once the tenant's key is destroyed, nobody reads it, wherever a copy of the file may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from gateway.keys import KeyFault, Keyring, tenant_digest

FOLDER = "register"
_PURPOSE = "zr-register/1"


@dataclass(frozen=True, slots=True)
class Known:
    """A tenant. `name` is what people call it, or None; `cancelled` since when, in microseconds, or None."""

    id: str
    name: str | None = None
    cancelled: int | None = None


class Register:
    """The tenants of one state."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def all(self) -> list[Known]:
        """Every tenant that is known, by id. What can no longer be read is not known.

        Raises:
            KeyFault: a file is damaged.
        """
        found = []
        for sealed in self._keyring.kept(FOLDER).values():
            outer = orjson.loads(sealed)
            try:
                row = self._keyring.unseal_for(outer["id"], _PURPOSE, bytes.fromhex(outer["row"]))
            except KeyFault:  # its tenant's key is destroyed
                continue
            found.append(Known(outer["id"], **orjson.loads(row)))
        return sorted(found, key=lambda known: known.id)

    def get(self, tenant: str) -> Known | None:
        """The tenant, if it is known."""
        return next((known for known in self.all() if known.id == tenant), None)

    def keep(self, known: Known) -> None:
        """Know a tenant, in place of what was known of it."""
        row = orjson.dumps({"name": known.name, "cancelled": known.cancelled})
        sealed = self._keyring.seal_for(known.id, _PURPOSE, row)
        self._keyring.keep(_name(known.id), orjson.dumps({"id": known.id, "row": sealed.hex()}))

    def forget(self, tenant: str) -> bool:
        """Know a tenant no longer; whether it was known."""
        return self._keyring.drop(_name(tenant))


def _name(tenant: str) -> str:
    return f"{FOLDER}/{tenant_digest(tenant)}"
