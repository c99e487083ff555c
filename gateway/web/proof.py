"""That a record is in the log, step by step: what a page shows, what its script recomputes, and a file to keep."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

import orjson

from gateway.audit.leaf import placed
from gateway.audit.log_store import LogReader, Signed
from gateway.audit.merkle import consistency, inclusion, leaf_hash, node_hash
from gateway.audit.store import RSEQ_BITS, StoreFault
from gateway.audit.tlog import TILE, Checkpoint

_RSEQ = (1 << RSEQ_BITS) - 1


@dataclass(frozen=True, slots=True)
class Step:
    """One hash of the way up: the neighbour, on which side it stands, and what both make. All in hex."""

    neighbour: str
    left: bool
    node: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A leaf with everything that proves it. Hashes in hex; `text` is the committed form of the record."""

    index: int
    size: int
    salt: str
    text: str
    entry: str
    leaf: str
    steps: tuple[Step, ...]
    root: str
    note: str

    @property
    def file(self) -> str:
        """The proof as a file, in the form of C2SP tlog-proof v1: index, hashes in base64, and the checkpoint."""
        hashes = "".join(f"{b64encode(bytes.fromhex(step.neighbour)).decode()}\n" for step in self.steps)
        return f"c2sp.org/tlog-proof@v1\nindex {self.index}\n{hashes}\n{self.note}"


def proof_of(log: LogReader, seq: int, body: str, signed: Signed) -> Proof | None:
    """The proof of a row of the journal under a checkpoint; None where that checkpoint does not cover it yet.

    Raises:
        StoreFault: the log cannot be read, or holds something else than it should.
    """
    if seq > log.last_seq:
        return None
    index = log.index_of(seq)
    if index >= signed.size:
        return None
    (leaf,) = log.leaves(index, index + 1)
    entry = log.entries(index // TILE)[index % TILE]
    number, rseq = seq >> RSEQ_BITS, seq & _RSEQ
    boots = log.boots()
    if number not in boots:
        raise StoreFault("the log knows no such boot")
    text = placed(body, boots[number][0], rseq, leaf.tseq)
    path = inclusion(index, signed.size, log.subtrees())
    steps = _steps(index, signed.size, leaf_hash(entry), path)
    return Proof(
        index=index,
        size=signed.size,
        salt="" if leaf.salt is None else leaf.salt.hex(),
        text=text.decode("ascii", "replace"),
        entry=entry.hex(),
        leaf=leaf_hash(entry).hex(),
        steps=steps,
        root=Checkpoint.parse(signed.note).root.hex(),
        note=signed.note,
    )


def consistency_of(log: LogReader, old: Signed, new: Signed) -> list[str]:
    """The hashes (hex) that prove that the newer checkpoint extends the older one."""
    return [each.hex() for each in consistency(old.size, new.size, log.subtrees())]


def facts_of(text: str) -> list[tuple[str, str]]:
    """A record field by field, as it is committed to."""
    return [
        (name, value if isinstance(value, str) else orjson.dumps(value).decode())
        for name, value in orjson.loads(text).items()
    ]


def _steps(index: int, size: int, leaf: bytes, path: list[bytes]) -> tuple[Step, ...]:
    """RFC 9162 section 2.1.3.2, with every node on the way kept."""
    steps: list[Step] = []
    at, last, node = index, size - 1, leaf
    for each in path:
        left = bool(at & 1) or at == last
        node = node_hash(each, node) if left else node_hash(node, each)
        steps.append(Step(each.hex(), left, node.hex()))
        if left:
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    return tuple(steps)
