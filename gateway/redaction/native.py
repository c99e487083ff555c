"""Functions over arrays as machine code, by Numba: it takes seconds to make, and is kept as what is made of rules is.

What is kept follows from the source, the processor and Numba's version; Numba sees to that. Where the home can be
read but not written to, as in a container, a copy in a temporary folder is used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba

from gateway.redaction.kept import folder

_F = TypeVar("_F", bound="Callable[..., object]")


def native(function: _F) -> _F:
    """The function as machine code: made when it is first called, if it is not kept. It must make no array."""
    try:
        return _compiled(function, cache=True)
    except RuntimeError:  # there is nowhere to keep it
        return _compiled(function)


def _compiled(function: _F, **options: bool) -> _F:
    """References are not counted: each call of one function by another would count those of all arrays."""
    return cast("Callable[..., Callable[[_F], _F]]", numba.njit)(forceinline=True, _nrt=False, **options)(function)


def _place() -> tempfile.TemporaryDirectory[str] | None:
    """Say where it is kept; the temporary folder, if that is one."""
    home = folder()
    if home is None:
        return None
    kept = home.parent / "native"
    try:
        if os.access(home.parent, os.W_OK):
            kept.mkdir(mode=0o700, exist_ok=True)
            _keep_in(str(kept))
        elif kept.is_dir():
            copy = tempfile.TemporaryDirectory(prefix="llm-gateway-")
            shutil.copytree(kept, Path(copy.name), dirs_exist_ok=True)
            _keep_in(copy.name)
            return copy
    except OSError:  # there is no place: it is made at each start
        return None
    return None


def _keep_in(where: str) -> None:
    numba.config.CACHE_DIR = where  # type: ignore[attr-defined]  # the module fills itself when it is imported


_copy = _place()


def loaded() -> None:
    """All functions were called once: the temporary folder is needed no longer."""
    if _copy is not None:
        _copy.cleanup()
