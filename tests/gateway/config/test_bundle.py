"""A configuration as a whole: its digest, its grants, its secrets, and the example that is shipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.callers import Caller
from gateway.config import load, schemas_mark
from gateway.config.secrets import Secrets
from gateway.errors import ConfigurationError, Refused, UpstreamError
from gateway.limits import Allowance
from gateway.policy.countries import expand
from gateway.policy.entries import State
from gateway.policy.forms import Report
from gateway.policy.tenants import Tenant
from providers import PROVIDERS
from tests.gateway.config.small import FILES, NOW, WIRES, read, write

EXAMPLE = Path(__file__).resolve().parents[3] / "config"
SERVICE = Caller("service", "0" * 16, frozenset({"t-eu"}), frozenset({"summary"}), Allowance(1, 1))


def test_a_whole_configuration_is_read(tmp_path: Path) -> None:
    """Every part is there, frozen, and relative paths begin at its directory."""
    bundle = read(write(tmp_path))

    assert bundle.settings.region == "test"
    assert list(bundle.registry.entries) == ["toy-eu"]
    assert set(bundle.tenants) == {"t-eu", "t-ca", "t-gone"}
    assert set(bundle.callers.services) == {"service", "agent"}
    assert set(bundle.surfaces) == {"toy"}
    assert len(bundle.schemas) == 1
    assert bundle.recognizers == {"HEALTH": {"rules": []}}
    assert bundle.state == (tmp_path / "state").resolve()
    assert bundle.master_key is None
    with pytest.raises(AttributeError):
        bundle.digest = ""  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        pytest.param("gateway.yaml", "8080", "8081", False, id="a setting"),
        pytest.param("processors/toy-eu.yaml", "[DE, FR]", "[DE]", False, id="a processor"),
        pytest.param("surfaces/toy.yaml", "images", "pictures", False, id="a surface"),
        pytest.param("schemas/summary.json", "string", "integer", False, id="a schema"),
        pytest.param("recognizers/HEALTH.yaml", "[]", "[{}]", False, id="a recogniser"),
        pytest.param("tenants.yaml", "[CA, US]", "[CA]", True, id="a tenant"),
        pytest.param("callers.yaml", "per_minute: 60", "per_minute: 61", True, id="a caller"),
        pytest.param("gateway.yaml", "port: 8080", "port:   8080 # as before", True, id="only how it is written"),
        pytest.param("schemas/summary.json", ": {", ":  {", True, id="only white space of a schema"),
    ],
)
def test_what_the_digest_covers(tmp_path: Path, name: str, old: str, new: str, same: bool) -> None:
    """The digest is of what is meant, and of all but tenants and callers."""
    assert old in FILES[name]
    before = read(write(tmp_path / "a")).digest
    after = read(write(tmp_path / "b", **{name: FILES[name].replace(old, new)})).digest

    assert len(before) == 64
    assert (before == after) is same


def test_grants_are_by_caller_and_purpose_and_a_tenant_may_forbid_them(tmp_path: Path) -> None:
    """A conditional verdict holds for whom it was granted, for what, and unless the tenant says no."""
    bundle = read(write(tmp_path))
    open_tenant = Tenant("t", expand(["CA"]))

    assert bundle.granted("service", "summary", open_tenant) == {"cache"}
    assert bundle.granted("service", "summary", bundle.tenants["t-eu"]) == frozenset()
    assert bundle.granted("service", "coaching", open_tenant) == frozenset()
    assert bundle.granted("agent", "summary", open_tenant) == frozenset()


def test_the_bundle_identifies(tmp_path: Path) -> None:
    """Tenants and processors are those of the same configuration."""
    bundle = read(write(tmp_path))

    assert bundle.identify(SERVICE, {"x-gateway-processor": "toy-eu"}).processor == "toy-eu"
    with pytest.raises(Refused):
        bundle.identify(SERVICE, {"x-gateway-processor": "toy-us"})


def test_a_recognisers_fault_has_its_file_and_line(tmp_path: Path) -> None:
    """What the check of the recognisers reports is told with file, line and key; an absent file, too."""
    directory = write(tmp_path, **{"recognizers/HEALTH.yaml": "idioms: []\nrules:\n  - name: x\n"})

    def check(trees: Mapping[str, object], report: Report) -> None:
        report((*trees, "rules", 0), "wrong")
        report(("GENETIC",), "absent")

    with pytest.raises(ConfigurationError) as caught:
        load(directory, {}, wires=WIRES, check_recognizers=check)

    told = {(Path(fault.file).name, fault.line, fault.key, fault.reason) for fault in caught.value.faults}
    assert {("HEALTH.yaml", 3, "rules[0]", "wrong"), ("GENETIC.yaml", 0, "(file)", "absent")} <= told


def test_a_secret_of_the_environment(tmp_path: Path) -> None:
    """Only the named variable is read; an absent or empty one is an error that shows nothing."""
    bundle = read(write(tmp_path), {"TOY_KEY": "a-toy-credential", "EMPTY": ""})

    assert bundle.secret("environment:TOY_KEY") == "a-toy-credential"
    for reference in ("environment:OTHER", "environment:EMPTY", "other:TOY_KEY"):
        with pytest.raises(UpstreamError) as caught:
            bundle.secret(reference)
        assert caught.value.retryable
    assert "a-toy-credential" not in repr(bundle)


def test_a_secret_of_a_file_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replaced file is read when it is looked at again, and one that is gone gives no secret."""
    monkeypatch.setattr("gateway.config.secrets.LOOK_AGAIN_SECONDS", 0.0)
    (tmp_path / "key").write_text("first-credential\n", encoding="ascii")
    secrets = Secrets(tmp_path, {})

    first = secrets.read("file:key")
    (tmp_path / "next").write_text("second-credential\n", encoding="ascii")
    (tmp_path / "next").replace(tmp_path / "key")

    assert (first, secrets.read("file:key")) == ("first-credential", "second-credential")
    (tmp_path / "key").unlink()
    with pytest.raises(UpstreamError):
        secrets.read("file:key")
    assert "credential" not in repr(secrets)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="absent"),
        pytest.param(b"", id="empty"),
        pytest.param(b"short", id="too short to be one"),
        pytest.param(b"two words of it", id="with spaces"),
        pytest.param(b"line-one-of-it\nline-two-of-it", id="two lines"),
        pytest.param(b"caf\xc3\xa9-credential", id="not ASCII"),
        pytest.param(b"x" * 10_000, id="far too long"),
    ],
)
def test_a_file_that_holds_no_secret(tmp_path: Path, content: bytes | None) -> None:
    """What could not be one header value is no credential, and is not shown."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)

    with pytest.raises(UpstreamError) as caught:
        Secrets(tmp_path, {}).read("file:key")

    assert "credential of this processor" in caught.value.reason


def test_the_mark_of_the_schemas_changes_with_them(tmp_path: Path) -> None:
    """Adding, changing and removing an approved schema each change the mark; looking does not."""
    directory = write(tmp_path)
    marks = [schemas_mark(directory), schemas_mark(directory)]
    (directory / "schemas" / "new.json").write_text(FILES["schemas/summary.json"], encoding="utf-8")
    marks.append(schemas_mark(directory))
    os.utime(directory / "schemas" / "new.json", ns=(1, 1))
    marks.append(schemas_mark(directory))
    (directory / "schemas" / "new.json").unlink()
    marks.append(schemas_mark(directory))

    assert marks[0] == marks[1] == marks[4]
    assert len(set(marks)) == 3


def test_the_shipped_example_is_honest() -> None:
    """The shipped configuration has no fault, and none of its entries takes any traffic."""
    bundle = load(EXAMPLE, {}, wires=PROVIDERS)

    entries = bundle.registry.entries
    assert set(entries) == {
        "anthropic-us",
        "bedrock-ca",
        "bedrock-eu",
        "openai-eu",
        "openai-global",
        "simulated-anthropic",
        "simulated-openai",
    }
    assert {entry.state(NOW) for entry in entries.values()} == {State.DRAFT}
    assert all(entry.is_example for entry in entries.values())
    assert list(bundle.registry.endpoints) == []
    for wire in PROVIDERS:
        assert bundle.registry.models(wire=wire, tenant=Tenant("t", expand(["WORLD"])), now=NOW) == ()
    assert bundle.settings.grants == ()
    assert list(bundle.settings.warnings()) == []


def test_removing_the_mark_of_an_example_is_not_enough(tmp_path: Path) -> None:
    """Without its evidence an entry takes no traffic, whatever it says; the simulated one has all it needs."""
    directory = tmp_path / "config"
    shutil.copytree(EXAMPLE, directory)
    for path in (directory / "processors").glob("*.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join(line for line in lines if not line.startswith("example:"))
        path.write_text(text + "\n", encoding="utf-8")

    bundle = load(directory, {}, wires=PROVIDERS)

    states = {name: entry.state(NOW) for name, entry in bundle.registry.entries.items()}
    assert {name for name, state in states.items() if state is State.ACTIVE} == {
        "simulated-anthropic",
        "simulated-openai",
    }
    tenant = bundle.tenants["demo"]
    assert "claude-simulated" in bundle.registry.models(wire="anthropic", tenant=tenant, now=NOW)
    assert bundle.registry.models(wire="openai", tenant=bundle.tenants["t-4f1c"], now=NOW) == ()


def test_the_example_refuses_what_is_kept() -> None:
    """Covered models, and the family whose cache cannot be switched off, are listed and never granted."""
    entries = load(EXAMPLE, {}, wires=PROVIDERS).registry.entries
    kept = {model.id for entry in entries.values() for model in entry.form.models if model.retention_class != "zero"}
    zero = {model.id for entry in entries.values() for model in entry.form.models if model.retention_class == "zero"}

    assert {"gpt-5.5", "gpt-5.5-2026-04-23", "claude-fable-5", "claude-mythos-5-1", "claude-fable-5-2"} <= kept
    assert not {model for model in zero if "fable" in model or "mythos" in model or model.startswith("gpt-5.5")}
    assert not kept & zero
