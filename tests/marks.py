"""A marked word for each place, and a search that finds it in whatever form it was written down."""

from __future__ import annotations

import base64
import copy
import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from providers.document import Document, Value

WORD = "qzvkxjwhbq"
"""In no language, in no library; every mark begins with it, so one search finds them all."""


@dataclass(slots=True)
class Marks:
    """Hands out marks and remembers what each was put into."""

    places: dict[str, str] = field(default_factory=dict)

    def mark(self, place: str) -> str:
        """A fresh marked word for that place."""
        mark = f"{WORD}{len(self.places):04d}"
        self.places[mark] = place
        return mark


def sown(document: Document, marks: Marks, operation: str) -> Iterator[Document]:
    """The document once for each string and key in it, that one marked."""
    for path in _places(document):
        mark = marks.mark(f"{operation} {path}")
        tree = copy.deepcopy(document)
        at: Value = tree
        *front, last = path
        for step in front:
            at = at[step]  # type: ignore[index, call-overload]  # a path of this very tree
        if isinstance(last, tuple):  # a key: the same value under a marked name
            assert isinstance(at, dict)
            at[mark] = at.pop(last[0])
        else:
            at[last] = f"{at[last]} {mark}" if " " in str(at[last]) else mark  # type: ignore[index, call-overload]
        yield tree


def _places(value: Value, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, (key,))
            yield from _places(item, (*path, key))


def _base64_cores(raw: bytes) -> Iterator[bytes]:
    """What base64 makes of the word at each of three alignments, without the edges that its neighbours share."""
    for lead in range(3):
        coded = base64.b64encode(b"\0" * lead + raw)
        start = (lead * 8 + 5) // 6
        whole = (lead + len(raw)) * 8 // 6
        yield coded[start:whole]


def forms(word: str = WORD) -> list[bytes]:
    """The word raw, as JSON and URL escapes, in base64, hex, UTF-16 and UTF-32."""
    raw = word.encode("ascii")
    found = [raw, raw[::-1]]
    found += ["".join(f"\\u{ord(letter):04x}" for letter in word).encode()]
    found += ["".join(f"%{ord(letter):02x}" for letter in word).encode()]
    found += [raw.hex().encode(), " ".join(f"{byte:02x}" for byte in raw).encode()]
    found += [word.encode("utf-16-le"), word.encode("utf-16-be"), word.encode("utf-32-le")]
    return found + list(_base64_cores(raw)) + list(_base64_cores(word.upper().encode()))


_SEARCH = re.compile(b"|".join(map(re.escape, forms())), re.IGNORECASE)


def leaks(artefact: bytes) -> list[str]:
    """What of the marks is in these bytes: the surroundings of each hit, also within compressed members."""
    hits = [repr(artefact[max(0, hit.start() - 60) : hit.end() + 20]) for hit in _SEARCH.finditer(artefact)]
    for start in (hit.start() for hit in re.finditer(rb"\x1f\x8b\x08", artefact)):
        try:
            hits += leaks(zlib.decompressobj(31).decompress(artefact[start:], 1 << 24))
        except zlib.error:
            continue
    return hits


def planted() -> dict[str, bytes]:
    """The word as each encoding would leave it behind, amid other text: what the search must find."""
    word = f"a {WORD}0042 z"
    raw = word.encode()
    found = {f"base64 shifted by {lead}": base64.b64encode(b"x" * lead + raw) for lead in range(3)}
    bundle = io.BytesIO()
    with tarfile.open(fileobj=bundle, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f"core-{WORD}"))
    return found | {
        "raw": raw,
        "upper case": raw.upper(),
        "JSON": json.dumps({"message": word}).encode(),
        "JSON escapes": "".join(f"\\u{ord(letter):04X}" for letter in word).encode(),
        "URL escapes": "".join(f"%{ord(letter):02X}" for letter in word).encode(),
        "hex": raw.hex().encode(),
        "UTF-16": word.encode("utf-16"),
        "gzip": b"before" + gzip.compress(raw) + b"after",
        "a file's name": bundle.getvalue(),
        "a repr": repr(raw).encode(),
    }
