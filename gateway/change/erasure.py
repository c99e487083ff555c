"""An erasure that an operator asks for: two approvers sign it before anything is deleted.

What is proposed is kept sealed with the state's keys, since it names a tenant; approvers are those of the configuration
in force, as for a change. Once two have signed, it is a request like the product's own, and bears their key ids.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import orjson

from gateway.audit.retention import requests
from gateway.audit.words import Ground
from gateway.change.difference import TWO
from gateway.config.settings import ChangeControl
from gateway.keys import Keyring, Signer, public_key_id, signature_holds

FOLDER = "proposed"
_DOMAIN: Final = b"zero-retention-gateway erasure approval v1\n"
_DAYS: Final = 30


class NotErased(Exception):
    """The erasure is not proposed, not approved, or out of time. The text is ours and says what to do."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """An erasure that needs approval.

    Attributes:
        id: 32 hex digits.
        tenant: whose records.
        subject: whom they are about, as callers name it, or None for the whole tenant.
        at: when it was proposed, microseconds since 1970; it lapses after 30 days.
        approvals: key id -> signature, hex.
    """

    id: str
    tenant: str
    subject: str | None
    at: int
    approvals: dict[str, str]

    @property
    def signed(self) -> bytes:
        """What an approver signs."""
        tree = {"id": self.id, "tenant": self.tenant, "subject": self.subject, "at": self.at}
        return _DOMAIN + orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)


def propose(keyring: Keyring, tenant: str, subject: str | None, now: int) -> Proposed:
    """Propose an erasure."""
    made = Proposed(os.urandom(16).hex(), tenant, subject, now, {})
    _keep(keyring, made)
    return made


def proposed(keyring: Keyring, wanted: str, now: int) -> Proposed:
    """The proposal whose id begins so.

    Raises:
        NotErased: none, several, or it has lapsed.
    """
    found = [Proposed(**orjson.loads(each)) for each in keyring.kept(FOLDER).values()]
    found = [each for each in found if each.id.startswith(wanted) and now < each.at + _DAYS * requests.DAY]
    if len(found) != 1 or len(wanted) < 8:
        raise NotErased("no erasure, or more than one, has an id that begins so; write at least 8 digits")
    return found[0]


def approve(
    keyring: Keyring, held: Proposed, signer: Signer, control: ChangeControl | None, now: datetime
) -> requests.Receipt | None:
    """Sign it; the receipt, once it has two approvals and is asked for, else None.

    Raises:
        NotErased: the key is of nobody who may approve, or has approved it already.
    """
    known = _approvers(control, now)
    key = public_key_id(signer.public)
    if key not in known:
        raise NotErased("this key is not that of an approver of the configuration in force, or has expired")
    if key in held.approvals:
        raise NotErased("this approver has approved it already")
    held = replace(held, approvals={**held.approvals, key: signer.sign(held.signed).hex()})
    _keep(keyring, held)
    counting = {
        known[each]
        for each, signature in held.approvals.items()
        if each in known and signature_holds(known[each], held.signed, bytes.fromhex(signature))
    }
    if len(counting) < TWO:
        return None
    ground = Ground.TENANT if held.subject is None else Ground.SUBJECT
    at, by = round(now.timestamp() * 1_000_000), tuple(sorted(public_key_id(public) for public in counting))
    _, receipt = requests.ask(keyring, ground, held.tenant, held.subject, at, by)
    keyring.drop(f"{FOLDER}/{held.id}")
    return receipt


def _approvers(control: ChangeControl | None, at: datetime) -> dict[str, bytes]:
    if control is None:
        raise NotErased("an operator's erasure needs two approvers, and gateway.yaml lists none (change:)")
    return {
        public_key_id(public): public
        for item in control.approvers
        for public in (bytes.fromhex(item.public_key),)
        if item.valid_until is None or at < item.valid_until
    }


def _keep(keyring: Keyring, held: Proposed) -> None:
    keyring.keep(f"{FOLDER}/{held.id}", orjson.dumps(held))
