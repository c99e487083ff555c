"""Approving a structured-output schema: looked at by the redactor as a whole, then kept under `schemas/`.

An approved schema leaves unscanned and providers keep it, so nothing that the redactor finds may be in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import orjson

from gateway.policy.schemas import NotASchema, canonical_digest, extract
from providers.document import Document, NotStrict, Value, parse

FOLDER = "schemas"
Scan: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[object]]]
"""Texts -> the findings of each."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}").fullmatch
_SEPARATORS = re.compile(r"[_\-.]+|(?<=[a-z0-9])(?=[A-Z])")


class NotApproved(ValueError):
    """The schema was not approved. The message is for the operator who gave it, and quotes nothing of it."""


def approve(directory: Path, file: Path, scan: Scan, name: str | None = None) -> tuple[Path, str]:
    """Approve the schema in `file` (bare, or inside a response format, a tool or a function).

    Args:
        directory: the configuration.
        scan: the redactor; nothing may be found.
        name: of the new file, without `.json`; by default that of `file`.

    Returns:
        The file under `schemas/`, and the schema's canonical digest.

    Raises:
        NotApproved: no schema, a finding, a name that is taken by another schema, or a folder that cannot be written.
    """
    name = re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_") if name is None else name
    if not _NAME(name):
        raise NotApproved("a name is lower-case letters, digits, - and _; give one with --name")
    try:
        schema = extract(parse(file.read_bytes()))
    except OSError:
        raise NotApproved(f"{file}: cannot be read") from None
    except (NotStrict, NotASchema) as fault:
        raise NotApproved(f"{file}: {fault}") from None
    texts = list(_texts(schema))
    found = [
        path for (path, _text), findings in zip(texts, scan([text for _path, text in texts]), strict=True) if findings
    ]
    if found:
        places = ", ".join(dict.fromkeys(found))
        raise NotApproved(f"{file}: the redactor finds special-category data at {places}; a schema may hold none")
    target = directory / FOLDER / f"{name}.json"
    digest = canonical_digest(schema)
    if target.exists() and digest not in dict(approved(directory)).values():
        raise NotApproved(f"{target}: is another schema; give a new name with --name, or remove that file first")
    _write(target, schema)
    return target, digest


def approved(directory: Path) -> Iterator[tuple[str, str]]:
    """(file name, canonical digest) of each approved schema, in order of names."""
    for path in sorted((directory / FOLDER).glob("*.json")):
        yield path.name, canonical_digest(extract(parse(path.read_bytes())))


def _texts(value: Value, at: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of every string, keys included. A place counts keys, since a key may itself be the finding."""
    if isinstance(value, str):
        yield at or "the schema", _spaced(value)
    elif isinstance(value, dict):
        for index, (key, item) in enumerate(value.items()):
            place = f"{at}.?{index}" if at else f"?{index}"
            yield place, _spaced(key)
            yield from _texts(item, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{at}[{index}]")


def _spaced(text: str) -> str:
    """Identifiers as words: `hasDiabetes` and `has_diabetes` say what they say."""
    return _SEPARATORS.sub(" ", text) if " " not in text else text


def _write(target: Path, schema: Document) -> None:
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        staged.replace(target)
    except OSError:
        raise NotApproved(f"{target}: cannot be written") from None
