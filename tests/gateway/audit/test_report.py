"""The evidence pack: it verifies by the file inside it, opens in other tools, and shows every change."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.evidence import open_evidence, own_policy
from gateway.audit.report import Built, Period, build
from gateway.audit.verify import NotVerified, Pack, Policy, verify
from gateway.keys import Keyring
from tests.gateway.audit import logs
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.logs import DAY, ORIGIN, lived_in
from tests.gateway.audit.samples import EPOCH

NOW = EPOCH + 10 * DAY


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state of three days under a keyring of its own."""
    directory = tmp_path_factory.mktemp("report") / "state"
    keyring = Keyring.open(directory / "keys", create=True)
    patch = pytest.MonkeyPatch()
    with patch.context() as changed:
        changed.setattr(logs, "KEY", keyring.journal_key())
        changed.setattr(logs, "LOG_KEY", keyring.log_key())
        changed.setattr(logs, "SIGNER", keyring.log_signer())
        changed.setattr(logs.House.sequencer.__wrapped__, "__defaults__", (keyring.log_signer(), ""))  # type: ignore[attr-defined]
        lived_in(directory, calls=120)
    return directory


def pack(state: Path, out: Path, since: int | None = None, until: int | None = None) -> Built:
    keyring = Keyring.open(state / "keys")
    with open_evidence(state, keyring, since, until) as evidence:
        return build(evidence, keyring, out, Period(since, until, "An Auditor"), NOW)


