"""The formats, byte for byte: against other implementations' vectors and the specifications' own examples."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from typing import cast

import pytest

from gateway.audit.edge import Edge
from gateway.audit.log_store import Batch
from gateway.audit.merkle import HASH_BYTES, fold, perfect_root
from gateway.audit.tlog import (
    Checkpoint,
    NotACheckpoint,
    bundle,
    bundle_path,
    check_origin,
    tile_path,
    unbundle,
    verifier_key,
    widths,
)
from gateway.keys import Signer
from tests.vectors import vectors

TESSERA = vectors("tessera")
SUNLIGHT = vectors("sunlight")
SIGNER = Signer(b64decode(cast(str, TESSERA["signer"]).split("+", 4)[4])[1:])
ORIGIN = "example.com/log/testdata"


def test_another_logs_files_are_rebuilt_byte_for_byte() -> None:
    """From its entries and its key: all 16 checkpoints, 15 tiles and 15 bundles of Tessera's test log."""
    entries = [word.encode() for word in cast(list[str], TESSERA["entries"])]
    edge = Edge()
    made = {"checkpoint.0": Checkpoint(ORIGIN, 0, edge.root).sign(SIGNER).encode()}
    for entry in entries:
        batch = Batch()
        edge.append([entry], batch)
        made[tile_path(0, 0, edge.size)] = batch.tiles[0, 0]
        made[bundle_path(0, edge.size)] = batch.bundles[0]
        made[f"checkpoint.{edge.size}"] = Checkpoint(ORIGIN, edge.size, edge.root).sign(SIGNER).encode()
    made["checkpoint"] = made["checkpoint.15"]

    assert {name: sha256(content).hexdigest() for name, content in made.items()} == TESSERA["files"]


def test_another_logs_key_is_written_as_it_writes_it() -> None:
    """The verifier key is that of Tessera's test log."""
    assert verifier_key(ORIGIN, SIGNER.public) == TESSERA["verifier"]


def test_another_mirrors_tiles_give_the_root_that_it_signed() -> None:
    """A full tile, a partial one and the level above them fold to the root of Sunlight's checkpoint of 300."""
    tiles = {name: b64decode(text) for name, text in cast(dict[str, str], SUNLIGHT["tiles"]).items()}
    full, rest = (
        [tiles[name][at : at + HASH_BYTES] for at in range(0, len(tiles[name]), HASH_BYTES)]
        for name in ("0/000", "0/001.p/44")
    )

    assert perfect_root(full) == tiles["1/000.p/1"]
    assert (
        fold([perfect_root(full), perfect_root(rest[:32]), perfect_root(rest[32:40]), perfect_root(rest[40:44])])
        == Checkpoint.parse(cast(str, SUNLIGHT["checkpoint"])).root
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (tile_path(0, 0), "tile/0/000"),
        (tile_path(0, 1234067), "tile/0/x001/x234/067"),
        (tile_path(1, 999, 17), "tile/1/999.p/17"),
        (tile_path(2, 1000), "tile/2/x001/000"),
        (bundle_path(273, 112), "tile/entries/273.p/112"),
    ],
)
def test_paths_are_those_of_the_specification(path: str, expected: str) -> None:
    """Groups of three digits, all but the last marked."""
    assert path == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(0, []), (255, [255]), (256, [0, 1]), (70_000, [112, 17, 1]), (300, [44, 1])]
)
def test_partial_widths_are_those_of_the_specification(size: int, expected: list[int]) -> None:
    """Worked sizes of tlog-tiles."""
    assert widths(size) == expected


@pytest.mark.parametrize("width", [0, 257])
def test_a_tile_has_no_other_width(width: int) -> None:
    """One to 256."""
    with pytest.raises(ValueError, match="1 to 256"):
        tile_path(0, 0, width)


def test_bundles_are_read_as_they_are_written() -> None:
    """Entries of every length come back; a bundle that ends within one is refused; a longer one is not written."""
    entries = [b"", b"x", bytes(255), bytes(65_535)]

    assert unbundle(bundle(entries)) == entries
    with pytest.raises(ValueError, match="within an entry"):
        unbundle(bundle(entries)[:-1])
    with pytest.raises(OverflowError):
        bundle([bytes(65_536)])


GOOD = Checkpoint("log.example/eu", 7, bytes(32))


def test_a_checkpoint_is_read_as_it_is_written() -> None:
    """Origin, size and root come back, whoever signed."""
    assert Checkpoint.parse(GOOD.sign(SIGNER)) == GOOD
    assert Checkpoint.parse(GOOD.sign(SIGNER) + "— other.example AAAA\n") == GOOD


@pytest.mark.parametrize(
    "text",
    {
        "no signatures": GOOD.text(),
        "a size with a leading zero": GOOD.sign(SIGNER).replace("\n7\n", "\n07\n"),
        "a negative size": GOOD.sign(SIGNER).replace("\n7\n", "\n-7\n"),
        "digits of another script": GOOD.sign(SIGNER).replace("\n7\n", "\n\u0667\n"),
        "a short root": GOOD.sign(SIGNER).replace("AAAA=", "="),
        "a root with spaces": GOOD.sign(SIGNER).replace("AAAA=", " AAA="),
        "an extension line": GOOD.sign(SIGNER).replace("\n\n", "\nmore\n\n"),
        "only two lines": GOOD.sign(SIGNER).replace("\n7\n", "\n"),
        "nothing": "",
    }.items(),
    ids=lambda item: item[0],
)
def test_nothing_else_is_a_checkpoint(text: tuple[str, str]) -> None:
    """Every other form is refused, and the refusal does not repeat it."""
    with pytest.raises(NotACheckpoint):
        Checkpoint.parse(text[1])


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a/", "a\nb", "é"])
def test_a_log_has_no_such_name(origin: str) -> None:
    """No space, no plus, no control character, no slash at the end."""
    with pytest.raises(ValueError, match="origin"):
        check_origin(origin)
