"""A whole configuration for tests and benchmarks: the product's surfaces and recognisers, a simulated processor a wire."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import yaml

from gateway.caller_keys import KeyFile
from gateway.keys import mint_caller_key
from gateway.redaction.plain import Plain
from gateway.simulator.small import ANTHROPIC_MODELS, OPENAI_MODELS

ROOT = Path(__file__).resolve().parent.parent
CALLER = "coaching-service"
MANY = "many-tenants"
TENANT = "t-4f2a"
EUROPEAN = "t-eu01"
PURPOSE = "call_summary"
ALL_GRANTS = "grants-holder"

# A shared disk and a busy processor may stand still for longer than a product should wait.
_PATIENT_JOURNAL = {"ballast_bytes": 1024 * 1024, "timeout_seconds": 20.0, "closing_seconds": 40.0}
_PATIENT_REDACTION = {"patience_seconds": 20.0, "held_seconds": 20.0}

_TRAITS = {"openai": {"prompt_cache": "explicit"}, "anthropic": {"inference_geo": "unsupported"}}
_OPERATIONS = {
    "openai": ["chat.completions", "responses", "embeddings", "moderations", "audio.transcriptions"],
    "anthropic": ["messages", "messages.count_tokens"],
}


def entry(
    wire: str, base_url: str, models: Iterable[str], *, name: str = "", countries: Iterable[str] = ("CA",)
) -> dict[str, object]:
    """A processor with every piece of evidence, as a file of `config/processors/` holds it."""
    return {
        "id": name or f"simulated-{wire}",
        "legal_entity": {"name": "Simulated Provider", "address": "Loopback", "country": "CA", "contact": "nobody"},
        "door": "direct",
        "wire": wire,
        "base_url": base_url,
        "unsafe_plaintext": base_url.startswith("http:"),
        "account_scope": {"organization": "simulated"},
        "countries": {"processing": list(countries)},
        "operations": _OPERATIONS[wire],
        "models": [{"id": model, "retention_class": "zero", "traits": _TRAITS[wire]} for model in models],
        "agreements": [
            {
                "id": f"simulated-{wire}-2026",
                "kinds": ["zero_retention", "no_training", "dpa"],
                "scope": "the simulated organization",
                "valid_from": "2026-01-01",
                "valid_until": "2036-01-01",
                "document_sha256": "ab" * 32,
                "approvers": ["one@example.com", "two@example.com"],
            }
        ],
        "carve_outs": ["none: it is a program on this machine"],
        "notice": {"announced": "2025-11-01", "days": 30, "effective": "2026-01-01", "document_sha256": "cd" * 32},
        "review_by": "2036-01-01",
        "suspended": False,
        "credential": {"file": "secrets/simulated"},
    }


def purpose() -> dict[str, object]:
    """A purpose with all of its facts, as `purposes:` of gateway.yaml holds it."""
    notice = {"announced": "2025-11-01", "effective": "2026-01-01", "document_sha256": "cd" * 32}
    return {"policy": "running_the_service", "lawful_basis": "contract", "data": "personal", "notice": notice}


def write_configuration(
    folder: Path,
    port: int,
    credential: str,
    *,
    openai_models: Iterable[str] = OPENAI_MODELS,
    settings: dict[str, object] | None = None,
) -> Path:
    """Write a configuration whose processors are the simulated provider on `port`; its directory.

    `settings` are keys of `gateway.yaml` and replace ours; `journal`, `upstream` and `redaction` are merged with ours.
    """
    chosen = settings or {}
    directory = folder / "config"
    for name in ("surfaces", "recognizers"):
        shutil.copytree(ROOT / "config" / name, directory / name)
    for name in ("schemas", "processors", "secrets"):
        (directory / name).mkdir()
    (directory / "secrets" / "simulated").write_text(credential + "\n", encoding="ascii")
    grants = sorted({*_grants(directory, "openai"), *_grants(directory, "anthropic")})
    base_url = f"http://127.0.0.1:{port}"
    _write(
        directory / "gateway.yaml",
        {
            "region": "test",
            "state": "../state",
            "purposes": {name: purpose() for name in (PURPOSE, "coaching_feedback")},
            "listen": {"host": "127.0.0.1", "port": 0},
            "operations": {"host": "127.0.0.1", "port": 0},
            "limits": {
                "caller_per_minute": 1_000_000,
                "caller_in_flight": 10_000,
                "in_flight": 10_000,
                "drain_seconds": 5.0,
            },
            "canary": {"every_seconds": 0},  # tests count calls and records
            "grants": [{"grant": name, "callers": [ALL_GRANTS], "purposes": [PURPOSE]} for name in grants],
            **chosen,
            "journal": {**_PATIENT_JOURNAL, **_mapping(chosen.get("journal"))},
            # Tests that make a provider fail share a gateway with others.
            "upstream": {"failures": 100_000, "heed_retry_after": False, **_mapping(chosen.get("upstream"))},
            "redaction": {**_PATIENT_REDACTION, **_mapping(chosen.get("redaction"))},
        },
    )
    _write(
        directory / "tenants.yaml",
        {
            "tenants": {
                TENANT: {"residency": ["CA"], "status": "active"},
                EUROPEAN: {"residency": ["EU27"], "status": "active"},
                "t-gone": {"residency": ["CA"], "status": "cancelled"},
            }
        },
    )
    _write(
        directory / "callers.yaml",
        {
            "callers": {
                CALLER: {"tenants": [TENANT], "purposes": [PURPOSE]},
                ALL_GRANTS: {"tenants": [TENANT], "purposes": [PURPOSE]},
                MANY: {"tenants": [TENANT, EUROPEAN, "t-gone"], "purposes": [PURPOSE, "coaching_feedback"]},
            }
        },
    )
    for wire, models in (("openai", openai_models), ("anthropic", ANTHROPIC_MODELS)):
        _write(directory / "processors" / f"simulated-{wire}.yaml", entry(wire, base_url, models))
    return directory


def rules() -> dict[str, Plain]:
    """The shipped recognisers, as the configuration reader hands them over."""
    return {
        path.stem: yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)  # it is the safe one
        for path in sorted((ROOT / "config/recognizers").glob("*.yaml"))
    }


def issue_key(state: Path, caller: str = CALLER) -> str:
    """A fresh key, as `gateway keys new` issues it."""
    key = mint_caller_key()
    KeyFile(state).add(caller, key, datetime.now(UTC), None)
    return key.text


def _grants(directory: Path, wire: str) -> list[str]:
    return list(yaml.safe_load((directory / "surfaces" / f"{wire}.yaml").read_text(encoding="utf-8"))["grants"])


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _write(path: Path, tree: object) -> None:
    path.write_text(json.dumps(tree, indent=2), encoding="utf-8")  # JSON is YAML, without anchors
