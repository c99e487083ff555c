"""The `processors` verbs: tables and JSON, drafts, the page, and notices that are recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from gateway.cli import main
from gateway.cli.processors import quarter_end
from gateway.config import load
from gateway.disclosure.notices import read_sent
from gateway.keys import sha256_hex
from gateway.simulator import CREDENTIAL
from providers import PROVIDERS
from tests.configuration import entry, write_configuration

NOW = datetime.now(UTC)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(item) for item in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a real endpoint beside the simulated ones, announced ten days ago, in use in twenty."""
    directory = write_configuration(tmp_path, 1, CREDENTIAL)
    tree = entry("openai", "https://api.example.com", ["gpt-far"], name="far", countries=["CA"])
    announced, effective = (f"{NOW + timedelta(days=days):%Y-%m-%d}" for days in (-10, 20))
    tree["notice"] = {
        "announced": announced,
        "days": 30,
        "effective": effective,
        "document_sha256": sha256_hex(b"told"),
    }
    (directory / "processors/far.yaml").write_text(json.dumps(tree), "utf-8")
    return directory


def test_list_says_what_is_in_force_on_a_date(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The state of each entry follows the date that is asked for, in the table and as JSON."""
    later = f"{NOW + timedelta(days=21):%Y-%m-%d}"

    states = [
        {row["processor"]: row["state"] for row in json.loads(run(capsys, "processors", "list", "--config", config, *more, "--json")[1])}
        for more in ([], ["--on", later], ["--on", "2037-01-01"])
    ]  # fmt: skip
    _code, table, _ = run(capsys, "processors", "list", "--config", config)

    assert [state["far"] for state in states] == ["announced", "active", "expired"]
    assert table.splitlines()[0].split()[:2] == ["processor", "state"]
    assert [line.split()[:2] for line in table.splitlines() if line.startswith("far ")] == [["far", "announced"]]


def test_new_writes_a_draft_that_check_takes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For each wire: the draft is whole, takes no traffic, and its missing evidence is listed."""
    for wire in PROVIDERS:
        code, out, err = run(capsys, "processors", "new", "--wire", wire, "--id", f"{wire}-ca", "--config", config)
        assert (code, "which takes no traffic" in err) == (0, True)
        assert "- the signed agreement" in out
        assert load(config, {}, wires=PROVIDERS).registry.entries[f"{wire}-ca"].is_example


@pytest.mark.parametrize("name", ["../far", "FAR", "a b", "", "é", "far"])
def test_new_takes_no_strange_or_taken_name(config: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A name that is no id, or an entry's already, ends with 2 and writes nothing."""
    before = sorted((config / "processors").iterdir())

    code, _out, _err = run(capsys, "processors", "new", "--wire", "openai", f"--id={name}", "--config", config)

    written = [path for path in sorted((config / "processors").iterdir()) if path not in before]
    assert (code, [path.name for path in written]) == ((2, []) if name else (0, ["openai-draft.yaml"]))


@pytest.mark.parametrize(
    ("at", "end"),
    [
        ("2026-11-25", "2027-01-01"),
        ("2026-12-31", "2027-01-01"),
        ("2027-01-01", "2027-04-01"),
        ("2026-03-31", "2026-04-01"),
        ("2026-04-01", "2026-07-01"),
        ("2026-09-30", "2026-10-01"),
    ],
)
def test_quarters_are_the_calendars(at: str, end: str) -> None:
    """A quarter ends where the next one begins."""
    assert quarter_end(datetime.fromisoformat(at).replace(tzinfo=UTC)) == datetime.fromisoformat(end).replace(
        tzinfo=UTC
    )


def test_lapsing_lists_what_ends(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Agreements and reviews that end in the period, in order, and whether an agreement is renewed."""
    tree = yaml.safe_load((config / "processors/far.yaml").read_text("utf-8"))
    (usual,) = tree["agreements"]
    tree["agreements"] = [
        {**usual, "valid_until": "2035-12-01"},
        {**usual, "id": "next", "valid_from": "2035-12-01", "valid_until": "2035-12-15"},
    ]
    tree["review_by"] = "2035-12-20"
    (config / "processors/far.yaml").write_text(json.dumps(tree), "utf-8")

    _code, out, _err = run(capsys, "processors", "lapsing", "--from", "2035-11-01", "--to", "2036-01-01", "--json", "--config", config)  # fmt: skip

    assert [(row["what"], row["name"], row["renewed"]) for row in json.loads(out)] == [
        ("agreement", usual["id"], "yes"),
        ("agreement", "next", "no"),
        ("review", "review_by", "no"),
    ]


def test_schema_prints_what_is_published(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb writes the file of the repository, byte for byte."""
    published = Path(__file__).resolve().parents[2] / "config/processor.schema.json"

    assert run(capsys, "processors", "schema", "--config", config)[1] == published.read_text("utf-8")


def test_page_writes_every_form(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """HTML, Markdown and the feed, in both languages; one of them on standard output."""
    _code, out, _err = run(capsys, "processors", "page", "--out", tmp_path / "public", "--config", config)
    shown = run(capsys, "processors", "page", "--language", "fr", "--config", config)[1]

    names = sorted(path.name for path in (tmp_path / "public").iterdir())
    assert names == [f"processors.{tongue}.{ending}" for tongue in ("en", "fr") for ending in ("html", "json", "md")]
    assert len(out.splitlines()) == len(names)
    assert shown == (tmp_path / "public/processors.fr.html").read_text("utf-8")
    assert "simulated-openai" not in shown  # this computer is nobody's sub-processor


def test_notices_are_due_then_sent(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was not sent in time ends with 1; the wrong document is refused; the right one is recorded and ends with 0."""
    (tmp_path / "wrong.pdf").write_bytes(b"other")
    (tmp_path / "notice.pdf").write_bytes(b"told")
    sending = ("processors", "notices", "--config", config, "--sent", "processor/far", "--document")

    late = run(capsys, "processors", "notices", "--config", config)
    wrong = run(capsys, *sending, tmp_path / "wrong.pdf")
    right = run(capsys, *sending, tmp_path / "notice.pdf")
    after = run(capsys, "processors", "notices", "--config", config, "--json")

    assert (late[0], "far" in late[1], "is not recorded as sent" in late[2]) == (1, True, True)
    assert (wrong[0], right[0], right[1].strip()) == (2, 0, sha256_hex(b"told"))
    assert (after[0], [(row["notice"], row["state"]) for row in json.loads(after[1])]) == (
        0,
        [("processor/far", "sent")],
    )
    assert [item.told for item in read_sent(tmp_path / "state")] == [1]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--sent", "processor/far"], id="without the document"),
        pytest.param(["--sent", "processor/nobody", "--document", "x"], id="a notice that is not due"),
        pytest.param(["--sent", "processor/far", "--document", "nowhere.pdf"], id="a document that is not there"),
    ],
)
def test_notices_that_cannot_be_recorded(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Each ends with 2 and leaves nothing behind."""
    assert run(capsys, "processors", "notices", "--config", config, *arguments)[0] == 2
    assert read_sent(tmp_path / "state") == []
