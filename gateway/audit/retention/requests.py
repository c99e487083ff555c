"""What was asked to be erased: kept sealed until it is done, and the receipt that the asker takes away.

The receipt holds a salt; the log holds SHA-256 over it and whose records they were. So whoever has the receipt can show
that this erasure was theirs, and nobody else can tell whose it was.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256

import orjson

from gateway.audit.words import Ground
from gateway.keys import Keyring

FOLDER = "erasures"
BACKUP_DAYS = 35
GRACE_DAYS = 30
DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One erasure that was asked for.

    Attributes:
        id: 32 hex digits, minted here.
        ground: why.
        tenant: whose records.
        mark: the tenant's keyed hash of itself: by it a restored state finds the tenant that must go.
        subject: the person's keyed hash, or None for the whole tenant.
        receipt: what the log commits to, 64 hex digits.
        requested: when, microseconds since 1970.
        approvers: key ids of the operators who asked; none where the product did, or a grace ended.
        document: the digest of the list, once it is made; the log may have the act that names it by then.
        tenant_gone: the tenant's key and name are destroyed.
    """

    id: str
    ground: Ground
    tenant: str
    mark: str
    subject: str | None
    receipt: str
    requested: int
    approvers: tuple[str, ...] = ()
    document: str | None = None
    tenant_gone: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is of the whole tenant."""
        return self.subject is None

    @property
    def backups_clear_by(self) -> int:
        """By when no backup may hold it, microseconds since 1970."""
        return self.requested + BACKUP_DAYS * DAY

    @property
    def written(self) -> bytes:
        """As it is kept, before it is sealed."""
        return orjson.dumps(self)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What whoever asked keeps: SHA-256 of the salt's 32 bytes and `whose` is the receipt in the log."""

    erasure: str
    salt: str
    commitment: str
    requested: int
    backups_clear_by: int


def ask(
    keyring: Keyring, ground: Ground, tenant: str, subject: str | None, now: int, approvers: tuple[str, ...] = ()
) -> tuple[Request, Receipt]:
    """Ask for an erasure: durable when this returns. Asking again is a second erasure, which finds nothing.

    Args:
        keyring: keeps the request.
        ground: why.
        tenant: whose records.
        subject: whom they are about, as callers name it in `x-gateway-subject`, or None for the whole tenant.
        now: microseconds since 1970.
        approvers: key ids of the operators who asked.

    Raises:
        KeyFault, OSError: it cannot be kept.
    """
    salt = os.urandom(32)
    commitment = sha256(salt + whose(tenant, subject)).hexdigest()
    request = Request(
        os.urandom(16).hex(),
        ground,
        tenant,
        keyring.tenant_mac(tenant, "tenant", tenant),
        None if subject is None else keyring.tenant_mac(tenant, "subject", subject),
        commitment,
        now,
        approvers,
    )
    keep(keyring, request)
    return request, Receipt(request.id, salt.hex(), commitment, now, request.backups_clear_by)


def whose(tenant: str, subject: str | None) -> bytes:
    """What a receipt commits to, after its salt: the tenant's id; of one person, a zero byte and the subject."""
    return tenant.encode() if subject is None else tenant.encode() + b"\0" + subject.encode("utf-8", "surrogatepass")


def keep(keyring: Keyring, request: Request) -> None:
    """Keep a request as it stands.

    Raises:
        KeyFault, OSError: it cannot be kept.
    """
    keyring.keep(f"{FOLDER}/{request.id}", request.written)


def kept(keyring: Keyring) -> list[Request]:
    """What is still to be done, oldest first.

    Raises:
        KeyFault: one is damaged.
    """
    found = []
    for written in keyring.kept(FOLDER).values():
        tree = orjson.loads(written)
        found.append(Request(**{**tree, "ground": Ground(tree["ground"]), "approvers": tuple(tree["approvers"])}))
    return sorted(found, key=lambda request: (request.requested, request.id))


def done(keyring: Keyring, request: Request) -> None:
    """It is carried out: keep it no longer."""
    keyring.drop(f"{FOLDER}/{request.id}")
