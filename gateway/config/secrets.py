"""Secrets by reference: read where they are used, and again when their file changes; never in YAML, never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import Code, UpstreamError

_SECRET = re.compile(r"[\x21-\x7e]{8,4096}").fullmatch
_LARGEST = 8192


class Secrets:
    """The provider credentials that this configuration may use.

    Args:
        directory: where relative paths begin.
        environment: the process's environment; looked into only for names that an entry gives.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self._files: dict[str, tuple[tuple[int, int, int], str, str]] = {}

    def __repr__(self) -> str:
        return "Secrets()"

    def read(self, reference: str) -> str:
        """The secret of `file:PATH` or `environment:NAME`.

        A file is looked at on every call (one `stat`) and read again when it changed, so a credential rotates
        without a restart: write the new one beside it and rename.

        Raises:
            UpstreamError: it is not there, or not one line of printable characters. Nothing was sent.
        """
        kind, _colon, name = reference.partition(":")
        secret = (
            self._file(name) if kind == "file" else self._environment.get(name, "") if kind == "environment" else ""
        )
        if not _SECRET(secret):
            raise _unreadable()
        return secret

    def _file(self, name: str) -> str:
        known = self._files.get(name)
        path = str(self._directory / name) if known is None else known[2]
        try:
            status = os.stat(path)  # noqa: PTH116  # on every call; a Path costs four times the look itself
            mark = (status.st_mtime_ns, status.st_ino, status.st_size)
            if known is not None and known[0] == mark:
                return known[1]
            if status.st_size > _LARGEST:
                raise _unreadable()
            secret = Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise _unreadable() from None
        self._files[name] = (mark, secret, path)
        return secret


def _unreadable() -> UpstreamError:
    return UpstreamError(
        Code.UPSTREAM_FAILED, "the gateway cannot read the credential of this processor", retryable=True
    )
