"""The time-stamp tokens that are kept: beside the log, with the checkpoints that they are over, and whom to believe.

They are published with the tiles, since a token that was lost with a disk cannot be had again: `gateway restore` takes
back those that records of the log name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.audit.language import Sha
from gateway.audit.record import Operator
from gateway.audit.store import StoreFault
from gateway.audit.tlog import Checkpoint, NotACheckpoint
from gateway.audit.words import Act
from gateway.durable import write_durably

FOLDER = "anchors"
ROOTS = "tsa-roots.pem"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token: the checkpoint that it is over, the authority's answer as it came, when by the authority's clock.

    `time` is in microseconds since 1970, `size` in leaves.
    """

    note: str
    answer: bytes
    time: int
    size: int

    @property
    def digest(self) -> str:
        """The name of the token in records: SHA-256 of the whole answer, in hex."""
        return sha256(self.answer).hexdigest()

    @property
    def over(self) -> str:
        """SHA-256 of the checkpoint, in hex."""
        return sha256(self.note.encode()).hexdigest()

    @property
    def file(self) -> str:
        """What its file is called; the checkpoint's is called likewise, with `.note`."""
        return f"{self.size:020d}-{self.time}.tsr"

    def act(self, now: int) -> Operator:
        """The record that says so."""
        return Operator(
            time=now,
            act=Act.ANCHOR,
            document=Sha(self.digest),
            parent=Sha(self.over),
            count=self.size,
            start=self.time,
        )


def keep_stamp(log: Path, stamp: Stamp) -> None:
    """Keep a token and its checkpoint beside the log, durably, before its record is written.

    Raises:
        StoreFault: it cannot be kept.
    """
    path = log / FOLDER / stamp.file
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path.with_suffix(".note"), stamp.note.encode())
        write_durably(path, stamp.answer)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None


def kept_stamps(log: Path) -> list[Stamp]:
    """Every token that is kept, by size.

    Raises:
        StoreFault: one cannot be read.
    """
    found = []
    for path in sorted((log / FOLDER).glob("*.tsr")):
        try:
            note = path.with_suffix(".note").read_text(encoding="utf-8")
            found.append(Stamp(note, path.read_bytes(), int(path.stem[21:]), Checkpoint.parse(note).size))
        except (OSError, ValueError, NotACheckpoint):
            raise StoreFault(f"{path}: cannot be read") from None
    return found


def take_back(log: Path, elsewhere: Path, named: Iterable[tuple[str, str]]) -> int:
    """Keep those tokens of another folder that records name; how many. What else lies there is left.

    Args:
        log: the log's folder.
        elsewhere: where the tiles were published.
        named: the digests of a token and of its checkpoint, of each record.

    Raises:
        StoreFault: one cannot be read there, or kept here.
    """
    wanted = set(named) - {(each.digest, each.over) for each in kept_stamps(log)}
    found = [each for each in kept_stamps(elsewhere) if (each.digest, each.over) in wanted] if wanted else []
    for each in found:
        keep_stamp(log, each)
    return len(found)


def last_stamped(log: Path) -> int | None:
    """When the last token was made, in microseconds; None if there is none."""
    return max((int(path.stem[21:]) for path in (log / FOLDER).glob("*.tsr")), default=None)


def keep_roots(log: Path, pem: bytes | None) -> None:
    """Keep whom the operator trusts with time, for packs; nobody any more, if None.

    Raises:
        StoreFault: it cannot be written.
    """
    path = log / ROOTS
    try:
        if pem is None:
            path.unlink(missing_ok=True)
            return
        log.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, pem)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None


def kept_roots(log: Path) -> str:
    """What `keep_roots` kept (PEM); nothing where nothing is."""
    path = log / ROOTS
    return path.read_text(encoding="utf-8") if path.exists() else ""
