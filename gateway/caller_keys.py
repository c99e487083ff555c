"""The caller keys that `gateway keys` issued or revoked: one small file in the state, digests only.

The file (0600) is replaced as a whole, under a lock, so a reader sees the old one or the new one. A revocation
also covers a key that `callers.yaml` lists. What cannot be read counts as no keys at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import orjson

from gateway.durable import locked, write_durably
from gateway.keys import CallerKey
from gateway.policy.forms import Digest, Form, Id, Instant, read

FILE = "caller_keys.json"
Mark = tuple[int, int, int]


class KeysUnreadable(Exception):
    """The file is there but is not what this program writes. The text names the file and nothing of it."""


class _KeyForm(Form):
    id: Id
    caller: Id
    sha256: Digest
    created: Instant
    expires: Instant | None = None


class _FileForm(Form):
    version: int
    keys: tuple[_KeyForm, ...]
    revoked: Mapping[Id, Instant]


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key by its public id; its text was shown once and is nowhere."""

    id: str
    caller: str
    sha256: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedKeys:
    """What the file holds: keys in the order of their issue, and every revocation (key id -> since when)."""

    keys: tuple[IssuedKey, ...] = ()
    revoked: Mapping[str, datetime] | None = None

    @property
    def revocations(self) -> Mapping[str, datetime]:
        """Key id -> since when."""
        return {} if self.revoked is None else self.revoked


class KeyFile:
    """The file of one state directory. Any number of processes may read and write it."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE

    def mark(self) -> Mark | None:
        """What changes whenever the file does; None where there is none. One `stat`."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def read(self) -> IssuedKeys:
        """Everything in the file; nothing where there is none.

        Raises:
            KeysUnreadable: damaged, or not ours to read.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return IssuedKeys()
        except OSError:
            raise KeysUnreadable(f"{self._path}: cannot be read") from None
        try:
            tree = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise KeysUnreadable(f"{self._path}: is damaged; restore it, or remove it and issue new keys") from None
        form = read(_FileForm, tree, lambda _path, _reason: None)
        if form is None or form.version != 1:
            raise KeysUnreadable(f"{self._path}: is not of this version")
        keys = tuple(
            IssuedKey(item.id, item.caller, item.sha256, item.created, item.expires, form.revoked.get(item.id))
            for item in form.keys
        )
        return IssuedKeys(keys, dict(form.revoked))

    def add(self, caller: str, key: CallerKey, created: datetime, expires: datetime | None) -> None:
        """Keep the digest of a fresh key; it is valid at once.

        Raises:
            KeysUnreadable: the file is damaged; nothing was written.
        """
        with locked(self._path.with_suffix(".lock")):
            held = self.read()
            issued = IssuedKey(key.key_id, caller, key.digest, created, expires)
            self._write(replace(held, keys=(*held.keys, issued)))

    def revoke(self, key_id: str, now: datetime) -> None:
        """Refuse a key from now on, within a second, wherever it was listed. Again has no effect.

        Raises:
            KeysUnreadable: the file is damaged; nothing was written.
        """
        with locked(self._path.with_suffix(".lock")):
            held = self.read()
            self._write(replace(held, revoked={key_id: now, **held.revocations}))

    def _write(self, held: IssuedKeys) -> None:
        tree = {
            "version": 1,
            "keys": [
                {"id": key.id, "caller": key.caller, "sha256": key.sha256, "created": _spelled(key.created)}
                | ({} if key.expires is None else {"expires": _spelled(key.expires)})
                for key in held.keys
            ],
            "revoked": {key_id: _spelled(since) for key_id, since in held.revocations.items()},
        }
        write_durably(self._path, orjson.dumps(tree, option=orjson.OPT_INDENT_2))


def _spelled(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
