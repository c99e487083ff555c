"""The configurations that were in force, by digest: what an auditor reads the records against.

A boot or configuration record names the digest; the file of that name is what the digest is of.
It holds agreements, countries, models and rules: facts of the operator, no secret and no person.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from gateway.audit.store import StoreFault


def keep_configuration(log: Path, digest: str, preimage: bytes) -> None:
    """Keep a configuration beside the log, durably, before anything is decided by it.

    Raises:
        StoreFault: it cannot be kept, or is not what the digest is of.
    """
    if sha256(preimage).hexdigest() != digest:
        raise StoreFault("a configuration's digest is not of it")
    path = _directory(log) / f"{digest}.json"
    try:
        log.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.exists() and path.read_bytes() == preimage:
            return
        staged = path.with_suffix(".new")
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(preimage)
            file.flush()
            os.fsync(descriptor)
        staged.replace(path)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None


def kept_configuration(log: Path, digest: str) -> bytes | None:
    """The configuration of that digest, if it was kept."""
    path = _directory(log) / f"{digest}.json"
    return path.read_bytes() if path.exists() else None


def kept_digests(log: Path) -> list[str]:
    """The digests of all that were kept."""
    return sorted(path.stem for path in _directory(log).glob("*.json"))


def _directory(log: Path) -> Path:
    return log / "configurations"
