"""A small configuration under change control, with three approvers, for the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.change.chain import Chain
from gateway.change.statement import Proposal, approve
from gateway.config import Bundle
from gateway.keys import Signer
from tests.gateway.config.small import GATEWAY, WIRES, read, write

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
ADA, GRACE, EDITH, STRANGER = (Signer(bytes([number]) * 32) for number in (1, 2, 3, 9))
NAMES = {"ada": ADA, "grace": GRACE, "edith": EDITH}


def control(**until: str) -> str:
    """The lines of `change:`; `until` gives an approver's last instant."""
    lines = "change:\n  residency: [[EEA_CH], [CA, US]]\n  approvers:\n"
    for name, signer in NAMES.items():
        lines += f'    - id: {name}\n      public_key: "{signer.public.hex()}"\n'
        lines += f"      valid_until: {until[name]}\n" if name in until else ""
    return lines


CONTROLLED = GATEWAY + control()


@dataclass(slots=True)
class House:
    """A configuration, its state, and the chain in it."""

    folder: Path
    chain: Chain
    versions: int = 0

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.folder / "state"

    def version(self, **changed: str) -> Bundle:
        """Another version of the configuration; what is not named is as `CONTROLLED` has it."""
        self.versions += 1
        return read(write(self.folder / str(self.versions), **{"gateway.yaml": CONTROLLED, **changed}))

    def proposed(self, bundle: Bundle, *signers: Signer, at: datetime = NOW) -> Proposal:
        """A proposal with these approvals."""
        proposal = self.chain.propose(bundle.preimage, LATER, at)
        for signer in signers:
            proposal = self.chain.approve(proposal, approve(proposal.statement, signer), at)
        return proposal

    def applied(self, bundle: Bundle, *signers: Signer, at: datetime = NOW) -> Proposal:
        """The same, applied."""
        return self.chain.apply(self.proposed(bundle, *signers, at=at), at)


def house(folder: Path) -> House:
    """A house without any change so far."""
    return House(folder, Chain(folder / "state", WIRES))


def begun(folder: Path) -> tuple[House, Bundle]:
    """A house whose first configuration was approved by two, and that configuration."""
    made = house(folder)
    first = made.version()
    made.applied(first, ADA, GRACE)
    return made, first
