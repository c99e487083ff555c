"""The schema for editors: it is the program's own, and takes whatever the program takes."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import orjson
import pytest
import yaml

from gateway.policy.editor import processor_schema
from tests.configuration import entry
from tests.gateway.config.small import FILES
from tests.gateway.policy.test_processors import ENTRY

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "config/processors").glob("*.yaml"))


class Core(yaml.SafeLoader):
    """Reads dates as text, as YAML 1.2 and editors do."""


Core.yaml_implicit_resolvers = {
    letter: [(tag, found) for tag, found in resolvers if not tag.endswith(":timestamp")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def faults(tree: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(orjson.loads(processor_schema()))
    return [error.json_path for error in validator.iter_errors(tree)]


def test_the_published_schema_is_the_programs() -> None:
    """`config/processor.schema.json` is what `gateway processors schema` prints."""
    assert (ROOT / "config/processor.schema.json").read_bytes() == processor_schema()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_fits(path: Path) -> None:
    """No editor marks a file that the program takes."""
    assert faults(yaml.load(path.read_text("utf-8"), Core)) == []  # noqa: S506  # a safe loader


def test_whole_entries_fit() -> None:
    """Nor those that the tests write, in YAML or in JSON."""
    tree = yaml.load(FILES["processors/toy-eu.yaml"], Core)  # noqa: S506  # a safe loader

    assert [faults(tree), faults(ENTRY), faults(entry("openai", "https://x.example", ["m"]))] == [[], [], []]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"status": "active"}, "$", id="a typed state"),
        pytest.param({"review_by": "31.12.2026"}, "$.review_by", id="a date in another order"),
        pytest.param({"countries": {"processing": ["EU"]}}, "$.countries.processing[0]", id="a vendor's label"),
        pytest.param({"countries": {"processing": []}}, "$.countries.processing", id="no country"),
        pytest.param({"suspended": "yes"}, "$.suspended", id="yes for true"),
        pytest.param({"models": [{"id": "toy-*", "retention_class": "zero"}]}, "$.models[0].id", id="a pattern"),
        pytest.param({"models": [{"id": "toy", "retention_class": "none"}]}, "$.models[0].retention_class", id="a class that is none"),
        pytest.param({"notice": {"announced": "2026-01-01", "days": 30, "effective": "2026-02-01"}}, "$.notice", id="no evidence of the notice"),
    ],
)  # fmt: skip
def test_an_editor_marks_what_is_wrong(change: dict[str, object], path: str) -> None:
    """What the form forbids, the schema forbids at the same place."""
    assert faults({**ENTRY, **change}) == [path]
