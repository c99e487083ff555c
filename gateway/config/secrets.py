"""Secrets by reference: read where they are used, and again when their file changes; never in YAML, never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from gateway.errors import Code, UpstreamError

_SECRET = re.compile(r"[\x21-\x7e]{8,4096}").fullmatch
_LARGEST = 8192


LOOK_AGAIN_SECONDS = 1.0


@dataclass(slots=True)
class _File:
    mark: tuple[int, int, int]
    secret: str = field(repr=False)
    looked: float = 0.0


class Secrets:
    """The provider credentials that this configuration may use.

    Args:
        directory: where relative paths begin.
        environment: the process's environment; looked into only for names that an entry gives.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self._files: dict[str, _File] = {}

    def __repr__(self) -> str:
        return "Secrets()"

    def read(self, reference: str) -> str:
        """The secret of `file:PATH` or `environment:NAME`.

        A file is looked at again after `LOOK_AGAIN_SECONDS` and read when it changed, so a credential rotates
        without a restart: write the new one beside it and rename.

        Raises:
            UpstreamError: it is not there, or not one line of printable characters. Nothing was sent.
        """
        kind, _colon, name = reference.partition(":")
        if kind == "file":
            return self._file(name)
        secret = self._environment.get(name, "") if kind == "environment" else ""
        if not _SECRET(secret):
            raise _unreadable()
        return secret

    def _file(self, name: str) -> str:
        now = monotonic()
        known = self._files.get(name)
        if known is not None and now - known.looked < LOOK_AGAIN_SECONDS:
            return known.secret
        path = self._directory / name
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_ino, status.st_size)
            if known is None or known.mark != mark:
                if status.st_size > _LARGEST:
                    raise _unreadable()
                known = _File(mark, path.read_text(encoding="ascii").strip())
        except (OSError, UnicodeDecodeError):
            raise _unreadable() from None
        known.looked = now
        if not _SECRET(known.secret):
            raise _unreadable()
        self._files[name] = known
        return known.secret


def _unreadable() -> UpstreamError:
    return UpstreamError(
        Code.UPSTREAM_FAILED, "the gateway cannot read the credential of this processor", retryable=True
    )
