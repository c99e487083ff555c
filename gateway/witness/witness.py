"""What a witness remembers and signs (c2sp.org/tlog-witness v1.0.0, tlog-cosignature v1.0.1).

It keeps one checkpoint of each log that it was told of, and cosigns another only if that extends it. So a log that
shows different pasts to different people cannot have both cosigned. It sees sizes, hashes and signatures, no record.
"""

from __future__ import annotations

import fcntl
import os
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.audit.cosigning import COSIGNATURE
from gateway.audit.tlog import Checkpoint, NotACheckpoint, signature_line, verifier_key
from gateway.audit.verify import Key, NotVerified, Policy, consistent, read_checkpoint
from gateway.durable import write_durably
from gateway.keys import Signer

SIZE: Final = "text/x.tlog.size"
PLAIN: Final = "text/plain"
LARGEST: Final = 64 * 1024
_MOST_HASHES: Final = 63
_OLD = re.compile("old (0|[1-9][0-9]{0,18})")
_SEED = re.compile("[0-9a-f]{64}\n?")


class NotAWitness(Exception):
    """The folder, a key of a log or the name cannot be used. The text is ours."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: the status, the content type, the body."""

    status: int
    body: str = ""
    kind: str = PLAIN


class Witness:
    """The witness whose key and checkpoints are in a folder that nothing else uses.

    Args:
        folder: made if absent, with a fresh key.
        name: as others write it: a URL without a scheme.
        logs: the verifier keys of the logs, NAME+ID+KEY.
        clock: seconds since 1970.

    Raises:
        NotAWitness: the folder or an argument cannot be used.
    """

    def __init__(self, folder: Path, name: str, logs: Iterable[str], clock: Callable[[], int]) -> None:
        self._folder, self._clock = folder, clock
        try:
            self._trust = {Key(each).name: Policy(f"log {each}\nquorum none\n") for each in logs}
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._signer = Signer(_seed(folder / "key"))
        except NotVerified:
            raise NotAWitness("--log is the key of a log as its policy writes it, NAME+ID+KEY") from None
        except OSError as error:
            raise NotAWitness(f"{folder}: errno {error.errno}, or another witness uses it") from None
        if not re.fullmatch(r"[A-Za-z0-9./_-]+", name):
            raise NotAWitness("--name is a URL without a scheme: letters, digits, . / _ -")
        self._name = name

    @property
    def key(self) -> str:
        """What a log's operator writes under `log.witnesses`, and an auditor into the policy."""
        return verifier_key(self._name, self._signer.public, COSIGNATURE)

    def add(self, body: bytes) -> Said:
        """Cosign a checkpoint, if it extends the last. One call at a time; what was signed is on the disk by then.

        Raises:
            OSError: it could not be kept; then nothing is signed.
        """
        asked = _asked(body)
        if asked is None:
            return Said(400)
        old, path, note = asked
        origin = note.partition("\n")[0]
        if origin not in self._trust:
            return Said(404)
        try:
            _origin, size, root = read_checkpoint(note, self._trust[origin])
        except NotVerified:
            return Said(403)
        refused = _refused(self._last(origin), old, size, root, path)
        if refused is not None:
            return refused
        line = self._line(note.rpartition("\n\n")[0] + "\n")
        write_durably(self._file(origin), f"{note}{line}".encode())
        return Said(200, line)

    def seen(self, digest: str) -> Said:
        """The last checkpoint of the log whose name has this SHA-256, cosigned (its monitoring URL)."""
        file = self._folder / f"{digest}.note"
        known = re.fullmatch("[0-9a-f]{64}", digest) is not None and file.exists()
        return Said(200, file.read_text(encoding="utf-8")) if known else Said(404)

    def close(self) -> None:
        """Let another witness use the folder."""
        os.close(self._lock)

    def _line(self, text: str) -> str:
        at = self._clock()
        signature = self._signer.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        return signature_line(self._name, COSIGNATURE, self._signer.public, at.to_bytes(8, "big") + signature)

    def _file(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()}.note"

    def _last(self, origin: str) -> Checkpoint | None:
        """What was cosigned last.

        Raises:
            OSError: what is kept cannot be read: nothing more is signed, or there might be two pasts.
        """
        try:
            return Checkpoint.parse(self._file(origin).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (NotACheckpoint, UnicodeDecodeError):
            raise OSError(None, "not a checkpoint") from None


def _seed(file: Path) -> bytes:
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as made:
            made.write(f"{os.urandom(32).hex()}\n")
            made.flush()
            os.fsync(made.fileno())
    text = file.read_text(encoding="ascii", errors="replace")
    if _SEED.fullmatch(text) is None:
        raise NotAWitness(f"{file}: is no key; put it back, a new one would be another witness")
    return bytes.fromhex(text.strip())


def _asked(body: bytes) -> tuple[int, list[bytes], str] | None:
    """The size that the client takes us to have, the proof from there, and the checkpoint; None for another form."""
    head, blank, note = body.decode("utf-8", "replace").partition("\n\n")
    first, *lines = head.split("\n")
    match = _OLD.fullmatch(first)
    try:
        path = [b64decode(line, validate=True) for line in lines]
    except NotBase64:
        return None
    whole = match is not None and bool(blank) and note.endswith("\n")
    if not whole or match is None or len(path) > _MOST_HASHES or any(len(each) != 32 for each in path):
        return None
    return int(match[1]), path, note


def _refused(last: Checkpoint | None, old: int, size: int, root: bytes, path: list[bytes]) -> Said | None:
    """Why a checkpoint does not extend the last, as the specification answers; None where it does."""
    known = 0 if last is None else last.size
    if old > size:
        return Said(400)
    if old != known or (last is not None and size == known and root != last.root):
        return Said(409, f"{known}\n", SIZE)
    if last is not None and known and not consistent(known, size, path, last.root, root):
        return Said(422)
    return None
