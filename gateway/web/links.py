"""One-time links: how whoever can use the state enters without a provider of identities.

`gateway web --link ROLE` leaves a file in the state that names role and scope under the digest of a random token, and
prints the token as an address. The pages take the file away as they let its bearer in.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.audit.index import INDEX_FOLDER
from gateway.audit.scope import Scope
from gateway.audit.words import Role

HOLDS_SECONDS = 600
FOLDER = "links"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a link lets its bearer be."""

    role: Role
    scope: Scope


def make(state: Path, role: Role, tenants: tuple[str, ...], now: float) -> str:
    """A token that can be used once within ten minutes. No tenants: everyone's records, which a tenant's role has not.

    Raises:
        ValueError: a tenant's role without tenants.
        OSError: the state cannot be written.
    """
    if not tenants and role in {Role.TENANT_ADMIN, Role.TENANT_AUDITOR}:
        raise ValueError("a tenant's role needs --tenant")
    folder = state / INDEX_FOLDER / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    written = orjson.dumps({"role": role.value, "tenants": tenants, "until": now + HOLDS_SECONDS})
    descriptor = os.open(folder / _name(token), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(written)
    return token


def take(state: Path, token: str, now: float) -> Entry | None:
    """What this token lets its bearer be, this once; None if it is unknown, used or too old."""
    path = state / INDEX_FOLDER / FOLDER / _name(token)
    try:
        taken = path.with_suffix(".taken")
        path.rename(taken)  # of two who come at once, one finds nothing to rename
        held = orjson.loads(taken.read_bytes())
        taken.unlink()
    except (OSError, ValueError):
        return None
    if not isinstance(held, dict) or held.get("until", 0) < now:
        return None
    role, tenants = Role(held["role"]), held["tenants"]
    return Entry(role, Scope.of(tenants) if tenants else Scope.everyone())


def sweep(state: Path, now: float) -> None:
    """Remove links that nobody used in time."""
    for path in (state / INDEX_FOLDER / FOLDER).glob("*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < now - HOLDS_SECONDS:
                path.unlink()


def _name(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
