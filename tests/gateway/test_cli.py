"""The command line: each verb's work, its help, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.store import apart
from gateway.callers import Callers
from gateway.cli import VERBS, main
from gateway.config import load
from gateway.errors import Refused
from gateway.keys import MASTER_FILE, Keyring
from providers import PROVIDERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A private copy of the shipped configuration."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path / "config"


def known(config: Path) -> Callers:
    return load(config, {}, wires=PROVIDERS).callers


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb.words))
def test_help_shows_an_example(capsys: pytest.CaptureFixture[str], verb: object) -> None:
    """`--help` of each verb works and shows one use of it, which the verb's own parser accepts by name."""
    with pytest.raises(SystemExit) as caught:
        main([*verb.words, "--help"])  # type: ignore[attr-defined]

    said = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"example:\n  {verb.example}" in said  # type: ignore[attr-defined]
    assert f"gateway {' '.join(verb.words)}" in verb.example  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing"], ["keys"], ["keys", "new"], ["check", "--confg", "x"], ["audit", "--from", "yesterday"]],
)
def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """What cannot be understood ends with 2 and says how it is used."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_check_of_the_shipped_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Examples are reported and are no fault: exit 0."""
    assert main(["check", "--config", str(config)]) == 0

    said = capsys.readouterr().out
    assert said.count("EXAMPLE, takes no traffic") == 7
    assert "a flagged image is kept for human review" in said


def test_check_of_a_broken_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each fault is `file:line: key: reason`, recognisers included, and the exit is 1."""
    (config / "tenants.yaml").write_text("tenants:\n  t-1:\n    residency: []\n    status: active\n", encoding="utf-8")
    (config / "recognizers" / "HEALTH.yaml").write_text("rulez: []\n", encoding="utf-8")

    assert main(["check", "--config", str(config)]) == 1

    out, err = capsys.readouterr()
    assert f"{config / 'tenants.yaml'}:3: tenants.t-1.residency: name at least 1" in out
    assert f"{config / 'recognizers' / 'HEALTH.yaml'}:1: rulez: " in out
    assert "would not start" in err


@pytest.mark.parametrize(
    "arguments", [["keys", "list"], ["keys", "new", "coaching-demo"], ["schemas", "list"], ["audit"], ["redact"]]
)
def test_unusable_configuration_is_2_for_other_verbs(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A verb that needs the configuration prints its faults on standard error, nothing on standard output."""
    (config / "gateway.yaml").write_text("region: [\n", encoding="utf-8")

    assert main([*arguments, "--config", str(config)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "gateway.yaml:1: (file): the YAML breaks here" in err


def test_the_life_of_a_key(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`new` prints only the key; it works, is listed by its id without its secret, and is revoked."""
    arguments = ["--config", str(config)]

    assert main(["keys", "new", "coaching-demo", "--days", "90", *arguments]) == 0
    out, err = capsys.readouterr()
    key = out.removesuffix("\n")
    key_id = key[4:20]
    assert key not in err
    assert known(config).authenticate({"x-api-key": key}).id == "coaching-demo"

    assert main(["keys", "list", *arguments]) == 0
    listed = capsys.readouterr().out
    assert key_id in listed
    assert key not in listed
    assert "valid" in listed

    assert main(["keys", "revoke", key_id, *arguments]) == 0
    capsys.readouterr()
    assert main(["keys", "list", *arguments]) == 0
    assert "revoked" in capsys.readouterr().out
    with pytest.raises(Refused):
        known(config).authenticate({"x-api-key": key})


def test_the_master_key_rotates(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Afterwards the newest line alone opens the state; while a gateway runs on it nothing changes."""
    arguments = ["keys", "rotate", "--config", str(config)]
    state = config.parent / ".state"
    journal = Keyring.open(state / "keys", create=True).journal_key()
    master = state / "keys" / MASTER_FILE
    before = master.read_text("ascii")

    with apart(state / "journal"):
        assert main(arguments) == 2
    assert "stop it first" in capsys.readouterr().err
    assert master.read_text("ascii") == before

    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == master.read_text("ascii").splitlines()[-1][:8]
    master.write_text(master.read_text("ascii").splitlines(keepends=True)[-1], "ascii")
    assert Keyring.open(state / "keys").journal_key() == journal


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["new", "nobody"], "callers.yaml has no such service", id="a service that is not there"),
        pytest.param(["new", "coaching-demo", "--until", "2020-01-01"], "--until is past", id="an end in the past"),
        pytest.param(["new", "coaching-demo", "--days", "0"], "--days is", id="no days"),
        pytest.param(["revoke", "0" * 16], "no key has this id", id="a key that is not there"),
    ],
)
def test_keys_that_cannot_be(config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    """A key verb that cannot do its work says why, prints nothing and changes nothing."""
    assert main(["keys", *arguments, "--config", str(config)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert not (config.parent / ".state").exists()


def run(config: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A verb as a process of its own, as the shell runs it: the detector replaces modules for the whole process."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments, "--config", str(config)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # not the gateway's
        timeout=60,
    )


def test_approving_a_schema(config: Path) -> None:
    """A harmless schema is approved and listed; one that names an illness is refused without a word of it."""
    good, bad = config.parent / "good.json", config.parent / "bad.json"
    good.write_text('{"type": "object", "properties": {"next_step": {"type": "string"}}}', encoding="utf-8")
    bad.write_text('{"type": "object", "description": "My rep Ana has breast cancer."}', encoding="utf-8")

    approved = run(config, "schemas", "approve", str(good))
    refused = run(config, "schemas", "approve", str(bad))
    listed = run(config, "schemas", "list")

    assert (approved.returncode, refused.returncode, listed.returncode) == (0, 1, 0)
    assert f"{approved.stdout.strip()}  good.json" in listed.stdout
    assert "cancer" not in refused.stdout + refused.stderr
    assert "bad.json" not in listed.stdout


def test_redact_and_try(config: Path) -> None:
    """`redact` takes out what it finds; `try` says what would become of a request and answers 1 for a refusal."""
    redacted = run(config, "redact", given="My rep Ana is on chemo.\n")
    request = {
        "path": "/v1/messages",
        "caller": "coaching-demo",
        "body": {"model": "x", "max_tokens": 1, "messages": []},
    }
    tried = run(config, "try", "-", given=json.dumps(request))
    wrong = run(config, "try", "-", given="{")

    assert redacted.returncode == 0
    assert "[REDACTED]" in redacted.stdout
    assert "chemo" not in redacted.stdout
    assert tried.returncode == 1
    assert json.loads(tried.stdout)["decision"] == "refuse"
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_audit_of_a_state_that_is_not_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a state there is nothing to show: exit 2, and a word on what is missing."""
    assert main(["audit", "--config", str(config)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "there is no" in err


def test_check_loads_neither_the_server_nor_presidio(config: Path) -> None:
    """`check` stays quick: it imports no HTTP library and no detector."""
    code = (
        "import sys; from gateway.cli import main; code = main(['check', '--config', sys.argv[1]]); "
        "heavy = {'aiohttp', 'presidio_analyzer', 'spacy', 'uvloop'} & set(sys.modules); "
        "sys.exit(f'{code} {sorted(heavy)}')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(config)], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )

    assert done.stderr.strip() == "0 []"
