"""Lists of leaves: what an `erase` or `prune` record names by digest, kept beside the log and handed out with a pack.

A list is JSON in one form, `{"spans":[[start,end],...],"v":1}`: spans [start, end) in order, none touching the next.
It says where records were and not whose, so it stays when they are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import orjson

from gateway.audit.store import StoreFault
from gateway.durable import write_durably

Span = tuple[int, int]
FOLDER = "erasures"


def spans_of(indices: Iterable[int]) -> Iterator[Span]:
    """The spans that hold exactly these indices, which come in rising order."""
    start = end = -1
    for index in indices:
        if index != end:
            if end > start:
                yield start, end
            start = index
        end = index + 1
    if end > start:
        yield start, end


def written_spans(spans: Iterable[Span]) -> bytes:
    """A list in its one form."""
    return orjson.dumps({"spans": [list(span) for span in spans], "v": 1}, option=orjson.OPT_SORT_KEYS)


def read_spans(written: bytes) -> list[Span]:
    """The spans of a list.

    Raises:
        ValueError: it is not in its one form.
    """
    try:
        tree = orjson.loads(written)
        spans = [(int(start), int(end)) for start, end in tree["spans"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ValueError("not a list of leaves") from None
    last = -1
    for start, end in spans:
        if not last < start < end:
            raise ValueError("not a list of leaves")
        last = end
    if written_spans(spans) != written:
        raise ValueError("not a list of leaves")
    return spans


def keep_spans(log: Path, written: bytes) -> str:
    """Keep a list beside the log in directory `log`, durably; its digest.

    Raises:
        StoreFault: it cannot be written.
    """
    digest = sha256(written).hexdigest()
    path = log / FOLDER / f"{digest}.json"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_durably(path, written)
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None
    return digest


def kept_list(log: Path, digest: str) -> bytes:
    """The list of that digest, as it was written.

    Raises:
        StoreFault: it is not kept, or was changed.
    """
    path = log / FOLDER / f"{digest}.json"
    try:
        written = path.read_bytes()
    except OSError as error:
        raise StoreFault(f"{path}: errno {error.errno}") from None
    if sha256(written).hexdigest() != digest:
        raise StoreFault(f"{path}: was changed")
    return written


def kept_spans(log: Path, digest: str) -> list[Span]:
    """The spans of the list of that digest.

    Raises:
        StoreFault: it is not kept, or was changed.
    """
    try:
        return read_spans(kept_list(log, digest))
    except ValueError:
        raise StoreFault(f"{log / FOLDER}: a list has another form") from None
