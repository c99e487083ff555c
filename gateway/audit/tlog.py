"""The formats of C2SP logs: signed notes, checkpoints, tiles and entry bundles.

* c2sp.org/signed-note v1.0.0: a text, a blank line, one line a signature.
* c2sp.org/tlog-checkpoint v1.0.0: the note's text is origin, size and root.
* c2sp.org/tlog-tiles (main of 2026-07-22): hashes in tiles of 256, entries in bundles of 256.

Pure functions of bytes; signing itself is `gateway.keys`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from gateway.audit.merkle import HASH_BYTES
from gateway.keys import Signer

TILE = 256
"""Hashes of a full tile, entries of a full bundle."""

ED25519 = 0x01
_ORIGIN = re.compile(r"[!-*,-~]+")  # no space, no plus, no control character


class NotACheckpoint(Exception):
    """Text is no checkpoint of ours. The message says what is wrong, never what was there."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, how many leaves it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text that is signed: three lines, each with its newline, and no extension lines."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode('ascii')}\n"

    def sign(self, signer: Signer) -> str:
        """The signed note under the log's own name."""
        return (
            f"{self.text()}\n{signature_line(self.origin, ED25519, signer.public, signer.sign(self.text().encode()))}"
        )

    @classmethod
    def parse(cls, note: str) -> Checkpoint:
        """The checkpoint of a note whose signatures are not looked at.

        Raises:
            NotACheckpoint: it has another form.
        """
        text, blank, _signatures = note.rpartition("\n\n")
        lines = text.split("\n")
        if not blank or len(lines) != 3:
            raise NotACheckpoint("a checkpoint is three lines, a blank one, and signatures")
        try:
            root = b64decode(lines[2], validate=True)
        except (NotBase64, ValueError):
            raise NotACheckpoint("the root is not base64") from None
        if not re.fullmatch(r"0|[1-9]\d{0,18}", lines[1], re.ASCII) or len(root) != HASH_BYTES:
            raise NotACheckpoint("the size or the root has another form")
        checkpoint = cls(lines[0], int(lines[1]), root)
        if checkpoint.text() != f"{text}\n":
            raise NotACheckpoint("the text is not in its one form")
        return checkpoint


def check_origin(origin: str) -> None:
    """Refuse a name that a log cannot have.

    Raises:
        ValueError: it holds a space, a plus, a control character, or nothing; or ends with a slash.
    """
    if not _ORIGIN.fullmatch(origin) or origin.endswith("/"):
        raise ValueError("a log's origin is a URL without scheme: no space, no plus, no slash at the end")


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The 4 bytes by which a note names a key (signed-note, "Signatures")."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def signature_line(name: str, kind: int, public: bytes, payload: bytes) -> str:
    """A signature as a line of a note, with its newline."""
    return f"— {name} {b64encode(key_id(name, kind, public) + payload).decode('ascii')}\n"


def verifier_key(name: str, public: bytes, kind: int = ED25519) -> str:
    """A key as others configure it: `name+ID+KEY` (signed-note, "Verifier keys")."""
    written = b64encode(bytes([kind]) + public).decode("ascii")
    return f"{name}+{key_id(name, kind, public).hex()}+{written}"


def tile_path(level: int, position: int, width: int = TILE) -> str:
    """Where a tile is served, from the log's prefix on. `width` below 256 is a partial tile."""
    return f"tile/{level}/{_position(position)}{_partial(width)}"


def bundle_path(position: int, width: int = TILE) -> str:
    """Where an entry bundle is served; positions as of tiles at level 0."""
    return f"tile/entries/{_position(position)}{_partial(width)}"


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle: each with its length before it, 16 bits big-endian.

    Raises:
        OverflowError: an entry is longer than 65,535 bytes.
    """
    return b"".join([len(entry).to_bytes(2) + entry for entry in entries])


def unbundle(written: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        ValueError: it ends within an entry.
    """
    entries, at = [], 0
    while at < len(written):
        end = at + 2 + int.from_bytes(written[at : at + 2])
        if end > len(written):
            raise ValueError("the bundle ends within an entry")
        entries.append(written[at + 2 : end])
        at = end
    return entries


def widths(size: int) -> list[int]:
    """The width of the partial tile at each level of a log of `size` leaves, from level 0; 0 is none."""
    found = []
    while size:
        found.append(size % TILE)
        size //= TILE
    return found


def _position(position: int) -> str:
    """Three digits at a time, all but the last group marked: 1234067 is x001/x234/067."""
    text = f"{position % 1000:03d}"
    while position >= 1000:
        position //= 1000
        text = f"x{position % 1000:03d}/{text}"
    return text


def _partial(width: int) -> str:
    if not 1 <= width <= TILE:
        raise ValueError("a tile has 1 to 256 hashes")
    return "" if width == TILE else f".p/{width}"