@pytest.fixture(scope="module")
def whole(house: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of everything."""
    out = tmp_path_factory.mktemp("pack") / "evidence.zip"
    assert pack(house, out).failed == ()
    return out


@pytest.fixture(scope="module")
def policy(house: Path) -> str:
    return own_policy(ORIGIN, Keyring.open(house / "keys"))


def check(path: Path | io.BytesIO, policy: str) -> set[str]:
    """The assertions that do not hold; `unreadable` if none can be asked."""
    try:
        return failed(verify(Pack(path), Policy(policy)))  # type: ignore[arg-type]
    except NotVerified:
        return {"unreadable"}


def test_the_file_inside_verifies_the_pack_it_is_in(whole: Path, policy: str, tmp_path: Path) -> None:
    """By itself, isolated, with the auditor's own policy: exit 0, fourteen lines, the sentence."""
    with zipfile.ZipFile(whole) as opened:
        (tmp_path / "zr_verify.py").write_bytes(opened.read("verify/zr_verify.py"))
    (tmp_path / "policy.txt").write_text(policy, encoding="ascii")
    command = [sys.executable, "-I", "zr_verify.py", str(whole), "--policy", "policy.txt"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count(" PASS ") == 14
    assert "; 0 did not." in ran.stdout
    assert ran.stdout.endswith("holds\n")


def test_a_pack_of_another_log_does_not_satisfy_the_auditors_policy(whole: Path, tmp_path: Path) -> None:
    """The key comes from the auditor's file: a log under another key fails, whatever the pack says of itself."""
    other = own_policy(ORIGIN, Keyring.open(tmp_path / "keys", create=True))

    assert {"A1", "A2"} <= check(whole, other)


def test_a_pack_of_a_later_period_extends_the_checkpoint_before_it(house: Path, policy: str, tmp_path: Path) -> None:
    """It begins at a checkpoint, holds what was in force then with proofs, and verifies by itself."""
    out = tmp_path / "later.zip"
    built = pack(house, out, since=EPOCH + DAY // 2)

    with zipfile.ZipFile(out) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        prior = json.loads(opened.read("operator/prior.json"))
        assert "log/checkpoint.A" in opened.namelist()
    assert built.failed == ()
    assert 0 < manifest["start"] < manifest["end"]
    assert prior
    assert check(out, policy) == set()


def test_the_database_holds_the_same_records(whole: Path, tmp_path: Path) -> None:
    """SQL over the pack's database gives the report's numbers."""
    with zipfile.ZipFile(whole) as opened:
        opened.extract("evidence.sqlite", tmp_path)
        report = json.loads(opened.read("report.json"))
    database = sqlite3.connect(tmp_path / "evidence.sqlite")
    ((attempts,),) = database.execute("SELECT count(*) FROM record WHERE kind = 'intent'").fetchall()
    database.close()

    assert attempts == report["facts"]["totals"]["attempts"] == 121
    assert report["facts"]["totals"]["uncovered"] == 0


def test_the_page_says_what_the_pack_does_not_prove(whole: Path) -> None:
    """For people: sentence, assertions, totals, limits; no script, and nothing is fetched."""
    with zipfile.ZipFile(whole) as opened:
        page = opened.read("report.html").decode()

    for words in ("What this does not prove", "provider calls in", "went around the gateway", "zr_verify.py"):
        assert words in page
    assert "<script" not in page
    assert "http" not in page.replace("https://", "http").replace("<!doctype html>", "")


def test_a_pack_names_its_holder_and_its_own_end(whole: Path) -> None:
    """At most 35 days, after which what was erased here must be gone there too."""
    with zipfile.ZipFile(whole) as opened:
        manifest = json.loads(opened.read("manifest.json"))

    assert manifest["recipient"] == "An Auditor"
    assert manifest["delete_by"] - manifest["made"] == 35 * DAY


def _rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> io.BytesIO:
    with zipfile.ZipFile(path) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    change(members)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in members.items():
            written.writestr(name, content)
    return out


def _delete(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        del members[next(each for each in members if each.startswith(name))]

    return change


def _append(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        found = next(each for each in members if each.startswith(name))
        members[found] += b" "

    return change


def _resize(members: dict[str, bytes]) -> None:
    lines = members["log/checkpoint.B"].split(b"\n")
    lines[1] = b"%d" % (int(lines[1]) - 1)
    members["log/checkpoint.B"] = b"\n".join(lines)


@pytest.mark.parametrize(
    "name", ["report.html", "report.json", "evidence.sqlite", "verify/", "trust/", "operator/conf"]
)
def test_any_changed_file_is_found(whole: Path, policy: str, name: str) -> None:
    """A1 names what is not the file that the signed manifest lists."""
    assert "A1" in check(_rewritten(whole, _append(name)), policy)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_delete("report.html"), "A1"),
        (_delete("records/"), "A4"),
        (_delete("manifest.note"), "A1"),
        (lambda members: members.update({"../evil": b"x"}), "A1"),
        (_append("log/checkpoint.B"), "A1"),
        (_resize, "A2"),
        (_delete("log/tile/entries"), "unreadable"),
        (_append("log/tile/entries"), "A1"),
        (_delete("manifest.json"), "unreadable"),
    ],
)  # fmt: skip
def test_what_is_missing_added_or_replaced_is_found(
    whole: Path, policy: str, change: Callable[[dict[str, bytes]], None], expected: str
) -> None:
    """By the assertion that it concerns, or the pack cannot be read at all."""
    assert expected in check(_rewritten(whole, change), policy)


def test_any_bytes_are_refused_without_another_error(whole: Path, policy: str) -> None:
    """Truncated or damaged anywhere, it fails by assertion or as unreadable, and by nothing else."""
    content = whole.read_bytes()
    for at in range(0, len(content), len(content) // 60):
        assert check(io.BytesIO(content[:at]), policy)
        damaged = bytearray(content)
        damaged[at] ^= 0x55
        check(io.BytesIO(bytes(damaged)), policy)


def test_the_verbs_do_it(house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify STATE` and `verify PACK` print the assertions and give 0; a changed pack gives 1."""
    from gateway.cli import main  # noqa: PLC0415

    out = tmp_path / "evidence.zip"
    pack(house, out)

    assert main(["verify", str(house)]) == 0
    assert main(["verify", str(out)]) == 0
    assert capsys.readouterr().out.count("holds\n") == 2
    (tmp_path / "bad.zip").write_bytes(_rewritten(out, _append("report.html")).getvalue())
    assert main(["verify", str(tmp_path / "bad.zip")]) == 1
    assert "does NOT hold" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "nothing.zip")]) == 2
