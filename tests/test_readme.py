"""The README says what the program does: its tables and commands are held against it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gateway.cli import VERBS, parser
from gateway.errors import Code

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(start: str) -> list[list[str]]:
    """The cells of the table whose head row begins with `start`."""
    lines = README[README.index(start) :].splitlines()
    table = [line for line in lines[2 : next(i for i, line in enumerate(lines) if not line.startswith("|"))]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_refusals_is_the_programs() -> None:
    """Every code, its status and whether it may be sent again."""
    shown = {cells[0].strip("`"): (int(cells[1]), cells[2] == "yes") for cells in rows("| code | status |")}

    assert shown == {code.value: (code.status, code.retryable) for code in Code}


def test_every_verb_that_is_named_exists_and_every_verb_is_named() -> None:
    """No command of the README is missing from the program, nor the other way round."""
    named = {" ".join(match.split()) for match in re.findall(r"`(?:gateway )?(keys \w+|schemas \w+)", README)}
    named |= set(re.findall(r"`gateway (serve|check|try|redact|audit)", README))

    assert named == {" ".join(verb.words) for verb in VERBS}


@pytest.mark.parametrize("verb", VERBS, ids=[" ".join(verb.words) for verb in VERBS])
def test_the_help_of_each_verb_shows_an_example(verb: object, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with an example that begins as the verb does."""
    words = getattr(verb, "words", ())

    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*words, "--help"])

    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "example:" in shown
    assert f"gateway {' '.join(words)}" in shown.split("example:")[1]


def test_every_grant_is_listed() -> None:
    """The conditional verdicts of both surfaces, no more and no fewer."""
    surfaces = [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "config/surfaces").iterdir())
    ]
    sentence = README[README.index("all are off, and a tenant may") : README.index("What passed unscanned")]

    assert set(re.findall(r"`([a-z_]+)`", sentence)) == set().union(*(surface["grants"] for surface in surfaces))


def test_every_processor_is_listed_with_its_carve_outs() -> None:
    """Each example entry has its row."""
    listed = {name for cells in rows("| entry | carve-outs |") for name in re.findall(r"`([a-z0-9-]+)`", cells[0])}

    assert listed == {path.stem for path in (ROOT / "config/processors").glob("*.yaml")}
    assert all(cells[1] for cells in rows("| entry | carve-outs |"))


def test_every_make_target_and_file_exists() -> None:
    """What the README tells one to run or read is there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"make ([a-z]+)", README)) - {"it"}
    files = set(re.findall(r"`((?:gateway|config)/[\w./-]+\.(?:py|yaml))`", README)) | set(
        re.findall(r"\]\((\w+\.md)\)", README)
    )

    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
    assert {name for name in files if not (ROOT / name).exists()} == set()


def test_response_headers_are_those_that_the_relay_sets() -> None:
    """Each header of the table is one that the code names."""
    source = "".join((ROOT / "gateway" / name).read_text(encoding="utf-8") for name in ("passage.py", "relay.py"))

    assert {cells[0].strip("`") for cells in rows("| response header |")} == set(
        re.findall(r'"(x-gateway-[a-z-]+)"', source)
    )
