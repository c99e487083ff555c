"""What was made of the rules is kept for those rules alone, and never trusted where it is not whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.redaction import rules as reading
from gateway.redaction.anchors import graph
from gateway.redaction.engine import Engine
from gateway.redaction.home import folder
from gateway.redaction.kept import Kept
from gateway.redaction.plain import Plain


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that a graph is made of rules."""
    times: list[int] = []

    def counted(*arguments: object) -> object:
        times.append(1)
        return graph(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "graph", counted)
    return times


def found(engine: Engine) -> list[list[tuple[int, int]]]:
    """What an engine finds in its own examples."""
    return [
        [(one.start, one.end) for one in some]
        for some in engine.find([example.text for example in engine.compiled.examples])
    ]


def test_it_is_made_once(few: dict[str, Plain], tmp_path: Path, made: list[int]) -> None:
    """A second engine of the same rules takes what the first made, and finds the same."""
    first, second = Engine(few, where=tmp_path), Engine(few, where=tmp_path)

    assert len(made) == 1
    assert any(found(first))
    assert found(second) == found(first)
    assert [phrase.source for phrase in second.compiled.phrases] == [phrase.source for phrase in first.compiled.phrases]


def test_other_rules_are_made_anew(few: dict[str, Plain], tmp_path: Path, made: list[int]) -> None:
    """One more idiom is other rules."""
    Engine(few, where=tmp_path)
    health = few["HEALTH"]
    assert isinstance(health, dict)
    Engine({**few, "HEALTH": {**health, "idioms": ["a stroke of luck"]}}, where=tmp_path)

    assert len(made) == 2


def test_the_same_rules_in_another_order_are_made_anew(few: dict[str, Plain], tmp_path: Path, made: list[int]) -> None:
    """Phrases are numbered in the order of the rules: what was made of one order would name the wrong ones of another."""
    Engine(few, where=tmp_path).test()
    turned = Engine(dict(reversed(few.items())), where=tmp_path)

    assert len(made) == 2
    turned.test()


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-1], lambda data: b"", lambda data: data[:40] + b"\x00" + data[41:]]
)
def test_what_is_not_whole_is_made_anew(few: dict[str, Plain], tmp_path: Path, made: list[int], spoil: object) -> None:
    """A file that was cut or changed is not used, and is put right."""
    Engine(few, where=tmp_path)
    (path,) = tmp_path.glob("*.graph")
    whole = path.read_bytes()
    assert callable(spoil)
    path.write_bytes(spoil(whole))
    Engine(few, where=tmp_path)

    assert len(made) == 2
    assert path.read_bytes() == whole


def test_only_a_few_are_kept(few: dict[str, Plain], tmp_path: Path) -> None:
    """Old ones go."""
    one = Engine(few).compiled
    assert one.phrases
    tables = Kept(tmp_path, few)
    Engine(few, where=tmp_path)
    known = tables.read()
    assert known is not None
    for number in range(12):
        Kept(tmp_path, {**few, f"own{number}": None}).write(known)

    assert len(list(tmp_path.glob("*"))) == 8


def test_what_was_used_last_stays(few: dict[str, Plain], tmp_path: Path) -> None:
    """Reading one puts it last in the row of those that go."""
    Engine(few, where=tmp_path)
    used = Kept(tmp_path, few)
    known = used.read()
    assert known is not None
    for number in range(12):
        Kept(tmp_path, {**few, f"own{number}": None}).write(known)
        assert used.read() is not None


def test_a_large_one_is_not_pushed_out_by_small_ones(few: dict[str, Plain], tmp_path: Path) -> None:
    """It takes seconds to make, they take none; of large ones, too, only a few are kept."""
    Engine(few, where=tmp_path)
    known = Kept(tmp_path, few).read()
    assert known is not None
    large = [tmp_path / f"{number}.graph" for number in range(6)]
    for age, path in enumerate(reversed(large), 1):
        path.write_bytes(bytes(2**20))
        os.utime(path, (age, age))
    for number in range(12):
        Kept(tmp_path, {**few, f"own{number}": None}).write(known)

    assert [path.exists() for path in large] == [True] * 4 + [False] * 2
    assert len(list(tmp_path.glob("*"))) == 4 + 8


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others could put there would decide what is found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    safe = folder()
    assert safe is not None
    assert safe.stat().st_mode & 0o077 == 0
    safe.chmod(0o777)

    assert folder() is None
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    assert folder() is None
