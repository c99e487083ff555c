"""The house: who may import whom, and through which door each dependency comes in."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("gateway/**/*.py"), *ROOT.glob("providers/**/*.py")])

# A module may import its own floor and those below; on floor 2 the three rooms never import each other.
FLOORS: dict[str, int] = {
    "providers": 0,
    "gateway": 0,
    "gateway.categories": 1,
    "gateway.durable": 1,
    "gateway.errors": 1,
    "gateway.exchange": 1,
    "gateway.keys": 1,
    "gateway.otlp": 1,
    "gateway.resident": 1,
    "gateway.policy": 2,
    "gateway.redaction": 2,
    "gateway.audit": 2,
    "gateway.addresses": 3,
    "gateway.anchoring": 3,
    "gateway.answers": 3,
    "gateway.turning": 3,
    "gateway.aside": 3,
    "gateway.attest": 3,
    "gateway.attempt": 3,
    "gateway.beginnings": 3,
    "gateway.caller_keys": 3,
    "gateway.callers": 3,
    "gateway.clients": 3,
    "gateway.clock": 3,
    "gateway.change": 3,
    "gateway.collectors": 3,
    "gateway.config": 3,
    "gateway.connection": 3,
    "gateway.conversations": 3,
    "gateway.delivery": 3,
    "gateway.disclosure": 3,
    "gateway.endpoints": 3,
    "gateway.erasing": 3,
    "gateway.failover": 3,
    "gateway.force": 3,
    "gateway.forwarding": 3,
    "gateway.intake": 3,
    "gateway.likeness": 3,
    "gateway.limits": 3,
    "gateway.listener": 3,
    "gateway.logs": 3,
    "gateway.losing": 3,
    "gateway.mending": 3,
    "gateway.metrics": 3,
    "gateway.noting": 3,
    "gateway.operations": 3,
    "gateway.options": 3,
    "gateway.outside": 3,
    "gateway.passage": 3,
    "gateway.process": 3,
    "gateway.quotas": 3,
    "gateway.reconciling": 3,
    "gateway.replicas": 3,
    "gateway.relay": 3,
    "gateway.part": 3,
    "gateway.routes": 3,
    "gateway.sequencing": 3,
    "gateway.speech": 3,
    "gateway.restoration": 3,
    "gateway.steps": 3,
    "gateway.suspensions": 3,
    "gateway.targets": 3,
    "gateway.telemetry": 3,
    "gateway.upstream": 3,
    "gateway.usage": 3,
    "gateway.vocabulary": 3,
    "gateway.vouching": 3,
    "gateway.waits": 3,
    "gateway.witnessing": 3,
    "gateway.app": 4,
    "gateway.canary": 4,
    "gateway.cli": 4,
    "gateway.demo": 4,
    "gateway.simulator": 4,
    "gateway.trial": 4,
    "gateway.web": 4,
    "gateway.witness": 4,
    "gateway.workers": 4,
    "gateway.__main__": 4,
}
PEERS = ("gateway.policy", "gateway.redaction", "gateway.audit")

DOORS: dict[str, tuple[str, ...]] = {
    "aiohttp": (
        "gateway.answers",
        "gateway.canary.round",
        "gateway.connection",
        "gateway.endpoints",
        "gateway.erasing",
        "gateway.heads",
        "gateway.intake",
        "gateway.listener",
        "gateway.operations",
        "gateway.outside",
        "gateway.relay",
        "gateway.simulator",
        "gateway.turning",
        "gateway.upstream",
        "gateway.web",
        "gateway.witness.serving",
    ),
    "apsw": (
        "gateway.audit.access",
        "gateway.audit.evidence",
        "gateway.audit.exposure",
        "gateway.audit.index",
        "gateway.audit.log_store",
        "gateway.audit.pages",
        "gateway.audit.reader",
        "gateway.audit.rekeying",
        "gateway.audit.retention.salvage",
        "gateway.audit.retention.selection",
        "gateway.audit.scope",
        "gateway.audit.store",
        "gateway.audit.tally",
    ),
    "botocore": ("providers.credentials",),
    "cryptography": ("gateway.keys",),
    "jinja2": ("gateway.web.frame",),
    "joserfc": ("gateway.web.sign_in",),
    "markupsafe": ("gateway.web.charts", "gateway.web.frame"),
    "numba": ("gateway.redaction.native",),
    "llvmlite": ("gateway.redaction.native",),
    "numpy": ("gateway.audit.tallies", "gateway.redaction"),
    "presidio_analyzer": (
        "gateway.redaction.engine",
        "gateway.redaction.recognizers",
        "gateway.redaction.personal_recognizers",
        "gateway.redaction.lean",
    ),
    "prometheus_client": ("gateway.metrics", "gateway.telemetry.measures"),
    "redis": ("gateway.replicas",),
    "rfc3161_client": ("gateway.audit.stamping",),
    "yaml": ("gateway.config.documents",),
    "pydantic": (
        "gateway.policy.forms",
        "gateway.policy.facts",
        "gateway.policy.notices",
        "gateway.policy.transfers",
        "gateway.policy.tenants",
        "gateway.callers",
        "gateway.config",
    ),
    "openai": ("providers.openai", "gateway.clients", "gateway.usage", "gateway.attest.clients"),
    "anthropic": ("providers.anthropic", "gateway.clients"),
    "httpx2": ("gateway.clients",),
    "spacy": (),
    "httpx": (),
    "requests": (),
}


def name_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def floor_of(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        floor = FLOORS.get(".".join(parts[:length]))
        if floor is not None:
            return floor
    raise AssertionError(f"{module} stands on no floor: give it one")


def room_of(module: str) -> str | None:
    return next((peer for peer in PEERS if module == peer or module.startswith(peer + ".")), None)


@pytest.mark.parametrize("path", SOURCES, ids=[name_of(path) for path in SOURCES])
def test_imports_go_downward(path: Path) -> None:
    """A module imports its own floor and below; the wires import nothing of ours; peers never meet."""
    module = name_of(path)
    ours = {found for found in imports_of(path) if found.split(".")[0] in ("gateway", "providers")}

    above = {found for found in ours if floor_of(found) > floor_of(module)}
    across = {found for found in ours if room_of(module) and room_of(found) not in (None, room_of(module))}

    assert not above
    assert not across
    if module.startswith("providers"):
        assert not {found for found in ours if found.startswith("gateway")}


@pytest.mark.parametrize("path", SOURCES, ids=[name_of(path) for path in SOURCES])
def test_each_dependency_has_its_door(path: Path) -> None:
    """A dependency comes in through the modules that are its door and no others."""
    module = name_of(path)

    outside = {
        found
        for found in imports_of(path)
        for dependency, doors in DOORS.items()
        if found.split(".")[0] == dependency
        and not any(module == door or module.startswith(door + ".") for door in doors)
    }

    assert not outside


def test_no_module_gives_up_its_name() -> None:
    """There is no module of leftovers, and every module says what it owns."""
    names = {path.stem for path in SOURCES}
    silent = [name_of(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]

    assert not names & {"utils", "common", "helpers", "base", "manager", "misc"}
    assert not silent


def test_the_gateway_knows_no_wire_by_name() -> None:
    """Enforcement knows no path, field or event of a provider; those are in `providers/` and in data."""
    words = ("/v1/", "chat.completion", "previous_response_id", "message_start", "anthropic", "openai")
    telling = {
        f"{name_of(path)}: {word}"
        for path in SOURCES
        if name_of(path).startswith("gateway")
        and not name_of(path).startswith(("gateway.simulator", "gateway.demo", "gateway.cli"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        for word in words
        if word in node.value
    }

    assert not telling


def test_the_files_that_take_longest_are_there() -> None:
    """One that was renamed would quietly run last."""
    from tests.conftest import LONGEST  # noqa: PLC0415

    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
