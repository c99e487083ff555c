"""The section `web` of gateway.yaml, and the verb: what is refused before anything listens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.config.settings import parse_settings
from tests.configuration import TENANT, write_configuration

SEAT = {"value": "security", "role": "security", "everyone": True}
BOUNDED = {
    "value": "x",
    "role": "external_auditor",
    "everyone": True,
    "since": "2026-01-01",
    "until": "2026-04-01",
    "expires": "2026-06-01",
}
SIGN_IN = {"issuer": "https://id.example.com", "client_id": "audit"}

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "on the network without TLS": ({"host": "192.0.2.1", "names": ["a.example"]}, "web"),
    "on the network without a name": ({"host": "192.0.2.1", "tls": {"certificate": "a", "private_key": "b"}}, "web"),
    "an address with a path": ({"address": "https://a.example/audit"}, "web.address"),
    "an address without scheme": ({"address": "a.example"}, "web.address"),
    "an issuer without protection": (
        {"sign_in": {**SIGN_IN, "issuer": "http://id.example.com", "seats": [SEAT]}},
        "web.sign_in.issuer",
    ),
    "no second factor": ({"sign_in": {**SIGN_IN, "amr": [], "seats": [SEAT]}}, "web.sign_in"),
    "no seats": ({"sign_in": {**SIGN_IN, "seats": []}}, "web.sign_in.seats"),
    "an unknown role": ({"sign_in": {**SIGN_IN, "seats": [{**SEAT, "role": "root"}]}}, "web.sign_in.seats.0.role"),
    "a tenant's role for everyone": (
        {"sign_in": {**SIGN_IN, "seats": [{**SEAT, "role": "tenant_admin"}]}},
        "web.sign_in.seats.0.tenants",
    ),
    "nobody's seat": (
        {"sign_in": {**SIGN_IN, "seats": [{"value": "x", "role": "security"}]}},
        "web.sign_in.seats.0.tenants",
    ),
    "both tenants and everyone": (
        {"sign_in": {**SIGN_IN, "seats": [{**SEAT, "tenants": ["t-1"]}]}},
        "web.sign_in.seats.0.tenants",
    ),
    "an auditor without end": (
        {"sign_in": {**SIGN_IN, "seats": [{**BOUNDED, "expires": None}]}},
        "web.sign_in.seats.0",
    ),
    "half a day": (
        {"sign_in": {**SIGN_IN, "seats": [{**BOUNDED, "since": "2026-01-01T12:00:00Z"}]}},
        "web.sign_in.seats.0.since",
    ),
    "an unknown key": ({"passwords": True}, "web.passwords"),
    "no idle limit": ({"idle_minutes": 0}, "web.idle_minutes"),
}


def faults(folder: Path, web: dict[str, Any]) -> list[str]:
    """The places of what is wrong with a section."""
    directory = write_configuration(folder, 1, "x", settings={"web": {"port": 0, **web}})
    found: list[str] = []
    parse_settings(
        json.loads((directory / "gateway.yaml").read_text("utf-8")),
        lambda path, _reason: found.append(".".join(map(str, path))),
    )
    return found


@pytest.mark.parametrize("case", FAULTS)
def test_a_section_that_would_let_in_too_many_is_a_fault(tmp_path: Path, case: str) -> None:
    """Each is told by its place, and nothing starts."""
    section, place = FAULTS[case]

    assert any(each.startswith(place) for each in faults(tmp_path, section))


def test_a_whole_section_is_none(tmp_path: Path) -> None:
    """What the README shows is taken."""
    seats = [SEAT, BOUNDED, {"value": "acme", "role": "tenant_auditor", "tenants": ["t-4f1c"]}]

    assert (
        faults(
            tmp_path, {"sign_in": {**SIGN_IN, "acr": ["phr"], "seats": seats}, "address": "https://audit.example.com"}
        )
        == []
    )


def test_the_verb_prints_a_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One address on standard output; a tenant's role needs a tenant that exists; links can be switched off."""
    directory = str(write_configuration(tmp_path, 1, "x", settings={"web": {"address": "https://audit.example.com"}}))
    assert main(["web", "--link", "tenant_auditor", "--tenant", TENANT, "--config", directory]) == 0
    printed = capsys.readouterr().out
    assert main(["web", "--link", "tenant_auditor", "--config", directory]) == 2
    assert main(["web", "--link", "security", "--tenant", "t-none", "--config", directory]) == 2
    settings = Path(directory) / "gateway.yaml"
    settings.write_text(json.dumps({**json.loads(settings.read_text("utf-8")), "web": {"links": False}}), "utf-8")

    assert main(["web", "--link", "security", "--config", directory]) == 2
    assert re.fullmatch(r"https://audit\.example\.com/enter/[\w-]{43}\n", printed)


def test_without_a_journal_nothing_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no gateway has run there is nothing to see, and it says so."""
    directory = str(write_configuration(tmp_path, 1, "x"))

    assert main(["web", "--config", directory]) == 2
    assert "gateway serve" in capsys.readouterr().err
