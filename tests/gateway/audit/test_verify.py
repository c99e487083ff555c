"""The verifier: what holds passes, and each of a thousand forgeries is found by the right assertion."""

from __future__ import annotations

import ast
import contextlib
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import verify as verifier
from gateway.audit.evidence import Evidence as StateEvidence
from gateway.audit.language import Id
from gateway.audit.record import KINDS, Operator, Row, canonical_row
from gateway.audit.store import FILE_NAME, reading
from gateway.audit.verify import Configuration, NotVerified, Policy, Verification, ed25519, fault_of, read_checkpoint
from gateway.audit.words import Act, Echo, ErrorClass, Finish, Ground, Result, Said, Setting, Verdict
from gateway.categories import Category
from gateway.errors import Code
from gateway.keys import Signer
from tests.gateway.audit.forgeries import FORGERIES, POLICY, Evidence, Leaf, checkpoint, failed
from tests.gateway.audit.logs import KEY, House, lived_in
from tests.gateway.audit.samples import EPOCH, intent, outcome, refusal


@contextlib.contextmanager
def opened(house: House) -> Iterator[StateEvidence]:
    with house.log() as log, contextlib.closing(reading(house.directory / "journal" / FILE_NAME, KEY)) as journal:
        latest = log.latest()
        assert latest is not None
        yield StateEvidence(log, journal, house.directory / "log", None, latest)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """The evidence of a house with three boots, a kill and two days, and the report of it."""
    house = lived_in(tmp_path_factory.mktemp("house") / "state", calls=24)
    with opened(house) as evidence:
        rows = [Leaf(*each) for each in evidence.leaves()]
        made = Evidence(rows, evidence.note_b, evidence.configurations)
    made.report = json.loads(json.dumps(made.verify().facts()))
    return made


def test_what_holds_passes(genuine: Evidence) -> None:
    """All fourteen assertions hold of a log that nobody touched, and the report's sentence prints its zeros."""
    run = genuine.verify()

    assert failed(run) == set()
    assert run.a["A4"].checked == len(genuine.rows)
    said = verifier.sentence(run.facts(), "then", "now")
    assert "made 25 provider calls in 25 attempts. 25 went" in said
    assert "; 0 did not" in said
    assert "1 attempts are indeterminate. 0 records were deleted under 0 logged" in said
    assert "ended without warning" in said


def test_each_assertion_has_a_forgery_that_it_finds() -> None:
    """All fourteen but A1, which is about the files of a pack: `test_report` changes those one by one."""
    assert {name for _forge, expected in FORGERIES.values() for name in expected} == verifier.TITLES.keys() - {"A1"}


@pytest.mark.parametrize("name", FORGERIES)
def test_each_forgery_is_found_by_the_right_assertion(genuine: Evidence, name: str) -> None:
    """A seeded sample of every kind; the full dose is in `make soak`."""
    _forge(genuine, name, 3)


