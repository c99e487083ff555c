"""Entries whose settings are read back from the simulated provider, and a gateway of which nobody asks anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.simulator.administration import ADMINISTRATOR, CONTROL

PROJECT = {"method": "openai_organization", "credential": {"file": "secrets/administrator"}}
COVERED = {"method": "anthropic_covered_model", "model": "claude-covered"}


def edit(configuration: Path, wire: str, **keys: Any) -> Path:
    """Set keys of an entry's file."""
    path = configuration / "processors" / f"simulated-{wire}.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **keys}), "utf-8")
    return path


def read_back(configuration: Path, port: int, wire: str = "openai", **asked: Any) -> None:
    """Let an entry's settings be read back from the simulated provider, as its file says."""
    secrets = configuration / "secrets"
    (secrets / "administrator").write_text(f"{ADMINISTRATOR}\n", "ascii")
    (secrets / "control").write_text(f"{CONTROL}\n", "ascii")
    root = f"http://127.0.0.1:{port}"
    chosen = dict(PROJECT if wire == "openai" else COVERED) | asked
    scope = {"project": "proj_simulated", "organization": "org-simulated"}
    edit(configuration, wire, read_back={"base_url": root, **chosen}, account_scope=scope)
