"""Where machine code is kept."""

from __future__ import annotations

import os
from pathlib import Path

import numba
import numpy as np
import pytest

from gateway.redaction import native
from gateway.redaction.home import code
from gateway.redaction.tables import Bytes


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own. What Numba was told is told again afterwards."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    found = tmp_path / "recognizers"
    found.mkdir()
    monkeypatch.setattr(native, "folder", lambda: found)
    return tmp_path


def told() -> str:
    """What Numba was told."""
    return str(numba.config.CACHE_DIR)  # type: ignore[attr-defined]


def test_it_is_kept_in_the_home(home: Path) -> None:
    """Beside what was made of the rules, for this user alone."""
    assert native._place() is None
    assert told() == str(home / "native" / code())
    assert (home / "native").stat().st_mode & 0o077 == 0


def test_each_state_of_the_code_has_its_own(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Machine code holds a part of other files, at which Numba does not look; of old ones only a few stay."""
    for number in range(native._MOST + 3):
        monkeypatch.setattr(native, "code", lambda number=number: f"{number:064}")
        assert native._place() is None
        os.utime(home / "native" / f"{number:064}", (number, number))

    assert told() == str(home / "native" / f"{number:064}")
    assert len(list((home / "native").iterdir())) == native._MOST


def test_without_a_home_it_is_where_numba_says(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Nothing is decided for Numba."""
    monkeypatch.setattr(native, "folder", lambda: None)

    assert native._place() is None
    assert told() == ""


def test_a_home_that_can_only_be_read_is_copied(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """What an image brought is used from a temporary folder, which goes once all is loaded."""
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(home)))
    assert native._place() is None
    assert told() == ""

    (home / "native" / code()).mkdir(parents=True)
    (home / "native" / code() / "walk.nbi").write_bytes(b"code")
    copy = native._place()
    assert copy is not None
    assert told() == copy.name
    assert (Path(copy.name) / "walk.nbi").read_bytes() == b"code"

    monkeypatch.setattr(native, "_copy", copy)
    native.loaded()
    assert not Path(copy.name).exists()


def test_where_nothing_can_be_kept_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function works that Numba finds no place for."""
    made: list[dict[str, object]] = []

    def njit(**options: object) -> object:
        made.append(options)
        if options.get("cache"):
            raise RuntimeError("no locator")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)

    assert native.native(len)("abc") == 3  # type: ignore[arg-type]
    assert [options.get("cache") for options in made] == [True, None]


def test_arrays_are_read_where_they_are() -> None:
    """Of each kind, with its bounds, and what is written is in the array that was given."""
    line, square = np.arange(5, dtype=np.int32), np.arange(6, dtype=np.int32).reshape(2, 3)
    letters, rows = np.frombuffer(b"abc", np.uint8), np.zeros((2, 2), np.int32)
    signs = np.array([1, 1 << 63], np.uint64)
    table = native.addresses([line, square, letters, rows, signs])

    assert _sums(table) == (5, 10, 2, 12, 3, 99, 63)
    assert rows[1, 1] == 7


@native.native
def _sums(table: native.Addresses) -> tuple[int, int, int, int, int, int, int]:
    line, square = native.numbers_at(table, 0), native.pairs_at(table, 1)
    letters, rows = native.bytes_at(table, 2), native.rows_at(table, 3)
    rows[1, native.counts_at(table, 0)[1]] = 7
    return (
        len(line),
        line[4] + square[1, 0] + square[0, 2] + 1,
        square.shape[0],
        2 * square[1, 2] + 2,
        len(letters),
        letters[2],
        native.whole(native.lowest(native.signs_at(table, 4)[1])),
    )


@pytest.mark.parametrize(("low", "high"), [(0, 255), (97, 122), (48, 48), (255, 255), (0, 0), (128, 200)])
def test_sixty_four_bytes_are_asked_at_once(low: int, high: int) -> None:
    """A bit each, wherever they begin, and for all bytes there are."""
    text = np.arange(300, dtype=np.int64).astype(np.uint8)

    for at in (0, 1, 63, 200, 236):
        asked = int(_within(text, at, low, high))
        assert [asked >> bit & 1 for bit in range(64)] == [low <= byte <= high for byte in text[at : at + 64].tolist()]


@native.native
def _within(text: Bytes, at: int, low: int, high: int) -> np.uint64:
    return native.within(text, at, low, high)


@pytest.mark.parametrize("bits", [0, 1, 1 << 63, 0xF0F0, (1 << 64) - 1])
def test_bits_are_counted(bits: int) -> None:
    """All that are set, of 64."""
    assert _ones(np.uint64(bits)) == bits.bit_count()


@native.native
def _ones(bits: np.uint64) -> int:
    return native.ones(bits)
