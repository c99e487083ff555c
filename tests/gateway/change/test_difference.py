"""How many must approve a change, by what it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.change.difference import Kind, difference, needed
from gateway.change.snapshot import NotASnapshot, snapshot
from gateway.config import load
from providers import PROVIDERS
from tests.gateway.change.controlled import CONTROLLED, EDITH, NOW
from tests.gateway.config.small import FILES, SCHEMA, WIRES, read, write

PROCESSOR = FILES["processors/toy-eu.yaml"]
OTHER = PROCESSOR.replace("id: toy-eu", "id: toy-fr").replace("eu.toy", "fr.toy")
MODEL = "  - id: toy-small\n    retention_class: zero\n    traits: {cache: none}\nagreements:\n"
PURPOSE = CONTROLLED.split("purposes:\n")[1].split("  coaching:\n")[0]
TRANSFER = (
    "transfers:\n  - {law: UK, mechanism: uk_addendum, reference: toy-uk, valid_from: 2026-01-01, "
    'valid_until: 2027-01-01, document_sha256: "' + "c" * 64 + '"}\n'
)


def gateway(old: str, new: str) -> dict[str, str]:
    assert old in CONTROLLED
    return {"gateway.yaml": CONTROLLED.replace(old, new)}


def processor(old: str, new: str) -> dict[str, str]:
    assert old in PROCESSOR
    return {"processors/toy-eu.yaml": PROCESSOR.replace(old, new)}


TWO: dict[str, tuple[Kind, dict[str, str]]] = {
    "a processor": (Kind.PROCESSOR_ADDED, {"processors/toy-fr.yaml": OTHER}),
    "an agreement that lasts longer": (Kind.AGREEMENT, processor("valid_until: 2027-01-01", "valid_until: 2028-01-01")),
    "another agreement": (Kind.AGREEMENT, processor("id: toy-zero", "id: toy-zero-2")),
    "another document of an agreement": (Kind.AGREEMENT, processor('"' + "a" * 64, '"' + "c" * 64)),
    "a basis for a transfer": (Kind.AGREEMENT, processor("carve_outs:\n", TRANSFER + "carve_outs:\n")),
    "a country more": (Kind.COUNTRY, processor("[DE, FR]", "[DE, FR, US]")),
    "a country less, so that more tenants fit": (Kind.COUNTRY, processor("[DE, FR]", "[DE]")),
    "a later review": (Kind.AGREEMENT, processor("review_by: 2027-06-01", "review_by: 2027-07-01")),
    "a sooner start": (Kind.NOTICE, processor("  effective: 2026-01-01", "  effective: 2025-12-31")),
    "another host": (Kind.PROCESSOR_FACTS, processor("https://eu.toy", "https://eu2.toy")),
    "another account": (Kind.PROCESSOR_FACTS, processor("project: toys", "project: tools")),
    "another credential": (Kind.PROCESSOR_FACTS, processor("TOY_KEY", "TOY_KEY_2")),
    "other carve-outs": (Kind.PROCESSOR_FACTS, processor("Flagged images", "Some images")),
    "an operation more": (Kind.PROCESSOR_FACTS, processor("operations: [ask]", "operations: [ask, hear]")),
    "a model that was refused": (Kind.MODEL_WIDENED, processor("retention_class: retains", "retention_class: zero\n    traits: {cache: none}")),
    "other traits of a model": (Kind.MODEL_WIDENED, processor("cache: explicit", "cache: none")),
    "another model that is served": (Kind.MODEL_WIDENED, processor("toy-large-2026]", "toy-large-2026, toy-x]")),
    "a name more for a model": (Kind.MODEL_WIDENED, processor("aliases: [toy]", "aliases: [toy, toy-l]")),
    "a purpose": (Kind.PURPOSE, gateway("  coaching:\n", PURPOSE.replace("summary", "training-notes-x").replace("training-notes-x", "notes") + "  coaching:\n")),
    "a purpose that is sooner": (Kind.PURPOSE, gateway("effective: 2026-01-01", "effective: 2025-12-31")),
    "a grant": (Kind.GRANT, gateway("callers: [service]", "callers: [service, agent]")),
    "a shorter notice": (Kind.NOTICE, gateway("state: ../state", "state: ../state\nnotice_days: 29")),
    "redaction that is off": (Kind.REDACTION, gateway("redaction_off: false", "redaction_off: true")),
    "answers that are not cleaned": (Kind.REDACTION, gateway("redaction:\n", "redaction:\n  answers: false\n")),
    "personal data that is given back": (Kind.REDACTION, gateway("redaction:\n", "personal_data: {kinds: [EMAIL], restore: true}\nredaction:\n")),
    "placeholders that tell": (Kind.REDACTION, gateway("redaction:\n", "redaction:\n  typed_placeholder: true\n")),
    "a recogniser that differs": (Kind.REDACTION, {"recognizers/HEALTH.yaml": "rules: []\nmore: []\n"}),
    "a recogniser that is gone": (Kind.REDACTION, {"recognizers/GENETIC.yaml": "rules: []\n"}),
    "an approver": (Kind.CHANGE_CONTROL, gateway("id: edith", "id: edward")),
    "a residency": (Kind.CHANGE_CONTROL, gateway("[CA, US]]", "[WORLD]]")),
    "no more change control": (Kind.CHANGE_CONTROL, {"gateway.yaml": FILES["gateway.yaml"]}),
    "another state": (Kind.SETTING, gateway("../state", "../state2")),
    "another address": (Kind.SETTING, gateway("port: 8080", "port: 8081")),
    "a surface that is wider": (Kind.SURFACE_LOOSENED, {"surfaces/toy.yaml": FILES["surfaces/toy.yaml"].replace('"note": "text"', '"note": "text", "more": "text"')}),
}  # fmt: skip
ONE: dict[str, tuple[Kind, dict[str, str]]] = {
    "another zero-retention model": (Kind.MODEL_ADDED, processor("agreements:\n", MODEL)),
    "a model that is refused now": (Kind.MODEL_NARROWED, processor("retention_class: zero", "retention_class: unknown")),
    "a model that is served less": (Kind.MODEL_NARROWED, processor("toy-large, toy-large-2026", "toy-large")),
    "a name less": (Kind.MODEL_NARROWED, processor("    aliases: [toy]\n", "")),
    "a suspension": (Kind.SUSPENSION, processor("suspended: false", "suspended: true")),
    "a retirement": (Kind.SUSPENSION, processor("suspended: false", "suspended: false\nretired: 2026-12-24")),
    "a sooner review": (Kind.AGREEMENT, processor("review_by: 2027-06-01", "review_by: 2027-05-01")),
    "an example instead": (Kind.PROCESSOR_REMOVED, processor("id: toy-eu", "id: toy-eu\nexample: true")),
    "a draft beside": (Kind.WORDS, {"processors/toy-fr.yaml": OTHER + "example: true\n"}),
    "a schema": (Kind.SCHEMA, {"schemas/more.json": SCHEMA.replace("summary", "points")}),
    "no grant": (Kind.GRANT, gateway("grants:\n  - grant: cache\n    callers: [service]\n    purposes: [summary]\n", "grants: []\n")),
    "a longer notice": (Kind.NOTICE, gateway("state: ../state", "state: ../state\nnotice_days: 31") | processor("  days: 30", "  days: 31")),
    "a stricter redaction": (Kind.REDACTION, gateway("redaction:\n", "redaction:\n  scope: sentence\n")),
    "personal data that is taken out": (Kind.REDACTION, gateway("redaction:\n", "personal_data: {kinds: [EMAIL]}\nredaction:\n")),
    "a pace": (Kind.REDACTION, gateway("redaction:\n", "redaction:\n  workers: 2\n")),
    "a bound": (Kind.SETTING, gateway("idle_seconds: 30", "idle_seconds: 31")),
    "a surface that is narrower": (Kind.SURFACE_TIGHTENED, {"surfaces/toy.yaml": FILES["surfaces/toy.yaml"].replace('"note": "text",', "")}),
    "words": (Kind.WORDS, gateway("redaction:\n", "redaction:\n  scope: span\n")),
}  # fmt: skip
NOT_BACK = {"a country less, so that more tenants fit", "a schema", "words", "a draft beside", "a bound", "a pace"}


def both(folder: Path, changed: dict[str, str]) -> tuple[list[tuple[Kind, int]], list[tuple[Kind, int]]]:
    """(kind, approvers) of every change, there and back."""
    old, new = (
        snapshot(read(write(folder / str(number), **{"gateway.yaml": CONTROLLED, **files})).preimage, WIRES)
        for number, files in enumerate(({}, changed))
    )
    there, back = difference(old, new, NOW), difference(new, old, NOW)
    return [(item.kind, item.needs) for item in there], [(item.kind, item.needs) for item in back]


@pytest.mark.parametrize("name", TWO)
def test_two_approvers(tmp_path: Path, name: str) -> None:
    """What is new, or lets more leave, or go elsewhere, needs two."""
    kind, changed = TWO[name]

    there, _back = both(tmp_path, changed)

    assert (kind, 2) in there


@pytest.mark.parametrize("name", ONE)
def test_one_approver(tmp_path: Path, name: str) -> None:
    """What is narrower needs one, and the way back from it two, unless it never let anything leave."""
    kind, changed = ONE[name]

    there, back = both(tmp_path, changed)

    assert there
    assert {needs for _kind, needs in there} == {1}
    assert kind in {kind for kind, _needs in there}
    if name not in NOT_BACK and kind is not Kind.MODEL_ADDED:
        assert 2 in {needs for _kind, needs in back}


def test_a_model_without_an_agreement_in_force_needs_two(tmp_path: Path) -> None:
    """A further model needs one approver only while an agreement covers it."""
    old = PROCESSOR.replace("valid_until: 2027-01-01", "valid_until: 2026-02-01")
    bundles = [
        snapshot(read(write(tmp_path / name, **{"processors/toy-eu.yaml": text})).preimage, WIRES)
        for name, text in (("a", old), ("b", old.replace("agreements:\n", MODEL)))
    ]

    assert needed(difference(*bundles, NOW)) == 2


def test_nothing_changed_needs_nobody(tmp_path: Path) -> None:
    """Tenants and callers are not part of a bundle."""
    there, back = both(tmp_path, {"tenants.yaml": FILES["tenants.yaml"].replace("[CA, US]", "[CA]")})

    assert (there, back) == ([], [])


def test_the_shipped_configuration_reads_back(tmp_path: Path) -> None:
    """What the digest is of is enough to read the product's own bundle again, entry by entry."""
    directory = tmp_path / "config"
    shutil.copytree(Path(__file__).resolve().parents[3] / "config", directory)
    bundle = load(directory, {}, wires=PROVIDERS)

    again = snapshot(bundle.preimage, PROVIDERS)

    assert again.digest == bundle.digest
    assert {name: entry.form for name, entry in again.entries.items()} == {
        name: entry.form for name, entry in bundle.registry.entries.items()
    }
    assert again.settings == bundle.settings
    assert difference(again, again, NOW) == []


