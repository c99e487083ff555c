"""`diff` and `change` as people run them, from no change control to a second approved configuration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a private copy of the shipped configuration in `config`."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


def verb(home: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, answer, and what was said beside it."""
    code = main([*arguments, "--config", str(home / "config")])
    said = capsys.readouterr()
    return code, said.out.strip(), said.err


def test_from_nothing_to_a_second_configuration(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys, first configuration, a change that is refused until it is approved, and its history."""
    run = lambda *arguments: verb(home, *arguments, capsys=capsys)  # noqa: E731  # one word for what follows
    settings, processor = home / "config" / "gateway.yaml", home / "config" / "processors" / "openai-eu.yaml"

    assert run("change", "propose")[0] == 1
    assert "change control is off" in run("check")[1]
    keys = [run("change", "key", str(home / f"{name}.key"))[1] for name in ("ada", "grace")]
    assert run("change", "key", str(home / "ada.key"))[0] == 2
    lines = "".join(f"    - {{id: a{index}, {key}}}\n" for index, key in enumerate(keys))
    residency = "  residency: [[WORLD]]\n  approvers:\n"
    settings.write_text(settings.read_text("utf-8") + f"change:\n{residency}{lines}", "utf-8")
    assert run("check")[0] == 1

    code, first, _err = run("change", "propose")
    assert (code, len(first)) == (0, 64)
    assert run("change", "apply", first)[0] == 1
    assert run("change", "approve", first, "--key", str(home / "ada.key"))[0] == 0
    code, _out, err = run("change", "approve", first, "--key", str(home / "ada.key"))
    assert (code, "approved it already" in err) == (1, True)
    assert run("change", "approve", first[:16], "--key", str(home / "grace.key"))[0] == 0
    assert run("change", "apply", first)[0] == 0
    code, out, _err = run("check")
    assert (code, "change control is on" in out) == (0, True)

    processor.unlink()
    code, out, _err = run("check")
    assert (code, "openai-eu.yaml" in out) == (1, True)
    code, second, err = run("change", "propose", "--days", "1")
    assert (code, "takes no traffic" in err) == (0, True)
    assert run("change", "approve", second, "--key", str(home / "grace.key"))[0] == 0
    assert run("change", "apply", second)[0] == 0
    assert run("check")[0] == 0

    history = json.loads(run("change", "history", "--json")[1])
    assert [(item["number"], item["state"], len(item["approved_by"])) for item in history] == [
        (0, "applied", 2),
        (1, "applied", 1),
    ]
    assert history[1]["parent"] == history[0]["digest"]
    chain = home / ".state" / "changes" / "chain.jsonl"
    chain.write_bytes(chain.read_bytes().replace(b'"number":1', b'"number":2'))
    assert run("change", "history")[0] == 1


def test_apply_wants_the_files_in_place(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A proposal of another directory is applied only once its files are those of the gateway."""
    run = lambda *arguments: verb(home, *arguments, capsys=capsys)  # noqa: E731
    keys = [run("change", "key", str(home / f"{name}.key"))[1] for name in ("ada", "grace")]
    lines = "".join(f"    - {{id: a{index}, {key}}}\n" for index, key in enumerate(keys))
    other = home / "proposed"
    shutil.copytree(home / "config", other)
    settings = other / "gateway.yaml"
    text = settings.read_text("utf-8") + f"change:\n  residency: [[WORLD]]\n  approvers:\n{lines}"
    settings.write_text(text, "utf-8")

    _code, proposal, _err = run("change", "propose", "--with", str(other))
    for name in ("ada", "grace"):
        assert run("change", "approve", proposal, "--key", str(home / f"{name}.key"))[0] == 0
    before = run("change", "apply", proposal)
    shutil.copy(settings, home / "config" / "gateway.yaml")
    after = run("change", "apply", proposal)

    assert (before[0], "put its files there first" in before[2]) == (1, True)
    assert after[0] == 0


def test_diff_of_two_directories(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What differs, how many must approve it, and that there are no records to decide again."""
    other = home / "other"
    shutil.copytree(home / "config", other)
    path = other / "processors" / "simulated-openai.yaml"
    path.write_text(path.read_text("utf-8").replace("example: true\n", ""), "utf-8")

    code, out, _err = verb(home, "diff", "--with", str(other), capsys=capsys)

    assert code == 0
    assert "1 change, which together needs 2 different approvers" in out
    assert "processor simulated-openai is added" in out
    assert "processors gained: simulated-openai" in out
    assert "no records of the past can be read here" in out