@pytest.mark.soak
def test_a_thousand_forgeries_are_all_found(genuine: Evidence) -> None:
    """1,000 of 1,000."""
    each = -(-1000 // len(FORGERIES))
    found = sum(_forge(genuine, name, each, seed=7) for name in FORGERIES)
    print(f"\nforgeries found: {found} of {each * len(FORGERIES)}, each by the right assertion, {len(FORGERIES)} kinds")


def _forge(genuine: Evidence, name: str, times: int, seed: int = 1) -> int:
    forge, expected = FORGERIES[name]
    chance = random.Random(f"{seed} {name}")
    found = 0
    for _ in range(times):
        forged = forge(genuine, chance)
        while forged.rows == genuine.rows and forged == genuine:  # a change that changes nothing
            forged = forge(genuine, chance)
        run = forged.verify()
        assert failed(run) & expected, (name, failed(run), {n: run.a[n].first for n in failed(run)})
        assert all(run.a[each].first for each in failed(run))
        found += 1
    return found


def test_the_state_itself_is_verified(tmp_path: Path) -> None:
    """A row that is changed, or gone, in the journal is named by its index."""
    house = lived_in(tmp_path / "state", calls=24)
    house.boot()
    with opened(house) as evidence:
        assert failed(verifier.verify(evidence, POLICY)) == set()
    assert house._store is not None
    write = house._store._connection.execute
    write(
        "UPDATE record SET body = replace(body, '\"size\":1024', '\"size\":2048') WHERE kind = 'i' AND seq & 1023 = 1"
    )

    with opened(house) as evidence:
        run = verifier.verify(evidence, POLICY)
    assert "A4" in failed(run)
    assert run.a["A4"].first == "index 1: the record is not the one that the log commits to"
    write("DELETE FROM record WHERE kind = 'o'")
    with opened(house) as evidence:
        run = verifier.verify(evidence, POLICY)
    assert "A4" in failed(run)


def test_a_checkpoint_kept_from_before_shows_what_the_key_holder_hides(genuine: Evidence) -> None:
    """A log cut short, or written anew, by its own key does not extend a checkpoint that the auditor kept."""
    entries = [each.entry for each in genuine.rows]
    size = len(entries)
    kept = [checkpoint(entries[:at]) for at in (0, 1, size // 2, size - 1, size)]
    assert failed(verifier.verify(genuine, POLICY, seen=kept)) == set()

    short = replace(genuine, rows=genuine.rows[:-3], report=None).signed()
    anew = replace(
        genuine, rows=[*genuine.rows[:-1], genuine.rows[-1].saying(genuine.rows[-1].entry[1:].decode() + " ")]
    )
    for forged, note in ((short, kept[4]), (anew.signed(), kept[4]), (short, kept[3])):
        run = verifier.verify(forged, POLICY, seen=[note])
        assert "seen before" in str(run.a["A2"].first)
    other = checkpoint(entries, Signer(bytes(32)))
    assert "A2" in failed(verifier.verify(genuine, POLICY, seen=[other]))


# the verifier's own parts


def test_signatures_are_those_of_a_foreign_implementation() -> None:
    """What `cryptography` signs is accepted; one bit of key, message or signature is not."""
    chance = random.Random(3)
    for _ in range(12):
        key = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        public, message = key.public_key().public_bytes_raw(), chance.randbytes(chance.randrange(200))
        signature = key.sign(message)
        bit = chance.randrange(512)
        broken = bytearray(signature)
        broken[bit // 8] ^= 1 << bit % 8

        assert ed25519(public, message, signature)
        assert not ed25519(public, message, bytes(broken))
        assert not ed25519(public, message + b"x", signature)
        assert not ed25519(bytes(32), message, signature)


def test_a_signature_of_the_standard_is_accepted() -> None:
    """RFC 8032 section 7.1, test 2; and S beyond the group's order is refused (malleability)."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    greater = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493

    assert ed25519(public, b"\x72", signature)
    assert not ed25519(public, b"\x72", signature[:32] + greater.to_bytes(32, "little"))


def test_it_uses_nothing_but_the_standard_library() -> None:
    """It imports nothing of the gateway, so it shares no code with what wrote the log."""
    tree = ast.parse(Path(verifier.__file__).read_text(encoding="utf-8"))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name) or "."
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_its_record_language_is_the_gateways() -> None:
    """The same kinds, fields, requirements and words, though written down twice."""
    for kind in KINDS:
        from gateway.audit.record import _CODECS  # noqa: PLC0415

        codec = _CODECS[kind]
        fields = verifier.FIELDS[kind.KIND]
        ours = {name if name in codec.required else f"{name}?" for name in codec.domains}
        place = {"boot", "rseq", "v"} | ({"tseq", "tseq?"} & fields.keys())
        assert fields.keys() - place == ours
    for text, words in (
        (verifier.CODES, Code), (verifier.RESULTS, Result), (verifier.ERRORS, ErrorClass), (verifier.FINISHES, Finish),
        (verifier.ACTS, Act), (verifier.GROUNDS, Ground), (verifier.CATEGORIES, Category), ("confirmed absent contradicted", Echo),
        (verifier.VERDICTS, Verdict), (verifier.SETTINGS, Setting), (verifier.SAID, Said),
    ):  # fmt: skip
        assert set(text.split()) == {str(word.value) for word in words}


def test_what_the_gateway_writes_is_of_the_language() -> None:
    """Every sample record passes; each with one more byte does not."""
    made = intent()
    for record in (made, outcome(made), refusal(), Operator(time=EPOCH, act=Act.HEARTBEAT)):
        text = canonical_row(Row(Id("ab" * 16), 7, record)).decode()
        if record.KIND in {"intent", "outcome"}:
            text = text.replace(',"v":1', ',"tseq":3,"v":1') if '"v":1,' not in text else text
            text = json.dumps({**json.loads(text), "tseq": 3}, sort_keys=True, separators=(",", ":"))

        assert fault_of(record.KIND, text, json.loads(text)) is None
        read = verifier.read_record(text)
        assert isinstance(read, dict)
        assert {name: json.loads(text)[name] for name in read} == read
        for at in range(0, len(text), 7):
            broken = f"{text[:at]} {text[at:]}"
            assert fault_of(record.KIND, broken, json.loads(text)) is not None
            assert isinstance(verifier.read_record(broken), str)


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"attempt": 15}, True), ({"attempt": 16}, False), ({"redactions": 65_535}, True),
        ({"redactions": 65_536}, False), ({"size": 2**28}, True), ({"size": 2**28 + 256}, False),
        ({"size": 1023}, False), ({"countries": ["FR", "IE"]}, True), ({"countries": ["IE", "FR"]}, False),
        ({"countries": ["FR", "FR"]}, False), ({"tenant": "two words"}, False), ({"stream": 1}, False),
        ({"time": 2**53 - 1}, True), ({"time": 2**53}, False), ({"time": -1}, False), ({"extra": 1}, False),
    ],
)  # fmt: skip
def test_domains_end_where_they_should(change: dict[str, object], allowed: bool) -> None:
    """Limits at n and n+1, order of sets, types."""
    record = json.loads(canonical_row(Row(Id("ab" * 16), 7, intent()))) | {"tseq": 1} | change
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))

    assert (fault_of("intent", text, record) is None) is allowed
    read = verifier.read_record(text)
    assert isinstance(read, dict) is allowed
    if isinstance(read, dict):
        assert read.items() <= record.items()


def test_a_quorum_of_witnesses_is_asked_for() -> None:
    """A policy that names witnesses is met only by their cosignatures, of the log's own text."""
    witness = Signer(bytes(range(32)))
    from gateway.audit.tlog import signature_line, verifier_key  # noqa: PLC0415

    note = checkpoint([b"\2one"])
    text = note.split("\n\n")[0] + "\n"
    time = 1_795_000_000
    cosigned = witness.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    line = signature_line("w.example", 4, witness.public, time.to_bytes(8, "big") + cosigned)
    policy = Policy(
        f"log {_own_key()}\nwitness w w.{verifier_key('w.example', witness.public, 4)[2:]}\n"
        "witness v " + verifier_key("v.example", bytes(range(32, 64)), 4) + "\ngroup g 1 w v\nquorum g\n"
    )

    assert read_checkpoint(note + line, policy)[1] == 1
    for bad in (note, note + line.replace("w.example", "u.example")):
        with pytest.raises(NotVerified, match="quorum"):
            read_checkpoint(bad, policy)
    with pytest.raises(NotVerified, match="wrong"):
        read_checkpoint(note + signature_line("w.example", 4, witness.public, bytes(72)), policy)


def _own_key() -> str:
    from gateway.audit.tlog import verifier_key  # noqa: PLC0415
    from tests.gateway.audit.logs import ORIGIN, SIGNER  # noqa: PLC0415

    return verifier_key(ORIGIN, SIGNER.public)


def test_a_trial_of_itself_is_counted_apart(genuine: Evidence) -> None:
    """What the gateway sent to itself needs no agreement; a call that only says so in part does, and A7 fails."""
    trial = {
        "tenant": "gateway:canary", "purpose": "gateway:canary", "agreement": "gateway:canary",
        "processor": "canary:openai-eu", "tls": "none",
    }  # fmt: skip
    at = next(at for at, each in enumerate(genuine.rows) if each.record["kind"] == "intent")
    record = genuine.rows[at].record

    def run(changed: dict[str, str]) -> Verification:
        text = json.dumps({**record, **changed}, sort_keys=True, separators=(",", ":"))
        made = Verification(0)
        made.announce(record)
        made.configurations = {
            str(record["configuration"]): Configuration(each) for each in genuine.configurations.values()
        }
        made._record(5, text, clear=False)
        return made

    assert (run({}).a["A7"].failed, run({}).totals["covered"]) == (0, 1)
    assert (run(trial).a["A7"].failed, run(trial).totals["trials"], run(trial).totals["covered"]) == (0, 1, 0)
    for name in trial:
        assert run({each: said for each, said in trial.items() if each != name}).a["A7"].failed == 1, name
