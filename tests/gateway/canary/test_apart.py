"""A round without a gateway: what is proposed is tried before it is in force, and nothing of a state is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.simulator import CREDENTIAL
from tests.configuration import write_configuration
from tests.gateway.attest.settings import edit
from tests.houses import UNSCANNED, settings


def _tried(configuration: Path, capsys: pytest.CaptureFixture[str], *names: str) -> tuple[int, list[dict[str, object]]]:
    code = main(["canary", "--apart", "--json", *names, "--config", str(configuration)])
    return code, json.loads(capsys.readouterr().out)


def test_a_draft_is_tried_before_there_is_a_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every trial passes, and there is no state afterwards; of what is in use a draft is no part."""
    configuration = write_configuration(tmp_path, 1, CREDENTIAL)
    edit(configuration, "anthropic", example=True)

    code, (row,) = _tried(configuration, capsys, "simulated-anthropic")

    assert (code, row["processor"], row["verdict"], row["faults"]) == (0, "simulated-anthropic", "pass", [])
    assert int(str(row["calls"])) >= 5
    assert not (tmp_path / "state").exists()


def test_what_could_not_be_looked_at_is_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a redactor nothing is proved, of either of the entries that are in use, and the exit code says so."""
    configuration = write_configuration(tmp_path, 1, CREDENTIAL, settings=settings(**UNSCANNED))

    code, rows = _tried(configuration, capsys)

    assert code == 1
    assert {row["processor"]: row["verdict"] for row in rows} == {
        "simulated-anthropic": "inconclusive",
        "simulated-openai": "inconclusive",
    }
