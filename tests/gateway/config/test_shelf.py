"""What is kept of files between two readings never hides a fault, and never outlives what it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.shelf import Shelf
from gateway.errors import ConfigurationError
from tests.gateway.config.small import FILES, NOW, WIRES, write

P, T, G, S = "processors/toy-eu.yaml", "tenants.yaml", "gateway.yaml", "surfaces/toy.yaml"


def reload(directory: Path, shelf: Shelf) -> list[str]:
    try:
        load(directory, {}, wires=WIRES, clock=lambda: NOW, shelf=shelf)
    except ConfigurationError as error:
        return [fault.key for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("name", "old", "new", "key"),
    [
        pytest.param(T, "[toy-eu]", "[toy-us]", "tenants.t-ca.processors[0]", id="a name that another file lacks"),
        pytest.param(T, "status: cancelled", "status: x", "tenants.t-gone.status", id="a tenant's form"),
        pytest.param(P, "[Ada, Grace]", "[Ada]", "agreements[0].approvers", id="an entry's facts"),
        pytest.param(P, "cache: explicit", "cache: other", "models[0].traits.cache", id="an entry and its surface"),
        pytest.param(G, "region: test", "region: test\nnotice_days: 45", "notice.days", id="an entry and a setting beside it"),
        pytest.param(P, "name: Toy Ltd", "name: [", "(file)", id="a file that is no YAML"),
        pytest.param(S, '"wire": "toy"', '"wire": "other"', "wire", id="a surface"),
    ],
)  # fmt: skip
def test_a_fault_is_told_each_time(tmp_path: Path, name: str, old: str, new: str, key: str) -> None:
    """A fault that was told once is told again at the next reading, and gone when it is mended."""
    shelf = Shelf()
    broken = FILES[name].replace(old, new, 1)

    told = [reload(write(tmp_path, **{name: text}), shelf) for text in (FILES[name], broken, broken, FILES[name])]

    assert told[0] == told[3] == []
    assert key in told[1]
    assert told[1] == told[2]


def test_a_surface_that_did_not_change_is_the_same(tmp_path: Path) -> None:
    """It is most of the work of a reading, and changes least; one that did change is another."""
    shelf, surfaces = Shelf(), []
    for changed in ({}, {P: FILES[P].replace("Toy Ltd", "Toy Limited")}, {S: FILES[S] + " "}):
        directory = write(tmp_path, **changed)
        surfaces.append(load(directory, {}, wires=WIRES, clock=lambda: NOW, shelf=shelf).surfaces["toy"])

    assert surfaces[0] is surfaces[1]
    assert surfaces[1] is not surfaces[2]


def test_a_processor_that_is_gone_makes_its_tenants_faulty(tmp_path: Path) -> None:
    """Tenants that did not change are judged again by the names that other files give now."""
    shelf = Shelf()
    second = {"processors/toy-two.yaml": FILES[P].replace("id: toy-eu", "id: toy-two"), T: FILES[T].replace("[toy-eu]", "[toy-two]")}  # fmt: skip
    directory = write(tmp_path, **second)

    before = reload(directory, shelf)
    (directory / "processors/toy-two.yaml").unlink()
    after = reload(directory, shelf)

    assert (before, after) == ([], ["tenants.t-ca.processors[0]"])
