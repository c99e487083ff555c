"""The chain of bundles that were in force, each approved by the approvers of the one before; and what is proposed.

In the state, under `changes/`: `chain.jsonl`, a line for each bundle that was applied; `proposals/ID.json`; and
`configurations/DIGEST.json`, what each digest is of. Every reading proves the whole chain anew, so whoever can write
these files and holds no approver's key can only make the gateway refuse. The approvers' private keys are not here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from gateway.audit.configurations import keep_configuration, kept_configuration
from gateway.change.difference import TWO, Change, Kind, difference, needed
from gateway.change.snapshot import NotASnapshot, Snapshot, control_of, snapshot
from gateway.change.statement import Approval, NotAProposal, Proposal, Statement, approvers, parse, state
from gateway.config.settings import ChangeControl
from gateway.durable import locked, write_durably
from providers.provider import Provider

FOLDER = "changes"
CHAIN = "chain.jsonl"
RECORDED = "recorded"
Mark = tuple[int, int, int] | None


class NotApplied(Exception):
    """A change is not approved, not proposed, or out of order. The text is ours and says what to do."""


class ChainBroken(Exception):
    """What the state says of past changes does not hold, so nothing can be said of this one. The text is ours."""


class Chain:
    """The changes of one state directory. Any number of processes may read; writes are under a lock."""

    def __init__(self, state: Path, wires: Mapping[str, Provider]) -> None:
        self._directory = state / FOLDER
        self._log = state / "log"
        self._wires = wires
        self._snapshots: dict[str, Snapshot] = {}

    @property
    def path(self) -> Path:
        """The file of what was applied."""
        return self._directory / CHAIN

    def mark(self) -> Mark:
        """What changes whenever a change is applied. One `stat`."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def links(self) -> list[Proposal]:
        """Every change that was applied, in order, each proved.

        Raises:
            ChainBroken: one of them does not hold, or what was there is gone.
        """
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            lines = []
        except OSError:
            raise ChainBroken(f"{self.path}: cannot be read") from None
        if not lines and self._was_controlled():
            raise ChainBroken(f"{self.path}: is gone, and this state was under change control; restore it")
        links: list[Proposal] = []
        for number, line in enumerate(lines):
            try:
                link = parse(line)
                self._prove(link, links, link.applied)
            except (NotAProposal, NotApplied) as fault:
                raise ChainBroken(f"{self.path}:{number + 1}: {fault}") from None
            links.append(link)
        return links

    def control_after(self, links: list[Proposal]) -> ChangeControl | None:
        """Who approves what follows these links; None where change control is off.

        Raises:
            ChainBroken: the bundle in force is not kept.
        """
        return self._control(links[-1].statement.digest) if links else None

    def changes(self, parent: str, digest: str, now: datetime) -> list[Change]:
        """What the change from one kept bundle to another is.

        Raises:
            ChainBroken: one of them is not kept, or cannot be read by this release.
        """
        return difference(self.snapshot(parent), self.snapshot(digest), now)

    def snapshot(self, digest: str) -> Snapshot:
        """A kept bundle.

        Raises:
            ChainBroken: it is not kept, or cannot be read by this release.
        """
        try:
            if digest not in self._snapshots:
                self._snapshots[digest] = snapshot(_preimage(str(self._directory), digest), self._wires)
            return self._snapshots[digest]
        except NotASnapshot as fault:
            raise ChainBroken(f"{digest[:16]}: {fault}") from None

    # what people do

    def propose(self, preimage: bytes, until: datetime, now: datetime) -> Proposal:
        """Keep a proposal to replace the bundle in force by this one.

        Raises:
            NotApplied: it is in force already, or has no approvers and nor has the one in force.
            ChainBroken: see `links`.
            StoreFault: it cannot be kept.
        """
        links = self.links()
        digest = sha256(preimage).hexdigest()
        keep_configuration(self._directory, digest, preimage)
        parent = links[-1].statement.digest if links else None
        if parent == digest:
            raise NotApplied("this configuration is in force already")
        if self.control_after(links) is None and self._control(digest) is None:
            raise NotApplied("change control is off: `change:` of gateway.yaml lists no approvers")
        changes = [] if parent is None else self._changes_or_all(parent, digest, now)
        statement = state(len(links), parent, digest, changes, until)
        with locked(self._directory / "lock"):
            held = [item for item in self.proposals() if item.statement == statement]
            return held[0] if held else self._keep(Proposal(statement))  # the same once more keeps its approvals

    def approve(self, proposal: Proposal, approval: Approval, now: datetime) -> Proposal:
        """Add an approval; the proposal with it.

        Raises:
            NotApplied: the signature is of nobody who may approve, or it is too late, or out of order.
            ChainBroken: see `links`.
        """
        with locked(self._directory / "lock"):
            held = self.proposal(proposal.statement.id)
            links = self.links()
            self._place(held.statement, links, now)
            control = self._deciding(held.statement, links)
            if approval.key not in approvers(Proposal(held.statement, (approval,)), control, now):
                raise NotApplied("this key is not that of an approver of the configuration in force, or has expired")
            if approval.key in approvers(held, control, now):
                raise NotApplied("this approver has approved it already")
            return self._keep(replace(held, approvals=(*held.approvals, approval)))

    def apply(self, proposal: Proposal, now: datetime) -> Proposal:
        """Bring an approved change into force; the link that was added.

        Raises:
            NotApplied: an approval is missing, or it is too late, or out of order.
            ChainBroken: see `links`.
        """
        with locked(self._directory / "lock"):
            links = self.links()
            held = self.proposal(proposal.statement.id)
            at = now.replace(microsecond=0)
            counting = self.approved_by(held, links, at)
            approvals = {item.key: item for item in held.approvals if item.key in counting}
            link = Proposal(held.statement, tuple(approvals.values()), at)
            self._prove(link, links, link.applied)
            write_durably(self.path, b"".join(item.written + b"\n" for item in (*links, link)))
            return link

    def follows(self, link: Proposal) -> bool:
        """Whether a change that was applied at another replica is the next one here, and signed by who may sign it.

        How many had to sign is found out once its bundle is here: see `adopt`.

        Raises:
            ChainBroken: see `links`.
        """
        links = self.links()
        try:
            if link.applied is None or not link.approvals:
                return False
            self._place(link.statement, links, link.applied)
            return len(self.approved_by(link, links, link.applied)) == len(link.approvals)
        except NotApplied:
            return False

    def adopt(self, link: Proposal, preimage: bytes) -> None:
        """Bring a change into force here that was applied at another replica.

        Raises:
            NotApplied: it does not follow, or was not approved as it must be.
            ChainBroken: see `links`.
            StoreFault, OSError: it cannot be kept.
        """
        with locked(self._directory / "lock"):
            links = self.links()
            keep_configuration(self._directory, link.statement.digest, preimage)
            self._prove(link, links, link.applied)
            write_durably(self.path, b"".join(item.written + b"\n" for item in (*links, link)))

    def proposals(self) -> list[Proposal]:
        """What is proposed and could still be applied, by the order of the chain. Damaged files are passed over."""
        found: list[Proposal] = []
        for path in sorted((self._directory / "proposals").glob("*.json")):
            with contextlib.suppress(NotAProposal, OSError):
                found.append(parse(path.read_bytes()))
        return sorted(found, key=lambda item: (item.statement.number, item.statement.until))

    def proposal(self, wanted: str) -> Proposal:
        """The proposal whose id begins so.

        Raises:
            NotApplied: none, or several.
        """
        found = [item for item in self.proposals() if item.statement.id.startswith(wanted)]
        if len(found) != 1 or len(wanted) < 8:
            raise NotApplied("no proposal, or more than one, has an id that begins so; write at least 8 digits")
        return found[0]

    def approved_by(self, proposal: Proposal, links: list[Proposal], at: datetime) -> dict[str, str]:
        """Key id -> name of those whose approval of this counts, if it follows these links.

        Raises:
            NotApplied: there is nobody who could approve it.
            ChainBroken: see `links`.
        """
        return approvers(proposal, self._deciding(proposal.statement, links), at)

    # what the record has

    def unrecorded(self) -> list[Proposal]:
        """The links that are not in the record yet.

        Raises:
            ChainBroken: see `links`, or the count is damaged.
        """
        return self.links()[self._recorded() :]

    def recorded_one(self) -> None:
        """Remember that one link more is in the record.

        Raises:
            ChainBroken, OSError: the count is damaged, or cannot be written.
        """
        done = self._recorded() + 1
        (self._directory / RECORDED).write_text(str(done), encoding="ascii")

    def _recorded(self) -> int:
        path = self._directory / RECORDED
        try:
            return int(path.read_bytes()) if path.exists() else 0
        except (OSError, ValueError):
            raise ChainBroken(f"{path}: is damaged; remove it") from None

    # proof

    def _prove(self, link: Proposal, before: list[Proposal], applied: datetime | None) -> None:
        """Whether this link follows those.

        Raises:
            NotApplied: it does not.
            ChainBroken: a bundle is not kept.
        """
        if applied is None:
            raise NotApplied("the change was never applied")
        statement = link.statement
        self._place(statement, before, applied)
        found = self.approved_by(link, before, applied)
        if len(found) != len(link.approvals):
            raise NotApplied("an approval in it does not hold")
        needs = TWO if len(found) >= TWO else self._needs(statement, before, applied)
        if len(found) < needs:
            raise NotApplied(
                f"{len(found)} of {needs} approvals: `gateway change approve {statement.id[:16]} --key FILE`"
            )

    def _place(self, statement: Statement, before: list[Proposal], at: datetime) -> None:
        parent = before[-1].statement.digest if before else None
        if (statement.number, statement.parent) != (len(before), parent):
            raise NotApplied("it was proposed for another configuration than the one in force; propose it anew")
        if statement.until <= at:
            raise NotApplied("the proposal has expired; propose it anew")

    def _needs(self, statement: Statement, before: list[Proposal], at: datetime) -> int:
        """How many must approve, found anew: what a statement says of itself decides nothing."""
        if not before:
            return TWO
        parent = before[-1].statement.digest
        if self._control(parent) is None:
            return TWO
        key = (parent, statement.digest, at)
        if key not in _NEEDED:
            if len(_NEEDED) >= _MOST_KEPT:
                _NEEDED.clear()
            _NEEDED[key] = needed(self._changes_or_all(parent, statement.digest, at))
        return _NEEDED[key]

    def _changes_or_all(self, parent: str, digest: str, now: datetime) -> list[Change]:
        try:
            return self.changes(parent, digest, now)
        except ChainBroken:
            # The one in force is of another release: that something differs is all that can be said.
            self.snapshot(digest)
            return [
                Change(Kind.UNREADABLE, TWO, "the configuration in force is of another release and cannot be compared")
            ]

    def _deciding(self, statement: Statement, before: list[Proposal]) -> ChangeControl:
        """Who decides: the approvers of the bundle before; of the first, and after a time without, its own."""
        control = (self._control(before[-1].statement.digest) if before else None) or self._control(statement.digest)
        if control is None:
            raise NotApplied("nobody is listed who could approve it")
        return control

    def _control(self, digest: str) -> ChangeControl | None:
        try:
            return _control(str(self._directory), digest)
        except NotASnapshot as fault:
            raise ChainBroken(f"{digest[:16]}: {fault}") from None

    def _was_controlled(self) -> bool:
        """Whether a bundle with approvers was ever in force here: then there was a chain."""
        for path in sorted((self._log / "configurations").glob("*.json")):
            with contextlib.suppress(NotASnapshot):  # a damaged one tells nothing, and the auditor will find it
                if _control(str(self._log), path.stem) is not None:
                    return True
        return False

    # files

    def _keep(self, proposal: Proposal) -> Proposal:
        path = self._directory / "proposals" / f"{proposal.statement.id}.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, proposal.written + b"\n")
        return proposal


# A digest names its bundle for good, so what was once read of it holds.

_MOST_KEPT = 4096
_NEEDED: dict[tuple[str, str, datetime], int] = {}
"""(parent, digest, when) -> how many approvals that change needed."""


@lru_cache(maxsize=1024)
def _control(directory: str, digest: str) -> ChangeControl | None:
    return control_of(_preimage(directory, digest))


def _preimage(directory: str, digest: str) -> bytes:
    try:
        preimage = kept_configuration(Path(directory), digest)
    except OSError:
        preimage = None
    if preimage is None or sha256(preimage).hexdigest() != digest:
        raise NotASnapshot("what this digest is of is not kept, or was changed")
    return preimage
