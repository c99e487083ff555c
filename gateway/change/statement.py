"""What an approver signs: which bundle replaces which, at which place of the chain, and what that change is.

The place and both digests are in it, so a signature counts for one change at one moment and for no other: not for
another bundle, not on another parent, and not again after a return to the parent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import orjson

from gateway.change.difference import TWO, Change, Kind, needed
from gateway.config.settings import ChangeControl
from gateway.keys import Signer, public_key_id, sha256_hex, signature_holds
from gateway.policy.forms import Digest, Form, Instant, read

VERSION: Final = "zero-retention-gateway/change/1"
_DOMAIN = b"zero-retention-gateway change approval v1\n"


class _StatementForm(Form):
    version: Literal["zero-retention-gateway/change/1"]
    number: int
    parent: Digest | None
    digest: Digest
    needs: Literal[1, 2]
    kinds: tuple[Kind, ...]
    until: Instant


class _ApprovalForm(Form):
    key: str
    signature: str


class _ProposalForm(Form):
    statement: _StatementForm
    approvals: tuple[_ApprovalForm, ...]
    applied: Instant | None = None


class NotAProposal(ValueError):
    """What is written there is no proposal. The text is ours."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A change that is proposed.

    Attributes:
        number: its place in the chain, from 0.
        parent: the digest before it, or None for the first under change control.
        digest: the digest that it brings into force.
        needs: how many different approvers.
        kinds: the sorts of change, in order.
        until: after this instant it cannot be applied any more.
    """

    number: int
    parent: str | None
    digest: str
    needs: int
    kinds: tuple[str, ...]
    until: datetime

    @property
    def tree(self) -> dict[str, object]:
        """Its plain form."""
        return {
            "version": VERSION,
            "number": self.number,
            "parent": self.parent,
            "digest": self.digest,
            "needs": self.needs,
            "kinds": list(self.kinds),
            "until": spelled(self.until),
        }

    @property
    def canonical(self) -> bytes:
        """The one form that is signed: JSON, keys sorted, no spaces."""
        return orjson.dumps(self.tree, option=orjson.OPT_SORT_KEYS)

    @property
    def id(self) -> str:
        """SHA-256 of the canonical form, 64 hex digits."""
        return sha256_hex(self.canonical)


@dataclass(frozen=True, slots=True)
class Approval:
    """A signature over a statement: the id of its key, and 64 bytes."""

    key: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Proposal:
    """A statement with the approvals that it has; `applied` is when it came into force, or None."""

    statement: Statement
    approvals: tuple[Approval, ...] = ()
    applied: datetime | None = None

    @property
    def written(self) -> bytes:
        """As it is kept, in one line."""
        tree: dict[str, object] = {
            "statement": self.statement.tree,
            "approvals": [{"key": item.key, "signature": item.signature.hex()} for item in self.approvals],
        }
        if self.applied is not None:
            tree["applied"] = spelled(self.applied)
        return orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)


def state(number: int, parent: str | None, digest: str, changes: list[Change], until: datetime) -> Statement:
    """The statement of a change. The first under change control needs two, whatever it is."""
    if parent is None:
        return Statement(number, None, digest, TWO, (Kind.FIRST.value,), until)
    kinds = sorted({change.kind.value for change in changes})
    return Statement(number, parent, digest, needed(changes), tuple(kinds), until)


def approve(statement: Statement, signer: Signer) -> Approval:
    """Sign it."""
    return Approval(public_key_id(signer.public), signer.sign(_DOMAIN + statement.canonical))


def approvers(proposal: Proposal, control: ChangeControl, at: datetime) -> dict[str, str]:
    """Key id -> name of every approver whose signature holds at `at`. A key counts once, however often it signed."""
    message = _DOMAIN + proposal.statement.canonical
    known = {
        public_key_id(public): (public, item.id)
        for item in control.approvers
        for public in (bytes.fromhex(item.public_key),)
        if item.valid_until is None or at < item.valid_until
    }
    return {
        item.key: known[item.key][1]
        for item in proposal.approvals
        if item.key in known and signature_holds(known[item.key][0], message, item.signature)
    }


def parse(written: bytes) -> Proposal:
    """A proposal as `Proposal.written` wrote it.

    Raises:
        NotAProposal: it is none.
    """
    try:
        form = read(_ProposalForm, orjson.loads(written), _refuse)
    except orjson.JSONDecodeError:
        form = None
    if form is None:
        raise NotAProposal("not a proposal of this release")
    item = form.statement
    statement = Statement(item.number, item.parent, item.digest, item.needs, item.kinds, item.until)
    return Proposal(statement, tuple(_approvals(form.approvals)), form.applied)


def spelled(at: datetime) -> str:
    """An instant as files of this room write it, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _approvals(forms: Iterable[_ApprovalForm]) -> Iterable[Approval]:
    for form in forms:
        try:
            yield Approval(form.key, bytes.fromhex(form.signature))
        except ValueError:
            raise NotAProposal("a signature is not hex") from None


def _refuse(_path: tuple[str | int, ...], _reason: str) -> None:
    raise NotAProposal("not a proposal of this release")
