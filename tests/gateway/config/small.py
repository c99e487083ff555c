"""A small, whole configuration in YAML for a made-up wire, for the tests of whoever reads configuration."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Bundle, load
from tests.gateway.policy.surfaces import SURFACE, TOY

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WIRES = {"toy": TOY}

GATEWAY = """\
region: test
purposes:
  summary:
    policy: running_the_service
    lawful_basis: contract
    data: personal
    notice:
      announced: 2025-11-01
      effective: 2026-01-01
      document_sha256: "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  coaching:
    policy: running_the_service
    lawful_basis: contract
    data: personal
    notice:
      announced: 2025-11-01
      effective: 2026-01-01
      document_sha256: "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
state: ../state
listen:
  host: 127.0.0.1
  port: 8080
limits:
  body_bytes: 4194304
  idle_seconds: 30
redaction:
  unsafe_redaction_off: false
grants:
  - grant: cache
    callers: [service]
    purposes: [summary]
"""

CALLERS = """\
callers:
  service:
    tenants: [t-eu]
    purposes: [summary]
    limits: {in_flight: 5, per_minute: 60}
  agent:
    tenants: [t-eu, t-ca, t-gone]
    purposes: [summary, coaching]
    keys:
      - id: 0123456789abcdef
        sha256: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        expires: 2027-01-01
"""

TENANTS = """\
tenants:
  t-eu:
    residency: [EEA_CH]
    status: active
    forbidden_grants: [cache]
  t-ca:
    residency: [CA, US]
    status: active
    processors: [toy-eu]
    purposes: [summary]
    notice_days: 60
  t-gone:
    residency: [WORLD]
    status: cancelled
"""

PROCESSOR = """\
id: toy-eu
legal_entity:
  name: Toy Ltd
  address: 1 Toy Street
  country: IE
  contact: privacy@toy.example
door: direct
wire: toy
base_url: https://eu.toy.example
account_scope:
  project: toys
countries:
  processing: [DE, FR]
  storage: [IE]
operations: [ask]
models:
  - id: toy-large
    retention_class: zero
    served_models: [toy-large, toy-large-2026]
    aliases: [toy]
    traits: {cache: explicit}
  - id: toy-kept
    retention_class: retains
agreements:
  - id: toy-zero
    kinds: [zero_retention, no_training]
    scope: the project toys
    valid_from: 2026-01-01
    valid_until: 2027-01-01
    document_sha256: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    approvers: [Ada, Grace]
carve_outs:
  - Flagged images are kept.
notice:
  announced: 2025-11-01
  days: 30
  effective: 2026-01-01
  document_sha256: "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
review_by: 2027-06-01
suspended: false
credential: {environment: TOY_KEY}
"""

SCHEMA = '{"type": "object", "properties": {"summary": {"type": "string"}}}'

FILES = {
    "gateway.yaml": GATEWAY,
    "callers.yaml": CALLERS,
    "tenants.yaml": TENANTS,
    "processors/toy-eu.yaml": PROCESSOR,
    "surfaces/toy.yaml": json.dumps(SURFACE, indent=1),
    "schemas/summary.json": SCHEMA,
    "recognizers/HEALTH.yaml": "rules: []\n",
}


def write(folder: Path, **changed: str | bytes) -> Path:
    """Write the configuration, with some files changed; its directory."""
    directory = folder / "config"
    for name, text in {**FILES, **changed}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return directory


def read(directory: Path, environment: dict[str, str] | None = None, now: datetime = NOW) -> Bundle:
    """Read it at an instant."""
    return load(directory, environment or {}, wires=WIRES, clock=lambda: now)