@pytest.mark.parametrize(
    "preimage",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[{}]", id="no pair"),
        pytest.param(b"[[], []]", id="no files"),
        pytest.param(b"[{}, []]", id="no settings"),
        pytest.param(json.dumps([{"gateway.yaml": {"unheard": 1}}, []]).encode(), id="of another release"),
    ],
)
def test_what_is_no_bundle(preimage: bytes) -> None:
    """A damaged or foreign preimage is none, and nothing of it is quoted."""
    with pytest.raises(NotASnapshot, match="damaged, or of a release"):
        snapshot(preimage, WIRES)


def test_an_approver_needs_a_key_and_a_name_of_their_own(tmp_path: Path) -> None:
    """Two approvers of one key, or of one name, would be one person."""
    from gateway.errors import ConfigurationError  # noqa: PLC0415

    doubled = CONTROLLED.replace("id: grace", "id: ada")
    shared = CONTROLLED.replace(EDITH.public.hex(), "01" * 32).replace("id: edith", "id: e2") + (
        f'    - id: again\n      public_key: "{"01" * 32}"\n'
    )
    for name, text in (("a", doubled), ("b", shared)):
        with pytest.raises(ConfigurationError, match="two approvals need two people"):
            read(write(tmp_path / name, **{"gateway.yaml": text}))
