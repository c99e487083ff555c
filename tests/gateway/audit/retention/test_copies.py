"""Copies for whom they are about: complete, proved one by one, and nobody else's."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from gateway.audit.evidence import own_policy
from gateway.audit.retention.copies import copy
from gateway.audit.retention.handouts import Handout, hand_out, handouts
from gateway.audit.verify import NotVerified, verify_pack
from tests.gateway.audit.logs import DAY, ORIGIN
from tests.gateway.audit.retention.states import EIGHT, SEVEN, State


@pytest.fixture
async def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    async with made.open():
        await made.live(4)
        made.days(1)
        await made.live(1)
    return made


def said(path: Path, policy: Path | None) -> tuple[int, str]:
    lines: list[str] = []
    return verify_pack(str(path), None if policy is None else str(policy), lines.append), "".join(lines)


def policy_of(state: State, folder: Path) -> Path:
    path = folder / "policy.txt"
    path.write_text(own_policy(ORIGIN, state.keyring))
    return path


async def test_a_tenants_copy_is_all_of_its_records_and_no_others(state: State, tmp_path: Path) -> None:
    """Every record and daily count of the tenant is proved; it says by when it must go, at most 35 days on."""
    out = tmp_path / "copy.zip"
    with state.evidence() as evidence:
        digest, count = copy(evidence, state.keyring, state.directory, out, EIGHT, None, state.time)

    assert (count, len(digest)) == (11, 64)
    with zipfile.ZipFile(out) as opened:
        head = json.loads(opened.read("copy.json"))
        whole = b"".join(opened.read(name) for name in ("records.ndjson", "copy.json"))
    assert head["delete_by"] == state.time + 35 * DAY
    assert SEVEN.encode() not in whole
    code, text = said(out, policy_of(state, tmp_path))
    assert code == 0, text
    assert "11 records proved to be in the log; 0 are not" in text
    assert "with 0 gaps" in text
    assert said(out, None)[0] == 0


async def test_a_persons_copy_is_of_that_person(state: State, tmp_path: Path) -> None:
    """Intents and outcomes of the calls about that person, proved."""
    out = tmp_path / "copy.zip"
    mac = state.keyring.tenant_mac(SEVEN, "subject", "ana")
    with state.evidence() as evidence:
        _, count = copy(evidence, state.keyring, state.directory, out, SEVEN, mac, state.time)

    assert count == 2 * 2
    assert said(out, policy_of(state, tmp_path))[0] == 0


@pytest.mark.parametrize("change", ["record", "salt", "index", "drop", "checkpoint", "tenant"])
async def test_a_changed_copy_does_not_hold(state: State, tmp_path: Path, change: str) -> None:
    """Any edit of a record, its salt or place, a record left out, another checkpoint or tenant is found."""
    out, forged = tmp_path / "copy.zip", tmp_path / "forged.zip"
    with state.evidence() as evidence:
        copy(evidence, state.keyring, state.directory, out, EIGHT, None, state.time)
    with zipfile.ZipFile(out) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    lines = [json.loads(line) for line in members["records.ndjson"].splitlines()]
    if change == "record":
        lines[3]["record"] = lines[3]["record"].replace('"size":2', '"size":4')
    elif change == "salt":
        lines[3]["salt"] = "00" * 32
    elif change == "index":
        lines[3]["index"] += 1
    elif change == "drop":
        del lines[3]
    elif change == "checkpoint":
        members["checkpoint"] = members["checkpoint"].replace(b"\n", b"\nx", 1)
    else:
        members["copy.json"] = members["copy.json"].replace(EIGHT.encode(), SEVEN.encode())
    if change == "record" and lines[3]["record"] == json.loads(members["records.ndjson"].splitlines()[3])["record"]:
        lines[3]["record"] = lines[3]["record"].replace('"v":1', '"v":2')
    members["records.ndjson"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with zipfile.ZipFile(forged, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)

    try:
        assert said(forged, policy_of(state, tmp_path))[0] == 1
    except NotVerified:
        assert change == "checkpoint"


def test_a_copy_that_left_is_matched_with_what_is_erased(tmp_path: Path) -> None:
    """A pack by its leaves, a tenant's copy by its tenant too; one of which that is not known may hold anything."""
    pack = hand_out(tmp_path, "ab" * 32, 10, 5, (100, 200), recipient="An Auditor")
    copied = hand_out(tmp_path, "cd" * 32, 10, 5, (0, 300), whose="5e" * 16)
    old = Handout("ef" * 32, 10, 5, 6)

    assert handouts(tmp_path) == [pack, copied]
    for indices, mark, expected in (
        ([100], "5f" * 16, [pack, old]),
        ([99, 200], "5f" * 16, [old]),
        ([99, 150, 400], "5e" * 16, [pack, copied, old]),
        ([400], "5e" * 16, [old]),
        ([], "5e" * 16, [old]),
    ):
        assert [each for each in (pack, copied, old) if each.may_hold(mark, indices)] == expected
